//! What is kept of a body that streams by: a bounded first part, the length of all of it, and of a stream of events how it
//! failed, which it says at its end.

use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Instant;
use towpath_capture::{Body, EventStream};

/// Keeps the first bytes of a body.
///
/// They are copied: a slice of a connection's read buffer, however small, would hold on to all of it until the record is
/// made.
#[derive(Debug, Default)]
pub struct Kept {
    bytes: Vec<u8>,
    bound: usize,
    total: u64,
    whole: bool,
    short: bool,
    stream: Option<Box<EventStream>>,
}

impl Kept {
    /// Keeps at most `bound` bytes.
    pub fn new(bound: usize) -> Self {
        Self { bound, ..Self::default() }
    }

    /// Reads a stream of events along. What turns out to be none is not looked at for long.
    pub fn read_along(&mut self) {
        if self.bound > 0 && self.total == 0 {
            self.stream = Some(Box::default());
        }
    }

    /// Takes note of bytes that pass.
    pub fn pass(&mut self, data: &[u8]) {
        self.total += data.len() as u64;
        if let Some(stream) = &mut self.stream {
            stream.pass(data);
        }
        let room = self.bound - self.bytes.len();
        let part = &data[..room.min(data.len())];
        if self.bytes.is_empty() {
            self.bytes.reserve_exact(part.len());
        }
        self.bytes.extend_from_slice(part);
    }

    /// Takes note that the body ended as announced.
    pub fn end(&mut self) {
        self.whole = true;
    }

    /// Takes note that the sender did not send all that it had announced.
    pub fn fall_short(&mut self) {
        self.short = true;
    }

    /// Counts bytes that passed without being looked at.
    pub fn count(&mut self, bytes: u64) {
        self.total += bytes;
        self.stream = None;
    }

    /// What was kept.
    pub fn into_body(self) -> Body {
        let kept = Bytes::from(self.bytes.into_boxed_slice());
        let stream = self.stream.map(|stream| Box::new(stream.said()));
        Body { kept, total: self.total, whole: self.whole, short: self.short, stream }
    }
}

/// What is kept of a request's body, shared between the body on its way and the call.
#[derive(Debug)]
pub struct Tee(Mutex<State>);

#[derive(Debug)]
struct State {
    kept: Kept,
    ended: Option<Instant>,
    failed: Option<Failed>,
}

/// Why a request's body did not come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// The client broke the connection, or sent what is not a body.
    Broken,
    /// The client stopped sending.
    Stalled,
    /// It is not the body that was signed.
    Forged,
}

impl Tee {
    /// Keeps at most `bound` bytes.
    pub fn new(bound: usize) -> Self {
        Self(Mutex::new(State { kept: Kept::new(bound), ended: None, failed: None }))
    }

    /// Takes note of bytes that pass.
    pub fn pass(&self, data: &[u8]) {
        self.0.lock().kept.pass(data);
    }

    /// Counts bytes that passed without being looked at.
    pub fn count(&self, bytes: u64) {
        self.0.lock().kept.count(bytes);
    }

    /// Takes note that the body ended as announced.
    pub fn end(&self) {
        let mut state = self.0.lock();
        state.kept.end();
        state.ended.get_or_insert_with(Instant::now);
    }

    /// Takes note that the body will not end.
    pub fn fail(&self, failed: Failed) {
        self.0.lock().failed.get_or_insert(failed);
    }

    /// Why the body did not end, if so.
    pub fn failed(&self) -> Option<Failed> {
        self.0.lock().failed
    }

    /// True once all of the body has passed.
    pub fn has_ended(&self) -> bool {
        self.0.lock().ended.is_some()
    }

    /// How much longer an answer may take that has `patience` from the end of the request on: all of it while the
    /// request still passes, `None` when it is over.
    pub fn patience_left(&self, patience: Duration) -> Option<Duration> {
        match self.0.lock().ended {
            None => Some(patience),
            Some(ended) => patience.checked_sub(ended.elapsed()).filter(|left| !left.is_zero()),
        }
    }

    /// What was kept. Later bytes are not taken note of.
    pub fn take(&self) -> Body {
        std::mem::take(&mut self.0.lock().kept).into_body()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn the_first_bytes_are_kept_and_all_are_counted(
            parts in proptest::collection::vec(proptest::collection::vec(0u8.., 0..40), 0..8),
            bound in 0usize..100,
        ) {
            let all = parts.concat();
            let mut kept = Kept::new(bound);
            for part in &parts {
                kept.pass(part);
            }
            kept.end();
            let body = kept.into_body();
            assert_eq!(body.kept, &all[..all.len().min(bound)]);
            assert_eq!(body.total, all.len() as u64);
            assert_eq!(body.is_kept(), all.len() <= bound);
        }
    }

    #[test]
    fn a_body_that_did_not_end_is_not_whole() {
        let tee = Tee::new(10);
        tee.pass(b"hello");
        assert!(!tee.take().whole);
        assert_eq!(tee.patience_left(Duration::from_secs(1)), Some(Duration::from_secs(1)));
    }
}
