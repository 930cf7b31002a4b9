//! A request on its way to its upstream, which may outlast its client.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Gateway, Served};
use crate::answer::Passing;
use crate::call::Call;
use crate::client::{Lease, SendError};
use crate::gate::Gatekeeper;
use crate::kept::Tee;
use crate::outgoing::Outgoing;

/// How long an answer is waited for after its client has gone, so that its record says how the call ended.
const LINGER: Duration = Duration::from_secs(5);

/// An error and its causes in one line. They tell of connections, never of what was sent.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

type Outcome = Result<(Response<Incoming>, Lease), SendError>;

/// A request on its way. Should its client go away when all of the request has passed, the answer is waited for a while,
/// because what it says of the call belongs into the record.
pub(super) struct Sending {
    answer: Option<Pin<Box<dyn Future<Output = Outcome> + Send>>>,
    sent: Arc<Tee>,
    rest: Option<(Call, OwnedSemaphorePermit)>,
    running: TaskTracker,
    give_up: CancellationToken,
}

impl Sending {
    /// Sends `request`; `call` and `place` come back with the answer.
    pub(super) fn new(
        gateway: &Gateway,
        served: Arc<Served>,
        request: Request<Outgoing>,
        (sent, gate): (Arc<Tee>, Option<Gatekeeper>),
        call: Call,
        place: OwnedSemaphorePermit,
    ) -> Self {
        let (running, give_up) = (gateway.running.clone(), gateway.give_up.clone());
        let tee = Arc::clone(&sent);
        let answer = async move {
            match &served.way {
                Some((_, client)) => client.send(request, tee, gate).await,
                None => Err(SendError::Busy),
            }
        };
        Self { answer: Some(Box::pin(answer)), sent, rest: Some((call, place)), running, give_up }
    }
}

impl Future for Sending {
    type Output = (Outcome, Call, OwnedSemaphorePermit);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let answer = this.answer.as_mut().expect("a future is not polled after it was ready");
        let outcome = ready!(answer.as_mut().poll(cx));
        this.answer = None;
        let (call, place) = this.rest.take().expect("a future is not polled after it was ready");
        Poll::Ready((outcome, call, place))
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        let (Some(answer), Some((mut call, place))) = (self.answer.take(), self.rest.take()) else { return };
        if !self.sent.has_ended() || tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        let give_up = self.give_up.clone();
        self.running.spawn(async move {
            let answer = tokio::select! {
                answer = timeout(LINGER, answer) => answer,
                () = give_up.cancelled() => return,
            };
            match answer {
                Ok(Ok((response, lease))) => {
                    call.answered_by(&response);
                    // Dropped at once: what is short is read to its end for the record.
                    drop(Passing::new(response.into_body(), call, lease, LINGER, false, false, place));
                }
                Ok(Err(error)) => drop(call.broken(with_causes(&error))),
                Err(_) => drop(call),
            }
        });
    }
}
