//! An answer's body on its way to the client.
//!
//! Bytes pass as they come and as fast as the client takes them. Where a record must be durable before the answer is told,
//! the last of it is held until it is.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Sleep, sleep, timeout};
use towpath_port::Running;

use crate::call::Call;
use crate::client::Lease;
use crate::recording::Acknowledgement;

/// How long the end of an answer waits for its record.
pub const DURABLE_WITHIN: Duration = Duration::from_secs(30);

/// How long the rest of a short answer is waited for after its client has gone, so that the record has all of it.
const REST_WITHIN: Duration = Duration::from_secs(2);

/// Up to this many announced bytes, an answer is short: it is told in one piece, once its record is durable where that is
/// wanted.
pub const SHORT: u64 = 64 << 10;

/// The body of an answer.
pub struct AnswerBody {
    form: Form,
    /// Tells the connection's watch that a request is running.
    _running: Option<Running>,
}

enum Form {
    /// A body that is there already, with what trails it; with an error if it ends early.
    Whole { bytes: Option<Bytes>, trailers: Option<HeaderMap>, broken: Option<Breaking> },
    /// A body that comes from the upstream.
    Passing(Box<Passing>),
}

/// A body that passes.
pub struct Passing {
    /// Gone once the client has gone.
    body: Option<Incoming>,
    call: Option<Call>,
    lease: Option<Lease>,
    /// Its place among the requests that are worked on.
    place: Option<OwnedSemaphorePermit>,
    /// The longest silence; zero for any.
    pause: Duration,
    /// Whether the end waits for the record.
    durable: bool,
    /// The announced bytes that have not come yet, if a length was announced.
    rest: Option<u64>,
    /// Whether trailers may follow all of the announced bytes, as in HTTP/2.
    trails: bool,
    /// The last of the announced bytes, until it is known whether trailers follow.
    filled: Option<Frame<Bytes>>,
    waiting: Option<Pin<Box<Sleep>>>,
    held: Option<Held>,
    breaking: Option<Breaking>,
    ended: bool,
}

struct Held {
    last: Last,
    recorded: Pin<Box<dyn Future<Output = bool> + Send>>,
}

/// The last frames of an answer, in their order.
#[derive(Default)]
struct Last(Option<Frame<Bytes>>, Option<Frame<Bytes>>);

/// Why an answer ends early. Ends the client's connection, so that the client does not take the part for the whole.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// The upstream's connection.
    #[error("the upstream broke off its answer")]
    Broken,
    /// The upstream's silence.
    #[error("the upstream stopped sending its answer")]
    Stalled,
    /// The record.
    #[error("the record of the call is not durable")]
    NotRecorded,
}

/// An error that waits a turn, so that what came before it is written: the HTTP library drops what it has not written
/// when a body fails.
struct Breaking {
    error: Option<AnswerError>,
    waited: bool,
}

impl Breaking {
    fn of(error: AnswerError) -> Self {
        Self { error: Some(error), waited: false }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<AnswerError>> {
        if !std::mem::replace(&mut self.waited, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(self.error.take())
    }
}

impl AnswerBody {
    /// A body that is there.
    pub fn whole(bytes: Bytes) -> Self {
        Self {
            form: Form::Whole { bytes: Some(bytes).filter(|bytes| !bytes.is_empty()), trailers: None, broken: None },
            _running: None,
        }
    }

    /// A body that is there, and what trails it.
    pub fn gathered(gathered: Gathered) -> Self {
        let Gathered { bytes, trailers, whole } = gathered;
        if !whole {
            return Self::broken(bytes);
        }
        let bytes = Some(bytes).filter(|bytes| !bytes.is_empty());
        Self { form: Form::Whole { bytes, trailers, broken: None }, _running: None }
    }

    /// The first part of a body whose rest will not come.
    fn broken(bytes: Bytes) -> Self {
        let broken = Some(Breaking::of(AnswerError::Broken));
        let bytes = Some(bytes).filter(|bytes| !bytes.is_empty());
        Self { form: Form::Whole { bytes, trailers: None, broken }, _running: None }
    }

    /// A body that passes.
    pub fn passing(passing: Passing) -> Self {
        Self { form: Form::Passing(Box::new(passing)), _running: None }
    }

    /// Holds `running` until the body is over.
    pub fn running(mut self, running: Running) -> Self {
        self._running = Some(running);
        self
    }
}

/// An answer that was taken in.
pub struct Gathered {
    bytes: Bytes,
    trailers: Option<HeaderMap>,
    whole: bool,
}

impl Passing {
    /// Passes `body` on. The upstream may be silent for `pause`; the end waits for the record if `durable`. `trails` says
    /// whether trailers may follow all of the announced bytes.
    pub fn new(
        body: Incoming,
        call: Call,
        lease: Lease,
        pause: Duration,
        durable: bool,
        trails: bool,
        place: OwnedSemaphorePermit,
    ) -> Self {
        let rest = body.size_hint().exact();
        Self {
            body: Some(body),
            call: Some(call),
            lease: Some(lease),
            place: Some(place),
            pause,
            durable,
            rest,
            trails,
            filled: None,
            waiting: None,
            held: None,
            breaking: None,
            ended: false,
        }
    }

    /// Takes in all of a body that is known to be short. Nothing is passed on.
    pub async fn gather(mut self) -> (Gathered, Option<Acknowledgement>) {
        let (mut bytes, mut trailers) = (Vec::new(), None);
        let whole = loop {
            match std::future::poll_fn(|cx| self.poll_upstream(cx)).await {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => bytes.extend_from_slice(&data),
                    Err(other) => trailers = other.into_trailers().ok(),
                },
                Some(Err(_)) => break false,
                None => break true,
            }
        };
        let acknowledgement = self.close(whole);
        (Gathered { bytes: bytes.into(), trailers, whole }, acknowledgement)
    }

    /// The next frame from the upstream, noted for the record.
    fn poll_upstream(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, AnswerError>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        match Pin::new(body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.waiting = None;
                if let Some(data) = frame.data_ref() {
                    if let Some(got) = self.call.as_mut().and_then(Call::got) {
                        got.pass(data);
                    }
                    self.rest = self.rest.map(|rest| rest.saturating_sub(data.len() as u64));
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(_))) => Poll::Ready(Some(Err(AnswerError::Broken))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending if self.pause.is_zero() => Poll::Pending,
            Poll::Pending => {
                let pause = self.pause;
                let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(pause)));
                ready!(waiting.as_mut().poll(cx));
                Poll::Ready(Some(Err(AnswerError::Stalled)))
            }
        }
    }

    /// True if no further frame can come.
    fn is_last(&self) -> bool {
        (self.rest == Some(0) && !self.trails) || self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    /// Hands the call over to the recording.
    fn close(&mut self, whole: bool) -> Option<Acknowledgement> {
        let mut call = self.call.take()?;
        if let Some(got) = call.got() {
            if whole { got.end() } else { got.fall_short() }
        }
        if whole && let Some(lease) = self.lease.take() {
            lease.give_back();
        }
        call.finish()
    }

    /// The answer is over but for `last`.
    fn end(&mut self, last: Last) -> Option<Frame<Bytes>> {
        let acknowledgement = self.close(true);
        match acknowledgement.filter(|_| self.durable) {
            Some(acknowledgement) => {
                let recorded = async { matches!(timeout(DURABLE_WITHIN, acknowledgement.durable()).await, Ok(Ok(()))) };
                self.held = Some(Held { last, recorded: Box::pin(recorded) });
                None
            }
            None => self.tell(last),
        }
    }

    /// The first of the last frames; the other one follows.
    fn tell(&mut self, Last(first, second): Last) -> Option<Frame<Bytes>> {
        self.ended = true;
        match first {
            Some(_) => {
                self.filled = second;
                first
            }
            None => second,
        }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, AnswerError>>> {
        loop {
            if let Some(held) = &mut self.held {
                let recorded = ready!(held.recorded.as_mut().poll(cx));
                let last = self.held.take().map(|held| held.last).unwrap_or_default();
                if recorded {
                    return Poll::Ready(self.tell(last).map(Ok));
                }
                self.breaking = Some(Breaking::of(AnswerError::NotRecorded));
            }
            if let Some(breaking) = &mut self.breaking {
                return breaking.poll(cx).map(|error| error.map(Err));
            }
            if self.ended {
                return Poll::Ready(self.filled.take().map(Ok));
            }
            let last = match ready!(self.poll_upstream(cx)) {
                Some(Ok(frame)) if frame.is_data() && !self.is_last() => {
                    // With all announced bytes a client may think that it has the whole answer.
                    if self.durable && self.rest == Some(0) && self.filled.is_none() {
                        self.filled = Some(frame);
                        continue;
                    }
                    return Poll::Ready(Some(Ok(frame)));
                }
                Some(Ok(last)) => Some(last),
                Some(Err(error)) => {
                    drop(self.close(false));
                    self.breaking = Some(Breaking::of(error));
                    continue;
                }
                None => None,
            };
            let last = match self.filled.take() {
                None => Last(last, None),
                filled => Last(filled, last),
            };
            if let Some(last) = self.end(last) {
                return Poll::Ready(Some(Ok(last)));
            }
        }
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        // The client has gone. If little is missing, it is worth knowing how the call ended.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if self.rest.is_none_or(|rest| rest > SHORT) {
            return;
        }
        let (Some(call), Some(lease)) = (self.call.take(), self.lease.take()) else { return };
        let (Some(body), Some(place)) = (self.body.take(), self.place.take()) else { return };
        let rest = Self::new(body, call, lease, REST_WITHIN, false, self.trails, place);
        runtime.spawn(async move { drop(timeout(REST_WITHIN, rest.gather()).await) });
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = AnswerError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, AnswerError>>> {
        match &mut self.form {
            Form::Passing(passing) => passing.poll_frame(cx),
            Form::Whole { bytes, trailers, broken } => match (bytes.take(), broken) {
                (Some(bytes), _) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
                (None, Some(broken)) => broken.poll(cx).map(|error| error.map(Err)),
                (None, None) => Poll::Ready(trailers.take().map(|trailers| Ok(Frame::trailers(trailers)))),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.form {
            Form::Passing(passing) => passing.ended && passing.filled.is_none(),
            Form::Whole { bytes, trailers, broken } => bytes.is_none() && trailers.is_none() && broken.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.form {
            Form::Passing(passing) => passing.body.as_ref().map_or_else(SizeHint::default, Body::size_hint),
            Form::Whole { broken: Some(_), .. } => SizeHint::default(),
            Form::Whole { bytes, .. } => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
        }
    }
}
