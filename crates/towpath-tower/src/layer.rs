//! The layer: an event for each request, whether it was answered, failed or was given up.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response, request, response};
use tower_layer::Layer;
use tower_service::Service;

use crate::event::Event;
use crate::recorder::Recorder;

/// A request that has ended.
#[derive(Debug)]
pub struct Seen<'a> {
    /// The request's method, URI, headers and extensions.
    pub request: &'a request::Parts,
    /// The answer's status, headers and extensions; `None` if there was none: the service failed, or the client went away
    /// before the answer. What the request was to do may have been done.
    pub response: Option<&'a response::Parts>,
}

/// What makes an event of a request; `None` for requests that are not recorded.
type Describe = dyn Fn(&Seen<'_>) -> Option<Event> + Send + Sync;

/// Records the requests of the services it wraps.
#[derive(Clone)]
pub struct EventLayer {
    recorder: Recorder,
    describe: Arc<Describe>,
}

impl EventLayer {
    /// Records by `describe`, which runs as each request ends and should be quick. Of a request that ends in a panic of the
    /// service no event is made; it is counted, and told as a gap.
    pub fn new(recorder: Recorder, describe: impl Fn(&Seen<'_>) -> Option<Event> + Send + Sync + 'static) -> Self {
        Self { recorder, describe: Arc::new(describe) }
    }
}

impl<S> Layer<S> for EventLayer {
    type Service = EventService<S>;

    fn layer(&self, inner: S) -> EventService<S> {
        EventService { inner, layer: self.clone() }
    }
}

/// A service whose requests are recorded.
#[derive(Clone)]
pub struct EventService<S> {
    inner: S,
    layer: EventLayer,
}

impl<S, B, R> Service<Request<B>> for EventService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    R: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (head, body) = request.into_parts();
        let asked = Asked { layer: self.layer.clone(), request: head.clone(), ended: false };
        let answering = self.inner.call(Request::from_parts(head, body));
        Box::pin(async move {
            match answering.await {
                Ok(response) => {
                    let (head, body) = response.into_parts();
                    asked.end(Some(&head));
                    Ok(Response::from_parts(head, body))
                }
                Err(error) => {
                    asked.end(None);
                    Err(error)
                }
            }
        })
    }
}

/// A request that is under way. Dropped before its end, it is recorded all the same.
struct Asked {
    layer: EventLayer,
    request: request::Parts,
    ended: bool,
}

impl Asked {
    fn end(mut self, response: Option<&response::Parts>) {
        self.record(response);
    }

    fn record(&mut self, response: Option<&response::Parts>) {
        self.ended = true;
        if let Some(event) = (self.layer.describe)(&Seen { request: &self.request, response }) {
            self.layer.recorder.record(&event);
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        match self.ended {
            true => {}
            // A second panic would end the process.
            false if std::thread::panicking() => self.layer.recorder.given_up(),
            false => self.record(None),
        }
    }
}
