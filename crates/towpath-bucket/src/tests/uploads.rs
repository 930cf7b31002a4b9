use super::*;

async fn part(world: &World, id: &str, number: u32, content: &str, sum: Option<Algorithm>) -> NamedPart {
    let mut writer = world.buckets.writer("logs", sum).await.unwrap();
    writer.write(Bytes::copy_from_slice(content.as_bytes())).await.unwrap();
    let part = world.buckets.put_part("logs", &key("u"), (id, number), writer, Expected::default()).await.unwrap();
    NamedPart { number, etag: part.etag, checksum: part.checksum.map(|sum| sum.value) }
}

async fn begin(world: &World, sum: Option<(Algorithm, Scope)>) -> String {
    world.buckets.begin_upload("logs", &key("u"), Put::default(), sum, "me".to_owned()).await.unwrap()
}

async fn complete(world: &World, id: &str, parts: &[NamedPart]) -> Result<Object, BucketError> {
    let (conditions, expected) = (Conditions::default(), Expected::default());
    world.buckets.complete_upload("logs", &key("u"), (id, 3), parts, conditions, expected).await
}

#[tokio::test]
async fn parts_in_any_order_become_one_object() {
    let world = World::new().await;
    let id = begin(&world, None).await;
    let third = part(&world, &id, 3, "C", None).await;
    let first = part(&world, &id, 1, "old", None).await;
    let again = part(&world, &id, 1, "AAAA", None).await;
    let second = part(&world, &id, 2, "BBBB", None).await;
    part(&world, &id, 9, "not named", None).await;

    let stale = complete(&world, &id, &[first, second.clone()]).await.unwrap_err();
    assert!(matches!(stale, BucketError::InvalidPart(1)), "{stale:?}");
    let order = complete(&world, &id, &[second.clone(), again.clone()]).await.unwrap_err();
    assert!(matches!(order, BucketError::InvalidPartOrder), "{order:?}");
    let small = complete(&world, &id, &[again.clone(), third.clone(), NamedPart { number: 9, ..third.clone() }]).await;
    assert!(small.is_err());

    let object = complete(&world, &id, &[again, second, third]).await.unwrap();
    assert_eq!((object.size, object.parts), (9, Some(3)));
    assert!(object.etag.ends_with("-3"));
    assert_eq!(world.content("u").await.unwrap(), "AAAABBBBC");
    assert!(world.buckets.uploads("logs").await.unwrap().is_empty());
    until("parts stay", || world.files().len() == 1).await;
    assert!(matches!(complete(&world, &id, &[]).await, Err(BucketError::NoSuchUpload(_))));
}

#[tokio::test]
async fn a_small_part_before_the_last_is_refused() {
    let world = World::new().await;
    let id = begin(&world, None).await;
    let parts = [part(&world, &id, 1, "AA", None).await, part(&world, &id, 2, "B", None).await];
    let error = complete(&world, &id, &parts).await.unwrap_err();
    assert!(matches!(error, BucketError::PartTooSmall { number: 1, size: 2, least: 3 }), "{error:?}");
}

#[tokio::test]
async fn the_checksum_of_a_whole_is_over_its_bytes_or_over_its_parts() {
    let world = World::new().await;
    for scope in [Scope::Full, Scope::Composite] {
        let id = begin(&world, Some((Algorithm::Crc32c, scope))).await;
        let sum = Some(Algorithm::Crc32c);
        let parts = [part(&world, &id, 1, "12345", sum).await, part(&world, &id, 2, "6789", sum).await];
        let object = complete(&world, &id, &parts).await.unwrap();
        let sum = object.checksum.unwrap();
        assert_eq!(sum.scope, scope);
        match scope {
            Scope::Full => assert_eq!(sum.value, "4waSgw=="),
            Scope::Composite => assert!(sum.value.ends_with("-2")),
        }
    }
}

#[tokio::test]
async fn an_upload_that_is_given_up_leaves_nothing() {
    let world = World::new().await;
    let id = begin(&world, None).await;
    part(&world, &id, 1, "A", None).await;
    assert_eq!(world.buckets.uploads("logs").await.unwrap().len(), 1);
    world.buckets.abort_upload("logs", &key("u"), &id).await.unwrap();
    until("parts stay", || world.files().is_empty()).await;
    assert!(matches!(world.buckets.abort_upload("logs", &key("u"), &id).await, Err(BucketError::NoSuchUpload(_))));
    let mut late = world.buckets.writer("logs", None).await.unwrap();
    late.write(Bytes::from_static(b"late")).await.unwrap();
    let refused = world.buckets.put_part("logs", &key("u"), (&id, 2), late, Expected::default()).await;
    assert!(matches!(refused, Err(BucketError::NoSuchUpload(_))));
    for id in ["", "../x", "x/y", &"a".repeat(100)] {
        assert!(matches!(world.buckets.upload("logs", &key("u"), id).await, Err(BucketError::NoSuchUpload(_))));
    }
}
