//! Few large files instead of many small ones.
//!
//! The files of a store's day are joined when several of similar size have gathered, or when the day has been quiet for
//! a while. Rows are merged in order, a few thousand in memory at a time, and written with lasting effort; expired rows
//! are left out. One commit puts the new file in the place of the old ones, which go once no snapshot holds them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::compute::interleave_record_batch;
use metrics::{counter, histogram};
use object_store::MultipartUpload;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use parquet::errors::ParquetError;
use tokio::runtime::Handle;
use tracing::info;

use towpath_model::{EventTime, StoreId};

use crate::commit::Change;
use crate::datafile::DataFile;
use crate::encode::{Effort, FileWriter, positions, times};
use crate::error::LakeError;
use crate::lake::Inner;
use crate::read;
use crate::settings::LakeSettings;

/// Files of similar size that are joined at once.
const TIER_FILES: usize = 4;
/// Ratio of sizes within a tier.
const TIER: u64 = 4;
/// The smallest tier ends here.
const FIRST_TIER_BYTES: u64 = 1 << 20;
/// Rows merged at once.
const STEP_ROWS: usize = 2048;
/// Bytes of text that each input holds in memory.
const INPUT_BYTES: u64 = 2 << 20;
/// Bytes per part of an upload.
const PART_BYTES: usize = 8 << 20;
/// How long joining rests for each millisecond of work while events come in.
const REST: Duration = Duration::from_millis(2);
/// A file this many times as large as all smaller ones of its day is not rewritten for them.
const LATE_RATIO: u64 = 8;
/// A file from the hot tail with this many rows is rewritten even alone, for its filters and smaller size.
const ALONE_ROWS: u64 = 20_000;

/// Files that should become one.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub store: StoreId,
    pub inputs: Vec<Arc<DataFile>>,
    pub cutoff: Option<EventTime>,
}

/// Chooses which of a store's files to join next, one day's at most. Files of more than the target size stay.
pub(crate) fn choose(
    files: &[Arc<DataFile>],
    now: jiff::Timestamp,
    settings: &LakeSettings,
) -> Option<Vec<Arc<DataFile>>> {
    let mut days: BTreeMap<i32, Vec<&Arc<DataFile>>> = BTreeMap::new();
    for file in files {
        if file.size < settings.file_bytes && file.raw_bytes < settings.file_raw_bytes {
            days.entry(file.day).or_default().push(file);
        }
    }
    days.into_values().find_map(|day| choose_of_day(day, now, settings))
}

fn choose_of_day(
    mut files: Vec<&Arc<DataFile>>,
    now: jiff::Timestamp,
    settings: &LakeSettings,
) -> Option<Vec<Arc<DataFile>>> {
    files.sort_by_key(|file| (file.size, file.id));
    let newest = files.iter().map(|file| file.created).max()?;
    let settled = now.duration_since(newest).unsigned_abs() >= settings.settle();
    let tier = |file: &DataFile| (file.size / FIRST_TIER_BYTES).max(1).ilog(TIER);

    // The smallest files up to and with the first tier that is full. Of a settled day all, but for those so large that
    // rewriting them for the little that came late is not worth it.
    let mut count = if settled { files.len() } else { 0 };
    if settled {
        while count > 1 && files[count - 1].size > LATE_RATIO * sizes(&files[..count - 1]) {
            count -= 1;
        }
    } else {
        for at in 0..files.len() {
            let same = files.iter().filter(|file| tier(file) == tier(files[at])).count();
            if same >= TIER_FILES {
                count = files.iter().filter(|file| tier(file) <= tier(files[at])).count();
                break;
            }
        }
    }
    let (mut size, mut raw) = (0, 0);
    let chosen: Vec<_> = files[..count]
        .iter()
        .take(settings.compact_files)
        .take_while(|file| {
            size += file.size;
            raw += file.raw_bytes;
            size <= 2 * settings.file_bytes && raw <= settings.file_raw_bytes
        })
        .map(|file| Arc::clone(file))
        .collect();
    let worthwhile = match chosen.as_slice() {
        [] => false,
        [alone] => settled && alone.level == 0 && alone.rows >= ALONE_ROWS,
        _ => true,
    };
    worthwhile.then_some(chosen)
}

fn sizes(files: &[&Arc<DataFile>]) -> u64 {
    files.iter().map(|file| file.size).sum()
}

impl Inner {
    /// Joins the files of one job and commits.
    pub(crate) async fn compact(self: &Arc<Self>, job: Job) -> Result<(), LakeError> {
        let started = Instant::now();
        let (store, inputs) = (job.store, job.inputs.len());
        let removed: Vec<_> = job.inputs.iter().map(|file| file.id).collect();
        let before: u64 = job.inputs.iter().map(|file| file.size).sum();
        let this = self.clone();
        let merged = tokio::task::spawn_blocking(move || this.merge_files(job)).await;
        let added = merged.unwrap_or(Err(LakeError::Closed))?;
        if let Some(file) = &added
            && let Err(error) = self.objects.sync(&file.path()).await
        {
            self.state.lock().doom_path(file.path());
            return Err(error);
        }
        let (rows, bytes) = added.as_ref().map_or((0, 0), |file| (file.rows, file.size));
        self.commit(Change::Compact { store, removed, added }).await?;
        let elapsed = started.elapsed();
        histogram!("towpath_lake_compact_seconds").record(elapsed.as_secs_f64());
        counter!("towpath_lake_compacted_bytes_total").increment(before);
        info!(store = %store, files = inputs, rows, bytes, before, elapsed_ms = elapsed.as_millis() as u64, "compacted");
        Ok(())
    }

    /// Writes the merged file; `None` when every row has expired. Not for async threads.
    fn merge_files(&self, job: Job) -> Result<Option<DataFile>, LakeError> {
        let first = job.inputs.first().ok_or(LakeError::Closed)?;
        let level = job.inputs.iter().map(|file| file.level).max().unwrap_or(0).saturating_add(1);
        let bad =
            |cause| LakeError::Parquet { doing: "encode", path: format!("{} day {}", job.store, first.day), cause };
        let of = (job.store, first.kind, first.day);
        let rows = job.inputs.iter().map(|file| file.rows).sum();
        let mut writer = FileWriter::new(of, rows, level, Effort::Lasting, self.clock.now()).map_err(bad)?;
        let path = writer.file().path();
        self.state.lock().in_flight.insert(path.clone());
        let inputs = job.inputs.len();
        let written = (|| {
            let mut upload = Upload::start(self, &path)?;
            let mut merge = Merge::open(self, &job.inputs)?;
            while let Some(batch) = merge.next(job.cutoff)? {
                if self.stopping.load(Ordering::Relaxed) {
                    upload.abort();
                    return Err(LakeError::Closed);
                }
                let started = Instant::now();
                writer.write(&batch).map_err(bad)?;
                upload.write(writer.take())?;
                self.give_way(started, inputs);
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

    /// Leaves the processor to ingestion while events come in, unless so many files have gathered that a job is full: their
    /// number stays bounded under load without end. Not for async threads.
    fn give_way(&self, started: Instant, inputs: usize) {
        let busy = self.state.lock().hot_bytes > self.settings.hot_bytes / 8;
        if busy && inputs < self.settings.compact_files && !self.stopping.load(Ordering::Relaxed) {
            std::thread::sleep(REST * started.elapsed().as_millis().min(1000) as u32);
        }
    }
}

/// Writes an object part by part from a thread that may block.
struct Upload<'a> {
    inner: &'a Inner,
    path: object_store::path::Path,
    upload: Box<dyn MultipartUpload>,
    buffer: Vec<u8>,
}

impl<'a> Upload<'a> {
    fn start(inner: &'a Inner, path: &object_store::path::Path) -> Result<Self, LakeError> {
        let upload = Handle::current().block_on(inner.objects.upload(path))?;
        Ok(Self { inner, path: path.clone(), upload, buffer: Vec::new() })
    }

    fn failed(&self, cause: object_store::Error) -> LakeError {
        LakeError::Object { doing: "write", path: self.path.to_string(), cause }
    }

    fn write(&mut self, bytes: Vec<u8>) -> Result<(), LakeError> {
        if self.buffer.is_empty() {
            self.buffer = bytes;
        } else {
            self.buffer.extend(bytes);
        }
        if self.buffer.len() >= PART_BYTES { self.send() } else { Ok(()) }
    }

    fn send(&mut self) -> Result<(), LakeError> {
        let part = std::mem::take(&mut self.buffer);
        Handle::current().block_on(self.upload.put_part(part.into())).map_err(|cause| self.failed(cause))
    }

    fn complete(&mut self) -> Result<(), LakeError> {
        if !self.buffer.is_empty() {
            self.send()?;
        }
        Handle::current().block_on(self.upload.complete()).map(drop).map_err(|cause| self.failed(cause))
    }

    /// Gives up the upload; what is left of it is collected as an orphan.
    fn abort(&mut self) {
        let aborted = Handle::current().block_on(self.upload.abort());
        if let Err(error) = aborted {
            tracing::debug!(%error, path = %self.path, store = ?self.inner.objects.store(), "upload is not aborted");
        }
    }
}

/// One input of a merge: where it stands.
struct Input {
    file: Arc<DataFile>,
    reader: ParquetRecordBatchReader,
    batch: RecordBatch,
    row: usize,
    // Index of `batch` among the batches that the next output is made from.
    at: usize,
}

/// Merges files that are each in order.
struct Merge {
    inputs: Vec<Input>,
    // Time, position and input of each input's next row.
    heads: BinaryHeap<Reverse<(i64, u64, usize)>>,
}

impl Merge {
    fn open(inner: &Inner, files: &[Arc<DataFile>]) -> Result<Self, LakeError> {
        let mut inputs = Vec::with_capacity(files.len());
        let mut heads = BinaryHeap::new();
        for file in files {
            let row_bytes = (file.raw_bytes / file.rows.max(1)).max(1);
            let rows = (INPUT_BYTES / row_bytes).clamp(16, STEP_ROWS as u64) as usize;
            let mut reader = read::rows(&inner.objects, file, None, rows)?;
            let Some(batch) = next_batch(&mut reader, file)? else { continue };
            heads.push(Reverse((times(&batch)[0], positions(&batch)[0], inputs.len())));
            inputs.push(Input { file: file.clone(), reader, batch, row: 0, at: 0 });
        }
        Ok(Self { inputs, heads })
    }

    /// The next rows in order, without those before `cutoff`; `None` at the end.
    fn next(&mut self, cutoff: Option<EventTime>) -> Result<Option<RecordBatch>, LakeError> {
        let cutoff = cutoff.map_or(i64::MIN, EventTime::as_millis);
        let mut batches = Vec::with_capacity(self.inputs.len());
        for input in &mut self.inputs {
            input.at = batches.len();
            batches.push(input.batch.clone());
        }
        let mut places = Vec::with_capacity(STEP_ROWS);
        while places.len() < STEP_ROWS {
            let Some(Reverse((time, _, at))) = self.heads.pop() else { break };
            let input = &mut self.inputs[at];
            if time >= cutoff {
                places.push((input.at, input.row));
            }
            input.row += 1;
            if input.row == input.batch.num_rows() {
                let Some(batch) = next_batch(&mut input.reader, &input.file)? else { continue };
                input.batch = batch;
                input.row = 0;
                input.at = batches.len();
                batches.push(input.batch.clone());
            }
            self.heads.push(Reverse((times(&input.batch)[input.row], positions(&input.batch)[input.row], at)));
        }
        if places.is_empty() {
            return Ok(None);
        }
        let batches: Vec<_> = batches.iter().collect();
        let merged = interleave_record_batch(&batches, &places).map_err(|error| LakeError::Parquet {
            doing: "merge",
            path: self.inputs[0].file.path().to_string(),
            cause: ParquetError::ArrowError(error.to_string()),
        })?;
        Ok(Some(merged))
    }
}

fn next_batch(reader: &mut ParquetRecordBatchReader, file: &DataFile) -> Result<Option<RecordBatch>, LakeError> {
    loop {
        match reader.next() {
            None => return Ok(None),
            Some(Ok(batch)) if batch.num_rows() == 0 => {}
            Some(Ok(batch)) => return Ok(Some(batch)),
            Some(Err(cause)) => return Err(read::arrow_failed(file, cause)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use jiff::Timestamp;
    use towpath_model::{Position, StoreKind};
    use uuid::Uuid;

    use super::*;

    const MIB: u64 = 1 << 20;

    fn file(day: i32, size: u64, created: i64) -> Arc<DataFile> {
        let time = EventTime::from_millis(i64::from(day) * 86_400_000).unwrap();
        Arc::new(DataFile {
            id: Uuid::new_v4(),
            store: StoreId::from_uuid(Uuid::nil()),
            kind: StoreKind::CloudTrail,
            day,
            size,
            rows: size / 300 + 1,
            raw_bytes: size * 5,
            positions: (Position::ZERO, Position::ZERO),
            times: (time, time),
            level: 1,
            created: Timestamp::from_second(created).unwrap(),
            columns: Default::default(),
            filters: Default::default(),
        })
    }

    fn chosen(files: &[Arc<DataFile>], now: i64) -> Vec<u64> {
        let now = Timestamp::from_second(now).unwrap();
        choose(files, now, &LakeSettings::default()).unwrap_or_default().iter().map(|file| file.size).collect()
    }

    #[test]
    fn a_busy_day_is_joined_when_a_tier_is_full() {
        let mut files = vec![file(0, 40 * MIB, 0), file(0, 9, 0), file(0, 8, 0), file(0, 7, 0)];
        assert_eq!(chosen(&files, 1), [0u64; 0]);
        files.push(file(0, 6, 0));
        assert_eq!(chosen(&files, 1), [6, 7, 8, 9]);
        files.push(file(1, 5, 0));
        assert_eq!(chosen(&files, 1), [6, 7, 8, 9]);
    }

    #[test]
    fn a_quiet_day_is_joined_to_one_file_but_a_large_one_is_not_rewritten_for_a_trifle() {
        assert_eq!(chosen(&[file(0, 30 * MIB, 0), file(0, 20 * MIB, 0)], 10_000), [20 * MIB, 30 * MIB]);
        assert_eq!(chosen(&[file(0, 100 * MIB, 0), file(0, MIB, 0)], 10_000), [0u64; 0]);
        assert_eq!(chosen(&[file(0, 100 * MIB, 0), file(0, MIB, 0), file(0, 2 * MIB, 0)], 10_000), [MIB, 2 * MIB]);
        assert_eq!(chosen(&[file(0, 30 * MIB, 0)], 10_000), [0u64; 0]);
    }

    proptest! {
        #[test]
        fn joining_comes_to_an_end_and_never_mixes_days_or_exceeds_the_limits(
            sizes in prop::collection::vec((0..3i32, 1u64..200 * MIB), 0..60)
        ) {
            let settings = LakeSettings::default();
            let now = Timestamp::from_second(10_000).unwrap();
            let mut files: Vec<_> = sizes.into_iter().map(|(day, size)| file(day, size, 0)).collect();
            let mut rounds = 0;
            while let Some(inputs) = choose(&files, now, &settings) {
                prop_assert!(inputs.iter().all(|input| input.day == inputs[0].day));
                prop_assert!(inputs.len() <= settings.compact_files && inputs.len() > 1);
                let size: u64 = inputs.iter().map(|input| input.size).sum();
                prop_assert!(size <= 2 * settings.file_bytes);
                prop_assert!(inputs.iter().map(|input| input.raw_bytes).sum::<u64>() <= settings.file_raw_bytes);
                files.retain(|file| !inputs.iter().any(|input| input.id == file.id));
                files.push(file(inputs[0].day, size, 0));
                rounds += 1;
                prop_assert!(rounds < 100);
            }
        }
    }
}
