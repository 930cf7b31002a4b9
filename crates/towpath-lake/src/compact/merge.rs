//! The rows of several files in one order, a few thousand in memory at a time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::interleave_record_batch;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use parquet::errors::ParquetError;

use towpath_model::EventTime;

use crate::datafile::DataFile;
use crate::encode::{positions, times};
use crate::error::LakeError;
use crate::lake::Inner;
use crate::read;

/// Rows merged at once.
const STEP_ROWS: usize = 2048;
/// Bytes of text that each input holds in memory.
const INPUT_BYTES: u64 = 2 << 20;

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
pub(super) struct Merge {
    inputs: Vec<Input>,
    // Time, position and input of each input's next row.
    heads: BinaryHeap<Reverse<(i64, u64, usize)>>,
}

impl Merge {
    pub fn open(inner: &Inner, files: &[Arc<DataFile>]) -> Result<Self, LakeError> {
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
    pub fn next(&mut self, cutoff: Option<EventTime>) -> Result<Option<RecordBatch>, LakeError> {
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
