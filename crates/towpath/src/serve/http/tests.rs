//! HTTP against a real listener: what slow, huge, wrong and unlucky requests get.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{HeaderMap, Method, Response, Uri};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::config::{Http, Secret};
use crate::serve::metrics::Metrics;

const LONG: Duration = Duration::from_secs(10);

/// Echoes the length of bodies; some paths misbehave.
#[derive(Default)]
struct Echo {
    calls: AtomicUsize,
    finished: AtomicUsize,
    unready: Mutex<Option<String>>,
}

impl Handler for Echo {
    fn call(&self, request: Request) -> BoxFuture<'static, Response<Bytes>> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        assert_ne!(request.uri.path(), "/panic-early", "told to panic before the first await");
        let pause = match request.uri.path() {
            "/slow" => Duration::from_millis(300),
            "/never" => Duration::from_secs(3600),
            _ => Duration::ZERO,
        };
        async move {
            sleep(pause).await;
            assert_ne!(request.uri.path(), "/panic", "told to panic");
            Response::new(Bytes::from(format!("{} {}", request.method, request.body.len())))
        }
        .boxed()
    }

    fn max_body(&self, _: &Method, uri: &Uri, _: &HeaderMap) -> Result<usize, Box<Response<Bytes>>> {
        match uri.path() {
            "/nowhere" => Err(Box::new(answer::unavailable("there is nothing"))),
            "/upload" => Ok(64 << 20),
            _ => Ok(1 << 20),
        }
    }

    fn unready(&self) -> Option<String> {
        self.unready.lock().unwrap().clone()
    }
}

/// Notes that a call came to its end, whoever still waited for it.
struct Finishing(Arc<Echo>);

impl Handler for Finishing {
    fn call(&self, request: Request) -> BoxFuture<'static, Response<Bytes>> {
        let (echo, call) = (Arc::clone(&self.0), self.0.call(request));
        async move {
            let response = call.await;
            echo.finished.fetch_add(1, Ordering::SeqCst);
            response
        }
        .boxed()
    }

    fn max_body(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<usize, Box<Response<Bytes>>> {
        self.0.max_body(method, uri, headers)
    }

    fn unready(&self) -> Option<String> {
        self.0.unready()
    }
}

struct TestServer {
    address: SocketAddr,
    echo: Arc<Echo>,
    gate: Gate,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl TestServer {
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Http)) -> Self {
        let server = Self::closed_with(change).await;
        server.gate.open(Arc::new(Finishing(Arc::clone(&server.echo))));
        server
    }

    async fn closed() -> Self {
        Self::closed_with(|_| {}).await
    }

    async fn closed_with(change: impl FnOnce(&mut Http)) -> Self {
        let mut http = Http { header_timeout: LONG, body_pause: LONG, ..Http::default() };
        change(&mut http);
        let (gate, echo) = (Gate::default(), Arc::new(Echo::default()));
        let metrics = Metrics::install(Some(Secret::new("0123456789abcdef"))).unwrap();
        let server = HttpServer::new(Surface::new(gate.clone(), http, metrics));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let task = tokio::spawn(server.serve(listener, stop.clone(), Duration::from_secs(1)));
        Self { address, echo, gate, stop, task }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends text and reads until the server closes or says nothing for a while.
    async fn send(&self, text: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        stream.write_all(text.as_ref()).await.unwrap();
        read_all(&mut stream).await
    }

    async fn get(&self, path: &str) -> String {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n")).await
    }
}

async fn read_all(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset after the answer is as good as an end.
    let _ = timeout(LONG, stream.read_to_end(&mut bytes)).await.expect("the server closes the connection");
    String::from_utf8(bytes).unwrap()
}

fn status(response: &str) -> &str {
    response.get(9..12).unwrap_or("none")
}

#[tokio::test]
async fn a_request_reaches_the_operations_whole() {
    let server = TestServer::start().await;
    let answer = server
        .send("POST /PutAuditEvents HTTP/1.1\r\nhost: t\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello")
        .await;
    assert!(answer.ends_with("\r\n\r\nPOST 5"), "{answer}");
    let answer = server
        .send("POST / HTTP/1.1\r\nhost: t\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n")
        .await;
    assert!(answer.ends_with("\r\n\r\nPOST 7"), "{answer}");
}

#[tokio::test]
async fn http_2_is_spoken_too() {
    let server = TestServer::start().await;
    let client = reqwest::Client::builder().http2_prior_knowledge().no_proxy().build().unwrap();
    let answer = client.post(format!("http://{}/", server.address)).body("hello").send().await.unwrap();
    assert_eq!(answer.version(), http::Version::HTTP_2);
    assert_eq!(answer.text().await.unwrap(), "POST 5");
}

#[tokio::test]
async fn a_client_that_says_nothing_or_stops_in_the_preface_is_cut_off() {
    let server = TestServer::with(|http| http.header_timeout = Duration::from_millis(200)).await;
    for opening in ["", "PRI * HTTP/2.0\r\n", "POST / HTTP/1.1\r\nhost: t\r\nx-slow: "] {
        let started = Instant::now();
        let mut stream = server.connect().await;
        stream.write_all(opening.as_bytes()).await.unwrap();
        read_all(&mut stream).await;
        assert!(started.elapsed() < Duration::from_secs(5), "{opening:?} held the connection");
    }
    assert_eq!(server.echo.calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn headers_that_drip_are_cut_off_though_bytes_keep_coming() {
    let server = TestServer::with(|http| http.header_timeout = Duration::from_millis(300)).await;
    let mut stream = server.connect().await;
    let started = Instant::now();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: t\r\nx-slow: ").await.unwrap();
    while stream.write_all(b"a").await.is_ok() && started.elapsed() < LONG {
        sleep(Duration::from_millis(20)).await;
    }
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let server = TestServer::with(|http| {
        http.idle_timeout = Duration::from_millis(200);
        http.header_timeout = Duration::from_millis(200);
    })
    .await;
    let answer = server.send("GET /healthz HTTP/1.1\r\nhost: t\r\n\r\n").await;
    assert_eq!(status(&answer), "200");
}

#[tokio::test]
async fn a_body_that_stops_arriving_is_refused() {
    let server = TestServer::with(|http| http.body_pause = Duration::from_millis(200)).await;
    let answer = server.send("POST / HTTP/1.1\r\nhost: t\r\ncontent-length: 10\r\n\r\nhell").await;
    assert_eq!(status(&answer), "408", "{answer}");
    assert_eq!(server.echo.calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn headers_that_are_too_long_or_too_many_are_refused() {
    let server = TestServer::with(|http| {
        http.max_header_size = 8 << 10;
        http.max_headers = 16;
    })
    .await;
    let long = format!("GET / HTTP/1.1\r\nhost: t\r\nx: {}\r\n\r\n", "a".repeat(20_000));
    assert_eq!(status(&server.send(long).await), "431");
    let many: String = (0..40).map(|n| format!("x{n}: 1\r\n")).collect();
    assert_eq!(status(&server.send(format!("GET / HTTP/1.1\r\nhost: t\r\n{many}\r\n")).await), "431");
    assert_eq!(server.echo.calls.load(Ordering::SeqCst), 0);
    assert_eq!(status(&server.get("/").await), "200");
}

#[tokio::test]
async fn a_body_over_the_bound_of_its_route_is_refused() {
    let server = TestServer::start().await;
    let announced = server.send("POST / HTTP/1.1\r\nhost: t\r\ncontent-length: 99999999999\r\n\r\n").await;
    assert_eq!(status(&announced), "413", "{announced}");
    assert!(announced.contains("__type"), "{announced}");
    let nowhere =
        server.send("POST /nowhere HTTP/1.1\r\nhost: t\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello");
    assert_eq!(status(&nowhere.await), "503");

    let body = "a".repeat((1 << 20) + 1);
    let sent = format!("POST / HTTP/1.1\r\nhost: t\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    assert_eq!(status(&server.send(sent).await), "413");
    let chunked = format!(
        "POST / HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    );
    assert_eq!(status(&server.send(chunked).await), "413");
    assert_eq!(server.echo.calls.load(Ordering::SeqCst), 0);

    // The same body is no longer too long where files are uploaded.
    let upload = format!(
        "POST /upload HTTP/1.1\r\nhost: t\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    assert!(server.send(upload).await.ends_with("POST 1048577"));
}

#[tokio::test]
async fn bodies_together_stay_within_their_memory() {
    let server = TestServer::with(|http| http.body_memory = 1 << 20).await;
    let mut holder = server.connect().await;
    let head = "POST /PutAuditEvents HTTP/1.1\r\nhost: t\r\ncontent-length: 1048576\r\n\r\n";
    holder.write_all(head.as_bytes()).await.unwrap();
    holder.write_all(&vec![b'a'; (1 << 20) - 100]).await.unwrap();
    sleep(Duration::from_millis(200)).await;

    let second = "POST / HTTP/1.1\r\nhost: t\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello";
    let answer = server.send(second).await;
    assert!(status(&answer) == "400" && answer.contains("ThrottlingException"), "{answer}");

    drop(holder);
    let deadline = Instant::now() + LONG;
    while !server.send(second).await.ends_with("POST 5") {
        assert!(Instant::now() < deadline, "the memory is given back");
    }
}

#[tokio::test]
async fn a_wrong_content_length_reaches_no_operation() {
    let server = TestServer::start().await;
    for lengths in ["content-length: five", "content-length: -1", "content-length: 3\r\ncontent-length: 5"] {
        let answer = server.send(format!("POST / HTTP/1.1\r\nhost: t\r\n{lengths}\r\n\r\nhello")).await;
        assert_eq!(status(&answer), "400", "{lengths}: {answer}");
    }
    let mut stream = server.connect().await;
    stream.write_all(b"POST / HTTP/1.1\r\nhost: t\r\ncontent-length: 10\r\n\r\nhello").await.unwrap();
    stream.shutdown().await.unwrap();
    read_all(&mut stream).await;
    assert_eq!(server.echo.calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_panic_is_answered_and_the_server_goes_on() {
    let server = TestServer::start().await;
    for path in ["/panic", "/panic-early"] {
        let answer = server.get(path).await;
        assert_eq!(status(&answer), "500", "{answer}");
        assert!(answer.contains("InternalFailure") && !answer.contains("told"), "{answer}");
    }
    assert_eq!(status(&server.get("/").await), "200");
}

#[tokio::test]
async fn an_operation_comes_to_its_end_though_its_client_has_gone() {
    let server = TestServer::start().await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET /slow HTTP/1.1\r\nhost: t\r\n\r\n").await.unwrap();
    while server.echo.calls.load(Ordering::SeqCst) == 0 {
        sleep(Duration::from_millis(5)).await;
    }
    drop(stream);
    let deadline = Instant::now() + LONG;
    while server.echo.finished.load(Ordering::SeqCst) == 0 {
        assert!(Instant::now() < deadline, "the operation was stopped halfway");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn an_operation_that_takes_too_long_does_not_hold_its_client() {
    let server = TestServer::with(|http| http.request_timeout = Duration::from_millis(200)).await;
    assert_eq!(status(&server.get("/never").await), "503");
}

#[tokio::test]
async fn more_requests_than_places_are_throttled() {
    let server = TestServer::with(|http| http.max_requests = 1).await;
    let mut first = server.connect().await;
    first.write_all(b"GET /never HTTP/1.1\r\nhost: t\r\n\r\n").await.unwrap();
    while server.echo.calls.load(Ordering::SeqCst) == 0 {
        sleep(Duration::from_millis(5)).await;
    }
    let answer = server.get("/").await;
    assert!(answer.contains("ThrottlingException"), "{answer}");
    assert_eq!(status(&server.get("/healthz").await), "200");
}

#[tokio::test]
async fn more_connections_than_places_wait() {
    let server = TestServer::with(|http| http.max_connections = 1).await;
    let first = server.connect().await;
    let mut second = server.connect().await;
    second.write_all(b"GET / HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut byte = [0];
    assert!(timeout(Duration::from_millis(200), second.read(&mut byte)).await.is_err());
    drop(first);
    assert!(read_all(&mut second).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn readiness_follows_the_operations() {
    let server = TestServer::start().await;
    assert_eq!(status(&server.get("/readyz").await), "200");
    *server.echo.unready.lock().unwrap() = Some("the log is unavailable".to_owned());
    let answer = server.get("/readyz").await;
    assert!(status(&answer) == "503" && answer.ends_with("not ready: the log is unavailable\n"), "{answer}");
    server.gate.close();
    assert!(server.get("/readyz").await.ends_with("not ready: the server is stopping\n"));
    assert_eq!(status(&server.get("/healthz").await), "200");
    assert_eq!(status(&server.send("POST /healthz HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n").await), "405");
}

#[tokio::test]
async fn before_the_operations_are_there_requests_are_told_to_come_back() {
    let server = TestServer::closed().await;
    let answer = server.get("/").await;
    assert!(status(&answer) == "503" && answer.contains("ServiceUnavailable"), "{answer}");
    assert!(server.get("/readyz").await.ends_with("not ready: the server is starting\n"));
    assert_eq!(status(&server.get("/healthz").await), "200");
}

#[tokio::test]
async fn metrics_are_shown_to_whoever_has_the_token() {
    let server = TestServer::start().await;
    assert_eq!(status(&server.get("/metrics").await), "403");
    let answer = server
        .send("GET /metrics HTTP/1.1\r\nhost: t\r\nauthorization: Bearer 0123456789abcdef\r\nconnection: close\r\n\r\n")
        .await;
    assert_eq!(status(&answer), "200");
}

#[tokio::test]
async fn a_stopping_server_finishes_what_runs_and_accepts_nothing_new() {
    let server = TestServer::start().await;
    let mut running = server.connect().await;
    running.write_all(b"GET /slow HTTP/1.1\r\nhost: t\r\n\r\n").await.unwrap();
    let mut idle = server.connect().await;
    while server.echo.calls.load(Ordering::SeqCst) == 0 {
        sleep(Duration::from_millis(5)).await;
    }
    server.stop.cancel();
    assert!(read_all(&mut running).await.starts_with("HTTP/1.1 200"));
    read_all(&mut idle).await;
    timeout(LONG, server.task).await.unwrap().unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn a_stopping_server_does_not_wait_for_ever() {
    let server = TestServer::start().await;
    let mut stuck = server.connect().await;
    stuck.write_all(b"GET /never HTTP/1.1\r\nhost: t\r\n\r\n").await.unwrap();
    while server.echo.calls.load(Ordering::SeqCst) == 0 {
        sleep(Duration::from_millis(5)).await;
    }
    server.stop.cancel();
    assert!(read_all(&mut stuck).await.starts_with("HTTP/1.1 503"));
    timeout(LONG, server.task).await.unwrap().unwrap();
}
