//! What could not be imported.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use towpath_admit::LogFileError;

/// An entry of `ListImportFailures`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The file, or the folder that could not be listed: `s3://bucket/key`.
    pub location: String,
    /// How it stands.
    pub status: FailureStatus,
    /// The `ErrorType`.
    pub kind: FailureKind,
    /// The `ErrorMessage`: what was wrong, and with which records.
    pub message: String,
    /// The `LastUpdatedTime`.
    pub updated: Timestamp,
    /// The path within the source.
    pub(crate) path: String,
    /// What failed.
    pub(crate) what: What,
    /// Events of the file that were appended all the same.
    pub(crate) events: u64,
}

/// What a failure is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum What {
    /// A file.
    File,
    /// A folder that could not be listed.
    Folder,
    /// The source as a whole, which could not be opened.
    Source,
}

/// The `Status` of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FailureStatus {
    /// It stands.
    Failed,
    /// It waits to be tried again.
    Retry,
    /// A retry succeeded.
    Succeeded,
}

impl FailureStatus {
    /// The text on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "FAILED",
            Self::Retry => "RETRY",
            Self::Succeeded => "SUCCEEDED",
        }
    }
}

/// The `ErrorType` of a failure. `AccessDenied` is CloudTrail's; the other names are Towpath's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailureKind {
    /// The file may not be read.
    AccessDenied,
    /// The file is gone.
    NotFound,
    /// The file is archived and must be restored first.
    Archived,
    /// The file is no log file, is damaged, or holds records that are no events.
    InvalidFormat,
    /// The source did not answer, or not as it should.
    SourceUnavailable,
    /// No digest vouches for the file.
    Unverified,
}

impl FailureKind {
    /// The text on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AccessDenied => "AccessDenied",
            Self::NotFound => "NotFound",
            Self::Archived => "Archived",
            Self::InvalidFormat => "InvalidFormat",
            Self::SourceUnavailable => "SourceUnavailable",
            Self::Unverified => "Unverified",
        }
    }
}

/// What a source answers, as the cause of an error, for a file that it has and does not vouch for; the text is told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unverified(pub String);

/// Why a file or folder failed, before it is written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) kind: FailureKind,
    pub(crate) message: String,
}

impl Fault {
    pub(crate) fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    pub(crate) fn of_log_file(error: &LogFileError) -> Self {
        let mut message = error.to_string();
        let mut cause = std::error::Error::source(error);
        while let Some(error) = cause {
            message.push_str(": ");
            message.push_str(&error.to_string());
            cause = error.source();
        }
        let kind = match error {
            LogFileError::Read(_) => FailureKind::SourceUnavailable,
            _ => FailureKind::InvalidFormat,
        };
        Self::new(kind, message)
    }
}
