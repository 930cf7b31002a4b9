//! Sweeping: what crashes left behind goes.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::task::spawn_blocking;

use towpath_meta::MetaStoreExt;

use super::{Buckets, OpenBucket};
use crate::error::BucketError;
use crate::record::{Object, Part};

impl Buckets {
    /// Removes what crashes left behind: files and folders that no record names. Returns how many. May run beside
    /// everything else.
    pub async fn sweep(&self) -> Result<usize, BucketError> {
        let mut removed = self.sweep_folders().await?;
        let buckets: Vec<_> = self.inner.known.read().values().cloned().collect();
        for bucket in buckets {
            let (files, name) = (Arc::clone(&self.inner.files), bucket.record.name.clone());
            // Before the records are read: what is listed now is of earlier starts, and its record is there or never.
            let Ok(found) = spawn_blocking(move || files.earlier(&name)).await? else {
                continue;
            };
            if found.is_empty() {
                continue;
            }
            let live = self.live_files(&bucket).await?;
            let files = Arc::clone(&self.inner.files);
            removed += spawn_blocking(move || files.sweep(found, &live)).await?;
        }
        Ok(removed)
    }

    /// Removes folders without a bucket.
    async fn sweep_folders(&self) -> Result<usize, BucketError> {
        // No bucket is made while it is decided which folders have none.
        let _only = self.inner.changes.lock().await;
        let known: HashSet<String> = self.inner.known.read().keys().map(|name| name.to_string()).collect();
        let files = Arc::clone(&self.inner.files);
        let removed = spawn_blocking(move || {
            let strange = files.strange_folders(|name| known.contains(name))?;
            strange.iter().filter(|path| path.is_dir()).try_fold(0, |count, path| {
                std::fs::remove_dir_all(path)?;
                Ok(count + 1)
            })
        });
        removed.await?.map_err(BucketError::file("remove folders without a bucket"))
    }

    async fn live_files(&self, bucket: &OpenBucket) -> Result<HashSet<String>, BucketError> {
        let (meta, mut live, mut after) = (&*self.inner.meta, HashSet::new(), String::new());
        loop {
            let page = bucket.objects.list(meta, &after, 1000).await?;
            let complete = page.len() < 1000;
            if let Some(last) = page.last() {
                after = crate::order::encode(&last.key);
            }
            for entry in page {
                live.insert(entry.record.decode::<Object>()?.value.file);
            }
            if complete {
                break;
            }
        }
        for part in meta.list_all_json::<Part>(&bucket.part_area()).await? {
            live.insert(part.value.file);
        }
        Ok(live)
    }
}
