//! A gateway for one test, upstreams that say what they are told to, and what both of them saw.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderMap;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use towpath_admit::UserIdentity;
use towpath_capture::{Body, CapturedRecord, Ending, Exchange, Tls};
use towpath_model::SystemClock;
use uuid::Uuid;

use crate::recording::{Describe, RecordedUpstream, Recording, RecordingSettings, Routed};
use crate::sink::{RecordSink, SinkError};
use crate::{
    ClientLimits, Gateway, GatewayServer, GatewaySettings, Identities, Origin, Policy, TargetServices, TlsSettings,
    Upstream,
};

/// Longer than anything takes that works.
pub const LONG: Duration = Duration::from_secs(20);

/// What is known of a call afterwards.
#[derive(Debug)]
pub struct Seen {
    pub method: String,
    pub uri: String,
    pub headers: HeaderMap,
    pub sent: Body,
    pub ending: End,
    pub tls: Option<Tls>,
    pub routed: Routed,
}

#[derive(Debug)]
pub enum End {
    Answered { status: u16, got: Body },
    Refused { code: String },
    Broken { reason: String },
}

impl Seen {
    /// Status and body of the answer.
    pub fn answered(&self) -> (u16, &Body) {
        match &self.ending {
            End::Answered { status, got, .. } => (*status, got),
            other => panic!("{other:?}"),
        }
    }
}

#[derive(Default)]
struct Notebook(Mutex<Vec<Seen>>);

impl Describe for Notebook {
    fn records(&self, exchange: &Exchange, routed: &Routed, _: UserIdentity) -> Vec<CapturedRecord> {
        let ending = match &exchange.ending {
            Ending::Answered(response) => {
                End::Answered { status: response.head.status.as_u16(), got: response.body.clone() }
            }
            Ending::Refused { code, .. } => End::Refused { code: code.clone() },
            Ending::Broken { reason } => End::Broken { reason: reason.clone() },
        };
        self.0.lock().push(Seen {
            method: exchange.request.head.method.to_string(),
            uri: exchange.request.head.uri.to_string(),
            headers: exchange.request.head.headers.clone(),
            sent: exchange.request.body.clone(),
            ending,
            tls: exchange.tls.clone(),
            routed: routed.clone(),
        });
        vec![CapturedRecord {
            event_id: Uuid::new_v4(),
            account: routed.account,
            region: routed.region.clone(),
            time: exchange.ended,
            json: Bytes::from_static(b"{}"),
            channel: None,
        }]
    }
}

/// A log that takes records, or does not.
#[derive(Default)]
pub struct TestLog {
    pub taken: AtomicUsize,
    pub shut: AtomicBool,
    pub refusing: AtomicBool,
}

#[async_trait]
impl RecordSink for TestLog {
    async fn append(&self, records: &[CapturedRecord]) -> Result<(), SinkError> {
        if self.refusing.load(Ordering::SeqCst) {
            return Err(SinkError::Never((0..records.len()).map(|number| (number, "of a test".to_owned())).collect()));
        }
        if self.shut.load(Ordering::SeqCst) {
            return Err(SinkError::Later("of a test".to_owned()));
        }
        self.taken.fetch_add(records.len(), Ordering::SeqCst);
        Ok(())
    }
}

/// A gateway.
pub struct TestGateway {
    pub address: SocketAddr,
    pub log: Arc<TestLog>,
    pub stop: CancellationToken,
    pub server: Option<tokio::task::JoinHandle<()>>,
    notebook: Arc<Notebook>,
}

impl TestGateway {
    /// In front of one upstream that takes any call.
    pub async fn before(upstream: SocketAddr) -> Self {
        Self::with(upstream, |_| {}).await
    }

    /// In front of one upstream, with changes to its settings.
    pub async fn with(upstream: SocketAddr, change: impl FnOnce(&mut Setup)) -> Self {
        let mut setup = Setup::of(upstream);
        change(&mut setup);
        setup.start().await
    }

    /// A connection to it.
    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends bytes and reads until the gateway closes the connection.
    pub async fn exchange(&self, request: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        // The gateway may answer and close before it has read all.
        let _ = stream.write_all(request.as_ref()).await;
        read_to_end(&mut stream).await
    }

    /// Waits until `count` calls are recorded.
    pub async fn seen(&self, count: usize) -> Vec<Seen> {
        eventually("calls are recorded", || self.notebook.0.lock().len() >= count).await;
        std::mem::take(&mut *self.notebook.0.lock())
    }

    /// Waits for the record of the only call.
    pub async fn one(&self) -> Seen {
        let mut seen = self.seen(1).await;
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen.remove(0)
    }
}

/// Everything that a test may change about a gateway.
pub struct Setup {
    pub upstream: Upstream,
    pub clients: ClientLimits,
    pub recording: RecordingSettings,
    pub tls: Option<towpath_port::Tls>,
    pub log: TestLog,
    pub identities: Identities,
}

impl Setup {
    fn of(upstream: SocketAddr) -> Self {
        let origin = Origin {
            encrypted: false,
            host: upstream.ip().to_string(),
            port: upstream.port(),
            ca: None,
            server_name: None,
            http2: false,
        };
        let clients = ClientLimits { grace: Duration::from_millis(300), ..ClientLimits::default() };
        Self {
            upstream: Upstream::new(recorded("up"), Some(origin)),
            clients,
            recording: RecordingSettings::default(),
            tls: None,
            log: TestLog::default(),
            identities: Identities::default(),
        }
    }

    pub fn policy(&mut self, policy: Policy) {
        self.upstream.recorded = Arc::new(RecordedUpstream { policy, ..recorded("up") });
    }

    pub fn origin(&mut self) -> &mut Origin {
        self.upstream.origin.as_mut().unwrap()
    }

    async fn start(self) -> TestGateway {
        let settings = GatewaySettings {
            upstreams: vec![self.upstream],
            unknown: Upstream::new(recorded("unknown"), None),
            clients: self.clients,
            tls: TlsSettings::Plain,
            target_services: TargetServices::new(),
        };
        let (notebook, log) = (Arc::new(Notebook::default()), Arc::new(self.log));
        let identities = Arc::new(self.identities);
        let clock = Arc::new(SystemClock);
        let recording =
            Recording::start(notebook.clone(), identities, log.clone(), clock.clone(), self.recording).unwrap();
        let gateway = Gateway::new(&settings, recording, clock).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let server = tokio::spawn(GatewayServer::new(gateway).serve(listener, self.tls, stop.clone()));
        TestGateway { address, log, stop, server: Some(server), notebook }
    }
}

fn recorded(name: &str) -> RecordedUpstream {
    RecordedUpstream {
        name: name.into(),
        account: "111122223333".parse().unwrap(),
        region: "us-east-1".parse().unwrap(),
        policy: Policy::FailOpen,
        verifies: false,
    }
}

/// An upstream that keeps the bytes of requests and answers each with the same bytes.
pub struct RawUpstream {
    pub address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    pub connections: Arc<AtomicUsize>,
}

impl RawUpstream {
    /// Answers each request, once it is there as a whole, with `answer`.
    pub async fn answering(answer: impl Into<Vec<u8>>) -> Self {
        Self::with(answer, false).await
    }

    /// Answers, and closes the connection.
    pub async fn closing(answer: impl Into<Vec<u8>>) -> Self {
        Self::with(answer, true).await
    }

    async fn with(answer: impl Into<Vec<u8>>, close: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (requests, connections) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
        let (answer, kept, count) = (Arc::new(answer.into()), requests.clone(), connections.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let (answer, kept) = (answer.clone(), kept.clone());
                tokio::spawn(async move {
                    while let Some(request) = read_request(&mut stream).await {
                        kept.lock().push(request);
                        if stream.write_all(&answer).await.is_err() || close {
                            break;
                        }
                    }
                });
            }
        });
        Self { address, requests, connections }
    }

    /// The requests that came, as bytes.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().clone()
    }
}

/// Reads one request with its body, however it is framed.
pub async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let lower = head.to_ascii_lowercase();
            let length = lower.lines().find_map(|line| line.strip_prefix("content-length: "));
            let whole = match length {
                Some(length) => body.len() >= length.trim().parse::<usize>().unwrap(),
                None if lower.contains("transfer-encoding: chunked") => {
                    body.ends_with("\r\n\r\n") && (body.contains("\r\n0\r\n") || body.starts_with("0\r\n"))
                }
                None => true,
            };
            if whole {
                return Some(text);
            }
        }
        match stream.read_buf(&mut bytes).await {
            Ok(1..) => {}
            _ => return None,
        }
    }
}

/// Reads until the other side closes.
pub async fn read_to_end(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    // A connection that is reset has said what it said.
    let _ = timeout(LONG, stream.read_to_end(&mut bytes)).await.expect("the connection stayed open");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Waits until `done`.
pub async fn eventually(what: &str, done: impl Fn() -> bool) {
    let began = std::time::Instant::now();
    while !done() {
        assert!(began.elapsed() < LONG, "{what}: not in time");
        sleep(Duration::from_millis(2)).await;
    }
}

/// The status of an answer.
pub fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_else(|| panic!("no answer: {answer:?}"))
}
