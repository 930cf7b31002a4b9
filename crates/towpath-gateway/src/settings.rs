//! What a person may tune about the gateway: where it listens, what it stands in front of, and its bounds.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::upstream::Upstream;

/// The settings of a gateway.
#[derive(Clone, Debug)]
pub struct GatewaySettings {
    /// What is in front of, in the order of preference.
    pub upstreams: Vec<Upstream>,
    /// In whose name a call is recorded that no upstream takes. The caller is refused.
    pub unknown: Upstream,
    /// Bounds of clients.
    pub clients: ClientLimits,
    /// Encryption of the connections of clients.
    pub tls: TlsSettings,
    /// Services by what `X-Amz-Target` of their calls begins with, for calls of which nothing else tells the service.
    pub target_services: TargetServices,
}

/// Signing names of services by what `X-Amz-Target` begins with, before its last dot (`DynamoDB_20120810`).
pub type TargetServices = HashMap<String, String>;

/// Bounds of the connections of clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientLimits {
    /// Open connections; further ones wait in the operating system's queue.
    pub max_connections: usize,
    /// Requests that are worked on at a time; further ones are answered with ServiceUnavailable.
    pub max_requests: usize,
    /// Bytes of a request's line and headers; at least 8 KiB.
    pub max_header_size: usize,
    /// Headers of a request.
    pub max_headers: usize,
    /// The time a client has for sending a request's headers.
    pub header_timeout: Duration,
    /// The longest pause while a request's body arrives or while an answer is not read.
    pub body_pause: Duration,
    /// The time a connection may be idle between requests.
    pub idle_timeout: Duration,
    /// How long running requests may go on after the signal to stop.
    pub grace: Duration,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            max_connections: 4096,
            max_requests: 2048,
            max_header_size: 64 << 10,
            max_headers: 128,
            header_timeout: Duration::from_secs(10),
            body_pause: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(75),
            grace: Duration::from_secs(3),
        }
    }
}

/// Encryption of the connections of clients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TlsSettings {
    /// None: plain HTTP.
    #[default]
    Plain,
    /// A certificate and its key out of PEM files.
    Files {
        /// The certificate, and those between it and its authority after it.
        certificate: PathBuf,
        /// The private key.
        key: PathBuf,
    },
    /// A certificate authority of its own, for development: made at the first start, with certificates made on demand.
    DevelopmentCa {
        /// Where the authority's certificate (`ca.pem`) and key (`ca.key`, mode 0600) are kept.
        folder: PathBuf,
        /// Names and addresses for clients that name none while connecting, beside those of this machine.
        names: Vec<String>,
    },
}

/// The address of the gateway if nothing else is said.
pub const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4749);
