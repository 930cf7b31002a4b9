//! The bytes of a log file: plain, or gzip that is decompressed on the way, within bounds.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use flate2::bufread::MultiGzDecoder;

use super::{LogFileError, LogFileLimits};

/// How a log file is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// JSON text as it is.
    Plain,
    /// One or more gzip members.
    Gzip,
}

/// A source whose bytes are decompressed and counted.
pub(super) struct Source<R> {
    decoder: Decoder<R>,
    limits: LogFileLimits,
    produced: u64,
}

enum Decoder<R> {
    Plain(Input<R>),
    Gzip(Box<MultiGzDecoder<Input<R>>>),
}

type Input<R> = BufReader<Counting<io::Chain<Cursor<Vec<u8>>, R>>>;

/// Counts the bytes that pass.
struct Counting<R> {
    inner: R,
    bytes: u64,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.bytes += count as u64;
        Ok(count)
    }
}

/// First bytes of files that are compressed in a way that log files are not.
const OTHER_COMPRESSIONS: [(&[u8], &str); 5] = [
    (b"PK\x03\x04", "zip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x04\x22\x4d\x18", "lz4"),
];

impl<R: Read> Source<R> {
    /// Reads the first bytes and tells from them how the file is stored.
    pub(super) fn open(mut inner: R, limits: LogFileLimits) -> Result<Self, LogFileError> {
        let mut magic = Vec::with_capacity(8);
        inner.by_ref().take(6).read_to_end(&mut magic).map_err(LogFileError::Read)?;
        if let Some((_, name)) = OTHER_COMPRESSIONS.iter().find(|(first, _)| magic.starts_with(first)) {
            return Err(LogFileError::Compression(name));
        }
        let gzip = magic.starts_with(&[0x1f, 0x8b]);
        let input = BufReader::with_capacity(64 * 1024, Counting { inner: Cursor::new(magic).chain(inner), bytes: 0 });
        let decoder = if gzip { Decoder::Gzip(Box::new(MultiGzDecoder::new(input))) } else { Decoder::Plain(input) };
        Ok(Self { decoder, limits, produced: 0 })
    }

    pub(super) fn encoding(&self) -> Encoding {
        match self.decoder {
            Decoder::Plain(_) => Encoding::Plain,
            Decoder::Gzip(_) => Encoding::Gzip,
        }
    }

    /// Bytes taken from the file so far.
    pub(super) fn consumed(&self) -> u64 {
        match &self.decoder {
            Decoder::Plain(input) => input.get_ref().bytes,
            Decoder::Gzip(decoder) => decoder.get_ref().get_ref().bytes,
        }
    }

    /// Bytes of text produced so far.
    pub(super) fn produced(&self) -> u64 {
        self.produced
    }

    /// Reads some text; 0 at the end.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, LogFileError> {
        let read = loop {
            let read = match &mut self.decoder {
                Decoder::Plain(input) => input.read(buffer),
                Decoder::Gzip(decoder) => decoder.read(buffer),
            };
            match read {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        let count = read.map_err(|error| self.failure(error))?;
        self.produced += count as u64;
        self.check_bounds()?;
        Ok(count)
    }

    fn failure(&mut self, error: io::Error) -> LogFileError {
        match (&mut self.decoder, error.kind()) {
            (Decoder::Gzip(decoder), io::ErrorKind::UnexpectedEof) => {
                // The decoder says so too when the file itself could not be read to its end.
                match decoder.get_mut().fill_buf() {
                    Ok(_) => LogFileError::GzipEnds,
                    Err(cause) => LogFileError::Read(cause),
                }
            }
            (Decoder::Gzip(_), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => LogFileError::Gzip(error),
            _ => LogFileError::Read(error),
        }
    }

    fn check_bounds(&self) -> Result<(), LogFileError> {
        // Small files may have any ratio: a megabyte of blanks is no attack.
        const HARMLESS: u64 = 64 * 1024 * 1024;
        if self.produced > self.limits.text_bytes {
            return Err(LogFileError::TooLarge { limit: self.limits.text_bytes });
        }
        let ratio = self.produced / self.consumed().max(1);
        if self.produced > HARMLESS && ratio > u64::from(self.limits.ratio) {
            return Err(LogFileError::Ratio { limit: self.limits.ratio });
        }
        Ok(())
    }
}
