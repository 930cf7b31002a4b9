//! What changes of what is durable, and how the metadata store has it.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use towpath_meta::{Expect, Key, MetaError, Write};
use towpath_model::{Position, StoreId, StoreKind};

use crate::datafile::DataFile;
use crate::keys::Run;
use crate::state::Retention;

/// Most manifest entries changed by one commit when a store is dropped or expires.
pub(crate) const MAX_REMOVED: usize = 50_000;

/// A change, and what it does to memory once it is durable.
#[derive(Debug)]
pub(crate) enum Change {
    /// The sealed hot rows are in files.
    Flush { files: Vec<DataFile>, run: Option<Arc<Run>>, durable: Position },
    /// Files of some stores were rewritten.
    Compact { of: Vec<Rewritten> },
    /// Files of a store went past its retention.
    Expire { store: StoreId, removed: Vec<Uuid> },
    /// Runs of the key index were rewritten.
    Keys { removed: Vec<Uuid>, added: Vec<Arc<Run>> },
    /// A store keeps its rows for another time, or is dropped.
    Retain { store: StoreId, kind: StoreKind, retention: Retention, removed: Vec<Uuid> },
}

/// Files of a store that became one; none if every row had expired.
#[derive(Debug)]
pub(crate) struct Rewritten {
    pub store: StoreId,
    pub removed: Vec<Uuid>,
    pub added: Option<DataFile>,
}

/// The lake's position as the metadata store has it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Durable {
    pub position: Position,
    // Tells this commit from another one with the same position. What is staged under this id is committed.
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
pub(super) enum Proof {
    Holds(Key, Bytes),
    Absent(Key),
}

/// What a change writes.
pub(super) struct Parts {
    pub expect: Vec<Expect>,
    /// Manifest entries of a flush, which may be staged under `id`.
    pub files: Vec<Write>,
    /// All other writes; the last one tells whether the commit was made.
    pub writes: Vec<Write>,
    pub id: Uuid,
}

impl Parts {
    /// How to tell whether the commit was made: every file and run is new, and is removed once.
    pub fn proof(&self) -> Proof {
        match self.writes.last() {
            Some(Write::Put(key, value)) => Proof::Holds(key.clone(), value.clone()),
            Some(Write::Delete(key)) => Proof::Absent(key.clone()),
            None => Proof::Absent(names::manifest()),
        }
    }
}

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

    /// Manifest entries of a flush too large for one commit, by its id.
    pub fn staged() -> Key {
        key(&["lake", "flush"])
    }

    /// Where an entry of the manifest is staged by this commit.
    pub fn staged_file(commit: Uuid, file: &Key) -> Key {
        let parts: Vec<_> = file.as_str().rsplit('/').take(2).collect();
        key(&["lake", "flush", &commit.to_string(), parts[1], parts[0]])
    }

    /// The commit that staged an entry, and the entry's place in the manifest.
    pub fn unstaged(staged: &Key) -> Option<(Uuid, Key)> {
        let mut parts = staged.as_str().split('/').skip(2);
        let (commit, store, file) = (parts.next()?, parts.next()?, parts.next()?);
        Some((commit.parse().ok()?, Key::from_parts(["manifest", store, file]).ok()?))
    }

    pub fn stores() -> Key {
        key(&["lake", "store"])
    }

    pub fn store(store: StoreId) -> Key {
        key(&["lake", "store", &store.to_string()])
    }
}

impl Change {
    pub(super) fn what(&self) -> &'static str {
        match self {
            Self::Flush { .. } => "commit a flush",
            Self::Compact { .. } => "commit a compaction",
            Self::Expire { .. } => "commit an expiry",
            Self::Keys { .. } => "commit key runs",
            Self::Retain { .. } => "commit a retention",
        }
    }

    /// What to write and what to expect.
    pub(super) fn parts(&self) -> Result<Parts, MetaError> {
        let (mut expect, mut entries, mut writes) = (Vec::new(), Vec::new(), Vec::new());
        let id = Uuid::new_v4();
        match self {
            Self::Flush { files, run, durable } => {
                for file in files {
                    entries.push(Write::json(names::file(file.store, file.id), file)?);
                }
                if let Some(run) = run {
                    writes.push(Write::json(names::run(run.info().id), run.info())?);
                }
                writes.push(Write::json(names::position(), &Durable { position: *durable, commit: id })?);
            }
            Self::Compact { of } => {
                for Rewritten { store, removed, added } in of {
                    let (more, gone) = removal(*store, removed);
                    expect.extend(more);
                    writes.extend(gone);
                    if let Some(file) = added {
                        writes.push(Write::json(names::file(*store, file.id), file)?);
                    }
                }
            }
            Self::Expire { store, removed } => (expect, writes) = removal(*store, removed),
            Self::Keys { removed, added } => {
                for run in removed {
                    expect.push(Expect::Exists(names::run(*run)));
                    writes.push(Write::Delete(names::run(*run)));
                }
                for run in added {
                    writes.push(Write::json(names::run(run.info().id), run.info())?);
                }
            }
            Self::Retain { store, kind, retention, removed } => {
                let (more, gone) = removal(*store, removed);
                expect = more;
                // First, because the same record may be written again with the next files that go.
                writes.push(Write::json(names::store(*store), &StoreRecord { kind: *kind, retention: *retention })?);
                writes.extend(gone);
            }
        }
        Ok(Parts { expect, files: entries, writes, id })
    }
}

fn removal(store: StoreId, removed: &[Uuid]) -> (Vec<Expect>, Vec<Write>) {
    let keys = removed.iter().map(|file| names::file(store, *file));
    keys.map(|key| (Expect::Exists(key.clone()), Write::Delete(key))).unzip()
}
