//! Files as a plan names them: in order, in parts, spread over partitions, with what the manifest knows of them.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::FileGroup;
use datafusion::datasource::physical_plan::parquet::ParquetAccessPlan;
use towpath_lake::{DataFile, EVENT_TIME, file_schema};
use towpath_model::{EventTime, StoreKind};

use super::Bound;
use crate::file_reader::partitioned_file;
use crate::sparse_scan::SparseFile;
use crate::value_filters::Candidate;

/// Files of a scan that carry statistics of their own into the plan: these take some 20 KB each.
const MAX_STATISTICS: usize = 2000;

/// Files as plans name them.
pub(super) struct NamedFiles {
    pub(super) files: Vec<PartitionedFile>,
    pub(super) statistics: Statistics,
}

impl Bound {
    /// Names files, the newest first. Files that are too few for `target` partitions are named in parts.
    pub(super) fn named(&self, kind: StoreKind, mut candidates: Vec<Candidate>, target: usize) -> NamedFiles {
        candidates.sort_by_key(|candidate| std::cmp::Reverse((candidate.file.times.1, candidate.file.times.0)));
        let schema = file_schema(kind);
        let all: Vec<_> = candidates.iter().map(|candidate| candidate.file.clone()).collect();
        let statistics_of_all = statistics(&all, &schema);
        let mut files = Vec::with_capacity(candidates.len());
        for Candidate { file, groups } in candidates {
            let parts = parts(&file, groups.as_ref(), target.div_ceil(all.len()));
            if !parts.is_empty() {
                files.extend(parts.into_iter().map(|part| self.named_file(&file).with_extension(part)));
                continue;
            }
            let mut named = self.named_file(&file);
            if all.len() <= MAX_STATISTICS {
                named = named.with_statistics(Arc::new(statistics(std::slice::from_ref(&file), &schema)));
            }
            files.push(match groups {
                None => named,
                Some(groups) => named.with_extension(groups),
            });
        }
        NamedFiles { files, statistics: statistics_of_all }
    }

    fn named_file(&self, file: &DataFile) -> PartitionedFile {
        let content = file.content.unwrap_or(file.id);
        partitioned_file(file).with_extension(SparseFile { content, reader: self.reader.clone() })
    }
}

/// The row groups of a file in up to `count` parts; none if one part is all there is.
fn parts(file: &DataFile, chosen: Option<&ParquetAccessPlan>, count: usize) -> Vec<ParquetAccessPlan> {
    let groups = file.filters.values().map(Vec::len).max().unwrap_or(0);
    let wanted: Vec<_> = (0..groups).filter(|group| chosen.is_none_or(|chosen| chosen.should_scan(*group))).collect();
    if count < 2 || wanted.len() < 2 {
        return Vec::new();
    }
    let part = |of: &[usize]| {
        let mut plan = ParquetAccessPlan::new_none(groups);
        of.iter().for_each(|group| plan.scan(*group));
        plan
    };
    wanted.chunks(wanted.len().div_ceil(count)).map(part).collect()
}

/// Spreads files over partitions: about the same bytes in each, the newest files first in each.
pub(super) fn groups(files: Vec<PartitionedFile>, target: usize) -> Vec<FileGroup> {
    let mut groups: Vec<(u64, Vec<PartitionedFile>)> = vec![Default::default(); target.min(files.len())];
    for file in files {
        if let Some((bytes, group)) = groups.iter_mut().min_by_key(|(bytes, _)| *bytes) {
            *bytes += file.object_meta.size;
            group.push(file);
        }
    }
    groups.into_iter().map(|(_, files)| FileGroup::new(files)).collect()
}

/// What the manifest knows of files together, as the planner wants it: rows, bytes and the range of times.
fn statistics(files: &[Arc<DataFile>], schema: &SchemaRef) -> Statistics {
    let sum = |count: fn(&DataFile) -> u64| {
        usize::try_from(files.iter().map(|file| count(file)).sum::<u64>()).unwrap_or(usize::MAX)
    };
    let time = |time: Option<EventTime>| match time {
        Some(time) => Precision::Exact(ScalarValue::TimestampMillisecond(Some(time.as_millis()), None)),
        None => Precision::Absent,
    };
    let mut statistics = Statistics::new_unknown(schema);
    statistics.num_rows = Precision::Exact(sum(|file| file.rows));
    statistics.total_byte_size = Precision::Inexact(sum(|file| file.raw_bytes));
    if let Ok(at) = schema.index_of(EVENT_TIME) {
        statistics.column_statistics[at] = ColumnStatistics {
            null_count: Precision::Exact(0),
            min_value: time(files.iter().map(|file| file.times.0).min()),
            max_value: time(files.iter().map(|file| file.times.1).max()),
            ..ColumnStatistics::new_unknown()
        };
    }
    statistics
}
