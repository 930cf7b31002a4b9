//! Queries that are queued or running: what the process knows of them beyond their records.

use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;
use std::time::Instant;

use datafusion::physical_plan::ExecutionPlan;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::result_file::{ResultIndex, ResultReader};
use crate::scan_counters::{ScanCounters, events_of};
use crate::{QueryError, QueryId, QueryRecord, QueryStatistics, QueryStatus, Scope};

/// A query from its start until its end is in the ledger.
pub(crate) struct LiveQuery {
    /// As it was accepted.
    pub(crate) record: Arc<QueryRecord>,
    /// Asks it to stop.
    pub(crate) cancel: CancellationToken,
    /// What it reads.
    pub(crate) counters: Arc<ScanCounters>,
    status: watch::Sender<QueryStatus>,
    // Owned by the run; readers take what is there.
    progress: Mutex<Progress>,
}

#[derive(Default)]
struct Progress {
    running_since: Option<Instant>,
    plan: Option<Arc<dyn ExecutionPlan>>,
    answered_by_statistics: u64,
    rows: Option<(Arc<File>, ResultIndex)>,
    ended: Option<Arc<QueryRecord>>,
}

impl LiveQuery {
    pub(crate) fn new(record: QueryRecord, cancel: CancellationToken) -> Arc<Self> {
        Arc::new(Self {
            record: Arc::new(record),
            cancel,
            counters: Arc::default(),
            status: watch::Sender::new(QueryStatus::Queued),
            progress: Mutex::default(),
        })
    }

    /// Where it is now.
    pub(crate) fn status(&self) -> QueryStatus {
        *self.status.borrow()
    }

    /// Waits until it has ended, and returns how.
    pub(crate) async fn ended(&self) -> QueryStatus {
        let mut status = self.status.subscribe();
        let last = status.wait_for(|status| !status.is_open()).await.map(|status| *status);
        last.unwrap_or_else(|_| self.status())
    }

    pub(crate) fn set_running(&self) {
        self.progress.lock().running_since = Some(Instant::now());
        self.status.send_replace(QueryStatus::Running);
    }

    pub(crate) fn set_plan(&self, plan: Arc<dyn ExecutionPlan>) {
        let mut progress = self.progress.lock();
        progress.answered_by_statistics = self.counters.answered_by_statistics(plan.as_ref());
        progress.plan = Some(plan);
    }

    /// Tells readers of rows that can be read.
    pub(crate) fn set_rows(&self, file: Arc<File>, index: ResultIndex) {
        self.progress.lock().rows = Some((file, index));
    }

    /// It has ended so. Those who ask know at once; the ledger follows.
    pub(crate) fn set_ended(&self, record: Arc<QueryRecord>) {
        let status = record.status;
        let mut progress = self.progress.lock();
        progress.ended = Some(record);
        progress.plan = None;
        drop(progress);
        self.status.send_replace(status);
    }

    /// The record as of now.
    pub(crate) fn snapshot(&self) -> QueryRecord {
        let progress = self.progress.lock();
        if let Some(record) = &progress.ended {
            return QueryRecord::clone(record);
        }
        let statistics = self.statistics_of(&progress);
        drop(progress);
        QueryRecord { status: self.status(), statistics, ..QueryRecord::clone(&self.record) }
    }

    /// What it has read and given so far.
    pub(crate) fn statistics(&self) -> QueryStatistics {
        self.statistics_of(&self.progress.lock())
    }

    /// The rows written so far.
    pub(crate) fn rows(&self) -> Option<ResultReader> {
        let progress = self.progress.lock();
        let (file, index) = progress.rows.as_ref()?;
        Some(ResultReader::live(file.clone(), index.clone()))
    }

    fn statistics_of(&self, progress: &Progress) -> QueryStatistics {
        let (events_scanned, events_matched) = progress.plan.as_deref().map_or((0, 0), events_of);
        QueryStatistics {
            events_matched: events_matched + progress.answered_by_statistics,
            events_scanned: events_scanned + progress.answered_by_statistics,
            bytes_scanned: self.counters.bytes(),
            files_scanned: self.counters.files_scanned(),
            files_pruned: self.counters.files_pruned(),
            rows: progress.rows.as_ref().map_or(0, |(_, index)| index.rows()),
            execution_millis: progress.running_since.map_or(0, |since| since.elapsed().as_millis() as u64),
        }
    }
}

/// All queries that are queued or running.
#[derive(Default)]
pub(crate) struct LiveQueries(Mutex<HashMap<QueryId, Arc<LiveQuery>>>);

impl LiveQueries {
    /// Adds a query unless its account has `limit` of them in this region already.
    pub(crate) fn add(&self, query: &Arc<LiveQuery>, limit: usize) -> Result<(), QueryError> {
        let mut live = self.0.lock();
        let scope: &Scope = &query.record.scope;
        let open = live.values().filter(|other| other.record.scope == *scope && other.status().is_open()).count();
        if open >= limit {
            return Err(QueryError::MaxConcurrentQueries { limit });
        }
        live.insert(query.record.id, query.clone());
        Ok(())
    }

    pub(crate) fn get(&self, id: QueryId) -> Option<Arc<LiveQuery>> {
        self.0.lock().get(&id).cloned()
    }

    pub(crate) fn remove(&self, id: QueryId) {
        self.0.lock().remove(&id);
    }

    pub(crate) fn all(&self) -> Vec<Arc<LiveQuery>> {
        self.0.lock().values().cloned().collect()
    }
}
