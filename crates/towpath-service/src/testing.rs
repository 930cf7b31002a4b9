//! A whole service in one process for tests: metadata in memory, the log on a simulated disk, results in a folder.
//!
//! Requests go through [`Service::call`], signed, as they come from the network.

use std::sync::Arc;
use std::thread::JoinHandle;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Uri};
use jiff::Timestamp;
use object_store::ObjectStore;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use towpath_admit::EventIds;
use towpath_bucket::Buckets;
use towpath_iam::{Directory, RootKey, SecretKey};
use towpath_import::{ImportSource, Importer, ImporterSettings, OpenSource, OpenedSource, SourceError};
use towpath_lake::{Lake, LakeSettings, Objects};
use towpath_log::Log;
use towpath_log::sim::SimDisk;
use towpath_meta::{MemoryMetaStore, MetaStore};
use towpath_model::{AccountId, Event, ManualClock, Position};
use towpath_query::{QueryEngine, QueryEngineParts, QuerySettings};
use towpath_testkit::TestDir;
use towpath_trail::{BucketError, Delivery, SealError, Sealer, SigningKeys, TrailSettings};
use towpath_wire::sigv4::{self, Credentials, Secret};
use zeroize::Zeroizing;

use crate::catalog::Catalog;
use crate::{HttpRequest, IngestionStatuses, Parts, QueryDeliveries, Service, ServiceSettings};

pub(crate) const ACCOUNT: &str = "000000000000";
pub(crate) const REGION: &str = "eu-central-1";

/// A service over parts of its own.
pub(crate) struct TestService {
    pub(crate) service: Service,
    pub(crate) clock: Arc<ManualClock>,
    /// The root of the first account.
    pub(crate) root: Credentials,
    // Dropped in this order: the lake has ended when its folder is removed.
    _lake: LakeThread,
    _folder: TestDir,
}

/// What a call was answered with.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) text: String,
}

impl Answer {
    /// The body as JSON; null where it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// The code of an error, without its namespace; empty for a success.
    pub(crate) fn code(&self) -> String {
        if self.status < 300 {
            return String::new();
        }
        match self.json()["__type"].as_str() {
            Some(code) => code.rsplit('#').next().unwrap_or(code).to_owned(),
            // The query protocol answers in XML.
            None => between(&self.text, "<Code>", "</Code>"),
        }
    }

    /// The body of a success.
    pub(crate) fn ok(self) -> Value {
        assert!(self.status < 300, "{}", self.text);
        self.json()
    }
}

/// The text between two others, or nothing.
pub(crate) fn between(text: &str, start: &str, end: &str) -> String {
    let rest = text.split_once(start).map_or("", |(_, rest)| rest);
    rest.split_once(end).map_or("", |(inside, _)| inside).to_owned()
}

/// There are no buckets in these tests.
struct NoSources;

#[async_trait]
impl OpenSource for NoSources {
    async fn open(&self, _: &ImportSource) -> Result<OpenedSource, SourceError> {
        Err(SourceError::Refused("there is no such bucket".to_owned()))
    }
}

/// The buckets of the data directory.
struct TestBuckets(Buckets);

#[async_trait]
impl towpath_trail::Buckets for TestBuckets {
    async fn open(&self, bucket: &str) -> Result<Arc<dyn ObjectStore>, BucketError> {
        Ok(Arc::new(self.0.store(bucket)))
    }
}

/// Keys of digests need no sealing where nothing is stored.
struct InTheClear;

impl Sealer for InTheClear {
    fn seal(&self, _: &str, plain: &[u8]) -> Result<String, SealError> {
        Ok(URL_SAFE_NO_PAD.encode(plain))
    }

    fn open(&self, _: &str, sealed: &str) -> Result<Zeroizing<Vec<u8>>, SealError> {
        URL_SAFE_NO_PAD.decode(sealed).map(Zeroizing::new).map_err(|cause| SealError(cause.to_string()))
    }
}

/// The lake at work, on a thread with a runtime of its own: a test's runtime would let it write into the folder after the
/// folder was removed, and make it anew.
struct LakeThread {
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl LakeThread {
    fn start(lake: Lake, log: Log) -> Self {
        let stop = CancellationToken::new();
        let told = stop.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(lake.run(log, told)).unwrap();
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for LakeThread {
    fn drop(&mut self) {
        self.stop.cancel();
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(std::thread::panicking() || matches!(ended, Some(Ok(()))), "the lake failed");
    }
}

impl TestService {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut ServiceSettings)) -> Self {
        let folder = TestDir::new("service");
        let clock = Arc::new(ManualClock::at("2026-01-20T00:00:00Z".parse().unwrap()));
        let meta: Arc<dyn MetaStore> = Arc::new(MemoryMetaStore::new());
        let mut settings = ServiceSettings::default();
        change(&mut settings);
        let log = Log::builder(SimDisk::new(1).process()).clock(clock.clone()).open().unwrap();
        let lake = Lake::builder(meta.clone(), Objects::local(folder.path().join("lake")).unwrap())
            .clock(clock.clone())
            .settings(LakeSettings::default())
            .open()
            .await
            .unwrap();
        let queries = QueryEngine::open(QueryEngineParts {
            meta: meta.clone(),
            log: log.clone(),
            lake: lake.clone(),
            clock: clock.clone(),
            settings: QuerySettings { threads: 1, ..QuerySettings::default() },
            quotas: settings.quotas.clone(),
            results: folder.path().join("results"),
            spill: folder.path().join("spill"),
        })
        .await
        .unwrap();
        let imports = Importer::new(
            meta.clone(),
            Arc::new(log.clone()),
            Arc::new(NoSources),
            clock.clone(),
            ImporterSettings::default(),
        );
        let directory = Directory::open(meta.clone(), &SecretKey::generate().unwrap(), clock.clone()).await.unwrap();
        let first_account: AccountId = ACCOUNT.parse().unwrap();
        let RootKey::Created(key) = directory.ensure_root(first_account, None).await.unwrap() else {
            panic!("a new directory has no root")
        };
        let catalog = Arc::new(Catalog::open(meta.clone()).await.unwrap());
        let buckets = Buckets::open(folder.path().join("buckets"), meta.clone(), clock.clone()).await.unwrap();
        let trail = TrailSettings::default();
        let signing_keys = Arc::new(SigningKeys::new(meta.clone(), Arc::new(InTheClear), &trail));
        let trail_buckets = Arc::new(TestBuckets(buckets.clone()));
        let delivery = Delivery::builder(
            meta.clone(),
            log.clone(),
            folder.path().join("trails"),
            trail_buckets.clone(),
            catalog.clone(),
            signing_keys.clone(),
        )
        .clock(clock.clone())
        .settings(trail)
        .open()
        .await
        .unwrap();
        let parts = Parts {
            directory,
            catalog,
            delivery,
            signing_keys,
            buckets,
            trail_buckets,
            destinations: towpath_trail::Destinations::default(),
            query_deliveries: QueryDeliveries::open(meta.clone()).await.unwrap(),
            statuses: IngestionStatuses::open(meta).await.unwrap(),
            log,
            lake,
            queries,
            imports,
            event_ids: EventIds::new(settings.retry_window).unwrap(),
            clock: clock.clone(),
            settings,
            first_account,
            started: "2026-01-20T00:00:00Z".parse().unwrap(),
        };
        let root = credentials(key.id.as_str(), key.secret.expose(), None);
        // Look-ups and queries wait for the lake.
        let lake = LakeThread::start(parts.lake.clone(), parts.log.clone());
        Self { service: Service::new(Arc::new(parts)), clock, root, _lake: lake, _folder: folder }
    }

    pub(crate) fn parts(&self) -> &Parts {
        self.service.parts()
    }

    /// A caller with these credentials.
    pub(crate) fn caller(&self, credentials: &Credentials) -> TestCaller<'_> {
        TestCaller { service: &self.service, clock: &self.clock, credentials: credentials.clone() }
    }

    /// The root of the first account as a caller.
    pub(crate) fn as_root(&self) -> TestCaller<'_> {
        self.caller(&self.root)
    }

    /// Makes a user with a policy and returns its credentials.
    pub(crate) async fn user(&self, name: &str, policy: &Value) -> Credentials {
        let root = self.as_root();
        root.towpath("CreateUser", json!({ "UserName": name })).await.ok();
        root.towpath(
            "PutUserPolicy",
            json!({ "UserName": name, "PolicyName": "p", "PolicyDocument": policy.to_string() }),
        )
        .await
        .ok();
        self.key(json!({ "UserName": name })).await
    }

    /// Makes an account and returns the credentials of its root.
    pub(crate) async fn account(&self, number: &str) -> Credentials {
        self.as_root().towpath("CreateAccount", json!({ "AccountId": number })).await.ok();
        self.key(json!({ "AccountId": number })).await
    }

    async fn key(&self, of: Value) -> Credentials {
        let key = self.as_root().towpath("CreateAccessKey", of).await.ok();
        let text = |member: &str| key["AccessKey"][member].as_str().unwrap().to_owned();
        credentials(&text("AccessKeyId"), &text("SecretAccessKey"), None)
    }

    /// Every event in the log.
    pub(crate) async fn events(&self) -> Vec<Event> {
        let log = &self.parts().log;
        let mut reader = log.reader(Position::new(0));
        let mut events = Vec::new();
        while reader.position() < log.committed() {
            events.extend(reader.next(usize::MAX).await.unwrap().events);
        }
        events
    }
}

pub(crate) fn credentials(id: &str, secret: &str, token: Option<&str>) -> Credentials {
    Credentials {
        access_key_id: id.to_owned(),
        secret_access_key: Secret::new(secret.to_owned()),
        session_token: token.map(|token| Secret::new(token.to_owned())),
    }
}

/// Somebody who calls.
pub(crate) struct TestCaller<'a> {
    service: &'a Service,
    clock: &'a ManualClock,
    credentials: Credentials,
}

impl TestCaller<'_> {
    /// Calls an operation of CloudTrail.
    pub(crate) async fn call(&self, operation: &str, input: Value) -> Answer {
        self.raw(operation, input.to_string().into_bytes()).await
    }

    /// Calls an operation of CloudTrail with any body.
    pub(crate) async fn raw(&self, operation: &str, body: Vec<u8>) -> Answer {
        let target = format!("com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.{operation}");
        self.send("/", Some(target), "cloudtrail", body).await
    }

    /// Calls an operation of Towpath's own.
    pub(crate) async fn towpath(&self, operation: &str, input: Value) -> Answer {
        self.towpath_raw(operation, input.to_string().into_bytes()).await
    }

    /// Calls an operation of Towpath's own with any body.
    pub(crate) async fn towpath_raw(&self, operation: &str, body: Vec<u8>) -> Answer {
        self.send("/", Some(format!("Towpath_20261120.{operation}")), "towpath", body).await
    }

    /// Sends audit events, or any body, into a channel.
    pub(crate) async fn put_audit_events(&self, channel: &str, body: Vec<u8>) -> Answer {
        self.send(&format!("/PutAuditEvents?channelArn={channel}"), None, "cloudtrail-data", body).await
    }

    /// Calls STS with a form.
    pub(crate) async fn sts(&self, form: &str) -> Answer {
        self.send("/", None, "sts", form.as_bytes().to_vec()).await
    }

    async fn send(&self, path: &str, target: Option<String>, service: &str, body: Vec<u8>) -> Answer {
        use towpath_model::Clock;
        let kind = if service == "sts" { "application/x-www-form-urlencoded" } else { "application/x-amz-json-1.1" };
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(format!("http://towpath.test{path}").parse::<Uri>().unwrap())
            .header("content-type", kind);
        if let Some(target) = target {
            request = request.header("x-amz-target", target);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let now: Timestamp = self.clock.now();
        sigv4::sign(&mut parts, &body, &self.credentials, REGION, service, now).unwrap();
        let headers: HeaderMap = parts.headers;
        let request = HttpRequest {
            method: parts.method,
            uri: parts.uri,
            headers,
            body: Bytes::from(body),
            peer: "192.0.2.7".parse().unwrap(),
            tls: None,
        };
        let response = self.service.call(request).await;
        let status = response.status().as_u16();
        Answer { status, text: String::from_utf8_lossy(response.body()).into_owned() }
    }
}
