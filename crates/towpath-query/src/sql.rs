//! From the text of a statement to rows of text: Trino SQL over event data stores.
//!
//! What all queries have in common (functions, rules, settings) is made once; a query adds its memory, its tables and
//! its clock.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Schema};
use arrow::temporal_conversions::timestamp_us_to_datetime;
use datafusion::catalog::TableProvider;
use datafusion::common::DataFusionError;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::execution::TaskContext;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::functions_aggregate::first_last::first_value_udaf;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::prelude::SessionConfig;
use jiff::Timestamp;
use object_store::ObjectStore;
use towpath_lake::{EVENT_JSON, Objects, StoreSnapshot};
use towpath_trino::{CellFormatter, SqlError, Statement, TableName};

use crate::engine::Shared;
use crate::event_data_store_table::{Bound, EventDataStoreTable, objects_url};
use crate::file_reader::{CountingReaderFactory, FileCaches};
use crate::live::LiveQuery;
use crate::memory::{ProcessMemory, QueryMemory};
use crate::pages::PageCache;
use crate::repeatable::Repeatable;
use crate::result_file::ResultWriter;
use crate::scan_counters::ScanCounters;
use crate::sort_through_union::SortThroughUnion;
use crate::sparse_scan::ScanSparsely;
use crate::value_filters::ValueFilters;
use crate::{QueryError, QuerySettings, QueryStore};

/// Rows of a batch, between these: as many as keep its records within [`MAX_BATCH_BYTES`], and within a small part of
/// what the query may hold.
const MIN_BATCH_ROWS: usize = 64;
const MAX_BATCH_ROWS: usize = 8192;
const MAX_BATCH_BYTES: usize = 16 << 20;

/// A statement that was parsed: one SELECT.
#[derive(Clone, Debug)]
pub struct ParsedQuery {
    text: String,
    statement: Statement,
}

impl ParsedQuery {
    /// Parses a statement.
    pub(crate) fn parse(text: &str) -> Result<Self, QueryError> {
        let statement = towpath_trino::parse(text)?;
        Ok(Self { text: text.to_owned(), statement })
    }

    /// The text as it was given.
    pub fn statement(&self) -> &str {
        &self.text
    }

    /// The tables that the statement reads, each once, in order of appearance: lower case, as [`QueryStore::name`] must
    /// repeat them.
    pub fn tables(&self) -> Vec<&str> {
        self.statement.tables().iter().map(|table| table.name.as_str()).collect()
    }
}

impl From<SqlError> for QueryError {
    fn from(error: SqlError) -> Self {
        Self::invalid(error.to_string())
    }
}

/// Plans statements.
pub(crate) struct Planner {
    template: SessionState,
    runtime: RuntimeEnv,
    kept: FileCaches,
    memory: Arc<ProcessMemory>,
    memory_per_query: usize,
}

impl Planner {
    pub(crate) fn new(
        settings: &QuerySettings,
        spill: &Path,
        memory: Arc<ProcessMemory>,
        objects: Arc<dyn ObjectStore>,
    ) -> Result<Self, DataFusionError> {
        let disk = DiskManagerBuilder::default()
            .with_mode(DiskManagerMode::Directories(vec![spill.to_owned()]))
            .with_max_temp_directory_size(settings.spill_bytes);
        let runtime = RuntimeEnvBuilder::new()
            .with_disk_manager_builder(disk)
            .with_metadata_cache_limit(settings.metadata_cache_bytes)
            .build()?;
        let kept = FileCaches {
            filters: Arc::new(ValueFilters::new(objects.clone(), settings.filter_cache_bytes)),
            pages: Arc::new(PageCache::new(settings.page_cache_bytes)),
        };
        runtime.register_object_store(objects_url().as_ref(), objects);
        let template = SessionStateBuilder::new()
            .with_config(config(settings))
            .with_runtime_env(Arc::new(runtime.clone()))
            // Statements name Trino's functions, which towpath_trino brings. Each query copies what is registered here, so
            // it is what the optimizer asks for alone.
            .with_aggregate_functions(vec![first_value_udaf()])
            .with_physical_optimizer_rules(physical_rules())
            .build();
        Ok(Self { template, runtime, kept, memory, memory_per_query: settings.memory_bytes_per_query })
    }

    /// Resolves names and types of a statement over its stores.
    pub(crate) fn plan(
        &self,
        query: &ParsedQuery,
        stores: &[QueryStore],
        now: Timestamp,
    ) -> Result<PlannedQuery, QueryError> {
        let mut tables: Vec<(&str, Arc<EventDataStoreTable>)> = Vec::with_capacity(stores.len());
        for name in query.tables() {
            let store = stores.iter().find(|store| store.name == name);
            let store = store.ok_or_else(|| QueryError::StoreNotFound { name: name.to_owned() })?;
            tables.push((name, Arc::new(EventDataStoreTable::new(store.id, store.kind))));
        }
        let named = |wanted: &TableName| {
            let (_, table) = tables.iter().find(|(name, _)| *name == wanted.name)?;
            Some(table.clone() as Arc<dyn TableProvider>)
        };
        let state = self.session(now);
        let plan = towpath_trino::plan(&state, &query.statement, named, now)?;
        let columns = plan.columns.into_iter().map(|column| column.name).collect();
        let plan = state.optimize(&plan.logical).map_err(not_plannable)?;
        let tables = tables.into_iter().map(|(_, table)| table).collect();
        let batch_bytes = MAX_BATCH_BYTES.min(self.memory_per_query / 32);
        Ok(PlannedQuery { plan, state, tables, columns, batch_bytes })
    }

    /// What a query executes with: the functions and rules of all, memory of its own.
    fn session(&self, now: Timestamp) -> SessionState {
        let memory = QueryMemory::new(self.memory_per_query, self.memory.clone());
        let runtime = RuntimeEnv { memory_pool: Arc::new(memory), ..self.runtime.clone() };
        let mut state =
            SessionStateBuilder::new_from_existing(self.template.clone()).with_runtime_env(Arc::new(runtime)).build();
        // What now() answers, for the whole query.
        let instant = timestamp_us_to_datetime(now.as_microsecond()).map(|instant| instant.and_utc());
        state.execution_props_mut().query_execution_start_time = instant;
        state
    }

    /// A reader of files that counts into `counters`.
    pub(crate) fn reader(&self, objects: Objects, counters: Arc<ScanCounters>) -> Arc<CountingReaderFactory> {
        let footers = self.runtime.cache_manager.get_file_metadata_cache();
        CountingReaderFactory::new(objects, footers, self.kept.clone(), counters)
    }
}

/// What a failure of the optimizer means: types that do not fit are found there too.
fn not_plannable(error: DataFusionError) -> QueryError {
    match error.find_root() {
        DataFusionError::Internal(_) | DataFusionError::ResourcesExhausted(_) => QueryError::Execute(error),
        root => QueryError::invalid(root.message().to_string()),
    }
}

fn config(settings: &QuerySettings) -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_target_partitions(settings.thread_count())
        .with_information_schema(false)
        .with_create_default_catalog_and_schema(false);
    let options = config.options_mut();
    options.execution.parquet.pushdown_filters = true;
    options.execution.parquet.reorder_filters = true;
    options.execution.parquet.enable_page_index = true;
    options.execution.parquet.bloom_filter_on_read = true;
    // Scans spread files and their row groups themselves; ranges of bytes would open files once more for nothing.
    options.optimizer.repartition_file_scans = false;
    // What a sort keeps back for merging what it spilled; of little memory it may not be most.
    options.execution.sort_spill_reservation_bytes =
        options.execution.sort_spill_reservation_bytes.min(settings.memory_bytes_per_query / 16);
    options.execution.time_zone = Some("UTC".to_owned());
    config
}

/// DataFusion's rules, and ours after the ones they continue.
fn physical_rules() -> Vec<Arc<dyn datafusion::physical_optimizer::PhysicalOptimizerRule + Send + Sync>> {
    let mut rules = PhysicalOptimizer::new().rules;
    let after = rules.iter().position(|rule| rule.name() == "PushdownSort").map_or(rules.len(), |at| at + 1);
    rules.insert(after, Arc::new(SortThroughUnion));
    // When all that goes into a scan is in it.
    rules.push(Arc::new(ScanSparsely));
    rules
}

/// A statement with its names and types resolved, ready to run.
pub(crate) struct PlannedQuery {
    plan: LogicalPlan,
    state: SessionState,
    tables: Vec<Arc<EventDataStoreTable>>,
    columns: Vec<String>,
    batch_bytes: usize,
}

/// Bytes that an average row of a store takes, by its widest column, the record.
fn row_bytes(store: &StoreSnapshot) -> usize {
    let (mut bytes, mut rows) = (0, 0);
    for file in store.files.iter() {
        bytes += usize::try_from(file.raw_bytes).unwrap_or(usize::MAX);
        rows += usize::try_from(file.rows).unwrap_or(usize::MAX);
    }
    for batch in &store.hot {
        bytes += batch.column_by_name(EVENT_JSON).map_or(0, |column| column.get_array_memory_size());
        rows += batch.num_rows();
    }
    bytes / rows.max(1)
}

impl PlannedQuery {
    /// Names of the result's columns, as the API shows them.
    pub(crate) fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Takes a snapshot of the stores, and plans how to read them.
    pub(crate) async fn physical_plan(
        mut self,
        shared: &Shared,
        live: &LiveQuery,
    ) -> Result<(Arc<dyn ExecutionPlan>, Arc<TaskContext>), DataFusionError> {
        let external = |cause: QueryError| DataFusionError::External(Box::new(cause));
        let stores: Vec<_> = self.tables.iter().map(|table| (table.store(), table.kind())).collect();
        let snapshots = shared.snapshot(&stores).await.map_err(external)?;
        let row_bytes = snapshots.iter().map(row_bytes).max().unwrap_or(0);
        let batch_rows = (self.batch_bytes / row_bytes.max(1)).clamp(MIN_BATCH_ROWS, MAX_BATCH_ROWS);
        let config = self.state.config().clone().with_batch_size(batch_rows);
        *self.state.config_mut() = config;
        let reader = shared.reader(live.counters.clone());
        for (table, snapshot) in self.tables.iter().zip(snapshots) {
            table.bind(Bound {
                snapshot,
                lake: shared.lake.clone(),
                reader: reader.clone(),
                counters: live.counters.clone(),
            });
        }
        let plan = self.state.query_planner().create_physical_plan(&self.plan, &self.state).await?;
        Ok((made_fit(plan)?, self.state.task_ctx()))
    }
}

/// Makes joins give up their thread now and then, and begin anew where they have to.
///
/// A scan gives it up by itself, and what reads scans does so with it. A join can make any number of batches out of one that
/// it read; whoever consumes them would not be interrupted, and neither cancellation nor the time limit be noticed.
fn made_fit(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
    let joins = ["CrossJoinExec", "HashJoinExec", "NestedLoopJoinExec", "PiecewiseMergeJoin", "SortMergeJoinExec"];
    let wrapped = plan.transform_up(|node| {
        if !joins.contains(&node.name()) {
            return Ok(Transformed::no(node));
        }
        Ok(Transformed::yes(Arc::new(CooperativeExec::new(Repeatable::in_join(node)?)) as Arc<dyn ExecutionPlan>))
    });
    wrapped.map(|wrapped| wrapped.data)
}

/// Writes rows as text.
pub(crate) struct CellWriter {
    formatter: CellFormatter,
    /// Columns whose text is their value.
    plain: Vec<bool>,
}

impl CellWriter {
    pub(crate) fn new(schema: &Schema) -> Self {
        let plain = schema.fields().iter().map(|field| *field.data_type() == DataType::Utf8).collect();
        Self { formatter: CellFormatter::new(), plain }
    }

    /// Writes the cells of a row; returns their bytes.
    pub(crate) fn write_row(&self, batch: &RecordBatch, row: usize, writer: &mut ResultWriter) -> usize {
        let mut bytes = 0;
        for (column, plain) in batch.columns().iter().zip(&self.plain) {
            bytes += match column.as_string_opt::<i32>() {
                Some(texts) if *plain => writer.push_cell(texts.is_valid(row).then(|| texts.value(row))),
                _ => writer.push_cell(self.formatter.cell(column, row).as_deref()),
            };
        }
        bytes
    }
}
