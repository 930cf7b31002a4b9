//! From the hot tails to files: one file per store and day, one commit for all.
//!
//! Rows that several stores have in common are encoded and written once; each store gets the file under a name of its own.
//!
//! Until the commit the rows stay hot and the files are nobody's; from the commit on the files are in every snapshot
//! and the rows are gone from memory, in one step. A crash before it leaves files that no manifest names; the log still
//! has the events.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures::StreamExt;
use metrics::{counter, histogram};
use tracing::info;

use towpath_model::Position;

use crate::commit::Change;
use crate::datafile::DataFile;
use crate::encode::{by_day, encode};
use crate::error::LakeError;
use crate::keys::{Keys, Run, RunInfo, RunWriter};
use crate::lake::{Inner, Lake, batches};
use crate::tails::SealedRows;

/// Rows of different stores that are encoded and written at the same time, and files of each of them. Most of the time of
/// a small file is its way to the disk, which several take together.
const PARALLEL: usize = 3;
const PARALLEL_PUTS: usize = 8;

/// The two steps of giving a file to another store.
#[derive(Clone, Copy)]
enum Step {
    Copy,
    Sync,
}

/// What a flush writes: everything applied below `position`.
struct Sealed {
    position: Position,
    rows: Vec<SealedRows>,
    keys: Vec<Keys>,
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
        let (rows, keys) = state.tails.seal(|store| {
            let store = stores.get(&store).filter(|store| !store.retention.dropped)?;
            Some(store.retention.cutoff(now))
        });
        state.hot_since = None;
        Some(Sealed { position: state.applied, rows, keys })
    }

    /// Writes the files and the key run. After an error the rows are hot as before.
    async fn write(self: &Arc<Self>, sealed: Sealed) -> Result<(Vec<DataFile>, Option<Arc<Run>>), LakeError> {
        let Sealed { rows, keys, .. } = sealed;
        let run = self.write_run(keys);
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
        let all: Vec<_> = encoded.iter().flat_map(|(files, _)| files.iter().cloned()).collect();
        self.state.lock().in_flight.extend(all.iter().map(DataFile::path));
        let puts = futures::stream::iter(encoded)
            .map(|(files, bytes)| async move {
                self.objects.put(&files[0].path(), bytes).await?;
                self.copy_to_others(&files).await
            })
            .buffer_unordered(PARALLEL_PUTS);
        // All are waited for: what is being written must not come after it was given up.
        let written: Vec<Result<(), _>> = puts.collect().await;
        match written.into_iter().collect::<Result<(), _>>() {
            Ok(()) => Ok(all),
            Err(error) => {
                self.state.lock().doom_unborn(all);
                Err(error)
            }
        }
    }

    /// Makes a durable object of each file but the first, which is one and has the same content.
    pub(crate) async fn copy_to_others(&self, files: &[DataFile]) -> Result<(), LakeError> {
        let [first, others @ ..] = files else { return Ok(()) };
        let (from, others) = (first.path(), others.iter().map(DataFile::path).collect::<Vec<_>>());
        let from = &from;
        // First all names, then all syncs: nearly all of these find that the first one did their work.
        for step in [Step::Copy, Step::Sync] {
            let steps = others.iter().map(|to| async move {
                match step {
                    Step::Copy => self.objects.copy(from, to).await,
                    Step::Sync => self.objects.sync(to).await,
                }
            });
            let done: Vec<Result<(), _>> =
                futures::stream::iter(steps.collect::<Vec<_>>()).buffer_unordered(PARALLEL_PUTS).collect().await;
            done.into_iter().collect::<Result<(), _>>()?;
        }
        Ok(())
    }

    /// A file per day: its entries for all the stores, and its bytes.
    fn encode_rows(&self, sealed: &SealedRows) -> Result<Vec<(Vec<DataFile>, Bytes)>, LakeError> {
        let [first, others @ ..] = sealed.stores.as_slice() else { return Ok(Vec::new()) };
        let Some(kind) = sealed.chunks.first().map(|chunk| chunk.kind()) else { return Ok(Vec::new()) };
        let batches = batches(*first, &sealed.chunks)?;
        let created = self.clock.now();
        let mut files = Vec::new();
        for (day, places) in by_day(&batches, sealed.cutoff) {
            let failed = |cause| LakeError::Parquet { doing: "encode", path: format!("{first} day {day}"), cause };
            let (file, bytes) = encode((*first, kind, day), &batches, &places, created).map_err(failed)?;
            files.push((file.shared_with(others.iter().copied()), bytes));
        }
        Ok(files)
    }

    /// Writes the keys of the rows as one run.
    async fn write_run(self: &Arc<Self>, keys: Vec<Keys>) -> Result<Option<Arc<Run>>, LakeError> {
        let encoded = tokio::task::spawn_blocking(move || RunWriter::encode(keys)).await;
        let Some((info, bytes)) = encoded.map_err(|_| LakeError::Closed)? else { return Ok(None) };
        self.put_run(info, bytes).await.map(Some)
    }

    /// Writes an encoded run and opens it.
    pub(crate) async fn put_run(&self, info: RunInfo, bytes: Vec<u8>) -> Result<Arc<Run>, LakeError> {
        let path = info.path();
        self.state.lock().in_flight.insert(path.clone());
        let opened = match self.objects.put(&path, bytes.into()).await {
            Ok(()) => self.open_run(info).await,
            Err(error) => Err(error),
        };
        if opened.is_err() {
            self.state.lock().doom_path(path);
        }
        opened
    }

    /// Opens a run that was just written.
    async fn open_run(&self, info: RunInfo) -> Result<Arc<Run>, LakeError> {
        let objects = self.objects.clone();
        let opened = tokio::task::spawn_blocking(move || Run::open(&objects, info)).await;
        opened.unwrap_or(Err(LakeError::Closed)).map(Arc::new)
    }
}
