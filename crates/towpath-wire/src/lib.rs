//! The wire: what arrives as an HTTP request leaves here as a routed, authenticated, typed call, and answers go back.
//!
//! One request passes these stages, in this order; none of them touches a socket:
//!
//! 1. [`route`] tells by method, path and headers which protocol and operation a request speaks, and how large its
//!    body may be.
//! 2. [`sigv4::SignedRequest::parse`] reads the signature; [`sigv4::SignedRequest::verify`] proves it with the secret
//!    of the access key it names.
//! 3. [`Route::decode`] turns the body into a typed [`Input`], checked against every constraint of the service model.
//! 4. [`ApiError::response`] and [`response::success`] write the answer as the protocol wants it.
//!
//! [`client`] is the other direction, for Towpath's own command line.
//!
//! The operations, their structures and their constraints are generated from the AWS service models
//! (`tools/generate_operations.py`).

mod audit_events;
mod call;
pub mod client;
mod decode;
mod error;
mod form;
mod generated;
mod limits;
mod member_error;
mod object;
mod operation;
mod protocol;
mod request_id;
pub mod response;
mod route;
mod scalar;
mod shape;
pub mod sigv4;
mod string_enum;
pub mod sts;
mod validate;
mod violation;
mod xml;

pub use audit_events::AuditEventsTarget;
pub use call::Call;
pub use decode::{InputError, decode};
pub use error::ApiError;
pub use generated::input::Input;
pub use generated::operations::Operation;
pub use generated::{cloudtrail, data, errors};
pub use limits::{
    MAX_AUDIT_EVENTS_BODY, MAX_AUDIT_EVENTS_BYTES, MAX_FORM_BODY, MAX_JSON_BODY, MAX_JSON_DEPTH, MAX_QUERY_BYTES,
    MAX_RECORDS_BODY,
};
pub use object::Object;
pub use operation::{ModelledError, OperationModel, Service};
pub use protocol::Protocol;
pub use request_id::RequestId;
pub use route::{Route, route};
pub use scalar::{Blob, Timestamp};
pub use shape::{Kind, Location, Member, Pattern, Shape};
pub use violation::{Constraint, Violation};
