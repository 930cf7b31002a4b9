//! Recording against a log that refuses, a disk that fails, and processes that are killed.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use async_trait::async_trait;
use http::Method;
use serde_json::Value;
use tokio::time::timeout;
use towpath_admit::UserIdentity;
use towpath_capture::{Body, CapturedRecord, Ending, Exchange, Request};
use towpath_log::sim::{Fault, SimDisk};
use towpath_model::SystemClock;

use super::*;
use crate::sink::SinkError;

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
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let kept = disks.map(|disks| {
        let (notes, spill) = (disks.notes.process(), disks.spill.process());
        open_kept(notes, spill, &clock, &settings, Some("one boot".to_owned())).ok().unwrap()
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
async fn after_a_kill_what_waited_on_disk_is_sent_and_the_time_that_nobody_knows_is_a_gap() {
    let (log, disks) = (Arc::new(TestLog::default()), Disks::new());
    let closed = upstream(Policy::FailClosed);
    {
        let recording = start(&log, &disks);
        log.away(true);
        for number in 1..=20 {
            timeout(LONG, call(&recording, &closed, number).durable()).await.unwrap().unwrap();
        }
        disks.kill(recording);
    }
    log.away(false);
    let recording = start(&log, &disks);
    until("the replay", || log.calls_in().len() >= 20).await;
    assert_eq!(log.calls_in(), (1..=20).collect::<Vec<_>>());
    until("the gap record", || !log.gaps_in().is_empty()).await;
    assert_eq!(log.gaps_in(), [("closed".to_owned(), "UNCLEAN_STOP".to_owned(), 0)]);
    recording.close(LONG).await;

    // This time it stopped in order: nothing is sent again, and there is no gap.
    let recording = start(&log, &disks);
    timeout(LONG, call(&recording, &closed, 21).durable()).await.unwrap().unwrap();
    recording.close(LONG).await;
    assert_eq!(log.calls_in().len(), 21);
    assert_eq!(log.gaps_in().len(), 1);
}

#[tokio::test]
async fn after_a_kill_the_gap_says_how_many_calls_had_begun_at_least() {
    let (log, disks) = (Arc::new(TestLog::default()), Disks::new());
    let (open, closed) = (upstream(Policy::FailOpen), upstream(Policy::FailClosed));
    {
        let recording = start(&log, &disks);
        timeout(LONG, call(&recording, &closed, 1).durable()).await.unwrap().unwrap();
        let under_way: Vec<_> = [&open, &open, &open, &closed].map(|one| recording.begin(one).unwrap()).into();
        timeout(LONG, call(&recording, &closed, 2).durable()).await.unwrap().unwrap();
        // Noted with the record of the second call.
        disks.kill(recording);
        drop(under_way);
    }
    let recording = start(&log, &disks);
    until("the gap records", || log.gaps_in().len() == 2).await;
    let gap = |upstream: &str, calls| (upstream.to_owned(), "UNCLEAN_STOP".to_owned(), calls);
    let mut told = log.gaps_in();
    told.sort();
    assert_eq!(told, [gap("closed", 1), gap("open", 3)]);
    recording.close(LONG).await;
    // They were told, and are not told again.
    disks.kill(start(&log, &disks));
    let recording = start(&log, &disks);
    timeout(LONG, call(&recording, &closed, 3).durable()).await.unwrap().unwrap();
    recording.close(LONG).await;
    assert!(log.gaps_in()[2..].iter().all(|(_, _, calls)| *calls == 0), "{:?}", log.gaps_in());
}

#[tokio::test]
async fn a_kill_in_the_middle_of_the_replay_loses_nothing() {
    let disks = Disks::new();
    let closed = upstream(Policy::FailClosed);
    let first = Arc::new(TestLog::default());
    first.away(true);
    let small = || RecordingSettings { batch_bytes: 20, ..settings() };
    {
        let recording = start_with(&first, Some(&disks), small());
        for number in 1..=40 {
            timeout(LONG, call(&recording, &closed, number).durable()).await.unwrap().unwrap();
        }
        first.enough.store(5, Ordering::Relaxed);
        first.away(false);
        until("a part of the replay", || first.calls_in().len() >= 5).await;
        disks.kill(recording);
    }
    let second = Arc::new(TestLog::default());
    let _recording = start_with(&second, Some(&disks), small());
    until("the rest", || second.calls_in().contains(&40)).await;
    let both: BTreeSet<_> = first.calls_in().into_iter().chain(second.calls_in()).collect();
    assert_eq!(both, (1..=40).collect(), "together the logs have every record");
    assert!(second.calls_in().is_sorted());
}

#[tokio::test]
async fn a_torn_tail_of_the_spill_costs_only_what_was_never_acknowledged() {
    for cut in [1, 7, 30] {
        let (log, disks) = (Arc::new(TestLog::default()), Disks::new());
        let closed = upstream(Policy::FailClosed);
        {
            let recording = start(&log, &disks);
            log.away(true);
            for number in 1..=10 {
                timeout(LONG, call(&recording, &closed, number).durable()).await.unwrap().unwrap();
            }
            disks.kill(recording);
        }
        // A write that was on its way when the power went.
        let name = disks.spill.names().into_iter().find(|name| name.ends_with(".seg")).unwrap();
        let mut bytes = disks.spill.bytes(&name).unwrap();
        let torn = bytes[bytes.len() - 60..][..cut].to_vec();
        bytes.extend(torn);
        disks.spill.damage(&name, bytes);
        log.away(false);
        let recording = start(&log, &disks);
        until("the replay", || log.calls_in().len() >= 10).await;
        timeout(LONG, call(&recording, &closed, 11).durable()).await.unwrap().unwrap();
        until("the next", || log.calls_in() == (1..=11).collect::<Vec<_>>()).await;
    }
}

#[tokio::test]
async fn with_the_log_away_and_the_disk_full_calls_are_refused_or_counted_until_one_of_them_is_back() {
    let (log, disks) = (Arc::new(TestLog::default()), Disks::new());
    let recording = start_with(&log, Some(&disks), RecordingSettings { queue_calls: 3, ..settings() });
    let (open, closed) = (upstream(Policy::FailOpen), upstream(Policy::FailClosed));
    timeout(LONG, call(&recording, &closed, 1).durable()).await.unwrap().unwrap();
    timeout(LONG, call(&recording, &open, 2).durable()).await.unwrap().unwrap();
    until("the first records", || log.calls_in().len() == 2).await;

    log.away(true);
    disks.spill.fail(disks.spill.calls(), u64::MAX, Fault::NoSpace);
    let waiting = call(&recording, &closed, 3);
    until("nobody takes records", || recording.shared.place.stuck.load(Ordering::Relaxed)).await;
    assert_eq!(recording.begin(&closed).err(), Some(Unrecordable::Full), "a call that would only wait is refused");
    // Two more wait in memory; then fail-open calls pass uncounted for by a record, and are counted.
    drop(call(&recording, &open, 4));
    drop(call(&recording, &open, 5));
    for _ in 0..7 {
        let ticket = recording.begin(&open).unwrap();
        assert!(!ticket.is_recorded());
        timeout(LONG, ticket.finish(exchange(99), Routed::to(&open)).durable()).await.unwrap().unwrap();
    }
    disks.spill.heal();
    timeout(LONG, waiting.durable()).await.unwrap().unwrap();
    log.away(false);
    until("all that was taken", || log.calls_in().iter().collect::<BTreeSet<_>>().len() == 5).await;
    until("the gap record", || !log.gaps_in().is_empty()).await;
    assert_eq!(log.gaps_in(), [("open".to_owned(), "QUEUE_FULL".to_owned(), 7)]);
    timeout(LONG, call(&recording, &closed, 6).durable()).await.unwrap().unwrap();
}

#[tokio::test]
async fn the_spill_is_bounded() {
    let (log, disks) = (Arc::new(TestLog::default()), Disks::new());
    let recording = start_with(&log, Some(&disks), RecordingSettings { spill_bytes: 1000, ..settings() });
    let closed = upstream(Policy::FailClosed);
    log.away(true);
    let mut taken = 0;
    while let Ok(ticket) = recording.begin(&closed) {
        let answer = ticket.finish(exchange(taken), Routed::to(&closed));
        match timeout(WAITS, answer.durable()).await {
            Ok(durable) => durable.unwrap(),
            Err(_) => break,
        }
        taken += 1;
    }
    assert!((5..20).contains(&taken), "{taken} records of about a hundred bytes");
    assert!(recording.begin(&closed).is_err());
    log.away(false);
    until("all that was taken", || log.calls_in().len() as u128 == taken + 1).await;
    until("room again", || recording.begin(&closed).is_ok()).await;
}

#[tokio::test]
async fn what_the_log_refuses_for_good_is_told_to_the_caller_and_in_a_gap_record() {
    for spilled in [false, true] {
        let (log, disks) = (Arc::new(TestLog::default()), Disks::new());
        let recording = start(&log, &disks);
        let closed = upstream(Policy::FailClosed);
        *log.never.lock() = Some(Uuid::from_u128(2));
        log.away(spilled);
        let answers: Vec<_> = (1..=3).map(|number| call(&recording, &closed, number)).collect();
        let mut told = Vec::new();
        for answer in answers {
            told.push(timeout(LONG, answer.durable()).await.unwrap());
        }
        let refused = if spilled { Ok(()) } else { Err(NotDurable::Refused) };
        assert_eq!(told, [Ok(()), refused, Ok(())]);
        log.away(false);
        until("the others", || log.calls_in() == [1, 3]).await;
        until("the gap record", || !log.gaps_in().is_empty()).await;
        let (upstream, reason, count) = log.gaps_in().remove(0);
        assert_eq!((&*reason, count), ("RECORD_REFUSED", 1));
        assert_eq!(upstream, if spilled { "spill" } else { "closed" });
    }
}

#[tokio::test]
async fn a_ticket_that_is_dropped_is_a_call_without_a_record() {
    let log = Arc::new(TestLog::default());
    let recording = start_with(&log, None, settings());
    drop(recording.begin(&upstream(Policy::FailClosed)).unwrap());
    until("the gap record", || !log.gaps_in().is_empty()).await;
    assert_eq!(log.gaps_in(), [("closed".to_owned(), "CALL_GIVEN_UP".to_owned(), 1)]);
}

#[tokio::test]
async fn closing_waits_for_records_and_gaps_and_what_it_cannot_wait_for_is_a_gap_of_the_next_start() {
    let (log, disks) = (Arc::new(TestLog::default()), Disks::new());
    let recording = start_with(&log, Some(&disks), RecordingSettings { gap_quiet: LONG, ..settings() });
    let (open, closed) = (upstream(Policy::FailOpen), upstream(Policy::FailClosed));
    for number in 1..=50 {
        drop(call(&recording, &open, number));
    }
    drop(recording.begin(&open).unwrap());
    recording.close(LONG).await;
    assert_eq!(log.calls_in().len(), 50);
    assert_eq!(log.gaps_in().len(), 1, "a gap that is open is told before the end");
    assert_eq!(recording.begin(&closed).err(), Some(Unrecordable::Stopping));

    let recording = start(&log, &disks);
    log.away(true);
    disks.spill.fail(disks.spill.calls(), u64::MAX, Fault::NoSpace);
    let waiting = call(&recording, &closed, 51);
    recording.close(WAITS).await;
    assert_eq!(timeout(LONG, waiting.durable()).await.unwrap(), Err(NotDurable::Stopped));
    disks.spill.heal();
    log.away(false);
    let _recording = start(&log, &disks);
    until("the gap record", || log.gaps_in().len() == 2).await;
    assert_eq!(log.gaps_in()[1], ("closed".to_owned(), "UNCLEAN_STOP".to_owned(), 0));
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
    let key = Recording::key_in(folder.path()).unwrap();
    assert_eq!(key.public_key(), recording.key().public_key());
    recording.close(LONG).await;
}
