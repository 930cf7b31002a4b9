//! The writer: one thread that owns the end of the log.
//!
//! It takes all appends that wait, writes their frames with one call, syncs once, and answers everybody. While it waits
//! for the disk the next group gathers, so the group grows with the load and needs no timer.
//!
//! A sync of bytes that make the file longer also waits for the file system's journal, twice as long as one of bytes in space
//! that was written before. So small groups are written into zeros: the group that reaches the end of the file puts some
//! behind itself for those that follow. Zeros are no frame, and whoever opens the log cuts them off.
//!
//! A failed write or sync ends the segment at its last synced byte. The group is refused, and before its callers hear
//! that, the cut is made durable, so that a refused event cannot come back after a crash. The log then goes on in a new
//! segment, at once or as soon as storage works again.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use tokio::sync::watch;
use towpath_model::{Clock, Position};
use tracing::{error, info, warn};

use crate::error::AppendError;
use crate::frame::{FRAME_HEADER, Payload};
use crate::log::{Positions, Shared};
use crate::queue::{Pending, Queue};
use crate::ring::Chunk;
use crate::segment::{HEADER, PREPARED, SegmentEnd, SegmentHeader, SegmentId, segment_name};
use crate::storage::LogFile;

/// Bytes of zeros that a group puts behind itself.
const AHEAD: u64 = 512 << 10;
/// The largest group that does so, in bytes. A larger one takes longer to write than its journal does.
const SMALL_GROUP: u64 = 64 << 10;
static ZEROS: [u8; AHEAD as usize] = [0; AHEAD as usize];

// How often a cut is tried before callers are told that the outcome is uncertain.
const CUT_ATTEMPTS: u32 = 3;

/// Owned by the writer thread.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    committed: watch::Sender<Position>,

    // The position that the next event gets.
    next: Position,
    // The newest segment and what its header says about its predecessor. None in a log that never had one.
    last: Option<(SegmentEnd, Option<SegmentEnd>)>,
    // The newest segment's file while it may be written. None after a failure and at start.
    file: Option<Arc<dyn LogFile>>,
    // The length of that file, up to its last frame or to the zeros behind it; the greatest number if none are wanted.
    length: u64,

    // Failures of storage in a row, and when it is worth trying again.
    failures: u32,
    retry_at: Timestamp,
    // True while a failed group's bytes lie beyond an end that no durable header states yet.
    unsettled: bool,
}

/// Why a group was not written.
enum Failure {
    /// No segment is open and none can be opened: nothing was written.
    NoSegment(io::Error),
    /// The write failed; some of the bytes may be in the file.
    Write(io::Error),
    /// The sync failed; what it did is unknown and the file cannot be trusted any more.
    Sync(io::Error),
}

impl Writer {
    pub(crate) fn new(
        shared: Arc<Shared>,
        clock: Arc<dyn Clock>,
        committed: watch::Sender<Position>,
        last: Option<(SegmentEnd, Option<SegmentEnd>)>,
    ) -> Self {
        let (next, retry_at) = (*committed.borrow(), Timestamp::MIN);
        Self { shared, clock, committed, next, last, file: None, length: 0, failures: 0, retry_at, unsettled: false }
    }

    /// Serves the queue until it is closed and empty.
    pub(crate) fn run(mut self) {
        // Whatever ends this thread, nobody may wait for it any longer.
        let _guard = AbandonOnDrop(self.shared.queue.clone());
        let mut group = Vec::new();
        while self.shared.queue.take(self.shared.settings.group_bytes, &mut group) {
            match self.write(&group) {
                Ok(()) => self.publish(&mut group),
                Err(failure) => self.refuse(&mut group, failure),
            }
            self.shared.meters.queue_bytes.set(self.shared.queue.load().1 as f64);
        }
        self.seal();
    }

    /// Writes and syncs a group. On success its frames are part of the segment; nothing is visible to readers yet.
    fn write(&mut self, group: &[Pending]) -> Result<(), Failure> {
        let bytes: u64 = group.iter().map(|pending| pending.payload.frame_len()).sum();
        let (file, mut end) = self.writable(bytes).map_err(Failure::NoSegment)?;

        let (seed, durable) = (end.id.seed(), end.end);
        let mut position = self.next;
        let mut headers: Vec<[u8; FRAME_HEADER]> = Vec::with_capacity(group.len());
        for pending in group {
            let (header, check) = pending.payload.header(seed, position, durable);
            headers.push(header);
            position = position.plus(pending.payload.count());
            end.check = check;
        }
        end.end += bytes;
        let parts = |zeros: &'static [u8]| -> Vec<IoSlice<'_>> {
            let frames = headers.iter().zip(group);
            let frames = frames.flat_map(|(header, pending)| [&header[..], pending.payload.bytes()]);
            frames.chain([zeros]).map(IoSlice::new).collect()
        };
        let zeros = self.zeros(bytes, end.end);
        let mut written = file.write_at(durable, &mut parts(zeros));
        self.length = self.length.max(end.end + zeros.len() as u64);
        if let Err(cause) = &written
            && !zeros.is_empty()
            && is_no_room(cause)
        {
            // The frames may fit. No further group of this segment tries to write ahead.
            self.length = u64::MAX;
            written = file.truncate(durable).and_then(|()| file.write_at(durable, &mut parts(&[])));
        }
        written.map_err(Failure::Write)?;
        let started = Instant::now();
        file.sync().map_err(Failure::Sync)?;
        self.shared.meters.sync_seconds.record(started.elapsed());
        self.shared.meters.group_bytes.record(bytes as f64);
        self.shared.meters.bytes.increment(bytes);

        if let Some((last, _)) = &mut self.last {
            *last = end;
        }
        self.failures = 0;
        Ok(())
    }

    /// What is written behind a group of so many bytes that ends at `end`: zeros if the file ends there, and nothing beyond
    /// the length of a full segment.
    fn zeros(&self, bytes: u64, end: u64) -> &'static [u8] {
        if end <= self.length || bytes > SMALL_GROUP {
            return &[];
        }
        let room = self.shared.settings.segment_bytes.saturating_sub(end);
        &ZEROS[..room.min(AHEAD) as usize]
    }

    /// Shows a written group to readers and answers its callers.
    fn publish(&mut self, group: &mut Vec<Pending>) {
        let before = self.next;
        let shared = &self.shared;
        if let Some((last, _)) = &self.last {
            shared.segments.lock().extend(*last);
        }
        let mut answers = Vec::with_capacity(group.len());
        {
            let mut ring = shared.ring.lock();
            for mut pending in group.drain(..) {
                let (first, bytes) = (self.next, pending.payload.memory());
                self.next = first.plus(pending.payload.count());
                ring.push(Chunk { first, events: Arc::new(std::mem::take(&mut pending.events)), bytes });
                answers.push((pending, Positions { first, end: self.next }));
            }
        }
        self.committed.send_replace(self.next);
        let events = self.next.since(before);
        shared.meters.events.increment(events);
        shared.meters.group_events.record(events as f64);
        shared.meters.position.set(self.next.as_u64() as f64);
        for (pending, positions) in answers {
            pending.answer(Ok(positions));
        }
    }

    /// Ends the segment where it was last synced and refuses the group.
    fn refuse(&mut self, group: &mut Vec<Pending>, failure: Failure) {
        let appends = group.len();
        let (cause, certain) = match failure {
            // Not a byte of this group was written.
            Failure::NoSegment(cause) => (cause, true),
            Failure::Write(cause) => {
                self.shared.meters.failures.increment(1);
                // No sync of this file has failed, so a sync after the cut can be believed.
                self.unsettled = self.cut().is_err();
                self.settle(&cause, "write");
                (cause, !self.unsettled)
            }
            Failure::Sync(cause) => {
                self.shared.meters.failures.increment(1);
                // The cut frees space, but a sync of this file proves nothing any more: only a new header settles it.
                let _ = self.cut();
                self.unsettled = true;
                self.settle(&cause, "sync");
                (cause, !self.unsettled)
            }
        };
        warn!(appends, position = %self.next, %cause, certain, "appends refused");
        let cause = Arc::new(cause);
        for pending in group.drain(..) {
            let cause = cause.clone();
            pending.answer(Err(match certain {
                true => AppendError::Unavailable(cause),
                false => AppendError::Uncertain(cause),
            }));
        }
    }

    /// Removes what a failed write left behind the last synced byte, and gives the file up.
    fn cut(&mut self) -> io::Result<()> {
        match (self.file.take(), &self.last) {
            (Some(file), Some((last, _))) => file.truncate(last.end).and_then(|()| file.sync()),
            _ => Ok(()),
        }
    }

    /// Opens the segment that states where the failed one ends.
    fn settle(&mut self, cause: &io::Error, doing: &'static str) {
        error!(position = %self.next, doing, %cause, "log segment ended by a storage failure");
        for attempt in 1..=CUT_ATTEMPTS {
            match self.open_segment() {
                Ok(()) => return,
                // The cut is durable already; the next append tries again.
                Err(_) if !self.unsettled => return,
                Err(_) if attempt < CUT_ATTEMPTS => std::thread::sleep(self.shared.settings.pause(attempt)),
                Err(_) => {}
            }
        }
    }

    /// The file to write `bytes` more to, and its end: the open segment, or a new one if it is full or there is none.
    fn writable(&mut self, bytes: u64) -> io::Result<(Arc<dyn LogFile>, SegmentEnd)> {
        if let (Some(_), Some((last, _))) = (&self.file, &self.last) {
            let full = last.end > HEADER && last.end.saturating_add(bytes) > self.shared.settings.segment_bytes;
            if full {
                // From here on the old segment is not written any more, whether or not the new one can be opened: its
                // end may already be stated by a header on disk.
                self.file = None;
                self.retry_at = Timestamp::MIN;
            }
        }
        if self.file.is_none() {
            // A clock that was set back must not prolong the pause.
            let left = self.retry_at.duration_since(self.clock.now());
            if left.is_positive() && left.unsigned_abs() <= self.shared.settings.pause(self.failures) {
                return Err(io::Error::other("storage failed moments ago and is not tried again yet"));
            }
            self.open_segment()?;
        }
        match (&self.file, &self.last) {
            (Some(file), Some((last, _))) => Ok((file.clone(), *last)),
            _ => Err(io::Error::other("no segment is open")),
        }
    }

    /// Creates the segment that begins at the next position and makes it part of the log.
    fn open_segment(&mut self) -> io::Result<()> {
        match self.create_segment() {
            Ok(()) => {
                self.failures = 0;
                self.unsettled = false;
                Ok(())
            }
            Err(cause) => {
                self.failures += 1;
                self.shared.meters.failures.increment(1);
                let pause = self.shared.settings.pause(self.failures);
                self.retry_at = self.clock.now().checked_add(pause).unwrap_or(Timestamp::MAX);
                error!(position = %self.next, failures = self.failures, %cause, "log segment cannot be opened");
                Err(cause)
            }
        }
    }

    fn create_segment(&mut self) -> io::Result<()> {
        let previous = match self.last {
            // A segment without events is replaced by one with the same name, which takes over its predecessor.
            Some((last, previous)) if last.first == self.next => previous,
            Some((last, _)) => Some(last),
            None => None,
        };
        let created_ms = self.clock.now().as_millisecond();
        let header = SegmentHeader { id: SegmentId::random(), first: self.next, previous, created_ms };
        let (bytes, name) = (header.encode(), segment_name(self.next));

        // The header is durable before the segment has its name, and both before the first frame. Up to the rename a
        // crash leaves the log as it was; after it the end of the previous segment is fixed.
        let storage = &self.shared.storage;
        let file = storage.create(PREPARED)?;
        file.write_at(0, &mut [IoSlice::new(&bytes)])?;
        file.sync()?;
        storage.rename(PREPARED, &name)?;
        storage.sync_dir()?;

        let end = SegmentEnd { first: self.next, id: header.id, end: HEADER, check: header.check() };
        self.last = Some((end, previous));
        self.file = Some(file);
        self.length = HEADER;
        let mut segments = self.shared.segments.lock();
        segments.add(end);
        self.shared.meters.segments.set(segments.len() as f64);
        info!(file = name, "log segment opened");
        Ok(())
    }

    /// Marks the end of the log as reached in order, so that later damage to the last group cannot pass for a torn tail.
    fn seal(&mut self) {
        if self.unsettled && self.open_segment().is_err() {
            error!(position = %self.next, "log closed without recording where it ends: refused events may reappear");
        }
        let (Some(file), Some((last, _))) = (self.file.take(), &self.last) else { return };
        if last.end == HEADER {
            return;
        }
        let (header, _) = Payload::seal().header(last.id.seed(), self.next, last.end);
        let end = last.end + header.len() as u64;
        let sealed = file.write_at(last.end, &mut [IoSlice::new(&header)]).and_then(|()| match self.length > end {
            true => file.truncate(end),
            false => Ok(()),
        });
        if let Err(cause) = sealed.and_then(|()| file.sync()) {
            // Without the seal the next start finds a torn tail, which is true.
            warn!(%cause, "log segment could not be sealed");
        }
    }
}

/// True if a disk, a quota or a limit of the process has no room for what was to be written.
fn is_no_room(cause: &io::Error) -> bool {
    matches!(cause.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}

struct AbandonOnDrop(Arc<Queue>);

impl Drop for AbandonOnDrop {
    fn drop(&mut self) {
        self.0.abandon();
    }
}
