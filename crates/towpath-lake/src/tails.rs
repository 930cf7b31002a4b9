//! The hot tails: rows that are in no file yet, kept once for all stores that have the same rows.
//!
//! A call's own record goes to every live store of its account. Stores that take the same events share one [`HotTail`]:
//! its rows are in memory once, are converted once, and a flush encodes them once. What a store has is the sum of the
//! tails it has a part in. Keys are kept once per row too, with the tail that has it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use smallvec::SmallVec;

use towpath_model::{EventKey, EventTime, StoreId, StoreKind};

use crate::batch::Row;
use crate::hot::{Chunk, Figures, HotTail};
use crate::keys::{Entry, Keys};

/// Tails of several stores that there may be at a time. While stores come and go each event may have others; beyond
/// this many the row goes to a tail of each store, so that a store's rows never lie in many places.
const MAX_SHARED: usize = 32;

/// What is remembered of a hot row by its key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HotKey {
    pub time: EventTime,
    pub admitted: Timestamp,
    tail: u64,
}

/// Nearly every key is in one tail; one that came to some stores earlier than to others is in several.
type HotKeys = HashMap<EventKey, SmallVec<[HotKey; 1]>>;

/// The tails of all stores.
#[derive(Debug, Default)]
pub(crate) struct Tails {
    tails: BTreeMap<u64, Tail>,
    next: u64,
    // Tails that take rows, by their stores in order; and how many of them have several.
    by_stores: HashMap<Arc<[StoreId]>, u64>,
    shared: usize,
    // The tails that each store has a part in, oldest first.
    of_store: HashMap<StoreId, Vec<u64>>,
    // Keys of hot rows: those that a flush is writing, and the others.
    sealed_keys: HotKeys,
    hot_keys: HotKeys,
}

#[derive(Debug)]
struct Tail {
    stores: Arc<[StoreId]>,
    rows: HotTail,
}

impl Tail {
    /// Bytes that the rows count for in memory, once for all stores.
    fn cost(&self) -> usize {
        self.rows.figures().bytes
    }
}

/// Rows that a flush writes, the same for all these stores.
#[derive(Debug)]
pub(crate) struct SealedRows {
    pub stores: Vec<StoreId>,
    pub cutoff: Option<EventTime>,
    pub chunks: Vec<Arc<Chunk>>,
}

impl Tails {
    /// Adds a row to these stores of one kind, which are in order; returns the bytes it counts for, and the chunks that
    /// are full now.
    pub fn push(&mut self, kind: StoreKind, stores: &[StoreId], row: Row) -> (usize, SmallVec<[Arc<Chunk>; 1]>) {
        let share = stores.len() == 1 || self.by_stores.contains_key(stores) || self.shared < MAX_SHARED;
        if share {
            return self.push_to(kind, stores, row);
        }
        let (mut bytes, mut full) = (0, SmallVec::new());
        for store in stores {
            let (more, chunks) = self.push_to(kind, std::slice::from_ref(store), row.clone());
            bytes += more;
            full.extend(chunks);
        }
        (bytes, full)
    }

    fn push_to(&mut self, kind: StoreKind, stores: &[StoreId], row: Row) -> (usize, SmallVec<[Arc<Chunk>; 1]>) {
        let id = match self.by_stores.get(stores) {
            Some(id) => *id,
            None => self.begin(kind, stores),
        };
        let tail = self.tails.get_mut(&id).expect("a tail that takes rows is there");
        let key = HotKey { time: row.time, admitted: row.admitted, tail: id };
        self.hot_keys.entry(row.key).or_default().push(key);
        let (bytes, full) = tail.rows.push(row);
        (bytes, full.into_iter().collect())
    }

    fn begin(&mut self, kind: StoreKind, stores: &[StoreId]) -> u64 {
        let id = self.next;
        self.next += 1;
        let stores: Arc<[StoreId]> = stores.into();
        for store in stores.iter() {
            self.of_store.entry(*store).or_default().push(id);
        }
        self.shared += usize::from(stores.len() > 1);
        self.by_stores.insert(stores.clone(), id);
        self.tails.insert(id, Tail { stores, rows: HotTail::new(kind) });
        id
    }

    fn remove(&mut self, id: u64) -> Option<Tail> {
        let tail = self.tails.remove(&id)?;
        self.by_stores.remove(&tail.stores);
        self.shared -= usize::from(tail.stores.len() > 1);
        for store in tail.stores.iter() {
            if let Some(tails) = self.of_store.get_mut(store) {
                tails.retain(|tail| *tail != id);
                if tails.is_empty() {
                    self.of_store.remove(store);
                }
            }
        }
        Some(tail)
    }

    /// What is remembered of a hot row of a store.
    pub fn key(&self, store: StoreId, key: EventKey) -> Option<HotKey> {
        let of_store =
            |hot: &&HotKey| self.tails.get(&hot.tail).is_some_and(|tail| tail.stores.binary_search(&store).is_ok());
        [&self.hot_keys, &self.sealed_keys].into_iter().find_map(|keys| keys.get(&key)?.iter().find(of_store).copied())
    }

    /// False when no store has a hot row with this key.
    pub fn has_key(&self, key: EventKey) -> bool {
        self.hot_keys.contains_key(&key) || self.sealed_keys.contains_key(&key)
    }

    /// The chunks that hold every hot row of a store.
    pub fn all(&mut self, store: StoreId) -> Vec<Arc<Chunk>> {
        let mut chunks = Vec::new();
        for id in self.of_store.get(&store).into_iter().flatten() {
            if let Some(tail) = self.tails.get_mut(id) {
                chunks.extend(tail.rows.all());
            }
        }
        chunks
    }

    /// Figures of a store's hot rows.
    pub fn figures(&self, store: StoreId) -> Figures {
        let tails = self.of_store.get(&store).into_iter().flatten().filter_map(|id| self.tails.get(id));
        tails.fold(Figures::default(), |sum, tail| sum.with(tail.rows.figures()))
    }

    /// True when rows lie in so many tails that a store's are in many places; a flush puts them together.
    pub fn crowded(&self) -> bool {
        self.shared >= MAX_SHARED
    }

    /// How many stores have hot rows.
    pub fn stores(&self) -> usize {
        self.of_store.len()
    }

    /// Marks every hot row as being written. Returns the rows, and their keys, together for stores that have the same.
    ///
    /// `cutoff` tells before which time a store's rows are expired; a store for which it is `None` was dropped.
    pub fn seal(&mut self, cutoff: impl Fn(StoreId) -> Option<Option<EventTime>>) -> (Vec<SealedRows>, Vec<Keys>) {
        let mut chunks: HashMap<u64, Vec<Arc<Chunk>>> = HashMap::new();
        let mut earliest: HashMap<u64, EventTime> = HashMap::new();
        for (id, tail) in &mut self.tails {
            chunks.insert(*id, tail.rows.seal());
            earliest.extend(tail.rows.figures().times.map(|(first, _)| (*id, first)));
        }
        let mut same: BTreeMap<(&[u64], Option<EventTime>), Vec<StoreId>> = BTreeMap::new();
        for (store, tails) in &self.of_store {
            let Some(cutoff) = cutoff(*store) else { continue };
            // What expires no row makes no difference between stores.
            let expires =
                |cutoff: &EventTime| tails.iter().any(|id| earliest.get(id).is_some_and(|first| first < cutoff));
            same.entry((tails, cutoff.filter(expires))).or_default().push(*store);
        }
        let rows = same.into_iter().map(|((tails, cutoff), stores)| {
            let chunks = tails.iter().flat_map(|id| chunks[id].iter().cloned()).collect();
            SealedRows { stores, cutoff, chunks }
        });
        let rows: Vec<_> = rows.filter(|rows| !rows.chunks.is_empty()).collect();
        // A flush whose outcome was in doubt may have left sealed keys behind; it was settled before this.
        self.sealed_keys = std::mem::take(&mut self.hot_keys);
        let mut entries: HashMap<u64, Vec<Entry>> = HashMap::new();
        for (key, places) in &self.sealed_keys {
            for hot in places {
                entries.entry(hot.tail).or_default().push(Entry { key: *key, time: hot.time });
            }
        }
        let keys = entries.into_iter().filter_map(|(tail, entries)| {
            let stores = self.tails.get(&tail)?.stores.iter().copied().filter(|store| cutoff(*store).is_some());
            Some(Keys { stores: stores.collect(), entries })
        });
        let keys = keys.collect();
        (rows, keys)
    }

    /// The sealed rows are in files: drops them and returns the bytes they counted for.
    pub fn drop_sealed(&mut self) -> usize {
        self.sealed_keys.clear();
        let mut freed = 0;
        let mut empty = Vec::new();
        for (id, tail) in &mut self.tails {
            let before = tail.cost();
            tail.rows.drop_sealed();
            freed += before - tail.cost();
            if tail.rows.figures().rows == 0 {
                empty.push(*id);
            }
        }
        for id in empty {
            self.remove(id);
        }
        freed
    }

    /// The sealed rows were not written after all: they are hot as before.
    pub fn unseal(&mut self) {
        for tail in self.tails.values_mut() {
            tail.rows.unseal();
        }
        let newer = std::mem::take(&mut self.hot_keys);
        self.hot_keys = std::mem::take(&mut self.sealed_keys);
        for (key, places) in newer {
            self.hot_keys.entry(key).or_default().extend(places);
        }
    }

    /// A store was dropped: forgets the tails that no other store has a part in; returns the bytes they counted for.
    pub fn forget(&mut self, store: StoreId) -> usize {
        let tails = self.of_store.remove(&store).unwrap_or_default();
        let mut freed = 0;
        for id in tails {
            let others = |tail: &Tail| tail.stores.iter().any(|store| self.of_store.contains_key(store));
            if self.tails.get(&id).is_some_and(|tail| !others(tail)) {
                freed += self.remove(id).map_or(0, |tail| tail.cost());
            }
        }
        freed
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::encode::positions;
    use crate::testing::row_of;

    fn store(n: u128) -> StoreId {
        StoreId::from_uuid(uuid::Uuid::from_u128(n))
    }

    fn row(at: u64) -> Row {
        row_of(at, format!("{{\"number\":{at}}}"))
    }

    fn rows(chunks: &[Arc<Chunk>]) -> Vec<u64> {
        let mut rows: Vec<_> = chunks.iter().flat_map(|chunk| positions(&chunk.batch().unwrap()).to_vec()).collect();
        rows.sort_unstable();
        rows
    }

    #[derive(Clone, Debug)]
    enum Step {
        Push(u8),
        Snapshot(u8),
        Seal,
        Drop,
        Unseal,
        Forget(u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            8 => (1u8..32).prop_map(Step::Push),
            2 => (0u8..5).prop_map(Step::Snapshot),
            1 => Just(Step::Seal),
            1 => Just(Step::Drop),
            1 => Just(Step::Unseal),
            1 => (0u8..5).prop_map(Step::Forget),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn each_store_has_its_rows_and_keys_whatever_it_shares_them_with(steps in prop::collection::vec(step(), 0..60)) {
            let mut tails = Tails::default();
            let (mut next, mut bytes) = (0u64, 0usize);
            // Of each store: rows and whether they are sealed; none once it was dropped.
            let mut model: BTreeMap<u8, BTreeMap<u64, bool>> = (0..5).map(|n| (n, BTreeMap::new())).collect();
            let mut sealed = false;
            for step in steps {
                match step {
                    Step::Push(mask) => {
                        let to: Vec<u8> = (0..5).filter(|n| mask >> n & 1 == 1 && model.contains_key(n)).collect();
                        if to.is_empty() {
                            continue;
                        }
                        let stores: Vec<_> = to.iter().map(|n| store(u128::from(*n))).collect();
                        bytes += tails.push(StoreKind::CloudTrail, &stores, row(next)).0;
                        for n in to {
                            model.get_mut(&n).unwrap().insert(next, false);
                        }
                        next += 1;
                    }
                    Step::Snapshot(n) => {
                        let expected: Vec<u64> =
                            model.get(&n).map(|rows| rows.keys().copied().collect()).unwrap_or_default();
                        prop_assert_eq!(rows(&tails.all(store(u128::from(n)))), expected);
                    }
                    Step::Seal if !sealed => {
                        let live = |id: StoreId| (0..5).any(|n| store(n) == id && model.contains_key(&(n as u8)));
                        let (written, keys) = tails.seal(|id| live(id).then_some(None));
                        for (n, wanted) in &mut model {
                            let id = store(u128::from(*n));
                            let found: Vec<_> = written.iter().filter(|rows| rows.stores.contains(&id)).collect();
                            prop_assert!(found.len() <= 1);
                            let found = found.first().map(|found| rows(&found.chunks)).unwrap_or_default();
                            prop_assert_eq!(&found, &wanted.keys().copied().collect::<Vec<_>>());
                            let keys = keys.iter().filter(|keys| keys.stores.contains(&id));
                            prop_assert_eq!(keys.map(|keys| keys.entries.len()).sum::<usize>(), found.len());
                            wanted.values_mut().for_each(|sealed| *sealed = true);
                        }
                        sealed = true;
                    }
                    Step::Drop if sealed => {
                        bytes -= tails.drop_sealed();
                        model.values_mut().for_each(|rows| rows.retain(|_, sealed| !*sealed));
                        sealed = false;
                    }
                    Step::Unseal if sealed => {
                        tails.unseal();
                        model.values_mut().flat_map(|rows| rows.values_mut()).for_each(|sealed| *sealed = false);
                        sealed = false;
                    }
                    Step::Forget(n) => {
                        bytes -= tails.forget(store(u128::from(n)));
                        model.remove(&n);
                    }
                    _ => {}
                }
                for (n, wanted) in &model {
                    let id = store(u128::from(*n));
                    prop_assert_eq!(tails.figures(id).rows, wanted.len());
                    for at in 0..next {
                        let key = row(at).key;
                        prop_assert_eq!(tails.key(id, key).is_some(), wanted.contains_key(&at), "row {} of {}", at, n);
                        prop_assert!(!wanted.contains_key(&at) || tails.has_key(key));
                    }
                }
                let cost: usize = tails.tails.values().map(Tail::cost).sum();
                prop_assert_eq!(cost, bytes);
            }
        }
    }

    #[test]
    fn a_row_of_many_stores_is_in_memory_and_converted_once() {
        let mut tails = Tails::default();
        let stores: Vec<_> = (0..200).map(store).collect();
        for at in 0..100 {
            tails.push(StoreKind::CloudTrail, &stores, row(at));
        }
        let one = tails.all(stores[0]);
        let other = tails.all(stores[199]);
        assert_eq!(one.len(), 1);
        assert!(Arc::ptr_eq(&one[0], &other[0]));
        let (written, keys) = tails.seal(|_| Some(None));
        assert_eq!((written.len(), written[0].stores.len()), (1, 200));
        assert_eq!((keys.len(), keys[0].stores.len(), keys[0].entries.len()), (1, 200, 100));
        tails.drop_sealed();
        assert_eq!((tails.tails.len(), tails.by_stores.len(), tails.of_store.len(), tails.shared), (0, 0, 0, 0));
    }

    #[test]
    fn stores_that_come_one_by_one_do_not_make_a_tail_each_time() {
        let mut tails = Tails::default();
        let stores: Vec<_> = (0..500).map(store).collect();
        for at in 1..500 {
            tails.push(StoreKind::CloudTrail, &stores[..at], row(at as u64));
        }
        assert!(tails.tails.len() <= MAX_SHARED + 500);
        assert!(tails.all(stores[0]).len() <= MAX_SHARED + 10, "{}", tails.all(stores[0]).len());
        assert_eq!(tails.figures(stores[0]).rows, 499);
        assert_eq!(tails.figures(stores[499 - 1]).rows, 1);
    }
}
