//! Every call to storage fails in turn; then a seeded simulation fails them at random, with crashes in between.

use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use towpath_meta::{Fault, MetaStoreExt};
use towpath_model::{Position, StoreKind};

use crate::DataFile;
use crate::commit::names;
use crate::testing::{ObjectFault, TODAY, TestLake, made_up, store};

/// Appends, applies, flushes and maintains; every step is tried once whatever became of the others.
async fn scenario(test: &mut TestLake) {
    let stores = [store(0), store(1)];
    for round in 0..4u64 {
        // Half of each round repeats the round before.
        let events = (round * 6..round * 6 + 12).map(|id| {
            let to = if round == 0 && id % 3 == 0 { &stores[..] } else { &stores[..1] };
            made_up(id, TODAY, (id * 7919 % 86_400) as i64, to)
        });
        test.append(events);
        let _ = test.apply().await;
        let _ = test.lake.flush().await;
    }
    // Joins the files and the key runs of the four flushes.
    test.clock.advance(std::time::Duration::from_secs(120));
    let _ = test.lake.maintain().await;
    let _ = test.lake.maintain().await;
    test.append([made_up(3, TODAY, 5, &stores[..1]), made_up(900, TODAY, 6, &stores)]);
    let _ = test.apply().await;
    let _ = test.lake.flush().await;
}

/// After any failure: the rows are right at once, after a crash, and after everything was written; no object is left
/// over and none is missing.
async fn check_after(mut test: TestLake) {
    test.meta.heal();
    test.objects.heal();
    test.apply().await.unwrap();
    test.check().await;
    test.crash().await;
    test.check().await;
    test.lake.flush().await.unwrap();
    test.clock.advance(std::time::Duration::from_secs(3600));
    test.lake.maintain().await.unwrap();
    test.lake.maintain().await.unwrap();
    test.lake.collect_orphans(std::time::Duration::ZERO).await.unwrap();
    test.check().await;
    assert_eq!(test.stored().await, test.named().await);
    // All again: nothing of it is new.
    let again = test.log.clone();
    test.append(again);
    test.apply().await.unwrap();
    test.check().await;
}

#[tokio::test]
async fn the_scenario_flushes_and_compacts_without_faults() {
    let mut test = TestLake::new().await;
    scenario(&mut test).await;
    assert_eq!(test.lake.durable().as_u64(), test.log.len() as u64);
    let files = test.lake.stats(store(0)).files;
    assert!(files <= 4, "{files} files");
    check_after(test).await;
}

#[tokio::test]
async fn any_failing_metadata_call_loses_nothing_and_shows_nothing_twice() {
    let mut plain = TestLake::new().await;
    let first = plain.meta.calls();
    scenario(&mut plain).await;
    for call in first..plain.meta.calls() {
        for fault in [Fault::Before, Fault::After] {
            let mut test = TestLake::new().await;
            test.meta.fail_at(call, fault);
            scenario(&mut test).await;
            check_after(test).await;
        }
        let mut test = TestLake::new().await;
        test.meta.fail_from(call);
        scenario(&mut test).await;
        check_after(test).await;
    }
}

/// A lake whose every flush is too large for one commit.
async fn in_steps() -> TestLake {
    TestLake::with(|settings| settings.commit_bytes = 1).await
}

#[tokio::test]
async fn any_failing_step_of_a_flush_too_large_for_one_commit_loses_nothing_and_shows_nothing_twice() {
    let mut plain = in_steps().await;
    let first = plain.meta.calls();
    scenario(&mut plain).await;
    let calls = plain.meta.calls();
    assert_eq!(plain.lake.durable().as_u64(), plain.log.len() as u64);
    check_after(plain).await;
    for call in first..calls {
        for fault in [Fault::Before, Fault::After] {
            let mut test = in_steps().await;
            test.meta.fail_at(call, fault);
            scenario(&mut test).await;
            check_after(test).await;
        }
        // The process dies right there: what was staged counts only if the commit was made.
        let mut test = in_steps().await;
        test.meta.fail_from(call);
        scenario(&mut test).await;
        test.crash().await;
        test.check().await;
        assert!(test.meta.list_all(&names::staged()).await.unwrap().is_empty());
        check_after(test).await;
    }
}

#[tokio::test]
async fn any_failing_object_call_loses_nothing_and_shows_nothing_twice() {
    let mut plain = TestLake::new().await;
    scenario(&mut plain).await;
    let calls = plain.objects.worth_failing();
    assert!(calls.len() > 25, "{} calls", calls.len());
    for (at, call) in calls.into_iter().enumerate() {
        // The store dies for good at every third call; the others fail once, in one way or the other.
        for fault in [Some(ObjectFault::Before), Some(ObjectFault::After), None].into_iter().take(if at % 3 == 0 {
            3
        } else {
            2
        }) {
            let mut test = TestLake::new().await;
            match fault {
                Some(fault) => test.objects.fail_at(call, fault),
                None => test.objects.fail_from(call),
            }
            scenario(&mut test).await;
            check_after(test).await;
        }
    }
}

/// A lake that joins in a hurry as soon as anything waits.
async fn hurried() -> TestLake {
    TestLake::with(|settings| settings.most_waiting = 0).await
}

/// So many small files of two days that several wait to be joined.
async fn hurried_scenario(test: &mut TestLake) {
    for round in 0..8u64 {
        test.append((round * 6..round * 6 + 12).map(|id| made_up(id, TODAY - (id % 2) as i64, 5, &[store(0)])));
        let _ = test.apply().await;
        let _ = test.lake.flush().await;
    }
    let _ = test.lake.maintain().await;
}

#[tokio::test]
async fn what_was_joined_in_a_hurry_is_joined_to_last_once_its_day_is_quiet() {
    let mut test = hurried().await;
    hurried_scenario(&mut test).await;
    let files = async |test: &TestLake| {
        let snapshot = test.lake.snapshot(&[(store(0), StoreKind::CloudTrail)], Position::ZERO).await.unwrap();
        snapshot.stores[0].files.to_vec()
    };
    let joined_in_haste = |file: &Arc<DataFile>| file.level == 0 && file.rows > 6;
    assert!(files(&test).await.iter().any(joined_in_haste));
    test.check().await;
    test.clock.advance(std::time::Duration::from_secs(3600));
    test.lake.maintain().await.unwrap();
    let files = files(&test).await;
    assert_eq!(files.len(), 2);
    assert!(files.iter().all(|file| file.level > 0));
    check_after(test).await;
}

#[tokio::test]
async fn any_failing_call_of_hurried_joins_loses_nothing_and_shows_nothing_twice() {
    let mut plain = hurried().await;
    let first = plain.meta.calls();
    hurried_scenario(&mut plain).await;
    for call in first..plain.meta.calls() {
        for fault in [Fault::Before, Fault::After] {
            let mut test = hurried().await;
            test.meta.fail_at(call, fault);
            hurried_scenario(&mut test).await;
            check_after(test).await;
        }
    }
    for call in plain.objects.worth_failing() {
        for fault in [ObjectFault::Before, ObjectFault::After] {
            let mut test = hurried().await;
            test.objects.fail_at(call, fault);
            hurried_scenario(&mut test).await;
            check_after(test).await;
        }
    }
}

#[tokio::test]
async fn random_work_with_random_faults_and_crashes_keeps_every_row_once() {
    let first = std::env::var("TOWPATH_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0);
    let count = std::env::var("TOWPATH_SEEDS").ok().and_then(|count| count.parse().ok()).unwrap_or(4);
    for seed in first..first + count {
        println!("seed {seed}");
        let mut random = StdRng::seed_from_u64(seed);
        let mut test = match seed % 3 {
            0 => TestLake::new().await,
            1 => in_steps().await,
            _ => hurried().await,
        };
        let mut next = 0u64;
        for _ in 0..40 {
            match random.random_range(0..10) {
                0..=3 => {
                    let count = random.random_range(1..30);
                    let events: Vec<_> = (0..count)
                        .map(|_| {
                            let id = if random.random_bool(0.3) { random.random_range(0..next + 1) } else { next };
                            next = next.max(id + 1);
                            let stores: Vec<_> = (0..2).filter(|_| random.random_bool(0.6)).map(store).collect();
                            made_up(id, TODAY - (id % 2) as i64, (id * 31 % 86_400) as i64, &stores)
                        })
                        .collect();
                    test.append(events);
                    let _ = test.apply().await;
                }
                4 | 5 => drop(test.lake.flush().await),
                6 => {
                    test.clock.advance(std::time::Duration::from_secs(random.random_range(0..200)));
                    let _ = test.lake.maintain().await;
                }
                7 => {
                    let call = test.meta.calls() + random.random_range(0..4);
                    let fault = if random.random_bool(0.5) { Fault::Before } else { Fault::After };
                    test.meta.fail_at(call, fault);
                }
                8 => {
                    let call = test.objects.calls() + random.random_range(0..12);
                    let fault = if random.random_bool(0.5) { ObjectFault::Before } else { ObjectFault::After };
                    test.objects.fail_at(call, fault);
                }
                _ => {
                    if random.random_bool(0.5) {
                        test.meta.heal();
                        test.objects.heal();
                        let _ = test.apply().await;
                    } else {
                        test.crash().await;
                    }
                    test.objects.heal();
                    test.check().await;
                }
            }
        }
        check_after(test).await;
    }
}
