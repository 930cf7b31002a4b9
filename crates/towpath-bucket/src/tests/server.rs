use std::net::SocketAddr;
use std::time::Duration;

use futures::FutureExt;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use towpath_iam::{Directory, SecretKey};

use super::*;

struct Served {
    world: World,
    address: SocketAddr,
    stop: CancellationToken,
    calls: Arc<Mutex<Vec<S3Call>>>,
}

impl Served {
    async fn new(limits: S3Limits) -> Self {
        let world = World::new().await;
        let key = SecretKey::generate().unwrap();
        let directory = Directory::open(Arc::new(MemoryMetaStore::new()), &key, world.clock.clone()).await.unwrap();
        let calls: Arc<Mutex<Vec<S3Call>>> = Arc::default();
        let heard = Arc::clone(&calls);
        let server = S3Server::new(world.buckets.clone(), directory, world.clock.clone(), limits).observed_by(
            Arc::new(move |call| {
                heard.lock().push(call);
                std::future::ready(()).boxed()
            }),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        tokio::spawn(server.serve(
            listener,
            |stream| async { Ok((stream, None)) },
            stop.clone(),
            Duration::from_secs(1),
        ));
        Self { world, address, stop, calls }
    }

    /// Sends one request and returns all that comes back.
    async fn ask(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    async fn get(&self, target: &str, more: &str) -> String {
        self.ask(&format!("GET {target} HTTP/1.1\r\nhost: s3\r\nconnection: close\r\n{more}\r\n")).await
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[tokio::test]
async fn errors_have_the_form_of_s3_and_an_id() {
    let served = Served::new(S3Limits::default()).await;
    for (target, more, status, code) in [
        ("/", "", "403", "AccessDenied"),
        ("/missing/key", "", "404", "NoSuchBucket"),
        ("/logs/key", "", "403", "AccessDenied"),
        ("/Bad_Name/key", "", "400", "InvalidBucketName"),
        ("/logs?accelerate", "", "501", "NotImplemented"),
        ("/logs/key", "authorization: AWS AKIA:sig\r\n", "400", "InvalidRequest"),
        ("/logs/key?AWSAccessKeyId=a&Signature=b&Expires=1", "", "400", "InvalidRequest"),
        ("/logs/%FF%FE", "", "400", "InvalidURI"),
    ] {
        let answer = served.get(target, more).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{target}: {answer}");
        assert!(answer.contains(&format!("<Code>{code}</Code><Message>")), "{target}: {answer}");
        assert!(answer.contains("<RequestId>") && answer.contains("x-amz-request-id: "), "{target}: {answer}");
    }
    let calls = served.calls.lock();
    let denied = calls.iter().find(|call| {
        call.operation == Some("GetObject") && call.bucket.as_ref().is_some_and(|(name, _)| name.as_str() == "logs")
    });
    let denied = denied.unwrap();
    assert_eq!(denied.error.as_ref().unwrap().0, "AccessDenied");
    assert!(denied.is_data() && denied.read_only);
}

#[tokio::test]
async fn a_public_object_is_read_without_a_signature_in_ranges_and_under_conditions() {
    let served = Served::new(S3Limits::default()).await;
    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::logs/*"}]}"#;
    served.world.buckets.set_policy(&"logs".parse().unwrap(), Some(policy.to_owned())).await.unwrap();
    let etag = served.world.put("a key", "0123456789").await.unwrap().etag;

    let whole = served.get("/logs/a%20key", "").await;
    assert!(whole.starts_with("HTTP/1.1 200") && whole.ends_with("\r\n\r\n0123456789"), "{whole}");
    let part = served.get("/logs/a%20key", "range: bytes=2-4\r\n").await;
    assert!(part.starts_with("HTTP/1.1 206") && part.ends_with("\r\n\r\n234"), "{part}");
    assert!(part.contains("content-range: bytes 2-4/10"), "{part}");
    let none = served.get("/logs/a%20key", "range: bytes=10-\r\n").await;
    assert!(none.starts_with("HTTP/1.1 416"), "{none}");
    let same = served.get("/logs/a%20key", &format!("if-none-match: \"{etag}\"\r\n")).await;
    assert!(same.starts_with("HTTP/1.1 304") && same.ends_with("\r\n\r\n"), "{same}");
    let other = served.get("/logs/a%20key", "if-match: \"x\"\r\n").await;
    assert!(other.starts_with("HTTP/1.1 412"), "{other}");
    // Whoever may not list is not told what is missing.
    let missing = served.get("/logs/none", "").await;
    assert!(missing.starts_with("HTTP/1.1 403"), "{missing}");
    let changed = served.get("/logs/a%20key?response-content-type=text/html", "").await;
    assert!(changed.starts_with("HTTP/1.1 400"), "{changed}");
}

#[tokio::test]
async fn a_body_that_stops_and_a_connection_that_is_silent_are_ended() {
    let limits = S3Limits {
        header_timeout: Duration::from_millis(200),
        body_pause: Duration::from_millis(200),
        idle_timeout: Duration::from_millis(600),
        ..S3Limits::default()
    };
    let served = Served::new(limits).await;
    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::logs/*"}]}"#;
    served.world.buckets.set_policy(&"logs".parse().unwrap(), Some(policy.to_owned())).await.unwrap();
    let answer = served.ask("PUT /logs/k HTTP/1.1\r\nhost: s3\r\ncontent-length: 10\r\n\r\nabc").await;
    assert!(answer.contains("<Code>RequestTimeout</Code>"), "{answer}");
    assert_eq!(served.ask("").await, "");
    assert!(served.world.files().is_empty());
}

#[tokio::test]
async fn who_asks_to_go_on_and_is_answered_at_once_is_told_to_use_another_connection() {
    let served = Served::new(S3Limits::default()).await;
    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::logs/*"}]}"#;
    served.world.buckets.set_policy(&"logs".parse().unwrap(), Some(policy.to_owned())).await.unwrap();
    for (target, length) in [("/logs/empty", 0), ("/missing/k", 3)] {
        let head =
            format!("PUT {target} HTTP/1.1\r\nhost: s3\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n\r\n");
        let answer = served.ask(&head).await;
        assert!(answer.contains("connection: close") && !answer.contains("100 Continue"), "{answer}");
    }
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream
        .write_all(b"PUT /logs/k HTTP/1.1\r\nhost: s3\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n")
        .await
        .unwrap();
    let mut buffer = [0; 25];
    stream.read_exact(&mut buffer).await.unwrap();
    assert_eq!(&buffer, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"abcGET /logs/k HTTP/1.1\r\nhost: s3\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).await.unwrap();
    assert_eq!(answers.matches("HTTP/1.1 ").count(), 2, "{answers}");
}

#[tokio::test]
async fn forms_are_refused_before_they_are_read() {
    let served = Served::new(S3Limits::default()).await;
    let answer = served
        .ask("POST /logs HTTP/1.1\r\nhost: s3\r\nconnection: close\r\ncontent-type: multipart/form-data; boundary=x\r\ncontent-length: 0\r\n\r\n")
        .await;
    assert!(answer.starts_with("HTTP/1.1 501"), "{answer}");
}
