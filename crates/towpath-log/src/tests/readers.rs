//! Readers: every event once, in order, whether they follow closely or come late.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use towpath_model::{Event, EventKey, Position};
use towpath_testkit::TestDir;

use super::support::{events, open, small};
use crate::sim::SimDisk;
use crate::{FileLogStorage, Log, LogReader, LogSettings, ReadError};

/// Reads up to `end` and checks that nothing is missing or repeated.
async fn follow(mut reader: LogReader, end: u64, max_bytes: usize, pause: Option<Duration>) -> Vec<EventKey> {
    let mut keys = Vec::new();
    while reader.position() < Position::new(end) {
        let due = reader.position();
        let committed = reader.next(max_bytes).await.unwrap();
        assert_eq!(committed.first, due);
        assert!(!committed.events.is_empty());
        assert!(committed.end() <= reader.committed(), "nothing uncommitted is seen");
        let bytes: usize = committed.events.iter().map(|event| event.json.len()).sum();
        assert!(bytes <= max_bytes || committed.events.len() == 1, "{bytes} bytes");
        keys.extend(committed.events.iter().map(|event| event.key));
        if let Some(pause) = pause {
            tokio::time::sleep(pause).await;
        }
    }
    keys
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_and_readers_at_once_see_one_order() {
    const WRITERS: usize = 8;
    const APPENDS: usize = 40;
    let dir = TestDir::new("readers");
    let settings = LogSettings { segment_bytes: 64 << 10, ring_bytes: 16 << 10, ..small() };
    let storage = Arc::new(FileLogStorage::open(dir.path()).unwrap());
    let log = Log::builder(storage).settings(settings).open().unwrap();
    let total = (WRITERS * APPENDS * 3) as u64;
    let from = |position| log.reader(Position::new(position));
    let readers = [
        tokio::spawn(follow(from(0), total, 5_000, None)),
        tokio::spawn(follow(from(0), total, 100_000, None)),
        tokio::spawn(follow(from(0), total, 1, None)),
        tokio::spawn(follow(from(0), total, 20_000, Some(Duration::from_millis(3)))),
    ];
    let writers = (0..WRITERS).map(|_| {
        let log = log.clone();
        tokio::spawn(async move {
            let mut keys = Vec::new();
            for _ in 0..APPENDS {
                let batch = events(3);
                keys.extend(batch.iter().map(|event| event.key));
                log.append(batch).await.unwrap();
            }
            keys
        })
    });
    let written: Vec<EventKey> = join_all(writers).await.into_iter().flat_map(Result::unwrap).collect();
    let mut seen = join_all(readers).await.into_iter().map(Result::unwrap);
    let first = seen.next().unwrap();
    assert!(seen.all(|other| other == first), "all readers see the same order");
    assert_eq!(first.iter().collect::<HashSet<_>>(), written.iter().collect::<HashSet<_>>());
    assert_eq!(first.len() as u64, total);

    // Who comes late reads all of it from the disk, from any position.
    for position in [0, 1, 2, 500, total - 1] {
        let late = follow(from(position), total, 3_000, None).await;
        assert_eq!(late, first[position as usize..]);
    }
}

#[tokio::test]
async fn a_reader_at_the_end_waits_for_more() {
    let log = open(&SimDisk::new(1)).unwrap();
    let mut reader = log.reader(Position::ZERO);
    let waiting = tokio::time::timeout(Duration::from_millis(20), reader.next(1_000)).await;
    assert!(waiting.is_err());
    let batch = events(1);
    let (read, appended) = tokio::join!(reader.next(1_000), log.append(batch.clone()));
    appended.unwrap();
    assert_eq!(read.unwrap().events, batch);
}

#[tokio::test]
async fn a_reader_is_told_when_the_log_closes_and_not_before_it_has_read_all() {
    let log = open(&SimDisk::new(1)).unwrap();
    let mut reader = log.reader(Position::ZERO);
    log.append(events(2)).await.unwrap();
    log.close().await;
    assert_eq!(reader.next(usize::MAX).await.unwrap().events.len(), 2);
    assert!(matches!(reader.next(usize::MAX).await, Err(ReadError::Closed)));
}

#[tokio::test]
async fn a_reader_that_is_interrupted_loses_nothing() {
    let disk = SimDisk::new(1);
    let log = open(&disk).unwrap();
    for _ in 0..30 {
        log.append(events(1)).await.unwrap();
    }
    let mut reader = log.reader(Position::ZERO);
    let mut found: Vec<Event> = Vec::new();
    while reader.position() < log.committed() {
        // Sometimes the read ends within its first poll, mostly it is dropped while the disk works.
        tokio::select! {
            biased;
            committed = reader.next(700) => found.extend(committed.unwrap().events),
            () = tokio::task::yield_now() => {}
        }
    }
    assert_eq!(found.len(), 30);
    assert_eq!(found.iter().map(|event| event.key).collect::<HashSet<_>>().len(), 30);
}

#[tokio::test]
async fn a_reader_of_what_was_released_is_told_where_the_log_starts() {
    let log = open(&SimDisk::new(1)).unwrap();
    for _ in 0..40 {
        log.append(events(1)).await.unwrap();
    }
    // One has a segment open, one has not.
    let mut open_reader = log.reader(Position::ZERO);
    open_reader.next(1).await.unwrap();
    log.release(Position::new(30)).await.unwrap();
    for mut reader in [open_reader, log.reader(Position::ZERO)] {
        let start = log.start();
        let error = loop {
            // Events that were read before the release are still handed out.
            match reader.next(1).await {
                Ok(committed) => assert!(committed.first < start),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, ReadError::Released { start: at, .. } if at == start), "{error}");
    }
}

#[tokio::test]
async fn recent_events_come_from_memory() {
    let disk = SimDisk::new(1);
    let log = open(&disk).unwrap();
    let mut reader = log.reader(Position::ZERO);
    for _ in 0..20 {
        log.append(events(1)).await.unwrap();
        let calls = disk.calls();
        reader.next(10_000).await.unwrap();
        assert_eq!(disk.calls(), calls, "the disk is not asked");
    }
}
