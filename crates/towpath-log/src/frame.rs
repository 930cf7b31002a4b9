//! Frames: one append on disk.
//!
//! ```text
//! frame  = header | payload
//! header = magic 4 | flags u32 | payload length u32 | payload CRC32C u32 | events u32 | body length u32 |
//!          first position u64 | durable before u64 | header CRC32C u32
//! ```
//! The payload and its checksum are made by the caller who appends; the writer adds 44 bytes. The header's checksum
//! starts from the segment's id. `durable before` is the length of the segment that was already synced when the frame was
//! written. It tells a torn tail from damage: a frame that says so proves that everything before that offset was
//! once on disk, whole.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use towpath_model::{Event, Position};

use crate::codec::{self, CodecError, MAX_BODY};
use crate::segment::SegmentEnd;
use crate::settings::Compression;
use crate::storage::LogFile;

/// Bytes of a frame header.
pub(crate) const FRAME_HEADER: usize = 44;

// No text in UTF-8 contains the first byte, so no event's text can imitate a frame.
const MAGIC: [u8; 4] = [0xff, b'T', b'P', 0xfe];
const LZ4: u32 = 1;
const SEAL: u32 = 2;
// How much is read at once. A frame larger than this is read whole.
const CHUNK: u64 = 256 << 10;

/// The part of a frame that does not depend on where it is written.
#[derive(Clone, Debug)]
pub(crate) struct Payload {
    flags: u32,
    bytes: Bytes,
    crc: u32,
    count: u32,
    body_len: u32,
}

impl Payload {
    /// Encodes the events of one append and points their texts at the encoding.
    pub(crate) fn encode(events: &mut [Event], compression: Compression) -> Self {
        let body = codec::encode(events);
        let (count, body_len) = (events.len() as u32, body.len() as u32);
        let (flags, bytes) = match compression {
            Compression::None => (0, body),
            Compression::Lz4 => match lz4_flex::block::compress(&body) {
                smaller if smaller.len() < body.len() => (LZ4, Bytes::from(smaller)),
                _ => (0, body),
            },
        };
        Self { flags, crc: crc32c::crc32c(&bytes), bytes, count, body_len }
    }

    /// A frame without events, the last of a segment that was closed in order.
    pub(crate) fn seal() -> Self {
        Self { flags: SEAL, bytes: Bytes::new(), crc: crc32c::crc32c(&[]), count: 0, body_len: 0 }
    }

    /// How many events it holds.
    pub(crate) fn count(&self) -> u64 {
        u64::from(self.count)
    }

    /// Bytes that the whole frame takes on disk.
    pub(crate) fn frame_len(&self) -> u64 {
        (FRAME_HEADER + self.bytes.len()) as u64
    }

    /// Bytes of memory that the events hold on to.
    pub(crate) fn memory(&self) -> u64 {
        u64::from(self.body_len) + self.count() * size_of::<Event>() as u64
    }

    /// The bytes that follow the header.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The header that makes this payload a frame of a segment. Returns the bytes and their checksum.
    pub(crate) fn header(&self, seed: u32, first: Position, durable_before: u64) -> ([u8; FRAME_HEADER], u32) {
        let mut out = [0; FRAME_HEADER];
        out[..4].copy_from_slice(&MAGIC);
        out[4..8].copy_from_slice(&self.flags.to_le_bytes());
        out[8..12].copy_from_slice(&(self.bytes.len() as u32).to_le_bytes());
        out[12..16].copy_from_slice(&self.crc.to_le_bytes());
        out[16..20].copy_from_slice(&self.count.to_le_bytes());
        out[20..24].copy_from_slice(&self.body_len.to_le_bytes());
        out[24..32].copy_from_slice(&first.as_u64().to_le_bytes());
        out[32..40].copy_from_slice(&durable_before.to_le_bytes());
        let check = crc32c::crc32c_append(seed, &out[..40]);
        out[40..].copy_from_slice(&check.to_le_bytes());
        (out, check)
    }
}

/// A frame as it was found on disk, its checksums verified.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) first: Position,
    pub(crate) count: u64,
    /// Offset of the byte after it.
    pub(crate) end: u64,
    pub(crate) durable_before: u64,
    pub(crate) check: u32,
    flags: u32,
    body_len: usize,
    payload: Bytes,
}

impl Frame {
    /// The position after its last event.
    pub(crate) fn next(&self) -> Position {
        self.first.plus(self.count)
    }

    /// Decodes the events.
    pub(crate) fn events(&self) -> Result<Vec<Event>, CodecError> {
        if self.count == 0 {
            return Ok(Vec::new());
        }
        let body = if self.flags & LZ4 == 0 {
            self.payload.clone()
        } else {
            let mut body = vec![0; self.body_len];
            match lz4_flex::block::decompress_into(&self.payload, &mut body) {
                Ok(len) if len == self.body_len => Bytes::from(body),
                _ => return Err(CodecError::Invalid("the compressed body")),
            }
        };
        let events = codec::decode(&body)?;
        if events.len() as u64 == self.count { Ok(events) } else { Err(CodecError::Invalid("the number of events")) }
    }
}

/// Why there is no frame at an offset.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameFault {
    /// The bytes are no whole frame of this segment.
    #[error("{0}")]
    Damaged(&'static str),
    /// Storage could not say.
    #[error("cannot read the segment")]
    Io(#[from] io::Error),
}

/// Reads frames of one segment, mostly forward, a chunk at a time.
pub(crate) struct FrameReader {
    file: Arc<dyn LogFile>,
    seed: u32,
    chunk: Bytes,
    chunk_at: u64,
}

impl FrameReader {
    pub(crate) fn new(file: Arc<dyn LogFile>, segment: &SegmentEnd) -> Self {
        Self { file, seed: segment.id.seed(), chunk: Bytes::new(), chunk_at: 0 }
    }

    /// The bytes from `at`, exactly `len`, if the part of the file before `end` has them.
    fn get(&mut self, at: u64, len: u64, end: u64) -> Result<Bytes, FrameFault> {
        if at > end || len > end - at {
            return Err(FrameFault::Damaged("the frame goes beyond the end of the segment"));
        }
        let held = self.chunk_at..self.chunk_at + self.chunk.len() as u64;
        if !(held.contains(&at) && at + len <= held.end) {
            let wanted = len.max(CHUNK).min(end - at);
            let mut chunk = vec![0; wanted as usize];
            let read = self.file.read_at(at, &mut chunk)?;
            chunk.truncate(read);
            (self.chunk, self.chunk_at) = (Bytes::from(chunk), at);
        }
        let from = (at - self.chunk_at) as usize;
        if from + len as usize > self.chunk.len() {
            return Err(FrameFault::Damaged("the file ends within the frame"));
        }
        Ok(self.chunk.slice(from..from + len as usize))
    }

    /// Reads the header at `at` and returns the frame without its payload, and the payload's length and checksum.
    fn header(&mut self, at: u64, end: u64) -> Result<(Frame, u64, u32), FrameFault> {
        let bytes = self.get(at, FRAME_HEADER as u64, end)?;
        let u32_at = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
        let check = u32_at(40);
        if bytes[..4] != MAGIC || check != crc32c::crc32c_append(self.seed, &bytes[..40]) {
            return Err(FrameFault::Damaged("the frame header is damaged"));
        }
        let (flags, payload_len, crc, count, body_len) = (u32_at(4), u32_at(8), u32_at(12), u32_at(16), u32_at(20));
        let (first, durable_before) = (u64_at(24), u64_at(32));
        if flags & !(LZ4 | SEAL) != 0 {
            return Err(FrameFault::Damaged("the frame is of a kind that this version does not know"));
        }
        if payload_len as usize > MAX_BODY || body_len as usize > MAX_BODY || durable_before > at {
            return Err(FrameFault::Damaged("the frame has an impossible length"));
        }
        let next = first.checked_add(u64::from(count)).ok_or(FrameFault::Damaged("the position is impossible"))?;
        let frame = Frame {
            first: Position::new(first),
            count: next - first,
            end: at + (FRAME_HEADER as u64) + u64::from(payload_len),
            durable_before,
            check,
            flags,
            body_len: body_len as usize,
            payload: Bytes::new(),
        };
        Ok((frame, u64::from(payload_len), crc))
    }

    /// Reads the frame at `at`, verifying everything but that its body decodes.
    pub(crate) fn frame(&mut self, at: u64, end: u64) -> Result<Frame, FrameFault> {
        let (mut frame, len, crc) = self.header(at, end)?;
        frame.payload = self.get(at + FRAME_HEADER as u64, len, end)?;
        if crc32c::crc32c(&frame.payload) != crc {
            return Err(FrameFault::Damaged("the events of the frame are damaged"));
        }
        Ok(frame)
    }

    /// Reads the frame at `at` without its payload: enough to step over it.
    pub(crate) fn skip(&mut self, at: u64, end: u64) -> Result<Frame, FrameFault> {
        let (frame, _, _) = self.header(at, end)?;
        if frame.end > end {
            return Err(FrameFault::Damaged("the frame goes beyond the end of the segment"));
        }
        Ok(frame)
    }

    /// Finds the next offset from `from` on where a frame header of this segment stands and `accept` agrees.
    pub(crate) fn find(
        &mut self,
        from: u64,
        end: u64,
        accept: impl Fn(&Frame) -> bool,
    ) -> Result<Option<(u64, Frame)>, io::Error> {
        let mut at = from;
        while at + FRAME_HEADER as u64 <= end {
            let window = match self.get(at, CHUNK.min(end - at), end) {
                Ok(window) => window,
                Err(FrameFault::Damaged(_)) => return Ok(None),
                Err(FrameFault::Io(error)) => return Err(error),
            };
            for candidate in
                window.windows(4).enumerate().filter(|(_, bytes)| **bytes == MAGIC).map(|(at, _)| at as u64)
            {
                match self.header(at + candidate, end) {
                    Ok((frame, _, _)) if accept(&frame) => return Ok(Some((at + candidate, frame))),
                    Err(FrameFault::Io(error)) => return Err(error),
                    _ => {}
                }
            }
            // The last three bytes may begin a magic number that the next window completes.
            at += (window.len() as u64).saturating_sub(3).max(1);
        }
        Ok(None)
    }
}
