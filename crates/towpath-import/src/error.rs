//! What can go wrong at the importer's boundary.

use towpath_meta::MetaError;

use crate::import::{ImportId, ImportStatus};
use crate::source::SourceError;

/// Why an operation on imports was not done.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The account has an import that is not over.
    #[error("the account has a running import")]
    Ongoing,
    /// There is no such import in the account and region.
    #[error("there is no import {0}")]
    NotFound(ImportId),
    /// Only an import that failed or was stopped can be retried.
    #[error("import {id} is {status}; only one that is FAILED or STOPPED can be retried", status = status.as_str())]
    NotRetryable {
        /// The import.
        id: ImportId,
        /// Its status.
        status: ImportStatus,
    },
    /// Files were offered to an import that does not take them.
    #[error("import {0} takes no files")]
    NotAnUpload(ImportId),
    /// The source cannot be read.
    #[error("cannot read the source of the import")]
    Source(#[from] SourceError),
    /// The token of a page is not one that was given out.
    #[error("the page token is not valid")]
    Token,
    /// The metadata store failed.
    #[error("cannot keep the state of the import")]
    Meta(#[from] MetaError),
    /// The importer is shutting down.
    #[error("the importer is shutting down")]
    Closed,
}
