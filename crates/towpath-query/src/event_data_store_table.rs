//! An event data store as a table: the files of a snapshot and its hot rows in one plan.
//!
//! A scan decides in this order what it need not read, each step cheaper than the next:
//!
//! 1. the range of time, which is taken out of the filter: of a file within it no time is looked at;
//! 2. the manifest, in memory: listed values, least and greatest value of each file;
//! 3. an event id: the lake's index of keys names the day, and usually the file;
//! 4. filters of values (`useridentity.accesskeyid = ..`), for files and row groups;
//! 5. DataFusion: statistics, bloom filters and page index of columns, then late materialization row by row.
//!
//! Filters that [dig into the stored record](crate::stored_filter) are kept by the scan like the range of time.

mod named_files;

use std::fmt;
use std::sync::{Arc, OnceLock};

use arrow::array::RecordBatch;
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue, exec_datafusion_err};
use datafusion::config::TableParquetOptions;
use datafusion::datasource::TableType;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::physical_plan::{FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, Operator, TableProviderFilterPushDown};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, Literal};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::union::UnionExec;
use towpath_lake::{DataFile, EVENT_JSON, EVENT_TIME, Lake, StoreSnapshot, file_schema, schema};
use towpath_model::{EventKey, EventTime, StoreId, StoreKind};

use self::named_files::{NamedFiles, groups};
use crate::condition::Condition;
use crate::file_facts::FileFacts;
use crate::file_reader::CountingReaderFactory;
use crate::scan_counters::ScanCounters;
use crate::stored_columns::StoredColumns;
use crate::stored_filter::{columns_of, stored_filter};
use crate::time_range::TimeRange;
use crate::value_filters::Candidate;

/// Event ids of one filter that are looked up in the index; a longer list is left to statistics.
const MAX_LOOKED_UP: usize = 256;

/// Moments that are looked for one by one; of more, the first and the last.
const MAX_MOMENTS: usize = 16;

/// A store as SQL sees it. Names and types are known at once; the rows are bound when it is the query's turn.
pub(crate) struct EventDataStoreTable {
    store: StoreId,
    kind: StoreKind,
    schema: SchemaRef,
    bound: OnceLock<Bound>,
}

/// What a table reads.
pub(crate) struct Bound {
    pub(crate) snapshot: StoreSnapshot,
    pub(crate) lake: Lake,
    pub(crate) reader: Arc<CountingReaderFactory>,
    pub(crate) counters: Arc<ScanCounters>,
}

impl EventDataStoreTable {
    /// The table of a store.
    pub(crate) fn new(store: StoreId, kind: StoreKind) -> Self {
        Self { store, kind, schema: schema(kind), bound: OnceLock::new() }
    }

    /// The store.
    pub(crate) fn store(&self) -> StoreId {
        self.store
    }

    /// Its kind.
    pub(crate) fn kind(&self) -> StoreKind {
        self.kind
    }

    /// Says what to read. A table is bound once.
    pub(crate) fn bind(&self, bound: Bound) {
        let _ = self.bound.set(bound);
    }
}

impl fmt::Debug for EventDataStoreTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventDataStoreTable({})", self.store)
    }
}

#[async_trait]
impl TableProvider for EventDataStoreTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        // A range of time is kept here, and so is what stored records answer. For others files are ruled out; rows are
        // filtered by the plan, which hands the filters on to the reader.
        let kept = |filter: &Expr| TimeRange::of(filter).is_some() || stored_filter(self.kind, filter).is_some();
        let each = filters.iter().map(|filter| match kept(filter) {
            true => TableProviderFilterPushDown::Exact,
            false => TableProviderFilterPushDown::Inexact,
        });
        Ok(each.collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let bound = self.bound.get().ok_or_else(|| exec_datafusion_err!("store {} is not bound", self.store))?;
        let wanted: Vec<usize> = match projection {
            Some(indices) => indices.clone(),
            None => (0..self.schema.fields().len()).collect(),
        };
        let stored: Vec<_> = filters.iter().filter_map(|filter| stored_filter(self.kind, filter)).collect();
        let columns = StoredColumns::of(self.kind, &self.schema, &wanted, columns_of(&stored))?;
        let condition = Condition::of_filters(filters);
        let range = filters.iter().filter_map(TimeRange::of).fold(TimeRange::ALL, TimeRange::and);
        let range = range.since(bound.snapshot.cutoff);
        let chosen = bound.choose(&condition, range).await?;
        bound.counters.pruned_files(bound.snapshot.files.len() - chosen.files.len());
        let plan = bound.plan(state, self.kind, &columns, chosen, range)?;
        bound.counters.planned(&plan);
        columns.finish(filtered(state, plan, stored)?)
    }
}

/// Leaves out rows that do not pass all of the filters.
fn filtered(state: &dyn Session, plan: Arc<dyn ExecutionPlan>, filters: Vec<Expr>) -> Result<Arc<dyn ExecutionPlan>> {
    let Some(filter) = conjunction(filters) else { return Ok(plan) };
    let schema = DFSchema::try_from(plan.schema())?;
    let filter = state.create_physical_expr(filter, &schema)?;
    Ok(Arc::new(FilterExec::try_new(filter, plan)?))
}

/// The files that may hold rows that pass, and when those rows must have occurred if that is known.
struct Chosen {
    files: Vec<Candidate>,
    moments: Option<Vec<i64>>,
}

impl Bound {
    async fn choose(&self, condition: &Condition, range: TimeRange) -> Result<Chosen> {
        let files = self.snapshot.files.iter().filter(|file| range.touches(file));
        let files: Vec<_> = files.filter(|file| condition.may_match(&FileFacts(file))).cloned().collect();
        let (files, moments) = match condition.values_at("eventid") {
            Some(ids) if ids.len() <= MAX_LOOKED_UP && !files.is_empty() => self.locate(ids, files).await?,
            _ => (files, None),
        };
        Ok(Chosen { files: self.reader.candidates(files, condition).await?, moments })
    }

    /// Asks the index of keys when these events occurred: they are in files of that time, at that time.
    ///
    /// Of an id that is no UUID there may be several events, which the index does not know by it: all files may have one.
    async fn locate(
        &self,
        ids: &[String],
        mut files: Vec<Arc<DataFile>>,
    ) -> Result<(Vec<Arc<DataFile>>, Option<Vec<i64>>)> {
        let keys: Option<Vec<_>> = ids.iter().map(|id| EventKey::of_event_id(id)).collect();
        let Some(keys) = keys else { return Ok((files, None)) };
        let mut times = Vec::new();
        for key in keys {
            let located = self.lake.find(self.snapshot.store, key).await;
            let located = located.map_err(|cause| DataFusionError::External(cause.into()))?;
            // An event that the index does not know, or that is in the hot tail now, was in no file before.
            times.extend(located.filter(|located| !located.files.is_empty()).map(|located| located.time));
        }
        files.retain(|file| times.iter().any(|time| file.may_overlap(*time, *time)));
        Ok((files, Some(times.into_iter().map(EventTime::as_millis).collect())))
    }

    fn plan(
        &self,
        state: &dyn Session,
        kind: StoreKind,
        columns: &StoredColumns,
        Chosen { files, moments }: Chosen,
        range: TimeRange,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let moments = moments.as_deref();
        let target = state.config().target_partitions().max(1);
        let (whole, cut): (Vec<_>, Vec<_>) = files.into_iter().partition(|candidate| range.covers(&candidate.file));
        let mut inputs = Vec::new();
        if !whole.is_empty() {
            inputs.push(self.scan_files(
                state,
                kind,
                self.named(kind, whole, target),
                columns.indices.clone(),
                moments,
            )?);
        }
        if !cut.is_empty() {
            inputs.push(self.scan_cut_files(state, kind, self.named(kind, cut, target), columns, moments, range)?);
        }
        let hot = visible(&self.snapshot.hot, range)?;
        if !hot.is_empty() {
            let partitions = spread(hot, target);
            inputs.push(MemorySourceConfig::try_new_exec(
                &partitions,
                file_schema(kind),
                Some(columns.indices.clone()),
            )?);
        }
        match inputs.len() {
            0 => Ok(Arc::new(EmptyExec::new(columns.schema.clone()))),
            1 => Ok(inputs.swap_remove(0)),
            _ => UnionExec::try_new(inputs),
        }
    }

    fn scan_files(
        &self,
        state: &dyn Session,
        kind: StoreKind,
        named: NamedFiles,
        indices: Vec<usize>,
        moments: Option<&[i64]>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mut options =
            TableParquetOptions { global: state.config().options().execution.parquet.clone(), ..Default::default() };
        options.global.pushdown_filters = true;
        options.global.reorder_filters = true;
        options.global.enable_page_index = true;
        options.global.bloom_filter_on_read = true;
        options.global.force_filter_selections = is_heavy(kind, &indices);
        let mut source = ParquetSource::new(file_schema(kind))
            .with_table_parquet_options(options)
            .with_parquet_file_reader_factory(self.reader.clone());
        if let Some(moments) = moments {
            source = source.with_predicate(at_moments(kind, moments)?);
        }
        let config = FileScanConfigBuilder::new(objects_url(), Arc::new(source))
            .with_file_groups(groups(named.files, state.config().target_partitions().max(1)))
            .with_statistics(named.statistics)
            .with_projection_indices(Some(indices))?;
        Ok(DataSourceExec::from_data_source(config.build()))
    }

    /// A scan of files with rows outside of the range: those are left out.
    fn scan_cut_files(
        &self,
        state: &dyn Session,
        kind: StoreKind,
        named: NamedFiles,
        columns: &StoredColumns,
        moments: Option<&[i64]>,
        range: TimeRange,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let event_time = file_schema(kind).index_of(EVENT_TIME)?;
        let mut indices = columns.indices.clone();
        let at = indices.iter().position(|index| *index == event_time).unwrap_or_else(|| {
            indices.push(event_time);
            indices.len() - 1
        });
        let scan = self.scan_files(state, kind, named, indices, moments)?;
        let filtered: Arc<dyn ExecutionPlan> = Arc::new(FilterExec::try_new(range.filter(at), scan)?);
        if filtered.schema().fields().len() == columns.indices.len() {
            return Ok(filtered);
        }
        let kept = columns.schema.fields().iter().enumerate();
        let kept = kept.map(|(at, field)| {
            (Arc::new(Column::new(field.name(), at)) as Arc<dyn PhysicalExpr>, field.name().clone())
        });
        Ok(Arc::new(ProjectionExec::try_new(kept.collect::<Vec<_>>(), filtered)?))
    }
}

/// True if the columns are dear to decode: maps, lists and the record. Rows that a filter dropped are then skipped one by
/// one, where the reader would else decode short stretches of them and throw them away.
fn is_heavy(kind: StoreKind, indices: &[usize]) -> bool {
    let schema = file_schema(kind);
    indices
        .iter()
        .map(|index| schema.field(*index))
        .any(|field| matches!(field.data_type(), DataType::Map(..) | DataType::List(_)) || field.name() == EVENT_JSON)
}

/// True of rows that occurred at one of these moments: what the page index can find them by.
fn at_moments(kind: StoreKind, moments: &[i64]) -> Result<Arc<dyn PhysicalExpr>> {
    let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(EVENT_TIME, file_schema(kind).index_of(EVENT_TIME)?));
    let compare = |operator, moment| -> Arc<dyn PhysicalExpr> {
        let moment = Literal::new(ScalarValue::TimestampMillisecond(moment, None));
        Arc::new(BinaryExpr::new(column.clone(), operator, Arc::new(moment)))
    };
    if moments.len() > MAX_MOMENTS {
        let (first, last) = (moments.iter().min().copied(), moments.iter().max().copied());
        let from = compare(Operator::GtEq, first);
        return Ok(Arc::new(BinaryExpr::new(from, Operator::And, compare(Operator::LtEq, last))));
    }
    let each = moments.iter().map(|moment| compare(Operator::Eq, Some(*moment)));
    let any = each.reduce(|any, next| Arc::new(BinaryExpr::new(any, Operator::Or, next)) as Arc<dyn PhysicalExpr>);
    Ok(any.unwrap_or_else(|| Arc::new(Literal::new(ScalarValue::Boolean(Some(false))))))
}

/// The object store of the lake, as plans name it.
pub(crate) fn objects_url() -> ObjectStoreUrl {
    ObjectStoreUrl::parse("towpath://lake").expect("the address is well formed")
}

/// Spreads hot batches over partitions: about the same rows in each.
fn spread(batches: Vec<RecordBatch>, target: usize) -> Vec<Vec<RecordBatch>> {
    let mut partitions: Vec<(usize, Vec<RecordBatch>)> = vec![Default::default(); target.min(batches.len())];
    for batch in batches {
        if let Some((rows, partition)) = partitions.iter_mut().min_by_key(|(rows, _)| *rows) {
            *rows += batch.num_rows();
            partition.push(batch);
        }
    }
    partitions.into_iter().map(|(_, batches)| batches).collect()
}

/// Leaves out rows outside of the range.
pub(crate) fn visible(batches: &[RecordBatch], range: TimeRange) -> Result<Vec<RecordBatch>> {
    if range == TimeRange::ALL {
        return Ok(batches.to_vec());
    }
    let mut kept = Vec::with_capacity(batches.len());
    for batch in batches {
        let inside = range.rows(batch)?;
        match inside.true_count() {
            0 => {}
            all if all == batch.num_rows() => kept.push(batch.clone()),
            _ => kept.push(filter_record_batch(batch, &inside)?),
        }
    }
    Ok(kept)
}
