//! What an operator may tune about the log.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::codec::MAX_BODY;

/// Tunes the log. The defaults suit one machine that takes tens of thousands of events a second.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// A segment that has reached this many bytes is followed by a new one. Release works in whole segments.
    pub segment_bytes: u64,
    /// Bytes that may wait for the disk or be on their way to it. An append beyond that is `Busy`.
    pub queue_bytes: usize,
    /// Appends that may wait for the disk or be on their way to it. An append beyond that is `Busy`.
    pub queue_appends: usize,
    /// The largest single append, in encoded bytes.
    pub append_bytes: usize,
    /// Bytes written before one fsync; bounds how long the first append of a group waits for the others.
    pub group_bytes: usize,
    /// Bytes of recently committed events that readers get from memory. Zero sends every reader to the disk.
    pub ring_bytes: usize,
    /// The first pause after storage failed, in milliseconds; doubles with each further failure up to five seconds.
    pub retry_pause_ms: u64,
    /// How frames are compressed.
    pub compression: Compression,
    /// Gives up events in damaged frames instead of refusing to open or to read: each loss is logged, positions stay.
    pub accept_damage: bool,
}

/// How the events of a frame are compressed on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all: the least processor time.
    #[default]
    None,
    /// LZ4 blocks: about a quarter of the bytes for some microseconds an event, on the appending caller's time.
    Lz4,
}

/// A setting has a value that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("log setting {field} is {value}; it must be {must}")]
pub struct SettingsError {
    /// The field of [`LogSettings`].
    pub field: &'static str,
    /// The value it has.
    pub value: u64,
    /// What would work.
    pub must: &'static str,
}

impl Default for LogSettings {
    fn default() -> Self {
        const MIB: usize = 1 << 20;
        Self {
            segment_bytes: 64 << 20,
            queue_bytes: 64 * MIB,
            queue_appends: 10_000,
            append_bytes: 16 * MIB,
            group_bytes: 8 * MIB,
            ring_bytes: 32 * MIB,
            retry_pause_ms: 50,
            compression: Compression::None,
            accept_damage: false,
        }
    }
}

impl LogSettings {
    /// Refuses values that cannot work.
    pub fn check(&self) -> Result<(), SettingsError> {
        let refuse = |field, value: usize, must| Err(SettingsError { field, value: value as u64, must });
        if self.append_bytes == 0 || self.append_bytes > MAX_BODY {
            return refuse("append_bytes", self.append_bytes, "between 1 and 67108864");
        }
        if self.queue_bytes < self.append_bytes {
            return refuse("queue_bytes", self.queue_bytes, "at least append_bytes");
        }
        if self.queue_appends == 0 {
            return refuse("queue_appends", self.queue_appends, "at least 1");
        }
        Ok(())
    }

    /// The pause after `failures` failures in a row.
    pub(crate) fn pause(&self, failures: u32) -> Duration {
        const LONGEST: u64 = 5_000;
        let doubled = self.retry_pause_ms.saturating_mul(1 << failures.saturating_sub(1).min(16));
        Duration::from_millis(doubled.min(LONGEST))
    }
}
