//! Few large files instead of many small ones.
//!
//! The files of a store's day are joined when several of similar size have gathered, or when the day has been quiet for
//! a while. Rows are merged in order, a few thousand in memory at a time, and written with lasting effort; expired rows
//! are left out. One commit puts the new file in the place of the old ones, which go once no snapshot holds them.
//!
//! While more comes in than is joined, joining takes its share of the processors: two joins run at a time, without rest,
//! and small files are compressed no harder than those from the hot tail, because they will be joined again.
//!
//! Stores that have the same files have them joined once, and get the new file under a name of their own.

mod choose;
mod merge;
mod upload;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures::StreamExt;
use metrics::{counter, histogram};
use tracing::info;
use uuid::Uuid;

use towpath_model::{EventTime, StoreId};

use self::choose::{Choice, choose, waiting};
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
/// In a hurry: joins at a time, and days of a store that are joined before it is looked again what is most worthwhile.
const HURRIED_JOINS: usize = 2;
const HURRIED_DAYS: usize = 8;

/// How urgent joining is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    /// What comes in has precedence.
    Calm,
    /// More comes in than is joined.
    Hurried,
}

impl Pace {
    fn joins(self) -> usize {
        if self == Self::Hurried { HURRIED_JOINS } else { 1 }
    }

    fn days(self) -> usize {
        if self == Self::Hurried { HURRIED_DAYS } else { 1 }
    }
}

/// Files that should become one, the same for each of these stores.
#[derive(Clone, Debug)]
struct Job {
    stores: Vec<(StoreId, Vec<Arc<DataFile>>)>,
    cutoff: Option<EventTime>,
    effort: Effort,
    pace: Pace,
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
        self.waiting() > self.settings.most_waiting
    }

    /// How many files wait to be joined.
    fn waiting(&self) -> usize {
        let stores: Vec<_> = self.state.lock().stores.values().map(|store| store.files.clone()).collect();
        waiting(stores.iter().flat_map(|files| files.iter()))
    }

    fn pace(&self) -> Pace {
        // Early enough that nobody has to wait, and late enough that many files of a day are joined at once.
        let hurried = self.waiting() > self.settings.most_waiting / 2;
        if hurried { Pace::Hurried } else { Pace::Calm }
    }

    /// Joins files until nothing is left to join.
    pub(crate) async fn compact_all(self: &Arc<Self>) -> Result<(), LakeError> {
        let mut stores: Vec<_> = self.state.lock().stores.keys().copied().collect();
        while !stores.is_empty() {
            let pace = self.pace();
            let mut jobs = self.jobs(&stores, pace);
            // Only where something was joined can there be more.
            stores = jobs.iter().flat_map(|job| job.stores.iter().map(|(store, _)| *store)).collect();
            stores.sort_unstable();
            stores.dedup();
            while !jobs.is_empty() {
                let some: Vec<_> = jobs.drain(..jobs.len().min(pace.days())).map(|job| self.compact(job)).collect();
                // All are waited for: what is being written must not come after it was given up.
                let done: Vec<Result<(), _>> =
                    futures::stream::iter(some).buffer_unordered(pace.joins()).collect().await;
                done.into_iter().collect::<Result<(), _>>()?;
                // A round over many days takes long, and while events come in there is always more to join: what it
                // replaced, and key runs, must not pile up until its end. A failure shows again there.
                let _ = self.merge_runs().await.and(self.sweep().await);
            }
        }
        Ok(())
    }

    /// The next files to join of each of these stores, together for those whose files have the same content.
    fn jobs(&self, stores: &[StoreId], pace: Pace) -> Vec<Job> {
        let now = self.clock.now();
        let mut jobs: HashMap<(Vec<Uuid>, Option<EventTime>), Job> = HashMap::new();
        for store in stores {
            let (files, cutoff) = {
                let state = self.state.lock();
                let Some(found) = state.stores.get(store).filter(|found| !found.retention.dropped) else { continue };
                (found.files.clone(), found.retention.cutoff(now))
            };
            for Choice { inputs, again } in choose(&files, now, &self.settings, pace.days()) {
                // What expires no row makes no difference between stores.
                let cutoff = cutoff.filter(|cutoff| inputs.iter().any(|input| input.times.0 < *cutoff));
                let mut contents: Vec<_> = inputs.iter().map(|input| input.content()).collect();
                contents.sort_unstable();
                let effort = if again && pace == Pace::Hurried { Effort::Quick } else { Effort::Lasting };
                let new = || Job { stores: Vec::new(), cutoff, effort, pace };
                jobs.entry((contents, cutoff)).or_insert_with(new).stores.push((*store, inputs));
            }
        }
        jobs.into_values().collect()
    }

    /// Joins the files of one job and commits.
    async fn compact(self: &Arc<Self>, job: Job) -> Result<(), LakeError> {
        let started = Instant::now();
        let Some((first, inputs)) = job.stores.first().cloned() else { return Ok(()) };
        let (count, before) = (inputs.len(), inputs.iter().map(|file| file.size).sum::<u64>());
        let (this, of) = (self.clone(), (job.cutoff, job.effort, job.pace));
        let merged = tokio::task::spawn_blocking(move || this.merge_files(first, &inputs, of)).await;
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
        (cutoff, effort, pace): (Option<EventTime>, Effort, Pace),
    ) -> Result<Option<DataFile>, LakeError> {
        let first = inputs.first().ok_or(LakeError::Closed)?;
        let level = match effort {
            Effort::Quick => 0,
            Effort::Lasting => inputs.iter().map(|file| file.level).max().unwrap_or(0).saturating_add(1),
        };
        let bad = |cause| LakeError::Parquet { doing: "encode", path: format!("{store} day {}", first.day), cause };
        let rows = inputs.iter().map(|file| file.rows).sum();
        let of = (store, first.kind, first.day);
        let mut writer = FileWriter::new(of, rows, level, effort, self.clock.now()).map_err(bad)?;
        let path = writer.file().path();
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
                if pace == Pace::Calm {
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
