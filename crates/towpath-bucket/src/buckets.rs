//! The buckets: made, changed and deleted one change at a time, and known from memory.

mod sweep;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::RwLock;
use tokio::sync::{Mutex, RwLock as AsyncRwLock};
use tokio::task::spawn_blocking;

use towpath_iam::{Policy, PolicyKind};
use towpath_meta::{Expect, Key, MAX_COMMIT_WRITES, MetaError, MetaStore, MetaStoreExt, Version, Write};
use towpath_model::{AccountId, Clock, Region};

use crate::error::BucketError;
use crate::files::{ContentFiles, Faults};
use crate::key_space::KeySpace;
use crate::name::BucketName;
use crate::record::{Bucket, ObjectLock};

/// Most buckets of one account.
pub const MAX_BUCKETS: usize = 1000;

/// The owner of all keys in the metadata store.
pub(crate) const AREA: &str = "bucket";

/// All buckets of the data directory. Cloning is cheap; clones share all.
#[derive(Clone)]
pub struct Buckets {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) meta: Arc<dyn MetaStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) files: Arc<ContentFiles>,

    // Read for a look-up, written after a commit; never held across an await.
    known: RwLock<BTreeMap<BucketName, Arc<OpenBucket>>>,

    // Held by the one change of a bucket that is under way, across its commit.
    changes: Mutex<()>,
}

/// A bucket as it was last committed, with what follows from its record.
pub(crate) struct OpenBucket {
    pub(crate) record: Bucket,
    pub(crate) version: Version,
    pub(crate) policy: Option<Policy>,
    pub(crate) objects: KeySpace,
    /// True while the bucket exists. Held for reading while an object changes, for writing while the bucket goes, so
    /// that no object is stored in a bucket that was found empty.
    pub(crate) alive: Arc<AsyncRwLock<bool>>,
}

/// What a new bucket shall have.
#[derive(Clone, Debug)]
pub struct NewBucket {
    /// Its name; unique in the server.
    pub name: BucketName,
    /// Whose it will be.
    pub owner: AccountId,
    /// Where it will be said to be.
    pub region: Region,
    /// Whether objects in it can be locked.
    pub object_lock: bool,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

impl OpenBucket {
    fn new(record: Bucket, version: Version, alive: Arc<AsyncRwLock<bool>>) -> Arc<Self> {
        let policy = record.policy.as_deref().map(|text| Policy::from_stored(text, PolicyKind::Resource));
        let policy = policy.map(|policy| policy.pinned(&record.policy_ids));
        let objects = KeySpace::new(AREA, &record.id);
        Arc::new(Self { record, version, policy, objects, alive })
    }

    fn unchanged(&self) -> Expect {
        Expect::Version(record_key(&self.record.name), self.version)
    }

    pub(crate) fn upload_area(&self) -> Key {
        Key::from_parts([AREA, "upload", &self.record.id]).expect("areas and ids are short")
    }

    pub(crate) fn part_area(&self) -> Key {
        Key::from_parts([AREA, "part", &self.record.id]).expect("areas and ids are short")
    }
}

fn record_key(name: &BucketName) -> Key {
    Key::from_parts([AREA, "bucket", name.as_str()]).expect("names of buckets are short")
}

impl Buckets {
    /// Opens the buckets: records in `meta` under `bucket/`, content in files under `folder`.
    pub async fn open(folder: PathBuf, meta: Arc<dyn MetaStore>, clock: Arc<dyn Clock>) -> Result<Self, BucketError> {
        Self::open_with(folder, meta, clock, None).await
    }

    pub(crate) async fn open_with(
        folder: PathBuf,
        meta: Arc<dyn MetaStore>,
        clock: Arc<dyn Clock>,
        faults: Option<Faults>,
    ) -> Result<Self, BucketError> {
        let area = Key::from_parts([AREA, "bucket"]).expect("a plain key");
        let records = meta.list_all_json::<Bucket>(&area).await?;
        let names: Vec<_> = records.iter().map(|record| record.value.name.clone()).collect();
        let files = spawn_blocking(move || {
            let files = ContentFiles::open(folder, faults)?;
            names.iter().try_for_each(|name| files.make_bucket(name))?;
            Ok(files)
        });
        let files = files.await?.map_err(BucketError::file("open the folder of buckets"))?;
        let known = records.into_iter().map(|record| {
            let alive = Arc::new(AsyncRwLock::new(true));
            (record.value.name.clone(), OpenBucket::new(record.value, record.version, alive))
        });
        let inner =
            Inner { meta, clock, files: Arc::new(files), known: RwLock::new(known.collect()), changes: Mutex::new(()) };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Makes a bucket.
    pub async fn create(&self, new: NewBucket) -> Result<Bucket, BucketError> {
        let inner = Arc::clone(&self.inner);
        // A task of its own: if the caller goes away, memory still learns what was committed.
        tokio::spawn(async move { inner.create(new).await }).await?
    }

    /// Deletes an empty bucket. Uploads that are under way in it are given up.
    pub async fn delete(&self, name: &BucketName) -> Result<(), BucketError> {
        let (inner, name) = (Arc::clone(&self.inner), name.clone());
        tokio::spawn(async move { inner.delete(&name).await }).await?
    }

    /// Returns a bucket.
    pub fn get(&self, name: &str) -> Result<Bucket, BucketError> {
        Ok(self.inner.bucket(name)?.record.clone())
    }

    /// Returns the buckets of an account by name.
    pub fn of(&self, owner: AccountId) -> Vec<Bucket> {
        let known = self.inner.known.read();
        known.values().filter(|bucket| bucket.record.owner == owner).map(|bucket| bucket.record.clone()).collect()
    }

    /// Sets or removes the policy of a bucket. It is about whoever has the names in it; see
    /// [`Buckets::set_policy_about`].
    pub async fn set_policy(&self, name: &BucketName, policy: Option<String>) -> Result<(), BucketError> {
        self.set_policy_about(name, policy, |_| BTreeMap::new()).await
    }

    /// Sets or removes the policy of a bucket. `ids` finds the unique ids of the users and roles that it names, by ARN;
    /// the policy is then not about others who get the same names later.
    pub async fn set_policy_about(
        &self,
        name: &BucketName,
        policy: Option<String>,
        ids: impl FnOnce(&Policy) -> BTreeMap<String, String>,
    ) -> Result<(), BucketError> {
        let policy_ids = match &policy {
            Some(text) => ids(&crate::access::check_policy(name, text)?),
            None => BTreeMap::new(),
        };
        self.change(name, move |bucket| {
            bucket.policy = policy;
            bucket.policy_ids = policy_ids;
            Ok(())
        })
        .await
    }

    /// Sets the tags of a bucket.
    pub async fn set_tags(&self, name: &BucketName, tags: BTreeMap<String, String>) -> Result<(), BucketError> {
        self.change(name, move |bucket| {
            bucket.tags = tags;
            Ok(())
        })
        .await
    }

    /// Turns object lock on, or changes how long new objects are kept. It cannot be turned off.
    pub async fn set_object_lock(&self, name: &BucketName, lock: ObjectLock) -> Result<(), BucketError> {
        if lock.default.is_some_and(|default| default.period.days().is_none()) {
            return Err(BucketError::Invalid("the default retention period must be 1 day to 100 years".to_owned()));
        }
        self.change(name, move |bucket| {
            bucket.object_lock = Some(lock);
            Ok(())
        })
        .await
    }

    async fn change<F>(&self, name: &BucketName, change: F) -> Result<(), BucketError>
    where
        F: FnOnce(&mut Bucket) -> Result<(), BucketError> + Send + 'static,
    {
        let (inner, name) = (Arc::clone(&self.inner), name.clone());
        tokio::spawn(async move { inner.change(&name, change).await }).await?
    }
}

impl Inner {
    pub(crate) fn bucket(&self, name: &str) -> Result<Arc<OpenBucket>, BucketError> {
        let missing = || BucketError::NoSuchBucket(name.chars().take(80).collect());
        let name: BucketName = name.parse().map_err(|_| missing())?;
        self.known.read().get(&name).cloned().ok_or_else(missing)
    }

    async fn create(&self, new: NewBucket) -> Result<Bucket, BucketError> {
        let _only = self.changes.lock().await;
        {
            let known = self.known.read();
            if let Some(there) = known.get(&new.name) {
                let own = there.record.owner == new.owner;
                return Err(if own { BucketError::BucketOwned(new.name) } else { BucketError::BucketExists(new.name) });
            }
            if known.values().filter(|bucket| bucket.record.owner == new.owner).count() >= MAX_BUCKETS {
                return Err(BucketError::TooMany { what: "buckets", limit: MAX_BUCKETS });
            }
        }
        let record = Bucket {
            name: new.name.clone(),
            id: format!("{:016x}", rand::random::<u64>()),
            owner: new.owner,
            region: new.region,
            created: self.clock.now(),
            policy: None,
            policy_ids: BTreeMap::new(),
            object_lock: new.object_lock.then(ObjectLock::default),
            tags: new.tags,
        };
        let (files, name) = (Arc::clone(&self.files), new.name.clone());
        let made = spawn_blocking(move || files.make_bucket(&name)).await?;
        made.map_err(BucketError::file("make the folder of a bucket"))?;
        let key = record_key(&new.name);
        let write = Write::json(key.clone(), &record)?;
        match self.meta.commit(&[Expect::Absent(key)], &[write]).await {
            Ok(version) => {
                let alive = Arc::new(AsyncRwLock::new(true));
                let bucket = OpenBucket::new(record.clone(), version, alive);
                self.known.write().insert(new.name, bucket);
                Ok(record)
            }
            Err(error) => {
                self.reload(&new.name, &error).await;
                Err(error.into())
            }
        }
    }

    async fn change<F>(&self, name: &BucketName, change: F) -> Result<(), BucketError>
    where
        F: FnOnce(&mut Bucket) -> Result<(), BucketError>,
    {
        let _only = self.changes.lock().await;
        let old = self.bucket(name.as_str())?;
        let mut record = old.record.clone();
        change(&mut record)?;
        let write = Write::json(record_key(name), &record)?;
        match self.meta.commit(&[old.unchanged()], &[write]).await {
            Ok(version) => {
                let bucket = OpenBucket::new(record, version, Arc::clone(&old.alive));
                self.known.write().insert(name.clone(), bucket);
                Ok(())
            }
            Err(error) => {
                self.reload(name, &error).await;
                Err(error.into())
            }
        }
    }

    async fn delete(&self, name: &BucketName) -> Result<(), BucketError> {
        let _only = self.changes.lock().await;
        let bucket = self.bucket(name.as_str())?;
        let mut alive = bucket.alive.write().await;
        if !bucket.objects.list(&*self.meta, "", 1).await?.is_empty() {
            return Err(BucketError::NotEmpty(name.clone()));
        }
        // The commit point. What follows removes what nobody can reach any more; a crash here leaves it to no one but
        // costs only its place, and the folder is swept.
        let gone = self.meta.commit(&[bucket.unchanged()], &[Write::Delete(record_key(name))]).await;
        if let Err(error) = gone {
            drop(alive);
            self.reload(name, &error).await;
            return Err(error.into());
        }
        *alive = false;
        self.known.write().remove(name);
        drop(alive);
        for area in [bucket.objects.root(), bucket.upload_area(), bucket.part_area()] {
            if let Err(cause) = self.clear(&area).await {
                tracing::warn!(%name, %cause, "cannot remove the rest of a deleted bucket's records");
            }
        }
        let (files, folder, id) = (Arc::clone(&self.files), name.clone(), bucket.record.id.clone());
        if let Err(cause) = spawn_blocking(move || files.remove_bucket(&folder, &id)).await? {
            tracing::warn!(%name, %cause, "cannot remove the folder of a deleted bucket; a later start does");
        }
        Ok(())
    }

    async fn clear(&self, area: &Key) -> Result<(), MetaError> {
        loop {
            let records = self.meta.list(area, None, MAX_COMMIT_WRITES.min(towpath_meta::MAX_PAGE)).await?;
            if records.is_empty() {
                return Ok(());
            }
            let writes: Vec<_> = records.into_iter().map(|record| Write::Delete(record.key)).collect();
            self.meta.commit(&[], &writes).await?;
        }
    }

    /// After a commit whose outcome is not known: takes what the store has.
    async fn reload(&self, name: &BucketName, error: &MetaError) {
        if !error.is_conflict() && !matches!(error, MetaError::InDoubt(_)) {
            return;
        }
        match self.meta.get_json::<Bucket>(&record_key(name)).await {
            Ok(found) => {
                let mut known = self.known.write();
                let alive = known.get(name).map(|old| Arc::clone(&old.alive));
                match found {
                    Some(found) => {
                        let alive = alive.unwrap_or_else(|| Arc::new(AsyncRwLock::new(true)));
                        known.insert(name.clone(), OpenBucket::new(found.value, found.version, alive));
                    }
                    None => drop(known.remove(name)),
                }
            }
            Err(cause) => tracing::warn!(%name, %cause, "cannot read a bucket anew; its next change tries again"),
        }
    }
}

impl std::fmt::Debug for Buckets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Buckets").finish_non_exhaustive()
    }
}
