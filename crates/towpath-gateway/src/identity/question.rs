//! Questions about keys that are under way, so that each is asked once however many calls wait for its answer.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use towpath_wire::sigv4::Secret;

/// What is asked, without the token itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Question {
    pub(super) upstream: Arc<str>,
    pub(super) id: String,
    // Whoever knows the id alone must not spoil the answer for who has the token.
    token: Option<[u8; 32]>,
}

impl Question {
    /// The question of who owns the key `id` of an upstream's caller.
    pub(super) fn of(upstream: &str, id: &str, token: Option<&Secret>) -> Self {
        let token = token.map(|token| Sha256::digest(token.expose()).into());
        Self { upstream: upstream.into(), id: id.to_owned(), token }
    }
}

/// The questions that are under way. Who has a question's lock asks it; the others wait for the lock and find the answer.
#[derive(Default)]
pub(super) struct UnderWay(Mutex<HashMap<Question, Arc<tokio::sync::Mutex<()>>>>);

/// Somebody's wish to ask. Dropped, however that ends, who comes later finds the answer, or asks anew.
pub(super) struct Turn<'a> {
    under_way: &'a UnderWay,
    question: &'a Question,
    lock: Arc<tokio::sync::Mutex<()>>,
}

impl UnderWay {
    /// Joins those who want to ask a question.
    pub(super) fn begin<'a>(&'a self, question: &'a Question) -> Turn<'a> {
        let lock = self.0.lock().entry(question.clone()).or_default().clone();
        Turn { under_way: self, question, lock }
    }

    /// True if nobody asks anything.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }
}

impl Turn<'_> {
    /// Waits until nobody else asks.
    pub(super) async fn lock(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.lock.lock().await
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.under_way.0.lock().remove(self.question);
    }
}
