//! The bound on what waits: calls and bytes, taken before a call is forwarded and given back when its record is durable.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a call is counted with until its bodies are known, in bytes: its heads, and its record.
const LEAST: usize = 4096;

/// Room for calls.
#[derive(Debug)]
pub(super) struct Room {
    calls: AtomicUsize,
    bytes: AtomicUsize,
    most_calls: usize,
    most_bytes: usize,
}

impl Room {
    pub(super) fn new(most_calls: usize, most_bytes: usize) -> Arc<Self> {
        Arc::new(Self { calls: AtomicUsize::new(0), bytes: AtomicUsize::new(0), most_calls, most_bytes })
    }

    /// Takes room for one call; `None` if there is none.
    pub(super) fn take(self: &Arc<Self>) -> Option<Taken> {
        let taken = Taken { room: self.clone(), bytes: LEAST };
        // Added first and looked at after, so that two callers never share the last place. Dropping `taken` gives back.
        let calls = self.calls.fetch_add(1, Ordering::Relaxed);
        let bytes = self.bytes.fetch_add(LEAST, Ordering::Relaxed);
        (calls < self.most_calls && bytes + LEAST <= self.most_bytes).then_some(taken)
    }

    /// Calls and bytes that are taken now.
    pub(super) fn load(&self) -> (usize, usize) {
        (self.calls.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }
}

/// Room that one call has. Given back when dropped.
#[derive(Debug)]
pub(super) struct Taken {
    room: Arc<Room>,
    bytes: usize,
}

impl Taken {
    /// Counts the call with what it turned out to keep.
    pub(super) fn grow_to(&mut self, kept: usize) {
        let more = (LEAST + kept).saturating_sub(self.bytes);
        self.room.bytes.fetch_add(more, Ordering::Relaxed);
        self.bytes += more;
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.room.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.room.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_bounded_in_calls_and_bytes_and_comes_back() {
        let room = Room::new(2, 10 * LEAST);
        let first = room.take().unwrap();
        let second = room.take().unwrap();
        assert!(room.take().is_none());
        assert_eq!(room.load(), (2, 2 * LEAST), "a refusal takes nothing");
        drop(first);
        let mut third = room.take().unwrap();
        third.grow_to(8 * LEAST);
        drop(second);
        assert_eq!(room.load(), (1, 9 * LEAST));
        let fourth = room.take().unwrap();
        assert!(room.take().is_none(), "ten times the least are taken");
        drop((third, fourth));
        assert_eq!(room.load(), (0, 0));
    }
}
