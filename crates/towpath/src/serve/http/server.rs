//! The port: accepts connections, watches them, and stops in good order.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout_at;
use tokio_util::sync::CancellationToken;
use towpath_port::{Place, Places, Tls, TlsFacts, Watch};
use tracing::{debug, warn};

use super::surface::Surface;
use crate::serve::stop_plan::StopPlan;

/// Streams of one HTTP/2 connection at a time.
const MAX_STREAMS: u32 = 128;

/// Serves a [`Surface`] at a port.
pub struct HttpServer {
    surface: Arc<Surface>,
    builder: Arc<Builder<TokioExecutor>>,
}

impl HttpServer {
    /// A server with the limits of `surface`.
    pub fn new(surface: Arc<Surface>) -> Self {
        let limits = surface.limits();
        let header_bytes = usize::try_from(limits.max_header_size).unwrap_or(usize::MAX);
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_timeout)
            .max_headers(limits.max_headers)
            // Hyper needs at least 8 KiB, which the check of the settings guarantees.
            .max_buf_size(header_bytes);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(u32::try_from(limits.max_header_size).unwrap_or(u32::MAX))
            .keep_alive_interval(limits.idle_timeout / 2)
            .keep_alive_timeout(limits.header_timeout);
        Self { surface, builder: Arc::new(builder) }
    }

    /// Serves until `stop`; then accepts nothing more and gives running requests the time of the plan, which begins
    /// at that moment.
    pub async fn serve(self, listener: TcpListener, tls: Option<Tls>, stop: CancellationToken) {
        let places = Places::new(self.surface.limits().max_connections);
        let graceful = GracefulShutdown::new();
        while let Some((stream, peer, place)) = places.accept(&listener, &stop).await {
            tokio::spawn(connection(
                stream,
                peer,
                place,
                Arc::clone(&self.surface),
                tls.clone(),
                Arc::clone(&self.builder),
                graceful.watcher(),
            ));
        }
        drop(listener);
        let plan = StopPlan::begin();
        let mut closed = pin!(graceful.shutdown());
        let quiet = timeout_at(plan.requests(), &mut closed).await.is_ok();
        // Operations whose clients have gone are in no connection, so they are asked after in any case.
        self.surface.finish(plan.requests(), plan.connections()).await;
        if !quiet && timeout_at(plan.connections(), closed).await.is_err() {
            warn!("connections that did not close are cut");
        }
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    place: Place,
    surface: Arc<Surface>,
    tls: Option<Tls>,
    builder: Arc<Builder<TokioExecutor>>,
    graceful: Watcher,
) {
    let _place = place;
    let _open = OpenConnection::new();
    let watch = Watch::new();
    let (first, idle) = (surface.limits().header_timeout, surface.limits().idle_timeout);
    let stream = watch.over(stream);
    let served = async {
        match tls {
            None => serve(stream, peer, None, &surface, &watch, &builder, graceful).await,
            Some(tls) => match tls.accept(stream).await {
                Ok(stream) => {
                    let facts = TlsFacts::of(&stream);
                    serve(stream, peer, Some(facts), &surface, &watch, &builder, graceful).await;
                }
                Err(cause) => debug!(%peer, %cause, "no encryption was agreed on"),
            },
        }
    };
    tokio::select! {
        () = served => {}
        () = watch.stalled(first, idle) => debug!(%peer, "connection closed: nothing came or went"),
    }
}

async fn serve<S>(
    stream: S,
    peer: SocketAddr,
    tls: Option<TlsFacts>,
    surface: &Arc<Surface>,
    watch: &Arc<Watch>,
    builder: &Builder<TokioExecutor>,
    graceful: Watcher,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|request| {
        let (surface, running, tls) = (Arc::clone(surface), watch.begin(), tls.clone());
        async move {
            let response = surface.answer(request, peer.ip(), tls).await.map(Full::new);
            drop(running);
            Ok::<_, Infallible>(response)
        }
    });
    let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    if let Err(cause) = graceful.watch(connection).await {
        debug!(%peer, %cause, "connection failed");
    }
}

/// Counts an open connection until it is dropped.
struct OpenConnection;

impl OpenConnection {
    fn new() -> Self {
        metrics::gauge!("towpath_http_connections").increment(1);
        Self
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        metrics::gauge!("towpath_http_connections").decrement(1);
    }
}
