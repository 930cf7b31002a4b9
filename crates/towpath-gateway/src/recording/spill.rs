//! The spill: records on disk while the log does not take them, and their way from there into the log, in order.
//!
//! It is a small log of its own (`towpath-log`): appends are synced, frames carry CRC32C checksums, a torn tail is cut
//! when it is opened. What was replayed is noted, so that a restart sends again only a little that the log has already;
//! a record that is sent twice is one event.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use smallvec::SmallVec;
use towpath_capture::CapturedRecord;
use towpath_log::{AppendError, Log, LogReader, LogSettings, LogStorage, OpenError};
use towpath_model::{Category, Clock, Event, EventTime, Position};
use uuid::Uuid;

/// The file that notes what was replayed: a position and its CRC32C.
const REPLAYED: &str = "replayed";
/// What a record takes on disk beside its text, about.
const OVERHEAD: u64 = 96;
/// The largest segment; segments go when all of their records were replayed.
const SEGMENT_BYTES: u64 = 16 << 20;

/// Why records were not put on disk.
#[derive(Debug, thiserror::Error)]
pub(super) enum SpillError {
    #[error("the spill is full: {waiting} of {limit} bytes wait for the log")]
    Full { waiting: u64, limit: u64 },
    #[error("the spill cannot be written")]
    Storage(#[source] AppendError),
}

/// Records on disk.
pub(super) struct Spill {
    log: Log,
    notes: Arc<dyn LogStorage>,
    limit: u64,
    waiting: AtomicU64,
    replayed: AtomicU64,
}

impl Spill {
    /// Opens the spill: segments in `storage`, what was replayed in `notes`.
    pub(super) fn open(
        storage: Arc<dyn LogStorage>,
        notes: Arc<dyn LogStorage>,
        limit: u64,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
        let settings = LogSettings {
            segment_bytes: SEGMENT_BYTES.min(limit / 4).max(64 << 10),
            ring_bytes: 0,
            // What is lost is counted as it is passed over, see `Replay::next`.
            accept_damage: true,
            ..LogSettings::default()
        };
        let log = Log::builder(storage.clone()).clock(clock).settings(settings).open()?;
        let replayed = read_note(&*notes).unwrap_or_default().clamp(log.start().as_u64(), log.committed().as_u64());
        // What was replayed of the first segment is counted as well, until all is.
        let waiting = match replayed == log.committed().as_u64() {
            true => 0,
            false => sizes(&*storage).unwrap_or(limit),
        };
        Ok(Self { log, notes, limit, waiting: AtomicU64::new(waiting), replayed: AtomicU64::new(replayed) })
    }

    /// Returns when the records are durable on disk.
    pub(super) async fn append(&self, records: &[CapturedRecord]) -> Result<(), SpillError> {
        let bytes = records.iter().map(|record| OVERHEAD + record.json.len() as u64).sum();
        let waiting = self.waiting.fetch_add(bytes, Ordering::Relaxed);
        if waiting + bytes > self.limit {
            self.waiting.fetch_sub(bytes, Ordering::Relaxed);
            return Err(SpillError::Full { waiting, limit: self.limit });
        }
        let appended = self.log.append(records.iter().map(event_of).collect()).await;
        appended.map(drop).map_err(|cause| {
            self.waiting.fetch_sub(bytes, Ordering::Relaxed);
            SpillError::Storage(cause)
        })
    }

    /// True if nothing waits to be replayed.
    pub(super) fn is_empty(&self) -> bool {
        self.replayed.load(Ordering::Relaxed) >= self.log.committed().as_u64()
    }

    /// Reads what waits, in order.
    pub(super) fn replay(&self) -> Replay {
        let from = self.replayed.load(Ordering::Relaxed);
        Replay { reader: self.log.reader(Position::new(from)), next: from }
    }

    /// Notes that the log has what comes before `end`, and removes segments that nobody needs any more.
    pub(super) async fn replayed(self: &Arc<Self>, records: &[CapturedRecord], end: u64) {
        self.replayed.store(end, Ordering::Relaxed);
        if self.is_empty() {
            self.waiting.store(0, Ordering::Relaxed);
        } else {
            let bytes: u64 = records.iter().map(|record| OVERHEAD + record.json.len() as u64).sum();
            let less = |waiting: u64| Some(waiting.saturating_sub(bytes));
            let _ = self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        }
        let this = self.clone();
        // Without the note more is sent again after a restart, and nothing else.
        let noted = tokio::task::spawn_blocking(move || write_note(&*this.notes, end)).await;
        if let Ok(Err(cause)) = noted {
            tracing::warn!(%cause, "cannot note what of the spill was replayed");
        }
        if let Err(cause) = self.log.release(Position::new(end)).await {
            tracing::warn!(%cause, "cannot remove a segment of the spill");
        }
    }

    /// Ends the writer of the spill.
    pub(super) async fn close(&self) {
        self.log.close().await;
    }
}

/// What waits in the spill, in order.
pub(super) struct Replay {
    reader: LogReader,
    next: u64,
}

/// Records out of the spill.
pub(super) struct Replayed {
    pub(super) records: Vec<CapturedRecord>,
    /// The position after them, for [`Spill::replayed`].
    pub(super) end: u64,
    /// Records before them that cannot be read any more.
    pub(super) lost: u64,
}

impl Replay {
    /// Waits for records, at most `max_bytes` of them unless the first is larger.
    ///
    /// # Errors
    /// The spill is closed or cannot be read now.
    pub(super) async fn next(&mut self, max_bytes: usize) -> Result<Replayed, towpath_log::ReadError> {
        let committed = self.reader.next(max_bytes).await?;
        let lost = committed.first.as_u64().saturating_sub(self.next);
        self.next = committed.end().as_u64();
        Ok(Replayed { records: committed.events.into_iter().map(record_of).collect(), end: self.next, lost })
    }
}

/// A record as the spill keeps it. One for a channel has the channel in a line before its text.
fn event_of(record: &CapturedRecord) -> Event {
    let (category, json) = match &record.channel {
        None => (Category::Management, record.json.clone()),
        Some(channel) => {
            let mut text = Vec::with_capacity(channel.len() + 1 + record.json.len());
            text.extend_from_slice(channel.as_bytes());
            text.push(b'\n');
            text.extend_from_slice(&record.json);
            (Category::ActivityAuditLog, text.into())
        }
    };
    Event {
        key: record.event_id.into(),
        time: EventTime::from(record.time),
        admitted: record.time,
        category,
        account: record.account,
        region: record.region.clone(),
        destinations: SmallVec::new(),
        trails: SmallVec::new(),
        json,
    }
}

fn record_of(event: Event) -> CapturedRecord {
    let line =
        event.json.iter().position(|byte| *byte == b'\n').filter(|_| event.category == Category::ActivityAuditLog);
    let (channel, json) = match line {
        None => (None, event.json),
        Some(end) => (Some(String::from_utf8_lossy(&event.json[..end]).into()), event.json.slice(end + 1..)),
    };
    CapturedRecord {
        event_id: Uuid::from_bytes(*event.key.as_bytes()),
        account: event.account,
        region: event.region,
        time: event.time.timestamp(),
        channel,
        json,
    }
}

fn sizes(storage: &dyn LogStorage) -> io::Result<u64> {
    storage.list()?.iter().map(|name| storage.open(name)?.size()).sum()
}

fn read_note(notes: &dyn LogStorage) -> Option<u64> {
    let mut bytes = [0; 12];
    let read = notes.open(REPLAYED).ok()?.read_at(0, &mut bytes).ok()?;
    let (position, sum) = (bytes.first_chunk::<8>()?, bytes.last_chunk::<4>()?);
    (read == bytes.len() && crc32c::crc32c(position) == u32::from_le_bytes(*sum)).then(|| u64::from_le_bytes(*position))
}

fn write_note(notes: &dyn LogStorage, position: u64) -> io::Result<()> {
    let position = position.to_le_bytes();
    let sum = crc32c::crc32c(&position).to_le_bytes();
    let file = match notes.open(REPLAYED) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => notes.create(REPLAYED)?,
        Err(error) => return Err(error),
    };
    file.write_at(0, &mut [IoSlice::new(&position), IoSlice::new(&sum)])
}
