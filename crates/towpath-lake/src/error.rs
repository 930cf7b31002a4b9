//! What can go wrong in the lake.

use std::io;
use std::sync::Arc;

use towpath_meta::MetaError;
use towpath_model::StoreId;

/// Why the lake did not do what was asked. Nothing is lost by any of these: the log still has the events.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// The object store failed.
    #[error("cannot {doing} {path}")]
    Object {
        /// What was being done.
        doing: &'static str,
        /// To which object.
        path: String,
        /// The reason.
        #[source]
        cause: object_store::Error,
    },
    /// A local file could not be read or made durable.
    #[error("cannot read or sync {path}")]
    Sync {
        /// Which file.
        path: String,
        /// The reason.
        #[source]
        cause: io::Error,
    },
    /// The metadata store failed; the change was not made.
    #[error("cannot {doing}")]
    Meta {
        /// What was being done.
        doing: &'static str,
        /// The reason.
        #[source]
        cause: MetaError,
    },
    /// The outcome of an earlier commit is unknown and could not be learnt yet; nothing is committed until it is.
    #[error("the outcome of an earlier commit is unknown")]
    InDoubt(#[source] MetaError),
    /// Rows could not be turned into Arrow.
    #[error("cannot convert rows of store {store}")]
    Convert {
        /// The store.
        store: StoreId,
        /// The reason.
        #[source]
        cause: Arc<arrow::error::ArrowError>,
    },
    /// A Parquet file could not be written or read.
    #[error("cannot {doing} Parquet file {path}")]
    Parquet {
        /// What was being done.
        doing: &'static str,
        /// Which file.
        path: String,
        /// The reason.
        #[source]
        cause: parquet::errors::ParquetError,
    },
    /// A file of the key index is not what was written.
    #[error("key index file {path} is damaged: {what}")]
    Keys {
        /// Which file.
        path: String,
        /// What is wrong.
        what: &'static str,
    },
    /// The log skipped events: its next batch does not start where the last one ended.
    #[error("expected events from position {expected} and got them from {found}")]
    Gap {
        /// The position that should follow.
        expected: towpath_model::Position,
        /// The position that came.
        found: towpath_model::Position,
    },
    /// The lake was shut down.
    #[error("the lake is closed")]
    Closed,
}

impl LakeError {
    /// True when a file is gone or damaged, so that reading it again will not help.
    pub(crate) fn lost(&self) -> bool {
        match self {
            Self::Keys { .. } => true,
            Self::Object { cause, .. } => matches!(cause, object_store::Error::NotFound { .. }),
            Self::Sync { cause, .. } => matches!(cause.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof),
            _ => false,
        }
    }

    /// True when trying again later may succeed.
    pub fn retryable(&self) -> bool {
        matches!(self, Self::Object { .. } | Self::Sync { .. } | Self::Meta { .. } | Self::InDoubt(_))
    }
}
