//! Reading data files back: for compaction, for the key index, and for single rows.

use std::io::{self, Read};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use arrow::error::ArrowError;
use bytes::Bytes;
use jiff::Timestamp;
use object_store::path::Path;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::PageIndexPolicy;
use parquet::file::reader::{ChunkReader, Length};

use towpath_model::{EventKey, EventTime, StoreKind};

use crate::datafile::DataFile;
use crate::encode::times;
use crate::error::LakeError;
use crate::keys::Entry;
use crate::objects::{BlockReader, Objects};
use crate::record::{record_columns, records};
use crate::schema::{ADMITTED, EVENT_JSON, EVENT_TIME, KEY};

/// Bytes read at once where a reader asks for a stream.
const STREAM_BYTES: usize = 64 << 10;

/// A data file as the Parquet reader wants it. Reads block: not for async threads.
#[derive(Clone, Debug)]
pub struct FileBytes {
    reader: BlockReader,
    size: u64,
}

impl FileBytes {
    /// Opens the object at `path` of `size` bytes.
    pub fn open(objects: &Objects, path: &Path, size: u64) -> Result<Self, LakeError> {
        Ok(Self { reader: objects.reader(path)?, size })
    }
}

impl Length for FileBytes {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for FileBytes {
    type T = Stream;

    fn get_read(&self, start: u64) -> Result<Stream, ParquetError> {
        Ok(Stream { source: self.clone(), at: start, buffer: Bytes::new() })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        if start.checked_add(length as u64).is_none_or(|end| end > self.size) {
            return Err(ParquetError::EOF(format!("{length} bytes at {start} of {}", self.size)));
        }
        self.reader.read(start, length).map_err(|error| ParquetError::External(Box::new(error)))
    }
}

/// Bytes of a file from some place on.
pub struct Stream {
    source: FileBytes,
    at: u64,
    buffer: Bytes,
}

impl Read for Stream {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.buffer.is_empty() {
            let left = self.source.size.saturating_sub(self.at).min(STREAM_BYTES as u64) as usize;
            if left == 0 {
                return Ok(0);
            }
            self.buffer = self.source.reader.read(self.at, left).map_err(io::Error::other)?;
            self.at += left as u64;
        }
        let length = out.len().min(self.buffer.len());
        out[..length].copy_from_slice(&self.buffer.split_to(length));
        Ok(length)
    }
}

/// The rows of a file in order, all columns or those named, `batch_rows` at a time. Not for async threads.
pub(crate) fn rows(
    objects: &Objects,
    file: &DataFile,
    columns: Option<&[&str]>,
    batch_rows: usize,
) -> Result<ParquetRecordBatchReader, LakeError> {
    let source = FileBytes::open(objects, &file.path(), file.size)?;
    let open = || {
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
        let metadata = ArrowReaderMetadata::load(&source, options)?;
        let mask = columns.map(|columns| {
            let schema = metadata.parquet_schema();
            let all = metadata.schema().fields();
            let wanted = columns.iter().filter_map(|name| all.iter().position(|field| field.name() == name));
            ProjectionMask::roots(schema, wanted)
        });
        let mut builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(source, metadata).with_batch_size(batch_rows);
        if let Some(mask) = mask {
            builder = builder.with_projection(mask);
        }
        builder.build()
    };
    open().map_err(|cause| failed(file, cause))
}

pub(crate) fn failed(file: &DataFile, cause: ParquetError) -> LakeError {
    // A failing object store is told from a bad file, since only the former may pass.
    match cause {
        ParquetError::External(inner) => match inner.downcast::<LakeError>() {
            Ok(error) => *error,
            Err(inner) => parquet_error(file, ParquetError::External(inner)),
        },
        cause => parquet_error(file, cause),
    }
}

fn parquet_error(file: &DataFile, cause: ParquetError) -> LakeError {
    LakeError::Parquet { doing: "read", path: file.path().to_string(), cause }
}

pub(crate) fn arrow_failed(file: &DataFile, cause: arrow::error::ArrowError) -> LakeError {
    match cause {
        arrow::error::ArrowError::ExternalError(inner) => match inner.downcast::<ParquetError>() {
            Ok(cause) => failed(file, *cause),
            Err(inner) => parquet_error(file, ParquetError::External(inner)),
        },
        cause => parquet_error(file, ParquetError::ArrowError(cause.to_string())),
    }
}

const KEY_COLUMNS: &[&str] = &["eventid", EVENT_TIME, KEY, ADMITTED];

/// The columns that a key can need. Records are large: they are read only where a row has no UUID.
fn key_columns(kind: StoreKind, with_records: bool) -> Vec<&'static str> {
    let mut columns = KEY_COLUMNS.to_vec();
    if with_records {
        columns.extend(record_columns(kind).iter().filter(|name| !KEY_COLUMNS.contains(name)));
    }
    columns
}

/// The keys of a batch's rows. `None` for a row whose key needs the record and the batch has none.
fn keys(kind: StoreKind, batch: &RecordBatch) -> Result<Vec<Option<EventKey>>, ArrowError> {
    let explicit = batch.column_by_name(KEY).and_then(|column| column.as_fixed_size_binary_opt());
    let ids = batch.column_by_name("eventid").and_then(|column| column.as_string_opt::<i32>());
    let records = batch.column_by_name(EVENT_JSON).map(|_| records(kind, batch)).transpose()?;
    let records = records.as_ref().and_then(|records| records.as_string_opt::<i32>());
    let keys = (0..batch.num_rows())
        .map(|row| {
            if let Some(explicit) = explicit.filter(|explicit| explicit.is_valid(row)) {
                return explicit.value(row).try_into().ok().map(EventKey::from_bytes);
            }
            let id = ids.filter(|ids| ids.is_valid(row)).map(|ids| ids.value(row));
            match id.and_then(EventKey::of_event_id) {
                Some(key) => Some(key),
                None => records.map(|records| EventKey::of(id, records.value(row).as_bytes())),
            }
        })
        .collect();
    Ok(keys)
}

/// Every key of a file with its time. Not for async threads.
pub(crate) fn entries(objects: &Objects, file: &DataFile) -> Result<Vec<Entry>, LakeError> {
    let read = |columns: &[&str]| -> Result<Option<Vec<Entry>>, LakeError> {
        let mut entries = Vec::with_capacity(file.rows as usize);
        for batch in rows(objects, file, Some(columns), 1024)? {
            let batch = batch.map_err(|cause| arrow_failed(file, cause))?;
            let keys = keys(file.kind, &batch).map_err(|cause| arrow_failed(file, cause))?;
            for (key, time) in keys.into_iter().zip(times(&batch)) {
                let Some(key) = key else { return Ok(None) };
                let time = EventTime::from_millis(*time)
                    .map_err(|error| parquet_error(file, ParquetError::External(Box::new(error))))?;
                entries.push(Entry { key, time });
            }
        }
        Ok(Some(entries))
    };
    if let Some(entries) = read(&key_columns(file.kind, false))? {
        return Ok(entries);
    }
    Ok(read(&key_columns(file.kind, true))?.unwrap_or_default())
}

/// When the row with this key and time was admitted, if the file has it. Not for async threads.
pub(crate) fn admitted(
    objects: &Objects,
    file: &DataFile,
    key: EventKey,
    time: EventTime,
) -> Result<Option<Timestamp>, LakeError> {
    let mut with_records = false;
    loop {
        let columns = key_columns(file.kind, with_records);
        let mut unknown = false;
        for batch in rows(objects, file, Some(&columns), 1024)? {
            let batch = batch.map_err(|cause| arrow_failed(file, cause))?;
            let times = times(&batch);
            if times.last().is_some_and(|last| *last < time.as_millis()) {
                continue;
            }
            if times.first().is_some_and(|first| *first > time.as_millis()) {
                break;
            }
            let keys = keys(file.kind, &batch).map_err(|cause| arrow_failed(file, cause))?;
            for (row, found) in keys.into_iter().enumerate().filter(|(row, _)| times[*row] == time.as_millis()) {
                unknown |= found.is_none();
                if found == Some(key) {
                    let admitted = batch.column_by_name(ADMITTED).expect("the column was asked for");
                    let micros = admitted.as_primitive::<TimestampMicrosecondType>().value(row);
                    return Ok(Timestamp::from_microsecond(micros).ok());
                }
            }
        }
        if !unknown || with_records {
            return Ok(None);
        }
        with_records = true;
    }
}
