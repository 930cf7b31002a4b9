//! Writing: batches of records into the log, and into the spill while the log does not take them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use towpath_capture::CapturedRecord;
use towpath_model::Clock;

use super::gap::Gaps;
use super::settings::RecordingSettings;
use super::spill::Spill;
use super::work::{Group, Waiting};
use super::{Gap, Reason, gap_record, measure};
use crate::sink::{RecordSink, SinkError};

/// Who gap records name for records that were lost between the spill and the log.
pub(super) const SPILL: &str = "spill";

/// Where batches go, and how that is going. Shared by all that write.
pub(super) struct Place {
    pub(super) sink: Arc<dyn RecordSink>,
    pub(super) spill: Option<Arc<Spill>>,
    pub(super) settings: RecordingSettings,
    pub(super) gaps: Arc<Gaps>,
    pub(super) clock: Arc<dyn Clock>,
    /// Set while records go to the spill and not to the log, so that they stay in order.
    pub(super) spilling: AtomicBool,
    /// Set when neither the log nor the spill takes records, cleared when one of them does.
    pub(super) stuck: AtomicBool,
    /// Told when records were sent that somebody waits for.
    pub(super) urgent: Notify,
    /// Ends what waits for the log and the spill; it counts as lost.
    pub(super) stop: CancellationToken,
    /// When records were durable last, in milliseconds since 1970; 0 before the first.
    pub(super) durable_at: AtomicI64,
}

/// Records of several calls, and who waits for which of them.
#[derive(Default)]
struct Batch {
    records: Vec<CapturedRecord>,
    waiting: Vec<(usize, Waiting)>,
    bytes: usize,
}

impl Batch {
    fn add(&mut self, group: Group) {
        self.bytes += group.bytes();
        self.waiting.push((group.records.len(), group.waiting));
        self.records.extend(group.records);
    }

    /// True if somebody waits for one of its records.
    fn is_awaited(&self) -> bool {
        self.waiting.iter().any(|(_, waiting)| waiting.is_awaited())
    }

    /// Takes out the groups of which a record was refused, and keeps the others.
    fn without(self, refused: &[(usize, String)]) -> Self {
        let mut rest = Self::default();
        let mut records = self.records.into_iter();
        let mut first = 0;
        for (count, waiting) in self.waiting {
            let own: Vec<_> = records.by_ref().take(count).collect();
            match refused.iter().find(|(index, _)| (first..first + count).contains(index)) {
                Some((_, why)) => {
                    tracing::error!(records = count, %why, "the log refuses the records of a call");
                    waiting.refused();
                }
                None => rest.add(Group { records: own, waiting }),
            }
            first += count;
        }
        rest
    }
}

impl Place {
    /// Takes the records of finished calls and sees that they become durable, until nobody can send any more.
    pub(super) async fn run(self: Arc<Self>, mut groups: mpsc::UnboundedReceiver<Group>) {
        let appends = Arc::new(Semaphore::new(self.settings.appends.max(1)));
        let mut spare = None;
        loop {
            // No batch is gathered before it can go: what waits meanwhile goes together.
            let Ok(permit) = appends.clone().acquire_owned().await else { return };
            let first = match spare.take() {
                Some(group) => group,
                None => match groups.recv().await {
                    Some(group) => group,
                    None => return,
                },
            };
            let mut batch = Batch::default();
            batch.add(first);
            spare = self.fill(&mut batch, &mut groups);
            if spare.is_none() && !batch.is_awaited() {
                let _ = timeout(self.settings.gather, self.urgent.notified()).await;
                spare = self.fill(&mut batch, &mut groups);
            }
            if spare.is_none() && batch.is_awaited() {
                // Under load this makes few large appends of many small ones, which costs less of everything.
                let _ = timeout(self.settings.gather, self.one_ends(&appends)).await;
                spare = self.fill(&mut batch, &mut groups);
            }
            let place = self.clone();
            tokio::spawn(async move {
                place.make_durable(batch).await;
                drop(permit);
            });
        }
    }

    /// Returns when one of the appends that are under way ends; at once if there are none. One place is the caller's.
    async fn one_ends(&self, appends: &Semaphore) {
        let free = appends.available_permits();
        if free + 1 < self.settings.appends.max(1) {
            let _one_more = appends.acquire_many(u32::try_from(free + 1).unwrap_or(u32::MAX)).await;
        }
    }

    /// Adds to a batch what was sent meanwhile. What does not fit any more is given back.
    fn fill(&self, batch: &mut Batch, groups: &mut mpsc::UnboundedReceiver<Group>) -> Option<Group> {
        while let Ok(group) = groups.try_recv() {
            let fits = batch.bytes + group.bytes() <= self.settings.batch_bytes
                && batch.records.len() + group.records.len() <= self.settings.batch_records;
            if !fits {
                return Some(group);
            }
            batch.add(group);
        }
        None
    }

    /// Returns when every record of the batch is durable, in the log or in the spill, or refused for good.
    async fn make_durable(&self, mut batch: Batch) {
        let mut pause = self.settings.first_pause;
        let mut direct = !self.spilling.load(Ordering::Relaxed);
        batch.waiting.iter_mut().for_each(|(_, waiting)| waiting.hand_over());
        self.gaps.tally.note();
        while !batch.records.is_empty() {
            if direct {
                match self.sink.append(&batch.records).await {
                    Ok(()) => return self.durable(batch),
                    Err(SinkError::Never(refused)) if !refused.is_empty() => {
                        batch = batch.without(&refused);
                        continue;
                    }
                    Err(error) => self.log_failed(batch.records.len(), &error),
                }
            }
            if let Some(spill) = &self.spill {
                // Before the append, so that whoever comes after this batch does not overtake it.
                self.spilling.store(true, Ordering::Relaxed);
                match spill.append(&batch.records).await {
                    Ok(()) => return self.durable(batch),
                    Err(error) => {
                        metrics::counter!("towpath_gateway_spill_failures_total").increment(1);
                        tracing::warn!(records = batch.records.len(), %error, "records cannot wait on disk");
                    }
                }
            }
            // Neither takes them: both are tried again, in turn with pauses, while the room fills up.
            self.stuck.store(true, Ordering::Relaxed);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.stop.cancelled() => return,
            }
            pause = (pause * 2).min(self.settings.longest_pause);
            direct = true;
        }
    }

    fn durable(&self, batch: Batch) {
        self.stuck.store(false, Ordering::Relaxed);
        self.durable_at.store(self.clock.now().as_millisecond(), Ordering::Relaxed);
        metrics::counter!("towpath_gateway_records_total").increment(batch.records.len() as u64);
        batch.waiting.into_iter().for_each(|(_, waiting)| waiting.durable());
    }

    fn log_failed(&self, records: usize, why: &SinkError) {
        metrics::counter!("towpath_gateway_log_failures_total").increment(1);
        tracing::warn!(records, %why, "the log does not take records");
    }

    /// Brings what waits in the spill into the log, in order, for as long as the spill is open.
    pub(super) async fn replay(self: Arc<Self>, spill: Arc<Spill>) {
        let mut replay = spill.replay();
        loop {
            let mut read = match replay.next(self.settings.batch_bytes).await {
                Ok(read) => read,
                Err(towpath_log::ReadError::Closed) => return,
                Err(cause) => {
                    tracing::error!(%cause, "cannot read what waits on disk");
                    tokio::time::sleep(self.settings.longest_pause).await;
                    continue;
                }
            };
            if let (1.., Some(record)) = (read.lost, read.records.first()) {
                tracing::error!(records = read.lost, "records that waited on disk are damaged");
                self.lost(record, read.lost, Reason::Damaged);
            }
            let sent = std::mem::take(&mut read.records);
            self.send_spilled(sent.clone()).await;
            if !self.gaps.is_kept() {
                // What was lost on the way is not passed over before it is sure to be told.
                self.gaps.keep_for_good(None).await;
            }
            spill.replayed(&sent, read.end).await;
            self.stuck.store(false, Ordering::Relaxed);
            if spill.is_empty() {
                self.spilling.store(false, Ordering::Relaxed);
                tracing::info!("all that waited on disk is in the log");
            }
        }
    }

    /// Returns when the log has taken, or refused for good, all of the records.
    async fn send_spilled(&self, mut records: Vec<CapturedRecord>) {
        let mut pause = Duration::ZERO;
        while !records.is_empty() {
            match self.sink.append(&records).await {
                Ok(()) => return,
                Err(SinkError::Never(refused)) if !refused.is_empty() => {
                    let mut number = 0;
                    records.retain(|record| {
                        let why = refused.iter().find(|(index, _)| *index == number);
                        number += 1;
                        if let Some((_, why)) = why {
                            tracing::error!(%why, "the log refuses a record that waited on disk");
                            self.lost(record, 1, Reason::Refused);
                        }
                        why.is_none()
                    });
                }
                Err(error) => {
                    self.log_failed(records.len(), &error);
                    pause = (pause * 2).clamp(self.settings.first_pause, self.settings.longest_pause);
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    fn lost(&self, record: &CapturedRecord, count: u64, reason: Reason) {
        if reason == Reason::Refused && gap_record::is_one(record) {
            // No gap is told of a gap that cannot be told.
            metrics::counter!("towpath_gateway_gap_records_refused_total").increment(1);
            return;
        }
        measure::lost(SPILL, reason, count);
        self.gaps.put_back(Gap {
            upstream: SPILL.into(),
            account: record.account,
            region: record.region.clone(),
            reason,
            from: record.time,
            to: record.time,
            at_least: count,
        });
    }
}

impl Group {
    fn bytes(&self) -> usize {
        self.records.iter().map(|record| record.json.len()).sum()
    }
}
