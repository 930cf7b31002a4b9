//! The layer: an event for each request that was answered.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response, request, response};
use tower_layer::Layer;
use tower_service::Service;

use crate::event::Event;
use crate::recorder::Recorder;

/// A request that was answered.
#[derive(Debug)]
pub struct Seen<'a> {
    /// The request's method, URI, headers and extensions.
    pub request: &'a request::Parts,
    /// The answer's status, headers and extensions; `None` if the service failed.
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
    /// Records by `describe`, which runs as each request has its answer and should be quick.
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
        let kept = head.clone();
        let answering = self.inner.call(Request::from_parts(head, body));
        let layer = self.layer.clone();
        Box::pin(async move {
            let answered = answering.await;
            let (result, head) = match answered {
                Ok(response) => {
                    let (head, body) = response.into_parts();
                    (Ok(Response::from_parts(head.clone(), body)), Some(head))
                }
                Err(error) => (Err(error), None),
            };
            if let Some(event) = (layer.describe)(&Seen { request: &kept, response: head.as_ref() }) {
                layer.recorder.record(&event);
            }
            result
        })
    }
}
