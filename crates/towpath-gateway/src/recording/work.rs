//! Decoding: from a finished call to its records, on threads of its own.
//!
//! Most callers are known from memory. A call whose key must be asked for elsewhere waits for the answer in a task and
//! then comes back to a thread.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use towpath_admit::UserIdentity;
use towpath_capture::{CapturedRecord, Exchange};

use super::gap::Gaps;
use super::room::Taken;
use super::ticket::NotDurable;
use super::upstream::{RecordedUpstream, Routed};
use super::{Gap, Reason, Shared};
use crate::identity::Identified;

/// Turns calls into records.
pub trait Describe: Send + Sync + 'static {
    /// The records of a call; none if the call is of a kind that is not recorded.
    fn records(&self, exchange: &Exchange, routed: &Routed, caller: UserIdentity) -> Vec<CapturedRecord>;
}

/// A finished call on its way to its records.
pub(super) struct Job {
    pub(super) upstream: Arc<RecordedUpstream>,
    pub(super) exchange: Box<Exchange>,
    pub(super) routed: Routed,
    pub(super) waiting: Waiting,
    /// Set when the caller was asked for elsewhere.
    pub(super) caller: Option<UserIdentity>,
}

/// The records of one call, or of a gap: durable together.
pub(super) struct Group {
    pub(super) records: Vec<CapturedRecord>,
    pub(super) waiting: Waiting,
}

/// Who waits for records to be durable. Dropped before they are, the call counts as lost.
pub(super) struct Waiting {
    gaps: Arc<Gaps>,
    what: Option<What>,
    // True once the records may be somewhere else.
    handed_over: bool,
}

enum What {
    Call {
        upstream: Arc<RecordedUpstream>,
        began: Timestamp,
        // Held, not read: the room is given back when the records are durable.
        _taken: Taken,
        tell: Option<oneshot::Sender<Result<(), NotDurable>>>,
    },
    Gap(Gap),
}

impl Waiting {
    pub(super) fn call(
        gaps: Arc<Gaps>,
        upstream: Arc<RecordedUpstream>,
        began: Timestamp,
        taken: Taken,
        tell: Option<oneshot::Sender<Result<(), NotDurable>>>,
    ) -> Self {
        let what = Some(What::Call { upstream, began, _taken: taken, tell });
        Self { gaps, what, handed_over: false }
    }

    pub(super) fn gap(gaps: Arc<Gaps>, gap: Gap) -> Self {
        gaps.telling(true);
        Self { gaps, what: Some(What::Gap(gap)), handed_over: false }
    }

    /// True if a call's answer waits for the records.
    pub(super) fn is_awaited(&self) -> bool {
        matches!(self.what, Some(What::Call { tell: Some(_), .. }))
    }

    /// The records are about to leave. The tally is to be noted before they do.
    pub(super) fn hand_over(&mut self) {
        if std::mem::replace(&mut self.handed_over, true) {
            return;
        }
        match &self.what {
            Some(What::Call { upstream, .. }) => self.gaps.tally.settle(&upstream.name, 1),
            Some(What::Gap(gap)) => self.gaps.tally.settle(&gap.upstream, gap.at_least),
            None => {}
        }
    }

    /// The records are durable.
    pub(super) fn durable(mut self) {
        // A call of a kind that is not recorded has nothing to hand over.
        self.hand_over();
        match self.what.take() {
            // Who no longer waits has gone away.
            Some(What::Call { tell: Some(tell), .. }) => drop(tell.send(Ok(()))),
            Some(What::Gap(_)) => self.gaps.telling(false),
            _ => {}
        }
    }

    /// The log will never take the records.
    pub(super) fn refused(mut self) {
        match self.what.take() {
            Some(What::Call { upstream, began, tell, .. }) => {
                if self.handed_over {
                    self.gaps.tally.unsettle(&upstream.name);
                }
                self.gaps.lost(&upstream, 1, began, Reason::Refused);
                if let Some(tell) = tell {
                    let _ = tell.send(Err(NotDurable::Refused));
                }
            }
            Some(What::Gap(gap)) => {
                self.gaps.telling(false);
                metrics::counter!("towpath_gateway_gap_records_refused_total").increment(1);
                tracing::error!(upstream = %gap.upstream, at_least = gap.at_least, "the log refuses a gap record");
            }
            None => {}
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        match self.what.take() {
            Some(What::Call { upstream, began, tell, .. }) => {
                // What was handed over may be durable: that it is missing is not claimed.
                self.gaps.lost(&upstream, u64::from(!self.handed_over), began, Reason::Stopped);
                if let Some(tell) = tell {
                    let _ = tell.send(Err(NotDurable::Stopped));
                }
            }
            Some(What::Gap(gap)) => {
                self.gaps.put_back(gap);
                self.gaps.telling(false);
            }
            None => {}
        }
    }
}

/// Decodes until the recording is closed and nothing is left.
pub(super) fn run(shared: &Arc<Shared>, mut jobs: mpsc::UnboundedReceiver<Job>, runtime: &tokio::runtime::Handle) {
    while let Some(mut job) = jobs.blocking_recv() {
        let caller = match job.caller.take() {
            Some(caller) => caller,
            None => match shared.identities.identify(&job.upstream, &job.exchange, &job.routed) {
                Identified::Known(caller) => *caller,
                Identified::Ask(ask) => {
                    let shared = shared.clone();
                    runtime.spawn(async move {
                        job.caller = Some(shared.identities.ask(ask).await);
                        shared.submit(job);
                    });
                    continue;
                }
            },
        };
        let records = shared.describe.records(&job.exchange, &job.routed, caller);
        if records.is_empty() {
            job.waiting.durable();
            continue;
        }
        shared.write(Group { records, waiting: job.waiting });
    }
}
