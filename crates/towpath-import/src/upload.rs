//! Uploads: imports whose files a client sends.
//!
//! A client opens an upload under a label, offers files in any order and number, and finishes. If it dies, it opens the
//! upload again under the same label, asks which files are done, and sends the rest. One task owns an upload's state;
//! it marks files as done every second, so that after a crash of the server a second's files are asked for again.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info, warn};

use towpath_meta::{Key, MetaError, Write};
use towpath_model::{Destination, StoreId};

use crate::error::ImportError;
use crate::failure::{Failure, FailureStatus, What};
use crate::file::{FileReport, Input, import_file, import_files};
use crate::import::{Import, ImportId, ImportSource, ImportStatus, Owner, TimeRange};
use crate::importer::{Importer, Shared};
use crate::records::digest;

/// Time between two writes of an upload's state.
const SAVE_INTERVAL: Duration = Duration::from_secs(1);
/// Files between two writes of an upload's state.
const SAVE_FILES: usize = 10_000;
/// Reports that wait for the task; a client that is faster waits.
const QUEUE: usize = 64;

/// An upload to be opened.
#[derive(Clone, Debug)]
pub struct NewUpload {
    /// Whose it is.
    pub owner: Owner,
    /// The store, and its kind.
    pub destination: Destination,
    /// The client's name for the whole of the files, such as the folder's path. Under it, with the same store, an
    /// upload that is not over is found again.
    pub label: String,
    /// Which events it takes.
    pub range: TimeRange,
    /// The longest record it takes, in bytes, by the store's `MaxEventSize`; longer ones are reported.
    pub record_bytes: usize,
}

/// What a client knows of a file without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileMark {
    /// Its name within the upload.
    pub name: String,
    /// What changes when the file does, such as its size and time of change.
    pub version: String,
}

/// An upload that takes files. Clones are handles of the same upload.
#[derive(Clone)]
pub struct Upload {
    id: ImportId,
    import: Import,
    resumed: bool,
    shared: Arc<Shared>,
    task: mpsc::Sender<Message>,
}

/// The uploads that have a task.
#[derive(Default)]
pub(crate) struct Uploads {
    open: Mutex<HashMap<ImportId, (StoreId, mpsc::Sender<Message>)>>,
}

enum Message {
    Done { files: Vec<(FileMark, FileReport)>, answer: oneshot::Sender<Result<Vec<FileReport>, MetaError>> },
    Read(oneshot::Sender<Import>),
    End { status: Option<ImportStatus>, answer: oneshot::Sender<Result<Import, MetaError>> },
}

impl Uploads {
    pub(crate) fn any_into(&self, store: StoreId) -> bool {
        self.open.lock().values().any(|(destination, _)| *destination == store)
    }
}

impl Importer {
    /// Opens an upload, or finds the one that is not over under the same label into the same store.
    pub async fn open_upload(&self, new: NewUpload) -> Result<Upload, ImportError> {
        let source = ImportSource::Upload { label: new.label };
        let open = self.shared.records.list(&new.owner).await?;
        let same = |import: &Import| {
            import.status.is_running() && import.source == source && import.destination == new.destination
        };
        if let Some(import) = open.into_iter().find(same) {
            return self.attach(import, true);
        }
        let takes = (new.range, new.record_bytes);
        let mut import = Import::new(new.owner, new.destination, source, takes, self.shared.clock.now());
        import.status = ImportStatus::InProgress;
        self.shared.records.save(&import, Vec::new()).await?;
        self.attach(import, false)
    }

    /// Finds an upload that is not over.
    pub async fn upload(&self, owner: &Owner, id: ImportId) -> Result<Upload, ImportError> {
        let import = self.get(owner, id).await?;
        let takes_files = matches!(import.source, ImportSource::Upload { .. }) && import.status.is_running();
        if takes_files { self.attach(import, true) } else { Err(ImportError::NotAnUpload(id)) }
    }

    /// Makes a handle, and the task if there is none.
    fn attach(&self, import: Import, resumed: bool) -> Result<Upload, ImportError> {
        if self.shared.shutdown.is_cancelled() {
            return Err(ImportError::Closed);
        }
        let mut open = self.shared.uploads.open.lock();
        let (_, task) = open.entry(import.id).or_insert_with(|| {
            let (sender, messages) = mpsc::channel(QUEUE);
            let task = UploadTask {
                import: import.clone(),
                shared: self.shared.clone(),
                writes: BTreeMap::new(),
                failures: HashMap::new(),
                failed: (!resumed).then(HashSet::new),
            };
            self.shared.tasks.spawn(task.run(messages));
            (import.destination.store, sender)
        });
        Ok(Upload { id: import.id, resumed, shared: self.shared.clone(), task: task.clone(), import })
    }
}

impl Upload {
    /// The id of the import.
    pub const fn id(&self) -> ImportId {
        self.id
    }

    /// False if the upload was opened anew with this handle: none of its files was sent before.
    pub const fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// Says of each file whether it must still be sent: those that are not done, and those that changed since.
    pub async fn pending(&self, files: &[FileMark]) -> Result<Vec<bool>, ImportError> {
        let mut pending = Vec::with_capacity(files.len());
        for file in files {
            let done = self.shared.records.done(self.id, &file.name).await?;
            pending.push(done.as_deref() != Some(&file.version));
        }
        Ok(pending)
    }

    /// Imports one file, plain or gzip, and tells what became of it. Several may be offered at a time.
    ///
    /// A file that is offered twice is harmless: a store holds an event once.
    pub async fn offer(&self, mark: FileMark, input: Input) -> Result<FileReport, ImportError> {
        let report = {
            let _room = self.shared.room.parsing.acquire().await.map_err(|_| ImportError::Closed)?;
            let target = self.shared.target(&self.import, false);
            import_file(input, &target, self.shared.clock.now()).await.map_err(|_| ImportError::Closed)?
        };
        let mut reports = self.done(vec![(mark, report)]).await?;
        reports.pop().ok_or(ImportError::Closed)
    }

    /// Imports files that are small together, and tells of each what became of it, in their order.
    pub async fn offer_all(&self, files: Vec<(FileMark, Bytes)>) -> Result<Vec<FileReport>, ImportError> {
        let (marks, files): (Vec<_>, Vec<_>) = files.into_iter().unzip();
        let reports = {
            let _room = self.shared.room.parsing.acquire().await.map_err(|_| ImportError::Closed)?;
            let target = self.shared.target(&self.import, false);
            import_files(files, &target, self.shared.clock.now()).await.map_err(|_| ImportError::Closed)?
        };
        self.done(marks.into_iter().zip(reports).collect()).await
    }

    async fn done(&self, files: Vec<(FileMark, FileReport)>) -> Result<Vec<FileReport>, ImportError> {
        let (answer, outcome) = oneshot::channel();
        self.send(Message::Done { files, answer }).await?;
        Ok(outcome.await.map_err(|_| ImportError::Closed)??)
    }

    /// The import as it stands now.
    pub async fn status(&self) -> Result<Import, ImportError> {
        let (answer, outcome) = oneshot::channel();
        self.send(Message::Read(answer)).await?;
        outcome.await.map_err(|_| ImportError::Closed)
    }

    /// Ends the upload: completed, or failed if a file failed.
    pub async fn finish(self) -> Result<Import, ImportError> {
        self.end(None).await
    }

    /// Ends the upload as stopped.
    pub async fn stop(self) -> Result<Import, ImportError> {
        self.end(Some(ImportStatus::Stopped)).await
    }

    async fn end(self, status: Option<ImportStatus>) -> Result<Import, ImportError> {
        let (answer, outcome) = oneshot::channel();
        self.send(Message::End { status, answer }).await?;
        Ok(outcome.await.map_err(|_| ImportError::Closed)??)
    }

    async fn send(&self, message: Message) -> Result<(), ImportError> {
        self.task.send(message).await.map_err(|_| ImportError::Closed)
    }
}

/// Owns the state of one upload.
struct UploadTask {
    import: Import,
    shared: Arc<Shared>,
    // What is not written yet: at most one write of a key, and the failures among them by file.
    writes: BTreeMap<Key, Write>,
    failures: HashMap<String, Failure>,
    // Digests of the files that ever failed, if that is known: of an upload that was opened anew.
    failed: Option<HashSet<String>>,
}

impl UploadTask {
    async fn run(mut self, mut messages: mpsc::Receiver<Message>) {
        let id = self.import.id;
        let mut tick = tokio::time::interval(SAVE_INTERVAL);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let shutdown = self.shared.shutdown.clone();
        loop {
            let message = tokio::select! {
                () = shutdown.cancelled() => None,
                message = messages.recv() => message,
                _ = tick.tick() => {
                    self.save_or_report().await;
                    continue;
                }
            };
            match message {
                None => break,
                Some(Message::Done { files, answer }) => {
                    let outcome = self.done_all(files).await;
                    let _ = answer.send(outcome);
                    if self.writes.len() >= SAVE_FILES {
                        self.save_or_report().await;
                    }
                }
                Some(Message::Read(answer)) => {
                    let _ = answer.send(self.import.clone());
                }
                Some(Message::End { status, answer }) => {
                    let ended = self.end(status).await;
                    let over = ended.is_ok();
                    if over {
                        self.shared.uploads.open.lock().remove(&id);
                    }
                    let _ = answer.send(ended);
                    if over {
                        // The marks are of no use any more; left-over ones would only take room, so nobody waits.
                        if let Err(cause) = self.shared.records.forget_done(id).await {
                            warn!(import = %id, %cause, "marks of an upload that is over are not deleted");
                        }
                        return;
                    }
                }
            }
        }
        self.save_or_report().await;
        self.shared.uploads.open.lock().remove(&id);
    }

    async fn done_all(&mut self, files: Vec<(FileMark, FileReport)>) -> Result<Vec<FileReport>, MetaError> {
        let mut reports = Vec::with_capacity(files.len());
        for (mark, report) in files {
            self.done(&mark, &report).await?;
            reports.push(report);
        }
        Ok(reports)
    }

    /// The failure of the same file before.
    async fn earlier(&self, name: &str) -> Result<Option<Failure>, MetaError> {
        let never = self.failed.as_ref().is_some_and(|failed| failed.is_empty() || !failed.contains(&digest(name)));
        if never || (self.failed.is_none() && self.import.statistics.failed_entries == 0) {
            return Ok(None);
        }
        match self.failures.get(name) {
            Some(failure) => Ok(Some(failure.clone())),
            None => self.shared.records.failure(self.import.id, name).await,
        }
    }

    async fn done(&mut self, mark: &FileMark, report: &FileReport) -> Result<(), MetaError> {
        let earlier = self.earlier(&mark.name).await?;
        let stood = earlier.as_ref().is_some_and(|failure| failure.status == FailureStatus::Failed);
        let before = earlier.as_ref().map_or(0, |failure| failure.events);
        let failure = match (&report.fault, earlier) {
            (None, None) => None,
            (None, Some(earlier)) => Some(Failure { status: FailureStatus::Succeeded, ..earlier }),
            (Some(fault), _) => Some(Failure {
                location: mark.name.clone(),
                status: FailureStatus::Failed,
                kind: fault.kind,
                message: fault.message.clone(),
                updated: self.shared.clock.now(),
                path: mark.name.clone(),
                what: What::File,
                events: report.events,
            }),
        };
        if let Some(failure) = failure {
            let updated = self.shared.clock.now();
            let failure = Failure { updated, events: report.events, ..failure };
            let write = self.shared.records.write_failure(self.import.id, &failure)?;
            self.put(write);
            if let Some(failed) = &mut self.failed {
                failed.insert(digest(&mark.name));
            }
            self.failures.insert(mark.name.clone(), failure);
        }
        let mark = self.shared.records.write_done(self.import.id, &mark.name, &mark.version)?;
        self.put(mark);
        let statistics = &mut self.import.statistics;
        statistics.events_completed = (statistics.events_completed + report.events).saturating_sub(before);
        statistics.failed_entries =
            (statistics.failed_entries + u64::from(report.fault.is_some())).saturating_sub(u64::from(stood));
        statistics.files_completed += u64::from(report.fault.is_none());
        Ok(())
    }

    /// Keeps a write for the next commit, which may write a key once.
    fn put(&mut self, write: Write) {
        self.writes.insert(write.key().clone(), write);
    }

    /// The state is written up to here.
    fn written(&mut self) {
        self.writes.clear();
        self.failures.clear();
    }

    async fn save(&mut self) -> Result<(), MetaError> {
        if self.writes.is_empty() {
            return Ok(());
        }
        self.import.updated = self.shared.clock.now();
        self.shared.records.save(&self.import, self.writes.values().cloned().collect()).await?;
        self.written();
        Ok(())
    }

    /// Writes the state; what cannot be written now is tried again at the next step.
    async fn save_or_report(&mut self) {
        if let Err(cause) = self.save().await {
            error!(import = %self.import.id, %cause, "cannot write the state of an upload");
        }
    }

    async fn end(&mut self, status: Option<ImportStatus>) -> Result<Import, MetaError> {
        let failed = self.import.statistics.failed_entries > 0;
        let judged = if failed { ImportStatus::Failed } else { ImportStatus::Completed };
        let over = Import { status: status.unwrap_or(judged), updated: self.shared.clock.now(), ..self.import.clone() };
        self.shared.records.save(&over, self.writes.values().cloned().collect()).await?;
        self.written();
        self.import = over.clone();
        info!(import = %over.id, status = over.status.as_str(), files = over.statistics.files_completed, "upload ended");
        Ok(over)
    }
}
