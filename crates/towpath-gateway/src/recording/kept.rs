//! What outlives the process: records on disk, who had calls, and how many.

use std::io;
use std::sync::Arc;

use towpath_log::{LogStorage, OpenError};
use towpath_model::Clock;

use super::RecordingError;
use super::gap::Gap;
use super::marker::Marker;
use super::settings::RecordingSettings;
use super::spill::Spill;
use super::tally::Tally;

/// What outlives the process.
pub(super) struct Kept {
    pub(super) spill: Arc<Spill>,
    pub(super) marker: Arc<Marker>,
    pub(super) gaps: Vec<Gap>,
    pub(super) tally: Tally,
}

/// Why the folder cannot be used, before it has its name.
pub(super) enum KeptError {
    Io(io::Error),
    Spill(OpenError),
}

impl KeptError {
    /// The error of this folder.
    pub(super) fn of(self, folder: &std::path::Path) -> RecordingError {
        match self {
            Self::Io(cause) => RecordingError::Folder { folder: folder.to_owned(), cause },
            Self::Spill(cause) => RecordingError::Spill(cause),
        }
    }
}

impl Kept {
    /// Opens it: segments of the spill in `spill`, all else in `notes`. `boot` names this boot of the machine.
    pub(super) fn open(
        notes: Arc<dyn LogStorage>,
        spill: Arc<dyn LogStorage>,
        clock: &Arc<dyn Clock>,
        settings: &RecordingSettings,
        boot: Option<String>,
    ) -> Result<Self, KeptError> {
        let (marker, mut gaps) = Marker::open(notes.clone(), clock.now()).map_err(KeptError::Io)?;
        let (tally, left) = Tally::open(&notes, boot).map_err(KeptError::Io)?;
        for gap in &mut gaps {
            gap.at_least = left.get(&*gap.upstream).copied().unwrap_or(0);
        }
        let spill = Spill::open(spill, notes, settings.spill_bytes, clock.clone()).map_err(KeptError::Spill)?;
        Ok(Self { spill: Arc::new(spill), marker: Arc::new(marker), gaps, tally })
    }
}
