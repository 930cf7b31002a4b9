//! The promises of the buckets, on a real folder and a metadata store in memory.

mod delivery;
mod faults;
mod listing;
mod objects;
mod server;
mod store;
mod uploads;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use tempfile::TempDir;
use towpath_meta::{FailingMetaStore, MemoryMetaStore};
use towpath_model::ManualClock;

use crate::files::{ContentFiles, Faults, Step};
use crate::*;

/// Buckets on a folder of their own.
pub(super) struct World {
    pub(super) home: TempDir,
    pub(super) meta: Arc<FailingMetaStore<MemoryMetaStore>>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) buckets: Buckets,
}

impl World {
    pub(super) async fn new() -> Self {
        Self::with(None).await
    }

    pub(super) async fn with(faults: Option<Faults>) -> Self {
        let home = TempDir::new().unwrap();
        let meta = Arc::new(FailingMetaStore::new(MemoryMetaStore::new()));
        let clock = Arc::new(ManualClock::at("2026-01-02T03:04:05Z".parse::<Timestamp>().unwrap()));
        let buckets =
            Buckets::open_with(home.path().join("buckets"), meta.clone(), clock.clone(), faults).await.unwrap();
        let world = Self { home, meta, clock, buckets };
        world.bucket("logs").await;
        world
    }

    pub(super) async fn bucket(&self, name: &str) {
        let new = NewBucket {
            name: name.parse().unwrap(),
            owner: "111111111111".parse().unwrap(),
            region: "us-east-1".parse().unwrap(),
            object_lock: false,
            tags: Default::default(),
        };
        self.buckets.create(new).await.unwrap();
    }

    /// The same data directory after the process has ended.
    pub(super) async fn reopened(&self) -> Buckets {
        let folder = self.home.path().join("buckets");
        Buckets::open(folder, self.meta.clone(), self.clock.clone()).await.unwrap()
    }

    pub(super) async fn put(&self, key: &str, content: &str) -> Result<Object, BucketError> {
        put(&self.buckets, key, content, Put::default()).await
    }

    pub(super) async fn content(&self, key: &str) -> Option<String> {
        content(&self.buckets, key).await
    }

    /// The content files of the data directory, complete or not.
    pub(super) fn files(&self) -> Vec<String> {
        let mut found = Vec::new();
        collect(&self.home.path().join("buckets"), &mut found);
        found
    }
}

fn collect(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else {
            found.push(path.file_name().unwrap().to_str().unwrap().to_owned());
        }
    }
}

pub(super) fn key(text: &str) -> ObjectKey {
    text.parse().unwrap()
}

pub(super) async fn put(buckets: &Buckets, at: &str, content: &str, put: Put) -> Result<Object, BucketError> {
    let mut writer = buckets.writer("logs", None).await?;
    writer.write(Bytes::copy_from_slice(content.as_bytes())).await?;
    buckets.put("logs", &key(at), writer, Expected::default(), put).await
}

pub(super) async fn content(buckets: &Buckets, at: &str) -> Option<String> {
    use futures::TryStreamExt;
    match buckets.read("logs", &key(at)).await {
        Ok(found) => {
            let size = found.object.size;
            let chunks: Vec<Bytes> = files::stream(found.file, 0..size).try_collect().await.unwrap();
            Some(String::from_utf8(chunks.concat()).unwrap())
        }
        Err(BucketError::NoSuchKey(_)) => None,
        Err(error) => panic!("{error:?}"),
    }
}

/// Waits until a condition holds; what is removed in the background takes a moment.
pub(super) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..500 {
        if holds() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("{what}");
}

pub(super) fn failing_at(step: Step, call: usize) -> Faults {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let seen = AtomicUsize::new(0);
    Arc::new(move |at| {
        if at == step && seen.fetch_add(1, Ordering::SeqCst) == call {
            return Err(std::io::Error::other("injected fault"));
        }
        Ok(())
    })
}
