//! A metadata store that fails when told to, for tests that look at what a failure leaves behind.
//!
//! A test first runs its scenario without faults to learn how many calls it makes, then runs it once per call with
//! that call failing, either before anything happened or after the commit was applied but before the caller knew.

use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use parking_lot::Mutex;

use crate::store::Cause;
use crate::{Expect, Key, MetaError, MetaStore, Record, Version, Write};

/// When a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing was done; answers [`MetaError::Unavailable`].
    Before,
    /// The call was done but its answer is lost; a commit answers [`MetaError::InDoubt`], a read
    /// [`MetaError::Unavailable`].
    After,
}

/// Passes calls on to `inner` and fails the chosen ones.
#[derive(Debug)]
pub struct FailingMetaStore<S> {
    inner: S,
    calls: AtomicU64,
    plan: Mutex<Plan>,
}

#[derive(Debug, Default)]
struct Plan {
    once: Option<(u64, Fault)>,
    all_from: Option<u64>,
}

impl<S: MetaStore> FailingMetaStore<S> {
    /// Wraps `inner`; nothing fails until told.
    pub fn new(inner: S) -> Self {
        Self { inner, calls: AtomicU64::new(0), plan: Mutex::default() }
    }

    /// Fails call number `call` (the first is 0, counted since the store was made), and no other.
    pub fn fail_at(&self, call: u64, fault: Fault) {
        self.plan.lock().once = Some((call, fault));
    }

    /// Fails call number `call` and every one after it, before anything happens: the store has died.
    pub fn fail_from(&self, call: u64) {
        self.plan.lock().all_from = Some(call);
    }

    /// Fails nothing any more.
    pub fn heal(&self) {
        *self.plan.lock() = Plan::default();
    }

    /// Returns the number of calls so far, failed ones included.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// Returns the store behind the faults.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// Counts a call and says how it fails.
    fn next(&self) -> Option<Fault> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        let plan = self.plan.lock();
        if plan.all_from.is_some_and(|from| call >= from) {
            return Some(Fault::Before);
        }
        plan.once.filter(|(at, _)| *at == call).map(|(_, fault)| fault)
    }

    async fn read<T>(&self, read: impl Future<Output = Result<T, MetaError>>) -> Result<T, MetaError> {
        match self.next() {
            None => read.await,
            Some(Fault::Before) => Err(MetaError::Unavailable(injected())),
            Some(Fault::After) => {
                read.await?;
                Err(MetaError::Unavailable(injected()))
            }
        }
    }
}

fn injected() -> Cause {
    "injected fault".into()
}

#[async_trait]
impl<S: MetaStore> MetaStore for FailingMetaStore<S> {
    async fn get(&self, key: &Key) -> Result<Option<Record>, MetaError> {
        self.read(self.inner.get(key)).await
    }

    async fn list(&self, prefix: &Key, after: Option<&Key>, limit: usize) -> Result<Vec<Record>, MetaError> {
        self.read(self.inner.list(prefix, after, limit)).await
    }

    async fn commit(&self, expect: &[Expect], writes: &[Write]) -> Result<Version, MetaError> {
        match self.next() {
            None => self.inner.commit(expect, writes).await,
            Some(Fault::Before) => Err(MetaError::Unavailable(injected())),
            Some(Fault::After) => {
                self.inner.commit(expect, writes).await?;
                Err(MetaError::InDoubt(injected()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryMetaStore;

    meta_store_suite!(failing_without_faults, FailingMetaStore::new(MemoryMetaStore::new()));

    #[tokio::test]
    async fn a_fault_before_leaves_nothing_and_a_fault_after_leaves_everything() {
        let store = FailingMetaStore::new(MemoryMetaStore::new());
        let (first, second) = (Key::new("k/1").unwrap(), Key::new("k/2").unwrap());
        let put = |key: &Key| [Write::Put(key.clone(), "v".into())];

        store.fail_at(0, Fault::Before);
        assert!(store.commit(&[], &put(&first)).await.unwrap_err().retryable());
        store.fail_at(1, Fault::After);
        assert!(matches!(store.commit(&[], &put(&second)).await, Err(MetaError::InDoubt(_))));

        assert_eq!(store.get(&first).await.unwrap(), None);
        assert!(store.get(&second).await.unwrap().is_some());
        assert_eq!(store.calls(), 4);
    }

    #[tokio::test]
    async fn a_dead_store_answers_nothing_until_it_is_healed() {
        let store = FailingMetaStore::new(MemoryMetaStore::new());
        store.fail_from(1);
        let key = Key::new("k/1").unwrap();

        assert!(store.get(&key).await.is_ok());
        assert!(store.get(&key).await.is_err());
        assert!(store.list(&key, None, 10).await.is_err());
        store.heal();
        assert!(store.get(&key).await.is_ok());
    }
}
