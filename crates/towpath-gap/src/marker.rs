//! The marker of a running process: a file that is there while one records, and says up to when all was durable and which
//! gaps are open.
//!
//! Who finds it at a start knows that the last process did not stop in order, and since when records may be missing. What
//! it says is synced before it counts.

use std::io::{self, IoSlice};
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use towpath_log::LogStorage;
use towpath_model::{AccountId, Region};

use crate::gap::Gap;
use crate::reason::Reason;

const FILE: &str = "running";
const NEXT: &str = "running.tmp";
/// Longest marker that is read, in bytes.
const MAX_BYTES: usize = 1 << 20;

/// What the marker says.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Running {
    durable_until: Timestamp,
    upstreams: Vec<Known>,
    /// Calls that are known to have no record, and were not told of.
    #[serde(default)]
    gaps: Vec<Gap>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Known {
    name: Arc<str>,
    account: AccountId,
    region: Region,
}

/// What the marker of a process means that did not stop in order.
#[derive(Debug, Default)]
pub(crate) struct Last {
    /// Gaps that it had not told.
    pub(crate) kept: Vec<Gap>,
    /// The time of which it could tell nothing, for each upstream. How many calls it were is not known here.
    pub(crate) unknown: Vec<Gap>,
}

/// The marker of this process.
pub(crate) struct Marker {
    notes: Arc<dyn LogStorage>,
    // Held across a write of the file: the first call of an upstream waits for it.
    known: Mutex<Running>,
}

impl Marker {
    /// Begins with the marker that the last process left if it did not stop in order; what it means is the second part.
    pub(crate) fn open(notes: Arc<dyn LogStorage>, now: Timestamp) -> io::Result<(Self, Last)> {
        let running = read(&*notes)?;
        let last = running.as_ref().map(|running| running.meaning(now)).unwrap_or_default();
        // An earlier marker stays until its gaps were told, so that they are told at least once.
        let known = running.unwrap_or(Running { durable_until: now, upstreams: Vec::new(), gaps: Vec::new() });
        Ok((Self { notes, known: Mutex::new(known) }, last))
    }

    /// Notes that an upstream has calls from now on.
    pub(crate) fn note(&self, upstream: &Arc<str>, account: AccountId, region: &Region) -> io::Result<()> {
        let mut known = self.known.lock();
        if !known.upstreams.iter().any(|known| known.name == *upstream) {
            known.upstreams.push(Known { name: Arc::clone(upstream), account, region: region.clone() });
        }
        self.write(&known)?;
        // Once for each upstream and process: a marker that the power takes away would hide the end of the process.
        self.notes.sync_dir()
    }

    /// Notes the gaps that are open and, if one is given, an instant at which all was durable.
    pub(crate) fn keep(&self, until: Option<Timestamp>, open: impl FnOnce() -> Vec<Gap>) -> io::Result<()> {
        let mut known = self.known.lock();
        let gaps = open();
        if known.upstreams.is_empty() && gaps.is_empty() && known.gaps.is_empty() {
            return Ok(());
        }
        let changed = gaps != known.gaps;
        if !changed && until.is_none() {
            return Ok(());
        }
        let next =
            Running { durable_until: until.unwrap_or(known.durable_until), upstreams: known.upstreams.clone(), gaps };
        self.write(&next)?;
        if changed {
            // A gap that is told next must not come back with an older marker.
            self.notes.sync_dir()?;
        }
        *known = next;
        Ok(())
    }

    /// Notes the gaps that are open, and that nothing else is unknown.
    pub(crate) fn stop(&self, open: impl FnOnce() -> Vec<Gap>) -> io::Result<()> {
        let mut known = self.known.lock();
        *known = Running { durable_until: known.durable_until, upstreams: Vec::new(), gaps: open() };
        self.write(&known)?;
        self.notes.sync_dir()
    }

    fn write(&self, running: &Running) -> io::Result<()> {
        let text = serde_json::to_vec(running).map_err(io::Error::other)?;
        let file = self.notes.create(NEXT)?;
        file.write_at(0, &mut [IoSlice::new(&text)])?;
        // Before it has the name: a marker that is there can be read.
        file.sync()?;
        self.notes.rename(NEXT, FILE)
    }

    /// Takes the marker away: the process stopped in order.
    pub(crate) fn remove(&self) -> io::Result<()> {
        match self.notes.remove(FILE) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => self.notes.sync_dir(),
        }
    }
}

impl Running {
    fn meaning(&self, now: Timestamp) -> Last {
        let from = self.durable_until.min(now);
        let unknown = |known: &Known| Gap {
            upstream: Arc::clone(&known.name),
            account: known.account,
            region: known.region.clone(),
            reason: Reason::Killed,
            from,
            to: now,
            at_least: 0,
        };
        Last { kept: self.gaps.clone(), unknown: self.upstreams.iter().map(unknown).collect() }
    }
}

fn read(notes: &dyn LogStorage) -> io::Result<Option<Running>> {
    let file = match notes.open(FILE) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = vec![0; usize::try_from(file.size()?).unwrap_or(MAX_BYTES).min(MAX_BYTES)];
    let read = file.read_at(0, &mut text)?;
    serde_json::from_slice(&text[..read]).map(Some).map_err(io::Error::other)
}
