//! What a query has read, counted where it is read.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::common::stats::Precision;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use object_store::path::Path;
use parking_lot::Mutex;

use crate::sparse_scan::SparseScan;

/// Counters of one query, shared by all of its scans.
#[derive(Debug, Default)]
pub(crate) struct ScanCounters {
    opened: Mutex<HashSet<Path>>,
    files_pruned: AtomicU64,
    bytes: AtomicU64,
    scans: Mutex<Vec<Arc<dyn ExecutionPlan>>>,
}

impl ScanCounters {
    /// A file was read from; one that is read in parts counts once.
    pub(crate) fn opened_file(&self, path: &Path) {
        self.opened.lock().insert(path.clone());
    }

    /// So many files of a store were ruled out by what the manifest knows.
    pub(crate) fn pruned_files(&self, files: usize) {
        self.files_pruned.fetch_add(files as u64, Ordering::Relaxed);
    }

    /// So many bytes were read from a file.
    pub(crate) fn read(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The query means to read these events.
    pub(crate) fn planned(&self, scan: &Arc<dyn ExecutionPlan>) {
        self.scans.lock().push(scan.clone());
    }

    /// Events that statistics answered for, so that nothing is left to read of them: those of all planned scans, if `plan`
    /// has none of these any more. `count(*)` looked at every event all the same.
    pub(crate) fn answered_by_statistics(&self, plan: &dyn ExecutionPlan) -> u64 {
        if has_scan(plan) {
            return 0;
        }
        let statistics = StatisticsContext::new();
        let rows = |scan: &Arc<dyn ExecutionPlan>| match statistics
            .compute(scan.as_ref(), &StatisticsArgs::new())
            .ok()?
            .num_rows
        {
            Precision::Exact(rows) => Some(rows as u64),
            _ => None,
        };
        self.scans.lock().iter().filter_map(rows).sum()
    }

    pub(crate) fn files_scanned(&self) -> u64 {
        self.opened.lock().len() as u64
    }

    pub(crate) fn files_pruned(&self) -> u64 {
        self.files_pruned.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// Events that a plan has looked at and events that passed the filters next to the scans.
pub(crate) fn events_of(plan: &dyn ExecutionPlan) -> (u64, u64) {
    (events_scanned(plan), events_matched(plan))
}

fn events_scanned(plan: &dyn ExecutionPlan) -> u64 {
    if let Some(sparse) = plan.downcast_ref::<SparseScan>() {
        let own = plan.metrics().map_or(0, |metrics| output_rows(&metrics) + sum(&metrics, "pushdown_rows_pruned"));
        return own + events_scanned(sparse.replaced());
    }
    match plan.downcast_ref::<DataSourceExec>() {
        // Rows that a filter inside the reader dropped are not part of its output.
        Some(scan) => rows_of(scan) + plan.metrics().map_or(0, |metrics| sum(&metrics, "pushdown_rows_pruned")),
        None => plan.children().into_iter().map(|child| events_scanned(child.as_ref())).sum(),
    }
}

fn events_matched(plan: &dyn ExecutionPlan) -> u64 {
    if let Some(sparse) = plan.downcast_ref::<SparseScan>() {
        return plan.metrics().map_or(0, |metrics| output_rows(&metrics)) + events_matched(sparse.replaced());
    }
    if let Some(scan) = plan.downcast_ref::<DataSourceExec>() {
        return rows_of(scan);
    }
    if plan.is::<FilterExec>() && is_scan(plan) {
        return plan.metrics().map_or(0, |metrics| output_rows(&metrics));
    }
    plan.children().into_iter().map(|child| events_matched(child.as_ref())).sum()
}

/// Rows that came out of a scan. Hot rows are in memory and are not counted as they go: all of them are looked at.
fn rows_of(scan: &DataSourceExec) -> u64 {
    match scan.data_source().downcast_ref::<MemorySourceConfig>() {
        Some(hot) => hot.partitions().iter().flatten().map(|batch| batch.num_rows() as u64).sum(),
        None => scan.metrics().map_or(0, |metrics| output_rows(&metrics)),
    }
}

fn has_scan(plan: &dyn ExecutionPlan) -> bool {
    plan.is::<DataSourceExec>()
        || plan.is::<SparseScan>()
        || plan.children().into_iter().any(|child| has_scan(child.as_ref()))
}

/// True when the plan only hands on, filters or projects the rows of one or more scans.
fn is_scan(plan: &dyn ExecutionPlan) -> bool {
    const HANDS_ON: [&str; 6] =
        ["FilterExec", "ProjectionExec", "CoalesceBatchesExec", "CooperativeExec", "RepartitionExec", "UnionExec"];
    plan.is::<DataSourceExec>()
        || plan.is::<SparseScan>()
        || (HANDS_ON.contains(&plan.name()) && plan.children().into_iter().all(|child| is_scan(child.as_ref())))
}

fn output_rows(metrics: &MetricsSet) -> u64 {
    metrics.output_rows().unwrap_or(0) as u64
}

fn sum(metrics: &MetricsSet, name: &str) -> u64 {
    metrics.sum_by_name(name).map_or(0, |value| value.as_usize() as u64)
}
