//! The contract of the metadata store, and the words it is written in.

use std::collections::HashSet;
use std::error::Error;
use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

use crate::Key;

/// Longest value, in bytes.
pub const MAX_VALUE_BYTES: usize = 4 << 20;

/// Most writes, and most expectations, in one commit.
pub const MAX_COMMIT_WRITES: usize = 100_000;

/// Most bytes of keys and values in one commit.
pub const MAX_COMMIT_BYTES: usize = 64 << 20;

/// Most records in one page of a listing.
pub const MAX_PAGE: usize = 10_000;

/// Keeps small versioned records and changes them atomically.
///
/// Reads after a successful `commit` see it, from every process. A commit is durable when it returns.
/// Keys under different prefixes are independent. All methods may be called concurrently. Dropping the future of a
/// commit leaves either all of it or nothing.
#[async_trait]
pub trait MetaStore: Send + Sync {
    /// Returns the record at `key`.
    async fn get(&self, key: &Key) -> Result<Option<Record>, MetaError>;

    /// Returns the records under `prefix` (its parts and at least one more) in byte order of their keys, those after
    /// `after` if given, at most `limit` and at most [`MAX_PAGE`]. A page shorter than both is the last one. Each
    /// page is one consistent view; two pages may see different commits.
    async fn list(&self, prefix: &Key, after: Option<&Key>, limit: usize) -> Result<Vec<Record>, MetaError>;

    /// Applies every write, or none if any expectation fails ([`MetaError::Conflict`]).
    ///
    /// All records written get the returned version, which is higher than every version before it: a version never
    /// comes back, even for a key that was deleted and made again. A key may be written once per commit. Deleting
    /// what is not there is not an error; say [`Expect::Exists`] if it should be.
    async fn commit(&self, expect: &[Expect], writes: &[Write]) -> Result<Version, MetaError>;
}

/// A record as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its name.
    pub key: Key,
    /// The commit that wrote it.
    pub version: Version,
    /// Its content, at most [`MAX_VALUE_BYTES`].
    pub value: Bytes,
}

/// The number of a commit: 1 for the first, then rising.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub(crate) u64);

impl Version {
    /// Returns the number.
    pub fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a commit requires before it writes anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// There is no record at this key.
    Absent(Key),
    /// The record at this key is still the one that was read.
    Version(Key, Version),
    /// There is some record at this key.
    Exists(Key),
}

impl Expect {
    /// Returns the key this is about.
    pub fn key(&self) -> &Key {
        match self {
            Self::Absent(key) | Self::Version(key, _) | Self::Exists(key) => key,
        }
    }

    /// Says whether `found`, the version now at the key, is what was expected.
    pub(crate) fn check(&self, found: Option<Version>) -> Result<(), MetaError> {
        let met = match self {
            Self::Absent(_) => found.is_none(),
            Self::Version(_, version) => found == Some(*version),
            Self::Exists(_) => found.is_some(),
        };
        if met { Ok(()) } else { Err(MetaError::Conflict { expected: self.clone(), found }) }
    }
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent(key) => write!(f, "no record at {key}"),
            Self::Version(key, version) => write!(f, "version {version} at {key}"),
            Self::Exists(key) => write!(f, "a record at {key}"),
        }
    }
}

/// One change of a commit.
#[derive(Clone, PartialEq, Eq)]
pub enum Write {
    /// Sets the value of a record, new or not.
    Put(Key, Bytes),
    /// Removes a record if it is there.
    Delete(Key),
}

impl Write {
    /// Returns the key this writes.
    pub fn key(&self) -> &Key {
        match self {
            Self::Put(key, _) | Self::Delete(key) => key,
        }
    }
}

// Values may hold secrets, sealed or not: a log line shows their length alone.
impl fmt::Debug for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put(key, value) => write!(f, "Put({key}, {} bytes)", value.len()),
            Self::Delete(key) => write!(f, "Delete({key})"),
        }
    }
}

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum MetaError {
    /// An expectation did not hold; nothing was written.
    #[error("commit expected {expected} and found {}", found.map_or("none".to_owned(), |v| format!("version {v}")))]
    Conflict {
        /// The first expectation that failed.
        expected: Expect,
        /// The version at its key.
        found: Option<Version>,
    },
    /// The commit writes one key more than once; nothing was written.
    #[error("commit writes {0} twice")]
    WrittenTwice(Key),
    /// The value, or the commit as a whole, is over a limit; nothing was written.
    #[error("{what} is {actual}, more than {limit}")]
    TooLarge {
        /// What was measured, with its unit.
        what: String,
        /// Its measure.
        actual: usize,
        /// The limit.
        limit: usize,
    },
    /// A record does not hold what the caller's type needs.
    #[error("cannot decode record {key}")]
    Decode {
        /// Its key.
        key: Key,
        /// The reason.
        #[source]
        cause: serde_json::Error,
    },
    /// A value cannot be written as JSON; nothing was written.
    #[error("cannot encode record {key}")]
    Encode {
        /// Its key.
        key: Key,
        /// The reason.
        #[source]
        cause: serde_json::Error,
    },
    /// What is stored is not what was written.
    #[error("metadata is damaged: {0}")]
    Damaged(String),
    /// The store could not be reached or was busy too long; nothing was written.
    #[error("metadata store is unavailable")]
    Unavailable(#[source] Cause),
    /// The commit failed at its last step: it may or may not be there after a restart.
    #[error("commit failed and its outcome is unknown")]
    InDoubt(#[source] Cause),
    /// A commit failed in a way after which writing on could lose data; the store takes writes again once reopened.
    #[error("metadata store stopped writing after a failed commit")]
    Stopped,
}

/// The failure below a [`MetaError`].
pub(crate) type Cause = Box<dyn Error + Send + Sync>;

impl MetaError {
    /// True when an expectation did not hold, so that reading again and deciding anew may help.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict { .. })
    }

    /// True when nothing was written and the same call may succeed later.
    pub fn retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

/// Checks the limits every implementation has in common.
pub(crate) fn check_commit(expect: &[Expect], writes: &[Write]) -> Result<(), MetaError> {
    let limit = |what: &str, actual: usize, limit: usize| {
        if actual <= limit { Ok(()) } else { Err(MetaError::TooLarge { what: what.to_owned(), actual, limit }) }
    };
    limit("number of writes in a commit", writes.len(), MAX_COMMIT_WRITES)?;
    limit("number of expectations of a commit", expect.len(), MAX_COMMIT_WRITES)?;

    let mut bytes = 0;
    let mut keys = HashSet::with_capacity(writes.len());
    for write in writes {
        bytes += write.key().as_str().len();
        if let Write::Put(key, value) = write {
            bytes += value.len();
            limit(&format!("value of {key} in bytes"), value.len(), MAX_VALUE_BYTES)?;
        }
        if !keys.insert(write.key()) {
            return Err(MetaError::WrittenTwice(write.key().clone()));
        }
    }
    limit("commit in bytes", bytes, MAX_COMMIT_BYTES)
}
