use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, Error, GetOptions, ObjectStore, ObjectStoreExt, PutMode, PutOptions, UpdateVersion,
};

use super::*;

#[tokio::test]
async fn attributes_come_back_and_conditions_hold() {
    let world = World::new().await;
    let store = world.buckets.store("logs");
    let path = Path::from("a/b.json.gz");
    let attributes = Attributes::from_iter([
        (Attribute::ContentType, "application/json"),
        (Attribute::ContentEncoding, "gzip"),
        (Attribute::Metadata("Signature".into()), "abc"),
    ]);
    let options = PutOptions { attributes, mode: PutMode::Create, ..Default::default() };
    let put = store.put_opts(&path, "hello".into(), options.clone()).await.unwrap();

    let got = store.get(&path).await.unwrap();
    assert_eq!(got.meta.e_tag, put.e_tag);
    assert_eq!(got.attributes.get(&Attribute::ContentType).unwrap().as_ref(), "application/json");
    assert_eq!(got.attributes.get(&Attribute::Metadata("signature".into())).unwrap().as_ref(), "abc");
    assert_eq!(got.bytes().await.unwrap(), "hello");
    assert_eq!(store.get_range(&path, 1..3).await.unwrap(), "el");
    assert!(matches!(store.put_opts(&path, "x".into(), options).await, Err(Error::AlreadyExists { .. })));

    let update = |e_tag| PutOptions::from(PutMode::Update(UpdateVersion { e_tag, version: None }));
    store.put_opts(&path, "two".into(), update(put.e_tag.clone())).await.unwrap();
    assert!(matches!(store.put_opts(&path, "x".into(), update(put.e_tag)).await, Err(Error::Precondition { .. })));
    let stale = GetOptions { if_match: Some("\"other\"".to_owned()), ..Default::default() };
    assert!(matches!(store.get_opts(&path, stale).await, Err(Error::Precondition { .. })));
    assert!(matches!(store.get(&Path::from("none")).await, Err(Error::NotFound { .. })));
    assert!(matches!(world.buckets.store("none").get(&path).await, Err(Error::NotFound { .. })));
}

#[tokio::test]
async fn listings_are_those_of_the_interface() {
    let world = World::new().await;
    let store = world.buckets.store("logs");
    for path in ["a/1", "a/2", "a/b/3", "ab/4", "c"] {
        store.put(&Path::from(path), "x".into()).await.unwrap();
    }
    world.put("a/marker/", "").await.unwrap();
    let listed = |metas: Vec<object_store::ObjectMeta>| {
        metas.into_iter().map(|meta| meta.location.to_string()).collect::<Vec<_>>()
    };
    let all = store.list(Some(&Path::from("a"))).try_collect().await.unwrap();
    assert_eq!(listed(all), ["a/1", "a/2", "a/b/3"]);
    let rest = store.list_with_offset(None, &Path::from("a/2")).try_collect().await.unwrap();
    assert_eq!(listed(rest), ["a/b/3", "ab/4", "c"]);
    let level = store.list_with_delimiter(Some(&Path::from("a"))).await.unwrap();
    assert_eq!(level.common_prefixes, [Path::from("a/b"), Path::from("a/marker")]);
    assert_eq!(listed(level.objects), ["a/1", "a/2"]);

    store.copy(&Path::from("a/1"), &Path::from("d")).await.unwrap();
    store.delete(&Path::from("a/1")).await.unwrap();
    assert_eq!(store.get(&Path::from("d")).await.unwrap().bytes().await.unwrap(), "x");
    assert!(store.copy_if_not_exists(&Path::from("d"), &Path::from("c")).await.is_err());
}

#[tokio::test]
async fn uploads_in_parts_of_any_size_become_one_object() {
    let world = World::new().await;
    let store = world.buckets.store("logs");
    let mut upload = store.put_multipart(&Path::from("m")).await.unwrap();
    let (first, second) = (upload.put_part("one ".into()), upload.put_part("two".into()));
    second.await.unwrap();
    first.await.unwrap();
    upload.complete().await.unwrap();
    assert_eq!(store.get(&Path::from("m")).await.unwrap().bytes().await.unwrap(), "one two");

    let mut empty = store.put_multipart(&Path::from("e")).await.unwrap();
    empty.complete().await.unwrap();
    assert_eq!(store.head(&Path::from("e")).await.unwrap().size, 0);
    let mut aborted = store.put_multipart(&Path::from("x")).await.unwrap();
    aborted.put_part("x".into()).await.unwrap();
    aborted.abort().await.unwrap();
    assert!(store.head(&Path::from("x")).await.is_err());
}

#[tokio::test]
async fn a_retention_goes_with_the_put_and_holds() {
    let world = World::new().await;
    world.buckets.set_object_lock(&"logs".parse().unwrap(), ObjectLock::default()).await.unwrap();
    let store = world.buckets.store("logs");
    let mut options = PutOptions::default();
    let until = "2030-01-01T00:00:00Z".parse().unwrap();
    options.extensions.insert(Retention { mode: LockMode::Compliance, until });
    store.put_opts(&Path::from("k"), "x".into(), options).await.unwrap();
    assert!(matches!(store.delete(&Path::from("k")).await, Err(Error::PermissionDenied { .. })));
    assert!(matches!(store.put(&Path::from("k"), "y".into()).await, Err(Error::PermissionDenied { .. })));
}
