//! The capture gateway: a recording reverse proxy in front of any AWS-protocol service or HTTP API.
//!
//! A call passes through unchanged; its record is made afterwards from what was kept of it, and goes to the log with
//! durable acknowledgement. What cannot be recorded is refused or told in a gap record, as the upstream's policy says.

mod sink;

pub use sink::{RecordSink, SinkError};
