//! The gaps of a process: those that are open, and what outlives it.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use towpath_log::LogStorage;
use towpath_model::{AccountId, Region};

use crate::gap::{Gap, OpenGaps};
use crate::marker::Marker;
use crate::tally::Tally;

/// The gaps of a process. All methods may be called concurrently.
pub struct Gaps {
    /// Which calls are settled, for the next start should this process be killed.
    pub tally: Tally,
    marker: Option<Marker>,
    // Held for a few lines.
    open: Mutex<OpenGaps>,
    // The changes of `open` that are on disk.
    kept: AtomicU64,
    // Gap records that were made and are not durable yet.
    told: AtomicUsize,
}

/// What an earlier process left, now open.
pub type Left = Vec<Gap>;

impl Gaps {
    /// No gaps, and nothing that outlives the process.
    pub fn in_memory() -> Self {
        Self::new(Tally::in_memory(), None)
    }

    /// Goes on where an earlier process stopped that kept what it knew in `notes`. The second part is what it left: gaps
    /// that it had not told, and for each of its upstreams one from the last durable record until `now`.
    ///
    /// `boot` names this boot of the machine ([`crate::boot`]); without it a kill is told without a count.
    ///
    /// # Errors
    /// The notes cannot be read or written.
    pub fn open(notes: &Arc<dyn LogStorage>, now: Timestamp, boot: Option<String>) -> io::Result<(Self, Left)> {
        let (marker, last) = Marker::open(Arc::clone(notes), now)?;
        let mut kept: BTreeMap<String, u64> = BTreeMap::new();
        for gap in &last.kept {
            *kept.entry(gap.upstream.to_string()).or_default() += gap.at_least;
        }
        let (tally, begun) = Tally::open(notes, boot, &kept)?;
        let mut left = last.kept;
        for mut gap in last.unknown {
            // The tally has the calls of gaps that are kept as begun and not settled, too.
            let known = kept.get(&*gap.upstream).copied().unwrap_or(0);
            gap.at_least = begun.get(&*gap.upstream).copied().unwrap_or(0).saturating_sub(known);
            left.push(gap);
        }
        let gaps = Self::new(tally, Some(marker));
        left.iter().for_each(|gap| gaps.put_back(gap.clone()));
        Ok((gaps, left))
    }

    fn new(tally: Tally, marker: Option<Marker>) -> Self {
        let (open, kept, told) = (Mutex::default(), AtomicU64::new(0), AtomicUsize::new(0));
        Self { tally, marker, open, kept, told }
    }

    /// Notes on disk that an upstream has calls from now on, before the first of them. Then an unclean stop is told.
    ///
    /// # Errors
    /// That cannot be noted.
    pub fn watch(&self, upstream: &Arc<str>, account: AccountId, region: &Region) -> io::Result<()> {
        self.marker.as_ref().map_or(Ok(()), |marker| marker.note(upstream, account, region))
    }

    /// Opens a gap, or widens the one that is open for the same upstream and reason.
    pub fn put_back(&self, gap: Gap) {
        self.open.lock().put(gap);
    }

    /// Takes the gaps that are to be told: nothing was lost for `quiet`, or they last for `longest` already.
    ///
    /// What is told must not stay on disk: [`Gaps::keep`] first, and tell then.
    pub fn due(&self, now: Timestamp, quiet: Duration, longest: Duration) -> Vec<Gap> {
        self.open.lock().due(now, quiet, longest)
    }

    /// Takes all gaps. See [`Gaps::due`].
    pub fn take(&self) -> Vec<Gap> {
        self.open.lock().take()
    }

    /// Counts a gap record that was made, and one that is durable, refused or given up.
    pub fn telling(&self, made: bool) {
        match made {
            true => self.told.fetch_add(1, Ordering::Relaxed),
            false => self.told.fetch_sub(1, Ordering::Relaxed),
        };
    }

    /// True if nothing is to be told, and nothing is on its way.
    pub fn is_empty(&self) -> bool {
        self.told.load(Ordering::Relaxed) == 0 && self.open.lock().is_empty()
    }

    /// True if the disk has the open gaps as they are, or nothing outlives the process.
    pub fn is_kept(&self) -> bool {
        self.marker.is_none() || self.kept.load(Ordering::Relaxed) == self.open.lock().changes()
    }

    /// Writes and syncs the open gaps and, if one is given, up to when all was durable. Takes a turn or two of the disk.
    ///
    /// # Errors
    /// The disk refuses. What was noted before stays.
    pub fn keep(&self, durable_until: Option<Timestamp>) -> io::Result<()> {
        let Some(marker) = &self.marker else { return Ok(()) };
        // Read within the marker's lock: a later note never has less than an earlier one.
        let mut changes = 0;
        marker.keep(durable_until, || {
            let open = self.open.lock();
            changes = open.changes();
            open.all()
        })?;
        self.kept.fetch_max(changes, Ordering::Relaxed);
        Ok(())
    }

    /// Notes that the process stops in order though not all was told: the next start tells the gaps that are open, and no
    /// other.
    ///
    /// # Errors
    /// The disk refuses; then the next start takes the end for an unclean one.
    pub fn stop(&self) -> io::Result<()> {
        self.marker.as_ref().map_or(Ok(()), |marker| marker.stop(|| self.open.lock().all()))
    }

    /// Takes the marker away: the process stops in order, and all was told.
    ///
    /// # Errors
    /// The disk refuses; then the next start tells a gap.
    pub fn end(&self) -> io::Result<()> {
        self.marker.as_ref().map_or(Ok(()), Marker::remove)
    }
}
