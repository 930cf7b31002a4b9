//! Objects: stored, read, changed and deleted, each change one commit of one record.
//!
//! A change reads the record, decides on what it found, and commits with the expectation that the record is still that
//! one; when others were faster it decides anew. So conditions and locks hold against what is really replaced.

mod change;
mod conditions;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::spawn_blocking;

use towpath_meta::{Expect, MetaStoreExt, Write};

use crate::buckets::{Buckets, Inner, OpenBucket};
use crate::checksum::Algorithm;
use crate::error::BucketError;
use crate::files::{Content, ContentWriter, PlacedFile};
use crate::lock::{Bypass, Retention};
use crate::name::ObjectKey;
use crate::record::{Headers, Object};

pub(crate) use change::{Change, new_lock};
pub(crate) use conditions::ReadVerdict;
pub use conditions::{Conditions, Expected, Tag};

use change::require_lock;

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
}

impl Inner {
    pub(crate) async fn object(&self, bucket: &OpenBucket, key: &ObjectKey) -> Result<Option<Object>, BucketError> {
        let place = bucket.objects.place(key.as_str());
        Ok(self.meta.get_json::<Object>(&place.record).await?.map(|found| found.value))
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
