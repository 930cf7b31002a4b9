//! The capture gateway: a recording reverse proxy in front of any AWS-protocol service or HTTP API.
//!
//! A call passes through unchanged; its record is made afterwards from what was kept of it, and goes to the log with
//! durable acknowledgement. What cannot be recorded is refused or told in a gap record, as the upstream's policy says.
//!
//! ```text
//! server     connections, TLS                 client    connections to upstreams
//! gateway    one call: route, check, record, send, answer
//! recording  from a finished call to its record in the log
//! ```

mod answer;
mod call;
mod chunks;
mod client;
mod development_ca;
mod form;
mod gate;
mod gateway;
mod headers;
mod host;
mod identity;
mod kept;
mod measure;
mod neighbour;
mod outbound;
mod outgoing;
mod proving;
mod recording;
mod refusal;
mod route;
mod scope;
mod server;
mod settings;
mod sink;
#[cfg(test)]
mod tests;
mod tunnel;
mod upstream;
mod verify;
mod websocket;

pub use client::SetupError;
pub use development_ca::{CERTIFICATE_FILE, CaError, DevelopmentCa, KEY_FILE};
pub use gateway::{Gateway, GatewayError};
pub use identity::{AskError, AskOwner, IamClient, Identities, KeyDirectory, StsClient, Ties};
pub use outbound::OutboundError;
pub use recording::{
    Acknowledgement, Describe, Gap, NotDurable, Policy, Reason, RecordedUpstream, Recording, RecordingError,
    RecordingSettings, Routed, Ticket, Unrecordable,
};
pub use server::GatewayServer;
pub use settings::{ClientLimits, DEFAULT_LISTEN, GatewaySettings, TargetServices, TlsSettings};
pub use sink::{RecordSink, SinkError};
pub use towpath_admit::{GapKey, GapKeyError};
pub use upstream::{Kept, Origin, Takes, Upstream, UpstreamLimits};
