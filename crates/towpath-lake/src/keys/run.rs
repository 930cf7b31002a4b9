//! One file of the key index, open for reading.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;

use towpath_model::{EventKey, EventTime, StoreId};

use super::format::{Entry, Footer, MAGIC, MAGIC_1, Section, Stores, TRAILER, hash, u64_of};
use crate::error::LakeError;
use crate::objects::{BlockReader, Objects};

/// A run as the metadata store has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunInfo {
    pub id: Uuid,
    /// Number of keys; one that several stores have in common counts once.
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

/// An open run.
#[derive(Debug)]
pub(crate) struct Run {
    info: RunInfo,
    footer: Footer,
    // The sections that each store has a part in.
    of_store: HashMap<StoreId, SmallVec<[u32; 2]>>,
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
        let read = match &trailer[16..] {
            magic if magic == MAGIC => Footer::read,
            magic if magic == MAGIC_1 => Footer::read_1,
            _ => return Err(damaged("it does not end as such a file does")),
        };
        let length = u64_of(&trailer[..8]);
        if length > info.size - TRAILER as u64 {
            return Err(damaged("its footer is longer than the file"));
        }
        let footer = reader.read(info.size - TRAILER as u64 - length, length as usize)?;
        if xxh3_64(&footer) != u64_of(&trailer[8..16]) {
            return Err(damaged("its footer has the wrong checksum"));
        }
        let footer = read(&footer).ok_or_else(|| damaged("its footer does not add up"))?;
        let mut of_store: HashMap<_, SmallVec<[u32; 2]>> = HashMap::new();
        for (at, section) in (0u32..).zip(&footer.sections) {
            section.stores.iter().for_each(|store| of_store.entry(*store).or_default().push(at));
        }
        Ok(Self { info, footer, of_store, reader })
    }

    /// Its record.
    pub fn info(&self) -> &RunInfo {
        &self.info
    }

    fn sections_of(&self, store: StoreId) -> impl Iterator<Item = &Section> {
        let sections = self.of_store.get(&store).into_iter().flatten();
        sections.map(|at| &self.footer.sections[*at as usize])
    }

    /// False when the store has no such key in this run; answered from memory. True says nothing.
    #[inline]
    pub fn may_find(&self, store: StoreId, key: EventKey) -> bool {
        self.sections_of(store).any(|section| self.may_hold(section, key))
    }

    #[inline]
    fn may_hold(&self, section: &Section, key: EventKey) -> bool {
        self.footer.filter.may_contain(hash(section.seed, key))
    }

    /// The time of a store's key, if the run has it.
    #[inline]
    pub fn find(&self, store: StoreId, key: EventKey) -> Result<Option<EventTime>, LakeError> {
        for section in self.sections_of(store) {
            if self.may_hold(section, key)
                && let Some(time) = self.search(section, key)?
            {
                return Ok(Some(time));
            }
        }
        Ok(None)
    }

    /// Passes over to `found` which of `stores`, in order, have this key.
    pub fn find_each(
        &self,
        stores: &[StoreId],
        key: EventKey,
        mut found: impl FnMut(StoreId),
    ) -> Result<(), LakeError> {
        // Sections may be fewer by far than the stores that have a part in them, or more.
        if stores.len() < self.footer.sections.len() {
            for store in stores {
                if self.find(*store, key)?.is_some() {
                    found(*store);
                }
            }
            return Ok(());
        }
        for section in self.footer.sections.iter().filter(|section| self.may_hold(section, key)) {
            if self.search(section, key)?.is_some() {
                stores.iter().copied().filter(|store| section.has(*store)).for_each(&mut found);
            }
        }
        Ok(())
    }

    fn search(&self, section: &Section, key: EventKey) -> Result<Option<EventTime>, LakeError> {
        let from = section.block as usize;
        let firsts = &self.footer.firsts[from..from + section.blocks()];
        // The block whose first key is the last one not after the key.
        let Some(block) = firsts.partition_point(|first| first <= key.as_bytes()).checked_sub(1) else {
            return Ok(None);
        };
        let bytes = self.block(section, block)?;
        let size = section.entry_bytes();
        let (mut low, mut high) = (0, bytes.len() / size);
        while low < high {
            let middle = (low + high) / 2;
            let entry = &bytes[middle * size..(middle + 1) * size];
            match entry[..16].cmp(key.as_bytes()) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return self.entry(section, entry).map(|entry| Some(entry.time)),
            }
        }
        Ok(None)
    }

    /// The bytes of a block, which are those that were written.
    fn block(&self, section: &Section, block: usize) -> Result<Bytes, LakeError> {
        let size = section.entry_bytes();
        let from = section.offset + (block * super::format::BLOCK * size) as u64;
        let read = self.reader.read(from, section.entries_in(block) * size);
        let bytes = read.map_err(|error| if error.lost() { self.damaged("a block is missing") } else { error })?;
        let checksum = self.footer.checksums.as_ref().map(|all| all[section.block as usize + block]);
        if checksum.is_some_and(|checksum| crc32c::crc32c(&bytes) != checksum) {
            return Err(self.damaged("a block has the wrong checksum"));
        }
        Ok(bytes)
    }

    fn damaged(&self, what: &'static str) -> LakeError {
        LakeError::Keys { path: self.info.path().to_string(), what }
    }

    fn entry(&self, section: &Section, entry: &[u8]) -> Result<Entry, LakeError> {
        let mut key = [0; 16];
        key.copy_from_slice(&entry[..16]);
        let time = section.time(entry).ok_or_else(|| self.damaged("a time is no time"))?;
        Ok(Entry { key: EventKey::from_bytes(key), time })
    }

    /// The stores of each section.
    pub(super) fn sections(&self) -> impl Iterator<Item = (usize, &Stores)> {
        self.footer.sections.iter().map(|section| &section.stores).enumerate()
    }

    /// When the entries of a section occurred.
    pub(super) fn span(&self, section: usize) -> super::Span {
        self.footer.sections[section].times.into()
    }

    /// The entries of a section in order, read block by block.
    pub(super) fn entries(self: &Arc<Self>, section: usize) -> impl Iterator<Item = Result<Entry, LakeError>> + use<> {
        let this = self.clone();
        (0..this.footer.sections[section].blocks()).flat_map(move |block| {
            let section = &this.footer.sections[section];
            let entries: Vec<_> = match this.block(section, block) {
                Ok(bytes) => {
                    bytes.chunks_exact(section.entry_bytes()).map(|entry| this.entry(section, entry)).collect()
                }
                Err(error) => vec![Err(error)],
            };
            entries
        })
    }
}
