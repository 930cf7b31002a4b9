//! From events to the server: a bounded queue, batches, and patience.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use towpath_admit::{GapKey, GapRecord};
use uuid::Uuid;

use crate::endpoint::Endpoint;
use crate::event::Event;

/// Most records of one call, and most bytes of them together.
const BATCH: (usize, usize) = (500, 1 << 20);

/// How much may wait, and how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecorderSettings {
    /// Events that may wait for the server. Further ones are dropped and counted.
    pub queue_events: usize,
    /// Bytes of such events.
    pub queue_bytes: usize,
    /// How long an event may wait for others, so that they go together.
    pub gather: Duration,
    /// How long an answer of the server is waited for.
    pub patience: Duration,
    /// The first pause after the server did not take events; doubles with each further failure.
    pub first_pause: Duration,
    /// The longest such pause.
    pub longest_pause: Duration,
}

impl Default for RecorderSettings {
    fn default() -> Self {
        Self {
            queue_events: 10_000,
            queue_bytes: 16 << 20,
            gather: Duration::from_millis(100),
            patience: Duration::from_secs(10),
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(10),
        }
    }
}

/// Takes events and sees that they reach the server. Cloning is cheap; clones are the same recorder.
#[derive(Clone)]
pub struct Recorder {
    shared: Arc<Shared>,
}

struct Shared {
    endpoint: Endpoint,
    settings: RecorderSettings,
    key: GapKey,
    queue: mpsc::UnboundedSender<Bytes>,
    events: AtomicUsize,
    bytes: AtomicUsize,
    dropped: AtomicU64,
    // What was dropped and not told yet: from when to when, and how many. Held for a few lines.
    gap: Mutex<Option<(Timestamp, Timestamp, u64)>>,
    closing: AtomicBool,
}

impl Recorder {
    /// Starts to send events to `endpoint`. `key` signs gap records: one that is kept in a file ([`GapKey::open`]) proves
    /// over restarts who told a gap to whoever has its public key from elsewhere; one of this process alone
    /// ([`GapKey::ephemeral`]) that the record was not changed since. Must be called within a Tokio runtime.
    pub fn start(endpoint: Endpoint, settings: RecorderSettings, key: GapKey) -> Self {
        let (queue, waiting) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            endpoint,
            settings,
            key,
            queue,
            events: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
            gap: Mutex::default(),
            closing: AtomicBool::new(false),
        });
        tokio::spawn(send(Arc::clone(&shared), waiting));
        Self { shared }
    }

    /// Takes an event. Never waits: an event that there is no room for is dropped and counted.
    pub fn record(&self, event: &Event) {
        let shared = &self.shared;
        let (now, endpoint) = (Timestamp::now(), &shared.endpoint);
        let record = event.record(&endpoint.source, endpoint.account, &endpoint.region, now);
        let size = record.len();
        let events = shared.events.fetch_add(1, Ordering::Relaxed);
        let bytes = shared.bytes.fetch_add(size, Ordering::Relaxed);
        let fits = events < shared.settings.queue_events && bytes + size <= shared.settings.queue_bytes;
        if !fits || shared.closing.load(Ordering::Relaxed) || shared.queue.send(record).is_err() {
            shared.done(1, size);
            shared.drop_at(now, 1);
        }
    }

    /// How many events were dropped since the start: for want of room, or because the server refuses them.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// How many events wait for the server.
    pub fn waiting(&self) -> usize {
        self.shared.events.load(Ordering::Relaxed)
    }

    /// Takes no more events and waits, at most so long, until the server has those that were taken and the gap record of
    /// those that were not. True if it has.
    pub async fn close(&self, patience: Duration) -> bool {
        self.shared.closing.store(true, Ordering::Relaxed);
        let deadline = Instant::now() + patience;
        let settled = || self.waiting() == 0 && self.shared.gap.lock().is_none();
        while !settled() && Instant::now() < deadline {
            sleep(Duration::from_millis(5)).await;
        }
        settled()
    }
}

impl Shared {
    fn done(&self, events: usize, bytes: usize) {
        self.events.fetch_sub(events, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn drop_at(&self, at: Timestamp, count: u64) {
        self.dropped.fetch_add(count, Ordering::Relaxed);
        let mut gap = self.gap.lock();
        *gap = Some(match *gap {
            None => (at, at, count),
            Some((from, to, dropped)) => (from.min(at), to.max(at), dropped + count),
        });
    }

    /// The record of what was dropped, if anything was.
    fn gap_record(&self) -> Option<(Bytes, (Timestamp, Timestamp, u64))> {
        let gap = (*self.gap.lock())?;
        let (from, to, at_least) = gap;
        let Endpoint { source, account, region, .. } = &self.endpoint;
        let record = GapRecord {
            source,
            teller: source,
            upstream: source,
            reason: "QUEUE_FULL",
            account: *account,
            region,
            from,
            to,
            at_least,
        };
        Some((record.json(&self.key, Uuid::new_v4()), gap))
    }

    /// Takes a gap that was told off what is to be told.
    fn told(&self, (_, told_to, told): (Timestamp, Timestamp, u64)) {
        let mut gap = self.gap.lock();
        *gap = gap.filter(|(_, _, count)| *count > told).map(|(_, to, count)| (told_to, to, count - told));
    }

    /// Sends until the server has taken, or refused for good, every record.
    async fn deliver(&self, records: &[Bytes]) {
        let mut pause = self.settings.first_pause;
        loop {
            let problem = match timeout(self.settings.patience, self.endpoint.put(records)).await {
                Ok(Ok(refused)) => {
                    if let Some(why) = refused.first() {
                        tracing::error!(events = refused.len(), %why, "the server refuses events");
                        self.drop_at(Timestamp::now(), refused.len() as u64);
                    }
                    return;
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => "the server does not answer in time".to_owned(),
            };
            tracing::warn!(events = records.len(), %problem, "events wait");
            sleep(pause).await;
            pause = (pause * 2).min(self.settings.longest_pause);
        }
    }
}

/// Sends what waits, for as long as the process lives.
async fn send(shared: Arc<Shared>, mut waiting: mpsc::UnboundedReceiver<Bytes>) {
    loop {
        let mut records = Vec::new();
        let mut bytes = 0;
        let gather = Instant::now() + shared.settings.gather;
        while records.len() < BATCH.0 && bytes < BATCH.1 {
            tokio::select! {
                next = waiting.recv() => match next {
                    Some(record) => {
                        bytes += record.len();
                        records.push(record);
                    }
                    None => return,
                },
                () = tokio::time::sleep_until(gather) => break,
            }
        }
        let count = records.len();
        if count > 0 {
            shared.deliver(&records).await;
            shared.done(count, bytes);
        }
        // After what was queued before it, and only once the server takes records again.
        if let Some((record, gap)) = shared.gap_record() {
            shared.deliver(&[record]).await;
            shared.told(gap);
        }
    }
}
