//! Settings of the capture gateway: where it listens, what it stands in front of, what becomes of calls it cannot record.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use towpath_gateway::{ClientLimits, DEFAULT_LISTEN, Kept, Policy, RecordingSettings, UpstreamLimits};
use towpath_model::{AccountId, Region};

use super::{AwsService, duration, size};

/// The capture gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Gateway {
    /// Whether `towpath serve` runs the gateway too. `towpath gateway` runs it in any case.
    pub enabled: bool,
    /// Where clients connect.
    pub listen: SocketAddr,
    /// The folder with the models of services: laid out as botocore's `data`, or Smithy ASTs. Absent: that of a botocore
    /// that `python3` can import, if there is one.
    pub models: Option<PathBuf>,
    /// A folder with profiles of services beside those that are built in; one of the same name wins.
    pub profiles: Option<PathBuf>,
    /// The account of calls whose upstream names none; absent: `account_id`.
    pub account: Option<AccountId>,
    /// The region of calls that name none.
    pub region: Region,
    /// Where `towpath gateway` serves `/healthz`, `/readyz` and `/metrics`; absent: nowhere. Within a server they are served
    /// at its own address.
    pub metrics_listen: Option<SocketAddr>,
    /// What becomes of a call that cannot be recorded, where the upstream does not say.
    pub policy: Policy,
    /// Open connections of clients; further ones wait in the operating system's queue.
    pub max_connections: usize,
    /// Requests that are worked on at a time; further ones get ServiceUnavailable.
    pub max_requests: usize,
    /// Bytes of a request's line and headers.
    #[serde(with = "size")]
    pub max_header_size: u64,
    /// Headers of a request.
    pub max_headers: usize,
    /// The time a client has for sending a request's headers.
    #[serde(with = "duration")]
    pub header_timeout: Duration,
    /// The longest pause while a request's body arrives.
    #[serde(with = "duration")]
    pub body_pause: Duration,
    /// The time a connection may be idle, or an answer wait to be read, before the connection is closed.
    #[serde(with = "duration")]
    pub idle_timeout: Duration,
    /// Encryption of clients' connections.
    pub tls: GatewayTls,
    /// The making of records.
    pub recording: GatewayRecording,
    /// What the gateway stands in front of.
    pub upstream: Vec<Upstream>,
}

/// Encryption of clients' connections: a certificate, an authority for development, or none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GatewayTls {
    /// PEM file with the certificate, and those between it and its authority after it.
    pub certificate: Option<PathBuf>,
    /// PEM file with the private key.
    pub key: Option<PathBuf>,
    /// The folder of an authority for development, made at the first start, in place of the two files.
    pub development_ca: Option<PathBuf>,
    /// Names and addresses under which clients reach the gateway, for those that name none while connecting.
    pub names: Vec<String>,
}

/// The making of records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GatewayRecording {
    /// Calls that may be under way or wait for their record to be durable.
    pub queue_calls: usize,
    /// Bytes of such calls.
    #[serde(with = "size")]
    pub queue_size: u64,
    /// Threads that decode calls.
    pub workers: usize,
    /// The folder where records wait while the log does not take them; absent: `gateway` in the data directory.
    pub folder: Option<PathBuf>,
    /// Bytes of records that may wait there.
    #[serde(with = "size")]
    pub spill_size: u64,
}

/// Something that the gateway stands in front of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Upstream {
    /// Its name; absent: its first service.
    pub name: Option<String>,
    /// The signing name of its service, or a list of them; `*` for any.
    #[serde(deserialize_with = "one_or_many", serialize_with = "as_one_or_many")]
    pub service: Vec<String>,
    /// Its address, such as `http://127.0.0.1:9000`.
    pub url: String,
    /// Hosts whose calls it takes; `*.` in front for all that end so.
    pub hosts: Vec<String>,
    /// What `X-Amz-Target` of its calls begins with, before the last dot.
    pub targets: Vec<String>,
    /// Paths of its calls; `*` at the end for all that begin so.
    pub paths: Vec<String>,
    /// Regions whose calls it takes.
    pub regions: Vec<Region>,
    /// The account of its calls.
    pub account: Option<AccountId>,
    /// The region of its calls that name none.
    pub region: Option<Region>,
    /// The event source of its records.
    pub event_source: Option<String>,
    /// The mapping file of an HTTP API that is no AWS service; it names the OpenAPI document.
    pub openapi: Option<PathBuf>,
    /// What becomes of a call that cannot be recorded.
    pub policy: Option<Policy>,
    /// Whether signatures are verified before a call is passed on, with the keys of Towpath's accounts.
    pub verify_signatures: bool,
    /// An STS-compatible service that knows its access keys, and a key that may ask it; or its address alone, and the key
    /// is that of the AWS environment.
    #[serde(deserialize_with = "address_or_service")]
    pub sts: AwsService,
    /// Whether `sts` verifies signatures. One that does not is asked in the name of callers, and their session tokens are
    /// sent to it.
    pub sts_verifies: bool,
    /// An IAM-compatible service that knows the users of its access keys, and a key that may ask it, as for `sts`.
    #[serde(deserialize_with = "address_or_service")]
    pub iam: AwsService,
    /// PEM file with the authorities that the certificates of `sts` and `iam` may come from; absent: those of the public web.
    pub sts_ca: Option<PathBuf>,
    /// The name that upstreams share which know the same access keys; absent: its address, and for AWS the partition.
    pub realm: Option<String>,
    /// Whether a key of Towpath's accounts is Towpath's there too.
    pub own_keys: bool,
    /// The host under which S3 has buckets as hosts, such as `store.example.org` for `photos.store.example.org`; those of
    /// AWS, and hosts with a label `s3`, are known without.
    pub bucket_domain: Option<String>,
    /// The VPC endpoint that calls come through on their way here, such as `vpce-0a1b2c3d`: records say so.
    pub vpc_endpoint_id: Option<String>,
    /// The account that owns it.
    pub vpc_endpoint_account_id: Option<AccountId>,
    /// PEM file with the authorities that its certificate may come from; absent: those of the public web.
    pub ca: Option<PathBuf>,
    /// The name its certificate must bear; absent: the host of `url`.
    pub server_name: Option<String>,
    /// Whether HTTP/2 is spoken with it.
    pub http2: bool,
    /// Bytes of a request's body that are kept for the record.
    #[serde(with = "size")]
    pub keep_request: u64,
    /// Bytes of an answer's body that are kept for the record.
    #[serde(with = "size")]
    pub keep_response: u64,
    /// Calls at a time; further ones wait for `connect_timeout` and then get ServiceUnavailable.
    pub max_connections: usize,
    /// Connections that are kept open without a call.
    pub max_idle: usize,
    /// How long they are.
    #[serde(with = "duration")]
    pub idle_timeout: Duration,
    /// The time that making a connection may take.
    #[serde(with = "duration")]
    pub connect_timeout: Duration,
    /// The time from the end of a request to the head of its answer.
    #[serde(with = "duration")]
    pub first_byte_timeout: Duration,
    /// The longest pause within an answer; `0s` for any.
    #[serde(with = "duration")]
    pub body_pause: Duration,
}

impl Default for Gateway {
    fn default() -> Self {
        let limits = ClientLimits::default();
        Self {
            enabled: false,
            listen: DEFAULT_LISTEN,
            models: None,
            profiles: None,
            account: None,
            region: "us-east-1".parse().expect("this is the name of a region"),
            metrics_listen: None,
            policy: Policy::default(),
            max_connections: limits.max_connections,
            max_requests: limits.max_requests,
            max_header_size: limits.max_header_size as u64,
            max_headers: limits.max_headers,
            header_timeout: limits.header_timeout,
            body_pause: limits.body_pause,
            idle_timeout: limits.idle_timeout,
            tls: GatewayTls::default(),
            recording: GatewayRecording::default(),
            upstream: Vec::new(),
        }
    }
}

impl Default for GatewayRecording {
    fn default() -> Self {
        let settings = RecordingSettings::default();
        Self {
            queue_calls: settings.queue_calls,
            queue_size: settings.queue_bytes as u64,
            workers: settings.workers,
            folder: None,
            spill_size: settings.spill_bytes,
        }
    }
}

impl Default for Upstream {
    fn default() -> Self {
        let (kept, limits) = (Kept::default(), UpstreamLimits::default());
        Self {
            name: None,
            service: Vec::new(),
            url: String::new(),
            hosts: Vec::new(),
            targets: Vec::new(),
            paths: Vec::new(),
            regions: Vec::new(),
            account: None,
            region: None,
            event_source: None,
            openapi: None,
            policy: None,
            verify_signatures: false,
            sts: AwsService::default(),
            sts_verifies: true,
            iam: AwsService::default(),
            sts_ca: None,
            realm: None,
            own_keys: true,
            bucket_domain: None,
            vpc_endpoint_id: None,
            vpc_endpoint_account_id: None,
            ca: None,
            server_name: None,
            http2: false,
            keep_request: kept.request as u64,
            keep_response: kept.response as u64,
            max_connections: limits.max_connections,
            max_idle: limits.max_idle,
            idle_timeout: limits.idle_timeout,
            connect_timeout: limits.connect_timeout,
            first_byte_timeout: limits.first_byte_timeout,
            body_pause: limits.body_pause,
        }
    }
}

impl Upstream {
    /// Its name, or its first service.
    pub fn called(&self) -> &str {
        self.name.as_deref().or(self.service.first().map(String::as_str)).unwrap_or("*")
    }

    /// Whether its answers to calls of STS and IAM may tell of access keys: not those of an HTTP API, and at AWS those of STS and
    /// IAM alone, because behind other names of AWS is what its customers write.
    pub fn teaches(&self) -> bool {
        let uri: Option<http::Uri> = self.url.parse().ok();
        let host = uri.as_ref().and_then(http::Uri::host).unwrap_or_default().to_ascii_lowercase();
        self.openapi.is_none() && aws_domain(&host).is_none_or(|domain| knows_keys(host.trim_end_matches(domain)))
    }

    /// The realm of its access keys: the name that is given, or that of AWS, or the address alone.
    pub fn realm(&self) -> String {
        if let Some(realm) = &self.realm {
            return realm.clone();
        }
        let uri: Option<http::Uri> = self.url.parse().ok();
        let host = uri.as_ref().and_then(http::Uri::host).unwrap_or_default().to_ascii_lowercase();
        match aws_domain(&host) {
            Some("api.aws") => "amazonaws.com".to_owned(),
            Some(domain) => domain.to_owned(),
            None => self.url.to_ascii_lowercase().trim_end_matches('/').to_owned(),
        }
    }
}

/// The domain of AWS that a host is below.
fn aws_domain(host: &str) -> Option<&'static str> {
    let domains = ["amazonaws.com", "api.aws", "amazonaws.com.cn"];
    domains.into_iter().find(|domain| host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.')))
}

/// True for what stands before the domain in `sts.amazonaws.com` and `iam.eu-west-1.amazonaws.com`. A bucket may be called
/// `sts` (`sts.s3-eu-west-1.amazonaws.com`).
fn knows_keys(prefix: &str) -> bool {
    let region = |text: &str| {
        let parts: Vec<&str> = text.split('-').collect();
        matches!(parts[..], [first, .., last] if parts.len() > 2
            && first.bytes().all(|byte| byte.is_ascii_lowercase())
            && last.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let mut labels = prefix.trim_end_matches('.').split('.');
    matches!(labels.next(), Some("sts" | "iam" | "sts-fips" | "iam-fips"))
        && labels.next().is_none_or(region)
        && labels.next().is_none()
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }
    Ok(match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(one) => vec![one],
        OneOrMany::Many(many) => many,
    })
}

fn address_or_service<'de, D: Deserializer<'de>>(deserializer: D) -> Result<AwsService, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum AddressOrService {
        Address(String),
        Service(AwsService),
    }
    Ok(match AddressOrService::deserialize(deserializer)? {
        AddressOrService::Address(address) => AwsService { endpoint: Some(address), ..AwsService::default() },
        AddressOrService::Service(service) => service,
    })
}

fn as_one_or_many<S: Serializer>(services: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    match services {
        [one] => serializer.serialize_str(one),
        many => many.serialize(serializer),
    }
}
