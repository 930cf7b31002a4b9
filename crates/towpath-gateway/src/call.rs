//! A call on its way: everything that its record will need, and the promise that the record is made.

use std::net::IpAddr;
use std::sync::Arc;

use http::{Uri, request, response};
use jiff::Timestamp;
use towpath_capture::{Body, Ending, Exchange, Request, Response, Tls};
use towpath_model::Clock;

use crate::headers::{compact, drop_listed};
use crate::kept::{Kept, Tee};
use crate::recording::{Acknowledgement, Routed, Ticket};
use crate::refusal::Refusal;

/// A call that was begun. However it ends, even by being dropped, it is recorded, once.
pub struct Call(Option<Begun>);

/// Who calls, over which connection.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The address.
    pub peer: IpAddr,
    /// The encryption of the connection, if it is encrypted.
    pub tls: Option<Tls>,
}

struct Begun {
    ticket: Ticket,
    routed: Routed,
    request: request::Parts,
    sent: Arc<Tee>,
    caller: Caller,
    began: Timestamp,
    clock: Arc<dyn Clock>,
    // Set once the head of the answer is there.
    answer: Option<response::Parts>,
    got: Kept,
}

impl Call {
    /// Begins a call. `keep` bounds what is kept of bodies: of the request, of the answer.
    pub fn begin(
        ticket: Ticket,
        routed: Routed,
        request: &request::Parts,
        caller: Caller,
        clock: Arc<dyn Clock>,
        keep: crate::upstream::Kept,
    ) -> Self {
        let recorded = ticket.is_recorded();
        let bound = |bytes: usize| if recorded { bytes } else { 0 };
        Self(Some(Begun {
            ticket,
            routed,
            request: copy(request),
            sent: Arc::new(Tee::new(bound(keep.request))),
            caller,
            began: clock.now(),
            clock,
            answer: None,
            got: Kept::new(bound(keep.response)),
        }))
    }

    /// What is kept of the request's body.
    pub fn sent(&self) -> Arc<Tee> {
        self.0.as_ref().map_or_else(|| Arc::new(Tee::new(0)), |begun| Arc::clone(&begun.sent))
    }

    /// Takes note of the head of the answer.
    pub fn answered_by<B>(&mut self, answer: &http::Response<B>) {
        if let Some(begun) = &mut self.0 {
            let mut copied = http::Response::new(()).into_parts().0;
            copied.status = answer.status();
            copied.version = answer.version();
            copied.headers = compact(answer.headers());
            if may_be_events(&copied.headers) {
                begun.got.read_along();
            }
            begun.answer = Some(copied);
        }
    }

    /// What is kept of the answer's body.
    pub fn got(&mut self) -> Option<&mut Kept> {
        self.0.as_mut().map(|begun| &mut begun.got)
    }

    /// The answer has passed.
    pub fn finish(mut self) -> Option<Acknowledgement> {
        let begun = self.0.take()?;
        begun.finish(None)
    }

    /// The gateway answers in the upstream's place.
    pub fn refused(mut self, refusal: &Refusal) -> Option<Acknowledgement> {
        let ending = Ending::Refused { code: refusal.code.to_owned(), message: refusal.message.clone() };
        self.0.take()?.finish(Some(ending))
    }

    /// No answer came.
    pub fn broken(mut self, reason: impl Into<String>) -> Option<Acknowledgement> {
        self.0.take()?.finish(Some(Ending::Broken { reason: reason.into() }))
    }
}

impl Begun {
    fn finish(self, ending: Option<Ending>) -> Option<Acknowledgement> {
        if !self.ticket.is_recorded() {
            return None;
        }
        let ending = ending.unwrap_or_else(|| match self.answer {
            Some(head) => Ending::Answered(Response { head, body: self.got.into_body() }),
            None => Ending::Broken { reason: "the client went away before the answer came".to_owned() },
        });
        let body = match self.request.headers.contains_key(http::header::UPGRADE) {
            // A conversation in another protocol: what passed is counted with the answer.
            true => Body { whole: true, ..self.sent.take() },
            false => self.sent.take(),
        };
        let exchange = Exchange {
            request: Request { head: self.request, body },
            ending,
            began: self.began,
            ended: self.clock.now(),
            peer: self.caller.peer,
            tls: self.caller.tls,
        };
        Some(self.ticket.finish(exchange, self.routed))
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if let Some(begun) = self.0.take() {
            // Nobody is left who could wait for the acknowledgement.
            drop(begun.finish(None));
        }
    }
}

/// True for an answer that may be a stream of events: it says so, or says neither how long it is nor what it is, as S3's.
fn may_be_events(headers: &http::HeaderMap) -> bool {
    let plain = !headers.contains_key(http::header::CONTENT_ENCODING);
    let kind = headers.get(http::header::CONTENT_TYPE).map(http::HeaderValue::as_bytes);
    let named = kind.is_some_and(|kind| kind.starts_with(b"application/vnd.amazon.eventstream"));
    let unsaid = kind.is_none_or(|kind| kind.starts_with(b"application/octet-stream"));
    plain && (named || (unsaid && !headers.contains_key(http::header::CONTENT_LENGTH)))
}

/// A copy of a head that holds on to none of the connection's memory.
fn copy(head: &request::Parts) -> request::Parts {
    let mut copied = http::Request::new(()).into_parts().0;
    copied.method = head.method.clone();
    copied.version = head.version;
    let text = bytes::Bytes::from(head.uri.to_string());
    copied.uri = Uri::from_maybe_shared(text).unwrap_or_else(|_| head.uri.clone());
    copied.headers = compact(&head.headers);
    drop_listed(&mut copied.headers);
    copied
}
