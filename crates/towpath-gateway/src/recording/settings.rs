//! What a person may tune about recording.

use std::path::PathBuf;
use std::time::Duration;

/// Settings of recording. The defaults suit one machine that records tens of thousands of calls a second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordingSettings {
    /// Where records wait on disk while the log does not take them, and where the key of gap records is kept. Without one
    /// nothing outlives the process: records wait in memory, and an unclean stop goes unnoticed.
    pub folder: Option<PathBuf>,
    /// The name of this gateway in gap records.
    pub gateway: String,
    /// Calls that may be under way or wait for their record to be durable, all upstreams together.
    pub queue_calls: usize,
    /// Bytes of such calls: what was kept of their bodies, and a few kilobytes for each. Calls that are under way when the
    /// bound is reached may exceed it by what is kept of their bodies.
    pub queue_bytes: usize,
    /// Threads that decode calls.
    pub workers: usize,
    /// Appends to the log that may be under way at once.
    pub appends: usize,
    /// How long records are gathered that nobody waits for, or that wait while another append is under way. Each append
    /// costs a turn of the disk and a share of whatever reads the log, for one record as for a hundred.
    pub gather: Duration,
    /// Most records of one append.
    pub batch_records: usize,
    /// Bytes of one append, unless a single call's records are larger.
    pub batch_bytes: usize,
    /// Bytes of records that may wait on disk while the log does not take them.
    pub spill_bytes: u64,
    /// The first pause after the log did not take records; doubles with each further failure.
    pub first_pause: Duration,
    /// The longest such pause.
    pub longest_pause: Duration,
    /// A gap ends, and is told, when nothing was lost for this long.
    pub gap_quiet: Duration,
    /// A gap that goes on is told in parts of this length.
    pub gap_longest: Duration,
}

impl Default for RecordingSettings {
    fn default() -> Self {
        Self {
            folder: None,
            gateway: "towpath-gateway".to_owned(),
            queue_calls: 20_000,
            queue_bytes: 64 << 20,
            workers: 1,
            appends: 4,
            gather: Duration::from_millis(3),
            batch_records: 500,
            batch_bytes: 1 << 20,
            spill_bytes: 1 << 30,
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(10),
            gap_quiet: Duration::from_secs(5),
            gap_longest: Duration::from_secs(60),
        }
    }
}
