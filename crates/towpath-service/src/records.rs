//! Records of calls on their way into the log.
//!
//! A record has its place in the log's queue before its call is answered; a full queue or a broken log refuses the
//! call. The answer to a call that changes something, or that was refused, also waits until the record is durable. That
//! of a call that only reads does not, unless the settings want it so: it would wait for the disk some milliseconds
//! each time. A crash in these milliseconds loses such records, and nothing else.
//!
//! What is in the queue is as good as seen: who reads stores afterwards waits for it ([`Records::seen`]).

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use futures::FutureExt;
use futures::future::{Shared, join_all};
use parking_lot::Mutex;
use smallvec::SmallVec;
use tokio::sync::oneshot;
use towpath_log::{AppendError, Log};
use towpath_model::{Event, StoreId};
use towpath_wire::ApiError;

use crate::refusal::internal;
use crate::settings::AuditReads;

/// Puts records into the log.
pub(crate) struct Records {
    log: Log,
    reads: AuditReads,
    queued: Arc<Queued>,
}

/// Records that were queued and that no answer waited for.
#[derive(Default)]
struct Queued {
    // Held for a few lines.
    on_the_way: Mutex<OnTheWay>,
    // True from a failure of such a record until the log takes one again: meanwhile every answer waits.
    failing: AtomicBool,
}

#[derive(Default)]
struct OnTheWay {
    next: u64,
    records: HashMap<u64, (SmallVec<[StoreId; 2]>, Settled)>,
}

/// Ready when a record is durable, or will never be.
type Settled = Shared<oneshot::Receiver<()>>;

impl Records {
    /// Appends to `log`; `reads` says what the answers of calls that only read wait for.
    pub(crate) fn new(log: Log, reads: AuditReads) -> Self {
        Self { log, reads, queued: Arc::default() }
    }

    /// Appends events and returns when they are durable.
    ///
    /// # Errors
    /// `ThrottlingException` when the log's queue is full, `ServiceUnavailable` when it cannot write.
    pub(crate) async fn append(&self, events: Vec<Event>) -> Result<(), ApiError> {
        if events.is_empty() {
            return Ok(());
        }
        let appended = self.log.append(events).await;
        if appended.is_ok() {
            self.queued.failing.store(false, Ordering::Relaxed);
        }
        appended.map(drop).map_err(refused)
    }

    /// Appends the record of a call that only read and was allowed: returns when it has its place in the queue, or, if
    /// the settings say so or records were lost lately, when it is durable.
    ///
    /// # Errors
    /// As [`Records::append`].
    pub(crate) async fn append_read(&self, events: Vec<Event>) -> Result<(), ApiError> {
        if events.is_empty() {
            return Ok(());
        }
        if self.reads == AuditReads::Durable || self.queued.failing.load(Ordering::Relaxed) {
            return self.append(events).await;
        }
        let mut stores = SmallVec::new();
        for destination in events.iter().flat_map(|event| &event.destinations) {
            if !stores.contains(&destination.store) {
                stores.push(destination.store);
            }
        }
        let log = self.log.clone();
        let count = events.len();
        let mut append = async move { log.append(events).await }.boxed();
        // The first look takes the place in the queue, or is refused it.
        if let Poll::Ready(appended) = futures::poll!(append.as_mut()) {
            return appended.map(drop).map_err(refused);
        }
        let (over, ended) = oneshot::channel();
        let number = self.queued.add(stores, ended.shared());
        let queued = self.queued.clone();
        tokio::spawn(async move {
            let appended = append.await;
            queued.failing.store(appended.is_err(), Ordering::Relaxed);
            if let Err(cause) = appended {
                metrics::counter!("towpath_audit_records_lost_total").increment(count as u64);
                tracing::error!(records = count, %cause, "records of calls that were answered are lost");
            }
            queued.on_the_way.lock().records.remove(&number);
            let _ = over.send(());
        });
        Ok(())
    }

    /// Waits until the records for these stores that are queued now are durable, or lost: what is read afterwards has
    /// them.
    pub(crate) fn seen(&self, stores: &[StoreId]) -> impl Future<Output = ()> + Send + 'static {
        let on_the_way = self.queued.on_the_way.lock();
        let concerned = on_the_way.records.values().filter(|(of, _)| of.iter().any(|store| stores.contains(store)));
        let all: Vec<_> = concerned.map(|(_, ended)| ended.clone()).collect();
        join_all(all).map(drop)
    }
}

impl Queued {
    fn add(&self, stores: SmallVec<[StoreId; 2]>, ended: Shared<oneshot::Receiver<()>>) -> u64 {
        let mut on_the_way = self.on_the_way.lock();
        let number = on_the_way.next;
        on_the_way.next += 1;
        on_the_way.records.insert(number, (stores, ended));
        number
    }
}

fn refused(error: AppendError) -> ApiError {
    match error {
        AppendError::Busy => ApiError::throttling(),
        AppendError::Closed => ApiError::unavailable(),
        cause @ (AppendError::Unavailable(_) | AppendError::Uncertain(_)) => {
            internal("append to the log", cause);
            ApiError::unavailable()
        }
        cause => internal("append to the log", cause),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, IoSlice};
    use std::time::Duration;

    use parking_lot::Condvar;
    use tokio::time::timeout;
    use towpath_log::sim::{Fault, SimDisk};
    use towpath_log::{LogFile, LogSettings, LogStorage};
    use towpath_testkit::TestEvent;

    use super::*;

    /// A disk that syncs only while its gate is open.
    struct SlowDisk {
        disk: Arc<dyn LogStorage>,
        gate: Arc<Gate>,
    }

    #[derive(Default)]
    struct Gate {
        shut: Mutex<bool>,
        moved: Condvar,
    }

    impl Gate {
        fn shut(&self, shut: bool) {
            *self.shut.lock() = shut;
            self.moved.notify_all();
        }

        fn pass(&self) {
            let mut shut = self.shut.lock();
            while *shut {
                self.moved.wait(&mut shut);
            }
        }
    }

    struct SlowFile {
        file: Arc<dyn LogFile>,
        gate: Arc<Gate>,
    }

    impl LogStorage for SlowDisk {
        fn list(&self) -> io::Result<Vec<String>> {
            self.disk.list()
        }

        fn create(&self, name: &str) -> io::Result<Arc<dyn LogFile>> {
            Ok(Arc::new(SlowFile { file: self.disk.create(name)?, gate: self.gate.clone() }))
        }

        fn open(&self, name: &str) -> io::Result<Arc<dyn LogFile>> {
            Ok(Arc::new(SlowFile { file: self.disk.open(name)?, gate: self.gate.clone() }))
        }

        fn rename(&self, from: &str, to: &str) -> io::Result<()> {
            self.disk.rename(from, to)
        }

        fn remove(&self, name: &str) -> io::Result<()> {
            self.disk.remove(name)
        }

        fn sync_dir(&self) -> io::Result<()> {
            self.disk.sync_dir()
        }
    }

    impl LogFile for SlowFile {
        fn size(&self) -> io::Result<u64> {
            self.file.size()
        }

        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
            self.file.read_at(offset, buffer)
        }

        fn write_at(&self, offset: u64, parts: &mut [IoSlice<'_>]) -> io::Result<()> {
            self.file.write_at(offset, parts)
        }

        fn truncate(&self, size: u64) -> io::Result<()> {
            self.file.truncate(size)
        }

        fn sync(&self) -> io::Result<()> {
            self.gate.pass();
            self.file.sync()
        }
    }

    struct TestRecords {
        records: Records,
        disk: SimDisk,
        gate: Arc<Gate>,
        store: StoreId,
    }

    impl TestRecords {
        /// Records into a log that has one event already.
        async fn new(reads: AuditReads, settings: LogSettings) -> Self {
            let (disk, gate) = (SimDisk::new(1), Arc::new(Gate::default()));
            let storage = SlowDisk { disk: disk.process(), gate: gate.clone() };
            let log = Log::builder(Arc::new(storage)).settings(settings).open().unwrap();
            let this = Self { records: Records::new(log, reads), disk, gate, store: StoreId::random() };
            this.records.append(this.record()).await.unwrap();
            this
        }

        fn record(&self) -> Vec<Event> {
            vec![TestEvent::management("GetTrail").to(self.store).build()]
        }

        fn committed(&self) -> u64 {
            self.records.log.committed().as_u64()
        }
    }

    impl Drop for TestRecords {
        fn drop(&mut self) {
            // The writer thread ends when the disk lets it.
            self.gate.shut(false);
        }
    }

    /// Long enough to tell that something waits, since nothing else does.
    const WAITS: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn the_answer_to_a_read_does_not_wait_for_the_disk_and_whoever_reads_afterwards_does() {
        let test = TestRecords::new(AuditReads::Queued, LogSettings::default()).await;
        test.gate.shut(true);
        test.records.append_read(test.record()).await.unwrap();
        test.records.append_read(test.record()).await.unwrap();
        assert_eq!(test.committed(), 1);

        let seen = test.records.seen(&[StoreId::random(), test.store]);
        let mut seen = Box::pin(seen);
        assert!(timeout(WAITS, &mut seen).await.is_err());
        // Nothing on its way concerns other stores.
        timeout(Duration::from_secs(10), test.records.seen(&[StoreId::random()])).await.unwrap();
        test.gate.shut(false);
        seen.await;
        assert_eq!(test.committed(), 3);
        assert!(test.records.queued.on_the_way.lock().records.len() <= 1, "an entry goes when its record is durable");
    }

    #[tokio::test]
    async fn the_answer_to_a_change_waits_and_so_does_every_answer_where_the_settings_say_so() {
        let test = TestRecords::new(AuditReads::Queued, LogSettings::default()).await;
        test.gate.shut(true);
        assert!(timeout(WAITS, test.records.append(test.record())).await.is_err());

        let strict = TestRecords::new(AuditReads::Durable, LogSettings::default()).await;
        strict.gate.shut(true);
        assert!(timeout(WAITS, strict.records.append_read(strict.record())).await.is_err());
        strict.gate.shut(false);
        strict.records.append_read(strict.record()).await.unwrap();
        assert!(strict.committed() >= 2);
    }

    #[tokio::test]
    async fn a_full_queue_and_a_closed_log_refuse_a_read() {
        let few = LogSettings { queue_appends: 2, ..LogSettings::default() };
        let test = TestRecords::new(AuditReads::Queued, few).await;
        test.gate.shut(true);
        test.records.append_read(test.record()).await.unwrap();
        test.records.append_read(test.record()).await.unwrap();
        let refused = test.records.append_read(test.record()).await.unwrap_err();
        assert_eq!(refused.code(), "ThrottlingException");
        test.gate.shut(false);
        test.records.seen(&[test.store]).await;
        assert_eq!(test.committed(), 3, "what was answered is there, what was refused is not");

        test.records.log.close().await;
        let refused = test.records.append_read(test.record()).await.unwrap_err();
        assert_eq!(refused.code(), ApiError::unavailable().code());
    }

    #[tokio::test]
    async fn after_a_lost_record_reads_wait_again_until_the_log_is_well() {
        let brisk = LogSettings { retry_pause_ms: 1, ..LogSettings::default() };
        let test = TestRecords::new(AuditReads::Queued, brisk).await;
        test.disk.fail(test.disk.calls(), u64::MAX, Fault::Error);
        test.records.append_read(test.record()).await.unwrap();
        test.records.seen(&[test.store]).await;
        assert!(test.records.queued.failing.load(Ordering::Relaxed));

        let refused = test.records.append_read(test.record()).await.unwrap_err();
        assert_eq!(refused.code(), ApiError::unavailable().code());
        test.disk.heal();
        while test.records.append_read(test.record()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        assert!(!test.records.queued.failing.load(Ordering::Relaxed));
        assert_eq!(test.committed(), 2);
    }
}
