//! A hot tail: rows of one kind that are in no file yet, the same for one or more stores.
//!
//! Rows gather as they come and are converted once, a chunk at a time, by whoever needs the chunk first: the background
//! converter, a snapshot or a flush. Snapshots cut a chunk short; short neighbours are joined again, so that many
//! queries do not leave the tail in crumbs.

use std::sync::{Arc, OnceLock};

use arrow::array::{Array, RecordBatch, RecordBatchOptions};
use arrow::compute::concat_batches;
use arrow::error::ArrowError;
use parking_lot::Mutex;

use towpath_model::{EventTime, StoreKind};

use crate::batch::{Row, batch_of};
use crate::schema::file_schema;

/// A chunk is full with this many rows or bytes of text.
pub(crate) const CHUNK_ROWS: usize = 4096;
pub(crate) const CHUNK_BYTES: usize = 4 << 20;
/// What a row takes besides its text.
const ROW_OVERHEAD: usize = 96;

/// Rows that become one record batch.
#[derive(Debug)]
pub(crate) struct Chunk {
    kind: StoreKind,
    rows: usize,
    bytes: usize,
    times: (EventTime, EventTime),
    // Taken by the conversion.
    source: Mutex<Option<Source>>,
    batch: OnceLock<Result<RecordBatch, Arc<ArrowError>>>,
}

#[derive(Debug)]
enum Source {
    Rows(Vec<Row>),
    Chunks(Vec<Arc<Chunk>>),
}

impl Chunk {
    fn of_rows(kind: StoreKind, rows: Vec<Row>, bytes: usize) -> Self {
        let times = span(rows.iter().map(|row| (row.time, row.time))).expect("a chunk has rows");
        let (count, source) = (rows.len(), Mutex::new(Some(Source::Rows(rows))));
        Self { kind, rows: count, bytes, times, source, batch: OnceLock::new() }
    }

    fn joined(kind: StoreKind, chunks: Vec<Arc<Chunk>>) -> Self {
        let rows = chunks.iter().map(|chunk| chunk.rows).sum();
        let bytes = chunks.iter().map(|chunk| chunk.bytes).sum();
        let times = span(chunks.iter().map(|chunk| chunk.times)).expect("chunks are joined two at least");
        Self { kind, rows, bytes, times, source: Mutex::new(Some(Source::Chunks(chunks))), batch: OnceLock::new() }
    }

    /// The kind of its rows.
    pub fn kind(&self) -> StoreKind {
        self.kind
    }

    /// The batch; converts on the first call. Takes milliseconds then: not for async threads.
    pub fn batch(&self) -> Result<RecordBatch, Arc<ArrowError>> {
        self.batch.get_or_init(|| self.convert().map_err(Arc::new)).clone()
    }

    fn convert(&self) -> Result<RecordBatch, ArrowError> {
        let source = self.source.lock().take();
        match source {
            Some(Source::Rows(rows)) => batch_of(self.kind, &rows).and_then(compact),
            Some(Source::Chunks(chunks)) => {
                let batches: Result<Vec<_>, _> = chunks.iter().map(|chunk| chunk.batch()).collect();
                let batches = batches.map_err(|error| ArrowError::ExternalError(Box::new(error)))?;
                concat_batches(&file_schema(self.kind), &batches)
            }
            None => Err(ArrowError::ComputeError("a chunk is converted once".to_owned())),
        }
    }
}

/// Gives back what the builders of the columns took in advance, which may be as much as the columns themselves: a batch
/// stays in memory until the next flush is over.
fn compact(batch: RecordBatch) -> Result<RecordBatch, ArrowError> {
    let (schema, mut columns, rows) = batch.into_parts();
    columns.iter_mut().for_each(|column| column.shrink_to_fit());
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema, columns, &options)
}

fn span(times: impl Iterator<Item = (EventTime, EventTime)>) -> Option<(EventTime, EventTime)> {
    times.reduce(|(min, max), (first, last)| (min.min(first), max.max(last)))
}

/// Figures of hot rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    pub rows: usize,
    /// Bytes that they count for in memory.
    pub bytes: usize,
    /// Earliest and latest `eventtime`.
    pub times: Option<(EventTime, EventTime)>,
}

impl Figures {
    /// Both together.
    pub fn with(self, other: Self) -> Self {
        let times = span(self.times.into_iter().chain(other.times));
        Self { rows: self.rows + other.rows, bytes: self.bytes + other.bytes, times }
    }

    /// Bytes of their texts.
    pub fn raw_bytes(&self) -> usize {
        self.bytes - self.rows * ROW_OVERHEAD
    }
}

/// Hot rows in order of position.
#[derive(Debug)]
pub(crate) struct HotTail {
    kind: StoreKind,
    pending: Vec<Row>,
    pending_bytes: usize,
    chunks: Vec<Arc<Chunk>>,
    // The first chunks, which a flush is writing.
    sealed: usize,
}

impl HotTail {
    /// An empty tail.
    pub fn new(kind: StoreKind) -> Self {
        Self { kind, pending: Vec::new(), pending_bytes: 0, chunks: Vec::new(), sealed: 0 }
    }

    /// Adds a row; returns the bytes it counts for, and a chunk if one is full now.
    pub fn push(&mut self, row: Row) -> (usize, Option<Arc<Chunk>>) {
        let bytes = row.json.len() + ROW_OVERHEAD;
        self.pending.push(row);
        self.pending_bytes += bytes;
        let full = self.pending.len() >= CHUNK_ROWS || self.pending_bytes >= CHUNK_BYTES;
        (bytes, if full { self.cut() } else { None })
    }

    fn cut(&mut self) -> Option<Arc<Chunk>> {
        if self.pending.is_empty() {
            return None;
        }
        let rows = std::mem::take(&mut self.pending);
        let chunk = Arc::new(Chunk::of_rows(self.kind, rows, std::mem::take(&mut self.pending_bytes)));
        self.chunks.push(chunk.clone());
        Some(chunk)
    }

    /// The chunks that hold every row.
    pub fn all(&mut self) -> Vec<Arc<Chunk>> {
        if self.cut().is_some() {
            self.join_short();
        }
        self.chunks.clone()
    }

    /// Joins the newest chunks while the older of two is not much larger than the newer.
    fn join_short(&mut self) {
        let mut from = self.chunks.len() - 1;
        let mut rows = self.chunks[from].rows;
        let mut bytes = self.chunks[from].bytes;
        while from > self.sealed {
            let before = &self.chunks[from - 1];
            if before.rows > 2 * rows || before.rows + rows > CHUNK_ROWS || before.bytes + bytes > CHUNK_BYTES {
                break;
            }
            rows += before.rows;
            bytes += before.bytes;
            from -= 1;
        }
        if from + 1 < self.chunks.len() {
            let short = self.chunks.split_off(from);
            self.chunks.push(Arc::new(Chunk::joined(self.kind, short)));
        }
    }

    /// Marks every row as being written and returns the chunks that hold them.
    pub fn seal(&mut self) -> Vec<Arc<Chunk>> {
        self.cut();
        self.sealed = self.chunks.len();
        self.chunks.clone()
    }

    /// The sealed rows are in files: drops them and returns the bytes they counted for.
    pub fn drop_sealed(&mut self) -> usize {
        self.chunks.drain(..std::mem::take(&mut self.sealed)).map(|chunk| chunk.bytes).sum()
    }

    /// The sealed rows were not written after all.
    pub fn unseal(&mut self) {
        self.sealed = 0;
    }

    /// Figures of all rows.
    pub fn figures(&self) -> Figures {
        let chunks = self.chunks.iter().map(|chunk| chunk.times);
        let pending = self.pending.iter().map(|row| (row.time, row.time));
        Figures {
            rows: self.chunks.iter().map(|chunk| chunk.rows).sum::<usize>() + self.pending.len(),
            bytes: self.chunks.iter().map(|chunk| chunk.bytes).sum::<usize>() + self.pending_bytes,
            times: span(chunks.chain(pending)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::encode::positions;
    use crate::testing::row_of;

    #[derive(Clone, Debug)]
    enum Step {
        Push(usize),
        Snapshot,
        Seal,
        Drop,
        Unseal,
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn every_row_is_in_one_chunk_in_order(steps in prop::collection::vec(prop_oneof![
            4 => (1usize..30).prop_map(Step::Push), 3 => Just(Step::Snapshot), 1 => Just(Step::Seal),
            1 => Just(Step::Drop), 1 => Just(Step::Unseal)], 0..40)) {
            let mut hot = HotTail::new(StoreKind::CloudTrail);
            let (mut next, mut from, mut sealed, mut bytes) = (0u64, 0u64, 0u64, 0usize);
            for step in steps {
                match step {
                    Step::Push(count) => for _ in 0..count {
                        bytes += hot.push(row_of(next, "{}".into())).0;
                        next += 1;
                    },
                    Step::Snapshot => {
                        let batches: Vec<_> = hot.all().iter().map(|chunk| chunk.batch().unwrap()).collect();
                        let seen: Vec<_> = batches.iter().flat_map(|batch| positions(batch).to_vec()).collect();
                        prop_assert_eq!(seen, (from..next).collect::<Vec<_>>());
                    }
                    Step::Seal => { hot.seal(); sealed = next; }
                    Step::Drop => { bytes -= hot.drop_sealed(); from = from.max(sealed); sealed = 0; }
                    Step::Unseal => { hot.unseal(); sealed = 0; }
                }
                let figures = hot.figures();
                prop_assert_eq!((figures.rows, figures.bytes), ((next - from) as usize, bytes));
            }
        }

        #[test]
        fn many_snapshots_leave_few_chunks(count in 1usize..1500) {
            let mut hot = HotTail::new(StoreKind::Activity);
            for at in 0..count {
                hot.push(row_of(at as u64, "{}".into()));
                hot.all();
            }
            prop_assert!(hot.all().len() <= 2 + count.ilog2() as usize, "{} chunks", hot.all().len());
        }
    }
}
