//! Segments: their names, their headers, and the list of those that the log consists of.
//!
//! A segment's name is the position of its first event. Its header states where the segment before it ends, exactly.
//! That makes an abandoned tail harmless: whatever bytes a failed write left behind, they lie beyond the stated end and
//! are not part of the log. A header is durable before the segment gets its name, so a named segment without a sound
//! header is damage and never the trace of a crash.

use std::collections::BTreeMap;
use std::fmt;

use towpath_model::Position;
use uuid::Uuid;

/// Bytes of a segment header.
pub(crate) const HEADER: u64 = 88;

/// The version of segments that this code writes, and the only one it reads.
pub(crate) const VERSION: u32 = 1;

const MAGIC: [u8; 8] = *b"\xfftowlog\n";
const SUFFIX: &str = ".seg";

/// The name under which a segment is prepared before it becomes part of the log.
pub(crate) const PREPARED: &str = "next.tmp";

/// The file name of the segment that begins at `first`: twenty digits and `.seg`, so that names sort as positions do.
pub(crate) fn segment_name(first: Position) -> String {
    format!("{:020}{SUFFIX}", first.as_u64())
}

/// The first position of the segment with this file name, if it is the name of a segment.
pub(crate) fn first_position(name: &str) -> Option<Position> {
    let digits = name.strip_suffix(SUFFIX)?;
    if digits.len() != 20 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().map(Position::new)
}

/// The random identity of a segment. Frames are bound to it, so bytes of another file are never taken for its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentId([u8; 16]);

impl SegmentId {
    pub(crate) fn random() -> Self {
        Self(*Uuid::new_v4().as_bytes())
    }

    /// What the checksums of this segment's frames start from.
    pub(crate) fn seed(self) -> u32 {
        crc32c::crc32c(&self.0)
    }
}

impl fmt::Debug for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Uuid::from_bytes(self.0).fmt(f)
    }
}

/// Where a segment ends: what the header of its successor says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentEnd {
    pub(crate) first: Position,
    pub(crate) id: SegmentId,
    /// Length in bytes of the part that belongs to the log.
    pub(crate) end: u64,
    /// Checksum of the last frame's header, or of the segment's header if it has no frame.
    pub(crate) check: u32,
}

/// The first bytes of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) id: SegmentId,
    pub(crate) first: Position,
    pub(crate) previous: Option<SegmentEnd>,
    pub(crate) created_ms: i64,
}

/// Why bytes are no header.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HeaderFault {
    Version(u32),
    Damaged,
}

impl SegmentHeader {
    /// The bytes of the header; the last four are its checksum.
    pub(crate) fn encode(&self) -> [u8; HEADER as usize] {
        let none = SegmentEnd { first: Position::ZERO, id: SegmentId([0; 16]), end: 0, check: 0 };
        let previous = self.previous.unwrap_or(none);
        let mut out = [0; HEADER as usize];
        out[..8].copy_from_slice(&MAGIC);
        out[8..12].copy_from_slice(&VERSION.to_le_bytes());
        // Bytes 12 to 16 are reserved and zero.
        out[16..32].copy_from_slice(&self.id.0);
        out[32..40].copy_from_slice(&self.first.as_u64().to_le_bytes());
        out[40..48].copy_from_slice(&previous.first.as_u64().to_le_bytes());
        out[48..64].copy_from_slice(&previous.id.0);
        out[64..72].copy_from_slice(&previous.end.to_le_bytes());
        out[72..76].copy_from_slice(&previous.check.to_le_bytes());
        out[76..84].copy_from_slice(&self.created_ms.to_le_bytes());
        let check = crc32c::crc32c(&out[..84]);
        out[84..].copy_from_slice(&check.to_le_bytes());
        out
    }

    /// The checksum in the encoded header.
    pub(crate) fn check(&self) -> u32 {
        crc32c::crc32c(&self.encode()[..84])
    }

    /// Reads a header. The version is judged before the checksum: another version may have another layout.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, HeaderFault> {
        let bytes: &[u8; HEADER as usize] = bytes.try_into().map_err(|_| HeaderFault::Damaged)?;
        let u32_at = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
        let id_at = |at: usize| {
            let mut id = [0; 16];
            id.copy_from_slice(&bytes[at..at + 16]);
            SegmentId(id)
        };
        let sound = u32_at(84) == crc32c::crc32c(&bytes[..84]);
        if bytes[..8] != MAGIC {
            return Err(HeaderFault::Damaged);
        }
        match u32_at(8) {
            VERSION if sound && u32_at(12) == 0 => {}
            VERSION => return Err(HeaderFault::Damaged),
            other => return Err(HeaderFault::Version(other)),
        }
        let (first, end) = (Position::new(u64_at(32)), u64_at(64));
        let previous = SegmentEnd { first: Position::new(u64_at(40)), id: id_at(48), end, check: u32_at(72) };
        let previous = (end >= HEADER).then_some(previous);
        Ok(Self { id: id_at(16), first, previous, created_ms: u64_at(76) as i64 })
    }
}

/// The segments of the log, by first position. The last one may still grow.
///
/// Ends only ever cover what is durable, so whoever reads up to them never sees what may vanish.
#[derive(Debug, Default)]
pub(crate) struct Segments(BTreeMap<Position, SegmentEnd>);

impl Segments {
    /// Adds a segment; one with the same first position had no events and is replaced.
    pub(crate) fn add(&mut self, segment: SegmentEnd) {
        self.0.insert(segment.first, segment);
    }

    /// States the new end of the last segment.
    pub(crate) fn extend(&mut self, segment: SegmentEnd) {
        if let Some(known) = self.0.get_mut(&segment.first) {
            *known = segment;
        }
    }

    /// The first position that the log still has.
    pub(crate) fn start(&self) -> Option<Position> {
        self.0.keys().next().copied()
    }

    /// The segment that holds `position`, or would once it is written.
    pub(crate) fn holding(&self, position: Position) -> Option<SegmentEnd> {
        self.0.range(..=position).next_back().map(|(_, segment)| *segment)
    }

    /// The segment that follows the one that begins at `first`.
    pub(crate) fn after(&self, first: Position) -> Option<SegmentEnd> {
        let mut later = self.0.range(first..).map(|(_, segment)| *segment);
        later.find(|segment| segment.first > first)
    }

    /// Takes out the oldest segment if all its events lie before `before` and another segment follows it.
    pub(crate) fn take_before(&mut self, before: Position) -> Option<SegmentEnd> {
        let next = *self.0.keys().nth(1)?;
        if next > before {
            return None;
        }
        self.0.pop_first().map(|(_, segment)| segment)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> SegmentHeader {
        let end = SegmentEnd { first: Position::new(3), id: SegmentId::random(), end: 1234, check: 99 };
        let (id, first) = (SegmentId::random(), Position::new(77));
        SegmentHeader { id, first, previous: Some(end), created_ms: 1_700_000_000_000 }
    }

    #[test]
    fn a_header_reads_back_as_it_was_written() {
        let header = header();
        assert_eq!(SegmentHeader::decode(&header.encode()), Ok(header));
        let first = SegmentHeader { previous: None, ..header };
        assert_eq!(SegmentHeader::decode(&first.encode()), Ok(first));
    }

    #[test]
    fn a_header_with_any_flipped_bit_is_refused() {
        let bytes = header().encode();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(SegmentHeader::decode(&flipped).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_header_of_another_version_is_named() {
        let mut bytes = header().encode();
        bytes[8] = 9;
        assert_eq!(SegmentHeader::decode(&bytes), Err(HeaderFault::Version(9)));
    }

    #[test]
    fn names_sort_as_positions_do() {
        assert_eq!(segment_name(Position::new(42)), "00000000000000000042.seg");
        assert_eq!(first_position("00000000000000000042.seg"), Some(Position::new(42)));
        for name in ["42.seg", "next.tmp", "0000000000000000004x.seg", "99999999999999999999.seg", "", ".seg"] {
            assert_eq!(first_position(name), None, "{name}");
        }
    }
}
