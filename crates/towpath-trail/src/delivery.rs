//! The delivery of all trails as its surroundings see it.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use towpath_log::Log;
use towpath_meta::{Expect, MAX_PAGE, MetaStore, MetaStoreExt, Record, Typed, Write};
use towpath_model::{Clock, SystemClock, Trail, TrailId, TrailStatus};
use tracing::info;

use crate::buckets::{Buckets, TrailSource};
use crate::chain::Digester;
use crate::error::{DeliveryError, OpenError, RunError};
use crate::log_file::counts_name;
use crate::notify::{Notifier, Notifiers};
use crate::record::{self, ChainId, Known, Progress, Staged};
use crate::recorded::RecordedChain;
use crate::settings::TrailSettings;
use crate::signing_key::SigningKeys;
use crate::stager::sync_folder;
use crate::upload::Uploads;
use crate::window::Windows;

/// Delivers events of the log to the buckets of trails. Clones are handles of the same delivery.
#[derive(Clone)]
pub struct Delivery {
    shared: Arc<Shared>,
    flushes: mpsc::Sender<oneshot::Sender<()>>,
    // What `run` takes.
    parts: Arc<Mutex<Option<Parts>>>,
}

struct Parts {
    windows: Windows,
    flushes: mpsc::Receiver<oneshot::Sender<()>>,
}

/// What the tasks of the delivery have in common.
pub(crate) struct Shared {
    pub(crate) meta: Arc<dyn MetaStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: Arc<TrailSettings>,
    /// Where staged files lie.
    pub(crate) folder: PathBuf,
    pub(crate) buckets: Arc<dyn Buckets>,
    pub(crate) trails: Arc<dyn TrailSource>,
    pub(crate) keys: Arc<SigningKeys>,
    pub(crate) notifiers: Notifiers,

    // Each is held for a few lines and never across an await.
    pub(crate) known: Mutex<HashMap<TrailId, Known>>,
    pub(crate) statuses: Mutex<HashMap<TrailId, TrailStatus>>,
    /// Chains that files were delivered for since the digests were last looked at.
    pub(crate) touched: Mutex<HashSet<ChainId>>,
    /// Every event that was in the log at this instant is staged or delivered.
    pub(crate) staged_through: Mutex<Timestamp>,

    /// There are staged files.
    pub(crate) staged: Notify,
    /// Digests may be due.
    pub(crate) digests: Notify,
    // Held while the known trails are compared with those there are.
    syncing: tokio::sync::Mutex<()>,
}

/// Opens a delivery.
pub struct DeliveryBuilder {
    meta: Arc<dyn MetaStore>,
    log: Log,
    folder: PathBuf,
    buckets: Arc<dyn Buckets>,
    trails: Arc<dyn TrailSource>,
    keys: Arc<SigningKeys>,
    clock: Arc<dyn Clock>,
    settings: TrailSettings,
    notifiers: Vec<Arc<dyn Notifier>>,
}

impl DeliveryBuilder {
    /// Takes time from `clock` instead of the operating system.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Uses `settings` instead of the defaults.
    #[must_use]
    pub fn settings(mut self, settings: TrailSettings) -> Self {
        self.settings = settings;
        self
    }

    /// Tells `notifier` of delivered log files.
    #[must_use]
    pub fn notifier(mut self, notifier: Arc<dyn Notifier>) -> Self {
        self.notifiers.push(notifier);
        self
    }

    /// Reads what was delivered before, removes leftovers of a crash, and holds what is still needed in the log. To be
    /// called before anything releases events of the log. A first delivery begins at the end of the log.
    pub async fn open(self) -> Result<Delivery, OpenError> {
        self.settings.check()?;
        std::fs::create_dir_all(&self.folder).map_err(OpenError::Folder)?;
        // The new folder's own name lives in its parent, and the log lets go of what is staged in it.
        if let Some(parent) = self.folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            sync_folder(parent).map_err(OpenError::Folder)?;
        }
        let meta = self.meta;
        let progress = meta.get_json::<Progress>(&record::progress_key()).await.map_err(OpenError::Meta)?;
        let (progress, version) = match progress {
            Some(found) => (found.value, found.unchanged()),
            None => {
                // Written at once, so that the place of the first reader does not move while nothing is delivered.
                let (key, first) =
                    (record::progress_key(), Progress { position: self.log.committed(), ..Progress::default() });
                let write = Write::json(key.clone(), &first).map_err(OpenError::Meta)?;
                let version = meta.commit(&[Expect::Absent(key.clone())], &[write]).await.map_err(OpenError::Meta)?;
                (first, Expect::Version(key, version))
            }
        };
        let hold = self.log.hold_from(progress.position);
        let known = meta.list_all_json::<Known>(&record::known_area()).await.map_err(OpenError::Meta)?;
        let known = known.into_iter().map(|found| (found.value.trail.id, found.value)).collect();
        let statuses = meta.list_all_json::<TrailStatus>(&record::status_area()).await.map_err(OpenError::Meta)?;
        let statuses =
            statuses.into_iter().filter_map(|found| Some((found.key.last_part().parse().ok()?, found.value)));
        let touched = undigested(meta.as_ref()).await.map_err(OpenError::Meta)?;
        remove_leftovers(meta.as_ref(), &self.folder, progress.aggregates).await?;

        let settings = Arc::new(self.settings);
        let shared = Arc::new(Shared {
            meta,
            clock: self.clock,
            settings,
            folder: self.folder,
            buckets: self.buckets,
            trails: self.trails,
            keys: self.keys,
            notifiers: Notifiers::new(self.notifiers),
            known: Mutex::new(known),
            statuses: Mutex::new(statuses.collect()),
            touched: Mutex::new(touched),
            staged_through: Mutex::new(Timestamp::MIN),
            staged: Notify::new(),
            digests: Notify::new(),
            syncing: tokio::sync::Mutex::default(),
        });
        info!(position = %progress.position, "trails deliver from here");
        let windows = Windows::open(shared.clone(), self.log, hold, progress, version).map_err(OpenError::Folder)?;
        let (sender, flushes) = mpsc::channel(16);
        let parts = Arc::new(Mutex::new(Some(Parts { windows, flushes })));
        Ok(Delivery { shared, flushes: sender, parts })
    }
}

/// The chains whose delivered files are in no digest yet.
async fn undigested(meta: &dyn MetaStore) -> Result<HashSet<ChainId>, towpath_meta::MetaError> {
    let (area, mut after, mut chains) = (record::delivered_area(), None, HashSet::new());
    loop {
        let page = meta.list(&area, after.as_ref(), MAX_PAGE).await?;
        chains.extend(page.iter().filter_map(|record| ChainId::of_delivered(&record.key)));
        match page.last() {
            Some(last) if page.len() == MAX_PAGE => after = Some(last.key.clone()),
            _ => return Ok(chains),
        }
    }
}

/// Removes files that no record names: those of a window or digest that was not committed.
async fn remove_leftovers(
    meta: &dyn MetaStore,
    folder: &std::path::Path,
    aggregates: Option<u64>,
) -> Result<(), OpenError> {
    let (area, mut after) = (record::staged_area(), None);
    let mut named: HashSet<String> = aggregates.map(counts_name).into_iter().collect();
    loop {
        let page = meta.list(&area, after.as_ref(), MAX_PAGE).await.map_err(OpenError::Meta)?;
        let (last, full) = (page.last().map(|record| record.key.clone()), page.len() == MAX_PAGE);
        for staged in page.into_iter().map(Record::decode::<Staged>) {
            named.insert(staged.map_err(OpenError::Meta)?.value.file);
        }
        match last {
            Some(last) if full => after = Some(last),
            _ => break,
        }
    }
    for entry in std::fs::read_dir(folder).map_err(OpenError::Folder)? {
        let entry = entry.map_err(OpenError::Folder)?;
        let name = entry.file_name();
        if !name.to_str().is_some_and(|name| named.contains(name)) {
            std::fs::remove_file(entry.path()).map_err(OpenError::Folder)?;
        }
    }
    Ok(())
}

impl Delivery {
    /// Begins to open the delivery that keeps its records in `meta` and staged files in `folder`, which is its own.
    pub fn builder(
        meta: Arc<dyn MetaStore>,
        log: Log,
        folder: PathBuf,
        buckets: Arc<dyn Buckets>,
        trails: Arc<dyn TrailSource>,
        keys: Arc<SigningKeys>,
    ) -> DeliveryBuilder {
        let (clock, settings, notifiers) = (Arc::new(SystemClock), TrailSettings::default(), Vec::new());
        DeliveryBuilder { meta, log, folder, buckets, trails, keys, clock, settings, notifiers }
    }

    /// Delivers until `shutdown`. Failures of storage, metadata and buckets are waited out. Called once.
    ///
    /// # Errors
    /// When the log cannot give what comes next, as when it is damaged.
    pub async fn run(&self, shutdown: CancellationToken) -> Result<(), RunError> {
        let Some(Parts { windows, flushes }) = self.parts.lock().take() else { return Ok(()) };
        let stop = shutdown.child_token();
        let _stop_all = stop.clone().drop_guard();
        let uploads = tokio::spawn(Uploads::new(self.shared.clone()).run(stop.clone()));
        let digests = tokio::spawn(Digester::new(self.shared.clone()).run(stop.clone()));
        let notices = tokio::spawn(crate::notify::run(self.shared.clone(), stop.clone()));
        let ended = windows.run(flushes, stop.clone()).await;
        stop.cancel();
        for task in [uploads, digests, notices] {
            let _ = task.await;
        }
        ended
    }

    /// Takes notice of trails that were made, changed, started, stopped or deleted. To be called, and waited for, after
    /// each such change is committed, so that the delivery has seen each state of a trail; it looks by itself as well.
    pub async fn trails_changed(&self) -> Result<(), DeliveryError> {
        self.shared.sync().await?;
        self.shared.digests.notify_one();
        Ok(())
    }

    /// Ends windows until what is in the log now is staged, and returns then; puts follow.
    pub async fn flush(&self) {
        let (sender, done) = oneshot::channel();
        if self.flushes.send(sender).await.is_ok() {
            // The delivery stops before it got to it.
            let _ = done.await;
        }
    }

    /// What became of a trail's deliveries so far.
    pub fn status(&self, trail: TrailId) -> TrailStatus {
        self.shared.statuses.lock().get(&trail).cloned().unwrap_or_default()
    }

    /// The newest digests that were put for a trail, by account and region. A deleted trail is forgotten once all of it
    /// is delivered.
    pub async fn recorded_chains(&self, trail: TrailId) -> Result<Vec<RecordedChain>, DeliveryError> {
        crate::recorded::chains_of(&self.shared, trail).await
    }

    /// Messages that were given up, at most `limit` of them after the one with the key `after`, oldest first per target.
    pub async fn dead_letters(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<crate::notify::DeadLetter>, DeliveryError> {
        crate::notify::dead_letters(self.shared.meta.as_ref(), after, limit).await
    }

    /// The message that was given up with this key.
    pub async fn dead_letter(&self, key: &str) -> Result<Option<crate::notify::DeadLetter>, DeliveryError> {
        crate::notify::dead_letter(self.shared.meta.as_ref(), key).await
    }

    /// Sends a message that was given up once more.
    pub async fn retry_dead_letter(&self, key: &str) -> Result<bool, DeliveryError> {
        let found = crate::notify::revive(self.shared.meta.as_ref(), key).await?;
        self.shared.notifiers.wake();
        Ok(found)
    }

    #[cfg(test)]
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    #[cfg(test)]
    pub(crate) fn take_windows(&self) -> Windows {
        self.parts.lock().take().expect("taken once").windows
    }
}

impl Shared {
    pub(crate) fn known(&self, trail: TrailId) -> Option<Known> {
        self.known.lock().get(&trail).cloned()
    }

    /// Compares the trails that are known with those there are, and keeps what changed.
    pub(crate) async fn sync(&self) -> Result<(), DeliveryError> {
        let _syncing = self.syncing.lock().await;
        let now = self.clock.now();
        let trails = self.trails.trails();
        let changed = {
            let known = self.known.lock();
            let mut changed = Vec::new();
            let present: HashSet<TrailId> = trails.iter().map(|trail| trail.id).collect();
            for trail in &trails {
                match known.get(&trail.id) {
                    Some(before) if before.trail == **trail && !before.deleted => {}
                    Some(before) => changed.push(before.changed_to((**trail).clone(), now)),
                    None => changed.push(Known { trail: (**trail).clone(), since: None, ended: None, deleted: false }),
                }
            }
            for before in known.values().filter(|known| !known.deleted && !present.contains(&known.trail.id)) {
                let trail = Trail { logging: false, ..before.trail.clone() };
                changed.push(Known { deleted: true, ..before.changed_to(trail, now) });
            }
            changed
        };
        if changed.is_empty() {
            return Ok(());
        }
        let doing = DeliveryError::meta("note the trails");
        let writes: Result<Vec<Write>, _> =
            changed.iter().map(|known| Write::json(record::known_key(known.trail.id), known)).collect();
        self.meta.commit(&[], &writes.map_err(&doing)?).await.map_err(&doing)?;
        self.known.lock().extend(changed.into_iter().map(|known| (known.trail.id, known)));
        Ok(())
    }

    /// The write that keeps a trail's status.
    pub(crate) fn status_write(&self, trail: TrailId) -> Result<Write, towpath_meta::MetaError> {
        let status = self.statuses.lock().get(&trail).cloned().unwrap_or_default();
        Write::json(record::status_key(trail), &status)
    }

    /// Notes an outcome in a trail's status.
    pub(crate) fn note(&self, trail: TrailId, note: impl FnOnce(&mut TrailStatus)) {
        note(self.statuses.lock().entry(trail).or_default());
    }

    /// Any staged log file of a trail.
    pub(crate) async fn has_staged(&self, trail: TrailId) -> Result<bool, DeliveryError> {
        // Digests sort before log files: a chain's waiting digests would hide them.
        let after = record::staged_key(trail, "l");
        let page = self.meta.list(&record::staged_of(trail), Some(&after), 1).await;
        Ok(!page.map_err(DeliveryError::meta("read what is staged"))?.is_empty())
    }

    /// True when every event of the session that ended is in a file.
    pub(crate) fn all_staged_of(&self, known: &Known) -> bool {
        let grace = i64::try_from(self.settings.stop_grace_ms).unwrap_or(i64::MAX);
        let ended = known.ended.or(known.trail.stopped).unwrap_or(known.trail.updated);
        let complete = ended.checked_add(SignedDuration::from_millis(grace)).unwrap_or(Timestamp::MAX);
        *self.staged_through.lock() >= complete
    }

    /// Anything staged of a trail.
    pub(crate) async fn staged_page(
        &self,
        trail: TrailId,
        after: Option<&towpath_meta::Key>,
        limit: usize,
    ) -> Result<Vec<Typed<Staged>>, DeliveryError> {
        let page = self.meta.list_json(&record::staged_of(trail), after, limit).await;
        page.map_err(DeliveryError::meta("read what is staged"))
    }
}
