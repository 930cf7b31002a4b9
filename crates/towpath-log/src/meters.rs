//! The log's figures for operators.
//!
//! The recorder must be installed before the log opens.

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use crate::error::AppendError;

/// Handles of the log's metrics. All names begin with `towpath_log_`.
pub(crate) struct Meters {
    /// Seconds from a call of `append` to its answer.
    pub(crate) append_seconds: Histogram,
    /// Seconds of an fsync of a segment.
    pub(crate) sync_seconds: Histogram,
    /// Events written with one fsync.
    pub(crate) group_events: Histogram,
    /// Bytes written with one fsync.
    pub(crate) group_bytes: Histogram,
    /// Events committed.
    pub(crate) events: Counter,
    /// Bytes of frames committed.
    pub(crate) bytes: Counter,
    /// The position that the next event gets.
    pub(crate) position: Gauge,
    /// Segments that the log consists of.
    pub(crate) segments: Gauge,
    /// Bytes that wait for the disk or are on their way to it.
    pub(crate) queue_bytes: Gauge,
    /// Storage failures.
    pub(crate) failures: Counter,
    busy: Counter,
    too_large: Counter,
    unavailable: Counter,
    closed: Counter,
}

impl Meters {
    pub(crate) fn new() -> Self {
        Self {
            append_seconds: histogram!("towpath_log_append_seconds"),
            sync_seconds: histogram!("towpath_log_sync_seconds"),
            group_events: histogram!("towpath_log_group_events"),
            group_bytes: histogram!("towpath_log_group_bytes"),
            events: counter!("towpath_log_events_total"),
            bytes: counter!("towpath_log_bytes_total"),
            position: gauge!("towpath_log_position"),
            segments: gauge!("towpath_log_segments"),
            queue_bytes: gauge!("towpath_log_queue_bytes"),
            failures: counter!("towpath_log_storage_failures_total"),
            busy: counter!("towpath_log_refused_total", "reason" => "busy"),
            too_large: counter!("towpath_log_refused_total", "reason" => "too_large"),
            unavailable: counter!("towpath_log_refused_total", "reason" => "unavailable"),
            closed: counter!("towpath_log_refused_total", "reason" => "closed"),
        }
    }

    /// Counts an append that was not written.
    pub(crate) fn refused(&self, error: &AppendError) {
        match error {
            AppendError::Busy => self.busy.increment(1),
            AppendError::TooLarge { .. } => self.too_large.increment(1),
            AppendError::Closed => self.closed.increment(1),
            AppendError::Unavailable(_) | AppendError::Uncertain(_) => self.unavailable.increment(1),
        }
    }
}
