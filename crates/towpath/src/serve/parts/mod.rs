//! The parts of the server, put together in the order in which they need each other and taken apart in reverse:
//! metadata, identities, catalog, buckets, log, trails, lake, queries, imports, and the operations over all of them.

mod endpoints;
mod error;
mod import_sources;
mod notifiers;
mod owned_store;
mod paced_sink;
mod root;
mod settings;
mod storage_watch;
mod trails;
mod vouched;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{HeaderMap, Method, Response, Uri};
use tokio::task::JoinHandle;
use tokio::time::timeout_at;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use towpath_admit::{EventIds, TlsDetails};
use towpath_bucket::{Buckets, S3Call, S3Limits, S3Server};
use towpath_iam::{Directory, SECRET_KEY_VARIABLE, SecretKey};
use towpath_import::{Importer, ImporterSettings};
use towpath_lake::{Lake, Objects};
use towpath_log::{FileLogStorage, Log};
use towpath_meta::{MetaStore, SqliteMetaStore};
use towpath_model::{Clock, SystemClock};
use towpath_query::{QueryEngine, QueryEngineParts};
use towpath_service::catalog::Catalog;
use towpath_service::{HttpRequest, IngestionStatuses, QueryDeliveries, Service};
use towpath_trail::{Delivery, SigningKeys};

use self::endpoints::Endpoints;
use self::import_sources::ImportSources;
use self::notifiers::{destinations, notifiers};
use self::paced_sink::PacedSink;
use self::storage_watch::{StorageHealth, WatchedStorage};
use self::trails::{KeySealer, SIGNING_KEYS, TrailBuckets};
use super::data_dir::DataDir;
use super::http::{Handler, Request};
use super::metrics::Metrics;
use super::stop_plan::StopPlan;
use super::tasks::{Lost, Tasks};
use crate::config::Settings;

pub use self::error::PartError;

/// How often queries and results that are past their time are removed.
const SWEEP: Duration = Duration::from_secs(60);

/// How often the ingestion status of channels is written.
const SAVE_STATUSES: Duration = Duration::from_secs(1);

/// How often stores that are pending deletion are looked at: seldom, but not late by more than a quarter of the wait.
const PURGE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(60));

/// Everything that runs behind the port.
pub struct Parts {
    service: Service,
    health: StorageHealth,
    meta: Arc<SqliteMetaStore>,
    lake: LakeTask,
    tasks: Tasks,
    // Held to the end.
    _data: DataDir,
}

struct LakeTask {
    stop: CancellationToken,
    handle: JoinHandle<()>,
}

impl Parts {
    /// Opens and recovers all parts and starts what runs in the background.
    pub async fn start(settings: &Settings, data: DataDir, metrics: Metrics) -> Result<Self, PartError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let started = clock.now();
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        // Before anything is opened: a wrong setting shall not cost a recovery.
        let endpoints = Arc::new(Endpoints::new(&settings.import, variable)?);
        let event_ids = EventIds::new(settings.retry_window)?;

        let sqlite = Arc::new(SqliteMetaStore::open(&data.join("meta.sqlite")).await?);
        let meta: Arc<dyn MetaStore> = sqlite.clone();
        let (file, given) = (data.join("secret.key"), variable(SECRET_KEY_VARIABLE));
        let secret_key = SecretKey::load(&file, given.as_deref(), Directory::exists(&*meta).await?)?;
        let directory = Directory::open(meta.clone(), &secret_key, clock.clone()).await?;
        let first_account = root::ensure(&directory, &data, settings.account_id, variable).await?;
        let catalog = Arc::new(Catalog::open(meta.clone()).await?);
        let buckets = Buckets::open(data.join("buckets"), meta.clone(), clock.clone()).await?;
        let statuses = IngestionStatuses::open(meta.clone()).await?;

        let health = StorageHealth::default();
        let log = open_log(settings, &data, clock.clone(), health.clone()).await?;
        // Before the lake follows the log and lets go of it.
        let delivered = settings::trail(settings);
        let sealer = Arc::new(KeySealer(secret_key.sealer(SIGNING_KEYS)));
        let signing_keys = Arc::new(SigningKeys::new(meta.clone(), sealer, &delivered));
        let trail_buckets = Arc::new(TrailBuckets::new(buckets.clone(), endpoints.clone()));
        let (folder, keys) = (data.join("trails"), signing_keys.clone());
        let mut delivery =
            Delivery::builder(meta.clone(), log.clone(), folder, trail_buckets.clone(), catalog.clone(), keys)
                .clock(clock.clone())
                .settings(delivered);
        let destinations = destinations(settings, &clock, variable)?;
        for notifier in notifiers(&settings.notify, &clock, trail_buckets.clone(), variable)? {
            delivery = delivery.notifier(notifier);
        }
        let delivery = delivery.open().await?;
        let lake = Lake::builder(meta.clone(), Objects::local(data.join("lake"))?)
            .clock(clock.clone())
            .settings(settings::lake(settings))
            .open()
            .await?;
        let queries = QueryEngine::open(QueryEngineParts {
            meta: meta.clone(),
            log: log.clone(),
            lake: lake.clone(),
            clock: clock.clone(),
            settings: settings::query(settings),
            quotas: settings.quotas.clone(),
            results: data.join("results"),
            spill: data.join("spill"),
        })
        .await?;
        let trusted = import_sources::trusted_keys(&settings.import, &signing_keys)?;
        let sources = Arc::new(ImportSources::new(buckets.clone(), endpoints, trusted));
        let deliveries = QueryDeliveries::open(meta.clone()).await?;
        let sink = Arc::new(PacedSink::new(log.clone(), lake.clone()));
        let imports = Importer::new(meta, sink, sources, clock.clone(), ImporterSettings::default());

        let parts = Arc::new(towpath_service::Parts {
            directory,
            catalog,
            statuses,
            log: log.clone(),
            lake: lake.clone(),
            queries,
            query_deliveries: deliveries,
            imports,
            delivery,
            signing_keys,
            buckets,
            trail_buckets,
            destinations,
            event_ids,
            clock,
            settings: settings::service(settings),
            first_account,
            started,
        });
        parts.apply_retention().await?;

        let mut tasks = Tasks::default();
        let lake = follow(lake, log, tasks.lost());
        background(&mut tasks, &parts, settings, metrics);
        let resumed = parts.imports.resume().await?;
        if resumed > 0 {
            info!(imports = resumed, "imports go on");
        }
        Ok(Self { service: Service::new(parts), health, meta: sqlite, lake, tasks, _data: data })
    }

    /// What answers requests.
    pub fn handler(&self) -> Arc<dyn Handler> {
        Arc::new(Operations { service: self.service.clone(), health: self.health.clone(), lost: self.tasks.lost() })
    }

    /// What serves the buckets. Every call is recorded.
    pub fn s3_server(&self) -> S3Server {
        let (parts, service) = (self.service.parts(), self.service.clone());
        let catalog = parts.catalog.clone();
        let organization_of = move |account| {
            let state = catalog.state();
            state.organization(account).map(|organization| organization.id.to_string())
        };
        let server = S3Server::with_organizations(
            parts.buckets.clone(),
            parts.directory.clone(),
            parts.clock.clone(),
            S3Limits::default(),
            organization_of,
        );
        server.observed_by(Arc::new(move |call: S3Call| {
            let service = service.clone();
            async move { service.record_s3(call).await }.boxed()
        }))
    }

    /// The operations.
    pub fn service(&self) -> Service {
        self.service.clone()
    }

    /// What became of the background tasks.
    pub fn lost(&self) -> Lost {
        self.tasks.lost()
    }

    /// Stops all parts by the plan: nothing new begins, what runs gets a moment, the log is closed, the lake writes what
    /// it can. What is not finished then goes on after the next start.
    pub async fn stop(self, plan: &StopPlan) {
        let parts = self.service.parts();
        let statuses = async {
            self.tasks.stop(plan.tasks()).await;
            if let Err(cause) = parts.statuses.save().await {
                warn!(%cause, "cannot write the ingestion status of channels");
            }
        };
        tokio::join!(
            StopPlan::until(plan.work(), "imports", parts.imports.shutdown()),
            StopPlan::until(plan.work(), "queries", parts.queries.shutdown()),
            StopPlan::until(plan.work(), "background tasks", statuses),
        );
        StopPlan::until(plan.log(), "log", parts.log.close()).await;
        // The log is closed: the lake reads it to its end, flushes and is done. Else the next start does that.
        let mut handle = self.lake.handle;
        let ended = |handle: JoinHandle<()>| async move { drop(handle.await) };
        if timeout_at(plan.lake(), &mut handle).await.is_err() {
            self.lake.stop.cancel();
            let abort = handle.abort_handle();
            if !StopPlan::until(plan.lake_cut(), "lake", ended(handle)).await {
                abort.abort();
            }
        }
        StopPlan::until(plan.metadata(), "metadata", self.meta.close()).await;
    }
}

async fn open_log(
    settings: &Settings,
    data: &DataDir,
    clock: Arc<dyn Clock>,
    health: StorageHealth,
) -> Result<Log, PartError> {
    let (folder, log) = (data.join("log"), settings::log(settings));
    // Recovery reads a segment, which blocks.
    let open = move || {
        let storage = FileLogStorage::open(folder).map_err(PartError::LogFolder)?;
        let storage = Arc::new(WatchedStorage::new(storage, health));
        Ok(Log::builder(storage).clock(clock).settings(log).open()?)
    };
    tokio::task::spawn_blocking(open).await?
}

fn follow(lake: Lake, log: Log, lost: Lost) -> LakeTask {
    let stop = CancellationToken::new();
    let told = stop.clone();
    let handle = tokio::spawn(async move {
        if let Err(cause) = lake.run(log, told).await {
            error!(error = %crate::cli::told(&cause), "the lake stopped; restart the server");
            lost.note("lake");
        }
    });
    LakeTask { stop, handle }
}

fn background(tasks: &mut Tasks, parts: &Arc<towpath_service::Parts>, settings: &Settings, metrics: Metrics) {
    tasks.start("metrics", |stop| async move {
        tokio::select! { () = stop.cancelled() => {}, () = metrics.upkeep() => {} }
    });
    let every = |pause: Duration, stop: CancellationToken| async move {
        tokio::select! { () = stop.cancelled() => false, () = tokio::time::sleep(pause) => true }
    };
    let of = parts.clone();
    tasks.start("ingestion-status", move |stop| async move {
        while every(SAVE_STATUSES, stop.clone()).await {
            if let Err(cause) = of.statuses.save().await {
                warn!(%cause, "cannot write the ingestion status of channels");
            }
        }
    });
    let of = parts.clone();
    tasks.start("trails", move |stop| async move {
        if let Err(cause) = of.delivery.run(stop).await {
            error!(error = %crate::cli::told(&cause), "the delivery of trails stopped; restart the server");
        }
    });
    let of = parts.clone();
    tasks.start("query-deliveries", move |stop| async move {
        tokio::select! { () = stop.cancelled() => {}, () = of.deliver_results() => {} }
    });
    let of = parts.clone();
    tasks.start("bucket-sweeper", move |stop| async move {
        tokio::select! {
            swept = of.buckets.sweep() => match swept {
                Ok(0) => {}
                Ok(files) => info!(files, "what a crash left in buckets is removed"),
                Err(cause) => warn!(error = %crate::cli::told(&cause), "cannot sweep buckets; the next start tries again"),
            },
            () = stop.cancelled() => return,
        }
        stop.cancelled().await;
    });
    let of = parts.clone();
    tasks.start("query-sweeper", move |stop| async move {
        while every(SWEEP, stop.clone()).await {
            match of.queries.sweep().await {
                Ok(0) => {}
                Ok(queries) => info!(queries, "old queries are removed"),
                Err(cause) => warn!(%cause, "cannot remove old queries"),
            }
        }
    });
    let of = parts.clone();
    let pause = (settings.pending_deletion / 4).clamp(PURGE.0, PURGE.1);
    tasks.start("purger", move |stop| async move {
        while every(pause, stop.clone()).await {
            if let Err(cause) = of.purge_deleted().await {
                warn!(error = %crate::cli::told(&cause), "cannot purge deleted event data stores");
            }
        }
    });
}

/// The host that a client asked for, as it wrote it.
fn host(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let header = headers.get(http::header::HOST).and_then(|value| value.to_str().ok());
    header.or_else(|| uri.authority().map(|authority| authority.as_str())).map(str::to_owned)
}

/// The operations as HTTP asks for them.
struct Operations {
    service: Service,
    health: StorageHealth,
    lost: Lost,
}

impl Handler for Operations {
    fn call(&self, request: Request) -> BoxFuture<'static, Response<Bytes>> {
        let service = self.service.clone();
        let Request { method, uri, headers, body, peer, tls } = request;
        let tls = tls.map(|facts| TlsDetails {
            tls_version: facts.version.map(str::to_owned),
            cipher_suite: facts.cipher_suite,
            client_provided_host_header: host(&uri, &headers),
            key_exchange: None,
        });
        async move { service.call(HttpRequest { method, uri, headers, body, peer, tls }).await }.boxed()
    }

    fn max_body(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<usize, Box<Response<Bytes>>> {
        self.service.max_body(method, uri, headers)
    }

    fn unready(&self) -> Option<String> {
        if self.health.is_failing() {
            return Some("the log's storage fails".to_owned());
        }
        self.lost.first().map(|task| format!("the background task {task} has ended"))
    }
}
