//! The gateway's own requests: to a server's API and to STS. One small request, one small answer, whole in memory.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::client::{SetupError, tls};
use crate::upstream::Origin;

/// Connections that are kept for the next request.
const KEPT: usize = 8;
/// How long making a connection may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// Why a request had no answer.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    /// The address is none.
    #[error("{0} is not of the form http://host:port")]
    Address(Uri),
    /// Certificates.
    #[error("cannot set up encryption")]
    Setup(#[from] SetupError),
    /// The network.
    #[error("cannot reach {to}")]
    Connect {
        /// Where to.
        to: String,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// The conversation broke off.
    #[error("the conversation with {to} broke off")]
    Http {
        /// With whom.
        to: String,
        /// Why.
        #[source]
        cause: hyper::Error,
    },
    /// The answer is too long.
    #[error("the answer of {0} is too long")]
    TooLong(String),
}

/// A way to one server over HTTP/1.1, encrypted or not.
pub struct Outbound {
    scheme: &'static str,
    origin: Origin,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    // Held for a push or a pop.
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
}

impl Outbound {
    /// A way to the server at `address` (scheme, host and port count); `ca` is a PEM file of authorities beside which no
    /// other is trusted.
    ///
    /// # Errors
    /// See [`OutboundError::Address`] and [`OutboundError::Setup`]. Nothing is connected yet.
    pub fn new(address: &Uri, ca: Option<PathBuf>) -> Result<Self, OutboundError> {
        let wrong = || OutboundError::Address(address.clone());
        let encrypted = match address.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(wrong()),
        };
        let host = address.host().ok_or_else(wrong)?.trim_matches(['[', ']']).to_owned();
        let port = address.port_u16().unwrap_or(if encrypted { 443 } else { 80 });
        let origin = Origin { encrypted, host, port, ca, server_name: None, http2: false };
        let tls = if encrypted { Some(tls(&origin)?) } else { None };
        Ok(Self { scheme: if encrypted { "https" } else { "http" }, origin, tls, idle: Mutex::default() })
    }

    /// The address of a path on the server, for requests that are to be signed.
    pub fn uri(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.origin.authority())
    }

    /// Sends a request and reads the answer, of at most `limit` bytes. A connection that was kept and turns out to be
    /// closed is made anew once.
    ///
    /// # Errors
    /// See [`OutboundError`]. The request may have been carried out.
    pub async fn send(&self, request: Request<Bytes>, limit: usize) -> Result<Response<Bytes>, OutboundError> {
        let kept = self.idle.lock().pop();
        if let Some(connection) = kept
            && connection.is_ready()
            && let Ok(answer) = self.send_over(connection, request.clone(), limit).await
        {
            return Ok(answer);
        }
        let connection = self.connect().await?;
        self.send_over(connection, request, limit).await
    }

    async fn send_over(
        &self,
        mut connection: SendRequest<Full<Bytes>>,
        mut request: Request<Bytes>,
        limit: usize,
    ) -> Result<Response<Bytes>, OutboundError> {
        let failed = |cause| OutboundError::Http { to: self.origin.authority(), cause };
        // HTTP/1.1 wants the path alone; the host is a header, which signing has set.
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).parse();
        *request.uri_mut() = path.map_err(|_| OutboundError::Address(request.uri().clone()))?;
        let answer = connection.send_request(request.map(Full::new)).await.map_err(failed)?;
        let (head, mut body) = answer.into_parts();
        let mut read = BytesMut::new();
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame.map_err(failed)?.into_data() {
                if read.len() + data.len() > limit {
                    return Err(OutboundError::TooLong(self.origin.authority()));
                }
                read.extend_from_slice(&data);
            }
        }
        let mut idle = self.idle.lock();
        if idle.len() < KEPT {
            idle.push(connection);
        }
        Ok(Response::from_parts(head, read.freeze()))
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, OutboundError> {
        let to = || self.origin.authority();
        let late = |_| OutboundError::Connect { to: to(), cause: io::ErrorKind::TimedOut.into() };
        let failed = |cause| OutboundError::Connect { to: to(), cause };
        let connecting = async {
            let stream = TcpStream::connect((self.origin.host.as_str(), self.origin.port)).await.map_err(failed)?;
            stream.set_nodelay(true).map_err(failed)?;
            match &self.tls {
                None => self.speak(stream).await,
                Some((connector, name)) => {
                    self.speak(connector.connect(name.clone(), stream).await.map_err(failed)?).await
                }
            }
        };
        tokio::time::timeout(CONNECT_WITHIN, connecting).await.map_err(late)?
    }

    async fn speak<S>(&self, stream: S) -> Result<SendRequest<Full<Bytes>>, OutboundError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) =
            handshake.map_err(|cause| OutboundError::Http { to: self.origin.authority(), cause })?;
        tokio::spawn(async move {
            if let Err(cause) = connection.await {
                tracing::debug!(%cause, "a connection of the gateway's own failed");
            }
        });
        Ok(sender)
    }
}
