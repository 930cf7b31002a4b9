//! Notifiers of few words: SNS topics and webhooks. Endpoints are whatever speaks these interfaces.

use async_trait::async_trait;
use http::StatusCode;
use jiff::Timestamp;
use serde_json::json;
use towpath_model::Trail;
use zeroize::Zeroizing;

use super::endpoint::{AwsEndpoint, failed, region_of, send};
use super::{Notice, Notifier, NotifyError, Target, webhook_signature};

/// Publishes to the topic of a trail.
pub struct Topic {
    /// An SNS-compatible endpoint.
    pub endpoint: AwsEndpoint,
}

/// Posts a JSON object for each delivered file, with the HMAC-SHA-256 of its bytes in the header `X-Towpath-Signature`.
pub struct Webhook {
    /// Where to.
    pub url: String,
    /// The key of the HMAC.
    pub secret: Zeroizing<Vec<u8>>,
    /// Sends.
    pub client: reqwest::Client,
}

#[async_trait]
impl Notifier for Topic {
    fn target(&self) -> Target {
        Target::Topic
    }

    fn wants(&self, trail: &Trail) -> bool {
        trail.sns_topic_arn.is_some()
    }

    async fn send(&self, trail: &Trail, notice: &Notice) -> Result<(), NotifyError> {
        let Some(topic) = &trail.sns_topic_arn else { return Ok(()) };
        publish(&self.endpoint, topic, &notice.topic_message()).await
    }
}

/// Publishes a message to a topic.
pub(crate) async fn publish(endpoint: &AwsEndpoint, topic: &str, message: &str) -> Result<(), NotifyError> {
    let region = region_of(topic).unwrap_or("us-east-1");
    let parameters = [("Action", "Publish"), ("Version", "2010-03-31"), ("TopicArn", topic), ("Message", message)];
    endpoint.query("sns", region, &parameters).await.map(drop)
}

#[async_trait]
impl Notifier for Webhook {
    fn target(&self) -> Target {
        Target::Webhook
    }

    fn wants(&self, _: &Trail) -> bool {
        true
    }

    async fn send(&self, _: &Trail, notice: &Notice) -> Result<(), NotifyError> {
        let body = body_of(notice, notice.delivered);
        let request = self
            .client
            .post(&self.url)
            .header("content-type", "application/json")
            .header("x-towpath-signature", webhook_signature(&self.secret, &body))
            .header("x-towpath-delivery", notice.hash.as_str())
            .body(body)
            .build()
            .map_err(|error| failed(format!("the request cannot be built: {}", error.without_url())))?;
        let (status, _, _) = send(&self.client, request).await?;
        if status.is_success() {
            return Ok(());
        }
        // Gone is the one answer that says: never again.
        let retry = status != StatusCode::GONE;
        let message = format!("the webhook answered {status}");
        Err(NotifyError { code: Some(status.as_str().to_owned()), message, retry })
    }
}

/// What a webhook is told.
fn body_of(notice: &Notice, delivered: Timestamp) -> Vec<u8> {
    let body = json!({
        "type": "LogFileDelivered",
        "trailArn": notice.trail_arn,
        "accountId": notice.account,
        "awsRegion": notice.region,
        "s3Bucket": notice.bucket,
        "s3ObjectKey": notice.key,
        "hashValue": notice.hash,
        "hashAlgorithm": "SHA-256",
        "events": notice.events,
        "bytes": notice.bytes,
        "oldestEventTime": notice.oldest,
        "newestEventTime": notice.newest,
        "deliveryTime": towpath_model::eventtime_text(delivered),
    });
    body.to_string().into_bytes()
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;
    use serde_json::Value;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use towpath_model::SystemClock;
    use towpath_wire::sigv4::{Credentials, Secret};

    use super::*;
    use crate::testing::{START, trail};

    /// A server on loopback that answers in turn and remembers what it was asked.
    pub(crate) struct Server {
        url: String,
        pub(crate) asked: Arc<Mutex<Vec<String>>>,
    }

    impl Server {
        pub(crate) async fn answering(answers: Vec<(u16, &'static str)>) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            let asked: Arc<Mutex<Vec<String>>> = Arc::default();
            let seen = asked.clone();
            tokio::spawn(async move {
                for (status, body) in answers {
                    let (mut socket, _) = listener.accept().await.unwrap();
                    let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
                    loop {
                        let read = socket.read(&mut buffer).await.unwrap();
                        request.extend_from_slice(&buffer[..read]);
                        let text = String::from_utf8_lossy(&request).into_owned();
                        let length = text.lines().find_map(|line| {
                            line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok()
                        });
                        let whole =
                            text.split_once("\r\n\r\n").is_some_and(|(_, body)| body.len() >= length.unwrap_or(0));
                        if whole || read == 0 {
                            seen.lock().push(text);
                            break;
                        }
                    }
                    let length = body.len();
                    let answer =
                        format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
                    socket.write_all(answer.as_bytes()).await.unwrap();
                }
            });
            Self { url, asked }
        }

        pub(crate) fn endpoint(&self) -> AwsEndpoint {
            AwsEndpoint {
                url: self.url.clone(),
                credentials: Credentials {
                    access_key_id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
                    secret_access_key: Secret::new("secret"),
                    session_token: None,
                },
                clock: Arc::new(SystemClock),
                client: client(),
            }
        }
    }

    fn client() -> reqwest::Client {
        reqwest::Client::builder().no_proxy().build().unwrap()
    }

    pub(crate) fn notice(trail: &Trail) -> Notice {
        Notice {
            trail: trail.id,
            trail_arn: trail.arn().to_string(),
            account: trail.account,
            region: trail.home_region.clone(),
            bucket: "bucket".to_owned(),
            key: "logs/file.json.gz".to_owned(),
            hash: "ab".to_owned(),
            events: 2,
            bytes: 20,
            oldest: START.to_owned(),
            newest: START.to_owned(),
            delivered: START.parse().unwrap(),
            attempts: 0,
        }
    }

    #[tokio::test]
    async fn a_topic_gets_a_signed_publish_and_its_refusal_is_told() {
        let refusal = "<ErrorResponse><Error><Code>AuthorizationError</Code></Error></ErrorResponse>";
        let server = Server::answering(vec![(200, "<ok/>"), (403, refusal)]).await;
        let trail = Trail {
            sns_topic_arn: Some("arn:aws:sns:eu-central-1:000000000001:topic".to_owned()),
            ..trail("main", "bucket", START.parse().unwrap())
        };
        let topic = Topic { endpoint: server.endpoint() };
        topic.send(&trail, &notice(&trail)).await.unwrap();
        let error = topic.send(&trail, &notice(&trail)).await.unwrap_err();
        assert_eq!((error.code.as_deref(), error.retry), (Some("AuthorizationError"), true));
        let asked = server.asked.lock()[0].clone();
        assert!(asked.contains("/eu-central-1/sns/aws4_request"), "{asked}");
        assert!(
            asked.contains(
                "Message=%7B%22s3Bucket%22%3A%22bucket%22%2C%22s3ObjectKey%22%3A%5B%22logs%2Ffile.json.gz%22%5D%7D"
            ),
            "{asked}"
        );
    }

    #[tokio::test]
    async fn a_webhook_can_check_who_sent_what() {
        let server = Server::answering(vec![(204, ""), (500, ""), (410, "")]).await;
        let trail = trail("main", "bucket", START.parse().unwrap());
        let secret = Zeroizing::new(b"key".to_vec());
        let webhook = Webhook { url: server.url.clone(), secret, client: client() };
        webhook.send(&trail, &notice(&trail)).await.unwrap();
        assert!(webhook.send(&trail, &notice(&trail)).await.unwrap_err().retry);
        assert!(!webhook.send(&trail, &notice(&trail)).await.unwrap_err().retry);
        let asked = server.asked.lock()[0].clone();
        let body = asked.split_once("\r\n\r\n").unwrap().1;
        assert!(asked.contains(&webhook_signature(b"key", body.as_bytes())), "{asked}");
        let body: Value = serde_json::from_str(body).unwrap();
        assert_eq!((body["s3ObjectKey"].as_str(), body["events"].as_u64()), (Some("logs/file.json.gz"), Some(2)));
    }
}
