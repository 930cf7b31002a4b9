//! Operations that write objects, and on what belongs to them.

use std::collections::BTreeMap;
use std::ops::Range as Span;

use futures::StreamExt;
use http::HeaderMap;
use s3s::dto::*;
use s3s::{S3Error, S3Request, S3Response, S3Result, TrailingHeaders};

use super::Api;
use super::bucket::check_acl;
use super::convert::{
    Sums, algorithm, checksum, error, etag, fill_sums, header, legal_hold, md5, object_key, object_tags, owner,
    owner_grants, plain_etag, read_conditions, retention, tag_set, tagging, take_headers, take_sums, timestamp,
    write_conditions,
};
use super::rights::Asked;
use crate::checksum::Algorithm;
use crate::error::BucketError;
use crate::files::ContentWriter;
use crate::object::{Expected, Put, ReadVerdict, Tag};

/// What is said of the content of a request, before it and behind it.
pub(super) struct Announced {
    sum: Option<(Algorithm, String)>,
    /// The algorithm whose value comes behind the content.
    trailer: Option<Algorithm>,
    md5: Option<[u8; 16]>,
    size: Option<u64>,
}

impl Announced {
    pub(super) fn new(
        headers: &HeaderMap,
        sums: Sums,
        content_md5: Option<&str>,
        content_length: Option<i64>,
    ) -> S3Result<Self> {
        let trailer = header(headers, "x-amz-trailer").unwrap_or_default();
        let named =
            |algorithm: &Algorithm| trailer.split(',').any(|name| name.trim().eq_ignore_ascii_case(algorithm.header()));
        let trailer = Algorithm::ALL.into_iter().find(named);
        let size = content_length.and_then(|length| u64::try_from(length).ok());
        if size.is_some_and(|size| size > crate::MAX_PUT_BYTES) {
            return Err(BucketError::TooLarge { limit: crate::MAX_PUT_BYTES }.into());
        }
        Ok(Self { sum: sums.only()?, trailer, md5: md5(content_md5)?, size })
    }

    /// The algorithm to compute while the content arrives; S3 gives every object one.
    pub(super) fn algorithm(&self, asked: Option<&ChecksumAlgorithm>) -> S3Result<Option<Algorithm>> {
        let announced = self.sum.as_ref().map(|(algorithm, _)| *algorithm).or(self.trailer);
        Ok(match announced {
            Some(algorithm) => Some(algorithm),
            None => asked.map(|asked| algorithm(asked.as_str())).transpose()?,
        })
    }

    /// All that was said, once the content has arrived.
    pub(super) fn expected(self, trailers: Option<&TrailingHeaders>) -> S3Result<Expected> {
        let behind = self.trailer.and_then(|algorithm| {
            let read = |headers: &HeaderMap| header(headers, algorithm.header()).map(str::to_owned);
            Some((algorithm, trailers?.read(read)??))
        });
        let sum = self.sum.or(behind);
        let checksum = sum.map(|(algorithm, value)| checksum(algorithm, &value)).transpose()?;
        Ok(Expected { size: self.size, md5: self.md5, checksum })
    }
}

/// Takes the content of a request as it arrives.
pub(super) async fn receive(writer: &mut ContentWriter, body: Option<StreamingBlob>) -> S3Result<()> {
    let Some(mut body) = body else { return Ok(()) };
    while let Some(chunk) = body.next().await {
        writer.write(chunk.map_err(body_error)?).await?;
    }
    Ok(())
}

/// A body that broke off, or that is not what its signature says.
fn body_error(cause: s3s::StdError) -> S3Error {
    let text = cause.to_string();
    if text.contains("ChecksumMismatch") || text.contains("checksum mismatch") {
        let message = "The provided 'x-amz-content-sha256' header does not match what was computed.";
        return error("XAmzContentSHA256Mismatch", message);
    }
    if text.contains("SignatureMismatch") {
        return error("SignatureDoesNotMatch", "The signature of a chunk does not match its content");
    }
    if cause.downcast_ref::<crate::server::Stalled>().is_some() || text.contains("stopped in the middle") {
        return error(
            "RequestTimeout",
            "Your socket connection to the server was not read from or written to within the timeout period.",
        );
    }
    BucketError::Body(cause).into()
}

impl Api {
    pub(super) async fn put_object(&self, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let S3Request { mut input, headers, trailing_headers, .. } = request;
        let key = object_key(&input.key)?;
        if input.write_offset_bytes.is_some() {
            return Err(error("NotImplemented", "Appending to an object is not implemented"));
        }
        let put = Put {
            headers: take_headers!(input),
            tags: tagging(input.tagging.as_deref())?,
            retention: retention(input.object_lock_mode.as_ref(), input.object_lock_retain_until_date.as_ref())?,
            legal_hold: legal_hold(input.object_lock_legal_hold_status.as_ref())?,
            conditions: write_conditions(input.if_match.as_ref(), input.if_none_match.as_ref()),
        };
        let sums = take_sums!(input);
        let announced = Announced::new(&headers, sums, input.content_md5.as_deref(), input.content_length)?;
        let algorithm = announced.algorithm(input.checksum_algorithm.as_ref())?;
        let mut writer = self.buckets.writer(&input.bucket, algorithm).await?;
        receive(&mut writer, input.body.take()).await?;
        let expected = announced.expected(trailing_headers.as_ref())?;
        let stored = self.buckets.put(&input.bucket, &key, writer, expected, put).await?;
        let sums = Sums::of(stored.checksum.as_ref());
        let mut output = PutObjectOutput { e_tag: Some(etag(&stored.etag)), ..PutObjectOutput::default() };
        output.checksum_type = sums.scope.clone();
        fill_sums!(output, sums);
        Ok(S3Response::new(output))
    }

    pub(super) async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let asked = Self::asked(&request)?;
        let input = request.input;
        if input.if_match_last_modified_time.is_some() || input.if_match_size.is_some() {
            return Err(error("NotImplemented", "Conditions on time and size are not implemented"));
        }
        let key = object_key(&input.key)?;
        let bypass = self.bypass(&asked, input.bypass_governance_retention, &input.bucket, key.as_str())?;
        let conditions = write_conditions(input.if_match.as_ref(), None);
        self.buckets.remove(&input.bucket, &key, conditions, bypass).await?;
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    pub(super) async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let asked = Self::asked(&request)?;
        let input = request.input;
        if input.delete.objects.is_empty() || input.delete.objects.len() > 1000 {
            let message = "The XML you provided was not well-formed or did not validate against our published schema";
            return Err(error("MalformedXML", message));
        }
        let quiet = input.delete.quiet.unwrap_or(false);
        let (mut deleted, mut errors) = (Vec::new(), Vec::new());
        for object in input.delete.objects {
            match self.delete_one(&asked, &input.bucket, &object, input.bypass_governance_retention).await {
                Ok(()) if quiet => {}
                Ok(()) => deleted.push(DeletedObject { key: Some(object.key), ..DeletedObject::default() }),
                Err(cause) => errors.push(Error {
                    code: Some(cause.code().as_str().to_owned()),
                    key: Some(object.key),
                    message: cause.message().map(str::to_owned),
                    version_id: object.version_id,
                }),
            }
        }
        let (deleted, errors) = (Some(deleted), Some(errors).filter(|errors| !errors.is_empty()));
        Ok(S3Response::new(DeleteObjectsOutput { deleted, errors, request_charged: None }))
    }

    async fn delete_one(
        &self,
        asked: &Asked,
        bucket: &str,
        object: &ObjectIdentifier,
        bypass: Option<bool>,
    ) -> S3Result<()> {
        let key = object_key(&object.key)?;
        if object.version_id.as_deref().is_some_and(|version| version != "null") {
            return Err(error("NoSuchVersion", "The specified version does not exist."));
        }
        if object.last_modified_time.is_some() || object.size.is_some() {
            return Err(error("NotImplemented", "Conditions on time and size are not implemented"));
        }
        self.buckets.authorize(&asked.caller, "s3:DeleteObject", bucket, Some(key.as_str()), &asked.context)?;
        let bypass = self.bypass(asked, bypass, bucket, key.as_str())?;
        let mut conditions = write_conditions(None, None);
        conditions.if_match = object.e_tag.as_ref().map(|etag| Tag::Etag(plain_etag(etag)));
        self.buckets.remove(bucket, &key, conditions, bypass).await?;
        Ok(())
    }

    pub(super) async fn copy_object(
        &self,
        request: S3Request<CopyObjectInput>,
    ) -> S3Result<S3Response<CopyObjectOutput>> {
        let asked = Self::asked(&request)?;
        let mut input = request.input;
        let key = object_key(&input.key)?;
        let (from_bucket, from_key) = self.source(&asked, &input.copy_source)?;
        let source = self.buckets.head(&from_bucket, &from_key).await;
        let source = source.map_err(|error| self.hidden(&asked, &from_bucket, error))?;
        let conditions = read_conditions(
            input.copy_source_if_match.as_ref(),
            input.copy_source_if_none_match.as_ref(),
            input.copy_source_if_modified_since.as_ref(),
            input.copy_source_if_unmodified_since.as_ref(),
        )?;
        if conditions.of_read(&source) != ReadVerdict::Read {
            return Err(BucketError::Precondition("x-amz-copy-source-if").into());
        }
        let replace = |directive: Option<&str>| match directive {
            None | Some("COPY") => Ok(false),
            Some("REPLACE") => Ok(true),
            Some(_) => Err(error("InvalidArgument", "Unknown metadata or tagging directive.")),
        };
        let new_headers = replace(input.metadata_directive.as_ref().map(MetadataDirective::as_str))?;
        let new_tags = replace(input.tagging_directive.as_ref().map(TaggingDirective::as_str))?;
        if from_bucket == input.bucket && from_key == key && !new_headers {
            let message = "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.";
            return Err(error("InvalidRequest", message));
        }
        let put = Put {
            headers: if new_headers { take_headers!(input) } else { source.headers.clone() },
            tags: if new_tags { tagging(input.tagging.as_deref())? } else { source.tags.clone() },
            retention: retention(input.object_lock_mode.as_ref(), input.object_lock_retain_until_date.as_ref())?,
            legal_hold: legal_hold(input.object_lock_legal_hold_status.as_ref())?,
            conditions: Default::default(),
        };
        let copy = self.buckets.copy((&from_bucket, &from_key), &source, (&input.bucket, &key), put).await?;
        let sums = Sums::of(copy.checksum.as_ref());
        let mut result = CopyObjectResult {
            checksum_type: sums.scope.clone(),
            e_tag: Some(etag(&copy.etag)),
            last_modified: Some(timestamp(copy.modified)),
            ..CopyObjectResult::default()
        };
        fill_sums!(result, sums);
        Ok(S3Response::new(CopyObjectOutput { copy_object_result: Some(result), ..CopyObjectOutput::default() }))
    }

    /// The object that is copied, if the caller may read it.
    pub(super) fn source(&self, asked: &Asked, source: &CopySource) -> S3Result<(String, crate::ObjectKey)> {
        let CopySource::Bucket { bucket, key, version_id } = source else {
            return Err(error("NotImplemented", "Copying from access points is not implemented"));
        };
        if version_id.as_deref().is_some_and(|version| version != "null") {
            return Err(error("NoSuchVersion", "The specified version does not exist."));
        }
        let key = object_key(key)?;
        self.buckets.authorize(&asked.caller, "s3:GetObject", bucket, Some(key.as_str()), &asked.context)?;
        Ok((bucket.to_string(), key))
    }

    /// Who may not list a bucket is not told which objects it does not have.
    pub(super) fn hidden(&self, asked: &Asked, bucket: &str, cause: BucketError) -> S3Error {
        if matches!(cause, BucketError::NoSuchKey(_))
            && self.buckets.authorize(&asked.caller, "s3:ListBucket", bucket, None, &asked.context).is_err()
        {
            return error("AccessDenied", "Access Denied");
        }
        cause.into()
    }

    pub(super) async fn get_object_acl(
        &self,
        request: S3Request<GetObjectAclInput>,
    ) -> S3Result<S3Response<GetObjectAclOutput>> {
        let input = request.input;
        let account = self.buckets.get(&input.bucket)?.owner;
        self.buckets.head(&input.bucket, &object_key(&input.key)?).await?;
        let (grants, owner) = (Some(owner_grants(account)), Some(owner(account)));
        Ok(S3Response::new(GetObjectAclOutput { grants, owner, request_charged: None }))
    }

    /// Takes the ACL that every object has.
    pub(super) async fn put_object_acl(
        &self,
        request: S3Request<PutObjectAclInput>,
    ) -> S3Result<S3Response<PutObjectAclOutput>> {
        let input = request.input;
        let account = self.buckets.get(&input.bucket)?.owner;
        self.buckets.head(&input.bucket, &object_key(&input.key)?).await?;
        check_acl(input.access_control_policy, owner_grants(account))?;
        Ok(S3Response::new(PutObjectAclOutput::default()))
    }

    pub(super) async fn get_object_tagging(
        &self,
        request: S3Request<GetObjectTaggingInput>,
    ) -> S3Result<S3Response<GetObjectTaggingOutput>> {
        let input = request.input;
        let object = self.buckets.head(&input.bucket, &object_key(&input.key)?).await?;
        Ok(S3Response::new(GetObjectTaggingOutput { tag_set: tag_set(&object.tags), version_id: None }))
    }

    pub(super) async fn put_object_tagging(
        &self,
        request: S3Request<PutObjectTaggingInput>,
    ) -> S3Result<S3Response<PutObjectTaggingOutput>> {
        let input = request.input;
        let tags = object_tags(input.tagging.tag_set)?;
        self.buckets.set_object_tags(&input.bucket, &object_key(&input.key)?, tags).await?;
        Ok(S3Response::new(PutObjectTaggingOutput::default()))
    }

    pub(super) async fn delete_object_tagging(
        &self,
        request: S3Request<DeleteObjectTaggingInput>,
    ) -> S3Result<S3Response<DeleteObjectTaggingOutput>> {
        let input = request.input;
        self.buckets.set_object_tags(&input.bucket, &object_key(&input.key)?, BTreeMap::new()).await?;
        Ok(S3Response::new(DeleteObjectTaggingOutput::default()))
    }
}

/// A range of the source of a part, `bytes=first-last`.
pub(super) fn source_span(text: Option<&str>, size: u64) -> S3Result<Span<u64>> {
    let Some(text) = text else { return Ok(0..size) };
    let wrong = || {
        error(
            "InvalidArgument",
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy",
        )
    };
    let (first, last) = text.strip_prefix("bytes=").and_then(|text| text.split_once('-')).ok_or_else(wrong)?;
    let (first, last): (u64, u64) = (first.parse().map_err(|_| wrong())?, last.parse().map_err(|_| wrong())?);
    if first > last || last >= size {
        return Err(error("InvalidRange", "The requested range is not satisfiable"));
    }
    Ok(first..last + 1)
}
