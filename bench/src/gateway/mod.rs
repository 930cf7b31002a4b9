//! `towpath-bench gateway`: what the capture gateway costs, beside the same calls to the same upstream without it.

mod calls;
mod upstream;

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde::Serialize;
use serde_json::Value;

use self::calls::{Calls, download, upload};
use crate::api::store_id;
use crate::put::load::{self, Outcome, Pace};
use crate::put::scratch;
use crate::results;
use crate::server::Server;

/// Recorded calls a second that are asked for.
const TARGET: f64 = 15_000.0;
/// Milliseconds that the gateway may add, at p50 and p99.
const ADDED: (f64, f64) = (0.5, 2.0);
/// The share of the direct speed that uploads and downloads must reach.
const SHARE: f64 = 0.9;
/// Megabytes of memory that a long body may cost.
const GROWTH: f64 = 64.0;

/// How long records of answered calls may still be on their way.
const SETTLE: Duration = Duration::from_secs(3);

/// `towpath-bench gateway`.
#[derive(Debug, clap::Args)]
pub struct GatewayBench {
    /// Seconds of each load
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Calls a second of the steady load
    #[arg(long, default_value_t = 1000.0)]
    rate: f64,
    /// Connections
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Megabytes of an upload and of a download
    #[arg(long, default_value_t = 1024)]
    megabytes: u64,
    /// Folder of service models, laid out as botocore's data [default: that of the botocore that python3 knows]
    #[arg(long)]
    models: Option<String>,
}

#[derive(Debug, Serialize)]
struct Measured {
    rate: f64,
    megabytes: u64,
    /// Straight to the upstream, at the steady rate.
    direct: Outcome,
    fail_open: Own,
    fail_closed: Own,
    /// Seconds, the best of three.
    upload_direct: f64,
    upload: f64,
    download_direct: f64,
    download: f64,
    /// The most memory of the server before and after uploads and downloads.
    memory_before: u64,
    memory: u64,
}

/// One policy.
#[derive(Debug, Serialize)]
struct Own {
    /// At the steady rate.
    open: Outcome,
    /// Each call when the one before is answered: the most that goes through.
    closed: Outcome,
    /// Calls of both loads, and how many of them are in the event history afterwards.
    calls: u64,
    recorded: u64,
    /// Processor seconds of the server per million calls of the closed loop.
    processor: f64,
    /// The most memory the server has had.
    memory: u64,
}

impl GatewayBench {
    /// Measures direct calls and both policies, one after the other.
    pub async fn run(&self) -> anyhow::Result<()> {
        let upstream = upstream::start()?;
        let pace = Pace::Open(self.rate);
        self.load(&Calls(upstream), Pace::Closed, 2).await?;
        let direct = self.load(&Calls(upstream), pace, self.seconds).await?;
        let fail_open = self.policy("fail-open", upstream).await?;
        let fail_closed = self.policy("fail-closed", upstream).await?;

        let folder = tempfile::Builder::new().prefix("gateway").tempdir_in(scratch()?)?;
        let (server, gateway) = self.start(folder.path(), "fail-open", upstream)?;
        let length = self.megabytes << 20;
        let memory_before = server.peak_memory()?;
        let [mut upload_direct, mut uploaded, mut download_direct, mut downloaded] = [f64::INFINITY; 4];
        for _ in 0..3 {
            upload_direct = upload_direct.min(upload(upstream, length).await?);
            uploaded = uploaded.min(upload(gateway, length).await?);
            download_direct = download_direct.min(download(upstream, length).await?);
            downloaded = downloaded.min(download(gateway, length).await?);
        }
        let memory = server.peak_memory()?;
        server.stop()?;
        results::save(
            "gateway",
            &Measured {
                rate: self.rate,
                megabytes: self.megabytes,
                direct,
                fail_open,
                fail_closed,
                upload_direct,
                upload: uploaded,
                download_direct,
                download: downloaded,
                memory_before,
                memory,
            },
        )
    }

    async fn policy(&self, policy: &str, upstream: SocketAddr) -> anyhow::Result<Own> {
        let folder = tempfile::Builder::new().prefix("gateway").tempdir_in(scratch()?)?;
        let (server, gateway) = self.start(folder.path(), policy, upstream)?;
        let api = server.api()?;
        let store = api.create_store("bench-gateway", &["Management"], true).await?;
        let calls = Calls(gateway);
        let warm = self.load(&calls, Pace::Closed, 3).await?;
        let open = self.load(&calls, Pace::Open(self.rate), self.seconds).await?;
        let before = server.processor_seconds()?;
        let closed = self.load(&calls, Pace::Closed, self.seconds).await?;
        let processor = (server.processor_seconds()? - before) / (closed.batches.max(1) as f64 / 1e6);
        let calls = warm.batches + open.batches + closed.batches;
        // Fail-open calls are answered before their records are durable.
        tokio::time::sleep(SETTLE).await;
        let sql = format!("SELECT count(*) FROM {} WHERE eventname = 'RegisterTaskDefinition'", store_id(&store));
        let recorded = api.number(&sql).await?;
        ensure!(recorded >= calls, "{calls} calls were answered ({policy}) and {recorded} are recorded");
        let memory = server.peak_memory()?;
        server.stop()?;
        Ok(Own { open, closed, calls, recorded, processor, memory })
    }

    fn start(&self, folder: &Path, policy: &str, upstream: SocketAddr) -> anyhow::Result<(Server, SocketAddr)> {
        // Free now, and nobody else here asks for ports.
        let listen = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let config = folder.join("towpath.toml");
        let models = self.models.as_ref().map(|folder| format!("models = {folder:?}\n")).unwrap_or_default();
        let text = format!(
            "[gateway]\nenabled = true\nlisten = \"{listen}\"\npolicy = \"{policy}\"\n{models}\
             [[gateway.upstream]]\nservice = \"*\"\nurl = \"http://{upstream}\"\n"
        );
        std::fs::write(&config, text).with_context(|| format!("cannot write {}", config.display()))?;
        let server = Server::start_with(&folder.join("data"), &["logging.filter=warn"], Some(&config))?;
        Ok((server, listen))
    }

    async fn load(&self, calls: &Calls, pace: Pace, seconds: u64) -> anyhow::Result<Outcome> {
        let outcome = load::run(calls, pace, Duration::from_secs(seconds), self.connections, 0).await?;
        eprintln!("{pace:?}: {}", serde_json::to_string(&outcome)?);
        ensure!(outcome.errors.is_empty(), "calls failed: {:?}", outcome.errors);
        Ok(outcome)
    }
}

/// The verdicts over what was measured: name, target, measured, met.
pub fn verdicts(measured: &Value) -> Vec<(String, String, String, bool)> {
    let number = |path: &str| measured.pointer(path).and_then(Value::as_f64).unwrap_or(f64::NAN);
    let mut verdicts = Vec::new();
    for (policy, path) in [("fail-open", "/fail_open"), ("fail-closed", "/fail_closed")] {
        let added = |share: &str| number(&format!("{path}/open/{share}")) - number(&format!("/direct/{share}"));
        let (p50, p99) = (added("p50"), added("p99"));
        // A gateway makes no call faster: where it seems so, the machine was disturbed and nothing is shown.
        let undisturbed = p50 >= 0.0 && p99 >= 0.0;
        verdicts.push((
            format!("gateway, {policy}: added to calls of 1 KB"),
            format!("at most {} ms at p50, {} ms at p99", ADDED.0, ADDED.1),
            format!("{p50:.2} ms, {p99:.2} ms"),
            undisturbed && p50 <= ADDED.0 && p99 <= ADDED.1,
        ));
        let rate = number(&format!("{path}/closed/events_per_second"));
        verdicts.push((
            format!("gateway, {policy}: recorded calls"),
            format!("{TARGET:.0} calls/s or more"),
            format!("{rate:.0} calls/s"),
            rate >= TARGET,
        ));
    }
    for way in ["upload", "download"] {
        let share = number(&format!("/{way}_direct")) / number(&format!("/{way}"));
        verdicts.push((
            format!("gateway: {way} of {:.0} MiB", number("/megabytes")),
            format!("{:.0} % of the direct speed or more", SHARE * 100.0),
            format!("{:.0} %", share * 100.0),
            share >= SHARE,
        ));
    }
    let growth = (number("/memory") - number("/memory_before")) / 1e6;
    verdicts.push((
        "gateway: memory for them".to_owned(),
        format!("at most {GROWTH:.0} MB"),
        format!("{growth:.0} MB"),
        growth <= GROWTH,
    ));
    verdicts
}
