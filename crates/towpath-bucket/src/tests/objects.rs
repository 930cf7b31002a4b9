use jiff::SignedDuration;

use super::*;

#[tokio::test]
async fn an_object_is_read_as_it_was_stored() {
    let world = World::new().await;
    let headers = Headers {
        content_type: Some("text/plain".to_owned()),
        metadata: [("purpose".to_owned(), "test".to_owned())].into(),
        ..Headers::default()
    };
    let stored = put(&world.buckets, "a/b", "hello", Put { headers: headers.clone(), ..Put::default() }).await.unwrap();

    let found = world.buckets.head("logs", &key("a/b")).await.unwrap();
    assert_eq!(found, stored);
    assert_eq!((found.size, found.etag.as_str()), (5, "5d41402abc4b2a76b9719d911017c592"));
    assert_eq!(found.headers, headers);
    assert_eq!(world.content("a/b").await.unwrap(), "hello");
    assert_eq!(content(&world.reopened().await, "a/b").await.unwrap(), "hello");
}

#[tokio::test]
async fn keys_are_never_paths() {
    let world = World::new().await;
    let hostile = [
        "../../etc/passwd",
        "/",
        "//",
        "a//b",
        ".",
        "..",
        "a/../b",
        "\u{0}",
        "\n",
        "ä/ö",
        "😀",
        " ",
        "%2e%2e%2f",
        "a\\b",
        &"k".repeat(1024),
        &"/".repeat(1024),
        &"😀".repeat(256),
    ];
    for (index, name) in hostile.iter().enumerate() {
        world.put(name, &index.to_string()).await.unwrap();
    }
    for (index, name) in hostile.iter().enumerate() {
        assert_eq!(world.content(name).await, Some(index.to_string()), "{name:?}");
    }
    assert!(world.files().iter().all(|file| file.len() == 32 && file.bytes().all(|byte| byte.is_ascii_hexdigit())));
    let page = world.buckets.list("logs", &ListRequest { limit: 1000, ..Default::default() }).await.unwrap();
    let mut sorted: Vec<_> = hostile.iter().map(|name| name.to_string()).collect();
    sorted.sort();
    let listed: Vec<_> = page.objects.iter().map(|listed| listed.key.to_string()).collect();
    assert_eq!(listed, sorted);
}

#[tokio::test]
async fn who_reads_the_old_object_reads_it_to_its_end() {
    let world = World::new().await;
    world.put("k", "old").await.unwrap();
    let old = world.buckets.read("logs", &key("k")).await.unwrap();
    world.put("k", "new!").await.unwrap();
    world.buckets.remove("logs", &key("k"), Conditions::default(), Bypass::No).await.unwrap();

    use std::io::Read;
    let mut text = String::new();
    (&old.file).read_to_string(&mut text).unwrap();
    assert_eq!(text, "old");
    until("old files stay", || world.files().is_empty()).await;
}

#[tokio::test]
async fn conditions_hold_against_what_is_there() {
    let world = World::new().await;
    let with = |conditions| Put { conditions, ..Put::default() };
    let absent = Conditions { if_none_match: Some(Tag::Any), ..Default::default() };
    let first = put(&world.buckets, "k", "1", with(absent.clone())).await.unwrap();
    let error = put(&world.buckets, "k", "2", with(absent)).await.unwrap_err();
    assert!(matches!(error, BucketError::Precondition("If-None-Match")), "{error:?}");

    let this = Conditions { if_match: Some(Tag::Etag(first.etag)), ..Default::default() };
    put(&world.buckets, "k", "3", with(this.clone())).await.unwrap();
    let error = put(&world.buckets, "k", "4", with(this.clone())).await.unwrap_err();
    assert!(matches!(error, BucketError::Precondition("If-Match")), "{error:?}");
    let error = put(&world.buckets, "other", "5", with(this)).await.unwrap_err();
    assert!(matches!(error, BucketError::NoSuchKey(_)), "{error:?}");
    assert_eq!(world.content("k").await.unwrap(), "3");
    until("refused content stays", || world.files().len() == 1).await;
}

#[tokio::test]
async fn of_many_who_create_the_same_object_one_does() {
    let world = World::new().await;
    let absent = Conditions { if_none_match: Some(Tag::Any), ..Default::default() };
    let tasks = (0..20).map(|number| {
        let (buckets, conditions) = (world.buckets.clone(), absent.clone());
        tokio::spawn(async move {
            put(&buckets, "k", &number.to_string(), Put { conditions, ..Put::default() }).await.is_ok()
        })
    });
    let outcomes = futures::future::join_all(tasks.collect::<Vec<_>>()).await;
    assert_eq!(outcomes.into_iter().filter(|outcome| *outcome.as_ref().unwrap()).count(), 1);
    until("losers leave files", || world.files().len() == 1).await;
}

#[tokio::test]
async fn content_that_is_not_what_was_said_is_refused() {
    let world = World::new().await;
    let wrong = [
        Expected { size: Some(4), ..Default::default() },
        Expected { md5: Some([0; 16]), ..Default::default() },
        Expected { checksum: Checksum::full(Algorithm::Crc32, "AAAAAA=="), ..Default::default() },
    ];
    for expected in wrong {
        let mut writer = world.buckets.writer("logs", Some(Algorithm::Crc32)).await.unwrap();
        writer.write(Bytes::from_static(b"hello")).await.unwrap();
        let error = world.buckets.put("logs", &key("k"), writer, expected, Put::default()).await.unwrap_err();
        assert!(matches!(error, BucketError::Incomplete { .. } | BucketError::BadDigest(_)), "{error:?}");
    }
    assert_eq!(world.content("k").await, None);
    assert!(world.files().is_empty());
}

#[tokio::test]
async fn a_locked_object_is_neither_deleted_nor_overwritten_until_its_time() {
    let world = World::new().await;
    world.buckets.set_object_lock(&"logs".parse().unwrap(), ObjectLock::default()).await.unwrap();
    use towpath_model::Clock;
    let until = world.clock.now() + SignedDuration::from_hours(24);
    let retention = Some(Retention { mode: LockMode::Compliance, until });
    put(&world.buckets, "k", "kept", Put { retention, ..Put::default() }).await.unwrap();

    let removal = world.buckets.remove("logs", &key("k"), Conditions::default(), Bypass::Yes).await;
    assert!(matches!(removal, Err(BucketError::Locked(_))));
    assert!(matches!(world.put("k", "other").await, Err(BucketError::Locked(_))));
    let shorter = Some(Retention { mode: LockMode::Compliance, until: until - SignedDuration::from_hours(1) });
    let shortened = world.buckets.set_retention("logs", &key("k"), shorter, Bypass::Yes).await;
    assert!(matches!(shortened, Err(BucketError::Locked(_))));
    // Whoever repeats a put after a crash is not refused, and nothing changes.
    let before = world.buckets.head("logs", &key("k")).await.unwrap();
    assert_eq!(world.put("k", "kept").await.unwrap(), before);
    let copied = world.buckets.copy(("logs", &key("k")), &before, ("logs", &key("k")), Put::default()).await;
    assert_eq!(copied.unwrap(), before);
    assert_eq!(world.content("k").await.unwrap(), "kept");

    world.clock.advance(std::time::Duration::from_secs(24 * 3600 + 1));
    world.put("k", "other").await.unwrap();
    assert_eq!(world.content("k").await.unwrap(), "other");
}

#[tokio::test]
async fn the_default_of_a_bucket_locks_new_objects() {
    let world = World::new().await;
    let default = Some(DefaultRetention { mode: LockMode::Governance, period: Period::Days(1) });
    world.buckets.set_object_lock(&"logs".parse().unwrap(), ObjectLock { default }).await.unwrap();
    world.put("k", "kept").await.unwrap();

    let removal = world.buckets.remove("logs", &key("k"), Conditions::default(), Bypass::No).await;
    assert!(matches!(removal, Err(BucketError::Locked(_))));
    assert!(world.buckets.remove("logs", &key("k"), Conditions::default(), Bypass::Yes).await.unwrap().is_some());
}

#[tokio::test]
async fn a_hold_needs_a_bucket_with_object_lock_and_holds_until_it_is_taken_off() {
    let world = World::new().await;
    world.put("k", "held").await.unwrap();
    let refused = world.buckets.set_legal_hold("logs", &key("k"), true).await;
    assert!(matches!(refused, Err(BucketError::InvalidRequest(_))));
    world.buckets.set_object_lock(&"logs".parse().unwrap(), ObjectLock::default()).await.unwrap();
    world.buckets.set_legal_hold("logs", &key("k"), true).await.unwrap();
    let removal = world.buckets.remove("logs", &key("k"), Conditions::default(), Bypass::Yes).await;
    assert!(matches!(removal, Err(BucketError::Locked(_))));
    world.buckets.set_legal_hold("logs", &key("k"), false).await.unwrap();
    world.buckets.remove("logs", &key("k"), Conditions::default(), Bypass::No).await.unwrap();
}

#[tokio::test]
async fn a_copy_outlives_its_source() {
    let world = World::new().await;
    world.bucket("other").await;
    let source = world.put("k", "text").await.unwrap();
    world.buckets.copy(("logs", &key("k")), &source, ("other", &key("c")), Put::default()).await.unwrap();
    world.buckets.remove("logs", &key("k"), Conditions::default(), Bypass::No).await.unwrap();
    until("the source stays", || world.files().len() == 1).await;

    let copy = world.buckets.read("other", &key("c")).await.unwrap();
    assert_eq!((copy.object.size, copy.object.etag), (4, source.etag));
}

#[tokio::test]
async fn only_an_empty_bucket_is_deleted_and_its_name_is_free_again() {
    let world = World::new().await;
    let name: BucketName = "logs".parse().unwrap();
    world.put(&"k".repeat(1024), "x").await.unwrap();
    assert!(matches!(world.buckets.delete(&name).await, Err(BucketError::NotEmpty(_))));
    world.buckets.remove("logs", &key(&"k".repeat(1024)), Conditions::default(), Bypass::No).await.unwrap();
    let mut late = world.buckets.writer("logs", None).await.unwrap();
    late.write(Bytes::from_static(b"late")).await.unwrap();
    world.buckets.delete(&name).await.unwrap();
    assert!(matches!(world.put("k", "x").await, Err(BucketError::NoSuchBucket(_))));

    world.bucket("logs").await;
    assert!(world.buckets.put("logs", &key("k"), late, Expected::default(), Put::default()).await.is_err());
    let page = world.buckets.list("logs", &ListRequest { limit: 10, ..Default::default() }).await.unwrap();
    assert!(page.objects.is_empty());
    assert!(world.files().is_empty());
}

#[tokio::test]
async fn names_are_unique_in_the_server() {
    let world = World::new().await;
    let new = |owner: &str| NewBucket {
        name: "logs".parse().unwrap(),
        owner: owner.parse().unwrap(),
        region: "us-east-1".parse().unwrap(),
        object_lock: false,
        tags: Default::default(),
    };
    assert!(matches!(world.buckets.create(new("111111111111")).await, Err(BucketError::BucketOwned(_))));
    assert!(matches!(world.buckets.create(new("222222222222")).await, Err(BucketError::BucketExists(_))));
}
