//! `towpath-bench generate`: CloudTrail log files and audit events that look like real ones.
//!
//! Shares of event names, sources, identities and errors, record sizes, key order, records per file, repeats, disorder
//! and burstiness follow measurements of real delivered files. Nothing is copied from them: every value is invented.
//! The same plan writes the same bytes, whatever the number of threads.

pub mod audit;
mod draw;
mod moment;
mod people;
mod services;
mod trail;
mod world;

use std::ops::AddAssign;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context as _, bail};
use jiff::ToSpan as _;
use jiff::civil::{Date, date};
use serde::{Deserialize, Serialize};

use self::world::World;

/// What is generated.
#[derive(Clone, Debug, clap::Args)]
pub struct Plan {
    /// Distinct events
    #[arg(long, default_value_t = 100_000)]
    pub events: u64,
    /// Days they happen on
    #[arg(long, default_value_t = 365)]
    pub days: u32,
    /// The first day
    #[arg(long, default_value = "2024-01-01")]
    pub from: Date,
    /// Accounts they happen in
    #[arg(long, default_value_t = 20)]
    pub accounts: usize,
    /// Share of events by people and SDKs; the rest is services that deliver logs
    #[arg(long, default_value_t = 0.15)]
    pub people: f64,
    /// Share of events that are delivered twice
    #[arg(long, default_value_t = 0.27)]
    pub repeats: f64,
    /// Records per file, as a multiple of those of a small account (median 5)
    #[arg(long, default_value_t = 1.0)]
    pub file_scale: f64,
    /// Another seed gives other values
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            events: 100_000,
            days: 365,
            from: date(2024, 1, 1),
            accounts: 20,
            people: 0.15,
            repeats: 0.27,
            file_scale: 1.0,
            seed: 1,
        }
    }
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Distinct events.
    pub events: u64,
    /// Records, repeats included.
    pub records: u64,
    /// Files.
    pub files: u64,
    /// Bytes of JSON.
    pub bytes: u64,
    /// Bytes of the gzip files.
    pub packed: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.events += other.events;
        self.records += other.records;
        self.files += other.files;
        self.bytes += other.bytes;
        self.packed += other.packed;
    }
}

/// The name of the file with the [`Tally`] beside the folder `AWSLogs`.
pub const TALLY: &str = "generated.json";

/// `towpath-bench generate`.
#[derive(Debug, clap::Args)]
pub struct Generate {
    #[command(flatten)]
    plan: Plan,
    /// The folder that gets AWSLogs/...; it must be new or empty
    #[arg(long)]
    out: PathBuf,
    /// Threads
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

impl Generate {
    /// Writes the log files.
    pub fn run(&self) -> anyhow::Result<()> {
        let started = Instant::now();
        let tally = write(&self.plan, &self.out, self.threads)?;
        let seconds = started.elapsed().as_secs_f64();
        eprintln!(
            "{} events in {} files, {:.0} MB of JSON, {:.0} MB packed, {seconds:.1} s",
            tally.events,
            tally.files,
            tally.bytes as f64 / 1e6,
            tally.packed as f64 / 1e6
        );
        Ok(())
    }
}

/// Writes the log files of `plan` and their [`TALLY`] into `out`.
pub fn write(plan: &Plan, out: &Path, threads: usize) -> anyhow::Result<Tally> {
    if plan.events == 0 || plan.days == 0 || plan.accounts == 0 || plan.file_scale.is_nan() || plan.file_scale <= 0.0 {
        bail!("events, days, accounts and file-scale must be more than 0");
    }
    std::fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    if out.read_dir()?.next().is_some() {
        bail!("{} is not empty", out.display());
    }
    let world = World::new(plan.seed, plan.accounts);
    let (next, total) = (AtomicUsize::new(0), Mutex::new(Ok(Tally::default())));
    let pieces = plan.days as usize * plan.accounts;
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let piece = next.fetch_add(1, Ordering::Relaxed);
                    if piece >= pieces {
                        return;
                    }
                    let wrote = write_piece(plan, &world, out, piece);
                    let mut total = total.lock().expect("no holder of the lock panics");
                    match (&mut *total, wrote) {
                        (Ok(total), Ok(tally)) => *total += tally,
                        (Ok(_), Err(error)) => *total = Err(error),
                        (Err(_), _) => return,
                    }
                }
            });
        }
    });
    let tally = total.into_inner().expect("no holder of the lock panics")?;
    std::fs::write(out.join(TALLY), serde_json::to_vec_pretty(&tally)?)?;
    Ok(tally)
}

fn write_piece(plan: &Plan, world: &World, out: &Path, piece: usize) -> anyhow::Result<Tally> {
    let (day, number) = ((piece / plan.accounts) as u32, piece % plan.accounts);
    let before: f64 = world.accounts[..number].iter().map(|account| account.share).sum();
    let account = &world.accounts[number];
    // Rounding the running sum instead of each share makes the whole exact.
    let of_day = |day: u32| plan.events * u64::from(day) / u64::from(plan.days);
    let that_day = (of_day(day + 1) - of_day(day)) as f64;
    let upto = |share: f64| (share * that_day).round() as usize;
    let events =
        if number + 1 == plan.accounts { that_day as usize } else { upto(before + account.share) } - upto(before);
    if events == 0 {
        return Ok(Tally::default());
    }
    let date = plan.from.checked_add(i64::from(day).days()).context("the days go beyond the calendar")?;
    trail::write_day(plan, out, account, (number, date, day), events)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};
    use std::io::Read as _;

    use serde_json::Value;

    use super::*;

    fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
        let (mut files, mut folders) = (BTreeMap::new(), vec![folder.to_owned()]);
        while let Some(folder) = folders.pop() {
            for entry in folder.read_dir().unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    files.insert(
                        path.strip_prefix(folder.parent().unwrap()).unwrap().to_owned(),
                        std::fs::read(&path).unwrap(),
                    );
                }
            }
        }
        files
    }

    fn records(folder: &Path) -> Vec<String> {
        let mut records = Vec::new();
        for (path, bytes) in files(folder) {
            if path.extension().is_some_and(|extension| extension == "gz") {
                let mut text = String::new();
                flate2::read::GzDecoder::new(bytes.as_slice()).read_to_string(&mut text).unwrap();
                let file: HashMap<String, Vec<Box<serde_json::value::RawValue>>> = serde_json::from_str(&text).unwrap();
                records.extend(file["Records"].iter().map(|record| record.get().to_owned()));
            }
        }
        records
    }

    #[test]
    fn the_same_plan_writes_the_same_bytes_with_any_number_of_threads() {
        let plan = Plan { events: 2000, days: 3, accounts: 4, ..Plan::default() };
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        for (folder, threads) in folders.iter().zip([1, 3]) {
            write(&plan, folder.path(), threads).unwrap();
        }
        assert_eq!(
            files(folders[0].path()).values().collect::<Vec<_>>(),
            files(folders[1].path()).values().collect::<Vec<_>>()
        );
    }

    #[test]
    fn the_mix_the_sizes_and_the_repeats_are_those_of_the_real_data() {
        let plan = Plan { events: 20_000, days: 4, accounts: 2, people: 0.0, ..Plan::default() };
        let folder = tempfile::tempdir().unwrap();
        let tally = write(&plan, folder.path(), 2).unwrap();
        let records = records(folder.path());
        assert_eq!((tally.events, tally.records), (20_000, records.len() as u64));

        let mut distinct: HashMap<String, (Value, usize)> = HashMap::new();
        for record in &records {
            let value: Value = serde_json::from_str(record).unwrap();
            let id = value["eventID"].as_str().unwrap().to_owned();
            let known = distinct.entry(id).or_insert_with(|| (value.clone(), record.len()));
            assert_eq!(known.0, value, "a repeat is the same record");
        }
        assert_eq!(distinct.len(), 20_000);
        let repeated = (records.len() - distinct.len()) as f64 / 20_000.0;
        assert!((0.25..0.29).contains(&repeated), "{repeated}");

        let share = |matches: &dyn Fn(&Value) -> bool| {
            distinct.values().filter(|(value, _)| matches(value)).count() as f64 / distinct.len() as f64
        };
        let named = |name: &'static str| move |value: &Value| value["eventName"] == name;
        let close = |got: f64, wanted: f64| assert!((got - wanted).abs() < 0.015, "{got} {wanted}");
        close(share(&named("PutObject")), 0.6288);
        close(share(&named("GetBucketAcl")), 0.1465);
        close(share(&named("GenerateDataKey")), 0.1063);
        close(share(&|value| value["userIdentity"]["type"] == "AWSService"), 0.8985);
        close(share(&|value| value["errorCode"] == "AccessDenied"), 0.4176);
        close(share(&|value| value["readOnly"] == true), 0.3701);

        let mut sizes: Vec<usize> = distinct.values().map(|(_, size)| *size).collect();
        sizes.sort_unstable();
        let at = |share: f64| sizes[(share * sizes.len() as f64) as usize];
        for (share, wanted) in [(0.05, 1081), (0.25, 1174), (0.5, 1562), (0.75, 1574), (0.9, 2433)] {
            assert!(at(share).abs_diff(wanted) < wanted / 8, "{share}: {} not {wanted}", at(share));
        }
        let ratio = tally.bytes as f64 / tally.packed as f64;
        assert!((4.6..6.6).contains(&ratio), "{ratio}");
    }

    #[test]
    fn people_do_what_investigators_ask_about() {
        let plan = Plan { events: 20_000, days: 4, accounts: 2, people: 1.0, ..Plan::default() };
        let folder = tempfile::tempdir().unwrap();
        write(&plan, folder.path(), 2).unwrap();
        let records: Vec<Value> =
            records(folder.path()).iter().map(|record| serde_json::from_str(record).unwrap()).collect();
        let any = |matches: &dyn Fn(&Value) -> bool| records.iter().any(matches);
        assert!(any(&|value| value["eventName"] == "ConsoleLogin" && value["errorMessage"] == "Failed authentication"));
        assert!(any(&|value| value["userIdentity"]["type"] == "Root"));
        assert!(any(&|value| value["eventName"] == "CreateAccessKey"));
        let crosses = |value: &Value| {
            let target = value["resources"][0]["accountId"].as_str();
            value["eventName"] == "AssumeRole"
                && target.is_some_and(|target| value["userIdentity"]["accountId"] != target)
        };
        assert!(any(&crosses));
        let users = records.iter().filter(|value| value["userIdentity"]["type"] == "IAMUser").count();
        assert!((0.68..0.84).contains(&(users as f64 / records.len() as f64)), "{users}");
    }

    #[test]
    fn a_folder_with_something_in_it_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("kept"), "").unwrap();
        assert!(write(&Plan::default(), folder.path(), 1).is_err());
    }
}
