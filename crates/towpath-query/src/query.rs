//! A query as it is kept: who asked what, where it is in its life, what it read and what it gave.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use towpath_model::{AccountId, Region, StoreId};
use uuid::Uuid;

/// The id of a query: a UUID in lower case on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct QueryId(Uuid);

impl QueryId {
    /// Makes a new random id.
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// The bytes of the UUID.
    pub(crate) fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The id with these bytes.
    pub(crate) fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }
}

impl FromStr for QueryId {
    type Err = uuid::Error;

    /// Parses the hyphenated form in either case; other forms of UUID are refused.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = if text.len() == 36 { text } else { "" };
        Uuid::try_parse(text).map(Self)
    }
}

impl fmt::Display for QueryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// The `QueryStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum QueryStatus {
    /// Waits for its turn.
    Queued,
    /// Runs; rows written so far can be read.
    Running,
    /// Ended with its whole result.
    Finished,
    /// Ended with an error.
    Failed,
    /// Ended because somebody asked for it; rows written before stay readable.
    Cancelled,
    /// Ended because it ran too long; rows written before stay readable.
    TimedOut,
}

impl QueryStatus {
    /// Every status.
    pub const ALL: [Self; 6] =
        [Self::Queued, Self::Running, Self::Finished, Self::Failed, Self::Cancelled, Self::TimedOut];

    /// The text on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "QUEUED",
            Self::Running => "RUNNING",
            Self::Finished => "FINISHED",
            Self::Failed => "FAILED",
            Self::Cancelled => "CANCELLED",
            Self::TimedOut => "TIMED_OUT",
        }
    }

    /// The status with this text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// True while the query waits or runs.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Queued | Self::Running)
    }
}

impl fmt::Display for QueryStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whose queries: an account in a region. A query is known there and nowhere else.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Scope {
    /// The account.
    pub account: AccountId,
    /// The region.
    pub region: Region,
}

/// What a query has read and given so far, or in the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryStatistics {
    /// Events that passed the filters which the scan could apply.
    pub events_matched: u64,
    /// Events whose values were looked at.
    pub events_scanned: u64,
    /// Compressed bytes read from files.
    pub bytes_scanned: u64,
    /// Files opened.
    pub files_scanned: u64,
    /// Files of the stores that were ruled out without opening them.
    pub files_pruned: u64,
    /// Rows of the result.
    pub rows: u64,
    /// Milliseconds between leaving the queue and the end (or now).
    pub execution_millis: u64,
}

/// A query as it is kept in the metadata store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryRecord {
    /// Its id.
    pub id: QueryId,
    /// Where it belongs.
    pub scope: Scope,
    /// The stores it reads, each once.
    pub stores: Vec<StoreId>,
    /// The text as it was sent.
    pub statement: String,
    /// Where it is in its life.
    pub status: QueryStatus,
    /// Why it failed, for the person who asked.
    pub error: Option<String>,
    /// When it was started.
    pub created: Timestamp,
    /// Names of the result's columns in select order.
    pub columns: Vec<String>,
    /// What it read and gave.
    pub statistics: QueryStatistics,
}

impl QueryRecord {
    /// True when the query has ended with rows that can be read. One that was cancelled before its turn has not even a file.
    pub(crate) fn has_rows(&self) -> bool {
        !self.status.is_open() && self.status != QueryStatus::Failed && self.statistics.rows > 0
    }
}
