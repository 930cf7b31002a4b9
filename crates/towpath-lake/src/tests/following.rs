//! The lake behind a real log on a real directory.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use towpath_log::{FileLogStorage, Log, LogSettings};
use towpath_meta::{MemoryMetaStore, MetaStore};
use towpath_model::{Position, StoreKind};

use crate::lake::Lake;
use crate::objects::Objects;
use crate::settings::LakeSettings;
use crate::testing::{TODAY, made_up, read_all, store};

fn open_log(folder: &std::path::Path) -> Log {
    let storage = Arc::new(FileLogStorage::open(folder.join("log")).unwrap());
    let settings = LogSettings { segment_bytes: 4096, ..LogSettings::default() };
    Log::builder(storage).settings(settings).open().unwrap()
}

async fn open_lake(folder: &std::path::Path, meta: &Arc<dyn MetaStore>, settings: LakeSettings) -> Lake {
    let objects = Objects::local(folder.join("lake")).unwrap();
    Lake::builder(meta.clone(), objects).settings(settings).open().await.unwrap()
}

async fn rows(lake: &Lake, at: Position) -> usize {
    let snapshot = lake.snapshot(&[(store(0), StoreKind::CloudTrail)], at).await.unwrap();
    read_all(lake, &snapshot.stores[0]).await.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_log_acknowledged_is_in_the_next_snapshot_also_after_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let meta: Arc<dyn MetaStore> = Arc::new(MemoryMetaStore::new());
    let mut expected = 0;
    for round in 0..3u64 {
        let log = open_log(folder.path());
        let lake = open_lake(folder.path(), &meta, LakeSettings::default()).await;
        let stop = CancellationToken::new();
        let running = tokio::spawn({
            let (lake, log, stop) = (lake.clone(), log.clone(), stop.clone());
            async move { lake.run(log, stop).await }
        });
        for batch in 0..20 {
            let first = round * 1000 + batch * 50;
            // Twice each.
            for _ in 0..2 {
                let events = (first..first + 50).map(|id| made_up(id, TODAY, id as i64, &[store(0)]));
                let positions = log.append(events.collect()).await.unwrap();
                if batch % 5 == 0 {
                    assert_eq!(rows(&lake, positions.end).await, expected + 50);
                }
            }
            expected += 50;
        }
        // What was not applied when it is told to stop stays in the log for the next start.
        lake.wait_applied(log.committed()).await.unwrap();
        stop.cancel();
        running.await.unwrap().unwrap();
        // All is in files: the log needs to keep little.
        assert_eq!(lake.durable(), log.committed());
        assert!(log.start() > Position::ZERO);
        log.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_hot_tail_is_flushed_as_it_fills() {
    let folder = tempfile::tempdir().unwrap();
    let meta: Arc<dyn MetaStore> = Arc::new(MemoryMetaStore::new());
    let log = open_log(folder.path());
    let settings = LakeSettings { hot_bytes: 20_000, read_bytes: 2_000, ..LakeSettings::default() };
    let lake = open_lake(folder.path(), &meta, settings.clone()).await;
    let events = (0..2000).map(|id| made_up(id, TODAY, id as i64, &[store(0)]));
    let positions = log.append(events.collect()).await.unwrap();
    let stop = CancellationToken::new();
    let running = tokio::spawn({
        let (lake, log, stop) = (lake.clone(), log.clone(), stop.clone());
        async move { lake.run(log, stop).await }
    });
    let watch = async {
        while lake.applied() < positions.end {
            let hot = lake.inner.state.lock().hot_bytes;
            assert!(hot < settings.hot_limit() + 10_000, "{hot} bytes are hot");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    watch.await;
    assert!(lake.stats(store(0)).files >= 5);
    assert_eq!(rows(&lake, positions.end).await, 2000);
    stop.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_a_killed_process_left_half_written_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let meta: Arc<dyn MetaStore> = Arc::new(MemoryMetaStore::new());
    let lake = open_lake(folder.path(), &meta, LakeSettings::default()).await;
    let day = folder.path().join("lake").join(store(0).to_string()).join("2024-10-04");
    std::fs::create_dir_all(&day).unwrap();
    let staged = day.join("0b1c.parquet#1");
    std::fs::write(&staged, b"PAR1").unwrap();
    lake.collect_orphans(Duration::ZERO).await.unwrap();
    assert!(!staged.exists());
}
