//! A request's body on its way to the upstream.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::sync::oneshot;
use tokio::time::{Sleep, sleep};

use crate::kept::{Failed, Tee};

/// How long an upstream has for saying that it wants the body of a request with `Expect: 100-continue`. Clients wait about
/// as long before they send it unasked.
const CONTINUE_WITHIN: Duration = Duration::from_secs(1);

/// The body of a request, passed on as it arrives and as fast as the upstream takes it.
pub struct Outgoing(Option<Passing>);

struct Passing {
    body: Incoming,
    tee: Arc<Tee>,
    pause: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
    gate: Option<Gate>,
}

/// Holds a body back until the upstream wants it.
struct Gate {
    opened: oneshot::Receiver<()>,
    patience: Pin<Box<Sleep>>,
}

/// Why a request's body ended early. Ends the connection to the upstream, so that it does not take the part for the whole.
#[derive(Debug, thiserror::Error)]
pub enum OutgoingError {
    /// The client's connection.
    #[error("the body of the request broke off")]
    Broken(#[source] hyper::Error),
    /// The client's patience with us.
    #[error("the body of the request stopped coming")]
    Stalled,
}

impl Outgoing {
    /// Passes `body` on; the client may pause for at most `pause`.
    pub fn new(body: Incoming, tee: Arc<Tee>, pause: Duration) -> Self {
        if body.is_end_stream() {
            tee.end();
            return Self::none();
        }
        Self(Some(Passing { body, tee, pause, waiting: None, gate: None }))
    }

    /// No body.
    pub fn none() -> Self {
        Self(None)
    }

    /// Asks for no byte of the body until the sender is used or gone, or has had its time.
    pub fn wait_for_continue(&mut self) -> oneshot::Sender<()> {
        let (open, opened) = oneshot::channel();
        if let Some(passing) = &mut self.0 {
            passing.gate = Some(Gate { opened, patience: Box::pin(sleep(CONTINUE_WITHIN)) });
        }
        open
    }
}

impl Passing {
    fn poll_gate(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(gate) = &mut self.gate {
            if Pin::new(&mut gate.opened).poll(cx).is_pending() {
                ready!(gate.patience.as_mut().poll(cx));
            }
            self.gate = None;
        }
        Poll::Ready(())
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = OutgoingError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, OutgoingError>>> {
        let Some(this) = &mut self.0 else { return Poll::Ready(None) };
        ready!(this.poll_gate(cx));
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.waiting = None;
                if let Some(data) = frame.data_ref() {
                    this.tee.pass(data);
                }
                if this.body.is_end_stream() || frame.is_trailers() {
                    this.tee.end();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(cause))) => {
                this.tee.fail(Failed::Broken);
                Poll::Ready(Some(Err(OutgoingError::Broken(cause))))
            }
            Poll::Ready(None) => {
                this.tee.end();
                Poll::Ready(None)
            }
            Poll::Pending => {
                let pause = this.pause;
                let waiting = this.waiting.get_or_insert_with(|| Box::pin(sleep(pause)));
                ready!(waiting.as_mut().poll(cx));
                this.tee.fail(Failed::Stalled);
                Poll::Ready(Some(Err(OutgoingError::Stalled)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|passing| passing.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), |passing| passing.body.size_hint())
    }
}
