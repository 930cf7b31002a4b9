//! The newest committed events in memory, for readers that follow closely.

use std::collections::VecDeque;
use std::sync::Arc;

use towpath_model::{Event, Position};

/// Committed appends in the order of their positions, without gaps, as many as fit.
pub(crate) struct Ring {
    max_bytes: u64,
    bytes: u64,
    chunks: VecDeque<Chunk>,
}

/// The events of one append.
#[derive(Clone)]
pub(crate) struct Chunk {
    pub(crate) first: Position,
    pub(crate) events: Arc<Vec<Event>>,
    pub(crate) bytes: u64,
}

impl Chunk {
    fn end(&self) -> Position {
        self.first.plus(self.events.len() as u64)
    }
}

impl Ring {
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self { max_bytes: max_bytes as u64, bytes: 0, chunks: VecDeque::new() }
    }

    /// Adds the newest append and lets go of the oldest that no longer fit.
    pub(crate) fn push(&mut self, chunk: Chunk) {
        self.bytes += chunk.bytes;
        self.chunks.push_back(chunk);
        while self.bytes > self.max_bytes {
            let Some(oldest) = self.chunks.pop_front() else { return };
            self.bytes -= oldest.bytes;
        }
    }

    /// The chunks from the one that holds `from` on, until their texts reach `max_bytes`; empty if `from` is not here.
    pub(crate) fn read(&self, from: Position, max_bytes: u64) -> Vec<Chunk> {
        let begin = self.chunks.partition_point(|chunk| chunk.end() <= from);
        if self.chunks.get(begin).is_none_or(|chunk| chunk.first > from) {
            return Vec::new();
        }
        let mut bytes = 0;
        let fits = |chunk: &&Chunk| {
            let more = bytes < max_bytes;
            bytes += chunk.bytes;
            more
        };
        let mut found: Vec<_> = self.chunks.range(begin..).take_while(fits).cloned().collect();
        if found.is_empty() {
            found.extend(self.chunks.get(begin).cloned());
        }
        found
    }
}
