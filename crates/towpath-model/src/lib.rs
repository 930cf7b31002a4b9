//! The words of the domain as types: accounts, regions, ARNs, events, event data stores, channels, trails, selectors,
//! quotas.
//!
//! Nothing here does IO. A value of one of these types has been checked; code that holds it need not check again.

mod account;
mod arn;
mod category;
mod channel;
mod clock;
mod event;
mod event_data_store;
pub mod event_selector;
mod json_escape;
mod organization;
mod position;
mod quotas;
mod region;
mod selector;
pub mod selector_rules;
mod store;
mod text;
mod trail;
mod trail_name;
mod trail_selectors;
mod trail_status;

pub use account::{AccountId, AccountIdError};
pub use arn::{Arn, ArnError};
pub use category::Category;
pub use channel::{CUSTOM_SOURCE, Channel, Integration, PARTNER_SOURCES, PartnerSource};
pub use clock::{Clock, ManualClock, SystemClock};
pub use event::{Destination, Event, EventKey, EventTime, EventTimeError, eventtime_text};
pub use event_data_store::{
    BillingMode, ContextKeySelector, EventConfiguration, EventDataStore, EventDataStoreStatus, MaxEventSize,
};
pub use event_selector::{DataResource, EventSelector, ReadWriteType};
pub use json_escape::decode_json_escape;
pub use organization::{
    FeatureSet, MAX_DELEGATED_ADMINISTRATORS, Member, Organization, OrganizationId, OrganizationIdError,
    OrganizationRole,
};
pub use position::Position;
pub use quotas::Quotas;
pub use region::{Region, RegionError};
pub use selector::{AdvancedEventSelector, AdvancedFieldSelector, EventFacts};
pub use store::{StoreId, StoreKind};
pub use trail::{
    AggregationConfiguration, CloudWatchLogs, GLOBAL_SERVICE_REGION, InsightSelector, Trail, is_global_service_event,
};
pub use trail_name::{TrailId, TrailName, TrailNameError};
pub use trail_selectors::{MAX_SELECTOR_VALUES, TrailSelectors, check_trail_selectors};
pub use trail_status::{DeliveryStatus, TrailStatus};
