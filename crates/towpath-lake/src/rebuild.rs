//! The key index from the data files, should a part of it be lost or damaged.

use std::collections::HashMap;
use std::sync::Arc;

use smallvec::SmallVec;
use tracing::{info, warn};

use towpath_model::StoreId;

use crate::commit::Change;
use crate::datafile::DataFile;
use crate::error::LakeError;
use crate::keys::{Entry, Keys, Run, RunWriter, Stores};
use crate::lake::{Inner, Lake};
use crate::objects::Objects;
use crate::read;

/// Keys held in memory at once while rebuilding.
const KEYS_AT_ONCE: usize = 1 << 20;

impl Lake {
    /// Passes an outcome on; should a damaged run of the key index be the reason of a failure, it is rebuilt first, so
    /// that the next attempt finds it whole.
    pub(crate) async fn mend<T>(&self, outcome: Result<T, LakeError>) -> Result<T, LakeError> {
        if let Err(LakeError::Keys { path, what }) = &outcome {
            warn!(path, what, "key run is damaged");
            let (this, path) = (self.inner.clone(), path.clone());
            // A caller that goes away must not leave half an index behind.
            tokio::spawn(async move { this.repair_keys(&path).await }).await.unwrap_or(Err(LakeError::Closed))?;
        }
        outcome
    }
}

impl Inner {
    /// Rebuilds the key index if the run at `path` is still a part of it.
    async fn repair_keys(self: &Arc<Self>, path: &str) -> Result<(), LakeError> {
        // No run comes or goes in the meantime, nor does a file whose keys are not in the list below.
        let _flushing = self.flushing.lock().await;
        let _maintaining = self.maintaining.lock().await;
        self.settled().await?;
        let runs = self.keys.runs();
        if !runs.iter().any(|run| run.info().path().as_ref() == path) {
            return Ok(());
        }
        let known = runs.iter().map(|run| run.info().id).collect();
        drop(runs);
        self.rebuild_keys(known).await
    }

    /// Reads the keys of every file and replaces all runs. Nothing else may change files or runs meanwhile.
    ///
    /// `known` are the runs that the metadata store names, readable or not.
    pub(crate) async fn rebuild_keys(self: &Arc<Self>, known: Vec<uuid::Uuid>) -> Result<(), LakeError> {
        let mut files: Vec<_> =
            self.state.lock().stores.values().flat_map(|store| store.files.iter().cloned()).collect();
        // Files of several stores with the same rows come one after the other, so that their keys are found in common.
        files.sort_unstable_by_key(|file| (file.day, file.positions, file.store));
        info!(files = files.len(), "key index is rebuilt from the files");
        let mut runs = Vec::new();
        let mut files = files.into_iter().peekable();
        while files.peek().is_some() {
            let mut group = Vec::new();
            let mut rows = 0;
            while let Some(file) = files.next_if(|file| rows == 0 || rows + file.rows as usize <= KEYS_AT_ONCE) {
                rows += file.rows as usize;
                group.push(file);
            }
            let objects = self.objects.clone();
            let encode = move || Ok(RunWriter::encode(keys_of(&objects, &group)?));
            let encoded = tokio::task::spawn_blocking(encode).await.unwrap_or(Err(LakeError::Closed));
            match self.write_encoded(encoded).await {
                Ok(run) => runs.extend(run),
                Err(error) => {
                    self.state.lock().doom_runs(runs);
                    return Err(error);
                }
            }
        }
        self.commit(Change::Keys { removed: known, added: runs }).await
    }

    async fn write_encoded(
        self: &Arc<Self>,
        encoded: Result<Option<(crate::keys::RunInfo, Vec<u8>)>, LakeError>,
    ) -> Result<Option<Arc<Run>>, LakeError> {
        match encoded? {
            Some((info, bytes)) => self.put_run(info, bytes).await.map(Some),
            None => Ok(None),
        }
    }
}

/// The keys of these files, together for stores that have the same. Not for async threads.
fn keys_of(objects: &Objects, files: &[Arc<DataFile>]) -> Result<Vec<Keys>, LakeError> {
    let mut stores: HashMap<Entry, SmallVec<[StoreId; 1]>> = HashMap::new();
    for file in files {
        for entry in read::entries(objects, file)? {
            stores.entry(entry).or_default().push(file.store);
        }
    }
    let mut same: HashMap<SmallVec<[StoreId; 1]>, Vec<Entry>> = HashMap::new();
    for (entry, mut stores) in stores {
        stores.sort_unstable();
        stores.dedup();
        same.entry(stores).or_default().push(entry);
    }
    Ok(same.into_iter().map(|(stores, entries)| Keys { stores: Stores::from(stores.as_slice()), entries }).collect())
}
