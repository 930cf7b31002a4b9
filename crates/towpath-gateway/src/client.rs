//! The way to one upstream: connections that are kept and used again, and bounds on all of it.
//!
//! A call takes a place, then a connection: one that is idle, else a new one. When its answer has passed the connection is
//! idle again. HTTP/2 has one connection, which calls share.

mod connect;
mod pool;

use std::sync::Arc;

use http::{Method, Request, Response};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::gate::Gatekeeper;
use crate::kept::{Failed, Tee};
use crate::outgoing::Outgoing;
use crate::upstream::{Origin, UpstreamLimits};

pub use connect::{ConnectError, SetupError, tls};
use connect::{Connector, Link};
use pool::{Pool, Shared};

/// Sends calls to one upstream. All methods may be called concurrently.
pub struct Client {
    connector: Connector,
    limits: UpstreamLimits,
    places: Arc<Semaphore>,
    pool: Arc<Pool>,
    shared: Shared,
}

/// Why no answer came.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// As many calls are under way as may be.
    #[error("no connection to the upstream was free in time")]
    Busy,
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The upstream did not answer in time.
    #[error("the upstream did not answer in time")]
    Timeout,
    /// The connection broke, or what came is not an answer.
    #[error("the connection to the upstream broke before it answered")]
    Broken(#[source] hyper::Error),
    /// The body of the request.
    #[error("the body of the request did not come to its end")]
    Body(Failed),
}

/// The connection that an answer comes over, and its place. Dropped early, the connection is closed.
pub struct Lease {
    _place: OwnedSemaphorePermit,
    connection: Option<http1::SendRequest<Outgoing>>,
    pool: Arc<Pool>,
    sent: Arc<Tee>,
    gate: Option<Gatekeeper>,
}

impl Client {
    /// A way to `origin`. Nothing is connected yet.
    pub fn new(origin: &Origin, limits: UpstreamLimits) -> Result<Self, SetupError> {
        Ok(Self {
            connector: Connector::new(origin, limits.connect_timeout)?,
            places: Arc::new(Semaphore::new(limits.max_connections)),
            pool: Pool::new(limits.max_idle, limits.idle_timeout),
            shared: Shared::default(),
            limits,
        })
    }

    /// Sends a request and waits for the head of its answer. `sent` is what is kept of its body, `gate` moves the gate
    /// before it.
    pub async fn send(
        &self,
        request: Request<Outgoing>,
        sent: Arc<Tee>,
        gate: Option<Gatekeeper>,
    ) -> Result<(Response<Incoming>, Lease), SendError> {
        let tee = &*sent;
        let place = Arc::clone(&self.places).acquire_owned();
        let place = match timeout(self.limits.connect_timeout, place).await {
            Ok(Ok(place)) => place,
            _ => return Err(SendError::Busy),
        };
        let answered = match self.connector.is_http2() {
            true => self.send_shared(request, tee).await.map(|answer| (answer, None)),
            false => self.send_alone(request, tee).await.map(|(answer, connection)| (answer, Some(connection))),
        };
        let (answer, connection) = answered.map_err(|error| match tee.failed() {
            // Whatever the connection says, the cause was the body.
            Some(failed) => SendError::Body(failed),
            None => error,
        })?;
        if let Some(gate) = &gate {
            gate.answered();
        }
        Ok((answer, Lease { _place: place, connection, pool: Arc::clone(&self.pool), sent, gate }))
    }

    async fn send_alone(
        &self,
        mut request: Request<Outgoing>,
        tee: &Tee,
    ) -> Result<(Response<Incoming>, http1::SendRequest<Outgoing>), SendError> {
        while let Some(mut connection) = self.pool.take() {
            // The upstream may close a connection while a request is on its way to it. Nobody knows then whether it was
            // read; what may be done twice is done again (RFC 9110, 9.2.2).
            let spare = spare(&request);
            match self.answer(connection.try_send_request(request), tee).await {
                Ok(answer) => return Ok((answer, connection)),
                Err(Unanswered::Unsent(unsent)) => request = *unsent,
                Err(Unanswered::Failed(SendError::Broken(cause))) => match spare {
                    Some(spare) if cause.is_incomplete_message() || cause.is_closed() || is_reset(&cause) => {
                        request = spare.map(|()| Outgoing::none());
                    }
                    _ => return Err(SendError::Broken(cause)),
                },
                Err(Unanswered::Failed(error)) => return Err(error),
            }
        }
        let mut connection = match self.connector.connect().await? {
            Link::Http1(connection) => connection,
            Link::Http2(_) => unreachable!("the connector makes what it was told to make"),
        };
        match self.answer(connection.try_send_request(request), tee).await {
            Ok(answer) => Ok((answer, connection)),
            Err(Unanswered::Failed(error)) => Err(error),
            Err(Unanswered::Unsent(_)) => Err(ConnectError::Closed.into()),
        }
    }

    async fn send_shared(&self, request: Request<Outgoing>, tee: &Tee) -> Result<Response<Incoming>, SendError> {
        let mut request = request;
        for _ in 0..2 {
            let mut connection = self.shared.get(&self.connector).await?;
            match self.answer(connection.try_send_request(request), tee).await {
                Ok(answer) => return Ok(answer),
                Err(Unanswered::Unsent(unsent)) => request = *unsent,
                Err(Unanswered::Failed(error)) => return Err(error),
            }
        }
        Err(ConnectError::Closed.into())
    }

    /// Waits for the head of an answer, from the end of the request for as long as the limits allow.
    async fn answer<F>(&self, answer: F, tee: &Tee) -> Result<Response<Incoming>, Unanswered>
    where
        F: Future<Output = Result<Response<Incoming>, hyper::client::conn::TrySendError<Request<Outgoing>>>>,
    {
        let mut answer = std::pin::pin!(answer);
        let mut patience = Some(self.limits.first_byte_timeout);
        while let Some(left) = patience {
            match timeout(left, &mut answer).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(mut error)) => {
                    return Err(match error.take_message() {
                        Some(request) => Unanswered::Unsent(Box::new(request)),
                        None => Unanswered::Failed(SendError::Broken(error.into_error())),
                    });
                }
                Err(_) => patience = tee.patience_left(self.limits.first_byte_timeout),
            }
        }
        Err(Unanswered::Failed(SendError::Timeout))
    }
}

/// Why a connection gave no answer.
enum Unanswered {
    /// The connection was closed before the request was written.
    Unsent(Box<Request<Outgoing>>),
    /// It may have been read by the upstream.
    Failed(SendError),
}

/// A copy of a request that may be sent twice.
fn spare(request: &Request<Outgoing>) -> Option<Request<()>> {
    let idempotent = [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE, Method::TRACE];
    if !request.body().is_end_stream() || !idempotent.contains(request.method()) {
        return None;
    }
    let mut copy = Request::new(());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    *copy.extensions_mut() = request.extensions().clone();
    Some(copy)
}

fn is_reset(error: &hyper::Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<std::io::Error>());
    source.is_some_and(|cause| {
        matches!(cause.kind(), std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe)
    })
}

impl Lease {
    /// The answer has passed: the connection may be used again, if all of the request has passed too.
    pub fn give_back(mut self) {
        if let Some(connection) = self.connection.take().filter(|_| self.sent.has_ended()) {
            self.pool.put(connection);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(gate) = &self.gate {
            gate.over();
        }
    }
}
