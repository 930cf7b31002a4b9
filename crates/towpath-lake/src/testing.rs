//! What the tests of this crate share: real records, made-up events, a failing object store.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use arrow::array::AsArray;
use futures::TryStreamExt;
use jiff::Timestamp;
use object_store::ObjectStore;
use object_store::memory::InMemory;
use serde_json::value::RawValue;

use towpath_meta::{FailingMetaStore, MemoryMetaStore, MetaStoreExt};
use towpath_model::{Category, Destination, Event, EventKey, EventTime, ManualClock, Position, StoreId, StoreKind};

use crate::batch::Row;
use crate::commit::names;
use crate::encode::{positions, times};
use crate::error::LakeError;
use crate::keys::RunInfo;
use crate::lake::Lake;
use crate::objects::Objects;
use crate::read;
use crate::record::records;
use crate::settings::LakeSettings;
use crate::snapshot::StoreSnapshot;

mod objects;

pub(crate) use objects::{FailingObjects, ObjectFault};

/// The folder with real data; tests fail without it.
pub(crate) fn shared() -> PathBuf {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared");
    std::env::var_os("TOWPATH_SHARED").map_or_else(|| default.into(), PathBuf::from)
}

/// Every real CloudTrail record, source text untouched.
pub(crate) fn real_records() -> Vec<String> {
    static RECORDS: OnceLock<Vec<String>> = OnceLock::new();
    RECORDS.get_or_init(|| records_of("")).clone()
}

/// The real CloudTrail records of the source with this name; of every source if it is empty.
pub(crate) fn records_of(source: &str) -> Vec<String> {
    #[derive(serde::Deserialize)]
    struct File<'a> {
        #[serde(rename = "Records", borrow)]
        records: Vec<&'a RawValue>,
    }
    let folder = shared().join("data/cloudtrail");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{} holds the real data: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(&format!("{source}.json.gz")))
        .collect();
    files.sort();
    let mut records = Vec::new();
    for path in files {
        let mut text = String::new();
        flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
        let file: File<'_> = serde_json::from_str(&text).unwrap();
        records.extend(file.records.into_iter().map(|raw| raw.get().to_owned()));
    }
    records
}

/// The row that admission would make of a record; a time in 2021 where it has none.
pub(crate) fn row_of(position: u64, json: String) -> Row {
    #[derive(serde::Deserialize)]
    struct Head {
        #[serde(rename = "eventID")]
        id: Option<serde_json::Value>,
        #[serde(rename = "eventTime")]
        time: Option<serde_json::Value>,
    }
    let head: Head = serde_json::from_str(&json).unwrap_or(Head { id: None, time: None });
    let key = EventKey::of(head.id.as_ref().and_then(|id| id.as_str()), json.as_bytes());
    let time = head.time.as_ref().and_then(|time| EventTime::parse(time.as_str()?).ok());
    Row {
        position: Position::new(position),
        key,
        time: time.unwrap_or(EventTime::from_millis(1_627_480_923_000).unwrap()),
        admitted: Timestamp::from_microsecond(1_700_000_000_000_000 + position as i64).unwrap(),
        json: json.into(),
    }
}

/// The event that admission would make of a record, routed to `stores`.
pub(crate) fn event_of(number: u64, json: String, stores: &[StoreId]) -> Event {
    let row = row_of(number, json);
    Event {
        key: row.key,
        time: row.time,
        admitted: row.admitted,
        category: Category::Management,
        account: "000000000000".parse().unwrap(),
        region: "us-east-1".parse().unwrap(),
        destinations: stores.iter().map(|store| Destination { store: *store, kind: StoreKind::CloudTrail }).collect(),
        trails: Default::default(),
        json: row.json,
    }
}

/// A made-up event: `id` decides its identity, `day` and `second` its time.
pub(crate) fn made_up(id: u64, day: i64, second: i64, stores: &[StoreId]) -> Event {
    let time = EventTime::from_millis((day * 86_400 + second) * 1000).unwrap();
    // Some have a UUID, some another id, some none.
    let id_member = match id % 5 {
        0 => format!(r#""eventID":"odd-{id}","#),
        1 => String::new(),
        _ => format!(r#""eventID":"{}","#, uuid::Uuid::from_u128(u128::from(id) * 0x9e37_79b9_7f4a_7c15_f39c)),
    };
    let json = format!(
        r#"{{{id_member}"eventTime":"{time}","eventName":"Event{}","number":{id},"userIdentity":{{"accessKeyId":"AKIA{}"}}}}"#,
        id % 7,
        id % 100,
    );
    event_of(id, json, stores)
}

/// The store with this number.
pub(crate) fn store(number: u128) -> StoreId {
    StoreId::from_uuid(uuid::Uuid::from_u128(number + 1))
}

/// A lake on storage that can fail, fed from a log that is a list, and the rows that it must have.
pub(crate) struct TestLake {
    pub meta: Arc<FailingMetaStore<MemoryMetaStore>>,
    pub objects: FailingObjects,
    pub clock: Arc<ManualClock>,
    pub settings: LakeSettings,
    pub lake: Lake,
    /// Everything ever appended.
    pub log: Vec<Event>,
}

/// Day on which the clock of a [`TestLake`] starts.
pub(crate) const TODAY: i64 = 20_000;

impl TestLake {
    pub async fn new() -> Self {
        Self::with(|_| ()).await
    }

    /// A lake whose settings are changed by `set`.
    pub async fn with(set: impl FnOnce(&mut LakeSettings)) -> Self {
        let mut settings = LakeSettings { settle_seconds: 60, compact_files: 4, ..LakeSettings::default() };
        set(&mut settings);
        let meta = Arc::new(FailingMetaStore::new(MemoryMetaStore::new()));
        let objects = FailingObjects::new(Arc::new(InMemory::new()));
        let clock = Arc::new(ManualClock::at(Timestamp::from_second(TODAY * 86_400 + 43_200).unwrap()));
        let lake = Self::open(&meta, &objects, &clock, &settings).await;
        Self { meta, objects, clock, settings, lake, log: Vec::new() }
    }

    async fn open(
        meta: &Arc<FailingMetaStore<MemoryMetaStore>>,
        objects: &FailingObjects,
        clock: &Arc<ManualClock>,
        settings: &LakeSettings,
    ) -> Lake {
        let objects = Objects::durable(Arc::new(objects.clone()));
        let builder = Lake::builder(meta.clone(), objects).clock(clock.clone()).settings(settings.clone());
        builder.open().await.unwrap()
    }

    /// Appends events to the log; the lake does not know of them yet.
    pub fn append(&mut self, events: impl IntoIterator<Item = Event>) {
        self.log.extend(events);
    }

    /// Applies what the log has and the lake has not.
    pub async fn apply(&self) -> Result<(), LakeError> {
        let from = self.lake.applied();
        let events = self.log[from.as_u64() as usize..].to_vec();
        self.lake.apply(from, events).await
    }

    /// As if the process had died: storage stays, memory goes. Applies the log again from the durable position.
    pub async fn crash(&mut self) {
        self.meta.heal();
        self.objects.heal();
        self.lake = Self::open(&self.meta, &self.objects, &self.clock, &self.settings).await;
        self.apply().await.unwrap();
    }

    /// The stores that the log names.
    pub fn stores(&self) -> BTreeSet<StoreId> {
        self.log.iter().flat_map(|event| event.destinations.iter().map(|to| to.store)).collect()
    }

    /// The rows that `store` must have: the first event of each key, below `end`.
    pub fn expected(&self, store: StoreId, end: Position) -> BTreeMap<u64, String> {
        let mut seen = HashSet::new();
        let mut rows = BTreeMap::new();
        for (at, event) in self.log.iter().enumerate().take(end.as_u64() as usize) {
            let here = event.destinations.iter().any(|to| to.store == store);
            if here && seen.insert(event.key) {
                rows.insert(at as u64, String::from_utf8(event.json.to_vec()).unwrap());
            }
        }
        rows
    }

    /// Reads every store in full and compares with the log.
    pub async fn check(&self) {
        for store in self.stores() {
            let snapshot = self.lake.snapshot(&[(store, StoreKind::CloudTrail)], Position::ZERO).await.unwrap();
            let rows = read_all(&self.lake, &snapshot.stores[0]).await;
            let expected = self.expected(store, snapshot.position);
            assert_eq!(rows.len(), expected.len(), "rows of {store}");
            assert!(rows == expected, "rows of {store} differ from the log");
        }
    }

    /// Every object in storage.
    pub async fn stored(&self) -> BTreeSet<String> {
        let listed: Vec<_> = self.objects.inner.list(None).try_collect().await.unwrap();
        listed.into_iter().map(|object| object.location.to_string()).collect()
    }

    /// Every object that the metadata store names.
    pub async fn named(&self) -> BTreeSet<String> {
        let files = self.meta.list_all_json::<crate::DataFile>(&names::manifest()).await.unwrap();
        let runs = self.meta.list_all_json::<RunInfo>(&names::runs()).await.unwrap();
        let files = files.into_iter().map(|file| file.value.path().to_string());
        files.chain(runs.into_iter().map(|run| run.value.path().to_string())).collect()
    }
}

/// Every live row of a store: position to record; panics if a position comes twice or a file is out of order.
pub(crate) async fn read_all(lake: &Lake, store: &StoreSnapshot) -> BTreeMap<u64, String> {
    let (lake, store) = (lake.clone(), store.clone());
    let read = move || {
        let mut batches = store.hot.clone();
        for file in store.files.iter() {
            let read: Result<Vec<_>, _> = read::rows(lake.objects(), file, None, 500).unwrap().collect();
            let read = read.unwrap();
            let ordered = read.iter().flat_map(|batch| times(batch).to_vec()).collect::<Vec<_>>();
            assert!(ordered.is_sorted(), "{} is in order", file.path());
            assert_eq!(ordered.len() as u64, file.rows);
            batches.extend(read);
        }
        let cutoff = store.cutoff.map_or(i64::MIN, EventTime::as_millis);
        let mut rows = BTreeMap::new();
        for batch in batches {
            let json = records(StoreKind::CloudTrail, &batch).unwrap();
            let json = json.as_string::<i32>();
            for row in 0..batch.num_rows() {
                let position = positions(&batch)[row];
                if times(&batch)[row] >= cutoff {
                    let twice = rows.insert(position, json.value(row).to_owned());
                    assert!(twice.is_none(), "position {position} comes twice");
                }
            }
        }
        rows
    };
    tokio::task::spawn_blocking(read).await.unwrap()
}
