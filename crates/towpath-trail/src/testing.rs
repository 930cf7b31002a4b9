//! What the tests of this crate share: a world with a log, trails, buckets and a clock, all of which can fail.

mod store;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use futures::TryStreamExt;
use jiff::Timestamp;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use parking_lot::Mutex;
use rsa::RsaPrivateKey;
use towpath_log::sim::SimDisk;
use towpath_log::{Log, LogSettings};
use towpath_meta::{FailingMetaStore, MemoryMetaStore, MetaStore};
use towpath_model::{Category, Clock, Event, EventKey, EventTime, ManualClock, Trail, TrailId};
use zeroize::Zeroizing;

use crate::chain::Digester;
use crate::delivery::{Delivery, Shared};
use crate::error::DeliveryError;
use crate::notify::Notifier;
use crate::upload::TrailUpload;
use crate::window::Windows;
use crate::{SealError, Sealer, SigningKeys, TrailSettings, TrailSource};

pub(crate) use store::TestBuckets;

/// Seals nothing; tests look at keys, not at secrecy.
pub(crate) struct PlainSealer;

impl Sealer for PlainSealer {
    fn seal(&self, name: &str, plain: &[u8]) -> Result<String, SealError> {
        Ok(format!("{name}:{}", hex::encode(plain)))
    }

    fn open(&self, name: &str, sealed: &str) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let plain = sealed.strip_prefix(name).and_then(|rest| hex::decode(&rest[1..]).ok());
        plain.map(Zeroizing::new).ok_or_else(|| SealError("not sealed for this name".to_owned()))
    }
}

/// An RSA key; making one takes long, so that tests share them.
pub(crate) fn test_key(number: usize) -> RsaPrivateKey {
    static KEYS: [OnceLock<RsaPrivateKey>; 2] = [OnceLock::new(), OnceLock::new()];
    let make = || RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).unwrap();
    KEYS[number].get_or_init(make).clone()
}

/// Trails as the service would know them.
#[derive(Default)]
pub(crate) struct TestTrails(Mutex<BTreeMap<TrailId, Arc<Trail>>>);

impl TestTrails {
    pub(crate) fn put(&self, trail: Trail) {
        self.0.lock().insert(trail.id, Arc::new(trail));
    }

    pub(crate) fn remove(&self, trail: TrailId) {
        self.0.lock().remove(&trail);
    }
}

impl TrailSource for TestTrails {
    fn trails(&self) -> Vec<Arc<Trail>> {
        self.0.lock().values().cloned().collect()
    }
}

/// Everything that outlives a process.
pub(crate) struct World {
    pub(crate) meta: Arc<FailingMetaStore<MemoryMetaStore>>,
    pub(crate) log: Log,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) buckets: Arc<TestBuckets>,
    pub(crate) trails: Arc<TestTrails>,
    pub(crate) settings: TrailSettings,
    pub(crate) folder: tempfile::TempDir,
    next: AtomicU64,
}

/// A process: what is lost in a crash.
pub(crate) struct Process {
    pub(crate) delivery: Delivery,
    pub(crate) windows: Windows,
    pub(crate) digester: Digester,
}

pub(crate) const START: &str = "2026-11-21T08:00:00Z";

impl World {
    pub(crate) async fn new() -> Self {
        let disk = SimDisk::new(1);
        let log = Log::builder(disk.process()).settings(LogSettings::default()).open().unwrap();
        let clock = Arc::new(ManualClock::at(START.parse().unwrap()));
        let world = Self {
            meta: Arc::new(FailingMetaStore::new(MemoryMetaStore::new())),
            log,
            buckets: Arc::new(TestBuckets::by(clock.clone())),
            clock,
            trails: Arc::default(),
            settings: TrailSettings { stop_grace_ms: 0, ..TrailSettings::default() },
            folder: tempfile::tempdir().unwrap(),
            next: AtomicU64::new(0),
        };
        let keys = world.keys();
        let (start, end) = ("2026-01-01T00:00:00Z".parse().unwrap(), "2030-01-01T00:00:00Z".parse().unwrap());
        for region in ["us-east-1", "eu-central-1"] {
            keys.keep(&region.parse().unwrap(), test_key(0), start, end).await.unwrap();
        }
        world
    }

    pub(crate) fn keys(&self) -> SigningKeys {
        SigningKeys::new(self.meta.clone(), Arc::new(PlainSealer), &self.settings)
    }

    pub(crate) async fn process(&self) -> Process {
        self.process_with(Vec::new()).await
    }

    /// Starts a process, once more where the first attempt meets a fault.
    pub(crate) async fn process_with(&self, notifiers: Vec<Arc<dyn Notifier>>) -> Process {
        for _ in 0..2 {
            if let Some(process) = self.try_process(notifiers.clone()).await {
                return process;
            }
        }
        panic!("the process does not start");
    }

    /// A delivery that nothing was taken from.
    pub(crate) async fn open(&self, notifiers: Vec<Arc<dyn Notifier>>) -> Option<Delivery> {
        let meta: Arc<dyn MetaStore> = self.meta.clone();
        let keys = Arc::new(self.keys());
        let folder: PathBuf = self.folder.path().to_owned();
        let (buckets, trails) = (self.buckets.clone(), self.trails.clone());
        let mut builder = Delivery::builder(meta, self.log.clone(), folder, buckets, trails, keys)
            .clock(self.clock.clone())
            .settings(self.settings.clone());
        for notifier in notifiers {
            builder = builder.notifier(notifier);
        }
        let delivery = builder.open().await.ok()?;
        Some(delivery)
    }

    pub(crate) async fn try_process(&self, notifiers: Vec<Arc<dyn Notifier>>) -> Option<Process> {
        let delivery = self.open(notifiers).await?;
        let windows = delivery.take_windows();
        let digester = Digester::new(delivery.shared().clone());
        Some(Process { delivery, windows, digester })
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Appends events for trails; returns their texts.
    pub(crate) async fn append(&self, count: usize, trails: &[TrailId], region: &str) -> Vec<String> {
        let texts: Vec<String> = (0..count)
            .map(|_| {
                let number = self.next.fetch_add(1, Ordering::SeqCst);
                format!("{{\"eventID\":\"e{number}\",\"spelling\": 1.50}}")
            })
            .collect();
        self.append_texts(texts.clone(), trails, region).await;
        texts
    }

    /// Appends events with these texts.
    pub(crate) async fn append_texts(&self, texts: Vec<String>, trails: &[TrailId], region: &str) {
        self.append_of("000000000001", texts, trails, region).await;
    }

    /// Appends events of an account.
    pub(crate) async fn append_of(&self, account: &str, texts: Vec<String>, trails: &[TrailId], region: &str) {
        self.append_category(Category::Management, account, texts, trails, region).await;
    }

    /// Appends data events of these names.
    pub(crate) async fn append_data(&self, names: &[&str], trails: &[TrailId]) -> Vec<String> {
        let text = |name: &&str| {
            let number = self.next.fetch_add(1, Ordering::SeqCst);
            format!("{{\"eventID\":\"e{number}\",\"eventSource\":\"s3.amazonaws.com\",\"eventName\":\"{name}\"}}")
        };
        let texts: Vec<String> = names.iter().map(text).collect();
        self.append_category(Category::Data, "000000000001", texts.clone(), trails, "us-east-1").await;
        texts
    }

    async fn append_category(
        &self,
        category: Category,
        account: &str,
        texts: Vec<String>,
        trails: &[TrailId],
        region: &str,
    ) {
        let event = |json: String| Event {
            key: EventKey::of(None, json.as_bytes()),
            time: EventTime::from(self.now()),
            admitted: self.now(),
            category,
            account: account.parse().unwrap(),
            region: region.parse().unwrap(),
            destinations: Default::default(),
            trails: trails.iter().copied().collect(),
            json: json.into(),
        };
        for texts in texts.chunks(1_000) {
            self.log.append(texts.iter().cloned().map(event).collect()).await.unwrap();
        }
    }

    /// The text of every object below a folder, by key.
    pub(crate) async fn objects(&self, bucket: &str, folder: &str) -> BTreeMap<String, Vec<u8>> {
        let store = self.buckets.get(bucket);
        let found: Vec<ObjectMeta> = store.inner.list(None).try_collect().await.unwrap();
        let mut texts = BTreeMap::new();
        for meta in found.into_iter().filter(|meta| meta.location.as_ref().contains(&format!("/{folder}/"))) {
            let packed = store.inner.get(&meta.location).await.unwrap().bytes().await.unwrap();
            let mut text = Vec::new();
            MultiGzDecoder::new(&packed[..]).read_to_end(&mut text).unwrap();
            texts.insert(meta.location.to_string(), text);
        }
        texts
    }

    /// The texts of all delivered events.
    pub(crate) async fn delivered(&self, bucket: &str) -> Vec<String> {
        let mut events = Vec::new();
        for text in self.objects(bucket, "CloudTrail").await.into_values() {
            let text = String::from_utf8(text).unwrap();
            let records = text.strip_prefix("{\"Records\":[").unwrap().strip_suffix("]}").unwrap();
            let ends = records.match_indices("},{").map(|(at, _)| at + 1);
            let mut from = 0;
            for end in ends.chain([records.len()]) {
                events.push(records[from..end].to_owned());
                from = end + 1;
            }
        }
        events
    }
}

impl Process {
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        self.delivery.shared()
    }

    /// One round of everything.
    pub(crate) async fn step(&mut self) -> Result<(), DeliveryError> {
        self.windows.step().await?;
        self.upload().await?;
        self.digester.pass().await?;
        self.upload().await
    }

    /// Steps until one succeeds, as the running delivery does.
    pub(crate) async fn settle(&mut self) {
        for _ in 0..4 {
            match self.step().await {
                Ok(()) => return,
                Err(_) => self.windows.recover(&tokio_util::sync::CancellationToken::new()).await,
            };
        }
        panic!("the delivery does not recover");
    }

    pub(crate) async fn upload(&self) -> Result<(), DeliveryError> {
        let trails: Vec<TrailId> = self.shared().known.lock().keys().copied().collect();
        for trail in trails {
            TrailUpload::new(self.shared().clone(), trail).round().await?;
        }
        Ok(())
    }
}

/// A trail that logs with digests.
pub(crate) fn trail(name: &str, bucket: &str, now: Timestamp) -> Trail {
    let (account, home) = ("000000000001".parse().unwrap(), "us-east-1".parse().unwrap());
    Trail {
        prefix: Some("logs".to_owned()),
        log_file_validation: true,
        multi_region: true,
        logging: true,
        started: Some(now),
        ..Trail::new(account, home, name.parse().unwrap(), bucket.to_owned(), now)
    }
}
