//! What only the durable store promises: it survives reopening, refuses what it cannot read, notices damage.

use std::time::Instant;

use tempfile::TempDir;

use super::*;

meta_store_suite!(in_memory, SqliteMetaStore::in_memory().await.unwrap());

/// A store in a directory of its own, which goes away with it.
struct TestStore {
    directory: TempDir,
}

impl TestStore {
    fn new() -> Self {
        Self { directory: TempDir::new().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("meta.db")
    }

    async fn open(&self) -> SqliteMetaStore {
        SqliteMetaStore::open(&self.path()).await.unwrap()
    }
}

mod on_disk {
    use super::*;

    // The suite once more on a real file; the directory must outlive the store.
    struct OnDisk {
        store: SqliteMetaStore,
        _home: TestStore,
    }

    #[async_trait]
    impl MetaStore for OnDisk {
        async fn get(&self, key: &Key) -> Result<Option<Record>, MetaError> {
            self.store.get(key).await
        }
        async fn list(&self, prefix: &Key, after: Option<&Key>, limit: usize) -> Result<Vec<Record>, MetaError> {
            self.store.list(prefix, after, limit).await
        }
        async fn commit(&self, expect: &[Expect], writes: &[Write]) -> Result<Version, MetaError> {
            self.store.commit(expect, writes).await
        }
    }

    async fn on_disk() -> OnDisk {
        let home = TestStore::new();
        OnDisk { store: home.open().await, _home: home }
    }

    meta_store_suite!(suite, on_disk().await);
}

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

#[tokio::test]
async fn a_reopened_store_has_every_record_and_goes_on_counting() {
    let home = TestStore::new();
    let before = home.open().await;
    let first = before.commit(&[], &[Write::Put(key("a/1"), "one".into())]).await.unwrap();
    let second = before.commit(&[], &[Write::Put(key("a/2"), "two".into())]).await.unwrap();
    drop(before); // not closed: as a crash leaves it

    let after = home.open().await;
    let records = after.list(&key("a"), None, 10).await.unwrap();
    assert_eq!(
        records,
        [
            Record { key: key("a/1"), version: first, value: "one".into() },
            Record { key: key("a/2"), version: second, value: "two".into() },
        ]
    );
    let third = after.commit(&[Expect::Version(key("a/1"), first)], &[Write::Delete(key("a/1"))]).await.unwrap();
    assert!(third > second);
    after.check_integrity().await.unwrap();
    after.close().await;
}

#[tokio::test]
async fn a_commit_is_fsynced_through_a_write_ahead_log() {
    let home = TestStore::new();
    let store = home.open().await;
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&store.writer).await.unwrap();
    let sync: i64 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(&store.writer).await.unwrap();
    assert_eq!((mode.as_str(), sync), ("wal", 2));
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_may_read_the_files() {
    use std::os::unix::fs::PermissionsExt;

    let home = TestStore::new();
    let store = home.open().await;
    store.commit(&[], &[Write::Put(key("a"), "x".into())]).await.unwrap();
    for entry in std::fs::read_dir(home.directory.path()).unwrap() {
        let mode = entry.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0);
    }
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() {
    let home = TestStore::new();
    let store = home.open().await;
    sqlx::query("INSERT INTO schema_version (version) VALUES (99)").execute(&store.writer).await.unwrap();
    store.close().await;

    let error = SqliteMetaStore::open(&home.path()).await.unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 99, known: 1, .. }), "{error}");
    assert!(error.to_string().contains("has schema version 99"));
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let home = TestStore::new();
    std::fs::write(home.path(), "these are not the records you are looking for".repeat(100)).unwrap();

    let error = SqliteMetaStore::open(&home.path()).await.unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
    assert!(std::fs::read(home.path()).unwrap().starts_with(b"these"));
}

#[tokio::test]
async fn a_database_with_broken_pages_is_refused() {
    let home = TestStore::new();
    let store = home.open().await;
    let writes: Vec<_> = (0..500).map(|n| Write::Put(key("a").child_number(n).unwrap(), vec![7; 500].into())).collect();
    store.commit(&[], &writes).await.unwrap();
    store.close().await;

    let mut bytes = std::fs::read(home.path()).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 8192].fill(0xab);
    std::fs::write(home.path(), bytes).unwrap();

    let error = SqliteMetaStore::open(&home.path()).await.unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
}

#[tokio::test]
async fn a_flipped_bit_in_a_value_is_reported_and_never_returned() {
    let home = TestStore::new();
    let store = home.open().await;
    store.commit(&[], &[Write::Put(key("a/1"), "the truth".into())]).await.unwrap();
    store.close().await;

    let bytes = std::fs::read(home.path()).unwrap();
    let at = bytes.windows(9).position(|window| window == b"the truth").unwrap();
    let mut bytes = bytes;
    bytes[at] ^= 1;
    std::fs::write(home.path(), bytes).unwrap();

    let store = home.open().await;
    assert!(matches!(store.get(&key("a/1")).await, Err(MetaError::Damaged(_))));
    assert!(matches!(store.list(&key("a"), None, 9).await, Err(MetaError::Damaged(_))));
    assert!(matches!(store.check_integrity().await, Err(MetaError::Damaged(_))));
}

#[tokio::test]
async fn a_writer_in_another_process_is_waited_for() {
    let home = TestStore::new();
    let (here, there) = (home.open().await, home.open().await);
    let lock = there.writer.begin_with("BEGIN IMMEDIATE").await.unwrap();

    let commit = tokio::spawn(async move { here.commit(&[], &[Write::Put(key("a"), "x".into())]).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!commit.is_finished());
    drop(lock);

    commit.await.unwrap().unwrap();
    assert!(there.get(&key("a")).await.unwrap().is_some());
}

/// A copy of the files as a crash would leave them, with the write-ahead log cut to `wal_bytes`.
fn crashed(home: &TestStore, wal_bytes: u64) -> TestStore {
    let copy = TestStore::new();
    std::fs::copy(home.path(), copy.path()).unwrap();
    let wal = |store: &TestStore| store.directory.path().join("meta.db-wal");
    std::fs::copy(wal(home), wal(&copy)).unwrap();
    File::options().write(true).open(wal(&copy)).unwrap().set_len(wal_bytes).unwrap();
    copy
}

#[tokio::test]
async fn a_crash_keeps_every_commit_that_returned_and_no_part_of_one_that_did_not() {
    let home = TestStore::new();
    let store = home.open().await;
    let wal = || std::fs::metadata(home.directory.path().join("meta.db-wal")).unwrap().len();
    let mut ends = Vec::new();
    for n in 0..6 {
        let value = || Bytes::from(vec![n; 3000]);
        let writes: Vec<_> = (0..4).map(|k| Write::Put(key("k").child_number(k).unwrap(), value())).collect();
        store.commit(&[], &writes).await.unwrap();
        ends.push(wal());
    }

    let lengths = (0..=wal()).step_by(2_999).chain(ends.clone());
    for length in lengths {
        let found = crashed(&home, length).open().await.list(&key("k"), None, 10).await.unwrap();
        let returned = ends.iter().filter(|end| **end <= length).count();
        let expected: Vec<_> = (0..4).filter(|_| returned > 0).map(|_| returned as u8 - 1).collect();
        assert_eq!(found.iter().map(|record| record.value[0]).collect::<Vec<_>>(), expected, "{length} bytes");
    }
}

#[tokio::test]
async fn a_full_disk_fails_the_commit_and_nothing_else() {
    let home = TestStore::new();
    let store = home.open().await;
    store.commit(&[], &[Write::Put(key("a"), "kept".into())]).await.unwrap();
    sqlx::query("PRAGMA max_page_count = 40").execute(&store.writer).await.unwrap();

    let writes: Vec<_> =
        (0..300).map(|n| Write::Put(key("k").child_number(n).unwrap(), vec![7; 3000].into())).collect();
    assert!(matches!(store.commit(&[], &writes).await, Err(MetaError::Unavailable(_))));
    assert!(store.list(&key("k"), None, 10).await.unwrap().is_empty());
    store.commit(&[], &[Write::Put(key("b"), "fits".into())]).await.unwrap();
    assert_eq!(store.get(&key("a")).await.unwrap().unwrap().value, "kept");
    store.check_integrity().await.unwrap();
}

#[tokio::test]
async fn a_commit_that_is_dropped_at_any_point_is_whole_or_absent_and_holds_no_lock() {
    let home = TestStore::new();
    let store = home.open().await;
    let mut whole = 0;
    for polls in 0..40_u64 {
        let prefix = key("k").child_number(polls).unwrap();
        let writes: Vec<_> = (0..20).map(|n| Write::Put(prefix.child_number(n).unwrap(), "v".into())).collect();
        let mut commit = Box::pin(store.commit(&[], &writes));
        for _ in 0..polls {
            let done = std::future::poll_fn(|context| std::task::Poll::Ready(commit.as_mut().poll(context).is_ready()));
            if done.await {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        drop(commit);

        // The next commit waits for nothing but the rollback.
        let write = [Write::Put(key("next"), "v".into())];
        let next = store.commit(&[], &write);
        tokio::time::timeout(Duration::from_secs(10), next).await.unwrap().unwrap();
        let found = store.list(&prefix, None, 100).await.unwrap().len();
        assert!(found == 0 || found == 20, "{found} records after {polls} polls");
        whole += usize::from(found == 20);
    }
    assert!((1..40).contains(&whole), "{whole}");
}

#[tokio::test]
async fn ten_thousand_records_commit_in_one_transaction_and_page_well() {
    let home = TestStore::new();
    let store = home.open().await;
    let writes: Vec<_> =
        (0..10_000).map(|n| Write::Put(key("lake/s/file").child_number(n).unwrap(), vec![b'x'; 300].into())).collect();

    let start = Instant::now();
    store.commit(&[], &writes).await.unwrap();
    let committed = start.elapsed();
    let (mut after, mut seen) = (None, 0);
    loop {
        let page = store.list(&key("lake/s/file"), after.as_ref(), 1000).await.unwrap();
        seen += page.len();
        after = page.last().map(|record| record.key.clone());
        if page.len() < 1000 {
            break;
        }
    }

    assert_eq!(seen, 10_000);
    // Both take a fraction of a second; the bounds only catch a cost per record that is out of proportion.
    assert!(committed < Duration::from_secs(5), "{committed:?}");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}
