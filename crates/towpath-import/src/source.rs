//! Opening the place that an import reads.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ClientOptions, ObjectStore, RetryConfig};

use crate::import::ImportSource;
use crate::source_error;

/// A source that can be listed and read.
#[derive(Clone, Debug)]
pub struct OpenedSource {
    /// The store.
    pub store: Arc<dyn ObjectStore>,
    /// The folder in it that the import was pointed at; may be the root.
    pub root: Path,
    /// What stands before a path in the locations of failures, such as `s3://bucket/`.
    pub base: String,
    /// True if files that are not gzip are failures.
    pub gzip_only: bool,
    /// True if files are read wherever they lie, and not only in folders named `CloudTrail`.
    pub loose: bool,
}

/// Why a source cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The text is no `s3://bucket[/prefix]`.
    #[error("the location of an import has the form s3://bucket or s3://bucket/prefix")]
    Uri,
    /// The folder does not exist or is no folder.
    #[error("there is no such folder")]
    Folder,
    /// The source refuses access or has no such bucket.
    #[error("the source cannot be listed: {0}")]
    Refused(String),
    /// The settings do not make a client.
    #[error("the client of the source cannot be set up")]
    Client(#[source] object_store::Error),
}

/// Opens sources.
#[async_trait]
pub trait OpenSource: Send + Sync + 'static {
    /// Opens a source and makes sure that it can be listed.
    async fn open(&self, source: &ImportSource) -> Result<OpenedSource, SourceError>;
}

/// How S3-compatible stores are reached.
#[derive(Clone, Default)]
pub struct S3Settings {
    /// The endpoint; AWS if absent.
    pub endpoint: Option<String>,
    /// The access key; the environment's credentials if absent.
    pub access_key_id: Option<String>,
    /// The secret of the access key.
    pub secret_access_key: Option<String>,
    /// The session token, with temporary keys.
    pub session_token: Option<String>,
    /// Puts the bucket into the host name instead of the path.
    pub virtual_hosted: bool,
}

impl fmt::Debug for S3Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Settings")
            .field("endpoint", &self.endpoint)
            .field("access_key_id", &self.access_key_id)
            .field("virtual_hosted", &self.virtual_hosted)
            .finish_non_exhaustive()
    }
}

/// Opens buckets with one set of credentials, and folders.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    s3: S3Settings,
}

impl Sources {
    /// Reaches S3 with these settings.
    pub const fn new(s3: S3Settings) -> Self {
        Self { s3 }
    }

    fn bucket(&self, uri: &str, region: &str) -> Result<OpenedSource, SourceError> {
        let (bucket, prefix) = parse_uri(uri)?;
        let root = Path::parse(prefix).map_err(|_| SourceError::Uri)?;
        // A request may last as long as the log needs to take a file's events; the reader bounds each step instead.
        let client = ClientOptions::new().with_timeout_disabled().with_connect_timeout(Duration::from_secs(5));
        let retry = RetryConfig { max_retries: 4, retry_timeout: Duration::from_secs(60), ..RetryConfig::default() };
        let mut builder = AmazonS3Builder::from_env()
            .with_bucket_name(bucket)
            .with_region(region)
            .with_virtual_hosted_style_request(self.s3.virtual_hosted)
            .with_retry(retry);
        let mut plain_http = false;
        if let Some(endpoint) = &self.s3.endpoint {
            plain_http = endpoint.starts_with("http://");
            builder = builder.with_endpoint(endpoint);
        }
        builder = builder.with_client_options(client.with_allow_http(plain_http));
        if let (Some(id), Some(secret)) = (&self.s3.access_key_id, &self.s3.secret_access_key) {
            builder = builder.with_access_key_id(id).with_secret_access_key(secret);
        }
        if let Some(token) = &self.s3.session_token {
            builder = builder.with_token(token);
        }
        let store = Arc::new(builder.build().map_err(SourceError::Client)?);
        let loose = !root.is_root();
        Ok(OpenedSource { store, root, base: format!("s3://{bucket}/"), gzip_only: true, loose })
    }
}

/// Splits `s3://bucket[/prefix]`.
fn parse_uri(uri: &str) -> Result<(&str, &str), SourceError> {
    let rest = uri.strip_prefix("s3://").ok_or(SourceError::Uri)?;
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.';
    if (3..=63).contains(&bucket.len()) && bucket.bytes().all(plain) {
        Ok((bucket, prefix.trim_end_matches('/')))
    } else {
        Err(SourceError::Uri)
    }
}

#[async_trait]
impl OpenSource for Sources {
    async fn open(&self, source: &ImportSource) -> Result<OpenedSource, SourceError> {
        let opened = match source {
            ImportSource::S3 { uri, region, .. } => self.bucket(uri, region)?,
            ImportSource::Folder { path } => {
                let folder = std::path::absolute(path).map_err(|_| SourceError::Folder)?;
                let store = LocalFileSystem::new_with_prefix(&folder).map_err(|_| SourceError::Folder)?;
                let base = format!("file://{}/", folder.display());
                OpenedSource { store: Arc::new(store), root: Path::default(), base, gzip_only: false, loose: true }
            }
            ImportSource::Upload { .. } => return Err(SourceError::Uri),
        };
        let first = opened.store.list(Some(&opened.root)).next().await;
        match first {
            Some(Err(error)) => Err(SourceError::Refused(source_error::fault(&error).message)),
            _ => Ok(opened),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_has_a_bucket_and_maybe_a_prefix() {
        assert_eq!(parse_uri("s3://my-bucket").unwrap(), ("my-bucket", ""));
        assert_eq!(parse_uri("s3://my-bucket/a/AWSLogs/").unwrap(), ("my-bucket", "a/AWSLogs"));
        for uri in ["", "my-bucket", "https://my-bucket", "s3://", "s3://My_Bucket/x", "s3:///x"] {
            assert!(parse_uri(uri).is_err(), "{uri}");
        }
    }

    #[test]
    fn secrets_of_the_settings_are_not_shown() {
        let settings = S3Settings { secret_access_key: Some("hunter2".to_owned()), ..S3Settings::default() };
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
}
