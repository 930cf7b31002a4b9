//! Making a connection: address, encryption, and the first words of HTTP.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tracing::debug;

use crate::neighbour;
use crate::outgoing::Outgoing;
use crate::upstream::Origin;

/// Headers that an answer may have.
const MAX_HEADERS: usize = 256;

/// Bytes of an answer that an HTTP/2 stream, and a connection, may have on the way.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;

/// Why an upstream cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The file of authorities.
    #[error("cannot read the authorities in {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        cause: io::Error,
    },
    /// The file holds no certificate.
    #[error("{} holds no certificate in PEM form", .0.display())]
    NoCertificate(PathBuf),
    /// The name is none.
    #[error("{0:?} is not a name that a certificate can bear")]
    Name(String),
    /// Signatures are to be verified, and nobody here knows the secrets of access keys.
    #[error(
        "its signatures cannot be verified: the keys of Towpath's accounts are the server's; run the gateway within it \
         (towpath serve --gateway) or leave verify_signatures out"
    )]
    NoKeys,
    /// The versions of TLS do not fit the cryptography that is built in.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The network.
    #[error("the upstream cannot be reached")]
    Tcp(#[source] io::Error),
    /// Encryption.
    #[error("no encryption was agreed on with the upstream")]
    Tls(#[source] io::Error),
    /// The first words.
    #[error("the upstream does not speak HTTP")]
    Http(#[source] hyper::Error),
    /// HTTP/2 is wanted.
    #[error("the upstream does not speak HTTP/2")]
    NotHttp2,
    /// It took too long.
    #[error("the upstream took no connection in time")]
    Timeout,
    /// Closed at once.
    #[error("the upstream closes connections before it reads from them")]
    Closed,
}

/// A connection on which requests can be sent.
pub enum Link {
    /// One request at a time.
    Http1(http1::SendRequest<Outgoing>),
    /// Many at a time.
    Http2(http2::SendRequest<Outgoing>),
}

/// Makes connections to one origin.
pub struct Connector {
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    http2: bool,
    within: Duration,
}

impl Connector {
    /// Reads what is needed to make connections.
    pub fn new(origin: &Origin, within: Duration) -> Result<Self, SetupError> {
        let tls = match origin.encrypted {
            true => Some(tls(origin)?),
            false => None,
        };
        Ok(Self { host: origin.host.clone(), port: origin.port, tls, http2: origin.http2, within })
    }

    /// True if HTTP/2 is spoken.
    pub fn is_http2(&self) -> bool {
        self.http2
    }

    /// Makes a connection.
    pub async fn connect(&self) -> Result<Link, ConnectError> {
        timeout(self.within, self.attempt()).await.map_err(|_| ConnectError::Timeout)?
    }

    async fn attempt(&self) -> Result<Link, ConnectError> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(ConnectError::Tcp)?;
        stream.set_nodelay(true).map_err(ConnectError::Tcp)?;
        neighbour::bound(&stream);
        match &self.tls {
            None => self.speak(stream).await,
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), stream).await.map_err(ConnectError::Tls)?;
                if self.http2 && stream.get_ref().1.alpn_protocol() != Some(b"h2") {
                    return Err(ConnectError::NotHttp2);
                }
                self.speak(stream).await
            }
        }
    }

    async fn speak<S>(&self, stream: S) -> Result<Link, ConnectError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let stream = TokioIo::new(stream);
        if self.http2 {
            let (sender, connection) = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .initial_stream_window_size(STREAM_WINDOW)
                .initial_connection_window_size(CONNECTION_WINDOW)
                .handshake(stream)
                .await
                .map_err(ConnectError::Http)?;
            tokio::spawn(async move {
                if let Err(cause) = connection.await {
                    debug!(%cause, "connection to an upstream failed");
                }
            });
            return Ok(Link::Http2(sender));
        }
        let (sender, connection) = http1::Builder::new()
            .preserve_header_case(true)
            .max_headers(MAX_HEADERS)
            .handshake(stream)
            .await
            .map_err(ConnectError::Http)?;
        tokio::spawn(async move {
            if let Err(cause) = connection.with_upgrades().await {
                debug!(%cause, "connection to an upstream failed");
            }
        });
        Ok(Link::Http1(sender))
    }
}

/// What encrypts connections to an origin, and the name that its certificate must bear.
pub fn tls(origin: &Origin) -> Result<(TlsConnector, ServerName<'static>), SetupError> {
    let mut roots = RootCertStore::empty();
    match &origin.ca {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(path) => {
            let pem = std::fs::read(path).map_err(|cause| SetupError::Read { path: path.clone(), cause })?;
            roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok));
            if roots.is_empty() {
                return Err(SetupError::NoCertificate(path.clone()));
            }
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(SetupError::Tls)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![if origin.http2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
    let name = origin.server_name.clone().unwrap_or_else(|| origin.host.clone());
    let server = ServerName::try_from(name.clone()).map_err(|_| SetupError::Name(name))?;
    Ok((TlsConnector::from(Arc::new(config)), server))
}
