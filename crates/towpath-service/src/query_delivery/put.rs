//! Putting a file into a bucket: what may pass is tried again.

use std::time::Duration;

use object_store::path::Path;
use object_store::{Attribute, Attributes, ObjectStore, PutOptions, PutPayload};

use super::DeliverError;

/// How often a put is tried, and the pause after the first failure; it doubles.
const TRIES: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// The time that one put may take.
const PUT_TIME: Duration = Duration::from_secs(120);

/// Puts an object; what may pass is tried again.
pub(super) async fn put(
    store: &dyn ObjectStore,
    key: String,
    bytes: Vec<u8>,
    kind: &'static str,
) -> Result<(), DeliverError> {
    let failed = |cause| DeliverError::Put { key: key.clone(), cause };
    let path = Path::parse(&key).map_err(|source| failed(object_store::Error::InvalidPath { source }))?;
    let payload = PutPayload::from(bytes);
    let (mut tried, mut pause) = (1, FIRST_PAUSE);
    loop {
        let attributes = Attributes::from_iter([(Attribute::ContentType, kind)]);
        let putting = store.put_opts(&path, payload.clone(), PutOptions { attributes, ..PutOptions::default() });
        let late = |_| Err(object_store::Error::Generic { store: "S3", source: "no answer in time".into() });
        let cause = match tokio::time::timeout(PUT_TIME, putting).await.unwrap_or_else(late) {
            Ok(_) => return Ok(()),
            Err(cause) => cause,
        };
        let final_word = matches!(
            cause,
            object_store::Error::NotFound { .. }
                | object_store::Error::PermissionDenied { .. }
                | object_store::Error::Unauthenticated { .. }
        );
        if final_word || tried >= TRIES {
            return Err(failed(cause));
        }
        tried += 1;
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
}
