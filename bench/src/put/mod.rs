//! `towpath-bench put`: durable audit events a second, Towpath beside PostgreSQL, the sender on the same machine.

pub mod load;
mod postgres;
mod towpath;

use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use jiff::tz::TimeZone;
use serde::Serialize;
use serde_json::Value;

use self::load::{Outcome, Pace, Target};
use self::postgres::Postgres;
use self::towpath::Channel;
use crate::api::store_id;
use crate::generate::audit::Batch;
use crate::results;
use crate::server::Server;

/// Events per batch.
const ENTRIES: usize = 100;
/// The rate that is asked for.
const TARGET: f64 = 60_000.0;

/// `towpath-bench put`.
#[derive(Debug, clap::Args)]
pub struct Put {
    /// Seconds of each load
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Connections
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// Events a second of the steady load; without it half the rate that is asked for
    #[arg(long, default_value_t = TARGET / 2.0)]
    rate: f64,
    /// Leave one of the two out
    #[arg(long, value_enum)]
    only: Option<Side>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Side {
    Towpath,
    Postgres,
}

#[derive(Debug, Serialize)]
struct Measured {
    /// Bytes of an event.
    event_bytes: usize,
    /// Events a second of the open loops.
    rate: f64,
    towpath: Option<Own>,
    postgres: Option<Peer>,
}

#[derive(Debug, Serialize)]
struct Own {
    /// Each when the one before is answered: the most that goes through.
    closed: Outcome,
    /// At the steady rate.
    open: Outcome,
    /// Processor seconds of the server per million events.
    processor: f64,
    /// The most memory the server has had.
    memory: u64,
}

#[derive(Debug, Serialize)]
struct Peer {
    version: String,
    closed: Outcome,
    open: Outcome,
}

impl Put {
    /// Loads both, one after the other.
    pub async fn run(&self) -> anyhow::Result<()> {
        let today = jiff::Timestamp::now().to_zoned(TimeZone::UTC).date();
        let batches: Arc<Vec<Batch>> =
            Arc::new((0..32).map(|number| Batch::new((1, number), ENTRIES, "000000000000", today)).collect());
        let event_bytes = batches[0].events(0).iter().map(String::len).sum::<usize>() / ENTRIES;
        let towpath = match self.only {
            Some(Side::Postgres) => None,
            _ => Some(self.own(batches.clone()).await?),
        };
        let postgres = match self.only {
            Some(Side::Towpath) => None,
            _ => Some(self.peer(batches).await?),
        };
        results::save("put", &Measured { event_bytes, rate: self.rate, towpath, postgres })
    }

    async fn own(&self, batches: Arc<Vec<Batch>>) -> anyhow::Result<Own> {
        let folder = tempfile::Builder::new().prefix("put").tempdir_in(scratch()?)?;
        let server = Server::start(&folder.path().join("data"), &[])?;
        let api = server.api()?;
        let store = api.create_store("bench-put", &["ActivityAuditLog"], true).await?;
        let channel = api.create_channel("bench-put", &store).await?;
        let target = Channel::new(&api, &channel, batches)?;
        let before = server.processor_seconds()?;
        let (closed, open) = self.load(&target).await?;
        let events = (closed.batches + open.batches) * ENTRIES as u64;
        let processor = (server.processor_seconds()? - before) / (events.max(1) as f64 / 1e6);
        let found = api.number(&format!("SELECT count(*) FROM {}", store_id(&store))).await?;
        // What was refused may not be there, what was acknowledged must be.
        ensure!(found >= events, "{events} events were acknowledged and {found} are in the store");
        let memory = server.peak_memory()?;
        server.stop()?;
        Ok(Own { closed, open, processor, memory })
    }

    async fn peer(&self, batches: Arc<Vec<Batch>>) -> anyhow::Result<Peer> {
        let postgres = Postgres::start()?;
        postgres.create_table().await?;
        let (closed, open) = self.load(&postgres.table(batches)).await?;
        let rows: i64 = postgres.client().await?.query_one("SELECT count(*) FROM event", &[]).await?.get(0);
        let sent = (closed.batches + open.batches) * ENTRIES as u64;
        ensure!(rows as u64 >= sent, "{sent} events were acknowledged and {rows} are in the table");
        Ok(Peer { version: postgres.version()?, closed, open })
    }

    async fn load<T: Target>(&self, target: &T) -> anyhow::Result<(Outcome, Outcome)> {
        let time = Duration::from_secs(self.seconds);
        // A moment to warm up, with numbers of its own.
        let warm = load::run(target, Pace::Closed, Duration::from_secs(2), self.connections, 1 << 40).await?;
        eprintln!("warm: {}", serde_json::to_string(&warm)?);
        let closed = load::run(target, Pace::Closed, time, self.connections, 0).await?;
        eprintln!("closed: {}", serde_json::to_string(&closed)?);
        let pace = Pace::Open(self.rate / ENTRIES as f64);
        let open = load::run(target, pace, time, self.connections, 1 << 32).await?;
        eprintln!("open: {}", serde_json::to_string(&open)?);
        Ok((closed, open))
    }
}

/// A folder for what a benchmark needs only while it runs.
pub fn scratch() -> anyhow::Result<std::path::PathBuf> {
    let folder = results::folder().join("scratch");
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// The verdicts over what was measured: name, target, measured, met.
pub fn verdicts(measured: &Value) -> Vec<(String, String, String, bool)> {
    let rate = measured["towpath"]["closed"]["events_per_second"].as_f64().unwrap_or_default();
    let p99 = measured["towpath"]["open"]["p99"].as_f64().unwrap_or(f64::INFINITY);
    vec![
        (
            "durable PutAuditEvents".to_owned(),
            format!("{TARGET:.0} events/s or more"),
            format!("{rate:.0} events/s"),
            rate >= TARGET,
        ),
        (
            "acknowledgement at half that load".to_owned(),
            "p99 at most 50 ms".to_owned(),
            format!("p99 {p99:.1} ms"),
            p99 <= 50.0,
        ),
    ]
}
