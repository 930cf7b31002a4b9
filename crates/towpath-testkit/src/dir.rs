//! Directories that belong to one test.

use std::path::Path;

use tempfile::TempDir;

/// A fresh directory that is removed when the test passes. When the test fails it stays, and its path is printed.
#[derive(Debug)]
pub struct TestDir(Option<TempDir>);

impl TestDir {
    /// Makes a directory whose name contains `name`.
    pub fn new(name: &str) -> Self {
        let dir = tempfile::Builder::new().prefix(&format!("towpath-{name}-")).tempdir();
        Self(Some(dir.expect("the directory for temporary files can be written")))
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.0.as_ref().expect("the directory is there until drop").path()
    }
}

impl Drop for TestDir {
    fn drop(&mut self) {
        if let Some(dir) = self.0.take().filter(|_| std::thread::panicking()) {
            eprintln!("the test's directory is kept: {}", dir.keep().display());
        }
    }
}
