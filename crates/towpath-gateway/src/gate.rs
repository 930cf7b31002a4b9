//! Holds a request's body back until its upstream wants it: `Expect: 100-continue`.
//!
//! Four may move it: the upstream's `100 Continue` opens it, as does its silence; an answer that comes first ends the
//! waiting, because the body is not wanted; and when that answer has passed, the connection is given up.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Sleep, sleep};

/// How long an upstream has for saying that it wants the body. Clients wait about as long before they send it unasked.
const CONTINUE_WITHIN: Duration = Duration::from_secs(1);

/// What moves a gate. Clones move the same one.
#[derive(Clone, Debug, Default)]
pub struct Gatekeeper(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    passage: Passage,
    waker: Option<Waker>,
}

/// How a body stands before its gate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Passage {
    /// It waits.
    #[default]
    Waiting,
    /// It may pass.
    Open,
    /// It will never pass, and its connection is still needed.
    Unwanted,
    /// It will never pass, and its connection ends.
    Over,
}

impl Gatekeeper {
    /// The upstream wants the body.
    pub fn open(&self) {
        self.turn(Passage::Open, |now| now == Passage::Waiting);
    }

    /// The upstream answers without it.
    pub fn answered(&self) {
        self.turn(Passage::Unwanted, |now| now == Passage::Waiting);
    }

    /// The answer has passed.
    pub fn over(&self) {
        self.turn(Passage::Over, |now| now != Passage::Open);
    }

    fn turn(&self, to: Passage, from: impl FnOnce(Passage) -> bool) {
        let mut state = self.0.lock();
        if from(state.passage) {
            state.passage = to;
            if let Some(waker) = state.waker.take() {
                waker.wake();
            }
        }
    }
}

/// A gate before a body.
pub struct Gate {
    keeper: Gatekeeper,
    patience: Pin<Box<Sleep>>,
}

impl Gate {
    /// A gate that `keeper` moves. Must be called within a Tokio runtime.
    pub fn new(keeper: Gatekeeper) -> Self {
        Self { keeper, patience: Box::pin(sleep(CONTINUE_WITHIN)) }
    }

    /// How the body stands; the task is woken when that changes.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Passage {
        if self.patience.as_mut().poll(cx).is_ready() {
            self.keeper.open();
        }
        let mut state = self.keeper.0.lock();
        state.waker = Some(cx.waker().clone());
        state.passage
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stands(gate: &mut Gate) -> Passage {
        gate.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[tokio::test]
    async fn an_answer_before_the_body_shuts_the_gate_for_good() {
        let keeper = Gatekeeper::default();
        let mut gate = Gate::new(keeper.clone());
        assert_eq!(stands(&mut gate), Passage::Waiting);
        keeper.answered();
        keeper.open();
        tokio::time::sleep(CONTINUE_WITHIN + Duration::from_millis(20)).await;
        assert_eq!(stands(&mut gate), Passage::Unwanted);
        keeper.over();
        assert_eq!(stands(&mut gate), Passage::Over);
    }

    #[tokio::test]
    async fn silence_opens_the_gate_as_the_upstream_does() {
        let keeper = Gatekeeper::default();
        let mut gate = Gate::new(keeper.clone());
        tokio::time::sleep(CONTINUE_WITHIN + Duration::from_millis(20)).await;
        assert_eq!(stands(&mut gate), Passage::Open);
        keeper.answered();
        keeper.over();
        assert_eq!(stands(&mut gate), Passage::Open);
    }
}
