//! Retention, dropping, snapshots that outlive their files, lost key runs, orphans.

use std::time::Duration;

use bytes::Bytes;
use object_store::ObjectStoreExt;
use object_store::path::Path;

use towpath_model::{EventTime, Position, StoreKind};

use crate::LakeError;
use crate::commit::Change;
use crate::state::Retention;
use crate::testing::{TODAY, TestLake, made_up, read_all, store};

const DAY: Duration = Duration::from_secs(86_400);

async fn visible(test: &TestLake, number: u128) -> usize {
    let snapshot = test.lake.snapshot(&[(store(number), StoreKind::CloudTrail)], Position::ZERO).await.unwrap();
    read_all(&test.lake, &snapshot.stores[0]).await.len()
}

#[tokio::test]
async fn rows_past_retention_are_not_visible_and_their_files_go() {
    let mut test = TestLake::new().await;
    // Noon ten days ago, and each day since.
    test.append((0..=10).map(|age| made_up(age as u64, TODAY - age, 43_200, &[store(0)])));
    test.apply().await.unwrap();
    test.lake.flush().await.unwrap();
    assert_eq!(visible(&test, 0).await, 11);

    test.lake.set_retention(store(0), StoreKind::CloudTrail, Some(7)).await.unwrap();
    assert_eq!(visible(&test, 0).await, 8);
    assert_eq!(test.lake.stats(store(0)).files, 11);
    test.lake.maintain().await.unwrap();
    assert_eq!(test.lake.stats(store(0)).files, 8);
    assert_eq!(visible(&test, 0).await, 8);
    assert_eq!(test.stored().await, test.named().await);

    // Half a day later the seven-day-old row is gone, and stays gone when the retention grows, also after a restart.
    test.clock.advance(DAY / 2);
    assert_eq!(visible(&test, 0).await, 7);
    test.lake.set_retention(store(0), StoreKind::CloudTrail, Some(365)).await.unwrap();
    assert_eq!(visible(&test, 0).await, 7);
    test.crash().await;
    assert_eq!(visible(&test, 0).await, 7);
    let oldest = test.lake.stats(store(0)).times.unwrap().0;
    assert_eq!(oldest, EventTime::from_millis((TODAY - 7) * 86_400_000 + 43_200_000).unwrap());
}

#[tokio::test]
async fn hot_rows_past_retention_are_neither_visible_nor_written() {
    let mut test = TestLake::new().await;
    test.lake.set_retention(store(0), StoreKind::CloudTrail, Some(7)).await.unwrap();
    test.append([made_up(0, TODAY - 8, 0, &[store(0)]), made_up(1, TODAY, 0, &[store(0)])]);
    test.apply().await.unwrap();
    assert_eq!(visible(&test, 0).await, 1);
    test.lake.flush().await.unwrap();
    assert_eq!((visible(&test, 0).await, test.lake.stats(store(0)).rows), (1, 1));
}

#[tokio::test]
async fn joining_files_leaves_expired_rows_out() {
    let mut test = TestLake::new().await;
    for id in 0..4 {
        test.append([made_up(id, TODAY, id as i64 * 3600, &[store(0)])]);
        test.apply().await.unwrap();
        test.lake.flush().await.unwrap();
    }
    test.lake.set_retention(store(0), StoreKind::CloudTrail, Some(1)).await.unwrap();
    test.clock.advance(DAY / 2 + Duration::from_secs(5400));
    test.lake.maintain().await.unwrap();
    let stats = test.lake.stats(store(0));
    assert_eq!((stats.files, stats.rows, visible(&test, 0).await), (1, 2, 2));
}

#[tokio::test]
async fn a_retention_that_was_decided_before_a_store_was_dropped_does_not_bring_it_back() {
    let mut test = TestLake::new().await;
    test.append((0..10).map(|id| made_up(id, TODAY, id as i64, &[store(0)])));
    test.apply().await.unwrap();
    test.lake.drop_store(store(0)).await.unwrap();

    // As `set_retention` commits it, when it looked at the store before and got to the gate after.
    let retention = Retention { days: Some(30), floor: None, dropped: false };
    let late = Change::Retain { store: store(0), kind: StoreKind::CloudTrail, retention, removed: Vec::new() };
    test.lake.inner.commit(late).await.unwrap();

    test.crash().await;
    test.append((10..20).map(|id| made_up(id, TODAY, id as i64, &[store(0)])));
    test.apply().await.unwrap();
    assert_eq!(visible(&test, 0).await, 0);
}

#[tokio::test]
async fn a_dropped_store_leaves_nothing_and_takes_nothing() {
    let mut test = TestLake::new().await;
    test.append((0..10).map(|id| made_up(id, TODAY, id as i64, &[store(0), store(1)])));
    test.apply().await.unwrap();
    test.lake.flush().await.unwrap();
    test.append((10..15).map(|id| made_up(id, TODAY, id as i64, &[store(0), store(1)])));
    test.apply().await.unwrap();

    test.lake.drop_store(store(0)).await.unwrap();
    test.lake.drop_store(store(0)).await.unwrap();
    for crashed in [false, true] {
        if crashed {
            test.crash().await;
        }
        test.append((0..20).map(|id| made_up(id, TODAY, id as i64, &[store(0)])));
        test.apply().await.unwrap();
        test.lake.flush().await.unwrap();
        test.lake.maintain().await.unwrap();
        assert_eq!((visible(&test, 0).await, visible(&test, 1).await), (0, 15));
        assert_eq!(test.lake.stats(store(0)), Default::default());
        assert!(test.lake.find(store(0), test.log[0].key).await.unwrap().is_none());
        assert!(!test.stored().await.iter().any(|path| path.starts_with(&store(0).to_string())));
        assert_eq!(test.stored().await, test.named().await);
    }
}

#[tokio::test]
async fn files_of_a_snapshot_stay_until_it_is_dropped() {
    let mut test = TestLake::new().await;
    for id in 0..4 {
        test.append([made_up(id, TODAY, id as i64, &[store(0)])]);
        test.apply().await.unwrap();
        test.lake.flush().await.unwrap();
    }
    let snapshot = test.lake.snapshot(&[(store(0), StoreKind::CloudTrail)], Position::ZERO).await.unwrap();
    let kept = snapshot.stores[0].files[0].clone();
    test.clock.advance(Duration::from_secs(120));
    test.lake.maintain().await.unwrap();
    assert_eq!(test.lake.stats(store(0)).files, 1);
    assert_eq!(read_all(&test.lake, &snapshot.stores[0]).await.len(), 4);

    drop(snapshot);
    test.lake.maintain().await.unwrap();
    let one = kept.path().to_string();
    assert!(test.stored().await.contains(&one));
    drop(kept);
    test.lake.maintain().await.unwrap();
    assert_eq!(test.stored().await, test.named().await);
}

#[tokio::test]
async fn lost_or_damaged_key_runs_are_made_anew_from_the_files() {
    for damage in [false, true] {
        let mut test = TestLake::new().await;
        for round in 0..3 {
            test.append(
                (0..40)
                    .map(|id| made_up(round * 40 + id, TODAY - (id % 3) as i64, id as i64, &[store(id as u128 % 2)])),
            );
            test.apply().await.unwrap();
            test.lake.flush().await.unwrap();
        }
        let run = test.stored().await.into_iter().find(|path| path.ends_with(".keys")).unwrap();
        let run = Path::from(run);
        if damage {
            let bytes = test.lake.objects().store().get(&run).await.unwrap().bytes().await.unwrap();
            let mut bytes = bytes.to_vec();
            let at = bytes.len() - 30;
            bytes[at] ^= 1;
            test.lake.objects().store().put(&run, bytes.into()).await.unwrap();
        } else {
            test.lake.objects().store().delete(&run).await.unwrap();
        }
        test.crash().await;
        let again = test.log.clone();
        test.append(again);
        test.apply().await.unwrap();
        test.check().await;
        assert_eq!(test.lake.stats(store(0)).rows + test.lake.stats(store(1)).rows, 120);
        test.lake.maintain().await.unwrap();
        test.lake.collect_orphans(Duration::ZERO).await.unwrap();
        assert_eq!(test.stored().await, test.named().await);
    }
}

#[tokio::test]
async fn a_block_of_a_key_run_that_is_damaged_while_the_lake_runs_is_noticed_and_mended() {
    for read_by in ["apply", "find", "merge"] {
        let mut test = TestLake::new().await;
        for round in 0..4 {
            test.append((0..40).map(|id| made_up(round * 40 + id, TODAY, id as i64, &[store(0), store(1)])));
            test.apply().await.unwrap();
            test.lake.flush().await.unwrap();
        }
        for run in test.stored().await.into_iter().filter(|path| path.ends_with(".keys")).map(Path::from) {
            let bytes = test.lake.objects().store().get(&run).await.unwrap().bytes().await.unwrap();
            let mut bytes = bytes.to_vec();
            // The first entry of the first block.
            bytes[17] ^= 1;
            test.lake.objects().store().put(&run, bytes.into()).await.unwrap();
        }
        let again = test.log.clone();
        let key = again[7].key;
        test.append(again);
        match read_by {
            "apply" => {
                let damaged = test.apply().await;
                assert!(matches!(damaged, Err(LakeError::Keys { .. })), "{damaged:?}");
                assert!(test.lake.mend(damaged).await.is_err());
            }
            "find" => assert!(test.lake.find(store(1), key).await.unwrap().is_some()),
            _ => assert!(matches!(test.lake.maintain().await, Err(LakeError::Keys { .. }))),
        }
        test.apply().await.unwrap();
        test.check().await;
        test.crash().await;
        test.check().await;
        test.lake.maintain().await.unwrap();
        test.lake.collect_orphans(Duration::ZERO).await.unwrap();
        assert_eq!(test.stored().await, test.named().await);
    }
}

#[tokio::test]
async fn stores_with_the_same_rows_have_them_written_joined_and_remembered_once() {
    let mut test = TestLake::new().await;
    let stores: Vec<_> = (0..50).map(store).collect();
    for round in 0..4 {
        test.append((0..30).map(|id| made_up(round * 30 + id, TODAY, id as i64, &stores)));
        test.apply().await.unwrap();
        test.lake.flush().await.unwrap();
    }
    let keys: u64 = test.lake.inner.keys.runs().iter().map(|run| run.info().entries).sum();
    assert_eq!(keys, 120);
    test.lake.set_retention(store(7), StoreKind::CloudTrail, Some(1)).await.unwrap();
    test.clock.advance(Duration::from_secs(120));
    let before = test.objects.changes();
    test.lake.maintain().await.unwrap();
    // Written once and copied to the others; deletions come on top of it.
    let deleted = 4 * 50;
    let changes = test.objects.changes() - before;
    assert!(changes < deleted + 50 + 20, "{changes} changes");
    for number in 0..50 {
        assert_eq!(test.lake.stats(store(number)).files, 1, "store {number}");
    }
    test.check().await;

    // What is one store's own does not touch the others.
    test.lake.drop_store(store(3)).await.unwrap();
    test.clock.advance(2 * DAY);
    test.lake.maintain().await.unwrap();
    assert_eq!(test.lake.stats(store(7)).files, 0);
    test.crash().await;
    for number in [0, 1, 49] {
        assert_eq!(visible(&test, number).await, 120);
    }
    assert_eq!(test.stored().await, test.named().await);
}

#[tokio::test]
async fn orphans_are_deleted_once_they_are_old() {
    let mut test = TestLake::new().await;
    test.append([made_up(1, TODAY, 0, &[store(0)])]);
    test.apply().await.unwrap();
    test.lake.flush().await.unwrap();
    let stray = Path::from(format!("{}/2024-10-04/stray.parquet", store(0)));
    test.lake.objects().put(&stray, Bytes::from_static(b"PAR1")).await.unwrap();
    // The object's age is by the machine's clock; the lake's own stands in 2024.
    test.clock.set(jiff::Timestamp::now());
    assert_eq!(test.lake.collect_orphans(Duration::from_secs(3600)).await.unwrap(), 0);
    test.clock.advance(2 * Duration::from_secs(3600));
    assert_eq!(test.lake.collect_orphans(Duration::from_secs(3600)).await.unwrap(), 1);
    assert_eq!(test.stored().await, test.named().await);
    test.check().await;
}
