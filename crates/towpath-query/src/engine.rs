//! The engine: takes statements, runs them in their turn, and answers for them until they are forgotten.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;

use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use towpath_lake::{Lake, StoreSnapshot};
use towpath_log::Log;
use towpath_meta::{MetaError, MetaStore};
use towpath_model::{Clock, Quotas, StoreId, StoreKind};

use crate::file_reader::CountingReaderFactory;
use crate::ledger::{Entry, Ledger, ListFilter, ListPosition, ListedQuery};
use crate::ledger_writer::LedgerWriter;
use crate::live::{LiveQueries, LiveQuery};
use crate::memory::ProcessMemory;
use crate::page_token::PageTokens;
use crate::result_file::{ResultReader, Row, ending};
use crate::run::{INTERRUPTED, LOST, run};
use crate::scan_counters::ScanCounters;
use crate::sql::{ParsedQuery, Planner};
use crate::workers::Workers;
use crate::{QueryError, QueryId, QueryRecord, QuerySettings, QueryStatistics, QueryStatus, Scope};

/// Most rows of a page of results, and most queries of a page of a list.
pub const MAX_PAGE: usize = 1000;

/// How long [`QueryEngine::cancel`] waits for the query to have ended before it answers.
const CANCEL_WAIT: Duration = Duration::from_millis(500);

/// How long an answer about a query that is running waits for its end. Whoever asks for a short query's rows gets them with
/// the first answer, not with the second, which would come later than this.
const END_WAIT: Duration = Duration::from_millis(50);

/// What names of result files end with.
const RESULTS: &str = ".rows";

/// Queries that one step of the sweeper removes.
const SWEEP_STEP: usize = 500;

/// What an engine is made of.
pub struct QueryEngineParts {
    /// Keeps the queries.
    pub meta: Arc<dyn MetaStore>,
    /// Takes the events in; its committed position is what a query must see.
    pub log: Log,
    /// Holds the events.
    pub lake: Lake,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Limits.
    pub settings: QuerySettings,
    /// Limits per account.
    pub quotas: Quotas,
    /// Where results are kept; created when missing.
    pub results: PathBuf,
    /// Scratch space; created when missing and emptied at start.
    pub spill: PathBuf,
}

/// Why an engine could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A setting is nonsense.
    #[error("{0}")]
    Setting(String),
    /// A folder cannot be used.
    #[error("cannot use folder {path}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The reason.
        #[source]
        cause: io::Error,
    },
    /// The threads of queries cannot be started.
    #[error("cannot start threads for queries")]
    Threads(#[source] io::Error),
    /// The SQL engine cannot be set up.
    #[error("cannot set up the query engine")]
    Planner(#[source] datafusion::error::DataFusionError),
    /// The metadata store failed.
    #[error("cannot read the queries of before")]
    Meta(#[from] MetaError),
}

/// Runs queries. Cloning is cheap; all clones are one engine.
#[derive(Clone)]
pub struct QueryEngine {
    pub(crate) shared: Arc<Shared>,
    // Apart from `shared`, because tasks on these threads hold `shared`.
    workers: Arc<Workers>,
}

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
    quotas: Quotas,
    results: PathBuf,
    // True once results that a crash left without a query are gone.
    strays_removed: AtomicBool,
    stop: CancellationToken,
}

/// A store that a statement reads, after the caller resolved and authorized it.
#[derive(Clone, Debug)]
pub struct QueryStore {
    /// The name as [`ParsedQuery::tables`] gave it.
    pub name: String,
    /// The store.
    pub id: StoreId,
    /// Its kind.
    pub kind: StoreKind,
}

/// Which page of a result to read.
#[derive(Clone, Debug, Default)]
pub struct ResultsRequest {
    /// `MaxQueryResults`: 1 to 1000, 1000 if absent.
    pub max_results: Option<i64>,
    /// `NextToken` of the page before.
    pub next_token: Option<String>,
}

/// A page of a result.
#[derive(Clone, Debug)]
pub struct ResultsPage {
    /// Where the query is.
    pub status: QueryStatus,
    /// Why it failed.
    pub error: Option<String>,
    /// Names of the columns in select order; repeated names are possible.
    pub columns: Arc<[String]>,
    /// The rows, each with one cell for each column.
    pub rows: Vec<Row>,
    /// What the query read and gave so far; `rows` of it is `TotalResultsCount`.
    pub statistics: QueryStatistics,
    /// Token of the next page: absent after the last row of a query that has ended.
    pub next_token: Option<String>,
}

/// Which queries to list.
#[derive(Clone, Debug, Default)]
pub struct ListRequest {
    /// Started at or after.
    pub start_time: Option<Timestamp>,
    /// Started at or before.
    pub end_time: Option<Timestamp>,
    /// In this status.
    pub status: Option<QueryStatus>,
    /// `MaxResults`: 1 to 1000, 1000 if absent.
    pub max_results: Option<i64>,
    /// `NextToken` of the page before.
    pub next_token: Option<String>,
}

/// A page of a store's queries, newest first.
#[derive(Clone, Debug)]
pub struct ListPage {
    /// The queries; may be fewer than asked for though another page follows.
    pub queries: Vec<ListedQuery>,
    /// Token of the next page.
    pub next_token: Option<String>,
}

impl QueryEngine {
    /// Opens the engine: empties the scratch space and closes the queries that a restart interrupted.
    pub async fn open(parts: QueryEngineParts) -> Result<Self, OpenError> {
        let QueryEngineParts { meta, log, lake, clock, settings, quotas, results, spill } = parts;
        settings.check().map_err(OpenError::Setting)?;
        create_folder(&results)?;
        empty_folder(&spill)?;
        let workers = Workers::start(settings.thread_count()).map_err(OpenError::Threads)?;
        let memory = ProcessMemory::new(settings.memory_bytes);
        let planner =
            Planner::new(&settings, &spill, memory, lake.objects().store().clone()).map_err(OpenError::Planner)?;
        let ledger = Ledger::new(meta.clone());
        let shared = Shared {
            log,
            lake,
            clock,
            ledger_writer: LedgerWriter::start(ledger.clone()),
            ledger,
            live: LiveQueries::default(),
            turns: Arc::new(Semaphore::new(settings.running_at_once)),
            timers: tokio::runtime::Handle::current(),
            planner,
            tokens: PageTokens::open(meta.as_ref()).await?,
            settings,
            quotas,
            results,
            strays_removed: AtomicBool::new(false),
            stop: CancellationToken::new(),
        };
        shared.close_interrupted().await?;
        Ok(Self { shared: Arc::new(shared), workers: Arc::new(workers) })
    }

    /// Parses a statement: exactly one SELECT. The tables it names are for the caller to resolve and authorize.
    pub fn parse(&self, statement: &str) -> Result<ParsedQuery, QueryError> {
        ParsedQuery::parse(statement)
    }

    /// Plans a parsed statement over its stores and starts it; as [`QueryEngine::begin`], but what is accepted is
    /// durable when this returns.
    pub async fn start(
        &self,
        query: ParsedQuery,
        scope: Scope,
        stores: Vec<QueryStore>,
    ) -> Result<QueryId, QueryError> {
        self.begin(query, scope, stores, std::future::ready(())).await?.kept().await
    }

    /// Plans a parsed statement over its stores and starts it. Wrong names and types are found here; what is accepted
    /// runs when it is its turn, and ends even if nobody ever asks for it.
    ///
    /// It runs at once, beside the work of making it durable: see [`Started::kept`]. It reads nothing before `seen` is
    /// over; what was acknowledged by then it sees.
    pub async fn begin(
        &self,
        query: ParsedQuery,
        scope: Scope,
        stores: Vec<QueryStore>,
        seen: impl Future<Output = ()> + Send + 'static,
    ) -> Result<Started, QueryError> {
        if self.shared.stop.is_cancelled() {
            return Err(QueryError::Stopping);
        }
        let statement = query.statement().to_owned();
        let mut ids: Vec<_> = stores.iter().map(|store| store.id).collect();
        ids.sort_unstable();
        ids.dedup();

        let shared = self.shared.clone();
        let now = self.shared.clock.now();
        let planning = self.workers.spawn(async move { shared.planner.plan(&query, &stores, now) });
        let planned = planning.await.map_err(|_| QueryError::invalid("the statement cannot be planned"))??;

        let record = QueryRecord {
            id: QueryId::random(),
            scope,
            stores: ids,
            statement,
            status: QueryStatus::Queued,
            error: None,
            created: now,
            columns: planned.columns().to_vec(),
            statistics: QueryStatistics::default(),
        };
        let live = LiveQuery::new(record, self.shared.stop.child_token());
        self.shared.live.add(&live, self.shared.quotas.concurrent_queries)?;
        // No waiting from here on: a caller that goes away leaves no query that never runs.
        let added = self.shared.ledger_writer.add(live.record.clone()).boxed();
        self.workers.spawn(run(self.shared.clone(), live.clone(), planned, seen));
        Ok(Started { live, added })
    }

    /// The query as it is now, or as it is in [a moment](END_WAIT) if that is its end.
    pub async fn describe(&self, scope: &Scope, id: &str) -> Result<QueryRecord, QueryError> {
        let record = self.shared.record_soon(scope, id).await?;
        if self.shared.live.get(record.id).is_some() || !record.has_rows() {
            return Ok(record);
        }
        // Results are not synced: a crash may have taken those of a query that had ended.
        match open_results(self.shared.result_path(record.id), record.statistics.rows).await {
            Err(cause) if is_lost(&cause) => self.shared.lose(record, &cause).await,
            _ => Ok(record),
        }
    }

    /// Waits until the query has ended, and returns it.
    pub async fn wait(&self, scope: &Scope, id: &str) -> Result<QueryRecord, QueryError> {
        let record = self.shared.record(scope, id).await?;
        if let Some(live) = self.shared.live.get(record.id) {
            live.ended().await;
        }
        self.shared.record(scope, id).await
    }

    /// Asks a query to stop, and returns its status: `CANCELLED`, or what it was when it did not end at once.
    pub async fn cancel(&self, scope: &Scope, id: &str) -> Result<QueryStatus, QueryError> {
        let record = self.shared.record(scope, id).await?;
        let inactive = |status| QueryError::InactiveQuery { id: record.id, status };
        if !record.status.is_open() {
            return Err(inactive(record.status));
        }
        // It may have ended since.
        let Some(live) = self.shared.live.get(record.id) else {
            let record = self.shared.record(scope, id).await?;
            return Err(inactive(record.status));
        };
        live.cancel.cancel();
        let _ = tokio::time::timeout(CANCEL_WAIT, live.ended()).await;
        match live.status() {
            status if status.is_open() || status == QueryStatus::Cancelled => Ok(status),
            status => Err(inactive(status)),
        }
    }

    /// One page of a query's rows. While it runs, the rows written so far can be read, and the token of the last page
    /// leads on to rows that come later. A query that ends in [a moment](END_WAIT) is waited for.
    pub async fn results(&self, scope: &Scope, id: &str, request: &ResultsRequest) -> Result<ResultsPage, QueryError> {
        let max_rows = page_size(request.max_results)?;
        let live = parse_id(id).ok().and_then(|id| self.shared.live.get(id));
        let record = self.shared.record_soon(scope, id).await?;
        let asked = (max_rows as u64).to_be_bytes();
        let id = record.id;
        let parameters: [&[u8]; 3] = [b"results", id.as_bytes(), &asked];
        let first = match &request.next_token {
            Some(token) => {
                let opened = self.shared.tokens.open_number(&parameters, token);
                opened.map_err(|_| QueryError::InvalidNextToken)?
            }
            None => 0,
        };
        let file = match live {
            // The record was read after: rows that it counts may be in the file alone.
            Some(live) if record.status.is_open() => live.rows().map(RowSource::Live),
            _ if record.status == QueryStatus::Failed || record.status.is_open() => None,
            _ => Some(RowSource::File(self.shared.result_path(record.id), record.statistics.rows)),
        };
        let page = match file {
            None => Ok((Vec::new(), 0)),
            Some(source) => read_page(source, first, max_rows, self.shared.settings.page_bytes).await,
        };
        let (record, (rows, available)) = match page {
            Ok(page) => (record, page),
            Err(cause) if is_lost(&cause) && !record.status.is_open() => {
                (self.shared.lose(record, &cause).await?, (Vec::new(), 0))
            }
            Err(cause) => return Err(QueryError::Results { doing: "read", id: record.id, cause }),
        };
        let next = first + rows.len() as u64;
        let more = next < available || (record.status == QueryStatus::Running && next > 0);
        Ok(ResultsPage {
            status: record.status,
            error: record.error,
            columns: record.columns.into(),
            rows,
            statistics: record.statistics,
            next_token: more.then(|| self.shared.tokens.seal(&parameters, &next.to_be_bytes())),
        })
    }

    /// One page of the queries that read a store, newest first.
    pub async fn list(&self, store: StoreId, request: &ListRequest) -> Result<ListPage, QueryError> {
        let limit = page_size(request.max_results)?;
        let filter = ListFilter {
            // What is not kept any more is not listed either, though it may not be swept yet.
            from: request.start_time.map(ceil_millis).max(Some(ceil_millis(self.shared.oldest_kept()))),
            to: request.end_time.map(|time| time.as_millisecond()),
            status: request.status,
        };
        if request.start_time.zip(request.end_time).is_some_and(|(start, end)| start > end) {
            return Err(QueryError::InvalidTimeRange);
        }
        let bound = format!("{store} {:?} {:?} {:?} {limit}", request.start_time, request.end_time, request.status);
        let parameters: [&[u8]; 2] = [b"list", bound.as_bytes()];
        let after = match &request.next_token {
            Some(token) => {
                let bytes = self.shared.tokens.open_token(&parameters, token);
                let position = bytes.ok().and_then(|bytes| ListPosition::from_bytes(&bytes));
                Some(position.ok_or(QueryError::InvalidNextToken)?)
            }
            None => None,
        };
        let status_now = |id| self.shared.live.get(id).map(|live| live.status());
        let listed = self.shared.ledger.list(store, &filter, after, limit, status_now).await;
        let (queries, next) = listed.map_err(|cause| QueryError::Meta { doing: "list queries", cause })?;
        let next_token = next.map(|position| self.shared.tokens.seal(&parameters, &position.to_bytes()));
        Ok(ListPage { queries, next_token })
    }

    /// Forgets queries that are older than they are kept, results first. Returns how many.
    pub async fn sweep(&self) -> Result<usize, QueryError> {
        self.shared.sweep().await
    }

    /// Stops all queries and takes no more. Returns when each has ended; those that waited or ran are `CANCELLED`.
    pub async fn shutdown(&self) {
        self.shared.stop.cancel();
        for live in self.shared.live.all() {
            live.ended().await;
        }
        // Each has handed over its end before it told of it.
        self.shared.ledger_writer.flush().await;
    }

    /// Threads that execute queries, for other reads that take processor time.
    pub(crate) fn workers(&self) -> &Workers {
        &self.workers
    }
}

/// A query that was started and may not be durable yet.
pub struct Started {
    live: Arc<LiveQuery>,
    added: BoxFuture<'static, Result<(), MetaError>>,
}

impl Started {
    /// Its id. Told to nobody before it is kept.
    pub fn id(&self) -> QueryId {
        self.live.record.id
    }

    /// Waits until the query is durable: from then on it is known whatever happens. If it cannot be kept, it is stopped
    /// and forgotten.
    pub async fn kept(self) -> Result<QueryId, QueryError> {
        let id = self.id();
        match self.added.await {
            Ok(()) => Ok(id),
            Err(cause) => {
                self.live.cancel.cancel();
                Err(QueryError::Meta { doing: "keep the query", cause })
            }
        }
    }
}

impl Shared {
    /// Where the rows of a query are.
    pub(crate) fn result_path(&self, id: QueryId) -> PathBuf {
        self.results.join(format!("{id}{RESULTS}"))
    }

    async fn record(&self, scope: &Scope, id: &str) -> Result<QueryRecord, QueryError> {
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
    async fn record_soon(&self, scope: &Scope, id: &str) -> Result<QueryRecord, QueryError> {
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

    fn oldest_kept(&self) -> Timestamp {
        self.clock.now().checked_sub(self.settings.keep).unwrap_or(Timestamp::MIN)
    }

    /// Closes the queries that were open when the process ended: as their result files say they ended, else as failed.
    async fn close_interrupted(&self) -> Result<(), MetaError> {
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
    async fn lose(&self, mut record: QueryRecord, cause: &io::Error) -> Result<QueryRecord, QueryError> {
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

    async fn sweep(&self) -> Result<usize, QueryError> {
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

/// Where rows are read from.
enum RowSource {
    Live(ResultReader),
    /// The file, and how many rows it should have.
    File(PathBuf, u64),
}

/// Reads a page of rows, and how many rows there are.
async fn read_page(source: RowSource, first: u64, max_rows: usize, max_bytes: usize) -> io::Result<(Vec<Row>, u64)> {
    let read = move || {
        let reader = match source {
            RowSource::Live(reader) => reader,
            RowSource::File(path, rows) => ResultReader::open(&path, rows)?,
        };
        Ok((reader.read(first, max_rows, max_bytes)?, reader.rows()))
    };
    tokio::task::spawn_blocking(read).await.unwrap_or_else(|cause| Err(io::Error::other(cause)))
}

async fn open_results(path: PathBuf, rows: u64) -> io::Result<()> {
    let open = move || ResultReader::open(&path, rows).map(drop);
    tokio::task::spawn_blocking(open).await.unwrap_or_else(|cause| Err(io::Error::other(cause)))
}

/// True when results are not there or not what was written: no later attempt finds them.
fn is_lost(cause: &io::Error) -> bool {
    matches!(cause.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}

fn parse_id(id: &str) -> Result<QueryId, QueryError> {
    id.parse().map_err(|_| QueryError::QueryIdNotFound { id: id.to_owned() })
}

pub(crate) fn page_size(asked: Option<i64>) -> Result<usize, QueryError> {
    match asked {
        None => Ok(MAX_PAGE),
        Some(asked) => usize::try_from(asked)
            .ok()
            .filter(|size| (1..=MAX_PAGE).contains(size))
            .ok_or(QueryError::InvalidMaxResults { asked, most: MAX_PAGE }),
    }
}

/// The first whole millisecond at or after `time`.
pub(crate) fn ceil_millis(time: Timestamp) -> i64 {
    let millis = time.as_millisecond();
    let whole = time.as_nanosecond() == i128::from(millis) * 1_000_000;
    if whole || time.as_nanosecond() < i128::from(millis) * 1_000_000 { millis } else { millis + 1 }
}

fn create_folder(path: &Path) -> Result<(), OpenError> {
    std::fs::create_dir_all(path).map_err(|cause| OpenError::Folder { path: path.to_owned(), cause })
}

fn empty_folder(path: &Path) -> Result<(), OpenError> {
    create_folder(path)?;
    let failed = |cause| OpenError::Folder { path: path.to_owned(), cause };
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let is_folder = entry.file_type().map_err(failed)?.is_dir();
        let removed =
            if is_folder { std::fs::remove_dir_all(entry.path()) } else { std::fs::remove_file(entry.path()) };
        removed.map_err(failed)?;
    }
    Ok(())
}

fn remove_file(path: &Path) {
    if let Err(cause) = std::fs::remove_file(path)
        && cause.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %cause, "cannot remove results");
    }
}
