//! What the lake knows in memory: hot rows, live files, retention, and what may be deleted.
//!
//! One lock guards it all, held for a few lines, so that a snapshot sees one moment of every store.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use towpath_model::{EventKey, EventTime, Position, StoreId, StoreKind};

use crate::datafile::DataFile;
use crate::keys::Run;
use crate::tails::{HotKey, Tails};

#[derive(Debug, Default)]
pub(crate) struct State {
    /// Every event below was applied.
    pub applied: Position,
    /// Every event below is in files.
    pub durable: Position,
    pub stores: HashMap<StoreId, Store>,
    /// Bytes that hot rows count for.
    pub hot_bytes: usize,
    /// When the oldest position came that is not durable here, whether or not it made a row.
    pub hot_since: Option<Timestamp>,
    /// Rows that are in no file yet.
    pub tails: Tails,
    /// Paths that are being written and no commit names yet.
    pub in_flight: HashSet<Path>,
    /// Objects to delete once nobody holds them.
    pub doomed: Vec<Doomed>,
}

#[derive(Debug)]
pub(crate) struct Store {
    pub kind: StoreKind,
    pub files: Arc<Vec<Arc<DataFile>>>,
    pub retention: Retention,
}

/// How long a store keeps its rows, as the metadata store has it under `lake/store/<store>`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Retention {
    /// Days that a row is kept, by its `eventtime`; `None` for ever.
    pub days: Option<u32>,
    /// Nothing earlier comes back, however long the retention is made later.
    pub floor: Option<EventTime>,
    /// The store was dropped: it has nothing and takes nothing.
    #[serde(default)]
    pub dropped: bool,
}

impl Retention {
    /// Rows before this are expired at `now`.
    pub fn cutoff(&self, now: Timestamp) -> Option<EventTime> {
        let by_days = self.days.map(|days| {
            let millis = now.as_millisecond().saturating_sub(i64::from(days) * 86_400_000);
            EventTime::from_millis(millis).unwrap_or(EventTime::from(Timestamp::UNIX_EPOCH))
        });
        by_days.max(self.floor)
    }
}

/// An object that is in no manifest any more.
#[derive(Debug)]
pub(crate) struct Doomed {
    pub path: Path,
    pub held: Held,
}

/// Who may still read a doomed object.
#[derive(Debug)]
pub(crate) enum Held {
    ByFile(Arc<DataFile>),
    ByRun(Arc<Run>),
    Nobody,
}

impl Held {
    /// True when this is the last reference.
    pub fn free(&self) -> bool {
        match self {
            Self::ByFile(file) => Arc::strong_count(file) == 1,
            Self::ByRun(run) => Arc::strong_count(run) == 1,
            Self::Nobody => true,
        }
    }
}

impl Store {
    pub fn new(kind: StoreKind) -> Self {
        Self { kind, files: Arc::default(), retention: Retention::default() }
    }

    /// Adds and removes files; returns the removed entries.
    pub fn replace_files(&mut self, removed: &[Uuid], added: Vec<Arc<DataFile>>) -> Vec<Arc<DataFile>> {
        let mut gone = Vec::new();
        if removed.is_empty() {
            Arc::make_mut(&mut self.files).extend(added);
            return gone;
        }
        let removed: HashSet<_> = removed.iter().collect();
        let mut kept = Vec::with_capacity(self.files.len() + added.len());
        for file in self.files.iter() {
            if removed.contains(&file.id) { gone.push(file.clone()) } else { kept.push(file.clone()) }
        }
        kept.extend(added);
        self.files = Arc::new(kept);
        gone
    }
}

impl State {
    /// The store, made if it is new.
    pub fn store(&mut self, store: StoreId, kind: StoreKind) -> &mut Store {
        self.stores.entry(store).or_insert_with(|| Store::new(kind))
    }

    /// True when the store was dropped.
    pub fn dropped(&self, store: StoreId) -> bool {
        self.stores.get(&store).is_some_and(|store| store.retention.dropped)
    }

    /// What is remembered of a hot row.
    pub fn hot_key(&self, store: StoreId, key: EventKey) -> Option<HotKey> {
        self.tails.key(store, key)
    }

    /// Marks files as replaced: they go once nobody holds them.
    pub fn doom_files(&mut self, files: Vec<Arc<DataFile>>) {
        self.doomed.extend(files.into_iter().map(|file| Doomed { path: file.path(), held: Held::ByFile(file) }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_longer_retention_brings_nothing_back() {
        let day = |n: i64| Timestamp::from_second(n * 86_400).unwrap();
        let time = |n: i64| EventTime::from(day(n));
        let short = Retention { days: Some(7), floor: None, dropped: false };
        assert_eq!(short.cutoff(day(100)), Some(time(93)));
        let longer = Retention { days: Some(30), floor: short.cutoff(day(100)), dropped: false };
        assert_eq!(longer.cutoff(day(100)), Some(time(93)));
        assert_eq!(longer.cutoff(day(130)), Some(time(100)));
        let forever = Retention { days: None, ..longer };
        assert_eq!(forever.cutoff(day(1000)), Some(time(93)));
    }
}
