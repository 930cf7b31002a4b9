//! The part of a log file's text that is in memory.
//!
//! A window is a reference-counted buffer; records are slices of it. When a value does not end within the window, the
//! rest of it is carried into a new, larger one, so that memory is bounded by the largest record and not by the file.

use std::io::Read;

use bytes::Bytes;

use super::source::Source;
use super::{LogFileError, LogFileLimits};

/// The first window of a file; most log files fit.
const SMALLEST: usize = 64 * 1024;
/// Windows double up to this size.
const LARGEST: usize = 1024 * 1024;

pub(super) struct Window<R> {
    source: Source<R>,
    buffer: Bytes,
    /// The place in the buffer up to which everything was dealt with.
    pub(super) at: usize,
    /// Offset of the buffer's first byte in the file's text.
    base: u64,
    next_size: usize,
    ended: Option<Result<(), LogFileError>>,
}

impl<R: Read> Window<R> {
    pub(super) fn open(inner: R, limits: LogFileLimits) -> Result<Self, LogFileError> {
        let source = Source::open(inner, limits)?;
        Ok(Self { source, buffer: Bytes::new(), at: 0, base: 0, next_size: SMALLEST, ended: None })
    }

    pub(super) fn source(&self) -> &Source<R> {
        &self.source
    }

    /// The buffer; cloning it is cheap and keeps it alive.
    pub(super) fn buffer(&self) -> Bytes {
        self.buffer.clone()
    }

    /// The bytes not yet dealt with.
    pub(super) fn rest(&self) -> &[u8] {
        &self.buffer[self.at..]
    }

    /// The offset of `at` in the file's text.
    pub(super) fn offset(&self) -> u64 {
        self.base + self.at as u64
    }

    /// True if the file has no bytes beyond the buffer.
    pub(super) fn at_end(&self) -> bool {
        self.ended.is_some()
    }

    /// Takes the error that ended the file before its time, if one did.
    pub(super) fn take_error(&mut self) -> Option<LogFileError> {
        match self.ended.replace(Ok(())) {
            Some(Err(error)) => Some(error),
            _ => None,
        }
    }

    /// Replaces the buffer by one that begins at `at` and has more bytes; does nothing at the end.
    ///
    /// An error of the source counts as the end: what came before it is good.
    pub(super) fn refill(&mut self) {
        if self.at_end() {
            return;
        }
        let carried = self.buffer.len() - self.at;
        let size = self.next_size.max(2 * carried);
        self.next_size = (2 * self.next_size).min(LARGEST);
        let mut buffer = vec![0; size];
        buffer[..carried].copy_from_slice(&self.buffer[self.at..]);
        self.base += self.at as u64;
        self.at = 0;
        let mut filled = carried;
        while filled < buffer.len() && self.ended.is_none() {
            match self.source.read(&mut buffer[filled..]) {
                Ok(0) => self.ended = Some(Ok(())),
                Ok(count) => filled += count,
                Err(error) => self.ended = Some(Err(error)),
            }
        }
        buffer.truncate(filled);
        if filled < buffer.capacity() / 2 {
            buffer.shrink_to_fit();
        }
        self.buffer = Bytes::from(buffer);
    }
}
