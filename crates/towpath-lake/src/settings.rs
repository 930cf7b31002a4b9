//! What an operator may tune about the lake.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Tunes the lake. The defaults suit one machine with a gigabyte to spare.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LakeSettings {
    /// Bytes of record text in the hot tail at which it is flushed. Memory is about twice that, and half as much again
    /// while a flush runs; beyond it the lake stops reading the log until the flush is done.
    pub hot_bytes: usize,
    /// Seconds that a row stays in the hot tail at most; up to ten times as long while many stores have a few rows each.
    pub flush_seconds: u64,
    /// Bytes of record text taken from the log at once.
    pub read_bytes: usize,
    /// A file that has reached this many bytes is not rewritten any more.
    pub file_bytes: u64,
    /// Most bytes of record text in one file.
    pub file_raw_bytes: u64,
    /// Most files rewritten into one at a time. Each takes about ten megabytes of memory meanwhile.
    pub compact_files: usize,
    /// Files that may wait to be joined before joining is more urgent than what comes in. Each takes some kilobytes of
    /// memory, and every query looks at it. From half as many on joining is hurried.
    pub most_waiting: usize,
    /// Seconds without a new file after which a day's small files are joined, however few they are.
    pub settle_seconds: u64,
    /// Seconds between two rounds of expiry, compaction and clean-up.
    pub maintain_seconds: u64,
    /// Files that nothing refers to are deleted once they are this many seconds old.
    pub orphan_seconds: u64,
    /// Most bytes of manifest entries written by one commit; a flush that has more takes several.
    pub commit_bytes: usize,
}

/// A setting has a value that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("lake setting {field} is {value}; it must be {must}")]
pub struct SettingsError {
    /// The field of [`LakeSettings`].
    pub field: &'static str,
    /// The value it has.
    pub value: u64,
    /// What would work.
    pub must: &'static str,
}

impl Default for LakeSettings {
    fn default() -> Self {
        Self {
            hot_bytes: 64 << 20,
            flush_seconds: 60,
            read_bytes: 4 << 20,
            file_bytes: 128 << 20,
            file_raw_bytes: 1 << 30,
            compact_files: 8,
            most_waiting: 8_000,
            settle_seconds: 600,
            maintain_seconds: 10,
            orphan_seconds: 3600,
            commit_bytes: 16 << 20,
        }
    }
}

impl LakeSettings {
    /// Refuses values that cannot work.
    pub fn check(&self) -> Result<(), SettingsError> {
        let refuse = |field, value: u64, must| Err(SettingsError { field, value, must });
        if self.hot_bytes == 0 || self.hot_bytes > 16 << 30 {
            return refuse("hot_bytes", self.hot_bytes as u64, "between 1 and 17179869184");
        }
        if self.read_bytes == 0 {
            return refuse("read_bytes", 0, "at least 1");
        }
        // Offsets into the text of a batch are 32 bits wide.
        if self.file_raw_bytes == 0 || self.file_raw_bytes > 1 << 30 {
            return refuse("file_raw_bytes", self.file_raw_bytes, "between 1 and 1073741824");
        }
        if self.compact_files < 2 || self.compact_files > 256 {
            return refuse("compact_files", self.compact_files as u64, "between 2 and 256");
        }
        if self.flush_seconds == 0 {
            return refuse("flush_seconds", 0, "at least 1");
        }
        if self.orphan_seconds == 0 {
            return refuse("orphan_seconds", 0, "at least 1");
        }
        // The metadata store takes 64 MiB, and an entry may have 4.
        if self.commit_bytes == 0 || self.commit_bytes > 48 << 20 {
            return refuse("commit_bytes", self.commit_bytes as u64, "between 1 and 50331648");
        }
        if self.maintain_seconds == 0 {
            return refuse("maintain_seconds", 0, "at least 1");
        }
        Ok(())
    }

    /// Bytes of hot text beyond which the lake does not read on.
    pub(crate) fn hot_limit(&self) -> usize {
        self.hot_bytes + self.hot_bytes / 2
    }

    pub(crate) fn settle(&self) -> Duration {
        Duration::from_secs(self.settle_seconds)
    }
}
