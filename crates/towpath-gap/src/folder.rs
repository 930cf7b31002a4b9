//! The folder of what outlives a process that records: it belongs to one process at a time.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Held with `flock` for as long as the recording runs; its text, the process id, is for people.
const FILE: &str = "LOCK";

/// A folder that is held by this recording, for as long as the value lives.
#[derive(Debug)]
pub struct HeldFolder {
    _lock: File,
}

/// Why a folder is not held.
#[derive(Debug)]
pub enum NotHeld {
    /// By another recording, as far as is known which process.
    InUse(String),
    /// The operating system refused.
    Io(io::Error),
}

impl From<io::Error> for NotHeld {
    fn from(cause: io::Error) -> Self {
        Self::Io(cause)
    }
}

impl HeldFolder {
    /// Takes the folder, making it if it is not there. Fails at once if another recording holds it.
    ///
    /// # Errors
    /// See [`NotHeld`].
    pub fn take(folder: &Path) -> Result<Self, NotHeld> {
        fs::create_dir_all(folder)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut lock = options.open(folder.join(FILE))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(NotHeld::InUse(holder(&mut lock))),
            Err(TryLockError::Error(cause)) => return Err(cause.into()),
        }
        lock.set_len(0)?;
        lock.rewind()?;
        writeln!(lock, "{}", std::process::id())?;
        Ok(Self { _lock: lock })
    }
}

/// Reads who holds the lock; the holder may be just about to write it.
fn holder(lock: &mut File) -> String {
    let mut text = String::new();
    let read = lock.take(32).read_to_string(&mut text);
    match (read, text.trim().parse::<u32>()) {
        (Ok(_), Ok(process)) => format!("process {process}"),
        _ => "another process".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_held_by_one_recording_until_it_ends() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("recording");
        let held = HeldFolder::take(&folder).unwrap();
        match HeldFolder::take(&folder).unwrap_err() {
            NotHeld::InUse(holder) => assert_eq!(holder, format!("process {}", std::process::id())),
            NotHeld::Io(cause) => panic!("{cause}"),
        }
        drop(held);
        HeldFolder::take(&folder).unwrap();
    }
}
