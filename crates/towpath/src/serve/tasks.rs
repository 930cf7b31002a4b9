//! Background work: every task has a name, is told when to stop, and is stopped in the reverse order of its start.

use std::future::Future;
use std::sync::{Arc, Mutex};

use futures::FutureExt;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

/// The background tasks of the server.
#[derive(Default)]
pub struct Tasks {
    running: Vec<Task>,
    lost: Lost,
}

struct Task {
    name: &'static str,
    stop: CancellationToken,
    handle: JoinHandle<()>,
}

/// The names of tasks that ended without having been told to.
#[derive(Clone, Default)]
pub struct Lost(Arc<Mutex<Vec<&'static str>>>);

impl Lost {
    /// Notes that a task has ended.
    pub fn note(&self, name: &'static str) {
        self.0.lock().expect("no code panics while it holds the list").push(name);
    }

    /// The first of them, if any.
    pub fn first(&self) -> Option<&'static str> {
        self.0.lock().expect("no code panics while it holds the list").first().copied()
    }
}

impl Tasks {
    /// Starts a task. It shall run until the token it is given is cancelled.
    pub fn start<F>(&mut self, name: &'static str, work: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stop = CancellationToken::new();
        let (work, told, lost) = (work(stop.clone()), stop.clone(), self.lost.clone());
        let handle = tokio::spawn(async move {
            let ended = std::panic::AssertUnwindSafe(work).catch_unwind().await;
            if ended.is_err() || !told.is_cancelled() {
                error!(task = name, "a background task ended by itself; restart the server");
                lost.note(name);
            }
        });
        debug!(task = name, "started");
        self.running.push(Task { name, stop, handle });
    }

    /// What became of the tasks, for `/readyz`.
    pub fn lost(&self) -> Lost {
        self.lost.clone()
    }

    /// Stops all tasks until `by`, the last one first, each before the next is told. One that does not stop is cut off
    /// when its share of the time is over, so that the others have theirs.
    pub async fn stop(self, by: Instant) {
        let mut left = u32::try_from(self.running.len()).unwrap_or(u32::MAX);
        for mut task in self.running.into_iter().rev() {
            task.stop.cancel();
            let share = by.saturating_duration_since(Instant::now()) / left.max(1);
            left = left.saturating_sub(1);
            if timeout(share, &mut task.handle).await.is_err() {
                warn!(task = task.name, "a background task did not stop in time and is cut off");
                task.handle.abort();
            }
            debug!(task = task.name, "stopped");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    #[tokio::test]
    async fn tasks_stop_in_the_reverse_order_of_their_start() {
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = Tasks::default();
        for name in ["one", "two", "three"] {
            let order = Arc::clone(&order);
            tasks.start(name, |stop| async move {
                stop.cancelled().await;
                order.lock().unwrap().push(name);
            });
        }
        let lost = tasks.lost();
        tasks.stop(soon()).await;
        assert_eq!(*order.lock().unwrap(), ["three", "two", "one"]);
        assert_eq!(lost.first(), None);
    }

    #[tokio::test]
    async fn a_task_that_ends_or_panics_by_itself_is_missed() {
        let mut tasks = Tasks::default();
        let lost = tasks.lost();
        tasks.start("unlucky", |_| async { panic!("told to") });
        while lost.first().is_none() {
            tokio::task::yield_now().await;
        }
        assert_eq!(lost.first(), Some("unlucky"));
        tasks.stop(soon()).await;
    }

    #[tokio::test]
    async fn deaf_tasks_are_cut_off_in_time_and_do_not_take_the_time_of_others() {
        let mut tasks = Tasks::default();
        let finished = Arc::new(Mutex::new(false));
        let seen = Arc::clone(&finished);
        tasks.start("slow", |stop| async move {
            stop.cancelled().await;
            tokio::time::sleep(Duration::from_millis(20)).await;
            *seen.lock().unwrap() = true;
        });
        for _ in 0..5 {
            tasks.start("deaf", |_| std::future::pending());
        }
        let told = Instant::now();
        tasks.stop(told + Duration::from_millis(1200)).await;
        assert!(*finished.lock().unwrap());
        assert!(told.elapsed() < Duration::from_millis(2400));
    }
}
