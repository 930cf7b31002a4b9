//! The files that hold the content of objects and parts.
//!
//! A file is written once, under a name of its own that has nothing to do with a key, and never changed. It is written
//! beside its place, synced, given its name, and its folder is synced; only then may a record point to it. A crash
//! before the record is there leaves a file that no record names, and [`ContentFiles::sweep`] removes it after the next
//! start. Who reads a file that is being removed reads it to its end.
//!
//! Names begin with a number drawn at each start. A sweep looks only at files of earlier starts: those of this one are
//! either named by a record or removed by whoever wrote them.

mod stream;
mod writer;

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::checksum::{Algorithm, Digested, Digests};
use crate::name::BucketName;

pub(crate) use self::stream::stream;
pub use self::writer::ContentWriter;

/// Bytes of content that are written or read in one go.
const CHUNK: usize = 256 << 10;

/// What a file that is not complete has behind its name.
const PART: &str = ".part";

/// What the folder of a bucket that is being removed has behind its name.
const GONE: &str = ".gone";

/// A step that writes; tests make it fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Folder,
    SyncParent,
    Create,
    Write,
    Sync,
    Rename,
    SyncFolder,
    Remove,
}

/// Fails a step by returning an error before it is done.
pub(crate) type Faults = Arc<dyn Fn(Step) -> io::Result<()> + Send + Sync>;

/// All content files of the data directory.
pub(crate) struct ContentFiles {
    root: PathBuf,
    start: u64,
    next: AtomicU64,
    faults: Option<Faults>,
    // Folders whose names were made durable since the start.
    durable: Mutex<HashSet<PathBuf>>,
}

impl ContentFiles {
    /// Uses the folder `root`, making it if it is not there.
    pub(crate) fn open(root: PathBuf, faults: Option<Faults>) -> io::Result<Self> {
        make_folder(&root)?;
        Ok(Self { root, start: rand::random(), next: AtomicU64::new(0), faults, durable: Mutex::default() })
    }

    fn step(&self, step: Step) -> io::Result<()> {
        self.faults.as_ref().map_or(Ok(()), |faults| faults(step))
    }

    fn folder(&self, bucket: &BucketName) -> PathBuf {
        self.root.join(bucket.as_str())
    }

    fn path(&self, bucket: &BucketName, file: &str) -> PathBuf {
        self.folder(bucket).join(shard(file)).join(file)
    }

    fn new_name(&self) -> String {
        format!("{:016x}{:016x}", self.start, self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// Makes the folder of a bucket.
    pub(crate) fn make_bucket(&self, bucket: &BucketName) -> io::Result<()> {
        self.step(Step::Folder)?;
        self.forget(bucket);
        make_folder(&self.folder(bucket))
    }

    /// Nothing is known of the folders of a bucket any more.
    fn forget(&self, bucket: &BucketName) {
        let folder = self.folder(bucket);
        self.durable.lock().retain(|known| !known.starts_with(&folder));
    }

    /// Removes the folder of a bucket with all that is in it. The name is free at once.
    pub(crate) fn remove_bucket(&self, bucket: &BucketName, id: &str) -> io::Result<()> {
        self.step(Step::Remove)?;
        let gone = self.root.join(format!("{bucket}.{id}{GONE}"));
        fs::rename(self.folder(bucket), &gone)?;
        self.forget(bucket);
        fs::remove_dir_all(gone)
    }

    /// Chooses a name that no file has, and makes its folder.
    fn new_place(&self, bucket: &BucketName) -> io::Result<Place> {
        let name = self.new_name();
        let path = self.path(bucket, &name);
        let folder = path.parent().unwrap_or(&self.root).to_owned();
        self.step(Step::Folder)?;
        // That a folder is there does not say that its name is durable: a crash, or another writer just now, may have come
        // between the two.
        if !(self.durable.lock().contains(&folder) && folder.is_dir()) {
            make_folder(&folder)?;
            self.step(Step::SyncParent)?;
            self.durable.lock().insert(folder.clone());
        }
        Ok(Place { name, folder, path })
    }

    /// Begins a file.
    pub(crate) fn draft(self: &Arc<Self>, bucket: &BucketName, algorithm: Option<Algorithm>) -> io::Result<Draft> {
        let Place { name, folder, path } = self.new_place(bucket)?;
        self.step(Step::Create)?;
        let draft = folder.join(format!("{name}{PART}"));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        let digests = Digests::new(algorithm);
        Ok(Draft { files: Arc::clone(self), file, name, folder, path, draft, digests, size: 0, placed: false })
    }

    /// Gives the content of a file a second name, in the same bucket or another. Content never changes, so both may
    /// have it. Where the file system has no such names it is copied.
    pub(crate) fn duplicate(
        self: &Arc<Self>,
        from: (&BucketName, &str),
        to: &BucketName,
    ) -> io::Result<(String, PlacedFile)> {
        let source = self.path(from.0, from.1);
        let Place { name, folder, path } = self.new_place(to)?;
        self.step(Step::Create)?;
        let placed = PlacedFile { path: Some(path.clone()) };
        if let Err(error) = fs::hard_link(&source, &path) {
            if error.kind() == io::ErrorKind::NotFound {
                return Err(error);
            }
            fs::copy(&source, &path)?;
            File::open(&path)?.sync_all()?;
        }
        self.step(Step::SyncFolder)?;
        sync_folder(&folder)?;
        Ok((name, placed))
    }

    /// Opens the content of a file.
    pub(crate) fn read(&self, bucket: &BucketName, file: &str) -> io::Result<(File, PathBuf)> {
        let path = self.path(bucket, file);
        Ok((File::open(&path)?, path))
    }

    /// Removes a file that no record names any more.
    pub(crate) fn remove(&self, bucket: &BucketName, file: &str) {
        let removed = self.step(Step::Remove).and_then(|()| fs::remove_file(self.path(bucket, file)));
        if let Err(cause) = removed {
            tracing::warn!(%bucket, file, %cause, "cannot remove a file that is not needed; a later start does");
        }
    }

    /// Lists the files of earlier starts in a bucket, complete or not.
    pub(crate) fn earlier(&self, bucket: &BucketName) -> io::Result<Vec<PathBuf>> {
        let own = format!("{:016x}", self.start);
        let mut found = Vec::new();
        for shard in entries(&self.folder(bucket))? {
            if shard.is_dir() {
                found.extend(entries(&shard)?.into_iter().filter(|path| !name_of(path).starts_with(&own)));
            }
        }
        Ok(found)
    }

    /// Removes those of the files whose names are not among `live`; returns how many.
    pub(crate) fn sweep(&self, found: Vec<PathBuf>, live: &HashSet<String>) -> usize {
        let mut removed = 0;
        for path in found.into_iter().filter(|path| !live.contains(name_of(path))) {
            match fs::remove_file(&path) {
                Ok(()) => removed += 1,
                Err(cause) => tracing::warn!(path = %path.display(), %cause, "cannot remove a file without an object"),
            }
        }
        removed
    }

    /// Lists the folders that are not of one of the buckets; returns their paths.
    pub(crate) fn strange_folders(&self, is_bucket: impl Fn(&str) -> bool) -> io::Result<Vec<PathBuf>> {
        Ok(entries(&self.root)?.into_iter().filter(|path| !is_bucket(name_of(path))).collect())
    }
}

fn shard(file: &str) -> &str {
    file.get(file.len().saturating_sub(2)..).unwrap_or("00")
}

fn name_of(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect()
}

/// Makes a folder that only its owner may look into unless it is there, and makes its name durable in either case.
fn make_folder(path: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    path.parent().map_or(Ok(()), sync_folder)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// A file that is being written. Dropped before it has its place, it is removed.
pub(crate) struct Draft {
    files: Arc<ContentFiles>,
    file: File,
    name: String,
    folder: PathBuf,
    path: PathBuf,
    draft: PathBuf,
    digests: Digests,
    size: u64,
    placed: bool,
}

/// Where a new file will be.
struct Place {
    name: String,
    folder: PathBuf,
    path: PathBuf,
}

/// A file that has its place and its name but no record yet. Dropped, it is removed; kept, it stays.
pub(crate) struct PlacedFile {
    path: Option<PathBuf>,
}

/// Content that is on disk: its file, what is known of it.
pub(crate) struct Content {
    pub(crate) file: String,
    pub(crate) size: u64,
    pub(crate) digested: Digested,
    pub(crate) placed: PlacedFile,
}

impl Draft {
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.files.step(Step::Write)?;
        self.file.write_all(bytes)?;
        self.digests.update(bytes);
        self.size += bytes.len() as u64;
        Ok(())
    }

    /// Adds the whole content of another file. Without `digest` the operating system may do it without reading.
    pub(crate) fn append(&mut self, mut from: File, digest: bool) -> io::Result<()> {
        if !digest {
            self.files.step(Step::Write)?;
            self.size += io::copy(&mut from, &mut self.file)?;
            return Ok(());
        }
        let mut buffer = vec![0; CHUNK];
        loop {
            match from.read(&mut buffer)? {
                0 => return Ok(()),
                count => self.write(&buffer[..count])?,
            }
        }
    }

    /// Syncs the file, gives it its name and syncs the folder.
    pub(crate) fn place(mut self) -> io::Result<Content> {
        self.files.step(Step::Sync)?;
        self.file.sync_all()?;
        self.files.step(Step::Rename)?;
        fs::rename(&self.draft, &self.path)?;
        self.placed = true;
        let placed = PlacedFile { path: Some(self.path.clone()) };
        self.files.step(Step::SyncFolder)?;
        sync_folder(&self.folder)?;
        let digests = std::mem::replace(&mut self.digests, Digests::new(None));
        Ok(Content { file: self.name.clone(), size: self.size, digested: digests.finish(), placed })
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.placed {
            // Gone with the folder if the bucket was deleted meanwhile.
            let _ = fs::remove_file(&self.draft);
        }
    }
}

impl PlacedFile {
    /// Leaves the file where it is: a record names it, or may name it.
    pub(crate) fn keep(mut self) {
        self.path = None;
    }
}

impl Drop for PlacedFile {
    fn drop(&mut self) {
        if let Some(path) = self.path.take() {
            let _ = fs::remove_file(path);
        }
    }
}
