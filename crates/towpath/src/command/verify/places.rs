//! Where objects are read: buckets over the S3 protocol, or a folder that a bucket was copied to.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::{Certificate, ClientOptions, ObjectStore, RetryConfig};
use towpath_trail::{BucketError, Buckets};

use super::super::Failure;
use crate::client::{ClientError, Connection, ConnectionArgs, resolve};

/// The port that Towpath serves its buckets at unless it is told otherwise.
const S3_PORT: u16 = 4748;

/// After this time a request that fails is not tried again.
const RETRY_TIME: Duration = Duration::from_secs(30);

/// Flags that say where buckets are.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct S3Args {
    /// Address of the S3 service [default: AWS_ENDPOINT_URL_S3, else port 4748 of the server]
    #[arg(long, value_name = "URL")]
    pub s3_endpoint: Option<String>,
    /// Region of the buckets [default: the one of the trail]
    #[arg(long, value_name = "REGION")]
    pub s3_region: Option<String>,
    /// Profile with the access key for the buckets [default: the one for the server]
    #[arg(long, value_name = "NAME")]
    pub s3_profile: Option<String>,
}

/// Buckets of one S3 service.
pub struct S3Buckets {
    endpoint: String,
    connection: Connection,
}

impl S3Buckets {
    /// Finds the service and the key to sign with.
    pub fn find(s3: &S3Args, connection: &Connection) -> Result<Self, Failure> {
        let variable = |name: &str| std::env::var(name).ok();
        let endpoint = endpoint_of(s3, connection, variable)?;
        let mut connection = connection.clone();
        if let Some(region) = &s3.s3_region {
            connection.region.clone_from(region);
        }
        if s3.s3_profile.is_some() {
            let args = ConnectionArgs { profile: s3.s3_profile.clone(), ..ConnectionArgs::default() };
            let read = |path: &Path| std::fs::read_to_string(path).ok();
            connection.credentials = resolve(&args, variable, read).map_err(ClientError::from)?.credentials;
        }
        Ok(Self { endpoint, connection })
    }
}

fn endpoint_of(
    s3: &S3Args,
    connection: &Connection,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<String, Failure> {
    let named = || variable("AWS_ENDPOINT_URL_S3").filter(|text| !text.is_empty());
    if let Some(endpoint) = s3.s3_endpoint.clone().or_else(named) {
        return Ok(endpoint);
    }
    let no_host = || Failure::plain("there is no address of the S3 service", "name it with --s3-endpoint");
    let uri: http::Uri = connection.endpoint.parse().map_err(|_| no_host())?;
    let (scheme, host) = uri.scheme_str().zip(uri.host()).ok_or_else(no_host)?;
    Ok(format!("{scheme}://{host}:{S3_PORT}"))
}

#[async_trait]
impl Buckets for S3Buckets {
    async fn open(&self, bucket: &str) -> Result<Arc<dyn ObjectStore>, BucketError> {
        let refused = |message: String| BucketError { bucket: bucket.to_owned(), code: None, message };
        let mut options = ClientOptions::new().with_allow_http(self.endpoint.starts_with("http://"));
        if let Some(authorities) = &self.connection.authorities {
            let certificates = Certificate::from_pem_bundle(authorities.as_bytes());
            for certificate in certificates.map_err(|cause| refused(cause.to_string()))? {
                options = options.with_root_certificate(certificate);
            }
        }
        let credentials = &self.connection.credentials;
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_region(&self.connection.region)
            .with_endpoint(&self.endpoint)
            .with_access_key_id(&credentials.access_key_id)
            .with_secret_access_key(credentials.secret_access_key.expose())
            .with_client_options(options)
            .with_retry(RetryConfig { max_retries: 4, retry_timeout: RETRY_TIME, ..RetryConfig::default() });
        if let Some(token) = &credentials.session_token {
            builder = builder.with_token(token.expose());
        }
        Ok(Arc::new(builder.build().map_err(|cause| refused(cause.to_string()))?))
    }
}

/// A folder that stands for every bucket: `aws s3 sync s3://bucket FOLDER` keeps the keys as paths.
pub struct CopiedBuckets(Arc<LocalFileSystem>);

impl CopiedBuckets {
    /// The folder.
    pub fn open(folder: &Path) -> Result<Self, Failure> {
        let path = folder.display().to_string();
        let whole = std::fs::canonicalize(folder).map_err(|cause| Failure::Read { path: path.clone(), cause })?;
        let store = LocalFileSystem::new_with_prefix(whole);
        let store =
            store.map_err(|cause| Failure::plain(format!("{path} cannot be used: {cause}"), "name a folder"))?;
        Ok(Self(Arc::new(store)))
    }
}

#[async_trait]
impl Buckets for CopiedBuckets {
    async fn open(&self, _: &str) -> Result<Arc<dyn ObjectStore>, BucketError> {
        Ok(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::fake::Fake;

    #[tokio::test]
    async fn buckets_are_at_the_address_that_is_said_or_beside_the_server() {
        let fake = Fake::answering(Vec::new()).await;
        let mut connection = fake.client().connection().clone();
        connection.endpoint = "https://towpath.example.org:4747".to_owned();
        let flag = S3Args { s3_endpoint: Some("http://flag".to_owned()), ..S3Args::default() };
        let variable = |_: &str| Some("http://variable".to_owned());
        let of = |s3: &S3Args, set: bool| endpoint_of(s3, &connection, |name| variable(name).filter(|_| set)).unwrap();
        assert_eq!(of(&flag, true), "http://flag");
        assert_eq!(of(&S3Args::default(), true), "http://variable");
        assert_eq!(of(&S3Args::default(), false), "https://towpath.example.org:4748");
    }

    #[test]
    fn a_copy_must_be_a_folder_that_is_there() {
        let folder = tempfile::tempdir().unwrap();
        assert!(CopiedBuckets::open(folder.path()).is_ok());
        assert!(CopiedBuckets::open(&folder.path().join("absent")).is_err());
    }
}
