//! The lake's object store, and what makes a written object durable.
//!
//! `object_store`'s local store writes and renames but never syncs. The manifest may only name a file that survives a
//! power cut, so for a local store the file and the directories that lead to it are synced here before the commit.
//! Other stores are durable when a put returns.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;
use jiff::Timestamp;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt, PutPayload};
use parking_lot::Mutex;
use tracing::debug;

use crate::error::LakeError;

/// Where the lake keeps its files.
#[derive(Clone, Debug)]
pub struct Objects {
    store: Arc<dyn ObjectStore>,
    // The directory behind the store, if it is a local one.
    local: Option<Arc<Local>>,
}

/// The directory of a local store.
#[derive(Debug)]
struct Local {
    root: PathBuf,
    // Folders whose own names are durable. They are never removed while the lake runs.
    named: Mutex<HashSet<PathBuf>>,
}

impl Local {
    /// Syncs a file, the folder that names it, and the names of folders not seen before.
    fn sync(&self, name: &str) -> io::Result<()> {
        let file = self.root.join(name);
        File::open(&file)?.sync_all()?;
        let mut folder = file.parent();
        if let Some(folder) = folder {
            File::open(folder)?.sync_all()?;
        }
        while let Some(dir) = folder.filter(|dir| *dir != self.root && !self.named.lock().contains(*dir)) {
            let parent = dir.parent().unwrap_or(&self.root);
            File::open(parent)?.sync_all()?;
            self.named.lock().insert(dir.to_owned());
            folder = Some(parent);
        }
        Ok(())
    }
}

impl Objects {
    /// Uses the local directory `root`, which is made if it is missing.
    pub fn local(root: impl Into<PathBuf>) -> Result<Self, LakeError> {
        let root = root.into();
        let failed = |cause: io::Error| LakeError::Sync { path: root.display().to_string(), cause };
        std::fs::create_dir_all(&root).map_err(failed)?;
        let root = root.canonicalize().map_err(failed)?;
        // The new directory's own name lives in its parent.
        if let Some(parent) = root.parent() {
            File::open(parent).and_then(|parent| parent.sync_all()).map_err(failed)?;
        }
        let store = LocalFileSystem::new_with_prefix(&root)
            .map_err(|cause| LakeError::Object { doing: "open", path: root.display().to_string(), cause })?
            .with_automatic_cleanup(false);
        Ok(Self { store: Arc::new(store), local: Some(Arc::new(Local { root, named: Mutex::default() })) })
    }

    /// Uses a store whose puts are durable when they return, such as S3.
    pub fn durable(store: Arc<dyn ObjectStore>) -> Self {
        Self { store, local: None }
    }

    /// Replaces the store by `wrap` of it, keeping the syncs of the directory behind it.
    pub fn wrapped(self, wrap: impl FnOnce(Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore>) -> Self {
        Self { store: wrap(self.store), local: self.local }
    }

    /// The store itself, for reading data files by [`DataFile::path`](crate::DataFile::path).
    pub fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    /// Makes `to` an object with the content of `from`, without its bytes passing here: a second name of the same file in a
    /// local store. [`Objects::sync`] makes it durable.
    pub(crate) async fn copy(&self, from: &Path, to: &Path) -> Result<(), LakeError> {
        let Err(error) = self.store.copy(from, to).await else { return Ok(()) };
        // A file system without second names, or with no more of them for this file.
        debug!(%error, %from, %to, "object is written anew");
        let read = self.store.get(from).await.map_err(|cause| failed("read", from, cause))?;
        let bytes = read.bytes().await.map_err(|cause| failed("read", from, cause))?;
        self.store.put(to, bytes.into()).await.map(drop).map_err(|cause| failed("write", to, cause))
    }

    /// Writes an object; it is durable when this returns.
    pub(crate) async fn put(&self, path: &Path, bytes: Bytes) -> Result<(), LakeError> {
        self.store.put(path, PutPayload::from_bytes(bytes)).await.map_err(|cause| failed("write", path, cause))?;
        self.sync(path).await
    }

    /// Starts writing an object part by part; after it is complete, [`Objects::sync`] makes it durable.
    pub(crate) async fn upload(&self, path: &Path) -> Result<Box<dyn MultipartUpload>, LakeError> {
        self.store.put_multipart(path).await.map_err(|cause| failed("write", path, cause))
    }

    /// Makes a written object durable, its name included.
    pub(crate) async fn sync(&self, path: &Path) -> Result<(), LakeError> {
        let Some(local) = self.local.clone() else { return Ok(()) };
        let name = path.to_string();
        let synced = tokio::task::spawn_blocking(move || local.sync(&name)).await;
        let synced = synced.map_err(io::Error::other).and_then(|done| done);
        synced.map_err(|cause| LakeError::Sync { path: path.to_string(), cause })
    }

    /// Reads part of an object.
    pub(crate) async fn range(&self, path: &Path, from: u64, length: u64) -> Result<Bytes, LakeError> {
        self.store.get_range(path, from..from + length).await.map_err(|cause| failed("read", path, cause))
    }

    /// Removes an object; one that is not there is no error.
    pub(crate) async fn delete(&self, path: &Path) -> Result<(), LakeError> {
        match self.store.delete(path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(cause) => Err(failed("delete", path, cause)),
        }
    }

    /// Lists every object.
    pub(crate) fn list(&self) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.store.list(None)
    }

    /// Finds files that the local store began to write and that are older than `age`; none in other stores, which show an
    /// object when it is whole.
    pub(crate) async fn staged(&self, age: Duration, now: Timestamp) -> Result<Vec<Staged>, LakeError> {
        let Some(local) = self.local.clone() else { return Ok(Vec::new()) };
        let found = tokio::task::spawn_blocking(move || {
            let root = &local.root;
            let mut found = Vec::new();
            let mut folders = vec![(root.clone(), 0)];
            while let Some((folder, depth)) = folders.pop() {
                // A folder may go while we look: its last file was deleted.
                let Ok(entries) = std::fs::read_dir(&folder) else { continue };
                for entry in entries {
                    let entry = entry?;
                    let file = entry.path();
                    if entry.file_type()?.is_dir() {
                        if depth < MAX_DEPTH {
                            folders.push((file, depth + 1));
                        }
                    } else if let Some(object) = staged_object(root, &file)
                        && (age.is_zero() || is_older(&entry, age, now))
                    {
                        found.push(Staged { object, file });
                    }
                }
            }
            Ok(found)
        });
        let found = found.await.map_err(io::Error::other).and_then(|found| found);
        found.map_err(|cause| LakeError::Sync { path: "the lake's directory".to_owned(), cause })
    }

    /// Opens an object for many small reads from threads that may block.
    pub(crate) fn reader(&self, path: &Path) -> Result<BlockReader, LakeError> {
        match &self.local {
            Some(local) => match File::open(local.root.join(path.to_string())) {
                Ok(file) => Ok(BlockReader::Local(Arc::new(file))),
                Err(cause) => Err(LakeError::Sync { path: path.to_string(), cause }),
            },
            None => Ok(BlockReader::Remote(self.clone(), path.clone())),
        }
    }
}

/// Folders below the lake's directory: store and day.
const MAX_DEPTH: usize = 2;

/// A file that holds the beginning of an object.
#[derive(Debug)]
pub(crate) struct Staged {
    /// The object that it would have become.
    pub object: Path,
    file: PathBuf,
}

impl Staged {
    /// Removes the file.
    pub async fn delete(self) -> Result<(), LakeError> {
        match tokio::fs::remove_file(&self.file).await {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                Err(LakeError::Sync { path: self.file.display().to_string(), cause })
            }
            _ => Ok(()),
        }
    }
}

/// The object whose beginning this file holds: the local store writes `object#1` before it renames.
fn staged_object(root: &std::path::Path, file: &std::path::Path) -> Option<Path> {
    let relative = file.strip_prefix(root).ok()?.to_str()?;
    let (object, number) = relative.rsplit_once('#')?;
    let staged = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    staged.then(|| Path::from(object))
}

fn is_older(entry: &std::fs::DirEntry, age: Duration, now: Timestamp) -> bool {
    let modified = entry.metadata().and_then(|metadata| metadata.modified());
    let Ok(Ok(modified)) = modified.map(Timestamp::try_from) else { return false };
    now.as_millisecond().saturating_sub(modified.as_millisecond()) >= age.as_millis() as i64
}

fn failed(doing: &'static str, path: &Path, cause: object_store::Error) -> LakeError {
    LakeError::Object { doing, path: path.to_string(), cause }
}

/// Reads parts of one object from a thread that may block.
#[derive(Clone, Debug)]
pub(crate) enum BlockReader {
    Local(Arc<File>),
    Remote(Objects, Path),
}

impl BlockReader {
    /// Reads `length` bytes at `from`. Must not be called from an async thread.
    pub fn read(&self, from: u64, length: usize) -> Result<Bytes, LakeError> {
        match self {
            Self::Local(file) => {
                let mut bytes = vec![0; length];
                std::os::unix::fs::FileExt::read_exact_at(file.as_ref(), &mut bytes, from)
                    .map_err(|cause| LakeError::Sync { path: "a key run".to_owned(), cause })?;
                Ok(bytes.into())
            }
            Self::Remote(objects, path) => {
                tokio::runtime::Handle::current().block_on(objects.range(path, from, length as u64))
            }
        }
    }
}
