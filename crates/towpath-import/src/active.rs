//! The runs of this process: which imports are worked on, and how to stop one and wait for its end.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::import::ImportId;

/// The runs of this process by their imports. Cloning is cheap; clones share all.
#[derive(Clone, Default)]
pub(crate) struct ActiveRuns(Arc<Mutex<HashMap<ImportId, Arc<Tokens>>>>);

/// What a run is told and tells.
#[derive(Default)]
struct Tokens {
    stop: CancellationToken,
    ended: CancellationToken,
}

/// A run while it works. Dropped, however that comes, it has ended.
pub(crate) struct ActiveRun {
    runs: ActiveRuns,
    id: ImportId,
    tokens: Arc<Tokens>,
}

impl ActiveRuns {
    /// Notes a run that begins.
    pub(crate) fn begin(&self, id: ImportId) -> ActiveRun {
        let tokens = Arc::<Tokens>::default();
        // The run before has written its end, else there would be no other; it may not be gone yet.
        if self.0.lock().insert(id, tokens.clone()).is_some() {
            warn!(import = %id, "import begins again before its last run is gone");
        }
        ActiveRun { runs: self.clone(), id, tokens }
    }

    /// Stops the run of an import and waits for its end. False if there is none.
    pub(crate) async fn stop(&self, id: ImportId) -> bool {
        let tokens = self.0.lock().get(&id).cloned();
        let Some(tokens) = tokens else { return false };
        tokens.stop.cancel();
        tokens.ended.cancelled().await;
        true
    }
}

impl ActiveRun {
    /// Cancelled when the run shall stop.
    pub(crate) fn stop(&self) -> &CancellationToken {
        &self.tokens.stop
    }
}

impl Drop for ActiveRun {
    fn drop(&mut self) {
        let mut runs = self.runs.0.lock();
        if runs.get(&self.id).is_some_and(|known| Arc::ptr_eq(known, &self.tokens)) {
            runs.remove(&self.id);
        }
        drop(runs);
        self.tokens.ended.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_of_a_run_does_not_hide_the_next_one() {
        let (runs, id) = (ActiveRuns::default(), ImportId::random());
        let first = runs.begin(id);
        let second = runs.begin(id);
        drop(first);

        let stopped = tokio::spawn({
            let runs = runs.clone();
            async move { runs.stop(id).await }
        });
        second.stop().cancelled().await;
        drop(second);
        assert!(stopped.await.unwrap());
        assert!(!runs.stop(id).await);
    }

    #[tokio::test]
    async fn who_waits_for_a_run_that_panics_hears_of_its_end() {
        let (runs, id) = (ActiveRuns::default(), ImportId::random());
        let run = runs.begin(id);
        let task = tokio::spawn(async move {
            run.stop().cancelled().await;
            panic!("a run that panics, as this test wants it to");
        });
        assert!(runs.stop(id).await);
        assert!(task.await.unwrap_err().is_panic());
    }
}
