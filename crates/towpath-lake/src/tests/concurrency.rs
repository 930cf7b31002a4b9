//! Snapshots while everything else goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use towpath_model::{Position, StoreKind};

use crate::testing::{TODAY, TestLake, made_up, read_all, store};

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_snapshot_sees_every_row_once_while_files_come_and_go() {
    let mut test = TestLake::new().await;
    let stores = [store(0), store(1)];
    // Every event goes to both stores; each fifth repeats an earlier one.
    let id = |n: u64| if n % 5 == 4 { n / 2 } else { n };
    test.append((0..3000).map(|n| made_up(id(n), TODAY - (id(n) % 2) as i64, (id(n) * 13 % 86_400) as i64, &stores)));
    let test = Arc::new(test);
    let done = Arc::new(AtomicBool::new(false));

    let work = {
        let (test, done) = (test.clone(), done.clone());
        tokio::spawn(async move {
            for (at, events) in test.log.chunks(50).enumerate() {
                test.lake.apply(Position::new(at as u64 * 50), events.to_vec()).await.unwrap();
                if at % 3 == 0 {
                    test.lake.flush().await.unwrap();
                }
            }
            done.store(true, Ordering::SeqCst);
        })
    };
    let upkeep = {
        let (test, done) = (test.clone(), done.clone());
        tokio::spawn(async move {
            while !done.load(Ordering::SeqCst) {
                test.clock.advance(Duration::from_secs(61));
                test.lake.maintain().await.unwrap();
                test.lake.collect_orphans(Duration::ZERO).await.unwrap();
            }
        })
    };
    let mut snapshots = 0;
    while !done.load(Ordering::SeqCst) {
        let at = test.lake.applied();
        let kinds = stores.map(|store| (store, StoreKind::CloudTrail));
        let snapshot = test.lake.snapshot(&kinds, at).await.unwrap();
        assert!(snapshot.position >= at);
        let rows = [&snapshot.stores[0], &snapshot.stores[1]];
        let (one, two) = (read_all(&test.lake, rows[0]).await, read_all(&test.lake, rows[1]).await);
        let expected = test.expected(stores[0], snapshot.position);
        assert!(one == expected && two == expected, "{} and {} of {}", one.len(), two.len(), expected.len());
        snapshots += 1;
    }
    work.await.unwrap();
    upkeep.await.unwrap();
    assert!(snapshots > 3, "{snapshots} snapshots");
    test.check().await;
}

#[tokio::test]
async fn a_snapshot_waits_for_its_position() {
    let mut test = TestLake::new().await;
    test.append((0..10).map(|id| made_up(id, TODAY, id as i64, &[store(0)])));
    let lake = test.lake.clone();
    let waiting =
        tokio::spawn(async move { lake.snapshot(&[(store(0), StoreKind::CloudTrail)], Position::new(10)).await });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    test.apply().await.unwrap();
    let snapshot = waiting.await.unwrap().unwrap();
    assert_eq!(snapshot.position, Position::new(10));
    assert_eq!(snapshot.stores[0].hot.iter().map(|batch| batch.num_rows()).sum::<usize>(), 10);
}
