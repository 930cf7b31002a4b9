//! Measures delivery: events in a log become log files in a bucket on the local disk.
//!
//! `cargo run --release -p towpath-trail --example deliver -- [events] [gzip level] [threads] [trails]`

use std::collections::HashMap;
use std::fs;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result as StoreResult,
};
use towpath_log::{FileLogStorage, Log};
use towpath_meta::{MemoryMetaStore, MetaStore};
use towpath_model::{Category, Event, EventKey, EventTime, Trail, TrailId, TrailSelectors};
use towpath_testkit::{SharedData, TestEvent};
use towpath_trail::{BucketError, Buckets, Delivery, SealError, Sealer, SigningKeys, TrailSettings, TrailSource};
use zeroize::Zeroizing;

/// A bucket on the local disk, which has no place for attributes.
#[derive(Debug)]
struct Disk(LocalFileSystem);

impl std::fmt::Display for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Disk")
    }
}

#[async_trait]
impl ObjectStore for Disk {
    async fn put_opts(&self, path: &Path, payload: PutPayload, _: PutOptions) -> StoreResult<PutResult> {
        self.0.put_opts(path, payload, PutOptions::default()).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> StoreResult<Box<dyn MultipartUpload>> {
        self.0.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> StoreResult<GetResult> {
        self.0.get_opts(path, options).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, StoreResult<Path>>) -> BoxStream<'static, StoreResult<Path>> {
        self.0.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, StoreResult<ObjectMeta>> {
        self.0.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> StoreResult<ListResult> {
        self.0.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> StoreResult<()> {
        self.0.copy_opts(from, to, options).await
    }
}

struct Surroundings {
    bucket: Arc<Disk>,
    trails: Vec<Arc<Trail>>,
}

#[async_trait]
impl Buckets for Surroundings {
    async fn open(&self, _: &str) -> Result<Arc<dyn ObjectStore>, BucketError> {
        Ok(self.bucket.clone())
    }
}

impl TrailSource for Surroundings {
    fn trails(&self) -> Vec<Arc<Trail>> {
        self.trails.clone()
    }
}

impl Sealer for Surroundings {
    fn seal(&self, _: &str, plain: &[u8]) -> Result<String, SealError> {
        String::from_utf8(plain.iter().flat_map(|b| format!("{b:02x}").into_bytes()).collect())
            .map_err(|error| SealError(error.to_string()))
    }

    fn open(&self, _: &str, _: &str) -> Result<Zeroizing<Vec<u8>>, SealError> {
        Err(SealError("nothing is opened here".to_owned()))
    }
}

fn trail(number: usize) -> Trail {
    let now = jiff::Timestamp::now();
    Trail {
        id: TrailId::random(),
        account: "000000000001".parse().expect("twelve digits"),
        home_region: "us-east-1".parse().expect("a region"),
        name: format!("trail{number}").parse().expect("a name"),
        bucket: "bucket".to_owned(),
        prefix: Some(format!("trail{number}")),
        kms_key_id: None,
        log_file_validation: false,
        sns_topic_arn: None,
        cloud_watch_logs: None,
        include_global_service_events: true,
        multi_region: true,
        organization: None,
        selectors: TrailSelectors::Default,
        insight_selectors: Vec::new(),
        aggregations: Vec::new(),
        logging: true,
        started: Some(now),
        stopped: None,
        created: now,
        updated: now,
    }
}

/// Texts to deliver: real records where there are some, at most 1.4 KB each.
fn texts() -> Vec<String> {
    let real = SharedData::find().map(|data| data.cloudtrail_records("sans504-s3-ransomware"));
    let real: Vec<String> = real
        .into_iter()
        .flatten()
        .map(|record| record.get().to_owned())
        .filter(|text| (1_000..1_400).contains(&text.len()))
        .collect();
    if real.is_empty() {
        return (0..10_000).map(|n| TestEvent::management("RunInstances").user(&format!("user{n}")).json()).collect();
    }
    real
}

fn usage() -> (u64, HashMap<&'static str, f64>) {
    // Peak memory and processor time of this process, where the system tells.
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.trim().parse().ok());
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok()).unwrap_or_default() / 100.0;
    (peak.unwrap_or_default(), HashMap::from([("user", ticks(11)), ("system", ticks(12))]))
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let argument = |at: usize, default: usize| {
        std::env::args().nth(at).map_or(default, |text| text.parse().expect("arguments are numbers"))
    };
    let (count, level, workers, trails) = (argument(1, 500_000), argument(2, 2), argument(3, 2), argument(4, 1));
    let folder = tempfile::tempdir().expect("a folder for the run");
    let storage = FileLogStorage::open(folder.path().join("log")).expect("a folder for the log");
    let log = Log::builder(Arc::new(storage)).open().expect("an empty log opens");
    let bucket = folder.path().join("bucket");
    fs::create_dir(&bucket).expect("a folder for the bucket");
    let bucket = Arc::new(Disk(LocalFileSystem::new_with_prefix(&bucket).expect("the folder is there")));
    let surroundings = Arc::new(Surroundings { bucket, trails: (0..trails).map(|n| Arc::new(trail(n))).collect() });
    let settings =
        TrailSettings { gzip_level: level as u32, workers, cadence_seconds: 86_400, ..TrailSettings::default() };
    let meta: Arc<dyn MetaStore> = Arc::new(MemoryMetaStore::new());
    let keys = Arc::new(SigningKeys::new(meta.clone(), surroundings.clone(), &settings));
    let staged = folder.path().join("trails");
    let delivery = Delivery::builder(meta, log.clone(), staged, surroundings.clone(), surroundings.clone(), keys)
        .settings(settings)
        .open()
        .await
        .expect("an empty delivery opens");

    let texts = texts();
    let ids: Vec<TrailId> = surroundings.trails.iter().map(|trail| trail.id).collect();
    let (mut appended, mut bytes) = (0usize, 0usize);
    while appended < count {
        let events: Vec<Event> = (appended..count.min(appended + 1_000))
            .map(|at| {
                let json = texts[at % texts.len()].clone();
                bytes += json.len();
                Event {
                    key: EventKey::of(None, json.as_bytes()),
                    time: EventTime::from(jiff::Timestamp::now()),
                    admitted: jiff::Timestamp::now(),
                    category: Category::Management,
                    account: "000000000001".parse().expect("twelve digits"),
                    region: ["us-east-1", "eu-central-1"][at % 10 / 9].parse().expect("a region"),
                    destinations: Default::default(),
                    trails: ids.iter().copied().collect(),
                    json: json.into(),
                }
            })
            .collect();
        appended += events.len();
        log.append(events).await.expect("the log takes events");
    }
    let (_, before) = usage();
    let started = Instant::now();
    let stop = tokio_util::sync::CancellationToken::new();
    let running = tokio::spawn({
        let (delivery, stop) = (delivery.clone(), stop.clone());
        async move { delivery.run(stop).await }
    });
    delivery.flush().await;
    let staged = started.elapsed();
    let waiting = || fs::read_dir(folder.path().join("trails")).map_or(0, Iterator::count);
    while waiting() > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    let took = started.elapsed();
    let (peak, after) = usage();
    stop.cancel();
    running.await.expect("the delivery does not panic").expect("the delivery ends well");
    let packed = size_of(&folder.path().join("bucket"));
    let delivered = (count * trails) as f64;
    println!(
        "events {count} x {trails} trails, {} bytes each, level {level}, {workers} threads: {:.0} events/s, {:.1} MB/s of text, ratio {:.2}, staged after {:.2} s, delivered after {:.2} s, processor {:.2} s user {:.2} s system, peak memory {} MB",
        bytes / count,
        delivered / took.as_secs_f64(),
        (bytes * trails) as f64 / took.as_secs_f64() / 1e6,
        (bytes * trails) as f64 / packed as f64,
        staged.as_secs_f64(),
        took.as_secs_f64(),
        after["user"] - before["user"],
        after["system"] - before["system"],
        peak / 1024,
    );
}

fn size_of(folder: &std::path::Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => size_of(&entry.path()),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        })
        .sum()
}
