//! Operations on buckets.

use http::{HeaderMap, HeaderValue};
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result};

use towpath_model::Region;

use super::Api;
use super::convert::{bucket_name, bucket_tags, error, owner, owner_grants, tag_set, timestamp};
use crate::buckets::NewBucket;

/// Where a bucket is if nobody said; S3 calls it nothing at all.
const DEFAULT_REGION: &str = "us-east-1";

impl Api {
    pub(super) async fn list_buckets(
        &self,
        request: S3Request<ListBucketsInput>,
    ) -> S3Result<S3Response<ListBucketsOutput>> {
        let asked = Self::asked(&request)?;
        let account = asked.caller.principal.account().ok_or_else(|| error("AccessDenied", "Access Denied"))?;
        let ListBucketsInput { bucket_region, continuation_token, max_buckets, prefix } = request.input;
        let most = usize::try_from(max_buckets.unwrap_or(10_000)).unwrap_or(0).clamp(1, 10_000);
        let wanted = |bucket: &crate::Bucket| {
            let name = bucket.name.as_str();
            prefix.as_deref().is_none_or(|prefix| name.starts_with(prefix))
                && bucket_region.as_deref().is_none_or(|region| bucket.region.as_str() == region)
                && continuation_token.as_deref().is_none_or(|after| name > after)
        };
        let mut found: Vec<_> = self.buckets.of(account).into_iter().filter(wanted).collect();
        let more = found.len() > most;
        found.truncate(most);
        let continuation_token = found.last().filter(|_| more).map(|bucket| bucket.name.to_string());
        let buckets = found.into_iter().map(|bucket| Bucket {
            bucket_region: Some(bucket.region.to_string()),
            creation_date: Some(timestamp(bucket.created)),
            name: Some(bucket.name.to_string()),
        });
        let buckets = Some(buckets.collect());
        Ok(S3Response::new(ListBucketsOutput { buckets, continuation_token, owner: Some(owner(account)), prefix }))
    }

    pub(super) async fn create_bucket(
        &self,
        request: S3Request<CreateBucketInput>,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        let asked = Self::asked(&request)?;
        let account = asked.caller.principal.account().ok_or_else(|| error("AccessDenied", "Access Denied"))?;
        let signed_for = request.region.as_ref().map(|region| region.as_str().to_owned());
        let input = request.input;
        let name = bucket_name(&input.bucket)?;
        let location = input.create_bucket_configuration.and_then(|configuration| configuration.location_constraint);
        let region = location.map(|location| location.as_str().to_owned()).filter(|region| !region.is_empty());
        let region = region.or(signed_for).unwrap_or_else(|| DEFAULT_REGION.to_owned());
        let region: Region = region
            .parse()
            .map_err(|_| error("InvalidLocationConstraint", "The specified location-constraint is not valid"))?;
        let object_lock = input.object_lock_enabled_for_bucket.unwrap_or(false);
        let new = NewBucket { name, owner: account, region, object_lock, tags: Default::default() };
        let bucket = self.buckets.create(new).await?;
        tracing::info!(bucket = %bucket.name, owner = %bucket.owner, region = %bucket.region, "bucket made");
        Ok(S3Response::new(CreateBucketOutput { location: Some(format!("/{}", bucket.name)) }))
    }

    pub(super) async fn delete_bucket(
        &self,
        request: S3Request<DeleteBucketInput>,
    ) -> S3Result<S3Response<DeleteBucketOutput>> {
        let name = bucket_name(&request.input.bucket)?;
        self.buckets.delete(&name).await?;
        tracing::info!(bucket = %name, "bucket deleted");
        Ok(S3Response::new(DeleteBucketOutput {}))
    }

    pub(super) async fn head_bucket(
        &self,
        request: S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        let bucket = self.buckets.get(&request.input.bucket)?;
        let region = bucket.region.to_string();
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_str(&region) {
            headers.insert("x-amz-bucket-region", value);
        }
        let output = HeadBucketOutput { bucket_region: Some(region), ..HeadBucketOutput::default() };
        Ok(S3Response::with_headers(output, headers))
    }

    pub(super) async fn get_bucket_location(
        &self,
        request: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        let bucket = self.buckets.get(&request.input.bucket)?;
        let region = Some(bucket.region.to_string()).filter(|region| region != DEFAULT_REGION);
        Ok(S3Response::new(GetBucketLocationOutput { location_constraint: region.map(BucketLocationConstraint::from) }))
    }

    /// Objects have no versions, and a bucket that never had any says nothing.
    pub(super) async fn get_bucket_versioning(
        &self,
        request: S3Request<GetBucketVersioningInput>,
    ) -> S3Result<S3Response<GetBucketVersioningOutput>> {
        self.buckets.get(&request.input.bucket)?;
        Ok(S3Response::new(GetBucketVersioningOutput::default()))
    }

    pub(super) async fn get_bucket_policy(
        &self,
        request: S3Request<GetBucketPolicyInput>,
    ) -> S3Result<S3Response<GetBucketPolicyOutput>> {
        let bucket = self.buckets.get(&request.input.bucket)?;
        let policy = bucket.policy.ok_or_else(|| error("NoSuchBucketPolicy", "The bucket policy does not exist"))?;
        Ok(S3Response::new(GetBucketPolicyOutput { policy: Some(policy) }))
    }

    pub(super) async fn put_bucket_policy(
        &self,
        request: S3Request<PutBucketPolicyInput>,
    ) -> S3Result<S3Response<PutBucketPolicyOutput>> {
        let name = bucket_name(&request.input.bucket)?;
        let ids = |policy: &towpath_iam::Policy| self.directory.ids_of(policy);
        self.buckets.set_policy_about(&name, Some(request.input.policy), ids).await?;
        Ok(S3Response::new(PutBucketPolicyOutput {}))
    }

    pub(super) async fn delete_bucket_policy(
        &self,
        request: S3Request<DeleteBucketPolicyInput>,
    ) -> S3Result<S3Response<DeleteBucketPolicyOutput>> {
        let name = bucket_name(&request.input.bucket)?;
        self.buckets.set_policy(&name, None).await?;
        Ok(S3Response::new(DeleteBucketPolicyOutput {}))
    }

    pub(super) async fn get_bucket_acl(
        &self,
        request: S3Request<GetBucketAclInput>,
    ) -> S3Result<S3Response<GetBucketAclOutput>> {
        let account = self.buckets.get(&request.input.bucket)?.owner;
        let (grants, owner) = (Some(owner_grants(account)), Some(owner(account)));
        Ok(S3Response::new(GetBucketAclOutput { grants, owner }))
    }

    /// Takes the ACL that every bucket has; any other is refused, here or before.
    pub(super) async fn put_bucket_acl(
        &self,
        request: S3Request<PutBucketAclInput>,
    ) -> S3Result<S3Response<PutBucketAclOutput>> {
        let account = self.buckets.get(&request.input.bucket)?.owner;
        check_acl(request.input.access_control_policy, owner_grants(account))?;
        Ok(S3Response::new(PutBucketAclOutput {}))
    }

    pub(super) async fn get_bucket_tagging(
        &self,
        request: S3Request<GetBucketTaggingInput>,
    ) -> S3Result<S3Response<GetBucketTaggingOutput>> {
        let bucket = self.buckets.get(&request.input.bucket)?;
        if bucket.tags.is_empty() {
            return Err(error("NoSuchTagSet", "The TagSet does not exist"));
        }
        Ok(S3Response::new(GetBucketTaggingOutput { tag_set: tag_set(&bucket.tags) }))
    }

    pub(super) async fn put_bucket_tagging(
        &self,
        request: S3Request<PutBucketTaggingInput>,
    ) -> S3Result<S3Response<PutBucketTaggingOutput>> {
        let name = bucket_name(&request.input.bucket)?;
        self.buckets.set_tags(&name, bucket_tags(request.input.tagging.tag_set)?).await?;
        Ok(S3Response::new(PutBucketTaggingOutput {}))
    }

    pub(super) async fn delete_bucket_tagging(
        &self,
        request: S3Request<DeleteBucketTaggingInput>,
    ) -> S3Result<S3Response<DeleteBucketTaggingOutput>> {
        let name = bucket_name(&request.input.bucket)?;
        self.buckets.set_tags(&name, Default::default()).await?;
        Ok(S3Response::new(DeleteBucketTaggingOutput {}))
    }
}

/// Takes an ACL that says what is the case already.
pub(super) fn check_acl(policy: Option<AccessControlPolicy>, grants: Vec<Grant>) -> S3Result<()> {
    let same = |given: &Grant, own: &Grant| {
        let id = |grant: &Grant| grant.grantee.as_ref().and_then(|grantee| grantee.id.clone());
        given.permission == own.permission && id(given) == id(own)
    };
    let given = policy.and_then(|policy| policy.grants).unwrap_or_default();
    if given.iter().all(|given| grants.iter().any(|own| same(given, own))) {
        Ok(())
    } else {
        Err(error("AccessControlListNotSupported", "The bucket does not allow ACLs"))
    }
}
