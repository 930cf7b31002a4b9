//! Where imports read: a bucket of the data directory if it has the name, else a service of the settings.

use std::sync::Arc;

use async_trait::async_trait;
use object_store::path::Path;
use towpath_bucket::Buckets;
use towpath_import::{ImportSource, OpenSource, OpenedSource, SourceError};

use super::endpoints::Endpoints;

/// Opens the sources of imports. That the caller may read an embedded bucket was checked when the import was started.
pub struct ImportSources {
    embedded: Buckets,
    endpoints: Arc<Endpoints>,
}

impl ImportSources {
    /// Looks in `embedded` first.
    pub fn new(embedded: Buckets, endpoints: Arc<Endpoints>) -> Self {
        Self { embedded, endpoints }
    }
}

#[async_trait]
impl OpenSource for ImportSources {
    async fn open(&self, source: &ImportSource) -> Result<OpenedSource, SourceError> {
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
        }
        self.endpoints.open(source).await
    }
}
