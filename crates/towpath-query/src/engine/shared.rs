//! What the engine and the runs of its queries share: records of queries, snapshots, and what becomes of results.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use towpath_lake::{Lake, StoreSnapshot};
use towpath_log::Log;
use towpath_meta::MetaError;
use towpath_model::{Clock, Quotas, StoreId, StoreKind};

use crate::file_reader::CountingReaderFactory;
use crate::ledger::{Entry, Ledger};
use crate::ledger_writer::LedgerWriter;
use crate::live::LiveQueries;
use crate::page_token::PageTokens;
use crate::result_file::ending;
use crate::run::{INTERRUPTED, LOST};
use crate::scan_counters::ScanCounters;
use crate::sql::Planner;
use crate::{QueryError, QueryId, QueryRecord, QuerySettings, QueryStatus, Scope};

/// How long an answer about a query that is running waits for its end. Whoever asks for a short query's rows gets them with
/// the first answer, not with the second, which would come later than this.
const END_WAIT: Duration = Duration::from_millis(50);

/// What names of result files end with.
const RESULTS: &str = ".rows";

/// Queries that one step of the sweeper removes.
const SWEEP_STEP: usize = 500;

/// What the engine and the runs of its queries have in common.
pub(crate) struct Shared {
    pub(crate) log: Log,
    pub(crate) lake: Lake,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: QuerySettings,
    pub(crate) ledger: Ledger,
    pub(crate) ledger_writer: LedgerWriter,
    pub(crate) live: LiveQueries,
    pub(crate) turns: Arc<Semaphore>,
    // Of the runtime that opened the engine. Threads that are busy with queries look at their own clock seldom.
    pub(crate) timers: tokio::runtime::Handle,
    pub(crate) planner: Planner,
    pub(crate) tokens: PageTokens,
    pub(super) quotas: Quotas,
    pub(super) results: PathBuf,
    // True once results that a crash left without a query are gone.
    pub(super) strays_removed: AtomicBool,
    pub(super) stop: CancellationToken,
}

impl Shared {
    /// Where the rows of a query are.
    pub(crate) fn result_path(&self, id: QueryId) -> PathBuf {
        self.results.join(format!("{id}{RESULTS}"))
    }

    pub(super) async fn record(&self, scope: &Scope, id: &str) -> Result<QueryRecord, QueryError> {
        let unknown = || QueryError::QueryIdNotFound { id: id.to_owned() };
        let id = parse_id(id)?;
        let record = match self.live.get(id) {
            Some(live) => Some(live.snapshot()),
            None => self.ledger.get(id).await.map_err(|cause| QueryError::Meta { doing: "read the query", cause })?,
        };
        let oldest = self.oldest_kept();
        record.filter(|record| record.scope == *scope && record.created >= oldest).ok_or_else(unknown)
    }

    /// The record of a query; of one that is open, once it has ended or [a moment](END_WAIT) has passed.
    pub(super) async fn record_soon(&self, scope: &Scope, id: &str) -> Result<QueryRecord, QueryError> {
        let record = self.record(scope, id).await?;
        match self.live.get(record.id).filter(|_| record.status.is_open()) {
            None => Ok(record),
            Some(live) => {
                let _ = tokio::time::timeout(END_WAIT, live.ended()).await;
                self.record(scope, id).await
            }
        }
    }

    /// A store as of now: everything acknowledged before the call is in it.
    pub(crate) async fn read_store(
        &self,
        store: StoreId,
        kind: StoreKind,
    ) -> Result<(StoreSnapshot, Arc<CountingReaderFactory>), QueryError> {
        let snapshot = self.snapshot(&[(store, kind)]).await?.pop();
        let snapshot = snapshot.ok_or_else(|| QueryError::Lake("snapshot has no store".into()))?;
        Ok((snapshot, self.reader(Arc::default())))
    }

    /// Some stores as of now, all of one moment.
    pub(crate) async fn snapshot(&self, stores: &[(StoreId, StoreKind)]) -> Result<Vec<StoreSnapshot>, QueryError> {
        let snapshot =
            self.lake.snapshot(stores, self.log.committed()).await.map_err(|cause| QueryError::Lake(cause.into()))?;
        Ok(snapshot.stores)
    }

    /// A reader of the lake's files.
    pub(crate) fn reader(&self, counters: Arc<ScanCounters>) -> Arc<CountingReaderFactory> {
        self.planner.reader(self.lake.objects().clone(), counters)
    }

    pub(super) fn oldest_kept(&self) -> Timestamp {
        self.clock.now().checked_sub(self.settings.keep).unwrap_or(Timestamp::MIN)
    }

    /// Closes the queries that were open when the process ended: as their result files say they ended, else as failed.
    pub(super) async fn close_interrupted(&self) -> Result<(), MetaError> {
        for mut record in self.ledger.open_queries().await? {
            if let Some(ended) = self.ended_before(&record) {
                record = ended;
            } else {
                remove_file(&self.result_path(record.id));
                record.status = QueryStatus::Failed;
                record.error = Some(INTERRUPTED.to_owned());
                record.statistics.rows = 0;
                tracing::info!(query = %record.id, "query was interrupted");
            }
            self.ledger.write(&[Entry::Ended(Arc::new(record))]).await?;
        }
        Ok(())
    }

    /// How a query had ended whose end the ledger does not know.
    pub(crate) fn ended_before(&self, open: &QueryRecord) -> Option<QueryRecord> {
        let ending = ending(&self.result_path(open.id)).ok()?;
        let record: QueryRecord = serde_json::from_slice(&ending).ok()?;
        (record.id == open.id && !record.status.is_open()).then_some(record)
    }

    /// The record of a query that had ended and whose results are gone: from now on it has failed.
    pub(super) async fn lose(&self, mut record: QueryRecord, cause: &io::Error) -> Result<QueryRecord, QueryError> {
        tracing::warn!(query = %record.id, %cause, "results are lost");
        record.status = QueryStatus::Failed;
        record.error = Some(LOST.to_owned());
        record.statistics.rows = 0;
        let kept = self.ledger_writer.close(Arc::new(record.clone())).await;
        kept.map_err(|cause| QueryError::Meta { doing: "keep the query", cause })?;
        remove_file(&self.result_path(record.id));
        Ok(record)
    }

    /// Removes results of queries that a crash did not leave a record of.
    async fn remove_strays(&self) -> Result<(), QueryError> {
        let failed = |cause| QueryError::Folder { doing: "list results", cause };
        let folder = self.results.clone();
        let list = move || -> io::Result<Vec<QueryId>> {
            let mut ids = Vec::new();
            for entry in std::fs::read_dir(folder)? {
                let name = entry?.file_name();
                let id = name.to_str().and_then(|name| name.strip_suffix(RESULTS)?.parse::<QueryId>().ok());
                ids.extend(id);
            }
            Ok(ids)
        };
        let ids = tokio::task::spawn_blocking(list).await.unwrap_or_else(|cause| Err(io::Error::other(cause)));
        for id in ids.map_err(failed)? {
            // A query is live until its record is durable, so it is in one of the two when they are asked in this order.
            if self.live.get(id).is_some() {
                continue;
            }
            let known =
                self.ledger.get(id).await.map_err(|cause| QueryError::Meta { doing: "read the query", cause })?;
            if known.is_none() {
                remove_file(&self.result_path(id));
            }
        }
        Ok(())
    }

    pub(super) async fn sweep(&self) -> Result<usize, QueryError> {
        if !self.strays_removed.load(Ordering::Relaxed) {
            self.remove_strays().await?;
            self.strays_removed.store(true, Ordering::Relaxed);
        }
        let meta = |cause| QueryError::Meta { doing: "forget old queries", cause };
        let mut swept = 0;
        loop {
            let old = self.ledger.older_than(self.oldest_kept(), SWEEP_STEP).await.map_err(meta)?;
            let mut removed = 0;
            for record in &old {
                if let Some(live) = self.live.get(record.id) {
                    live.cancel.cancel();
                    continue;
                }
                // The file goes first: a record without rows is swept again, rows without a record never would be.
                remove_file(&self.result_path(record.id));
                self.ledger.remove(record).await.map_err(meta)?;
                removed += 1;
            }
            swept += removed;
            if old.len() < SWEEP_STEP || removed == 0 {
                return Ok(swept);
            }
        }
    }
}

pub(super) fn parse_id(id: &str) -> Result<QueryId, QueryError> {
    id.parse().map_err(|_| QueryError::QueryIdNotFound { id: id.to_owned() })
}

fn remove_file(path: &Path) {
    if let Err(cause) = std::fs::remove_file(path)
        && cause.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %cause, "cannot remove results");
    }
}
