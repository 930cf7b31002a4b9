//! Recording against a log that refuses, a disk that fails, and processes that are killed.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use async_trait::async_trait;
use http::Method;
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::timeout;
use towpath_admit::UserIdentity;
use towpath_capture::{Body, CapturedRecord, Ending, Exchange, Request};
use towpath_log::sim::{Fault, SimDisk};
use towpath_model::SystemClock;
use uuid::Uuid;

use super::*;
use crate::sink::SinkError;

mod gathered;
mod killed;
mod lost;

/// Far longer than anything here takes.
const LONG: Duration = Duration::from_secs(20);
/// Long enough to tell that something waits, since nothing else does.
const WAITS: Duration = Duration::from_millis(80);

/// A log in memory that can be told to refuse.
#[derive(Default)]
struct TestLog {
    records: Mutex<Vec<CapturedRecord>>,
    away: AtomicBool,
    never: Mutex<Option<Uuid>>,
    // How many records it has when it goes away by itself; 0 for never.
    enough: AtomicUsize,
}

#[async_trait]
impl RecordSink for TestLog {
    async fn append(&self, records: &[CapturedRecord]) -> Result<(), SinkError> {
        let enough = self.enough.load(Ordering::Relaxed);
        if self.away.load(Ordering::Relaxed) || (enough > 0 && self.records.lock().len() >= enough) {
            return Err(SinkError::Later("away".to_owned()));
        }
        let never = *self.never.lock();
        let bad: Vec<_> = records
            .iter()
            .enumerate()
            .filter(|(_, record)| Some(record.event_id) == never)
            .map(|(number, _)| (number, "unwanted".to_owned()))
            .collect();
        if !bad.is_empty() {
            return Err(SinkError::Never(bad));
        }
        self.records.lock().extend_from_slice(records);
        Ok(())
    }
}

impl TestLog {
    fn away(&self, away: bool) {
        self.away.store(away, Ordering::Relaxed);
    }

    /// Ids of calls' records, in order, repeats included.
    fn calls_in(&self) -> Vec<u128> {
        let records = self.records.lock();
        records.iter().filter(|record| !gap_record::is_one(record)).map(|record| record.event_id.as_u128()).collect()
    }

    /// Upstream, reason and count of each gap record.
    fn gaps_in(&self) -> Vec<(String, String, u64)> {
        let records = self.records.lock();
        let gaps = records.iter().filter(|record| gap_record::is_one(record));
        gaps.map(|record| {
            let json: Value = serde_json::from_slice(&record.json).unwrap();
            let details = &json["serviceEventDetails"];
            let text = |name: &str| details[name].as_str().unwrap().to_owned();
            (text("upstream"), text("reason"), details["atLeast"].as_u64().unwrap())
        })
        .collect()
    }
}

/// The record of a call has the id that is the call's path.
struct ByPath;

impl Describe for ByPath {
    fn records(&self, exchange: &Exchange, routed: &Routed, _: UserIdentity) -> Vec<CapturedRecord> {
        let number: u128 = exchange.request.head.uri.path().trim_start_matches('/').parse().unwrap();
        vec![CapturedRecord {
            event_id: Uuid::from_u128(number),
            account: routed.account,
            region: routed.region.clone(),
            time: exchange.ended,
            channel: None,
            json: format!("{{\"n\":{number}}}").into(),
        }]
    }
}

/// Disks that outlive a recording.
struct Disks {
    notes: SimDisk,
    spill: SimDisk,
}

impl Disks {
    fn new() -> Self {
        Self { notes: SimDisk::new(1), spill: SimDisk::new(2) }
    }

    /// Ends the process of a recording in the middle of whatever it does.
    fn kill(&self, recording: Recording) {
        self.notes.kill();
        self.spill.kill();
        Self::end(&recording);
    }

    /// Takes the power away from all that is not synced.
    fn cut_power(&self, recording: Recording) {
        self.notes.power_on();
        self.spill.power_on();
        Self::end(&recording);
    }

    fn end(recording: &Recording) {
        recording.shared.place.stop.cancel();
        let running = recording.running.lock().take().unwrap();
        running.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

fn settings() -> RecordingSettings {
    RecordingSettings {
        first_pause: Duration::from_millis(2),
        longest_pause: Duration::from_millis(20),
        gap_quiet: Duration::from_millis(30),
        ..RecordingSettings::default()
    }
}

fn start_with(log: &Arc<TestLog>, disks: Option<&Disks>, settings: RecordingSettings) -> Recording {
    start_in("one boot", log, disks, settings)
}

fn start_in(boot: &str, log: &Arc<TestLog>, disks: Option<&Disks>, settings: RecordingSettings) -> Recording {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let kept = disks.map(|disks| {
        let (notes, spill) = (disks.notes.process(), disks.spill.process());
        Kept::open(notes, spill, &clock, &settings, Some(boot.to_owned())).ok().unwrap()
    });
    let key = GapKey::ephemeral().unwrap();
    Recording::run(Arc::new(ByPath), Arc::default(), log.clone(), clock, settings, key, kept).unwrap()
}

fn start(log: &Arc<TestLog>, disks: &Disks) -> Recording {
    start_with(log, Some(disks), settings())
}

fn upstream(policy: Policy) -> Arc<RecordedUpstream> {
    Arc::new(RecordedUpstream {
        name: if policy == Policy::FailOpen { "open" } else { "closed" }.into(),
        account: "123456789012".parse().unwrap(),
        region: "eu-central-1".parse().unwrap(),
        policy,
        verifies: false,
    })
}

fn exchange(number: u128) -> Exchange {
    let request = http::Request::builder().method(Method::GET).uri(format!("/{number}")).body(()).unwrap();
    Exchange {
        request: Request { head: request.into_parts().0, body: Body::default() },
        ending: Ending::Broken { reason: "test".to_owned() },
        began: Timestamp::now(),
        ended: Timestamp::now(),
        peer: Ipv4Addr::LOCALHOST.into(),
        tls: None,
    }
}

fn call(recording: &Recording, upstream: &Arc<RecordedUpstream>, number: u128) -> Acknowledgement {
    recording.begin(upstream).unwrap().finish(exchange(number), Routed::to(upstream))
}

async fn until(what: &str, met: impl Fn() -> bool) {
    let met = async {
        while !met() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(LONG, met).await.unwrap_or_else(|_| panic!("{what} did not happen"));
}

#[tokio::test]
async fn a_call_is_acknowledged_when_its_record_is_in_the_log() {
    let log = Arc::new(TestLog::default());
    let recording = start_with(&log, None, settings());
    log.away(true);
    let closed = upstream(Policy::FailClosed);
    let mut waiting = Box::pin(call(&recording, &closed, 1).durable());
    assert!(timeout(WAITS, &mut waiting).await.is_err(), "without a spill the answer waits for the log");
    log.away(false);
    timeout(LONG, waiting).await.unwrap().unwrap();
    assert_eq!(log.calls_in(), [1]);

    // Who is fail-open never waits.
    log.away(true);
    timeout(LONG, call(&recording, &upstream(Policy::FailOpen), 2).durable()).await.unwrap().unwrap();
    log.away(false);
    until("the second record", || log.calls_in() == [1, 2]).await;
    until("room is given back", || recording.load() == (0, 0)).await;
}

#[tokio::test]
async fn what_the_log_does_not_take_waits_on_disk_and_follows_in_order() {
    let (log, disks) = (Arc::new(TestLog::default()), Disks::new());
    let recording = start(&log, &disks);
    let closed = upstream(Policy::FailClosed);
    log.away(true);
    for number in 1..=30 {
        timeout(LONG, call(&recording, &closed, number).durable()).await.unwrap().unwrap();
    }
    assert!(log.calls_in().is_empty());
    assert_eq!(recording.load().0, 0, "what is on disk takes no memory");
    log.away(false);
    until("the replay", || log.calls_in().len() >= 30).await;
    assert_eq!(log.calls_in(), (1..=30).collect::<Vec<_>>());

    until("the direct way", || !recording.shared.place.spilling.load(Ordering::Relaxed)).await;
    timeout(LONG, call(&recording, &closed, 31).durable()).await.unwrap().unwrap();
    assert_eq!(log.calls_in().len(), 31);
    recording.close(LONG).await;
    assert!(log.gaps_in().is_empty());
}

#[tokio::test]
async fn a_folder_that_cannot_be_used_is_refused_at_the_start() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let settings = RecordingSettings { folder: Some(file.path().join("below")), ..settings() };
    let log = Arc::new(TestLog::default());
    let started = Recording::start(Arc::new(ByPath), Arc::default(), log.clone(), Arc::new(SystemClock), settings);
    assert!(matches!(started, Err(RecordingError::Folder { .. })));

    let folder = tempfile::tempdir().unwrap();
    let settings = RecordingSettings { folder: Some(folder.path().to_owned()), ..super::tests::settings() };
    let started = Recording::start(Arc::new(ByPath), Arc::default(), log.clone(), Arc::new(SystemClock), settings);
    let recording = started.unwrap();

    let settings = RecordingSettings { folder: Some(folder.path().to_owned()), ..super::tests::settings() };
    let second = Recording::start(Arc::new(ByPath), Arc::default(), log.clone(), Arc::new(SystemClock), settings);
    let refusal = second.err().unwrap().to_string();
    assert!(refusal.contains(&format!("is in use by process {}", std::process::id())), "{refusal}");

    let key = Recording::key_in(folder.path()).unwrap();
    assert_eq!(key.public_key(), recording.key().public_key());
    recording.close(LONG).await;
}
