//! Calls without a record: counted, kept over restarts, and handed out to be told.
//!
//! Who records calls loses some: for want of room, because the log refuses them, because the process ends. [`Gaps`] counts
//! them by upstream and [`Reason`] until a gap record tells of them, and keeps what must outlive the process in a folder
//! that belongs to one process at a time ([`HeldFolder`]):
//!
//! - the *marker* says that a process runs, up to when all was durable, and which gaps are open. It is synced, so it outlives
//!   the machine;
//! - the *tally* says how many calls have begun and how many of them are settled. It is written with each batch and not
//!   synced, so it outlives the process.
//!
//! What is claimed is never more than what was lost. Before a gap is told the marker no longer has it; before a record is
//! handed over the tally has it as settled. A crash in between makes a count smaller and hides no gap: from the last durable
//! record to the restart there is one in any case.

mod folder;
mod gap;
mod gaps;
mod marker;
mod reason;
mod tally;

#[cfg(test)]
mod tests;

pub use folder::{HeldFolder, NotHeld};
pub use gap::Gap;
pub use gaps::{Gaps, Left};
pub use reason::Reason;
pub use tally::{Tally, boot};
