//! Threads that execute queries: apart from the threads that take events in, and behind them in the line for the
//! processor.

use std::future::Future;
use std::io;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// How much nicer the threads of queries are than the rest of the process, in steps of the operating system.
const NICENESS: i32 = 5;

/// Stack of a thread in bytes: as much as planning makes sure of, so that none need be made for each statement. Only what
/// is used takes memory.
const STACK: usize = 24 << 20;

/// The threads of queries. Dropping it stops them without waiting.
pub(crate) struct Workers {
    runtime: Option<Runtime>,
}

impl Workers {
    /// Starts `threads` threads.
    pub(crate) fn start(threads: usize) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads.max(1))
            .max_blocking_threads(threads.max(1) * 8)
            .thread_name("towpath-query")
            .thread_stack_size(STACK)
            .enable_all()
            .on_thread_start(be_nice)
            .build()?;
        Ok(Self { runtime: Some(runtime) })
    }

    /// Runs a future on these threads.
    pub(crate) fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.runtime.as_ref().expect("the threads stop only when the workers are dropped").spawn(future)
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        // A runtime may not be dropped where async code runs; this way it may.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Lowers the priority of the calling thread. Where the system refuses, queries run at the common priority.
fn be_nice() {
    if let Err(cause) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::debug!(%cause, "cannot lower the priority of a query thread");
    }
}
