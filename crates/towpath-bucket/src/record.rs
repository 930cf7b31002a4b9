//! What is remembered about buckets, objects and uploads, as JSON in the metadata store.
//!
//! Names of fields are short: a bucket of a million objects has a million of these.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use towpath_model::{AccountId, Region};

use crate::checksum::{Algorithm, Checksum, Scope};
use crate::lock::{DefaultRetention, Lock};
use crate::name::{BucketName, ObjectKey};

/// A bucket. Its id is never used again, also when a bucket of the same name is made later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// Its name.
    pub name: BucketName,
    /// Distinguishes it from others of its name.
    pub(crate) id: String,
    /// Whose it is.
    pub owner: AccountId,
    /// The region that it was made in.
    pub region: Region,
    /// When it was made.
    pub created: Timestamp,
    /// Its policy, as it was put.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// The unique ids of the users and roles that the policy names, by ARN: it is not about others of the same name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) policy_ids: BTreeMap<String, String>,
    /// Its object lock; cannot be turned off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_lock: Option<ObjectLock>,
    /// Its tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

/// The object lock of a bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectLock {
    /// How long new objects are kept, if nothing else is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<DefaultRetention>,
}

/// What a client says about the content of an object. S3 keeps it and gives it back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Headers {
    /// `Content-Type`.
    #[serde(rename = "ct", default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// `Content-Encoding`.
    #[serde(rename = "ce", default, skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    /// `Content-Language`.
    #[serde(rename = "cl", default, skip_serializing_if = "Option::is_none")]
    pub content_language: Option<String>,
    /// `Content-Disposition`.
    #[serde(rename = "cd", default, skip_serializing_if = "Option::is_none")]
    pub content_disposition: Option<String>,
    /// `Cache-Control`.
    #[serde(rename = "cc", default, skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<String>,
    /// `Expires`.
    #[serde(rename = "ex", default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// `x-amz-meta-...`, by lower-case name.
    #[serde(rename = "um", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

/// An object: everything but its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// The file that holds the content.
    #[serde(rename = "f")]
    pub(crate) file: String,
    /// Bytes of content.
    #[serde(rename = "s")]
    pub size: u64,
    /// The ETag without quotes.
    #[serde(rename = "e")]
    pub etag: String,
    /// When it was stored.
    #[serde(rename = "m")]
    pub modified: Timestamp,
    /// What the client said about it.
    #[serde(rename = "h", default, skip_serializing_if = "is_default")]
    pub headers: Headers,
    /// The checksum the client asked for.
    #[serde(rename = "k", default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<Checksum>,
    /// Its tags.
    #[serde(rename = "t", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Its locks.
    #[serde(rename = "l", default, skip_serializing_if = "Lock::is_empty")]
    pub lock: Lock,
    /// The number of its parts, if it was stored in parts.
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<u32>,
}

/// An upload in parts that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// The key that the object will have.
    pub key: String,
    /// When it was begun.
    pub begun: Timestamp,
    /// Who began it: an ARN or the name of a service.
    pub initiator: String,
    /// What the object will have.
    #[serde(default, skip_serializing_if = "is_default")]
    pub headers: Headers,
    /// What the object will have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// What the object will have.
    #[serde(default, skip_serializing_if = "Lock::is_empty")]
    pub lock: Lock,
    /// The checksum of parts and object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<(Algorithm, Scope)>,
}

/// A part of an upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The file that holds the content.
    #[serde(rename = "f")]
    pub(crate) file: String,
    /// Bytes of content.
    #[serde(rename = "s")]
    pub size: u64,
    /// MD5 of the content, in hexadecimal.
    #[serde(rename = "e")]
    pub etag: String,
    /// When it was stored.
    #[serde(rename = "m")]
    pub modified: Timestamp,
    /// Its checksum, if one was asked for.
    #[serde(rename = "k", default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<Checksum>,
}

/// An object with its key, as listings have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: ObjectKey,
    /// The rest of it.
    pub object: Object,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
