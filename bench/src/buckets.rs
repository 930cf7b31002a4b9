//! `towpath-bench buckets`: embedded buckets over the S3 protocol, beside other S3 servers that are named.

use std::fmt::Write as _;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use towpath_wire::sigv4::{Credentials, Secret, sign};

use crate::api::REGION;
use crate::put::scratch;
use crate::results;
use crate::server::Server;

/// Requests at a time.
const AT_ONCE: usize = 16;

/// Sizes of objects: a digest, and a log file of some thousand events.
const SMALL: usize = 1_000;
const LARGE: usize = 1_000_000;

/// A page of a listing among many objects should take no longer than this, in milliseconds.
const PAGE_MILLIS: f64 = 50.0;

/// `towpath-bench buckets`.
#[derive(Debug, clap::Args)]
pub struct BucketsBench {
    /// Small objects that are put, and then listed
    #[arg(long, default_value_t = 100_000)]
    objects: usize,
    /// Large objects that are put and read
    #[arg(long, default_value_t = 200)]
    large: usize,
    /// Other S3 servers, as NAME=http://host:port; AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are their key
    #[arg(long, value_name = "NAME=URL")]
    peer: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Measured {
    objects: usize,
    large: usize,
    at_once: usize,
    servers: Vec<Measurement>,
}

/// One server.
#[derive(Debug, Serialize)]
struct Measurement {
    name: String,
    put_small: Rate,
    get_small: Rate,
    put_large: Rate,
    get_large: Rate,
    /// Every object, page after page.
    list_seconds: f64,
    list_page: Times,
    /// The folders of one level, and the objects of one folder.
    folders: Times,
    folder: Times,
    /// Peak of the server, where it is this benchmark's own.
    memory: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Rate {
    per_second: f64,
    megabytes_per_second: f64,
    times: Times,
}

/// In milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
struct Times {
    median: f64,
    p99: f64,
}

impl BucketsBench {
    /// Measures Towpath, then the peers.
    pub async fn run(&self) -> anyhow::Result<()> {
        ensure!(self.objects >= 2_000 && self.large >= 1, "that is too little to measure");
        let folder = tempfile::Builder::new().prefix("buckets").tempdir_in(scratch()?)?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let server = Server::start(&folder.path().join("data"), &[&format!("s3_listen={address}")])?;
        let own = S3::new(format!("http://{address}"), server.api()?.credentials().clone());
        let mut measured = self.measure("towpath", &own).await?;
        measured.memory = Some(server.peak_memory()?);
        server.stop()?;
        let mut servers = vec![measured];
        for peer in &self.peer {
            let (name, url) = peer.split_once('=').context("a peer is NAME=URL")?;
            let variable = |name: &str| std::env::var(name).with_context(|| format!("{name} is not set"));
            let credentials = Credentials {
                access_key_id: variable("AWS_ACCESS_KEY_ID")?,
                secret_access_key: Secret::new(variable("AWS_SECRET_ACCESS_KEY")?),
                session_token: None,
            };
            servers.push(self.measure(name, &S3::new(url.trim_end_matches('/').to_owned(), credentials)).await?);
        }
        let (objects, large) = (self.objects, self.large);
        results::save("buckets", &Measured { objects, large, at_once: AT_ONCE, servers })
    }

    async fn measure(&self, name: &str, s3: &S3) -> anyhow::Result<Measurement> {
        s3.call(Method::PUT, "/bench", Bytes::new()).await?;
        let small = |n: usize| format!("/bench/logs/{:03}/{:07}.json.gz", n % 365, n);
        let large = |n: usize| format!("/bench/large/{n:07}.json.gz");
        let (body, big) = (content(SMALL), content(LARGE));
        let put_small = rate(self.objects, SMALL, |n| s3.call(Method::PUT, small(n), body.clone())).await?;
        eprintln!("{name} put {} of {SMALL} bytes: {put_small:?}", self.objects);
        let reads = self.objects.min(20_000);
        let get_small =
            rate(reads, SMALL, |n| s3.call(Method::GET, small(n * 7_919 % self.objects), Bytes::new())).await?;
        let put_large = rate(self.large, LARGE, |n| s3.call(Method::PUT, large(n), big.clone())).await?;
        let get_large = rate(self.large, LARGE, |n| s3.call(Method::GET, large(n), Bytes::new())).await?;
        eprintln!("{name} get {get_small:?}, large put {put_large:?} get {get_large:?}");
        let started = Instant::now();
        let (count, pages) = s3.list_all("logs%2F").await?;
        let list_seconds = started.elapsed().as_secs_f64();
        ensure!(count == self.objects, "{name} listed {count} objects of {}", self.objects);
        let folders = s3.times("/bench?delimiter=%2F&list-type=2&prefix=logs%2F").await?;
        let folder = s3.times("/bench?delimiter=%2F&list-type=2&prefix=logs%2F180%2F").await?;
        let name = name.to_owned();
        let list_page = times(&pages);
        eprintln!("{name} list {list_seconds:.2} s, page {list_page:?}, folders {folders:?}, folder {folder:?}");
        Ok(Measurement {
            name,
            put_small,
            get_small,
            put_large,
            get_large,
            list_seconds,
            list_page,
            folders,
            folder,
            memory: None,
        })
    }
}

/// Bytes that do not compress.
fn content(size: usize) -> Bytes {
    let mut bytes = Vec::with_capacity(size + 32);
    let mut block = Sha256::digest(size.to_le_bytes());
    while bytes.len() < size {
        block = Sha256::digest(block);
        bytes.extend_from_slice(&block);
    }
    bytes.truncate(size);
    Bytes::from(bytes)
}

/// A signing client of one S3 server. Paths hold letters, digits, `-`, `.` and `/` alone.
struct S3 {
    endpoint: String,
    credentials: Credentials,
    http: Client<HttpConnector, Full<Bytes>>,
}

impl S3 {
    fn new(endpoint: String, credentials: Credentials) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self { endpoint, credentials, http: Client::builder(TokioExecutor::new()).build(connector) }
    }

    async fn call(&self, method: Method, target: impl AsRef<str>, body: Bytes) -> anyhow::Result<Bytes> {
        let target = target.as_ref();
        let hash: String = Sha256::digest(&body).iter().map(|byte| format!("{byte:02x}")).collect();
        let request = Request::builder().method(method.clone()).uri(format!("{}{target}", self.endpoint));
        let (mut parts, ()) = request.header("x-amz-content-sha256", hash).body(())?.into_parts();
        sign(&mut parts, &body, &self.credentials, REGION, "s3", Timestamp::now())?;
        let answer = self.http.request(Request::from_parts(parts, Full::new(body))).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        if !status.is_success() {
            bail!("{method} {target} answered {status}: {}", String::from_utf8_lossy(&body));
        }
        Ok(body)
    }

    /// Lists everything below a prefix; returns the number of objects and the time of each page.
    async fn list_all(&self, prefix: &str) -> anyhow::Result<(usize, Vec<Duration>)> {
        let (mut count, mut pages, mut after) = (0, Vec::new(), String::new());
        loop {
            let started = Instant::now();
            let target = format!("/bench?list-type=2&prefix={prefix}&start-after={after}");
            let page = self.call(Method::GET, target, Bytes::new()).await?;
            pages.push(started.elapsed());
            let text = std::str::from_utf8(&page)?;
            count += text.matches("<Key>").count();
            let last = text.rsplit_once("<Key>").and_then(|(_, rest)| rest.split_once("</Key>"));
            match last {
                Some((key, _)) if text.contains("<IsTruncated>true") => after = key.replace('/', "%2F"),
                _ => return Ok((count, pages)),
            }
        }
    }

    async fn times(&self, target: &str) -> anyhow::Result<Times> {
        let mut taken = Vec::new();
        for _ in 0..30 {
            let started = Instant::now();
            self.call(Method::GET, target, Bytes::new()).await?;
            taken.push(started.elapsed());
        }
        Ok(times(&taken))
    }
}

/// Makes `count` calls, some at a time.
async fn rate<F>(count: usize, bytes: usize, call: impl Fn(usize) -> F) -> anyhow::Result<Rate>
where
    F: Future<Output = anyhow::Result<Bytes>>,
{
    let started = Instant::now();
    let timed = |call: F| async move {
        let started = Instant::now();
        call.await.map(|_| started.elapsed())
    };
    let taken: Vec<Duration> =
        stream::iter((0..count).map(|n| timed(call(n)))).buffer_unordered(AT_ONCE).try_collect().await?;
    let seconds = started.elapsed().as_secs_f64();
    Ok(Rate {
        per_second: count as f64 / seconds,
        megabytes_per_second: (count * bytes) as f64 / seconds / 1e6,
        times: times(&taken),
    })
}

fn times(taken: &[Duration]) -> Times {
    let mut sorted = taken.to_vec();
    sorted.sort();
    let at = |share: f64| {
        let place = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
        sorted.get(place).map_or(0.0, |time| time.as_secs_f64() * 1e3)
    };
    Times { median: at(0.5), p99: at(0.99) }
}

/// The verdicts over what was measured: name, target, measured, met.
pub fn verdicts(measured: &Value) -> Vec<(String, String, String, bool)> {
    let number = |path: &str| measured.pointer(path).and_then(Value::as_f64).unwrap_or_default();
    let page = number("/servers/0/list_page/median");
    vec![(
        format!("a page of 1,000 among {} objects", measured["objects"].as_u64().unwrap_or_default()),
        format!("under {PAGE_MILLIS:.0} ms"),
        format!("median {page:.1} ms, all pages {:.1} s", number("/servers/0/list_seconds")),
        page > 0.0 && page < PAGE_MILLIS,
    )]
}

/// The section of the report.
pub fn write(out: &mut String, measured: &Value) -> std::fmt::Result {
    writeln!(
        out,
        "\n## Buckets\n\n| server | put {SMALL} B | get {SMALL} B | put {LARGE} B | get {LARGE} B | list all | page | folders | folder |\n\
         |---|---|---|---|---|---|---|---|---|"
    )?;
    for server in measured["servers"].as_array().into_iter().flatten() {
        let number = |path: &str| server.pointer(path).and_then(Value::as_f64).unwrap_or_default();
        writeln!(
            out,
            "| {} | {:.0}/s | {:.0}/s | {:.0} MB/s | {:.0} MB/s | {:.2} s | {:.1} ms | {:.1} ms | {:.1} ms |",
            server["name"].as_str().unwrap_or_default(),
            number("/put_small/per_second"),
            number("/get_small/per_second"),
            number("/put_large/megabytes_per_second"),
            number("/get_large/megabytes_per_second"),
            number("/list_seconds"),
            number("/list_page/median"),
            number("/folders/median"),
            number("/folder/median")
        )?;
    }
    writeln!(
        out,
        "\n{} small and {} large objects, {} requests at a time over HTTP. Every put is durable.",
        measured["objects"], measured["large"], measured["at_once"]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_has_its_size_and_is_the_same_each_time() {
        assert_eq!(content(1_001).len(), 1_001);
        assert_eq!(content(1_001), content(1_001));
    }

    #[test]
    fn times_are_the_median_and_what_most_stay_within() {
        let taken: Vec<Duration> = (0..200).map(Duration::from_millis).collect();
        let times = times(&taken);
        assert_eq!((times.median, times.p99), (100.0, 198.0));
    }
}
