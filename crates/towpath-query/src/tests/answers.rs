//! Answers equal a plain search through the same records, in the hot tail, in files and after a restart; and questions
//! for few events open few files.

use serde_json::Value;

use super::*;

type Test<'a> = &'a dyn Fn(&Value) -> bool;

/// Filters and what they mean.
fn filters() -> Vec<(&'static str, Test<'static>)> {
    vec![
        ("true", &|_| true),
        ("eventName = 'CreateUser'", &|r| r["eventName"] == "CreateUser"),
        ("eventName <> 'CreateUser'", &|r| r["eventName"] != "CreateUser"),
        ("eventName IN ('GetUser', 'ListUsers')", &|r| r["eventName"] == "GetUser" || r["eventName"] == "ListUsers"),
        ("eventName NOT IN ('GetUser', 'ListUsers')", &|r| {
            r["eventName"] != "GetUser" && r["eventName"] != "ListUsers"
        }),
        ("eventName LIKE 'L%'", &|r| r["eventName"].as_str().unwrap().starts_with('L')),
        ("eventName LIKE '%User'", &|r| r["eventName"].as_str().unwrap().ends_with("User")),
        ("eventName > 'D' AND eventName < 'H'", &|r| ("D".."H").contains(&r["eventName"].as_str().unwrap())),
        ("errorCode = 'AccessDenied'", &|r| r["errorCode"] == "AccessDenied"),
        ("errorCode IS NULL", &|r| r["errorCode"].is_null()),
        ("errorCode IS NOT NULL AND readOnly = false", &|r| !r["errorCode"].is_null() && r["readOnly"] == false),
        ("NOT (readOnly = true)", &|r| r["readOnly"] == false),
        ("userIdentity.userName = 'user3'", &|r| r["userIdentity"]["userName"] == "user3"),
        ("userIdentity.accessKeyId = 'AKIA0000000000000017'", &|r| {
            r["userIdentity"]["accessKeyId"] == "AKIA0000000000000017"
        }),
        ("userIdentity.accessKeyId IN ('AKIA0000000000000017', 'nobody')", &|r| {
            r["userIdentity"]["accessKeyId"] == "AKIA0000000000000017"
        }),
        ("userIdentity.accessKeyId = 'nobody'", &|_| false),
        ("sourceIPAddress = '203.0.113.9'", &|r| r["sourceIPAddress"] == "203.0.113.9"),
        ("sourceIPAddress = '203.0.113.9' OR userIdentity.userName = 'user1'", &|r| {
            r["sourceIPAddress"] == "203.0.113.9" || r["userIdentity"]["userName"] == "user1"
        }),
        ("userIdentity.sessionContext.sessionIssuer.arn = 'x'", &|_| false),
        ("eventTime >= '2026-01-02 00:00:00'", &|r| r["eventTime"].as_str().unwrap() >= "2026-01-02T00:00:00Z"),
        ("eventTime < timestamp '2026-01-01 05:30:00'", &|r| r["eventTime"].as_str().unwrap() < "2026-01-01T05:30:00Z"),
        ("eventTime = '2026-01-01 05:30:00'", &|r| r["eventTime"] == "2026-01-01T05:30:00Z"),
        ("eventTime BETWEEN '2026-01-01 23:50:00' AND '2026-01-02 00:10:00'", &|r| {
            ("2026-01-01T23:50:00Z"..="2026-01-02T00:10:00Z").contains(&r["eventTime"].as_str().unwrap())
        }),
        ("eventTime > '2026-01-01' AND eventTime < '2026-01-02' AND eventName = 'DeleteUser'", &|r| {
            ("2026-01-01T00:00:01Z"..="2026-01-01T23:59:59Z").contains(&r["eventTime"].as_str().unwrap())
                && r["eventName"] == "DeleteUser"
        }),
        ("date(eventTime) = date '2026-01-02'", &|r| r["eventTime"].as_str().unwrap().starts_with("2026-01-02")),
        ("eventTime > now()", &|_| false),
        ("eventTime < now()", &|_| true),
        ("element_at(requestParameters, 'name') = 'thing-1'", &|r| r["requestParameters"]["name"] == "thing-1"),
        ("element_at(requestParameters, 'none') IS NULL AND eventName = 'GetUser'", &|r| r["eventName"] == "GetUser"),
        ("CAST(element_at(requestParameters, 'n') AS bigint) < 10", &|r| {
            r["requestParameters"]["n"].as_u64().unwrap() < 10
        }),
        ("eventJson LIKE '%\"n\":77,%'", &|r| r["requestParameters"]["n"] == 77),
        ("json_extract_scalar(eventJson, '$.requestParameters.n') = '123'", &|r| r["requestParameters"]["n"] == 123),
        ("json_extract_scalar(eventJson, '$.requestParameters.n') = '124' AND eventName = 'DeleteUser'", &|r| {
            r["requestParameters"]["n"] == 124 && r["eventName"] == "DeleteUser"
        }),
        ("TRY(json_extract(eventJson, '$.requestParameters.name')) IS NULL OR readOnly", &|r| r["readOnly"] == true),
        (
            "json_extract_scalar(eventJson, '$.errorMessage') = 'no' AND json_size(eventJson, '$.requestParameters') = 2",
            &|r| r["errorMessage"] == "no",
        ),
        (
            "json_extract_scalar(eventJson, '$.userIdentity.userName') = userIdentity.userName AND eventJson LIKE '%thing-2%'",
            &|r| r["requestParameters"]["name"] == "thing-2",
        ),
        ("recipientAccountId = '123456789012' AND awsRegion = 'us-east-1'", &|_| true),
        ("awsRegion = 'eu-west-1'", &|_| false),
        // Files hold the record without its ids; whoever asks sees them.
        ("json_extract_scalar(eventJson, '$.eventID') = eventID", &|_| true),
        ("eventJson NOT LIKE concat('%\"requestID\":\"', requestID, '\"%')", &|_| false),
        ("eventJson LIKE '%\"n\":78,%' AND strpos(eventJson, eventID) > 0 AND eventName = 'DeleteUser'", &|r| {
            r["requestParameters"]["n"] == 78
        }),
        ("to_hex(sha256(to_utf8(eventJson))) = upper(eventJsonChecksum)", &|_| true),
        ("length(eventJsonChecksum) = 64 AND eventName = 'GetUser'", &|r| r["eventName"] == "GetUser"),
        ("false", &|_| false),
        ("eventName = NULL", &|_| false),
    ]
}

async fn check(test: &TestEngine, records: &[Value], stage: &str) {
    for (filter, wanted) in filters() {
        let mut expected: Vec<_> =
            records.iter().filter(|record| wanted(record)).map(|r| row([r["eventID"].as_str().unwrap()])).collect();
        expected.sort();
        let mut found = test.rows(&format!("SELECT eventID FROM $ WHERE {filter}")).await;
        found.sort();
        assert_eq!(found.len(), expected.len(), "{stage}: {filter}");
        assert_eq!(found, expected, "{stage}: {filter}");
        let count = test.cell(&format!("SELECT count(*) FROM $ WHERE {filter}")).await;
        assert_eq!(count, expected.len().to_string(), "{stage}: count {filter}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_find_what_a_plain_search_finds_wherever_events_are() {
    let test = TestEngine::new().await;
    let events: Vec<_> = minutes(2500).collect();
    let records: Vec<Value> = events.iter().map(|event| serde_json::from_str(&event.json()).unwrap()).collect();
    test.ingest_in(events[..1200].to_vec()).await;
    check(&test, &records[..1200], "hot").await;
    test.lake.flush().await.unwrap();
    check(&test, &records[..1200], "files").await;
    test.ingest_in(events[1200..].to_vec()).await;
    check(&test, &records, "files and hot").await;
    let test = test.restarted().await;
    test.apply().await;
    check(&test, &records, "after a restart").await;
}

#[tokio::test]
async fn all_events_with_an_id_that_is_no_uuid_are_kept_and_found_by_it() {
    let test = TestEngine::new().await;
    let mut events: Vec<_> = minutes(300).collect();
    for (n, event) in events.iter_mut().enumerate().filter(|(n, _)| n % 10 == 0) {
        *event = event.clone().id(if n % 20 == 0 { "..." } else { "EXAMPLE" });
    }
    test.ingest_in(events[..200].to_vec()).await;
    test.lake.flush().await.unwrap();
    // Each again: a record sent twice is one event, whatever its id.
    test.ingest_in(events.clone()).await;
    assert_eq!(test.cell("SELECT count(*) FROM $").await, "300");
    for (filter, found) in [
        ("eventID = '...'", "15"),
        ("eventID IN ('...', 'EXAMPLE')", "30"),
        ("eventID = 'example'", "0"),
        ("eventID = '...' AND eventTime < timestamp '2026-01-01 01:00:00'", "3"),
    ] {
        assert_eq!(test.cell(&format!("SELECT count(*) FROM $ WHERE {filter}")).await, found, "{filter}");
    }
    let uuid = test.cell("SELECT max(eventID) FROM $").await;
    let both = format!("SELECT count(*) FROM $ WHERE eventID IN ('EXAMPLE', '{}')", uuid.to_lowercase());
    assert_eq!(test.cell(&both).await, if uuid == "EXAMPLE" { "15" } else { "16" });
}

#[tokio::test]
async fn the_newest_come_first_from_few_rows() {
    let test = TestEngine::new().await;
    let events: Vec<_> = minutes(6 * 1440).collect();
    test.ingest_in(events[..8000].to_vec()).await;
    test.lake.flush().await.unwrap();
    test.ingest_in(events[8000..].to_vec()).await;
    let (rows, _) = test.ask("SELECT eventTime, eventName FROM $ ORDER BY eventTime DESC LIMIT 3").await;
    let times: Vec<_> = rows.iter().map(|row| row[0].clone().unwrap()).collect();
    assert_eq!(times, ["2026-01-06 23:59:00.000", "2026-01-06 23:58:00.000", "2026-01-06 23:57:00.000"]);

    test.lake.flush().await.unwrap();
    let (rows, record) = test.ask("SELECT eventTime FROM $ ORDER BY eventTime DESC LIMIT 3").await;
    assert_eq!(rows[2][0].as_deref(), Some("2026-01-06 23:57:00.000"));
    assert!(record.statistics.events_scanned <= 2 * 1440, "{:?}", record.statistics);
    let (rows, _) = test.ask("SELECT eventTime FROM $ ORDER BY eventTime LIMIT 1").await;
    assert_eq!(rows[0][0].as_deref(), Some("2026-01-01 00:00:00.000"));
}

#[tokio::test]
async fn questions_for_few_events_open_few_files() {
    let test = TestEngine::new().await;
    let mut events: Vec<_> = minutes(10 * 1440).collect();
    events[5000] = events[5000].clone().access_key("AKIANEEDLE").source_ip("198.51.100.77").user("needle");
    let needle: Value = serde_json::from_str(&events[5000].json()).unwrap();
    let id = needle["eventID"].as_str().unwrap();
    test.ingest_in(events.clone()).await;
    test.lake.flush().await.unwrap();
    assert_eq!(test.cell("SELECT count(DISTINCT date(eventtime)) FROM $").await, "10");

    for (filter, most_files) in [
        (format!("eventID = '{id}'"), 1),
        ("userIdentity.accessKeyId = 'AKIANEEDLE'".to_owned(), 1),
        ("sourceIPAddress = '198.51.100.77'".to_owned(), 1),
        ("userIdentity.userName = 'needle'".to_owned(), 1),
        ("eventTime = '2026-01-04 11:20:00' AND userIdentity.accessKeyId = 'AKIANEEDLE'".to_owned(), 1),
        ("eventID = '00000000-0000-4000-8000-000000000000'".to_owned(), 0),
        ("userIdentity.accessKeyId = 'AKIANOBODY'".to_owned(), 0),
        ("eventName = 'Nothing'".to_owned(), 0),
        ("eventTime > '2027-01-01'".to_owned(), 0),
        ("eventTime > '2026-01-10 00:00:00' AND eventName = 'GetUser'".to_owned(), 1),
    ] {
        let (rows, record) = test.ask(&format!("SELECT eventID, eventName FROM $ WHERE {filter}")).await;
        let scanned = record.statistics.files_scanned;
        assert!(scanned <= most_files, "{filter}: {:?}", record.statistics);
        if filter.contains("NEEDLE") || filter.contains(id) || filter.contains("198.51") || filter.contains("needle") {
            assert_eq!(rows, [row([id, needle["eventName"].as_str().unwrap()])], "{filter}");
        }
    }
}

#[tokio::test]
async fn a_member_of_a_struct_is_read_without_its_neighbours() {
    let test = TestEngine::new().await;
    test.ingest_in(minutes(1440)).await;
    test.lake.flush().await.unwrap();
    let bytes = |statement: &'static str| async { test.ask(statement).await.1.statistics.bytes_scanned };
    let member = bytes("SELECT count(DISTINCT userIdentity.type) FROM $").await;
    let whole = bytes("SELECT userIdentity FROM $").await;
    let record = bytes("SELECT eventJson FROM $").await;
    let filtered = bytes("SELECT count(*) FROM $ WHERE userIdentity.type = 'IAMUser'").await;
    assert!(member > 0 && member * 4 < whole, "{member} of {whole}");
    assert!(filtered * 4 < whole, "{filtered} of {whole}");
    assert!(whole < record, "{whole} of {record}");
    assert_eq!(bytes("SELECT count(*) FROM $").await, 0, "the manifest knows");
}

#[tokio::test]
async fn digging_into_the_record_reads_no_column_that_values_of_it_are_left_out_for() {
    let test = TestEngine::new().await;
    test.ingest_in(minutes(1440)).await;
    test.lake.flush().await.unwrap();
    let bytes = |filter: &'static str| {
        let statement = format!("SELECT eventName FROM $ WHERE {filter}");
        let test = &test;
        async move { test.ask(&statement).await.1.statistics.bytes_scanned }
    };
    let stored = bytes("json_extract_scalar(eventJson, '$.requestParameters.name') = 'thing-1'").await;
    let whole = bytes("eventJson LIKE '%\"name\":\"thing-1\"%'").await;
    // Event ids and request ids do not compress.
    assert!(stored * 2 < whole, "{stored} of {whole}");
}

#[tokio::test]
async fn several_stores_are_read_in_one_statement() {
    let test = TestEngine::new().await;
    let other = StoreId::random();
    test.ingest_in(minutes(10)).await;
    test.ingest(minutes(4).map(|event| event.to(other).build()).collect()).await;
    let statement = format!("SELECT eventName FROM $ UNION ALL SELECT eventName FROM {other}");
    assert_eq!(test.rows(&statement).await.len(), 14);
    let id = test.start(&statement).await.unwrap();
    test.finished(id).await;
    for store in [test.store, other] {
        let listed = test.engine.list(store, &Default::default()).await.unwrap();
        assert!(listed.queries.iter().any(|query| query.id == id));
    }
}

#[tokio::test]
async fn hidden_columns_are_not_seen() {
    let test = TestEngine::new().await;
    test.ingest_in(minutes(3)).await;
    assert!(test.start("SELECT _position FROM $").await.is_err());
    let id = test.start("SELECT * FROM $").await.unwrap();
    let record = test.finished(id).await;
    assert_eq!(record.columns.len(), 35);
    assert!(record.columns.iter().all(|column| !column.starts_with('_')));
    assert_eq!(test.rows_of(id).await[0].len(), 35);
}
