//! Records that somebody waits for while others are being written.

use tokio::sync::Semaphore;

use super::*;

/// A log that ends an append for each turn that it is given.
struct SlowLog {
    begun: Mutex<Vec<usize>>,
    turns: Semaphore,
}

#[async_trait]
impl RecordSink for SlowLog {
    async fn append(&self, records: &[CapturedRecord]) -> Result<(), SinkError> {
        self.begun.lock().push(records.len());
        self.turns.acquire().await.unwrap().forget();
        Ok(())
    }
}

/// Counts calls that were described.
#[derive(Default)]
struct Counted(AtomicUsize);

impl Describe for Counted {
    fn records(&self, exchange: &Exchange, routed: &Routed, caller: UserIdentity) -> Vec<CapturedRecord> {
        let records = ByPath.records(exchange, routed, caller);
        self.0.fetch_add(1, Ordering::Relaxed);
        records
    }
}

fn start_slow(gather: Duration) -> (Recording, Arc<SlowLog>, Arc<Counted>) {
    let log = Arc::new(SlowLog { begun: Mutex::default(), turns: Semaphore::new(0) });
    let described = Arc::new(Counted::default());
    let settings = RecordingSettings { gather, ..settings() };
    let (key, clock) = (GapKey::ephemeral().unwrap(), Arc::new(SystemClock));
    let recording = Recording::run(described.clone(), Arc::default(), log.clone(), clock, settings, key, None);
    (recording.unwrap(), log, described)
}

#[tokio::test]
async fn calls_that_end_while_a_record_is_being_written_are_written_together() {
    let (recording, log, described) = start_slow(LONG);
    let closed = upstream(Policy::FailClosed);
    let first = call(&recording, &closed, 1);
    until("the first append", || *log.begun.lock() == [1]).await;
    let others: Vec<_> = (2..=20).map(|number| call(&recording, &closed, number)).collect();
    until("the others", || described.0.load(Ordering::Relaxed) == 20).await;
    tokio::time::sleep(WAITS).await;
    assert_eq!(*log.begun.lock(), [1], "they wait for the first, and nobody for them");

    log.turns.add_permits(1);
    timeout(LONG, first.durable()).await.unwrap().unwrap();
    log.turns.add_permits(1);
    for other in others {
        timeout(LONG, other.durable()).await.unwrap().unwrap();
    }
    assert_eq!(*log.begun.lock(), [1, 19]);
}

#[tokio::test]
async fn calls_do_not_wait_long_for_an_append_that_takes_long() {
    let (recording, log, _) = start_slow(Duration::from_millis(1));
    let closed = upstream(Policy::FailClosed);
    let _first = call(&recording, &closed, 1);
    until("the first append", || *log.begun.lock() == [1]).await;
    let _second = call(&recording, &closed, 2);
    until("the second append", || *log.begun.lock() == [1, 1]).await;
}
