//! Quotas: AWS's published numbers as defaults, all of them settings.

use serde::{Deserialize, Serialize};

use crate::MaxEventSize;

/// How much of everything an account may have in a region. Defaults are the published quotas of CloudTrail Lake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quotas {
    /// Event data stores per account and region, those pending deletion included.
    pub event_data_stores: usize,
    /// Advanced event selectors per store.
    pub selectors_per_store: usize,
    /// Values over all selector conditions of a store.
    pub selector_values_per_store: usize,
    /// Channels per account and region.
    pub channels: usize,
    /// Destinations per channel.
    pub destinations_per_channel: usize,
    /// Trails that an account has in a region, those made elsewhere that reach into it included.
    pub trails: usize,
    /// Tags per resource.
    pub tags_per_resource: usize,
    /// Characters of a resource policy.
    pub resource_policy_characters: usize,
    /// Queries of an account that are queued or running at a time.
    pub concurrent_queries: usize,
    /// Events per PutAuditEvents call.
    pub audit_events_per_call: usize,
    /// Bytes of one event, 256 KiB as published.
    pub event_bytes: usize,
    /// Bytes of one event in a store whose maximum event size is `Large`.
    pub large_event_bytes: usize,
}

impl Quotas {
    /// Bytes of one event in a store with this `MaxEventSize`.
    pub fn event_bytes_of(&self, size: MaxEventSize) -> usize {
        match size {
            MaxEventSize::Standard => self.event_bytes,
            MaxEventSize::Large => self.large_event_bytes,
        }
    }
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            event_data_stores: 10,
            selectors_per_store: 5,
            selector_values_per_store: 500,
            channels: 25,
            destinations_per_channel: 200,
            trails: 5,
            tags_per_resource: 50,
            resource_policy_characters: 8192,
            concurrent_queries: 10,
            audit_events_per_call: 100,
            event_bytes: 256 * 1024,
            large_event_bytes: 1024 * 1024,
        }
    }
}
