//! The operations of Towpath, from an HTTP request that was read to the answer that is written.
//!
//! [`Service::call`] is the whole path: find the operation, prove who calls, count the call, decode the input, run the
//! operation, record the call in the audit log, answer. Operations live in [`operations`], one file per resource; the
//! things that they change (stores, channels, tags, policies) live in the [`catalog`].

mod audit;
mod authenticate;
mod authorize;
mod caller;
pub mod catalog;
mod event_context;
mod event_size;
mod first_party;
mod ingestion_status;
mod json_object;
mod operations;
mod parts;
mod purge;
mod query_delivery;
mod records;
mod refusal;
mod s3_calls;
mod service;
mod settings;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod throttle;
mod upload;

pub use first_party::{KeyOwner, OfferedRecord, Refused};
pub use ingestion_status::IngestionStatuses;
pub use parts::Parts;
pub use query_delivery::QueryDeliveries;
pub use service::{HttpRequest, MAX_UPLOAD_BODY, Service};
pub use settings::{AuditReads, ServiceSettings, ThrottlePreset, ThrottleSettings};
pub use throttle::operation_names;
