//! Where records go: the log, in this process or behind a server's API.

use async_trait::async_trait;
use towpath_capture::CapturedRecord;

/// Takes records into the log.
#[async_trait]
pub trait RecordSink: Send + Sync + 'static {
    /// Returns when all records are durable in the log. Sending the same records again is safe.
    ///
    /// # Errors
    /// See [`SinkError`]; after an error none, some or all of them may be in the log.
    async fn append(&self, records: &[CapturedRecord]) -> Result<(), SinkError>;
}

/// Why records were not taken.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// Busy, unreachable or stopping: the same records may be taken later.
    #[error("the log does not take records now: {0}")]
    Later(String),
    /// These records will never be taken: by index, and why.
    #[error("the log refuses {} records, the first of them because {}", .0.len(), .0.first().map_or("", |(_, why)| why))]
    Never(Vec<(usize, String)>),
}
