//! A clock that jumps, ahead and back, under the whole way from the log to signed digests: nothing is lost, nothing comes
//! twice, each file is in one digest, and the status tells of success.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::SignedDuration;
use proptest::prelude::*;
use towpath_model::Trail;

use super::{HOUR, sorted};
use crate::digest::Digest;
use crate::testing::{Process, World, trail};
use crate::verify::Report;

fn jump(world: &World, by: SignedDuration) {
    world.clock.set(world.now().checked_add(by).unwrap());
}

/// Verifies everything, however wrong the clock was when it was written.
async fn verified(world: &World, trail: &Trail) -> Report {
    let (from, to) = ("2000-01-01T00:00:00Z".parse().unwrap(), "2100-01-01T00:00:00Z".parse().unwrap());
    let mut request = crate::verify::tests::request(world, trail, "us-east-1");
    (request.from, request.to) = (from, to);
    request.run().await.unwrap()
}

/// Delivers until all is put, in time that passes as it should, and reads the whole bucket again.
async fn settle_and_check(world: &World, main: &Trail, process: &mut Process, expected: Vec<String>, what: &str) {
    // A clock that is less than a day behind the last digest is waited for.
    for _ in 0..7 {
        process.settle().await;
        world.advance(6 * HOUR);
    }
    process.settle().await;
    let now = world.now();
    assert_eq!(sorted(world.delivered("bucket").await), sorted(expected), "{what}");
    let report = verified(world, main).await;
    let files = world.objects("bucket", "CloudTrail").await;
    assert!(report.is_valid() && report.findings.is_empty() && report.missing.is_empty(), "{what}: {report:?}");
    assert_eq!((report.log_files.valid, report.pending_log_files), (files.len() as u64, 0), "{what}: {report:?}");
    // Each file is in one digest, and no digest took the place of another.
    let (mut named, mut unique) = (0, BTreeSet::new());
    for (key, text) in world.objects("bucket", "CloudTrail-Digest").await {
        let digest: Digest = serde_json::from_slice(&text).unwrap();
        assert_eq!(digest.digest_s3_object, key, "{what}");
        assert!(
            digest.digest_start_time < digest.digest_end_time || key.ends_with("_backfill.json.gz"),
            "{what}: {key}"
        );
        named += digest.log_files.len();
        unique.extend(digest.log_files.into_iter().map(|file| file.s3_object));
    }
    assert_eq!((named, unique), (files.len(), files.into_keys().collect()), "{what}");
    let status = process.delivery.status(main.id);
    assert!(!status.delivery.failing && !status.digest.failing, "{what}: {status:?}");
    assert!(status.digest.succeeded.is_some_and(|at| at <= now && at > now - SignedDuration::from_hours(48)), "{what}");
    assert_eq!((status.dropped_files, status.dropped_events), (0, 0), "{what}");
    assert_eq!(std::fs::read_dir(world.folder.path()).unwrap().count(), 0, "{what}: no staged file is left");
}

#[tokio::test]
async fn a_clock_that_jumps_in_either_direction_loses_nothing_and_doubles_nothing() {
    for hours in [2, -2, 40, -40, 20 * 24, -20 * 24] {
        for restart in [false, true] {
            let world = World::new().await;
            let main = trail("main", "bucket", world.now());
            world.trails.put(main.clone());
            let mut process = world.process().await;
            let mut expected = Vec::new();
            for step in 0..8 {
                expected.extend(world.append(2, &[main.id], "us-east-1").await);
                process.settle().await;
                match step {
                    2 => jump(&world, SignedDuration::from_hours(hours)),
                    5 => jump(&world, SignedDuration::from_hours(-hours)),
                    _ => world.advance(HOUR),
                }
                if restart && matches!(step, 2 | 5) {
                    process = world.process().await;
                }
            }
            let what = format!("{hours} hours and back, restart {restart}");
            settle_and_check(&world, &main, &mut process, expected, &what).await;
        }
    }
}

#[tokio::test]
async fn what_waits_for_a_bucket_survives_a_jump_of_the_clock() {
    for days in [3, -3, 29] {
        let world = World::new().await;
        let main = trail("main", "bucket", world.now());
        world.trails.put(main.clone());
        let mut process = world.process().await;
        let mut expected = world.append(2, &[main.id], "us-east-1").await;
        process.settle().await;
        world.advance(HOUR);
        world.buckets.get("bucket").set_down(true);
        expected.extend(world.append(2, &[main.id], "us-east-1").await);
        process.settle().await;
        jump(&world, SignedDuration::from_hours(days * 24));
        expected.extend(world.append(2, &[main.id], "us-east-1").await);
        process.settle().await;
        assert!(process.delivery.status(main.id).delivery.failing);
        world.buckets.get("bucket").set_down(false);
        settle_and_check(&world, &main, &mut process, expected, &format!("{days} days")).await;
    }
}

#[tokio::test]
async fn a_running_delivery_goes_on_when_its_clock_is_set_back_and_ahead() {
    let world = World::new().await;
    let main = trail("main", "bucket", world.now());
    world.trails.put(main.clone());
    let delivery = world.open(Vec::new()).await.unwrap();
    let stop = tokio_util::sync::CancellationToken::new();
    let running = tokio::spawn({
        let (delivery, stop) = (delivery.clone(), stop.clone());
        async move { delivery.run(stop).await }
    });
    let mut expected = Vec::new();
    // A window is open for up to five minutes of its own time; a jump to either side ends it.
    for by in [SignedDuration::from_hours(-5), SignedDuration::from_hours(9), SignedDuration::from_hours(-4)] {
        expected.extend(world.append(3, &[main.id], "us-east-1").await);
        tokio::time::sleep(Duration::from_millis(300)).await;
        jump(&world, by);
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        while world.delivered("bucket").await.len() < expected.len() {
            assert!(std::time::Instant::now() < deadline, "the window does not end after {by}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    stop.cancel();
    running.await.unwrap().unwrap();
    drop(delivery);
    let mut process = world.process().await;
    settle_and_check(&world, &main, &mut process, expected, "running").await;
}

#[derive(Clone, Debug)]
enum Step {
    Append(usize),
    Deliver,
    Jump(i64),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1usize..4).prop_map(Step::Append),
        4 => Just(Step::Deliver),
        2 => (0i64..7_200).prop_map(Step::Jump),
        1 => (-100_000i64..100_000).prop_map(Step::Jump),
        1 => (-3_000_000i64..3_000_000).prop_map(Step::Jump),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn however_the_clock_jumps_each_event_is_in_one_file_and_each_file_in_one_digest(
        steps in prop::collection::vec(step(), 1..40),
        period in prop_oneof![Just(3_600u64), Just(21_600)],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new().await;
            world.settings.digest_seconds = period;
            let main = trail("main", "bucket", world.now());
            world.trails.put(main.clone());
            let mut process = world.process().await;
            let mut expected = Vec::new();
            for step in &steps {
                match step {
                    Step::Append(count) => expected.extend(world.append(*count, &[main.id], "us-east-1").await),
                    Step::Deliver => process.settle().await,
                    Step::Jump(seconds) => jump(&world, SignedDuration::from_secs(*seconds)),
                    Step::Restart => process = world.process().await,
                }
            }
            settle_and_check(&world, &main, &mut process, expected, "a random day").await;
        });
    }
}
