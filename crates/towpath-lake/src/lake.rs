//! The lake: follows the log, keeps every store's rows, answers with snapshots.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arrow::array::RecordBatch;
use jiff::Timestamp;
use tokio::sync::{Notify, mpsc, watch};

use towpath_meta::{MetaStore, MetaStoreExt};
use towpath_model::{Clock, EventKey, EventTime, Position, StoreId, StoreKind, SystemClock};

use crate::commit::{Change, Durable, Gate, MAX_REMOVED, StoreRecord, names, place_staged};
use crate::datafile::DataFile;
use crate::error::LakeError;
use crate::hot::Chunk;
use crate::keys::{KeyIndex, Run, RunInfo};
use crate::objects::Objects;
use crate::read;
use crate::settings::LakeSettings;
use crate::snapshot::{Located, Snapshot, StoreSnapshot, StoreStats};
use crate::state::{Retention, State, Store};

/// Why the lake does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A setting cannot work.
    #[error(transparent)]
    Settings(#[from] crate::settings::SettingsError),
    /// Storage or metadata failed.
    #[error("cannot open the lake")]
    Lake(#[from] LakeError),
}

/// All stores' rows: the newest in memory, the others in Parquet files.
///
/// Clones are handles of the same lake. Every event of the log that is routed to a store is a row of it once, however
/// often it was appended and whatever failed in between. The lake can be rebuilt from the log as far as the log goes
/// back; what it has released there is durable here.
#[derive(Clone)]
pub struct Lake {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub objects: Objects,
    pub meta: Arc<dyn MetaStore>,
    pub clock: Arc<dyn Clock>,
    pub settings: LakeSettings,
    pub keys: KeyIndex,
    // Held for a few lines, never across an await.
    pub state: parking_lot::Mutex<State>,
    pub applied: watch::Sender<Position>,
    // Chunks to convert in the background; as many as hot rows make.
    pub full: mpsc::UnboundedSender<Arc<Chunk>>,
    // Each makes one kind of work happen one at a time. Taken in this order, the gate last.
    pub applying: tokio::sync::Mutex<()>,
    pub flushing: tokio::sync::Mutex<()>,
    pub maintaining: tokio::sync::Mutex<()>,
    pub gate: tokio::sync::Mutex<Gate>,
    // Rung when the hot tail wants to be flushed, and when a flush is over.
    pub flush_wanted: Notify,
    pub flushed: Notify,
    // Long work in the background gives up: the process wants to end, and nothing waits for the result.
    pub stopping: AtomicBool,
}

/// Opens a [`Lake`].
pub struct LakeBuilder {
    meta: Arc<dyn MetaStore>,
    objects: Objects,
    clock: Arc<dyn Clock>,
    settings: LakeSettings,
}

impl LakeBuilder {
    /// Uses this clock; the system's by default.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Uses these settings.
    #[must_use]
    pub fn settings(mut self, settings: LakeSettings) -> Self {
        self.settings = settings;
        self
    }

    /// Reads the manifest and the key index and returns the lake as of its durable position.
    ///
    /// Nothing is followed or maintained until [`Lake::run`].
    pub async fn open(self) -> Result<Lake, OpenError> {
        self.settings.check()?;
        let Self { meta, objects, clock, settings } = self;
        let failed = |cause| LakeError::Meta { doing: "read the manifest", cause };
        let durable = meta.get_json::<Durable>(&names::position()).await.map_err(failed)?;
        let made = durable.as_ref().map(|record| record.value.commit);
        place_staged(&*meta, made, settings.commit_bytes).await.map_err(failed)?;
        let durable = durable.map_or(Position::ZERO, |record| record.value.position);

        let mut stores: HashMap<StoreId, Store> = HashMap::new();
        for record in meta.list_all_json::<StoreRecord>(&names::stores()).await.map_err(failed)? {
            let Ok(id) = record.key.last_part().parse::<StoreId>() else { continue };
            stores.entry(id).or_insert_with(|| Store::new(record.value.kind)).retention = record.value.retention;
        }
        for record in meta.list_all_json::<DataFile>(&names::manifest()).await.map_err(failed)? {
            let file = record.value;
            let store = stores.entry(file.store).or_insert_with(|| Store::new(file.kind));
            Arc::make_mut(&mut store.files).push(Arc::new(file));
        }
        let infos = meta.list_all_json::<RunInfo>(&names::runs()).await.map_err(failed)?;
        let infos: Vec<_> = infos.into_iter().map(|record| record.value).collect();
        let known = infos.iter().map(|info| info.id).collect();
        let (runs, broken) = open_runs(&objects, infos).await?;

        let (full, mut chunks) = mpsc::unbounded_channel::<Arc<Chunk>>();
        tokio::spawn(async move {
            while let Some(chunk) = chunks.recv().await {
                // A failure shows again, and is reported, to whoever needs the batch.
                let _ = tokio::task::spawn_blocking(move || chunk.batch().is_ok()).await;
            }
        });
        let state = State { applied: durable, durable, stores, ..State::default() };
        let inner = Arc::new(Inner {
            objects,
            meta,
            clock,
            settings,
            keys: KeyIndex::new(runs),
            state: parking_lot::Mutex::new(state),
            applied: watch::Sender::new(durable),
            full,
            applying: Default::default(),
            flushing: Default::default(),
            maintaining: Default::default(),
            gate: Default::default(),
            flush_wanted: Notify::new(),
            flushed: Notify::new(),
            stopping: AtomicBool::new(false),
        });
        if broken {
            inner.rebuild_keys(known).await?;
        }
        Ok(Lake { inner })
    }
}

/// Opens what runs can be opened; says whether others are lost.
async fn open_runs(objects: &Objects, infos: Vec<RunInfo>) -> Result<(Vec<Arc<Run>>, bool), LakeError> {
    let objects = objects.clone();
    let opened = tokio::task::spawn_blocking(move || {
        let (mut runs, mut broken) = (Vec::new(), false);
        for info in infos {
            let id = info.id;
            match Run::open(&objects, info) {
                Ok(run) => runs.push(Arc::new(run)),
                Err(error) if error.lost() => {
                    tracing::warn!(%error, run = %id, "key run is lost");
                    broken = true;
                }
                Err(error) => return Err(error),
            }
        }
        Ok((runs, broken))
    });
    opened.await.unwrap_or(Err(LakeError::Closed))
}

impl Lake {
    /// Starts opening a lake whose manifest is in `meta` and whose files are in `objects`.
    pub fn builder(meta: Arc<dyn MetaStore>, objects: Objects) -> LakeBuilder {
        LakeBuilder { meta, objects, clock: Arc::new(SystemClock), settings: LakeSettings::default() }
    }

    /// Every event below was applied: it is in the next snapshot.
    pub fn applied(&self) -> Position {
        *self.inner.applied.borrow()
    }

    /// Every event below is in files: after a restart the lake asks the log for this position and what follows.
    pub fn durable(&self) -> Position {
        self.inner.state.lock().durable
    }

    /// How many of the events below `committed` were not applied yet.
    pub fn lag(&self, committed: Position) -> u64 {
        committed.since(self.applied())
    }

    /// Where the files are.
    pub fn objects(&self) -> &Objects {
        &self.inner.objects
    }

    /// Waits until every event below `at` was applied.
    pub async fn wait_applied(&self, at: Position) -> Result<(), LakeError> {
        let mut applied = self.inner.applied.subscribe();
        applied.wait_for(|applied| *applied >= at).await.map(drop).map_err(|_| LakeError::Closed)
    }

    /// The named stores as of one moment at which every event below `at` was applied; waits for that moment.
    ///
    /// A store the lake has no row of is there, empty. The kind counts only for such a store.
    pub async fn snapshot(&self, stores: &[(StoreId, StoreKind)], at: Position) -> Result<Snapshot, LakeError> {
        self.wait_applied(at).await?;
        let now = self.inner.clock.now();
        let (position, taken) = {
            let mut state = self.inner.state.lock();
            let taken: Vec<_> = stores.iter().map(|(id, kind)| take(&mut state, *id, *kind, now)).collect();
            (state.applied, taken)
        };
        let convert = move || {
            let mut stores = Vec::with_capacity(taken.len());
            for (mut store, chunks) in taken {
                store.hot = batches(store.store, &chunks)?;
                store.position = position;
                stores.push(store);
            }
            Ok(Snapshot { position, stores })
        };
        tokio::task::spawn_blocking(convert).await.unwrap_or(Err(LakeError::Closed))
    }

    /// Where the event with this key lies in the store, if the store has it.
    pub async fn find(&self, store: StoreId, key: EventKey) -> Result<Option<Located>, LakeError> {
        {
            let state = self.inner.state.lock();
            if state.dropped(store) {
                return Ok(None);
            }
            if let Some(hot) = state.hot_key(store, key) {
                return Ok(Some(Located { time: hot.time, files: Vec::new() }));
            }
        }
        // Nearly every key is new, and that is known without a thread.
        if !self.inner.keys.may_find(store, key) {
            return Ok(None);
        }
        let look = || async {
            let this = self.inner.clone();
            let found = tokio::task::spawn_blocking(move || this.keys.find(store, key)).await;
            self.mend(found.unwrap_or(Err(LakeError::Closed))).await
        };
        let found = match look().await {
            Err(LakeError::Keys { .. }) => look().await?,
            found => found?,
        };
        let Some(time) = found else { return Ok(None) };
        let state = self.inner.state.lock();
        let Some(store) = state.stores.get(&store) else { return Ok(None) };
        let files: Vec<_> = store.files.iter().filter(|file| file.may_overlap(time, time)).cloned().collect();
        // A key outlives its row when the row expired.
        Ok((!files.is_empty()).then_some(Located { time, files }))
    }

    /// When the event with this key was admitted to the store, if the store has it.
    pub async fn admitted_at(&self, store: StoreId, key: EventKey) -> Result<Option<Timestamp>, LakeError> {
        {
            let state = self.inner.state.lock();
            if let Some(hot) = state.hot_key(store, key).filter(|_| !state.dropped(store)) {
                return Ok(Some(hot.admitted));
            }
        }
        let Some(located) = self.find(store, key).await? else { return Ok(None) };
        let objects = self.inner.objects.clone();
        let search = move || {
            for file in &located.files {
                if let Some(admitted) = read::admitted(&objects, file, key, located.time)? {
                    return Ok(Some(admitted));
                }
            }
            Ok(None)
        };
        tokio::task::spawn_blocking(search).await.unwrap_or(Err(LakeError::Closed))
    }

    /// Keeps the rows of a store for `days` after their `eventtime`; `None` keeps them for ever.
    ///
    /// What has expired by the retention so far does not come back when the retention is made longer.
    pub async fn set_retention(&self, store: StoreId, kind: StoreKind, days: Option<u32>) -> Result<(), LakeError> {
        let now = self.inner.clock.now();
        let old = self.inner.state.lock().stores.get(&store).map(|store| store.retention).unwrap_or_default();
        if old.dropped || (old.days == days && self.inner.state.lock().stores.contains_key(&store)) {
            return Ok(());
        }
        let retention = Retention { days, floor: old.cutoff(now), dropped: false };
        self.inner.commit(Change::Retain { store, kind, retention, removed: Vec::new() }).await
    }

    /// Removes everything of a store, for good. Its id is never used again: events still routed to it are ignored.
    pub async fn drop_store(&self, store: StoreId) -> Result<(), LakeError> {
        loop {
            let (kind, mut retention, removed, left) = {
                let state = self.inner.state.lock();
                let Some(found) = state.stores.get(&store) else { return Ok(()) };
                let removed: Vec<_> = found.files.iter().map(|file| file.id).take(MAX_REMOVED).collect();
                (found.kind, found.retention, removed, found.files.len() > MAX_REMOVED)
            };
            if retention.dropped && removed.is_empty() {
                return Ok(());
            }
            retention.dropped = true;
            match self.inner.commit(Change::Retain { store, kind, retention, removed }).await {
                // A compaction replaced files in between: look again.
                Err(LakeError::Meta { cause, .. }) if cause.is_conflict() => {}
                Err(error) => return Err(error),
                Ok(()) if left => {}
                Ok(()) => return Ok(()),
            }
        }
    }

    /// Figures of a store; all zero for one that the lake does not know.
    pub fn stats(&self, id: StoreId) -> StoreStats {
        let state = self.inner.state.lock();
        let mut stats = StoreStats::default();
        let Some(store) = state.stores.get(&id).filter(|store| !store.retention.dropped) else { return stats };
        for file in store.files.iter() {
            stats.rows += file.rows;
            stats.raw_bytes += file.raw_bytes;
            stats.file_bytes += file.size;
            stats.files += 1;
            stats.widen(file.times.0, file.times.1);
        }
        let hot = state.tails.figures(id);
        stats.rows += hot.rows as u64;
        stats.raw_bytes += hot.raw_bytes() as u64;
        if let Some((first, last)) = hot.times {
            stats.widen(first, last);
        }
        stats
    }
}

impl StoreStats {
    fn widen(&mut self, first: EventTime, last: EventTime) {
        self.times = Some(self.times.map_or((first, last), |(min, max)| (min.min(first), max.max(last))));
    }
}

/// Takes a store's files and hot chunks; the hot batches are still to be made.
fn take(state: &mut State, id: StoreId, kind: StoreKind, now: Timestamp) -> (StoreSnapshot, Vec<Arc<Chunk>>) {
    let empty = StoreSnapshot {
        store: id,
        kind,
        files: Arc::default(),
        hot: Vec::new(),
        cutoff: None,
        position: state.applied,
    };
    let Some(store) = state.stores.get(&id) else { return (empty, Vec::new()) };
    let cutoff = store.retention.cutoff(now);
    let kind = store.kind;
    if store.retention.dropped {
        return (StoreSnapshot { kind, ..empty }, Vec::new());
    }
    (StoreSnapshot { kind, files: store.files.clone(), cutoff, ..empty }, state.tails.all(id))
}

/// The batches of chunks. Not for async threads.
pub(crate) fn batches(store: StoreId, chunks: &[Arc<Chunk>]) -> Result<Vec<RecordBatch>, LakeError> {
    chunks.iter().map(|chunk| chunk.batch().map_err(|cause| LakeError::Convert { store, cause })).collect()
}

impl fmt::Debug for Lake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lake").field("applied", &self.applied()).field("durable", &self.durable()).finish()
    }
}
