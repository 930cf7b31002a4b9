//! Every change of what is durable: one commit of the metadata store, then the same change in memory.
//!
//! Changes go through one gate, so that memory follows the metadata store in order. When the outcome of a commit is
//! unknown, the gate stays shut until it has been read back; nothing is built on a guess.
//!
//! A flush of very many stores does not fit into one commit. Its manifest entries are then *staged* first, by the id of
//! the commit to come, where nobody reads them; the commit names its id with the position, and from then on they count.
//! They are moved to their places before anything else passes the gate, or when the lake opens next.

mod change;
mod effect;

use std::sync::Arc;

use tracing::{info, warn};
use uuid::Uuid;

use towpath_meta::{MetaError, MetaStore, Write};

use crate::error::LakeError;
use crate::lake::Inner;

use self::change::Proof;
pub(crate) use self::change::{Change, Durable, MAX_REMOVED, Rewritten, StoreRecord, names};

/// Most entries that one commit stages or moves.
const ENTRIES_A_COMMIT: usize = 10_000;

/// A commit on its way.
#[derive(Debug)]
struct Attempt {
    change: Change,
    proof: Proof,
    // Under which id a part of it is staged.
    staged: Option<Uuid>,
}

/// The gate.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    // The attempt whose outcome is unknown.
    attempt: Option<Attempt>,
    // The commit whose staged entries are still to be moved into the manifest.
    staged: Option<Uuid>,
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
            this.attempt(&mut gate, change).await
        });
        committed.await.unwrap_or(Err(LakeError::Closed))
    }

    async fn attempt(&self, gate: &mut Gate, change: Change) -> Result<(), LakeError> {
        let what = change.what();
        let failed = |cause| LakeError::Meta { doing: what, cause };
        let mut parts = match change.parts() {
            Ok(parts) => parts,
            Err(cause) => {
                self.abandon(change);
                return Err(failed(cause));
            }
        };
        let proof = parts.proof();
        let mut staged = None;
        if fits(&parts.files, self.settings.commit_bytes) == parts.files.len() {
            parts.writes.splice(..0, parts.files);
        } else {
            info!(files = parts.files.len(), what, "a commit is made in steps");
            staged = Some(parts.id);
            if let Err(cause) = self.stage(parts.id, parts.files).await {
                self.unstage(staged).await;
                self.abandon(change);
                return Err(failed(cause));
            }
        }
        match self.meta.commit(&parts.expect, &parts.writes).await {
            Ok(_) => {
                self.effect(change);
                gate.staged = staged;
                self.place(gate).await.unwrap_or_else(|error| warn!(%error, "entries of a flush are not in place yet"));
                Ok(())
            }
            // These say that nothing was written.
            Err(cause @ (MetaError::Conflict { .. } | MetaError::Unavailable(_) | MetaError::TooLarge { .. })) => {
                self.unstage(staged).await;
                self.abandon(change);
                Err(failed(cause))
            }
            Err(cause) => {
                warn!(%cause, what, "outcome of a commit is unknown");
                gate.attempt = Some(Attempt { change, proof, staged });
                match self.learn(gate).await {
                    Ok(true) => Ok(()),
                    Ok(false) => Err(failed(cause)),
                    Err(_) => Err(LakeError::InDoubt(cause)),
                }
            }
        }
    }

    /// Learns the outcome of an earlier commit, should it be in doubt, and ends what it left to do.
    pub(crate) async fn settled(&self) -> Result<(), LakeError> {
        self.settle(&mut *self.gate.lock().await).await
    }

    async fn settle(&self, gate: &mut Gate) -> Result<(), LakeError> {
        self.learn(gate).await?;
        self.place(gate).await
    }

    /// Learns the outcome of the attempt in doubt, if there is one: true when it was made.
    async fn learn(&self, gate: &mut Gate) -> Result<bool, LakeError> {
        let Some(attempt) = &gate.attempt else { return Ok(false) };
        let made = match &attempt.proof {
            Proof::Holds(key, value) => {
                self.meta.get(key).await.map(|record| record.is_some_and(|r| r.value == *value))
            }
            Proof::Absent(key) => self.meta.get(key).await.map(|record| record.is_none()),
        };
        let made = made.map_err(LakeError::InDoubt)?;
        let Some(Attempt { change, staged, .. }) = gate.attempt.take() else { return Ok(false) };
        info!(made, what = change.what(), "outcome of a commit is known");
        if made {
            self.effect(change);
            gate.staged = staged;
        } else {
            self.unstage(staged).await;
            self.abandon(change);
        }
        Ok(made)
    }

    /// Writes manifest entries where they do not count until the commit with this id is made.
    async fn stage(&self, id: Uuid, files: Vec<Write>) -> Result<(), MetaError> {
        let staged = |write| match write {
            Write::Put(key, value) => Write::Put(names::staged_file(id, &key), value),
            delete => delete,
        };
        let staged: Vec<_> = files.into_iter().map(staged).collect();
        let mut rest = staged.as_slice();
        while !rest.is_empty() {
            let (some, others) = rest.split_at(fits(rest, self.settings.commit_bytes).max(1));
            self.meta.commit(&[], some).await?;
            rest = others;
        }
        Ok(())
    }

    /// Removes what was staged for a commit that was not made. What cannot be removed now is when the lake opens next.
    async fn unstage(&self, staged: Option<Uuid>) {
        if staged.is_some()
            && let Err(error) = place_staged(&*self.meta, None, self.settings.commit_bytes).await
        {
            warn!(%error, "staged entries are left over");
        }
    }

    /// Moves what the last flush staged into the manifest.
    async fn place(&self, gate: &mut Gate) -> Result<(), LakeError> {
        if gate.staged.is_some() {
            let placed = place_staged(&*self.meta, gate.staged, self.settings.commit_bytes).await;
            placed.map_err(|cause| LakeError::Meta { doing: "put the entries of a flush in their places", cause })?;
            gate.staged = None;
        }
        Ok(())
    }
}

/// How many of the writes, from the first on, one commit takes.
fn fits(writes: &[Write], bytes: usize) -> usize {
    let mut left = bytes;
    let fits = |write: &&Write| {
        let size = match write {
            Write::Put(key, value) => 2 * key.as_str().len() + value.len(),
            Write::Delete(key) => key.as_str().len(),
        };
        left = left.saturating_sub(size);
        left > 0
    };
    writes.iter().take(ENTRIES_A_COMMIT).take_while(fits).count()
}

/// Moves staged entries of the commit `made` into the manifest and removes all others. Nothing else may change the
/// manifest meanwhile; a call that failed is made again.
pub(crate) async fn place_staged(
    meta: &dyn MetaStore,
    made: Option<Uuid>,
    commit_bytes: usize,
) -> Result<(), MetaError> {
    loop {
        let staged = meta.list(&names::staged(), None, ENTRIES_A_COMMIT / 10).await?;
        if staged.is_empty() {
            return Ok(());
        }
        let (mut writes, mut bytes) = (Vec::with_capacity(2 * staged.len()), 0);
        for record in staged {
            bytes += record.value.len() + 3 * record.key.as_str().len();
            if bytes > commit_bytes && !writes.is_empty() {
                break;
            }
            if let Some((commit, place)) = names::unstaged(&record.key)
                && made == Some(commit)
            {
                writes.push(Write::Put(place, record.value));
            }
            writes.push(Write::Delete(record.key));
        }
        meta.commit(&[], &writes).await?;
    }
}
