//! Which S3-compatible service a bucket is of, for imports that read it and trails that deliver to it: the one whose
//! settings name the bucket, else the one that serves all others, else AWS with the credentials of the AWS environment.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use object_store::aws::AmazonS3Builder;
use object_store::{ClientOptions, ObjectStore, RetryConfig};
use towpath_import::{ImportSource, OpenSource, OpenedSource, S3Settings, SourceError, Sources};

use super::owned_store::deliveries;
use crate::config::{Import, S3Endpoint};

/// An endpoint whose access key cannot be found.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("setting import.endpoint.{endpoint}.{field} names the variable {variable}, which is not set; set it")]
pub struct MissingVariable {
    endpoint: String,
    field: &'static str,
    variable: String,
}

/// The region of a bucket whose endpoint names none.
const DEFAULT_REGION: &str = "us-east-1";

/// The time that an endpoint has to take a connection.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// The services that imports read from and trails deliver to.
pub struct Endpoints {
    named: Vec<Endpoint>,
    otherwise: Sources,
}

struct Endpoint {
    buckets: Vec<String>,
    region: Option<String>,
    s3: S3Settings,
    sources: Sources,
    owner_acl: bool,
}

impl Endpoints {
    /// Takes the endpoints from the settings and their secrets from where the settings say.
    pub fn new(settings: &Import, variable: impl Fn(&str) -> Option<String>) -> Result<Self, MissingVariable> {
        let mut named = Vec::new();
        for (name, endpoint) in &settings.endpoint {
            let s3 = s3(name, endpoint, &variable)?;
            named.push(Endpoint {
                buckets: endpoint.buckets.clone(),
                region: endpoint.region.clone(),
                owner_acl: endpoint.owner_acl,
                sources: Sources::new(s3.clone()),
                s3,
            });
        }
        Ok(Self { named, otherwise: Sources::default() })
    }

    /// A bucket that trails deliver to, if an endpoint serves it. Nothing is asked of the endpoint yet.
    pub fn bucket(&self, bucket: &str) -> Option<Result<Arc<dyn ObjectStore>, object_store::Error>> {
        let (builder, client) = self.of(bucket)?.client(bucket);
        let store = builder.with_client_options(client).build();
        Some(store.map(|store| Arc::new(store) as Arc<dyn ObjectStore>))
    }

    /// The same for deliveries: what is put belongs to the owner of the bucket, and is encrypted with a key of KMS if one
    /// is named.
    pub fn delivering(
        &self,
        bucket: &str,
        kms_key: Option<&str>,
    ) -> Option<Result<Arc<dyn ObjectStore>, object_store::Error>> {
        let endpoint = self.of(bucket)?;
        let (builder, client) = endpoint.client(bucket);
        let builder = match kms_key {
            Some(key) => builder.with_sse_kms_encryption(key),
            None => builder,
        };
        Some(deliveries(builder, client, endpoint.owner_acl))
    }

    /// True if a service of the settings is asked for the bucket; otherwise it is AWS.
    pub fn serve(&self, bucket: &str) -> bool {
        self.of(bucket).is_some()
    }

    fn of(&self, bucket: &str) -> Option<&Endpoint> {
        let naming = self.named.iter().find(|endpoint| endpoint.buckets.iter().any(|name| name == bucket));
        naming.or_else(|| self.named.iter().find(|endpoint| endpoint.buckets.is_empty()))
    }
}

impl Endpoint {
    fn client(&self, bucket: &str) -> (AmazonS3Builder, ClientOptions) {
        let s3 = &self.s3;
        let mut builder = AmazonS3Builder::from_env()
            .with_bucket_name(bucket)
            .with_region(self.region.as_deref().unwrap_or(DEFAULT_REGION))
            .with_virtual_hosted_style_request(s3.virtual_hosted)
            // The delivery waits and tries again by itself, and shows every failure.
            .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() });
        let mut plain_http = false;
        if let Some(address) = &s3.endpoint {
            plain_http = address.starts_with("http://");
            builder = builder.with_endpoint(address);
        }
        if let (Some(id), Some(secret)) = (&s3.access_key_id, &s3.secret_access_key) {
            builder = builder.with_access_key_id(id).with_secret_access_key(secret);
        }
        let client = ClientOptions::new().with_connect_timeout(CONNECT_TIME).with_allow_http(plain_http);
        (builder, client)
    }
}

fn s3(
    name: &str,
    endpoint: &S3Endpoint,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<S3Settings, MissingVariable> {
    let from = |field: &'static str, value: Option<String>, named: &Option<String>| match named {
        None => Ok(value),
        Some(named) => variable(named).map(Some).ok_or_else(|| MissingVariable {
            endpoint: name.to_owned(),
            field,
            variable: named.clone(),
        }),
    };
    let secret = endpoint.secret_access_key.as_ref().map(|secret| secret.expose().to_owned());
    Ok(S3Settings {
        endpoint: endpoint.endpoint.clone(),
        access_key_id: from("access_key_id_env", endpoint.access_key_id.clone(), &endpoint.access_key_id_env)?,
        secret_access_key: from("secret_access_key_env", secret, &endpoint.secret_access_key_env)?,
        session_token: None,
        virtual_hosted: !endpoint.path_style,
    })
}

#[async_trait]
impl OpenSource for Endpoints {
    async fn open(&self, source: &ImportSource) -> Result<OpenedSource, SourceError> {
        let ImportSource::S3 { uri, region, role_arn } = source else { return self.otherwise.open(source).await };
        let bucket = uri.strip_prefix("s3://").and_then(|rest| rest.split('/').next()).unwrap_or_default();
        let Some(endpoint) = self.of(bucket) else { return self.otherwise.open(source).await };
        let region = endpoint.region.clone().unwrap_or_else(|| region.clone());
        endpoint.sources.open(&ImportSource::S3 { uri: uri.clone(), region, role_arn: role_arn.clone() }).await
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn settings() -> Import {
        let named = S3Endpoint {
            buckets: vec!["audit".to_owned()],
            region: Some("eu-west-1".to_owned()),
            access_key_id: Some("key".to_owned()),
            secret_access_key_env: Some("AUDIT_SECRET".to_owned()),
            ..S3Endpoint::default()
        };
        let rest = S3Endpoint { endpoint: Some("https://s3.example.org".to_owned()), ..S3Endpoint::default() };
        let endpoint = BTreeMap::from([("named".to_owned(), named), ("rest".to_owned(), rest)]);
        Import { endpoint, ..Import::default() }
    }

    #[test]
    fn a_bucket_is_read_where_it_is_named_and_others_where_all_are_served() {
        let endpoints = Endpoints::new(&settings(), |_| Some("secret".to_owned())).unwrap();
        assert_eq!(endpoints.of("audit").unwrap().region.as_deref(), Some("eu-west-1"));
        assert!(endpoints.of("other").unwrap().buckets.is_empty());
        assert!(Endpoints::new(&Import::default(), |_| None).unwrap().of("audit").is_none());
    }

    #[test]
    fn a_secret_that_is_not_there_is_refused_by_name() {
        let refusal = Endpoints::new(&settings(), |_| None).err().unwrap().to_string();
        assert_eq!(
            refusal,
            "setting import.endpoint.named.secret_access_key_env names the variable AUDIT_SECRET, which is not set; \
             set it"
        );
    }
}
