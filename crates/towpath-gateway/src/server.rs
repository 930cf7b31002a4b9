//! The port of the gateway: HTTP/1.1 and HTTP/2, plain or over TLS, everything bounded.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use towpath_port::{Place, Places, Tls, TlsFacts, Watch};
use tracing::{debug, warn};

use crate::call::Caller;
use crate::gateway::{From, Gateway};
use crate::neighbour;
use crate::settings::ClientLimits;

/// Calls of one HTTP/2 connection at a time.
const MAX_STREAMS: u32 = 256;

/// Bytes of requests that an HTTP/2 stream, and a connection, may have on the way.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;

/// Bytes that are read from a connection at a time, at most. Heads have a bound of their own.
const READ_BUFFER: usize = 256 << 10;

/// Serves a [`Gateway`] at a port.
pub struct GatewayServer {
    gateway: Arc<Gateway>,
    builder: Arc<Builder<TokioExecutor>>,
}

impl GatewayServer {
    /// A server with the bounds of `gateway`.
    pub fn new(gateway: Arc<Gateway>) -> Self {
        let builder = Arc::new(builder(gateway.limits()));
        Self { gateway, builder }
    }

    /// Serves until `stop`; then accepts nothing more and gives running calls the time of the settings.
    pub async fn serve(self, listener: TcpListener, tls: Option<Tls>, stop: CancellationToken) {
        let limits = self.gateway.limits().clone();
        let places = Places::new(limits.max_connections);
        let graceful = GracefulShutdown::new();
        while let Some((stream, peer, place)) = places.accept(&listener, &stop).await {
            let connection = Connection {
                gateway: Arc::clone(&self.gateway),
                builder: Arc::clone(&self.builder),
                watch: Watch::new(),
                peer,
                place: Arc::new(place),
            };
            tokio::spawn(connection.run(stream, tls.clone(), graceful.watcher()));
        }
        drop(listener);
        let mut closed = pin!(graceful.shutdown());
        let quiet = timeout(limits.grace, &mut closed).await.is_ok();
        if !quiet {
            warn!("calls that did not end are cut");
        }
        self.gateway.finish(if quiet { limits.grace } else { std::time::Duration::ZERO }).await;
    }
}

fn builder(limits: &ClientLimits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .preserve_header_case(true)
        .auto_date_header(false)
        .header_read_timeout(limits.header_timeout)
        .max_headers(limits.max_headers)
        .max_buf_size(limits.max_header_size.max(READ_BUFFER));
    builder
        .http2()
        .timer(TokioTimer::new())
        // WebSockets (RFC 8441).
        .enable_connect_protocol()
        .auto_date_header(false)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(u32::try_from(limits.max_header_size).unwrap_or(u32::MAX))
        .keep_alive_interval(limits.idle_timeout / 2)
        .keep_alive_timeout(limits.header_timeout);
    builder
}

/// A client's connection.
struct Connection {
    gateway: Arc<Gateway>,
    builder: Arc<Builder<TokioExecutor>>,
    watch: Arc<Watch>,
    peer: SocketAddr,
    place: Arc<Place>,
}

impl Connection {
    async fn run(self, stream: tokio::net::TcpStream, tls: Option<Tls>, graceful: Watcher) {
        let _open = Open::new();
        let (peer, watch) = (self.peer, Arc::clone(&self.watch));
        let (first, idle) = (self.gateway.limits().header_timeout, self.gateway.limits().idle_timeout);
        neighbour::bound(&stream);
        let stream = watch.over(stream);
        let served = async move {
            match tls {
                None => self.serve(stream, None, graceful).await,
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => {
                        let facts = TlsFacts::of(&stream);
                        self.serve(stream, Some(facts), graceful).await;
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

    async fn serve<S>(self, stream: S, tls: Option<TlsFacts>, graceful: Watcher)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let tls = tls.map(|facts| towpath_capture::Tls {
            version: facts.version.map(str::to_owned),
            cipher_suite: facts.cipher_suite,
            key_exchange: facts.key_exchange.map(str::to_owned),
        });
        let from = From { caller: Caller { peer: self.peer.ip(), tls }, place: Arc::clone(&self.place) };
        let (gateway, watch) = (self.gateway, self.watch);
        let service = service_fn(move |request| {
            let (gateway, running, from) = (Arc::clone(&gateway), watch.begin(), from.clone());
            async move {
                let answer = gateway.answer(request, from).await;
                Ok::<_, Infallible>(answer.map(|body| body.running(running)))
            }
        });
        let connection = self.builder.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
        if let Err(cause) = graceful.watch(connection).await {
            debug!(peer = %self.peer, %cause, "connection failed");
        }
    }
}

/// Counts an open connection until it is dropped.
struct Open;

impl Open {
    fn new() -> Self {
        metrics::gauge!("towpath_gateway_connections").increment(1);
        Self
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        metrics::gauge!("towpath_gateway_connections").decrement(1);
    }
}
