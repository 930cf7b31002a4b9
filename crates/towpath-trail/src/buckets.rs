//! What the delivery asks of its surroundings: the trails there are, and how their buckets are reached.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use object_store::ObjectStore;
use towpath_model::Trail;

/// Knows the trails.
pub trait TrailSource: Send + Sync + 'static {
    /// Every trail there is now, logging or not, of all accounts and home regions, each once (no shadows).
    fn trails(&self) -> Vec<Arc<Trail>>;
}

/// Opens the buckets that trails deliver to.
///
/// Keys are taken as they are. Objects are put with attributes (content type, content encoding, user metadata), and what
/// is read gives user metadata back.
#[async_trait]
pub trait Buckets: Send + Sync + 'static {
    /// The bucket with this name, as seen by the service that delivers.
    async fn open(&self, bucket: &str) -> Result<Arc<dyn ObjectStore>, BucketError>;

    /// The bucket as seen by the service that delivers for `trail`, where that makes a difference: policies may let it
    /// in for one trail and not for another.
    async fn open_for(&self, bucket: &str, _trail: &Trail) -> Result<Arc<dyn ObjectStore>, BucketError> {
        self.open(bucket).await
    }
}

/// Why a bucket cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot use bucket {bucket}: {message}")]
pub struct BucketError {
    /// The bucket.
    pub bucket: String,
    /// The S3 error code, if there is one: `NoSuchBucket`, `AccessDenied`, ...
    pub code: Option<String>,
    /// What was wrong.
    pub message: String,
}

/// The code of a failure of this machine's own storage: `StorageFull`, which is Towpath's own, or `InternalError`.
pub(crate) fn storage_code(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "StorageFull",
        _ => "InternalError",
    }
}

/// The S3 error code of a failure, if the endpoint gave one; none for timeouts and broken connections. A disk of this
/// machine that is full has the code `StorageFull`.
pub fn error_code(error: &object_store::Error) -> Option<String> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(full) = error.downcast_ref::<io::Error>().map(storage_code).filter(|code| *code == "StorageFull") {
            return Some(full.to_owned());
        }
        let text = error.to_string();
        let code = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
        if let Some((code, _)) = code.filter(|(code, _)| (1..=64).contains(&code.len())) {
            return Some(code.to_owned());
        }
        cause = error.source();
    }
    match error {
        object_store::Error::NotFound { .. } => Some("NoSuchBucket".to_owned()),
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            Some("AccessDenied".to_owned())
        }
        object_store::Error::Precondition { .. } | object_store::Error::AlreadyExists { .. } => {
            Some("PreconditionFailed".to_owned())
        }
        object_store::Error::InvalidPath { .. } => Some("InvalidS3Prefix".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_comes_from_the_answer_where_there_is_one() {
        let answered = object_store::Error::Generic {
            store: "S3",
            source: "403 Forbidden: <Error><Code>InvalidAccessKeyId</Code></Error>".into(),
        };
        assert_eq!(error_code(&answered).as_deref(), Some("InvalidAccessKeyId"));
        let timeout = object_store::Error::Generic { store: "S3", source: "operation timed out".into() };
        assert_eq!(error_code(&timeout), None);
        let full = io::Error::from(io::ErrorKind::StorageFull);
        let full = object_store::Error::Generic { store: "bucket", source: Box::new(full) };
        assert_eq!(error_code(&full).as_deref(), Some("StorageFull"));
        let missing = object_store::Error::NotFound { path: "k".to_owned(), source: "404".into() };
        assert_eq!(error_code(&missing).as_deref(), Some("NoSuchBucket"));
    }
}
