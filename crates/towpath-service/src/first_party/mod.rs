//! Records that first-party software writes: gateways, services with events of their own, consoles.
//!
//! A record comes complete, is held against the form of delivered records, and then goes the way of Towpath's own: to
//! the stores and trails that want it, and into event history. Each record has a verdict of its own; those that are taken
//! are durable when the call is answered. A record whose `eventID` a store has already is taken and not stored again.

mod key_owner;
mod own_gateway;
mod put;
mod record;

pub use key_owner::KeyOwner;
pub(crate) use key_owner::identity;
pub use own_gateway::OfferedRecord;
pub use put::Refused;
pub(crate) use put::{Admitted, admit};
pub(crate) use record::MAX_RECORDS;
