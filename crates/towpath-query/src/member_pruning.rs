//! Row groups that a filter on a member of a struct rules out.
//!
//! DataFusion consults statistics and bloom filters for whole columns. For `useridentity.accesskeyid = 'AKIA..'` it
//! reads the member's values of every row group; here the member's own statistics and bloom filter are asked first.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::physical_plan::parquet::ParquetAccessPlan;
use futures::{StreamExt, TryStreamExt, stream};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::arrow::async_reader::{AsyncFileReader, ParquetRecordBatchStreamBuilder};
use parquet::file::metadata::{PageIndexPolicy, RowGroupMetaData};
use parquet::file::statistics::Statistics;
use parquet::schema::types::SchemaDescriptor;
use towpath_lake::DataFile;

use crate::condition::Condition;
use crate::file_reader::CountingReaderFactory;

/// Files that are looked into while planning; beyond, the reader goes through the member's values instead.
const MAX_FILES: usize = 4096;
/// Files that are looked into at a time.
const AT_A_TIME: usize = 8;
/// Longest list of texts that bloom filters are asked for, one by one.
const MAX_VALUES: usize = 64;

/// For each file the row groups to read, or `None` where all of them may hold rows that pass.
pub(crate) async fn prune_row_groups(
    reader: &Arc<CountingReaderFactory>,
    files: &[Arc<DataFile>],
    condition: &Condition,
) -> Result<Vec<Option<ParquetAccessPlan>>> {
    let wanted = wanted_members(condition);
    if wanted.is_empty() || files.len() > MAX_FILES {
        return Ok(vec![None; files.len()]);
    }
    let wanted = Arc::new(wanted);
    let looks: Vec<_> = files.iter().map(|file| look_into(reader.clone(), file.clone(), wanted.clone())).collect();
    stream::iter(looks).buffered(AT_A_TIME).try_collect().await
}

/// A member of a struct and the texts of which it must have one.
type Wanted = (String, Vec<String>);

fn wanted_members(condition: &Condition) -> Vec<Wanted> {
    let mut wanted = Vec::new();
    let _ = condition.each_one_of::<()>(&mut |path, values| {
        if path.contains('.') && values.len() <= MAX_VALUES {
            wanted.push((path.to_owned(), values.to_vec()));
        }
        ControlFlow::Continue(())
    });
    wanted
}

async fn look_into(
    reader: Arc<CountingReaderFactory>,
    file: Arc<DataFile>,
    wanted: Arc<Vec<Wanted>>,
) -> Result<Option<ParquetAccessPlan>> {
    let mut opened = reader.open(&file)?;
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
    let metadata = opened.get_metadata(Some(&options)).await.map_err(parquet_error)?;
    let schema = metadata.file_metadata().schema_descr();
    let leaves: Vec<_> = wanted.iter().filter_map(|(path, values)| Some((leaf_of(schema, path)?, values))).collect();
    if leaves.is_empty() {
        return Ok(None);
    }
    let mut dropped = HashSet::new();
    let mut asked = Vec::new();
    for (at, group) in metadata.row_groups().iter().enumerate() {
        for (leaf, values) in &leaves {
            if !values.iter().any(|value| in_bounds(group, *leaf, value)) {
                dropped.insert(at);
            } else if group.column(*leaf).bloom_filter_offset().is_some() {
                asked.push((at, *leaf, *values));
            }
        }
    }
    let groups = metadata.num_row_groups();
    asked.retain(|(at, ..)| !dropped.contains(at));
    if !asked.is_empty() {
        let metadata = ArrowReaderMetadata::try_new(metadata, ArrowReaderOptions::new()).map_err(parquet_error)?;
        let mut blooms = ParquetRecordBatchStreamBuilder::new_with_metadata(opened, metadata);
        for (at, leaf, values) in asked {
            if dropped.contains(&at) {
                continue;
            }
            let bloom = blooms.get_row_group_column_bloom_filter(at, leaf).await.map_err(parquet_error)?;
            if bloom.is_some_and(|bloom| !values.iter().any(|value| bloom.check(value.as_str()))) {
                dropped.insert(at);
            }
        }
    }
    if dropped.is_empty() {
        return Ok(None);
    }
    let mut plan = ParquetAccessPlan::new_all(groups);
    dropped.into_iter().for_each(|group| plan.skip(group));
    Ok(Some(plan))
}

/// The leaf column at a dotted path.
pub(crate) fn leaf_of(schema: &SchemaDescriptor, path: &str) -> Option<usize> {
    (0..schema.num_columns()).find(|leaf| {
        let parts = schema.column(*leaf).path().parts().to_vec();
        parts.len() == path.split('.').count() && parts.iter().zip(path.split('.')).all(|(part, name)| part == name)
    })
}

/// False when the row group's statistics say that no row has this text.
fn in_bounds(group: &RowGroupMetaData, leaf: usize, value: &str) -> bool {
    let column = group.column(leaf);
    let Some(Statistics::ByteArray(bounds)) = column.statistics() else { return true };
    if bounds.null_count_opt() == u64::try_from(group.num_rows()).ok() {
        return false;
    }
    let value = value.as_bytes();
    bounds.min_bytes_opt().is_none_or(|min| min <= value) && bounds.max_bytes_opt().is_none_or(|max| value <= max)
}

fn parquet_error(cause: parquet::errors::ParquetError) -> DataFusionError {
    DataFusionError::ParquetError(Box::new(cause))
}
