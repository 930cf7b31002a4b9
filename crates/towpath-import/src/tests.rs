//! Whole imports against stores, logs and metadata that fail when told.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Write as _;
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

use towpath_log::AppendError;
use towpath_meta::{FailingMetaStore, Fault as MetaFault, MemoryMetaStore, MetaStore};
use towpath_model::{Destination, Event, EventKey, ManualClock, StoreId, StoreKind};

use super::*;

mod buckets;
mod interruptions;
mod record_size;
mod samples;
mod uploads;

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
            Some(&"archived") => Err(Error::Generic {
                store: "S3",
                source: "status code: 403: <Error><Code>InvalidObjectState</Code></Error>".into(),
            }),
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
