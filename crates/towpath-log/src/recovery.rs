//! What happens when the log opens: finding out, from bytes alone, which events it holds.
//!
//! Headers of all segments must form a chain; each states where its predecessor ends. Only the last segment has no
//! successor to state its end, so its frames are read. The first that is not whole ends the log, provided it is a torn
//! tail: writes that no fsync had confirmed. If a later frame proves that the place was durable once, it is damage to
//! acknowledged events, and the log refuses to open rather than lose them silently.
//!
//! Whatever is found is made durable before anybody may read it: after the death of a process, frames can be in the page
//! cache only, and a reader that had seen them would be ahead of the log after a power cut.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::sync::Arc;

use towpath_model::Position;
use tracing::{error, warn};

use crate::error::OpenError;
use crate::frame::{FrameFault, FrameReader};
use crate::segment::{
    HEADER, HeaderFault, PREPARED, SegmentEnd, SegmentHeader, Segments, VERSION, first_position, segment_name,
};
use crate::storage::{LogFile, LogStorage};

/// What opening the log found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// How many segments the log has.
    pub segments: usize,
    /// The first position that it still has.
    pub start: Position,
    /// The position after its last event.
    pub end: Position,
    /// The torn tail that was cut off, if there was one.
    pub truncated: Option<Truncated>,
    /// Positions given up because their frames are damaged; empty unless the setting `accept_damage` is on.
    pub lost: Vec<Range<Position>>,
}

/// A torn tail: bytes that were written but never acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truncated {
    /// File name of the segment.
    pub file: String,
    /// Where it was cut.
    pub offset: u64,
    /// How many bytes were cut off, without the zeros that follow them.
    pub bytes: u64,
}

/// The log as found.
pub(crate) struct Recovered {
    pub(crate) segments: Segments,
    /// The last segment, and what its own header says about the one before it.
    pub(crate) last: Option<(SegmentEnd, Option<SegmentEnd>)>,
    pub(crate) report: Recovery,
}

/// Reads the log's state from storage and makes it durable.
pub(crate) fn recover(storage: &dyn LogStorage, accept_damage: bool) -> Result<Recovered, OpenError> {
    let headers = read_headers(storage)?;
    let mut segments = Segments::default();
    for pair in headers.windows(2) {
        segments.add(check_link(storage, &pair[0], &pair[1])?);
    }
    let Some(last) = headers.last() else {
        return Ok(Recovered { segments, last: None, report: Recovery::default() });
    };

    let file = storage.open(&segment_name(last.first)).map_err(failed("open", last.first))?;
    let size = file.size().map_err(failed("measure", last.first))?;
    let tail = Tail::find(&file, last, size, accept_damage)?;
    let truncated = tail.settle(&*file, last, size)?;
    storage.sync_dir().map_err(|cause| OpenError::Storage { doing: "sync the directory".to_owned(), cause })?;
    segments.add(tail.end);

    let start = segments.start().unwrap_or_default();
    let report = Recovery { segments: segments.len(), start, end: tail.next, truncated, lost: tail.lost };
    Ok(Recovered { segments, last: Some((tail.end, last.previous)), report })
}

fn failed(doing: &'static str, first: Position) -> impl Fn(io::Error) -> OpenError {
    move |cause| OpenError::Storage { doing: format!("{doing} segment {}", segment_name(first)), cause }
}

fn read_headers(storage: &dyn LogStorage) -> Result<Vec<SegmentHeader>, OpenError> {
    let names = storage.list().map_err(|cause| OpenError::Storage { doing: "list the segments".to_owned(), cause })?;
    let mut headers = Vec::with_capacity(names.len());
    for name in names {
        match first_position(&name) {
            Some(first) => headers.push(read_header(storage, first, name)?),
            // A segment that was being prepared when the process died; it never became part of the log.
            None if name == PREPARED => {}
            None => warn!(file = name, "file in the log's directory is not a segment"),
        }
    }
    headers.sort_by_key(|header| header.first);
    Ok(headers)
}

fn read_header(storage: &dyn LogStorage, first: Position, name: String) -> Result<SegmentHeader, OpenError> {
    let mut bytes = [0; HEADER as usize];
    let file = storage.open(&name).map_err(failed("open", first))?;
    let read = file.read_at(0, &mut bytes).map_err(failed("read", first))?;
    match SegmentHeader::decode(&bytes[..read]) {
        Ok(header) if header.first == first => Ok(header),
        Err(HeaderFault::Version(version)) => Err(OpenError::Version { file: name, version, known: VERSION }),
        Ok(_) | Err(HeaderFault::Damaged) => Err(OpenError::Header { file: name }),
    }
}

/// The end of `earlier`, as `later` states it.
fn check_link(
    storage: &dyn LogStorage,
    earlier: &SegmentHeader,
    later: &SegmentHeader,
) -> Result<SegmentEnd, OpenError> {
    let (file, previous) = (segment_name(later.first), segment_name(earlier.first));
    let end = match later.previous {
        Some(end) if end.first == earlier.first && end.id == earlier.id => end,
        _ => return Err(OpenError::Chain { file, previous, what: "a segment between them is missing" }),
    };
    let size = storage.open(&previous).and_then(|file| file.size()).map_err(failed("measure", earlier.first))?;
    if size < end.end {
        let what = "the file is shorter than the segment after it says";
        return Err(OpenError::Damaged { file: previous, offset: size, what });
    }
    Ok(end)
}

/// Where the last segment ends.
struct Tail {
    end: SegmentEnd,
    next: Position,
    /// Bytes of the last group: the only ones that may be unsynced.
    last_group: Range<u64>,
    lost: Vec<Range<Position>>,
}

impl Tail {
    fn find(file: &Arc<dyn LogFile>, header: &SegmentHeader, size: u64, accept: bool) -> Result<Self, OpenError> {
        let end = SegmentEnd { first: header.first, id: header.id, end: HEADER, check: header.check() };
        let mut tail = Self { end, next: header.first, last_group: HEADER..HEADER, lost: Vec::new() };
        let mut frames = FrameReader::new(file.clone(), &end);
        while tail.end.end < size {
            let at = tail.end.end;
            let what = match frames.frame(at, size) {
                Ok(frame) if frame.first == tail.next => {
                    tail.next = frame.next();
                    // A seal is a group of its own and may be as unsynced as any other.
                    tail.last_group = frame.durable_before..frame.end;
                    (tail.end.end, tail.end.check) = (frame.end, frame.check);
                    continue;
                }
                Ok(_) => "the frame has another position than the one that is due",
                Err(FrameFault::Damaged(what)) => what,
                Err(FrameFault::Io(cause)) => return Err(failed("read", header.first)(cause)),
            };
            let read = |cause| failed("read", header.first)(cause);
            let proof = frames.find(at + 1, size, |frame| frame.durable_before > at).map_err(read)?;
            if proof.is_none() {
                break;
            }
            let due = tail.next;
            let (true, Some((sound_at, sound))) =
                (accept, frames.find(at + 1, size, |frame| frame.first >= due).map_err(read)?)
            else {
                return Err(OpenError::Damaged { file: segment_name(header.first), offset: at, what });
            };
            let file = segment_name(header.first);
            error!(file, offset = at, from = %due, to = %sound.first, what, "events in damaged frames are given up");
            tail.lost.push(due..sound.first);
            (tail.end.end, tail.next) = (sound_at, sound.first);
        }
        Ok(tail)
    }

    /// Cuts the torn tail off and makes the rest durable.
    fn settle(&self, file: &dyn LogFile, header: &SegmentHeader, size: u64) -> Result<Option<Truncated>, OpenError> {
        let mut truncated = None;
        if self.end.end < size {
            let written = written_until(file, self.end.end..size).map_err(failed("read", header.first))?;
            if let Some(written) = written {
                let (file_name, bytes) = (segment_name(header.first), written - self.end.end);
                warn!(file = file_name, offset = self.end.end, bytes, "torn tail of the log is cut off");
                truncated = Some(Truncated { file: file_name, offset: self.end.end, bytes });
            }
            file.truncate(self.end.end).map_err(failed("truncate", header.first))?;
        }
        // If a sync failed just before the process died, the kernel may hold the group's pages as clean although the
        // disk never got them, and a sync alone would succeed without writing them. Written again, they are dirty.
        let mut chunk = vec![0; 1 << 20];
        let mut at = self.last_group.start;
        while at < self.last_group.end {
            let len = (self.last_group.end - at).min(chunk.len() as u64) as usize;
            let read = file.read_at(at, &mut chunk[..len]).map_err(failed("read", header.first))?;
            if read < len {
                return Err(failed("read", header.first)(io::ErrorKind::UnexpectedEof.into()));
            }
            file.write_at(at, &mut [IoSlice::new(&chunk[..len])])
                .map_err(failed("rewrite the end of", header.first))?;
            at += len as u64;
        }
        file.sync().map_err(failed("sync", header.first))?;
        Ok(truncated)
    }
}

/// Where the last byte in `range` ends that is not zero. Zeros were written ahead of frames that never came.
fn written_until(file: &dyn LogFile, range: Range<u64>) -> io::Result<Option<u64>> {
    let mut chunk = vec![0; 1 << 20];
    let (mut at, mut found) = (range.start, None);
    while at < range.end {
        let len = (range.end - at).min(chunk.len() as u64) as usize;
        let read = file.read_at(at, &mut chunk[..len])?;
        if read == 0 {
            break;
        }
        if let Some(last) = chunk[..read].iter().rposition(|byte| *byte != 0) {
            found = Some(at + last as u64 + 1);
        }
        at += read as u64;
    }
    Ok(found)
}
