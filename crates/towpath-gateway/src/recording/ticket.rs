//! A call's place in the recording, from before it is forwarded until its record is durable.

use std::sync::Arc;

use tokio::sync::oneshot;
use towpath_capture::Exchange;

use super::room::Taken;
use super::upstream::{RecordedUpstream, Routed};
use super::work::{Job, Waiting};
use super::{Reason, Shared};

/// Why a call must be refused: it could not be recorded, and its upstream is `fail-closed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unrecordable {
    /// As many records as may wait are waiting.
    #[error("the call cannot be recorded: too many records are waiting for the log")]
    Full,
    /// The gateway is stopping.
    #[error("the call cannot be recorded: the gateway is stopping")]
    Stopping,
}

/// Why an acknowledgement will never come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotDurable {
    /// The log refuses the record, and will whenever it is sent.
    #[error("the log refuses the record of the call")]
    Refused,
    /// The gateway stopped before the record was durable.
    #[error("the gateway stopped before the record of the call was durable")]
    Stopped,
}

/// The room that was taken for one call's record. Dropped without [`Ticket::finish`], the call counts as not recorded.
#[must_use = "a ticket that is dropped is a call that was not recorded"]
pub struct Ticket {
    shared: Arc<Shared>,
    upstream: Arc<RecordedUpstream>,
    // None for a call that passes without being recorded, and after finish.
    taken: Option<Taken>,
    began: jiff::Timestamp,
}

impl Ticket {
    pub(super) fn new(shared: Arc<Shared>, upstream: Arc<RecordedUpstream>, taken: Option<Taken>) -> Self {
        let began = shared.clock.now();
        Self { shared, upstream, taken, began }
    }

    /// False if the call passes without being recorded (`fail-open` and no room): its bodies need not be kept. It has
    /// been counted for the gap record already.
    pub const fn is_recorded(&self) -> bool {
        self.taken.is_some()
    }

    /// Hands the call over. Returns at once: decoding and writing happen elsewhere.
    pub fn finish(mut self, exchange: Exchange, routed: Routed) -> Acknowledgement {
        let Some(mut taken) = self.taken.take() else {
            return Acknowledgement(None);
        };
        taken.grow_to(weight(&exchange));
        self.shared.identities.learn(&self.upstream, &routed, &exchange);
        let (waiting, acknowledgement) = match self.upstream.policy {
            super::Policy::FailClosed => {
                let (tell, told) = oneshot::channel();
                (Some(tell), Acknowledgement(Some(told)))
            }
            super::Policy::FailOpen => (None, Acknowledgement(None)),
        };
        let upstream = self.upstream.clone();
        let waiting = Waiting::call(self.shared.gaps.clone(), upstream.clone(), self.began, taken, waiting);
        self.shared.submit(Job { upstream, exchange: Box::new(exchange), routed, waiting, caller: None });
        acknowledgement
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.taken.take().is_some() {
            self.shared.gaps.lost(&self.upstream, 1, self.began, Reason::Broken);
        }
    }
}

/// The bytes that a finished call keeps in memory, about.
fn weight(exchange: &Exchange) -> usize {
    let answer = match &exchange.ending {
        towpath_capture::Ending::Answered(response) => response.body.kept.len(),
        _ => 0,
    };
    exchange.request.body.kept.len() + answer
}

/// Tells when the record of a call is durable, in the log or in the spill.
#[derive(Debug)]
pub struct Acknowledgement(Option<oneshot::Receiver<Result<(), NotDurable>>>);

impl Acknowledgement {
    /// Waits until the record is durable. At once for `fail-open` upstreams, whose calls wait for nothing.
    ///
    /// May take as long as the log and the spill both do not take records; the caller sets a time limit.
    ///
    /// # Errors
    /// See [`NotDurable`]; what was not recorded is told in a gap record as well.
    pub async fn durable(self) -> Result<(), NotDurable> {
        match self.0 {
            None => Ok(()),
            Some(told) => told.await.unwrap_or(Err(NotDurable::Stopped)),
        }
    }
}
