//! A complete metadata store in memory, for tests and tools. It keeps every promise but outliving the process.

use std::collections::BTreeMap;
use std::ops::Bound;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;

use crate::store::check_commit;
use crate::{Expect, Key, MAX_PAGE, MetaError, MetaStore, Record, Version, Write};

/// Keeps records in an ordered map.
#[derive(Debug, Default)]
pub struct MemoryMetaStore {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last: u64,
    records: BTreeMap<Key, (Version, Bytes)>,
}

impl MemoryMetaStore {
    /// Makes an empty store.
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl MetaStore for MemoryMetaStore {
    async fn get(&self, key: &Key) -> Result<Option<Record>, MetaError> {
        let state = self.state.lock();
        Ok(state.records.get(key).map(|entry| record(key, entry)))
    }

    async fn list(&self, prefix: &Key, after: Option<&Key>, limit: usize) -> Result<Vec<Record>, MetaError> {
        let state = self.state.lock();
        let start = after.map_or(prefix, |after| after.max(prefix));
        let (_, end) = prefix.range();
        Ok(state
            .records
            .range((Bound::Excluded(start), Bound::Unbounded))
            .take_while(|(key, _)| key.as_str() < end.as_str())
            .filter(|(key, _)| key.is_under(prefix))
            .take(limit.min(MAX_PAGE))
            .map(|(key, entry)| record(key, entry))
            .collect())
    }

    async fn commit(&self, expect: &[Expect], writes: &[Write]) -> Result<Version, MetaError> {
        check_commit(expect, writes)?;
        let mut state = self.state.lock();
        for expect in expect {
            expect.check(state.records.get(expect.key()).map(|(version, _)| *version))?;
        }
        state.last += 1;
        let version = Version(state.last);
        for write in writes {
            match write {
                Write::Put(key, value) => state.records.insert(key.clone(), (version, value.clone())),
                Write::Delete(key) => state.records.remove(key),
            };
        }
        Ok(version)
    }
}

fn record(key: &Key, (version, value): &(Version, Bytes)) -> Record {
    Record { key: key.clone(), version: *version, value: value.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    meta_store_suite!(memory, MemoryMetaStore::new());
}
