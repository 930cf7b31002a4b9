//! Readers: whoever follows the log from a position of its own.

use std::io;
use std::sync::Arc;

use tokio::sync::watch;
use towpath_model::{Event, Position};
use tracing::error;

use crate::error::ReadError;
use crate::frame::{Frame, FrameFault, FrameReader};
use crate::log::Shared;
use crate::segment::{HEADER, SegmentEnd, segment_name};

/// Events at consecutive positions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Position of the first event.
    pub first: Position,
    /// The events; never empty.
    pub events: Vec<Event>,
}

impl Committed {
    /// The position after the last event.
    pub fn end(&self) -> Position {
        self.first.plus(self.events.len() as u64)
    }
}

/// Reads the log in order, every event once, and waits at its end for more.
///
/// Recent events come from memory, older ones from their segments. A reader never sees an event that is not durable.
pub struct LogReader {
    shared: Arc<Shared>,
    committed: watch::Receiver<Position>,
    // The position that the next event has.
    position: Position,
    // Decoded events from `position` on that the last call had no room for.
    spare: std::vec::IntoIter<Event>,
    cursor: Option<Cursor>,
}

impl LogReader {
    pub(crate) fn new(shared: Arc<Shared>, committed: watch::Receiver<Position>, from: Position) -> Self {
        Self { shared, committed, position: from, spare: Vec::new().into_iter(), cursor: None }
    }

    /// The position of the event that comes next.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The position after the last durable event.
    pub fn committed(&self) -> Position {
        *self.committed.borrow()
    }

    /// Returns the next events, their texts together at most `max_bytes` unless the first alone is larger. Waits while
    /// there are none.
    ///
    /// Positions follow each other without a gap from call to call; only with the setting `accept_damage` may `first` lie
    /// beyond the position that was due, by the events that were lost. Dropping the future loses nothing. An error leaves
    /// the reader where it was.
    pub async fn next(&mut self, max_bytes: usize) -> Result<Committed, ReadError> {
        loop {
            if !self.spare.as_slice().is_empty() {
                return Ok(self.take_spare(max_bytes));
            }
            let end = *self.committed.borrow_and_update();
            let start = self.shared.segments.lock().start().unwrap_or_default();
            if self.position < start {
                return Err(ReadError::Released { from: self.position, start });
            }
            if self.position > end {
                return Err(ReadError::Beyond { from: self.position, end });
            }
            if self.position == end {
                self.committed.changed().await.map_err(|_| ReadError::Closed)?;
                continue;
            }
            if let Some(recent) = self.read_ring(max_bytes) {
                self.position = recent.end();
                return Ok(recent);
            }
            let (shared, cursor, from) = (self.shared.clone(), self.cursor.take(), self.position);
            let task = move || Cursor::read(&shared, cursor, from, end, max_bytes);
            let ended =
                |_| ReadError::Storage { file: segment_name(from), cause: io::Error::other("the runtime stopped") };
            let (cursor, found) = tokio::task::spawn_blocking(task).await.map_err(ended)??;
            self.cursor = Some(cursor);
            self.position = found.first;
            self.spare = found.events.into_iter();
        }
    }

    fn take_spare(&mut self, max_bytes: usize) -> Committed {
        let count = fitting(self.spare.as_slice(), max_bytes);
        let committed = Committed { first: self.position, events: self.spare.by_ref().take(count).collect() };
        self.position = committed.end();
        committed
    }

    fn read_ring(&self, max_bytes: usize) -> Option<Committed> {
        // Events are cloned outside the lock; the writer needs it.
        let chunks = self.shared.ring.lock().read(self.position, max_bytes as u64);
        let mut events = Vec::with_capacity(chunks.iter().map(|chunk| chunk.events.len()).sum());
        let mut room = max_bytes;
        for chunk in chunks {
            let skip = self.position.since(chunk.first) as usize;
            let rest = chunk.events.get(skip.min(chunk.events.len())..)?;
            let count = if events.is_empty() { fitting(rest, room) } else { fitting_exactly(rest, room) };
            room = room.saturating_sub(rest[..count].iter().map(|event| event.json.len()).sum());
            events.extend_from_slice(&rest[..count]);
            if count < rest.len() {
                break;
            }
        }
        (!events.is_empty()).then_some(Committed { first: self.position, events })
    }
}

/// How many of the events fit into `max_bytes`; at least one.
fn fitting(events: &[Event], max_bytes: usize) -> usize {
    fitting_exactly(events, max_bytes).max(1).min(events.len())
}

fn fitting_exactly(events: &[Event], max_bytes: usize) -> usize {
    let mut bytes = 0usize;
    events
        .iter()
        .take_while(|event| {
            bytes = bytes.saturating_add(event.json.len());
            bytes <= max_bytes
        })
        .count()
}

/// A place in a segment file.
struct Cursor {
    segment: SegmentEnd,
    frames: FrameReader,
    // Offset and first position of the next frame.
    offset: u64,
    position: Position,
    // Checksum of the frame before the offset, if that was read.
    check: Option<u32>,
}

impl Cursor {
    /// Reads events from `from` on, until their texts reach `max_bytes` or all before `end` are read.
    fn read(
        shared: &Shared,
        cursor: Option<Self>,
        from: Position,
        end: Position,
        max_bytes: usize,
    ) -> Result<(Self, Committed), ReadError> {
        let mut cursor = match cursor {
            Some(cursor) if cursor.position == from => cursor,
            _ => Self::open(shared, from)?,
        };
        let mut found = Committed { first: from, events: Vec::new() };
        let mut bytes = 0;
        while bytes < max_bytes.max(1) && cursor.position < end {
            match cursor.frame(shared) {
                Ok(Some(frame)) if frame.next() <= from => cursor.step(&frame),
                Ok(Some(frame)) => match frame.events() {
                    Ok(mut events) => {
                        // Only the first frame can begin before `from`.
                        events.drain(..from.since(frame.first).min(frame.count) as usize);
                        bytes += events.iter().map(|event| event.json.len() + size_of::<Event>()).sum::<usize>();
                        found.events.append(&mut events);
                        cursor.step(&frame);
                    }
                    Err(_) if !found.events.is_empty() => break,
                    Err(cause) if shared.settings.accept_damage => {
                        cursor.give_up(&frame.first, frame.next(), &cause.to_string());
                        cursor.step(&frame);
                        found.first = cursor.position;
                    }
                    Err(cause) => return Err(cursor.damaged(cause.to_string())),
                },
                Ok(None) => cursor = cursor.following(shared)?,
                // What was read before the fault is sound; the fault comes back with the next call.
                Err(_) if !found.events.is_empty() => break,
                Err(ReadError::Damaged { what, .. }) if shared.settings.accept_damage => {
                    cursor.skip_damage(shared, end, &what)?;
                    found.first = cursor.position.max(from);
                }
                Err(error) => return Err(error),
            }
        }
        Ok((cursor, found))
    }

    /// Opens the segment that holds `from` and steps to the frame that does.
    fn open(shared: &Shared, from: Position) -> Result<Self, ReadError> {
        let holding = shared.segments.lock().holding(from);
        let Some(segment) = holding else { return Err(released(shared, from)) };
        let mut cursor = Self::at_start_of(shared, segment, from)?;
        while let Some(frame) = cursor.limit(shared).map(|limit| cursor.frames.skip(cursor.offset, limit)) {
            match frame {
                Ok(frame) if frame.next() <= from && frame.first == cursor.position => cursor.step(&frame),
                // Whatever is wrong here is reported when the frame is read.
                _ => break,
            }
        }
        Ok(cursor)
    }

    fn at_start_of(shared: &Shared, segment: SegmentEnd, from: Position) -> Result<Self, ReadError> {
        let file = segment_name(segment.first);
        let opened = match shared.storage.open(&file) {
            Ok(opened) => opened,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound && from < start(shared) => {
                return Err(released(shared, from));
            }
            Err(cause) => return Err(ReadError::Storage { file, cause }),
        };
        let frames = FrameReader::new(opened, &segment);
        Ok(Self { segment, frames, offset: HEADER, position: segment.first, check: None })
    }

    /// How far the segment may be read now; none once it was released.
    fn limit(&self, shared: &Shared) -> Option<u64> {
        self.known(shared).map(|segment| segment.end)
    }

    fn known(&self, shared: &Shared) -> Option<SegmentEnd> {
        let known = shared.segments.lock().holding(self.segment.first);
        known.filter(|segment| segment.id == self.segment.id)
    }

    /// The next frame of this segment; none at its end.
    fn frame(&mut self, shared: &Shared) -> Result<Option<Frame>, ReadError> {
        let Some(known) = self.known(shared) else { return Err(released(shared, self.position)) };
        if self.offset >= known.end {
            return match self.check {
                Some(check) if check != known.check => {
                    Err(self.damaged("the segment ends with another frame".to_owned()))
                }
                _ => Ok(None),
            };
        }
        match self.frames.frame(self.offset, known.end) {
            Ok(frame) if frame.first == self.position => Ok(Some(frame)),
            Ok(_) => Err(self.damaged("the frame has another position than the one that is due".to_owned())),
            Err(FrameFault::Damaged(what)) => Err(self.damaged(what.to_owned())),
            Err(FrameFault::Io(cause)) => Err(ReadError::Storage { file: segment_name(self.segment.first), cause }),
        }
    }

    fn step(&mut self, frame: &Frame) {
        (self.offset, self.position, self.check) = (frame.end, frame.next(), Some(frame.check));
    }

    /// The segment after this one, which must begin where this one ends.
    fn following(self, shared: &Shared) -> Result<Self, ReadError> {
        let after = shared.segments.lock().after(self.segment.first);
        match after {
            Some(next) if next.first == self.position => Self::at_start_of(shared, next, self.position),
            _ => Err(self.damaged("events are missing at the end of the segment".to_owned())),
        }
    }

    /// Steps over damage to the next sound frame, or to the next segment.
    fn skip_damage(&mut self, shared: &Shared, end: Position, what: &str) -> Result<(), ReadError> {
        let limit = self.limit(shared).unwrap_or(self.offset);
        let (due, file) = (self.position, segment_name(self.segment.first));
        let found = self.frames.find(self.offset + 1, limit, |frame| frame.first >= due);
        match found.map_err(|cause| ReadError::Storage { file, cause })? {
            Some((offset, frame)) => {
                self.give_up(&due, frame.first, what);
                (self.offset, self.position, self.check) = (offset, frame.first, None);
            }
            None => {
                let next = shared.segments.lock().after(self.segment.first);
                let position = next.map_or(end, |next| next.first);
                self.give_up(&due, position, what);
                (self.offset, self.position, self.check) = (limit, position, None);
            }
        }
        Ok(())
    }

    fn give_up(&self, from: &Position, to: Position, what: &str) {
        let (file, offset) = (segment_name(self.segment.first), self.offset);
        error!(file, offset, %from, %to, what, "events in damaged frames are given up");
    }

    fn damaged(&self, what: String) -> ReadError {
        let (file, offset) = (segment_name(self.segment.first), self.offset);
        ReadError::Damaged { file, offset, position: self.position, what }
    }
}

fn start(shared: &Shared) -> Position {
    shared.segments.lock().start().unwrap_or_default()
}

fn released(shared: &Shared, from: Position) -> ReadError {
    ReadError::Released { from, start: start(shared) }
}
