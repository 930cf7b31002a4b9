//! A service, its layer and a server in one process.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower_layer::Layer;
use tower_service::Service;
use towpath_wire::sigv4::{BodyHash, DEFAULT_SKEW, Expect, SignedRequest, SigningKeys};

use super::*;

const LONG: Duration = Duration::from_secs(20);

/// Takes records as Towpath does, if the signature is right; refuses what is named so.
#[derive(Default)]
struct Server {
    records: Mutex<Vec<Value>>,
    calls: AtomicUsize,
    away: AtomicBool,
    // Takes records and answers nothing.
    mute: AtomicBool,
}

impl Server {
    async fn start() -> (Arc<Self>, SocketAddr) {
        let server = Arc::new(Self::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let this = server.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let this = this.clone();
                let answer = hyper::service::service_fn(move |request| this.clone().answer(request));
                let serving = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
                tokio::spawn(serving);
            }
        });
        (server, address)
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let told =
            |status, text: String| Ok(Response::builder().status(status).body(Full::new(Bytes::from(text))).unwrap());
        if self.away.load(Ordering::Relaxed) {
            return told(StatusCode::SERVICE_UNAVAILABLE, String::new());
        }
        let expect = Expect { service: "towpath", now: Timestamp::now(), skew: DEFAULT_SKEW };
        let signed = SignedRequest::parse(&head.method, &head.uri, &head.headers).unwrap();
        if signed.verify(b"secret", &BodyHash::of(&body), &expect, &SigningKeys::default()).is_err() {
            return told(StatusCode::FORBIDDEN, "{\"__type\":\"InvalidSignatureException\"}".to_owned());
        }
        assert_eq!(head.headers["x-amz-target"], "Towpath_20261120.PutRecords");
        let mut input: Value = serde_json::from_slice(&body).unwrap();
        let records = std::mem::take(input["Records"].as_array_mut().unwrap());
        let bad: Vec<_> = (0..records.len()).filter(|at| records[*at]["eventName"] == "Bad").collect();
        let good: Vec<_> = records.into_iter().filter(|record| record["eventName"] != "Bad").collect();
        let failed: Vec<_> =
            bad.iter().map(|at| json!({ "Index": at, "ErrorCode": "InvalidRecord", "ErrorMessage": "bad" })).collect();
        let answer = json!({ "Accepted": good.len(), "Failed": failed });
        self.records.lock().extend(good);
        if self.mute.load(Ordering::Relaxed) {
            tokio::time::sleep(LONG).await;
        }
        told(StatusCode::OK, answer.to_string())
    }

    /// Reason and count of each gap record, each with a signature that is right.
    fn gaps(&self) -> Vec<(String, u64)> {
        let told = self.named("RecordingGap");
        assert!(told.iter().all(is_signed), "{told:?}");
        let mut gaps: Vec<_> = told
            .iter()
            .map(|gap| &gap["serviceEventDetails"])
            .map(|gap| (gap["reason"].as_str().unwrap().to_owned(), gap["atLeast"].as_u64().unwrap()))
            .collect();
        gaps.sort();
        gaps
    }

    fn named(&self, name: &str) -> Vec<Value> {
        self.records.lock().iter().filter(|record| record["eventName"] == name).cloned().collect()
    }
}

fn credentials(secret: &str) -> Credentials {
    Credentials { access_key_id: "AKIAEXAMPLE".to_owned(), secret_access_key: Secret::new(secret), session_token: None }
}

fn endpoint(address: SocketAddr, secret: &str) -> Endpoint {
    let (account, region) = ("123456789012".parse().unwrap(), "eu-central-1".parse().unwrap());
    Endpoint::new(&format!("http://{address}"), credentials(secret), account, region, "orders.example.org").unwrap()
}

fn settings() -> RecorderSettings {
    RecorderSettings {
        gather: Duration::from_millis(5),
        first_pause: Duration::from_millis(2),
        longest_pause: Duration::from_millis(20),
        gap_quiet: Duration::from_millis(20),
        ..RecorderSettings::default()
    }
}

fn key() -> GapKey {
    GapKey::ephemeral().unwrap()
}

fn event(name: &str) -> Event {
    Event::new(name, UserIdentity::root("123456789012".parse().unwrap(), "AKIAEXAMPLE"), "192.0.2.1")
}

/// Answers 200, or 403 where the path says so.
#[derive(Clone)]
struct Orders;

impl Service<Request<()>> for Orders {
    type Response = Response<&'static str>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<&'static str>, Infallible>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        let status = if request.uri().path() == "/denied" { 403 } else { 200 };
        std::future::ready(Ok(Response::builder().status(status).body("ok").unwrap()))
    }
}

#[tokio::test]
async fn each_request_that_is_described_becomes_a_record() {
    let (server, address) = Server::start().await;
    let recorder = Recorder::start(endpoint(address, "secret"), settings(), key());
    let layer = EventLayer::new(recorder.clone(), |seen: &Seen<'_>| {
        if seen.request.uri.path() == "/health" {
            return None;
        }
        let mut event = event("CreateOrder");
        event.parameters = Some(json!({ "path": seen.request.uri.path() }));
        event.response = Some(json!({ "orderId": "o-1" }));
        if seen.response.is_some_and(|head| head.status == 403) {
            event.error = Some(("AccessDenied".to_owned(), "no".to_owned()));
        }
        Some(event)
    });
    let mut service = layer.layer(Orders);
    for path in ["/orders", "/health", "/denied"] {
        let response = service.call(Request::builder().uri(path).body(()).unwrap()).await.unwrap();
        assert_eq!(*response.body(), "ok");
    }
    assert!(recorder.close(LONG).await);
    let records = server.named("CreateOrder");
    assert_eq!(records.len(), 2);
    assert_eq!(records[0]["eventSource"], "orders.example.org");
    assert_eq!(records[0]["recipientAccountId"], "123456789012");
    assert_eq!(records[0]["responseElements"], json!({ "orderId": "o-1" }));
    assert_eq!(records[1]["errorCode"], "AccessDenied");
    assert_eq!(records[1]["responseElements"], Value::Null);
}

#[tokio::test]
async fn events_wait_for_a_server_that_is_away_and_each_arrives_once() {
    let (server, address) = Server::start().await;
    server.away.store(true, Ordering::Relaxed);
    let recorder = Recorder::start(endpoint(address, "secret"), settings(), key());
    (0..1200).for_each(|_| recorder.record(&event("A")));
    while server.calls.load(Ordering::Relaxed) < 3 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    server.away.store(false, Ordering::Relaxed);
    assert!(recorder.close(LONG).await);
    assert_eq!((server.named("A").len(), recorder.dropped()), (1200, 0));
}

#[tokio::test]
async fn what_there_is_no_room_for_is_counted_and_told_and_nobody_waits() {
    let (server, address) = Server::start().await;
    server.away.store(true, Ordering::Relaxed);
    let few = RecorderSettings { queue_events: 10, ..settings() };
    let recorder = Recorder::start(endpoint(address, "secret"), few, key());
    (0..25).for_each(|_| recorder.record(&event("A")));
    assert_eq!((recorder.waiting(), recorder.dropped()), (10, 15));
    let small = RecorderSettings { queue_bytes: 100, ..settings() };
    let full = Recorder::start(endpoint(address, "secret"), small, key());
    full.record(&event("B"));
    assert_eq!(full.dropped(), 1);

    server.away.store(false, Ordering::Relaxed);
    assert!(recorder.close(LONG).await);
    assert!(full.close(LONG).await);
    assert_eq!(server.named("A").len(), 10);
    let mut gaps = server.named("RecordingGap");
    gaps.sort_by_key(|gap| gap["serviceEventDetails"]["atLeast"].as_u64());
    let counts: Vec<_> = gaps.iter().map(|gap| gap["serviceEventDetails"]["atLeast"].as_u64().unwrap()).collect();
    assert_eq!(counts, [1, 15]);
    assert_eq!(gaps[0]["eventType"], "AwsServiceEvent");
    assert!(gaps.iter().all(is_signed), "{gaps:?}");
    let mut forged = gaps[0].clone();
    forged["serviceEventDetails"]["atLeast"] = json!(0);
    assert!(!is_signed(&forged));
}

/// True if a gap record is what the key in it has signed.
fn is_signed(gap: &Value) -> bool {
    let details = &gap["serviceEventDetails"];
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let of_record = ["eventID", "recipientAccountId", "awsRegion"].map(|name| text(&gap[name]));
    let of_details = ["gateway", "upstream", "reason", "from", "to", "atLeast"].map(|name| text(&details[name]));
    let lines = ["towpath-gap-1".to_owned()].into_iter().chain(of_record).chain(of_details);
    let signed: String = lines.map(|line| line + "\n").collect();
    let bytes = |name: &str| base64::engine::general_purpose::STANDARD.decode(text(&details[name])).unwrap();
    let key = ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, bytes("publicKey"));
    key.verify(signed.as_bytes(), &bytes("signature")).is_ok()
}

#[tokio::test]
async fn a_server_is_reached_over_tls_if_its_certificate_is_trusted() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, made.cert.pem()).unwrap();
    let secret = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], secret)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let server = Arc::new(Server::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let this = server.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            let this = this.clone();
            let answer = hyper::service::service_fn(move |request| this.clone().answer(request));
            let serving = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
            tokio::spawn(serving);
        }
    });
    let to = |url: &str| {
        let (account, region) = ("123456789012".parse().unwrap(), "eu-central-1".parse().unwrap());
        Endpoint::new(url, credentials("secret"), account, region, "orders.example.org").unwrap()
    };
    let stranger = Recorder::start(to(&url), settings(), key());
    stranger.record(&event("Unseen"));
    assert!(!stranger.close(Duration::from_millis(200)).await);

    let trusted = to(&url).trusting(&Authorities::File(ca)).unwrap();
    let recorder = Recorder::start(trusted, settings(), key());
    for _ in 0..3 {
        recorder.record(&event("A"));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(recorder.close(LONG).await);
    assert_eq!((server.named("A").len(), server.named("Unseen").len()), (3, 0));
    assert!(to(&url).trusting(&Authorities::File(folder.path().join("absent"))).is_err());
}

#[tokio::test]
async fn an_event_that_the_server_refuses_is_counted_and_holds_up_no_other() {
    let (server, address) = Server::start().await;
    let recorder = Recorder::start(endpoint(address, "secret"), settings(), key());
    ["A", "Bad", "A"].into_iter().for_each(|name| recorder.record(&event(name)));
    assert!(recorder.close(LONG).await);
    assert_eq!((server.named("A").len(), recorder.dropped()), (2, 1));
    assert_eq!(server.gaps(), gaps([("RECORD_REFUSED", 1)]));
}

#[tokio::test]
async fn with_a_wrong_key_events_wait_and_closing_says_so() {
    let (server, address) = Server::start().await;
    let patient = RecorderSettings { first_pause: LONG, longest_pause: LONG, ..settings() };
    let recorder = Recorder::start(endpoint(address, "wrong"), patient, key());
    recorder.record(&event("A"));
    until("the refusal", || server.calls.load(Ordering::Relaxed) == 1 && handed_over(&recorder) == 0).await;
    assert_eq!(recorder.waiting(), 1);
    assert!(!recorder.close(Duration::from_millis(10)).await);
    assert!(server.records.lock().is_empty());
    assert_eq!((recorder.waiting(), recorder.dropped()), (0, 1), "what waited is given up");
    recorder.record(&event("B"));
    assert_eq!(recorder.dropped(), 2, "a closed recorder takes nothing");
}

fn handed_over(recorder: &Recorder) -> usize {
    recorder.shared.handed_over.load(Ordering::Relaxed)
}

fn gaps<const N: usize>(gaps: [(&str, u64); N]) -> Vec<(String, u64)> {
    gaps.map(|(reason, count)| (reason.to_owned(), count)).into()
}

async fn until(what: &str, met: impl Fn() -> bool) {
    let met = async {
        while !met() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(LONG, met).await.unwrap_or_else(|_| panic!("{what} did not happen"));
}

/// Takes records in a folder.
fn open(address: SocketAddr, folder: &std::path::Path, settings: RecorderSettings) -> Recorder {
    Recorder::open(endpoint(address, "secret"), settings, folder).unwrap()
}

#[tokio::test]
async fn after_a_kill_the_next_start_tells_how_many_events_went_along() {
    let (server, address) = Server::start().await;
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let away = nobody.local_addr().unwrap();
    drop(nobody);
    let folder = tempfile::tempdir().unwrap();
    let few = RecorderSettings { queue_events: 7, ..settings() };
    let recorder = open(away, folder.path(), few);
    let public = recorder.key().public_key().to_owned();
    (0..10).for_each(|_| recorder.record(&event("A")));
    assert_eq!((recorder.waiting(), recorder.dropped()), (7, 3));
    until("the notes", || recorder.shared.gaps.is_kept()).await;
    let second = Recorder::open(endpoint(address, "secret"), settings(), folder.path());
    let told = second.err().unwrap().to_string();
    assert!(told.contains(&format!("is in use by process {}", std::process::id())), "{told}");
    recorder.kill().await;

    let recorder = open(address, folder.path(), settings());
    assert_eq!(recorder.key().public_key(), public);
    until("the gap records", || server.gaps().len() == 2).await;
    assert_eq!(server.gaps(), gaps([("QUEUE_FULL", 3), ("UNCLEAN_STOP", 7)]));
    assert!(recorder.close(LONG).await);
    // They were told, and are not told again.
    assert!(open(address, folder.path(), settings()).close(LONG).await);
    assert_eq!((server.gaps().len(), server.named("A").len()), (2, 0));
}

#[tokio::test]
async fn what_a_recorder_gives_up_as_it_is_closed_is_told_by_the_next_one() {
    let (server, address) = Server::start().await;
    let folder = tempfile::tempdir().unwrap();
    let patient = RecorderSettings { first_pause: LONG, longest_pause: LONG, ..settings() };
    let recorder = Recorder::open(endpoint(address, "wrong"), patient, folder.path()).unwrap();
    (0..5).for_each(|_| recorder.record(&event("A")));
    until("the refusal", || server.calls.load(Ordering::Relaxed) == 1 && handed_over(&recorder) == 0).await;
    assert!(!recorder.close(Duration::from_millis(10)).await);
    let recorder = open(address, folder.path(), settings());
    until("the gap record", || !server.gaps().is_empty()).await;
    assert!(recorder.close(LONG).await);
    assert_eq!(server.gaps(), gaps([("STOPPED", 5)]));
}

#[tokio::test]
async fn what_the_server_may_have_is_not_claimed_to_be_missing() {
    let (server, address) = Server::start().await;
    server.mute.store(true, Ordering::Relaxed);
    let folder = tempfile::tempdir().unwrap();
    let recorder = open(address, folder.path(), settings());
    recorder.record(&event("A"));
    until("the event", || server.named("A").len() == 1).await;
    recorder.kill().await;
    server.mute.store(false, Ordering::Relaxed);
    let recorder = open(address, folder.path(), settings());
    until("the gap record", || !server.gaps().is_empty()).await;
    assert!(recorder.close(LONG).await);
    assert_eq!(server.gaps(), gaps([("UNCLEAN_STOP", 0)]));
}

/// Answers never, or panics where the path says so.
#[derive(Clone)]
struct Stuck;

impl Service<Request<()>> for Stuck {
    type Response = Response<&'static str>;
    type Error = Infallible;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        let panics = request.uri().path() == "/panic";
        Box::pin(async move {
            assert!(!panics, "as the test wants");
            std::future::pending().await
        })
    }
}

#[tokio::test]
async fn a_request_without_an_answer_is_an_event_or_told_in_a_gap() {
    let (server, address) = Server::start().await;
    let recorder = Recorder::start(endpoint(address, "secret"), settings(), key());
    let layer = EventLayer::new(recorder.clone(), |seen: &Seen<'_>| {
        assert!(seen.response.is_none());
        Some(event("GivenUp"))
    });
    let mut service = layer.layer(Stuck);
    let waiting = service.call(Request::new(()));
    assert!(tokio::time::timeout(Duration::from_millis(20), waiting).await.is_err());
    let panics = service.call(Request::builder().uri("/panic").body(()).unwrap());
    assert!(tokio::spawn(panics).await.unwrap_err().is_panic());
    assert!(recorder.close(LONG).await);
    assert_eq!(server.named("GivenUp").len(), 1);
    assert_eq!(server.gaps(), gaps([("CALL_GIVEN_UP", 1)]));
}

#[test]
fn an_address_must_be_one() {
    for url in ["ftp://127.0.0.1", "127.0.0.1:4747", "http://", "https://", ""] {
        let (account, region) = ("123456789012".parse().unwrap(), "eu-central-1".parse().unwrap());
        assert!(Endpoint::new(url, credentials("s"), account, region, "x").is_err(), "{url}");
    }
}
