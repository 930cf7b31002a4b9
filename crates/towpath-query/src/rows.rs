//! Reading few rows of files: first narrow columns to choose rows by, then whole rows by number.
//!
//! Choosing by narrow columns and fetching by number keeps the wide columns of rows that nobody wants unread: a page of
//! fifty events out of millions touches a few pages of `eventjson`.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use datafusion::common::{DataFusionError, Result, exec_datafusion_err};
use futures::TryStreamExt;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, RowSelection, RowSelector};
use parquet::arrow::async_reader::{AsyncFileReader, ParquetRecordBatchStreamBuilder};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, RowGroupMetaData};
use parquet::file::statistics::Statistics;
use parquet::schema::types::SchemaDescriptor;
use towpath_lake::{DataFile, records};
use towpath_model::StoreKind;

use crate::file_reader::{CountingReader, CountingReaderFactory};

/// Rows of a batch while columns are read.
const BATCH_ROWS: usize = 8192;

/// A file whose footer was read.
pub(crate) struct OpenFile<'a> {
    reader: &'a CountingReaderFactory,
    file: &'a DataFile,
    metadata: ArrowReaderMetadata,
}

impl<'a> OpenFile<'a> {
    /// Reads the footer, from the cache where it has it.
    pub(crate) async fn open(reader: &'a CountingReaderFactory, file: &'a DataFile) -> Result<Self> {
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
        let metadata = reader.open(file)?.get_metadata(Some(&options)).await.map_err(parquet_error)?;
        let metadata = ArrowReaderMetadata::try_new(metadata, options).map_err(parquet_error)?;
        Ok(Self { reader, file, metadata })
    }

    /// What the footer says.
    pub(crate) fn metadata(&self) -> &ParquetMetaData {
        self.metadata.metadata()
    }

    /// The least and greatest number of a column in a row group, where known.
    pub(crate) fn bounds(&self, group: usize, path: &str) -> Option<(i64, i64)> {
        let leaf = leaf_of(self.metadata().file_metadata().schema_descr(), path)?;
        match group_of(self.metadata(), group)?.column(leaf).statistics()? {
            Statistics::Int64(bounds) => Some((*bounds.min_opt()?, *bounds.max_opt()?)),
            _ => None,
        }
    }

    /// Reads columns of one row group, batch by batch, each with the number of its first row within the file.
    pub(crate) async fn read_group(
        &self,
        group: usize,
        paths: &[&str],
        mut each: impl FnMut(u64, &RecordBatch) -> Result<()>,
    ) -> Result<()> {
        let mut first = self.first_row(group);
        let mut batches = self
            .builder()?
            .with_projection(self.mask(paths))
            .with_row_groups(vec![group])
            .with_batch_size(BATCH_ROWS)
            .build()
            .map_err(parquet_error)?;
        while let Some(batch) = batches.try_next().await.map_err(parquet_error)? {
            each(first, &batch)?;
            first += batch.num_rows() as u64;
        }
        Ok(())
    }

    /// Reads columns of the rows with these numbers, which rise.
    pub(crate) async fn fetch(&self, rows: &[u64], paths: &[&str]) -> Result<RecordBatch> {
        let mut groups = Vec::new();
        let mut selectors = Vec::new();
        let mut rows = rows.iter().copied().peekable();
        let mut first = 0;
        for (at, group) in self.metadata().row_groups().iter().enumerate() {
            let end = first + group.num_rows().unsigned_abs();
            if rows.peek().is_some_and(|row| *row < end) {
                groups.push(at);
                let mut next = first;
                while let Some(row) = rows.next_if(|row| *row < end) {
                    selectors.push(RowSelector::skip((row - next) as usize));
                    selectors.push(RowSelector::select(1));
                    next = row + 1;
                }
                selectors.push(RowSelector::skip((end - next) as usize));
            }
            first = end;
        }
        let batches = self
            .builder()?
            .with_projection(self.mask(paths))
            .with_row_groups(groups)
            .with_row_selection(RowSelection::from(selectors))
            .with_batch_size(BATCH_ROWS)
            .build()
            .map_err(parquet_error)?;
        let schema = batches.schema().clone();
        let batches: Vec<_> = batches.try_collect().await.map_err(parquet_error)?;
        Ok(concat_batches(&schema, &batches)?)
    }

    fn first_row(&self, group: usize) -> u64 {
        self.metadata().row_groups().iter().take(group).map(|group| group.num_rows().unsigned_abs()).sum()
    }

    fn builder(&self) -> Result<ParquetRecordBatchStreamBuilder<CountingReader>> {
        let opened = self.reader.open(self.file)?;
        Ok(ParquetRecordBatchStreamBuilder::new_with_metadata(opened, self.metadata.clone()))
    }

    fn mask(&self, paths: &[&str]) -> ProjectionMask {
        let schema = self.metadata().file_metadata().schema_descr();
        ProjectionMask::leaves(schema, paths.iter().flat_map(|path| leaves_under(schema, path)))
    }
}

/// The array at a dotted path.
pub(crate) fn column_at<'a>(batch: &'a RecordBatch, path: &str) -> Result<&'a ArrayRef> {
    let missing = || exec_datafusion_err!("column {path} is missing");
    let mut names = path.split('.');
    let mut array = names.next().and_then(|name| batch.column_by_name(name)).ok_or_else(missing)?;
    for name in names {
        array = array.as_struct_opt().and_then(|outer| outer.column_by_name(name)).ok_or_else(missing)?;
    }
    Ok(array)
}

/// The text at a place, if the array holds texts and it is not NULL.
pub(crate) fn text_at(array: &dyn Array, row: usize) -> Option<&str> {
    if array.is_null(row) {
        return None;
    }
    match array.as_string_opt::<i32>() {
        Some(texts) => Some(texts.value(row)),
        None => array.as_string_view_opt().map(|texts| texts.value(row)),
    }
}

/// The record at a place as it was received. The batch has the columns that make up the record.
pub(crate) fn record_at(kind: StoreKind, batch: &RecordBatch, row: usize) -> Result<String> {
    let record = records(kind, &batch.slice(row, 1))?;
    let record = text_at(record.as_ref(), 0).ok_or_else(|| exec_datafusion_err!("a row has no record"))?;
    Ok(record.to_owned())
}

/// The leaf column at a dotted path.
fn leaf_of(schema: &SchemaDescriptor, path: &str) -> Option<usize> {
    (0..schema.num_columns())
        .find(|leaf| schema.column(*leaf).path().parts().iter().map(String::as_str).eq(path.split('.')))
}

fn leaves_under(schema: &SchemaDescriptor, path: &str) -> Vec<usize> {
    let names: Vec<_> = path.split('.').collect();
    (0..schema.num_columns())
        .filter(|leaf| {
            let column = schema.column(*leaf);
            let parts = column.path().parts();
            parts.len() >= names.len() && parts.iter().zip(&names).all(|(part, name)| part == name)
        })
        .collect()
}

fn group_of(metadata: &ParquetMetaData, group: usize) -> Option<&RowGroupMetaData> {
    metadata.row_groups().get(group)
}

fn parquet_error(cause: parquet::errors::ParquetError) -> DataFusionError {
    DataFusionError::ParquetError(Box::new(cause))
}
