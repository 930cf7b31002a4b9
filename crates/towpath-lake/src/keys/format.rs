//! How a run of the key index is laid out.
//!
//! ```text
//! entries   per section, one section for each set of stores that have the same keys; within a section sorted by key:
//!           16 bytes of key, then the time as an unsigned number of `width` bytes, little endian, in units after the
//!           section's base
//! footer    counts, sections, their stores, first key of every block, CRC-32C of every block, filter words; all little
//!           endian
//! trailer   length of the footer (8), xxh3 of footer (8), magic (8)
//! ```
//!
//! Runs of the first form, `TOWKEYS1`, have a section for each single store and no checksums of blocks. They are read, and
//! are gone with their next merge.

use std::sync::Arc;

use uuid::Uuid;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use towpath_model::{EventKey, EventTime, StoreId};

use super::filter::Filter;

/// What a run ends with.
pub(super) const MAGIC: &[u8; 8] = b"TOWKEYS2";
/// What a run of the first form ends with.
pub(super) const MAGIC_1: &[u8; 8] = b"TOWKEYS1";
pub(super) const TRAILER: usize = 24;
/// Entries per block: what one lookup reads, about 5 KB.
pub(super) const BLOCK: usize = 256;

/// Stores that have the same keys, in order.
pub(crate) type Stores = Arc<[StoreId]>;

/// A key and the time that goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Entry {
    pub key: EventKey,
    pub time: EventTime,
}

/// The seed of a section's hashes, so that a filter tells its keys from those of other sections.
pub(super) fn seed(stores: &[StoreId]) -> u64 {
    match stores {
        [store] => {
            let (a, b) = store.uuid().as_u64_pair();
            a ^ b
        }
        stores => {
            let ids: Vec<u8> = stores.iter().flat_map(|store| *store.uuid().as_bytes()).collect();
            xxh3_64(&ids)
        }
    }
}

/// The hash of a key of the section with this [`seed`].
#[inline]
pub(super) fn hash(seed: u64, key: EventKey) -> u64 {
    xxh3_64_with_seed(key.as_bytes(), seed)
}

/// The entries of some stores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Section {
    pub stores: Stores,
    pub seed: u64,
    pub count: u64,
    // Byte offset of the first entry.
    pub offset: u64,
    // Index of the section's first block in `Footer::firsts`.
    pub block: u64,
    pub times: Times,
}

/// How the times of a section are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    pub base: i64,
    // No time is later.
    pub max: i64,
    pub unit: u32,
    pub width: u8,
}

impl Section {
    pub fn entry_bytes(&self) -> usize {
        16 + usize::from(self.times.width)
    }

    pub fn blocks(&self) -> usize {
        (self.count as usize).div_ceil(BLOCK)
    }

    /// How many entries one of its blocks has.
    pub fn entries_in(&self, block: usize) -> usize {
        (self.count as usize - block * BLOCK).min(BLOCK)
    }

    pub fn has(&self, store: StoreId) -> bool {
        self.stores.binary_search(&store).is_ok()
    }

    /// The time of an entry; `None` if it is no time.
    pub fn time(&self, entry: &[u8]) -> Option<EventTime> {
        let mut bytes = [0; 8];
        bytes[..usize::from(self.times.width)].copy_from_slice(&entry[16..]);
        let offset = (u64::from_le_bytes(bytes) as i64).wrapping_mul(i64::from(self.times.unit));
        EventTime::from_millis(self.times.base.wrapping_add(offset)).ok()
    }
}

/// Times of entries, as far as they decide how times are written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    min: i64,
    max: i64,
    whole_seconds: bool,
}

impl Span {
    pub fn of(times: impl Iterator<Item = EventTime>) -> Self {
        let mut this = Self { min: i64::MAX, max: i64::MIN, whole_seconds: true };
        for time in times {
            let millis = time.as_millis();
            this.min = this.min.min(millis);
            this.max = this.max.max(millis);
            this.whole_seconds &= millis % 1000 == 0;
        }
        this
    }

    pub fn join(self, other: Self) -> Self {
        Self {
            min: self.min.min(other.min),
            max: self.max.max(other.max),
            whole_seconds: self.whole_seconds && other.whole_seconds,
        }
    }
}

impl From<Span> for Times {
    fn from(Span { min, max, whole_seconds }: Span) -> Self {
        let unit = if whole_seconds { 1000 } else { 1 };
        let span = max.saturating_sub(min).max(0) as u64 / u64::from(unit);
        Self { base: min, max, unit, width: (64 - span.leading_zeros()).div_ceil(8) as u8 }
    }
}

impl From<Times> for Span {
    fn from(times: Times) -> Self {
        Self { min: times.base, max: times.max, whole_seconds: times.unit == 1000 }
    }
}

/// What the end of a run says about the rest of it.
#[derive(Debug)]
pub(super) struct Footer {
    pub sections: Vec<Section>,
    pub firsts: Vec<[u8; 16]>,
    /// CRC-32C of each block; none in runs of the first form.
    pub checksums: Option<Vec<u32>>,
    pub filter: Filter,
}

/// What stands in the footer for each section, its stores aside.
const SECTION_BYTES: usize = 8 + 8 + 8 + 8 + 4 + 1 + 8;
/// What stands for each section's stores: their number; in the first form the store itself.
const STORES_BYTES: usize = 8;
const STORES_BYTES_1: usize = 16;

impl Footer {
    /// The bytes of the footer and of the trailer behind it.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let checksums = self.checksums.as_deref().unwrap_or_default();
        let stores: usize = self.sections.iter().map(|section| section.stores.len()).sum();
        for count in [self.sections.len(), stores, self.firsts.len(), self.filter.words().len()] {
            bytes.extend_from_slice(&(count as u64).to_le_bytes());
        }
        for section in &self.sections {
            bytes.extend_from_slice(&(section.stores.len() as u64).to_le_bytes());
            bytes.extend_from_slice(&section.count.to_le_bytes());
            bytes.extend_from_slice(&section.offset.to_le_bytes());
            bytes.extend_from_slice(&section.times.base.to_le_bytes());
            bytes.extend_from_slice(&section.times.max.to_le_bytes());
            bytes.extend_from_slice(&section.times.unit.to_le_bytes());
            bytes.push(section.times.width);
            bytes.extend_from_slice(&section.block.to_le_bytes());
        }
        for store in self.sections.iter().flat_map(|section| section.stores.iter()) {
            bytes.extend_from_slice(store.uuid().as_bytes());
        }
        self.firsts.iter().for_each(|first| bytes.extend_from_slice(first));
        checksums.iter().for_each(|checksum| bytes.extend_from_slice(&checksum.to_le_bytes()));
        self.filter.words().iter().for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
        let (length, checksum) = (bytes.len() as u64, xxh3_64(&bytes));
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes.extend_from_slice(MAGIC);
        bytes
    }

    /// Reads a footer of the current form; `None` if it does not add up.
    pub fn read(footer: &[u8]) -> Option<Self> {
        let mut bytes = Bytes(footer);
        let [sections, stores, firsts, words] = [bytes.count()?, bytes.count()?, bytes.count()?, bytes.count()?];
        bytes.holds(&[(sections, STORES_BYTES + SECTION_BYTES), (stores, 16), (firsts, 16 + 4), (words, 8)])?;
        let heads: Vec<_> =
            (0..sections).map(|_| Some((bytes.count()?, bytes.section(Arc::default())?))).collect::<Option<_>>()?;
        let with_stores = |(count, section): (usize, Section)| {
            let stores: Vec<_> = bytes.take(count.checked_mul(16)?)?.chunks_exact(16).map(store_id).collect();
            let sound = !stores.is_empty() && stores.is_sorted_by(|a, b| a < b);
            sound.then(|| Section { seed: seed(&stores), stores: stores.into(), ..section })
        };
        let sections = heads.into_iter().map(with_stores).collect::<Option<Vec<_>>>()?;
        let firsts = bytes.firsts(firsts)?;
        let checksums = bytes.take(firsts.len() * 4)?.chunks_exact(4).map(u32_of).collect();
        Self { sections, firsts, checksums: Some(checksums), filter: bytes.filter(words)? }.sound()
    }

    /// Reads a footer of the first form; `None` if it does not add up.
    pub fn read_1(footer: &[u8]) -> Option<Self> {
        let mut bytes = Bytes(footer);
        let [sections, firsts, words] = [bytes.count()?, bytes.count()?, bytes.count()?];
        bytes.holds(&[(sections, STORES_BYTES_1 + SECTION_BYTES), (firsts, 16), (words, 8)])?;
        let section = |_| {
            let store = store_id(bytes.take(STORES_BYTES_1)?);
            bytes.section([store].into())
        };
        let sections = (0..sections).map(section).collect::<Option<Vec<_>>>()?;
        let firsts = bytes.firsts(firsts)?;
        Self { sections, firsts, checksums: None, filter: bytes.filter(words)? }.sound()
    }

    fn sound(self) -> Option<Self> {
        let sound = |section: &Section| {
            let end = (section.block as usize).checked_add(section.blocks());
            section.times.width <= 8 && end.is_some_and(|end| end <= self.firsts.len())
        };
        self.sections.iter().all(sound).then_some(self)
    }
}

/// What is left of a footer.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, left) = self.0.split_at_checked(length)?;
        self.0 = left;
        Some(taken)
    }

    fn count(&mut self) -> Option<usize> {
        usize::try_from(u64_of(self.take(8)?)).ok()
    }

    /// `None` unless what is left is that many things of these sizes.
    fn holds(&self, parts: &[(usize, usize)]) -> Option<()> {
        let sum = parts.iter().try_fold(0usize, |sum, (count, size)| sum.checked_add(count.checked_mul(*size)?))?;
        (sum == self.0.len()).then_some(())
    }

    fn section(&mut self, stores: Stores) -> Option<Section> {
        let bytes = self.take(SECTION_BYTES)?;
        Some(Section {
            seed: seed(&stores),
            stores,
            count: u64_of(&bytes[..8]),
            offset: u64_of(&bytes[8..16]),
            times: Times {
                base: u64_of(&bytes[16..24]) as i64,
                max: u64_of(&bytes[24..32]) as i64,
                unit: u32_of(&bytes[32..36]),
                width: bytes[36],
            },
            block: u64_of(&bytes[37..]),
        })
    }

    fn firsts(&mut self, count: usize) -> Option<Vec<[u8; 16]>> {
        let bytes = self.take(count.checked_mul(16)?)?;
        Some(bytes.chunks_exact(16).map(|first| first.try_into().expect("sixteen bytes")).collect())
    }

    fn filter(&mut self, words: usize) -> Option<Filter> {
        Filter::from_words(self.take(words.checked_mul(8)?)?.chunks_exact(8).map(u64_of).collect())
    }
}

pub(super) fn u64_of(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().expect("eight bytes"))
}

fn u32_of(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes.try_into().expect("four bytes"))
}

fn store_id(bytes: &[u8]) -> StoreId {
    StoreId::from_uuid(Uuid::from_slice(bytes).expect("sixteen bytes"))
}
