//! The lake's object store, and what makes a written object durable.
//!
//! `object_store`'s local store writes and renames but never syncs. The manifest may only name a file that survives a
//! power cut, so for a local store the file and the directories that lead to it are synced here before the commit.
//! Other stores are durable when a put returns.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt, PutPayload};

use crate::error::LakeError;

/// Where the lake keeps its files.
#[derive(Clone, Debug)]
pub struct Objects {
    store: Arc<dyn ObjectStore>,
    // The directory behind the store, if it is a local one.
    root: Option<Arc<PathBuf>>,
}

impl Objects {
    /// Uses the local directory `root`, which is made if it is missing.
    pub fn local(root: impl Into<PathBuf>) -> Result<Self, LakeError> {
        let root = root.into();
        let failed = |cause: io::Error| LakeError::Sync { path: root.display().to_string(), cause };
        std::fs::create_dir_all(&root).map_err(failed)?;
        let root = root.canonicalize().map_err(failed)?;
        let store = LocalFileSystem::new_with_prefix(&root)
            .map_err(|cause| LakeError::Object { doing: "open", path: root.display().to_string(), cause })?
            .with_automatic_cleanup(false);
        Ok(Self { store: Arc::new(store), root: Some(Arc::new(root)) })
    }

    /// Uses a store whose puts are durable when they return, such as S3.
    pub fn durable(store: Arc<dyn ObjectStore>) -> Self {
        Self { store, root: None }
    }

    /// Replaces the store by `wrap` of it, keeping the syncs of the directory behind it.
    pub fn wrapped(self, wrap: impl FnOnce(Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore>) -> Self {
        Self { store: wrap(self.store), root: self.root }
    }

    /// The store itself, for reading data files by [`DataFile::path`](crate::DataFile::path).
    pub fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
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
        let Some(root) = self.root.clone() else { return Ok(()) };
        let name = path.to_string();
        let synced = tokio::task::spawn_blocking(move || {
            let file = root.join(&name);
            File::open(&file)?.sync_all()?;
            let mut folder = file.parent();
            // Each directory on the way holds the name of the next; up to the root, whose own name is not ours.
            while let Some(dir) = folder {
                File::open(dir)?.sync_all()?;
                if dir == root.as_path() {
                    break;
                }
                folder = dir.parent();
            }
            Ok(())
        });
        let synced = synced.await.map_err(io::Error::other).and_then(|done| done);
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

    /// Opens an object for many small reads from threads that may block.
    pub(crate) fn reader(&self, path: &Path) -> Result<BlockReader, LakeError> {
        match &self.root {
            Some(root) => match File::open(root.join(path.to_string())) {
                Ok(file) => Ok(BlockReader::Local(Arc::new(file))),
                Err(cause) => Err(LakeError::Sync { path: path.to_string(), cause }),
            },
            None => Ok(BlockReader::Remote(self.clone(), path.clone())),
        }
    }
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
