//! Which events a store already has: the key index.
//!
//! An event's identity is its [`EventKey`] within its store. Keys of hot rows are in memory; a flush writes those of its
//! rows into one *run*, a sorted file for all stores together, and runs of similar size are merged in the background,
//! so that there are few. Stores that have the same rows have their keys in common: a run holds such a key once. A run
//! keeps a filter in memory (12 bits a key) and the first key of each block; a lookup reads a block only after the filter
//! says "maybe". With the key goes the event's time, which leads to the day, the files and the pages that may hold the
//! row, and which compaction does not change.
//!
//! Runs repeat what is in the Parquet files and are rebuilt from them should one be lost or damaged.

mod filter;
mod format;
mod merge;
mod run;
#[cfg(test)]
mod tests;
mod writer;

use std::sync::Arc;

use arc_swap::ArcSwap;
use smallvec::SmallVec;

use towpath_model::{EventKey, EventTime, StoreId};

pub(crate) use format::{Entry, Span, Stores};
pub(crate) use merge::{Keep, merge};
pub(crate) use run::{Run, RunInfo, run_path};
pub(crate) use writer::{Keys, RunWriter};

use crate::error::LakeError;

/// Ratio of sizes within which runs are merged, and how many it takes.
const TIER: u64 = 4;

/// The runs, newest last.
#[derive(Debug, Default)]
pub(crate) struct KeyIndex {
    runs: ArcSwap<Vec<Arc<Run>>>,
}

impl KeyIndex {
    /// The index over these runs.
    pub fn new(runs: Vec<Arc<Run>>) -> Self {
        Self { runs: ArcSwap::from_pointee(runs) }
    }

    /// The runs as of now.
    pub fn runs(&self) -> Arc<Vec<Arc<Run>>> {
        self.runs.load_full()
    }

    /// Adds runs and takes out others in one step. The caller holds the lake's state, so that no two calls overlap.
    pub fn replace(&self, removed: &[uuid::Uuid], added: Vec<Arc<Run>>) {
        let mut runs: Vec<_> = self.runs().iter().filter(|run| !removed.contains(&run.info().id)).cloned().collect();
        runs.extend(added);
        self.runs.store(Arc::new(runs));
    }

    /// False when no file of the store has the event with this key; answered from memory. True says nothing.
    pub fn may_find(&self, store: StoreId, key: EventKey) -> bool {
        self.runs.load().iter().any(|run| run.may_find(store, key))
    }

    /// When the event with this key occurred, if a file of the store has it. May read from storage: not for async threads.
    pub fn find(&self, store: StoreId, key: EventKey) -> Result<Option<EventTime>, LakeError> {
        for run in self.runs.load().iter().rev() {
            if let Some(time) = run.find(store, key)? {
                return Ok(Some(time));
            }
        }
        Ok(None)
    }

    /// Those of `stores` that have the event with this key in a file; nearly always none. May read from storage: not for
    /// async threads.
    pub fn having(&self, stores: &[StoreId], key: EventKey) -> Result<SmallVec<[StoreId; 2]>, LakeError> {
        let mut having = SmallVec::new();
        for run in self.runs.load().iter() {
            run.find_each(stores, key, |store| having.push(store))?;
        }
        having.sort_unstable();
        Ok(having)
    }

    /// Runs that should be merged into one: several of similar size.
    pub fn mergeable(&self) -> Option<Vec<Arc<Run>>> {
        let runs = self.runs();
        let tier = |run: &Run| (run.info().entries.max(1) / 16_384).max(1).ilog(TIER);
        let lowest = runs.iter().map(|run| tier(run)).collect::<std::collections::BTreeSet<_>>();
        lowest.into_iter().find_map(|wanted| {
            let same: Vec<_> = runs.iter().filter(|run| tier(run) == wanted).cloned().collect();
            (same.len() as u64 >= TIER).then_some(same)
        })
    }
}
