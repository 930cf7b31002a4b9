//! A request's body on its way to the upstream.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Sleep, sleep};

use crate::gate::{Gate, Gatekeeper, Passage};
use crate::kept::{Failed, Tee};
use crate::proving::Proving;
use crate::verify::{BodyProof, Forged, Opening};

/// The body of a request, passed on as it arrives and as fast as the upstream takes it.
pub struct Outgoing(Option<Passing>);

struct Passing {
    // Gone once it is known that nobody wants it, which tells the client's connection.
    body: Option<Incoming>,
    tee: Arc<Tee>,
    pause: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
    gate: Option<Gate>,
    proving: Option<Proving>,
    taken_in: TakenIn,
}

/// What of a body was taken in before its head could pass.
#[derive(Default)]
struct TakenIn {
    // Copied together: a slice of a connection's read buffer, however small, would hold on to all of it.
    bytes: BytesMut,
    trailers: Option<Frame<Bytes>>,
    // That is all of it.
    whole: bool,
    // Given back when the request has passed.
    room: Option<OwnedSemaphorePermit>,
}

impl TakenIn {
    fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.trailers.is_none()
    }

    fn pop(&mut self) -> Option<Frame<Bytes>> {
        match self.bytes.is_empty() {
            false => Some(Frame::data(self.bytes.split().freeze())),
            true => self.trailers.take(),
        }
    }
}

/// Why a request does not pass.
#[derive(Debug, thiserror::Error)]
pub enum NotOpened {
    /// Its signature.
    #[error(transparent)]
    Forged(#[from] Forged),
    /// Its body.
    #[error(transparent)]
    Body(#[from] OutgoingError),
    /// Other requests, which are taken in as well.
    #[error("there is no room for the body of the request")]
    Full,
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
    /// The upstream's lack of interest.
    #[error("the upstream answered without the body of the request")]
    Unwanted,
    /// The caller's signature.
    #[error("the body of the request is not the one that was signed")]
    Forged,
}

impl Outgoing {
    /// Passes `body` on; the client may pause for at most `pause`.
    pub fn new(body: Incoming, tee: Arc<Tee>, pause: Duration) -> Self {
        if body.is_end_stream() {
            tee.end();
            return Self::none();
        }
        Self(Some(Passing {
            body: Some(body),
            tee,
            pause,
            waiting: None,
            gate: None,
            proving: None,
            taken_in: TakenIn::default(),
        }))
    }

    /// No body.
    pub fn none() -> Self {
        Self(None)
    }

    /// Lets the end of the body pass only when all of it has been proven. An empty body must have been proven before.
    pub fn prove(&mut self, proof: BodyProof) {
        if let Some(passing) = &mut self.0 {
            passing.proving = Some(Proving::new(proof));
        }
    }

    /// Takes in what of the body proves its head, before anything passes.
    ///
    /// # Errors
    /// It proves that the head is forged, or it does not come; or there is no room.
    pub async fn open(&mut self, mut opening: Opening) -> Result<(), NotOpened> {
        let Some(passing) = &mut self.0 else { return Ok(opening.finish()?) };
        loop {
            let Some(frame) = poll_fn(|cx| passing.poll_body(cx)).await.transpose()? else {
                opening.finish()?;
                passing.taken_in.whole = true;
                return Ok(());
            };
            let Some(data) = frame.data_ref() else {
                passing.taken_in.trailers = Some(frame);
                continue;
            };
            let room = opening.room_for(data).ok_or(NotOpened::Full)?;
            match &mut passing.taken_in.room {
                Some(taken) => taken.merge(room),
                none => *none = Some(room),
            }
            passing.taken_in.bytes.extend_from_slice(data);
            if opening.pass(data)? {
                return Ok(());
            }
        }
    }

    /// Asks for no byte of the body until the gate is opened.
    pub fn wait_at(&mut self, keeper: Gatekeeper) {
        if let Some(passing) = &mut self.0 {
            passing.gate = Some(Gate::new(keeper));
        }
    }
}

impl Passing {
    fn poll_gate(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), OutgoingError>> {
        let Some(gate) = &mut self.gate else { return Poll::Ready(Ok(())) };
        match gate.poll(cx) {
            Passage::Open => {
                self.gate = None;
                Poll::Ready(Ok(()))
            }
            Passage::Waiting => Poll::Pending,
            Passage::Unwanted => {
                self.body = None;
                Poll::Pending
            }
            Passage::Over => Poll::Ready(Err(OutgoingError::Unwanted)),
        }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = OutgoingError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, OutgoingError>>> {
        let Some(this) = &mut self.0 else { return Poll::Ready(None) };
        if let Err(error) = ready!(this.poll_gate(cx)) {
            return Poll::Ready(Some(Err(error)));
        }
        if let Some(frame) = this.taken_in.pop() {
            return Poll::Ready(Some(Ok(frame)));
        }
        if this.taken_in.whole {
            return Poll::Ready(None);
        }
        loop {
            if let Some(proving) = &mut this.proving {
                if let Some(frame) = proving.pop() {
                    return Poll::Ready(Some(Ok(frame)));
                }
                if proving.is_over() {
                    return Poll::Ready(None);
                }
            }
            let next = ready!(this.poll_body(cx));
            let Some(proving) = &mut this.proving else { return Poll::Ready(next) };
            let proven = match next {
                Some(Ok(frame)) => proving.push(frame),
                None => proving.end(),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            };
            if proven.is_err() {
                this.tee.fail(Failed::Forged);
                return Poll::Ready(Some(Err(OutgoingError::Forged)));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|passing| match &passing.proving {
            _ if !passing.taken_in.is_empty() => false,
            _ if passing.taken_in.whole => true,
            Some(proving) => proving.is_over(),
            None => passing.body.as_ref().is_some_and(Incoming::is_end_stream),
        })
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            None => SizeHint::with_exact(0),
            // What is held back, or was taken in, does not count in the body's own hint.
            Some(Passing { proving: Some(_), .. }) => SizeHint::default(),
            Some(Passing { taken_in, .. }) if taken_in.room.is_some() => SizeHint::default(),
            Some(passing) => passing.body.as_ref().map_or_else(SizeHint::default, Incoming::size_hint),
        }
    }
}

impl Passing {
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, OutgoingError>>> {
        let this = self;
        let Some(body) = &mut this.body else { return Poll::Ready(Some(Err(OutgoingError::Unwanted))) };
        match Pin::new(&mut *body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.waiting = None;
                if let Some(data) = frame.data_ref() {
                    this.tee.pass(data);
                }
                if body.is_end_stream() || frame.is_trailers() {
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
}
