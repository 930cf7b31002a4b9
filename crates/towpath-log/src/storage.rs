//! Where segments live: the few file operations that the log needs, as a promise list.

use std::io::{self, IoSlice};
use std::sync::Arc;

/// A flat directory of segment files.
///
/// Promises: what [`LogFile::sync`] returned success for survives a power cut; a name that was created, renamed or
/// removed stays so after [`LogStorage::sync_dir`] returned success; [`LogStorage::rename`] replaces atomically, so that
/// after a power cut the name stands for the old file or for the new one. Nothing else is promised: bytes that were not
/// synced may be there after a power cut, all, some or none of them, and after a failed sync the bytes may be missing
/// from the disk although they can still be read. Methods may be called concurrently; one thread at a time writes to a
/// file.
pub trait LogStorage: Send + Sync + 'static {
    /// The names of all files, in any order.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Creates an empty file for reading and writing; empties one that has the name.
    fn create(&self, name: &str) -> io::Result<Arc<dyn LogFile>>;

    /// Opens a file for reading and writing; `NotFound` if there is none.
    fn open(&self, name: &str) -> io::Result<Arc<dyn LogFile>>;

    /// Gives the file `from` the name `to`, atomically replacing a file with that name.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file. Handles that are open keep working.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes every earlier creation, renaming and removal durable.
    fn sync_dir(&self) -> io::Result<()>;
}

/// An open segment file.
pub trait LogFile: Send + Sync {
    /// The length in bytes.
    fn size(&self) -> io::Result<u64>;

    /// Reads at `offset` into `buffer`; returns how many bytes were read, fewer than asked only at the end of the file.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes all parts one after the other at `offset`. After an error any part of them may have been written.
    fn write_at(&self, offset: u64, parts: &mut [IoSlice<'_>]) -> io::Result<()>;

    /// Cuts the file to `size` bytes.
    fn truncate(&self, size: u64) -> io::Result<()>;

    /// Makes every earlier write and truncation of this file durable, its length included.
    ///
    /// After an error nobody knows which of them are, and a later success says nothing about them.
    fn sync(&self) -> io::Result<()>;
}
