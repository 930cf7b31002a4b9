//! Records the requests of a service in Towpath, from inside the service.
//!
//! [`EventLayer`] wraps any tower service over HTTP. For each request that was answered it asks a function of yours for an
//! [`Event`]; the [`Recorder`] writes it as a CloudTrail record and sends it, in batches, to Towpath's first-party endpoint
//! (`PutRecords`).
//!
//! A request never waits for its event: the queue is bounded in events and bytes, and what it has no room for is counted
//! and becomes a gap record, which says from when to when and how many, signed by the recorder's [`GapKey`]. What was queued is
//! sent again until the server has it; a record that is sent twice is one event.
//!
//! `examples/orders.rs` is a whole service.

mod connection;
mod endpoint;
mod event;
mod layer;
mod recorder;

pub use connection::Authorities;
pub use endpoint::{Endpoint, EndpointError};
pub use event::Event;
pub use layer::{EventLayer, EventService, Seen};
pub use recorder::{Recorder, RecorderSettings};

pub use towpath_admit::{EventType, GapKey, GapKeyError, Plane, UserIdentity};
pub use towpath_model::{AccountId, Region};
pub use towpath_wire::sigv4::{Credentials, Secret};

#[cfg(test)]
mod tests;
