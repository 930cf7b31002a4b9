//! Rows to Parquet: order, row groups, pages, encodings.
//!
//! A file's rows are sorted by time, so that the page index leads a query for a moment to a few pages. Random texts
//! (ids, the record itself) have no dictionary: whoever wants one value would have to read all. The record, and values of
//! parameters, have large pages, because neighbours resemble each other and compression needs to see both, and the record
//! gets the most effort. Ids have small pages and the least effort: there is nothing to find in them but that few
//! characters occur, and a row is put together from one page of each.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::interleave_record_batch;
use arrow::datatypes::{TimestampMillisecondType, UInt64Type};
use arrow::error::ArrowError;
use bytes::Bytes;
use jiff::Timestamp;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use uuid::Uuid;

use towpath_model::{EventTime, Position, StoreId, StoreKind};

use crate::datafile::{DataFile, FilterPlace};
use crate::record::whole_bytes;
use crate::schema::{self, ADMITTED, EVENT_JSON, EVENT_TIME, KEY, LOOKUP_RESOURCE_NAMES, LOOKUP_USERNAME, POSITION};
use crate::stats::StatsBuilder;

/// Rows per row group, unless [`ROW_GROUP_BYTES`] come first.
const ROW_GROUP_ROWS: usize = 128 * 1024;
/// Encoded bytes per row group.
const ROW_GROUP_BYTES: usize = 64 << 20;
/// Rows handed to the writer at once, and the most rows per page.
const STEP_ROWS: usize = 2048;
const PAGE_ROWS: usize = 8192;
/// Bytes per page before compression: of most columns, of ids, of values that resemble each other, and of the record.
const PAGE_BYTES: usize = 128 << 10;
const ID_PAGE_BYTES: usize = 32 << 10;
const VALUE_PAGE_BYTES: usize = 1 << 20;
const RECORD_PAGE_BYTES: usize = 2 << 20;

/// Texts without repeats.
const IDS: &[&str] = &["eventid", "requestid", "sharedeventid", "eventdata.uid"];
/// Texts that resemble each other and are too many for a dictionary.
const VALUES: &[&str] = &[
    "requestparameters.key_value.value",
    "responseelements.key_value.value",
    "resources.list.element.arn",
    "eventdata.requestparameters.key_value.value",
    "eventdata.responseelements.key_value.value",
];
/// Texts that repeat, but for some that take most of the room (`x-amz-id-2`).
const MIXED: &[&str] = &["additionaleventdata.key_value.value"];
/// Other texts that compress well and take room.
const LONG: &[&str] = &["errormessage"];
/// Texts that queries look for and whose values a file has too many of to list, each with how often in its filter a
/// value seems to be that is not: who acted and from where is looked for through years of files, an id of a request in
/// those of its day.
const FILTERS: &[(&str, f64)] = &[
    ("useridentity.accesskeyid", 0.002),
    ("useridentity.arn", 0.002),
    ("useridentity.principalid", 0.002),
    ("useridentity.username", 0.002),
    ("sourceipaddress", 0.002),
    ("requestid", 0.01),
    ("sharedeventid", 0.01),
    (LOOKUP_USERNAME, 0.002),
    (LOOKUP_RESOURCE_NAMES, 0.002),
    ("eventdata.uid", 0.01),
    ("eventdata.useridentity.principalid", 0.002),
    ("eventdata.sourceipaddress", 0.002),
];

/// How hard a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Rows that will soon be rewritten: from the hot tail, or joined in haste. Only texts that make up most of a file are
    /// compressed: to begin compressing, for writing and for reading, costs more than a small column saves.
    Quick,
    /// Rows that stay as they are.
    Lasting,
}

/// How a file of about so many rows is written.
fn properties(kind: StoreKind, effort: Effort, rows: u64) -> WriterProperties {
    let (level, most) = match effort {
        Effort::Quick => (1, 1),
        Effort::Lasting => (6, 9),
    };
    let zstd = |level| Compression::ZSTD(ZstdLevel::try_new(level).expect("a level that zstd has"));
    let schema = schema::file_schema(kind);
    let time = schema.index_of(EVENT_TIME).expect("every kind has eventtime");
    let others = match effort {
        Effort::Quick => Compression::UNCOMPRESSED,
        Effort::Lasting => zstd(level),
    };
    let mut properties = WriterProperties::builder()
        .set_created_by("towpath".to_owned())
        .set_compression(others)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_data_page_size_limit(PAGE_BYTES)
        .set_write_batch_size(1024)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_sorting_columns(Some(vec![SortingColumn {
            column_idx: leaf_of(&schema, time),
            descending: false,
            nulls_first: false,
        }]));
    for name in IDS.iter().chain(VALUES).chain(MIXED).chain(&[EVENT_JSON]) {
        // Lengths apart from the texts: nothing but texts is left for the compressor to look at.
        properties = properties
            .set_column_dictionary_enabled(path(name), false)
            .set_column_encoding(path(name), Encoding::DELTA_LENGTH_BYTE_ARRAY);
    }
    for name in IDS {
        properties = properties
            .set_column_data_page_size_limit(path(name), ID_PAGE_BYTES)
            // What seems to repeat in random digits costs more than the digits.
            .set_column_compression(path(name), zstd(1));
    }
    for name in VALUES {
        properties = properties.set_column_data_page_size_limit(path(name), VALUE_PAGE_BYTES);
    }
    for name in VALUES.iter().chain(MIXED).chain(LONG) {
        properties = properties.set_column_compression(path(name), zstd(level));
    }
    for name in [EVENT_TIME, POSITION, ADMITTED] {
        properties = properties
            .set_column_dictionary_enabled(path(name), false)
            .set_column_encoding(path(name), Encoding::DELTA_BINARY_PACKED);
    }
    properties = properties
        .set_column_dictionary_enabled(path(KEY), false)
        .set_column_data_page_size_limit(path(EVENT_JSON), RECORD_PAGE_BYTES)
        .set_column_compression(path(EVENT_JSON), zstd(most))
        .set_column_statistics_enabled(path(EVENT_JSON), EnabledStatistics::None);
    // Filters are made for as many values and shrink to what they hold.
    let values = rows.clamp(1, ROW_GROUP_ROWS as u64);
    for (name, wrong) in FILTERS {
        let column = leaf_path(&schema, name);
        properties = properties
            .set_column_bloom_filter_fpp(column.clone(), *wrong)
            .set_column_bloom_filter_max_ndv(column, values);
    }
    properties.build()
}

/// The leaf that holds the texts of a column: of a list, its elements.
fn leaf_path(schema: &arrow::datatypes::Schema, name: &str) -> ColumnPath {
    match schema.field_with_name(name).map(|field| field.data_type()) {
        Ok(arrow::datatypes::DataType::List(_)) => path(&format!("{name}.list.element")),
        _ => path(name),
    }
}

fn path(name: &str) -> ColumnPath {
    ColumnPath::new(name.split('.').map(str::to_owned).collect())
}

/// The number of a top-level column's leaf, where it is a leaf.
fn leaf_of(schema: &arrow::datatypes::Schema, column: usize) -> i32 {
    fn leaves(data_type: &arrow::datatypes::DataType) -> i32 {
        use arrow::datatypes::DataType;
        match data_type {
            DataType::Struct(members) => members.iter().map(|member| leaves(member.data_type())).sum(),
            DataType::List(element) | DataType::Map(element, _) => leaves(element.data_type()),
            _ => 1,
        }
    }
    schema.fields()[..column].iter().map(|field| leaves(field.data_type())).sum()
}

/// Writes the rows of one file, which come in order.
pub(crate) struct FileWriter {
    writer: ArrowWriter<Vec<u8>>,
    stats: StatsBuilder,
    file: DataFile,
    // Bytes taken so far.
    taken: u64,
}

impl FileWriter {
    /// Starts a file for about so many `rows` of `store` that occurred on `day`.
    pub fn new(
        (store, kind, day): (StoreId, StoreKind, i32),
        rows: u64,
        level: u8,
        effort: Effort,
        created: Timestamp,
    ) -> Result<Self, ParquetError> {
        let options =
            ArrowWriterOptions::new().with_properties(properties(kind, effort, rows)).with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(Vec::new(), schema::file_schema(kind), options)?;
        let never = EventTime::from(Timestamp::UNIX_EPOCH);
        let file = DataFile {
            id: Uuid::new_v4(),
            store,
            kind,
            day,
            size: 0,
            rows: 0,
            raw_bytes: 0,
            positions: (Position::new(u64::MAX), Position::ZERO),
            times: (never, never),
            content: None,
            level,
            created,
            columns: Default::default(),
            filters: Default::default(),
        };
        Ok(Self { writer, stats: StatsBuilder::new(kind), file, taken: 0 })
    }

    /// The file as far as it is known.
    pub fn file(&self) -> &DataFile {
        &self.file
    }

    /// Adds rows, none earlier than those before.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), ParquetError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let times = times(batch);
        let at = |index: usize| EventTime::from_millis(times[index]).map_err(|e| ParquetError::External(Box::new(e)));
        let (first, last) = (at(0)?, at(batch.num_rows() - 1)?);
        let file = &mut self.file;
        file.times = if file.rows == 0 { (first, last) } else { (file.times.0, last) };
        for position in positions(batch) {
            let position = Position::new(*position);
            file.positions = (file.positions.0.min(position), file.positions.1.max(position));
        }
        file.rows += batch.num_rows() as u64;
        let records = whole_bytes(file.kind, batch).map_err(|error| ParquetError::ArrowError(error.to_string()))?;
        file.raw_bytes += records as u64;
        self.stats.add(batch);
        self.writer.write(batch)
    }

    /// Takes the bytes that are final since the last call.
    pub fn take(&mut self) -> Vec<u8> {
        let bytes = std::mem::take(self.writer.inner_mut());
        self.taken += bytes.len() as u64;
        bytes
    }

    /// Ends the file; returns its entry and its last bytes.
    pub fn finish(self) -> Result<(DataFile, Vec<u8>), ParquetError> {
        let Self { mut writer, stats, mut file, taken } = self;
        file.filters = filters(&writer.finish()?, file.kind);
        let bytes = std::mem::take(writer.inner_mut());
        file.size = taken + bytes.len() as u64;
        file.columns = stats.finish();
        Ok((file, bytes))
    }
}

/// Where a written file has its filters.
fn filters(written: &ParquetMetaData, kind: StoreKind) -> BTreeMap<String, Vec<FilterPlace>> {
    let (schema, leaves) = (schema::file_schema(kind), written.file_metadata().schema_descr());
    let mut places = BTreeMap::new();
    for (name, _) in FILTERS {
        let path = leaf_path(&schema, name);
        let Some(leaf) = (0..leaves.num_columns()).find(|leaf| *leaves.column(*leaf).path() == path) else { continue };
        let each = written.row_groups().iter().map(|group| {
            let column = group.column(leaf);
            let place = column.bloom_filter_offset().zip(column.bloom_filter_length());
            place.map_or(FilterPlace::default(), |(offset, length)| FilterPlace(offset as u64, length as u32))
        });
        places.insert((*name).to_owned(), each.collect());
    }
    places
}

/// The `eventtime` of each row, in milliseconds.
pub(crate) fn times(batch: &RecordBatch) -> &[i64] {
    let column = batch.column_by_name(EVENT_TIME).expect("every kind has eventtime");
    column.as_primitive::<TimestampMillisecondType>().values()
}

/// The `_position` of each row.
pub(crate) fn positions(batch: &RecordBatch) -> &[u64] {
    batch.column_by_name(POSITION).expect("every batch has positions").as_primitive::<UInt64Type>().values()
}

/// Where a row is: batch and row in it.
pub(crate) type Place = (usize, usize);

/// The rows of `batches` that occurred at or after `cutoff`, sorted by time and position, cut by day.
pub(crate) fn by_day(batches: &[RecordBatch], cutoff: Option<EventTime>) -> Vec<(i32, Vec<Place>)> {
    let cutoff = cutoff.map_or(i64::MIN, EventTime::as_millis);
    let mut rows = Vec::with_capacity(batches.iter().map(RecordBatch::num_rows).sum());
    for (at, batch) in batches.iter().enumerate() {
        let both = times(batch).iter().zip(positions(batch)).enumerate();
        rows.extend(
            both.filter(|(_, (time, _))| **time >= cutoff).map(|(row, (time, position))| (*time, *position, (at, row))),
        );
    }
    rows.sort_unstable_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)).then(Ordering::Equal));
    let mut days: Vec<(i32, Vec<Place>)> = Vec::new();
    for (time, _, place) in rows {
        let day = time.div_euclid(86_400_000) as i32;
        match days.last_mut() {
            Some((last, places)) if *last == day => places.push(place),
            _ => days.push((day, vec![place])),
        }
    }
    days
}

/// Encodes the rows at `places`, which are in order, as one file.
pub(crate) fn encode(
    of: (StoreId, StoreKind, i32),
    batches: &[RecordBatch],
    places: &[Place],
    created: Timestamp,
) -> Result<(DataFile, Bytes), ParquetError> {
    let mut writer = FileWriter::new(of, places.len() as u64, 0, Effort::Quick, created)?;
    let batches: Vec<_> = batches.iter().collect();
    for places in places.chunks(STEP_ROWS) {
        let arrow = |error: ArrowError| ParquetError::ArrowError(error.to_string());
        writer.write(&interleave_record_batch(&batches, places).map_err(arrow)?)?;
    }
    let (file, bytes) = writer.finish()?;
    Ok((file, bytes.into()))
}

#[cfg(test)]
mod tests;
