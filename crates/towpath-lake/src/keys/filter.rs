//! A Bloom filter in blocks of one cache line: a lookup touches 64 bytes.

/// Bits per key; about 1 in 200 lookups of a key that is not there says "maybe".
const BITS_PER_KEY: usize = 12;
/// Bits set per key, all in one block.
const PROBES: u32 = 7;
const BLOCK_WORDS: usize = 8;

/// Says of a hash "surely not" or "maybe".
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    words: Vec<u64>,
}

impl Filter {
    /// An empty filter for about `keys` keys.
    pub fn for_keys(keys: usize) -> Self {
        let blocks = (keys * BITS_PER_KEY).div_ceil(BLOCK_WORDS * 64).max(1);
        Self { words: vec![0; blocks * BLOCK_WORDS] }
    }

    /// The filter of these words; `None` if they are no whole blocks.
    pub fn from_words(words: Vec<u64>) -> Option<Self> {
        (!words.is_empty() && words.len().is_multiple_of(BLOCK_WORDS)).then_some(Self { words })
    }

    /// The words, in blocks of eight.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    #[inline]
    fn block(&self, hash: u64) -> usize {
        let blocks = (self.words.len() / BLOCK_WORDS) as u128;
        // The high bits choose the block, the low ones the bits in it.
        ((u128::from(hash) * blocks) >> 64) as usize * BLOCK_WORDS
    }

    /// Adds a hash of 64 well-mixed bits.
    #[inline]
    pub fn insert(&mut self, hash: u64) {
        let block = self.block(hash);
        for (word, bit) in probes(hash) {
            self.words[block + word] |= bit;
        }
    }

    /// False when the hash was not added.
    #[inline]
    pub fn may_contain(&self, hash: u64) -> bool {
        let block = self.block(hash);
        probes(hash).all(|(word, bit)| self.words[block + word] & bit != 0)
    }
}

#[inline]
fn probes(hash: u64) -> impl Iterator<Item = (usize, u64)> {
    let mut mixed = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (0..PROBES).map(move |_| {
        let probe = mixed >> 55;
        mixed = mixed.rotate_left(9);
        ((probe >> 6) as usize, 1 << (probe & 63))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_found_and_little_else() {
        let hash = |n: u64| xxhash_rust::xxh3::xxh3_64(&n.to_le_bytes());
        let mut filter = Filter::for_keys(100_000);
        (0..100_000).for_each(|n| filter.insert(hash(n)));
        assert!((0..100_000).all(|n| filter.may_contain(hash(n))));
        let wrong = (100_000..300_000).filter(|n| filter.may_contain(hash(*n))).count();
        assert!(wrong < 200_000 / 80, "{wrong} of 200000");
    }
}
