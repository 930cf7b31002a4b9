//! Why results were not delivered, and the status that says so.

use std::io;

use towpath_query::QueryError;
use towpath_trail::{SigningKeyError, error_code};
use towpath_wire::cloudtrail::DeliveryStatus;
use tracing::warn;

/// Why a delivery came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum DeliverError {
    #[error("cannot read the results")]
    Results(#[from] QueryError),
    #[error("cannot write a result file")]
    Encode(#[source] io::Error),
    #[error("cannot put {key}")]
    Put {
        key: String,
        #[source]
        cause: object_store::Error,
    },
    #[error("cannot sign the results")]
    Sign(#[from] SigningKeyError),
    #[error(transparent)]
    Bucket(#[from] towpath_trail::BucketError),
    #[error("a thread ended before its work was done")]
    Thread(#[from] tokio::task::JoinError),
}

/// The status of a failed delivery: denied, the bucket is gone, or else.
pub(super) fn failed(id: &str, error: &DeliverError, [denied, otherwise]: [DeliveryStatus; 2]) -> DeliveryStatus {
    let code = match error {
        DeliverError::Put { cause, .. } => error_code(cause),
        DeliverError::Bucket(error) => error.code.clone(),
        _ => None,
    };
    let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    warn!(query = id, %error, cause, code, "results cannot be delivered");
    match code.as_deref() {
        Some("AccessDenied" | "AllAccessDisabled" | "InvalidAccessKeyId" | "SignatureDoesNotMatch") => denied,
        Some("NoSuchBucket") => DeliveryStatus::ResourceNotFound,
        _ => otherwise,
    }
}
