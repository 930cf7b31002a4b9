//! `towpath-bench import`: log files into a store, beside DuckDB reading the same files into Parquet.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde::Serialize;
use serde_json::Value;

use crate::api::{Api, store_id};
use crate::generate::{TALLY, Tally};
use crate::peer::Peer;
use crate::results;
use crate::server::{self, Server};

/// The store that log files go into.
pub const STORE: &str = "bench";
/// The data directory below the benchmark's folder.
pub const DATA: &str = "data";

/// Bytes of memory that DuckDB may have; with 1 GiB it fails on many small files.
const PEER_MEMORY: u64 = 4 << 30;
/// How long background work may take until files rest.
const SETTLE: Duration = Duration::from_secs(600);

/// `towpath-bench import`.
#[derive(Debug, clap::Args)]
pub struct Import {
    /// The folder that `generate` wrote
    #[arg(long)]
    files: PathBuf,
    /// Leave DuckDB out
    #[arg(long)]
    alone: bool,
}

#[derive(Debug, Serialize)]
struct Measured {
    tally: Tally,
    /// Seconds until the command ended.
    seconds: f64,
    /// Seconds until all events were in answers.
    queryable_seconds: f64,
    /// MB of JSON a second.
    rate: f64,
    events_per_second: f64,
    server_memory: u64,
    command_memory: u64,
    server_processor_seconds: f64,
    /// Bytes and files of Parquet when the last command had ended, and after compaction.
    stored_at_once: u64,
    stored: u64,
    stored_files: u64,
    /// Bytes of the whole data directory.
    directory: u64,
    /// Stored bytes over bytes of the gzip files.
    relative: f64,
    settle_seconds: f64,
    duckdb: Option<Duck>,
}

#[derive(Debug, Serialize)]
struct Duck {
    version: String,
    seconds: f64,
    rate: f64,
    memory: u64,
    stored: u64,
}

impl Import {
    /// Imports into a new data directory, which later benchmarks use.
    pub async fn run(&self) -> anyhow::Result<()> {
        let tally = self.files.join(TALLY);
        let tally = std::fs::read(&tally).with_context(|| format!("cannot read {}", tally.display()))?;
        let tally: Tally = serde_json::from_slice(&tally)?;
        let data = results::folder().join(DATA);
        ensure!(!data.exists(), "{} exists; remove it first", data.display());

        let server = Server::start(&data, &["lake.maintenance_interval=5s", "lake.flush_interval=10s"])?;
        let api = server.api()?;
        let store = api.create_store(STORE, &["Management", "Data"], false).await?;
        let before = server.processor_seconds()?;
        let started = Instant::now();
        let command_memory = command(&server, &self.files.join("AWSLogs"))?;
        let seconds = started.elapsed().as_secs_f64();
        let count = format!("SELECT count(*) FROM {}", store_id(&store));
        let found = wait_for(&api, &count, tally.events).await?;
        let queryable_seconds = started.elapsed().as_secs_f64();
        ensure!(found == tally.events, "{} events were imported and {found} are in the store", tally.events);
        let server_processor_seconds = server.processor_seconds()? - before;
        let server_memory = server.peak_memory()?;
        let lake = server.lake().join(store_id(&store));
        let stored_at_once = results::size_of(&lake, ".parquet").map_or(0, |(bytes, _)| bytes);
        let settling = Instant::now();
        settle(&lake).await?;
        let settle_seconds = settling.elapsed().as_secs_f64();
        let (stored, stored_files) = results::size_of(&lake, ".parquet")?;
        let found = api.number(&count).await?;
        ensure!(found == tally.events, "{found} events after compaction instead of {}", tally.events);
        server.stop()?;
        let (directory, _) = results::size_of(&data, "")?;

        let rate = |seconds: f64| tally.bytes as f64 / 1e6 / seconds;
        let duckdb = if self.alone { None } else { Some(self.peer(&rate)?) };
        results::save(
            "import",
            &Measured {
                tally,
                seconds,
                queryable_seconds,
                rate: rate(seconds),
                events_per_second: tally.events as f64 / seconds,
                server_memory,
                command_memory,
                server_processor_seconds,
                stored_at_once,
                stored,
                stored_files,
                directory,
                relative: stored as f64 / tally.packed as f64,
                settle_seconds,
                duckdb,
            },
        )
    }

    fn peer(&self, rate: &dyn Fn(f64) -> f64) -> anyhow::Result<Duck> {
        let mut peer = Peer::start("duckdb", "", PEER_MEMORY)?;
        let out = results::folder().join("duckdb.parquet");
        let files = self.files.join("AWSLogs/**/*.json.gz");
        let (seconds, memory) = peer.import(&files.display().to_string(), &out)?;
        let stored = std::fs::metadata(&out)?.len();
        std::fs::remove_file(&out)?;
        Ok(Duck { version: peer.version().to_owned(), seconds, rate: rate(seconds), memory, stored })
    }
}

/// Runs `towpath import`; returns the most memory that it had.
fn command(server: &Server, files: &Path) -> anyhow::Result<u64> {
    let mut command = Command::new(server::binary()?);
    command.arg("import").arg(files).args(["--event-data-store", STORE, "--output", "json"]);
    server.environment(&mut command)?;
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().context("cannot start towpath import")?;
    let mut memory = 0;
    loop {
        // The process is gone between its end and the question now and then.
        memory = server::peak_memory(child.id()).map_or(memory, |peak| peak.max(memory));
        if let Some(status) = child.try_wait()? {
            if !status.success() {
                bail!("towpath import ended with {status}");
            }
            return Ok(memory);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

async fn wait_for(api: &Api, count: &str, wanted: u64) -> anyhow::Result<u64> {
    let started = Instant::now();
    loop {
        let found = api.number(count).await?;
        if found >= wanted || started.elapsed() > SETTLE {
            return Ok(found);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Waits until the files have been the same for half a minute.
async fn settle(lake: &Path) -> anyhow::Result<()> {
    let started = Instant::now();
    let (mut last, mut since) = ((0, 0), Instant::now());
    while started.elapsed() < SETTLE {
        let now = results::size_of(lake, ".parquet").unwrap_or_default();
        if now != last {
            (last, since) = (now, Instant::now());
        } else if since.elapsed() > Duration::from_secs(30) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    eprintln!("files still change after {SETTLE:?}");
    Ok(())
}

/// The verdicts over what was measured: name, target, measured, met.
pub fn verdicts(measured: &Value) -> Vec<(String, String, String, bool)> {
    let number = |name: &str| measured[name].as_f64().unwrap_or_default();
    let memory = number("server_memory").max(number("command_memory"));
    vec![
        (
            "import".to_owned(),
            "100 MB/s of JSON or more".to_owned(),
            format!("{:.0} MB/s", number("rate")),
            number("rate") >= 100.0,
        ),
        (
            "memory while importing".to_owned(),
            "under 1 GiB".to_owned(),
            format!("{:.0} MiB", memory / f64::from(1 << 20)),
            memory > 0.0 && memory < f64::from(1 << 30),
        ),
        (
            "stored size".to_owned(),
            "at most 60 % of the gzip files".to_owned(),
            format!("{:.0} %", number("relative") * 100.0),
            number("relative") > 0.0 && number("relative") <= 0.6,
        ),
    ]
}
