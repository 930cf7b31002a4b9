//! What a person may tune about the operations.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use towpath_model::Quotas;

/// Settings of the service layer.
#[derive(Clone, Debug)]
pub struct ServiceSettings {
    /// Quotas per account and region.
    pub quotas: Quotas,
    /// Rates per account, region and operation.
    pub throttles: ThrottleSettings,
    /// How long a deleted event data store can be restored; 7 days at AWS.
    pub pending_deletion: Duration,
    /// How long a repeated PutAuditEvents entry is recognized as a retry.
    pub retry_window: Duration,
    /// What the answer to a call that only reads waits for.
    pub audit_reads: AuditReads,
    /// Compressed bytes after which a file of delivered results is followed by another; 64 MB at AWS. A file is in memory
    /// until it is put.
    pub result_file_bytes: usize,
}

/// What the answer to a call that only reads (Get, List, Describe, Lookup) waits for. All other answers, refusals
/// included, wait until the record of the call is durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuditReads {
    /// The record has its place in the log's queue: a crash in the next milliseconds may lose it.
    #[default]
    Queued,
    /// The record is durable.
    Durable,
}

impl Default for ServiceSettings {
    fn default() -> Self {
        Self {
            quotas: Quotas::default(),
            throttles: ThrottleSettings::default(),
            pending_deletion: Duration::from_secs(7 * 86_400),
            retry_window: Duration::from_secs(86_400),
            audit_reads: AuditReads::default(),
            result_file_bytes: 64 << 20,
        }
    }
}

/// Rates of calls, in calls per second for each account and region.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ThrottleSettings {
    /// Where the rates come from.
    pub preset: ThrottlePreset,
    /// Rates of single operations, which win over the preset; 0 switches the limit off.
    pub operations: BTreeMap<String, u32>,
}

/// A set of rates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ThrottlePreset {
    /// No limits.
    #[default]
    Off,
    /// The rates that AWS publishes.
    Aws,
}
