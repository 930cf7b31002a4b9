//! What outlives the process: records on disk, who had calls, and how many.

use std::io;
use std::sync::Arc;

use towpath_gap::{Gaps, Left};
use towpath_log::{LogStorage, OpenError};
use towpath_model::Clock;

use super::RecordingError;
use super::settings::RecordingSettings;
use super::spill::Spill;

/// What outlives the process.
pub(super) struct Kept {
    pub(super) spill: Arc<Spill>,
    pub(super) gaps: Gaps,
    pub(super) left: Left,
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
        let (gaps, left) = Gaps::open(&notes, clock.now(), boot).map_err(KeptError::Io)?;
        let spill = Spill::open(spill, notes, settings.spill_bytes, clock.clone()).map_err(KeptError::Spill)?;
        Ok(Self { spill: Arc::new(spill), gaps, left })
    }
}
