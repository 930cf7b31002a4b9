//! What is served: health, readiness, metrics, and the operations once they are there.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures::FutureExt;
use http::request::Parts;
use http::{Method, Response, StatusCode, header};
use hyper::body::Incoming;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, error, warn};

use towpath_port::TlsFacts;
use towpath_wire::{ApiError, Protocol, RequestId};

use super::answer;
use super::body::{BodyMemory, Refused, drain};
use super::handler::{Handler, Request};
use crate::config::Http;
use crate::serve::metrics::Metrics;

/// How long a request waits for one of the places of `max_requests`.
const PLACE_WAIT: Duration = Duration::from_secs(1);

/// Whether the operations can be reached.
#[derive(Clone, Default)]
pub struct Gate(Arc<ArcSwap<State>>);

#[derive(Default)]
enum State {
    #[default]
    Starting,
    Open(Arc<dyn Handler>),
    Stopping,
}

impl Gate {
    /// Lets requests through to `handler`.
    pub fn open(&self, handler: Arc<dyn Handler>) {
        self.0.store(Arc::new(State::Open(handler)));
    }

    /// Lets nothing more through: the server is about to stop. Requests that are running go on.
    pub fn close(&self) {
        self.0.store(Arc::new(State::Stopping));
    }

    fn handler(&self) -> Result<Arc<dyn Handler>, &'static str> {
        match &**self.0.load() {
            State::Starting => Err("the server is starting"),
            State::Open(handler) => Ok(Arc::clone(handler)),
            State::Stopping => Err("the server is stopping"),
        }
    }

    fn unready(&self) -> Option<String> {
        match self.handler() {
            Ok(handler) => handler.unready(),
            Err(reason) => Some(reason.to_owned()),
        }
    }
}

/// Answers everything that arrives at the port.
pub struct Surface {
    gate: Gate,
    http: Http,
    metrics: Metrics,
    memory: BodyMemory,
    places: Arc<Semaphore>,
    running: TaskTracker,
    give_up: CancellationToken,
}

impl Surface {
    /// Serves what `gate` lets through.
    pub fn new(gate: Gate, http: Http, metrics: Metrics) -> Arc<Self> {
        Arc::new(Self {
            memory: BodyMemory::new(http.body_memory),
            places: Arc::new(Semaphore::new(http.max_requests)),
            gate,
            http,
            metrics,
            running: TaskTracker::new(),
            give_up: CancellationToken::new(),
        })
    }

    /// The limits of HTTP.
    pub fn limits(&self) -> &Http {
        &self.http
    }

    /// Waits for running operations until `by`; the rest is answered with ServiceUnavailable, and those that do not
    /// even stop then are left behind at `cut`.
    pub async fn finish(&self, by: Instant, cut: Instant) {
        self.running.close();
        if timeout_at(by, self.running.wait()).await.is_err() {
            warn!(requests = self.running.len(), "requests are given up");
            self.give_up.cancel();
            if timeout_at(cut, self.running.wait()).await.is_err() {
                warn!(requests = self.running.len(), "requests that did not stop are left behind");
            }
        }
    }

    /// Answers one request.
    pub async fn answer(
        self: Arc<Self>,
        request: http::Request<Incoming>,
        peer: IpAddr,
        tls: Option<TlsFacts>,
    ) -> Response<Bytes> {
        let started = Instant::now();
        let (parts, body) = request.into_parts();
        let route = Route::of(&parts);
        let response = match route {
            Route::Health => self.health(&parts),
            Route::Ready => self.readiness(&parts),
            Route::Metrics => self.metrics(&parts, peer),
            Route::Api | Route::Audit | Route::Upload => self.operate(route, parts, body, peer, tls).await,
        };
        let elapsed = started.elapsed();
        let status = response.status();
        metrics::counter!("towpath_http_requests_total", "route" => route.name(), "status" => status_label(status))
            .increment(1);
        metrics::histogram!("towpath_http_request_duration_seconds", "route" => route.name())
            .record(elapsed.as_secs_f64());
        debug!(route = route.name(), status = status.as_u16(), elapsed_ms = elapsed.as_millis() as u64, "answered");
        response
    }

    fn health(&self, parts: &Parts) -> Response<Bytes> {
        if let Some(refusal) = only_get(parts) {
            return refusal;
        }
        answer::text(StatusCode::OK, "ok\n")
    }

    fn readiness(&self, parts: &Parts) -> Response<Bytes> {
        if let Some(refusal) = only_get(parts) {
            return refusal;
        }
        match self.gate.unready() {
            None => answer::text(StatusCode::OK, "ready\n"),
            Some(reason) => answer::text(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")),
        }
    }

    fn metrics(&self, parts: &Parts, peer: IpAddr) -> Response<Bytes> {
        if let Some(refusal) = only_get(parts) {
            return refusal;
        }
        let authorization = parts.headers.get(header::AUTHORIZATION).map(|value| value.as_bytes());
        if !self.metrics.admits(authorization, peer) {
            return answer::text(
                StatusCode::FORBIDDEN,
                "metrics are for clients on this machine, or for those with the token of the setting metrics.token\n",
            );
        }
        let mut response = answer::text(StatusCode::OK, self.metrics.render());
        let form = header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, form);
        response
    }

    async fn operate(
        &self,
        route: Route,
        parts: Parts,
        body: Incoming,
        peer: IpAddr,
        tls: Option<TlsFacts>,
    ) -> Response<Bytes> {
        let handler = match self.gate.handler() {
            Ok(handler) => handler,
            Err(reason) => return answer::unavailable(reason),
        };
        // The place is taken after the body, so that slow senders do not keep others out.
        let limit = match handler.max_body(&parts.method, &parts.uri, &parts.headers) {
            Ok(limit) => limit,
            Err(answer) => {
                drain(body).await;
                return *answer;
            }
        };
        let held = match self.memory.read(body, limit as u64, &self.http).await {
            Ok(held) => held,
            Err(refused) => return refuse(refused, limit, &parts),
        };
        let Ok(Ok(place)) = timeout(PLACE_WAIT, Arc::clone(&self.places).acquire_owned()).await else {
            return answer::throttled("the server works on as many requests as it may; try again");
        };
        let Parts { method, uri, headers, .. } = parts;
        let request = Request { method, uri, headers, body: held.bytes, peer, tls };
        let permit = held.permit;
        let give_up = self.give_up.clone();
        let task = self.running.spawn(async move {
            let _held_until_the_end = (place, permit);
            // The call itself may panic before its first await, so it is made inside.
            let call = AssertUnwindSafe(async move { handler.call(request).await }).catch_unwind();
            tokio::select! {
                response = call => response.ok(),
                () = give_up.cancelled() => Some(answer::unavailable("the server is stopping")),
            }
        });
        match timeout(self.http.request_timeout, task).await {
            Ok(Ok(Some(response))) => response,
            Ok(Ok(None)) => {
                error!("an operation panicked; the request was answered with InternalFailure");
                answer::internal()
            }
            Ok(Err(cause)) => {
                error!(%cause, "an operation was lost; the request was answered with InternalFailure");
                answer::internal()
            }
            Err(_) => {
                warn!(route = route.name(), "a request ran out of time; its operation goes on");
                answer::unavailable("the request took too long")
            }
        }
    }
}

/// The answer to a request whose body was not taken. After it the connection closes, because the rest of the body may
/// still be on its way.
fn refuse(refused: Refused, limit: usize, parts: &Parts) -> Response<Bytes> {
    let protocol = Protocol::of(&parts.method, &parts.uri, &parts.headers);
    let mut response = match refused {
        Refused::TooLarge => ApiError::too_large(limit).response(protocol, &RequestId::random()),
        Refused::Busy => return answer::throttled("the server has no memory for the body; try again"),
        Refused::TooSlow => {
            answer::error(StatusCode::REQUEST_TIMEOUT, "RequestTimeoutException", "the body did not arrive in time")
        }
        Refused::Broken => {
            answer::error(StatusCode::BAD_REQUEST, "IncompleteBody", "the body ended before its announced length")
        }
    };
    if parts.version < http::Version::HTTP_2 {
        response.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
    }
    response
}

/// Where a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    Health,
    Ready,
    Metrics,
    Api,
    Audit,
    Upload,
}

impl Route {
    fn of(parts: &Parts) -> Self {
        match parts.uri.path() {
            "/healthz" => Self::Health,
            "/readyz" => Self::Ready,
            "/metrics" => Self::Metrics,
            "/PutAuditEvents" => Self::Audit,
            path if path.starts_with("/towpath/v1/imports/") && parts.method == Method::POST => Self::Upload,
            _ => Self::Api,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Health => "healthz",
            Self::Ready => "readyz",
            Self::Metrics => "metrics",
            Self::Api => "api",
            Self::Audit => "put_audit_events",
            Self::Upload => "upload",
        }
    }
}

fn only_get(parts: &Parts) -> Option<Response<Bytes>> {
    if parts.method == Method::GET || parts.method == Method::HEAD {
        return None;
    }
    let mut response = answer::text(StatusCode::METHOD_NOT_ALLOWED, "only GET is served here\n");
    response.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static("GET, HEAD"));
    Some(response)
}

/// The class of a status, so that no client can invent labels.
fn status_label(status: StatusCode) -> &'static str {
    match status.as_u16() / 100 {
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        5 => "5xx",
        _ => "other",
    }
}
