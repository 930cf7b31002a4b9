//! Uploads in parts: begun, filled in any order, and completed into one object or given up.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;

use towpath_meta::{Expect, Key, MetaError, MetaStoreExt, Typed, Write};

use crate::buckets::{Buckets, OpenBucket};
use crate::checksum::{Algorithm, Checksum, Scope, etag_of_parts};
use crate::error::BucketError;
use crate::files::{Content, ContentWriter};
use crate::name::ObjectKey;
use crate::object::{Conditions, Expected, Put, new_lock};
use crate::record::{Object, Part, Upload};

/// Highest number of a part.
pub const MAX_PARTS: u32 = 10_000;

/// Least bytes of every part but the last.
pub const MIN_PART_BYTES: u64 = 5 << 20;

/// Largest object, in bytes.
const MAX_OBJECT_BYTES: u64 = 5 << 40;

/// Most uploads under way in one bucket.
const MAX_UPLOADS: usize = 10_000;

/// A part as the caller names it to complete an upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedPart {
    /// Its number.
    pub number: u32,
    /// Its ETag, without quotes.
    pub etag: String,
    /// Its checksum, if the caller names it.
    pub checksum: Option<String>,
}

fn upload_key(bucket: &OpenBucket, id: &str) -> Result<Key, BucketError> {
    let plain = !id.is_empty() && id.len() <= 64 && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let missing = || BucketError::NoSuchUpload(id.chars().take(80).collect());
    if plain { bucket.upload_area().child(id).map_err(|_| missing()) } else { Err(missing()) }
}

fn parts_area(bucket: &OpenBucket, id: &str) -> Key {
    bucket.part_area().child(id).expect("ids of uploads are short")
}

fn part_key(bucket: &OpenBucket, id: &str, number: u32) -> Key {
    parts_area(bucket, id).child(&format!("{number:05}")).expect("numbers of parts are short")
}

fn number_of(key: &Key) -> u32 {
    key.last_part().parse().unwrap_or_default()
}

impl Buckets {
    /// Begins an upload and returns its id. `put` is what the object will have.
    pub async fn begin_upload(
        &self,
        bucket: &str,
        key: &ObjectKey,
        put: Put,
        checksum: Option<(Algorithm, Scope)>,
        initiator: String,
    ) -> Result<String, BucketError> {
        let bucket = self.inner.bucket(bucket)?;
        let begun = self.inner.clock.now();
        let lock = new_lock(&bucket, put.retention, put.legal_hold, begun)?;
        if self.inner.meta.list(&bucket.upload_area(), None, MAX_UPLOADS).await?.len() >= MAX_UPLOADS {
            return Err(BucketError::TooMany { what: "uploads under way", limit: MAX_UPLOADS });
        }
        let millis = u64::try_from(begun.as_millisecond()).unwrap_or_default();
        let id = format!("{millis:012x}{:016x}{:016x}", rand::random::<u64>(), rand::random::<u64>());
        let upload =
            Upload { key: key.to_string(), begun, initiator, headers: put.headers, tags: put.tags, lock, checksum };
        let record = upload_key(&bucket, &id)?;
        let alive = bucket.alive.read().await;
        if !*alive {
            return Err(BucketError::NoSuchBucket(bucket.record.name.to_string()));
        }
        let write = Write::json(record.clone(), &upload)?;
        self.inner.meta.commit(&[Expect::Absent(record)], &[write]).await?;
        Ok(id)
    }

    /// Returns an upload of this key.
    pub async fn upload(&self, bucket: &str, key: &ObjectKey, id: &str) -> Result<Upload, BucketError> {
        let bucket = self.inner.bucket(bucket)?;
        Ok(self.find_upload(&bucket, key, id).await?.value)
    }

    async fn find_upload(&self, bucket: &OpenBucket, key: &ObjectKey, id: &str) -> Result<Typed<Upload>, BucketError> {
        let upload = self.inner.meta.get_json::<Upload>(&upload_key(bucket, id)?).await?;
        let upload = upload.filter(|upload| upload.value.key == key.as_str());
        upload.ok_or_else(|| BucketError::NoSuchUpload(id.to_owned()))
    }

    /// Stores the content that was written as a part; replaces the part of that number.
    pub async fn put_part(
        &self,
        bucket: &str,
        key: &ObjectKey,
        (id, number): (&str, u32),
        content: ContentWriter,
        expected: Expected,
    ) -> Result<Part, BucketError> {
        if !(1..=MAX_PARTS).contains(&number) {
            return Err(BucketError::Invalid(format!("part number must be an integer between 1 and {MAX_PARTS}")));
        }
        let bucket = self.inner.bucket(bucket)?;
        let upload = self.find_upload(&bucket, key, id).await?;
        let content = content.finish().await?;
        expected.check(&content)?;
        let Content { file, size, digested, placed } = content;
        let part = Part {
            file,
            size,
            etag: hex::encode(digested.md5),
            modified: self.inner.clock.now(),
            checksum: digested.checksum,
        };
        let (inner, record) = (Arc::clone(&self.inner), part_key(&bucket, id, number));
        // A task of its own, for the same reason as a change of an object.
        let task = tokio::spawn(async move {
            loop {
                let old = inner.meta.get_json::<Part>(&record).await?;
                let unchanged = old.as_ref().map_or(Expect::Absent(record.clone()), |old| old.unchanged());
                let write = Write::json(record.clone(), &part)?;
                match inner.meta.commit(&[Expect::Exists(upload.key.clone()), unchanged], &[write]).await {
                    Ok(_) => {
                        placed.keep();
                        inner.discard(&bucket, old.map(|old| old.value.file).into_iter().collect());
                        return Ok(part);
                    }
                    Err(MetaError::Conflict { expected, .. }) if *expected.key() == upload.key => {
                        return Err(BucketError::NoSuchUpload(upload.key.last_part().into_owned()));
                    }
                    Err(MetaError::Conflict { .. }) => tokio::task::yield_now().await,
                    Err(error) => {
                        if matches!(error, MetaError::InDoubt(_)) {
                            placed.keep();
                        }
                        return Err(error.into());
                    }
                }
            }
        });
        task.await?
    }

    /// Lists the parts of an upload behind number `after`, at most `limit`.
    pub async fn parts(
        &self,
        bucket: &str,
        key: &ObjectKey,
        id: &str,
        after: u32,
        limit: usize,
    ) -> Result<Vec<(u32, Part)>, BucketError> {
        let bucket = self.inner.bucket(bucket)?;
        self.find_upload(&bucket, key, id).await?;
        let after = part_key(&bucket, id, after.min(MAX_PARTS));
        let parts = self.inner.meta.list_json::<Part>(&parts_area(&bucket, id), Some(&after), limit).await?;
        Ok(parts.into_iter().map(|part| (number_of(&part.key), part.value)).collect())
    }

    /// Returns the uploads under way, by key and then by age, each with its id.
    pub async fn uploads(&self, bucket: &str) -> Result<Vec<(String, Upload)>, BucketError> {
        let bucket = self.inner.bucket(bucket)?;
        let uploads = self.inner.meta.list_all_json::<Upload>(&bucket.upload_area()).await?;
        let mut uploads: Vec<_> =
            uploads.into_iter().map(|upload| (upload.key.last_part().into_owned(), upload.value)).collect();
        uploads.sort_by(|(left_id, left), (right_id, right)| (&left.key, left_id).cmp(&(&right.key, right_id)));
        Ok(uploads)
    }

    /// Gives an upload up and removes its parts.
    pub async fn abort_upload(&self, bucket: &str, key: &ObjectKey, id: &str) -> Result<(), BucketError> {
        let bucket = self.inner.bucket(bucket)?;
        let upload = self.find_upload(&bucket, key, id).await?;
        self.inner.meta.commit(&[upload.unchanged()], &[Write::Delete(upload.key.clone())]).await?;
        self.clear_parts(&bucket, id).await
    }

    /// Removes the parts of an upload that is gone; none can be added any more.
    async fn clear_parts(&self, bucket: &OpenBucket, id: &str) -> Result<(), BucketError> {
        let parts = self.inner.meta.list_all_json::<Part>(&parts_area(bucket, id)).await?;
        if parts.is_empty() {
            return Ok(());
        }
        let writes: Vec<_> = parts.iter().map(|part| Write::Delete(part.key.clone())).collect();
        self.inner.meta.commit(&[], &writes).await?;
        self.inner.discard(bucket, parts.into_iter().map(|part| part.value.file).collect());
        Ok(())
    }

    /// Makes one object of the named parts. All but the last must have `least` bytes; S3 has [`MIN_PART_BYTES`].
    pub async fn complete_upload(
        &self,
        bucket: &str,
        key: &ObjectKey,
        (id, least): (&str, u64),
        named: &[NamedPart],
        conditions: Conditions,
        expected: Expected,
    ) -> Result<Object, BucketError> {
        let bucket = self.inner.bucket(bucket)?;
        let upload = self.find_upload(&bucket, key, id).await?;
        let all = self.inner.meta.list_all_json::<Part>(&parts_area(&bucket, id)).await?;
        let parts = choose(named, &all, upload.value.checksum, least)?;
        let size = parts.iter().try_fold(0_u64, |size, part| size.checked_add(part.value.size));
        let size = size.filter(|size| *size <= MAX_OBJECT_BYTES);
        let size = size.ok_or(BucketError::TooLarge { limit: MAX_OBJECT_BYTES })?;
        if let Some(announced) = expected.size.filter(|announced| *announced != size) {
            return Err(BucketError::Incomplete { announced, actual: size });
        }
        // Known to fail, it shall fail before gigabytes are copied. Decided again when it counts.
        conditions.of_write(key.as_str(), self.inner.object(&bucket, key).await?.as_ref())?;

        let full = upload.value.checksum.and_then(|(algorithm, scope)| (scope == Scope::Full).then_some(algorithm));
        let content = self.join(&bucket, parts.iter().map(|part| part.value.file.clone()).collect(), full).await?;
        let checksum = match (full, upload.value.checksum) {
            (Some(_), _) => content.digested.checksum.clone(),
            (None, Some((algorithm, _))) => {
                let sums: Option<Vec<_>> =
                    parts.iter().map(|part| part.value.checksum.as_ref().map(|sum| sum.value.as_str())).collect();
                sums.and_then(|sums| Checksum::composite(algorithm, sums))
            }
            (None, None) => None,
        };
        if let Some(expected) = &expected.checksum
            && checksum.as_ref().map(|sum| &sum.value) != Some(&expected.value)
        {
            return Err(BucketError::BadDigest(expected.algorithm.as_str()));
        }
        let etag = etag_of_parts(parts.iter().map(|part| part.value.etag.as_str()));
        let Upload { headers, tags, lock, .. } = upload.value.clone();
        let object = Object {
            file: content.file,
            size,
            etag: etag.ok_or(BucketError::InvalidPartOrder)?,
            modified: self.inner.clock.now(),
            headers,
            checksum,
            tags,
            lock,
            parts: u32::try_from(parts.len()).ok(),
        };
        // The object appears, and upload and parts go, in one commit; a part that came meanwhile makes it fail.
        let mut with = vec![(Some(upload.unchanged()), Some(Write::Delete(upload.key.clone())))];
        with.extend(all.iter().map(|part| (Some(part.unchanged()), Some(Write::Delete(part.key.clone())))));
        let stored = self.place(Arc::clone(&bucket), key, object, content.placed, conditions, with).await;
        let stored = stored.map_err(|error| match error {
            BucketError::Meta(MetaError::Conflict { .. }) => BucketError::Conflict(key.to_string()),
            other => other,
        })?;
        self.inner.discard(&bucket, all.into_iter().map(|part| part.value.file).collect());
        // Parts that were added while the others were joined.
        if let Err(cause) = self.clear_parts(&bucket, id).await {
            tracing::warn!(bucket = %bucket.record.name, %cause, "cannot remove parts of a completed upload");
        }
        Ok(stored)
    }

    async fn join(
        &self,
        bucket: &OpenBucket,
        parts: Vec<String>,
        full: Option<Algorithm>,
    ) -> Result<Content, BucketError> {
        let (files, name) = (Arc::clone(&self.inner.files), bucket.record.name.clone());
        let joined = spawn_blocking(move || {
            let mut draft = files.draft(&name, full)?;
            for part in parts {
                let (file, _) = files.read(&name, &part)?;
                draft.append(file, full.is_some())?;
            }
            draft.place()
        });
        joined.await?.map_err(BucketError::file("join parts"))
    }
}

/// Finds the named parts among those that were uploaded and checks them.
fn choose<'a>(
    named: &[NamedPart],
    all: &'a [Typed<Part>],
    checksum: Option<(Algorithm, Scope)>,
    least: u64,
) -> Result<Vec<&'a Typed<Part>>, BucketError> {
    if named.is_empty() {
        return Err(BucketError::InvalidRequest("you must specify at least one part".to_owned()));
    }
    if !named.is_sorted_by(|left, right| left.number < right.number) {
        return Err(BucketError::InvalidPartOrder);
    }
    let uploaded: BTreeMap<u32, &Typed<Part>> = all.iter().map(|part| (number_of(&part.key), part)).collect();
    let mut chosen = Vec::with_capacity(named.len());
    for part in named {
        let found = uploaded.get(&part.number).filter(|found| found.value.etag == part.etag);
        let found = *found.ok_or(BucketError::InvalidPart(part.number))?;
        let sum = found.value.checksum.as_ref().map(|sum| &sum.value);
        if checksum.is_some() && part.checksum.is_some() && part.checksum.as_ref() != sum {
            return Err(BucketError::InvalidPart(part.number));
        }
        chosen.push(found);
    }
    let but_the_last = &chosen[..chosen.len() - 1];
    match but_the_last.iter().find(|part| part.value.size < least) {
        Some(part) => Err(BucketError::PartTooSmall { number: number_of(&part.key), size: part.value.size, least }),
        None => Ok(chosen),
    }
}
