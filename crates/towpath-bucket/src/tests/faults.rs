//! Every step of every change fails in turn; afterwards there is the old object or the new one, whole, and no rest.

use super::*;
use towpath_meta::Fault;

#[tokio::test]
async fn a_put_whose_files_fail_leaves_the_old_object() {
    for step in [Step::Folder, Step::Create, Step::Write, Step::Sync, Step::Rename, Step::SyncFolder] {
        // The first call of each step made the folder of the bucket, or the old object.
        let calls = if step == Step::Folder { 2 } else { 1 };
        let world = World::with(Some(failing_at(step, calls))).await;
        world.put("k", "old").await.unwrap();
        let error = world.put("k", "new").await.unwrap_err();
        assert!(matches!(error, BucketError::File { .. }), "{step:?}: {error:?}");

        assert_eq!(world.content("k").await.unwrap(), "old", "{step:?}");
        assert_eq!(world.files().len(), 1, "{step:?}");
        world.put("k", "new").await.unwrap();
        assert_eq!(world.content("k").await.unwrap(), "new", "{step:?}");
    }
}

#[test]
fn the_name_of_a_folder_is_made_durable_though_an_earlier_process_made_the_folder() {
    use std::sync::atomic::{AtomicUsize, Ordering};

    let home = TempDir::new().unwrap();
    let bucket: BucketName = "bucket".parse().unwrap();
    // Every name's last two digits are a folder; after 256 names they come again.
    let synced_by = |drafts: usize| {
        let synced = Arc::new(AtomicUsize::new(0));
        let seen = synced.clone();
        let faults: Faults = Arc::new(move |step| {
            seen.fetch_add(usize::from(step == Step::SyncParent), Ordering::SeqCst);
            Ok(())
        });
        let files = Arc::new(ContentFiles::open(home.path().join("buckets"), Some(faults)).unwrap());
        files.make_bucket(&bucket).unwrap();
        for _ in 0..drafts {
            files.draft(&bucket, None).unwrap();
        }
        synced.load(Ordering::SeqCst)
    };
    assert_eq!(synced_by(300), 256);
    assert_eq!(synced_by(300), 256);
}

#[tokio::test]
async fn a_full_disk_has_a_code_of_its_own_and_leaves_the_old_object() {
    let full = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let told = full.clone();
    let faults: crate::files::Faults = Arc::new(move |step| match step {
        Step::Write if told.load(std::sync::atomic::Ordering::SeqCst) => Err(std::io::ErrorKind::StorageFull.into()),
        _ => Ok(()),
    });
    let world = World::with(Some(faults)).await;
    world.put("k", "old").await.unwrap();
    full.store(true, std::sync::atomic::Ordering::SeqCst);
    let error = world.put("k", "new").await.unwrap_err();
    assert_eq!((error.code(), error.retryable()), ("StorageFull", true));
    let answer = s3s::S3Error::from(error);
    assert_eq!(answer.status_code(), Some(http::StatusCode::INSUFFICIENT_STORAGE));
    assert_eq!(world.content("k").await.unwrap(), "old");
    assert_eq!(world.files().len(), 1);
    full.store(false, std::sync::atomic::Ordering::SeqCst);
    world.put("k", "new").await.unwrap();
    assert_eq!(world.content("k").await.unwrap(), "new");
}

#[tokio::test]
async fn a_put_or_delete_whose_commit_fails_leaves_the_old_object_or_the_new() {
    for fault in [Fault::Before, Fault::After] {
        for call in 0.. {
            let world = World::new().await;
            world.put("k", "old").await.unwrap();
            let first = world.meta.calls();
            world.meta.fail_at(first + call, fault);
            let done = world.put("k", "new").await;
            world.meta.heal();
            let calls = world.meta.calls() - first;

            let buckets = world.reopened().await;
            let left = content(&buckets, "k").await.unwrap();
            assert!(left == "old" || left == "new", "{left}");
            if done.is_ok() {
                assert_eq!(left, "new");
            }
            let live = buckets.head("logs", &key("k")).await.unwrap().file;
            buckets.sweep().await.unwrap();
            until("files without an object stay", || world.files() == [live.clone()]).await;
            assert_eq!(content(&buckets, "k").await.unwrap(), left);
            if call >= calls {
                break;
            }
        }
    }
}

#[tokio::test]
async fn what_a_crash_left_behind_is_swept_after_the_next_start() {
    let world = World::new().await;
    world.put("k", "text").await.unwrap();
    let folder = world.home.path().join("buckets");
    let shard = folder.join("logs").join("00");
    std::fs::create_dir_all(&shard).unwrap();
    for name in ["0123456789abcdef0000000000000000", "0123456789abcdef0000000000000100.part"] {
        std::fs::write(shard.join(name), "rest").unwrap();
    }
    std::fs::create_dir_all(folder.join("logs.0123.gone").join("00")).unwrap();
    std::fs::write(folder.join("logs.0123.gone/00/x"), "rest").unwrap();
    let id = world.buckets.begin_upload("logs", &key("u"), Put::default(), None, String::new()).await.unwrap();
    let mut part = world.buckets.writer("logs", None).await.unwrap();
    part.write(Bytes::from_static(b"part")).await.unwrap();
    world.buckets.put_part("logs", &key("u"), (&id, 1), part, Expected::default()).await.unwrap();

    let buckets = world.reopened().await;
    assert_eq!(buckets.sweep().await.unwrap(), 3);
    assert_eq!(world.files().len(), 2);
    assert_eq!(content(&buckets, "k").await.unwrap(), "text");
    assert_eq!(buckets.parts("logs", &key("u"), &id, 0, 10).await.unwrap().len(), 1);
    assert_eq!(buckets.sweep().await.unwrap(), 0);
}

#[tokio::test]
async fn content_that_is_dropped_halfway_leaves_nothing() {
    let world = World::new().await;
    let mut writer = world.buckets.writer("logs", None).await.unwrap();
    writer.write(Bytes::from(vec![7; 1 << 20])).await.unwrap();
    assert_eq!(world.files().len(), 1);
    drop(writer);
    assert!(world.files().is_empty());
}

#[tokio::test]
async fn a_completion_that_fails_anywhere_keeps_upload_or_object() {
    for fault in [Fault::Before, Fault::After] {
        for call in 0.. {
            let world = World::new().await;
            let id = world.buckets.begin_upload("logs", &key("u"), Put::default(), None, String::new()).await.unwrap();
            let mut named = Vec::new();
            for number in 1..=2 {
                let mut part = world.buckets.writer("logs", None).await.unwrap();
                part.write(Bytes::from(number.to_string())).await.unwrap();
                let part = world.buckets.put_part("logs", &key("u"), (&id, number), part, Expected::default()).await;
                named.push(NamedPart { number, etag: part.unwrap().etag, checksum: None });
            }
            let first = world.meta.calls();
            world.meta.fail_at(first + call, fault);
            let (conditions, expected) = (Conditions::default(), Expected::default());
            let done = world.buckets.complete_upload("logs", &key("u"), (&id, 0), &named, conditions, expected).await;
            world.meta.heal();
            let calls = world.meta.calls() - first;

            let buckets = world.reopened().await;
            let object = content(&buckets, "u").await;
            let parts = buckets.parts("logs", &key("u"), &id, 0, 10).await;
            match object {
                Some(text) => {
                    assert_eq!(text, "12");
                    assert!(matches!(parts, Err(BucketError::NoSuchUpload(_))));
                }
                None => {
                    assert!(done.is_err());
                    assert_eq!(parts.unwrap().len(), 2);
                    let (conditions, expected) = (Conditions::default(), Expected::default());
                    buckets.complete_upload("logs", &key("u"), (&id, 0), &named, conditions, expected).await.unwrap();
                }
            }
            buckets.sweep().await.unwrap();
            until("parts stay", || world.files().len() == 1).await;
            assert_eq!(content(&buckets, "u").await.unwrap(), "12");
            if call >= calls {
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_bucket_whose_making_or_deleting_fails_is_there_or_not() {
    for fault in [Fault::Before, Fault::After] {
        let world = World::new().await;
        world.meta.fail_at(world.meta.calls(), fault);
        let new = NewBucket {
            name: "second".parse().unwrap(),
            owner: "111111111111".parse().unwrap(),
            region: "us-east-1".parse().unwrap(),
            object_lock: false,
            tags: Default::default(),
        };
        assert!(world.buckets.create(new).await.is_err());
        let there = world.buckets.get("second").is_ok();
        assert_eq!(there, fault == Fault::After);
        assert_eq!(world.reopened().await.get("second").is_ok(), there);

        for call in 0..4 {
            world.meta.fail_at(world.meta.calls() + call, fault);
            let _ = world.buckets.delete(&"logs".parse().unwrap()).await;
            world.meta.heal();
            let there = world.buckets.get("logs").is_ok();
            assert_eq!(world.reopened().await.get("logs").is_ok(), there);
            if there {
                world.put("k", "usable").await.unwrap();
                world.buckets.remove("logs", &key("k"), Conditions::default(), Bypass::No).await.unwrap();
            }
        }
    }
}
