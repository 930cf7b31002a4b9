//! The tally: how many calls have begun at each upstream, and how many of them are settled. It outlives a kill of the
//! process, so that the next start knows how many calls at least have no record.
//!
//! A call is settled before its record is handed to the log or the disk for the first time, a lost one when its gap record
//! is. Every hand-over is noted before it happens, what has begun only now and then. So the calls that have begun and are not
//! settled, by what was noted last, are in nobody's hands: the true number is that or more.
//!
//! Notes are written and not synced, since that would cost each batch a turn of the disk: they outlive the process, not
//! the machine. They name the boot that they were written in; after another one nothing is known but the gaps that the
//! marker has.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use towpath_log::{LogFile, LogStorage};

const FILE: &str = "tally";
/// Longest tally that is read, in bytes.
const MAX_BYTES: usize = 1 << 20;
/// Bytes of the digest in front of the text: a page of the file may be older than another.
const DIGEST: usize = 32;
/// Where Linux tells one boot from another.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Counts calls. All methods may be called concurrently.
pub struct Tally {
    // Written once for each upstream.
    counts: RwLock<BTreeMap<Arc<str>, Count>>,
    boot: Option<String>,
    // None without a boot to name. Held across a write of some hundred bytes into memory of the operating system.
    file: Option<Mutex<Arc<dyn LogFile>>>,
    broken: AtomicBool,
}

#[derive(Debug, Default)]
struct Count {
    begun: AtomicU64,
    settled: AtomicU64,
}

/// What stands in the file.
#[derive(Debug, Serialize, Deserialize)]
struct Noted {
    boot: String,
    /// Calls that have begun, and those that are settled, by upstream.
    upstreams: BTreeMap<String, (u64, u64)>,
}

impl Tally {
    /// Begins a tally. The second part says of each upstream how many calls of the last run are in nobody's hands; they, and
    /// at least as many as `kept` says of an upstream, are the first of this tally's, until [`Tally::settle`] says that they
    /// were told.
    ///
    /// `boot` names this boot of the machine. Without it nothing is noted.
    pub(crate) fn open(
        notes: &Arc<dyn LogStorage>,
        boot: Option<String>,
        kept: &BTreeMap<String, u64>,
    ) -> io::Result<(Self, BTreeMap<String, u64>)> {
        let Some(boot) = boot else { return Ok((Self::in_memory(), BTreeMap::new())) };
        let left = match read(&**notes)? {
            Some(noted) if noted.boot == boot => noted.left(),
            _ => BTreeMap::new(),
        };
        let mut begun = kept.clone();
        for (name, calls) in &left {
            let count = begun.entry(name.clone()).or_default();
            *count = (*count).max(*calls);
        }
        let count = |(name, calls): (&String, &u64)| {
            (Arc::from(name.as_str()), Count { begun: (*calls).into(), settled: AtomicU64::new(0) })
        };
        let tally = Self {
            counts: RwLock::new(begun.iter().map(count).collect()),
            boot: Some(boot),
            file: Some(Mutex::new(notes.create(FILE)?)),
            broken: AtomicBool::new(false),
        };
        tally.note();
        Ok((tally, left))
    }

    /// A tally that nobody reads.
    pub(crate) fn in_memory() -> Self {
        Self { counts: RwLock::default(), boot: None, file: None, broken: AtomicBool::new(false) }
    }

    /// Calls of an upstream have begun. Noted some time later.
    pub fn begin(&self, upstream: &Arc<str>, calls: u64) {
        if self.file.is_none() {
            return;
        }
        let add = |count: &Count| {
            count.begun.fetch_add(calls, Ordering::Relaxed);
        };
        if let Some(count) = self.counts.read().get(upstream) {
            return add(count);
        }
        add(self.counts.write().entry(upstream.clone()).or_default());
    }

    /// Calls of an upstream are settled. To be noted before their records leave.
    pub fn settle(&self, upstream: &str, calls: u64) {
        if let Some(count) = self.counts.read().get(upstream) {
            count.settled.fetch_add(calls, Ordering::Relaxed);
        }
    }

    /// A record that was handed over was refused for good, so that its call is to be told of.
    pub fn unsettle(&self, upstream: &str) {
        self.take_back(upstream, 1);
    }

    /// Records that were to be handed over never left.
    pub fn take_back(&self, upstream: &str, calls: u64) {
        if let Some(count) = self.counts.read().get(upstream) {
            count.settled.fetch_sub(calls, Ordering::Relaxed);
        }
    }

    /// Notes where it stands.
    pub fn note(&self) {
        let (Some(file), Some(boot)) = (&self.file, &self.boot) else { return };
        let file = file.lock();
        // Read within the lock: a later note never says less than an earlier one.
        let counts = self.counts.read();
        let upstreams = counts.iter().map(|(name, count)| {
            // Begun first: what settles meanwhile only makes the difference smaller.
            let begun = count.begun.load(Ordering::Relaxed);
            (name.to_string(), (begun, count.settled.load(Ordering::Relaxed)))
        });
        let noted = Noted { boot: boot.clone(), upstreams: upstreams.collect() };
        drop(counts);
        let text = serde_json::to_vec(&noted).expect("names and numbers are always written");
        let digest = Sha256::digest(&text);
        let length = (text.len() as u64).to_be_bytes();
        let mut parts = [IoSlice::new(&digest), IoSlice::new(&length), IoSlice::new(&text)];
        if let Err(cause) = file.write_at(0, &mut parts)
            && !self.broken.swap(true, Ordering::Relaxed)
        {
            // An older note could claim calls whose records have left.
            let emptied = file.truncate(0).is_ok();
            tracing::warn!(%cause, emptied, "cannot note how many calls have begun; a gap after a kill may not say how many");
        }
    }
}

impl Noted {
    fn left(&self) -> BTreeMap<String, u64> {
        let left = self.upstreams.iter().map(|(name, (begun, settled))| (name.clone(), begun.saturating_sub(*settled)));
        left.filter(|(_, calls)| *calls > 0).collect()
    }
}

/// What names this boot of the machine, where the operating system tells.
pub fn boot() -> Option<String> {
    let id = std::fs::read_to_string(BOOT_ID).ok()?;
    Some(id.trim().to_owned()).filter(|id| !id.is_empty())
}

/// The last run's tally; `None` if there is none, or none that is whole.
fn read(notes: &dyn LogStorage) -> io::Result<Option<Noted>> {
    let file = match notes.open(FILE) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = vec![0; usize::try_from(file.size()?).unwrap_or(MAX_BYTES).min(MAX_BYTES)];
    let read = file.read_at(0, &mut bytes)?;
    Ok(parse(&bytes[..read]))
}

fn parse(bytes: &[u8]) -> Option<Noted> {
    let (digest, rest) = bytes.split_at_checked(DIGEST)?;
    let (length, rest) = rest.split_first_chunk::<8>()?;
    let text = rest.get(..usize::try_from(u64::from_be_bytes(*length)).ok()?)?;
    (*Sha256::digest(text) == *digest).then(|| serde_json::from_slice(text).ok())?
}

#[cfg(test)]
mod tests {
    use towpath_log::sim::SimDisk;

    use super::*;

    fn open(disk: &SimDisk, boot: &str) -> (Tally, BTreeMap<String, u64>) {
        Tally::open(&disk.process(), Some(boot.to_owned()), &BTreeMap::new()).unwrap()
    }

    fn left(calls: &[(&str, u64)]) -> BTreeMap<String, u64> {
        calls.iter().map(|(name, calls)| ((*name).to_owned(), *calls)).collect()
    }

    #[test]
    fn what_had_begun_and_was_in_nobodys_hands_is_known_after_a_kill() {
        let disk = SimDisk::new(1);
        let (tally, none) = open(&disk, "boot");
        assert_eq!(none, left(&[]));
        let (a, b) = (Arc::from("a"), Arc::from("b"));
        tally.begin(&a, 1);
        tally.begin(&a, 4);
        tally.begin(&b, 1);
        tally.settle("a", 2);
        tally.settle("b", 1);
        tally.settle("nobody", 1);
        tally.note();
        tally.begin(&a, 100);
        disk.kill();
        // What had begun since is not claimed, and what is not told stays.
        for _ in 0..2 {
            assert_eq!(open(&disk, "boot").1, left(&[("a", 3)]));
            disk.kill();
        }
        let (tally, _) = open(&disk, "boot");
        tally.settle("a", 3);
        tally.unsettle("a");
        tally.note();
        disk.kill();
        assert_eq!(open(&disk, "boot").1, left(&[("a", 1)]));
        disk.kill();
        assert_eq!(open(&disk, "another").1, left(&[]), "the machine was started anew");
    }

    #[test]
    fn a_damaged_tally_claims_nothing() {
        let text = serde_json::to_vec(&Noted { boot: "b".to_owned(), upstreams: BTreeMap::new() }).unwrap();
        let length = (text.len() as u64).to_be_bytes();
        let whole = [&*Sha256::digest(&text), &length, &text].concat();
        assert!(parse(&whole).is_some());
        assert!(parse(&[&*whole, b"of an older, longer one"].concat()).is_some());
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            assert!(parse(&changed).is_none() && parse(&whole[..at]).is_none(), "{at}");
        }
    }
}
