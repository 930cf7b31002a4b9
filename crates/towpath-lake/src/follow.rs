//! The lake at work: following the log, flushing in time, maintaining files.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use metrics::{counter, gauge};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use towpath_log::{Log, LogReader, ReadError};

use crate::error::LakeError;
use crate::lake::Lake;

/// Pauses between attempts after a failure: the first, doubling up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How often the age of the hot tail is looked at.
const TICK: Duration = Duration::from_millis(250);
/// Time that the flush at the end may take; the log has what it does not write.
const LAST_FLUSH: Duration = Duration::from_secs(5);

/// Why the lake stopped following the log.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The log cannot give what the lake needs next.
    #[error("the lake cannot follow the log")]
    Log(#[source] ReadError),
    /// The lake failed in a way that trying again does not help.
    #[error("the lake cannot go on")]
    Lake(#[source] LakeError),
}

/// A pause that grows with each failure in a row.
struct Pause(Duration);

impl Pause {
    fn new() -> Self {
        Self(FIRST_PAUSE)
    }

    /// Waits; true when there is a next time.
    async fn wait(&mut self, shutdown: &CancellationToken) -> bool {
        let pause = self.0;
        self.0 = (pause * 2).min(LONGEST_PAUSE);
        tokio::select! {
            () = shutdown.cancelled() => false,
            () = tokio::time::sleep(pause) => true,
        }
    }
}

impl Lake {
    /// Follows `log` from the lake's durable position, flushes and maintains, until `shutdown` or until the log is
    /// closed and read to its end; then flushes once more if that is quick.
    ///
    /// Storage failures are waited out. While the hot tail is full, reading pauses and the log keeps the events. After
    /// each flush the log is told what it may release. Called once in the life of a lake.
    pub async fn run(&self, log: Log, shutdown: CancellationToken) -> Result<(), RunError> {
        let stop = shutdown.child_token();
        let _stop_all = stop.clone().drop_guard();
        let flusher = tokio::spawn(self.clone().flush_in_time(log.clone(), stop.clone()));
        let keeper = tokio::spawn(self.clone().maintain_in_time(stop.clone()));
        let followed = self.follow(log.reader(self.durable()), &stop).await;
        stop.cancel();
        self.inner.stopping.store(true, Ordering::Relaxed);
        let _ = flusher.await;
        let _ = keeper.await;
        match tokio::time::timeout(LAST_FLUSH, self.flush()).await {
            Ok(Ok(())) => info!(position = %self.durable(), "lake is flushed"),
            Ok(Err(error)) => warn!(%error, "lake is not flushed; the log has the rest"),
            Err(_) => warn!("lake is not flushed in time; the log has the rest"),
        }
        let released = log.release(self.durable()).await;
        if let Err(error) = released {
            warn!(%error, "log segments are not released");
        }
        followed
    }

    async fn follow(&self, mut reader: LogReader, stop: &CancellationToken) -> Result<(), RunError> {
        let mut pause = Pause::new();
        loop {
            if !self.wait_for_room(stop).await {
                return Ok(());
            }
            let next = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                next = reader.next(self.inner.settings.read_bytes) => next,
            };
            let batch = match next {
                Ok(batch) => batch,
                Err(ReadError::Closed) => return Ok(()),
                Err(error @ ReadError::Storage { .. }) => {
                    error!(%error, "log cannot be read");
                    counter!("towpath_lake_failures_total", "step" => "read").increment(1);
                    if !pause.wait(stop).await {
                        return Ok(());
                    }
                    continue;
                }
                Err(error) => return Err(RunError::Log(error)),
            };
            gauge!("towpath_lake_lag_events").set(reader.committed().since(self.applied()) as f64);
            while let Err(error) = self.mend(self.apply(batch.first, batch.events.clone()).await).await {
                error!(%error, first = %batch.first, "events cannot be applied");
                counter!("towpath_lake_failures_total", "step" => "apply").increment(1);
                if !error.retryable() && !error.lost() {
                    return Err(RunError::Lake(error));
                }
                if !pause.wait(stop).await {
                    return Ok(());
                }
            }
            pause = Pause::new();
        }
    }

    /// Waits while the hot tail is full; false when it is time to stop.
    async fn wait_for_room(&self, stop: &CancellationToken) -> bool {
        loop {
            let flushed = self.inner.flushed.notified();
            if self.inner.state.lock().hot_bytes < self.inner.settings.hot_limit() {
                return true;
            }
            self.inner.flush_wanted.notify_one();
            tokio::select! {
                () = stop.cancelled() => return false,
                () = flushed => {}
                // A flush may have ended between the look and the wait.
                () = tokio::time::sleep(TICK) => {}
            }
        }
    }

    /// Flushes when the hot tail is large or old enough.
    async fn flush_in_time(self, log: Log, stop: CancellationToken) {
        let mut pause = Pause::new();
        loop {
            let asked = tokio::select! {
                () = stop.cancelled() => return,
                () = self.inner.flush_wanted.notified() => true,
                () = tokio::time::sleep(TICK) => false,
            };
            if !asked && !self.inner.flush_is_due() {
                continue;
            }
            match self.flush().await {
                Ok(()) => {
                    pause = Pause::new();
                    if let Err(error) = log.release(self.durable()).await {
                        warn!(%error, "log segments are not released");
                    }
                }
                Err(error) => {
                    error!(%error, "flush failed");
                    if !pause.wait(&stop).await {
                        return;
                    }
                }
            }
        }
    }

    /// Expires, compacts and cleans up now and then.
    async fn maintain_in_time(self, stop: CancellationToken) {
        let every = Duration::from_secs(self.inner.settings.maintain_seconds);
        let orphan_age = Duration::from_secs(self.inner.settings.orphan_seconds);
        // What the last process left behind has no age to wait for; later leftovers have.
        let mut age = Duration::ZERO;
        let mut collected = Instant::now();
        loop {
            if age.is_zero() || collected.elapsed() >= orphan_age {
                if let Err(error) = self.collect_orphans(age).await {
                    error!(%error, "orphans are not collected");
                }
                (age, collected) = (orphan_age, Instant::now());
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(every) => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                kept = self.maintain() => if let Err(error) = kept {
                    error!(%error, "maintenance failed");
                    counter!("towpath_lake_failures_total", "step" => "maintain").increment(1);
                }
            }
        }
    }
}
