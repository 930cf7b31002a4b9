//! Few rows of many files are read from the pages that hold them, and are the same as ever.

use datafusion::physical_plan::displayable;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::live::LiveQuery;

/// Twelve days of events, in files of a day each; every 150th event has the same key.
async fn days() -> TestEngine {
    let test = TestEngine::new().await;
    test.ingest_in(minutes(12 * 1440)).await;
    test.lake.flush().await.unwrap();
    test
}

const KEY: &str = "AKIA0000000000000017";

/// How a statement is executed.
async fn plan_of(test: &TestEngine, statement: &str) -> String {
    let (_, record) = test.ask(statement).await;
    let query = test.engine.parse(&statement.replace('$', &test.store.to_string())).unwrap();
    let stores = [QueryStore { name: test.store.to_string(), id: test.store, kind: StoreKind::CloudTrail }];
    let shared = &test.engine.shared;
    let planned = shared.planner.plan(&query, &stores, shared.clock.now()).unwrap();
    let live = LiveQuery::new(record, CancellationToken::new());
    let (plan, _) = planned.physical_plan(shared, &live).await.unwrap();
    displayable(plan.as_ref()).indent(false).to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_looked_for_in_codes_and_a_bound_of_best_rows_in_the_common_way() {
    let test = days().await;
    for (filter, sparse) in [
        (format!("userIdentity.accessKeyId = '{KEY}'"), true),
        (format!("'{KEY}' = userIdentity.accessKeyId AND readOnly"), true),
        (format!("userIdentity.accessKeyId IN ('{KEY}', 'AKIA0000000000000018') ORDER BY eventTime"), true),
        ("sourceIPAddress = '203.0.113.9' AND userIdentity.userName LIKE 'user%'".to_owned(), true),
        (format!("userIdentity.accessKeyId = '{KEY}' OR readOnly"), false),
        (format!("userIdentity.accessKeyId <> '{KEY}'"), false),
        ("eventName = 'GetUser'".to_owned(), false),
        (format!("userIdentity.accessKeyId = '{KEY}' ORDER BY eventTime DESC LIMIT 3"), false),
        (format!("userIdentity.accessKeyId = '{KEY}' LIMIT 3"), false),
    ] {
        let plan = plan_of(&test, &format!("SELECT eventID FROM $ WHERE {filter}")).await;
        assert_eq!(plan.contains("SparseScan"), sparse, "{filter}: {plan}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_kinds_of_columns_come_as_they_were_sent() {
    let test = days().await;
    // OR TRUE-like parts hide the key from the search in codes.
    for columns in [
        "eventID, eventTime, eventSource, eventName, sourceIPAddress, errorCode",
        "eventJson",
        "userIdentity",
        "userIdentity.userName, userIdentity.accessKeyId, userIdentity.sessionContext",
        "requestParameters, resources, additionalEventData, tlsDetails, readOnly, eventTime",
        "*",
        "1",
    ] {
        for rest in ["", " AND errorCode IS NULL", " AND element_at(requestParameters, 'name') = 'thing-2'"] {
            let sparse = format!("SELECT {columns} FROM $ WHERE userIdentity.accessKeyId = '{KEY}'{rest}");
            let common = format!("SELECT {columns} FROM $ WHERE userIdentity.accessKeyId || '' = '{KEY}'{rest}");
            assert!(plan_of(&test, &sparse).await.contains("SparseScan"), "{sparse}");
            assert!(!plan_of(&test, &common).await.contains("SparseScan"), "{common}");
            let (mut sparse, mut common) = (test.rows(&sparse).await, test.rows(&common).await);
            sparse.sort();
            common.sort();
            assert!(common.len() > 10, "{columns}{rest}");
            assert_eq!(sparse, common, "{columns}{rest}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_read_is_told_whether_pages_are_in_memory_or_not() {
    let test = days().await;
    let statement = format!("SELECT eventName FROM $ WHERE userIdentity.accessKeyId = '{KEY}' AND readOnly");
    let figures = |record: QueryRecord| {
        let statistics = record.statistics;
        (statistics.files_scanned, statistics.events_scanned, statistics.events_matched, statistics.rows)
    };
    let (_, first) = test.ask(&statement).await;
    let (rows, second) = test.ask(&statement).await;
    assert!(second.statistics.bytes_scanned > 0 && second.statistics.bytes_scanned <= first.statistics.bytes_scanned);
    assert_eq!(figures(first), figures(second.clone()));
    assert_eq!(figures(second), (12, 12 * 1440, rows.len() as u64, rows.len() as u64));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_most_rows_have_is_read_in_the_common_way_with_the_same_rows() {
    let test = TestEngine::new().await;
    let events = minutes(3000).enumerate().map(|(n, event)| if n % 3 == 0 { event.user("most") } else { event });
    test.ingest_in(events).await;
    test.lake.flush().await.unwrap();
    let statement = "SELECT eventID FROM $ WHERE userIdentity.userName = 'most'";
    assert!(plan_of(&test, statement).await.contains("SparseScan"));
    let (rows, record) = test.ask(statement).await;
    assert_eq!(rows.len(), 1000);
    assert_eq!((record.statistics.events_matched, record.statistics.events_scanned), (1000, 3000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_were_found_are_found_again_and_count_as_read() {
    let test = days().await;
    let ask = async |keys: &str| {
        let statement =
            format!("SELECT eventID, eventTime, errorCode FROM $ WHERE userIdentity.accessKeyId IN ({keys})");
        let (mut rows, record) = test.ask(&format!("{statement} ORDER BY eventTime")).await;
        rows.sort();
        (rows, record.statistics)
    };
    // Has the filters of the files in memory, but looks for something else.
    let (more, _) = ask(&format!("'{KEY}', 'AKIA0000000000000018'")).await;
    let (rows, searched) = ask(&format!("'{KEY}'")).await;
    let (again, found) = ask(&format!("'{KEY}'")).await;
    assert!(!rows.is_empty() && rows.len() < more.len());
    assert_eq!(rows, again);
    assert_eq!((searched.bytes_scanned, searched.files_scanned), (found.bytes_scanned, found.files_scanned));
    assert_eq!((searched.events_scanned, searched.events_matched), (found.events_scanned, found.events_matched));
}
