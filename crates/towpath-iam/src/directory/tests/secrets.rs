//! The root key, the secret key, and where no secret may be seen.

use super::*;

#[tokio::test]
async fn the_first_start_makes_a_root_key_and_later_ones_keep_it() {
    let home = TestDirectory::new().await;
    let fresh: AccountId = "000000000000".parse().unwrap();
    let RootKey::Created(key) = home.directory.ensure_root(fresh, None).await.unwrap() else { panic!("not created") };
    assert_eq!(home.directory.ensure_root(fresh, None).await.unwrap(), RootKey::Existing);
    assert_eq!(home.reopened().await.ensure_root(fresh, None).await.unwrap(), RootKey::Existing);
    let found = home.resolve(key.id.as_str(), None).unwrap();
    assert_eq!(*found.principal, Principal::Root { account: fresh });
    assert!(found.identity.is_empty());
}

#[tokio::test]
async fn a_given_root_key_is_made_kept_and_changed_but_never_taken_from_someone() {
    let home = TestDirectory::new().await;
    let secret = |text| Secret::new(text).unwrap();
    let given = |id: &str, text| Some((id.parse().unwrap(), secret(text)));

    let made = home.directory.ensure_root(account(), given("AKIAIOSFODNN7EXAMPLE", "one")).await.unwrap();
    assert!(matches!(made, RootKey::Created(_)));
    let same = home.directory.ensure_root(account(), given("AKIAIOSFODNN7EXAMPLE", "one")).await.unwrap();
    assert_eq!(same, RootKey::Existing);
    home.directory.ensure_root(account(), given("AKIAIOSFODNN7EXAMPLE", "two")).await.unwrap();
    assert_eq!(home.resolve("AKIAIOSFODNN7EXAMPLE", None).unwrap().secret, secret("two"));

    home.user("jane").await;
    let key = home.user_key("jane").await;
    let taken = home.directory.ensure_root(account(), given(key.id.as_str(), "x")).await;
    assert!(matches!(taken, Err(DirectoryError::Exists { .. })));
    assert!(home.directory.ensure_root(account(), given("ASIAFAKE", "x")).await.is_err());
}

#[tokio::test]
async fn another_secret_key_is_refused_with_a_clear_error() {
    let home = TestDirectory::new().await;
    home.user("jane").await;
    let key = home.user_key("jane").await;

    let other = SecretKey::generate().unwrap();
    let error = Directory::open(home.store.clone(), &other, home.clock.clone()).await.unwrap_err();
    assert!(matches!(error, DirectoryError::WrongKey), "{error}");
    assert!(home.reopened().await.resolve(key.id.as_str(), None, home.clock.now()).is_ok());
}

#[tokio::test]
async fn no_secret_is_in_the_store_in_a_message_or_in_a_debug_text() {
    let home = TestDirectory::new().await;
    home.user("jane").await;
    let key = home.user_key("jane").await;
    let role = home.role("Audit").await;
    let session = home.directory.assume_role(&role.arn, &root(), ask("me")).unwrap();
    let credentials = home.resolve(key.id.as_str(), None).unwrap();

    let everything = home.store.list_all(&Key::new("iam").unwrap()).await.unwrap();
    assert!(!everything.is_empty());
    for record in everything {
        assert!(!String::from_utf8_lossy(&record.value).contains(key.secret.expose()));
    }
    for text in [format!("{key:?} {credentials:?}"), format!("{session:?} {:?} {:?}", home.directory, home.key)] {
        for secret in [key.secret.expose(), session.secret.expose(), session.session_token.expose()] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

#[tokio::test]
async fn a_secret_moved_to_another_key_is_damage_and_not_garbage() {
    let home = TestDirectory::new().await;
    home.user("jane").await;
    let (first, second) = (home.user_key("jane").await, home.user_key("jane").await);
    let place = |id: &AccessKeyId| state::access_key_key(id);
    let mut record = home.store.get_json::<state::KeyRecord>(&place(&first.id)).await.unwrap().unwrap().value;
    record.id = second.id.clone();
    home.store.commit(&[], &[Write::json(place(&second.id), &record).unwrap()]).await.unwrap();

    let error = Directory::open(home.store.clone(), &home.key, home.clock.clone()).await.unwrap_err();
    assert_eq!(error.to_string(), format!("directory is damaged: secret of access key {} does not open", second.id));
}
