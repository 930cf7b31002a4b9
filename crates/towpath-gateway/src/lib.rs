//! The capture gateway: a recording reverse proxy in front of any AWS-protocol service or HTTP API.
//!
//! A call passes through unchanged; its record is made afterwards from what was kept of it, and goes to the log with
//! durable acknowledgement. What cannot be recorded is refused or told in a gap record, as the upstream's policy says.

mod routed;
mod settings;
mod sink;
mod upstream;

pub use routed::{Routed, Signature};
pub use settings::{ClientLimits, DEFAULT_LISTEN, GatewaySettings, TlsSettings};
pub use sink::{RecordSink, SinkError};
pub use upstream::{Kept, Origin, Policy, Takes, Upstream, UpstreamLimits};
