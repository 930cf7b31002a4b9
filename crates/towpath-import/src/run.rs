//! A run: one import being worked on.
//!
//! Files are fetched many at a time, small ones are taken apart and appended in groups of whatever has arrived, and all
//! are finished in the walk's order, so that the last file done stands for all before it. That place, the statistics
//! and the failures up to it are written in one commit, every second and every few thousand files. A crash loses at
//! most that second: its files are read again, and their events have the keys that they had before.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use towpath_meta::{MetaError, Write};
use towpath_model::Clock;

use crate::failure::{Failure, FailureStatus, Fault, What};
use crate::file::{LogClosed, Target};
use crate::import::{Import, ImportStatus};
use crate::importer::ImporterSettings;
use crate::layout::Scope;
use crate::records::Records;
use crate::source::OpenedSource;
use crate::walk::Walk;

mod reader;

pub(crate) use reader::Room;
use reader::{Done, Fetched, FileReader, Job, PARALLEL_PARSES};

/// Files between two writes of the import's state.
const SAVE_FILES: u32 = 5_000;
/// Time between two writes of the import's state.
const SAVE_INTERVAL: Duration = Duration::from_secs(1);

/// One import and what it works with.
pub(crate) struct Run {
    pub(crate) import: Import,
    pub(crate) records: Records,
    pub(crate) source: OpenedSource,
    pub(crate) target: Target,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: ImporterSettings,
    pub(crate) room: Room,
    pub(crate) unsaved: Unsaved,
}

/// What was done since the last write.
pub(crate) struct Unsaved {
    writes: Vec<Write>,
    files: u32,
    since: Instant,
}

impl Default for Unsaved {
    fn default() -> Self {
        Self { writes: Vec::new(), files: 0, since: Instant::now() }
    }
}

/// How the work on an import ended.
enum Ending {
    /// Everything was tried.
    Finished,
    /// It has more failures than it may have.
    TooManyFailures,
    /// The log or the metadata store takes no more.
    Interrupted,
}

impl Run {
    /// Works until the import is over, or stopped, or the importer shuts down.
    pub(crate) async fn drive(mut self, stop: &CancellationToken, shutdown: &CancellationToken) {
        let started = Instant::now();
        let (id, status) = (
            self.import.id,
            tokio::select! {
                biased;
                () = shutdown.cancelled() => None,
                () = stop.cancelled() => Some(ImportStatus::Stopped),
                ending = self.work() => match ending {
                    Ok(Ending::Finished) if self.import.statistics.failed_entries == 0 => Some(ImportStatus::Completed),
                    Ok(Ending::Finished | Ending::TooManyFailures) => Some(ImportStatus::Failed),
                    Ok(Ending::Interrupted) => None,
                    Err(cause) => {
                        error!(import = %self.import.id, %cause, "import interrupted");
                        None
                    }
                },
            },
        );
        self.import.updated = self.clock.now();
        let writes = self.unsaved.writes.clone();
        let written = match status {
            Some(status) => {
                self.import.status = status;
                self.records.end(&self.import, writes).await
            }
            None => self.records.save(&self.import, writes).await,
        };
        if let Err(cause) = written {
            // The import goes on from its last written state when the server starts again.
            error!(import = %id, %cause, "cannot write the end of an import");
        }
        let statistics = self.import.statistics;
        info!(
            import = %id,
            status = self.import.status.as_str(),
            files = statistics.files_completed,
            events = statistics.events_completed,
            failures = statistics.failed_entries,
            elapsed_ms = started.elapsed().as_millis() as u64,
            "import ended"
        );
    }

    async fn work(&mut self) -> Result<Ending, MetaError> {
        self.import.status = ImportStatus::InProgress;
        self.save().await?;
        if let Ending::Interrupted = self.retry_failures().await? {
            return Ok(Ending::Interrupted);
        }
        if self.import.progress.walked {
            return Ok(Ending::Finished);
        }
        let root = self.source.root.to_string();
        let mut steps = self.steps(&root, self.import.progress.after.clone());
        while let Some(done) = steps.next().await {
            match done {
                Done::Folder => self.import.statistics.prefixes_found += 1,
                Done::FolderEnd => self.import.statistics.prefixes_completed += 1,
                Done::Unlistable { path, fault } => self.fail(path, What::Folder, fault, 0)?,
                Done::File { report: Err(LogClosed), .. } => return Ok(Ending::Interrupted),
                Done::File { path, report: Ok(report) } => {
                    self.import.progress.after = Some(path.clone());
                    self.import.statistics.events_completed += report.events;
                    match report.fault {
                        None => self.import.statistics.files_completed += 1,
                        Some(fault) => self.fail(path, What::File, fault, report.events)?,
                    }
                    self.unsaved.files += 1;
                }
            }
            if self.import.statistics.failed_entries >= self.settings.max_failures {
                return Ok(Ending::TooManyFailures);
            }
            self.save_if_due().await?;
        }
        self.import.progress.walked = true;
        Ok(Ending::Finished)
    }

    /// Tries again what is marked for it.
    async fn retry_failures(&mut self) -> Result<Ending, MetaError> {
        let mut after = None;
        loop {
            let page = self.records.failures(self.import.id, after.as_ref(), 500).await?;
            let Some(last) = page.last() else { return Ok(Ending::Finished) };
            after = Some(last.key.clone());
            let waiting =
                page.into_iter().map(|record| record.value).filter(|failure| failure.status == FailureStatus::Retry);
            let (folders, files): (Vec<_>, Vec<_>) = waiting.partition(|failure| failure.what == What::Folder);
            if let Ending::Interrupted = self.retry_files(files).await? {
                return Ok(Ending::Interrupted);
            }
            for folder in folders {
                if let Ending::Interrupted = self.retry_folder(folder).await? {
                    return Ok(Ending::Interrupted);
                }
            }
        }
    }

    async fn retry_files(&mut self, files: Vec<Failure>) -> Result<Ending, MetaError> {
        let reader = self.reader();
        let retries = files.into_iter().map(move |failure| {
            let reader = reader.clone();
            async move {
                // How large the file is now is not known, so it gets the room of a large one.
                let report = reader.read(failure.path.clone(), u64::MAX).await;
                (failure, report)
            }
        });
        let mut retries = stream::iter(retries).buffered(self.settings.parallel_files);
        while let Some((failure, report)) = retries.next().await {
            let Ok(report) = report else { return Ok(Ending::Interrupted) };
            let statistics = &mut self.import.statistics;
            statistics.events_completed = (statistics.events_completed + report.events).saturating_sub(failure.events);
            if report.fault.is_none() {
                statistics.files_completed += 1;
            }
            self.unsaved.files += 1;
            self.settle(Failure { events: report.events, ..failure }, report.fault)?;
            self.save_if_due().await?;
        }
        Ok(Ending::Finished)
    }

    async fn retry_folder(&mut self, failure: Failure) -> Result<Ending, MetaError> {
        let mut steps = self.steps(&failure.path, None);
        let mut again = None;
        while let Some(done) = steps.next().await {
            match done {
                Done::Folder => self.import.statistics.prefixes_found += 1,
                Done::FolderEnd => self.import.statistics.prefixes_completed += 1,
                Done::Unlistable { path, fault } if path == failure.path => again = Some(fault),
                Done::Unlistable { path, fault } => self.fail(path, What::Folder, fault, 0)?,
                Done::File { report: Err(LogClosed), .. } => return Ok(Ending::Interrupted),
                Done::File { path, report: Ok(report) } => {
                    self.import.statistics.events_completed += report.events;
                    match report.fault {
                        None => self.import.statistics.files_completed += 1,
                        Some(fault) => self.fail(path, What::File, fault, report.events)?,
                    }
                    self.unsaved.files += 1;
                }
            }
            self.save_if_due().await?;
        }
        self.settle(failure, again)?;
        Ok(Ending::Finished)
    }

    fn reader(&self) -> FileReader {
        FileReader {
            store: self.source.store.clone(),
            target: self.target.clone(),
            clock: self.clock.clone(),
            room: self.room.clone(),
        }
    }

    /// Walks and carries out the steps, several at a time, in order.
    fn steps(&self, root: &str, after: Option<String>) -> BoxStream<'static, Done> {
        let scope = Scope::new(self.source.root.as_ref(), self.source.loose, &self.import.range);
        let walk = Walk::new(self.source.store.clone(), scope, root, after.as_deref());
        let reader = self.reader();
        let steps = stream::unfold(walk, |mut walk| async move { walk.next().await.map(|step| (step, walk)) });
        let fetching = reader.clone();
        let fetched = steps
            .map(move |step| -> BoxFuture<'static, Fetched> {
                let reader = fetching.clone();
                Box::pin(async move { reader.fetch(step).await })
            })
            .buffered(self.settings.parallel_files);
        // While all that may be parsed at a time is, fetched files gather here, and the next group is larger.
        let jobs =
            fetched.ready_chunks(self.settings.parallel_files).flat_map(|fetched| stream::iter(Job::all(fetched)));
        let done = jobs
            .map(move |job| -> BoxFuture<'static, Vec<Done>> {
                let reader = reader.clone();
                Box::pin(async move { reader.carry_out(job).await })
            })
            .buffered(PARALLEL_PARSES);
        done.flat_map(stream::iter).boxed()
    }

    /// Writes a new failure down.
    fn fail(&mut self, path: String, what: What, fault: Fault, events: u64) -> Result<(), MetaError> {
        let failure = Failure {
            location: format!("{}{path}", self.source.base),
            status: FailureStatus::Failed,
            kind: fault.kind,
            message: fault.message,
            updated: self.clock.now(),
            path,
            what,
            events,
        };
        self.import.statistics.failed_entries += 1;
        self.note(&failure)
    }

    /// Writes down how a retry of a failure ended.
    fn settle(&mut self, failure: Failure, fault: Option<Fault>) -> Result<(), MetaError> {
        let updated = self.clock.now();
        let failure = match fault {
            None => {
                let failed = &mut self.import.statistics.failed_entries;
                *failed = failed.saturating_sub(1);
                Failure { status: FailureStatus::Succeeded, updated, ..failure }
            }
            Some(Fault { kind, message }) => {
                Failure { status: FailureStatus::Failed, kind, message, updated, ..failure }
            }
        };
        self.note(&failure)
    }

    fn note(&mut self, failure: &Failure) -> Result<(), MetaError> {
        let write = self.records.write_failure(self.import.id, failure)?;
        // A commit may write a key once; the later state of a failure wins.
        self.unsaved.writes.retain(|earlier| earlier.key() != write.key());
        self.unsaved.writes.push(write);
        Ok(())
    }

    async fn save_if_due(&mut self) -> Result<(), MetaError> {
        let due = self.unsaved.files >= SAVE_FILES || self.unsaved.since.elapsed() >= SAVE_INTERVAL;
        if due { self.save().await } else { Ok(()) }
    }

    /// Writes the state of the import; waits while the metadata store is unavailable.
    async fn save(&mut self) -> Result<(), MetaError> {
        self.import.updated = self.clock.now();
        loop {
            // Kept until the commit is done: the import may be stopped in the middle of it.
            match self.records.save(&self.import, self.unsaved.writes.clone()).await {
                Ok(()) => break,
                // Writing the same again is harmless.
                Err(cause @ (MetaError::Unavailable(_) | MetaError::InDoubt(_))) => {
                    warn!(import = %self.import.id, %cause, "cannot write the state of an import; trying again");
                    tokio::time::sleep(SAVE_INTERVAL).await;
                }
                Err(cause) => return Err(cause),
            }
        }
        self.unsaved = Unsaved::default();
        Ok(())
    }
}
