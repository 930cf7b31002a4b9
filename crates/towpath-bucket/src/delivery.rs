//! May CloudTrail deliver to this bucket? What CreateTrail and UpdateTrail ask before they take a bucket.
//!
//! The policy of the bucket must let the service principal read the ACL of the bucket, and put objects under
//! `[prefix/]AWSLogs/[organization/]account/` with the ACL `bucket-owner-full-control`. Its statements may ask for the
//! trail (`aws:SourceArn`) and the account of the trail (`aws:SourceAccount`).

use towpath_iam::Context;
use towpath_model::{AccountId, Arn};

use crate::access::Caller;
use crate::buckets::Buckets;
use crate::error::BucketError;
use crate::name::BucketName;

/// The service that delivers.
pub(crate) const SERVICE: &str = "cloudtrail.amazonaws.com";

/// The ACL that everything is delivered with.
const DELIVERY_ACL: &str = "bucket-owner-full-control";

/// Folders of a trail whose objects must be allowed: log files and digests.
const FOLDERS: [&str; 2] = ["CloudTrail", "CloudTrail-Digest"];

/// Why a bucket cannot be delivered to; each is one error of CreateTrail.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryRefusal {
    /// `InvalidS3BucketNameException`.
    #[error("{0:?} is not the name of a bucket")]
    InvalidName(String),
    /// `S3BucketDoesNotExistException`.
    #[error("S3 bucket {0} does not exist!")]
    NoSuchBucket(String),
    /// `InsufficientS3BucketPolicyException`.
    #[error("Incorrect S3 bucket policy is detected for bucket: {0}")]
    InsufficientPolicy(String),
}

impl Buckets {
    /// Decides whether the trail `trail` may deliver the events of `account` to a bucket, below `prefix` if it is
    /// given, and below the id of the organization for an organization's trail.
    pub fn check_delivery(
        &self,
        bucket: &str,
        prefix: Option<&str>,
        account: AccountId,
        organization: Option<&str>,
        trail: &Arn,
    ) -> Result<(), DeliveryRefusal> {
        let prefix = prefix.filter(|prefix| !prefix.is_empty()).map(|prefix| format!("{prefix}/")).unwrap_or_default();
        // An organization's trail needs both: the management account had a trail of its own before.
        let roots = organization.map(|id| format!("{prefix}AWSLogs/{id}/{account}"));
        let roots = roots.into_iter().chain([format!("{prefix}AWSLogs/{account}")]);
        let folders = roots.flat_map(|root| FOLDERS.map(|folder| format!("{root}/{folder}/")));
        self.check_folders(bucket, folders, trail)
    }

    /// Decides whether results of queries may be delivered into a folder of a bucket; `stores` names the event data
    /// stores that they are of, `arn:aws:cloudtrail:<region>:<account>:eventdatastore/*`.
    pub fn check_result_delivery(&self, bucket: &str, folder: &str, stores: &Arn) -> Result<(), DeliveryRefusal> {
        self.check_folders(bucket, [folder.to_owned()], stores)
    }

    fn check_folders(
        &self,
        bucket: &str,
        folders: impl IntoIterator<Item = String>,
        source: &Arn,
    ) -> Result<(), DeliveryRefusal> {
        let name: BucketName = bucket.parse().map_err(|_| DeliveryRefusal::InvalidName(bucket.to_owned()))?;
        let (caller, context) = (Caller::service(SERVICE), delivery_context(source));
        let check = |action: &str, key: Option<&str>| {
            self.authorize(&caller, action, name.as_str(), key, &context).map_err(|error| match error {
                BucketError::NoSuchBucket(name) => DeliveryRefusal::NoSuchBucket(name),
                _ => DeliveryRefusal::InsufficientPolicy(name.to_string()),
            })
        };
        check("s3:GetBucketAcl", None)?;
        folders.into_iter().try_for_each(|folder| check("s3:PutObject", Some(&folder)))
    }
}

/// What a delivery says about itself to the policy of the bucket.
pub(crate) fn delivery_context(trail: &Arn) -> Context {
    Context::new()
        .with("aws:SourceArn", trail.as_str())
        .with_some("aws:SourceAccount", trail.account_id().map(|account| account.to_string()))
        .with("s3:x-amz-acl", DELIVERY_ACL)
        .with("aws:SecureTransport", "true")
}
