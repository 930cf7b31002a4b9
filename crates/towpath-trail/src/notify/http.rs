//! Notifiers over HTTP: SNS topics, CloudWatch Logs groups, webhooks. Endpoints are whatever speaks these interfaces.

use std::io::Read;
use std::sync::Arc;

use async_trait::async_trait;
use flate2::read::MultiGzDecoder;
use http::StatusCode;
use jiff::Timestamp;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use towpath_model::{AccountId, Trail};
use zeroize::Zeroizing;

use super::endpoint::{AwsEndpoint, failed, region_of, send};
use super::{Notice, Notifier, NotifyError, Target, webhook_signature};
use crate::buckets::Buckets;

/// The largest event that a log group takes, in bytes (trails.md, section 7).
const LOG_EVENT_BYTES: usize = 256 * 1024;
/// The largest batch: bytes, of which 26 are counted for each event beside its text, and events (PutLogEvents).
const BATCH_BYTES: usize = 1_048_576;
const BATCH_EVENTS: usize = 10_000;

/// Publishes to the topic of a trail.
pub struct Topic {
    /// An SNS-compatible endpoint.
    pub endpoint: AwsEndpoint,
}

/// Writes the events of delivered files to the log group of a trail.
pub struct LogGroup {
    /// A CloudWatch-Logs-compatible endpoint.
    pub endpoint: AwsEndpoint,
    /// Where the delivered files are read.
    pub buckets: Arc<dyn Buckets>,
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

#[derive(Deserialize)]
struct LogFile<'a> {
    #[serde(rename = "Records", borrow)]
    records: Vec<&'a RawValue>,
}

impl LogGroup {
    async fn text(&self, notice: &Notice) -> Result<Vec<u8>, NotifyError> {
        let opened = self.buckets.open(&notice.bucket).await;
        let store: Arc<dyn ObjectStore> = opened.map_err(|error| failed(error.to_string()))?;
        let path = Path::parse(&notice.key).map_err(|error| failed(error.to_string()))?;
        let read = async { store.get(&path).await?.bytes().await };
        let packed = match read.await {
            Ok(packed) => packed,
            Err(object_store::Error::NotFound { .. }) => {
                let message = "the log file is not in its bucket any more".to_owned();
                return Err(NotifyError { code: None, message, retry: false });
            }
            Err(error) => return Err(failed(format!("the log file cannot be read: {error}"))),
        };
        let unpack = move || {
            let mut text = Vec::new();
            MultiGzDecoder::new(&packed[..]).read_to_end(&mut text).map(|_| text)
        };
        let text = tokio::task::spawn_blocking(unpack).await.map_err(|_| failed("the process stops"))?;
        text.map_err(|error| failed(format!("the log file cannot be read: {error}")))
    }
}

/// Calls an operation of CloudWatch Logs.
pub(crate) async fn operation(
    endpoint: &AwsEndpoint,
    region: &str,
    name: &str,
    input: &Value,
) -> Result<(), NotifyError> {
    endpoint.json("logs", region, &format!("Logs_20140328.{name}"), input).await.map(drop)
}

/// The stream of a trail's events of an account: `[o-id_]<account>_CloudTrail_<home region>`.
pub(crate) fn stream_of(trail: &Trail, account: AccountId) -> String {
    let stream = format!("{account}_CloudTrail_{}", trail.home_region);
    trail.organization.as_ref().map_or(stream.clone(), |organization| format!("{organization}_{stream}"))
}

/// Region and name of a group: `arn:aws:logs:<region>:<account>:log-group:<name>[:*]`.
pub(crate) fn group_of(arn: &str) -> Option<(&str, &str)> {
    let mut parts = arn.splitn(7, ':');
    let region = parts.nth(3)?;
    let kind = parts.nth(1)?;
    let name = parts.next()?;
    let name = name.strip_suffix(":*").unwrap_or(name);
    (kind == "log-group" && !name.is_empty()).then_some((region, name))
}

/// Cuts events into batches that a log group takes; events that are too large are left out.
fn batches<'a>(records: &[&'a RawValue]) -> Vec<Vec<&'a str>> {
    let (mut batches, mut bytes) = (vec![Vec::new()], 0);
    for text in records.iter().map(|record| record.get()).filter(|text| text.len() + 26 <= LOG_EVENT_BYTES) {
        let last = batches.last_mut().expect("there is always a batch");
        if bytes + text.len() + 26 > BATCH_BYTES || last.len() == BATCH_EVENTS {
            batches.push(vec![text]);
            bytes = 0;
        } else {
            last.push(text);
        }
        bytes += text.len() + 26;
    }
    batches.retain(|batch| !batch.is_empty());
    batches
}

#[async_trait]
impl Notifier for LogGroup {
    fn target(&self) -> Target {
        Target::LogGroup
    }

    fn wants(&self, trail: &Trail) -> bool {
        trail.cloud_watch_logs.is_some()
    }

    async fn send(&self, trail: &Trail, notice: &Notice) -> Result<(), NotifyError> {
        let Some(logs) = &trail.cloud_watch_logs else { return Ok(()) };
        let Some((region, group)) = group_of(&logs.group_arn) else {
            return Err(NotifyError { retry: false, ..failed("the ARN of the log group names no group") });
        };
        let stream = stream_of(trail, notice.account);
        let text = self.text(notice).await?;
        let file: LogFile<'_> =
            serde_json::from_slice(&text).map_err(|error| failed(format!("the log file is not JSON: {error}")))?;
        for batch in batches(&file.records) {
            // The time of an entry is that of its delivery, not that of the event.
            let at = self.endpoint.clock.now().as_millisecond();
            let entries: Vec<Value> =
                batch.into_iter().map(|text| json!({ "timestamp": at, "message": text })).collect();
            let input = json!({ "logGroupName": group, "logStreamName": stream, "logEvents": entries });
            match operation(&self.endpoint, region, "PutLogEvents", &input).await {
                Err(error) if error.code.as_deref() == Some("ResourceNotFoundException") => {
                    let names = json!({ "logGroupName": group, "logStreamName": stream });
                    match operation(&self.endpoint, region, "CreateLogStream", &names).await {
                        Err(error) if error.code.as_deref() != Some("ResourceAlreadyExistsException") => {
                            return Err(error);
                        }
                        _ => operation(&self.endpoint, region, "PutLogEvents", &input).await?,
                    }
                }
                other => other?,
            }
        }
        Ok(())
    }
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
    use parking_lot::Mutex;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use towpath_model::{CloudWatchLogs, SystemClock};
    use towpath_wire::sigv4::{Credentials, Secret};

    use super::*;
    use crate::gzip;
    use crate::testing::{START, TestBuckets, trail};

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

    fn notice(trail: &Trail) -> Notice {
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
    async fn a_log_group_gets_each_event_and_its_stream_is_made_when_it_is_missing() {
        let missing = r#"{"__type":"ResourceNotFoundException"}"#;
        let server = Server::answering(vec![(400, missing), (200, "{}"), (200, "{}")]).await;
        let trail = Trail {
            cloud_watch_logs: Some(CloudWatchLogs {
                group_arn: "arn:aws:logs:us-east-1:000000000001:log-group:my/group:*".to_owned(),
                role_arn: String::new(),
            }),
            ..trail("main", "bucket", START.parse().unwrap())
        };
        let buckets = Arc::new(TestBuckets::default());
        let packed = gzip::whole(2, br#"{"Records":[{"a": 1.50},{"b":"\u00e9"}]}"#).unwrap();
        buckets.get("bucket").inner.put(&Path::from("logs/file.json.gz"), packed.into()).await.unwrap();
        let group = LogGroup { endpoint: server.endpoint(), buckets };
        group.send(&trail, &notice(&trail)).await.unwrap();
        let asked = server.asked.lock().clone();
        let names = ["PutLogEvents", "CreateLogStream", "PutLogEvents"];
        assert!(
            asked.iter().zip(names).all(|(asked, name)| asked.contains(&format!("Logs_20140328.{name}"))),
            "{asked:?}"
        );
        let body: Value = serde_json::from_str(asked[2].split_once("\r\n\r\n").unwrap().1).unwrap();
        assert_eq!(body["logGroupName"], "my/group");
        assert_eq!(body["logStreamName"], "000000000001_CloudTrail_us-east-1");
        assert_eq!(body["logEvents"][0]["message"], r#"{"a": 1.50}"#);
        assert_eq!(body["logEvents"][1]["message"], r#"{"b":"\u00e9"}"#);
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

    #[test]
    fn batches_keep_the_limits_and_the_order() {
        let texts: Vec<String> = (0..30).map(|n| format!("\"{}{n}\"", "x".repeat(100_000))).collect();
        let huge = format!("\"{}\"", "y".repeat(300_000));
        let raw: Vec<&RawValue> = texts.iter().chain([&huge]).map(|text| serde_json::from_str(text).unwrap()).collect();
        let cut = batches(&raw);
        assert!(cut.iter().all(|batch| batch.iter().map(|text| text.len() + 26).sum::<usize>() <= BATCH_BYTES));
        assert_eq!(cut.concat(), texts);
        assert!(batches(&[]).is_empty());
    }
}
