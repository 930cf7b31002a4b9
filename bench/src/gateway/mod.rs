//! `towpath-bench gateway`: what the capture gateway costs, beside the same calls to the same upstream without it.

mod bodies;
mod calls;
mod measured;
mod relay;
mod s3;
mod sender;
mod upstream;
mod wire;

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use self::bodies::{download, upload};
use self::measured::{Bodies, Measured, Own};
use self::s3::S3;
use crate::api::store_id;
use crate::put::load::{Outcome, Pace};
use crate::put::scratch;
use crate::results;
use crate::server::Server;

pub use self::measured::verdicts;

/// Bytes a second of the network whose speed long bodies are sent at: 10 Gbit/s.
const NETWORK: f64 = 1.25e9;

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
    /// Connections of the steady load
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Connections that send each call when the one before is answered
    #[arg(long, default_value_t = 64)]
    busy_connections: usize,
    /// Megabytes of an upload and of a download
    #[arg(long, default_value_t = 1024)]
    megabytes: u64,
    /// Folder of service models, laid out as botocore's data [default: that of the botocore that python3 knows]
    #[arg(long)]
    models: Option<String>,
}

/// The ways to the upstream.
#[derive(Clone, Copy)]
struct Ways {
    direct: SocketAddr,
    relay: SocketAddr,
    gateway: SocketAddr,
}

impl GatewayBench {
    /// Measures direct calls and both policies, one after the other.
    pub async fn run(&self) -> anyhow::Result<()> {
        let upstream = upstream::start()?;
        self.load(upstream, Pace::Closed, 2).await?;
        let direct = self.load(upstream, Pace::Open(self.rate), self.seconds).await?;
        let fail_open = self.policy("fail-open", upstream).await?;
        let fail_closed = self.policy("fail-closed", upstream).await?;

        let folder = tempfile::Builder::new().prefix("gateway").tempdir_in(scratch()?)?;
        let (server, gateway) = self.start(folder.path(), "fail-open", upstream)?;
        let memory_before = server.peak_memory()?;
        let ways = Ways { direct: upstream, relay: relay::start(upstream)?, gateway };
        let loopback = self.bodies(ways, None).await?;
        let network = self.bodies(ways, Some(NETWORK)).await?;
        let memory = server.peak_memory()?;
        server.stop()?;
        let whole = self.whole(folder.path())?;
        let (rate, megabytes, gigabits) = (self.rate, self.megabytes, NETWORK * 8.0 / 1e9);
        let measured = Measured {
            rate,
            megabytes,
            direct,
            fail_open,
            fail_closed,
            loopback,
            network,
            whole,
            gigabits,
            memory_before,
            memory,
        };
        results::save("gateway", &measured)
    }

    /// Long bodies to and from the upstream: straight, through a bare relay and through the gateway, in turn.
    async fn bodies(&self, ways: Ways, pace: Option<f64>) -> anyhow::Result<Bodies> {
        let length = self.megabytes << 20;
        let measured = tokio::task::spawn_blocking(move || {
            let mut best = Bodies::none();
            for _ in 0..3 {
                best.upload_direct = best.upload_direct.min(upload(ways.direct, length, pace)?);
                best.upload_relay = best.upload_relay.min(upload(ways.relay, length, pace)?);
                best.upload = best.upload.min(upload(ways.gateway, length, pace)?);
                best.download_direct = best.download_direct.min(download(ways.direct, length, pace)?);
                best.download_relay = best.download_relay.min(download(ways.relay, length, pace)?);
                best.download = best.download.min(download(ways.gateway, length, pace)?);
            }
            anyhow::Ok(best)
        });
        let measured = measured.await??;
        eprintln!("{}", serde_json::to_string(&measured)?);
        Ok(measured)
    }

    /// Long bodies between a stock client and a whole S3 server.
    fn whole(&self, folder: &Path) -> anyhow::Result<Value> {
        let s3 = S3::start(folder)?;
        let (server, gateway) = self.start(&folder.join("whole"), "fail-closed", s3.address)?;
        let measured = s3.measure(self.megabytes, gateway)?;
        server.stop()?;
        Ok(measured)
    }

    async fn policy(&self, policy: &str, upstream: SocketAddr) -> anyhow::Result<Own> {
        let folder = tempfile::Builder::new().prefix("gateway").tempdir_in(scratch()?)?;
        let (server, gateway) = self.start(folder.path(), policy, upstream)?;
        let api = server.api()?;
        let store = api.create_store("bench-gateway", &["Management"], true).await?;
        let warm = self.load(gateway, Pace::Closed, 3).await?;
        let open = self.load(gateway, Pace::Open(self.rate), self.seconds).await?;
        let before = server.processor_seconds()?;
        let closed = self.load(gateway, Pace::Closed, self.seconds).await?;
        let processor = (server.processor_seconds()? - before) / (closed.batches.max(1) as f64 / 1e6);
        let calls = warm.batches + open.batches + closed.batches;
        // Fail-open calls are answered before their records are durable.
        tokio::time::sleep(SETTLE).await;
        let sql = format!("SELECT count(*) FROM {} WHERE eventname = 'RegisterTaskDefinition'", store_id(&store));
        let recorded = api.number(&sql).await?;
        // Fail-open calls may pass faster than they can be recorded. Those without a record do not count.
        let complete = recorded >= calls;
        ensure!(
            complete || policy == "fail-open",
            "{calls} calls were answered ({policy}) and {recorded} are recorded"
        );
        let memory = server.peak_memory()?;
        server.stop()?;
        Ok(Own { open, closed, calls, recorded, processor, memory })
    }

    fn start(&self, folder: &Path, policy: &str, upstream: SocketAddr) -> anyhow::Result<(Server, SocketAddr)> {
        // Free now, and nobody else here asks for ports.
        let listen = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        std::fs::create_dir_all(folder)?;
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

    async fn load(&self, address: SocketAddr, pace: Pace, seconds: u64) -> anyhow::Result<Outcome> {
        let time = Duration::from_secs(seconds);
        let connections = match pace {
            Pace::Open(_) => self.connections,
            Pace::Closed => self.busy_connections,
        };
        let outcome = tokio::task::spawn_blocking(move || sender::run(address, pace, time, connections)).await??;
        eprintln!("{pace:?}: {}", serde_json::to_string(&outcome)?);
        ensure!(outcome.errors.is_empty(), "calls failed: {:?}", outcome.errors);
        Ok(outcome)
    }
}
