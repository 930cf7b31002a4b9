//! `towpath-bench deliver`: a backlog in the log becomes log files in embedded buckets, as fast as it can.
//!
//! The parts are those of the server - log, metadata in SQLite, buckets in the data directory - without its network: trails
//! take calls and records of a gateway, and a load that large cannot be sent from the same machine. Each size of backlog is
//! a process of its own, so that its peak of memory is its own.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use async_trait::async_trait;
use jiff::Timestamp;
use object_store::ObjectStore;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use towpath_bucket::NewBucket;
use towpath_log::{FileLogStorage, Log};
use towpath_meta::{MetaStore, SqliteMetaStore};
use towpath_model::{Category, Clock, Event, EventKey, EventTime, SystemClock, Trail, TrailId};
use towpath_trail::{BucketError, Buckets, Delivery, SealError, Sealer, SigningKeys, TrailSettings, TrailSource};

use crate::generate::{self, Plan};
use crate::put::scratch;
use crate::results;
use crate::server::{peak_memory, processor_seconds};

/// Events a second on two cores, and how much more memory four times the backlog may take.
const TARGET: f64 = 150_000.0;
const GROWTH: f64 = 1.25;

/// Different records that are generated, and the sizes of those that the backlog is made of: about 1.2 KB on average.
const RECORDS: u64 = 40_000;
const SIZES: std::ops::Range<usize> = 1_000..1_600;

const ACCOUNT: &str = "000000000001";
const BUCKET: &str = "bench";

/// `towpath-bench deliver`.
#[derive(Debug, clap::Args)]
pub struct Deliver {
    /// Events in the largest backlog; a quarter of them in the smaller one
    #[arg(long, default_value_t = 2_000_000)]
    events: usize,
    /// Trails that all take every event
    #[arg(long, default_value_t = 1)]
    trails: usize,
    /// gzip level [default: the server's]
    #[arg(long)]
    level: Option<u32>,
    /// Measure one backlog and print it
    #[arg(long, hide = true)]
    alone: bool,
}

#[derive(Debug, Serialize)]
struct Measured {
    trails: usize,
    gzip_level: u32,
    /// By size of the backlog.
    runs: Vec<Run>,
}

/// One backlog.
#[derive(Debug, Serialize, Deserialize)]
struct Run {
    events: usize,
    /// Bytes of text of an event.
    event_bytes: usize,
    events_per_second: f64,
    /// Text delivered, in MB a second.
    megabytes_per_second: f64,
    /// How much smaller the files are than their text.
    ratio: f64,
    files: usize,
    seconds: f64,
    /// Processor time, user and system.
    processor_seconds: f64,
    /// The peak of memory before the delivery began and at its end, in bytes.
    memory_before: u64,
    memory: u64,
}

impl Deliver {
    /// Measures both backlogs.
    pub async fn run(&self) -> anyhow::Result<()> {
        ensure!(self.events >= 4_000 && self.trails >= 1, "that is too little to measure");
        if self.alone {
            println!("{}", serde_json::to_string(&self.one().await?)?);
            return Ok(());
        }
        let runs = [self.events / 4, self.events].map(|events| self.in_a_process(events));
        let runs = runs.into_iter().collect::<anyhow::Result<Vec<Run>>>()?;
        results::save("deliver", &Measured { trails: self.trails, gzip_level: self.settings().gzip_level, runs })
    }

    fn in_a_process(&self, events: usize) -> anyhow::Result<Run> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["deliver", "--alone", "--events", &events.to_string(), "--trails", &self.trails.to_string()]);
        if let Some(level) = self.level {
            command.args(["--level", &level.to_string()]);
        }
        let output = command.output().context("cannot measure in a process of its own")?;
        ensure!(output.status.success(), "the measurement failed: {}", String::from_utf8_lossy(&output.stderr));
        let run: Run = serde_json::from_slice(&output.stdout).context("the measurement printed no figures")?;
        eprintln!("{run:?}");
        Ok(run)
    }

    fn settings(&self) -> TrailSettings {
        let settings = TrailSettings { cadence_seconds: 86_400, ..TrailSettings::default() };
        TrailSettings { gzip_level: self.level.unwrap_or(settings.gzip_level), ..settings }
    }

    async fn one(&self) -> anyhow::Result<Run> {
        let folder = tempfile::Builder::new().prefix("deliver").tempdir_in(scratch()?)?;
        let world = World::open(folder.path(), self.trails, self.settings()).await?;
        let event_bytes = world.fill(&texts(folder.path())?, self.events).await?;
        let own = std::process::id();
        let (memory_before, processor) = (peak_memory(own)?, processor_seconds(own)?);
        let started = Instant::now();
        let stop = tokio_util::sync::CancellationToken::new();
        let running = tokio::spawn({
            let (delivery, stop) = (world.delivery.clone(), stop.clone());
            async move { delivery.run(stop).await }
        });
        world.delivery.flush().await;
        // What is staged is put: a file in the folder of staged files waits for its bucket.
        while folder.path().join("trails").read_dir()?.next().is_some() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let seconds = started.elapsed().as_secs_f64();
        let (processor_seconds, memory) = (processor_seconds(own)? - processor, peak_memory(own)?);
        stop.cancel();
        running.await??;
        let (packed, files) = results::size_of(&folder.path().join("buckets"), "")?;
        let text = (self.events * self.trails * event_bytes) as f64;
        Ok(Run {
            events: self.events,
            event_bytes,
            events_per_second: (self.events * self.trails) as f64 / seconds,
            megabytes_per_second: text / seconds / 1e6,
            ratio: text / packed as f64,
            files: usize::try_from(files)?,
            seconds,
            processor_seconds,
            memory_before,
            memory,
        })
    }
}

/// Log, trails and buckets.
struct World {
    log: Log,
    trails: Vec<TrailId>,
    delivery: Delivery,
}

impl World {
    async fn open(folder: &Path, trails: usize, settings: TrailSettings) -> anyhow::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let meta: Arc<dyn MetaStore> = Arc::new(SqliteMetaStore::open(&folder.join("meta.sqlite")).await?);
        let log = Log::builder(Arc::new(FileLogStorage::open(folder.join("log"))?)).open()?;
        let buckets = towpath_bucket::Buckets::open(folder.join("buckets"), meta.clone(), clock).await?;
        let new = NewBucket {
            name: BUCKET.parse()?,
            owner: ACCOUNT.parse()?,
            region: "us-east-1".parse()?,
            object_lock: false,
            tags: Default::default(),
        };
        buckets.create(new).await?;
        let trails: Vec<Arc<Trail>> =
            (0..trails).map(|number| trail(number).map(Arc::new)).collect::<Result<_, _>>()?;
        let ids = trails.iter().map(|trail| trail.id).collect();
        let surroundings = Arc::new(Surroundings { buckets, trails });
        let keys = Arc::new(SigningKeys::new(meta.clone(), surroundings.clone(), &settings));
        let staged = folder.join("trails");
        let delivery = Delivery::builder(meta, log.clone(), staged, surroundings.clone(), surroundings, keys);
        let delivery = delivery.settings(settings).open().await?;
        Ok(Self { log, trails: ids, delivery })
    }

    /// Appends the backlog; returns the mean size of an event.
    async fn fill(&self, texts: &[String], count: usize) -> anyhow::Result<usize> {
        let (account, regions) = (ACCOUNT.parse()?, ["us-east-1".parse()?, "eu-central-1".parse()?]);
        let (mut appended, mut bytes) = (0, 0);
        while appended < count {
            let events = (appended..count.min(appended + 1_000)).map(|at| {
                let (json, now) = (texts[at % texts.len()].clone(), Timestamp::now());
                bytes += json.len();
                let region = &regions[at % 10 / 9];
                Event {
                    key: EventKey::of(None, json.as_bytes()),
                    time: EventTime::from(now),
                    admitted: now,
                    category: Category::Management,
                    account,
                    region: towpath_model::Region::clone(region),
                    destinations: Default::default(),
                    trails: self.trails.iter().copied().collect(),
                    json: json.into(),
                }
            });
            let events: Vec<Event> = events.collect();
            appended += events.len();
            self.log.append(events).await?;
        }
        Ok(bytes / count)
    }
}

struct Surroundings {
    buckets: towpath_bucket::Buckets,
    trails: Vec<Arc<Trail>>,
}

#[async_trait]
impl Buckets for Surroundings {
    async fn open(&self, bucket: &str) -> Result<Arc<dyn ObjectStore>, BucketError> {
        Ok(Arc::new(self.buckets.store(bucket)))
    }
}

impl TrailSource for Surroundings {
    fn trails(&self) -> Vec<Arc<Trail>> {
        self.trails.clone()
    }
}

/// Nothing secret is kept.
impl Sealer for Surroundings {
    fn seal(&self, _: &str, _: &[u8]) -> Result<String, SealError> {
        Ok(String::new())
    }

    fn open(&self, _: &str, _: &str) -> Result<zeroize::Zeroizing<Vec<u8>>, SealError> {
        Err(SealError("nothing was sealed".to_owned()))
    }
}

fn trail(number: usize) -> anyhow::Result<Trail> {
    let now = Timestamp::now();
    let name = format!("trail{number}");
    Ok(Trail {
        prefix: Some(name.clone()),
        multi_region: true,
        logging: true,
        started: Some(now),
        ..Trail::new(ACCOUNT.parse()?, "us-east-1".parse()?, name.parse()?, BUCKET.to_owned(), now)
    })
}

/// Generated records of about 1.2 KB, in the order in which they were written.
fn texts(folder: &Path) -> anyhow::Result<Vec<String>> {
    #[derive(Deserialize)]
    struct File {
        #[serde(rename = "Records")]
        records: Vec<Box<RawValue>>,
    }
    let logs = folder.join("generated");
    let plan = Plan { events: RECORDS, days: 10, accounts: 2, repeats: 0.0, file_scale: 20.0, ..Plan::default() };
    generate::write(&plan, &logs, 2)?;
    let (mut texts, mut folders) = (Vec::new(), vec![logs.join("AWSLogs")]);
    while let Some(folder) = folders.pop() {
        let mut entries: Vec<_> = folder.read_dir()?.collect::<Result<_, _>>()?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
                continue;
            }
            let file: File = serde_json::from_reader(flate2::read::GzDecoder::new(std::fs::File::open(entry.path())?))?;
            let records = file.records.into_iter().filter(|record| SIZES.contains(&record.get().len()));
            texts.extend(records.map(|record| record.get().to_owned()));
        }
    }
    ensure!(!texts.is_empty(), "no records were generated");
    Ok(texts)
}

/// The verdicts over what was measured: name, target, measured, met.
pub fn verdicts(measured: &Value) -> Vec<(String, String, String, bool)> {
    let number = |path: &str| measured.pointer(path).and_then(Value::as_f64).unwrap_or_default();
    let rate = number("/runs/1/events_per_second");
    let (small, large) = (number("/runs/0/memory"), number("/runs/1/memory"));
    vec![
        (
            "delivery into local buckets".to_owned(),
            format!("{TARGET:.0} events/s"),
            format!("{rate:.0} events/s, {:.0} MB/s of text", number("/runs/1/megabytes_per_second")),
            rate >= TARGET,
        ),
        (
            "memory of a delivery".to_owned(),
            "the same for four times the backlog".to_owned(),
            format!("{:.0} MB and {:.0} MB", small / 1e6, large / 1e6),
            small > 0.0 && large <= GROWTH * small,
        ),
    ]
}

/// The section of the report.
pub fn write(out: &mut String, measured: &Value) -> std::fmt::Result {
    writeln!(
        out,
        "\n## Delivery of trails\n\n| backlog | events/s | text | packed | processor | peak of memory |\n|---|---|---|---|---|---|"
    )?;
    for run in measured["runs"].as_array().into_iter().flatten() {
        let number = |name: &str| run[name].as_f64().unwrap_or_default();
        writeln!(
            out,
            "| {} events of {} bytes | {:.0} | {:.0} MB/s | {:.1} times smaller | {:.1} s of {:.1} s | {:.0} MB, {:.0} MB before |",
            run["events"],
            run["event_bytes"],
            number("events_per_second"),
            number("megabytes_per_second"),
            number("ratio"),
            number("processor_seconds"),
            number("seconds"),
            number("memory") / 1e6,
            number("memory_before") / 1e6
        )?;
    }
    writeln!(
        out,
        "\nOne log, {} trail(s), embedded buckets, gzip level {}, log and load in the process that is measured.",
        measured["trails"], measured["gzip_level"]
    )
}
