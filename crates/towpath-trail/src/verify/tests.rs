//! Every way of tampering is found and named.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{Attributes, ObjectStore, ObjectStoreExt, PutOptions, PutPayload};
use towpath_model::Trail;

use super::*;
use crate::gzip;
use crate::testing::{START, World, trail};

pub(crate) fn request(world: &World, trail: &Trail, region: &str) -> VerifyTrail {
    VerifyTrail {
        trail: trail.name.clone(),
        home_region: trail.home_region.clone(),
        region: region.parse().unwrap(),
        account: trail.account,
        organization: None,
        bucket: trail.bucket.clone(),
        prefix: trail.prefix.clone(),
        from: START.parse().unwrap(),
        to: world.now(),
        at: world.now(),
        buckets: world.buckets.clone(),
        keys: Arc::new(world.keys()),
        offline: false,
        signatures: HashMap::new(),
        recorded: Vec::new(),
        continues: None,
        takes_region: true,
        parallel: 4,
        progress: Arc::new(|_| {}),
    }
}

/// Twelve hours of a trail.
struct Twelve {
    world: World,
    trail: Trail,
    digests: Vec<String>,
    files: Vec<String>,
}

impl Twelve {
    async fn hours() -> Self {
        let world = World::new().await;
        let trail = trail("main", "bucket", world.now());
        world.trails.put(trail.clone());
        let mut process = world.process().await;
        for _ in 0..12 {
            world.append(2, &[trail.id], "us-east-1").await;
            process.step().await.unwrap();
            world.advance(Duration::from_secs(3_600));
        }
        process.step().await.unwrap();
        let digests = world.objects("bucket", "CloudTrail-Digest").await.into_keys().collect();
        let files = world.objects("bucket", "CloudTrail").await.into_keys().collect();
        Self { world, trail, digests, files }
    }

    fn store(&self) -> Arc<dyn ObjectStore> {
        self.world.buckets.get("bucket")
    }

    async fn delete(&self, key: &str) {
        self.store().delete(&Path::parse(key).unwrap()).await.unwrap();
    }

    /// Replaces an object's bytes, keeping its metadata.
    async fn replace(&self, key: &str, change: impl FnOnce(Vec<u8>, &mut Attributes) -> Vec<u8>) {
        let path = Path::parse(key).unwrap();
        let found = self.store().get(&path).await.unwrap();
        let mut attributes = found.attributes.clone();
        let bytes = change(found.bytes().await.unwrap().to_vec(), &mut attributes);
        let options = PutOptions { attributes, ..PutOptions::default() };
        self.store().put_opts(&path, PutPayload::from(bytes), options).await.unwrap();
    }

    async fn verify(&self) -> Report {
        request(&self.world, &self.trail, "us-east-1").run().await.unwrap()
    }

    async fn found(&self) -> Vec<(String, String)> {
        let report = self.verify().await;
        assert!(!report.is_valid());
        report.findings.into_iter().map(|finding| (finding.key, finding.message)).collect()
    }
}

#[tokio::test]
async fn a_clean_bucket_is_valid() {
    let trail = Twelve::hours().await;
    let report = trail.verify().await;
    assert!(report.is_valid() && report.findings.is_empty() && report.gaps.is_empty(), "{report:?}");
    assert_eq!((report.digests.valid, report.log_files.valid), (12, 12));
    assert_eq!(report.covered_from.as_deref(), Some(START));
    assert_eq!(report.covered_until.as_deref(), Some("2026-11-21T20:00:00Z"));
    let json = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
}

#[tokio::test]
async fn log_files_that_were_changed_deleted_or_added_are_named() {
    let trail = Twelve::hours().await;
    trail.replace(&trail.files[1], |_, _| gzip::whole(6, b"{\"Records\":[]}").unwrap()).await;
    trail.replace(&trail.files[2], |_, _| b"no gzip".to_vec()).await;
    trail.delete(&trail.files[3]).await;
    // Behind the end of the gzip data lies what some readers read.
    trail.replace(&trail.files[4], |bytes, _| [bytes, gzip::whole(6, b"more").unwrap()].concat()).await;
    let planted = trail.files[5].replace(".json.gz", "0.json.gz");
    let put = trail.store().put(&Path::parse(&planted).unwrap(), PutPayload::from_static(b"x")).await;
    put.unwrap();
    let mut expected: Vec<(String, String)> = [
        (&trail.files[1], "INVALID: hash value doesn't match"),
        (&trail.files[2], "INVALID: invalid format"),
        (&trail.files[3], "INVALID: not found"),
        (&trail.files[4], "INVALID: hash value doesn't match"),
        (&planted, "INVALID: is not named by any digest"),
    ]
    .map(|(key, text)| (key.clone(), text.to_owned()))
    .into();
    expected.sort();
    assert_eq!(trail.found().await, expected);
}

#[tokio::test]
async fn digests_that_were_changed_moved_or_stripped_are_named() {
    let trail = Twelve::hours().await;
    let key = |at: usize| trail.digests[at].clone();
    let text = trail.world.objects("bucket", "CloudTrail-Digest").await[&key(5)].clone();
    trail.replace(&key(1), |_, _| gzip::whole(6, b"{}").unwrap()).await;
    trail
        .replace(&key(3), |_, attributes| {
            *attributes = Attributes::new();
            Vec::new()
        })
        .await;
    let changed = String::from_utf8(text.clone()).unwrap().replace("T14:00:00Z\",\"oldest", "T14:00:01Z\",\"oldest");
    assert_ne!(changed.as_bytes(), text);
    trail.replace(&key(5), |_, _| gzip::whole(6, changed.as_bytes()).unwrap()).await;
    let other = trail.store().get(&Path::parse(key(8)).unwrap()).await.unwrap().bytes().await.unwrap();
    trail.replace(&key(7), |_, _| other.to_vec()).await;
    let found = trail.found().await;
    let of = |at: usize| found.iter().find(|(found, _)| *found == key(at)).map(|(_, text)| text.as_str());
    assert_eq!(of(1), Some("INVALID: invalid format"));
    assert_eq!(of(3), Some("INVALID: invalid format"), "no gzip comes before no signature");
    assert_eq!(of(5), Some("INVALID: signature verification failed"));
    assert_eq!(of(7), Some("INVALID: has been moved from its original location"));
    assert_eq!([0, 2, 4, 6, 8].map(of), [None; 5]);
}

#[tokio::test]
async fn a_digest_without_its_signature_metadata_is_named() {
    let trail = Twelve::hours().await;
    trail
        .replace(&trail.digests[4], |bytes, attributes| {
            *attributes = Attributes::new();
            bytes
        })
        .await;
    let found = trail.found().await;
    assert_eq!(found[0], (trail.digests[4].clone(), "INVALID: signature verification failed".to_owned()));
}

#[tokio::test]
async fn deleted_digests_are_reported_however_many_are_deleted_together() {
    let trail = Twelve::hours().await;
    trail.delete(&trail.digests[2]).await;
    for at in [6, 7, 8] {
        trail.delete(&trail.digests[at]).await;
    }
    let report = trail.verify().await;
    assert!(!report.is_valid());
    let missing: Vec<(Option<&str>, &str, u64)> =
        report.missing.iter().rev().map(|gone| (gone.from.as_deref(), gone.to.as_str(), gone.digests)).collect();
    assert_eq!(
        missing,
        [
            (Some("2026-11-21T10:00:00Z"), "2026-11-21T11:00:00Z", 1),
            (Some("2026-11-21T14:00:00Z"), "2026-11-21T17:00:00Z", 3)
        ]
    );
    let named: Vec<&str> =
        report.findings.iter().filter(|f| f.kind == ObjectKind::Digest).map(|f| f.key.as_str()).collect();
    assert_eq!(named, [&trail.digests[2], &trail.digests[8]]);
    // The files of the digests that are gone have nobody to vouch for them.
    let unlisted = report.findings.iter().filter(|finding| finding.verdict == Verdict::Unlisted).count();
    assert_eq!(unlisted, 4);
}

#[tokio::test]
async fn an_unknown_key_is_named() {
    let trail = Twelve::hours().await;
    let mut request = request(&trail.world, &trail.trail, "us-east-1");
    let text = r#"{"PublicKeyList":[{"Value":"AAEC","Fingerprint":"ab"}]}"#;
    request.keys = Arc::new(SavedKeys::parse(text).unwrap());
    let report = request.run().await.unwrap();
    assert_eq!((report.digests.valid, report.digests.invalid), (0, 12));
    assert!(
        report.findings[0].message.starts_with("INVALID: public key not found in region us-east-1 for fingerprint ")
    );
    request.keys = Arc::new(SavedKeys::parse(r#"{"PublicKeyList":[]}"#).unwrap());
    assert!(matches!(request.run().await, Err(VerifyError::NoKeys { .. })));
}

/// A folder that stands for every bucket.
struct Folder(Arc<LocalFileSystem>);

#[async_trait]
impl Buckets for Folder {
    async fn open(&self, _: &str) -> Result<Arc<dyn ObjectStore>, BucketError> {
        Ok(self.0.clone())
    }
}

#[tokio::test]
async fn a_local_copy_verifies_with_the_signatures_that_successors_repeat() {
    let trail = Twelve::hours().await;
    let folder = tempfile::tempdir().unwrap();
    for key in trail.digests.iter().chain(&trail.files) {
        let bytes = trail.store().get(&Path::parse(key).unwrap()).await.unwrap().bytes().await.unwrap();
        let path = folder.path().join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    let mut request = request(&trail.world, &trail.trail, "us-east-1");
    request.buckets = Arc::new(Folder(Arc::new(LocalFileSystem::new_with_prefix(folder.path()).unwrap())));
    request.offline = true;
    let report = request.run().await.unwrap();
    assert!(report.is_valid(), "{report:?}");
    assert_eq!((report.digests.valid, report.digests.unchecked, report.log_files.valid), (11, 1, 12));
    assert_eq!(report.findings[0].message, "signature not available offline");
    assert_eq!(report.findings[0].key, trail.digests[11]);

    std::fs::write(folder.path().join(&trail.digests[4]), gzip::whole(6, b"{}").unwrap()).unwrap();
    std::fs::remove_file(folder.path().join(&trail.files[9])).unwrap();
    let report = request.run().await.unwrap();
    assert!(!report.is_valid());
    assert_eq!((report.digests.invalid, report.log_files.invalid), (1, 2));
}
