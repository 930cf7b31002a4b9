//! Every change of what is durable: one commit of the metadata store, then the same change in memory.
//!
//! Changes go through one gate, so that memory follows the metadata store in order. When the outcome of a commit is
//! unknown, the gate stays shut until it has been read back; nothing is built on a guess.

use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use tracing::{info, warn};
use uuid::Uuid;

use towpath_meta::{Expect, Key, MetaError, Write};
use towpath_model::{Position, StoreId, StoreKind};

use crate::datafile::DataFile;
use crate::error::LakeError;
use crate::keys::Run;
use crate::lake::Inner;
use crate::state::{Doomed, Held, Retention, State};

/// Most manifest entries changed by one commit when a store is dropped or expires.
pub(crate) const MAX_REMOVED: usize = 50_000;

/// A change, and what it does to memory once it is durable.
#[derive(Debug)]
pub(crate) enum Change {
    /// The sealed hot rows are in files.
    Flush { files: Vec<DataFile>, run: Option<Arc<Run>>, durable: Position },
    /// Files of a store were rewritten into one; into none if every row had expired.
    Compact { store: StoreId, removed: Vec<Uuid>, added: Option<DataFile> },
    /// Files of a store went past its retention.
    Expire { store: StoreId, removed: Vec<Uuid> },
    /// Runs of the key index were rewritten.
    Keys { removed: Vec<Uuid>, added: Vec<Arc<Run>> },
    /// A store keeps its rows for another time, or is dropped.
    Retain { store: StoreId, kind: StoreKind, retention: Retention, removed: Vec<Uuid> },
}

/// The lake's position as the metadata store has it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Durable {
    pub position: Position,
    // Tells this commit from another one with the same position.
    pub commit: Uuid,
}

/// A store's record.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct StoreRecord {
    pub kind: StoreKind,
    #[serde(flatten)]
    pub retention: Retention,
}

/// How to learn whether a commit is there.
#[derive(Debug)]
enum Proof {
    Holds(Key, Bytes),
    Absent(Key),
}

/// A commit on its way.
#[derive(Debug)]
struct Attempt {
    change: Change,
    proof: Proof,
}

/// The gate: what it guards is the attempt whose outcome is unknown.
#[derive(Debug, Default)]
pub(crate) struct Gate(Option<Attempt>);

/// Keys of the metadata store.
pub(crate) mod names {
    use towpath_meta::Key;
    use towpath_model::StoreId;
    use uuid::Uuid;

    fn key(parts: &[&str]) -> Key {
        Key::from_parts(parts.iter().copied()).expect("the parts are short plain texts")
    }

    pub fn manifest() -> Key {
        key(&["manifest"])
    }

    pub fn file(store: StoreId, file: Uuid) -> Key {
        key(&["manifest", &store.to_string(), &file.to_string()])
    }

    pub fn position() -> Key {
        key(&["lake", "position"])
    }

    pub fn runs() -> Key {
        key(&["lake", "keys"])
    }

    pub fn run(run: Uuid) -> Key {
        key(&["lake", "keys", &run.to_string()])
    }

    pub fn stores() -> Key {
        key(&["lake", "store"])
    }

    pub fn store(store: StoreId) -> Key {
        key(&["lake", "store", &store.to_string()])
    }
}

impl Change {
    fn what(&self) -> &'static str {
        match self {
            Self::Flush { .. } => "commit a flush",
            Self::Compact { .. } => "commit a compaction",
            Self::Expire { .. } => "commit an expiry",
            Self::Keys { .. } => "commit key runs",
            Self::Retain { .. } => "commit a retention",
        }
    }

    /// What to write, what to expect, and how to tell later whether it was written.
    fn parts(&self) -> Result<(Vec<Expect>, Vec<Write>, Proof), MetaError> {
        let mut expect = Vec::new();
        let mut writes = Vec::new();
        let proof = match self {
            Self::Flush { files, run, durable } => {
                for file in files {
                    writes.push(Write::json(names::file(file.store, file.id), file)?);
                }
                if let Some(run) = run {
                    writes.push(Write::json(names::run(run.info().id), run.info())?);
                }
                let record = Durable { position: *durable, commit: Uuid::new_v4() };
                writes.push(Write::json(names::position(), &record)?);
                holds(&writes)
            }
            Self::Compact { store, removed, added } => {
                let (more, gone) = removal(*store, removed);
                (expect, writes) = (more, gone);
                match added {
                    Some(file) => {
                        writes.push(Write::json(names::file(*store, file.id), file)?);
                        holds(&writes)
                    }
                    None => absent(*store, removed),
                }
            }
            Self::Expire { store, removed } => {
                (expect, writes) = removal(*store, removed);
                absent(*store, removed)
            }
            Self::Keys { removed, added } => {
                for run in removed {
                    expect.push(Expect::Exists(names::run(*run)));
                    writes.push(Write::Delete(names::run(*run)));
                }
                for run in added {
                    writes.push(Write::json(names::run(run.info().id), run.info())?);
                }
                match removed.last() {
                    Some(run) => Proof::Absent(names::run(*run)),
                    None => holds(&writes),
                }
            }
            Self::Retain { store, kind, retention, removed } => {
                (expect, writes) = removal(*store, removed);
                writes.push(Write::json(names::store(*store), &StoreRecord { kind: *kind, retention: *retention })?);
                holds(&writes)
            }
        };
        Ok((expect, writes, proof))
    }
}

fn removal(store: StoreId, removed: &[Uuid]) -> (Vec<Expect>, Vec<Write>) {
    let keys = removed.iter().map(|file| names::file(store, *file));
    keys.map(|key| (Expect::Exists(key.clone()), Write::Delete(key))).unzip()
}

fn absent(store: StoreId, removed: &[Uuid]) -> Proof {
    Proof::Absent(names::file(store, *removed.last().expect("a removal removes something")))
}

/// The last write, which is a put.
fn holds(writes: &[Write]) -> Proof {
    match writes.last() {
        Some(Write::Put(key, value)) => Proof::Holds(key.clone(), value.clone()),
        _ => Proof::Absent(names::manifest()),
    }
}

impl Inner {
    /// Makes a change durable, then in memory. On an error other than [`LakeError::InDoubt`] the change was not made and
    /// what it would have added is doomed.
    pub(crate) async fn commit(self: &Arc<Self>, change: Change) -> Result<(), LakeError> {
        // A caller that goes away must not leave memory behind the metadata store.
        let this = self.clone();
        let committed = tokio::spawn(async move {
            let mut gate = this.gate.lock().await;
            if let Err(error) = this.settle(&mut gate).await {
                this.abandon(change);
                return Err(error);
            }
            let change = this.still_wanted(change);
            let what = change.what();
            let (expect, writes, proof) = match change.parts() {
                Ok(parts) => parts,
                Err(cause) => {
                    this.abandon(change);
                    return Err(LakeError::Meta { doing: what, cause });
                }
            };
            match this.meta.commit(&expect, &writes).await {
                Ok(_) => {
                    this.effect(change);
                    Ok(())
                }
                // These say that nothing was written.
                Err(cause @ (MetaError::Conflict { .. } | MetaError::Unavailable(_) | MetaError::TooLarge { .. })) => {
                    this.abandon(change);
                    Err(LakeError::Meta { doing: what, cause })
                }
                Err(cause) => {
                    warn!(%cause, what, "outcome of a commit is unknown");
                    gate.0 = Some(Attempt { change, proof });
                    match this.settle(&mut gate).await {
                        Ok(true) => Ok(()),
                        Ok(false) => Err(LakeError::Meta { doing: what, cause }),
                        Err(_) => Err(LakeError::InDoubt(cause)),
                    }
                }
            }
        });
        committed.await.unwrap_or(Err(LakeError::Closed))
    }

    /// Learns the outcome of an earlier commit, should it be in doubt.
    pub(crate) async fn settled(&self) -> Result<(), LakeError> {
        self.settle(&mut *self.gate.lock().await).await.map(drop)
    }

    /// Learns the outcome of the attempt in doubt, if there is one: true when it was made.
    async fn settle(&self, gate: &mut Gate) -> Result<bool, LakeError> {
        let Some(attempt) = &gate.0 else { return Ok(false) };
        let made = match &attempt.proof {
            Proof::Holds(key, value) => {
                self.meta.get(key).await.map(|record| record.is_some_and(|r| r.value == *value))
            }
            Proof::Absent(key) => self.meta.get(key).await.map(|record| record.is_none()),
        };
        let made = made.map_err(LakeError::InDoubt)?;
        let Some(attempt) = gate.0.take() else { return Ok(false) };
        info!(made, what = attempt.change.what(), "outcome of a commit is known");
        if made {
            self.effect(attempt.change)
        } else {
            self.abandon(attempt.change)
        }
        Ok(made)
    }

    /// Leaves out of a flush what belongs to stores that were dropped meanwhile.
    fn still_wanted(&self, change: Change) -> Change {
        let Change::Flush { files, run, durable } = change else { return change };
        let mut state = self.state.lock();
        let (gone, files): (Vec<_>, Vec<_>) = files.into_iter().partition(|file| state.dropped(file.store));
        state.doom_unborn(gone);
        Change::Flush { files, run, durable }
    }

    /// Does in memory what is durable now.
    fn effect(&self, change: Change) {
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
            Change::Compact { store, removed, added } => {
                let added: Vec<_> = added.into_iter().map(Arc::new).collect();
                for file in &added {
                    state.in_flight.remove(&file.path());
                }
                if let Some(store) = state.stores.get_mut(&store) {
                    let gone = store.replace_files(&removed, added);
                    state.doom_files(gone);
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
    fn abandon(&self, change: Change) {
        let mut state = self.state.lock();
        match change {
            Change::Flush { files, run, .. } => {
                state.doom_unborn(files);
                state.doom_runs(run);
                // The rows stay hot and are written again by the next flush.
                state.tails.unseal();
                state.hot_since = Some(self.clock.now());
            }
            Change::Compact { added, .. } => state.doom_unborn(added.into_iter().collect()),
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

    fn doom_runs(&mut self, runs: impl IntoIterator<Item = Arc<Run>>) {
        runs.into_iter().for_each(|run| self.doom_path(run.info().path()));
    }
}
