//! Which right each operation needs, and what a request says about itself to the policies.
//!
//! An operation that is not listed here is not served: whoever adds one has to say who may do it.

use std::sync::Arc;

use http::{HeaderMap, Uri};
use s3s::access::{S3Access, S3AccessContext};
use s3s::path::S3Path;
use s3s::{S3Error, S3Result};

use towpath_iam::Context;

use super::Api;
use super::call::Call;
use super::convert::{error, header};
use crate::access::Caller;

/// What an operation needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needs {
    /// A right in the caller's own account.
    Own(&'static str),
    /// A right on the bucket.
    Bucket(&'static str),
    /// A right on the object.
    Object(&'static str),
    /// Decided for each object that the body names.
    Each,
}

/// Every operation that is served: its name, what it needs, whether it only reads.
const OPERATIONS: &[(&str, Needs, bool)] = &[
    ("ListBuckets", Needs::Own("s3:ListAllMyBuckets"), true),
    ("CreateBucket", Needs::Own("s3:CreateBucket"), false),
    ("DeleteBucket", Needs::Bucket("s3:DeleteBucket"), false),
    ("HeadBucket", Needs::Bucket("s3:ListBucket"), true),
    ("GetBucketLocation", Needs::Bucket("s3:GetBucketLocation"), true),
    ("GetBucketVersioning", Needs::Bucket("s3:GetBucketVersioning"), true),
    ("GetBucketPolicy", Needs::Bucket("s3:GetBucketPolicy"), true),
    ("PutBucketPolicy", Needs::Bucket("s3:PutBucketPolicy"), false),
    ("DeleteBucketPolicy", Needs::Bucket("s3:DeleteBucketPolicy"), false),
    ("GetBucketAcl", Needs::Bucket("s3:GetBucketAcl"), true),
    ("PutBucketAcl", Needs::Bucket("s3:PutBucketAcl"), false),
    ("GetBucketTagging", Needs::Bucket("s3:GetBucketTagging"), true),
    ("PutBucketTagging", Needs::Bucket("s3:PutBucketTagging"), false),
    ("DeleteBucketTagging", Needs::Bucket("s3:PutBucketTagging"), false),
    ("GetObjectLockConfiguration", Needs::Bucket("s3:GetBucketObjectLockConfiguration"), true),
    ("PutObjectLockConfiguration", Needs::Bucket("s3:PutBucketObjectLockConfiguration"), false),
    ("ListObjects", Needs::Bucket("s3:ListBucket"), true),
    ("ListObjectsV2", Needs::Bucket("s3:ListBucket"), true),
    ("ListObjectVersions", Needs::Bucket("s3:ListBucketVersions"), true),
    ("ListMultipartUploads", Needs::Bucket("s3:ListBucketMultipartUploads"), true),
    ("DeleteObjects", Needs::Each, false),
    ("GetObject", Needs::Object("s3:GetObject"), true),
    ("HeadObject", Needs::Object("s3:GetObject"), true),
    ("GetObjectAttributes", Needs::Object("s3:GetObjectAttributes"), true),
    ("PutObject", Needs::Object("s3:PutObject"), false),
    ("CopyObject", Needs::Object("s3:PutObject"), false),
    ("DeleteObject", Needs::Object("s3:DeleteObject"), false),
    ("CreateMultipartUpload", Needs::Object("s3:PutObject"), false),
    ("UploadPart", Needs::Object("s3:PutObject"), false),
    ("UploadPartCopy", Needs::Object("s3:PutObject"), false),
    ("CompleteMultipartUpload", Needs::Object("s3:PutObject"), false),
    ("AbortMultipartUpload", Needs::Object("s3:AbortMultipartUpload"), false),
    ("ListParts", Needs::Object("s3:ListMultipartUploadParts"), true),
    ("GetObjectAcl", Needs::Object("s3:GetObjectAcl"), true),
    ("PutObjectAcl", Needs::Object("s3:PutObjectAcl"), false),
    ("GetObjectTagging", Needs::Object("s3:GetObjectTagging"), true),
    ("PutObjectTagging", Needs::Object("s3:PutObjectTagging"), false),
    ("DeleteObjectTagging", Needs::Object("s3:DeleteObjectTagging"), false),
    ("GetObjectRetention", Needs::Object("s3:GetObjectRetention"), true),
    ("PutObjectRetention", Needs::Object("s3:PutObjectRetention"), false),
    ("GetObjectLegalHold", Needs::Object("s3:GetObjectLegalHold"), true),
    ("PutObjectLegalHold", Needs::Object("s3:PutObjectLegalHold"), false),
];

/// True if the operation changes nothing.
pub(crate) fn is_read_only(operation: &str) -> bool {
    OPERATIONS.iter().any(|(name, _, read_only)| *name == operation && *read_only)
}

/// The caller and the context of a request, for what is decided later.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) caller: Caller,
    pub(crate) context: Context,
    pub(crate) signed: bool,
}

#[async_trait::async_trait]
impl S3Access for Api {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        let unknown = || error("InternalError", "request is not known");
        let call = cx.extensions_mut().get::<Arc<Call>>().cloned().ok_or_else(unknown)?;
        let name = cx.s3_op().name();
        let (bucket, key) = match cx.s3_path() {
            S3Path::Root => (None, None),
            S3Path::Bucket { bucket } => (Some(bucket.to_string()), None),
            S3Path::Object { bucket, key } => (Some(bucket.to_string()), Some(key.to_string())),
        };
        let signed = cx.credentials().is_some();
        let caller = {
            let mut found = call.found.lock();
            found.operation = OPERATIONS.iter().map(|(known, _, _)| *known).find(|known| *known == name);
            found.bucket.clone_from(&bucket);
            found.key.clone_from(&key);
            match signed {
                true => found.caller.clone().ok_or_else(unknown)?,
                false => Caller::anonymous(),
            }
        };
        call.found.lock().caller = Some(caller.clone());
        let not_served = || error("NotImplemented", format!("{name} is not implemented"));
        let (_, needs, _) = OPERATIONS.iter().find(|(known, _, _)| *known == name).ok_or_else(not_served)?;
        refuse_unsupported(cx.headers(), cx.uri())?;

        let organization = caller.principal.account().and_then(|account| (self.organizations)(account));
        let context = context(&call, name, cx.headers(), cx.uri(), self.now());
        let context = context.with_some("aws:PrincipalOrgID", organization);
        let bucket = bucket.as_deref().unwrap_or_default();
        let allow = |action: &str, key: Option<&str>| self.buckets.authorize(&caller, action, bucket, key, &context);
        match needs {
            Needs::Own(action) => {
                let resource = if bucket.is_empty() { "*".to_owned() } else { format!("arn:aws:s3:::{bucket}") };
                self.buckets.authorize_own(&caller, action, &resource, &context)?;
            }
            Needs::Bucket(action) => allow(action, None)?,
            Needs::Object(action) => {
                allow(action, key.as_deref())?;
                for action in also(name, cx.headers()) {
                    allow(action, key.as_deref())?;
                }
            }
            // There must be a bucket; the rest is decided for each object.
            Needs::Each => drop(self.buckets.get(bucket)?),
        }
        if let Some(expected) = header(cx.headers(), "x-amz-expected-bucket-owner")
            && self.buckets.get(bucket)?.owner.as_str() != expected
        {
            return Err(error("AccessDenied", "The bucket is not owned by the expected account"));
        }
        cx.extensions_mut().insert(Asked { caller, context, signed });
        Ok(())
    }
}

/// Rights that a put needs because of its headers.
fn also(operation: &str, headers: &HeaderMap) -> Vec<&'static str> {
    let mut more = Vec::new();
    if matches!(operation, "PutObject" | "CopyObject" | "CreateMultipartUpload") {
        for (name, action) in [
            ("x-amz-object-lock-mode", "s3:PutObjectRetention"),
            ("x-amz-object-lock-legal-hold", "s3:PutObjectLegalHold"),
            ("x-amz-tagging", "s3:PutObjectTagging"),
        ] {
            if headers.contains_key(name) {
                more.push(action);
            }
        }
    }
    if operation == "GetObjectAttributes" {
        more.push("s3:GetObject");
    }
    more
}

/// Refuses what would be passed over silently otherwise.
fn refuse_unsupported(headers: &HeaderMap, uri: &Uri) -> Result<(), S3Error> {
    for name in headers.keys() {
        let name = name.as_str();
        if name.starts_with("x-amz-server-side-encryption") || name.starts_with("x-amz-copy-source-server-side") {
            return Err(error("NotImplemented", "Server-side encryption is not implemented"));
        }
        if name.starts_with("x-amz-grant-") {
            return Err(error("AccessControlListNotSupported", "The bucket does not allow ACLs"));
        }
    }
    if let Some(acl) = header(headers, "x-amz-acl")
        && !matches!(acl, "private" | "bucket-owner-full-control")
    {
        return Err(error("AccessControlListNotSupported", "The bucket does not allow ACLs"));
    }
    if let Some(class) = header(headers, "x-amz-storage-class")
        && class != "STANDARD"
    {
        return Err(error("InvalidStorageClass", "The storage class you specified is not valid"));
    }
    let version = query(uri).find(|(name, _)| name == "versionId").map(|(_, value)| value);
    if version.is_some_and(|version| version != "null" && !version.is_empty()) {
        return Err(error("NoSuchVersion", "The specified version does not exist."));
    }
    Ok(())
}

fn query(uri: &Uri) -> impl Iterator<Item = (String, String)> + '_ {
    form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned()
}

fn context(call: &Call, operation: &str, headers: &HeaderMap, uri: &Uri, now: jiff::Timestamp) -> Context {
    let mut context = Context::new()
        .at(now)
        .source_ip(call.peer.ip())
        .secure_transport(call.secure)
        .with_some("aws:UserAgent", header(headers, "user-agent"))
        .with_some("aws:Referer", header(headers, "referer"))
        .with_some("s3:x-amz-acl", header(headers, "x-amz-acl"))
        .with_some("s3:x-amz-storage-class", header(headers, "x-amz-storage-class"))
        .with_some("s3:x-amz-copy-source", header(headers, "x-amz-copy-source"))
        .with_some("s3:x-amz-metadata-directive", header(headers, "x-amz-metadata-directive"))
        .with_some("s3:object-lock-mode", header(headers, "x-amz-object-lock-mode"))
        .with_some("s3:object-lock-retain-until-date", header(headers, "x-amz-object-lock-retain-until-date"))
        .with_some("s3:object-lock-legal-hold", header(headers, "x-amz-object-lock-legal-hold"));
    if operation.starts_with("ListObject") {
        for (name, value) in query(uri) {
            match name.as_str() {
                "prefix" => context = context.with("s3:prefix", value),
                "delimiter" => context = context.with("s3:delimiter", value),
                "max-keys" => context = context.with("s3:max-keys", value),
                _ => {}
            }
        }
    }
    context
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_listed_once() {
        let mut names: Vec<_> = OPERATIONS.iter().map(|(name, _, _)| name).collect();
        names.sort();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
