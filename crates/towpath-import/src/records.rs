//! Imports and their failures in the metadata store.
//!
//! ```text
//! import/run/<account>/<region>/<id>     the import
//! import/running/<account>               the id of the account's import that is not over; at most one
//! import/failure/<id>/<digest>           a failure, by the digest of its location
//! import/file/<id>/<digest>              a file of an upload that is done
//! ```

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use towpath_meta::{Expect, Key, MetaError, MetaStore, MetaStoreExt, Typed, Write};
use towpath_model::AccountId;

use crate::failure::Failure;
use crate::import::{Import, ImportId, Owner};

/// The metadata of imports.
#[derive(Clone)]
pub(crate) struct Records {
    meta: Arc<dyn MetaStore>,
}

/// Which import of an account is not over.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Running {
    pub(crate) owner: Owner,
    pub(crate) id: ImportId,
}

fn key<const N: usize>(parts: [&str; N]) -> Key {
    Key::from_parts(parts).expect("accounts, regions, ids and digests are short and not empty")
}

/// Names a location or file in a key of bounded length.
pub(crate) fn digest(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn run_key(owner: &Owner, id: ImportId) -> Key {
    key(["import", "run", owner.account.as_str(), owner.region.as_str(), &id.to_string()])
}

fn running_key(account: AccountId) -> Key {
    key(["import", "running", account.as_str()])
}

fn failures_key(id: ImportId) -> Key {
    key(["import", "failure", &id.to_string()])
}

/// `digest`: of the failure's location.
pub(crate) fn failure_key(id: ImportId, digest: &str) -> Key {
    key(["import", "failure", &id.to_string(), digest])
}

fn file_key(id: ImportId, name: &str) -> Key {
    key(["import", "file", &id.to_string(), &digest(name)])
}

impl Records {
    pub(crate) fn new(meta: Arc<dyn MetaStore>) -> Self {
        Self { meta }
    }

    pub(crate) async fn get(&self, owner: &Owner, id: ImportId) -> Result<Option<Import>, MetaError> {
        Ok(self.meta.get_json(&run_key(owner, id)).await?.map(|run: Typed<Import>| run.value))
    }

    pub(crate) async fn list(&self, owner: &Owner) -> Result<Vec<Import>, MetaError> {
        let prefix = key(["import", "run", owner.account.as_str(), owner.region.as_str()]);
        let runs: Vec<Typed<Import>> = self.meta.list_all_json(&prefix).await?;
        Ok(runs.into_iter().map(|run| run.value).collect())
    }

    pub(crate) async fn running(&self, account: AccountId) -> Result<Option<Running>, MetaError> {
        Ok(self.meta.get_json(&running_key(account)).await?.map(|running: Typed<Running>| running.value))
    }

    pub(crate) async fn all_running(&self) -> Result<Vec<Running>, MetaError> {
        let running: Vec<Typed<Running>> = self.meta.list_all_json(&key(["import", "running"])).await?;
        Ok(running.into_iter().map(|running| running.value).collect())
    }

    /// Writes an import and claims the account for it; a conflict tells that another one is not over.
    pub(crate) async fn begin(&self, import: &Import, writes: Vec<Write>) -> Result<(), MetaError> {
        let running = running_key(import.owner.account);
        let claim = Running { owner: import.owner.clone(), id: import.id };
        let mut all = vec![Write::json(running.clone(), &claim)?, self.write(import)?];
        all.extend(writes);
        self.meta.commit(&[Expect::Absent(running)], &all).await.map(drop)
    }

    /// Writes an import that goes on, with what changed beside it.
    pub(crate) async fn save(&self, import: &Import, mut writes: Vec<Write>) -> Result<(), MetaError> {
        writes.push(self.write(import)?);
        self.meta.commit(&[], &writes).await.map(drop)
    }

    /// Writes an import that is over and frees the account.
    pub(crate) async fn end(&self, import: &Import, mut writes: Vec<Write>) -> Result<(), MetaError> {
        writes.push(self.write(import)?);
        writes.push(Write::Delete(running_key(import.owner.account)));
        self.meta.commit(&[], &writes).await.map(drop)
    }

    fn write(&self, import: &Import) -> Result<Write, MetaError> {
        Write::json(run_key(&import.owner, import.id), import)
    }

    pub(crate) async fn failures(
        &self,
        id: ImportId,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<Typed<Failure>>, MetaError> {
        self.meta.list_json(&failures_key(id), after, limit).await
    }

    pub(crate) async fn failure(&self, id: ImportId, location: &str) -> Result<Option<Failure>, MetaError> {
        let found = self.meta.get_json(&failure_key(id, &digest(location))).await?;
        Ok(found.map(|failure: Typed<Failure>| failure.value))
    }

    pub(crate) fn write_failure(&self, id: ImportId, failure: &Failure) -> Result<Write, MetaError> {
        Write::json(failure_key(id, &digest(&failure.location)), failure)
    }

    /// The mark of a file of an upload that is done.
    pub(crate) async fn done(&self, id: ImportId, name: &str) -> Result<Option<String>, MetaError> {
        let mark = self.meta.get_json(&file_key(id, name)).await?;
        Ok(mark.map(|mark: Typed<String>| mark.value))
    }

    pub(crate) fn write_done(&self, id: ImportId, name: &str, mark: &str) -> Result<Write, MetaError> {
        Write::json(file_key(id, name), mark)
    }

    /// Forgets the marks of an upload that is over.
    pub(crate) async fn forget_done(&self, id: ImportId) -> Result<(), MetaError> {
        let prefix = key(["import", "file", &id.to_string()]);
        loop {
            let page = self.meta.list(&prefix, None, 5_000).await?;
            if page.is_empty() {
                return Ok(());
            }
            let writes: Vec<_> = page.into_iter().map(|record| Write::Delete(record.key)).collect();
            self.meta.commit(&[], &writes).await?;
        }
    }
}
