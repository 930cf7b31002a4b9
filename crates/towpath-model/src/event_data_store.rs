//! Event data stores as the service keeps them.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{AccountId, AdvancedEventSelector, Arn, EventFacts, Region, StoreId, StoreKind};

/// An event data store: an immutable collection of events of one kind, owned by an account in its home region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventDataStore {
    /// Its id, also its table name.
    pub id: StoreId,
    /// The owner.
    pub account: AccountId,
    /// The home region.
    pub region: Region,
    /// Unique within account and region.
    pub name: String,
    /// What it holds; fixed for life.
    pub kind: StoreKind,
    /// Where it is in its life.
    pub status: EventDataStoreStatus,
    /// Which events it takes; at least one selector.
    pub selectors: Vec<AdvancedEventSelector>,
    /// Takes events of all regions, or of its home region alone.
    pub multi_region: bool,
    /// Takes events of every account of the organization.
    pub organization: bool,
    /// Days that an event stays, counted from its `eventTime`.
    pub retention_days: u32,
    /// How the original bills; decides the limits of the retention.
    pub billing_mode: BillingMode,
    /// Deletion is refused while set.
    pub termination_protection: bool,
    /// Key named by the customer; kept and returned.
    pub kms_key_id: Option<String>,
    /// How large an event may be, and which context keys are added.
    pub event_configuration: EventConfiguration,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last changed.
    pub updated: Timestamp,
    /// When its deletion was asked for, while it is pending.
    pub deletion_requested: Option<Timestamp>,
    /// Whether ingestion had been stopped when the deletion was asked for, so that restoring brings the state back.
    #[serde(default)]
    pub stopped_before_deletion: bool,
    /// Set when the wait is over: its events are being removed, and it cannot be restored any more.
    #[serde(default)]
    pub purging: bool,
}

/// The `Status` of a store. The short-lived states of the original (`CREATED`, `STARTING_INGESTION`,
/// `STOPPING_INGESTION`) are answered by the operations that cause them and never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EventDataStoreStatus {
    /// Takes events and answers queries.
    Enabled,
    /// Answers queries and takes imports, but no live events.
    StoppedIngestion,
    /// Invisible until restored, gone when the wait is over.
    PendingDeletion,
}

impl EventDataStoreStatus {
    /// The text on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enabled => "ENABLED",
            Self::StoppedIngestion => "STOPPED_INGESTION",
            Self::PendingDeletion => "PENDING_DELETION",
        }
    }
}

/// The `BillingMode` of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum BillingMode {
    /// One-year extendable retention: 7 to 3653 days, 366 by default.
    ExtendableRetentionPricing,
    /// Seven-year retention: 7 to 2557 days, 2557 by default.
    FixedRetentionPricing,
}

impl BillingMode {
    /// The text on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ExtendableRetentionPricing => "EXTENDABLE_RETENTION_PRICING",
            Self::FixedRetentionPricing => "FIXED_RETENTION_PRICING",
        }
    }

    /// The mode with this text.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::ExtendableRetentionPricing, Self::FixedRetentionPricing].into_iter().find(|mode| mode.as_str() == text)
    }

    /// Retention in days when none is asked for.
    pub const fn default_retention(self) -> u32 {
        match self {
            Self::ExtendableRetentionPricing => 366,
            Self::FixedRetentionPricing => 2557,
        }
    }

    /// The longest retention in days; the shortest is 7 in both modes.
    pub const fn max_retention(self) -> u32 {
        match self {
            Self::ExtendableRetentionPricing => 3653,
            Self::FixedRetentionPricing => 2557,
        }
    }
}

/// What Put/GetEventConfiguration set on a store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventConfiguration {
    /// How large an event may be.
    pub max_event_size: MaxEventSize,
    /// Context keys to add; at most one selector of each type.
    #[serde(default)]
    pub context_key_selectors: Vec<ContextKeySelector>,
}

/// The `MaxEventSize` of a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum MaxEventSize {
    /// 256 KB.
    #[default]
    Standard,
    /// 1 MB.
    Large,
}

/// Keys of one type that are added to events as `eventContext`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ContextKeySelector {
    /// `TagContext` or `RequestContext`.
    pub r#type: String,
    /// 1 to 50 keys.
    pub equals: Vec<String>,
}

impl EventDataStore {
    /// `arn:aws:cloudtrail:<region>:<account>:eventdatastore/<id>`.
    pub fn arn(&self) -> Arn {
        Arn::cloudtrail(&self.region, self.account, &format!("eventdatastore/{}", self.id))
    }

    /// True when a live event of `account` in `region` with these facts belongs into the store.
    pub fn wants(&self, account: AccountId, region: &Region, facts: &EventFacts<'_>) -> bool {
        self.status == EventDataStoreStatus::Enabled
            && self.account == account
            && (self.multi_region || self.region == *region)
            && self.selectors.iter().any(|selector| selector.matches(facts))
    }

    /// True when queries may read it.
    pub fn queryable(&self) -> bool {
        self.status != EventDataStoreStatus::PendingDeletion
    }
}

impl fmt::Display for EventDataStoreStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
