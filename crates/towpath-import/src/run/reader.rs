//! The files of a run: small ones fetched ahead and taken apart in groups, large ones piece by piece, all within the
//! room that imports have.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use towpath_model::Clock;

use crate::failure::{FailureKind, Fault};
use crate::file::{FileReport, Input, LogClosed, Target, import_file, import_files};
use crate::source_error;
use crate::walk::Step;

/// Files up to this size are fetched whole.
const SMALL_FILE: u64 = 64 * 1024;
/// Small files of all imports that are fetched and not yet imported.
pub(crate) const FETCHED_FILES: usize = 512;
/// Large files and groups of small ones that are taken apart at a time, of all imports. Each needs a dozen megabytes.
pub(crate) const PARALLEL_PARSES: usize = 4;

/// The memory of all imports together, counted in what is held at a time.
///
/// Who parses waits for nobody but the log, and who fetched waits for those who parse: nobody waits in a circle.
#[derive(Clone)]
pub(crate) struct Room {
    /// Small files that are fetched and not yet imported.
    fetched: Arc<Semaphore>,
    /// Files and groups of files that are taken apart.
    pub(crate) parsing: Arc<Semaphore>,
}

impl Default for Room {
    fn default() -> Self {
        let of = |count| Arc::new(Semaphore::new(count));
        Self { fetched: of(FETCHED_FILES), parsing: of(PARALLEL_PARSES) }
    }
}

/// A step of the walk that was carried out.
pub(super) enum Done {
    Folder,
    FolderEnd,
    Unlistable { path: String, fault: Fault },
    File { path: String, report: Result<FileReport, LogClosed> },
}

/// A step of the walk, with the content of a small file.
pub(super) enum Fetched {
    /// A file that is read piece by piece when its turn comes.
    Large { path: String, size: u64 },
    /// A file's whole content.
    Small { path: String, bytes: Bytes, room: Option<OwnedSemaphorePermit> },
    /// Nothing is left to do.
    Done(Done),
}

/// What is carried out at a time, in the order of the walk.
pub(super) enum Job {
    Large {
        path: String,
        size: u64,
    },
    /// Small files, and steps between them that are done.
    Group(Vec<Member>),
}

/// A part of a group.
pub(super) enum Member {
    File(String, Bytes, Option<OwnedSemaphorePermit>),
    Done(Done),
}

impl Job {
    /// Makes one group of all that stands between large files.
    pub(super) fn all(fetched: Vec<Fetched>) -> Vec<Self> {
        let mut jobs = Vec::new();
        for fetched in fetched {
            let member = match fetched {
                Fetched::Large { path, size } => {
                    jobs.push(Self::Large { path, size });
                    continue;
                }
                Fetched::Small { path, bytes, room } => Member::File(path, bytes, room),
                Fetched::Done(done) => Member::Done(done),
            };
            match jobs.last_mut() {
                Some(Self::Group(group)) => group.push(member),
                _ => jobs.push(Self::Group(vec![member])),
            }
        }
        jobs
    }
}

/// Reads files within the room that imports have.
#[derive(Clone)]
pub(super) struct FileReader {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) target: Target,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) room: Room,
}

impl FileReader {
    pub(super) async fn fetch(&self, step: Step) -> Fetched {
        match step {
            Step::Folder => Fetched::Done(Done::Folder),
            Step::FolderEnd => Fetched::Done(Done::FolderEnd),
            Step::Unlistable { path, fault } => Fetched::Done(Done::Unlistable { path, fault }),
            Step::File { path, size } if size > SMALL_FILE => Fetched::Large { path, size },
            Step::File { path, .. } => {
                // The semaphore is never closed; without room the file would only be read a little early.
                let room = self.room.fetched.clone().acquire_owned().await.ok();
                let read = async { self.store.get(&Path::parse(&path)?).await?.bytes().await };
                match self.in_time(read).await {
                    Ok(bytes) => Fetched::Small { path, bytes, room },
                    Err(fault) => Fetched::Done(Done::File { path, report: Ok(FileReport::failed(fault)) }),
                }
            }
        }
    }

    pub(super) async fn carry_out(&self, job: Job) -> Vec<Done> {
        match job {
            Job::Large { path, size } => {
                let report = self.read(path.clone(), size).await;
                vec![Done::File { path, report }]
            }
            Job::Group(group) => self.import_group(group).await,
        }
    }

    async fn import_group(&self, group: Vec<Member>) -> Vec<Done> {
        // The files' room is given back when the group is imported.
        let (mut done, mut files, mut _held) = (Vec::with_capacity(group.len()), Vec::new(), Vec::new());
        for member in group {
            done.push(match member {
                Member::Done(done) => done,
                Member::File(path, bytes, room) => {
                    files.push(bytes);
                    _held.push(room);
                    Done::File { path, report: Err(LogClosed) }
                }
            });
        }
        if files.is_empty() {
            return done;
        }
        if let Ok(reports) = self.import_files(files).await {
            let mut reports = reports.into_iter();
            for done in &mut done {
                if let Done::File { report: report @ Err(LogClosed), .. } = done
                    && let Some(read) = reports.next()
                {
                    *report = Ok(read);
                }
            }
        }
        done
    }

    async fn import_files(&self, files: Vec<Bytes>) -> Result<Vec<FileReport>, LogClosed> {
        let _room = self.room.parsing.acquire().await.map_err(|_| LogClosed)?;
        import_files(files, &self.target, self.clock.now()).await
    }

    pub(super) async fn read(&self, path: String, size: u64) -> Result<FileReport, LogClosed> {
        let _room = self.room.parsing.acquire().await.map_err(|_| LogClosed)?;
        match self.in_time(self.open(&path, size)).await {
            Ok(input) => import_file(input, &self.target, self.clock.now()).await,
            Err(fault) => Ok(FileReport::failed(fault)),
        }
    }

    async fn open(&self, path: &str, size: u64) -> object_store::Result<Input> {
        let found = self.store.get(&Path::parse(path)?).await?;
        if size <= SMALL_FILE {
            return found.bytes().await.map(Input::Bytes);
        }
        Ok(Input::Stream(found.into_stream().map(|piece| piece.map_err(std::io::Error::other)).boxed()))
    }

    /// Waits for the source for as long as it may be silent.
    async fn in_time<T>(&self, read: impl Future<Output = object_store::Result<T>>) -> Result<T, Fault> {
        match tokio::time::timeout(self.target.silence, read).await {
            Ok(Ok(read)) => Ok(read),
            Ok(Err(error)) => Err(source_error::fault(&error)),
            Err(_) => Err(Fault::new(FailureKind::SourceUnavailable, "the source does not answer")),
        }
    }
}
