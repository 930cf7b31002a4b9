//! Recording: every call that passes gets its record into the log, or is refused, or is told in a gap record.
//!
//! ```text
//! begin -> Ticket      room is taken, or the call is refused (fail-closed) or counted (fail-open)
//! finish               the call is handed over; its bodies count against the room
//!   work               threads find the caller and decode
//!   write              batches go to the log; while it does not take them, to the spill on disk, and from there in order
//! durable              fail-closed answers go out; the room is given back
//! ```
//!
//! What holds:
//!
//! - A call that was acknowledged has its record in the log or on disk in the spill.
//! - Memory is bounded by calls and bytes, the spill by bytes. When both are full, calls are refused or counted.
//! - Whatever passed without a record is counted, and told by a signed gap record: by whom, from when to when, at least how
//!   many. What was not told yet outlives the process and the machine. After an unclean stop the time from the last durable
//!   record to the restart is such a gap, after a kill with as many calls as had begun and were in nobody's hands.
//! - A record that is sent twice has the same `eventID` and is one event.

mod gap;
mod gap_record;
mod kept;
pub(crate) mod measure;
mod room;
mod settings;
mod shared;
mod spill;
mod ticket;
mod upstream;
mod work;
mod write;

#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use towpath_admit::{GapKey, GapKeyError};
use towpath_gap::{HeldFolder, NotHeld};
use towpath_log::{FileLogStorage, LogStorage, OpenError};
use towpath_model::Clock;

pub use settings::RecordingSettings;
pub use ticket::{Acknowledgement, NotDurable, Ticket, Unrecordable};
pub use towpath_gap::{Gap, Reason};
pub use upstream::{Policy, RecordedUpstream, Routed};
pub use work::Describe;

use crate::identity::Identities;
use crate::sink::RecordSink;
use gap::Gaps;
use kept::Kept;
use room::Room;
use shared::Shared;
use write::Place;

/// The file of the key that signs gap records, in the folder of the recording.
const KEY_FILE: &str = "gap.key";
/// The folder of the spill, in the folder of the recording.
const SPILL_FOLDER: &str = "spill";

/// Why recording does not start.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The folder cannot be used.
    #[error("cannot use the folder {}", .folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// Another recording has the folder.
    #[error(
        "the folder {} is in use by {holder}; stop that process, or set gateway.recording.folder to another folder",
        .folder.display()
    )]
    InUse {
        /// The folder.
        folder: PathBuf,
        /// Who has it, as far as is known.
        holder: String,
    },
    /// The key of gap records.
    #[error(transparent)]
    Key(#[from] GapKeyError),
    /// The records that wait on disk.
    #[error("cannot open the records that wait on disk")]
    Spill(#[from] OpenError),
    /// No thread.
    #[error("cannot start a thread that decodes calls")]
    Thread(#[source] io::Error),
}

/// Records calls. Cloning is cheap; clones are the same recording.
#[derive(Clone)]
pub struct Recording {
    shared: Arc<Shared>,
    running: Arc<Mutex<Option<Running>>>,
}

/// What ends when the recording is closed.
struct Running {
    // Nobody else records in the folder until this recording is closed.
    folder: Option<HeldFolder>,
    workers: Vec<std::thread::JoinHandle<()>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Recording {
    /// Starts recording: calls become records by `describe`, callers are known by `identities`, records go into `sink`.
    /// What an earlier run left in the folder of `settings` goes there first. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// See [`RecordingError`]; what is in the folder stays as it is.
    pub fn start(
        describe: Arc<dyn Describe>,
        identities: Arc<Identities>,
        sink: Arc<dyn RecordSink>,
        clock: Arc<dyn Clock>,
        settings: RecordingSettings,
    ) -> Result<Self, RecordingError> {
        let (key, kept, held) = match &settings.folder {
            None => (GapKey::ephemeral()?, None, None),
            Some(folder) => {
                let failed = |cause| RecordingError::Folder { folder: folder.clone(), cause };
                let held = HeldFolder::take(folder).map_err(|error| match error {
                    NotHeld::InUse(holder) => RecordingError::InUse { folder: folder.clone(), holder },
                    NotHeld::Io(cause) => failed(cause),
                })?;
                let key = GapKey::open(&folder.join(KEY_FILE))?;
                let notes: Arc<dyn LogStorage> = Arc::new(FileLogStorage::open(folder).map_err(failed)?);
                let spill: Arc<dyn LogStorage> =
                    Arc::new(FileLogStorage::open(folder.join(SPILL_FOLDER)).map_err(failed)?);
                (
                    key,
                    Some(
                        Kept::open(notes, spill, &clock, &settings, towpath_gap::boot())
                            .map_err(|error| error.of(folder))?,
                    ),
                    Some(held),
                )
            }
        };
        let recording = Self::run(describe, identities, sink, clock, settings, key, kept)?;
        if let Some(running) = recording.running.lock().as_mut() {
            running.folder = held;
        }
        Ok(recording)
    }

    /// The key that signs the gap records of a recording in `folder`, made if there is none.
    ///
    /// # Errors
    /// The key cannot be read or kept.
    pub fn key_in(folder: &std::path::Path) -> Result<GapKey, RecordingError> {
        let failed = |cause| RecordingError::Folder { folder: folder.to_owned(), cause };
        std::fs::create_dir_all(folder).map_err(failed)?;
        Ok(GapKey::open(&folder.join(KEY_FILE))?)
    }

    fn run(
        describe: Arc<dyn Describe>,
        identities: Arc<Identities>,
        sink: Arc<dyn RecordSink>,
        clock: Arc<dyn Clock>,
        settings: RecordingSettings,
        key: GapKey,
        kept: Option<Kept>,
    ) -> Result<Self, RecordingError> {
        let (groups, written) = mpsc::unbounded_channel();
        let (spill, gaps, left) = match kept {
            None => (None, towpath_gap::Gaps::in_memory(), Vec::new()),
            Some(kept) => (Some(kept.spill), kept.gaps, kept.left),
        };
        let gaps = Arc::new(Gaps::new(gaps));
        measure::show();
        for gap in left {
            tracing::warn!(upstream = %gap.upstream, reason = gap.reason.as_str(), from = %gap.from, to = %gap.to, at_least = gap.at_least, "the last run left a gap");
            if gap.reason == Reason::Killed {
                // Others were counted by the run that lost the calls.
                measure::lost(&gap.upstream, gap.reason, gap.at_least);
            }
        }
        let place = Arc::new(Place {
            sink,
            spilling: AtomicBool::new(spill.as_ref().is_some_and(|spill| !spill.is_empty())),
            spill: spill.clone(),
            gaps: gaps.clone(),
            clock: clock.clone(),
            stuck: AtomicBool::new(false),
            urgent: Notify::new(),
            stop: CancellationToken::new(),
            durable_at: AtomicI64::new(0),
            settings: settings.clone(),
        });
        let shared = Arc::new(Shared {
            clock,
            describe,
            identities,
            room: Room::new(settings.queue_calls, settings.queue_bytes),
            gaps,
            place: place.clone(),
            key,
            noted: RwLock::default(),
            stopping: AtomicBool::new(false),
            jobs: RwLock::default(),
            next: AtomicUsize::new(0),
            groups,
        });
        let runtime = tokio::runtime::Handle::current();
        let mut workers = Vec::new();
        for number in 0..settings.workers.max(1) {
            let (sender, jobs) = mpsc::unbounded_channel();
            let (worker, runtime) = (shared.clone(), runtime.clone());
            let thread = std::thread::Builder::new().name(format!("towpath-decode-{number}"));
            let thread = thread.spawn(move || work::run(&worker, jobs, &runtime)).map_err(RecordingError::Thread)?;
            workers.push(thread);
            shared.jobs.write().push(sender);
        }
        let mut tasks = vec![tokio::spawn(place.clone().run(written)), tokio::spawn(shared.clone().tick())];
        if let Some(spill) = spill {
            tasks.push(tokio::spawn(place.replay(spill)));
        }
        Ok(Self { shared, running: Arc::new(Mutex::new(Some(Running { folder: None, workers, tasks }))) })
    }

    /// Takes room for a call, before it is forwarded.
    ///
    /// # Errors
    /// For an upstream that is `fail-closed` when the call could not be recorded: see [`Unrecordable`]. For one that is
    /// `fail-open` never; the ticket then says that the call is not recorded, and it has been counted.
    pub fn begin(&self, upstream: &Arc<RecordedUpstream>) -> Result<Ticket, Unrecordable> {
        let shared = &self.shared;
        let closed = upstream.policy == Policy::FailClosed;
        let stopping = shared.stopping.load(Ordering::Relaxed);
        let hopeless = stopping || (closed && shared.place.stuck.load(Ordering::Relaxed)) || !shared.note(upstream);
        let taken = if hopeless { None } else { shared.room.take() };
        if taken.is_none() {
            if closed {
                measure::refused(&upstream.name);
                return Err(if stopping { Unrecordable::Stopping } else { Unrecordable::Full });
            }
            let reason = if stopping { Reason::Stopped } else { Reason::Full };
            shared.gaps.tally.begin(&upstream.name, 1);
            shared.gaps.lost(upstream, 1, shared.clock.now(), reason);
        }
        if taken.is_some() {
            shared.gaps.tally.begin(&upstream.name, 1);
        }
        Ok(Ticket::new(shared.clone(), upstream.clone(), taken))
    }

    /// Calls and bytes that are under way or wait to be durable.
    pub fn load(&self) -> (usize, usize) {
        self.shared.room.load()
    }

    /// True while neither the log nor the disk takes records, so that calls of `fail-closed` upstreams are refused.
    pub fn is_stuck(&self) -> bool {
        self.shared.place.stuck.load(Ordering::Relaxed)
    }

    /// Who knows callers.
    pub fn identities(&self) -> &Identities {
        &self.shared.identities
    }

    /// The key that signs gap records.
    pub fn key(&self) -> &GapKey {
        &self.shared.key
    }

    /// Takes no more calls and waits, at most so long, until what was taken is durable and gaps are told. What is not
    /// durable then is a gap, which the next start tells.
    pub async fn close(&self, patience: Duration) {
        let shared = &self.shared;
        shared.stopping.store(true, Ordering::Relaxed);
        let Some(running) = self.running.lock().take() else { return };
        let deadline = tokio::time::Instant::now() + patience;
        let mut settled = false;
        while !settled && tokio::time::Instant::now() < deadline {
            if shared.room.load().0 == 0 {
                let open = shared.gaps.take();
                if !open.is_empty() {
                    shared.gaps.keep_for_good(None).await;
                }
                shared.tell(open);
                settled = shared.gaps.is_empty();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        shared.jobs.write().clear();
        let workers = running.workers;
        let ended = tokio::task::spawn_blocking(move || workers.into_iter().for_each(|worker| drop(worker.join())));
        let _ = tokio::time::timeout(Duration::from_secs(1), ended).await;
        shared.place.stop.cancel();
        running.tasks.iter().for_each(tokio::task::JoinHandle::abort);
        if let Some(spill) = &shared.place.spill {
            spill.close().await;
        }
        if !settled {
            // What was given up just now is counted as it is dropped.
            let counted = async {
                while shared.room.load().0 > 0 {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            let all_counted = tokio::time::timeout(Duration::from_secs(1), counted).await.is_ok();
            shared.gaps.tally.note();
            tracing::error!(all_counted, "recording stopped before all was durable; the next start tells the gap");
            shared.gaps.leave(all_counted).await;
        } else if let Err(cause) = shared.gaps.end() {
            tracing::warn!(%cause, "cannot take the marker of a running recording away; the next start tells a gap");
        }
        drop(running.folder);
    }
}
