//! The key index from the data files, should a part of it be lost.

use std::sync::Arc;

use tracing::info;

use crate::commit::Change;
use crate::error::LakeError;
use crate::keys::{Entry, RunWriter, Sections};
use crate::lake::Inner;
use crate::read;

/// Keys held in memory at once while rebuilding.
const KEYS_AT_ONCE: usize = 1 << 20;

impl Inner {
    /// Reads the keys of every file and replaces all runs. Called while the lake opens, before anything else runs.
    ///
    /// `known` are the runs that the metadata store names, readable or not.
    pub(crate) async fn rebuild_keys(self: &Arc<Self>, known: Vec<uuid::Uuid>) -> Result<(), LakeError> {
        let files: Vec<_> = self.state.lock().stores.values().flat_map(|store| store.files.iter().cloned()).collect();
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
            let encode = move || {
                let mut entries: Vec<Entry> = Vec::with_capacity(rows);
                for file in &group {
                    entries.extend(read::entries(&objects, file)?);
                }
                Ok(RunWriter::encode(entries))
            };
            let encoded = tokio::task::spawn_blocking(encode).await.unwrap_or(Err(LakeError::Closed))?;
            if let Some((info, bytes)) = encoded {
                self.state.lock().in_flight.insert(info.path());
                self.objects.put(&info.path(), bytes.into()).await?;
                runs.push(self.open_run(info).await?);
            }
        }
        self.commit(Change::Keys { removed: known, added: runs }).await
    }
}

impl RunWriter {
    /// Encodes one run of these entries, in any order; `None` of none.
    pub(crate) fn encode(mut entries: Vec<Entry>) -> Option<(crate::keys::RunInfo, Vec<u8>)> {
        if entries.is_empty() {
            return None;
        }
        entries.sort_unstable();
        let mut writer = Self::new(entries.len());
        for section in entries.chunk_by(|a, b| a.store == b.store) {
            writer.section(section[0].store, Sections::new(section.iter().map(|entry| entry.time)));
            section.iter().for_each(|entry| writer.push(*entry));
        }
        let mut bytes = writer.take();
        let (info, rest) = writer.finish();
        bytes.extend(rest);
        Some((info, bytes))
    }
}
