//! The port of the buckets: S3 requests over HTTP, everything bounded.
//!
//! The S3 library knows the protocol: routes, signatures, XML. Around it stands what a server needs: a limit for
//! connections, deadlines for clients that say nothing or stop halfway, an id for every request, errors in the form that
//! S3 gives them, and an observer that is told of every call.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use towpath_iam::Directory;
use towpath_model::{AccountId, Clock, Region};
use towpath_port::{Places, Watch};

use self::answers::{answer, complete};
use self::paced::Paced;
use crate::api::Api;
use crate::api::call::{CALL, Call, Found, Keys, Token};
use crate::api::rights::is_read_only;
use crate::buckets::Buckets;
use crate::observe::{Encryption, S3Call, S3Observer, nobody};

mod answers;
mod paced;

pub(crate) use paced::Stalled;

/// Largest XML body: 1,000 keys to delete, or 10,000 parts to complete.
const MAX_XML: usize = 8 << 20;

/// Limits of the port.
#[derive(Clone, Debug)]
pub struct S3Limits {
    /// Open connections; further ones wait in the operating system's queue.
    pub max_connections: usize,
    /// Time for the headers of a request, and for the first request of a connection.
    pub header_timeout: Duration,
    /// Longest pause within a body that is being received.
    pub body_pause: Duration,
    /// A connection on which no byte moved for this long is closed.
    pub idle_timeout: Duration,
    /// Bytes of the headers of a request.
    pub max_header_size: usize,
    /// Number of headers of a request.
    pub max_headers: usize,
}

impl Default for S3Limits {
    fn default() -> Self {
        Self {
            max_connections: 1024,
            header_timeout: Duration::from_secs(10),
            body_pause: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(120),
            max_header_size: 64 << 10,
            max_headers: 128,
        }
    }
}

/// Serves the buckets over the S3 protocol. Cloning is cheap.
#[derive(Clone)]
pub struct S3Server {
    service: S3Service,
    buckets: Buckets,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn S3Observer>,
    limits: S3Limits,
    builder: Arc<Builder<TokioExecutor>>,
}

impl S3Server {
    /// A server over `buckets` for the identities of `directory`, in accounts that are of no organization.
    pub fn new(buckets: Buckets, directory: Directory, clock: Arc<dyn Clock>, limits: S3Limits) -> Self {
        Self::with_organizations(buckets, directory, clock, limits, |_| None)
    }

    /// A server over `buckets` for the identities of `directory`; `organizations` tells the organization of an account,
    /// which policies may ask for (`aws:PrincipalOrgID`).
    pub fn with_organizations(
        buckets: Buckets,
        directory: Directory,
        clock: Arc<dyn Clock>,
        limits: S3Limits,
        organizations: impl Fn(AccountId) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        let api = Api {
            buckets: buckets.clone(),
            clock: Arc::clone(&clock),
            directory: directory.clone(),
            organizations: Arc::new(organizations),
        };
        let mut config = S3Config::default();
        config.xml_max_body_size = MAX_XML;
        // Forms are refused before they get there.
        config.post_object_max_file_size = 0;
        let mut service = S3ServiceBuilder::new(api.clone());
        service.set_auth(Keys { directory, clock: Arc::clone(&clock) });
        service.set_access(api);
        service.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));

        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_timeout)
            .max_headers(limits.max_headers)
            .max_buf_size(limits.max_header_size.max(8 << 10));
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(128)
            .max_header_list_size(u32::try_from(limits.max_header_size).unwrap_or(u32::MAX));
        Self { service: service.build(), buckets, clock, observer: nobody(), limits, builder: Arc::new(builder) }
    }

    /// Tells `observer` of every call.
    pub fn observed_by(mut self, observer: Arc<dyn S3Observer>) -> Self {
        self.observer = observer;
        self
    }

    /// Serves until `stop`; then accepts nothing more and gives running requests the time `grace`.
    ///
    /// `accept` makes a stream of a connection: itself, or an encrypted one with what is known of the encryption.
    pub async fn serve<A, F, S>(self, listener: TcpListener, accept: A, stop: CancellationToken, grace: Duration)
    where
        A: Fn(TcpStream) -> F,
        F: Future<Output = io::Result<(S, Option<Encryption>)>> + Send + 'static,
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let places = Places::new(self.limits.max_connections);
        let graceful = GracefulShutdown::new();
        while let Some((stream, peer, place)) = places.accept(&listener, &stop).await {
            let (server, watcher, accepted) = (self.clone(), graceful.watcher(), accept(stream));
            tokio::spawn(async move {
                match timeout(server.limits.header_timeout, accepted).await {
                    Ok(Ok((stream, encryption))) => server.connection(stream, peer, encryption, watcher).await,
                    Ok(Err(cause)) => tracing::debug!(%peer, %cause, "no encryption was agreed on"),
                    Err(_) => tracing::debug!(%peer, "no encryption was agreed on in time"),
                }
                drop(place);
            });
        }
        drop(listener);
        if timeout(grace, graceful.shutdown()).await.is_err() {
            tracing::warn!("S3 requests that took too long are cut off");
        }
    }

    /// Serves one connection to its end.
    async fn connection<S>(&self, stream: S, peer: SocketAddr, encryption: Option<Encryption>, watcher: Watcher)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let watch = Watch::new();
        let stream = TokioIo::new(watch.over(stream));
        let (server, watched) = (self.clone(), Arc::clone(&watch));
        let service = service_fn(move |request: Request<Incoming>| {
            let (server, encryption, running) = (server.clone(), encryption.clone(), watched.begin());
            // A task of its own: a client that goes away does not stop an operation, or the telling of it, halfway.
            let answered = tokio::spawn(async move {
                let answered = server.call(request, peer, encryption).await;
                drop(running);
                answered
            });
            let lost =
                || answer(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", "We encountered an internal error.");
            async move { Ok::<_, Infallible>(answered.await.unwrap_or_else(|_| lost())) }
        });
        let builder = Arc::clone(&self.builder);
        let connection = watcher.watch(builder.serve_connection(stream, service).into_owned());
        tokio::select! {
            ended = connection => if let Err(cause) = ended {
                tracing::debug!(%peer, %cause, "S3 connection ended");
            },
            () = watch.stalled(self.limits.header_timeout, self.limits.idle_timeout) => {
                tracing::debug!(%peer, "S3 connection stalled");
            }
        }
    }

    /// Answers one request.
    async fn call(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
        encryption: Option<Encryption>,
    ) -> Response<s3s::Body> {
        let call = Arc::new(Call {
            peer,
            secure: encryption.is_some(),
            request_id: Uuid::new_v4(),
            token: token(&request).map(Token),
            found: Default::default(),
        });
        let mut told = Told::of(&request);
        told.encryption = encryption;
        let resource = request.uri().path().to_owned();
        let asks = request.headers().contains_key(header::EXPECT) && request.version() == Version::HTTP_11;
        let continued = Arc::new(AtomicBool::new(false));
        let mut response = match refuse(&request) {
            Some((status, code, message)) => answer(status, code, message),
            None => {
                let mut request = request.map(|body| {
                    s3s::Body::http_body_unsync(Paced::new(body, self.limits.body_pause, Arc::clone(&continued)))
                });
                request.extensions_mut().insert(Arc::clone(&call));
                match CALL.scope(Arc::clone(&call), self.service.call(request)).await {
                    Ok(response) => response,
                    Err(_) => {
                        answer(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", "An answer could not be written")
                    }
                }
            }
        };
        let error = complete(&mut response, &resource, &call.request_id.to_string());
        self.tell(&call, told, error, &response).await;
        // A client that asked to be told to go on and got its answer instead must not use the connection again: botocore
        // takes the next "100 Continue" on it for the headers of an answer.
        if asks && !continued.load(Ordering::Relaxed) {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    async fn tell(&self, call: &Call, told: Told, error: Option<(String, String)>, response: &Response<s3s::Body>) {
        let Found { caller, operation, bucket, key, .. } = std::mem::take(&mut *call.found.lock());
        let bucket = bucket.and_then(|name| {
            let owner = self.buckets.get(&name).ok().map(|bucket| bucket.owner);
            Some((name.parse().ok()?, owner))
        });
        let sent = response.body().size_hint().exact().unwrap_or_default();
        let observed = self.observer.observe(S3Call {
            caller,
            operation,
            read_only: operation.is_some_and(is_read_only),
            bucket,
            key,
            error,
            bytes: (told.received, sent),
            region: told.region,
            peer: call.peer.ip(),
            user_agent: told.user_agent,
            host: told.host,
            encryption: told.encryption,
            request_id: call.request_id,
            time: self.clock.now(),
        });
        observed.await;
    }
}

impl std::fmt::Debug for S3Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3Server").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// What the headers of a request tell an observer.
struct Told {
    received: u64,
    region: Option<Region>,
    user_agent: Option<String>,
    host: Option<String>,
    encryption: Option<Encryption>,
}

impl Told {
    fn of(request: &Request<Incoming>) -> Self {
        let text = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let length = text("x-amz-decoded-content-length").or_else(|| text("content-length"));
        Self {
            received: length.and_then(|length| length.parse().ok()).unwrap_or_default(),
            region: signed_region(request),
            user_agent: text("user-agent"),
            host: text("host").or_else(|| request.uri().authority().map(|authority| authority.to_string())),
            encryption: None,
        }
    }
}

/// The region in the scope of the signature, `key/date/region/s3/aws4_request`.
fn signed_region(request: &Request<Incoming>) -> Option<Region> {
    let header = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let scope = match header.and_then(|value| value.split_once("Credential=")) {
        Some((_, rest)) => rest.split([',', ' ']).next().unwrap_or_default().to_owned(),
        None => parameter(request, "X-Amz-Credential")?,
    };
    // A key may hold slashes; the scope is at the end.
    scope.rsplit('/').nth(2)?.parse().ok()
}

fn parameter(request: &Request<Incoming>, name: &str) -> Option<String> {
    let query = request.uri().query()?;
    let found = form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name);
    found.map(|(_, value)| value.into_owned())
}

/// The session token: in its header, or in the query of a presigned request.
fn token(request: &Request<Incoming>) -> Option<String> {
    if let Some(token) = parameter(request, "X-Amz-Security-Token") {
        return Some(token);
    }
    request.headers().get("x-amz-security-token").and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// Requests that the S3 library would take and this server does not.
fn refuse(request: &Request<Incoming>) -> Option<(StatusCode, &'static str, &'static str)> {
    let header = |name: header::HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok());
    let old_header = header(header::AUTHORIZATION).is_some_and(|value| value.starts_with("AWS "));
    if old_header || parameter(request, "AWSAccessKeyId").is_some() {
        let message = "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.";
        return Some((StatusCode::BAD_REQUEST, "InvalidRequest", message));
    }
    let form = header(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("multipart/form-data"));
    if request.method() == Method::POST && form {
        return Some((StatusCode::NOT_IMPLEMENTED, "NotImplemented", "Uploads by HTML forms are not implemented"));
    }
    None
}
