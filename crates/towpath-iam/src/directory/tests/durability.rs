//! Memory and store agree, whatever fails and whoever goes away.

use super::*;

#[tokio::test]
async fn memory_agrees_with_the_store_whichever_call_fails_and_however() {
    async fn scenario(directory: &Directory) {
        let _ = directory.create_user(account(), name("jane"), EntityPath::default()).await;
        let key = directory.create_access_key(account(), KeyOwner::User(name("jane"))).await;
        let _ = directory
            .put_inline_policy(account(), PolicyHolder::User(name("jane")), policy_name("p"), ALLOW_ALL.into())
            .await;
        let _ = directory.create_role(account(), NewRole::new(name("R"), TRUST_ALL)).await;
        let _ = directory.update_max_session(account(), name("R"), 7200).await;
        if let Ok(key) = key {
            let _ = directory.set_access_key_status(account(), key.id, AccessKeyStatus::Inactive).await;
        }
        let _ = directory.delete_role(account(), name("R")).await;
    }
    let home = TestDirectory::new().await;
    let before = home.store.calls();
    scenario(&home.directory).await;
    let steps = home.store.calls() - before;
    assert!(steps >= 7);

    for step in 0..steps {
        for fault in [Fault::Before, Fault::After] {
            let home = TestDirectory::new().await;
            home.store.fail_at(home.store.calls() + step, fault);
            scenario(&home.directory).await;
            home.store.heal();
            assert_eq!(seen(&home.directory), seen(&home.reopened().await), "step {step}, {fault:?}");
        }
    }
}

#[tokio::test]
async fn after_an_unknown_outcome_and_no_way_to_look_the_next_change_looks_first() {
    let home = TestDirectory::new().await;
    home.user("jane").await;
    let key = home.user_key("jane").await;

    // The commit happens, its answer is lost, and the store is gone right after.
    let next = home.store.calls();
    home.store.fail_at(next, Fault::After);
    home.store.fail_from(next + 1);
    assert!(home.directory.delete_access_key(account(), key.id.clone()).await.is_err());
    home.store.heal();

    home.user("joe").await;
    assert_eq!(home.resolve(key.id.as_str(), None).unwrap_err(), CredentialError::UnknownKey);
    assert_eq!(seen(&home.directory), seen(&home.reopened().await));
}

#[tokio::test]
async fn a_change_whose_caller_goes_away_is_still_seen_in_memory() {
    let home = TestDirectory::new().await;
    let directory = home.directory.clone();
    let change = directory.create_user(account(), name("jane"), EntityPath::default());
    // One poll starts the change; then its caller stops waiting.
    let mut change = Box::pin(change);
    let started = std::future::poll_fn(|context| std::task::Poll::Ready(change.as_mut().poll(context).is_pending()));
    assert!(started.await);
    drop(change);

    while home.directory.user(account(), &name("jane")).is_none() {
        tokio::task::yield_now().await;
    }
    assert_eq!(seen(&home.directory), seen(&home.reopened().await));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_at_the_same_time_are_all_made_once() {
    let home = TestDirectory::new().await;
    home.user("jane").await;
    let tasks: Vec<_> = (0..20)
        .map(|n| {
            let directory = home.directory.clone();
            tokio::spawn(async move {
                let user = directory.create_user(account(), name(&format!("u{}", n / 2)), EntityPath::default()).await;
                let key = directory.create_access_key(account(), KeyOwner::User(name("jane"))).await;
                (user.is_ok(), key.is_ok())
            })
        })
        .collect();
    let (mut users, mut keys) = (0, 0);
    for task in tasks {
        let (user, key) = task.await.unwrap();
        users += usize::from(user);
        keys += usize::from(key);
    }
    assert_eq!((users, keys), (10, 2));
    assert_eq!(seen(&home.directory), seen(&home.reopened().await));
}

#[tokio::test]
async fn a_directory_on_disk_survives_a_restart() {
    let home = tempfile::TempDir::new().unwrap();
    let (database, file) = (home.path().join("meta.db"), home.path().join("secret.key"));
    let clock = Arc::new(ManualClock::at(Timestamp::UNIX_EPOCH));
    let (database, file, clock) = (&database, &file, &clock);
    let open = |environment: Option<&'static str>| async move {
        let store = Arc::new(SqliteMetaStore::open(database).await.unwrap());
        let sealed = Directory::exists(&*store).await.unwrap();
        let key = SecretKey::load(file, environment, sealed)?;
        Ok::<_, SecretKeyError>(Directory::open(store, &key, clock.clone()).await)
    };
    let first = open(None).await.unwrap().unwrap();
    let RootKey::Created(key) = first.ensure_root(account(), None).await.unwrap() else { panic!("not created") };
    drop(first);
    let second = open(None).await.unwrap().unwrap();
    assert_eq!(second.resolve(key.id.as_str(), None, clock.now()).unwrap().secret, key.secret);

    // A lost key file is not replaced by a new one, which could not open the database.
    std::fs::remove_file(file).unwrap();
    assert!(matches!(open(None).await.unwrap_err(), SecretKeyError::Gone { .. }));
    assert!(!file.exists());
    let other = "0707070707070707070707070707070707070707070707070707070707070707";
    assert!(matches!(open(Some(other)).await.unwrap().unwrap_err(), DirectoryError::WrongKey));
}

#[tokio::test]
async fn ten_thousand_lookups_take_a_moment() {
    let home = TestDirectory::new().await;
    for n in 0..50 {
        home.user(&format!("user{n}")).await;
        home.user_key(&format!("user{n}")).await;
    }
    let keys = home.directory.list_access_keys(account(), None).unwrap();
    let start = std::time::Instant::now();
    for n in 0..10_000 {
        home.resolve(keys[n % keys.len()].id.as_str(), None).unwrap();
    }
    // Some hundred nanoseconds each; the bound only catches a look-up that has become a scan or IO.
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}
