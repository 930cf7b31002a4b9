//! Between the words of the S3 protocol and those of the buckets.

use std::collections::BTreeMap;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto;
use s3s::{S3Error, S3ErrorCode, S3Result};
use sha2::{Digest, Sha256};

use towpath_model::AccountId;

use crate::checksum::{Algorithm, Checksum, Scope};
use crate::error::BucketError;
use crate::lock::{LockMode, Retention};
use crate::name::{BucketName, ObjectKey};
use crate::object::{Conditions, Tag};
use crate::record::Headers;

/// Most bytes of user metadata, names and values together; S3's own limit.
const MAX_METADATA: usize = 2048;
/// Most tags of an object and of a bucket.
const MAX_TAGS: (usize, usize) = (10, 50);

/// What `encoding-type=url` leaves as it is.
const URL: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/').remove(b'*');

/// An error with a code that the S3 library may not know, and its status.
pub(crate) fn error(code: &str, message: impl Into<String>) -> S3Error {
    let known = S3ErrorCode::from_bytes(code.as_bytes()).unwrap_or(S3ErrorCode::InternalError);
    let mut error = S3Error::with_message(known, message.into());
    let status = match code {
        "TooManyBuckets" | "InvalidTag" | "InvalidRequest" => StatusCode::BAD_REQUEST,
        "ObjectLockConfigurationNotFoundError" | "NoSuchObjectLockConfiguration" => StatusCode::NOT_FOUND,
        "NoSuchTagSet" | "NoSuchBucketPolicy" => StatusCode::NOT_FOUND,
        "StorageFull" => StatusCode::INSUFFICIENT_STORAGE,
        _ => error.status_code().unwrap_or(StatusCode::BAD_REQUEST),
    };
    error.set_status_code(status);
    error
}

impl From<BucketError> for S3Error {
    fn from(cause: BucketError) -> Self {
        match &cause {
            // The caller need not know what is wrong with this machine.
            BucketError::File { .. } | BucketError::Meta(_) => {
                tracing::error!(error = %chain(&cause), "a bucket failed");
                match cause.code() {
                    "StorageFull" => error("StorageFull", "The disk of this server is full."),
                    code => error(code, "We encountered an internal error. Please try again."),
                }
            }
            other => error(other.code(), other.to_string()),
        }
    }
}

/// The text of an error and of all below it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(error) = below {
        text.push_str(": ");
        text.push_str(&error.to_string());
        below = error.source();
    }
    text
}

pub(crate) fn bucket_name(text: &str) -> S3Result<BucketName> {
    text.parse().map_err(|cause: crate::BucketNameError| error("InvalidBucketName", cause.to_string()))
}

pub(crate) fn object_key(text: &str) -> S3Result<ObjectKey> {
    text.parse().map_err(|cause: crate::ObjectKeyError| error("KeyTooLongError", cause.to_string()))
}

pub(crate) fn timestamp(time: Timestamp) -> dto::Timestamp {
    dto::Timestamp::from(SystemTime::from(time))
}

/// Times outside the years that are known here are refused.
pub(crate) fn from_timestamp(time: &dto::Timestamp) -> S3Result<Timestamp> {
    let mut text = Vec::new();
    let known = time.format(dto::TimestampFormat::DateTime, &mut text).is_ok();
    let parsed = std::str::from_utf8(&text).ok().filter(|_| known).and_then(|text| text.parse().ok());
    parsed.ok_or_else(|| error("InvalidArgument", "the date is outside the known years"))
}

pub(crate) fn etag(etag: &str) -> dto::ETag {
    dto::ETag::Strong(etag.to_owned())
}

fn tag(condition: &dto::ETagCondition) -> Tag {
    match condition {
        dto::ETagCondition::Any => Tag::Any,
        dto::ETagCondition::ETag(etag) => Tag::Etag(etag.value().to_owned()),
    }
}

/// The conditions of a write.
pub(crate) fn write_conditions(
    if_match: Option<&dto::ETagCondition>,
    if_none_match: Option<&dto::ETagCondition>,
) -> Conditions {
    Conditions { if_match: if_match.map(tag), if_none_match: if_none_match.map(tag), ..Conditions::default() }
}

/// The conditions of a read.
pub(crate) fn read_conditions(
    if_match: Option<&dto::ETagCondition>,
    if_none_match: Option<&dto::ETagCondition>,
    if_modified_since: Option<&dto::Timestamp>,
    if_unmodified_since: Option<&dto::Timestamp>,
) -> S3Result<Conditions> {
    Ok(Conditions {
        if_match: if_match.map(tag),
        if_none_match: if_none_match.map(tag),
        if_modified_since: if_modified_since.map(from_timestamp).transpose()?,
        if_unmodified_since: if_unmodified_since.map(from_timestamp).transpose()?,
    })
}

/// An ETag as callers write it, with or without quotes.
pub(crate) fn plain_etag(etag: &dto::ETag) -> String {
    etag.value().trim_matches('"').to_owned()
}

/// The five fields that S3 has for the checksums of algorithms, of which one is filled.
#[derive(Default)]
pub(crate) struct Sums {
    pub(crate) crc32: Option<String>,
    pub(crate) crc32c: Option<String>,
    pub(crate) crc64nvme: Option<String>,
    pub(crate) sha1: Option<String>,
    pub(crate) sha256: Option<String>,
    pub(crate) scope: Option<dto::ChecksumType>,
}

impl Sums {
    pub(crate) fn of(checksum: Option<&Checksum>) -> Self {
        let mut sums = Self::default();
        if let Some(Checksum { algorithm, value, scope }) = checksum {
            let field = match algorithm {
                Algorithm::Crc32 => &mut sums.crc32,
                Algorithm::Crc32c => &mut sums.crc32c,
                Algorithm::Crc64Nvme => &mut sums.crc64nvme,
                Algorithm::Sha1 => &mut sums.sha1,
                Algorithm::Sha256 => &mut sums.sha256,
            };
            *field = Some(value.clone());
            sums.scope = Some(dto::ChecksumType::from_static(scope.as_str()));
        }
        sums
    }

    /// The one that is filled; more than one is refused.
    pub(crate) fn only(self) -> S3Result<Option<(Algorithm, String)>> {
        let all = [
            (Algorithm::Crc32, self.crc32),
            (Algorithm::Crc32c, self.crc32c),
            (Algorithm::Crc64Nvme, self.crc64nvme),
            (Algorithm::Sha1, self.sha1),
            (Algorithm::Sha256, self.sha256),
        ];
        let mut filled = all.into_iter().filter_map(|(algorithm, value)| Some((algorithm, value?)));
        let (first, second) = (filled.next(), filled.next());
        match second {
            None => Ok(first),
            Some(_) => Err(error(
                "InvalidRequest",
                "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
            )),
        }
    }
}

/// Fills the checksum fields of an output from [`Sums`].
macro_rules! fill_sums {
    ($output:expr, $sums:expr) => {{
        let sums = $sums;
        $output.checksum_crc32 = sums.crc32;
        $output.checksum_crc32c = sums.crc32c;
        $output.checksum_crc64nvme = sums.crc64nvme;
        $output.checksum_sha1 = sums.sha1;
        $output.checksum_sha256 = sums.sha256;
    }};
}

/// Takes the checksum fields of an input as [`Sums`].
macro_rules! take_sums {
    ($input:expr) => {
        $crate::api::convert::Sums {
            crc32: $input.checksum_crc32.take(),
            crc32c: $input.checksum_crc32c.take(),
            crc64nvme: $input.checksum_crc64nvme.take(),
            sha1: $input.checksum_sha1.take(),
            sha256: $input.checksum_sha256.take(),
            scope: None,
        }
    };
}

pub(crate) use {fill_sums, take_sums};

/// The checksum that a header gives.
pub(crate) fn checksum(algorithm: Algorithm, value: &str) -> S3Result<Checksum> {
    let wrong = || error("InvalidRequest", format!("Value for {} header is invalid.", algorithm.header()));
    Checksum::full(algorithm, value).ok_or_else(wrong)
}

pub(crate) fn algorithm(text: &str) -> S3Result<Algorithm> {
    Algorithm::parse(text).ok_or_else(|| error("InvalidRequest", "Checksum algorithm provided is unsupported."))
}

/// The scope of the checksum of an upload: what was asked for, else what S3 does for the algorithm.
pub(crate) fn scope(algorithm: Algorithm, asked: Option<&dto::ChecksumType>) -> S3Result<Scope> {
    let asked = asked.map(|asked| {
        Scope::parse(asked.as_str())
            .ok_or_else(|| error("InvalidRequest", "Value for x-amz-checksum-type header is invalid."))
    });
    let scope = match (asked.transpose()?, algorithm) {
        (Some(scope), _) => scope,
        (None, Algorithm::Crc64Nvme) => Scope::Full,
        (None, _) => Scope::Composite,
    };
    let fits = match scope {
        Scope::Full => algorithm.can_be_full(),
        Scope::Composite => algorithm != Algorithm::Crc64Nvme,
    };
    let message = || {
        format!(
            "The {} checksum type cannot be used with the {} checksum algorithm.",
            scope.as_str(),
            algorithm.as_str()
        )
    };
    if fits { Ok(scope) } else { Err(error("InvalidRequest", message())) }
}

pub(crate) fn md5(text: Option<&str>) -> S3Result<Option<[u8; 16]>> {
    let Some(text) = text else { return Ok(None) };
    let bytes = STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.map(Some).ok_or_else(|| error("InvalidDigest", "The Content-MD5 you specified was invalid."))
}

/// Takes the headers of an input that S3 keeps with an object.
macro_rules! take_headers {
    ($input:expr) => {
        $crate::record::Headers {
            content_type: $input.content_type.take(),
            content_encoding: $crate::api::convert::content_encoding($input.content_encoding.take()),
            content_language: $input.content_language.take(),
            content_disposition: $input.content_disposition.take(),
            cache_control: $input.cache_control.take(),
            expires: $input.expires.as_ref().map($crate::api::convert::from_timestamp).transpose()?,
            metadata: $crate::api::convert::metadata($input.metadata.take())?,
        }
    };
}

pub(crate) use take_headers;

/// The encoding of the content without that of the transfer.
pub(crate) fn content_encoding(text: Option<String>) -> Option<String> {
    let text = text?;
    let kept: Vec<_> =
        text.split(',').map(str::trim).filter(|word| !word.is_empty() && *word != "aws-chunked").collect();
    (!kept.is_empty()).then(|| kept.join(","))
}

pub(crate) fn metadata(map: Option<dto::Metadata>) -> S3Result<BTreeMap<String, String>> {
    let map: BTreeMap<_, _> = map.unwrap_or_default().into_iter().collect();
    let size: usize = map.iter().map(|(name, value)| name.len() + value.len()).sum();
    if size > MAX_METADATA {
        return Err(error("MetadataTooLarge", "Your metadata headers exceed the maximum allowed metadata size"));
    }
    Ok(map)
}

pub(crate) fn metadata_out(headers: &Headers) -> Option<dto::Metadata> {
    let map: dto::Metadata = headers.metadata.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    (!map.is_empty()).then_some(map)
}

/// The tags of `x-amz-tagging`, a query string.
pub(crate) fn tagging(header: Option<&str>) -> S3Result<BTreeMap<String, String>> {
    let pairs = form_urlencoded::parse(header.unwrap_or_default().as_bytes()).into_owned();
    tags(pairs, MAX_TAGS.0)
}

pub(crate) fn object_tags(set: Vec<dto::Tag>) -> S3Result<BTreeMap<String, String>> {
    tags(set.into_iter().map(|tag| (tag.key.unwrap_or_default(), tag.value.unwrap_or_default())), MAX_TAGS.0)
}

pub(crate) fn bucket_tags(set: Vec<dto::Tag>) -> S3Result<BTreeMap<String, String>> {
    tags(set.into_iter().map(|tag| (tag.key.unwrap_or_default(), tag.value.unwrap_or_default())), MAX_TAGS.1)
}

fn tags(pairs: impl Iterator<Item = (String, String)>, most: usize) -> S3Result<BTreeMap<String, String>> {
    let mut tags = BTreeMap::new();
    for (key, value) in pairs {
        let (key_length, value_length) = (key.chars().count(), value.chars().count());
        if !(1..=128).contains(&key_length) || value_length > 256 {
            return Err(error("InvalidTag", "A tag has a key of 1 to 128 characters and a value of at most 256"));
        }
        if tags.insert(key, value).is_some() {
            return Err(error("InvalidTag", "Cannot provide multiple Tags with the same key"));
        }
    }
    if tags.len() > most {
        return Err(error("BadRequest", format!("There can be at most {most} tags")));
    }
    Ok(tags)
}

pub(crate) fn tag_set(tags: &BTreeMap<String, String>) -> Vec<dto::Tag> {
    tags.iter().map(|(key, value)| dto::Tag { key: Some(key.clone()), value: Some(value.clone()) }).collect()
}

/// The retention that the headers of a put ask for: both or none.
pub(crate) fn retention(
    mode: Option<&dto::ObjectLockMode>,
    until: Option<&dto::Timestamp>,
) -> S3Result<Option<Retention>> {
    match (mode, until) {
        (None, None) => Ok(None),
        (Some(mode), Some(until)) => {
            let mode = LockMode::parse(mode.as_str());
            let mode = mode.ok_or_else(|| error("InvalidArgument", "Unknown wormMode directive."))?;
            Ok(Some(Retention { mode, until: from_timestamp(until)? }))
        }
        _ => Err(error(
            "InvalidArgument",
            "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied",
        )),
    }
}

pub(crate) fn legal_hold(status: Option<&dto::ObjectLockLegalHoldStatus>) -> S3Result<bool> {
    match status.map(dto::ObjectLockLegalHoldStatus::as_str) {
        None | Some("OFF") => Ok(false),
        Some("ON") => Ok(true),
        Some(_) => Err(error("InvalidArgument", "Legal Hold must be either of 'ON' or 'OFF'")),
    }
}

/// Text of a listing, encoded if the caller asked for it: XML cannot hold every character that a key may have.
pub(crate) fn listed(text: &str, encoded: bool) -> String {
    if encoded { utf8_percent_encode(text, URL).to_string() } else { text.to_owned() }
}

/// The canonical user id of an account: 64 hexadecimal digits that are always the same.
pub(crate) fn owner(account: AccountId) -> dto::Owner {
    let id = hex::encode(Sha256::digest(format!("towpath canonical user {account}")));
    dto::Owner { display_name: Some(account.to_string()), id: Some(id) }
}

/// Grants of a bucket or object whose ACL says no more than that its owner has it.
pub(crate) fn owner_grants(account: AccountId) -> Vec<dto::Grant> {
    let dto::Owner { display_name, id } = owner(account);
    let type_ = dto::Type::from_static(dto::Type::CANONICAL_USER);
    let grantee = dto::Grantee { display_name, email_address: None, id, type_, uri: None };
    let permission = Some(dto::Permission::from_static(dto::Permission::FULL_CONTROL));
    vec![dto::Grant { grantee: Some(grantee), permission }]
}

pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
