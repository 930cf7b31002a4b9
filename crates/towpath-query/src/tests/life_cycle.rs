//! From QUEUED to its end, through pages, lists and cancellation.

use std::time::Duration;

use super::*;
use crate::ListRequest;

/// A statement that takes far longer than any test waits.
pub(super) const ENDLESS: &str =
    "SELECT count(*) FROM $ a, $ b, $ c, $ d WHERE a.eventid < b.eventid OR c.eventid < d.eventid";

#[tokio::test]
async fn a_query_ends_with_its_rows_and_statistics() {
    let test = TestEngine::new().await;
    test.ingest_in(minutes(30)).await;

    let (rows, record) = test.ask("SELECT eventName, count(*) AS n FROM $ GROUP BY eventName ORDER BY eventName").await;

    assert_eq!(rows[0], row(["CreateUser", "6"]));
    assert_eq!(rows.len(), 5);
    assert_eq!(record.columns, ["eventName", "n"]);
    assert_eq!((record.statistics.rows, record.statistics.events_scanned), (5, 30));
    assert_eq!(record.statistics.events_matched, 30);
}

#[tokio::test]
async fn events_that_statistics_answer_for_count_as_scanned_and_no_byte_does() {
    let test = TestEngine::new().await;
    test.ingest_in(minutes(30)).await;
    for (sql, events) in [
        ("SELECT count(*) FROM $", 30),
        ("SELECT count(*), max(eventtime) FROM $", 30),
        ("SELECT count(*) FROM $ WHERE eventtime > '2020-01-01'", 30),
        ("SELECT (SELECT count(*) FROM $) + 1", 30),
        ("SELECT 1", 0),
    ] {
        let (_, record) = test.ask(sql).await;
        let statistics = record.statistics;
        assert_eq!((statistics.events_scanned, statistics.events_matched), (events, events), "{sql}: {statistics:?}");
    }
}

#[tokio::test]
async fn rows_come_in_pages_that_a_token_links() {
    let test = TestEngine::new().await;
    test.ingest_in(minutes(2300)).await;
    let id = test.start("SELECT eventid FROM $ ORDER BY eventtime").await.unwrap().to_string();
    test.engine.wait(&test.scope, &id).await.unwrap();

    let mut request = ResultsRequest { max_results: Some(700), next_token: None };
    let mut sizes = Vec::new();
    let mut all = Vec::new();
    loop {
        let page = test.engine.results(&test.scope, &id, &request).await.unwrap();
        assert_eq!(page.statistics.rows, 2300);
        sizes.push(page.rows.len());
        all.extend(page.rows);
        request.next_token = page.next_token;
        if request.next_token.is_none() {
            break;
        }
    }
    assert_eq!(sizes, [700, 700, 700, 200]);
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 2300);
}

#[tokio::test]
async fn a_token_of_another_request_is_refused() {
    let test = TestEngine::new().await;
    test.ingest_in(minutes(20)).await;
    let [one, two] = [test.start("SELECT 1 FROM $").await.unwrap(), test.start("SELECT 2 FROM $").await.unwrap()];
    for id in [one, two] {
        test.finished(id).await;
    }
    let page = |id: QueryId, max: i64, token: Option<String>| {
        let request = ResultsRequest { max_results: Some(max), next_token: token };
        let (engine, scope) = (test.engine.clone(), test.scope.clone());
        async move { engine.results(&scope, &id.to_string(), &request).await }
    };
    let token = page(one, 5, None).await.unwrap().next_token.unwrap();

    assert_eq!(page(one, 5, Some(token.clone())).await.unwrap().rows.len(), 5);
    let mut changed = token.clone().into_bytes();
    changed[3] = if changed[3] == b'A' { b'B' } else { b'A' };
    let changed = String::from_utf8(changed).unwrap();
    for (id, max, token) in [(two, 5, token.clone()), (one, 6, token), (one, 5, changed), (one, 5, "x".repeat(40))] {
        assert!(matches!(page(id, max, Some(token)).await, Err(QueryError::InvalidNextToken)));
    }
    for max in [0, -1, 1001] {
        assert!(matches!(page(one, max, None).await, Err(QueryError::InvalidMaxResults { .. })));
    }
}

#[tokio::test]
async fn a_query_is_known_in_its_account_and_region_alone() {
    let test = TestEngine::new().await;
    let id = test.start("SELECT 1 FROM $").await.unwrap().to_string();
    let elsewhere = [
        Scope { account: "000000000000".parse().unwrap(), ..test.scope.clone() },
        Scope { region: "eu-west-1".parse().unwrap(), ..test.scope.clone() },
    ];
    assert!(test.engine.describe(&test.scope, &id.to_uppercase()).await.is_ok());
    for scope in elsewhere {
        assert!(matches!(test.engine.describe(&scope, &id).await, Err(QueryError::QueryIdNotFound { .. })));
        assert!(matches!(test.engine.cancel(&scope, &id).await, Err(QueryError::QueryIdNotFound { .. })));
    }
    let unknown = test.engine.describe(&test.scope, "no-uuid").await;
    assert!(matches!(unknown, Err(QueryError::QueryIdNotFound { .. })));
}

#[tokio::test]
async fn a_cancelled_query_stops_at_once() {
    let test = TestEngine::new().await;
    test.ingest_in(minutes(2000)).await;
    let id = test.start(ENDLESS).await.unwrap();
    while test.engine.describe(&test.scope, &id.to_string()).await.unwrap().status != QueryStatus::Running {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    let started = std::time::Instant::now();
    test.engine.cancel(&test.scope, &id.to_string()).await.unwrap();
    assert_eq!(test.finished(id).await.status, QueryStatus::Cancelled);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());

    let again = test.engine.cancel(&test.scope, &id.to_string()).await;
    assert!(matches!(again, Err(QueryError::InactiveQuery { status: QueryStatus::Cancelled, .. })));
    assert_eq!(test.cell("SELECT count(*) FROM $").await, "2000");
}

#[tokio::test]
async fn a_query_that_runs_too_long_is_timed_out() {
    let settings = QuerySettings { time_limit: Duration::from_millis(300), threads: 2, ..QuerySettings::default() };
    let test = TestEngine::with(settings).await;
    test.ingest_in(minutes(2000)).await;
    let id = test.start(ENDLESS).await.unwrap();
    let record = test.finished(id).await;
    assert_eq!(record.status, QueryStatus::TimedOut);
    assert!(record.statistics.execution_millis >= 300);
    assert!(test.rows_of(id).await.is_empty());
}

#[tokio::test]
async fn a_query_that_cannot_be_kept_is_refused_and_leaves_nothing() {
    let mut test = TestEngine::new().await;
    test.ingest_in(minutes(10)).await;
    let meta = Arc::new(towpath_meta::FailingMetaStore::new(MemoryMetaStore::new()));
    let whole: Arc<dyn MetaStore> = meta.clone();
    test.engine = open_engine(test.dir.path(), &test.log, &test.lake, &whole, &test.clock, &test.settings).await;
    meta.fail_from(meta.calls());
    let refused = test.start("SELECT eventid FROM $").await;
    assert!(matches!(refused, Err(QueryError::Meta { .. })), "{refused:?}");
    meta.heal();
    while !test.engine.shared.live.all().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(test.engine.list(test.store, &ListRequest::default()).await.unwrap().queries.is_empty());

    // What it may have written is nobody's.
    test.engine.sweep().await.unwrap();
    let left = std::fs::read_dir(test.dir.path().join("results")).unwrap().count();
    assert_eq!(left, 0);
    assert_eq!(test.cell("SELECT count(*) FROM $").await, "10");
}

#[tokio::test]
async fn a_query_reads_nothing_before_what_it_must_see_is_there() {
    let test = TestEngine::new().await;
    let statement = format!("SELECT count(*) FROM {}", test.store);
    let parsed = test.engine.parse(&statement).unwrap();
    let store = QueryStore { name: test.store.to_string(), id: test.store, kind: StoreKind::CloudTrail };
    let (there, seen) = tokio::sync::oneshot::channel::<()>();
    let seen = async move { drop(seen.await) };
    let started = test.engine.begin(parsed, test.scope.clone(), vec![store], seen).await.unwrap();
    let id = started.kept().await.unwrap();
    tokio::time::sleep(Duration::from_millis(30)).await;
    test.ingest_in(minutes(7)).await;
    there.send(()).unwrap();
    test.finished(id).await;
    assert_eq!(test.rows_of(id).await, [row(["7"])]);
}

#[tokio::test]
async fn queries_and_results_go_when_they_are_too_old() {
    let test = TestEngine::new().await;
    let old = test.start("SELECT 1 FROM $").await.unwrap();
    test.finished(old).await;
    let file = test.engine.shared.result_path(old);
    assert!(file.exists());
    test.clock.advance(Duration::from_secs(4 * 86_400));
    let young = test.start("SELECT 1 FROM $").await.unwrap();
    test.finished(young).await;
    assert_eq!(test.engine.sweep().await.unwrap(), 0);
    // A query whose end is not kept yet is left to the next sweep.
    while !test.engine.shared.live.all().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    test.clock.advance(Duration::from_secs(3 * 86_400 + 1));
    let gone = test.engine.describe(&test.scope, &old.to_string()).await;
    assert!(matches!(gone, Err(QueryError::QueryIdNotFound { .. })), "not swept, and not shown either");
    assert_eq!(test.engine.list(test.store, &ListRequest::default()).await.unwrap().queries.len(), 1);
    assert_eq!(test.engine.sweep().await.unwrap(), 1);
    assert!(!file.exists());
    assert!(test.engine.describe(&test.scope, &young.to_string()).await.is_ok());
}

#[tokio::test]
async fn queries_of_a_store_are_listed_by_time_and_status() {
    let test = TestEngine::new().await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        let id = test.start("SELECT 1 FROM $").await.unwrap();
        test.finished(id).await;
        ids.push(id);
        test.clock.advance(Duration::from_secs(60));
    }
    let page = |request: ListRequest| {
        let engine = test.engine.clone();
        let store = test.store;
        async move { engine.list(store, &request).await }
    };
    let listed = |queries: &[crate::ListedQuery]| queries.iter().map(|query| query.id).collect::<Vec<_>>();

    let first = page(ListRequest { max_results: Some(3), ..Default::default() }).await.unwrap();
    assert_eq!(listed(&first.queries), [ids[4], ids[3], ids[2]]);
    let request = ListRequest { max_results: Some(3), next_token: first.next_token.clone(), ..Default::default() };
    let second = page(request).await.unwrap();
    assert_eq!(listed(&second.queries), [ids[1], ids[0]]);
    assert!(second.next_token.is_none());

    let start: jiff::Timestamp = "2026-01-20T00:01:00Z".parse().unwrap();
    let end = "2026-01-20T00:03:00Z".parse().unwrap();
    let range = ListRequest { start_time: Some(start), end_time: Some(end), ..Default::default() };
    assert_eq!(listed(&page(range.clone()).await.unwrap().queries), [ids[3], ids[2], ids[1]]);
    let failed = ListRequest { status: Some(QueryStatus::Failed), ..Default::default() };
    assert!(page(failed).await.unwrap().queries.is_empty());
    let wrong = ListRequest { next_token: first.next_token, ..range };
    assert!(matches!(page(wrong).await, Err(QueryError::InvalidNextToken)));
    let backwards = ListRequest { start_time: Some(end), end_time: Some(start), ..Default::default() };
    assert!(matches!(page(backwards).await, Err(QueryError::InvalidTimeRange)));
}

#[tokio::test]
async fn shutdown_ends_what_runs_and_takes_no_more() {
    let test = TestEngine::new().await;
    test.ingest_in(minutes(2000)).await;
    let id = test.start(ENDLESS).await.unwrap();
    tokio::time::timeout(Duration::from_secs(10), test.engine.shutdown()).await.expect("queries stop");
    assert_eq!(test.finished(id).await.status, QueryStatus::Cancelled);
    assert!(matches!(test.start("SELECT 1 FROM $").await, Err(QueryError::Stopping)));
}

#[tokio::test]
async fn wrong_sql_is_refused_when_it_is_sent() {
    let test = TestEngine::new().await;
    for statement in [
        "SELECT nothing FROM $",
        "SELECT nothing(eventid) FROM $",
        "SELECT eventid FROM $ WHERE",
        "DELETE FROM $",
        "SELECT 1; SELECT 2",
        "",
    ] {
        let refused = test.start(statement).await;
        assert!(matches!(refused, Err(QueryError::InvalidStatement { .. })), "{statement}: {refused:?}");
    }
    let unknown = test.start("SELECT 1 FROM nowhere").await;
    assert!(matches!(unknown, Err(QueryError::StoreNotFound { name }) if name == "nowhere"));
    assert!(test.engine.list(test.store, &ListRequest::default()).await.unwrap().queries.is_empty());
}

#[tokio::test]
async fn a_small_query_is_quick() {
    let test = TestEngine::new().await;
    test.ingest_in(minutes(100)).await;
    test.ask("SELECT eventName, count(*) FROM $ GROUP BY eventName").await;

    let mut fastest = Duration::MAX;
    for _ in 0..10 {
        let started = std::time::Instant::now();
        let id = test.start("SELECT eventName, count(*) FROM $ GROUP BY eventName").await.unwrap();
        test.finished(id).await;
        fastest = fastest.min(started.elapsed());
    }
    // Unoptimised build on a busy machine: a bound against fixed costs, not a benchmark.
    assert!(fastest < Duration::from_millis(100), "{fastest:?}");
}
