//! One put: a staged file becomes an object, or the reason why it did not.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{Attribute, Attributes, ObjectStore, ObjectStoreExt, PutOptions, PutPayload};
use towpath_model::eventtime_text;

use super::TrailUpload;
use crate::buckets::{BucketError, error_code};
use crate::digest::SIGNATURE_ALGORITHM;
use crate::record::{Staged, What};

/// Why a file was not put.
#[derive(Debug, thiserror::Error)]
pub(super) enum PutError {
    #[error("the staged file cannot be read")]
    Local(#[source] io::Error),
    #[error(transparent)]
    Bucket(#[from] BucketError),
    #[error("the object cannot be put")]
    Put(#[source] object_store::Error),
    #[error("the put took too long")]
    Slow,
}

impl PutError {
    pub(super) fn code(&self) -> Option<String> {
        match self {
            Self::Bucket(error) => error.code.clone(),
            Self::Put(error) => error_code(error),
            Self::Local(_) | Self::Slow => None,
        }
    }

    /// Trying again can never help.
    pub(super) fn lost(&self) -> bool {
        matches!(self, Self::Local(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

impl TrailUpload {
    pub(super) async fn put(&self, store: &dyn ObjectStore, staged: &Staged) -> Result<(), PutError> {
        let local = self.shared.folder.join(&staged.file);
        let read = tokio::task::spawn_blocking(move || std::fs::read(local)).await;
        let bytes =
            Bytes::from(read.map_err(|error| PutError::Local(io::Error::other(error)))?.map_err(PutError::Local)?);
        let path =
            Path::parse(&staged.key).map_err(|source| PutError::Put(object_store::Error::InvalidPath { source }))?;
        let options = PutOptions { attributes: attributes(&staged.what), ..PutOptions::default() };
        let limit = Duration::from_secs(self.shared.settings.put_seconds);
        let put = store.put_opts(&path, PutPayload::from_bytes(bytes.clone()), options);
        let failure = match tokio::time::timeout(limit, put).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => PutError::Put(error),
            Err(_) => return Err(PutError::Slow),
        };
        // A bucket that refuses to overwrite may hold the object already, from a put whose mark was lost.
        let refused = matches!(
            failure,
            PutError::Put(
                object_store::Error::AlreadyExists { .. }
                    | object_store::Error::Precondition { .. }
                    | object_store::Error::PermissionDenied { .. }
            )
        );
        if refused && holds(store, &path, &bytes, limit).await { Ok(()) } else { Err(failure) }
    }
}

/// True when the object is there with these bytes.
async fn holds(store: &dyn ObjectStore, path: &Path, bytes: &Bytes, limit: Duration) -> bool {
    let read = async { store.get(path).await?.bytes().await };
    matches!(tokio::time::timeout(limit, read).await, Ok(Ok(found)) if found == *bytes)
}

fn attributes(what: &What) -> Attributes {
    let mut attributes = Attributes::new();
    attributes.insert(Attribute::ContentType, "application/json".into());
    attributes.insert(Attribute::ContentEncoding, "gzip".into());
    if let What::Digest { signature, backfill } = what {
        attributes.insert(Attribute::Metadata("signature".into()), signature.clone().into());
        attributes.insert(Attribute::Metadata("signature-algorithm".into()), SIGNATURE_ALGORITHM.into());
        if let Some(made) = backfill {
            let whole = eventtime_text(*made);
            let text = format!("{}.{:03}Z", whole.trim_end_matches('Z'), made.subsec_millisecond());
            attributes.insert(Attribute::Metadata("backfill-generation-timestamp".into()), text.into());
        }
    }
    attributes
}
