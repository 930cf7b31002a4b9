//! Aggregated events: each data event is counted once, whatever fails, and the counts are delivered when they are due.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use towpath_meta::Fault;
use towpath_model::{AggregationConfiguration, Trail};

use super::{HOUR, check_day, go_on, sorted, stop, verified};
use crate::testing::{Process, World, trail};

const MINUTE: Duration = Duration::from_secs(60);

fn aggregating(world: &World) -> Trail {
    let templates = vec!["API_ACTIVITY".to_owned()];
    let configuration = AggregationConfiguration { event_category: "Data".to_owned(), templates };
    Trail { aggregations: vec![configuration], ..trail("main", "bucket", world.now()) }
}

/// A process that has seen the trails.
async fn begun(world: &World) -> Process {
    let process = world.process().await;
    // A failure here is made good when a window ends, later than these tests want.
    while process.delivery.trails_changed().await.is_err() {}
    process
}

/// The aggregated events of a bucket.
async fn records(world: &World) -> Vec<Value> {
    let texts = world.objects("bucket", "CloudTrail-Aggregated").await.into_values();
    let files = texts.map(|text| serde_json::from_slice::<Value>(&text).unwrap());
    files.flat_map(|file| file["Records"].as_array().unwrap().clone()).collect()
}

/// How many events of each name all records count.
async fn counted(world: &World) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for record in records(world).await {
        let statistic = &record["summary"]["primaryDimension"]["statistics"][0];
        *counts.entry(statistic["name"].as_str().unwrap().to_owned()).or_default() +=
            statistic["value"].as_u64().unwrap();
    }
    counts
}

#[tokio::test]
async fn five_minutes_of_several_windows_become_one_record() {
    let world = World::new().await;
    let main = aggregating(&world);
    world.trails.put(main.clone());
    let mut process = begun(&world).await;
    for _ in 0..4 {
        world.append_data(&["GetObject", "GetObject", "PutObject"], &[main.id]).await;
        // Management events are not counted, nor what other trails deliver.
        world.append(2, &[main.id], "us-east-1").await;
        process.step().await.unwrap();
        world.advance(MINUTE);
        // A crash between two windows.
        process = world.process().await;
    }
    world.advance(MINUTE);
    process.step().await.unwrap();
    assert!(records(&world).await.is_empty(), "stragglers may come for another minute");
    world.advance(MINUTE);
    process.step().await.unwrap();

    let found = records(&world).await;
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().all(|record| record["timeWindow"]["windowStart"] == "2026-11-21T08:00:00Z"));
    assert!(found.iter().all(|record| record["addendum"].is_null()), "{found:?}");
    assert_eq!(counted(&world).await, BTreeMap::from([("GetObject".to_owned(), 8), ("PutObject".to_owned(), 4)]));
    let keys: Vec<String> = world.objects("bucket", "CloudTrail-Aggregated").await.into_keys().collect();
    let name = "logs/AWSLogs/000000000001/CloudTrail-Aggregated/us-east-1/2026/11/21/000000000001_CloudTrail-Aggregated_us-east-1_20261121T0806Z_";
    assert!(keys.len() == 1 && keys[0].starts_with(name), "{keys:?}");
    assert_eq!(std::fs::read_dir(world.folder.path()).unwrap().count(), 0, "no counts and no staged file are left");

    world.advance(HOUR);
    process.step().await.unwrap();
    let report = verified(&world, &main, "us-east-1").await;
    assert_eq!((report.log_files.valid, report.is_valid()), (5, true), "{report:?}");
}

#[tokio::test]
async fn what_comes_late_is_counted_in_a_record_of_its_own() {
    let world = World::new().await;
    let main = aggregating(&world);
    world.trails.put(main.clone());
    let mut process = begun(&world).await;
    world.append_data(&["GetObject"], &[main.id]).await;
    let late = world.now();
    process.step().await.unwrap();
    world.advance(10 * MINUTE);
    process.step().await.unwrap();
    let now = world.now();
    world.clock.set(late);
    world.append_data(&["GetObject"], &[main.id]).await;
    world.clock.set(now);
    process.step().await.unwrap();
    let found = records(&world).await;
    assert_eq!(found.len(), 2);
    assert_eq!(found.iter().filter(|record| record["addendum"]["reason"] == "DELIVERY_DELAY").count(), 1);
    assert_eq!(counted(&world).await, BTreeMap::from([("GetObject".to_owned(), 2)]));
}

#[tokio::test]
async fn more_than_may_be_kept_is_delivered_early() {
    let mut world = World::new().await;
    world.settings.aggregate_bytes = 10_000;
    let main = aggregating(&world);
    world.trails.put(main.clone());
    let mut process = begun(&world).await;
    for round in 0..50 {
        let names: Vec<String> = (0..20).map(|number| format!("Name{round}x{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        world.append_data(&names, &[main.id]).await;
        process.step().await.unwrap();
    }
    assert!(records(&world).await.len() >= 800, "the clock did not move");
    world.advance(10 * MINUTE);
    process.step().await.unwrap();
    let counts = counted(&world).await;
    assert!(counts.len() == 1_000 && counts.values().all(|count| *count == 1), "{}", counts.len());
}

/// Data events of two hours, then a stop.
async fn scenario(world: &World, crash: bool) -> (Trail, Vec<String>) {
    let mut main = aggregating(world);
    world.trails.put(main.clone());
    let mut process = begun(world).await;
    let mut expected = Vec::new();
    let names = ["GetObject", "PutObject", "GetObject"];
    for part in 0..7 {
        match part {
            0..3 => expected.extend(world.append_data(&names, &[main.id]).await),
            // What is counted then is not waited for.
            3 => {
                expected.extend(world.append_data(&names, &[main.id]).await);
                expected.extend(stop(world, &mut main, &process).await);
            }
            _ => {}
        }
        go_on(world, &mut process, crash).await;
        world.advance(if part < 3 { 2 * MINUTE } else { HOUR });
    }
    (main, expected)
}

async fn check(world: &World, main: &Trail, expected: Vec<String>, what: &str) {
    world.meta.heal();
    world.buckets.get("bucket").heal();
    let counts = BTreeMap::from([("GetObject".to_owned(), 8), ("PutObject".to_owned(), 4)]);
    assert_eq!(counted(world).await, counts, "{what}");
    assert_eq!(sorted(world.delivered("bucket").await), sorted(expected), "{what}");
    let report = verified(world, main, "us-east-1").await;
    assert!(report.is_valid() && report.findings.is_empty() && report.missing.is_empty(), "{what}: {report:?}");
    let left = std::fs::read_dir(world.folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let counts = left.filter(|name| name.to_str().unwrap().starts_with('c'));
    assert_eq!(counts.collect::<Vec<_>>(), [""; 0], "{what}: no counts are left");
}

#[tokio::test]
async fn whatever_call_fails_each_event_is_counted_once() {
    let world = World::new().await;
    let begun = world.meta.calls();
    let (main, expected) = scenario(&world, true).await;
    let calls = world.meta.calls() - begun;
    check(&world, &main, expected.clone(), "without faults").await;
    assert!(calls > 30, "{calls}");
    for call in 0..calls {
        for (fault, crash) in
            [(Fault::Before, true), (Fault::After, true), (Fault::Before, false), (Fault::After, false)]
        {
            let world = World::new().await;
            world.meta.fail_at(begun + call, fault);
            let (main, expected) = scenario(&world, crash).await;
            check(&world, &main, expected, &format!("metadata call {call} {fault:?} crash {crash}")).await;
        }
    }
}

#[tokio::test]
async fn a_trail_that_does_not_aggregate_is_as_before() {
    let world = World::new().await;
    let main = trail("main", "bucket", world.now());
    world.trails.put(main.clone());
    let mut process = begun(&world).await;
    let expected = world.append_data(&["GetObject"], &[main.id]).await;
    for _ in 0..3 {
        process.step().await.unwrap();
        world.advance(HOUR);
    }
    assert!(records(&world).await.is_empty());
    check_day(&world, &main, expected, "one event").await;
}
