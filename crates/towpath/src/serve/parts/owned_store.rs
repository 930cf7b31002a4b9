//! A bucket of another owner: what is put there belongs to the owner of the bucket.
//!
//! CloudTrail puts every object with the ACL `bucket-owner-full-control`, and policies of buckets ask for it. The object
//! store has no attribute for an ACL, but headers that its client always sends are part of what it signs. They are sent with
//! puts alone: a second client does everything else.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use http::{HeaderMap, HeaderName, HeaderValue};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{
    ClientOptions, CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

const ACL: HeaderName = HeaderName::from_static("x-amz-acl");
const OWNER: HeaderValue = HeaderValue::from_static("bucket-owner-full-control");

/// A client for deliveries; with `owner_acl` it gives what it puts to the owner of the bucket.
pub fn deliveries(builder: AmazonS3Builder, client: ClientOptions, owner_acl: bool) -> Result<Arc<dyn ObjectStore>> {
    let other = builder.clone().with_client_options(client.clone()).build()?;
    if !owner_acl {
        return Ok(Arc::new(other));
    }
    let headers = HeaderMap::from_iter([(ACL, OWNER)]);
    let puts = builder.with_client_options(client.with_default_headers(headers)).build()?;
    Ok(Arc::new(OwnedStore { puts, other }))
}

#[derive(Debug)]
struct OwnedStore {
    puts: AmazonS3,
    other: AmazonS3,
}

impl fmt::Display for OwnedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.other.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for OwnedStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.puts.put_opts(location, payload, options).await
    }

    // Only the request that begins an upload may have an ACL, and the client cannot tell it from the others.
    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.other.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.other.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.other.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.other.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.other.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.other.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.other.copy_opts(from, to, options).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use http_body_util::Full;
    use hyper::body::Incoming;
    use hyper::service::service_fn;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use object_store::ObjectStoreExt;
    use tokio::net::TcpListener;

    use super::*;

    /// The method, and the headers that begin with x-amz or say what is signed, of every request to a server.
    type Seen = Arc<Mutex<Vec<(String, HeaderMap)>>>;

    async fn server() -> (String, Seen) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, seen) = (format!("http://{}", listener.local_addr().unwrap()), Seen::default());
        let remembered = seen.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let seen = remembered.clone();
                let service = service_fn(move |request: http::Request<Incoming>| {
                    seen.lock().unwrap().push((request.method().to_string(), request.headers().clone()));
                    let answer =
                        http::Response::builder().header("etag", "\"e\"").body(Full::<bytes::Bytes>::default());
                    async move { answer }
                });
                tokio::spawn(async move {
                    let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        (address, seen)
    }

    fn builder(address: &str) -> AmazonS3Builder {
        AmazonS3Builder::new()
            .with_bucket_name("bucket")
            .with_endpoint(address)
            .with_region("eu-west-1")
            .with_access_key_id("key")
            .with_secret_access_key("secret")
    }

    #[tokio::test]
    async fn puts_carry_the_acl_and_the_key_and_sign_them_and_nothing_else_does() {
        let (address, seen) = server().await;
        let client = ClientOptions::new().with_allow_http(true);
        let builder = builder(&address).with_sse_kms_encryption("arn:aws:kms:eu-west-1:000000000001:key/k");
        let store = deliveries(builder, client, true).unwrap();
        store.put(&Path::from("a"), "x".into()).await.unwrap();
        let _ = store.get(&Path::from("a")).await;
        let seen = seen.lock().unwrap();
        let (method, headers) = &seen[0];
        assert_eq!(method, "PUT");
        let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap());
        assert_eq!(text("x-amz-acl"), Some("bucket-owner-full-control"));
        assert_eq!(text("x-amz-server-side-encryption"), Some("aws:kms"));
        assert_eq!(
            text("x-amz-server-side-encryption-aws-kms-key-id"),
            Some("arn:aws:kms:eu-west-1:000000000001:key/k")
        );
        let signed = text("authorization").unwrap();
        for name in ["x-amz-acl", "x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id"] {
            assert!(signed.contains(&format!(";{name};")) || signed.contains(&format!(";{name},")), "{signed}");
        }
        let (method, headers) = &seen[1];
        assert_eq!(method, "GET");
        assert!(headers.get("x-amz-acl").is_none());
    }

    #[tokio::test]
    async fn a_service_that_refuses_acls_is_sent_none() {
        let (address, seen) = server().await;
        let store = deliveries(builder(&address), ClientOptions::new().with_allow_http(true), false).unwrap();
        store.put(&Path::from("a"), "x".into()).await.unwrap();
        assert!(seen.lock().unwrap()[0].1.get("x-amz-acl").is_none());
    }
}
