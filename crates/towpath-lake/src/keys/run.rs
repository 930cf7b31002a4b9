//! One file of the key index.
//!
//! ```text
//! entries   per store, sorted by store; within a store sorted by key: 16 bytes of key, then the time as an unsigned
//!           number of `width` bytes, little endian, in units after the section's base
//! footer    sections, first key of every block, filter words; all little endian
//! trailer   length of the footer (8), xxh3 of footer (8), magic (8)
//! ```

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use towpath_model::{EventKey, EventTime, StoreId};

use super::filter::Filter;
use crate::error::LakeError;
use crate::objects::{BlockReader, Objects};

const MAGIC: &[u8; 8] = b"TOWKEYS1";
const TRAILER: usize = 24;
/// Entries per block: what one lookup reads, about 5 KB.
const BLOCK: usize = 256;

/// A key and the time that goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub store: StoreId,
    pub key: EventKey,
    pub time: EventTime,
}

/// A run as the metadata store has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunInfo {
    pub id: Uuid,
    /// Number of keys.
    pub entries: u64,
    /// Bytes of the file.
    pub size: u64,
}

impl RunInfo {
    /// Where the file lies.
    pub fn path(&self) -> Path {
        run_path(self.id)
    }
}

pub(crate) fn run_path(id: Uuid) -> Path {
    Path::from(format!("keys/{id}.keys"))
}

/// The hash of a key for filters.
#[inline]
pub(crate) fn hash(store: StoreId, key: EventKey) -> u64 {
    let (a, b) = store.uuid().as_u64_pair();
    xxh3_64_with_seed(key.as_bytes(), a ^ b)
}

/// The entries of one store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Section {
    store: StoreId,
    count: u64,
    // Byte offset of the first entry.
    offset: u64,
    base: i64,
    // No time is later.
    max: i64,
    unit: u32,
    width: u8,
    // Index of the section's first block in `Run::firsts`.
    block: u64,
}

impl Section {
    const BYTES: usize = 16 + 8 + 8 + 8 + 8 + 4 + 1 + 8;

    fn entry_bytes(&self) -> usize {
        16 + usize::from(self.width)
    }

    fn blocks(&self) -> usize {
        (self.count as usize).div_ceil(BLOCK)
    }

    fn time(&self, entry: &[u8]) -> i64 {
        let mut bytes = [0; 8];
        bytes[..usize::from(self.width)].copy_from_slice(&entry[16..]);
        self.base.wrapping_add((u64::from_le_bytes(bytes) as i64).wrapping_mul(i64::from(self.unit)))
    }
}

/// Times of a store's entries, as far as they decide how times are written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sections {
    min: i64,
    max: i64,
    whole_seconds: bool,
}

impl Sections {
    pub fn new(times: impl Iterator<Item = EventTime>) -> Self {
        let mut this = Self { min: i64::MAX, max: i64::MIN, whole_seconds: true };
        for time in times {
            let millis = time.as_millis();
            this.min = this.min.min(millis);
            this.max = this.max.max(millis);
            this.whole_seconds &= millis % 1000 == 0;
        }
        this
    }

    fn join(self, other: Self) -> Self {
        Self {
            min: self.min.min(other.min),
            max: self.max.max(other.max),
            whole_seconds: self.whole_seconds && other.whole_seconds,
        }
    }

    fn unit(&self) -> u32 {
        if self.whole_seconds { 1000 } else { 1 }
    }

    fn width(&self) -> u8 {
        let span = self.max.saturating_sub(self.min).max(0) as u64 / u64::from(self.unit());
        (64 - span.leading_zeros()).div_ceil(8) as u8
    }
}

/// An open run.
#[derive(Debug)]
pub(crate) struct Run {
    info: RunInfo,
    sections: Vec<Section>,
    firsts: Vec<[u8; 16]>,
    filter: Filter,
    reader: BlockReader,
}

impl Run {
    /// Opens the run, reading its footer. Not for async threads.
    pub fn open(objects: &Objects, info: RunInfo) -> Result<Self, LakeError> {
        let path = info.path();
        let damaged = |what| LakeError::Keys { path: path.to_string(), what };
        let reader = objects.reader(&path)?;
        if info.size < TRAILER as u64 {
            return Err(damaged("it is too short"));
        }
        let trailer = reader.read(info.size - TRAILER as u64, TRAILER)?;
        if &trailer[16..] != MAGIC {
            return Err(damaged("it does not end as such a file does"));
        }
        let length = u64_at(&trailer, 0);
        if length > info.size - TRAILER as u64 {
            return Err(damaged("its footer is longer than the file"));
        }
        let footer = reader.read(info.size - TRAILER as u64 - length, length as usize)?;
        if xxh3_64(&footer) != u64_at(&trailer, 8) {
            return Err(damaged("its footer has the wrong checksum"));
        }
        let (sections, firsts, filter) = read_footer(&footer).ok_or_else(|| damaged("its footer does not add up"))?;
        Ok(Self { info, sections, firsts, filter, reader })
    }

    /// Its record.
    pub fn info(&self) -> &RunInfo {
        &self.info
    }

    /// False when the run has no key with this [`hash`].
    #[inline]
    pub fn may_contain(&self, hash: u64) -> bool {
        self.filter.may_contain(hash)
    }

    /// The time of a key, if the run has it. `hash` is [`hash`] of the two.
    #[inline]
    pub fn find(&self, store: StoreId, key: EventKey, hash: u64) -> Result<Option<EventTime>, LakeError> {
        if !self.filter.may_contain(hash) {
            return Ok(None);
        }
        self.search(store, key)
    }

    fn search(&self, store: StoreId, key: EventKey) -> Result<Option<EventTime>, LakeError> {
        let Ok(at) = self.sections.binary_search_by_key(&store, |section| section.store) else { return Ok(None) };
        let section = &self.sections[at];
        let from = section.block as usize;
        let firsts = &self.firsts[from..from + section.blocks()];
        // The block whose first key is the last one not after the key.
        let Some(block) = firsts.partition_point(|first| first <= key.as_bytes()).checked_sub(1) else {
            return Ok(None);
        };
        let bytes = self.block(section, block)?;
        let size = section.entry_bytes();
        let entries = bytes.len() / size;
        let (mut low, mut high) = (0, entries);
        while low < high {
            let middle = (low + high) / 2;
            let entry = &bytes[middle * size..(middle + 1) * size];
            match entry[..16].cmp(key.as_bytes()) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => {
                    let time = EventTime::from_millis(section.time(entry));
                    let damaged = |_| LakeError::Keys { path: self.info.path().to_string(), what: "a time is no time" };
                    return time.map(Some).map_err(damaged);
                }
            }
        }
        Ok(None)
    }

    fn block(&self, section: &Section, block: usize) -> Result<Bytes, LakeError> {
        let size = section.entry_bytes();
        let entries = (section.count as usize - block * BLOCK).min(BLOCK);
        self.reader.read(section.offset + (block * BLOCK * size) as u64, entries * size)
    }

    fn times_of(&self, store: StoreId) -> Option<Sections> {
        let at = self.sections.binary_search_by_key(&store, |section| section.store).ok()?;
        let section = &self.sections[at];
        Some(Sections { min: section.base, max: section.max, whole_seconds: section.unit == 1000 })
    }

    /// Every entry in order, read block by block.
    fn entries(self: Arc<Self>) -> impl Iterator<Item = Result<Entry, LakeError>> {
        let sections = self.sections.clone();
        sections.into_iter().flat_map(move |section| {
            let this = self.clone();
            (0..section.blocks()).flat_map(move |block| {
                let entries: Vec<_> = match this.block(&section, block) {
                    Ok(bytes) => {
                        bytes.chunks_exact(section.entry_bytes()).map(|entry| this.entry(&section, entry)).collect()
                    }
                    Err(error) => vec![Err(error)],
                };
                entries
            })
        })
    }

    fn entry(&self, section: &Section, entry: &[u8]) -> Result<Entry, LakeError> {
        let mut key = [0; 16];
        key.copy_from_slice(&entry[..16]);
        let time = EventTime::from_millis(section.time(entry))
            .map_err(|_| LakeError::Keys { path: self.info.path().to_string(), what: "a time is no time" })?;
        Ok(Entry { store: section.store, key: EventKey::from_bytes(key), time })
    }
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

fn read_footer(footer: &[u8]) -> Option<(Vec<Section>, Vec<[u8; 16]>, Filter)> {
    let mut rest = footer;
    let mut take = |length: usize| {
        let (taken, left) = rest.split_at_checked(length)?;
        rest = left;
        Some(taken)
    };
    let counts = take(24)?;
    let [sections, firsts, words] = [0, 8, 16].map(|at| u64_at(counts, at) as usize);
    if sections.checked_mul(Section::BYTES)?.checked_add(firsts.checked_mul(16)?)?.checked_add(words.checked_mul(8)?)?
        != footer.len() - 24
    {
        return None;
    }
    let sections: Vec<_> = take(sections * Section::BYTES)?
        .chunks_exact(Section::BYTES)
        .map(|bytes| Section {
            store: StoreId::from_uuid(Uuid::from_slice(&bytes[..16]).expect("sixteen bytes")),
            count: u64_at(bytes, 16),
            offset: u64_at(bytes, 24),
            base: u64_at(bytes, 32) as i64,
            max: u64_at(bytes, 40) as i64,
            unit: u32::from_le_bytes(bytes[48..52].try_into().expect("four bytes")),
            width: bytes[52],
            block: u64_at(bytes, 53),
        })
        .collect();
    let firsts: Vec<[u8; 16]> =
        take(firsts * 16)?.chunks_exact(16).map(|bytes| bytes.try_into().expect("sixteen bytes")).collect();
    let words = take(words * 8)?.chunks_exact(8).map(|bytes| u64_at(bytes, 0)).collect();
    let sound = |section: &Section| {
        section.width <= 8
            && (section.block as usize).checked_add(section.blocks()).is_some_and(|end| end <= firsts.len())
    };
    if !sections.iter().all(sound) {
        return None;
    }
    Some((sections, firsts, Filter::from_words(words)?))
}

/// Writes a run from entries that come in order.
pub(crate) struct RunWriter {
    id: Uuid,
    buffer: Vec<u8>,
    // Bytes taken out of `buffer` so far.
    taken: u64,
    sections: Vec<Section>,
    firsts: Vec<[u8; 16]>,
    filter: Filter,
    entries: u64,
}

impl RunWriter {
    /// Starts a run for about `entries` entries.
    pub fn new(entries: usize) -> Self {
        Self {
            id: Uuid::new_v4(),
            buffer: Vec::new(),
            taken: 0,
            sections: Vec::new(),
            firsts: Vec::new(),
            filter: Filter::for_keys(entries),
            entries: 0,
        }
    }

    /// The run's id.
    pub fn id(&self) -> Uuid {
        self.id
    }

    fn written(&self) -> u64 {
        self.taken + self.buffer.len() as u64
    }

    /// Starts the entries of a store, greater than the last one; all their times lie within `times`.
    pub fn section(&mut self, store: StoreId, times: Sections) {
        self.sections.push(Section {
            store,
            count: 0,
            offset: self.written(),
            base: times.min,
            max: times.max,
            unit: times.unit(),
            width: times.width(),
            block: self.firsts.len() as u64,
        });
    }

    /// Adds an entry of the current section, its key greater than the last one.
    pub fn push(&mut self, entry: Entry) {
        let section = self.sections.last_mut().expect("a section was started");
        if section.count.is_multiple_of(BLOCK as u64) {
            self.firsts.push(*entry.key.as_bytes());
        }
        section.count += 1;
        self.entries += 1;
        let offset = (entry.time.as_millis() - section.base) as u64 / u64::from(section.unit);
        self.buffer.extend_from_slice(entry.key.as_bytes());
        self.buffer.extend_from_slice(&offset.to_le_bytes()[..usize::from(section.width)]);
        self.filter.insert(hash(entry.store, entry.key));
    }

    /// Takes the bytes written since the last call.
    pub fn take(&mut self) -> Vec<u8> {
        self.taken += self.buffer.len() as u64;
        std::mem::take(&mut self.buffer)
    }

    /// Bytes that wait to be taken.
    pub fn waiting(&self) -> usize {
        self.buffer.len()
    }

    /// Ends the run; returns its record and its last bytes.
    pub fn finish(mut self) -> (RunInfo, Vec<u8>) {
        let mut footer = Vec::new();
        for count in [self.sections.len(), self.firsts.len(), self.filter.words().len()] {
            footer.extend_from_slice(&(count as u64).to_le_bytes());
        }
        for section in &self.sections {
            footer.extend_from_slice(section.store.uuid().as_bytes());
            footer.extend_from_slice(&section.count.to_le_bytes());
            footer.extend_from_slice(&section.offset.to_le_bytes());
            footer.extend_from_slice(&section.base.to_le_bytes());
            footer.extend_from_slice(&section.max.to_le_bytes());
            footer.extend_from_slice(&section.unit.to_le_bytes());
            footer.push(section.width);
            footer.extend_from_slice(&section.block.to_le_bytes());
        }
        self.firsts.iter().for_each(|first| footer.extend_from_slice(first));
        self.filter.words().iter().for_each(|word| footer.extend_from_slice(&word.to_le_bytes()));
        self.buffer.extend_from_slice(&footer);
        self.buffer.extend_from_slice(&(footer.len() as u64).to_le_bytes());
        self.buffer.extend_from_slice(&xxh3_64(&footer).to_le_bytes());
        self.buffer.extend_from_slice(MAGIC);
        let info = RunInfo { id: self.id, entries: self.entries, size: self.written() };
        (info, self.buffer)
    }
}

/// Writes the entries of `runs`, without those that `keep` refuses, into `writer`, calling `drain` as bytes come up.
///
/// Reads block by block: memory does not grow with the runs. Not for async threads.
pub(crate) fn merge(
    runs: &[Arc<Run>],
    writer: &mut RunWriter,
    keep: impl Fn(&Entry) -> bool,
    mut drain: impl FnMut(&mut RunWriter) -> Result<(), LakeError>,
) -> Result<(), LakeError> {
    let mut sources: Vec<_> = runs.iter().map(|run| run.clone().entries()).collect();
    let mut heads = BinaryHeap::new();
    for (at, source) in sources.iter_mut().enumerate() {
        if let Some(entry) = source.next() {
            heads.push(Reverse((entry?, at)));
        }
    }
    let mut current = None;
    let mut last = None;
    while let Some(Reverse((entry, at))) = heads.pop() {
        if let Some(next) = sources[at].next() {
            heads.push(Reverse((next?, at)));
        }
        // A key stands in one run only; should it stand in two, once is right.
        if !keep(&entry) || last == Some((entry.store, entry.key)) {
            continue;
        }
        last = Some((entry.store, entry.key));
        if current != Some(entry.store) {
            current = Some(entry.store);
            let times = runs.iter().filter_map(|run| run.times_of(entry.store)).reduce(Sections::join);
            writer.section(entry.store, times.expect("the entry came from a section"));
        }
        writer.push(entry);
        if writer.waiting() >= 1 << 20 {
            drain(writer)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn write(objects: &Objects, entries: &BTreeMap<(StoreId, EventKey), EventTime>) -> Arc<Run> {
        let mut writer = RunWriter::new(entries.len());
        let mut current = None;
        for ((store, key), time) in entries {
            if current != Some(*store) {
                current = Some(*store);
                let times = entries.iter().filter(|((of, _), _)| of == store).map(|(_, time)| *time);
                writer.section(*store, Sections::new(times));
            }
            writer.push(Entry { store: *store, key: *key, time: *time });
        }
        store_run(objects, writer)
    }

    fn store_run(objects: &Objects, mut writer: RunWriter) -> Arc<Run> {
        let mut bytes = writer.take();
        let (info, rest) = writer.finish();
        bytes.extend(rest);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(objects.put(&info.path(), bytes.into())).unwrap();
        Arc::new(Run::open(objects, info).unwrap())
    }

    fn entries() -> impl Strategy<Value = BTreeMap<(StoreId, EventKey), EventTime>> {
        let key = prop_oneof![
            any::<[u8; 16]>(),
            (0u8..4).prop_map(|last| {
                let mut key = [7; 16];
                key[15] = last;
                key
            })
        ];
        let time = prop_oneof![0i64..86_400, -9_000_000_000i64..200_000_000_000].prop_map(|s| s * 1000);
        let time = (time, prop_oneof![9 => Just(0i64), 1 => 0..1000i64])
            .prop_map(|(s, ms)| EventTime::from_millis(s + ms).unwrap());
        let store = (0u128..3).prop_map(|n| StoreId::from_uuid(Uuid::from_u128(n)));
        prop::collection::btree_map((store, key.prop_map(EventKey::from_bytes)), time, 0..1500)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        #[test]
        fn runs_and_their_merge_find_what_was_written_and_nothing_else(left in entries(), right in entries()) {
            let folder = tempfile::tempdir().unwrap();
            let objects = Objects::local(folder.path()).unwrap();
            let right: BTreeMap<_, _> = right.into_iter().filter(|(key, _)| !left.contains_key(key)).collect();
            let runs = [write(&objects, &left), write(&objects, &right)];
            let mut writer = RunWriter::new(left.len() + right.len());
            merge(&runs, &mut writer, |entry| entry.key.as_bytes()[0] != 7, |_| Ok(())).unwrap();
            let merged = store_run(&objects, writer);

            let find = |run: &Run, (store, key): (StoreId, EventKey)| run.find(store, key, hash(store, key)).unwrap();
            for (key, time) in left.iter().chain(&right) {
                let (has, hasnot) = if left.contains_key(key) { (&runs[0], &runs[1]) } else { (&runs[1], &runs[0]) };
                prop_assert_eq!(find(has, *key), Some(*time));
                prop_assert_eq!(find(hasnot, *key), None);
                prop_assert_eq!(find(&merged, *key), (key.1.as_bytes()[0] != 7).then_some(*time));
            }
        }

        #[test]
        fn a_damaged_footer_is_noticed(at in 0usize..10_000, flip in 1u8..=255) {
            let folder = tempfile::tempdir().unwrap();
            let objects = Objects::local(folder.path()).unwrap();
            let entry = |n: u128| ((StoreId::from_uuid(Uuid::nil()), EventKey::from(Uuid::from_u128(n))), EventTime::from_millis(1).unwrap());
            let info = write(&objects, &(0..10).map(entry).collect()).info().clone();
            let file = folder.path().join(info.path().to_string());
            let mut bytes = std::fs::read(&file).unwrap();
            let footer = bytes.len() - 10 * 16;
            let place = 10 * 16 + at % footer;
            bytes[place] ^= flip;
            std::fs::write(&file, bytes).unwrap();
            prop_assert!(Run::open(&objects, info).is_err());
        }
    }
}
