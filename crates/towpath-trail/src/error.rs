//! Why delivery stops or a step of it fails.

use std::io;

use towpath_log::ReadError;
use towpath_meta::MetaError;

use crate::{SettingsError, SigningKeyError};

/// Why the delivery could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A setting cannot work.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The folder of staged files cannot be used.
    #[error("cannot use the folder of staged log files")]
    Folder(#[source] io::Error),
    /// The metadata cannot be read.
    #[error("cannot read what was delivered")]
    Meta(#[source] MetaError),
}

/// Why a step of the delivery failed. All of it is tried again.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// Staged files cannot be written or read.
    #[error("cannot write staged log files")]
    Staging(#[source] io::Error),
    /// The metadata store failed.
    #[error("cannot {doing}")]
    Meta {
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        #[source]
        cause: MetaError,
    },
    /// No key can be had to sign with.
    #[error("cannot sign a digest")]
    Sign(#[source] SigningKeyError),
    /// The runtime stops.
    #[error("the process stops")]
    Stopping,
}

/// Why the delivery stopped following the log.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The log cannot give what comes next.
    #[error("trails cannot follow the log")]
    Log(#[source] ReadError),
}

impl DeliveryError {
    pub(crate) fn meta(doing: &'static str) -> impl Fn(MetaError) -> Self {
        move |cause| Self::Meta { doing, cause }
    }
}
