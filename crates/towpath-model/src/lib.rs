//! The words of the domain as types: accounts, regions, ARNs, events, event data stores, channels, selectors, quotas.
//!
//! Nothing here does IO. A value of one of these types has been checked; code that holds it need not check again.

mod account;
mod arn;
mod category;
mod channel;
mod clock;
mod event;
mod event_data_store;
mod position;
mod quotas;
mod region;
mod selector;
pub mod selector_rules;
mod store;

pub use account::{AccountId, AccountIdError};
pub use arn::{Arn, ArnError};
pub use category::Category;
pub use channel::{CUSTOM_SOURCE, Channel, Integration, PARTNER_SOURCES, PartnerSource};
pub use clock::{Clock, ManualClock, SystemClock};
pub use event::{Destination, Event, EventKey, EventTime, EventTimeError, eventtime_text};
pub use event_data_store::{
    BillingMode, ContextKeySelector, EventConfiguration, EventDataStore, EventDataStoreStatus, MaxEventSize,
};
pub use position::Position;
pub use quotas::Quotas;
pub use region::{Region, RegionError};
pub use selector::{AdvancedEventSelector, AdvancedFieldSelector, EventFacts};
pub use store::{StoreId, StoreKind};
