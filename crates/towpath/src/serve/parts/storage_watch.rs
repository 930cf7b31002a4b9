//! Notices when the storage under the log fails, so that `/readyz` can say so.
//!
//! The log goes on trying by itself; here it is only remembered how the latest write or sync ended.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use towpath_log::{LogFile, LogStorage};

/// Whether the latest write to the log's storage failed.
#[derive(Clone, Debug, Default)]
pub struct StorageHealth(Arc<AtomicBool>);

impl StorageHealth {
    /// True after a failure, until something succeeds again.
    pub fn is_failing(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn note<T>(&self, result: io::Result<T>) -> io::Result<T> {
        self.0.store(result.is_err(), Ordering::Relaxed);
        result
    }
}

/// Storage whose writes are watched.
pub struct WatchedStorage<S> {
    inner: S,
    health: StorageHealth,
}

impl<S> WatchedStorage<S> {
    /// Watches `inner`.
    pub fn new(inner: S, health: StorageHealth) -> Self {
        Self { inner, health }
    }

    fn watched(&self, file: Arc<dyn LogFile>) -> Arc<dyn LogFile> {
        Arc::new(WatchedFile { inner: file, health: self.health.clone() })
    }
}

impl<S: LogStorage> LogStorage for WatchedStorage<S> {
    fn list(&self) -> io::Result<Vec<String>> {
        self.inner.list()
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn LogFile>> {
        Ok(self.watched(self.health.note(self.inner.create(name))?))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn LogFile>> {
        Ok(self.watched(self.inner.open(name)?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.health.note(self.inner.rename(from, to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.inner.remove(name)
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.health.note(self.inner.sync_dir())
    }
}

struct WatchedFile {
    inner: Arc<dyn LogFile>,
    health: StorageHealth,
}

impl LogFile for WatchedFile {
    fn size(&self) -> io::Result<u64> {
        self.inner.size()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read_at(offset, buffer)
    }

    fn write_at(&self, offset: u64, parts: &mut [IoSlice<'_>]) -> io::Result<()> {
        self.health.note(self.inner.write_at(offset, parts))
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        self.health.note(self.inner.truncate(size))
    }

    fn sync(&self) -> io::Result<()> {
        self.health.note(self.inner.sync())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    #[derive(Default)]
    struct Flaky(Arc<AtomicU32>);

    struct FlakyFile(Arc<AtomicU32>);

    impl LogFile for FlakyFile {
        fn size(&self) -> io::Result<u64> {
            Ok(0)
        }
        fn read_at(&self, _: u64, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("unreadable"))
        }
        fn write_at(&self, _: u64, _: &mut [IoSlice<'_>]) -> io::Result<()> {
            Ok(())
        }
        fn truncate(&self, _: u64) -> io::Result<()> {
            Ok(())
        }
        fn sync(&self) -> io::Result<()> {
            if self.0.fetch_add(1, Ordering::Relaxed) == 0 { Err(io::Error::other("disk")) } else { Ok(()) }
        }
    }

    impl LogStorage for Flaky {
        fn list(&self) -> io::Result<Vec<String>> {
            Ok(Vec::new())
        }
        fn create(&self, _: &str) -> io::Result<Arc<dyn LogFile>> {
            Ok(Arc::new(FlakyFile(self.0.clone())))
        }
        fn open(&self, name: &str) -> io::Result<Arc<dyn LogFile>> {
            self.create(name)
        }
        fn rename(&self, _: &str, _: &str) -> io::Result<()> {
            Ok(())
        }
        fn remove(&self, _: &str) -> io::Result<()> {
            Ok(())
        }
        fn sync_dir(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_failed_sync_is_noticed_until_one_succeeds() {
        let health = StorageHealth::default();
        let storage = WatchedStorage::new(Flaky::default(), health.clone());
        let file = storage.create("1").unwrap();
        assert!(!health.is_failing());
        assert!(file.sync().is_err());
        assert!(health.is_failing());
        // Reading says nothing about writing.
        assert!(file.read_at(0, &mut []).is_err());
        file.sync().unwrap();
        assert!(!health.is_failing());
        assert!(file.read_at(0, &mut []).is_err());
        assert!(!health.is_failing());
    }
}
