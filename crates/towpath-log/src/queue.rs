//! The admission queue: appends that wait for the disk, bounded in bytes and in number.
//!
//! An append takes its share of the bounds before its events are encoded and gives it back when it has its answer, so the
//! bounds cover what waits and what is being written. There is no waiting for room: a full queue says so at once.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;
use towpath_model::Event;

use crate::error::AppendError;
use crate::frame::Payload;
use crate::log::Positions;

/// An append on its way to the disk.
pub(crate) struct Pending {
    pub(crate) payload: Payload,
    pub(crate) events: Vec<Event>,
    pub(crate) answer: oneshot::Sender<Result<Positions, AppendError>>,
    pub(crate) permit: Permit,
}

impl Pending {
    /// Gives the room back, then answers, so that a caller who hears the answer finds the room.
    pub(crate) fn answer(self, result: Result<Positions, AppendError>) {
        drop(self.permit);
        // A caller that went away does not change what was written.
        let _ = self.answer.send(result);
    }
}

/// The queue between callers and the writer thread.
pub(crate) struct Queue {
    max_bytes: usize,
    max_appends: usize,
    state: Mutex<State>,
    arrived: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Pending>,
    bytes: usize,
    appends: usize,
    closed: bool,
    // Tests hold the writer back to see what a group is made of.
    #[cfg(test)]
    held: bool,
}

/// A share of the queue's bounds, given back on drop.
pub(crate) struct Permit {
    queue: Arc<Queue>,
    bytes: usize,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.queue.state.lock();
        state.bytes -= self.bytes;
        state.appends -= 1;
    }
}

impl Queue {
    pub(crate) fn new(max_bytes: usize, max_appends: usize) -> Arc<Self> {
        Arc::new(Self { max_bytes, max_appends, state: Mutex::default(), arrived: Condvar::new() })
    }

    /// Takes room for an append of `bytes`.
    pub(crate) fn reserve(self: &Arc<Self>, bytes: usize) -> Result<Permit, AppendError> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(AppendError::Closed);
        }
        if state.appends >= self.max_appends || bytes > self.max_bytes - state.bytes {
            return Err(AppendError::Busy);
        }
        state.bytes += bytes;
        state.appends += 1;
        Ok(Permit { queue: self.clone(), bytes })
    }

    /// Hands an append to the writer.
    pub(crate) fn push(&self, pending: Pending) -> Result<(), AppendError> {
        let mut state = self.state.lock();
        if state.closed {
            // The permit's drop takes the lock.
            drop(state);
            drop(pending);
            return Err(AppendError::Closed);
        }
        state.waiting.push_back(pending);
        let first = state.waiting.len() == 1;
        drop(state);
        // With others waiting the writer has been told already.
        if first {
            self.arrived.notify_one();
        }
        Ok(())
    }

    /// Waits for appends and moves all that wait, up to `max_bytes` of frames, into `group`. False once the queue is
    /// closed and empty.
    pub(crate) fn take(&self, max_bytes: usize, group: &mut Vec<Pending>) -> bool {
        let mut state = self.state.lock();
        while state.must_wait() {
            self.arrived.wait(&mut state);
        }
        let mut bytes = 0;
        while let Some(next) = state.waiting.front() {
            bytes += next.payload.frame_len();
            if !group.is_empty() && bytes > max_bytes as u64 {
                break;
            }
            group.extend(state.waiting.pop_front());
        }
        !group.is_empty()
    }

    /// Refuses all further appends. Those that wait are still written.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.arrived.notify_all();
    }

    /// Refuses everything, what waits included: its callers learn that nobody will answer.
    pub(crate) fn abandon(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        let waiting = std::mem::take(&mut state.waiting);
        // Dropping a permit takes the lock.
        drop(state);
        drop(waiting);
    }

    /// How many appends and bytes are in the queue or being written.
    pub(crate) fn load(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.appends, state.bytes)
    }

    #[cfg(test)]
    pub(crate) fn hold(&self, held: bool) {
        self.state.lock().held = held;
        self.arrived.notify_all();
    }
}

impl State {
    #[cfg(test)]
    fn must_wait(&self) -> bool {
        (self.waiting.is_empty() && !self.closed) || self.held
    }

    #[cfg(not(test))]
    fn must_wait(&self) -> bool {
        self.waiting.is_empty() && !self.closed
    }
}
