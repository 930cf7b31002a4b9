//! A query sees every event acknowledged before it ran, each once, whatever moves meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_is_exact_while_events_come_in_and_are_flushed() {
    let test = Arc::new(TestEngine::new().await);
    let done = Arc::new(AtomicBool::new(false));
    let writer = {
        let (test, done) = (test.clone(), done.clone());
        tokio::spawn(async move {
            for n in 0..40 {
                test.ingest_in(minutes(50)).await;
                if n % 5 == 4 {
                    test.lake.flush().await.unwrap();
                }
            }
            done.store(true, Ordering::Release);
        })
    };
    let mut last = 0;
    while !done.load(Ordering::Acquire) {
        let before = test.log.committed().as_u64();
        let rows = test.rows("SELECT count(*), count(DISTINCT eventid) FROM $").await;
        let counts: Vec<u64> = rows[0].iter().map(|cell| cell.as_deref().unwrap().parse().unwrap()).collect();
        let after = test.log.committed().as_u64();
        assert_eq!(counts[0], counts[1], "each event once");
        assert!((before.max(last)..=after).contains(&counts[0]), "{before} <= {} <= {after}", counts[0]);
        last = counts[0];
    }
    writer.await.unwrap();
    assert_eq!(test.cell("SELECT count(*) FROM $").await, "2000");
}

#[tokio::test]
async fn an_acknowledged_event_is_waited_for() {
    let test = TestEngine::new().await;
    test.append(minutes(5).map(|event| event.to(test.store).build()).collect()).await;
    let id = test.start("SELECT count(*) FROM $").await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    assert!(test.engine.describe(&test.scope, &id.to_string()).await.unwrap().status.is_open());
    test.apply().await;
    test.finished(id).await;
    assert_eq!(test.rows_of(id).await, [row(["5"])]);
}

#[tokio::test]
async fn expired_events_are_not_seen_in_files_or_the_hot_tail() {
    let test = TestEngine::new().await;
    test.lake.set_retention(test.store, StoreKind::CloudTrail, Some(10)).await.unwrap();
    test.ingest_in(minutes(14 * 1440).step_by(60)).await;
    for flushed in [false, true] {
        if flushed {
            test.lake.flush().await.unwrap();
        }
        // The clock stands at 2026-01-20: what occurred on the 10th or later is live.
        assert_eq!(test.cell("SELECT min(eventtime) FROM $").await, "2026-01-10 00:00:00.000", "flushed: {flushed}");
        assert_eq!(test.cell("SELECT count(*) FROM $").await, (5 * 24).to_string());
        test.clock.advance(std::time::Duration::from_secs(12 * 3600));
        assert_eq!(test.cell("SELECT min(eventtime) FROM $").await, "2026-01-10 12:00:00.000", "flushed: {flushed}");
        assert_eq!(test.cell("SELECT count(eventname) FROM $").await, (5 * 24 - 12).to_string());
        test.clock.set("2026-01-20T00:00:00Z".parse().unwrap());
    }
}
