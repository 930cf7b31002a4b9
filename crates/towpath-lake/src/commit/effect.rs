//! What a change does to memory: once it is durable, or when it is given up.

use std::sync::Arc;

use object_store::path::Path;

use towpath_model::Position;

use super::change::{Change, Rewritten};
use crate::datafile::DataFile;
use crate::keys::Run;
use crate::lake::Inner;
use crate::state::{Doomed, Held, State};

impl Inner {
    /// Leaves out what belongs to stores that were dropped meanwhile. Dropped is dropped: a retention that was decided
    /// before does not bring a store back.
    pub(super) fn still_wanted(&self, change: Change) -> Change {
        let mut state = self.state.lock();
        match change {
            Change::Flush { files, run, durable } => {
                let (gone, files): (Vec<_>, Vec<_>) = files.into_iter().partition(|file| state.dropped(file.store));
                state.doom_unborn(gone);
                Change::Flush { files, run, durable }
            }
            Change::Compact { of } => {
                let (gone, of): (Vec<_>, Vec<_>) = of.into_iter().partition(|of| state.dropped(of.store));
                state.doom_unborn(gone.into_iter().filter_map(|of| of.added).collect());
                Change::Compact { of }
            }
            Change::Retain { store, kind, mut retention, removed } => {
                retention.dropped |= state.dropped(store);
                Change::Retain { store, kind, retention, removed }
            }
            change => change,
        }
    }

    /// Does in memory what is durable now.
    pub(super) fn effect(&self, change: Change) {
        let mut state = self.state.lock();
        let state = &mut *state;
        match change {
            Change::Flush { files, run, durable } => {
                for file in files {
                    state.in_flight.remove(&file.path());
                    let store = state.store(file.store, file.kind);
                    store.replace_files(&[], vec![Arc::new(file)]);
                }
                if let Some(run) = run {
                    // Before the hot keys go, so that a key is always in one of the two.
                    state.in_flight.remove(&run.info().path());
                    self.keys.replace(&[], vec![run]);
                }
                state.hot_bytes -= state.tails.drop_sealed();
                state.durable = durable;
            }
            Change::Compact { of } => {
                for Rewritten { store, removed, added } in of {
                    let added: Vec<_> = added.into_iter().map(Arc::new).collect();
                    for file in &added {
                        state.in_flight.remove(&file.path());
                    }
                    if let Some(store) = state.stores.get_mut(&store) {
                        let gone = store.replace_files(&removed, added);
                        state.doom_files(gone);
                    }
                }
            }
            Change::Expire { store, removed } => {
                if let Some(store) = state.stores.get_mut(&store) {
                    let gone = store.replace_files(&removed, Vec::new());
                    state.doom_files(gone);
                }
            }
            Change::Keys { removed, added } => {
                let gone: Vec<_> =
                    self.keys.runs().iter().filter(|run| removed.contains(&run.info().id)).cloned().collect();
                for run in &added {
                    state.in_flight.remove(&run.info().path());
                }
                self.keys.replace(&removed, added);
                state
                    .doomed
                    .extend(gone.into_iter().map(|run| Doomed { path: run.info().path(), held: Held::ByRun(run) }));
            }
            Change::Retain { store, kind, retention, removed } => {
                let entry = state.store(store, kind);
                entry.retention = retention;
                let gone = entry.replace_files(&removed, Vec::new());
                if retention.dropped {
                    // Files beyond what one commit can remove follow in further commits.
                    state.hot_bytes -= state.tails.forget(store);
                }
                state.doom_files(gone);
            }
        }
    }

    /// The change was not made: what was written for it may go.
    pub(super) fn abandon(&self, change: Change) {
        let mut state = self.state.lock();
        match change {
            Change::Flush { files, run, .. } => {
                state.doom_unborn(files);
                state.doom_runs(run);
                // The rows stay hot and are written again by the next flush.
                state.tails.unseal();
                state.hot_since = Some(self.clock.now());
            }
            Change::Compact { of } => state.doom_unborn(of.into_iter().filter_map(|of| of.added).collect()),
            Change::Keys { added, .. } => state.doom_runs(added),
            Change::Expire { .. } | Change::Retain { .. } => {}
        }
    }

    /// Gives up a flush before its commit.
    pub(crate) fn abandon_flush(&self, files: Vec<DataFile>, run: Option<Arc<Run>>) {
        self.abandon(Change::Flush { files, run, durable: Position::ZERO });
    }
}

impl State {
    /// Marks an object that was, or may have been, written for nothing.
    pub(crate) fn doom_path(&mut self, path: Path) {
        self.in_flight.remove(&path);
        self.doomed.push(Doomed { path, held: Held::Nobody });
    }

    /// Marks files that were, or may have been, written for nothing.
    pub(crate) fn doom_unborn(&mut self, files: Vec<DataFile>) {
        files.iter().for_each(|file| self.doom_path(file.path()));
    }

    pub(crate) fn doom_runs(&mut self, runs: impl IntoIterator<Item = Arc<Run>>) {
        runs.into_iter().for_each(|run| self.doom_path(run.info().path()));
    }
}
