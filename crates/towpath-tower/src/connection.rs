//! Connections to the server: one at a time, kept while it lasts, encrypted where the address says so.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;

use crate::endpoint::EndpointError;

/// The way to a server.
pub(crate) struct Connection {
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    // Held while a connection is made or a request is written, so that there is one.
    open: Mutex<Option<SendRequest<Full<Bytes>>>>,
}

/// Whose certificates are trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Authorities {
    /// Those of the public web.
    #[default]
    Public,
    /// Those in a PEM file, and no other.
    File(PathBuf),
}

impl Connection {
    /// The way to the server at a URL; nothing is connected yet.
    pub(crate) fn to(url: &str, authorities: &Authorities) -> Result<Self, EndpointError> {
        let wrong = || EndpointError::Address(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let encrypted = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(wrong()),
        };
        let host = uri.host().ok_or_else(wrong)?.trim_matches(['[', ']']).to_owned();
        let port = uri.port_u16().unwrap_or(if encrypted { 443 } else { 80 });
        let name = ServerName::try_from(host.clone()).map_err(|_| wrong())?;
        let tls = if encrypted { Some((connector(authorities)?, name)) } else { None };
        Ok(Self { host, port, tls, open: Mutex::default() })
    }

    /// Sends a request. A connection that was kept and turns out to be closed is made anew once: the server may then have the
    /// request twice, and takes a record that comes twice for one event.
    pub(crate) async fn send(&self, request: Request<Bytes>) -> Result<Response<Incoming>, EndpointError> {
        let (mut head, body) = request.into_parts();
        // HTTP/1.1 wants the path alone; the host is a header, which signing has set.
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str()).parse();
        head.uri = path.map_err(|_| EndpointError::Address(head.uri.to_string()))?;
        let whole = || Request::from_parts(head.clone(), Full::new(body.clone()));
        let kept = self.open.lock().await.take().filter(SendRequest::is_ready);
        let mut broke_off = false;
        if let Some(mut kept) = kept {
            match kept.send_request(whole()).await {
                Ok(answer) => {
                    *self.open.lock().await = Some(kept);
                    return Ok(answer);
                }
                // It was closed before any of the request left.
                Err(cause) => broke_off = !cause.is_canceled(),
            }
        }
        let made = self.connect().await;
        let mut made =
            made.map_err(|error| if broke_off { EndpointError::Network(error.to_string()) } else { error })?;
        let answer = made.send_request(whole()).await.map_err(network)?;
        *self.open.lock().await = Some(made);
        Ok(answer)
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, EndpointError> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        match &self.tls {
            None => speak(stream).await,
            Some((connector, name)) => speak(connector.connect(name.clone(), stream).await.map_err(unreachable)?).await,
        }
    }
}

async fn speak<S>(stream: S) -> Result<SendRequest<Full<Bytes>>, EndpointError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(unreachable)?;
    tokio::spawn(async move {
        if let Err(cause) = connection.await {
            tracing::debug!(%cause, "the connection to the server failed");
        }
    });
    Ok(sender)
}

fn connector(authorities: &Authorities) -> Result<TlsConnector, EndpointError> {
    let mut roots = RootCertStore::empty();
    match authorities {
        Authorities::Public => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Authorities::File(path) => {
            let unusable = || EndpointError::Authorities(path.clone());
            let pem = std::fs::read(path).map_err(|_| unusable())?;
            roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok));
            if roots.is_empty() {
                return Err(unusable());
            }
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|cause| EndpointError::Network(cause.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// A conversation that broke off.
pub(crate) fn network(error: impl std::error::Error) -> EndpointError {
    EndpointError::Network(with_causes(error))
}

/// A connection that was not made.
fn unreachable(error: impl std::error::Error) -> EndpointError {
    EndpointError::Unreachable(with_causes(error))
}

/// An error with all that caused it.
fn with_causes(error: impl std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}
