//! Calls that have no record, counted for the gap record that tells of them and for `/metrics`.

use std::ops::Deref;
use std::sync::Arc;

use jiff::Timestamp;
use towpath_gap::{Gap, Reason};

use super::measure;
use super::upstream::RecordedUpstream;

/// The gaps of a recording.
pub(super) struct Gaps(towpath_gap::Gaps);

impl Gaps {
    /// What an earlier run left is in `gaps` already.
    pub(super) const fn new(gaps: towpath_gap::Gaps) -> Self {
        Self(gaps)
    }

    /// Has the disk know the open gaps and, if one is given, up to when all was durable.
    pub(super) async fn keep_for_good(self: &Arc<Self>, durable_until: Option<Timestamp>) {
        let this = Arc::clone(self);
        // Should that fail, what is told may be told again after a crash.
        if let Ok(Err(cause)) = tokio::task::spawn_blocking(move || this.keep(durable_until)).await {
            tracing::warn!(%cause, "cannot note which calls have no record, and up to when all is durable");
        }
    }

    /// Has the next start tell the gaps that are open. `all_counted` says that no call is without a record but theirs.
    pub(super) async fn leave(self: &Arc<Self>, all_counted: bool) {
        let this = Arc::clone(self);
        let left = move || if all_counted { this.stop() } else { this.keep(None) };
        if let Ok(Err(cause)) = tokio::task::spawn_blocking(left).await {
            tracing::warn!(%cause, "cannot note which calls have no record");
        }
    }

    /// Counts calls of an upstream, of which the first began at `at`.
    pub(super) fn lost(&self, upstream: &RecordedUpstream, calls: u64, at: Timestamp, reason: Reason) {
        measure::lost(&upstream.name, reason, calls);
        self.put_back(Gap {
            upstream: upstream.name.clone(),
            account: upstream.account,
            region: upstream.region.clone(),
            reason,
            from: at,
            to: at,
            at_least: calls,
        });
    }
}

impl Deref for Gaps {
    type Target = towpath_gap::Gaps;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}
