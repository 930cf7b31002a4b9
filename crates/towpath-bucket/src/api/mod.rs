//! The operations of S3 over the buckets.

mod bucket;
pub(crate) mod call;
pub(crate) mod convert;
mod listing;
mod lock;
mod object;
mod read;
pub(crate) mod rights;
mod upload;

use std::sync::Arc;

use jiff::Timestamp;
use s3s::dto::*;
use s3s::{S3, S3Request, S3Response, S3Result};

use towpath_iam::Directory;
use towpath_model::{AccountId, Clock};

use self::convert::error;
use self::rights::Asked;
use crate::buckets::Buckets;

/// Answers S3 requests. Cloning is cheap.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) buckets: Buckets,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) directory: Directory,
    pub(crate) organizations: Organizations,
}

/// Tells the organization that an account is a member of.
pub(crate) type Organizations = Arc<dyn Fn(AccountId) -> Option<String> + Send + Sync>;

impl Api {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Who asked, as it was found when the request was let in.
    fn asked<T>(request: &S3Request<T>) -> S3Result<Asked> {
        request.extensions.get::<Asked>().cloned().ok_or_else(|| error("AccessDenied", "Access Denied"))
    }
}

/// Serves operations of S3 by the methods of [`Api`] that have their names.
macro_rules! serve {
    ($($method:ident: $input:ident => $output:ident),* $(,)?) => {
        #[async_trait::async_trait]
        impl S3 for Api {
            $(async fn $method(&self, request: S3Request<$input>) -> S3Result<S3Response<$output>> {
                self.$method(request).await
            })*
        }
    };
}

// A method of `Api` itself is preferred to the one of the trait, so none of these calls itself.
serve! {
    list_buckets: ListBucketsInput => ListBucketsOutput,
    create_bucket: CreateBucketInput => CreateBucketOutput,
    delete_bucket: DeleteBucketInput => DeleteBucketOutput,
    head_bucket: HeadBucketInput => HeadBucketOutput,
    get_bucket_location: GetBucketLocationInput => GetBucketLocationOutput,
    get_bucket_versioning: GetBucketVersioningInput => GetBucketVersioningOutput,
    get_bucket_policy: GetBucketPolicyInput => GetBucketPolicyOutput,
    put_bucket_policy: PutBucketPolicyInput => PutBucketPolicyOutput,
    delete_bucket_policy: DeleteBucketPolicyInput => DeleteBucketPolicyOutput,
    get_bucket_acl: GetBucketAclInput => GetBucketAclOutput,
    put_bucket_acl: PutBucketAclInput => PutBucketAclOutput,
    get_bucket_tagging: GetBucketTaggingInput => GetBucketTaggingOutput,
    put_bucket_tagging: PutBucketTaggingInput => PutBucketTaggingOutput,
    delete_bucket_tagging: DeleteBucketTaggingInput => DeleteBucketTaggingOutput,
    get_object_lock_configuration: GetObjectLockConfigurationInput => GetObjectLockConfigurationOutput,
    put_object_lock_configuration: PutObjectLockConfigurationInput => PutObjectLockConfigurationOutput,
    list_objects: ListObjectsInput => ListObjectsOutput,
    list_objects_v2: ListObjectsV2Input => ListObjectsV2Output,
    list_object_versions: ListObjectVersionsInput => ListObjectVersionsOutput,
    list_multipart_uploads: ListMultipartUploadsInput => ListMultipartUploadsOutput,
    delete_objects: DeleteObjectsInput => DeleteObjectsOutput,
    get_object: GetObjectInput => GetObjectOutput,
    head_object: HeadObjectInput => HeadObjectOutput,
    get_object_attributes: GetObjectAttributesInput => GetObjectAttributesOutput,
    put_object: PutObjectInput => PutObjectOutput,
    copy_object: CopyObjectInput => CopyObjectOutput,
    delete_object: DeleteObjectInput => DeleteObjectOutput,
    create_multipart_upload: CreateMultipartUploadInput => CreateMultipartUploadOutput,
    upload_part: UploadPartInput => UploadPartOutput,
    upload_part_copy: UploadPartCopyInput => UploadPartCopyOutput,
    complete_multipart_upload: CompleteMultipartUploadInput => CompleteMultipartUploadOutput,
    abort_multipart_upload: AbortMultipartUploadInput => AbortMultipartUploadOutput,
    list_parts: ListPartsInput => ListPartsOutput,
    get_object_acl: GetObjectAclInput => GetObjectAclOutput,
    put_object_acl: PutObjectAclInput => PutObjectAclOutput,
    get_object_tagging: GetObjectTaggingInput => GetObjectTaggingOutput,
    put_object_tagging: PutObjectTaggingInput => PutObjectTaggingOutput,
    delete_object_tagging: DeleteObjectTaggingInput => DeleteObjectTaggingOutput,
    get_object_retention: GetObjectRetentionInput => GetObjectRetentionOutput,
    put_object_retention: PutObjectRetentionInput => PutObjectRetentionOutput,
    get_object_legal_hold: GetObjectLegalHoldInput => GetObjectLegalHoldOutput,
    put_object_legal_hold: PutObjectLegalHoldInput => PutObjectLegalHoldOutput,
}
