//! What a stop, a kill and a crash leave of queries: what was told stays true.

use super::life_cycle::ENDLESS;
use super::*;
use crate::ListRequest;

#[tokio::test]
async fn a_restart_keeps_results_and_fails_what_was_running() {
    let test = TestEngine::new().await;
    test.ingest_in(minutes(2000)).await;
    let done = test.start("SELECT eventid FROM $ LIMIT 3").await.unwrap();
    test.finished(done).await;
    let rows = test.rows_of(done).await;
    test.engine.shared.ledger_writer.flush().await;
    let running = test.start(ENDLESS).await.unwrap();

    // A process that is killed writes no end. This one lives on until the test is over and has none to write.
    let killed = test.engine.clone();
    let test = test.restarted().await;

    assert_eq!(test.finished(done).await.status, QueryStatus::Finished);
    assert_eq!(test.rows_of(done).await, rows);
    let record = test.finished(running).await;
    assert_eq!(record.status, QueryStatus::Failed);
    let error = record.error.unwrap();
    assert!(error.contains("restart"), "{error}");
    assert!(test.rows_of(running).await.is_empty());
    killed.shutdown().await;
}

#[tokio::test]
async fn an_end_that_was_told_outlives_a_kill_before_it_is_kept() {
    let test = TestEngine::new().await;
    test.ingest_in(minutes(20)).await;
    let id = test.start("SELECT eventid FROM $").await.unwrap();
    let told = test.finished(id).await;
    assert_eq!(told.status, QueryStatus::Finished);
    let rows = test.rows_of(id).await;
    assert_eq!(rows.len(), 20);
    let open = test.engine.shared.ledger.get(id).await.unwrap().unwrap();
    assert_eq!(open.status, QueryStatus::Queued);

    let test = test.restarted().await;
    assert_eq!(test.finished(id).await, told);
    assert_eq!(test.rows_of(id).await, rows);
    assert!(test.engine.shared.ledger.open_queries().await.unwrap().is_empty());

    // A file that was not written to its end tells no end, nor does one of another query.
    assert_eq!(test.engine.shared.ended_before(&open), Some(told));
    let path = test.engine.shared.result_path(id);
    let other = QueryRecord { id: QueryId::random(), ..open.clone() };
    std::fs::copy(&path, test.engine.shared.result_path(other.id)).unwrap();
    assert_eq!(test.engine.shared.ended_before(&other), None);
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_len(file.metadata().unwrap().len() - 1).unwrap();
    assert_eq!(test.engine.shared.ended_before(&open), None);
}

#[tokio::test]
async fn results_that_a_crash_took_or_tore_are_a_failed_query_and_never_wrong_rows() {
    type Harm = fn(&Path);
    let harms: [Harm; 4] = [
        |file| std::fs::remove_file(file).unwrap(),
        |file| std::fs::write(file, b"").unwrap(),
        |file| {
            let whole = std::fs::read(file).unwrap();
            std::fs::write(file, &whole[..whole.len() / 2]).unwrap();
        },
        // Blocks that were never written read as zeros.
        |file| {
            let mut bytes = std::fs::read(file).unwrap();
            bytes[20..60].fill(0);
            std::fs::write(file, bytes).unwrap();
        },
    ];
    for (number, harm) in harms.into_iter().enumerate() {
        for asked in ["describe", "results"] {
            let test = TestEngine::new().await;
            test.ingest_in(minutes(100)).await;
            let id = test.start("SELECT eventid FROM $").await.unwrap();
            test.finished(id).await;
            test.engine.shared.ledger_writer.flush().await;
            let file = test.engine.shared.result_path(id);
            let test = test.restarted().await;
            harm(&file);

            if asked == "results" || number == 3 {
                let page = test.engine.results(&test.scope, &id.to_string(), &Default::default()).await.unwrap();
                assert_eq!((page.status, page.rows.len(), page.next_token), (QueryStatus::Failed, 0, None), "{number}");
                assert!(page.error.unwrap().contains("lost"));
            }
            let record = test.engine.describe(&test.scope, &id.to_string()).await.unwrap();
            assert_eq!((record.status, record.statistics.rows), (QueryStatus::Failed, 0), "{number} {asked}");
            assert!(record.error.unwrap().contains("lost"));
            assert!(!file.exists());
            let listed = test.engine.list(test.store, &ListRequest::default()).await.unwrap();
            assert_eq!(listed.queries[0].status, QueryStatus::Failed);
        }
    }
}

#[tokio::test]
async fn a_stop_in_order_keeps_every_end() {
    let test = TestEngine::new().await;
    test.ingest_in(minutes(20)).await;
    let done = test.start("SELECT eventid FROM $").await.unwrap();
    test.finished(done).await;
    let running = test.start(ENDLESS).await.unwrap();
    test.engine.shutdown().await;
    let test = test.restarted().await;
    assert_eq!(test.finished(done).await.status, QueryStatus::Finished);
    assert_eq!(test.finished(running).await.status, QueryStatus::Cancelled);
}

#[tokio::test]
async fn scratch_space_is_emptied_at_start() {
    let test = TestEngine::new().await;
    let left = test.dir.path().join("spill").join("left-over");
    std::fs::create_dir_all(&left).unwrap();
    std::fs::write(left.join("file"), b"x").unwrap();
    let test = test.restarted().await;
    assert!(!test.dir.path().join("spill").join("left-over").exists());
}
