//! Channels: where partners and applications send their audit events.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{AccountId, Arn, Region, StoreId};

/// A channel: one source of events outside AWS, and the stores that its events go to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    /// Its id, the last part of its ARN.
    pub id: Uuid,
    /// The owner.
    pub account: AccountId,
    /// The region.
    pub region: Region,
    /// Unique within account and region.
    pub name: String,
    /// `Custom` or a partner's source name; fixed for life.
    pub source: String,
    /// The stores, in the order given.
    pub destinations: Vec<StoreId>,
    /// When it was made.
    pub created: Timestamp,
}

impl Channel {
    /// `arn:aws:cloudtrail:<region>:<account>:channel/<id>`.
    pub fn arn(&self) -> Arn {
        Arn::cloudtrail(&self.region, self.account, &format!("channel/{}", self.id.hyphenated()))
    }
}

/// How a partner sends its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Integration {
    /// The partner's own account calls PutAuditEvents; the channel's policy names it and an external id.
    Direct,
    /// Software in the customer's account calls PutAuditEvents.
    Solution,
}

/// A source that a channel may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartnerSource {
    /// The `Source` of the channel.
    pub source: &'static str,
    /// The name that people know.
    pub name: &'static str,
    /// How events arrive.
    pub integration: Integration,
}

/// The published list of partner sources; `Custom` is not among them.
pub const PARTNER_SOURCES: &[PartnerSource] = &[
    partner("CloudStorageSecurityConsole", "Cloud Storage Security", Integration::Solution),
    partner("Clumio", "Clumio", Integration::Direct),
    partner("CrowdStrike", "CrowdStrike", Integration::Solution),
    partner("CyberArk", "CyberArk", Integration::Solution),
    partner("GitHub", "GitHub", Integration::Solution),
    partner("KongGatewayEnterprise", "Kong Inc", Integration::Solution),
    partner("LaunchDarkly", "LaunchDarkly", Integration::Direct),
    partner("NetskopeCloudExchange", "Netskope", Integration::Solution),
    partner("IBMMulticloud", "Nordcloud, an IBM Company", Integration::Direct),
    partner("MontyCloud", "MontyCloud", Integration::Direct),
    partner("OktaSystemLogEvents", "Okta", Integration::Solution),
    partner("OneLogin", "One Identity", Integration::Solution),
    partner("Shoreline", "Shoreline.io", Integration::Solution),
    partner("Snyk", "Snyk.io", Integration::Direct),
    partner("WizAuditLogs", "Wiz", Integration::Solution),
];

/// The source of a customer's own integration.
pub const CUSTOM_SOURCE: &str = "Custom";

const fn partner(source: &'static str, name: &'static str, integration: Integration) -> PartnerSource {
    PartnerSource { source, name, integration }
}
