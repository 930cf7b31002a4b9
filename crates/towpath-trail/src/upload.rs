//! Uploads: staged files become objects, trail by trail.
//!
//! Each trail has a task of its own, so that a bucket that answers slowly or not at all holds up its own trail. After a
//! put the file is marked: a log file moves to the delivered ones, where a digest finds it; a digest is done. A crash
//! between put and mark repeats the put with the same bytes.

mod put;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use metrics::counter;
use object_store::ObjectStore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use towpath_meta::{Key, MetaStore, Typed, Write};
use towpath_model::{TrailId, TrailStatus};
use tracing::{error, info, warn};

use crate::delivery::Shared;
use crate::error::DeliveryError;
use crate::notify::Notice;
use crate::record::{self, ChainId, Delivered, Staged, What};

use put::PutError;

// Staged files looked at together.
const PAGE: usize = 64;
// How often trails with staged files are looked for beside being told.
const TICK: Duration = Duration::from_secs(5);

/// Starts a task for each trail that has staged files.
pub(crate) struct Uploads {
    shared: Arc<Shared>,
    running: JoinSet<TrailId>,
    trails: HashSet<TrailId>,
}

impl Uploads {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, running: JoinSet::new(), trails: HashSet::new() }
    }

    pub(crate) async fn run(mut self, stop: CancellationToken) {
        loop {
            match trails_with_files(self.shared.meta.as_ref()).await {
                Ok(trails) => {
                    for trail in trails {
                        if self.trails.insert(trail) {
                            let upload = TrailUpload::new(self.shared.clone(), trail);
                            self.running.spawn(upload.run(stop.clone()));
                        }
                    }
                }
                Err(error) => error!(%error, "staged files cannot be listed"),
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.shared.staged.notified() => {}
                () = tokio::time::sleep(TICK) => {}
                Some(ended) = self.running.join_next(), if !self.running.is_empty() => match ended {
                    Ok(trail) => drop(self.trails.remove(&trail)),
                    Err(error) => {
                        // Its trail is not known any more: all are looked at anew once the others ended as well.
                        error!(%error, "an upload task failed");
                        self.running.shutdown().await;
                        self.trails.clear();
                    }
                },
            }
        }
        self.running.shutdown().await;
    }
}

/// The trails that have staged files, found by skipping from one to the next.
async fn trails_with_files(meta: &dyn MetaStore) -> Result<Vec<TrailId>, DeliveryError> {
    let (area, mut after, mut trails) = (record::staged_area(), None, Vec::new());
    loop {
        let page = meta.list(&area, after.as_ref(), 1).await.map_err(DeliveryError::meta("read what is staged"))?;
        let Some(trail) = page.first().and_then(|record| record.key.parts().nth(3)?.parse::<TrailId>().ok()) else {
            return Ok(trails);
        };
        trails.push(trail);
        // No name of a staged file begins with a letter behind these.
        after = Some(record::staged_key(trail, "~"));
    }
}

/// Puts the staged files of one trail.
pub(crate) struct TrailUpload {
    shared: Arc<Shared>,
    trail: TrailId,
    failures: u32,
    stores: HashMap<String, Arc<dyn ObjectStore>>,
}

impl TrailUpload {
    pub(crate) fn new(shared: Arc<Shared>, trail: TrailId) -> Self {
        Self { shared, trail, failures: 0, stores: HashMap::new() }
    }

    /// Puts until nothing is staged.
    async fn run(mut self, stop: CancellationToken) -> TrailId {
        loop {
            let round = tokio::select! {
                () = stop.cancelled() => return self.trail,
                round = self.round() => round,
            };
            match round {
                Ok(Round { left: 0, .. }) => return self.trail,
                Ok(Round { failed: 0, .. }) => {
                    self.failures = 0;
                    continue;
                }
                Ok(_) => self.failures = self.failures.saturating_add(1),
                Err(error) => {
                    self.failures = self.failures.saturating_add(1);
                    error!(%error, trail = %self.trail, "uploads of a trail cannot be noted");
                }
            }
            tokio::select! {
                () = stop.cancelled() => return self.trail,
                () = tokio::time::sleep(self.shared.settings.pause(self.failures)) => {}
            }
        }
    }

    /// Tries every staged file once, but of a bucket that fails only one log file and one digest: so the status of each
    /// says what became of it.
    pub(crate) async fn round(&mut self) -> Result<Round, DeliveryError> {
        let (mut round, mut after) = (Round::default(), None::<Key>);
        let mut failing: HashSet<(String, bool)> = HashSet::new();
        let kind = |staged: &Staged| (staged.bucket.clone(), matches!(staged.what, What::LogFile(_)));
        // Buckets are opened anew in each round: their settings may have changed.
        self.stores.clear();
        loop {
            let page = self.shared.staged_page(self.trail, after.as_ref(), PAGE).await?;
            round.left += page.len();
            let full = page.len() == PAGE;
            after = page.last().map(|staged| staged.key.clone());
            let mut page = page.into_iter().peekable();
            let mut tried = Vec::new();
            while page.peek().is_some() {
                // A bucket is tried with one file first; if that goes well, with several at a time.
                let batch: Vec<_> = page.by_ref().take(self.shared.settings.uploads * 4).collect();
                let mut rest = Vec::new();
                for staged in batch {
                    if failing.contains(&kind(&staged.value)) {
                        continue;
                    }
                    if self.stores.contains_key(&staged.value.bucket) {
                        rest.push(staged);
                        continue;
                    }
                    let outcome = self.first_of_bucket(&staged.value).await;
                    if outcome.is_err() {
                        failing.insert(kind(&staged.value));
                    }
                    tried.push((staged, outcome));
                }
                let (this, uploads) = (&*self, self.shared.settings.uploads);
                let puts = rest.into_iter().map(|staged| async move {
                    let outcome = match this.stores.get(&staged.value.bucket) {
                        Some(store) => this.put(store.as_ref(), &staged.value).await,
                        None => Err(PutError::Slow),
                    };
                    (staged, outcome)
                });
                let outcomes: Vec<_> = futures::stream::iter(puts).buffer_unordered(uploads).collect().await;
                for (staged, outcome) in outcomes {
                    if outcome.is_err() {
                        failing.insert(kind(&staged.value));
                    }
                    tried.push((staged, outcome));
                }
            }
            let failed = self.note(tried).await?;
            round.failed += failed;
            if !full {
                return Ok(round);
            }
        }
    }

    async fn first_of_bucket(&mut self, staged: &Staged) -> Result<(), PutError> {
        let limit = Duration::from_secs(self.shared.settings.put_seconds);
        let known = self.shared.known(staged.trail);
        let open = async {
            match &known {
                Some(known) => self.shared.buckets.open_for(&staged.bucket, &known.trail).await,
                None => self.shared.buckets.open(&staged.bucket).await,
            }
        };
        let store = tokio::time::timeout(limit, open).await.map_err(|_| PutError::Slow)??;
        self.put(store.as_ref(), staged).await?;
        self.stores.insert(staged.bucket.clone(), store);
        Ok(())
    }

    /// Marks what was put and gives up what has waited too long; returns how many wait on.
    async fn note(&self, tried: Vec<(Typed<Staged>, Result<(), PutError>)>) -> Result<usize, DeliveryError> {
        let now = self.shared.clock.now();
        let doing = DeliveryError::meta("mark what was put");
        let (mut writes, mut done, mut chains) = (Vec::new(), Vec::new(), Vec::new());
        let (mut failed, mut events, mut outcomes) = (0, 0, Vec::new());
        let (mut dropped_files, mut dropped_events) = (0, 0);
        for (staged, outcome) in tried {
            let file = staged.value;
            let is_digest = matches!(file.what, What::Digest { .. });
            match outcome {
                Ok(()) => {
                    outcomes.push((is_digest, None));
                    writes.push(Write::Delete(staged.key));
                    if let What::LogFile(facts) = &file.what {
                        events += facts.events;
                        let id = ChainId { trail: file.trail, account: file.account, region: file.region.clone() };
                        writes.extend(self.notices(&file, now).map_err(&doing)?);
                        // What is delivered while validation is on is in a digest.
                        let session = self.shared.known(file.trail).and_then(|known| known.session());
                        if facts.validated || session.is_some() {
                            let delivered = Delivered {
                                bucket: file.bucket.clone(),
                                key: file.key.clone(),
                                facts: facts.clone(),
                                staged: file.staged,
                                delivered: now,
                            };
                            let key = record::delivered_key(&id, &file.file);
                            writes.push(Write::json(key, &delivered).map_err(&doing)?);
                            chains.push(id);
                        }
                    }
                    done.push(file.file);
                }
                Err(error) => {
                    let days = i64::try_from(self.shared.settings.give_up_days).unwrap_or(i64::MAX / 48);
                    let age = now.duration_since(file.staged);
                    outcomes.push((is_digest, Some(error.code())));
                    counter!("towpath_trail_failures_total", "step" => "put").increment(1);
                    if error.lost() || age > SignedDuration::from_hours(24 * days) {
                        error!(%error, trail = %file.trail, bucket = file.bucket, key = file.key, "file is given up");
                        dropped_files += 1;
                        dropped_events += if let What::LogFile(facts) = &file.what { facts.events } else { 0 };
                        writes.push(Write::Delete(staged.key));
                        done.push(file.file);
                    } else {
                        let cause = std::error::Error::source(&error).map(ToString::to_string);
                        warn!(%error, cause, code = error.code(), trail = %file.trail, bucket = file.bucket, "put failed");
                        failed += 1;
                    }
                }
            }
        }
        if outcomes.is_empty() {
            return Ok(failed);
        }
        self.shared.note(self.trail, |status| {
            note_outcomes(status, &outcomes, now);
            status.dropped_files += dropped_files;
            status.dropped_events += dropped_events;
        });
        writes.push(self.shared.status_write(self.trail).map_err(&doing)?);
        if let Err(cause) = self.shared.meta.commit(&[], &writes).await {
            // They are given up, and counted, in a later round.
            self.shared.note(self.trail, |status| {
                status.dropped_files -= dropped_files;
                status.dropped_events -= dropped_events;
            });
            return Err(doing(cause));
        }
        self.shared.touched.lock().extend(chains);
        let (folder, files) = (self.shared.folder.clone(), done.len());
        let remove = move || done.iter().for_each(|file| drop(std::fs::remove_file(folder.join(file))));
        // What is not removed now is removed at the next start.
        let _ = tokio::task::spawn_blocking(remove).await;
        if files > 0 {
            counter!("towpath_trail_delivered_events_total").increment(events);
            info!(trail = %self.trail, files, events, "delivered");
            self.shared.digests.notify_one();
            self.shared.notifiers.wake();
        }
        Ok(failed)
    }

    /// The messages that a delivered log file causes.
    fn notices(&self, file: &Staged, now: Timestamp) -> Result<Vec<Write>, towpath_meta::MetaError> {
        let Some(known) = self.shared.known(file.trail) else { return Ok(Vec::new()) };
        let What::LogFile(facts) = &file.what else { return Ok(Vec::new()) };
        let notice = Notice {
            trail: file.trail,
            trail_arn: known.trail.arn().to_string(),
            account: file.account,
            region: file.region.clone(),
            bucket: file.bucket.clone(),
            key: file.key.clone(),
            hash: facts.hash.clone(),
            events: facts.events,
            bytes: facts.bytes,
            oldest: facts.oldest.to_string(),
            newest: facts.newest.to_string(),
            delivered: now,
            attempts: 0,
        };
        self.shared.notifiers.writes(&known.trail, &file.file, &notice)
    }
}

/// What a round found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Round {
    /// Files that were staged when it began.
    pub(crate) left: usize,
    /// Those that failed.
    pub(crate) failed: usize,
}

fn note_outcomes(status: &mut TrailStatus, outcomes: &[(bool, Option<Option<String>>)], now: Timestamp) {
    // Failures last: a status that says all is well must mean all.
    for failed in [false, true] {
        for (is_digest, outcome) in outcomes {
            let kind = if *is_digest { &mut status.digest } else { &mut status.delivery };
            match outcome {
                None if !failed => kind.success(now),
                Some(code) if failed => kind.failure(now, code.as_deref()),
                _ => {}
            }
        }
    }
}
