//! What was learnt, bounded in number and in time.

use std::collections::HashMap;
use std::hash::Hash;

use jiff::Timestamp;
use parking_lot::Mutex;

/// Remembers values until they expire.
///
/// Holds at most twice its capacity: when the young half is full it becomes the old half, and the old half goes.
#[derive(Debug)]
pub(super) struct Cache<K, V> {
    capacity: usize,
    // Held for a look-up or an insertion.
    halves: Mutex<Halves<K, V>>,
}

#[derive(Debug)]
struct Halves<K, V> {
    young: HashMap<K, (V, Timestamp)>,
    old: HashMap<K, (V, Timestamp)>,
}

impl<K: Eq + Hash + Clone, V: Clone> Cache<K, V> {
    pub(super) fn new(capacity: usize) -> Self {
        let halves = Halves { young: HashMap::new(), old: HashMap::new() };
        Self { capacity: capacity.max(1), halves: Mutex::new(halves) }
    }

    /// The value, if it has not expired.
    pub(super) fn get(&self, key: &K, now: Timestamp) -> Option<V> {
        let mut halves = self.halves.lock();
        let (value, until) = match halves.young.get(key) {
            Some(found) => found.clone(),
            None => {
                let found = halves.old.remove(key)?;
                halves.keep(self.capacity, key.clone(), found.clone());
                found
            }
        };
        (now < until).then_some(value)
    }

    /// Forgets a value, and tells it.
    pub(super) fn remove(&self, key: &K) -> Option<V> {
        let mut halves = self.halves.lock();
        let old = halves.old.remove(key);
        halves.young.remove(key).or(old).map(|(value, _)| value)
    }

    /// Forgets all values but those that are to be kept.
    pub(super) fn retain(&self, keep: impl Fn(&K, &V) -> bool) {
        let mut halves = self.halves.lock();
        halves.young.retain(|key, (value, _)| keep(key, value));
        halves.old.retain(|key, (value, _)| keep(key, value));
    }

    /// Remembers a value until an instant.
    pub(super) fn put(&self, key: K, value: V, until: Timestamp) {
        self.halves.lock().keep(self.capacity, key, (value, until));
    }
}

impl<K: Eq + Hash, V> Halves<K, V> {
    fn keep(&mut self, capacity: usize, key: K, entry: (V, Timestamp)) {
        if self.young.len() >= capacity && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn values_expire_and_their_number_is_bounded() {
        let cache = Cache::new(10);
        cache.put(1, "one", at(100));
        assert_eq!(cache.get(&1, at(99)), Some("one"));
        assert_eq!(cache.get(&1, at(100)), None);
        for key in 0..1000 {
            cache.put(key, "x", at(100));
            assert_eq!(cache.get(&5000, at(0)), None);
        }
        let halves = cache.halves.lock();
        assert!(halves.young.len() + halves.old.len() <= 20);
    }

    #[test]
    fn what_is_to_be_forgotten_is() {
        let cache = Cache::new(2);
        for key in 0..4 {
            cache.put(key, key * 10, at(100));
        }
        assert_eq!((cache.remove(&1), cache.remove(&3), cache.remove(&9)), (Some(10), Some(30), None));
        cache.retain(|_, value| *value != 20);
        let left: Vec<_> = (0..4).filter(|key| cache.get(key, at(0)).is_some()).collect();
        assert_eq!(left, [0]);
    }

    #[test]
    fn what_is_asked_for_stays() {
        let cache = Cache::new(10);
        cache.put(-1, "kept", at(100));
        for key in 0..1000 {
            cache.put(key, "x", at(100));
            assert_eq!(cache.get(&-1, at(0)), Some("kept"));
        }
    }
}
