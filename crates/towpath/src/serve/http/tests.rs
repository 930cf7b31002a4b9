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
        let task = tokio::spawn(server.serve(listener, None, stop.clone()));
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

mod connections;
mod life;
mod requests;
