//! A body that is received: it may not pause for too long, and it is known whether it was asked for.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Sleep, sleep};

/// The sender of a body stopped in the middle.
#[derive(Debug, thiserror::Error)]
#[error("the sender of the body stopped in the middle")]
pub(crate) struct Stalled;

/// A body that must not pause for too long.
pub(super) struct Paced {
    inner: Incoming,
    pause: Duration,
    deadline: Option<Pin<Box<Sleep>>>,
    /// Set when a body that is not empty is asked for: then the HTTP library tells the client to go on.
    continued: Arc<AtomicBool>,
}

impl Paced {
    pub(super) fn new(inner: Incoming, pause: Duration, continued: Arc<AtomicBool>) -> Self {
        Self { inner, pause, deadline: None, continued }
    }
}

impl Body for Paced {
    type Data = Bytes;
    type Error = s3s::StdError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if !self.inner.is_end_stream() {
            self.continued.store(true, Ordering::Relaxed);
        }
        match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(frame) => {
                self.deadline = None;
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
            Poll::Pending => {
                let pause = self.pause;
                let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(pause)));
                match deadline.as_mut().poll(cx) {
                    Poll::Ready(()) => Poll::Ready(Some(Err(Box::new(Stalled)))),
                    Poll::Pending => Poll::Pending,
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
