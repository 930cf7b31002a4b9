//! An import as it is kept: what is asked for, how far it came, and how it stands.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use towpath_admit::{Fallback, LogFileLimits};
use towpath_model::{AccountId, Destination, EventTime, Region};

/// The id of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ImportId(Uuid);

impl ImportId {
    /// Makes a new random id.
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }
}

impl FromStr for ImportId {
    type Err = uuid::Error;

    /// Parses the hyphenated form; other forms of UUID are refused.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(if text.len() == 36 { text } else { "" }).map(Self)
    }
}

impl fmt::Display for ImportId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// The `ImportStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ImportStatus {
    /// Accepted.
    Initializing,
    /// Reading.
    InProgress,
    /// Stopped on request; can be retried.
    Stopped,
    /// Over, with failures; what was imported stays. Can be retried.
    Failed,
    /// Over, without failures.
    Completed,
}

impl ImportStatus {
    /// The text on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Initializing => "INITIALIZING",
            Self::InProgress => "IN_PROGRESS",
            Self::Stopped => "STOPPED",
            Self::Failed => "FAILED",
            Self::Completed => "COMPLETED",
        }
    }

    /// The status with this text.
    pub fn parse(text: &str) -> Option<Self> {
        let all = [Self::Initializing, Self::InProgress, Self::Stopped, Self::Failed, Self::Completed];
        all.into_iter().find(|status| status.as_str() == text)
    }

    /// True until the import is over.
    pub const fn is_running(self) -> bool {
        matches!(self, Self::Initializing | Self::InProgress)
    }
}

/// Where an import reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImportSource {
    /// A place in an S3-compatible store. Only gzip files are read.
    S3 {
        /// `s3://bucket[/prefix]`.
        uri: String,
        /// The bucket's region.
        region: String,
        /// The role named by the caller; kept and returned.
        role_arn: String,
    },
    /// A folder on the server's machine.
    Folder {
        /// Its path.
        path: String,
    },
    /// Files that a client sends.
    Upload {
        /// The client's name for the whole of them, by which an interrupted upload is found again.
        label: String,
    },
}

/// The account and region that an import belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The account.
    pub account: AccountId,
    /// The region.
    pub region: Region,
}

/// Which events an import takes, by `eventTime`; both ends included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeRange {
    /// `StartEventTime`.
    pub start: Option<Timestamp>,
    /// `EndEventTime`.
    pub end: Option<Timestamp>,
    /// Older events have outlived the store's retention and are passed over.
    pub cutoff: Option<Timestamp>,
}

impl TimeRange {
    /// True if the import takes an event of this time.
    pub fn takes(&self, time: EventTime) -> bool {
        let time = time.as_millis();
        self.earliest().is_none_or(|start| time >= start.as_millisecond())
            && self.end.is_none_or(|end| time <= end.as_millisecond())
    }

    /// The time of the earliest event that the import takes.
    pub fn earliest(&self) -> Option<Timestamp> {
        self.start.max(self.cutoff)
    }
}

/// A new import.
#[derive(Clone, Debug)]
pub struct NewImport {
    /// Whose it is.
    pub owner: Owner,
    /// The store, and its kind.
    pub destination: Destination,
    /// Where it reads; not [`ImportSource::Upload`].
    pub source: ImportSource,
    /// Which events it takes.
    pub range: TimeRange,
    /// The longest record it takes, in bytes, by the store's `MaxEventSize`; longer ones are failures.
    pub record_bytes: usize,
}

/// `ImportStatistics`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statistics {
    /// Folders with files that were found.
    pub prefixes_found: u64,
    /// Folders all of whose files were read.
    pub prefixes_completed: u64,
    /// Files read without failure.
    pub files_completed: u64,
    /// Events appended to the log. A repeat of an event that the store holds counts, though it is stored once.
    pub events_completed: u64,
    /// Failures that stand.
    pub failed_entries: u64,
}

/// An import.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    /// Its id.
    pub id: ImportId,
    /// Whose it is.
    pub owner: Owner,
    /// The store, and its kind.
    pub destination: Destination,
    /// Where it reads.
    pub source: ImportSource,
    /// Which events it takes.
    pub range: TimeRange,
    /// The longest record it takes, in bytes.
    #[serde(default = "large")]
    pub record_bytes: usize,
    /// How it stands.
    pub status: ImportStatus,
    /// How far it came; may lag behind a little.
    pub statistics: Statistics,
    /// When it was started.
    pub created: Timestamp,
    /// When it was last written.
    pub updated: Timestamp,
    pub(crate) progress: Progress,
}

/// How far the walk over the source came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// The last file of the walk's order up to which every file is done.
    pub(crate) after: Option<String>,
    /// True once the walk has reached its end.
    pub(crate) walked: bool,
}

/// What imports took before they had a bound of their own.
fn large() -> usize {
    LogFileLimits::default().record_bytes
}

impl Import {
    pub(crate) fn new(
        owner: Owner,
        destination: Destination,
        source: ImportSource,
        (range, record_bytes): (TimeRange, usize),
        now: Timestamp,
    ) -> Self {
        Self {
            id: ImportId::random(),
            owner,
            destination,
            source,
            range,
            record_bytes,
            status: ImportStatus::Initializing,
            statistics: Statistics::default(),
            created: now,
            updated: now,
            progress: Progress::default(),
        }
    }

    pub(crate) fn fallback(&self) -> Fallback {
        Fallback { account: self.owner.account, region: self.owner.region.clone() }
    }
}
