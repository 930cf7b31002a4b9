//! Writing a run of the key index: from entries that come in order, or from all of them at once.

use uuid::Uuid;

use super::filter::Filter;
use super::format::{BLOCK, Entry, Footer, Section, Span, Stores, hash, seed};
use super::run::RunInfo;

/// Keys that all of some stores have.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    pub stores: Stores,
    pub entries: Vec<Entry>,
}

/// Writes a run from entries that come in order.
pub(crate) struct RunWriter {
    id: Uuid,
    buffer: Vec<u8>,
    // Bytes taken out of `buffer` so far.
    taken: u64,
    sections: Vec<Section>,
    firsts: Vec<[u8; 16]>,
    // Of every block but the last one of the current section, whose own is this far.
    checksums: Vec<u32>,
    checksum: u32,
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
            checksums: Vec::new(),
            checksum: 0,
            filter: Filter::for_keys(entries),
            entries: 0,
        }
    }

    /// Encodes one run of these keys, in any order; `None` of none.
    pub fn encode(mut keys: Vec<Keys>) -> Option<(RunInfo, Vec<u8>)> {
        keys.retain(|keys| !keys.entries.is_empty() && !keys.stores.is_empty());
        if keys.is_empty() {
            return None;
        }
        keys.sort_unstable_by(|a, b| a.stores.cmp(&b.stores));
        let mut writer = Self::new(keys.iter().map(|keys| keys.entries.len()).sum());
        for same in keys.chunk_by_mut(|a, b| a.stores == b.stores) {
            let (first, others) = same.split_first_mut().expect("a chunk has one at least");
            others.iter_mut().for_each(|other| first.entries.append(&mut other.entries));
            first.entries.sort_unstable();
            first.entries.dedup_by_key(|entry| entry.key);
            writer.section(first.stores.clone(), Span::of(first.entries.iter().map(|entry| entry.time)));
            first.entries.iter().for_each(|entry| writer.push(*entry));
        }
        let mut bytes = writer.take();
        let (info, rest) = writer.finish();
        bytes.extend(rest);
        Some((info, bytes))
    }

    /// The run's id.
    pub fn id(&self) -> Uuid {
        self.id
    }

    fn written(&self) -> u64 {
        self.taken + self.buffer.len() as u64
    }

    /// Starts the entries of some stores, greater than the last ones; all their times lie within `span`.
    pub fn section(&mut self, stores: Stores, span: Span) {
        self.end_block();
        self.sections.push(Section {
            seed: seed(&stores),
            stores,
            count: 0,
            offset: self.written(),
            block: self.firsts.len() as u64,
            times: span.into(),
        });
    }

    fn end_block(&mut self) {
        if self.checksums.len() < self.firsts.len() {
            self.checksums.push(std::mem::take(&mut self.checksum));
        }
    }

    /// Adds an entry of the current section, its key greater than the last one.
    pub fn push(&mut self, entry: Entry) {
        let section = self.sections.last_mut().expect("a section was started");
        let (seed, times) = (section.seed, section.times);
        let begins = section.count.is_multiple_of(BLOCK as u64);
        section.count += 1;
        self.entries += 1;
        if begins {
            self.end_block();
            self.firsts.push(*entry.key.as_bytes());
        }
        let offset = (entry.time.as_millis() - times.base) as u64 / u64::from(times.unit);
        let from = self.buffer.len();
        self.buffer.extend_from_slice(entry.key.as_bytes());
        self.buffer.extend_from_slice(&offset.to_le_bytes()[..usize::from(times.width)]);
        self.checksum = crc32c::crc32c_append(self.checksum, &self.buffer[from..]);
        self.filter.insert(hash(seed, entry.key));
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
        self.end_block();
        let taken = self.taken;
        let footer = Footer {
            sections: self.sections,
            firsts: self.firsts,
            checksums: Some(self.checksums),
            filter: self.filter,
        };
        let mut bytes = self.buffer;
        bytes.extend(footer.encode());
        (RunInfo { id: self.id, entries: self.entries, size: taken + bytes.len() as u64 }, bytes)
    }
}
