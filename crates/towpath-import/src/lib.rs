//! Imports: log files that were written elsewhere, brought into an event data store.
//!
//! An import reads a place in an S3-compatible store or a folder ([`Importer::start`]), or takes files that a client
//! sends ([`Importer::open_upload`]). Files are read in a fixed order, several at a time; their events are appended to
//! the log; and how far an import came is kept in the metadata store. A killed import goes on where it was. Files that
//! it had begun are read again, which is harmless, because a store holds an event once.
//!
//! What cannot be imported is a failure with a place and a reason; a retry goes through the failures again and then on.

mod active;
mod error;
mod failure;
mod file;
mod import;
mod importer;
mod layout;
mod records;
mod run;
mod sink;
mod source;
mod source_error;
mod upload;
mod walk;

pub use error::ImportError;
pub use failure::{Failure, FailureKind, FailureStatus, Unverified};
pub use file::{FileReport, Input};
pub use import::{Import, ImportId, ImportSource, ImportStatus, NewImport, Owner, Statistics, TimeRange};
pub use importer::{Importer, ImporterSettings, ListFilter, Page};
pub use sink::EventSink;
pub use source::{OpenSource, OpenedSource, S3Settings, SourceError, Sources};
pub use upload::{FileMark, NewUpload, Upload};

#[cfg(test)]
mod tests;
