//! The engine over a real lake: one builder, and what is checked with it, a file for each promise.

mod answers;
mod history;
mod life_cycle;
mod limits;
mod real_data;
mod restarts;
mod snapshots;
mod sparse;
mod tail;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use towpath_lake::{Lake, LakeSettings, Objects};
use towpath_log::{FileLogStorage, Log, LogReader};
use towpath_meta::{MemoryMetaStore, MetaStore};
use towpath_model::{Event, ManualClock, Quotas, StoreId, StoreKind};
use towpath_testkit::{TestDir, TestEvent};

use crate::{
    QueryEngine, QueryEngineParts, QueryError, QueryId, QueryRecord, QuerySettings, QueryStatus, QueryStore,
    ResultsRequest, Row, Scope,
};

/// An engine with a log and a lake of its own.
struct TestEngine {
    engine: QueryEngine,
    lake: Lake,
    log: Log,
    clock: Arc<ManualClock>,
    meta: Arc<dyn MetaStore>,
    store: StoreId,
    scope: Scope,
    settings: QuerySettings,
    reader: tokio::sync::Mutex<LogReader>,
    dir: TestDir,
}

impl TestEngine {
    async fn new() -> Self {
        Self::with(QuerySettings { threads: 2, ..QuerySettings::default() }).await
    }

    async fn with(settings: QuerySettings) -> Self {
        let dir = TestDir::new("query");
        let log = Log::builder(Arc::new(FileLogStorage::open(dir.path().join("log")).unwrap())).open().unwrap();
        let clock = Arc::new(ManualClock::at("2026-01-20T00:00:00Z".parse().unwrap()));
        let meta: Arc<dyn MetaStore> = Arc::new(MemoryMetaStore::new());
        Self::over(dir, log, meta, clock, StoreId::random(), settings).await
    }

    async fn over(
        dir: TestDir,
        log: Log,
        meta: Arc<dyn MetaStore>,
        clock: Arc<ManualClock>,
        store: StoreId,
        settings: QuerySettings,
    ) -> Self {
        let objects = Objects::local(dir.path().join("lake")).unwrap();
        let lake = Lake::builder(meta.clone(), objects)
            .clock(clock.clone())
            .settings(LakeSettings::default())
            .open()
            .await
            .unwrap();
        let engine = open_engine(dir.path(), &log, &lake, &meta, &clock, &settings).await;
        let reader = tokio::sync::Mutex::new(log.reader(lake.applied()));
        let scope = Scope { account: "123456789012".parse().unwrap(), region: "us-east-1".parse().unwrap() };
        Self { engine, lake, log, clock, meta, store, scope, settings, reader, dir }
    }

    /// Ends the process, as a crash would, and starts another over the same data.
    async fn restarted(self) -> Self {
        let Self { engine, lake, log, clock, meta, store, settings, dir, .. } = self;
        drop((engine, lake));
        Self::over(dir, log, meta, clock, store, settings).await
    }

    /// Appends events and has the lake apply them.
    async fn ingest(&self, events: Vec<Event>) {
        self.append(events).await;
        self.apply().await;
    }

    async fn append(&self, events: Vec<Event>) {
        for some in events.chunks(500) {
            self.log.append(some.to_vec()).await.unwrap();
        }
    }

    /// Has the lake apply what the log holds.
    async fn apply(&self) {
        let mut reader = self.reader.lock().await;
        while reader.position() < self.log.committed() {
            let some = reader.next(1 << 20).await.unwrap();
            self.lake.apply(some.first, some.events).await.unwrap();
        }
    }

    async fn ingest_in(&self, events: impl IntoIterator<Item = TestEvent>) {
        self.ingest(events.into_iter().map(|event| event.to(self.store).build()).collect()).await;
    }

    /// Starts a statement in which `$` stands for the store.
    async fn start(&self, statement: &str) -> Result<QueryId, QueryError> {
        self.start_of(statement, StoreKind::CloudTrail).await
    }

    async fn start_of(&self, statement: &str, kind: StoreKind) -> Result<QueryId, QueryError> {
        // The $ of a JSON path stays what it is.
        let kept = statement.replace("'$.", "'\u{1}.");
        let statement = kept.replace('$', &self.store.to_string()).replace('\u{1}', "$");
        let parsed = self.engine.parse(&statement)?;
        let stores = parsed.tables().into_iter().map(|name| {
            let id = name.parse().map_err(|_| QueryError::StoreNotFound { name: name.to_owned() })?;
            Ok(QueryStore { name: name.to_owned(), id, kind })
        });
        let stores = stores.collect::<Result<Vec<_>, QueryError>>()?;
        self.engine.start(parsed, self.scope.clone(), stores).await
    }

    async fn finished(&self, id: QueryId) -> QueryRecord {
        let id = id.to_string();
        let waited = self.engine.wait(&self.scope, &id);
        tokio::time::timeout(Duration::from_secs(60), waited).await.expect("a query ends").unwrap()
    }

    /// All rows of a query that has ended.
    async fn rows_of(&self, id: QueryId) -> Vec<Row> {
        let mut rows = Vec::new();
        let mut request = ResultsRequest::default();
        loop {
            let page = self.engine.results(&self.scope, &id.to_string(), &request).await.unwrap();
            rows.extend(page.rows);
            if page.next_token.is_none() {
                return rows;
            }
            request.next_token = page.next_token;
        }
    }

    /// The rows of a statement, and what it took.
    async fn ask(&self, statement: &str) -> (Vec<Row>, QueryRecord) {
        let id = self.start(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
        let record = self.finished(id).await;
        assert_eq!(record.status, QueryStatus::Finished, "{statement}: {:?}", record.error);
        (self.rows_of(id).await, record)
    }

    async fn rows(&self, statement: &str) -> Vec<Row> {
        self.ask(statement).await.0
    }

    /// The one cell of a statement's one row.
    async fn cell(&self, statement: &str) -> String {
        let rows = self.rows(statement).await;
        assert_eq!((rows.len(), rows[0].len()), (1, 1), "{statement}: {rows:?}");
        rows[0][0].clone().unwrap_or_default()
    }
}

async fn open_engine(
    dir: &Path,
    log: &Log,
    lake: &Lake,
    meta: &Arc<dyn MetaStore>,
    clock: &Arc<ManualClock>,
    settings: &QuerySettings,
) -> QueryEngine {
    QueryEngine::open(QueryEngineParts {
        meta: meta.clone(),
        log: log.clone(),
        lake: lake.clone(),
        clock: clock.clone(),
        settings: settings.clone(),
        quotas: Quotas { concurrent_queries: 200, ..Quotas::default() },
        results: dir.join("results"),
        spill: dir.join("spill"),
    })
    .await
    .unwrap()
}

/// `row![“a”, NULL]` in short: a row of texts.
fn row<const N: usize>(cells: [&str; N]) -> Row {
    cells.map(|cell| Some(cell.to_owned())).to_vec()
}

/// `count` events that differ in name, user, address and time: one a minute from 2026-01-01 on.
fn minutes(count: usize) -> impl Iterator<Item = TestEvent> {
    const NAMES: [&str; 5] = ["CreateUser", "GetUser", "ListUsers", "DeleteUser", "PutRolePolicy"];
    (0..count).map(|n| {
        let (day, hour, minute) = (1 + n / 1440, n / 60 % 24, n % 60);
        let event = TestEvent::management(NAMES[n % NAMES.len()])
            .at(&format!("2026-01-{day:02}T{hour:02}:{minute:02}:00Z"))
            .user(&format!("user{}", n % 7))
            .access_key(&format!("AKIA{:016}", n % 150))
            .source_ip(&format!("203.0.113.{}", n % 200))
            .request(serde_json::json!({ "n": n, "name": format!("thing-{}", n % 3) }));
        if n % 11 == 0 { event.error("AccessDenied", "no") } else { event }
    })
}
