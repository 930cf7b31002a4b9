//! Buckets in memory that fail when told and know when their objects were put.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result as StoreResult,
};
use parking_lot::Mutex;
use towpath_model::{Clock, ManualClock};

use crate::{BucketError, Buckets};

/// An object store in memory whose calls fail when told.
#[derive(Debug, Default)]
pub(crate) struct FailingStore {
    pub(crate) inner: InMemory,
    calls: AtomicU64,
    // The call to fail, and whether it fails after it was done.
    plan: Mutex<Option<(u64, bool)>>,
    down: Mutex<bool>,
    // When objects were put, by the clock of the test.
    clock: Mutex<Option<Arc<ManualClock>>>,
    modified: Mutex<HashMap<Path, SystemTime>>,
}

impl std::fmt::Display for FailingStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FailingStore")
    }
}

fn injected() -> object_store::Error {
    object_store::Error::Generic { store: "test", source: "<Code>InternalError</Code>".into() }
}

impl FailingStore {
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    pub(crate) fn fail_at(&self, call: u64, after: bool) {
        *self.plan.lock() = Some((call, after));
    }

    pub(crate) fn heal(&self) {
        *self.plan.lock() = None;
    }

    pub(crate) fn set_down(&self, down: bool) {
        *self.down.lock() = down;
    }

    fn next(&self) -> Option<bool> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        if *self.down.lock() {
            return Some(false);
        }
        self.plan.lock().filter(|(at, _)| *at == call).map(|(_, after)| after)
    }
}

#[async_trait]
impl ObjectStore for FailingStore {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> StoreResult<PutResult> {
        if let Some(clock) = &*self.clock.lock() {
            self.modified.lock().insert(path.clone(), clock.now().into());
        }
        match self.next() {
            None => self.inner.put_opts(path, payload, options).await,
            Some(false) => Err(injected()),
            Some(true) => {
                self.inner.put_opts(path, payload, options).await?;
                Err(injected())
            }
        }
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> StoreResult<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> StoreResult<GetResult> {
        match self.next() {
            None => self.inner.get_opts(path, options).await,
            Some(_) => Err(injected()),
        }
    }

    fn delete_stream(&self, paths: BoxStream<'static, StoreResult<Path>>) -> BoxStream<'static, StoreResult<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, StoreResult<ObjectMeta>> {
        let modified = self.modified.lock().clone();
        let by_the_clock = move |meta: ObjectMeta| match modified.get(&meta.location) {
            Some(at) => ObjectMeta { last_modified: (*at).into(), ..meta },
            None => meta,
        };
        self.inner.list(prefix).map_ok(by_the_clock).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> StoreResult<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> StoreResult<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// Buckets by name.
#[derive(Default)]
pub(crate) struct TestBuckets {
    stores: Mutex<HashMap<String, Arc<FailingStore>>>,
    clock: Option<Arc<ManualClock>>,
}

impl TestBuckets {
    /// Buckets whose objects are as old as `clock` says.
    pub(crate) fn by(clock: Arc<ManualClock>) -> Self {
        Self { clock: Some(clock), ..Self::default() }
    }

    pub(crate) fn get(&self, name: &str) -> Arc<FailingStore> {
        let store = self.stores.lock().entry(name.to_owned()).or_default().clone();
        store.clock.lock().clone_from(&self.clock);
        store
    }
}

#[async_trait]
impl Buckets for TestBuckets {
    async fn open(&self, bucket: &str) -> Result<Arc<dyn ObjectStore>, BucketError> {
        if bucket == "missing" {
            let (bucket, code) = (bucket.to_owned(), Some("NoSuchBucket".to_owned()));
            return Err(BucketError { bucket, code, message: "there is no such bucket".to_owned() });
        }
        Ok(self.get(bucket))
    }
}
