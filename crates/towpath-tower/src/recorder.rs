//! Takes events: a bounded queue that nobody waits for, and what becomes of those that it has no room for.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use towpath_admit::{GapKey, GapKeyError};
use towpath_gap::{Gap, Gaps, HeldFolder, NotHeld, Reason};
use towpath_log::{FileLogStorage, LogStorage};

use crate::endpoint::Endpoint;
use crate::event::Event;
use crate::sender;
use crate::settings::RecorderSettings;

/// The file of the key that signs gap records, in the recorder's folder.
const KEY_FILE: &str = "gap.key";

/// Why a recorder does not start.
#[derive(Debug, thiserror::Error)]
pub enum RecorderError {
    /// The folder cannot be used.
    #[error("cannot use the folder {}", .folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// Another recorder has the folder.
    #[error("the folder {} is in use by {holder}; each process needs a folder of its own", .folder.display())]
    InUse {
        /// The folder.
        folder: PathBuf,
        /// Who has it, as far as is known.
        holder: String,
    },
    /// The key of gap records.
    #[error(transparent)]
    Key(#[from] GapKeyError),
}

/// Takes events and sees that they reach the server. Cloning is cheap; clones are the same recorder.
#[derive(Clone)]
pub struct Recorder {
    pub(crate) shared: Arc<Shared>,
    running: Arc<Mutex<Option<Running>>>,
}

/// What ends when the recorder is closed.
struct Running {
    tasks: Vec<JoinHandle<()>>,
    // Nobody else records in the folder until then.
    _folder: Option<HeldFolder>,
}

/// An event on its way.
pub(crate) struct Queued {
    pub(crate) record: Bytes,
    pub(crate) at: Timestamp,
}

pub(crate) struct Shared {
    pub(crate) endpoint: Endpoint,
    pub(crate) settings: RecorderSettings,
    pub(crate) key: GapKey,
    pub(crate) gaps: Arc<Gaps>,
    /// The service, as the upstream of its own gaps.
    pub(crate) service: Arc<str>,
    /// Set once no more events are taken.
    pub(crate) closing: AtomicBool,
    /// Events that the server may have by now, though it has not said so.
    pub(crate) handed_over: AtomicUsize,
    /// Up to when all events are with the server, in milliseconds since 1970.
    pub(crate) sent_until: AtomicI64,
    queue: mpsc::UnboundedSender<Queued>,
    events: AtomicUsize,
    bytes: AtomicUsize,
    dropped: AtomicU64,
}

impl Recorder {
    /// Starts to send events to `endpoint`, and forgets all with the process: what waits then is lost, and nobody is told.
    /// See [`Recorder::open`] for one that remembers. `key` signs gap records; [`GapKey::ephemeral`] proves no more than
    /// that a record was not changed since. Must be called within a Tokio runtime.
    pub fn start(endpoint: Endpoint, settings: RecorderSettings, key: GapKey) -> Self {
        Self::run(endpoint, settings, key, Gaps::in_memory(), None)
    }

    /// Starts to send events to `endpoint`. In `folder` stands what must outlive the process: the key that signs gap records
    /// (`gap.key`, whose public part is worth keeping elsewhere), and notes by which the next start tells what this process
    /// took along should it be killed. The folder belongs to one process at a time and is made if it is not there. Must be
    /// called within a Tokio runtime; reads and writes files.
    ///
    /// # Errors
    /// See [`RecorderError`].
    pub fn open(endpoint: Endpoint, settings: RecorderSettings, folder: &Path) -> Result<Self, RecorderError> {
        let failed = |cause| RecorderError::Folder { folder: folder.to_owned(), cause };
        let held = HeldFolder::take(folder).map_err(|error| match error {
            NotHeld::InUse(holder) => RecorderError::InUse { folder: folder.to_owned(), holder },
            NotHeld::Io(cause) => failed(cause),
        })?;
        let key = GapKey::open(&folder.join(KEY_FILE))?;
        let notes: Arc<dyn LogStorage> = Arc::new(FileLogStorage::open(folder).map_err(failed)?);
        let (gaps, left) = Gaps::open(&notes, Timestamp::now(), towpath_gap::boot()).map_err(failed)?;
        for gap in left {
            tracing::warn!(reason = gap.reason.as_str(), from = %gap.from, to = %gap.to, at_least = gap.at_least, "the last run left a gap");
        }
        // Before the first event, since no request waits for the disk.
        gaps.watch(&endpoint.source.as_str().into(), endpoint.account, &endpoint.region).map_err(failed)?;
        Ok(Self::run(endpoint, settings, key, gaps, Some(held)))
    }

    fn run(
        endpoint: Endpoint,
        settings: RecorderSettings,
        key: GapKey,
        gaps: Gaps,
        folder: Option<HeldFolder>,
    ) -> Self {
        let (queue, waiting) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            service: endpoint.source.as_str().into(),
            endpoint,
            settings,
            key,
            gaps: Arc::new(gaps),
            closing: AtomicBool::new(false),
            handed_over: AtomicUsize::new(0),
            sent_until: AtomicI64::new(Timestamp::now().as_millisecond()),
            queue,
            events: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
        });
        let tasks =
            vec![tokio::spawn(sender::send(Arc::clone(&shared), waiting)), tokio::spawn(sender::tick(shared.clone()))];
        Self { shared, running: Arc::new(Mutex::new(Some(Running { tasks, _folder: folder }))) }
    }

    /// Takes an event. Never waits: an event that there is no room for is dropped and counted.
    pub fn record(&self, event: &Event) {
        let shared = &self.shared;
        let (now, endpoint) = (Timestamp::now(), &shared.endpoint);
        let record = event.record(&endpoint.source, endpoint.account, &endpoint.region, now);
        let size = record.len();
        shared.gaps.tally.begin(&shared.service, 1);
        let events = shared.events.fetch_add(1, Ordering::Relaxed);
        let bytes = shared.bytes.fetch_add(size, Ordering::Relaxed);
        let closing = shared.closing.load(Ordering::Relaxed);
        let fits = events < shared.settings.queue_events && bytes + size <= shared.settings.queue_bytes;
        if closing || !fits || shared.queue.send(Queued { record, at: now }).is_err() {
            shared.done(1, size);
            shared.lost(1, now, now, if closing { Reason::Stopped } else { Reason::Full });
        }
    }

    /// How many events were dropped since the start: for want of room, because the server refuses them, or because the
    /// recorder was closed before they were sent.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// How many events wait for the server.
    pub fn waiting(&self) -> usize {
        self.shared.events.load(Ordering::Relaxed)
    }

    /// The key that signs gap records.
    pub fn key(&self) -> &GapKey {
        &self.shared.key
    }

    /// Takes no more events and waits, at most so long, until the server has those that were taken and the gap records of
    /// those that were not. True if it has. Otherwise what waits is given up, and told at the next start if this recorder
    /// has a folder. Call it when the service takes no more requests: what is recorded later is dropped.
    pub async fn close(&self, patience: Duration) -> bool {
        let shared = &self.shared;
        shared.closing.store(true, Ordering::Relaxed);
        let Some(running) = self.running.lock().take() else { return self.waiting() == 0 };
        let deadline = Instant::now() + patience;
        let settled = || self.waiting() == 0 && shared.gaps.is_empty();
        while !settled() && Instant::now() < deadline {
            sleep(Duration::from_millis(5)).await;
        }
        for task in running.tasks {
            task.abort();
            // Until it has ended: what it had in its hands is counted below.
            drop(task.await);
        }
        if settled() {
            let gaps = Arc::clone(&shared.gaps);
            if let Ok(Err(cause)) = tokio::task::spawn_blocking(move || gaps.end()).await {
                tracing::warn!(%cause, "cannot take the marker of a running service away; the next start tells a gap");
            }
            return true;
        }
        let waiting = shared.events.swap(0, Ordering::Relaxed);
        shared.bytes.store(0, Ordering::Relaxed);
        // The server may have what was handed over, so that it is not claimed to be missing.
        let given_up = waiting.saturating_sub(shared.handed_over.load(Ordering::Relaxed));
        tracing::error!(waiting, given_up, "closed before the server had all events");
        if waiting > 0 {
            let from = Timestamp::from_millisecond(shared.sent_until.load(Ordering::Relaxed));
            let now = Timestamp::now();
            shared.lost(given_up as u64, from.unwrap_or(now).min(now), now, Reason::Stopped);
        }
        shared.gaps.tally.note();
        let gaps = Arc::clone(&shared.gaps);
        if let Ok(Err(cause)) = tokio::task::spawn_blocking(move || gaps.stop()).await {
            tracing::warn!(%cause, "cannot note which events have no record");
        }
        false
    }

    /// Counts a request of which no event could be made.
    pub(crate) fn given_up(&self) {
        let now = Timestamp::now();
        self.shared.gaps.tally.begin(&self.shared.service, 1);
        self.shared.lost(1, now, now, Reason::Broken);
    }

    /// Ends as a kill would.
    #[cfg(test)]
    pub(crate) async fn kill(&self) {
        let running = self.running.lock().take();
        for task in running.unwrap().tasks {
            task.abort();
            let _ = task.await;
        }
    }
}

impl Shared {
    pub(crate) fn done(&self, events: usize, bytes: usize) {
        self.events.fetch_sub(events, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.events.load(Ordering::Relaxed) == 0 && self.gaps.is_empty()
    }

    /// Counts events that have no record.
    pub(crate) fn lost(&self, events: u64, from: Timestamp, to: Timestamp, reason: Reason) {
        self.dropped.fetch_add(events, Ordering::Relaxed);
        let Endpoint { account, region, .. } = &self.endpoint;
        let (upstream, account, region) = (Arc::clone(&self.service), *account, region.clone());
        self.gaps.put_back(Gap { upstream, account, region, reason, from, to, at_least: events });
    }

    /// Has the disk know the open gaps and, if one is given, up to when all was sent.
    pub(crate) async fn keep(&self, until: Option<Timestamp>) {
        if until.is_none() && self.gaps.is_kept() {
            return;
        }
        let gaps = Arc::clone(&self.gaps);
        // Should that fail, what is told may be told again after a crash.
        if let Ok(Err(cause)) = tokio::task::spawn_blocking(move || gaps.keep(until)).await {
            tracing::warn!(%cause, "cannot note which events have no record, and up to when all were sent");
        }
    }
}
