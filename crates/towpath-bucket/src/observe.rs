//! What S3 calls were: for whoever records them.

use std::net::IpAddr;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use uuid::Uuid;

use towpath_model::{AccountId, Region};

use crate::access::Caller;
use crate::name::BucketName;

/// How a connection is encrypted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encryption {
    /// Such as `TLSv1.3`.
    pub version: Option<String>,
    /// Such as `TLS_AES_128_GCM_SHA256`.
    pub cipher_suite: Option<String>,
}

/// One S3 call, ended.
#[derive(Clone, Debug)]
pub struct S3Call {
    /// Who called; `None` if it was not found out, as with a wrong signature.
    pub caller: Option<Caller>,
    /// The operation, such as `PutBucketPolicy`; `None` for a request that is none.
    pub operation: Option<&'static str>,
    /// True if the operation changes nothing.
    pub read_only: bool,
    /// The bucket, as it was written, and its account if it exists.
    pub bucket: Option<(BucketName, Option<AccountId>)>,
    /// The key of the object.
    pub key: Option<String>,
    /// The code and the message of the error; `None` if it was done.
    pub error: Option<(String, String)>,
    /// Bytes of content received and sent, as announced in the headers.
    pub bytes: (u64, u64),
    /// The region that the request was signed for.
    pub region: Option<Region>,
    /// Where it came from.
    pub peer: IpAddr,
    /// The User-Agent header.
    pub user_agent: Option<String>,
    /// The host that was asked for.
    pub host: Option<String>,
    /// The encryption of the connection, if there is one.
    pub encryption: Option<Encryption>,
    /// The id that the caller was given.
    pub request_id: Uuid,
    /// When it ended.
    pub time: Timestamp,
}

impl S3Call {
    /// True for operations on objects, which CloudTrail counts as data events; the rest are management events.
    pub fn is_data(&self) -> bool {
        self.key.is_some()
            || matches!(
                self.operation,
                Some(
                    "ListObjects"
                        | "ListObjectsV2"
                        | "ListObjectVersions"
                        | "ListMultipartUploads"
                        | "DeleteObjects"
                        | "HeadBucket"
                )
            )
    }
}

/// Is told of every S3 call.
pub trait S3Observer: Send + Sync + 'static {
    /// A call has ended; its answer goes out when the future is done.
    fn observe(&self, call: S3Call) -> BoxFuture<'static, ()>;
}

impl<F: Fn(S3Call) -> BoxFuture<'static, ()> + Send + Sync + 'static> S3Observer for F {
    fn observe(&self, call: S3Call) -> BoxFuture<'static, ()> {
        self(call)
    }
}

/// Tells nobody.
pub(crate) fn nobody() -> Arc<dyn S3Observer> {
    Arc::new(|_: S3Call| std::future::ready(()).boxed())
}
