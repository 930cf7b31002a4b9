//! One change of one object: read, decide, commit; decided anew when others were faster.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::task::spawn_blocking;

use towpath_meta::{Expect, MetaError, MetaStoreExt, Write};

use crate::buckets::{Buckets, Inner, OpenBucket};
use crate::error::BucketError;
use crate::files::PlacedFile;
use crate::lock::{Lock, Retention};
use crate::name::ObjectKey;
use crate::record::Object;

/// How often a change is decided anew because others were faster.
const MAX_ATTEMPTS: usize = 64;

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
    /// Changes one object. Runs to its end even when the caller goes away, so that a file is removed only when it is
    /// certain that no record names it.
    pub(super) async fn change_object<F>(
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

pub(super) fn require_lock(bucket: &OpenBucket) -> Result<(), BucketError> {
    match bucket.record.object_lock {
        Some(_) => Ok(()),
        None => Err(BucketError::InvalidRequest("bucket is missing object lock configuration".to_owned())),
    }
}

impl Inner {
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
