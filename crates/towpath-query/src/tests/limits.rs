//! A query that wants too much fails alone.

use super::*;

#[tokio::test]
async fn a_query_that_wants_all_memory_fails_alone() {
    let settings = QuerySettings {
        memory_bytes: 64 << 20,
        memory_bytes_per_query: 2 << 20,
        spill_bytes: 1 << 20,
        threads: 2,
        ..QuerySettings::default()
    };
    let test = TestEngine::with(settings).await;
    test.ingest_in(minutes(3000)).await;

    // A hash join holds one side whole.
    let greedy = "SELECT count(*) FROM $ a JOIN $ b ON a.eventid = b.eventid AND a.eventjson = b.eventjson";
    let greedy = test.start(greedy).await.unwrap();
    let modest = test.start("SELECT count(*) FROM $").await.unwrap();

    let record = test.finished(greedy).await;
    assert_eq!(record.status, QueryStatus::Failed);
    assert_eq!(record.error.as_deref(), Some("Query exhausted resources at this scale factor"));
    assert_eq!(test.finished(modest).await.status, QueryStatus::Finished);
    test.ingest_in(minutes(3)).await;
    assert_eq!(test.cell("SELECT count(*) FROM $").await, "3003");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_join_that_begins_anew_for_want_of_memory_gives_the_same_rows() {
    let pairs = |memory_bytes_per_query| async move {
        let settings =
            QuerySettings { memory_bytes: 256 << 20, memory_bytes_per_query, threads: 2, ..QuerySettings::default() };
        let test = TestEngine::with(settings).await;
        test.ingest_in(minutes(3 * 1440)).await;
        test.lake.flush().await.unwrap();
        let numbers = "UNNEST(sequence(1, 1200)) AS t(a) CROSS JOIN UNNEST(sequence(1, 1200)) AS u(b)";
        let exists =
            format!("SELECT max(a * 10000 + b), count(*) FROM {numbers} WHERE EXISTS (SELECT 1 FROM $ LIMIT 1)");
        // Scans below a join whose first side is read twice.
        let unequal = "SELECT count(*), max(a.sourceipaddress || b.eventname) FROM $ a JOIN $ b ON a.eventtime > b.eventtime AND b.eventname = 'GetUser'
                       WHERE a.eventname < b.eventname OR a.eventid <> b.eventid";
        (test.rows(&exists).await, test.rows(unequal).await)
    };
    let (exists, unequal) = pairs(128 << 20).await;
    assert_eq!(exists, [row(["12001200", "1440000"])]);
    assert_eq!(pairs(6 << 20).await, (exists, unequal));
}

#[tokio::test]
async fn a_sort_that_does_not_fit_into_memory_spills() {
    let settings = QuerySettings {
        memory_bytes: 64 << 20,
        memory_bytes_per_query: 36 << 20,
        threads: 1,
        ..QuerySettings::default()
    };
    let test = TestEngine::with(settings).await;
    let wide = |n: usize| {
        TestEvent::management("CreateUser").request(serde_json::json!({ "text": format!("{n} {}", "x".repeat(6000)) }))
    };
    test.ingest_in((0..8000).map(wide)).await;
    test.lake.flush().await.unwrap();
    let rows = test.rows("SELECT eventid, eventjson FROM $ ORDER BY eventid").await;
    assert_eq!(rows.len(), 8000);
    assert!(rows.is_sorted());
}

#[tokio::test]
async fn a_response_that_is_too_large_fails() {
    let settings = QuerySettings { result_bytes: 20_000, row_bytes: 5_000, threads: 2, ..QuerySettings::default() };
    let test = TestEngine::with(settings).await;
    test.ingest_in(minutes(100)).await;
    for statement in ["SELECT eventjson FROM $", "SELECT array_agg(eventjson) FROM $"] {
        let id = test.start(statement).await.unwrap();
        let record = test.finished(id).await;
        assert_eq!(record.status, QueryStatus::Failed, "{statement}");
        assert_eq!(record.error.as_deref(), Some("Query response is too large"));
        assert!(test.rows_of(id).await.is_empty());
    }
    assert_eq!(test.rows("SELECT eventid FROM $").await.len(), 100);
}

#[tokio::test]
async fn an_account_has_a_number_of_queries_at_a_time() {
    let mut test = TestEngine::new().await;
    test.ingest_in(minutes(2000)).await;
    test.engine = QueryEngine::open(QueryEngineParts {
        meta: test.meta.clone(),
        log: test.log.clone(),
        lake: test.lake.clone(),
        clock: test.clock.clone(),
        settings: QuerySettings { running_at_once: 1, threads: 2, ..QuerySettings::default() },
        quotas: Quotas { concurrent_queries: 3, ..Quotas::default() },
        results: test.dir.path().join("results"),
        spill: test.dir.path().join("spill"),
    })
    .await
    .unwrap();
    let slow = "SELECT count(*) FROM $ a, $ b, $ c WHERE a.eventid < b.eventid OR b.eventid < c.eventid";
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(test.start(slow).await.unwrap());
    }
    let refused = test.start("SELECT 1 FROM $").await;
    assert!(matches!(refused, Err(QueryError::MaxConcurrentQueries { limit: 3 })));
    let queued = test.engine.describe(&test.scope, &ids[2].to_string()).await.unwrap();
    assert_eq!(queued.status, QueryStatus::Queued);

    // One that waits is cancelled without running.
    assert_eq!(test.engine.cancel(&test.scope, &ids[2].to_string()).await.unwrap(), QueryStatus::Cancelled);
    let next = test.start("SELECT 1 FROM $ LIMIT 1").await.unwrap();
    for id in &ids[..2] {
        test.engine.cancel(&test.scope, &id.to_string()).await.unwrap();
    }
    assert_eq!(test.finished(next).await.status, QueryStatus::Finished);
}

#[tokio::test]
async fn a_hundred_queries_at_once_all_end() {
    let test = TestEngine::new().await;
    test.ingest_in(minutes(1000)).await;
    test.lake.flush().await.unwrap();
    let mut ids = Vec::new();
    for n in 0..100 {
        ids.push(test.start(&format!("SELECT count(*) FROM $ WHERE eventName <> 'x{n}'")).await.unwrap());
    }
    for id in ids {
        assert_eq!(test.finished(id).await.status, QueryStatus::Finished);
        assert_eq!(test.rows_of(id).await, [row(["1000"])]);
    }
}
