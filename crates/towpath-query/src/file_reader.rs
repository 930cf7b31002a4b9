//! Reading Parquet files of the lake: footers from a cache of the process, everything counted for the query.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::datasource::physical_plan::parquet::{CachedParquetFileReaderFactory, CachedParquetMetaData};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::cache::cache_manager::FileMetadataCache;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::ObjectMeta;
use object_store::path::Path;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use towpath_lake::{DataFile, FileBytes, Objects};
use uuid::Uuid;

use crate::condition::Condition;
use crate::pages::{PageCache, PagedFile};
use crate::scan_counters::ScanCounters;
use crate::value_filters::{Candidate, ValueFilters};

/// Opens files for one query.
#[derive(Debug)]
pub(crate) struct CountingReaderFactory {
    objects: Objects,
    cached: CachedParquetFileReaderFactory,
    footers: Arc<FileMetadataCache>,
    kept: FileCaches,
    counters: Arc<ScanCounters>,
}

/// What is kept of files beside their footers. One for the process.
#[derive(Clone, Debug)]
pub(crate) struct FileCaches {
    /// Filters of values.
    pub(crate) filters: Arc<ValueFilters>,
    /// Decompressed pages.
    pub(crate) pages: Arc<PageCache>,
}

impl CountingReaderFactory {
    pub(crate) fn new(
        objects: Objects,
        footers: Arc<FileMetadataCache>,
        kept: FileCaches,
        counters: Arc<ScanCounters>,
    ) -> Arc<Self> {
        let cached = CachedParquetFileReaderFactory::new(objects.store().clone(), footers.clone());
        Arc::new(Self { objects, cached, footers, kept, counters })
    }

    /// Leaves out files whose filters say that no row of them passes.
    pub(crate) async fn candidates(&self, files: Vec<Arc<DataFile>>, condition: &Condition) -> Result<Vec<Candidate>> {
        self.kept.filters.candidates(files, condition, &self.counters).await
    }

    /// The footer of a file of a plan, with its index of pages, if it is in memory.
    pub(crate) fn footer(&self, file: &PartitionedFile) -> Option<Arc<ParquetMetaData>> {
        let kept = self.footers.get(&file.object_meta.location)?;
        let footer = kept.file_metadata.as_any().downcast_ref::<CachedParquetMetaData>()?.parquet_metadata();
        footer.offset_index().is_some().then(|| footer.clone())
    }

    /// Reads the footer of a file of a plan, with its index of pages if it has one.
    pub(crate) async fn read_footer(&self, file: &PartitionedFile) -> Result<Arc<ParquetMetaData>> {
        let mut reader = self.create_reader(0, file.clone(), None, &ExecutionPlanMetricsSet::new())?;
        Ok(reader.get_metadata(None).await?)
    }

    /// Opens a file of a plan whose `content` has this footer, for reading it page by page on a thread that may block.
    pub(crate) fn paged(
        &self,
        file: &PartitionedFile,
        content: Uuid,
        metadata: Arc<ParquetMetaData>,
    ) -> Result<PagedFile> {
        let path = &file.object_meta.location;
        let bytes = FileBytes::open(&self.objects, path, file.object_meta.size);
        let bytes = Arc::new(bytes.map_err(|cause| DataFusionError::External(cause.into()))?);
        self.counters.opened_file(path);
        Ok(PagedFile { content, bytes, metadata, cache: self.kept.pages.clone(), counters: self.counters.clone() })
    }

    /// Opens a file outside of a plan.
    pub(crate) fn open(&self, file: &DataFile) -> Result<CountingReader> {
        let inner = self.cached.create_reader(0, partitioned_file(file), None, &ExecutionPlanMetricsSet::new())?;
        Ok(self.counted(file.path(), inner))
    }

    fn counted(&self, path: Path, inner: Box<dyn AsyncFileReader + Send>) -> CountingReader {
        CountingReader { path, inner, counters: self.counters.clone(), opened: false }
    }
}

impl ParquetFileReaderFactory for CountingReaderFactory {
    fn create_reader(
        &self,
        partition: usize,
        file: PartitionedFile,
        metadata_size_hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        let path = file.object_meta.location.clone();
        Ok(Box::new(self.counted(path, self.cached.create_reader(partition, file, metadata_size_hint, metrics)?)))
    }
}

/// A file as plans name it.
pub(crate) fn partitioned_file(file: &DataFile) -> PartitionedFile {
    PartitionedFile::new_from_meta(ObjectMeta {
        location: file.path(),
        // A file never changes: its name says all that a cache of footers needs to know.
        last_modified: Default::default(),
        size: file.size,
        e_tag: None,
        version: None,
    })
}

/// Counts the bytes of a file as they are read. Footers come from the cache and are not counted.
pub(crate) struct CountingReader {
    path: Path,
    inner: Box<dyn AsyncFileReader + Send>,
    counters: Arc<ScanCounters>,
    opened: bool,
}

impl CountingReader {
    fn count(&mut self, bytes: u64) {
        if !self.opened {
            self.opened = true;
            self.counters.opened_file(&self.path);
        }
        self.counters.read(bytes);
    }
}

impl AsyncFileReader for CountingReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, parquet::errors::Result<Bytes>> {
        self.count(range.end - range.start);
        self.inner.get_bytes(range)
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, parquet::errors::Result<Vec<Bytes>>> {
        self.count(ranges.iter().map(|range| range.end - range.start).sum());
        self.inner.get_byte_ranges(ranges)
    }

    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, parquet::errors::Result<Arc<ParquetMetaData>>> {
        // The index of pages is always wanted: without it rows that a filter on a member of a struct chose would be read
        // with all pages of their columns.
        async {
            let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
            self.inner.get_metadata(Some(&options)).await
        }
        .boxed()
    }
}
