//! What the gateway stands in front of: one service, or several at one address.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use towpath_model::Region;

use crate::recording::RecordedUpstream;

/// One upstream: which calls are its own, where it is, in whose name its calls are recorded, and its bounds.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Its name, account, region and policy, as recording knows it. No other upstream has the name.
    pub recorded: Arc<RecordedUpstream>,
    /// Which calls it takes.
    pub takes: Takes,
    /// Where it is. `None` for the stand-in of calls that no upstream takes.
    pub origin: Option<Origin>,
    /// The event source of its records, such as `orders.example.org`; `None`: what the service's profile or model says.
    pub event_source: Option<String>,
    /// Whether signatures are verified here, with the keys of Towpath's accounts, before a call is passed on.
    pub verify_signatures: bool,
    /// The host under which S3 has buckets as hosts, beside those of AWS.
    pub bucket_domain: Option<String>,
    /// How many bytes of bodies are kept for the record.
    pub kept: Kept,
    /// Bounds of connections to it.
    pub limits: UpstreamLimits,
}

/// Which calls an upstream takes.
///
/// A call that is signed for a service goes only to an upstream of that service, or of any. A call that is not signed
/// goes where its host, target or path is named, else to the upstream of the service that its host belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Takes {
    /// Signing names of services, such as `s3`. Empty: any.
    pub services: Vec<String>,
    /// Hosts, in lower case and without a port; `*.` in front stands for any labels. Empty: any.
    pub hosts: Vec<String>,
    /// What `X-Amz-Target` begins with, before its last dot; also the service in a path of Smithy's RPC v2. Empty: any.
    pub targets: Vec<String>,
    /// Paths; one that ends in `*` stands for all that begin so. Empty: any.
    pub paths: Vec<String>,
    /// Regions. Empty: any.
    pub regions: Vec<Region>,
}

/// Where an upstream is and how it is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// True for `https`.
    pub encrypted: bool,
    /// Host name or IP address, an IPv6 address without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// PEM file with the authorities that its certificate may come from; `None`: those of the public web.
    pub ca: Option<PathBuf>,
    /// The name its certificate must bear; `None`: `host`.
    pub server_name: Option<String>,
    /// HTTP/2, from the first byte on where not encrypted, else HTTP/1.1.
    pub http2: bool,
}

/// How many bytes of bodies are kept for the record; the rest streams by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Of a request.
    pub request: usize,
    /// Of an answer.
    pub response: usize,
}

impl Default for Kept {
    fn default() -> Self {
        // Records hold at most 100 KB of parameters and of answers; what is around them in XML is longer.
        Self { request: 256 << 10, response: 256 << 10 }
    }
}

/// Bounds of the connections to an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpstreamLimits {
    /// Open connections, or streams where HTTP/2 is spoken; further calls wait for `connect_timeout` and are then
    /// answered with ServiceUnavailable.
    pub max_connections: usize,
    /// Connections that are kept open without a call.
    pub max_idle: usize,
    /// The time a connection may stay open without a call.
    pub idle_timeout: Duration,
    /// The time a connection takes to be made, encryption included.
    pub connect_timeout: Duration,
    /// The time from the last byte of a request to the first of its answer.
    pub first_byte_timeout: Duration,
    /// The longest pause within an answer. Zero: none, for event streams that may be silent for hours.
    pub body_pause: Duration,
}

impl Default for UpstreamLimits {
    fn default() -> Self {
        Self {
            max_connections: 1024,
            max_idle: 256,
            idle_timeout: Duration::from_secs(50),
            connect_timeout: Duration::from_secs(5),
            first_byte_timeout: Duration::from_secs(120),
            body_pause: Duration::from_secs(300),
        }
    }
}

impl Upstream {
    /// An upstream that takes any call, with the bounds that hold if nothing else is said.
    pub fn new(recorded: RecordedUpstream, origin: Option<Origin>) -> Self {
        Self {
            recorded: Arc::new(recorded),
            takes: Takes::default(),
            origin,
            event_source: None,
            verify_signatures: false,
            bucket_domain: None,
            kept: Kept::default(),
            limits: UpstreamLimits::default(),
        }
    }
}

impl Origin {
    /// Host and port as a request names them; the port only where it is not the one of the scheme.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match (self.encrypted, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }
}
