//! The log: the end of the one write path.
//!
//! [`Log::append`] returns when events are durable and have positions. Positions are dense. Everything else in Towpath is
//! a reader ([`LogReader`]) that follows the log from a position of its own and can be rebuilt from it.
//!
//! ```text
//! append -> queue (bounded) -> writer thread: one write, one fsync per group -> positions -> ring -> readers
//!                                                   |                                          ^
//!                                                   +-- segments ------------------------------+
//! ```
//!
//! What holds after a crash, a power cut or a storage failure:
//!
//! - An acknowledged event is there, once, at its position, byte for byte.
//! - An event that was refused is not there and never will be. ([`AppendError::Uncertain`] is the honest exception, for
//!   storage that fails so badly that not even the refusal can be recorded.)
//! - The events of one append are there together or not at all.
//! - Damage is found by checksum and named; it is never skipped silently.
//!
//! The bytes on disk are described at the top of `segment.rs`, `frame.rs` and `codec.rs`.

mod codec;
mod error;
mod file_storage;
mod frame;
mod log;
mod meters;
mod queue;
mod reader;
mod recovery;
mod ring;
mod segment;
mod settings;
pub mod sim;
mod storage;
mod writer;

#[cfg(test)]
mod tests;

pub use error::{AppendError, OpenError, ReadError, ReleaseError};
pub use file_storage::FileLogStorage;
pub use log::{Log, LogBuilder, LogHold, Positions};
pub use reader::{Committed, LogReader};
pub use recovery::{Recovery, Truncated};
pub use settings::{Compression, LogSettings, SettingsError};
pub use storage::{LogFile, LogStorage};
