//! Starting, watching and stopping imports.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use towpath_admit::LogFileLimits;
use towpath_meta::{Key, MetaStore};
use towpath_model::{AccountId, Clock, StoreId};

use crate::active::ActiveRuns;
use crate::error::ImportError;
use crate::failure::{Failure, FailureKind, FailureStatus, What};
use crate::file::Target;
use crate::import::{Import, ImportId, ImportSource, ImportStatus, NewImport, Owner};
use crate::records::Records;
use crate::run::{Room, Run, Unsaved};
use crate::sink::EventSink;
use crate::source::{OpenSource, OpenedSource};
use crate::upload::Uploads;

/// What a person may tune about imports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImporterSettings {
    /// Files of an import that are fetched at a time, and the most small ones that are imported together.
    pub parallel_files: usize,
    /// An import ends as failed when it has so many failures; a retry goes on from there.
    pub max_failures: u64,
    /// A source that sends nothing for so long has failed.
    pub silence: Duration,
    /// Bounds on each file; each import has its own on records.
    pub limits: LogFileLimits,
}

impl Default for ImporterSettings {
    fn default() -> Self {
        Self {
            parallel_files: 64,
            max_failures: 10_000,
            silence: Duration::from_secs(120),
            limits: LogFileLimits::default(),
        }
    }
}

/// Runs imports.
///
/// Clones are handles of the same importer.
#[derive(Clone)]
pub struct Importer {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) records: Records,
    pub(crate) sink: Arc<dyn EventSink>,
    sources: Arc<dyn OpenSource>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: ImporterSettings,
    pub(crate) room: Room,
    pub(crate) shutdown: CancellationToken,
    pub(crate) tasks: TaskTracker,
    pub(crate) uploads: Uploads,
    active: ActiveRuns,
}

/// Which imports a list holds.
#[derive(Clone, Copy, Debug, Default)]
pub struct ListFilter {
    /// Only those into this store.
    pub destination: Option<StoreId>,
    /// Only those with this status.
    pub status: Option<ImportStatus>,
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// The token of the next page, if there is one: at most 200 characters.
    pub next: Option<String>,
}

impl Importer {
    /// Makes an importer. Nothing runs until an import is started or [`Importer::resume`] is called.
    pub fn new(
        meta: Arc<dyn MetaStore>,
        sink: Arc<dyn EventSink>,
        sources: Arc<dyn OpenSource>,
        clock: Arc<dyn Clock>,
        settings: ImporterSettings,
    ) -> Self {
        let shared = Shared {
            records: Records::new(meta),
            sink,
            sources,
            clock,
            settings: ImporterSettings { parallel_files: settings.parallel_files.max(1), ..settings },
            room: Room::default(),
            shutdown: CancellationToken::new(),
            tasks: TaskTracker::new(),
            uploads: Uploads::default(),
            active: ActiveRuns::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Starts an import. Its account may have no other that is not over.
    pub async fn start(&self, new: NewImport) -> Result<Import, ImportError> {
        self.check_open()?;
        let source = self.shared.sources.open(&new.source).await?;
        let takes = (new.range, new.record_bytes);
        let import = Import::new(new.owner, new.destination, new.source, takes, self.shared.clock.now());
        self.begin(&import, Vec::new()).await?;
        self.spawn(import.clone(), Some(source));
        Ok(import)
    }

    /// Starts an import again that failed or was stopped: its failures first, then what it had not come to.
    ///
    /// `cutoff` and `record_bytes` replace those given when it was started.
    pub async fn retry(
        &self,
        owner: &Owner,
        id: ImportId,
        cutoff: Option<Timestamp>,
        record_bytes: usize,
    ) -> Result<Import, ImportError> {
        self.check_open()?;
        let mut import = self.get(owner, id).await?;
        let over = matches!(import.status, ImportStatus::Failed | ImportStatus::Stopped);
        if !over || matches!(import.source, ImportSource::Upload { .. }) {
            return Err(ImportError::NotRetryable { id, status: import.status });
        }
        let source = self.shared.sources.open(&import.source).await?;
        let (mut writes, mut after) = (Vec::new(), None);
        loop {
            let page = self.shared.records.failures(id, after.as_ref(), 1_000).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.key.clone());
            for record in page {
                let failure = record.value;
                let status = match (failure.status, failure.what) {
                    (FailureStatus::Failed, What::Source) => {
                        // It was opened just now.
                        let failed = &mut import.statistics.failed_entries;
                        *failed = failed.saturating_sub(1);
                        FailureStatus::Succeeded
                    }
                    (FailureStatus::Failed, _) => FailureStatus::Retry,
                    _ => continue,
                };
                let failure = Failure { status, updated: self.shared.clock.now(), ..failure };
                writes.push(self.shared.records.write_failure(id, &failure)?);
            }
        }
        import.status = ImportStatus::Initializing;
        import.updated = self.shared.clock.now();
        import.range.cutoff = cutoff;
        import.record_bytes = record_bytes;
        self.begin(&import, writes).await?;
        self.spawn(import.clone(), Some(source));
        Ok(import)
    }

    async fn begin(&self, import: &Import, writes: Vec<towpath_meta::Write>) -> Result<(), ImportError> {
        let begun = self.shared.records.begin(import, writes).await;
        begun.map_err(|error| if error.is_conflict() { ImportError::Ongoing } else { error.into() })
    }

    fn check_open(&self) -> Result<(), ImportError> {
        if self.shared.shutdown.is_cancelled() { Err(ImportError::Closed) } else { Ok(()) }
    }

    /// Stops an import and returns how it stands then. One that is over stays as it is.
    pub async fn stop(&self, owner: &Owner, id: ImportId) -> Result<Import, ImportError> {
        let import = self.get(owner, id).await?;
        if !import.status.is_running() {
            return Ok(import);
        }
        if let ImportSource::Upload { .. } = import.source {
            return self.upload(owner, id).await?.stop().await;
        }
        if self.shared.active.stop(id).await {
            return self.get(owner, id).await;
        }
        // Nobody works on it: it was begun by a process that died and not resumed.
        let stopped = Import { status: ImportStatus::Stopped, updated: self.shared.clock.now(), ..import };
        self.shared.records.end(&stopped, Vec::new()).await?;
        Ok(stopped)
    }

    /// Reads an import.
    pub async fn get(&self, owner: &Owner, id: ImportId) -> Result<Import, ImportError> {
        self.shared.records.get(owner, id).await?.ok_or(ImportError::NotFound(id))
    }

    /// Lists imports, the newest first. `token` is [`Page::next`] of the page before.
    pub async fn list(
        &self,
        owner: &Owner,
        filter: ListFilter,
        token: Option<&str>,
        limit: usize,
    ) -> Result<Page<Import>, ImportError> {
        let mut imports = self.shared.records.list(owner).await?;
        let place = |import: &Import| (std::cmp::Reverse(import.created), import.id);
        imports.sort_unstable_by_key(place);
        let from = match token {
            None => 0,
            Some(token) => {
                let last: ImportId = token.parse().map_err(|_| ImportError::Token)?;
                1 + imports.iter().position(|import| import.id == last).ok_or(ImportError::Token)?
            }
        };
        let wanted = |import: &Import| {
            filter.destination.is_none_or(|store| import.destination.store == store)
                && filter.status.is_none_or(|status| import.status == status)
        };
        let mut items: Vec<_> = imports.into_iter().skip(from).filter(wanted).take(limit.max(1) + 1).collect();
        let more = items.len() > limit.max(1);
        items.truncate(limit.max(1));
        let next = items.last().filter(|_| more).map(|import| import.id.to_string());
        Ok(Page { items, next })
    }

    /// Lists the failures of an import. `token` is [`Page::next`] of the page before.
    pub async fn failures(
        &self,
        owner: &Owner,
        id: ImportId,
        token: Option<&str>,
        limit: usize,
    ) -> Result<Page<Failure>, ImportError> {
        self.get(owner, id).await?;
        let after = match token {
            None => None,
            Some(token) if token.len() == 32 && token.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                Some(crate::records::failure_key(id, token))
            }
            Some(_) => return Err(ImportError::Token),
        };
        let limit = limit.clamp(1, 1_000);
        let mut page = self.shared.records.failures(id, after.as_ref(), limit + 1).await?;
        let more = page.len() > limit;
        page.truncate(limit);
        let last = page.last().filter(|_| more).map(|record| Key::last_part(&record.key).into_owned());
        Ok(Page { items: page.into_iter().map(|record| record.value).collect(), next: last })
    }

    /// The import of an account that is not over, uploads aside.
    pub async fn running_of(&self, account: AccountId) -> Result<Option<Import>, ImportError> {
        match self.shared.records.running(account).await? {
            Some(running) => Ok(self.shared.records.get(&running.owner, running.id).await?),
            None => Ok(None),
        }
    }

    /// True if an import into this store is not over; the store then may not be changed or deleted.
    pub async fn runs_into(&self, store: StoreId) -> Result<bool, ImportError> {
        for running in self.shared.records.all_running().await? {
            let import = self.shared.records.get(&running.owner, running.id).await?;
            if import.is_some_and(|import| import.destination.store == store) {
                return Ok(true);
            }
        }
        Ok(self.shared.uploads.any_into(store))
    }

    /// Goes on with every import that was not over when the process ended; returns how many. Called once, at start.
    pub async fn resume(&self) -> Result<usize, ImportError> {
        let mut resumed = 0;
        for running in self.shared.records.all_running().await? {
            let Some(import) = self.shared.records.get(&running.owner, running.id).await? else { continue };
            info!(import = %import.id, after = import.progress.after, "import resumed");
            self.spawn(import, None);
            resumed += 1;
        }
        Ok(resumed)
    }

    /// Ends all work at the next step, to go on at the next start.
    pub async fn shutdown(&self) {
        self.shared.shutdown.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }

    fn spawn(&self, import: Import, source: Option<OpenedSource>) {
        let shared = self.shared.clone();
        let active = shared.active.begin(import.id);
        self.shared.tasks.spawn(async move { shared.run(import, source, active.stop()).await });
    }
}

impl Shared {
    pub(crate) fn target(&self, import: &Import, gzip_only: bool) -> Target {
        Target {
            sink: self.sink.clone(),
            destination: import.destination,
            fallback: import.fallback(),
            range: import.range,
            limits: LogFileLimits { record_bytes: import.record_bytes, ..self.settings.limits },
            gzip_only,
            silence: self.settings.silence,
        }
    }

    async fn run(&self, mut import: Import, source: Option<OpenedSource>, stop: &CancellationToken) {
        let source = match source {
            Some(source) => Ok(source),
            None => self.sources.open(&import.source).await,
        };
        let source = match source {
            Ok(source) => source,
            Err(cause) => {
                warn!(import = %import.id, %cause, "cannot open the source of an import");
                import.status = ImportStatus::Failed;
                import.updated = self.clock.now();
                import.statistics.failed_entries += 1;
                let failure = unopened(&import, &cause.to_string());
                let written = match self.records.write_failure(import.id, &failure) {
                    Ok(write) => self.records.end(&import, vec![write]).await,
                    Err(cause) => Err(cause),
                };
                if let Err(cause) = written {
                    warn!(import = %import.id, %cause, "cannot write the end of an import");
                }
                return;
            }
        };
        let run = Run {
            target: self.target(&import, source.gzip_only),
            import,
            records: self.records.clone(),
            source,
            clock: self.clock.clone(),
            settings: self.settings,
            room: self.room.clone(),
            unsaved: Unsaved::default(),
        };
        run.drive(stop, &self.shutdown).await;
    }
}

/// The failure of a source that could be opened when the import was started and cannot now.
fn unopened(import: &Import, message: &str) -> Failure {
    let location = match &import.source {
        ImportSource::S3 { uri, .. } => uri.clone(),
        ImportSource::Folder { path } => path.clone(),
        ImportSource::Upload { label } => label.clone(),
    };
    Failure {
        location,
        status: FailureStatus::Failed,
        kind: FailureKind::SourceUnavailable,
        message: message.to_owned(),
        updated: import.updated,
        path: String::new(),
        what: What::Source,
        events: 0,
    }
}
