//! What HTTP asks of the operations.

use std::net::IpAddr;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderMap, Method, Response, Uri};
use towpath_port::TlsFacts;

/// A whole request, body included.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its method.
    pub method: Method,
    /// Its target as sent, query string included.
    pub uri: Uri,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, within the bound of its route.
    pub body: Bytes,
    /// The address it came from.
    pub peer: IpAddr,
    /// The encryption of its connection; none if it came in the clear.
    pub tls: Option<TlsFacts>,
}

/// Answers requests. All methods may be called concurrently.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request. The future runs to its end even if the client has gone.
    fn call(&self, request: Request) -> BoxFuture<'static, Response<Bytes>>;

    /// The longest body the request may have, in bytes, known from its head; or its answer, if it needs no body.
    fn max_body(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<usize, Box<Response<Bytes>>>;

    /// Says why no request can be answered at present, if so.
    fn unready(&self) -> Option<String>;
}
