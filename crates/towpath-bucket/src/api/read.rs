//! Reading objects: GetObject, HeadObject and GetObjectAttributes.

use std::ops::Range as Span;

use http::{HeaderMap, HeaderValue, StatusCode};
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result};

use super::Api;
use super::convert::{Sums, error, etag, fill_sums, metadata_out, object_key, read_conditions, timestamp};
use crate::error::BucketError;
use crate::files::stream;
use crate::object::ReadVerdict;
use crate::record;

/// Decides the conditions of a read; returns the bytes that are asked for, and whether they are a part of the whole.
macro_rules! asked_span {
    ($input:expr, $object:expr) => {{
        let conditions = read_conditions(
            $input.if_match.as_ref(),
            $input.if_none_match.as_ref(),
            $input.if_modified_since.as_ref(),
            $input.if_unmodified_since.as_ref(),
        )?;
        decide(conditions.of_read($object), $object)?;
        span($object, $input.range.as_ref(), $input.part_number)?
    }};
}

/// What GetObject and HeadObject say of an object: the members that both outputs have.
macro_rules! described {
    ($output:ident, $input:expr, $object:expr, $span:expr, $is_range:expr) => {{
        let (input, object, span): (_, &record::Object, &Span<u64>) = ($input, $object, $span);
        let headers = object.headers.clone();
        let mut output = $output {
            accept_ranges: Some("bytes".to_owned()),
            cache_control: input.response_cache_control.or(headers.cache_control),
            content_disposition: input.response_content_disposition.or(headers.content_disposition),
            content_encoding: input.response_content_encoding.or(headers.content_encoding),
            content_language: input.response_content_language.or(headers.content_language),
            content_length: i64::try_from(span.end - span.start).ok(),
            content_range: $is_range.then(|| content_range(span, object.size)),
            content_type: input.response_content_type.or(headers.content_type).or_else(octets),
            e_tag: Some(etag(&object.etag)),
            expires: input.response_expires.or(headers.expires.map(timestamp)),
            last_modified: Some(timestamp(object.modified)),
            metadata: metadata_out(&object.headers),
            object_lock_legal_hold_status: hold_status(object),
            object_lock_mode: object.lock.retention.map(|kept| ObjectLockMode::from_static(kept.mode.as_str())),
            object_lock_retain_until_date: object.lock.retention.map(|kept| timestamp(kept.until)),
            ..$output::default()
        };
        let sums = Sums::of(object.checksum.as_ref().filter(|_| input.checksum_mode.is_some() && !$is_range));
        output.checksum_type = sums.scope.clone();
        fill_sums!(output, sums);
        output
    }};
}

impl Api {
    pub(super) async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let asked = Self::asked(&request)?;
        let input = request.input;
        let found = self.buckets.read(&input.bucket, &object_key(&input.key)?).await;
        let found = found.map_err(|error| self.hidden(&asked, &input.bucket, error))?;
        let object = found.object;
        let (span, is_range) = asked_span!(input, &object);
        let overrides = [
            &input.response_cache_control,
            &input.response_content_disposition,
            &input.response_content_encoding,
            &input.response_content_language,
            &input.response_content_type,
        ];
        if !asked.signed && (overrides.iter().any(|value| value.is_some()) || input.response_expires.is_some()) {
            let message = "Request specific response headers cannot be used for anonymous GET requests.";
            return Err(error("InvalidRequest", message));
        }
        let mut output = described!(GetObjectOutput, input, &object, &span, is_range);
        output.tag_count = i32::try_from(object.tags.len()).ok().filter(|count| *count > 0);
        output.body = Some(StreamingBlob::wrap(stream(found.file, span)));
        let mut response = S3Response::new(output);
        response.status = is_range.then_some(StatusCode::PARTIAL_CONTENT);
        Ok(response)
    }

    pub(super) async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let asked = Self::asked(&request)?;
        let input = request.input;
        let object = self.buckets.head(&input.bucket, &object_key(&input.key)?).await;
        let object = object.map_err(|error| self.hidden(&asked, &input.bucket, error))?;
        let (span, is_range) = asked_span!(input, &object);
        let mut response = S3Response::new(described!(HeadObjectOutput, input, &object, &span, is_range));
        response.status = is_range.then_some(StatusCode::PARTIAL_CONTENT);
        Ok(response)
    }

    pub(super) async fn get_object_attributes(
        &self,
        request: S3Request<GetObjectAttributesInput>,
    ) -> S3Result<S3Response<GetObjectAttributesOutput>> {
        let asked = Self::asked(&request)?;
        let input = request.input;
        let object = self.buckets.head(&input.bucket, &object_key(&input.key)?).await;
        let object = object.map_err(|error| self.hidden(&asked, &input.bucket, error))?;
        // One header may list several.
        let wanted = input.object_attributes.iter().flat_map(|attributes| attributes.as_str().split(','));
        let wanted: Vec<_> = wanted.map(str::trim).collect();
        let wants = |name: &str| wanted.contains(&name);
        let sums = Sums::of(object.checksum.as_ref());
        let mut sum = Checksum { checksum_type: sums.scope.clone(), ..Checksum::default() };
        fill_sums!(sum, sums);
        let total = object.parts.and_then(|parts| i32::try_from(parts).ok());
        Ok(S3Response::new(GetObjectAttributesOutput {
            checksum: Some(sum).filter(|_| wants("Checksum") && object.checksum.is_some()),
            e_tag: Some(etag(&object.etag)).filter(|_| wants("ETag")),
            last_modified: Some(timestamp(object.modified)),
            object_parts: total.filter(|_| wants("ObjectParts")).map(|total| GetObjectAttributesParts {
                total_parts_count: Some(total),
                ..GetObjectAttributesParts::default()
            }),
            object_size: i64::try_from(object.size).ok().filter(|_| wants("ObjectSize")),
            storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)).filter(|_| wants("StorageClass")),
            ..GetObjectAttributesOutput::default()
        }))
    }
}

fn octets() -> Option<String> {
    Some("binary/octet-stream".to_owned())
}

fn hold_status(object: &record::Object) -> Option<ObjectLockLegalHoldStatus> {
    object.lock.legal_hold.then(|| ObjectLockLegalHoldStatus::from_static(ObjectLockLegalHoldStatus::ON))
}

fn content_range(span: &Span<u64>, size: u64) -> String {
    format!("bytes {}-{}/{size}", span.start, span.end.saturating_sub(1))
}

/// Answers a read whose conditions do not hold.
fn decide(verdict: ReadVerdict, object: &record::Object) -> S3Result<()> {
    match verdict {
        ReadVerdict::Read => Ok(()),
        ReadVerdict::Failed(condition) => Err(BucketError::Precondition(condition).into()),
        ReadVerdict::NotModified => {
            let mut not_modified = error("NotModified", "Not Modified");
            let mut headers = HeaderMap::new();
            if let Ok(value) = HeaderValue::from_str(&format!("\"{}\"", object.etag)) {
                headers.insert(http::header::ETAG, value);
            }
            not_modified.set_headers(headers);
            Err(not_modified)
        }
    }
}

/// The bytes that are asked for, and whether they are a part of the whole.
fn span(object: &record::Object, range: Option<&Range>, part: Option<i32>) -> S3Result<(Span<u64>, bool)> {
    match (range, part) {
        (Some(_), Some(_)) => {
            Err(error("InvalidRequest", "Cannot specify both Range header and partNumber query parameter"))
        }
        (None, None) => Ok((0..object.size, false)),
        (Some(range), None) => match range.check(object.size) {
            Ok(span) => Ok((span, true)),
            Err(_) => Err(error("InvalidRange", "The requested range is not satisfiable")),
        },
        // Where the parts of an object began is not remembered.
        (None, Some(1)) if object.parts.is_none() => Ok((0..object.size, false)),
        (None, Some(_)) if object.parts.is_none() => {
            Err(error("InvalidPartNumber", "The requested partnumber is not satisfiable"))
        }
        (None, Some(_)) => Err(error("NotImplemented", "Reading single parts of an object is not implemented")),
    }
}
