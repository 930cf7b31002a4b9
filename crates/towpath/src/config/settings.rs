//! What a person may tune about the server. Every field has a default; values are checked in [`check`](super::check).

mod import;
mod trail;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use towpath_model::{AccountId, Quotas};

use super::gateway::Gateway;
use super::secret::Secret;
use super::{duration, size};

pub use import::*;
pub use trail::*;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// The settings of `towpath serve`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The folder that holds everything.
    pub data_dir: PathBuf,
    /// Where the API, `/healthz`, `/readyz` and `/metrics` are served.
    pub listen: SocketAddr,
    /// Where the buckets of the data directory are served over the S3 protocol; see [`Settings::s3_address`].
    pub s3_listen: Option<SocketAddr>,
    /// The first account, made at the first start.
    pub account_id: AccountId,
    /// How long a deleted event data store can be restored before it is purged.
    #[serde(with = "duration")]
    pub pending_deletion: Duration,
    /// How long a repeated PutAuditEvents entry returns the event id it got before.
    #[serde(with = "duration")]
    pub retry_window: Duration,
    /// What is logged and how.
    pub logging: Logging,
    /// Encryption of connections.
    pub tls: Tls,
    /// Limits of HTTP.
    pub http: Http,
    /// The log of events.
    pub log: Log,
    /// Parquet files and the hot tail.
    pub lake: Lake,
    /// SQL queries.
    pub query: Query,
    /// Records of Towpath's own calls.
    pub audit: Audit,
    /// CloudTrail's quotas.
    pub quotas: Quotas,
    /// Rates per account and operation.
    pub throttles: Throttles,
    /// `/metrics`.
    pub metrics: Metrics,
    /// Delivery of trails.
    pub trail: Trail,
    /// Who is told of delivered log files.
    pub notify: Notify,
    /// Imports from buckets.
    pub import: Import,
    /// The capture gateway.
    pub gateway: Gateway,
}

/// Logging of the server itself, to standard error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Logging {
    /// A `tracing` filter such as `info` or `info,towpath_query=debug`; also the variable `TOWPATH_LOG`.
    pub filter: String,
    /// Lines for people or for machines.
    pub format: LogFormat,
}

/// The form of a line of the server's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Encryption of connections: both files, or neither. They are read anew on SIGHUP.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// PEM file with the certificate, and those between it and its authority after it.
    pub certificate: Option<PathBuf>,
    /// PEM file with the private key.
    pub key: Option<PathBuf>,
}

/// Limits of HTTP connections and requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Open connections; further ones wait in the operating system's queue.
    pub max_connections: usize,
    /// Requests that are worked on at a time; further ones wait a moment and then get ThrottlingException.
    pub max_requests: usize,
    /// Bytes of a request's line and headers.
    #[serde(with = "size")]
    pub max_header_size: u64,
    /// Headers of a request.
    pub max_headers: usize,
    /// Bytes of request bodies in memory, all requests together.
    #[serde(with = "size")]
    pub body_memory: u64,
    /// The time a client has for sending a request's headers.
    #[serde(with = "duration")]
    pub header_timeout: Duration,
    /// The longest pause while a body arrives.
    #[serde(with = "duration")]
    pub body_pause: Duration,
    /// The time a client has for sending a whole body.
    #[serde(with = "duration")]
    pub body_timeout: Duration,
    /// The time a connection may be idle before it is closed.
    #[serde(with = "duration")]
    pub idle_timeout: Duration,
    /// The time an operation may take before the client is answered with an error.
    #[serde(with = "duration")]
    pub request_timeout: Duration,
}

/// The log of events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// A segment that has this many bytes is followed by a new one.
    #[serde(with = "size")]
    pub segment_size: u64,
    /// Bytes that may wait for the disk; beyond that callers get ThrottlingException.
    #[serde(with = "size")]
    pub queue_bytes: u64,
    /// Bytes of recent events that readers get from memory.
    #[serde(with = "size")]
    pub ring_bytes: u64,
    /// Compression of segments.
    pub compression: LogCompression,
}

/// How segments of the log are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogCompression {
    /// Not at all.
    None,
    /// LZ4 blocks.
    Lz4,
}

/// Parquet files and the hot tail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lake {
    /// Bytes of the hot tail over all stores; beyond that the oldest are written to files early.
    #[serde(with = "size")]
    pub hot_bytes: u64,
    /// The longest time an event stays in the hot tail only; whole seconds, parts count as one.
    #[serde(with = "duration")]
    pub flush_interval: Duration,
    /// How often the lake looks for small files to join, expired events and orphans; whole seconds.
    #[serde(with = "duration")]
    pub maintenance_interval: Duration,
    /// The size compaction aims at.
    #[serde(with = "size")]
    pub file_size: u64,
}

/// SQL queries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Query {
    /// Memory of all queries together.
    #[serde(with = "size")]
    pub memory: u64,
    /// Memory of one query; never more than `memory`.
    #[serde(with = "size")]
    pub memory_per_query: u64,
    /// Queries that run at a time; further ones are QUEUED.
    pub concurrency: usize,
    /// After this time a query is TIMED_OUT.
    #[serde(with = "duration")]
    pub time_limit: Duration,
    /// How long results and the list of queries are kept.
    #[serde(with = "duration")]
    pub result_retention: Duration,
    /// Bytes of scratch files of all queries together.
    #[serde(with = "size")]
    pub spill: u64,
    /// Compressed bytes after which a file of delivered results is followed by another.
    #[serde(with = "size")]
    pub result_file_size: u64,
}

/// Records of Towpath's own calls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Audit {
    /// What the answer to a call that only reads waits for: `queued`, its record has a place in the log's queue and a
    /// crash in the next milliseconds may lose it; or `durable`, its record is on disk, as for all other calls.
    pub reads: AuditReads,
}

/// What the answer to a call that only reads waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuditReads {
    /// A place in the log's queue.
    Queued,
    /// The disk.
    Durable,
}

/// Rates per account and operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Throttles {
    /// Where the rates come from.
    pub preset: ThrottlePreset,
    /// Calls per second by operation name; wins over the preset. 0 switches the throttle of an operation off.
    pub operations: BTreeMap<String, u32>,
}

/// A set of rates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ThrottlePreset {
    /// No rates but those of `throttles.operations`.
    Off,
    /// The rates AWS publishes.
    Aws,
}

/// `/metrics`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// The bearer token that `/metrics` asks for. Without one it answers clients on this machine only.
    pub token: Option<Secret>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("./towpath-data"),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 4747)),
            s3_listen: None,
            account_id: "000000000000".parse().expect("twelve digits are an account id"),
            pending_deletion: 7 * DAY,
            retry_window: DAY,
            logging: Logging::default(),
            tls: Tls::default(),
            http: Http::default(),
            log: Log::default(),
            lake: Lake::default(),
            query: Query::default(),
            audit: Audit::default(),
            quotas: Quotas::default(),
            throttles: Throttles::default(),
            metrics: Metrics::default(),
            trail: Trail::default(),
            notify: Notify::default(),
            import: Import::default(),
            gateway: Gateway::default(),
        }
    }
}

impl Settings {
    /// Where buckets are served: 127.0.0.1:4748 if nothing else is said, and a port that the system chooses where it
    /// chooses that of the API too.
    pub fn s3_address(&self) -> SocketAddr {
        let port = if self.listen.port() == 0 { 0 } else { 4748 };
        self.s3_listen.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    }

    /// The account of calls through the gateway whose upstream names none.
    pub fn gateway_account(&self) -> AccountId {
        self.gateway.account.unwrap_or(self.account_id)
    }

    /// Every account that calls through the gateway are recorded in, in order.
    pub fn gateway_accounts(&self) -> BTreeSet<AccountId> {
        let named = self.gateway.upstream.iter().filter_map(|upstream| upstream.account);
        named.chain([self.gateway_account()]).collect()
    }
}

impl Default for Logging {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: LogFormat::Text }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self {
            max_connections: 1024,
            max_requests: 512,
            max_header_size: 64 * KIB,
            max_headers: 100,
            body_memory: 256 * MIB,
            header_timeout: 10 * SECOND,
            body_pause: 15 * SECOND,
            body_timeout: 300 * SECOND,
            idle_timeout: 75 * SECOND,
            request_timeout: 120 * SECOND,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { segment_size: 64 * MIB, queue_bytes: 64 * MIB, ring_bytes: 32 * MIB, compression: LogCompression::None }
    }
}

impl Default for Lake {
    fn default() -> Self {
        Self {
            hot_bytes: 64 * MIB,
            flush_interval: 60 * SECOND,
            maintenance_interval: 10 * SECOND,
            file_size: 128 * MIB,
        }
    }
}

impl Default for Query {
    fn default() -> Self {
        Self {
            memory: GIB,
            memory_per_query: 512 * MIB,
            concurrency: 4,
            time_limit: HOUR,
            result_retention: 7 * DAY,
            spill: 32 * GIB,
            result_file_size: 64 * MIB,
        }
    }
}

impl Default for Audit {
    fn default() -> Self {
        Self { reads: AuditReads::Queued }
    }
}

impl Default for Throttles {
    fn default() -> Self {
        Self { preset: ThrottlePreset::Off, operations: BTreeMap::new() }
    }
}
