//! Whole imports against stores, logs and metadata that fail when told.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::stream::{BoxStream, StreamExt};
use jiff::Timestamp;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::*;
use parking_lot::Mutex;

use towpath_log::{AppendError, FileLogStorage, Log};
use towpath_meta::{FailingMetaStore, Fault as MetaFault, MemoryMetaStore, MetaStore};
use towpath_model::{Destination, Event, EventKey, ManualClock, StoreId, StoreKind};

use super::*;

mod record_size;

/// The longest record that the tests' stores take.
const RECORD_BYTES: usize = 1024 * 1024;

/// A store that refuses what it is told to.
#[derive(Debug, Default)]
struct TestStore {
    inner: InMemory,
    refused: Mutex<BTreeMap<String, &'static str>>,
    gets: Mutex<Vec<String>>,
}

impl fmt::Display for TestStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TestStore")
    }
}

impl TestStore {
    async fn put_text(&self, path: &str, bytes: impl Into<Bytes>) {
        self.inner.put(&Path::from(path), bytes.into().into()).await.unwrap();
    }

    fn refuse(&self, path: &str, how: &'static str) {
        self.refused.lock().insert(path.to_owned(), how);
    }

    fn heal(&self) {
        self.refused.lock().clear();
    }

    fn check(&self, path: &str) -> Result<()> {
        let source = || Box::<dyn std::error::Error + Send + Sync>::from("secret-host refused");
        let path_text = path.to_owned();
        match self.refused.lock().get(path) {
            None => Ok(()),
            Some(&"denied") => Err(Error::PermissionDenied { path: path_text, source: source() }),
            Some(&"gone") => Err(Error::NotFound { path: path_text, source: source() }),
            Some(&"archived") => Err(Error::Generic { store: "S3", source: "403 InvalidObjectState".into() }),
            Some(_) => Err(Error::Generic { store: "S3", source: source() }),
        }
    }
}

#[async_trait]
impl ObjectStore for TestStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.gets.lock().push(location.to_string());
        self.check(location.as_ref())?;
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.check(prefix.map_or("", |prefix| prefix.as_ref()))?;
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

#[async_trait]
impl OpenSource for Arc<TestStore> {
    async fn open(&self, source: &ImportSource) -> std::result::Result<OpenedSource, SourceError> {
        self.check("open").map_err(SourceError::Client)?;
        let ImportSource::S3 { uri, .. } = source else { return Sources::default().open(source).await };
        let root = uri.strip_prefix("s3://bucket").ok_or(SourceError::Uri)?.trim_start_matches('/');
        let root = Path::from(root);
        let loose = !root.is_root();
        Ok(OpenedSource { store: self.clone(), root, base: "s3://bucket/".to_owned(), gzip_only: true, loose })
    }
}

/// A log that keeps events in memory.
#[derive(Default)]
struct TestSink {
    events: Mutex<Vec<Event>>,
    plan: Mutex<Plan>,
}

#[derive(Default)]
struct Plan {
    /// So many appends are answered `Busy` first.
    busy: usize,
    /// After so many appends none returns any more, as if the process had died.
    hang_after: Option<usize>,
    /// Appends of more events are too large.
    most: Option<usize>,
    /// Appends with a longer event are too large.
    too_long: Option<usize>,
    appends: usize,
}

impl TestSink {
    fn keys(&self) -> BTreeSet<EventKey> {
        self.events.lock().iter().map(|event| event.key).collect()
    }

    fn texts(&self) -> BTreeSet<String> {
        self.events.lock().iter().map(|event| String::from_utf8(event.json.to_vec()).unwrap()).collect()
    }
}

#[async_trait]
impl EventSink for TestSink {
    async fn append(&self, events: Vec<Event>) -> std::result::Result<(), AppendError> {
        let hang = {
            let mut plan = self.plan.lock();
            if plan.busy > 0 {
                plan.busy -= 1;
                return Err(AppendError::Busy);
            }
            let long = |longest| events.iter().any(|event| event.json.len() > longest);
            if plan.most.is_some_and(|most| events.len() > most) || plan.too_long.is_some_and(long) {
                return Err(AppendError::TooLarge { bytes: events.len(), limit: 0 });
            }
            plan.appends += 1;
            plan.hang_after.is_some_and(|after| plan.appends > after)
        };
        if hang {
            std::future::pending::<()>().await;
        }
        self.events.lock().extend(events);
        Ok(())
    }
}

/// An importer with everything it needs, and the means to kill it.
struct Fixture {
    store: Arc<TestStore>,
    meta: Arc<FailingMetaStore<MemoryMetaStore>>,
    sink: Arc<TestSink>,
    clock: Arc<ManualClock>,
    destination: Destination,
    settings: ImporterSettings,
    importer: Importer,
}

impl Fixture {
    fn new() -> Self {
        Self::with(ImporterSettings { parallel_files: 3, ..ImporterSettings::default() })
    }

    fn with(settings: ImporterSettings) -> Self {
        let store = Arc::new(TestStore::default());
        let meta = Arc::new(FailingMetaStore::new(MemoryMetaStore::new()));
        let sink = Arc::new(TestSink::default());
        let clock = Arc::new(ManualClock::at("2024-06-01T00:00:00Z".parse().unwrap()));
        let importer = Importer::new(meta.clone(), sink.clone(), Arc::new(store.clone()), clock.clone(), settings);
        let destination = Destination { store: StoreId::random(), kind: StoreKind::CloudTrail };
        Self { store, meta, sink, clock, destination, settings, importer }
    }

    /// Goes on as another process would, with a log that works.
    fn reborn(&self) -> Self {
        self.meta.heal();
        let sink = Arc::new(TestSink::default());
        let sources = Arc::new(self.store.clone());
        let importer = Importer::new(self.meta.clone(), sink.clone(), sources, self.clock.clone(), self.settings);
        let (store, meta, clock) = (self.store.clone(), self.meta.clone(), self.clock.clone());
        Self { store, meta, sink, clock, destination: self.destination, settings: self.settings, importer }
    }

    fn request(&self, uri: &str) -> NewImport {
        NewImport {
            owner: owner(),
            destination: self.destination,
            source: ImportSource::S3 {
                uri: uri.to_owned(),
                region: "us-east-1".to_owned(),
                role_arn: "arn:aws:iam::123456789012:role/r".to_owned(),
            },
            range: TimeRange::default(),
            record_bytes: RECORD_BYTES,
        }
    }

    async fn over(&self, id: ImportId) -> Import {
        for _ in 0..2_000 {
            let import = self.importer.get(&owner(), id).await.unwrap();
            if !import.status.is_running() {
                return import;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("import {id} does not end");
    }

    async fn import(&self, uri: &str) -> Import {
        let import = self.importer.start(self.request(uri)).await.unwrap();
        assert_eq!(import.status, ImportStatus::Initializing);
        self.over(import.id).await
    }

    async fn failures(&self, id: ImportId) -> BTreeMap<String, Failure> {
        let page = self.importer.failures(&owner(), id, None, 1_000).await.unwrap();
        assert_eq!(page.next, None);
        page.items.into_iter().map(|failure| (failure.location.clone(), failure)).collect()
    }
}

fn owner() -> Owner {
    Owner { account: "123456789012".parse().unwrap(), region: "us-east-1".parse().unwrap() }
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn record(day: u32, number: usize) -> String {
    format!(
        r#"{{"eventVersion":"1.08","eventTime":"2024-01-{day:02}T10:00:00Z","eventID":"{day}-{number}","eventName":"X","x":[1,{{"y":null}}]}}"#
    )
}

fn log_file(records: &[String]) -> Vec<u8> {
    gzip(&format!(r#"{{"Records":[{}]}}"#, records.join(",")))
}

fn path(day: u32, file: usize) -> String {
    let name = format!("111111111111_CloudTrail_us-east-1_202401{day:02}T1005Z_{file:016}.json.gz");
    format!("AWSLogs/111111111111/CloudTrail/us-east-1/2024/01/{day:02}/{name}")
}

/// Fills a bucket with days of files of four records; returns the texts of all records.
async fn fill(store: &TestStore, days: std::ops::RangeInclusive<u32>, files: usize) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for day in days {
        for file in 0..files {
            let records: Vec<_> = (0..4).map(|number| record(day, 4 * file + number)).collect();
            store.put_text(&path(day, file), log_file(&records)).await;
            all.extend(records);
        }
    }
    all
}

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

fn mark(name: &str, version: &str) -> FileMark {
    FileMark { name: name.to_owned(), version: version.to_owned() }
}

fn upload(fixture: &Fixture) -> NewUpload {
    NewUpload {
        owner: owner(),
        destination: fixture.destination,
        label: "/logs".to_owned(),
        range: TimeRange::default(),
        record_bytes: RECORD_BYTES,
    }
}

#[tokio::test]
async fn an_upload_takes_files_in_any_form_and_tells_what_became_of_each() {
    let fixture = Fixture::new();
    let upload = fixture.importer.open_upload(upload(&fixture)).await.unwrap();
    let plain = format!("{}\n{}\n", record(1, 0), record(1, 1));
    let report = upload.offer(mark("a.json", "1"), Input::Bytes(plain.into())).await.unwrap();
    assert_eq!((report.events, report.failure()), (2, None));

    let bytes = Bytes::from(log_file(&[record(1, 2), record(1, 3), "{}".to_owned()]));
    let pieces: Vec<_> = bytes.chunks(7).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    let report = upload.offer(mark("b.gz", "1"), Input::Stream(futures::stream::iter(pieces).boxed())).await.unwrap();
    assert_eq!((report.events, report.problem_count, report.problems[0].number), (2, 1, 3));
    assert_eq!(report.failure().unwrap().0, FailureKind::InvalidFormat);

    let broken: Vec<std::io::Result<Bytes>> = vec![Ok("[".into()), Err(std::io::ErrorKind::ConnectionReset.into())];
    let report = upload.offer(mark("c", "1"), Input::Stream(futures::stream::iter(broken).boxed())).await.unwrap();
    assert_eq!(report.failure().unwrap().0, FailureKind::SourceUnavailable);
    assert_eq!(upload.status().await.unwrap().statistics.failed_entries, 2);

    // A file that is offered again in a better state is no failure any more.
    let report = upload.offer(mark("c", "2"), Input::Bytes("[]".into())).await.unwrap();
    assert_eq!(report.failure(), None);
    let import = upload.finish().await.unwrap();

    assert_eq!((import.status, import.statistics.failed_entries), (ImportStatus::Failed, 1));
    assert_eq!((import.statistics.files_completed, import.statistics.events_completed), (2, 4));
    assert_eq!(fixture.failures(import.id).await["c"].status, FailureStatus::Succeeded);
    assert_eq!(fixture.sink.keys().len(), 4);
    let closed = fixture.importer.upload(&owner(), import.id).await;
    assert!(matches!(closed, Err(ImportError::NotAnUpload(_))));
}

#[tokio::test]
async fn small_files_share_appends_and_each_has_its_own_report() {
    let fixture = Fixture::new();
    let upload = fixture.importer.open_upload(upload(&fixture)).await.unwrap();
    assert!(!upload.is_resumed());
    let mut files: Vec<_> = (0..50usize)
        .map(|file| {
            let records: Vec<_> = (0..=file % 3).map(|number| record(1, 10 * file + number)).collect();
            (mark(&format!("{file}.gz"), "1"), Bytes::from(log_file(&records)))
        })
        .collect();
    files[10].1 = Bytes::from_static(b"no log file");
    files[20].1 = Bytes::from(log_file(&[record(1, 7000), "{}".to_owned(), record(1, 7001)]));
    files[30].1.truncate(30);
    let reports = upload.offer_all(files.clone()).await.unwrap();

    assert_eq!(fixture.sink.plan.lock().appends, 1);
    let failed: Vec<_> = (0..50).filter(|file| reports[*file].failure().is_some()).collect();
    assert_eq!(failed, [10, 20, 30]);
    assert_eq!((reports[20].events, reports[20].problems[0].number), (2, 2));
    for file in (0..50).filter(|file| !failed.contains(file)) {
        assert_eq!(reports[file].events as usize, file % 3 + 1, "{file}");
    }
    let appended: u64 = reports.iter().map(|report| report.events).sum();
    assert_eq!(fixture.sink.keys().len() as u64, appended);
    let import = upload.status().await.unwrap();
    assert_eq!((import.statistics.files_completed, import.statistics.failed_entries), (47, 3));
    assert_eq!(import.statistics.events_completed, appended);

    // Offered again in a better state, before and after the state was written.
    files[10].1 = Bytes::from(log_file(&[record(2, 0)]));
    upload.offer_all(vec![files[10].clone()]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    files[30].1 = Bytes::from(log_file(&[record(2, 1)]));
    upload.offer_all(vec![files[30].clone()]).await.unwrap();
    let import = upload.finish().await.unwrap();
    assert_eq!((import.statistics.files_completed, import.statistics.failed_entries), (49, 1));
    let failures = fixture.failures(import.id).await;
    assert_eq!(failures.values().filter(|failure| failure.status == FailureStatus::Failed).count(), 1);
}

#[tokio::test]
async fn events_of_a_batch_that_the_log_refuses_are_counted_with_their_file() {
    let fixture = Fixture::new();
    fixture.sink.plan.lock().too_long = Some(400);
    let upload = fixture.importer.open_upload(upload(&fixture)).await.unwrap();
    let long = record(1, 5).replace("\"X\"", &format!("\"{}\"", "X".repeat(500)));
    let files = [vec![record(1, 0), record(1, 1)], vec![record(1, 2), long.clone(), record(1, 3)], vec![long]];
    let files = files.iter().enumerate().map(|(n, records)| (mark(&n.to_string(), "1"), log_file(records).into()));
    let reports = upload.offer_all(files.collect()).await.unwrap();
    let events: Vec<_> = reports.iter().map(|report| report.events).collect();
    assert_eq!(events, [2, 2, 0]);
    assert_eq!(fixture.sink.keys().len(), 4);
    assert_eq!(reports[0].failure(), None);
    assert_eq!(reports[1].failure().unwrap().1, "1 events are larger than the log takes");
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

#[tokio::test]
async fn an_interrupted_upload_is_found_again_and_asks_for_the_rest() {
    let fixture = Fixture::new();
    let first = fixture.importer.open_upload(upload(&fixture)).await.unwrap();
    for name in ["a", "b"] {
        first.offer(mark(name, "1"), Input::Bytes(record(1, 0).into())).await.unwrap();
    }
    fixture.importer.shutdown().await;

    let reborn = fixture.reborn();
    let second = reborn.importer.open_upload(upload(&fixture)).await.unwrap();
    assert_eq!(second.id(), first.id());
    assert!(second.is_resumed());
    let pending = second.pending(&[mark("a", "1"), mark("b", "2"), mark("c", "1")]).await.unwrap();
    assert_eq!(pending, [false, true, true]);
    assert!(reborn.importer.runs_into(fixture.destination.store).await.unwrap());
    second.offer(mark("c", "1"), Input::Bytes(record(1, 1).into())).await.unwrap();
    let import = second.finish().await.unwrap();
    assert_eq!((import.status, import.statistics.files_completed), (ImportStatus::Completed, 3));
    assert!(!reborn.importer.runs_into(fixture.destination.store).await.unwrap());

    let third = reborn.importer.open_upload(upload(&fixture)).await.unwrap();
    assert_ne!(third.id(), first.id());
    let stopped = reborn.importer.stop(&owner(), third.id()).await.unwrap();
    assert_eq!(stopped.status, ImportStatus::Stopped);
}

#[tokio::test]
async fn the_sample_data_are_imported_from_a_folder_into_a_real_log() {
    let root = std::env::var_os("TOWPATH_SHARED").map(PathBuf::from);
    let root = root.unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")));
    let folder = root.join("data/cloudtrail");
    if !folder.exists() {
        eprintln!("skipped: {} is absent", folder.display());
        return;
    }
    let fixture = Fixture::new();
    let dir = tempfile::tempdir().unwrap();
    let log = Log::builder(Arc::new(FileLogStorage::open(dir.path()).unwrap())).open().unwrap();
    let meta: Arc<dyn MetaStore> = Arc::new(MemoryMetaStore::new());
    let settings = ImporterSettings::default();
    let importer =
        Importer::new(meta, Arc::new(log.clone()), Arc::new(Sources::default()), fixture.clock.clone(), settings);
    let source = ImportSource::Folder { path: folder.display().to_string() };
    let import = importer.start(NewImport { source, ..fixture.request("") }).await.unwrap();
    let import = loop {
        let import = importer.get(&owner(), import.id).await.unwrap();
        if !import.status.is_running() {
            break import;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };

    // Every record is an event or reported: 124 of the samples have no usable time or are no events of the AWS API.
    assert_eq!(import.statistics.events_completed, 24_520 - 124);
    assert_eq!(log.committed().as_u64(), 24_520 - 124);
    assert_eq!((import.status, import.statistics.files_completed), (ImportStatus::Failed, 7));
    let failures = importer.failures(&owner(), import.id, None, 100).await.unwrap().items;
    let message = |name: &str| {
        let failure = failures.iter().find(|failure| failure.location.ends_with(name));
        failure.map(|failure| failure.message.clone()).unwrap_or_default()
    };
    assert_eq!(failures.len(), 5);
    assert!(message("cloud-custodian.json.gz").starts_with("1 of 25 records are no events: record "));
    assert!(
        message("otrf-security-datasets.json.gz")
            .starts_with("103 of 103 records are no events: record 1 at byte 12: ")
    );
    assert!(message("streamalert.json.gz").starts_with("20 of 65 records"));
    assert!(message("delivery.ndjson.gz").starts_with("3872 of 3872 records"));
    assert_eq!(message("files.tsv"), "the file is not JSON text");
    importer.shutdown().await;
    log.close().await;
}
