//! What is kept in memory of what was read, within a number of bytes.

use std::collections::HashMap;
use std::hash::Hash;

/// Values that were used lately, and those used before. When the first are half of what may be kept, they become the
/// second and those are forgotten.
#[derive(Debug)]
pub(crate) struct Kept<K, V> {
    most_bytes: usize,
    lately: HashMap<K, (V, usize)>,
    lately_bytes: usize,
    before: HashMap<K, (V, usize)>,
}

impl<K: Eq + Hash, V: Clone> Kept<K, V> {
    /// Keeps up to so many bytes.
    pub(crate) fn new(most_bytes: usize) -> Self {
        Self { most_bytes, lately: HashMap::new(), lately_bytes: 0, before: HashMap::new() }
    }

    /// The value, if it is kept.
    pub(crate) fn get(&mut self, key: &K) -> Option<V> {
        if let Some((value, _)) = self.lately.get(key) {
            return Some(value.clone());
        }
        let (key, (value, bytes)) = self.before.remove_entry(key)?;
        self.put(key, value.clone(), bytes);
        Some(value)
    }

    /// Keeps a value of so many bytes; one that is larger than a quarter of what may be kept is not.
    pub(crate) fn put(&mut self, key: K, value: V, bytes: usize) {
        if bytes > self.most_bytes / 4 {
            return;
        }
        if self.lately_bytes + bytes > self.most_bytes / 2 {
            self.before = std::mem::take(&mut self.lately);
            self.lately_bytes = 0;
        }
        if self.lately.insert(key, (value, bytes)).is_none() {
            self.lately_bytes += bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_what_is_kept_is_bounded() {
        let mut kept = Kept::new(100);
        for number in 0..1000 {
            assert!(kept.get(&number).is_none());
            kept.put(number, (), 10);
            if number > 0 {
                assert!(kept.get(&0).is_some(), "asked for all the time, after {number}");
            }
            assert!(kept.lately.len() + kept.before.len() <= 10);
        }
        assert!(kept.get(&998).is_some());
        assert!(kept.get(&500).is_none());
    }

    #[test]
    fn what_is_too_large_drives_nothing_out() {
        let mut kept = Kept::new(100);
        kept.put(1, (), 20);
        kept.put(2, (), 26);
        assert!(kept.get(&1).is_some() && kept.get(&2).is_none());
    }
}
