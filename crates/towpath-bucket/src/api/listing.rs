//! Listing the objects of a bucket, in the words of versions 1 and 2.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result};

use towpath_model::AccountId;

use super::Api;
use super::convert::{error, etag, listed, owner, timestamp};
use crate::listing::{ListRequest, MAX_LISTED, Page};
use crate::record::Listed;

/// How many entries the caller wants.
fn wanted(max_keys: Option<i32>) -> S3Result<i32> {
    let most = i32::try_from(MAX_LISTED).unwrap_or(i32::MAX);
    match max_keys.unwrap_or(most) {
        negative if negative < 0 => {
            Err(error("InvalidArgument", "Argument maxKeys must be an integer between 0 and 2147483647"))
        }
        keys => Ok(keys.min(most)),
    }
}

fn is_encoded(encoding: Option<&EncodingType>) -> S3Result<bool> {
    match encoding.map(EncodingType::as_str) {
        None | Some("") => Ok(false),
        Some(EncodingType::URL) => Ok(true),
        Some(_) => Err(error("InvalidArgument", "Invalid Encoding Method specified in Request")),
    }
}

/// An entry of a listing.
fn object(entry: &Listed, encoded: bool, account: Option<AccountId>) -> Object {
    let Listed { key, object } = entry;
    Object {
        checksum_algorithm: object
            .checksum
            .as_ref()
            .map(|sum| vec![ChecksumAlgorithm::from_static(sum.algorithm.as_str())]),
        checksum_type: object.checksum.as_ref().map(|sum| ChecksumType::from_static(sum.scope.as_str())),
        e_tag: Some(etag(&object.etag)),
        key: Some(listed(key.as_str(), encoded)),
        last_modified: Some(timestamp(object.modified)),
        owner: account.map(owner),
        restore_status: None,
        size: i64::try_from(object.size).ok(),
        storage_class: Some(ObjectStorageClass::from_static(ObjectStorageClass::STANDARD)),
    }
}

/// What to list. Empty texts are the same as none.
fn ask(prefix: &Option<String>, delimiter: &Option<String>, after: Option<String>, max_keys: i32) -> ListRequest {
    let said = |text: Option<String>| text.filter(|text| !text.is_empty());
    ListRequest {
        prefix: prefix.clone().unwrap_or_default(),
        delimiter: said(delimiter.clone()),
        after: said(after),
        limit: usize::try_from(max_keys).unwrap_or(0),
    }
}

fn prefixes(page: &Page, encoded: bool) -> Vec<CommonPrefix> {
    page.prefixes.iter().map(|prefix| CommonPrefix { prefix: Some(listed(prefix, encoded)) }).collect()
}

impl Api {
    pub(super) async fn list_objects(
        &self,
        request: S3Request<ListObjectsInput>,
    ) -> S3Result<S3Response<ListObjectsOutput>> {
        let input = request.input;
        let (max_keys, encoded) = (wanted(input.max_keys)?, is_encoded(input.encoding_type.as_ref())?);
        let account = self.buckets.get(&input.bucket)?.owner;
        let ask = ask(&input.prefix, &input.delimiter, input.marker.clone(), max_keys);
        let page = self.buckets.list(&input.bucket, &ask).await?;
        // S3 says where to go on only when it rolled up; else the last key says it.
        let next_marker = page.next.as_deref().filter(|_| ask.delimiter.is_some());
        let text = |text: &str| Some(listed(text, encoded));
        Ok(S3Response::new(ListObjectsOutput {
            prefix: text(&ask.prefix),
            marker: text(ask.after.as_deref().unwrap_or_default()),
            max_keys: Some(max_keys),
            is_truncated: Some(page.next.is_some()),
            contents: Some(page.objects.iter().map(|entry| object(entry, encoded, Some(account))).collect()),
            common_prefixes: Some(prefixes(&page, encoded)),
            delimiter: ask.delimiter.as_deref().and_then(text),
            next_marker: next_marker.and_then(text),
            encoding_type: input.encoding_type,
            name: Some(input.bucket),
            request_charged: None,
        }))
    }

    pub(super) async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = request.input;
        let (max_keys, encoded) = (wanted(input.max_keys)?, is_encoded(input.encoding_type.as_ref())?);
        let account = self.buckets.get(&input.bucket)?.owner;
        let token = input.continuation_token.as_deref().filter(|token| !token.is_empty());
        let after = match token {
            Some(token) => Some(from_token(token)?),
            None => input.start_after.clone(),
        };
        let ask = ask(&input.prefix, &input.delimiter, after, max_keys);
        let page = self.buckets.list(&input.bucket, &ask).await?;
        let account = Some(account).filter(|_| input.fetch_owner == Some(true));
        let text = |text: &str| Some(listed(text, encoded));
        Ok(S3Response::new(ListObjectsV2Output {
            prefix: text(&ask.prefix),
            max_keys: Some(max_keys),
            key_count: i32::try_from(page.objects.len() + page.prefixes.len()).ok(),
            is_truncated: Some(page.next.is_some()),
            next_continuation_token: page.next.as_deref().map(to_token),
            contents: Some(page.objects.iter().map(|entry| object(entry, encoded, account)).collect()),
            common_prefixes: Some(prefixes(&page, encoded)),
            delimiter: ask.delimiter.as_deref().and_then(text),
            start_after: input.start_after.as_deref().and_then(text),
            continuation_token: input.continuation_token,
            encoding_type: input.encoding_type,
            name: Some(input.bucket),
            request_charged: None,
        }))
    }

    /// Every object is its only version, `null`.
    pub(super) async fn list_object_versions(
        &self,
        request: S3Request<ListObjectVersionsInput>,
    ) -> S3Result<S3Response<ListObjectVersionsOutput>> {
        let input = request.input;
        let (max_keys, encoded) = (wanted(input.max_keys)?, is_encoded(input.encoding_type.as_ref())?);
        let account = self.buckets.get(&input.bucket)?.owner;
        let ask = ask(&input.prefix, &input.delimiter, input.key_marker.clone(), max_keys);
        let page = self.buckets.list(&input.bucket, &ask).await?;
        let versions = page.objects.iter().map(|entry| {
            let object = object(entry, encoded, Some(account));
            ObjectVersion {
                checksum_algorithm: object.checksum_algorithm,
                checksum_type: object.checksum_type,
                e_tag: object.e_tag,
                is_latest: Some(true),
                key: object.key,
                last_modified: object.last_modified,
                owner: object.owner,
                restore_status: None,
                size: object.size,
                storage_class: Some(ObjectVersionStorageClass::from_static(ObjectVersionStorageClass::STANDARD)),
                version_id: Some("null".to_owned()),
            }
        });
        let text = |text: &str| Some(listed(text, encoded));
        Ok(S3Response::new(ListObjectVersionsOutput {
            versions: Some(versions.collect()),
            common_prefixes: Some(prefixes(&page, encoded)),
            delimiter: ask.delimiter.as_deref().and_then(text),
            encoding_type: input.encoding_type,
            is_truncated: Some(page.next.is_some()),
            key_marker: text(ask.after.as_deref().unwrap_or_default()),
            max_keys: Some(max_keys),
            name: Some(input.bucket),
            next_key_marker: page.next.as_deref().and_then(text),
            next_version_id_marker: page.next.as_ref().map(|_| "null".to_owned()),
            prefix: text(&ask.prefix),
            version_id_marker: input.version_id_marker,
            ..ListObjectVersionsOutput::default()
        }))
    }
}

fn to_token(after: &str) -> String {
    URL_SAFE_NO_PAD.encode(after)
}

fn from_token(token: &str) -> S3Result<String> {
    let wrong = || error("InvalidArgument", "The continuation token provided is incorrect");
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| wrong())?;
    String::from_utf8(bytes).ok().filter(|after| after.len() <= 2 * crate::MAX_KEY_BYTES).ok_or_else(wrong)
}
