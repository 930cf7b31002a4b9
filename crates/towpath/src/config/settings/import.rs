//! Settings of imports from buckets.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::Secret;

/// Imports from buckets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Import {
    /// S3-compatible services by name; in the file also `[[import.endpoint]]` with a `name`. At most one of them may
    /// have no `buckets`: it serves every bucket that no other names. Without any, AWS is read with the credentials of
    /// the AWS environment.
    pub endpoint: BTreeMap<String, S3Endpoint>,
    /// Imports from buckets take only log files that valid digests vouch for.
    pub verify_digests: bool,
    /// File with public keys that digests are believed by beside those of this server, from
    /// `aws cloudtrail list-public-keys`.
    pub public_keys: Option<PathBuf>,
}

/// An S3-compatible service that imports may read from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct S3Endpoint {
    /// Its address; absent for AWS itself.
    pub endpoint: Option<String>,
    /// The region requests are signed for; absent: the region of the import.
    pub region: Option<String>,
    /// Buckets this endpoint serves; empty: all that no other endpoint names.
    pub buckets: Vec<String>,
    /// The access key, or
    pub access_key_id: Option<String>,
    /// its secret; both may also come from the environment:
    pub secret_access_key: Option<Secret>,
    /// the variable that holds the access key,
    pub access_key_id_env: Option<String>,
    /// and the variable that holds the secret.
    pub secret_access_key_env: Option<String>,
    /// `https://host/bucket` (the default) instead of `https://bucket.host`.
    pub path_style: bool,
    /// Allows an address that begins with `http://`.
    pub allow_http: bool,
    /// Trails put their objects with the ACL `bucket-owner-full-control`, as CloudTrail does. Some services refuse ACLs.
    pub owner_acl: bool,
}

impl Default for S3Endpoint {
    fn default() -> Self {
        Self {
            endpoint: None,
            region: None,
            buckets: Vec::new(),
            access_key_id: None,
            secret_access_key: None,
            access_key_id_env: None,
            secret_access_key_env: None,
            path_style: true,
            allow_http: false,
            owner_acl: true,
        }
    }
}
