//! The engine: takes statements, runs them in their turn, and answers for them until they are forgotten.

mod open;
mod page;
mod shared;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::oneshot;
use towpath_meta::MetaError;
use towpath_model::{StoreId, StoreKind};

use self::page::{RowSource, is_lost, open_results, read_page};
use self::shared::parse_id;
use crate::ledger::{ListFilter, ListPosition};
use crate::live::LiveQuery;
use crate::run::run;
use crate::sql::ParsedQuery;
use crate::workers::Workers;
use crate::{QueryError, QueryId, QueryRecord, QueryStatistics, QueryStatus, Scope};

pub use self::open::{OpenError, QueryEngineParts};
pub use self::page::{ListPage, ListRequest, MAX_PAGE, ResultsPage, ResultsRequest};
pub(crate) use self::page::{ceil_millis, page_size};
pub(crate) use self::shared::Shared;

/// How long [`QueryEngine::cancel`] waits for the query to have ended before it answers.
const CANCEL_WAIT: Duration = Duration::from_millis(500);

/// Runs queries. Cloning is cheap; all clones are one engine.
#[derive(Clone)]
pub struct QueryEngine {
    pub(crate) shared: Arc<Shared>,
    // Apart from `shared`, because tasks on these threads hold `shared`.
    workers: Arc<Workers>,
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

impl QueryEngine {
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
        let (tell, told) = oneshot::channel();
        // Planned and run on one thread, without a change in between: a short query takes no longer than some of those.
        self.workers.spawn(async move {
            let accept = || {
                let planned = shared.planner.plan(&query, &stores, now)?;
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
                let live = LiveQuery::new(record, shared.stop.child_token());
                shared.live.add(&live, shared.quotas.concurrent_queries)?;
                Ok((live, planned))
            };
            let (live, planned) = match accept() {
                Ok(accepted) => accepted,
                // Whoever asked may be gone.
                Err(refused) => return drop(tell.send(Err(refused))),
            };
            // From here on it runs, though the caller may go away: no query is left that never ends.
            let added = shared.ledger_writer.add(live.record.clone()).boxed();
            let _ = tell.send(Ok(Started { live: live.clone(), added }));
            run(shared, live, planned, seen).await;
        });
        told.await.unwrap_or_else(|_| Err(QueryError::invalid("the statement cannot be planned")))
    }

    /// The query as it is now, or as it is in [a moment](Shared::record_soon) if that is its end.
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
    /// leads on to rows that come later. A query that ends in [a moment](Shared::record_soon) is waited for.
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
            // Taken after the record: all rows that it counts are there.
            Some(live) if record.status != QueryStatus::Failed => live.rows().map(RowSource::Live),
            _ if !record.has_rows() => None,
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
