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
//!   many. After an unclean stop the time from the last durable record to the restart is such a gap.
//! - A record that is sent twice has the same `eventID` and is one event.

mod gap;
mod room;
mod settings;
mod ticket;
mod upstream;
mod work;
mod write;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::mpsc;
use towpath_model::Clock;

pub use gap::{Gap, Reason};
pub use settings::RecordingSettings;
pub use ticket::{Acknowledgement, NotDurable, Ticket, Unrecordable};
pub use upstream::{Policy, RecordedUpstream, Routed};
pub use work::Describe;

use crate::identity::Identities;
use crate::sink::RecordSink;
use gap::Gaps;
use room::Room;
use work::{Group, Job};
use write::Writer;

/// Records calls. Cloning is cheap; clones are the same recording.
#[derive(Clone)]
pub struct Recording {
    shared: Arc<Shared>,
    running: Arc<Mutex<Option<Running>>>,
}

/// What ends when the recording is closed.
struct Running {
    workers: Vec<std::thread::JoinHandle<()>>,
    writer: tokio::task::JoinHandle<()>,
}

/// What the parts of a recording share.
pub(crate) struct Shared {
    settings: RecordingSettings,
    clock: Arc<dyn Clock>,
    describe: Arc<dyn Describe>,
    identities: Arc<Identities>,
    room: Arc<Room>,
    gaps: Arc<Gaps>,
    // Set when neither the log nor the spill takes records, cleared when one of them does.
    stuck: Arc<AtomicBool>,
    stopping: AtomicBool,
    // One queue for each worker; empty once the recording is closed. Read for a look-up, never held across an await.
    jobs: parking_lot::RwLock<Vec<mpsc::UnboundedSender<Job>>>,
    next: AtomicUsize,
    groups: mpsc::UnboundedSender<Group>,
}

impl Recording {
    /// Starts recording: calls become records by `describe`, callers are known by `identities`, records go into `sink`.
    /// Must be called within a Tokio runtime.
    pub fn start(
        describe: Arc<dyn Describe>,
        identities: Arc<Identities>,
        sink: Arc<dyn RecordSink>,
        clock: Arc<dyn Clock>,
        settings: RecordingSettings,
    ) -> Self {
        let (groups, written) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            clock,
            describe,
            identities,
            room: Room::new(settings.queue_calls, settings.queue_bytes),
            gaps: Arc::default(),
            stuck: Arc::default(),
            stopping: AtomicBool::new(false),
            jobs: parking_lot::RwLock::default(),
            next: AtomicUsize::new(0),
            groups,
            settings,
        });
        let runtime = tokio::runtime::Handle::current();
        let mut workers = Vec::new();
        for number in 0..shared.settings.workers.max(1) {
            let (sender, jobs) = mpsc::unbounded_channel();
            let (worker, runtime) = (shared.clone(), runtime.clone());
            let thread = std::thread::Builder::new().name(format!("towpath-decode-{number}"));
            match thread.spawn(move || work::run(&worker, jobs, &runtime)) {
                Ok(thread) => workers.push(thread),
                Err(cause) => {
                    tracing::error!(%cause, "a thread that decodes calls cannot be started");
                    continue;
                }
            }
            shared.jobs.write().push(sender);
        }
        let writer = Writer::new(sink, &shared.settings, shared.stuck.clone());
        let writer = tokio::spawn(writer.run(written));
        Self { shared, running: Arc::new(Mutex::new(Some(Running { workers, writer }))) }
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
        let taken = match stopping || (closed && shared.stuck.load(Ordering::Relaxed)) {
            true => None,
            false => shared.room.take(),
        };
        if taken.is_none() {
            metrics::counter!("towpath_gateway_no_room_total", "upstream" => upstream.name.to_string()).increment(1);
            if closed {
                return Err(if stopping { Unrecordable::Stopping } else { Unrecordable::Full });
            }
            let reason = if stopping { Reason::Stopped } else { Reason::Full };
            shared.gaps.lost(upstream, 1, shared.clock.now(), reason);
        }
        Ok(Ticket::new(shared.clone(), upstream.clone(), taken))
    }

    /// Calls and bytes that are under way or wait to be durable.
    pub fn load(&self) -> (usize, usize) {
        self.shared.room.load()
    }

    /// Takes no more calls and waits, at most so long, until what was taken is durable.
    pub async fn close(&self, patience: Duration) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        let Some(running) = self.running.lock().take() else { return };
        let deadline = tokio::time::Instant::now() + patience;
        while self.shared.room.load().0 > 0 && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.shared.jobs.write().clear();
        let workers = running.workers;
        let ended = tokio::task::spawn_blocking(move || workers.into_iter().for_each(|worker| drop(worker.join())));
        let _ = tokio::time::timeout_at(deadline, ended).await;
        running.writer.abort();
    }
}

impl Shared {
    /// Gives a finished call to a worker. Without workers the call is lost, and counted as `job` is dropped.
    pub(crate) fn submit(&self, job: Job) {
        let jobs = self.jobs.read();
        if jobs.is_empty() {
            return;
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed) % jobs.len();
        // A worker that is gone drops the job, which counts it.
        let _ = jobs[number].send(job);
    }

    /// Gives records to the writer.
    pub(crate) fn write(&self, group: Group) {
        let _ = self.groups.send(group);
    }
}
