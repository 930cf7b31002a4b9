//! Which files, and which of their row groups, may hold a text: told by the Parquet bloom filters that files carry.
//!
//! The manifest says where the filters lie, so a file is ruled out by a few kilobytes of it, without its footer.
//! Filters stay in memory, as many as fit: the second look through a year of files reads nothing.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::physical_plan::parquet::ParquetAccessPlan;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::{ObjectStore, ObjectStoreExt};
use parking_lot::Mutex;
use parquet::bloom_filter::Sbbf;
use towpath_lake::{DataFile, FilterPlace};
use uuid::Uuid;

use crate::condition::{Condition, Facts};
use crate::file_facts::FileFacts;
use crate::kept::Kept;
use crate::scan_counters::ScanCounters;

/// Files whose filters are looked at while planning; of more, none is.
const MAX_FILES: usize = 20_000;
/// Files that are looked at at a time.
const AT_A_TIME: usize = 16;
/// Longest list of texts that filters are asked for.
const MAX_VALUES: usize = 64;

/// A file and where in it a filter lies.
type Place = (Uuid, u64);

/// The filters of the lake's files. One for the process.
#[derive(Debug)]
pub(crate) struct ValueFilters {
    objects: Arc<dyn ObjectStore>,
    // Held for a few lines.
    kept: Mutex<Kept<Place, Arc<Sbbf>>>,
}

/// A file that may hold rows that pass, and which of its row groups may; `None`: all of them, or not known.
pub(crate) struct Candidate {
    pub(crate) file: Arc<DataFile>,
    pub(crate) groups: Option<ParquetAccessPlan>,
}

impl ValueFilters {
    /// Reads from `objects` and keeps up to so many bytes.
    pub(crate) fn new(objects: Arc<dyn ObjectStore>, most_bytes: usize) -> Self {
        Self { objects, kept: Mutex::new(Kept::new(most_bytes)) }
    }

    /// Leaves out files without rows that pass. What is read is counted.
    pub(crate) async fn candidates(
        &self,
        files: Vec<Arc<DataFile>>,
        condition: &Condition,
        counters: &ScanCounters,
    ) -> Result<Vec<Candidate>> {
        let paths = paths(condition);
        if paths.is_empty() || files.len() > MAX_FILES {
            return Ok(files.into_iter().map(|file| Candidate { file, groups: None }).collect());
        }
        let looks: Vec<_> = files.into_iter().map(|file| self.look(file, &paths, condition, counters)).collect();
        let found: Vec<_> = stream::iter(looks).buffered(AT_A_TIME).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn look(
        &self,
        file: Arc<DataFile>,
        paths: &BTreeSet<String>,
        condition: &Condition,
        counters: &ScanCounters,
    ) -> Result<Option<Candidate>> {
        // Where the manifest lists every value a filter has nothing to add.
        let listed = |path: &str| file.columns.get(path).is_some_and(|stats| stats.values.is_some());
        let wanted: Vec<_> = paths
            .iter()
            .filter(|path| !listed(path))
            .filter_map(|path| Some((path.as_str(), file.filters.get(path)?)))
            .collect();
        let groups = wanted.iter().map(|(_, places)| places.len()).max().unwrap_or(0);
        let mut dropped = Vec::new();
        for group in 0..groups {
            let mut filters = HashMap::new();
            for (path, places) in &wanted {
                if let Some(place) = places.get(group).filter(|place| place.1 > 0) {
                    filters.insert(*path, self.filter(&file, *place, counters).await?);
                }
            }
            if !condition.may_match(&GroupFacts { file: FileFacts(&file), filters }) {
                dropped.push(group);
            }
        }
        if dropped.is_empty() {
            return Ok(Some(Candidate { file, groups: None }));
        }
        if dropped.len() == groups {
            return Ok(None);
        }
        let mut plan = ParquetAccessPlan::new_all(groups);
        dropped.into_iter().for_each(|group| plan.skip(group));
        Ok(Some(Candidate { file, groups: Some(plan) }))
    }

    async fn filter(
        &self,
        file: &DataFile,
        FilterPlace(offset, length): FilterPlace,
        counters: &ScanCounters,
    ) -> Result<Arc<Sbbf>> {
        let key = (file.id, offset);
        if let Some(filter) = self.kept.lock().get(&key) {
            return Ok(filter);
        }
        let path = file.path();
        let end = offset + u64::from(length);
        let read = self.objects.get_range(&path, offset..end).await;
        let bytes = read.map_err(|cause| DataFusionError::ObjectStore(Box::new(cause)))?;
        counters.opened_file(&path);
        counters.read(u64::from(length));
        let filter = Sbbf::from_bytes(&bytes).map_err(|cause| DataFusionError::ParquetError(Box::new(cause)))?;
        let filter = Arc::new(filter);
        self.kept.lock().put(key, filter.clone(), length as usize);
        Ok(filter)
    }
}

/// The paths at which a condition asks for texts one by one.
fn paths(condition: &Condition) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    condition.each_text(&mut |path, values| {
        if values.len() <= MAX_VALUES {
            paths.insert(path.to_owned());
        }
    });
    paths
}

/// What is known of a row group: what is known of its file, and its filters.
struct GroupFacts<'a> {
    file: FileFacts<'a>,
    filters: HashMap<&'a str, Arc<Sbbf>>,
}

impl Facts for GroupFacts<'_> {
    fn may_hold(&self, path: &str, value: &str) -> bool {
        self.file.may_hold(path, value) && self.filters.get(path).is_none_or(|filter| filter.check(value))
    }

    fn may_hold_between(&self, path: &str, low: Option<&str>, high: Option<&str>) -> bool {
        self.file.may_hold_between(path, low, high)
    }

    fn may_hold_time(&self, path: &str, from: Option<i64>, to: Option<i64>) -> bool {
        self.file.may_hold_time(path, from, to)
    }
}
