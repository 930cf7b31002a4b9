//! What keeps the lake small and clean: expiry, compaction, merging of key runs, deletion of what nobody needs.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::TryStreamExt;
use metrics::{counter, gauge};
use tokio::runtime::Handle;
use tracing::{info, warn};

use towpath_model::StoreId;

use crate::commit::{Change, MAX_REMOVED};
use crate::error::LakeError;
use crate::keys::{Keep, Run, RunWriter, merge};
use crate::lake::{Inner, Lake};
use crate::state::Store;

/// So many stores with hot rows are flushed after the time that is set; with more it takes longer, up to a factor.
const STORES_A_FLUSH: usize = 16;
const MOST_PATIENCE: usize = 10;

impl Lake {
    /// One round of maintenance: expires files, joins files until nothing is left to join, merges key runs, deletes what
    /// nobody holds. Each step is tried whatever became of the others; the first error is returned.
    pub async fn maintain(&self) -> Result<(), LakeError> {
        let this = self.inner.clone();
        let kept = tokio::spawn(async move { this.maintain().await }).await.unwrap_or(Err(LakeError::Closed));
        self.mend(kept).await
    }

    /// Deletes every object that nothing refers to and that is older than `age`, half-written files included; returns how
    /// many. What is being written now is told apart, so an age of zero is safe in the process that owns the lake.
    ///
    /// These are what a crash or a failed commit left behind. They are not read by anyone in the meantime.
    pub async fn collect_orphans(&self, age: Duration) -> Result<usize, LakeError> {
        self.inner.collect_orphans(age).await
    }
}

impl Inner {
    async fn maintain(self: &Arc<Self>) -> Result<(), LakeError> {
        let _maintaining = self.maintaining.lock().await;
        let expired = self.expire().await;
        let compacted = self.compact_all().await;
        let merged = self.merge_runs().await;
        let swept = self.sweep().await;
        expired.and(compacted).and(merged).and(swept)
    }

    /// True when some position has waited long enough to become durable.
    pub(crate) fn flush_is_due(&self) -> bool {
        let now = self.clock.now();
        let state = self.state.lock();
        // A file per store costs the same for few rows as for many, so that many stores wait longer. The log has the
        // rows in the meantime, and their size bounds the wait as it does for one store.
        let patience = match state.tails.crowded() {
            true => 1,
            false => (state.tails.stores() / STORES_A_FLUSH).clamp(1, MOST_PATIENCE) as u64,
        };
        let age = Duration::from_secs(self.settings.flush_seconds * patience);
        match state.hot_since {
            Some(since) => now.duration_since(since).unsigned_abs() >= age,
            None => false,
        }
    }

    /// Removes files whose every row has expired.
    async fn expire(self: &Arc<Self>) -> Result<(), LakeError> {
        let now = self.clock.now();
        let mut expired = Vec::new();
        for (id, store) in &self.state.lock().stores {
            let Some(cutoff) = store.retention.cutoff(now) else { continue };
            let past: Vec<_> = store.files.iter().filter(|file| file.times.1 < cutoff).map(|file| file.id).collect();
            expired.extend(past.chunks(MAX_REMOVED).map(|removed| (*id, removed.to_vec())));
        }
        for (store, removed) in expired {
            let files = removed.len();
            self.commit(Change::Expire { store, removed }).await?;
            counter!("towpath_lake_expired_files_total").increment(files as u64);
            info!(store = %store, files, "expired");
        }
        Ok(())
    }

    /// Merges runs of the key index of similar size.
    pub(crate) async fn merge_runs(self: &Arc<Self>) -> Result<(), LakeError> {
        while let Some(runs) = self.keys.mergeable() {
            let removed: Vec<_> = runs.iter().map(|run| run.info().id).collect();
            let this = self.clone();
            let written = tokio::task::spawn_blocking(move || this.write_merged(&runs)).await;
            let added = written.unwrap_or(Err(LakeError::Closed))?;
            let keys = added.info().entries;
            let path = added.info().path();
            if let Err(error) = self.objects.sync(&path).await {
                self.state.lock().doom_path(path);
                return Err(error);
            }
            let runs = removed.len();
            self.commit(Change::Keys { removed, added: vec![added] }).await?;
            info!(runs, keys, "key runs merged");
        }
        Ok(())
    }

    /// Writes the merged run. Keys of dropped stores and of expired rows are left out. Not for async threads.
    fn write_merged(&self, runs: &[Arc<Run>]) -> Result<Arc<Run>, LakeError> {
        let now = self.clock.now();
        let keeps: HashMap<_, _> = {
            let state = self.state.lock();
            let keep = |store: &Store| match store.retention {
                retention if retention.dropped => Keep::Nothing,
                retention => Keep::From(retention.cutoff(now)),
            };
            state.stores.iter().map(|(id, store)| (*id, keep(store))).collect()
        };
        let keep = |store: StoreId| keeps.get(&store).copied().unwrap_or(Keep::From(None));
        let entries: u64 = runs.iter().map(|run| run.info().entries).sum();
        let mut writer = RunWriter::new(entries as usize);
        let path = crate::keys::run_path(writer.id());
        self.state.lock().in_flight.insert(path.clone());
        let written = (|| {
            let handle = Handle::current();
            let mut upload = handle.block_on(self.objects.upload(&path))?;
            let failed = |cause| LakeError::Object { doing: "write", path: path.to_string(), cause };
            let mut part = Vec::new();
            merge(runs, &mut writer, keep, |writer| {
                if self.stopping.load(Ordering::Relaxed) {
                    return Err(LakeError::Closed);
                }
                part.extend(writer.take());
                if part.len() >= 8 << 20 {
                    handle.block_on(upload.put_part(std::mem::take(&mut part).into())).map_err(failed)?;
                }
                Ok(())
            })?;
            part.extend(writer.take());
            let (info, rest) = writer.finish();
            part.extend(rest);
            handle.block_on(upload.put_part(part.into())).map_err(failed)?;
            handle.block_on(upload.complete()).map_err(failed)?;
            Run::open(&self.objects, info).map(Arc::new)
        })();
        if written.is_err() {
            self.state.lock().doom_path(path);
        }
        written
    }

    /// Deletes objects that no manifest names and nobody holds any more.
    pub(crate) async fn sweep(&self) -> Result<(), LakeError> {
        let free: Vec<_> = {
            let mut state = self.state.lock();
            let (free, held) = std::mem::take(&mut state.doomed).into_iter().partition(|doomed| doomed.held.free());
            state.doomed = held;
            gauge!("towpath_lake_held_files").set(state.doomed.len() as f64);
            free
        };
        let mut outcome = Ok(());
        for doomed in free {
            if let Err(error) = self.objects.delete(&doomed.path).await {
                self.state.lock().doomed.push(doomed);
                outcome = Err(error);
            }
        }
        outcome
    }

    async fn collect_orphans(&self, age: Duration) -> Result<usize, LakeError> {
        // What exists is listed first: whatever is committed later was not in the list, or is in the manifest below.
        let failed = |cause| LakeError::Object { doing: "list", path: "/".to_owned(), cause };
        let listed: Vec<_> = self.objects.list().try_collect().await.map_err(failed)?;
        let now = self.clock.now();
        let orphans: Vec<_> = {
            let state = self.state.lock();
            let mut known: HashSet<_> = state.in_flight.iter().cloned().collect();
            known.extend(state.stores.values().flat_map(|store| store.files.iter().map(|file| file.path())));
            known.extend(state.doomed.iter().map(|doomed| doomed.path.clone()));
            known.extend(self.keys.runs().iter().map(|run| run.info().path()));
            // Without an age to wait for, the two clocks need not be compared.
            let old =
                |millis: i64| age.is_zero() || now.as_millisecond().saturating_sub(millis) >= age.as_millis() as i64;
            let mut orphans = listed;
            orphans.retain(|object| !known.contains(&object.location) && old(object.last_modified.timestamp_millis()));
            orphans
        };
        let count = orphans.len();
        for orphan in orphans {
            warn!(path = %orphan.location, bytes = orphan.size, "orphan deleted");
            self.objects.delete(&orphan.location).await?;
        }
        let staged = self.objects.staged(age, now).await?;
        let staged: Vec<_> = {
            let state = self.state.lock();
            staged.into_iter().filter(|staged| !state.in_flight.contains(&staged.object)).collect()
        };
        let count = count + staged.len();
        for staged in staged {
            warn!(path = %staged.object, "half-written file deleted");
            staged.delete().await?;
        }
        counter!("towpath_lake_orphans_total").increment(count as u64);
        Ok(count)
    }
}
