//! Capture: from a call that was seen on the wire to its CloudTrail record. No sockets.
//!
//! 1. [`Exchange`] is what a proxy saw.
//! 2. `model` knows the services: operations, shapes and protocols, read at run time from botocore's `data` folder or
//!    from Smithy ASTs.
//! 3. `decode` tells which operation a request is and turns request and answer into [`Value`]s.
//! 4. `profile` says what is particular to a service: names, redaction, resources, read or write.
//! 5. `record` writes the record.
//!
//! Calls to HTTP APIs that are no AWS services take a way of their own, by an OpenAPI document: [`openapi`].

mod capture;
mod captured;
pub mod decode;
mod event_stream;
mod exchange;
mod json;
pub mod model;
mod multipart;
mod object_form;
pub mod openapi;
pub mod profile;
mod record;
mod value;

pub use capture::{Capture, Target};
pub use captured::CapturedRecord;
pub use decode::{Answer, Call, DecodeError, Decoded, Outcome, Unrouted};
pub use event_stream::{EventStream, StreamFailure, StreamSaid};
pub use exchange::{Body, Ending, Exchange, Request, Response, Tls};
pub use model::{ModelError, Models, OperationModel, Protocol, ServiceHint, ServiceModel, ServiceSummary};
pub use object_form::ObjectForm;
pub use value::{Field, Value};
