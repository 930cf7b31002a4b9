//! A source of imports behind the digests of its trails: what they do not vouch for cannot be read.
//!
//! The digests are verified when the source is opened; each log file is compared with its digest when it is read, so that it
//! is read once. A file that nothing vouches for fails alone, with the reason in ListImportFailures.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use jiff::Timestamp;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use towpath_import::{OpenedSource, SourceError, Unverified};
use towpath_model::Region;
use towpath_trail::verify::{Contents, KeySource, SavedKeys, VerifyTrail, Vouchers};
use towpath_trail::{BucketError, Buckets, PublicKey, SigningKeys};

/// Digests that are read at a time.
const PARALLEL: usize = 16;

/// The public keys that digests are believed by: those of this installation, and others that the settings name.
pub struct TrustedKeys {
    /// This installation's.
    pub own: Arc<SigningKeys>,
    /// Others'.
    pub others: Option<SavedKeys>,
}

#[async_trait]
impl KeySource for TrustedKeys {
    async fn public_keys(
        &self,
        region: &Region,
        from: Timestamp,
        to: Timestamp,
    ) -> std::result::Result<Vec<PublicKey>, String> {
        let mut keys = KeySource::public_keys(self.own.as_ref(), region, from, to).await?;
        if let Some(others) = &self.others {
            keys.extend(others.public_keys(region, from, to).await?);
        }
        Ok(keys)
    }
}

/// The one bucket of a source.
struct Opened(Arc<dyn ObjectStore>);

#[async_trait]
impl Buckets for Opened {
    async fn open(&self, _: &str) -> std::result::Result<Arc<dyn ObjectStore>, BucketError> {
        Ok(self.0.clone())
    }
}

/// Verifies the digests of a bucket and puts them in front of it.
pub async fn vouched(source: OpenedSource, keys: Arc<dyn KeySource>) -> std::result::Result<OpenedSource, SourceError> {
    let refused = |cause: &dyn std::error::Error| {
        tracing::warn!(source = source.base, error = %crate::cli::told(cause), "digests of an import cannot be verified");
        SourceError::Refused("its digests cannot be verified".to_owned())
    };
    // Digests lie beside the folder that an import may be pointed at.
    let root = source.root.as_ref();
    let above = root.split_once("AWSLogs").map_or(root, |(above, _)| above);
    let contents = Contents::scan(source.store.as_ref(), above).await.map_err(|cause| refused(&cause))?;
    let bucket = source.base.trim_start_matches("s3://").trim_end_matches('/');
    let buckets: Arc<dyn Buckets> = Arc::new(Opened(source.store.clone()));
    let now = Timestamp::now();
    let chains: Vec<VerifyTrail> = contents
        .chains
        .into_keys()
        .map(|chain| VerifyTrail {
            trail: chain.trail,
            home_region: chain.home_region,
            region: chain.place.region,
            account: chain.place.account,
            organization: chain.place.organization,
            bucket: bucket.to_owned(),
            prefix: chain.place.prefix,
            from: Timestamp::UNIX_EPOCH,
            to: now,
            at: now,
            buckets: buckets.clone(),
            keys: keys.clone(),
            offline: false,
            signatures: Default::default(),
            recorded: Vec::new(),
            continues: None,
            takes_region: true,
            parallel: PARALLEL,
            progress: Arc::new(|_| {}),
        })
        .collect();
    let vouchers = Vouchers::of(&chains).await.map_err(|cause| refused(&cause))?;
    let store = Arc::new(VouchedStore { inner: source.store.clone(), vouchers: Arc::new(vouchers) });
    Ok(OpenedSource { store, ..source })
}

/// A bucket behind its digests. Reads give whole objects; ranges and writes are refused.
struct VouchedStore {
    inner: Arc<dyn ObjectStore>,
    vouchers: Arc<Vouchers>,
}

impl fmt::Debug for VouchedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VouchedStore").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl fmt::Display for VouchedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "vouched {}", self.inner)
    }
}

fn read_only() -> object_store::Error {
    object_store::Error::NotSupported { source: "a bucket behind its digests is only read".into() }
}

#[async_trait]
impl ObjectStore for VouchedStore {
    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        Err(read_only())
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(read_only())
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        if options.head {
            return self.inner.get_opts(location, options).await;
        }
        if options.range.is_some() {
            let problem = "a part of a file cannot be compared with its digest";
            return Err(object_store::Error::NotSupported { source: problem.into() });
        }
        let found = self.inner.get_opts(location, options).await?;
        let (meta, attributes) = (found.meta.clone(), found.attributes.clone());
        let bytes = found.bytes().await?;
        let (vouchers, key, packed) = (self.vouchers.clone(), location.to_string(), bytes.clone());
        let checked = tokio::task::spawn_blocking(move || vouchers.check(&key, &packed)).await;
        let checked = checked.map_err(|source| object_store::Error::JoinError { source })?;
        checked.map_err(|why| object_store::Error::Generic {
            store: "digests",
            source: Box::new(Unverified(why.to_string())),
        })?;
        let range = 0..bytes.len() as u64;
        let payload = GetResultPayload::Stream(futures::stream::once(async move { Ok(bytes) }).boxed());
        Ok(GetResult { payload, meta, range, attributes })
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        paths.map(|_| Err(read_only())).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(read_only())
    }
}
