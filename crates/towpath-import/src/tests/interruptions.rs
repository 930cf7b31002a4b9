//! Imports that are killed, shut down or stopped, or whose metadata store fails.

use super::*;

#[tokio::test]
async fn a_killed_import_goes_on_where_it_was() {
    for (parallel_files, appends) in [(1, 0), (1, 1), (1, 5), (1, 11), (1, 19), (3, 0), (3, 2), (3, 5)] {
        let fixture = Fixture::with(ImporterSettings { parallel_files, ..ImporterSettings::default() });
        let all = fill(&fixture.store, 1..=4, 5).await;
        fixture.sink.plan.lock().hang_after = Some(appends);
        let import = fixture.importer.start(fixture.request("s3://bucket")).await.unwrap();
        while fixture.sink.plan.lock().appends <= appends {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }

        let reborn = fixture.reborn();
        assert_eq!(reborn.importer.resume().await.unwrap(), 1);
        let over = reborn.over(import.id).await;

        assert_eq!((over.status, over.statistics.files_completed), (ImportStatus::Completed, 20), "{appends}");
        assert_eq!(over.statistics.events_completed, 80);
        assert_eq!((over.statistics.prefixes_found, over.statistics.prefixes_completed), (4, 4));
        let texts: BTreeSet<_> = fixture.sink.texts().union(&reborn.sink.texts()).cloned().collect();
        assert_eq!(texts, all);
        assert_eq!(reborn.importer.resume().await.unwrap(), 0);
    }
}

#[tokio::test]
async fn files_that_are_done_are_not_read_again_after_a_shutdown() {
    let fixture = Fixture::with(ImporterSettings { parallel_files: 1, ..ImporterSettings::default() });
    let all = fill(&fixture.store, 1..=4, 5).await;
    fixture.sink.plan.lock().hang_after = Some(10);
    let import = fixture.importer.start(fixture.request("s3://bucket")).await.unwrap();
    while fixture.sink.plan.lock().appends <= 10 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    fixture.importer.shutdown().await;
    let closed = fixture.importer.start(fixture.request("s3://bucket")).await;
    assert!(matches!(closed, Err(ImportError::Closed)));
    let paused = fixture.importer.get(&owner(), import.id).await.unwrap();
    assert_eq!(paused.status, ImportStatus::InProgress);
    let done = paused.statistics.files_completed;
    // Ten were appended; how many of their ends were told before the shutdown is up to the machine.
    assert!((1..=10).contains(&done), "{done}");

    fixture.store.gets.lock().clear();
    let reborn = fixture.reborn();
    reborn.importer.resume().await.unwrap();
    reborn.over(import.id).await;

    assert_eq!(fixture.store.gets.lock().len() as u64, 20 - done);
    let texts: BTreeSet<_> = fixture.sink.texts().union(&reborn.sink.texts()).cloned().collect();
    assert_eq!(texts, all);
}

#[tokio::test]
async fn a_stopped_import_stays_stopped_and_can_be_retried() {
    let fixture = Fixture::with(ImporterSettings { parallel_files: 1, ..ImporterSettings::default() });
    let all = fill(&fixture.store, 1..=4, 5).await;
    fixture.sink.plan.lock().hang_after = Some(6);
    let import = fixture.importer.start(fixture.request("s3://bucket")).await.unwrap();
    while fixture.sink.plan.lock().appends <= 6 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(fixture.importer.runs_into(fixture.destination.store).await.unwrap());
    let stopped = fixture.importer.stop(&owner(), import.id).await.unwrap();
    assert_eq!(stopped.status, ImportStatus::Stopped);
    assert!(!fixture.importer.runs_into(fixture.destination.store).await.unwrap());
    assert_eq!(fixture.importer.stop(&owner(), import.id).await.unwrap(), stopped);

    fixture.sink.plan.lock().hang_after = None;
    fixture.importer.retry(&owner(), import.id, None, RECORD_BYTES).await.unwrap();
    let over = fixture.over(import.id).await;
    assert_eq!((over.status, over.statistics.files_completed), (ImportStatus::Completed, 20));
    assert_eq!(fixture.sink.texts(), all);
}

#[tokio::test]
async fn an_import_whose_process_died_can_be_stopped() {
    let fixture = Fixture::new();
    fill(&fixture.store, 1..=1, 1).await;
    fixture.sink.plan.lock().hang_after = Some(0);
    let import = fixture.importer.start(fixture.request("s3://bucket")).await.unwrap();
    let reborn = fixture.reborn();
    assert_eq!(reborn.importer.stop(&owner(), import.id).await.unwrap().status, ImportStatus::Stopped);
    assert!(reborn.importer.running_of(owner().account).await.unwrap().is_none());
}

#[tokio::test]
async fn whatever_call_of_the_metadata_store_fails_nothing_is_lost() {
    let dry = Fixture::new();
    fill(&dry.store, 1..=2, 3).await;
    dry.import("s3://bucket").await;
    let calls = dry.meta.calls().min(12);
    // Side by side: each waits for the pause after a failure.
    let faults = [MetaFault::Before, MetaFault::After];
    let cases = (0..calls).flat_map(|call| faults.map(|fault| import_with_failing_call(call, fault)));
    futures::future::join_all(cases).await;
}

async fn import_with_failing_call(call: u64, fault: MetaFault) {
    let fixture = Fixture::new();
    let all = fill(&fixture.store, 1..=2, 3).await;
    fixture.meta.fail_at(call, fault);
    let _ = fixture.importer.start(fixture.request("s3://bucket")).await;
    // Whether the start was answered or not: what was accepted is finished, by this process or the next.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    fixture.importer.shutdown().await;
    let reborn = fixture.reborn();
    reborn.importer.resume().await.unwrap();
    let imports = reborn.importer.list(&owner(), ListFilter::default(), None, 10).await.unwrap().items;
    if let [import] = imports.as_slice() {
        let over = reborn.over(import.id).await;
        assert_eq!((over.status, over.statistics.files_completed), (ImportStatus::Completed, 6), "{call} {fault:?}");
        let texts: BTreeSet<_> = fixture.sink.texts().union(&reborn.sink.texts()).cloned().collect();
        assert_eq!(texts, all, "{call} {fault:?}");
    }
    let again = reborn.import("s3://bucket").await;
    assert_eq!(again.status, ImportStatus::Completed, "{call} {fault:?}");
}
