//! Objects: stored, read, changed and deleted, each change one commit of one record.
//!
//! A change reads the record, decides on what it found, and commits with the expectation that the record is still that
//! one; when others were faster it decides anew. So conditions and locks hold against what is really replaced.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::task::spawn_blocking;

use towpath_meta::{Expect, MetaError, MetaStoreExt, Write};

use crate::buckets::{Buckets, Inner, OpenBucket};
use crate::checksum::{Algorithm, Checksum};
use crate::error::BucketError;
use crate::files::{Content, ContentWriter, PlacedFile};
use crate::lock::{Bypass, Lock, Retention};
use crate::name::ObjectKey;
use crate::record::{Headers, Object};

/// How often a change is decided anew because others were faster.
const MAX_ATTEMPTS: usize = 64;

/// What `If-Match` and `If-None-Match` name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tag {
    /// `*`: any object.
    Any,
    /// The object with this ETag, without quotes.
    Etag(String),
}

impl Tag {
    fn is(&self, object: &Object) -> bool {
        match self {
            Self::Any => true,
            Self::Etag(etag) => *etag == object.etag,
        }
    }
}

/// What a request requires of the object that is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// The object must be this one.
    pub if_match: Option<Tag>,
    /// The object must not be this one.
    pub if_none_match: Option<Tag>,
    /// It must have been stored after this second. Reads alone mind it.
    pub if_modified_since: Option<Timestamp>,
    /// It must not have been stored after this second. Reads alone mind it.
    pub if_unmodified_since: Option<Timestamp>,
}

/// What conditions say of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadVerdict {
    Read,
    NotModified,
    Failed(&'static str),
}

impl Conditions {
    /// Decides a read, with the precedence that HTTP gives the four.
    pub(crate) fn of_read(&self, object: &Object) -> ReadVerdict {
        let later = |than: Timestamp| object.modified.as_second() > than.as_second();
        match (&self.if_match, self.if_unmodified_since) {
            (Some(tag), _) if !tag.is(object) => return ReadVerdict::Failed("If-Match"),
            (None, Some(since)) if later(since) => return ReadVerdict::Failed("If-Unmodified-Since"),
            _ => {}
        }
        match (&self.if_none_match, self.if_modified_since) {
            (Some(tag), _) if tag.is(object) => ReadVerdict::NotModified,
            (None, Some(since)) if !later(since) => ReadVerdict::NotModified,
            _ => ReadVerdict::Read,
        }
    }

    /// Decides a write or delete over what is there.
    pub(crate) fn of_write(&self, key: &str, there: Option<&Object>) -> Result<(), BucketError> {
        if let Some(tag) = &self.if_match {
            let object = there.ok_or_else(|| BucketError::NoSuchKey(key.to_owned()))?;
            if !tag.is(object) {
                return Err(BucketError::Precondition("If-Match"));
            }
        }
        if let (Some(tag), Some(object)) = (&self.if_none_match, there)
            && tag.is(object)
        {
            return Err(BucketError::Precondition("If-None-Match"));
        }
        Ok(())
    }
}

/// What the sender says the content is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// Its length.
    pub size: Option<u64>,
    /// Its MD5.
    pub md5: Option<[u8; 16]>,
    /// Its checksum; of the algorithm that the writer was begun with.
    pub checksum: Option<Checksum>,
}

impl Expected {
    pub(crate) fn check(&self, content: &Content) -> Result<(), BucketError> {
        if let Some(announced) = self.size.filter(|size| *size != content.size) {
            return Err(BucketError::Incomplete { announced, actual: content.size });
        }
        if self.md5.is_some_and(|md5| md5 != content.digested.md5) {
            return Err(BucketError::BadDigest("Content-MD5"));
        }
        match &self.checksum {
            Some(expected) if content.digested.checksum.as_ref() != Some(expected) => {
                Err(BucketError::BadDigest(expected.algorithm.as_str()))
            }
            _ => Ok(()),
        }
    }
}

/// What an object shall have besides its content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Put {
    /// What the client says about it.
    pub headers: Headers,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// A retention other than the bucket's default.
    pub retention: Option<Retention>,
    /// Puts it on hold.
    pub legal_hold: bool,
    /// What must be there, or not.
    pub conditions: Conditions,
}

/// An object and its open content. The content stays readable when the object is overwritten or deleted.
#[derive(Debug)]
pub struct Found {
    /// The object.
    pub object: Object,
    /// Its content.
    pub file: File,
    /// Where the content is.
    pub path: PathBuf,
}

/// What a change does to the record it found.
pub(crate) enum Change {
    Put(Box<Object>),
    Delete,
    Leave,
}

/// What a change found and left.
pub(crate) struct Changed {
    pub(crate) before: Option<Object>,
    pub(crate) after: Option<Object>,
}

impl Buckets {
    /// Begins to write content for an object of a bucket. Dropped, it leaves nothing.
    pub async fn writer(&self, bucket: &str, algorithm: Option<Algorithm>) -> Result<ContentWriter, BucketError> {
        let bucket = self.inner.bucket(bucket)?;
        let files = Arc::clone(&self.inner.files);
        ContentWriter::begin(files, bucket.record.name.clone(), algorithm, crate::MAX_PUT_BYTES).await
    }

    /// Stores the content that was written as an object. Durable when it returns.
    ///
    /// An object that is locked is not replaced; storing once more exactly what is there succeeds and changes nothing,
    /// so that whoever repeats a put after a crash is not refused.
    pub async fn put(
        &self,
        bucket: &str,
        key: &ObjectKey,
        content: ContentWriter,
        expected: Expected,
        put: Put,
    ) -> Result<Object, BucketError> {
        let bucket = self.inner.bucket(bucket)?;
        let now = self.inner.clock.now();
        let lock = new_lock(&bucket, put.retention, put.legal_hold, now)?;
        let content = content.finish().await?;
        expected.check(&content)?;
        let Content { file, size, digested, placed } = content;
        let object = Object {
            file,
            size,
            etag: hex::encode(digested.md5),
            modified: now,
            headers: put.headers,
            checksum: digested.checksum,
            tags: put.tags,
            lock,
            parts: None,
        };
        self.place(bucket, key, object, placed, put.conditions, Vec::new()).await
    }

    /// Puts a record in place, under conditions and locks, with other writes in the same commit.
    pub(crate) async fn place(
        &self,
        bucket: Arc<OpenBucket>,
        key: &ObjectKey,
        object: Object,
        placed: PlacedFile,
        conditions: Conditions,
        with: Vec<(Option<Expect>, Option<Write>)>,
    ) -> Result<Object, BucketError> {
        let (name, now) = (key.as_str().to_owned(), self.inner.clock.now());
        let decide = move |there: Option<&Object>| {
            conditions.of_write(&name, there)?;
            match there {
                Some(there) if !there.lock.permits_removal(now, Bypass::No) => {
                    let same =
                        there.etag == object.etag && there.size == object.size && there.headers == object.headers;
                    if same { Ok(Change::Leave) } else { Err(BucketError::Locked(name.clone())) }
                }
                _ => Ok(Change::Put(Box::new(object.clone()))),
            }
        };
        let changed = self.change_object(bucket, key, Some(placed), decide, with).await?;
        changed.after.ok_or(BucketError::Interrupted)
    }

    /// Returns an object without its content.
    pub async fn head(&self, bucket: &str, key: &ObjectKey) -> Result<Object, BucketError> {
        let bucket = self.inner.bucket(bucket)?;
        self.inner.object(&bucket, key).await?.ok_or_else(|| BucketError::NoSuchKey(key.to_string()))
    }

    /// Returns an object and opens its content.
    pub async fn read(&self, bucket: &str, key: &ObjectKey) -> Result<Found, BucketError> {
        let bucket = self.inner.bucket(bucket)?;
        let mut missed: Option<String> = None;
        loop {
            let object = self.inner.object(&bucket, key).await?;
            let object = object.ok_or_else(|| BucketError::NoSuchKey(key.to_string()))?;
            let (files, name, file) = (Arc::clone(&self.inner.files), bucket.record.name.clone(), object.file.clone());
            match spawn_blocking(move || files.read(&name, &file)).await? {
                Ok((file, path)) => return Ok(Found { object, file, path }),
                // Overwritten between the look at the record and the opening: the new record names another file.
                Err(error) if error.kind() == io::ErrorKind::NotFound && missed.as_ref() != Some(&object.file) => {
                    missed = Some(object.file);
                }
                Err(cause) => return Err(BucketError::File { step: "open content", cause }),
            }
        }
    }

    /// Deletes an object if it is there. Returns what was.
    pub async fn remove(
        &self,
        bucket: &str,
        key: &ObjectKey,
        conditions: Conditions,
        bypass: Bypass,
    ) -> Result<Option<Object>, BucketError> {
        let bucket = self.inner.bucket(bucket)?;
        let (name, now) = (key.as_str().to_owned(), self.inner.clock.now());
        let decide = move |there: Option<&Object>| {
            conditions.of_write(&name, there)?;
            match there {
                None => Ok(Change::Leave),
                Some(there) if !there.lock.permits_removal(now, bypass) => Err(BucketError::Locked(name.clone())),
                Some(_) => Ok(Change::Delete),
            }
        };
        Ok(self.change_object(bucket, key, None, decide, Vec::new()).await?.before)
    }

    /// Copies the content of an object, within a bucket or to another. `put` says what else the copy has.
    pub async fn copy(
        &self,
        from: (&str, &ObjectKey),
        source: &Object,
        to: (&str, &ObjectKey),
        put: Put,
    ) -> Result<Object, BucketError> {
        let (from_bucket, to_bucket) = (self.inner.bucket(from.0)?, self.inner.bucket(to.0)?);
        let now = self.inner.clock.now();
        let lock = new_lock(&to_bucket, put.retention, put.legal_hold, now)?;
        let files = Arc::clone(&self.inner.files);
        let (source_name, name) = (from_bucket.record.name.clone(), to_bucket.record.name.clone());
        let file = source.file.clone();
        let copied = spawn_blocking(move || files.duplicate((&source_name, &file), &name)).await?;
        let (file, placed) = copied.map_err(|cause| match cause.kind() {
            io::ErrorKind::NotFound => BucketError::Conflict(from.1.to_string()),
            _ => BucketError::File { step: "copy content", cause },
        })?;
        let object = Object {
            file,
            size: source.size,
            etag: source.etag.clone(),
            modified: now,
            headers: put.headers,
            checksum: source.checksum.clone(),
            tags: put.tags,
            lock,
            parts: source.parts,
        };
        self.place(to_bucket, to.1, object, placed, put.conditions, Vec::new()).await
    }

    /// Sets the tags of an object.
    pub async fn set_object_tags(
        &self,
        bucket: &str,
        key: &ObjectKey,
        tags: BTreeMap<String, String>,
    ) -> Result<(), BucketError> {
        self.amend(bucket, key, move |object| {
            object.tags.clone_from(&tags);
            Ok(())
        })
        .await
    }

    /// Changes until when an object is kept.
    pub async fn set_retention(
        &self,
        bucket: &str,
        key: &ObjectKey,
        retention: Option<Retention>,
        bypass: Bypass,
    ) -> Result<(), BucketError> {
        let now = self.inner.clock.now();
        require_lock(&*self.inner.bucket(bucket)?)?;
        if retention.is_some_and(|retention| retention.until <= now) {
            return Err(BucketError::Invalid("the retain until date must be in the future".to_owned()));
        }
        let name = key.as_str().to_owned();
        self.amend(bucket, key, move |object| {
            if !object.lock.permits_retention(retention, now, bypass) {
                return Err(BucketError::Locked(name.clone()));
            }
            object.lock.retention = retention;
            Ok(())
        })
        .await
    }

    /// Puts an object on hold or takes it off.
    pub async fn set_legal_hold(&self, bucket: &str, key: &ObjectKey, on: bool) -> Result<(), BucketError> {
        require_lock(&*self.inner.bucket(bucket)?)?;
        self.amend(bucket, key, move |object| {
            object.lock.legal_hold = on;
            Ok(())
        })
        .await
    }

    async fn amend<F>(&self, bucket: &str, key: &ObjectKey, amend: F) -> Result<(), BucketError>
    where
        F: Fn(&mut Object) -> Result<(), BucketError> + Send + Sync + 'static,
    {
        let bucket = self.inner.bucket(bucket)?;
        let name = key.as_str().to_owned();
        let decide = move |there: Option<&Object>| {
            let mut object = there.cloned().ok_or_else(|| BucketError::NoSuchKey(name.clone()))?;
            amend(&mut object)?;
            Ok(Change::Put(Box::new(object)))
        };
        self.change_object(bucket, key, None, decide, Vec::new()).await.map(drop)
    }

    /// Changes one object. Runs to its end even when the caller goes away, so that a file is removed only when it is
    /// certain that no record names it.
    async fn change_object<F>(
        &self,
        bucket: Arc<OpenBucket>,
        key: &ObjectKey,
        placed: Option<PlacedFile>,
        decide: F,
        with: Vec<(Option<Expect>, Option<Write>)>,
    ) -> Result<Changed, BucketError>
    where
        F: Fn(Option<&Object>) -> Result<Change, BucketError> + Send + Sync + 'static,
    {
        let (inner, key) = (Arc::clone(&self.inner), key.clone());
        tokio::spawn(async move { inner.change_object(&bucket, &key, placed, decide, with).await }).await?
    }
}

/// The lock of a new object: what was asked for, else the default of the bucket.
pub(crate) fn new_lock(
    bucket: &OpenBucket,
    retention: Option<Retention>,
    legal_hold: bool,
    now: Timestamp,
) -> Result<Lock, BucketError> {
    if retention.is_some() || legal_hold {
        require_lock(bucket)?;
    }
    if retention.is_some_and(|retention| retention.until <= now) {
        return Err(BucketError::Invalid("the retain until date must be in the future".to_owned()));
    }
    let default = bucket.record.object_lock.and_then(|lock| lock.default).map(|default| default.from(now));
    Ok(Lock { retention: retention.or(default), legal_hold })
}

fn require_lock(bucket: &OpenBucket) -> Result<(), BucketError> {
    match bucket.record.object_lock {
        Some(_) => Ok(()),
        None => Err(BucketError::InvalidRequest("bucket is missing object lock configuration".to_owned())),
    }
}

impl Inner {
    pub(crate) async fn object(&self, bucket: &OpenBucket, key: &ObjectKey) -> Result<Option<Object>, BucketError> {
        let place = bucket.objects.place(key.as_str());
        Ok(self.meta.get_json::<Object>(&place.record).await?.map(|found| found.value))
    }

    async fn change_object<F>(
        self: &Arc<Self>,
        bucket: &OpenBucket,
        key: &ObjectKey,
        placed: Option<PlacedFile>,
        decide: F,
        with: Vec<(Option<Expect>, Option<Write>)>,
    ) -> Result<Changed, BucketError>
    where
        F: Fn(Option<&Object>) -> Result<Change, BucketError>,
    {
        let alive = bucket.alive.read().await;
        if !*alive {
            return Err(BucketError::NoSuchBucket(bucket.record.name.to_string()));
        }
        let place = bucket.objects.place(key.as_str());
        for _ in 0..MAX_ATTEMPTS {
            let there = self.meta.get_json::<Object>(&place.record).await?;
            let mut expect =
                vec![there.as_ref().map_or(Expect::Absent(place.record.clone()), |there| there.unchanged())];
            let before = there.map(|there| there.value);
            let (after, mut writes) = match decide(before.as_ref())? {
                Change::Leave => return Ok(Changed { after: before.clone(), before }),
                Change::Delete => (None, vec![Write::Delete(place.record.clone())]),
                Change::Put(object) => {
                    let mut writes = vec![Write::json(place.record.clone(), &*object)?];
                    writes.extend(place.doors.iter().cloned());
                    (Some(*object), writes)
                }
            };
            expect.extend(with.iter().filter_map(|(expect, _)| expect.clone()));
            writes.extend(with.iter().filter_map(|(_, write)| write.clone()));
            match self.meta.commit(&expect, &writes).await {
                Ok(_) => {
                    if let Some(placed) = placed {
                        placed.keep();
                    }
                    let old = before.as_ref().map(|before| &before.file);
                    if let Some(old) = old.filter(|old| after.as_ref().is_none_or(|after| after.file != **old)) {
                        self.discard(bucket, vec![old.clone()]);
                    }
                    return Ok(Changed { before, after });
                }
                Err(MetaError::Conflict { expected, .. }) if *expected.key() == place.record => {
                    tokio::task::yield_now().await;
                }
                Err(error) => {
                    // The record may name the new file, or still the old one: both stay, and a sweep finds out.
                    if let (MetaError::InDoubt(_), Some(placed)) = (&error, placed) {
                        placed.keep();
                    }
                    return Err(error.into());
                }
            }
        }
        Err(BucketError::Conflict(key.to_string()))
    }

    /// Removes files that no record names any more, in the background.
    pub(crate) fn discard(&self, bucket: &OpenBucket, files: Vec<String>) {
        let (all, name) = (Arc::clone(&self.files), bucket.record.name.clone());
        drop(spawn_blocking(move || files.iter().for_each(|file| all.remove(&name, file))));
    }
}

impl ContentWriter {
    /// Adds all of a sequence of bytes.
    pub async fn write_all(&mut self, chunks: impl IntoIterator<Item = Bytes>) -> Result<(), BucketError> {
        for chunk in chunks {
            self.write(chunk).await?;
        }
        Ok(())
    }
}
