//! From the queue to the server: batches, patience, and gap records.
//!
//! A batch counts as handed over from before it is sent until the server is known to have taken nothing of it. What was
//! handed over is claimed by no gap, since the server may have it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use towpath_admit::GapRecord;
use towpath_gap::{Gap, Reason};
use uuid::Uuid;

use crate::endpoint::Never;
use crate::recorder::{Queued, Shared};

/// Most records of one call, and most bytes of them together.
const BATCH: (usize, usize) = (500, 1 << 20);
/// How often it is noted what has begun, and up to when all was sent.
const TICK: Duration = Duration::from_millis(500);
/// How often that is noted while nothing happens.
const IDLE_STEP: Duration = Duration::from_secs(30);

/// How an attempt to send records ended.
enum Attempt {
    /// The server has them, but for those that it will never take.
    Taken(Vec<Never>),
    /// The server has none of them.
    NotTaken,
    /// The server may have them.
    Unknown,
}

/// Gaps that were taken to be told. Those that are left when this ends are open again.
struct Due<'a> {
    gaps: Vec<Gap>,
    shared: &'a Shared,
}

impl Drop for Due<'_> {
    fn drop(&mut self) {
        self.gaps.drain(..).for_each(|gap| self.shared.gaps.put_back(gap));
    }
}

/// Sends what waits, until the recorder is closed.
pub(crate) async fn send(shared: Arc<Shared>, mut waiting: UnboundedReceiver<Queued>) {
    loop {
        let mut batch = Vec::new();
        let mut bytes = 0;
        let gather = Instant::now() + shared.settings.gather;
        while batch.len() < BATCH.0 && bytes < BATCH.1 {
            tokio::select! {
                next = waiting.recv() => match next {
                    Some(queued) => {
                        bytes += queued.record.len();
                        batch.push(queued);
                    }
                    None => return,
                },
                () = sleep_until(gather) => break,
            }
        }
        if let Some(last) = batch.last() {
            let until = last.at;
            shared.deliver(&batch).await;
            shared.done(batch.len(), bytes);
            shared.sent_until.fetch_max(until.as_millisecond(), Ordering::Relaxed);
        }
        // After what was queued before them, and only once the server takes records again.
        let mut due = Due { gaps: shared.due(), shared: &shared };
        if !due.gaps.is_empty() {
            // What is told is on disk no more, so that it is not told twice.
            shared.keep(None).await;
        }
        while let Some(gap) = due.gaps.pop() {
            shared.tell(gap).await;
        }
    }
}

/// Notes what the next start needs to know should this process be killed, until the recorder is closed.
pub(crate) async fn tick(shared: Arc<Shared>) {
    let mut noted = shared.sent_until.load(Ordering::Relaxed);
    loop {
        sleep(TICK).await;
        shared.gaps.tally.note();
        // With nothing under way all is sent up to now.
        let (until, step) = match shared.is_idle() {
            true => (Timestamp::now().as_millisecond(), IDLE_STEP.as_millis() as i64),
            false => (shared.sent_until.load(Ordering::Relaxed), 0),
        };
        let due = until > noted + step && shared.gaps.is_empty();
        noted = if due { until } else { noted };
        shared.keep(Timestamp::from_millisecond(until).ok().filter(|_| due)).await;
    }
}

impl Shared {
    /// The gaps that are to be told now; all of them when the recorder is being closed.
    fn due(&self) -> Vec<Gap> {
        match self.closing.load(Ordering::Relaxed) {
            true => self.gaps.take(),
            false => self.gaps.due(Timestamp::now(), self.settings.gap_quiet, self.settings.gap_longest),
        }
    }

    /// Sends until the server has taken, or refused for good, every event of a batch.
    async fn deliver(&self, batch: &[Queued]) {
        let mut pause = self.settings.first_pause;
        let (mut handed_over, mut unknown) = (false, false);
        loop {
            if !handed_over {
                self.hand_over(batch.len(), true);
                handed_over = true;
            }
            match self.attempt(batch.iter().map(|queued| &queued.record), batch.len()).await {
                Attempt::Taken(never) => {
                    self.handed_over.store(0, Ordering::Relaxed);
                    return self.refused(batch, &never);
                }
                // An earlier attempt may have left some there.
                Attempt::NotTaken if !unknown => {
                    self.hand_over(batch.len(), false);
                    handed_over = false;
                }
                Attempt::NotTaken | Attempt::Unknown => unknown = true,
            }
            sleep(pause).await;
            pause = (pause * 2).min(self.settings.longest_pause);
        }
    }

    /// Notes that a batch leaves, or that it did not leave after all.
    fn hand_over(&self, events: usize, leaves: bool) {
        match leaves {
            true => self.gaps.tally.settle(&self.service, events as u64),
            false => self.gaps.tally.take_back(&self.service, events as u64),
        }
        self.handed_over.store(if leaves { events } else { 0 }, Ordering::Relaxed);
        self.gaps.tally.note();
    }

    /// Counts events that the server will never take.
    fn refused(&self, batch: &[Queued], never: &[Never]) {
        for (index, why) in never {
            let Some(queued) = batch.get(*index) else { continue };
            tracing::error!(%why, "the server refuses an event");
            self.gaps.tally.unsettle(&self.service);
            self.lost(1, queued.at, queued.at, Reason::Refused);
        }
    }

    async fn attempt(&self, records: impl Iterator<Item = &Bytes>, count: usize) -> Attempt {
        match timeout(self.settings.patience, self.endpoint.put(records)).await {
            Ok(Ok(never)) => Attempt::Taken(never),
            Ok(Err(error)) => {
                tracing::warn!(events = count, %error, "events wait");
                if error.took_nothing() { Attempt::NotTaken } else { Attempt::Unknown }
            }
            Err(_) => {
                tracing::warn!(events = count, "events wait: the server does not answer in time");
                Attempt::Unknown
            }
        }
    }

    /// Tells a gap. It is open again if the server cannot be told now.
    async fn tell(&self, gap: Gap) {
        self.gaps.telling(true);
        self.gaps.tally.settle(&gap.upstream, gap.at_least);
        self.gaps.tally.note();
        let record = self.record_of(&gap);
        let mut pause = self.settings.first_pause;
        let mut unknown = false;
        loop {
            match self.attempt(std::iter::once(&record), 1).await {
                Attempt::Taken(never) => {
                    if let Some((_, why)) = never.first() {
                        // No gap is told of a gap that cannot be told.
                        tracing::error!(at_least = gap.at_least, %why, "the server refuses a gap record");
                    }
                    break;
                }
                Attempt::NotTaken if !unknown => {
                    self.gaps.tally.take_back(&gap.upstream, gap.at_least);
                    self.gaps.put_back(gap);
                    sleep(pause).await;
                    break;
                }
                Attempt::NotTaken | Attempt::Unknown => unknown = true,
            }
            sleep(pause).await;
            pause = (pause * 2).min(self.settings.longest_pause);
        }
        self.gaps.telling(false);
    }

    fn record_of(&self, gap: &Gap) -> Bytes {
        let source = &self.endpoint.source;
        let record = GapRecord {
            source,
            teller: source,
            upstream: &gap.upstream,
            reason: gap.reason.as_str(),
            account: gap.account,
            region: &gap.region,
            from: gap.from,
            to: gap.to,
            at_least: gap.at_least,
        };
        record.json(&self.key, Uuid::new_v4())
    }
}
