//! The marker of a running recording: a file that is there while one runs, and says up to when all was durable.
//!
//! Who finds it at a start knows that the last run did not stop in order, and since when records may be missing.

use std::io::{self, IoSlice};
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use towpath_log::LogStorage;
use towpath_model::{AccountId, Region};

use super::gap::{Gap, Reason};
use super::upstream::RecordedUpstream;

const FILE: &str = "running";
const NEXT: &str = "running.tmp";
/// Longest marker that is read, in bytes.
const MAX_BYTES: usize = 1 << 20;

/// What the marker says.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Running {
    durable_until: Timestamp,
    upstreams: Vec<Known>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Known {
    name: String,
    account: AccountId,
    region: Region,
}

/// The marker of this run.
pub(super) struct Marker {
    notes: Arc<dyn LogStorage>,
    // Held across a write of the file: the first call of an upstream waits for it.
    known: Mutex<Running>,
}

impl Marker {
    /// Begins with the marker that the last run left if it did not stop in order; what it means is the second part.
    pub(super) fn open(notes: Arc<dyn LogStorage>, now: Timestamp) -> io::Result<(Self, Vec<Gap>)> {
        let last = read(&*notes)?;
        let gaps = last.as_ref().map(|last| last.gaps(now)).unwrap_or_default();
        // An earlier marker's time stays until its gaps were told, so that they are told at least once.
        let known = last.unwrap_or(Running { durable_until: now, upstreams: Vec::new() });
        Ok((Self { notes, known: Mutex::new(known) }, gaps))
    }

    /// Notes that an upstream has calls from now on.
    pub(super) fn note(&self, upstream: &RecordedUpstream) -> io::Result<()> {
        let mut known = self.known.lock();
        if known.upstreams.iter().any(|known| known.name == *upstream.name) {
            return self.write(&known);
        }
        known.upstreams.push(Known {
            name: upstream.name.to_string(),
            account: upstream.account,
            region: upstream.region.clone(),
        });
        self.write(&known)
    }

    /// Notes that all was durable at an instant.
    pub(super) fn durable_until(&self, at: Timestamp) -> io::Result<()> {
        let mut known = self.known.lock();
        if known.upstreams.is_empty() {
            return Ok(());
        }
        known.durable_until = at;
        self.write(&known)
    }

    fn write(&self, running: &Running) -> io::Result<()> {
        let text = serde_json::to_vec(running).map_err(io::Error::other)?;
        let file = self.notes.create(NEXT)?;
        file.write_at(0, &mut [IoSlice::new(&text)])?;
        // Before it has the name: a marker that is there can be read.
        file.sync()?;
        self.notes.rename(NEXT, FILE)
    }

    /// Takes the marker away: the recording stopped in order.
    pub(super) fn remove(&self) -> io::Result<()> {
        match self.notes.remove(FILE) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => self.notes.sync_dir(),
        }
    }
}

impl Running {
    fn gaps(&self, now: Timestamp) -> Vec<Gap> {
        let from = self.durable_until.min(now);
        let gap = |known: &Known| Gap {
            upstream: known.name.as_str().into(),
            account: known.account,
            region: known.region.clone(),
            reason: Reason::Killed,
            from,
            to: now,
            at_least: 0,
        };
        self.upstreams.iter().map(gap).collect()
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
