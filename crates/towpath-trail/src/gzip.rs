//! One gzip member, written in blocks by whichever compressor is at hand.
//!
//! Between blocks the stream is flushed to a byte boundary, and no block refers to what came before it. So a file that
//! grows slowly keeps no compressor (some 300 KB each) while it waits, and thousands of files can be open at a time.
//! Readers see one ordinary stream.

use std::io;

use flate2::{Compress, Compression, Crc, FlushCompress, Status};

const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
// An empty last block.
const LAST: [u8; 2] = [3, 0];

/// A compressor that serves many members in turn.
pub(crate) struct Deflater {
    compress: Compress,
    out: Vec<u8>,
}

/// What a member remembers between its blocks.
#[derive(Default)]
pub(crate) struct Member {
    crc: Crc,
}

impl Deflater {
    pub(crate) fn new(level: u32) -> Self {
        Self { compress: Compress::new(Compression::new(level), false), out: Vec::new() }
    }

    /// The bytes that begin a member.
    pub(crate) fn begin(&mut self) -> &[u8] {
        &HEADER
    }

    /// Compresses one block of a member; the bytes follow those given before.
    pub(crate) fn block(&mut self, member: &mut Member, text: &[u8]) -> io::Result<&[u8]> {
        member.crc.update(text);
        self.compress.reset();
        self.out.clear();
        loop {
            let read = self.compress.total_in() as usize;
            // Room is offered until the flush leaves some of it unused.
            self.out.reserve((text.len() - read) / 4 + 1024);
            let status = self.compress.compress_vec(&text[read..], &mut self.out, FlushCompress::Sync);
            let status = status.map_err(io::Error::other)?;
            let done = self.compress.total_in() as usize == text.len() && self.out.len() < self.out.capacity();
            match status {
                Status::Ok | Status::BufError if done => return Ok(&self.out),
                Status::Ok | Status::BufError => {}
                Status::StreamEnd => return Err(io::Error::other("the deflate stream ended before its last block")),
            }
        }
    }

    /// The bytes that end a member.
    pub(crate) fn end(&mut self, member: &Member) -> &[u8] {
        self.out.clear();
        self.out.extend_from_slice(&LAST);
        self.out.extend_from_slice(&member.crc.sum().to_le_bytes());
        self.out.extend_from_slice(&member.crc.amount().to_le_bytes());
        &self.out
    }
}

/// Compresses a whole text as one member.
pub(crate) fn whole(level: u32, text: &[u8]) -> io::Result<Vec<u8>> {
    let (mut deflater, mut member) = (Deflater::new(level), Member::default());
    let mut file = deflater.begin().to_vec();
    file.extend_from_slice(deflater.block(&mut member, text)?);
    file.extend_from_slice(deflater.end(&member));
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn blocks_of_many_members_read_as_one_stream_each(
            blocks in prop::collection::vec((0usize..3, prop::collection::vec(any::<u8>(), 0..3_000), 1usize..40), 0..12),
            level in 1u32..10,
        ) {
            let mut deflater = Deflater::new(level);
            let mut files: Vec<(Member, Vec<u8>, Vec<u8>)> =
                (0..3).map(|_| (Member::default(), deflater.begin().to_vec(), Vec::new())).collect();
            for (to, text, times) in blocks {
                let text = text.repeat(times);
                let (member, file, plain) = &mut files[to];
                file.extend_from_slice(deflater.block(member, &text).unwrap());
                plain.extend_from_slice(&text);
            }
            for (member, mut file, plain) in files {
                file.extend_from_slice(deflater.end(&member));
                let mut read = Vec::new();
                // The single-member decoder would leave the rest unread if there were a second member.
                let mut decoder = GzDecoder::new(&file[..]);
                decoder.read_to_end(&mut read).unwrap();
                prop_assert_eq!(&read, &plain);
                prop_assert!(decoder.into_inner().is_empty());
            }
        }
    }

    #[test]
    fn an_empty_text_is_a_member_too() {
        let mut read = Vec::new();
        GzDecoder::new(&whole(2, b"").unwrap()[..]).read_to_end(&mut read).unwrap();
        assert!(read.is_empty());
    }
}
