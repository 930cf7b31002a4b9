//! The ten seconds that a server has to stop, shared out among its parts.
//!
//! Each step has a moment at which it must be over, counted from the signal and not from the step before: a part that
//! is stuck takes time from itself and not from those after it. Last comes the watch, a thread of its own: it ends the
//! process even if nothing else runs any more. What was acknowledged is durable by then, whoever is stuck, so the exit
//! status says success in any case.

use std::time::Duration;

use tokio::time::Instant;
use tracing::{error, warn};

/// How long the whole stop may take; the steps below fit into it.
#[cfg(test)]
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// Milliseconds from the signal to the end of each step.
const REQUESTS: u64 = 3_000;
const CONNECTIONS: u64 = 4_000;
const TASKS: u64 = 5_000;
const WORK: u64 = 6_000;
const LOG: u64 = 7_250;
const LAKE: u64 = 8_250;
const LAKE_CUT: u64 = 8_750;
const METADATA: u64 = 9_250;
const WATCH: u64 = 9_600;

/// When each step of a stop must be over.
#[derive(Clone, Copy, Debug)]
pub struct StopPlan {
    told: Instant,
}

impl StopPlan {
    /// The plan of a stop that begins now.
    pub fn begin() -> Self {
        Self { told: Instant::now() }
    }

    /// Running requests have been answered, or are given up.
    pub fn requests(&self) -> Instant {
        self.at(REQUESTS)
    }

    /// Connections are closed, or cut.
    pub fn connections(&self) -> Instant {
        self.at(CONNECTIONS)
    }

    /// Background tasks have stopped.
    pub fn tasks(&self) -> Instant {
        self.at(TASKS)
    }

    /// Imports and queries have stopped, and what the background tasks kept is written.
    pub fn work(&self) -> Instant {
        self.at(WORK)
    }

    /// The log is closed.
    pub fn log(&self) -> Instant {
        self.at(LOG)
    }

    /// The lake has read the log to its end; later it is told to stop where it is.
    pub fn lake(&self) -> Instant {
        self.at(LAKE)
    }

    /// The lake has stopped.
    pub fn lake_cut(&self) -> Instant {
        self.at(LAKE_CUT)
    }

    /// The metadata is closed.
    pub fn metadata(&self) -> Instant {
        self.at(METADATA)
    }

    fn at(&self, millis: u64) -> Instant {
        self.told + Duration::from_millis(millis)
    }

    /// Waits for a step until `by`; true if it was over in time.
    pub async fn until(by: Instant, step: &'static str, work: impl Future<Output = ()>) -> bool {
        let in_time = tokio::time::timeout_at(by, work).await.is_ok();
        if !in_time {
            warn!(step, "a part did not stop in time");
        }
        in_time
    }

    /// Ends the process when the time is over, come what may.
    pub fn watch(&self) {
        let rest = self.at(WATCH).saturating_duration_since(Instant::now());
        after(rest, || {
            error!("the server did not stop by itself in time; the next start recovers what is not done");
            std::process::exit(0);
        });
    }
}

/// Runs `act` after `wait` on a thread of its own, which no stuck part can keep from running.
fn after(wait: Duration, act: impl FnOnce() + Send + 'static) {
    let spawned = std::thread::Builder::new().name("towpath-stop-watch".to_owned()).spawn(move || {
        std::thread::sleep(wait);
        act();
    });
    if let Err(cause) = spawned {
        warn!(%cause, "there is no thread to watch over the stop");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn the_steps_follow_each_other_and_the_last_ends_within_ten_seconds() {
        let steps = [REQUESTS, CONNECTIONS, TASKS, WORK, LOG, LAKE, LAKE_CUT, METADATA, WATCH];
        assert!(steps.is_sorted());
        assert!(Duration::from_millis(WATCH) < STOP_WITHIN);
    }

    #[tokio::test]
    async fn stuck_steps_leave_the_later_ones_their_time() {
        // Told to stop nearly six seconds ago: the work has a moment left, and the log its whole time.
        let plan = StopPlan { told: Instant::now() - Duration::from_millis(WORK - 100) };
        assert!(!StopPlan::until(plan.work(), "work", std::future::pending()).await);
        assert!(!StopPlan::until(plan.work(), "more work", std::future::pending()).await);
        let log = tokio::time::sleep(Duration::from_millis(200));
        assert!(StopPlan::until(plan.log(), "log", log).await);
        assert!(plan.told.elapsed() < Duration::from_millis(LOG));
    }

    #[tokio::test]
    async fn the_watch_acts_though_the_runtime_is_blocked() {
        let (acted, seen) = mpsc::channel();
        after(Duration::from_millis(50), move || acted.send(()).unwrap());
        // Blocks the only thread of this runtime, as a part that never yields would.
        seen.recv_timeout(Duration::from_secs(10)).unwrap();
    }
}
