//! Records the requests of a service in Towpath, from inside the service.
//!
//! [`EventLayer`] wraps any tower service over HTTP. For each request that has ended it asks a function of yours for an
//! [`Event`]; the [`Recorder`] writes it as a CloudTrail record and sends it, in batches, to Towpath's first-party endpoint
//! (`PutRecords`).
//!
//! A request never waits for its event: the queue is bounded in events and bytes, and what it has no room for is counted
//! and becomes a gap record, which says why, from when to when and how many, signed by the recorder's [`GapKey`]. What was queued
//! is sent again until the server has it; a record that is sent twice is one event.
//!
//! The queue is in memory. A recorder with a folder ([`Recorder::open`]) notes what has begun and what was sent, so that the
//! next start tells what a killed process took along; one without ([`Recorder::start`]) tells nothing of it.
//!
//! `examples/orders.rs` is a whole service.

mod connection;
mod endpoint;
mod event;
mod layer;
mod recorder;
mod sender;
mod settings;

pub use connection::Authorities;
pub use endpoint::{Endpoint, EndpointError};
pub use event::Event;
pub use layer::{EventLayer, EventService, Seen};
pub use recorder::{Recorder, RecorderError};
pub use settings::RecorderSettings;

pub use towpath_admit::{EventType, GapKey, GapKeyError, Plane, UserIdentity};
pub use towpath_model::{AccountId, Region};
pub use towpath_wire::sigv4::{Credentials, Secret};

#[cfg(test)]
mod tests;
