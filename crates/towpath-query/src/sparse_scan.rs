//! A scan for few rows of many files: "what did this access key do in the whole year?"
//!
//! A file that holds such rows has some ten thousand others. DataFusion's reader sets up its machinery anew for each file
//! and column, which takes longer than reading those rows. This scan takes over where a filter names texts that a coded
//! column may hold: the codes tell the rows, and nothing but the pages of these rows is read, one file after the other on
//! one thread for each partition.
//!
//! It is put in the place of DataFusion's scan once planning is over, so that everything that planning hands to a scan
//! (files, filters, projections) is known. Files that do not fit (no codes, other columns, too many rows found) are read by
//! the scan that it replaces.

mod columns;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, exec_datafusion_err};
use datafusion::config::ConfigOptions;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::ParquetAccessPlan;
use datafusion::datasource::physical_plan::{
    FileGroup, FileScanConfig, FileScanConfigBuilder, FileSource, ParquetSource,
};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::DynamicFilterPhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions};
use futures::StreamExt;
use tokio::runtime::Handle;
use tokio::sync::mpsc::Sender;
use uuid::Uuid;

use self::columns::Columns;
use crate::file_reader::CountingReaderFactory;
use crate::sought::Sought;

/// More than every so many rows of a group are too many for reading them one by one.
const FEW: usize = 8;
/// Files whose rows are put together before they are handed on, unless there are so many rows before.
const FILES_A_BATCH: usize = 16;
const ROWS_A_BATCH: usize = 1024;

/// Puts sparse scans where they fit.
#[derive(Debug, Default)]
pub(crate) struct ScanSparsely;

impl PhysicalOptimizerRule for ScanSparsely {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|plan| match SparseScan::of(&plan) {
            Some(scan) => Ok(Transformed::yes(Arc::new(scan) as Arc<dyn ExecutionPlan>)),
            None => Ok(Transformed::no(plan)),
        })
        .data()
    }

    fn name(&self) -> &str {
        "scan_sparsely"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Goes with a file of a plan that may be read sparsely.
pub(crate) struct SparseFile {
    /// Files with the same content have the same.
    pub(crate) content: Uuid,
    /// Opens it.
    pub(crate) reader: Arc<CountingReaderFactory>,
}

/// A scan that reads the rows which a coded column tells.
pub(crate) struct SparseScan {
    // What it replaces: its files, and what becomes of files that do not fit.
    scan: Arc<dyn ExecutionPlan>,
    sought: Sought,
    metrics: ExecutionPlanMetricsSet,
}

impl SparseScan {
    fn of(plan: &Arc<dyn ExecutionPlan>) -> Option<Self> {
        let (config, source) = plan.downcast_ref::<DataSourceExec>()?.downcast_to_file_source::<ParquetSource>()?;
        let sought = Sought::of(&source.filter()?, source.table_schema().table_schema())?;
        let mut files = config.file_groups.iter().flat_map(FileGroup::iter);
        // A filter that grows while the query runs rules out whole files; the replaced scan knows how.
        let fits = config.limit.is_none()
            && source.projection().is_some()
            && !sought.rest.as_ref().is_some_and(is_dynamic)
            && files.all(|file| file.extension::<SparseFile>().is_some() && file.range.is_none());
        fits.then(|| Self { scan: plan.clone(), sought, metrics: ExecutionPlanMetricsSet::new() })
    }

    /// What it replaced; it has read the files that did not fit.
    pub(crate) fn replaced(&self) -> &dyn ExecutionPlan {
        self.scan.as_ref()
    }

    fn parts(&self) -> Result<(&FileScanConfig, &ParquetSource)> {
        let parts = self.scan.downcast_ref::<DataSourceExec>().and_then(DataSourceExec::downcast_to_file_source);
        parts.ok_or_else(|| exec_datafusion_err!("a sparse scan is made of a scan of Parquet files"))
    }
}

fn is_dynamic(expr: &Arc<dyn PhysicalExpr>) -> bool {
    expr.exists(|expr| Ok(expr.is::<DynamicFilterPhysicalExpr>())).unwrap_or(true)
}

impl fmt::Debug for SparseScan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SparseScan({})", self.sought.path.join("."))
    }
}

impl DisplayAs for SparseScan {
    fn fmt_as(&self, t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SparseScan: by {}; ", self.sought.path.join("."))?;
        match self.scan.downcast_ref::<DataSourceExec>() {
            Some(scan) => scan.fmt_as(t, f),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for SparseScan {
    fn name(&self) -> &str {
        "SparseScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.scan.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn replace_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.scan.apply_expressions(f)
    }

    fn reset_state(self: Arc<Self>) -> Result<Arc<dyn ExecutionPlan>> {
        let (scan, sought) = (self.scan.clone().reset_state()?, self.sought.clone());
        Ok(Arc::new(Self { scan, sought, metrics: ExecutionPlanMetricsSet::new() }))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (config, source) = self.parts()?;
        let group = config.file_groups.get(partition);
        let group = group.ok_or_else(|| exec_datafusion_err!("a sparse scan has no partition {partition}"))?;
        let exprs = source.projection().map(|projection| projection.iter().map(|output| output.expr.clone()).collect());
        let mut stream = RecordBatchReceiverStream::builder(self.schema(), 2);
        let reading = Reading {
            files: group.files().to_vec(),
            sought: self.sought.clone(),
            outputs: exprs.unwrap_or_default(),
            table: source.table_schema().table_schema().clone(),
            schema: self.schema(),
            config: config.clone(),
            batch_rows: context.session_config().batch_size(),
            context,
            handle: Handle::current(),
            sender: stream.tx(),
            rows_given: MetricBuilder::new(&self.metrics).output_rows(partition),
            rows_left: MetricBuilder::new(&self.metrics).counter("pushdown_rows_pruned", partition),
            columns: None,
        };
        stream.spawn_blocking(move || reading.run());
        Ok(stream.build())
    }
}

/// Reads the files of one partition, on a thread that may block.
struct Reading {
    files: Vec<PartitionedFile>,
    sought: Sought,
    outputs: Vec<Arc<dyn PhysicalExpr>>,
    table: SchemaRef,
    schema: SchemaRef,
    config: FileScanConfig,
    batch_rows: usize,
    context: Arc<TaskContext>,
    handle: Handle,
    sender: Sender<Result<RecordBatch>>,
    rows_given: Count,
    rows_left: Count,
    // Known from the first file on.
    columns: Option<Columns>,
}

impl Reading {
    fn run(mut self) -> Result<()> {
        let (mut found, mut files, mut rows) = (Vec::new(), 0, 0);
        for file in std::mem::take(&mut self.files) {
            if self.sender.is_closed() {
                return Ok(());
            }
            match self.read(&file)? {
                Some(batches) => {
                    rows += batches.iter().map(RecordBatch::num_rows).sum::<usize>();
                    found.extend(batches);
                }
                None => self.read_all(file)?,
            }
            files += 1;
            if files == FILES_A_BATCH || rows >= ROWS_A_BATCH {
                self.give(std::mem::take(&mut found))?;
                (files, rows) = (0, 0);
            }
        }
        self.give(found)
    }

    /// The rows of a file that have what is sought; `None` if it is not for this scan to read.
    fn read(&mut self, file: &PartitionedFile) -> Result<Option<Vec<RecordBatch>>> {
        let Some(SparseFile { content, reader }) = file.extension::<SparseFile>() else { return Ok(None) };
        let metadata = match reader.footer(file) {
            Some(metadata) => metadata,
            None => self.handle.block_on(reader.read_footer(file))?,
        };
        let columns = match &mut self.columns {
            Some(columns) => columns,
            none => {
                let Some(columns) = Columns::of(&metadata, &self.sought, &self.outputs, &self.table)? else {
                    return Ok(None);
                };
                none.insert(columns)
            }
        };
        if !columns.are_of(&metadata) {
            return Ok(None);
        }
        let paged = reader.paged(file, *content, metadata)?;
        let chosen = file.extension::<ParquetAccessPlan>();
        let groups = (0..paged.groups()).filter(|group| chosen.is_none_or(|chosen| chosen.should_scan(*group)));
        let mut selected = Vec::new();
        let mut looked_at = 0;
        for group in groups {
            let Some(group) = paged.group(group) else { return Ok(None) };
            let Some(rows) = columns.find(&group, &self.sought.texts)? else { return Ok(None) };
            let all = group.metadata().num_rows() as usize;
            if rows.iter().map(Range::len).sum::<usize>() > all / FEW {
                return Ok(None);
            }
            looked_at += all;
            selected.push((group, rows));
        }
        let mut batches = Vec::new();
        for (group, rows) in selected.into_iter().filter(|(_, rows)| !rows.is_empty()) {
            looked_at -= rows.iter().map(Range::len).sum::<usize>();
            batches.extend(columns.read(&group, &rows, self.batch_rows)?);
        }
        self.rows_left.add(looked_at);
        Ok(Some(batches))
    }

    /// Has the replaced scan read a file.
    fn read_all(&mut self, file: PartitionedFile) -> Result<()> {
        let config = FileScanConfigBuilder::from(self.config.clone());
        let scan = DataSourceExec::from_data_source(config.with_file_groups(vec![vec![file].into()]).build());
        let mut batches = scan.execute(0, self.context.clone())?;
        let sender = &self.sender;
        self.handle.block_on(async {
            while let Some(batch) = batches.next().await {
                if sender.send(Ok(batch?)).await.is_err() {
                    break;
                }
            }
            Ok(())
        })
    }

    /// Hands on what passes the rest of the filter.
    fn give(&mut self, found: Vec<RecordBatch>) -> Result<()> {
        let (Some(columns), Some(first)) = (&self.columns, found.first()) else { return Ok(()) };
        let mut rows = concat_batches(&first.schema(), &found)?;
        if let Some(rest) = &columns.rest {
            let before = rows.num_rows();
            let passes = rest.evaluate(&rows)?.into_array(before)?;
            rows = filter_record_batch(&rows, datafusion::common::cast::as_boolean_array(&passes)?)?;
            self.rows_left.add(before - rows.num_rows());
        }
        let count = rows.num_rows();
        if count == 0 {
            return Ok(());
        }
        let outputs = columns.outputs.iter().map(|output| output.evaluate(&rows)?.into_array(count));
        let outputs = outputs.collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), outputs, &options)?;
        self.rows_given.add(count);
        // Nobody waits for it any more: the next look at the sender ends the scan.
        let _ = self.sender.blocking_send(Ok(batch));
        Ok(())
    }
}
