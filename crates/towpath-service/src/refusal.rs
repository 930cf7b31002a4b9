//! How failures inside become answers to a caller.
//!
//! A refusal names a modelled error and says what to do; a failure of Towpath itself is logged with its cause and
//! answered without it.

use std::error::Error;

use towpath_wire::{ApiError, ModelledError};

/// Refuses a call with an error of the service model.
pub(crate) fn refuse(error: ModelledError, message: impl Into<String>) -> ApiError {
    ApiError::modelled(error, message)
}

/// Logs a failure of Towpath's own parts and answers `InternalFailure`; the caller learns no detail.
pub(crate) fn internal(doing: &'static str, cause: impl Error) -> ApiError {
    let mut causes = cause.to_string();
    let mut next = cause.source();
    while let Some(cause) = next {
        causes.push_str(": ");
        causes.push_str(&cause.to_string());
        next = cause.source();
    }
    tracing::error!(doing, cause = %causes, "internal failure");
    ApiError::internal()
}

impl From<crate::catalog::CatalogError> for CatalogRefusal {
    fn from(cause: crate::catalog::CatalogError) -> Self {
        Self(internal("catalog", cause))
    }
}

impl From<ApiError> for CatalogRefusal {
    fn from(error: ApiError) -> Self {
        Self(error)
    }
}

/// What deciding a change of the catalog ends in: a refusal, or a failure to make the change durable.
pub(crate) struct CatalogRefusal(pub(crate) ApiError);
