//! A bucket as an object store: the interface through which trails deliver, imports read and results are written,
//! whether the bucket is here or at an S3 endpoint.
//!
//! Locks and conditions hold as for S3 requests. A store may act for somebody: then every operation is decided by the
//! policies, with the policy of the bucket as it is at that moment.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, CopyMode, CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};
use parking_lot::Mutex;

use towpath_iam::Context;
use towpath_model::Arn;

use crate::access::Caller;
use crate::buckets::Buckets;
use crate::delivery::{self, delivery_context};
use crate::error::BucketError;
use crate::listing::{ListRequest, MAX_LISTED};
use crate::lock::{Bypass, Retention};
use crate::name::ObjectKey;
use crate::object::{Conditions, Expected, Put, Tag};
use crate::record::{Headers, Object};
use crate::upload::NamedPart;

const STORE: &str = "bucket";

/// One bucket as an [`ObjectStore`]. Cloning is cheap.
///
/// A [`Retention`] among the extensions of [`PutOptions`] is the retention of the object.
#[derive(Clone)]
pub struct BucketStore {
    buckets: Buckets,
    bucket: Arc<str>,
    /// For whom, and what is known about the request.
    acting: Option<Arc<(Caller, Context)>>,
}

impl Buckets {
    /// Returns a bucket as an object store, with the rights of the server itself. The bucket need not exist yet.
    pub fn store(&self, bucket: &str) -> BucketStore {
        BucketStore { buckets: self.clone(), bucket: bucket.into(), acting: None }
    }
}

impl BucketStore {
    /// Acts for `caller` from now on.
    pub fn acting_as(mut self, caller: Caller, context: Context) -> Self {
        self.acting = Some(Arc::new((caller, context)));
        self
    }

    /// Acts for CloudTrail, delivering for a trail.
    pub fn delivering(self, trail: &Arn) -> Self {
        self.acting_as(Caller::service(delivery::SERVICE), delivery_context(trail))
    }

    fn may(&self, action: &str, key: Option<&str>) -> Result<(), BucketError> {
        match self.acting.as_deref() {
            Some((caller, context)) => self.buckets.authorize(caller, action, &self.bucket, key, context),
            None => Ok(()),
        }
    }

    async fn store(&self, key: &ObjectKey, payload: PutPayload, put: Put) -> Result<Object, BucketError> {
        self.may("s3:PutObject", Some(key.as_str()))?;
        let expected = Expected { size: Some(payload.content_length() as u64), ..Expected::default() };
        let mut writer = self.buckets.writer(&self.bucket, None).await?;
        writer.write_all(payload).await?;
        self.buckets.put(&self.bucket, key, writer, expected, put).await
    }

    /// Lists everything below `prefix`, behind `after`.
    fn walk(&self, prefix: Option<&Path>, after: Option<String>) -> BoxStream<'static, Result<ObjectMeta>> {
        let prefix = folder(prefix);
        let (store, at) = (self.clone(), Some(after));
        let pages = futures::stream::try_unfold((store, prefix, at), |(store, prefix, at)| async move {
            let Some(after) = at else {
                return Ok::<_, object_store::Error>(None);
            };
            store.may("s3:ListBucket", None).map_err(|error| failed(&prefix, error))?;
            let request = ListRequest { prefix: prefix.clone(), delimiter: None, after, limit: MAX_LISTED };
            let page = store.buckets.list(&store.bucket, &request).await;
            let page = page.map_err(|error| failed(&prefix, error))?;
            let metas =
                page.objects.iter().filter_map(|listed| meta_of(listed.key.as_str(), &listed.object).transpose());
            let metas: Vec<Result<ObjectMeta>> = metas.collect();
            Ok(Some((futures::stream::iter(metas), (store, prefix, page.next.map(Some)))))
        });
        pages.try_flatten().boxed()
    }
}

/// A folder as a prefix of keys: nothing, or its path with a slash.
fn folder(prefix: Option<&Path>) -> String {
    prefix.filter(|prefix| !prefix.as_ref().is_empty()).map(|prefix| format!("{prefix}/")).unwrap_or_default()
}

fn key_of(path: &Path) -> Result<ObjectKey> {
    path.as_ref()
        .parse()
        .map_err(|cause: crate::ObjectKeyError| object_store::Error::Generic { store: STORE, source: Box::new(cause) })
}

fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}

fn tag(etag: &str) -> Tag {
    if etag == "*" { Tag::Any } else { Tag::Etag(etag.trim_matches('"').to_owned()) }
}

/// What the interface says about an object; nothing for a key that ends with a slash, which it cannot name.
fn meta_of(key: &str, object: &Object) -> Result<Option<ObjectMeta>> {
    let location = Path::parse(key)?;
    let meta = ObjectMeta {
        last_modified: SystemTime::from(object.modified).into(),
        size: object.size,
        e_tag: Some(quoted(&object.etag)),
        version: None,
        location,
    };
    Ok((meta.location.as_ref() == key).then_some(meta))
}

fn failed(path: &str, error: BucketError) -> object_store::Error {
    use object_store::Error;
    let path = path.to_owned();
    match error {
        BucketError::NoSuchBucket(_) | BucketError::NoSuchKey(_) => Error::NotFound { path, source: Box::new(error) },
        BucketError::Precondition("If-None-Match") => Error::AlreadyExists { path, source: Box::new(error) },
        BucketError::Precondition(_) => Error::Precondition { path, source: Box::new(error) },
        BucketError::Locked(_) | BucketError::AccessDenied(_) => {
            Error::PermissionDenied { path, source: Box::new(error) }
        }
        other => Error::Generic { store: STORE, source: Box::new(other) },
    }
}

fn headers(attributes: &Attributes) -> Result<Headers> {
    let mut headers = Headers::default();
    for (attribute, value) in attributes {
        let value = value.as_ref().to_owned();
        if !value.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte)) {
            let problem = format!("value of {attribute:?} has characters that no header may have");
            return Err(object_store::Error::NotSupported { source: problem.into() });
        }
        match attribute {
            Attribute::ContentType => headers.content_type = Some(value),
            Attribute::ContentEncoding => headers.content_encoding = Some(value),
            Attribute::ContentLanguage => headers.content_language = Some(value),
            Attribute::ContentDisposition => headers.content_disposition = Some(value),
            Attribute::CacheControl => headers.cache_control = Some(value),
            Attribute::Metadata(name) => drop(headers.metadata.insert(name.to_ascii_lowercase(), value)),
            other => {
                let problem = format!("attribute {other:?} is not kept");
                return Err(object_store::Error::NotSupported { source: problem.into() });
            }
        }
    }
    Ok(headers)
}

fn attributes(headers: &Headers) -> Attributes {
    let mut attributes = Attributes::new();
    let mut set = |attribute, value: &Option<String>| {
        if let Some(value) = value {
            attributes.insert(attribute, value.clone().into());
        }
    };
    set(Attribute::ContentType, &headers.content_type);
    set(Attribute::ContentEncoding, &headers.content_encoding);
    set(Attribute::ContentLanguage, &headers.content_language);
    set(Attribute::ContentDisposition, &headers.content_disposition);
    set(Attribute::CacheControl, &headers.cache_control);
    for (name, value) in &headers.metadata {
        attributes.insert(Attribute::Metadata(name.clone().into()), value.clone().into());
    }
    attributes
}

/// Tags as the interface writes them: a query string.
fn tags(set: &object_store::TagSet) -> std::collections::BTreeMap<String, String> {
    form_urlencoded::parse(set.encoded().as_bytes()).into_owned().collect()
}

#[async_trait]
impl ObjectStore for BucketStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let key = key_of(location)?;
        let mut conditions = Conditions::default();
        match &opts.mode {
            PutMode::Overwrite => {}
            PutMode::Create => conditions.if_none_match = Some(Tag::Any),
            PutMode::Update(version) => match &version.e_tag {
                Some(etag) => conditions.if_match = Some(tag(etag)),
                None => {
                    let problem = "an update needs the ETag of what it replaces";
                    return Err(object_store::Error::NotSupported { source: problem.into() });
                }
            },
        }
        let put = Put {
            headers: headers(&opts.attributes)?,
            tags: tags(&opts.tags),
            retention: opts.extensions.get::<Retention>().copied(),
            legal_hold: false,
            conditions,
        };
        let stored = self.store(&key, payload, put).await.map_err(|error| failed(location.as_ref(), error))?;
        Ok(PutResult { e_tag: Some(quoted(&stored.etag)), version: None })
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        let key = key_of(location)?;
        let put = Put {
            headers: headers(&opts.attributes)?,
            tags: tags(&opts.tags),
            retention: opts.extensions.get::<Retention>().copied(),
            ..Put::default()
        };
        let begun = async {
            self.may("s3:PutObject", Some(key.as_str()))?;
            let initiator = self.acting.as_deref().map(|(caller, _)| caller.principal.display_name());
            self.buckets.begin_upload(&self.bucket, &key, put, None, initiator.unwrap_or_default()).await
        };
        let id = begun.await.map_err(|error| failed(location.as_ref(), error))?;
        let upload = Upload { store: self.clone(), key, id: id.into(), next: 1, parts: Arc::default() };
        Ok(Box::new(upload))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let key = key_of(location)?;
        let failed = |error| failed(location.as_ref(), error);
        self.may("s3:GetObject", Some(key.as_str())).map_err(failed)?;
        let found = self.buckets.read(&self.bucket, &key).await.map_err(failed)?;
        let meta = ObjectMeta {
            location: location.clone(),
            last_modified: SystemTime::from(found.object.modified).into(),
            size: found.object.size,
            e_tag: Some(quoted(&found.object.etag)),
            version: None,
        };
        options.check_preconditions(&meta)?;
        let range: Range<u64> = match &options.range {
            None => 0..meta.size,
            Some(range) => range
                .as_range(meta.size)
                .map_err(|cause| object_store::Error::Generic { store: STORE, source: Box::new(cause) })?,
        };
        let attributes = attributes(&found.object.headers);
        let payload = match options.head {
            true => GetResultPayload::Stream(futures::stream::empty().boxed()),
            false => GetResultPayload::File(found.file, found.path),
        };
        Ok(GetResult { payload, meta, range, attributes })
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        let deleted = locations.and_then(move |path| {
            let store = store.clone();
            async move {
                let key = key_of(&path)?;
                let removed = async {
                    store.may("s3:DeleteObject", Some(key.as_str()))?;
                    store.buckets.remove(&store.bucket, &key, Conditions::default(), Bypass::No).await
                };
                removed.await.map_err(|error| failed(path.as_ref(), error))?;
                Ok(path)
            }
        });
        deleted.boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.walk(prefix, None)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.walk(prefix, Some(offset.to_string()))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let prefix = folder(prefix);
        let failed = |error| failed(&prefix, error);
        self.may("s3:ListBucket", None).map_err(failed)?;
        let mut listed = ListResult { common_prefixes: Vec::new(), objects: Vec::new() };
        let mut after = None;
        loop {
            let delimiter = Some("/".to_owned());
            let request = ListRequest { prefix: prefix.clone(), delimiter, after, limit: MAX_LISTED };
            let page = self.buckets.list(&self.bucket, &request).await.map_err(failed)?;
            for object in &page.objects {
                listed.objects.extend(meta_of(object.key.as_str(), &object.object)?);
            }
            for prefix in &page.prefixes {
                listed.common_prefixes.push(Path::parse(prefix)?);
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(listed),
            }
        }
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let (source, target) = (key_of(from)?, key_of(to)?);
        let copied = async {
            self.may("s3:GetObject", Some(source.as_str()))?;
            self.may("s3:PutObject", Some(target.as_str()))?;
            let object = self.buckets.head(&self.bucket, &source).await?;
            let mut conditions = Conditions::default();
            if options.mode == CopyMode::Create {
                conditions.if_none_match = Some(Tag::Any);
            }
            let put = Put { headers: object.headers.clone(), tags: object.tags.clone(), conditions, ..Put::default() };
            self.buckets.copy((&self.bucket, &source), &object, (&self.bucket, &target), put).await
        };
        copied.await.map(drop).map_err(|error| match &error {
            BucketError::NoSuchKey(_) => failed(from.as_ref(), error),
            _ => failed(to.as_ref(), error),
        })
    }
}

/// An upload in parts, of whatever size.
struct Upload {
    store: BucketStore,
    key: ObjectKey,
    id: Arc<str>,
    next: u32,
    parts: Arc<Mutex<Vec<NamedPart>>>,
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let number = self.next;
        self.next += 1;
        let (store, key, id, parts) = (self.store.clone(), self.key.clone(), self.id.clone(), self.parts.clone());
        Box::pin(async move {
            let put = async {
                let mut writer = store.buckets.writer(&store.bucket, None).await?;
                writer.write_all(data).await?;
                store.buckets.put_part(&store.bucket, &key, (&id, number), writer, Expected::default()).await
            };
            let part = put.await.map_err(|error| failed(key.as_str(), error))?;
            parts.lock().push(NamedPart { number, etag: part.etag, checksum: None });
            Ok(())
        })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let mut parts = std::mem::take(&mut *self.parts.lock());
        parts.sort_by_key(|part| part.number);
        if parts.is_empty() {
            // An object of no parts is an empty one.
            self.put_part(PutPayload::default()).await?;
            parts = std::mem::take(&mut *self.parts.lock());
        }
        let (buckets, bucket) = (&self.store.buckets, &self.store.bucket);
        let (conditions, expected) = (Conditions::default(), Expected::default());
        let done = buckets.complete_upload(bucket, &self.key, (&self.id, 0), &parts, conditions, expected).await;
        let object = done.map_err(|error| failed(self.key.as_str(), error))?;
        Ok(PutResult { e_tag: Some(quoted(&object.etag)), version: None })
    }

    async fn abort(&mut self) -> Result<()> {
        let aborted = self.store.buckets.abort_upload(&self.store.bucket, &self.key, &self.id).await;
        aborted.map_err(|error| failed(self.key.as_str(), error))
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload").field("key", &self.key).finish_non_exhaustive()
    }
}

impl fmt::Debug for BucketStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BucketStore").field("bucket", &self.bucket).finish_non_exhaustive()
    }
}

impl fmt::Display for BucketStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bucket {}", self.bucket)
    }
}
