//! Where imports read: a bucket of the data directory if it has the name, else a service of the settings. If the settings
//! ask for it, digests stand between.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use object_store::path::Path;
use towpath_bucket::Buckets;
use towpath_import::{ImportSource, OpenSource, OpenedSource, SourceError};
use towpath_trail::SigningKeys;
use towpath_trail::verify::{KeyFileError, KeySource, SavedKeys};

use super::endpoints::Endpoints;
use super::vouched::{TrustedKeys, vouched};
use crate::config::Import;

/// Opens the sources of imports. That the caller may read an embedded bucket was checked when the import was started.
pub struct ImportSources {
    embedded: Buckets,
    endpoints: Arc<Endpoints>,
    /// The keys that digests are believed by, where they must vouch for what is imported.
    trusted: Option<Arc<dyn KeySource>>,
}

/// Public keys for imports that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ImportKeysError {
    /// The file.
    #[error("setting import.public_keys names {path}, which cannot be read")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// What is in it.
    #[error("setting import.public_keys names {path}, which holds no public keys")]
    Keys {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: KeyFileError,
    },
}

/// The keys that digests of imports are believed by, if the settings ask for digests.
pub fn trusted_keys(settings: &Import, own: &Arc<SigningKeys>) -> Result<Option<Arc<dyn KeySource>>, ImportKeysError> {
    if !settings.verify_digests {
        return Ok(None);
    }
    let read = |path: &PathBuf| {
        let text =
            std::fs::read_to_string(path).map_err(|cause| ImportKeysError::File { path: path.clone(), cause })?;
        SavedKeys::parse(&text).map_err(|cause| ImportKeysError::Keys { path: path.clone(), cause })
    };
    let others = settings.public_keys.as_ref().map(read).transpose()?;
    Ok(Some(Arc::new(TrustedKeys { own: own.clone(), others })))
}

impl ImportSources {
    /// Looks in `embedded` first; `trusted` are the keys of digests, where they are asked for.
    pub fn new(embedded: Buckets, endpoints: Arc<Endpoints>, trusted: Option<Arc<dyn KeySource>>) -> Self {
        Self { embedded, endpoints, trusted }
    }

    async fn open_bare(&self, source: &ImportSource) -> Result<OpenedSource, SourceError> {
        if let ImportSource::S3 { uri, .. } = source {
            let rest = uri.strip_prefix("s3://").ok_or(SourceError::Uri)?;
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            if self.embedded.get(bucket).is_ok() {
                let root = Path::parse(prefix.trim_end_matches('/')).map_err(|_| SourceError::Uri)?;
                return Ok(OpenedSource {
                    store: Arc::new(self.embedded.store(bucket)),
                    loose: !root.is_root(),
                    root,
                    base: format!("s3://{bucket}/"),
                    gzip_only: true,
                });
            }
            if !self.endpoints.serve(bucket) {
                return self.endpoints.open(source).await.map_err(|error| of_aws(error, bucket));
            }
        }
        self.endpoints.open(source).await
    }
}

/// A bucket that only AWS can have: what to do if it was meant to be elsewhere.
fn of_aws(error: SourceError, bucket: &str) -> SourceError {
    match error {
        SourceError::Refused(why) => SourceError::Refused(format!(
            "{why}; AWS was asked, since this server has no bucket {bucket} and no import.endpoint of its settings serves it"
        )),
        error => error,
    }
}

#[async_trait]
impl OpenSource for ImportSources {
    async fn open(&self, source: &ImportSource) -> Result<OpenedSource, SourceError> {
        let opened = self.open_bare(source).await?;
        match (&self.trusted, source) {
            (Some(keys), ImportSource::S3 { .. }) => vouched(opened, keys.clone()).await,
            _ => Ok(opened),
        }
    }
}
