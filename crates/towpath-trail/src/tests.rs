//! Whole deliveries: from the log to the bucket, with every step failing in turn, and verified afterwards.

mod aggregated;
mod clock;
mod notices;

use std::collections::BTreeSet;
use std::time::Duration;

use towpath_meta::{Fault, MetaStoreExt};
use towpath_model::Trail;

use crate::TrailSettings;
use crate::record::{Progress, progress_key};
use crate::testing::{Process, World, trail};
use crate::verify::Report;

const HOUR: Duration = Duration::from_secs(3_600);

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts
}

async fn verified(world: &World, trail: &Trail, region: &str) -> Report {
    crate::verify::tests::request(world, trail, region).run().await.unwrap()
}

/// Stops a trail as the service does: the change first, then the event of the call.
async fn stop(world: &World, trail: &mut Trail, process: &Process) -> Vec<String> {
    (trail.logging, trail.stopped) = (false, Some(world.now()));
    world.trails.put(trail.clone());
    // A failure here is made good by the next look.
    let _ = process.delivery.trails_changed().await;
    world.append(1, &[trail.id], "us-east-1").await
}

#[tokio::test]
async fn what_is_appended_is_delivered_once_and_verifies() {
    let world = World::new().await;
    let trail = trail("main", "bucket", world.now());
    world.trails.put(trail.clone());
    let mut process = world.process().await;
    let mut expected = Vec::new();
    for hour in 0..5 {
        if hour != 2 {
            expected.extend(world.append(3, &[trail.id], "us-east-1").await);
            expected.extend(world.append(2, &[trail.id], "eu-central-1").await);
        }
        world.append(2, &[], "us-east-1").await;
        process.step().await.unwrap();
        world.advance(HOUR);
    }
    process.step().await.unwrap();

    assert_eq!(sorted(world.delivered("bucket").await), sorted(expected));
    let home = verified(&world, &trail, "us-east-1").await;
    assert_eq!((home.digests.valid, home.log_files.valid, home.is_valid()), (5, 4, true), "{home:?}");
    assert!(home.findings.is_empty() && home.gaps.is_empty(), "{home:?}");
    let other = verified(&world, &trail, "eu-central-1").await;
    assert_eq!((other.digests.valid, other.log_files.valid, other.is_valid()), (5, 4, true), "{other:?}");

    let keys: Vec<String> = world.objects("bucket", "CloudTrail").await.into_keys().collect();
    let first = "logs/AWSLogs/000000000001/CloudTrail/eu-central-1/2026/11/21/000000000001_CloudTrail_eu-central-1_20261121T0800Z_";
    assert!(keys[0].starts_with(first), "{}", keys[0]);
    let status = process.delivery.status(trail.id);
    assert!(status.delivery.succeeded.is_some() && status.digest.succeeded.is_some() && !status.delivery.failing);
    assert_eq!(std::fs::read_dir(world.folder.path()).unwrap().count(), 0, "no staged file is left");
}

#[tokio::test]
async fn what_no_trail_wants_is_not_kept_in_the_log_until_the_window_ends() {
    let mut world = World::new().await;
    world.settings.window_bytes = 2 << 20;
    let mut process = world.process().await;
    let first = world.log.committed();
    let text = |number: u32| format!("{{\"number\":{number},\"text\":\"{}\"}}", "x".repeat(3 << 20));
    world.append_texts((0..4).map(text).collect(), &[], "us-east-1").await;
    for step in 1..=4 {
        process.step().await.unwrap();
        let progress = world.meta.get_json::<Progress>(&progress_key()).await.unwrap().unwrap();
        assert_eq!(progress.value.position, first.plus(step), "a window ends with as much as it may read");
    }
    assert_eq!(first.plus(4), world.log.committed());
}

#[tokio::test]
async fn the_last_digest_of_a_stopped_trail_names_the_call_that_stopped_it_and_a_restart_begins_anew() {
    let world = World::new().await;
    let mut main = trail("main", "bucket", world.now());
    world.trails.put(main.clone());
    let mut process = world.process().await;
    world.append(3, &[main.id], "us-east-1").await;
    process.step().await.unwrap();
    world.advance(Duration::from_secs(600));
    stop(&world, &mut main, &process).await;
    process.step().await.unwrap();
    let report = verified(&world, &main, "us-east-1").await;
    assert_eq!((report.digests.valid, report.log_files.valid), (1, 2), "{report:?}");

    world.advance(3 * HOUR);
    process.step().await.unwrap();
    (main.logging, main.started) = (true, Some(world.now()));
    world.trails.put(main.clone());
    world.append(1, &[main.id], "us-east-1").await;
    process.step().await.unwrap();
    world.advance(HOUR);
    process.step().await.unwrap();
    let report = verified(&world, &main, "us-east-1").await;
    assert_eq!((report.digests.valid, report.log_files.valid, report.is_valid()), (2, 3, true), "{report:?}");
    assert_eq!(report.gaps.len(), 1, "the time between is a gap and no fault");

    world.trails.remove(main.id);
    world.advance(Duration::from_secs(60));
    process.step().await.unwrap();
    world.advance(Duration::from_secs(60));
    process.step().await.unwrap();
    let report = verified(&world, &main, "us-east-1").await;
    assert_eq!((report.digests.valid, report.is_valid()), (3, true), "{report:?}");
    assert!(process.shared().known.lock().is_empty(), "a deleted trail is forgotten once all of it is delivered");
}

#[tokio::test]
async fn a_bucket_that_is_down_holds_up_its_own_trail_only_and_what_comes_late_is_in_a_backfill_digest() {
    let mut world = World::new().await;
    world.settings.give_up_days = 1;
    let (one, two) = (trail("one", "up", world.now()), trail("two", "down", world.now()));
    let lost = trail("three", "missing", world.now());
    for trail in [&one, &two, &lost] {
        world.trails.put(trail.clone());
    }
    let mut process = world.process().await;
    world.buckets.get("down").set_down(true);
    let mut expected = Vec::new();
    for _ in 0..4 {
        expected.extend(world.append(2, &[one.id, two.id, lost.id], "us-east-1").await);
        process.step().await.unwrap();
        world.advance(HOUR);
    }
    process.step().await.unwrap();
    assert_eq!(sorted(world.delivered("up").await), expected);
    assert!(verified(&world, &one, "us-east-1").await.is_valid());
    assert!(world.delivered("down").await.is_empty());
    let status = process.delivery.status(two.id);
    assert!(status.delivery.failing && status.delivery.error.as_deref() == Some("InternalError"), "{status:?}");
    let status = process.delivery.status(lost.id);
    assert_eq!(status.delivery.error.as_deref(), Some("NoSuchBucket"));

    world.buckets.get("down").set_down(false);
    process.step().await.unwrap();
    assert_eq!(sorted(world.delivered("down").await), expected);
    world.advance(HOUR);
    process.step().await.unwrap();
    let report = verified(&world, &two, "us-east-1").await;
    assert!(report.is_valid(), "{report:?}");
    assert_eq!((report.digests.valid, report.backfill_digests.valid, report.log_files.valid), (5, 1, 4), "{report:?}");
    assert!(!process.delivery.status(two.id).delivery.failing);

    world.advance(25 * HOUR);
    // Whichever call fails: what cannot be noted is not counted, and is counted once when it is noted.
    for call in 0..5 {
        world.meta.fail_at(world.meta.calls() + call, Fault::Before);
        let _ = process.upload().await;
        world.meta.heal();
    }
    for _ in 0..20 {
        process.upload().await.unwrap();
    }
    let status = process.delivery.status(lost.id);
    assert_eq!((status.dropped_files > 0, status.dropped_events), (true, 8), "{status:?}");
}

/// A day in the life of a trail: hours with events, a stop, and time to finish.
async fn scenario(world: &World, crash: bool) -> (Trail, Vec<String>) {
    let mut main = trail("main", "bucket", world.now());
    world.trails.put(main.clone());
    let mut process = world.process().await;
    let mut expected = Vec::new();
    for part in 0..6 {
        match part {
            0 | 1 => expected.extend(world.append(3, &[main.id], "us-east-1").await),
            2 => expected.extend(stop(world, &mut main, &process).await),
            _ => {}
        }
        go_on(world, &mut process, crash).await;
        world.advance(HOUR);
    }
    (main, expected)
}

/// One round of everything, until it succeeds: by processes that die of a failure, or by one that recovers from it.
async fn go_on(world: &World, process: &mut Process, crash: bool) {
    if !crash {
        return process.settle().await;
    }
    while process.step().await.is_err() {
        *process = world.process().await;
    }
}

async fn check_day(world: &World, main: &Trail, expected: Vec<String>, what: &str) {
    world.meta.heal();
    world.buckets.get("bucket").heal();
    assert_eq!(sorted(world.delivered("bucket").await), sorted(expected), "{what}");
    let report = verified(world, main, "us-east-1").await;
    assert!(report.is_valid() && report.findings.is_empty() && report.missing.is_empty(), "{what}: {report:?}");
    let files = world.objects("bucket", "CloudTrail").await.len() as u64;
    assert_eq!((report.log_files.valid, report.pending_log_files), (files, 0), "{what}: {report:?}");
}

#[tokio::test]
async fn whatever_call_fails_each_event_is_in_one_file_and_each_file_in_one_digest() {
    let world = World::new().await;
    let (calls, begun) = (world.meta.calls(), world.meta.calls());
    let (main, expected) = scenario(&world, true).await;
    check_day(&world, &main, expected, "without faults").await;
    let calls = world.meta.calls() - calls;
    let puts = world.buckets.get("bucket").calls();
    assert!(calls > 30 && puts >= 5, "{calls} {puts}");

    for call in 0..calls {
        // Both kinds of fault, and both ways of going on, at every call.
        let (fault, crash) = if call % 2 == 0 { (Fault::After, true) } else { (Fault::Before, false) };
        for (fault, crash) in
            [(fault, crash), (if fault == Fault::After { Fault::Before } else { Fault::After }, crash)]
        {
            let world = World::new().await;
            world.meta.fail_at(begun + call, fault);
            let (main, expected) = scenario(&world, crash).await;
            check_day(&world, &main, expected, &format!("metadata call {call} {fault:?} crash {crash}")).await;
        }
    }
    for call in 0..puts {
        for (after, crash) in [(false, false), (true, false), (false, true), (true, true)] {
            let world = World::new().await;
            world.buckets.get("bucket").fail_at(call, after);
            let (main, expected) = scenario(&world, crash).await;
            check_day(&world, &main, expected, &format!("bucket call {call} after {after} crash {crash}")).await;
        }
    }
}

#[tokio::test]
async fn a_process_that_dies_at_any_moment_leaves_what_the_next_one_finishes() {
    let world = World::new().await;
    let begun = world.meta.calls();
    scenario(&world, true).await;
    let calls = world.meta.calls() - begun;
    for call in (0..calls).step_by(2) {
        let world = World::new().await;
        let mut main = trail("main", "bucket", world.now());
        world.trails.put(main.clone());
        let mut expected = Vec::new();
        world.meta.fail_from(begun + call);
        // All that this process does from some call on is in vain.
        if let Some(mut process) = world.try_process(Vec::new()).await {
            for _ in 0..2 {
                expected.extend(world.append(3, &[main.id], "us-east-1").await);
                let _ = process.step().await;
                world.advance(HOUR);
            }
        }
        world.meta.heal();
        let mut process = world.process().await;
        expected.extend(stop(&world, &mut main, &process).await);
        for _ in 0..5 {
            process.step().await.unwrap();
            world.advance(HOUR);
        }
        // A first delivery begins at the end of the log: what was appended before it was ever opened is not its own.
        let delivered = world.delivered("bucket").await;
        let all: BTreeSet<&String> = delivered.iter().collect();
        assert_eq!(all.len(), delivered.len(), "call {call}: no event twice");
        if call > 2 {
            assert_eq!(sorted(delivered), sorted(expected), "call {call}");
        }
        let report = verified(&world, &main, "us-east-1").await;
        assert!(report.is_valid() && report.findings.is_empty(), "call {call}: {report:?}");
    }
}

#[tokio::test]
async fn a_full_disk_is_told_and_waited_out() {
    let world = World::new().await;
    let main = trail("main", "bucket", world.now());
    world.trails.put(main.clone());
    let mut process = world.process().await;
    let mut expected = world.append(2, &[main.id], "us-east-1").await;
    // What is written here ends as on a disk without room.
    let full = |name: &str| std::os::unix::fs::symlink("/dev/full", world.folder.path().join(name)).unwrap();
    full(&format!("l{:020}", 0));
    let status = |process: &Process| process.delivery.status(main.id);
    assert!(process.step().await.is_err());
    assert_eq!(status(&process).delivery.error.as_deref(), Some("StorageFull"));
    assert!(status(&process).delivery.failing && world.delivered("bucket").await.is_empty());
    process.windows.recover(&tokio_util::sync::CancellationToken::new()).await;
    expected.extend(world.append(1, &[main.id], "us-east-1").await);
    process.settle().await;
    assert!(!status(&process).delivery.failing);
    assert_eq!(sorted(world.delivered("bucket").await), sorted(expected));

    world.advance(HOUR);
    let draft = format!("d{:010}-{}-{}-us-east-1.new", 0, main.id, main.account);
    full(&draft);
    assert!(process.step().await.is_err());
    assert_eq!(status(&process).digest.error.as_deref(), Some("StorageFull"));
    std::fs::remove_file(world.folder.path().join(&draft)).unwrap();
    process.settle().await;
    assert!(!status(&process).digest.failing);
    let report = verified(&world, &main, "us-east-1").await;
    assert!(report.is_valid() && report.findings.is_empty(), "{report:?}");
    assert_eq!((report.digests.valid, report.log_files.valid), (1, 1), "{report:?}");
}

#[tokio::test]
async fn a_running_delivery_flushes_when_asked_and_stops_when_told() {
    let mut world = World::new().await;
    world.settings = TrailSettings { first_pause_ms: 1, ..world.settings };
    let main = trail("main", "bucket", world.now());
    world.trails.put(main.clone());
    let process = world.open(Vec::new()).await.unwrap();
    let stop = tokio_util::sync::CancellationToken::new();
    let running = tokio::spawn({
        let (delivery, stop) = (process.clone(), stop.clone());
        async move { delivery.run(stop).await }
    });
    let expected = world.append(5, &[main.id], "us-east-1").await;
    process.trails_changed().await.unwrap();
    process.flush().await;
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while world.delivered("bucket").await.len() < 5 {
        assert!(std::time::Instant::now() < deadline, "not delivered in time");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(sorted(world.delivered("bucket").await), expected);
    stop.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn real_records_come_out_byte_for_byte() {
    let Some(data) = towpath_testkit::SharedData::find() else { return };
    let world = World::new().await;
    let main = trail("main", "bucket", world.now());
    world.trails.put(main.clone());
    let mut process = world.process().await;
    let mut expected = Vec::new();
    for source in data.cloudtrail_sources() {
        let records = data.cloudtrail_records(&source);
        // Every tenth of the largest source keeps the test short; all of the odd ones.
        let step = if source.starts_with("sans504") { 10 } else { 1 };
        let texts: Vec<String> = records.iter().step_by(step).map(|record| record.get().to_owned()).collect();
        world.append_texts(texts.clone(), &[main.id], "us-east-1").await;
        expected.extend(texts);
    }
    process.step().await.unwrap();
    let mut found = Vec::new();
    for text in world.objects("bucket", "CloudTrail").await.into_values() {
        let file: LogFile<'_> = serde_json::from_slice(&text).unwrap();
        found.extend(file.records.iter().map(|record| record.get().to_owned()));
    }
    assert!(expected.len() > 2_000);
    assert_eq!(sorted(found), sorted(expected));
}

#[derive(serde::Deserialize)]
struct LogFile<'a> {
    #[serde(rename = "Records", borrow)]
    records: Vec<&'a serde_json::value::RawValue>,
}
