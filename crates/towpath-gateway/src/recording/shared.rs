//! What the parts of a recording share, and what is done now and then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::RwLock;
use tokio::sync::mpsc;
use towpath_admit::GapKey;
use towpath_gap::Gap;
use towpath_model::Clock;
use uuid::Uuid;

use super::gap::Gaps;
use super::gap_record;
use super::room::Room;
use super::upstream::RecordedUpstream;
use super::work::{Describe, Group, Job, Waiting};
use super::write::Place;
use crate::identity::Identities;

/// How often it is looked whether a gap is to be told, and noted up to when all was durable.
const TICK: Duration = Duration::from_millis(500);
/// How often that is noted while nothing happens.
const IDLE_STEP_MILLIS: i64 = 30_000;

/// What the parts of a recording share.
pub(crate) struct Shared {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) describe: Arc<dyn Describe>,
    pub(super) identities: Arc<Identities>,
    pub(super) room: Arc<Room>,
    pub(super) gaps: Arc<Gaps>,
    pub(super) place: Arc<Place>,
    pub(super) key: GapKey,
    // Upstreams that have had calls. Written once for each.
    pub(super) noted: RwLock<Vec<Arc<str>>>,
    pub(super) stopping: AtomicBool,
    // One queue for each worker; empty once the recording is closed. Read for a look-up, never held across an await.
    pub(super) jobs: RwLock<Vec<mpsc::UnboundedSender<Job>>>,
    pub(super) next: AtomicUsize,
    pub(super) groups: mpsc::UnboundedSender<Group>,
}

impl Shared {
    /// Gives a finished call to a worker. Without workers the call is lost, and counted as `job` is dropped.
    pub(super) fn submit(&self, job: Job) {
        let jobs = self.jobs.read();
        if jobs.is_empty() {
            return;
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed) % jobs.len();
        // A worker that is gone drops the job, which counts it.
        let _ = jobs[number].send(job);
    }

    /// Gives records to the writer.
    pub(super) fn write(&self, group: Group) {
        let awaited = group.waiting.is_awaited();
        let _ = self.groups.send(group);
        if awaited {
            self.place.urgent.notify_one();
        }
    }

    /// Notes on disk that an upstream has calls, before the first of them. False if that cannot be done: then a crash
    /// could lose calls that nobody would tell of.
    pub(super) fn note(&self, upstream: &RecordedUpstream) -> bool {
        if self.noted.read().contains(&upstream.name) {
            return true;
        }
        if let Err(cause) = self.gaps.watch(&upstream.name, upstream.account, &upstream.region) {
            tracing::error!(%cause, upstream = %upstream.name, "cannot note that an upstream is recorded");
            return false;
        }
        self.noted.write().push(upstream.name.clone());
        true
    }

    /// Makes gap records and sends them on their way.
    pub(super) fn tell(&self, gaps: Vec<Gap>) {
        for gap in gaps {
            let record = gap_record::record(&gap, &self.place.settings.gateway, &self.key, Uuid::new_v4());
            tracing::warn!(upstream = %gap.upstream, reason = gap.reason.as_str(), at_least = gap.at_least, from = %gap.from, to = %gap.to, "calls have no record");
            self.write(Group { records: vec![record], waiting: Waiting::gap(self.gaps.clone(), gap) });
        }
    }

    /// Tells gaps when they are due, and notes up to when all was durable.
    pub(super) async fn tick(self: Arc<Self>) {
        let settings = &self.place.settings;
        let mut noted = 0;
        loop {
            tokio::time::sleep(TICK.min(settings.gap_quiet)).await;
            let now = self.clock.now();
            self.gaps.tally.note();
            let whole = self.gaps.is_empty();
            // With nothing under way, all is durable up to now.
            let idle = self.room.load().0 == 0 && whole;
            let until = if idle { now.as_millisecond() } else { self.place.durable_at.load(Ordering::Relaxed) };
            let step = if idle { IDLE_STEP_MILLIS } else { 0 };
            let due = until > noted + step && whole;
            noted = if due { until } else { noted };
            let until = Timestamp::from_millisecond(until).ok().filter(|_| due);
            let told = match self.place.stuck.load(Ordering::Relaxed) {
                true => Vec::new(),
                false => self.gaps.due(now, settings.gap_quiet, settings.gap_longest),
            };
            // Open gaps outlive the machine, and what is told is on disk no more.
            if until.is_some() || !self.gaps.is_kept() {
                self.gaps.keep_for_good(until).await;
            }
            self.tell(told);
        }
    }
}
