//! The end of a window: its files, and what is counted of its data events, on disk.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use towpath_model::{Trail, TrailId};
use tracing::error;

use crate::aggregate::{Aggregates, Template};
use crate::log_file::{Filled, LogFiles, counts_name};
use crate::record::Progress;
use crate::stager::write_whole;

use super::Windows;

impl Windows {
    /// The trails that aggregate, and what by. A change counts from the next events on that are read.
    pub(super) fn templates(&self) -> HashMap<TrailId, Vec<Template>> {
        let known = self.shared.known.lock();
        let aggregating = known.values().map(|known| &known.trail).filter(|trail| !trail.aggregations.is_empty());
        let templates = |trail: &Trail| {
            let names = trail.aggregations.iter().flat_map(|asked| &asked.templates);
            names.filter_map(|name| Template::named(name)).collect()
        };
        aggregating.map(|trail| (trail.id, templates(trail))).collect()
    }

    /// Goes on from `progress`, which is committed.
    pub(super) fn move_to(&mut self, progress: Progress) {
        if let Some(old) = self.progress.aggregates.filter(|old| progress.aggregates != Some(*old)) {
            // If it cannot be removed the next start tries again.
            let _ = std::fs::remove_file(self.shared.folder.join(counts_name(old)));
        }
        self.progress = progress;
    }

    /// Five minutes that ended before then are over.
    pub(super) fn due(&self) -> Timestamp {
        let delay = i64::try_from(self.shared.settings.aggregation_seconds).unwrap_or(i64::MAX);
        self.shared.clock.now().checked_sub(SignedDuration::from_secs(delay)).unwrap_or(Timestamp::MIN)
    }

    /// Those of the trails that aggregate no longer: nothing is to come that would be counted.
    pub(super) fn ended(&self, trails: HashSet<TrailId>) -> HashSet<TrailId> {
        let known = self.shared.known.lock();
        let goes_on = |id: &TrailId| {
            known.get(id).is_some_and(|known| known.trail.logging && !known.trail.aggregations.is_empty())
        };
        trails.into_iter().filter(|id| !goes_on(id)).collect()
    }
}

/// What a window came to, all of it on disk.
pub(super) struct Finished {
    pub(super) filled: Vec<Filled>,
    /// What is counted and not delivered yet, and the number of the file that keeps it, if there is any.
    pub(super) aggregates: Aggregates,
    pub(super) counts: Option<u64>,
}

/// Ends the files of a window; `before` is what was counted when it began.
pub(super) fn finish(
    files: &mut LogFiles,
    folder: &Path,
    over: &(Timestamp, HashSet<TrailId>),
    before: &(Option<u64>, Aggregates),
) -> io::Result<Finished> {
    files.close_aggregates(over.0, &over.1)?;
    let aggregates = files.open_aggregates().clone();
    let counts = if aggregates.is_empty() {
        None
    } else if before.0.is_some() && aggregates == before.1 {
        before.0
    } else {
        let number = files.take_number();
        write_whole(folder, &counts_name(number), &serde_json::to_vec(&aggregates)?)?;
        Some(number)
    };
    Ok(Finished { filled: files.finish(folder)?, aggregates, counts })
}

/// What was counted before, as its file has it. Without the file counting begins anew: log files do not depend on it.
pub(super) fn counts(folder: &Path, number: Option<u64>) -> Aggregates {
    let Some(number) = number else { return Aggregates::default() };
    let read = std::fs::read(folder.join(counts_name(number))).and_then(|bytes| Ok(serde_json::from_slice(&bytes)?));
    read.unwrap_or_else(|error| {
        error!(%error, file = counts_name(number), "counts of data events are lost; aggregated events will be too low");
        Aggregates::default()
    })
}
