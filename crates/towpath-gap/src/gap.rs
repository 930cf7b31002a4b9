//! Calls of one upstream that have no record, and the gaps that are still to be told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use towpath_model::{AccountId, Region};

use crate::reason::Reason;

/// Calls of one upstream that have no record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The upstream's name.
    pub upstream: Arc<str>,
    /// The account that the calls would have been events of.
    pub account: AccountId,
    /// The region of the gap record: the upstream's.
    pub region: Region,
    /// Why.
    pub reason: Reason,
    /// When the first of the calls began.
    pub from: Timestamp,
    /// When the last of them began, or when recording went on.
    pub to: Timestamp,
    /// How many they are, at least. 0 where it is not known whether there were any.
    pub at_least: u64,
}

/// Gaps that are open: one at most for each upstream and reason.
#[derive(Debug, Default)]
pub(crate) struct OpenGaps {
    gaps: BTreeMap<(Arc<str>, Reason), Gap>,
    changes: u64,
}

impl OpenGaps {
    /// Opens a gap, or widens the one that is open for the same upstream and reason.
    pub(crate) fn put(&mut self, gap: Gap) {
        self.changes += 1;
        let name = (gap.upstream.clone(), gap.reason);
        match self.gaps.get_mut(&name) {
            None => drop(self.gaps.insert(name, gap)),
            Some(known) => {
                known.from = known.from.min(gap.from);
                known.to = known.to.max(gap.to);
                known.at_least = known.at_least.saturating_add(gap.at_least);
            }
        }
    }

    /// Takes the gaps that nothing was added to for `quiet`, and those that last for `longest` already.
    pub(crate) fn due(&mut self, now: Timestamp, quiet: Duration, longest: Duration) -> Vec<Gap> {
        let since = |at: Timestamp| Duration::try_from(now.duration_since(at)).unwrap_or_default();
        let is_due = |gap: &Gap| since(gap.to) >= quiet || since(gap.from) >= longest;
        let due: Vec<_> = self.gaps.extract_if(.., |_, gap| is_due(gap)).map(|(_, gap)| gap).collect();
        self.changes += due.len() as u64;
        due
    }

    /// Takes all gaps.
    pub(crate) fn take(&mut self) -> Vec<Gap> {
        self.changes += self.gaps.len() as u64;
        std::mem::take(&mut self.gaps).into_values().collect()
    }

    /// The gaps that are open.
    pub(crate) fn all(&self) -> Vec<Gap> {
        self.gaps.values().cloned().collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.gaps.is_empty()
    }

    /// Grows with each change.
    pub(crate) const fn changes(&self) -> u64 {
        self.changes
    }
}
