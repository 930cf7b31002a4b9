//! The log as its callers see it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};
use towpath_model::{Clock, Event, Position, SystemClock};
use tracing::{error, info};

use crate::codec;
use crate::error::{AppendError, OpenError, ReleaseError};
use crate::frame::Payload;
use crate::meters::Meters;
use crate::queue::{Pending, Queue};
use crate::reader::LogReader;
use crate::recovery::{Recovery, recover};
use crate::ring::Ring;
use crate::segment::{SegmentEnd, Segments, segment_name};
use crate::settings::LogSettings;
use crate::storage::LogStorage;
use crate::writer::Writer;

// Appends beyond this size are encoded off the async threads: encoding a mebibyte takes a good part of a millisecond.
const INLINE_BYTES: usize = 1 << 20;

/// The positions that the events of one append got: `first` up to, but not including, `end`, in the order given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Positions {
    /// Position of the first event.
    pub first: Position,
    /// The position after the last event.
    pub end: Position,
}

/// The log: takes events, makes them durable and gives them positions, and shows them to readers.
///
/// Clones are handles of the same log. When the last one is dropped the log closes as if by [`Log::close`], without
/// waiting for it.
#[derive(Clone)]
pub struct Log {
    handle: Arc<Handle>,
}

/// What the handles, the writer thread and the readers have in common.
pub(crate) struct Shared {
    pub(crate) storage: Arc<dyn LogStorage>,
    pub(crate) settings: LogSettings,
    pub(crate) queue: Arc<Queue>,
    pub(crate) meters: Meters,
    // Each is held for a few lines, never two at once, but for `segments` while `holds` is held.
    pub(crate) segments: Mutex<Segments>,
    pub(crate) ring: Mutex<Ring>,
    // What readers beside the caller of `release` still need: the lowest position of each hold.
    holds: Mutex<BTreeMap<u64, Position>>,
    // First positions of segments that are out of the log but whose files are still there. Held while files are removed.
    releasing: Mutex<Vec<Position>>,
}

struct Handle {
    shared: Arc<Shared>,
    committed: watch::Receiver<Position>,
    recovery: Recovery,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.queue.close();
    }
}

/// Opens a log. Made by [`Log::builder`].
pub struct LogBuilder {
    storage: Arc<dyn LogStorage>,
    clock: Arc<dyn Clock>,
    settings: LogSettings,
}

impl LogBuilder {
    /// Takes time from `clock` instead of the operating system.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Uses `settings` instead of the defaults.
    #[must_use]
    pub fn settings(mut self, settings: LogSettings) -> Self {
        self.settings = settings;
        self
    }

    /// Recovers the log from storage and starts its writer thread. Blocks for the time that takes, which is that of
    /// reading one segment.
    pub fn open(self) -> Result<Log, OpenError> {
        self.settings.check()?;
        let started = Instant::now();
        let found = recover(&*self.storage, self.settings.accept_damage)?;
        let report = found.report;
        let elapsed_ms = started.elapsed().as_millis() as u64;
        info!(segments = report.segments, start = %report.start, end = %report.end, elapsed_ms, "log recovered");

        let shared = Arc::new(Shared {
            storage: self.storage,
            queue: Queue::new(self.settings.queue_bytes, self.settings.queue_appends),
            meters: Meters::new(),
            segments: Mutex::new(found.segments),
            ring: Mutex::new(Ring::new(self.settings.ring_bytes)),
            releasing: Mutex::default(),
            holds: Mutex::default(),
            settings: self.settings,
        });
        shared.meters.position.set(report.end.as_u64() as f64);
        shared.meters.segments.set(report.segments as f64);
        let (sender, committed) = watch::channel(report.end);
        let writer = Writer::new(shared.clone(), self.clock, sender, found.last);
        let thread = std::thread::Builder::new().name("towpath-log".to_owned());
        let writer = thread.spawn(move || writer.run()).map_err(OpenError::Thread)?;
        let handle = Handle { shared, committed, recovery: report, writer: Mutex::new(Some(writer)) };
        Ok(Log { handle: Arc::new(handle) })
    }
}

impl Log {
    /// Begins to open the log that `storage` holds; an empty storage holds an empty log.
    pub fn builder(storage: Arc<dyn LogStorage>) -> LogBuilder {
        LogBuilder { storage, clock: Arc::new(SystemClock), settings: LogSettings::default() }
    }

    /// Appends events and returns their positions once they are durable and readers can see them.
    ///
    /// The events get consecutive positions, and after a crash all of them are there or none. A full queue is answered at
    /// once with [`AppendError::Busy`]. Dropping the future does not take the events back.
    pub async fn append(&self, events: Vec<Event>) -> Result<Positions, AppendError> {
        let (meters, started) = (&self.handle.shared.meters, Instant::now());
        let result = self.submit(events).await;
        match &result {
            Ok(_) => meters.append_seconds.record(started.elapsed()),
            Err(error) => meters.refused(error),
        }
        result
    }

    async fn submit(&self, mut events: Vec<Event>) -> Result<Positions, AppendError> {
        let shared = &self.handle.shared;
        if events.is_empty() {
            let end = self.committed();
            return Ok(Positions { first: end, end });
        }
        let (bytes, limit) = (codec::encoded_size(&events), shared.settings.append_bytes);
        if bytes > limit {
            return Err(AppendError::TooLarge { bytes, limit });
        }
        let permit = shared.queue.reserve(bytes)?;
        let compression = shared.settings.compression;
        let encode = move || (Payload::encode(&mut events, compression), events);
        let (payload, events) = if bytes <= INLINE_BYTES {
            encode()
        } else {
            // A blocking task ends early only when the runtime shuts down.
            tokio::task::spawn_blocking(encode).await.map_err(|_| AppendError::Closed)?
        };

        let (answer, outcome) = oneshot::channel();
        shared.queue.push(Pending { payload, events, answer, permit })?;
        let gone = || AppendError::Uncertain(Arc::new(std::io::Error::other("the log's writer thread ended")));
        outcome.await.unwrap_or_else(|_| Err(gone()))
    }

    /// The position after the last durable event: everything before it can be read.
    pub fn committed(&self) -> Position {
        *self.handle.committed.borrow()
    }

    /// Follows [`Log::committed`]. The channel closes when the log does.
    pub fn watch(&self) -> watch::Receiver<Position> {
        self.handle.committed.clone()
    }

    /// The first position that can be read; everything before it was released.
    pub fn start(&self) -> Position {
        self.handle.shared.segments.lock().start().unwrap_or_default()
    }

    /// What opening the log found.
    pub fn recovery(&self) -> &Recovery {
        &self.handle.recovery
    }

    /// Appends and bytes that wait for the disk or are on their way to it.
    pub fn queue_load(&self) -> (usize, usize) {
        self.handle.shared.queue.load()
    }

    /// A reader whose first event is the one at `from`.
    pub fn reader(&self, from: Position) -> LogReader {
        LogReader::new(self.handle.shared.clone(), self.handle.committed.clone(), from)
    }

    /// Keeps the events from `from` on, whatever is released, for as long as the hold lives and until it is moved.
    pub fn hold_from(&self, from: Position) -> LogHold {
        let shared = self.handle.shared.clone();
        let id = {
            let mut holds = shared.holds.lock();
            let id = holds.last_key_value().map_or(0, |(id, _)| id + 1);
            holds.insert(id, from);
            id
        };
        LogHold { shared, id }
    }

    /// Removes segments whose events all lie before `before` and before every hold, oldest first; returns how many. No
    /// other reader needs them, says the caller. The newest segment always stays.
    pub async fn release(&self, before: Position) -> Result<usize, ReleaseError> {
        let shared = self.handle.shared.clone();
        let released = tokio::task::spawn_blocking(move || shared.release(before)).await;
        released.unwrap_or(Ok(0))
    }

    /// Refuses further appends, writes those that wait, seals the segment and ends the writer thread.
    pub async fn close(&self) {
        self.handle.shared.queue.close();
        let mut committed = self.watch();
        // The writer holds the sending side until it ends.
        while committed.changed().await.is_ok() {}
        let writer = self.handle.writer.lock().take();
        let Some(writer) = writer else { return };
        match tokio::task::spawn_blocking(move || writer.join()).await {
            Ok(Ok(())) => info!(position = %self.committed(), "log closed"),
            _ => error!(position = %self.committed(), "the log's writer thread did not end in order"),
        }
    }

    #[cfg(test)]
    pub(crate) fn hold(&self, held: bool) {
        self.handle.shared.queue.hold(held);
    }
}

/// Keeps events in the log for a reader that is behind. Dropped, it keeps nothing.
pub struct LogHold {
    shared: Arc<Shared>,
    id: u64,
}

impl LogHold {
    /// Needs the events from `position` on from now on; never moves back.
    pub fn move_to(&self, position: Position) {
        if let Some(held) = self.shared.holds.lock().get_mut(&self.id) {
            *held = position.max(*held);
        }
    }
}

impl Drop for LogHold {
    fn drop(&mut self) {
        self.shared.holds.lock().remove(&self.id);
    }
}

impl Shared {
    /// Takes the oldest segment out of the log if nobody needs it. A hold that is made while files are removed counts from
    /// the next segment on.
    fn take_unneeded(&self, before: Position) -> Option<SegmentEnd> {
        let holds = self.holds.lock();
        let before = holds.values().fold(before, |before, held| before.min(*held));
        self.segments.lock().take_before(before)
    }

    fn release(&self, before: Position) -> Result<usize, ReleaseError> {
        let mut leaving = self.releasing.lock();
        let mut removed = 0;
        loop {
            let first = match leaving.last() {
                Some(first) => *first,
                None => {
                    let Some(segment) = self.take_unneeded(before) else { return Ok(removed) };
                    leaving.push(segment.first);
                    segment.first
                }
            };
            // One at a time, each made durable: after a crash the segments that are left have no gap between them.
            let file = segment_name(first);
            match self.storage.remove(&file) {
                Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => return Err(ReleaseError { file, cause }),
                _ => self.storage.sync_dir().map_err(|cause| ReleaseError { file: file.clone(), cause })?,
            }
            leaving.pop();
            removed += 1;
            let segments = self.segments.lock().len();
            self.meters.segments.set(segments as f64);
            info!(file, segments, "log segment released");
        }
    }
}
