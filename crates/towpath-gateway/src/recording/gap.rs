//! Gaps: calls that passed, or may have, without a record. Counted here until a gap record tells of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use towpath_model::{AccountId, Region};

use super::tally::Tally;
use super::upstream::RecordedUpstream;

/// Why calls have no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// As many calls as may wait were waiting.
    Full,
    /// A call was given up before its record could be made.
    Broken,
    /// The log refuses the record, and will whenever it is sent.
    Refused,
    /// The gateway stopped before the record was durable.
    Stopped,
    /// The gateway ended without stopping in order: killed, or the machine failed.
    Killed,
    /// Records that waited on disk could not be read again.
    Damaged,
}

impl Reason {
    /// Its text in a gap record.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "QUEUE_FULL",
            Self::Broken => "CALL_GIVEN_UP",
            Self::Refused => "RECORD_REFUSED",
            Self::Stopped => "STOPPED",
            Self::Killed => "UNCLEAN_STOP",
            Self::Damaged => "SPILL_DAMAGED",
        }
    }
}

/// Calls of one upstream that have no record.
#[derive(Clone, Debug, PartialEq, Eq)]
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

/// The gaps that are still open.
pub(super) struct Gaps {
    /// Which calls are settled, for the next start should this run be killed.
    pub(super) tally: Tally,
    // Held for a few lines.
    open: Mutex<BTreeMap<(Arc<str>, Reason), Gap>>,
    // Gap records that were made and are not durable yet.
    told: AtomicUsize,
}

impl Default for Gaps {
    fn default() -> Self {
        Self::new(Tally::in_memory())
    }
}

impl Gaps {
    /// No gaps.
    pub(super) fn new(tally: Tally) -> Self {
        Self { tally, open: Mutex::default(), told: AtomicUsize::new(0) }
    }

    /// Counts calls of an upstream, of which the first began at `at`.
    pub(super) fn lost(&self, upstream: &RecordedUpstream, calls: u64, at: Timestamp, reason: Reason) {
        let labels = [("upstream", upstream.name.to_string()), ("reason", reason.as_str().to_owned())];
        metrics::counter!("towpath_gateway_calls_lost_total", &labels).increment(calls);
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

    /// Opens a gap, or widens the one that is open for the same upstream and reason.
    pub(super) fn put_back(&self, gap: Gap) {
        let mut open = self.open.lock();
        let name = (gap.upstream.clone(), gap.reason);
        match open.get_mut(&name) {
            None => drop(open.insert(name, gap)),
            Some(known) => {
                known.from = known.from.min(gap.from);
                known.to = known.to.max(gap.to);
                known.at_least = known.at_least.saturating_add(gap.at_least);
            }
        }
    }

    /// Takes the gaps that are to be told: nothing was lost for `quiet`, or they last for `longest` already.
    pub(super) fn due(&self, now: Timestamp, quiet: Duration, longest: Duration) -> Vec<Gap> {
        let since = |at: Timestamp| Duration::try_from(now.duration_since(at)).unwrap_or_default();
        let mut open = self.open.lock();
        let due: Vec<_> = open
            .iter()
            .filter(|(_, gap)| since(gap.to) >= quiet || since(gap.from) >= longest)
            .map(|(name, _)| name.clone())
            .collect();
        due.iter().filter_map(|name| open.remove(name)).collect()
    }

    /// Takes all gaps.
    pub(super) fn take(&self) -> Vec<Gap> {
        std::mem::take(&mut *self.open.lock()).into_values().collect()
    }

    /// Counts a gap record that was made, and one that is durable, refused or given up.
    pub(super) fn telling(&self, made: bool) {
        match made {
            true => self.told.fetch_add(1, Ordering::Relaxed),
            false => self.told.fetch_sub(1, Ordering::Relaxed),
        };
    }

    /// True if nothing is to be told, and nothing is on its way.
    pub(super) fn is_empty(&self) -> bool {
        self.told.load(Ordering::Relaxed) == 0 && self.open.lock().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream(name: &str) -> RecordedUpstream {
        RecordedUpstream {
            name: name.into(),
            account: "123456789012".parse().unwrap(),
            region: "eu-central-1".parse().unwrap(),
            policy: super::super::Policy::FailOpen,
            verifies: false,
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    const QUIET: Duration = Duration::from_secs(5);
    const LONGEST: Duration = Duration::from_secs(60);

    #[test]
    fn a_gap_is_told_when_it_is_quiet_or_long() {
        let (gaps, a, b) = (Gaps::default(), upstream("a"), upstream("b"));
        gaps.lost(&a, 1, at(100), Reason::Full);
        gaps.lost(&a, 2, at(103), Reason::Full);
        gaps.lost(&b, 1, at(104), Reason::Full);
        assert!(gaps.due(at(107), QUIET, LONGEST).is_empty());

        let due = gaps.due(at(108), QUIET, LONGEST);
        assert_eq!(due.len(), 1);
        assert_eq!((&*due[0].upstream, due[0].from, due[0].to, due[0].at_least), ("a", at(100), at(103), 3));

        for second in 104..170 {
            gaps.lost(&b, 1, at(second), Reason::Full);
        }
        let due = gaps.due(at(170), QUIET, LONGEST);
        assert_eq!((due.len(), due[0].at_least), (1, 67));
        assert!(gaps.is_empty());
    }

    #[test]
    fn what_was_taken_and_not_told_is_counted_again() {
        let (gaps, a) = (Gaps::default(), upstream("a"));
        gaps.lost(&a, 1, at(100), Reason::Full);
        let taken = gaps.take().remove(0);
        gaps.lost(&a, 1, at(200), Reason::Full);
        gaps.put_back(taken);
        let all = gaps.take();
        assert_eq!((all.len(), all[0].from, all[0].to, all[0].at_least), (1, at(100), at(200), 2));
    }

    #[test]
    fn different_reasons_are_different_gaps() {
        let (gaps, a) = (Gaps::default(), upstream("a"));
        gaps.lost(&a, 1, at(100), Reason::Full);
        gaps.lost(&a, 1, at(100), Reason::Refused);
        assert_eq!(gaps.take().len(), 2);
    }
}
