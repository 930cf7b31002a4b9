//! From the hot tails to files: one file per store and day, one commit for all.
//!
//! Rows that several stores have in common are encoded once; each store gets a file of its own with these bytes.
//!
//! Until the commit the rows stay hot and the files are nobody's; from the commit on the files are in every snapshot
//! and the rows are gone from memory, in one step. A crash before it leaves files that no manifest names; the log still
//! has the events.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use metrics::{counter, histogram};
use tracing::info;
use uuid::Uuid;

use towpath_model::Position;

use crate::commit::Change;
use crate::datafile::DataFile;
use crate::encode::{by_day, encode};
use crate::error::LakeError;
use crate::keys::{Entry, Run, RunInfo, RunWriter};
use crate::lake::{Inner, Lake, batches};
use crate::tails::SealedRows;

/// Rows of different stores that are encoded and written at the same time, and files of each of them. Most of the time of
/// a small file is its way to the disk, which several take together.
const PARALLEL: usize = 3;
const PARALLEL_PUTS: usize = 8;

/// What a flush writes: everything applied below `position`.
struct Sealed {
    position: Position,
    rows: Vec<SealedRows>,
    entries: Vec<Entry>,
}

impl Lake {
    /// Writes every hot row to files. When this returns without error, all that was applied at the call is durable in
    /// the lake, and [`Lake::durable`] says so.
    pub async fn flush(&self) -> Result<(), LakeError> {
        let this = self.inner.clone();
        // A caller that goes away must not stop a flush halfway: its rows would stay sealed.
        tokio::spawn(async move { this.flush().await }).await.unwrap_or(Err(LakeError::Closed))
    }
}

impl Inner {
    async fn flush(self: &Arc<Self>) -> Result<(), LakeError> {
        let _flushing = self.flushing.lock().await;
        let started = Instant::now();
        self.settled().await?;
        let Some(sealed) = self.seal() else { return Ok(()) };
        let position = sealed.position;
        let outcome = self.write(sealed).await;
        let result = match outcome {
            Ok((files, run)) => {
                let (count, rows) = (files.len(), files.iter().map(|file| file.rows).sum::<u64>());
                let bytes = files.iter().map(|file| file.size).sum::<u64>();
                let committed = self.commit(Change::Flush { files, run, durable: position }).await;
                if committed.is_ok() {
                    let elapsed = started.elapsed();
                    histogram!("towpath_lake_flush_seconds").record(elapsed.as_secs_f64());
                    counter!("towpath_lake_flushed_rows_total").increment(rows);
                    counter!("towpath_lake_flushed_bytes_total").increment(bytes);
                    info!(files = count, rows, bytes, position = %position, elapsed_ms = elapsed.as_millis() as u64, "flushed");
                }
                committed
            }
            Err(error) => Err(error),
        };
        if result.is_err() {
            counter!("towpath_lake_failures_total", "step" => "flush").increment(1);
        }
        self.flushed.notify_waiters();
        result
    }

    /// Marks all hot rows as being written. `None` when the durable position cannot move.
    fn seal(&self) -> Option<Sealed> {
        let now = self.clock.now();
        let mut state = self.state.lock();
        let state = &mut *state;
        if state.applied == state.durable {
            return None;
        }
        let stores = &state.stores;
        let (rows, entries) = state.tails.seal(|store| {
            let store = stores.get(&store).filter(|store| !store.retention.dropped)?;
            Some(store.retention.cutoff(now))
        });
        state.hot_since = None;
        Some(Sealed { position: state.applied, rows, entries })
    }

    /// Writes the files and the key run. After an error the rows are hot as before.
    async fn write(self: &Arc<Self>, sealed: Sealed) -> Result<(Vec<DataFile>, Option<Arc<Run>>), LakeError> {
        let Sealed { rows, entries, .. } = sealed;
        let run = self.write_run(entries);
        let written: Vec<Result<Vec<DataFile>, LakeError>> =
            futures::stream::iter(rows).map(|rows| self.write_rows(rows)).buffer_unordered(PARALLEL).collect().await;
        let run = run.await;
        let mut files = Vec::new();
        let mut failed = None;
        for outcome in written {
            match outcome {
                Ok(more) => files.extend(more),
                Err(error) => failed = Some(error),
            }
        }
        match (failed, run) {
            (None, Ok(run)) => Ok((files, run)),
            (Some(error), run) => {
                self.abandon_flush(files, run.ok().flatten());
                Err(error)
            }
            (None, Err(error)) => {
                self.abandon_flush(files, None);
                Err(error)
            }
        }
    }

    /// Writes rows of one or more stores, a file per store and day.
    async fn write_rows(self: &Arc<Self>, sealed: SealedRows) -> Result<Vec<DataFile>, LakeError> {
        let this = self.clone();
        let encoded = tokio::task::spawn_blocking(move || this.encode_rows(&sealed)).await;
        let encoded = encoded.unwrap_or(Err(LakeError::Closed))?;
        {
            let mut state = self.state.lock();
            state.in_flight.extend(encoded.iter().map(|(file, _)| file.path()));
        }
        let files: Vec<_> = encoded.iter().map(|(file, _)| file.clone()).collect();
        let puts = futures::stream::iter(encoded)
            .map(|(file, bytes)| async move { self.objects.put(&file.path(), bytes).await });
        let written: Result<Vec<()>, _> = puts.buffer_unordered(PARALLEL_PUTS).try_collect().await;
        match written {
            Ok(_) => Ok(files),
            Err(error) => {
                self.state.lock().doom_unborn(files);
                Err(error)
            }
        }
    }

    fn encode_rows(&self, sealed: &SealedRows) -> Result<Vec<(DataFile, Bytes)>, LakeError> {
        let [first, others @ ..] = sealed.stores.as_slice() else { return Ok(Vec::new()) };
        let Some(kind) = sealed.chunks.first().map(|chunk| chunk.kind()) else { return Ok(Vec::new()) };
        let batches = batches(*first, &sealed.chunks)?;
        let created = self.clock.now();
        let mut files = Vec::new();
        for (day, places) in by_day(&batches, sealed.cutoff) {
            let failed = |cause| LakeError::Parquet { doing: "encode", path: format!("{first} day {day}"), cause };
            let (file, bytes) = encode((*first, kind, day), &batches, &places, created).map_err(failed)?;
            for store in others {
                files.push((DataFile { id: Uuid::new_v4(), store: *store, ..file.clone() }, bytes.clone()));
            }
            files.push((file, bytes));
        }
        Ok(files)
    }

    /// Writes the keys of the rows as one run.
    async fn write_run(self: &Arc<Self>, entries: Vec<Entry>) -> Result<Option<Arc<Run>>, LakeError> {
        let encoded = tokio::task::spawn_blocking(move || RunWriter::encode(entries)).await;
        let Some((info, bytes)) = encoded.map_err(|_| LakeError::Closed)? else { return Ok(None) };
        let path = info.path();
        self.state.lock().in_flight.insert(path.clone());
        let opened = match self.objects.put(&path, bytes.into()).await {
            Ok(()) => self.open_run(info).await,
            Err(error) => Err(error),
        };
        if opened.is_err() {
            self.state.lock().doom_path(path);
        }
        opened.map(Some)
    }

    /// Opens a run that was just written.
    pub(crate) async fn open_run(&self, info: RunInfo) -> Result<Arc<Run>, LakeError> {
        let objects = self.objects.clone();
        let opened = tokio::task::spawn_blocking(move || Run::open(&objects, info)).await;
        opened.unwrap_or(Err(LakeError::Closed)).map(Arc::new)
    }
}
