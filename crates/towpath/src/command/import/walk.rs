//! The files of a folder, in a fixed order and without holding the whole list.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Deepest folder that is entered; a deeper one is a mistake.
const MAX_DEPTH: usize = 64;

/// The folder that a trail writes its digests to: signed lists of log files, and no events.
const DIGESTS: &str = "CloudTrail-Digest";

/// A file to import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where it is.
    pub path: PathBuf,
    /// Its name: the path below the folder, with `/` between parts.
    pub name: String,
    /// Its length in bytes.
    pub length: u64,
    /// A text that changes when the file does: its length and time of change.
    pub version: String,
}

/// A file or folder that cannot be looked at.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}", path.display())]
pub struct WalkError {
    /// It.
    pub path: PathBuf,
    /// The reason.
    #[source]
    pub cause: io::Error,
}

/// Walks a folder, or yields the one file that `root` is. Entries come in the order of their names; hidden ones (a dot
/// begins the name), symbolic links and the folders of digests beside log files are passed over. After an error the walk
/// goes on.
pub struct Walk {
    root: PathBuf,
    /// Folders that are open, each with its remaining entries, the last of them next.
    open: Vec<Vec<PathBuf>>,
}

impl Walk {
    /// Walks `root`.
    pub fn new(root: &Path) -> Self {
        let base = if root.is_dir() { root.to_owned() } else { root.parent().unwrap_or(root).to_owned() };
        Self { root: base, open: vec![vec![root.to_owned()]] }
    }

    fn enter(&mut self, folder: &Path) -> Result<(), WalkError> {
        let failed = |cause| WalkError { path: folder.to_owned(), cause };
        if self.open.len() > MAX_DEPTH {
            return Err(failed(io::Error::other(format!("folders are nested more than {MAX_DEPTH} deep"))));
        }
        let mut entries = Vec::new();
        for entry in fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if !entry.file_name().as_encoded_bytes().starts_with(b".") {
                entries.push(entry.path());
            }
        }
        entries.sort_unstable_by(|a, b| b.cmp(a));
        self.open.push(entries);
        Ok(())
    }

    fn look(&mut self, path: PathBuf) -> Result<Option<Found>, WalkError> {
        let top = self.open.len() == 1;
        let metadata = if top { fs::metadata(&path) } else { fs::symlink_metadata(&path) };
        let metadata: Metadata = metadata.map_err(|cause| WalkError { path: path.clone(), cause })?;
        if metadata.is_dir() {
            if !top && path.file_name().is_some_and(|name| name == DIGESTS) {
                return Ok(None);
            }
            return self.enter(&path).map(|()| None);
        }
        if !metadata.is_file() {
            return Ok(None);
        }
        let below = path.strip_prefix(&self.root).unwrap_or(&path);
        let parts: Vec<_> = below.components().map(|part| part.as_os_str().to_string_lossy()).collect();
        let name = parts.join("/");
        let version = format!("{}-{}.{:09}", metadata.len(), metadata.mtime(), metadata.mtime_nsec());
        Ok(Some(Found { name, length: metadata.len(), version, path }))
    }
}

impl Iterator for Walk {
    type Item = Result<Found, WalkError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some(path) = self.open.last_mut()?.pop() else {
                self.open.pop();
                continue;
            };
            if let Some(found) = self.look(path).transpose() {
                return Some(found);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(root: &Path) -> Vec<String> {
        Walk::new(root).map(|found| found.unwrap().name).collect()
    }

    #[test]
    fn files_come_in_the_order_of_their_names_without_hidden_ones_and_links() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b/2.json.gz", "b/10.json", "a.json", ".hidden", "b/.git/x", "c/d/e.json"] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "{}").unwrap();
        }
        std::os::unix::fs::symlink(folder.path(), folder.path().join("loop")).unwrap();
        assert_eq!(names(folder.path()), ["a.json", "b/10.json", "b/2.json.gz", "c/d/e.json"]);
        assert_eq!(names(&folder.path().join("b")), ["10.json", "2.json.gz"]);
        assert_eq!(names(&folder.path().join("a.json")), ["a.json"]);
    }

    #[test]
    fn digests_beside_log_files_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["AWSLogs/1/CloudTrail/x/a.json.gz", "AWSLogs/1/CloudTrail-Digest/x/d.json.gz"] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "{}").unwrap();
        }
        assert_eq!(names(folder.path()), ["AWSLogs/1/CloudTrail/x/a.json.gz"]);
        // Whoever names the folder itself is told what its files are.
        assert_eq!(names(&folder.path().join("AWSLogs/1/CloudTrail-Digest")), ["x/d.json.gz"]);
    }

    #[test]
    fn what_is_not_there_is_an_error_and_the_walk_ends() {
        let mut walk = Walk::new(Path::new("/nonexistent/folder"));
        assert!(walk.next().unwrap().is_err());
        assert!(walk.next().is_none());
    }
}
