//! Few large files instead of many small ones.
//!
//! The files of a store's day are joined when several of similar size have gathered, or when the day has been quiet for
//! a while. Rows are merged in order, a few thousand in memory at a time, and written with lasting effort; expired rows
//! are left out. One commit puts the new file in the place of the old ones, which go once no snapshot holds them.
//!
//! Stores that have the same files have them joined once, and get the new file under a name of their own.

mod choose;
mod merge;
mod upload;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use metrics::{counter, histogram};
use tracing::info;
use uuid::Uuid;

use towpath_model::{EventTime, StoreId};

use self::choose::{choose, waiting};
use self::merge::Merge;
use self::upload::Upload;
use crate::commit::{Change, Rewritten};
use crate::datafile::DataFile;
use crate::encode::{Effort, FileWriter};
use crate::error::LakeError;
use crate::lake::{Inner, Lake};

/// How long joining rests for each millisecond of work while events come in.
const REST: Duration = Duration::from_millis(2);
/// Stores whose files are replaced by one commit.
const STORES_A_COMMIT: usize = 100;
/// Files that may wait to be joined before joining is more urgent than what comes in. Each takes some kilobytes of memory,
/// and every query looks at it.
const MOST_WAITING: usize = 8_000;

/// Files that should become one, the same for each of these stores.
#[derive(Clone, Debug)]
struct Job {
    stores: Vec<(StoreId, Vec<Arc<DataFile>>)>,
    cutoff: Option<EventTime>,
}

impl Lake {
    /// True while more files wait to be joined than can be joined beside what comes in. Who has time, as an import has,
    /// waits until it is over: the number of files, and the memory for them, stays bounded however much comes in.
    pub fn is_crowded(&self) -> bool {
        self.inner.is_crowded()
    }
}

impl Inner {
    fn is_crowded(&self) -> bool {
        let stores: Vec<_> = self.state.lock().stores.values().map(|store| store.files.clone()).collect();
        waiting(stores.iter().flat_map(|files| files.iter())) > MOST_WAITING
    }

    /// Joins files until nothing is left to join.
    pub(crate) async fn compact_all(self: &Arc<Self>) -> Result<(), LakeError> {
        let mut stores: Vec<_> = self.state.lock().stores.keys().copied().collect();
        while !stores.is_empty() {
            let jobs = self.jobs(&stores);
            // Only where something was joined can there be more.
            stores = jobs.iter().flat_map(|job| job.stores.iter().map(|(store, _)| *store)).collect();
            for job in jobs {
                self.compact(job).await?;
                // A round over many days takes long, and while events come in there is always more to join: what it
                // replaced, and key runs, must not pile up until its end. A failure shows again there.
                let _ = self.merge_runs().await.and(self.sweep().await);
            }
        }
        Ok(())
    }

    /// The next files to join of each of these stores, together for those whose files have the same content.
    fn jobs(&self, stores: &[StoreId]) -> Vec<Job> {
        let now = self.clock.now();
        let mut jobs: HashMap<(Vec<Uuid>, Option<EventTime>), Job> = HashMap::new();
        for store in stores {
            let (files, cutoff) = {
                let state = self.state.lock();
                let Some(found) = state.stores.get(store).filter(|found| !found.retention.dropped) else { continue };
                (found.files.clone(), found.retention.cutoff(now))
            };
            let Some(inputs) = choose(&files, now, &self.settings) else { continue };
            // What expires no row makes no difference between stores.
            let cutoff = cutoff.filter(|cutoff| inputs.iter().any(|input| input.times.0 < *cutoff));
            let mut contents: Vec<_> = inputs.iter().map(|input| input.content()).collect();
            contents.sort_unstable();
            let job = jobs.entry((contents, cutoff)).or_insert_with(|| Job { stores: Vec::new(), cutoff });
            job.stores.push((*store, inputs));
        }
        jobs.into_values().collect()
    }

    /// Joins the files of one job and commits.
    async fn compact(self: &Arc<Self>, job: Job) -> Result<(), LakeError> {
        let started = Instant::now();
        let Some((first, inputs)) = job.stores.first().cloned() else { return Ok(()) };
        let (count, before) = (inputs.len(), inputs.iter().map(|file| file.size).sum::<u64>());
        let (this, cutoff) = (self.clone(), job.cutoff);
        let merged = tokio::task::spawn_blocking(move || this.merge_files(first, &inputs, cutoff)).await;
        let merged = merged.unwrap_or(Err(LakeError::Closed))?;
        let (rows, bytes) = merged.as_ref().map_or((0, 0), |file| (file.rows, file.size));
        let others = job.stores.iter().skip(1).map(|(store, _)| *store);
        let files = merged.map(|file| file.shared_with(others)).unwrap_or_default();
        self.state.lock().in_flight.extend(files.iter().map(DataFile::path));
        if let Err(error) = self.make_durable(&files).await {
            self.state.lock().doom_unborn(files);
            return Err(error);
        }

        let stores = job.stores.len();
        let mut added = files.into_iter();
        let mut rewritten = job.stores.iter().map(|(store, inputs)| Rewritten {
            store: *store,
            removed: inputs.iter().map(|file| file.id).collect(),
            added: added.next(),
        });
        let mut outcome = Ok(());
        loop {
            let some: Vec<_> = rewritten.by_ref().take(STORES_A_COMMIT).collect();
            if some.is_empty() {
                break;
            }
            // Each is tried: what is not committed is given up there.
            outcome = outcome.and(self.commit(Change::Compact { of: some }).await);
        }
        outcome?;
        let elapsed = started.elapsed();
        histogram!("towpath_lake_compact_seconds").record(elapsed.as_secs_f64());
        counter!("towpath_lake_compacted_bytes_total").increment(before);
        let elapsed_ms = elapsed.as_millis() as u64;
        info!(store = %first, stores, files = count, rows, bytes, before, elapsed_ms, "compacted");
        Ok(())
    }

    async fn make_durable(&self, files: &[DataFile]) -> Result<(), LakeError> {
        let Some(first) = files.first() else { return Ok(()) };
        self.objects.sync(&first.path()).await?;
        self.copy_to_others(files).await
    }

    /// Writes the merged file; `None` when every row has expired. Not for async threads.
    fn merge_files(
        &self,
        store: StoreId,
        inputs: &[Arc<DataFile>],
        cutoff: Option<EventTime>,
    ) -> Result<Option<DataFile>, LakeError> {
        let first = inputs.first().ok_or(LakeError::Closed)?;
        let level = inputs.iter().map(|file| file.level).max().unwrap_or(0).saturating_add(1);
        let bad = |cause| LakeError::Parquet { doing: "encode", path: format!("{store} day {}", first.day), cause };
        let rows = inputs.iter().map(|file| file.rows).sum();
        let of = (store, first.kind, first.day);
        let mut writer = FileWriter::new(of, rows, level, Effort::Lasting, self.clock.now()).map_err(bad)?;
        let path = writer.file().path();
        let crowded = self.is_crowded();
        self.state.lock().in_flight.insert(path.clone());
        let written = (|| {
            let mut upload = Upload::start(self, &path)?;
            let mut merge = Merge::open(self, inputs)?;
            while let Some(batch) = merge.next(cutoff)? {
                if self.stopping.load(Ordering::Relaxed) {
                    upload.abort();
                    return Err(LakeError::Closed);
                }
                let started = Instant::now();
                writer.write(&batch).map_err(bad)?;
                upload.write(writer.take())?;
                if !crowded {
                    self.give_way(started);
                }
            }
            if writer.file().rows == 0 {
                upload.abort();
                return Ok(None);
            }
            let (file, rest) = writer.finish().map_err(bad)?;
            upload.write(rest)?;
            upload.complete()?;
            Ok(Some(file))
        })();
        if !matches!(written, Ok(Some(_))) {
            self.state.lock().doom_path(path);
        }
        written
    }

    /// Leaves the processor to ingestion while events come in. Not for async threads.
    fn give_way(&self, started: Instant) {
        let busy = self.state.lock().hot_bytes > self.settings.hot_bytes / 8;
        if busy && !self.stopping.load(Ordering::Relaxed) {
            std::thread::sleep(REST * started.elapsed().as_millis().min(1000) as u32);
        }
    }
}
