//! What the delivery of trails is given: buckets, wherever they are, and the sealing of its signing keys.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use object_store::ObjectStore;
use parking_lot::Mutex;
use towpath_bucket::Buckets;
use towpath_iam::Sealer;
use towpath_model::Trail;
use towpath_trail::{BucketError, SealError};
use zeroize::Zeroizing;

use super::endpoints::Endpoints;

/// The purpose that the keys of digests are sealed for.
pub const SIGNING_KEYS: &str = "trail signing keys";

/// Endpoints' buckets that are kept open; with more the oldest connections are set up anew.
const MAX_OPEN: usize = 1_000;

/// The buckets of trails: one of the data directory if it has the name, else one behind an endpoint of the settings.
pub struct TrailBuckets {
    embedded: Buckets,
    endpoints: Arc<Endpoints>,

    // Held for a look-up or an insertion.
    opened: Mutex<HashMap<Opened, Arc<dyn ObjectStore>>>,
}

/// How a bucket behind an endpoint was opened.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Opened {
    bucket: String,
    /// To deliver to it, with this key of KMS; else to read it.
    delivering: Option<Option<String>>,
}

impl TrailBuckets {
    /// Looks in `embedded` first.
    pub fn new(embedded: Buckets, endpoints: Arc<Endpoints>) -> Self {
        Self { embedded, endpoints, opened: Mutex::default() }
    }
}

#[async_trait]
impl towpath_trail::Buckets for TrailBuckets {
    async fn open(&self, bucket: &str) -> Result<Arc<dyn ObjectStore>, BucketError> {
        if self.embedded.get(bucket).is_ok() {
            return Ok(Arc::new(self.embedded.store(bucket)));
        }
        self.at_endpoint(bucket, None)
    }

    /// The policy of an embedded bucket has its say at each delivery, not only when the trail is made.
    async fn open_for(&self, bucket: &str, trail: &Trail) -> Result<Arc<dyn ObjectStore>, BucketError> {
        if self.embedded.get(bucket).is_ok() {
            return Ok(Arc::new(self.embedded.store(bucket).delivering(&trail.arn())));
        }
        self.at_endpoint(bucket, Some(trail.kms_key_id.clone()))
    }
}

impl TrailBuckets {
    fn at_endpoint(
        &self,
        bucket: &str,
        delivering: Option<Option<String>>,
    ) -> Result<Arc<dyn ObjectStore>, BucketError> {
        let wanted = Opened { bucket: bucket.to_owned(), delivering };
        if let Some(store) = self.opened.lock().get(&wanted) {
            return Ok(Arc::clone(store));
        }
        let refused = |code: Option<&str>, message: String| BucketError {
            bucket: bucket.to_owned(),
            code: code.map(str::to_owned),
            message,
        };
        let built = match &wanted.delivering {
            Some(kms_key) => self.endpoints.delivering(bucket, kms_key.as_deref()),
            None => self.endpoints.bucket(bucket),
        };
        let built = built.ok_or_else(|| {
            let message = "it is no bucket of this server, and no endpoint of the settings serves it";
            refused(Some("NoSuchBucket"), message.to_owned())
        })?;
        let store = built.map_err(|cause| refused(None, cause.to_string()))?;
        let mut opened = self.opened.lock();
        if opened.len() >= MAX_OPEN {
            opened.clear();
        }
        opened.insert(wanted, Arc::clone(&store));
        Ok(store)
    }
}

/// Seals the private keys of digests under the installation's secret key.
pub struct KeySealer(pub Sealer);

impl towpath_trail::Sealer for KeySealer {
    fn seal(&self, name: &str, plain: &[u8]) -> Result<String, SealError> {
        self.0.seal(name, plain).map_err(|cause| SealError(cause.to_string()))
    }

    fn open(&self, name: &str, sealed: &str) -> Result<Zeroizing<Vec<u8>>, SealError> {
        self.0.open(name, sealed).map_err(|cause| SealError(cause.to_string()))
    }
}
