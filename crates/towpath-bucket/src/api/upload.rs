//! Uploads in parts.

use futures::{FutureExt, StreamExt};
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result};

use super::Api;
use super::convert::{
    Sums, algorithm, checksum, error, etag, fill_sums, legal_hold, listed, object_key, owner, plain_etag,
    read_conditions, retention, scope, tagging, take_headers, take_sums, timestamp, write_conditions,
};
use super::object::{Announced, receive, source_span};
use crate::checksum::{Checksum as Sum, Scope};
use crate::error::BucketError;
use crate::files::stream;
use crate::name::ObjectKey as Key;
use crate::object::{Expected, Put, ReadVerdict};
use crate::upload::{MAX_PARTS, MIN_PART_BYTES, NamedPart};

/// From this size on a completion takes long enough for clients to be told that it is under way.
const SLOW: u64 = 256 << 20;

fn number(part: i32) -> S3Result<u32> {
    let valid = u32::try_from(part).ok().filter(|number| (1..=MAX_PARTS).contains(number));
    valid.ok_or_else(|| error("InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive"))
}

impl Api {
    pub(super) async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let asked = Self::asked(&request)?;
        let mut input = request.input;
        let key = object_key(&input.key)?;
        let put = Put {
            headers: take_headers!(input),
            tags: tagging(input.tagging.as_deref())?,
            retention: retention(input.object_lock_mode.as_ref(), input.object_lock_retain_until_date.as_ref())?,
            legal_hold: legal_hold(input.object_lock_legal_hold_status.as_ref())?,
            conditions: Default::default(),
        };
        let sum = input.checksum_algorithm.as_ref().map(|asked| algorithm(asked.as_str())).transpose()?;
        let sum = sum.map(|sum| Ok::<_, s3s::S3Error>((sum, scope(sum, input.checksum_type.as_ref())?))).transpose()?;
        let initiator = asked.caller.principal.display_name();
        let id = self.buckets.begin_upload(&input.bucket, &key, put, sum, initiator).await?;
        Ok(S3Response::new(CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            checksum_algorithm: sum.map(|(sum, _)| ChecksumAlgorithm::from_static(sum.as_str())),
            checksum_type: sum.map(|(_, scope)| ChecksumType::from_static(scope.as_str())),
            key: Some(input.key),
            upload_id: Some(id),
            ..CreateMultipartUploadOutput::default()
        }))
    }

    pub(super) async fn upload_part(
        &self,
        request: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        let S3Request { mut input, headers, trailing_headers, .. } = request;
        let (key, number) = (object_key(&input.key)?, number(input.part_number)?);
        let upload = self.buckets.upload(&input.bucket, &key, &input.upload_id).await?;
        let sums = take_sums!(input);
        let announced = Announced::new(&headers, sums, input.content_md5.as_deref(), input.content_length)?;
        let asked = announced.algorithm(input.checksum_algorithm.as_ref())?;
        let algorithm = match (upload.checksum, asked) {
            (Some((agreed, _)), Some(other)) if agreed != other => {
                let message = format!(
                    "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
                    agreed.as_str().to_lowercase(),
                    other.as_str().to_lowercase()
                );
                return Err(error("InvalidRequest", message));
            }
            (Some((agreed, _)), _) => Some(agreed),
            (None, asked) => asked,
        };
        let mut writer = self.buckets.writer(&input.bucket, algorithm).await?;
        receive(&mut writer, input.body.take()).await?;
        let expected = announced.expected(trailing_headers.as_ref())?;
        let part = (input.upload_id.as_str(), number);
        let part = self.buckets.put_part(&input.bucket, &key, part, writer, expected).await?;
        let mut output = UploadPartOutput { e_tag: Some(etag(&part.etag)), ..UploadPartOutput::default() };
        fill_sums!(output, Sums::of(part.checksum.as_ref()));
        Ok(S3Response::new(output))
    }

    pub(super) async fn upload_part_copy(
        &self,
        request: S3Request<UploadPartCopyInput>,
    ) -> S3Result<S3Response<UploadPartCopyOutput>> {
        let asked = Self::asked(&request)?;
        let input = request.input;
        let (key, number) = (object_key(&input.key)?, number(input.part_number)?);
        let upload = self.buckets.upload(&input.bucket, &key, &input.upload_id).await?;
        let (from_bucket, from_key) = self.source(&asked, &input.copy_source)?;
        let found = self.buckets.read(&from_bucket, &from_key).await;
        let found = found.map_err(|error| self.hidden(&asked, &from_bucket, error))?;
        let conditions = read_conditions(
            input.copy_source_if_match.as_ref(),
            input.copy_source_if_none_match.as_ref(),
            input.copy_source_if_modified_since.as_ref(),
            input.copy_source_if_unmodified_since.as_ref(),
        )?;
        if conditions.of_read(&found.object) != ReadVerdict::Read {
            return Err(BucketError::Precondition("x-amz-copy-source-if").into());
        }
        let span = source_span(input.copy_source_range.as_deref(), found.object.size)?;
        let mut writer = self.buckets.writer(&input.bucket, upload.checksum.map(|(sum, _)| sum)).await?;
        let mut content = Box::pin(stream(found.file, span));
        while let Some(chunk) = content.next().await {
            writer.write(chunk.map_err(BucketError::file("read content"))?).await?;
        }
        let part = (input.upload_id.as_str(), number);
        let part = self.buckets.put_part(&input.bucket, &key, part, writer, Expected::default()).await?;
        let mut result = CopyPartResult {
            e_tag: Some(etag(&part.etag)),
            last_modified: Some(timestamp(part.modified)),
            ..CopyPartResult::default()
        };
        fill_sums!(result, Sums::of(part.checksum.as_ref()));
        Ok(S3Response::new(UploadPartCopyOutput { copy_part_result: Some(result), ..UploadPartCopyOutput::default() }))
    }

    pub(super) async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let mut input = request.input;
        let key = object_key(&input.key)?;
        let upload = self.buckets.upload(&input.bucket, &key, &input.upload_id).await?;
        let parts = input.multipart_upload.take().and_then(|upload| upload.parts).unwrap_or_default();
        let named = parts.into_iter().map(|mut part| {
            let sums = take_sums!(part);
            let wrong = || error("InvalidPart", "A part has no number or no ETag");
            Ok(NamedPart {
                number: number(part.part_number.ok_or_else(wrong)?)?,
                etag: plain_etag(part.e_tag.as_ref().ok_or_else(wrong)?),
                checksum: sums.only()?.map(|(_, value)| value),
            })
        });
        let named: Vec<_> = named.collect::<S3Result<_>>()?;
        let conditions = write_conditions(input.if_match.as_ref(), input.if_none_match.as_ref());
        let size = input.mpu_object_size.and_then(|size| u64::try_from(size).ok());
        let whole = take_sums!(input).only()?;
        let whole = whole.map(|(algorithm, value)| match upload.checksum {
            Some((agreed, Scope::Composite)) if agreed == algorithm => {
                Ok(Sum { algorithm, value, scope: Scope::Composite })
            }
            _ => checksum(algorithm, &value),
        });
        let expected = Expected { size, md5: None, checksum: whole.transpose()? };

        let (buckets, bucket) = (self.buckets.clone(), input.bucket.clone());
        let (id, at) = (input.upload_id.clone(), key.clone());
        let complete = async move {
            buckets.complete_upload(&bucket, &at, (&id, MIN_PART_BYTES), &named, conditions, expected).await
        };
        let (bucket, name) = (input.bucket.clone(), input.key.clone());
        let answer = move |object: crate::Object| {
            let sums = Sums::of(object.checksum.as_ref());
            let mut output = CompleteMultipartUploadOutput {
                location: Some(format!("/{bucket}/{name}")),
                bucket: Some(bucket),
                checksum_type: sums.scope.clone(),
                e_tag: Some(etag(&object.etag)),
                key: Some(name),
                ..CompleteMultipartUploadOutput::default()
            };
            fill_sums!(output, sums);
            output
        };
        let sizes = self.buckets.parts(&input.bucket, &key, &input.upload_id, 0, usize::MAX).await?;
        if sizes.iter().map(|(_, part)| part.size).sum::<u64>() < SLOW {
            return Ok(S3Response::new(answer(complete.await?)));
        }
        // The status goes out at once and the outcome follows, so that no client gives up waiting.
        let outcome = tokio::spawn(complete);
        let future = async move {
            let object = outcome.await.map_err(BucketError::from)??;
            Ok(answer(object))
        };
        Ok(S3Response::new(CompleteMultipartUploadOutput {
            future: Some(future.boxed()),
            ..CompleteMultipartUploadOutput::default()
        }))
    }

    pub(super) async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let input = request.input;
        let key = object_key(&input.key)?;
        self.buckets.abort_upload(&input.bucket, &key, &input.upload_id).await?;
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }

    pub(super) async fn list_parts(&self, request: S3Request<ListPartsInput>) -> S3Result<S3Response<ListPartsOutput>> {
        let input = request.input;
        let key: Key = object_key(&input.key)?;
        let account = self.buckets.get(&input.bucket)?.owner;
        let upload = self.buckets.upload(&input.bucket, &key, &input.upload_id).await?;
        let most = usize::try_from(input.max_parts.unwrap_or(1000)).unwrap_or(0).clamp(1, 1000);
        let after = u32::try_from(input.part_number_marker.unwrap_or(0)).unwrap_or(0);
        let mut found = self.buckets.parts(&input.bucket, &key, &input.upload_id, after, most + 1).await?;
        let more = found.len() > most;
        found.truncate(most);
        let parts = found.iter().map(|(number, part)| {
            let mut shown = Part {
                e_tag: Some(etag(&part.etag)),
                last_modified: Some(timestamp(part.modified)),
                part_number: i32::try_from(*number).ok(),
                size: i64::try_from(part.size).ok(),
                ..Part::default()
            };
            fill_sums!(shown, Sums::of(part.checksum.as_ref()));
            shown
        });
        Ok(S3Response::new(ListPartsOutput {
            bucket: Some(input.bucket),
            checksum_algorithm: upload.checksum.map(|(sum, _)| ChecksumAlgorithm::from_static(sum.as_str())),
            checksum_type: upload.checksum.map(|(_, scope)| ChecksumType::from_static(scope.as_str())),
            initiator: Some(Initiator { display_name: Some(upload.initiator.clone()), id: Some(upload.initiator) }),
            is_truncated: Some(more),
            key: Some(input.key),
            max_parts: i32::try_from(most).ok(),
            next_part_number_marker: found.last().and_then(|(number, _)| i32::try_from(*number).ok()),
            owner: Some(owner(account)),
            part_number_marker: Some(input.part_number_marker.unwrap_or(0)),
            parts: Some(parts.collect()),
            storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
            upload_id: Some(input.upload_id),
            ..ListPartsOutput::default()
        }))
    }

    pub(super) async fn list_multipart_uploads(
        &self,
        request: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        let input = request.input;
        let encoded = input.encoding_type.as_ref().is_some_and(|encoding| encoding.as_str() == EncodingType::URL);
        let account = self.buckets.get(&input.bucket)?.owner;
        let most = usize::try_from(input.max_uploads.unwrap_or(1000)).unwrap_or(0).clamp(1, 1000);
        let prefix = input.prefix.clone().unwrap_or_default();
        let delimiter = input.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty());
        let (key_marker, id_marker) =
            (input.key_marker.as_deref().unwrap_or_default(), input.upload_id_marker.as_deref());

        let (mut uploads, mut prefixes, mut next) = (Vec::new(), Vec::<String>::new(), None);
        let mut more = false;
        for (id, upload) in self.buckets.uploads(&input.bucket).await? {
            let key = upload.key.as_str();
            let behind =
                key > key_marker || (key == key_marker && id_marker.is_some_and(|marker| id.as_str() > marker));
            let Some(rest) = key.strip_prefix(prefix.as_str()).filter(|_| behind || key_marker.is_empty()) else {
                continue;
            };
            let rolled = delimiter.and_then(|mark| rest.find(mark).map(|at| &key[..prefix.len() + at + mark.len()]));
            if rolled.is_some_and(|rolled| {
                prefixes.last().is_some_and(|last| last == rolled) || key_marker.starts_with(rolled)
            }) {
                continue;
            }
            if uploads.len() + prefixes.len() == most {
                more = true;
                break;
            }
            match rolled {
                Some(rolled) => {
                    prefixes.push(rolled.to_owned());
                    next = Some((rolled.to_owned(), None));
                }
                None => {
                    next = Some((upload.key.clone(), Some(id.clone())));
                    uploads.push(MultipartUpload {
                        checksum_algorithm: upload
                            .checksum
                            .map(|(sum, _)| ChecksumAlgorithm::from_static(sum.as_str())),
                        checksum_type: upload.checksum.map(|(_, scope)| ChecksumType::from_static(scope.as_str())),
                        initiated: Some(timestamp(upload.begun)),
                        initiator: Some(Initiator {
                            display_name: Some(upload.initiator.clone()),
                            id: Some(upload.initiator),
                        }),
                        key: Some(listed(&upload.key, encoded)),
                        owner: Some(owner(account)),
                        storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
                        upload_id: Some(id),
                    });
                }
            }
        }
        let next = next.filter(|_| more);
        let prefixes = prefixes.iter().map(|prefix| CommonPrefix { prefix: Some(listed(prefix, encoded)) });
        Ok(S3Response::new(ListMultipartUploadsOutput {
            bucket: Some(input.bucket),
            common_prefixes: Some(prefixes.collect()),
            delimiter: delimiter.map(|delimiter| listed(delimiter, encoded)),
            encoding_type: input.encoding_type,
            is_truncated: Some(more),
            key_marker: Some(listed(key_marker, encoded)),
            max_uploads: i32::try_from(most).ok(),
            next_key_marker: next.as_ref().map(|(key, _)| listed(key, encoded)),
            next_upload_id_marker: next.and_then(|(_, id)| id),
            prefix: Some(listed(&prefix, encoded)),
            upload_id_marker: input.upload_id_marker,
            uploads: Some(uploads),
            ..ListMultipartUploadsOutput::default()
        }))
    }
}
