//! What a caller of `append` can rely on while storage works.

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use towpath_model::{ManualClock, Position};
use towpath_testkit::TestDir;

use super::support::{append_group, events, open, read_all, small};
use crate::sim::{Fault, SimDisk};
use crate::storage::{LogFile, LogStorage};
use crate::{AppendError, Compression, FileLogStorage, Log, LogSettings, OpenError, Positions, Recovery};

fn positions(first: u64, end: u64) -> Positions {
    Positions { first: Position::new(first), end: Position::new(end) }
}

#[tokio::test]
async fn events_get_dense_positions_in_the_order_given() {
    let log = open(&SimDisk::new(1)).unwrap();
    let (a, b) = (events(3), events(2));
    assert_eq!(log.append(a.clone()).await.unwrap(), positions(0, 3));
    assert_eq!(log.append(b.clone()).await.unwrap(), positions(3, 5));
    let found: Vec<_> = read_all(&log).await.into_iter().map(|(_, event)| event).collect();
    assert_eq!(found, [a, b].concat());
}

#[tokio::test]
async fn an_empty_append_takes_no_position() {
    let log = open(&SimDisk::new(1)).unwrap();
    log.append(events(1)).await.unwrap();
    assert_eq!(log.append(Vec::new()).await.unwrap(), positions(1, 1));
}

#[tokio::test]
async fn appends_that_wait_together_share_one_sync() {
    let disk = SimDisk::new(1);
    let log = open(&disk).unwrap();
    log.append(events(1)).await.unwrap();
    let before = disk.calls();
    for answer in append_group(&log, (0..3).map(|_| events(1)).collect()).await {
        answer.unwrap();
    }
    assert_eq!(disk.calls() - before, 2, "one write and one sync");
}

#[tokio::test]
async fn a_full_queue_answers_busy_at_once() {
    let settings = LogSettings { queue_appends: 2, ..small() };
    let log = Log::builder(SimDisk::new(1).process()).settings(settings).open().unwrap();
    let answers = append_group(&log, vec![events(1), events(1), events(1)]).await;
    assert!(matches!(answers[..], [Ok(_), Ok(_), Err(AppendError::Busy)]));
    assert_eq!(log.queue_load(), (0, 0), "all room is given back");
    log.append(events(1)).await.unwrap();
}

#[tokio::test]
async fn the_queue_is_bounded_in_bytes_too() {
    let settings = LogSettings { queue_bytes: 10_000, append_bytes: 10_000, ..small() };
    let log = Log::builder(SimDisk::new(1).process()).settings(settings).open().unwrap();
    let answers = append_group(&log, (0..4).map(|_| events(4)).collect()).await;
    let busy = answers.iter().filter(|answer| matches!(answer, Err(AppendError::Busy))).count();
    assert!(busy > 0 && busy < 4, "{busy} of 4");
}

#[tokio::test]
async fn an_append_beyond_the_limit_is_too_large() {
    let settings = LogSettings { append_bytes: 1_000, ..small() };
    let log = Log::builder(SimDisk::new(1).process()).settings(settings).open().unwrap();
    assert!(matches!(log.append(events(2)).await, Err(AppendError::TooLarge { limit: 1_000, .. })));
    assert_eq!(log.committed(), Position::ZERO);
}

#[tokio::test]
async fn closing_writes_what_waits_and_refuses_the_rest() {
    let disk = SimDisk::new(1);
    let log = open(&disk).unwrap();
    log.hold(true);
    let waiting = tokio::spawn({
        let log = log.clone();
        async move { log.append(events(2)).await }
    });
    while log.queue_load().0 == 0 {
        tokio::task::yield_now().await;
    }
    let closing = tokio::spawn({
        let log = log.clone();
        async move { log.close().await }
    });
    // On one thread the task runs when this one yields.
    tokio::task::yield_now().await;
    assert!(matches!(log.append(events(1)).await, Err(AppendError::Closed)));
    log.hold(false);
    closing.await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap(), positions(0, 2));

    let log = open(&disk).unwrap();
    assert_eq!(log.committed(), Position::new(2));
    let report = Recovery { segments: 1, end: Position::new(2), ..Recovery::default() };
    assert_eq!(*log.recovery(), report, "an orderly end leaves nothing to repair");
}

#[tokio::test]
async fn dropping_the_last_handle_ends_the_writer() {
    let log = open(&SimDisk::new(1)).unwrap();
    let mut committed = log.watch();
    log.append(events(1)).await.unwrap();
    committed.borrow_and_update();
    drop(log);
    assert!(committed.changed().await.is_err());
}

#[tokio::test]
async fn a_log_in_real_files_reopens_as_it_was() {
    let dir = TestDir::new("log");
    for compression in [Compression::None, Compression::Lz4] {
        let path = dir.path().join(format!("{compression:?}"));
        let open = || {
            let storage = Arc::new(FileLogStorage::open(&path).unwrap());
            Log::builder(storage).settings(LogSettings { compression, ..small() }).open().unwrap()
        };
        let log = open();
        let mut appended = Vec::new();
        for _ in 0..20 {
            let batch = events(7);
            appended.extend(batch.clone());
            log.append(batch).await.unwrap();
        }
        log.close().await;

        let log = open();
        assert!(log.recovery().segments > 3);
        assert_eq!(log.recovery().truncated, None);
        let found: Vec<_> = read_all(&log).await.into_iter().map(|(_, event)| event).collect();
        assert_eq!(found, appended);
        assert_eq!(log.append(events(1)).await.unwrap(), positions(140, 141));
    }
}

#[tokio::test]
async fn many_restarts_without_events_leave_one_segment() {
    let disk = SimDisk::new(1);
    for _ in 0..5 {
        let log = open(&disk).unwrap();
        log.close().await;
    }
    assert_eq!(disk.names(), [""; 0]);
    // A segment that never got an event is replaced by the next one.
    for call in 0..5 {
        let log = open(&disk).unwrap();
        disk.fail(disk.calls() + 5, 2, Fault::Error);
        assert!(log.append(events(1)).await.is_err(), "{call}");
        disk.heal();
        log.close().await;
    }
    assert_eq!(disk.names().iter().filter(|name| name.ends_with(".seg")).count(), 1);
}

#[tokio::test]
async fn released_segments_are_gone_and_the_rest_stays() {
    let disk = SimDisk::new(1);
    let log = open(&disk).unwrap();
    for _ in 0..40 {
        log.append(events(1)).await.unwrap();
    }
    let before = disk.names().len();
    let removed = log.release(Position::new(20)).await.unwrap();
    assert!(removed > 0 && disk.names().len() == before - removed);
    let start = log.start();
    assert!(start > Position::ZERO && start <= Position::new(20));
    assert_eq!(read_all(&log).await.len() as u64, 40 - start.as_u64());
    log.close().await;

    let log = open(&disk).unwrap();
    assert_eq!((log.start(), log.committed()), (start, Position::new(40)));
    log.release(Position::new(1_000)).await.unwrap();
    assert_eq!(disk.names().len(), 1, "the newest segment always stays");
    assert_eq!(log.append(events(1)).await.unwrap(), positions(40, 41));
}

#[tokio::test]
async fn what_a_hold_needs_is_not_released() {
    let disk = SimDisk::new(1);
    let log = open(&disk).unwrap();
    for _ in 0..40 {
        log.append(events(1)).await.unwrap();
    }
    let hold = log.hold_from(Position::new(10));
    log.release(Position::new(40)).await.unwrap();
    assert!(log.start() <= Position::new(10));
    hold.move_to(Position::new(20));
    hold.move_to(Position::new(5));
    log.release(Position::new(40)).await.unwrap();
    let start = log.start();
    assert!(start > Position::new(10) && start <= Position::new(20), "{start}");
    drop(hold);
    assert!(log.release(Position::new(40)).await.unwrap() > 0);
}

/// Storage that tells when a file is removed.
struct Told<F> {
    storage: Arc<dyn LogStorage>,
    removed: F,
}

impl<F: Fn() + Send + Sync + 'static> LogStorage for Told<F> {
    fn list(&self) -> io::Result<Vec<String>> {
        self.storage.list()
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn LogFile>> {
        self.storage.create(name)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn LogFile>> {
        self.storage.open(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.storage.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        (self.removed)();
        self.storage.remove(name)
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.storage.sync_dir()
    }
}

#[tokio::test]
async fn a_hold_that_is_made_during_a_release_keeps_what_is_still_there() {
    let (log, hold) = (Arc::new(OnceLock::<Log>::new()), Arc::new(OnceLock::new()));
    let (seen, made) = (log.clone(), hold.clone());
    let removed = move || {
        // While the first segment is being removed.
        made.get_or_init(|| seen.get().unwrap().hold_from(Position::new(20)));
    };
    let storage = Arc::new(Told { storage: SimDisk::new(1).process(), removed });
    let log = log.get_or_init(|| Log::builder(storage).settings(small()).open().unwrap());
    for _ in 0..40 {
        log.append(events(1)).await.unwrap();
    }
    log.release(Position::new(40)).await.unwrap();

    assert!(hold.get().is_some());
    assert!(log.start() > Position::ZERO && log.start() <= Position::new(20), "{}", log.start());
}

#[tokio::test]
async fn a_release_that_failed_is_finished_by_the_next() {
    let disk = SimDisk::new(1);
    let log = open(&disk).unwrap();
    for _ in 0..40 {
        log.append(events(1)).await.unwrap();
    }
    disk.fail(disk.calls(), 1, Fault::NoSpace);
    let error = log.release(Position::new(40)).await.unwrap_err();
    assert_eq!(error.file, "00000000000000000000.seg");
    assert!(log.release(Position::new(40)).await.unwrap() > 1);
    assert!(!disk.names().contains(&error.file));
}

#[tokio::test]
async fn after_a_failure_storage_is_left_alone_for_the_pause() {
    let disk = SimDisk::new(1);
    let clock = Arc::new(ManualClock::at("2026-01-15T12:00:00Z".parse().unwrap()));
    let settings = LogSettings { retry_pause_ms: 3_000, ..small() };
    let log = Log::builder(disk.process()).clock(clock.clone()).settings(settings).open().unwrap();
    disk.fail(disk.calls(), 1, Fault::NoSpace);
    assert!(matches!(log.append(events(1)).await, Err(AppendError::Unavailable(_))));
    let calls = disk.calls();
    assert!(matches!(log.append(events(1)).await, Err(AppendError::Unavailable(_))));
    assert_eq!(disk.calls(), calls);
    clock.advance(Duration::from_secs(3));
    assert_eq!(log.append(events(1)).await.unwrap(), positions(0, 1));
}

#[tokio::test]
async fn a_clock_that_is_set_back_does_not_prolong_the_pause() {
    let disk = SimDisk::new(1);
    let clock = Arc::new(ManualClock::at("2026-01-15T12:00:00Z".parse().unwrap()));
    let settings = LogSettings { retry_pause_ms: 3_000, ..small() };
    let log = Log::builder(disk.process()).clock(clock.clone()).settings(settings).open().unwrap();
    disk.fail(disk.calls(), 1, Fault::NoSpace);
    assert!(log.append(events(1)).await.is_err());
    clock.set("2026-01-15T11:00:00Z".parse().unwrap());
    assert_eq!(log.append(events(1)).await.unwrap(), positions(0, 1));
}

#[test]
fn settings_that_cannot_work_are_refused_by_name() {
    for (settings, field) in [
        (LogSettings { append_bytes: 0, ..small() }, "append_bytes"),
        (LogSettings { append_bytes: 1 << 30, ..small() }, "append_bytes"),
        (LogSettings { queue_bytes: 5, ..small() }, "queue_bytes"),
        (LogSettings { queue_appends: 0, ..small() }, "queue_appends"),
    ] {
        let opened = Log::builder(SimDisk::new(1).process()).settings(settings).open();
        assert!(matches!(opened.err(), Some(OpenError::Settings(error)) if error.field == field));
    }
}
