//! Decoding: which operation a request is, and what request and answer say.
//!
//! [`Models::call`](crate::model::Models::call) (or [`Call::of`], where the service is known) names the operation.
//! [`request`] and [`response`] then give [`Value`]s with the member names of the model:
//!
//! - Members are in the order of the model, at every level, whatever order they arrived in; a member that came twice has
//!   its last value. Map keys and list elements keep the order they came in.
//! - What is not in the model is left out: the service ignores it as well, and nobody knows what may be secret in it.
//! - Blobs inside of bodies are decoded; streams and payloads of raw bytes are not kept. Of streams of events the members
//!   beside the events are read, and the exception that ended the stream is the call's error.
//! - What a bound, a cut or a fault keeps from being decoded is left out and said so ([`Decoded`]); members that stand
//!   outside of the body (URI, query string, headers) are there all the same.
//!
//! Nothing here panics or recurses without bound, whatever the bytes.

mod answer;
mod body;
mod call;
mod cbor;
mod form;
mod gather;
mod host;
mod json;
mod limits;
mod request;
mod rest;
mod route;
mod scalar;
mod stream;
mod xml;

#[cfg(test)]
pub(crate) mod tests;

pub(crate) use answer::outcome;
pub use answer::{Answer, Outcome, response};
pub(crate) use call::bucket;
pub use call::{Call, Spoken, Unrouted};
pub(crate) use host::without_port;
pub use request::request;
pub(crate) use route::Routes;

use crate::Value;

/// What could be read of a request or an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// A structure with the members that were set; [`Value::empty`] if there are none.
    pub value: Value,
    /// True if nothing is missing from it. False if the body was not kept whole, or could not be read.
    pub complete: bool,
    /// Why the body could not be read. Holds no part of the body.
    pub fault: Option<DecodeError>,
}

impl Decoded {
    /// Nothing is missing.
    pub(crate) fn complete(value: Value) -> Self {
        Self { value, complete: true, fault: None }
    }
}

/// A body cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// It is not in the format of the protocol.
    #[error("cannot read {format}: {reason}")]
    Malformed {
        /// `JSON`, `CBOR`, `XML`, `form`, `gzip`, `aws-chunked` or `event stream`.
        format: &'static str,
        /// What is wrong, without any part of the body.
        reason: String,
    },
    /// It is not what the model says, such as a list where a structure should be.
    #[error("body does not match the model: {0}")]
    Mismatch(&'static str),
    /// It exceeds a bound.
    #[error("body exceeds {0}")]
    Bound(&'static str),
}
