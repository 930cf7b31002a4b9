//! `/healthz`, `/readyz` and `/metrics` of a gateway that is a process of its own, at an address beside that of its calls.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{HeaderMap, Method, Response, StatusCode, Uri};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use towpath_gateway::Recording;

use crate::config::Settings;
use crate::serve::http::{Gate, Handler, HttpServer, Request, Surface, answer};
use crate::serve::metrics::Metrics;

/// What is served about a gateway.
pub struct AloneSurface {
    /// Where.
    pub address: SocketAddr,
    gate: Gate,
    server: JoinHandle<()>,
    stop: CancellationToken,
}

impl AloneSurface {
    /// Serves at `listener`. Until [`AloneSurface::ready`] is told so, the gateway is not ready.
    pub fn start(listener: TcpListener, settings: &Settings, metrics: Metrics) -> std::io::Result<Self> {
        let (gate, stop) = (Gate::default(), CancellationToken::new());
        let address = listener.local_addr()?;
        let surface = Surface::new(gate.clone(), settings.http.clone(), metrics);
        let server = tokio::spawn(HttpServer::new(surface).serve(listener, None, stop.clone()));
        Ok(Self { address, gate, server, stop })
    }

    /// The gateway takes calls, and is ready for as long as `recording` can record them.
    pub fn ready(&self, recording: Recording) {
        self.gate.open(Arc::new(NoOperations(recording)));
    }

    /// Says that the gateway is stopping.
    pub fn stopping(&self) {
        self.gate.close();
    }

    /// Stops serving.
    pub async fn stop(self) {
        self.stop.cancel();
        // It ends by itself; what it could not end is no reason to fail.
        drop(self.server.await);
    }
}

/// There are no operations at this address.
struct NoOperations(Recording);

fn nothing() -> Response<Bytes> {
    answer::text(StatusCode::NOT_FOUND, "there are /healthz, /readyz and /metrics here; calls go to gateway.listen\n")
}

impl Handler for NoOperations {
    fn call(&self, _: Request) -> BoxFuture<'static, Response<Bytes>> {
        futures::future::ready(nothing()).boxed()
    }

    fn max_body(&self, _: &Method, _: &Uri, _: &HeaderMap) -> Result<usize, Box<Response<Bytes>>> {
        Err(Box::new(nothing()))
    }

    fn unready(&self) -> Option<String> {
        self.0.is_stuck().then(|| "records are taken neither by the server nor by the disk".to_owned())
    }
}
