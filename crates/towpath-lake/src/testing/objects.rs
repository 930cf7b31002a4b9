//! An object store that fails the calls it is told to.

use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, UploadPart,
};

/// When a call of [`FailingObjects`] fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ObjectFault {
    /// Nothing was done.
    Before,
    /// It was done; the caller hears that it failed.
    After,
}

#[derive(Debug, Default)]
struct FaultPlan {
    calls: u64,
    // Numbers of the calls that change something; reads are many and alike.
    changes: Vec<u64>,
    once: Option<(u64, ObjectFault)>,
    from: Option<u64>,
}

/// Passes calls on to another store and fails the chosen ones.
#[derive(Clone, Debug)]
pub(crate) struct FailingObjects {
    pub(super) inner: Arc<dyn ObjectStore>,
    plan: Arc<parking_lot::Mutex<FaultPlan>>,
}

impl FailingObjects {
    pub fn new(inner: Arc<dyn ObjectStore>) -> Self {
        Self { inner, plan: Arc::default() }
    }

    pub fn calls(&self) -> u64 {
        self.plan.lock().calls
    }

    /// How many calls changed something.
    pub fn changes(&self) -> usize {
        self.plan.lock().changes.len()
    }

    /// The numbers of all calls that change something, and of some that read.
    pub fn worth_failing(&self) -> Vec<u64> {
        let plan = self.plan.lock();
        let reads = (0..plan.calls).filter(|call| !plan.changes.contains(call)).step_by(397);
        plan.changes.iter().copied().chain(reads).collect()
    }

    pub fn fail_at(&self, call: u64, fault: ObjectFault) {
        self.plan.lock().once = Some((call, fault));
    }

    pub fn fail_from(&self, call: u64) {
        self.plan.lock().from = Some(call);
    }

    pub fn heal(&self) {
        let mut plan = self.plan.lock();
        (plan.once, plan.from) = (None, None);
    }

    fn next(&self, changes: bool) -> Option<ObjectFault> {
        let mut plan = self.plan.lock();
        let call = plan.calls;
        plan.calls += 1;
        if changes {
            plan.changes.push(call);
        }
        if plan.from.is_some_and(|from| call >= from) {
            return Some(ObjectFault::Before);
        }
        plan.once.filter(|(at, _)| *at == call).map(|(_, fault)| fault)
    }

    async fn call<T>(&self, call: impl Future<Output = object_store::Result<T>>) -> object_store::Result<T> {
        self.count(true, call).await
    }

    async fn count<T>(
        &self,
        changes: bool,
        call: impl Future<Output = object_store::Result<T>>,
    ) -> object_store::Result<T> {
        match self.next(changes) {
            None => call.await,
            Some(ObjectFault::Before) => Err(injected()),
            Some(ObjectFault::After) => {
                call.await?;
                Err(injected())
            }
        }
    }
}

fn injected() -> object_store::Error {
    object_store::Error::Generic { store: "test", source: "injected fault".into() }
}

impl std::fmt::Display for FailingObjects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FailingObjects({})", self.inner)
    }
}

#[derive(Debug)]
struct FailingUpload {
    objects: FailingObjects,
    inner: Box<dyn MultipartUpload>,
}

#[async_trait]
impl MultipartUpload for FailingUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let part = self.inner.put_part(data);
        let objects = self.objects.clone();
        Box::pin(async move { objects.call(part).await })
    }

    async fn complete(&mut self) -> object_store::Result<PutResult> {
        let objects = self.objects.clone();
        objects.call(self.inner.complete()).await
    }

    async fn abort(&mut self) -> object_store::Result<()> {
        self.inner.abort().await
    }
}

#[async_trait]
impl ObjectStore for FailingObjects {
    async fn put_opts(&self, at: &Path, payload: PutPayload, opts: PutOptions) -> object_store::Result<PutResult> {
        self.call(self.inner.put_opts(at, payload, opts)).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        opts: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        let inner = self.call(self.inner.put_multipart_opts(at, opts)).await?;
        Ok(Box::new(FailingUpload { objects: self.clone(), inner }))
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        self.count(false, self.inner.get_opts(at, options)).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        match self.next(true) {
            Some(ObjectFault::Before) => futures::stream::once(async { Err(injected()) }).boxed(),
            _ => self.inner.delete_stream(paths),
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        match self.next(false) {
            Some(_) => futures::stream::once(async { Err(injected()) }).boxed(),
            None => self.inner.list(prefix),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.call(self.inner.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.call(self.inner.copy_opts(from, to, options)).await
    }
}
