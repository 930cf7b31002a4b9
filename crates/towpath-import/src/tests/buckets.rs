//! Imports from a bucket: what is imported, passed over, listed as a failure.

use super::*;

#[tokio::test]
async fn a_bucket_with_a_trail_is_imported_whole_and_byte_for_byte() {
    let fixture = Fixture::new();
    let all = fill(&fixture.store, 1..=3, 5).await;
    fixture.store.put_text("AWSLogs/111111111111/CloudTrail-Digest/us-east-1/2024/01/01/d.json.gz", gzip("{")).await;
    fixture.store.put_text("AWSLogs/111111111111/Config/c.json.gz", gzip("{")).await;
    fixture.store.put_text("AWSLogs/111111111111/CloudTrail/probe", "").await;
    let org = "AWSLogs/o-abc/222222222222/CloudTrail/eu-west-1/2024/01/09/x.json.gz";
    fixture.store.put_text(org, log_file(&[record(9, 0)])).await;

    let import = fixture.import("s3://bucket").await;

    assert_eq!(import.status, ImportStatus::Completed);
    let expected = Statistics {
        prefixes_found: 4,
        prefixes_completed: 4,
        files_completed: 16,
        events_completed: 61,
        failed_entries: 0,
    };
    assert_eq!(import.statistics, expected);
    let mut texts = all;
    texts.insert(record(9, 0));
    assert_eq!(fixture.sink.texts(), texts);
    assert!(fixture.sink.events.lock().iter().all(|event| event.destinations.as_slice() == [fixture.destination]));
    assert!(fixture.importer.running_of(owner().account).await.unwrap().is_none());
}

#[tokio::test]
async fn events_outside_the_range_or_older_than_the_retention_are_passed_over() {
    let fixture = Fixture::new();
    fill(&fixture.store, 1..=9, 1).await;
    let time = |text: &str| Some(text.parse::<Timestamp>().unwrap());
    let cases = [
        (time("2024-01-03T00:00:00Z"), None, None, 3..=9),
        (None, time("2024-01-04T10:00:00Z"), None, 1..=4),
        (time("2024-01-02T10:00:00Z"), time("2024-01-05T09:59:59Z"), None, 2..=4),
        (time("2024-01-02T00:00:00Z"), None, time("2024-01-08T00:00:00Z"), 8..=9),
    ];
    for (start, end, cutoff, days) in cases {
        fixture.sink.events.lock().clear();
        let request = NewImport { range: TimeRange { start, end, cutoff }, ..fixture.request("s3://bucket") };
        let id = fixture.importer.start(request).await.unwrap().id;
        let import = fixture.over(id).await;
        assert_eq!(import.status, ImportStatus::Completed);
        let expected: BTreeSet<_> = days.flat_map(|day| (0..4).map(move |number| record(day, number))).collect();
        assert_eq!(fixture.sink.texts(), expected);
        assert_eq!(import.statistics.events_completed, expected.len() as u64);
    }
    // Files of days that cannot matter were not even fetched.
    assert!(fixture.store.gets.lock().len() < 4 * 9);
}

#[tokio::test]
async fn failures_are_listed_per_file_and_a_retry_goes_through_them() {
    let fixture = Fixture::new();
    let all = fill(&fixture.store, 1..=2, 5).await;
    fixture.store.refuse(&path(1, 0), "denied");
    fixture.store.refuse(&path(1, 1), "gone");
    fixture.store.refuse(&path(1, 2), "archived");
    fixture.store.refuse(&path(1, 3), "other");
    fixture.store.refuse("AWSLogs/111111111111/CloudTrail/us-east-1/2024/01/02", "denied");
    let day = "AWSLogs/111111111111/CloudTrail/us-east-1/2024/01/03";
    let bad = [
        ("plain.json", Bytes::from(format!("[{}]", record(3, 0))), "the file is not gzip"),
        ("cut.gz", Bytes::from(log_file(&[record(3, 1)])).slice(..60), "the gzip data end too early"),
        ("digest.gz", gzip(r#"{"digestStartTime":"x"}"#).into(), "the file is a CloudTrail digest, not a log file"),
        ("text.gz", gzip("hello").into(), "the file is not JSON text"),
        (
            "some.gz",
            log_file(&[record(3, 2), "{}".to_owned()]).into(),
            "1 of 2 records are no events: record 2 at byte 122: not an event: no eventTime",
        ),
    ];
    for (name, bytes, _) in &bad {
        fixture.store.put_text(&format!("{day}/{name}"), bytes.clone()).await;
    }

    let import = fixture.import("s3://bucket").await;

    assert_eq!((import.status, import.statistics.failed_entries), (ImportStatus::Failed, 10));
    assert_eq!((import.statistics.files_completed, import.statistics.events_completed), (1, 5));
    let failures = fixture.failures(import.id).await;
    let kind = |path: &str| failures[&format!("s3://bucket/{path}")].kind.as_str();
    assert_eq!(
        [0, 1, 2, 3].map(|file| kind(&path(1, file))),
        ["AccessDenied", "NotFound", "Archived", "SourceUnavailable"]
    );
    assert_eq!(kind("AWSLogs/111111111111/CloudTrail/us-east-1/2024/01/02"), "AccessDenied");
    for (name, _, message) in &bad {
        let failure = &failures[&format!("s3://bucket/{day}/{name}")];
        assert_eq!((failure.kind, failure.status), (FailureKind::InvalidFormat, FailureStatus::Failed));
        assert!(failure.message.starts_with(message), "{name}: {}", failure.message);
    }
    assert!(failures.values().all(|failure| !failure.message.contains("secret-host")));

    fixture.store.heal();
    for (name, ..) in &bad {
        fixture.store.put_text(&format!("{day}/{name}"), log_file(&[record(3, 2)])).await;
    }
    fixture.clock.advance(Duration::from_secs(60));
    let retried = fixture.importer.retry(&owner(), import.id, None, RECORD_BYTES).await.unwrap();
    assert_eq!((retried.id, retried.status), (import.id, ImportStatus::Initializing));
    let over = fixture.over(import.id).await;

    assert_eq!(
        (over.status, over.statistics.failed_entries),
        (ImportStatus::Completed, 0),
        "{:?}",
        fixture.failures(import.id).await
    );
    assert_eq!(over.statistics.files_completed, 15);
    assert_eq!(over.statistics.events_completed, 45);
    assert!(fixture.failures(import.id).await.values().all(|failure| failure.status == FailureStatus::Succeeded));
    let mut texts = all;
    texts.insert(record(3, 2));
    assert_eq!(fixture.sink.texts(), texts);
    let again = fixture.importer.retry(&owner(), import.id, None, RECORD_BYTES).await;
    assert!(matches!(again, Err(ImportError::NotRetryable { .. })));
}

#[tokio::test]
async fn failures_come_in_pages() {
    let fixture = Fixture::new();
    for file in 0..25 {
        fixture.store.put_text(&path(1, file), "{}").await;
    }
    let import = fixture.import("s3://bucket").await;
    let (mut token, mut seen) = (None, BTreeSet::new());
    loop {
        let page = fixture.importer.failures(&owner(), import.id, token.as_deref(), 10).await.unwrap();
        assert!(page.items.len() <= 10);
        seen.extend(page.items.into_iter().map(|failure| failure.location));
        token = page.next;
        if token.is_none() {
            break;
        }
    }
    assert_eq!(seen.len(), 25);
    let bad = fixture.importer.failures(&owner(), import.id, Some("x/y"), 10).await;
    assert!(matches!(bad, Err(ImportError::Token)));
    let unknown = fixture.importer.failures(&owner(), ImportId::random(), None, 10).await;
    assert!(matches!(unknown, Err(ImportError::NotFound(_))));
}

#[tokio::test]
async fn too_many_failures_end_an_import_and_a_retry_goes_on_behind_them() {
    let fixture = Fixture::with(ImporterSettings { parallel_files: 2, max_failures: 3, ..ImporterSettings::default() });
    let all = fill(&fixture.store, 1..=3, 4).await;
    for file in 0..4 {
        fixture.store.refuse(&path(1, file), "other");
    }
    let import = fixture.import("s3://bucket").await;
    assert_eq!((import.status, import.statistics.failed_entries), (ImportStatus::Failed, 3));
    fixture.store.heal();
    fixture.importer.retry(&owner(), import.id, None, RECORD_BYTES).await.unwrap();
    let over = fixture.over(import.id).await;
    assert_eq!((over.status, over.statistics.files_completed), (ImportStatus::Completed, 12));
    assert_eq!(fixture.sink.texts(), all);
}

#[tokio::test]
async fn an_account_has_one_running_import() {
    let fixture = Fixture::new();
    fill(&fixture.store, 1..=1, 1).await;
    fixture.sink.plan.lock().hang_after = Some(0);
    let first = fixture.importer.start(fixture.request("s3://bucket")).await.unwrap();
    let second = fixture.importer.start(fixture.request("s3://bucket")).await;
    assert!(matches!(second, Err(ImportError::Ongoing)));
    assert_eq!(fixture.importer.running_of(owner().account).await.unwrap().unwrap().id, first.id);
    let other = Owner { account: "999999999999".parse().unwrap(), ..owner() };
    assert!(fixture.importer.running_of(other.account).await.unwrap().is_none());
    let theirs = NewImport { owner: other.clone(), ..fixture.request("s3://bucket") };
    assert!(fixture.importer.start(theirs).await.is_ok());
    assert!(matches!(fixture.importer.get(&other, first.id).await, Err(ImportError::NotFound(_))));
}

#[tokio::test]
async fn a_busy_log_and_small_appends_lose_nothing() {
    let fixture = Fixture::new();
    let all = fill(&fixture.store, 1..=2, 3).await;
    *fixture.sink.plan.lock() = Plan { busy: 8, most: Some(1), ..Plan::default() };
    let import = fixture.import("s3://bucket").await;
    assert_eq!((import.status, import.statistics.events_completed), (ImportStatus::Completed, 24));
    assert_eq!(fixture.sink.texts(), all);

    fixture.sink.plan.lock().most = Some(0);
    let import = fixture.import("s3://bucket").await;
    assert_eq!((import.statistics.events_completed, import.statistics.failed_entries), (0, 6));
    assert!(
        fixture
            .failures(import.id)
            .await
            .values()
            .all(|failure| failure.message == "4 events are larger than the log takes")
    );
}

#[tokio::test]
async fn imports_are_listed_newest_first_in_pages() {
    let fixture = Fixture::new();
    fill(&fixture.store, 1..=1, 1).await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.insert(0, fixture.import("s3://bucket").await.id);
        fixture.clock.advance(Duration::from_secs(1));
    }
    fixture.store.put_text(&path(2, 0), "x").await;
    let failed = fixture.import("s3://bucket").await.id;

    let list = |filter, token: Option<String>, limit| {
        let importer = fixture.importer.clone();
        async move { importer.list(&owner(), filter, token.as_deref(), limit).await.unwrap() }
    };
    let completed = ListFilter { status: Some(ImportStatus::Completed), ..ListFilter::default() };
    let first = list(completed, None, 2).await;
    let second = list(completed, first.next.clone(), 2).await;
    let third = list(completed, second.next.clone(), 2).await;
    let seen: Vec<_> = [first, second, third.clone()].into_iter().flat_map(|page| page.items).map(|i| i.id).collect();
    assert_eq!((seen, third.next), (ids, None));

    let into = ListFilter { destination: Some(fixture.destination.store), ..ListFilter::default() };
    assert_eq!(list(into, None, 10).await.items[0].id, failed);
    let elsewhere = ListFilter { destination: Some(StoreId::random()), ..ListFilter::default() };
    assert!(list(elsewhere, None, 10).await.items.is_empty());
    for token in ["x", &ImportId::random().to_string()] {
        assert!(matches!(fixture.importer.list(&owner(), into, Some(token), 10).await, Err(ImportError::Token)));
    }
}

#[tokio::test]
async fn a_source_that_cannot_be_opened_is_an_error_at_the_start_and_a_failure_later() {
    let fixture = Fixture::new();
    let all = fill(&fixture.store, 1..=1, 2).await;
    assert!(matches!(fixture.importer.start(fixture.request("https://x")).await, Err(ImportError::Source(_))));
    assert!(fixture.importer.running_of(owner().account).await.unwrap().is_none());

    fixture.sink.plan.lock().hang_after = Some(0);
    let id = fixture.importer.start(fixture.request("s3://bucket")).await.unwrap().id;
    while fixture.sink.plan.lock().appends == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let reborn = fixture.reborn();
    fixture.store.refuse("open", "other");
    reborn.importer.resume().await.unwrap();
    let over = reborn.over(id).await;
    assert_eq!((over.status, over.statistics.failed_entries), (ImportStatus::Failed, 1));
    assert!(reborn.failures(id).await.contains_key("s3://bucket"));

    fixture.store.heal();
    reborn.importer.retry(&owner(), id, None, RECORD_BYTES).await.unwrap();
    let over = reborn.over(id).await;
    assert_eq!((over.status, over.statistics.failed_entries), (ImportStatus::Completed, 0));
    assert_eq!(reborn.sink.texts(), all);
}

#[tokio::test]
async fn small_files_of_a_bucket_are_imported_in_groups_in_the_order_of_the_walk() {
    let fixture = Fixture::with(ImporterSettings { parallel_files: 48, ..ImporterSettings::default() });
    let all = fill(&fixture.store, 1..=9, 60).await;
    // A file that is read piece by piece lies between small ones.
    let long: Vec<_> = (0..40_000).map(|number| record(5, 100_000 + number)).collect();
    fixture.store.put_text(&path(5, 30), log_file(&long)).await;
    let import = fixture.import("s3://bucket").await;
    assert_eq!((import.status, import.statistics.files_completed), (ImportStatus::Completed, 540));
    assert_eq!(import.statistics.events_completed as usize, all.len() - 4 + long.len());
    let texts = fixture.sink.texts();
    assert!(long.iter().all(|record| texts.contains(record)));
    let appends = fixture.sink.plan.lock().appends;
    assert!(appends < 300, "{appends} appends for 540 files");
}

#[tokio::test]
async fn a_source_that_falls_silent_fails_the_file() {
    let settings = ImporterSettings { silence: Duration::from_millis(50), ..ImporterSettings::default() };
    let fixture = Fixture::with(settings);
    let upload = fixture.importer.open_upload(upload(&fixture)).await.unwrap();
    let first = futures::stream::iter([Ok(Bytes::from(record(1, 0)))]);
    let silent = first.chain(futures::stream::pending()).boxed();
    let report = upload.offer(mark("a", "1"), Input::Stream(silent)).await.unwrap();
    assert_eq!((report.events, report.failure().unwrap().0), (1, FailureKind::SourceUnavailable));
}
