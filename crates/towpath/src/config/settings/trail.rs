//! Settings of the delivery of trails, and of who is told of it.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use towpath_model::Region;

use super::{DAY, HOUR, SECOND};
use crate::config::{Secret, duration, size};

/// Delivery of trails to their buckets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Trail {
    /// How often log files are delivered; whole seconds, parts count as one.
    #[serde(with = "duration")]
    pub delivery_interval: Duration,
    /// How often digests are made; whole seconds, parts count as one.
    #[serde(with = "duration")]
    pub digest_interval: Duration,
    /// How long after five minutes are over their data events are still counted before aggregated events are made of
    /// them; whole seconds, parts count as one.
    #[serde(with = "duration")]
    pub aggregation_delay: Duration,
    /// Text of a log file before compression; a fuller file is closed and another begun.
    #[serde(with = "size")]
    pub file_size: u64,
    /// How long a log file that cannot be delivered is tried again; whole days, parts count as one.
    #[serde(with = "duration")]
    pub give_up: Duration,
    /// Regions of which multi-region trails have digests before anything happened there. Digests of other regions
    /// begin with their first log file.
    pub regions: Vec<Region>,
    /// A KMS-compatible service, asked about the keys that trails name.
    pub kms: AwsService,
}

/// Who is told of delivered log files.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Notify {
    /// An SNS-compatible service, for trails with a topic.
    pub topics: AwsService,
    /// A CloudWatch-Logs-compatible service, for trails with a log group.
    pub log_groups: AwsService,
    /// An IAM-compatible service, asked about the roles that trails with a log group name.
    pub roles: AwsService,
    /// An address that is told of every file.
    pub webhook: Webhook,
}

/// A service that takes requests signed as AWS's are. Without an endpoint it is not used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AwsService {
    /// Its address.
    pub endpoint: Option<String>,
    /// The access key, or
    pub access_key_id: Option<String>,
    /// its secret; both may also come from the environment:
    pub secret_access_key: Option<Secret>,
    /// the variable that holds the access key,
    pub access_key_id_env: Option<String>,
    /// and the variable that holds the secret.
    pub secret_access_key_env: Option<String>,
}

/// A webhook. Without an address there is none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Webhook {
    /// Where JSON is posted to.
    pub url: Option<String>,
    /// The key of the HMAC, at least 16 characters; or
    pub secret: Option<Secret>,
    /// the variable that holds it, or
    pub secret_env: Option<String>,
    /// the file that holds it; space around it does not count.
    pub secret_file: Option<PathBuf>,
}

impl Default for Trail {
    fn default() -> Self {
        Self {
            delivery_interval: 300 * SECOND,
            digest_interval: HOUR,
            aggregation_delay: 60 * SECOND,
            file_size: 50_000_000,
            give_up: 30 * DAY,
            regions: Vec::new(),
            kms: AwsService::default(),
        }
    }
}
