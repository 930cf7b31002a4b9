//! Small questions of the gateway's own to STS and IAM, in the query protocol, signed.
//!
//! Whoever is asked may be broken or hostile: an answer is waited for only so long, has only so many bytes, and where none
//! came nothing is asked for a while, so that calls do not wait for it one after the other. Redirections are not followed.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Uri, header};
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};
use towpath_wire::sigv4::{self, Credentials};

use crate::gateway::with_causes;
use crate::outbound::{Outbound, OutboundError};

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long nothing is asked where no answer came.
const REST: Duration = Duration::from_secs(5);
/// The longest answer, in bytes.
const MAX_ANSWER: usize = 64 << 10;

/// Asks one service.
pub(super) struct QueryClient {
    way: Outbound,
    region: String,
    service: &'static str,
    version: &'static str,
    patience: Duration,
    rest: Duration,
    // Until when nothing is asked. Held for a look.
    rests: Mutex<Option<Instant>>,
}

impl QueryClient {
    /// A client of `service` at `endpoint`, whose API has `version`. `ca` is a PEM file with the authorities that its
    /// certificate may come from; without it those of the public web are trusted.
    pub(super) fn new(
        endpoint: &Uri,
        ca: Option<PathBuf>,
        region: &str,
        (service, version): (&'static str, &'static str),
    ) -> Result<Self, OutboundError> {
        let way = Outbound::new(endpoint, ca)?;
        Ok(Self {
            way,
            region: region.to_owned(),
            service,
            version,
            patience: PATIENCE,
            rest: REST,
            rests: Mutex::default(),
        })
    }

    /// The text of the answer, if it is one of success.
    pub(super) async fn ask(&self, action: &str, parameter: Option<(&str, &str)>, by: &Credentials) -> Option<String> {
        if self.rests.lock().is_some_and(|until| Instant::now() < until) {
            return None;
        }
        let request = self.request(action, parameter, by)?;
        match timeout(self.patience, self.way.send(request, MAX_ANSWER)).await {
            Ok(Ok(answer)) if answer.status().is_success() => String::from_utf8(answer.into_body().into()).ok(),
            Ok(Ok(answer)) => {
                let status = answer.status().as_u16();
                tracing::debug!(service = self.service, action, status, "whose an access key is, is not told");
                None
            }
            Ok(Err(cause)) => {
                tracing::warn!(
                    service = self.service,
                    action,
                    cause = with_causes(&cause),
                    "nobody can be asked whose an access key is"
                );
                self.rest();
                None
            }
            Err(_) => {
                tracing::warn!(service = self.service, action, "whose an access key is, is not answered in time");
                self.rest();
                None
            }
        }
    }

    fn rest(&self) {
        *self.rests.lock() = Some(Instant::now() + self.rest);
    }

    fn request(&self, action: &str, parameter: Option<(&str, &str)>, by: &Credentials) -> Option<Request<Bytes>> {
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("Action", action)
            .append_pair("Version", self.version)
            .extend_pairs(parameter)
            .finish();
        let request = Request::post(self.way.uri("/"))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded; charset=utf-8")
            .body(())
            .ok()?;
        let (mut parts, ()) = request.into_parts();
        sigv4::sign(&mut parts, form.as_bytes(), by, &self.region, self.service, Timestamp::now()).ok()?;
        Some(Request::from_parts(parts, form.into()))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use towpath_wire::sigv4::Secret;

    use super::*;

    /// What a service of a test does with a request, of which it has head and body: bytes to send, and nothing more if
    /// there are none.
    pub(in super::super) async fn serve(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Uri {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answer = Arc::new(answer);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let answer = answer.clone();
                tokio::spawn(async move {
                    let mut read = vec![0; 16 << 10];
                    while let Ok(length @ 1..) = stream.read(&mut read).await {
                        let text = answer(&String::from_utf8_lossy(&read[..length]));
                        if stream.write_all(text.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        format!("http://{address}").parse().unwrap()
    }

    pub(in super::super) fn ok(body: &str) -> String {
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    }

    pub(in super::super) fn credentials(secret: &str) -> Credentials {
        Credentials {
            access_key_id: "AKIAGATEWAY".to_owned(),
            secret_access_key: Secret::new(secret),
            session_token: None,
        }
    }

    fn client(endpoint: &Uri) -> QueryClient {
        QueryClient::new(endpoint, None, "us-east-1", ("sts", "2011-06-15")).unwrap()
    }

    #[tokio::test]
    async fn long_answers_redirections_and_errors_are_no_answers() {
        let elsewhere = serve(|_| ok("<Arn>elsewhere</Arn>")).await;
        for answer in [
            ok(&"x".repeat(MAX_ANSWER + 1)),
            format!(
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{}",
                "ffff\r\n".to_owned() + &"x".repeat(70_000)
            ),
            format!("HTTP/1.1 307 Temporary Redirect\r\nlocation: {elsewhere}\r\ncontent-length: 0\r\n\r\n"),
            "HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno".to_owned(),
            "nonsense\r\n\r\n".to_owned(),
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n".to_owned() + "\u{80}",
        ] {
            let endpoint = serve(move |_| answer.clone()).await;
            assert_eq!(client(&endpoint).ask("GetCallerIdentity", None, &credentials("secret")).await, None);
        }
    }

    #[tokio::test]
    async fn who_does_not_answer_is_waited_for_once_and_then_left_alone_for_a_while() {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let endpoint = serve(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            String::new()
        })
        .await;
        let mut client = client(&endpoint);
        client.patience = Duration::from_millis(200);
        let began = Instant::now();
        for _ in 0..20 {
            assert_eq!(client.ask("GetCallerIdentity", None, &credentials("secret")).await, None);
        }
        let waited = began.elapsed();
        assert!((client.patience..client.patience * 10).contains(&waited), "{waited:?}");
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        *client.rests.lock() = Some(Instant::now());
        assert_eq!(client.ask("GetCallerIdentity", None, &credentials("secret")).await, None);
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }
}
