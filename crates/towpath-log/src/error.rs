//! What can go wrong at the log's boundary, one enum for each thing a caller does.

use std::io;
use std::sync::Arc;

use towpath_model::Position;

use crate::settings::SettingsError;

/// Why events were not appended.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// The queue is full. Nothing was written; trying again later may succeed.
    #[error("the log's queue is full")]
    Busy,
    /// The append is larger than a setting allows. Nothing was written.
    #[error("the append takes {bytes} bytes; the log takes at most {limit} at once")]
    TooLarge {
        /// Encoded size of the append.
        bytes: usize,
        /// The setting `append_bytes`.
        limit: usize,
    },
    /// The log was closed. Nothing was written.
    #[error("the log is closed")]
    Closed,
    /// Storage failed. The events are not in the log and will never appear in it.
    #[error("the log cannot write")]
    Unavailable(#[source] Arc<io::Error>),
    /// Storage failed so badly that the failure could not be recorded either. The events are not in the log now, but may
    /// turn up in it if the process dies before storage works again.
    #[error("the log cannot write and cannot tell whether the events will survive")]
    Uncertain(#[source] Arc<io::Error>),
}

/// Why the log does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A setting cannot work.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Storage failed.
    #[error("cannot {doing} of the log")]
    Storage {
        /// The step and what it was done to.
        doing: String,
        /// The failure.
        #[source]
        cause: io::Error,
    },
    /// A segment was written by another version.
    #[error("log segment {file} has format version {version}; this version of Towpath reads version {known}")]
    Version {
        /// File name of the segment.
        file: String,
        /// Version it states.
        version: u32,
        /// Version that can be read.
        known: u32,
    },
    /// The bytes of a segment are not what was once made durable.
    #[error(
        "log segment {file} is damaged at byte {offset}: {what}; restore the file from a copy, or set accept_damage to \
         give up the events in it"
    )]
    Damaged {
        /// File name of the segment.
        file: String,
        /// Where the damage begins.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// The header of a segment is damaged, so nothing in it can be verified.
    #[error(
        "the header of log segment {file} is damaged; restore the file from a copy, or move it and every earlier segment \
         out of the directory to give up their events"
    )]
    Header {
        /// File name of the segment.
        file: String,
    },
    /// A segment does not continue the one before it.
    #[error(
        "log segment {file} does not follow {previous}: {what}; restore the missing segment from a copy, or move {previous} \
         and every earlier segment out of the directory to give up their events"
    )]
    Chain {
        /// File name of the segment.
        file: String,
        /// File name of the segment before it.
        previous: String,
        /// What does not fit.
        what: &'static str,
    },
    /// The operating system gave no thread.
    #[error("cannot start the log's writer thread")]
    Thread(#[source] io::Error),
}

/// Why a reader has no events.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The position lies before the log's start: its segment was released.
    #[error("position {from} was released; the log starts at {start}")]
    Released {
        /// Where the reader stands.
        from: Position,
        /// The first position that the log has.
        start: Position,
    },
    /// The position lies beyond the log's end: this is not the log that the reader followed before.
    #[error("position {from} is beyond the end of the log at {end}; the log was replaced or lost its newest segments")]
    Beyond {
        /// Where the reader stands.
        from: Position,
        /// The position that the next event gets.
        end: Position,
    },
    /// Everything was read and the log is closed.
    #[error("the log is closed")]
    Closed,
    /// The bytes of a segment are not what was once made durable.
    #[error(
        "log segment {file} is damaged at byte {offset}, position {position}: {what}; restore the file from a copy, or \
         set accept_damage to give up the events in it"
    )]
    Damaged {
        /// File name of the segment.
        file: String,
        /// Where the damage begins.
        offset: u64,
        /// The first event that cannot be read.
        position: Position,
        /// What is wrong there.
        what: String,
    },
    /// Storage failed.
    #[error("cannot read log segment {file}")]
    Storage {
        /// File name of the segment.
        file: String,
        /// The failure.
        #[source]
        cause: io::Error,
    },
}

/// Why segments were not released.
#[derive(Debug, thiserror::Error)]
#[error("cannot remove log segment {file}")]
pub struct ReleaseError {
    /// File name of the segment.
    pub file: String,
    /// The failure.
    #[source]
    pub cause: io::Error,
}
