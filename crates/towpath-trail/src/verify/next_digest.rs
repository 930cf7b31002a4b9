//! Will a digest follow the newest one? Log files that no digest names yet wait for it, or are nobody's.
//!
//! The server knows: its record of a chain says whether the trail goes on. Without the record the clock decides, and the
//! report says so: digests follow one another, so one that is long overdue is taken not to come.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::digests::Checked;
use super::{VerifyTrail, later};
use crate::recorded::Continues;

/// Digests are taken to come no more often than this where nobody says how often they do: a trail that was stopped and
/// started again has short ones.
const SHORTEST_PERIOD: SignedDuration = SignedDuration::from_hours(1);

/// Whether a digest will follow the newest one, and how that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "expected", rename_all = "snake_case")]
pub enum NextDigest {
    /// One will, says the server.
    Comes,
    /// None will, says the server: the trail delivers log files without digests.
    Unvalidated,
    /// None will, and no log file either, says the server: the trail was stopped, and all of it is in digests.
    Ended,
    /// By the clock one may be on its way. It is assumed not to come after this instant.
    Due {
        /// The newest digest's end, and twice the time that digests cover.
        until: Timestamp,
    },
    /// By the clock one should have come until this instant: it is assumed that none will, nor any log file.
    Overdue {
        /// The newest digest's end, and twice the time that digests cover.
        since: Timestamp,
    },
}

impl NextDigest {
    /// Finds out from the record, else from the clock. None without any digest.
    pub(super) fn after(asked: &VerifyTrail, checked: &Checked) -> Option<Self> {
        let (_, end) = checked.newest?;
        // A file of keys was saved at some time: it speaks of the digests that there were.
        let current = !asked.offline || checked.newest_key.as_deref() <= asked.newest_recorded();
        Some(match asked.continues.filter(|_| current) {
            Some(Continues::Digests) => Self::Comes,
            Some(Continues::LogFiles) => Self::Unvalidated,
            Some(Continues::Ended) => Self::Ended,
            None => {
                let until = later(end, checked.period().max(SHORTEST_PERIOD) * 2);
                if asked.at.min(asked.to) <= until { Self::Due { until } } else { Self::Overdue { since: until } }
            }
        })
    }

    /// True when a file that no digest names may be named by the next one.
    pub(super) fn may_come(self) -> bool {
        matches!(self, Self::Comes | Self::Due { .. })
    }

    /// True when the trail delivers nothing more.
    pub(super) fn is_end(self) -> bool {
        matches!(self, Self::Ended | Self::Overdue { .. })
    }

    /// What is assumed because nobody was asked who knows; none if nothing is.
    pub fn assumption(self) -> Option<String> {
        let text = towpath_model::eventtime_text;
        match self {
            Self::Comes | Self::Unvalidated | Self::Ended => None,
            Self::Due { until } => Some(format!("a next digest is assumed to come by {}", text(until))),
            Self::Overdue { since } => Some(format!(
                "no digest followed by {}; it is assumed that the trail has stopped, so that later log files are not its own",
                text(since)
            )),
        }
    }
}

impl VerifyTrail {
    /// The key of the newest regular digest that the server remembers.
    fn newest_recorded(&self) -> Option<&str> {
        let regular = self.recorded.iter().filter(|digest| !digest.key.ends_with("_backfill.json.gz"));
        regular.map(|digest| digest.key.as_str()).max()
    }
}
