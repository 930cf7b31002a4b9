//! Long-term access keys of users and of the root of an account.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use towpath_meta::{Expect, Write};
use towpath_model::AccountId;

use super::sessions::is_session_key;
use super::state::{self, AccountRecord, KeyRecord, State, access_key_key, account_key, user_key};
use super::{Change, Directory, DirectoryError, Inner, exists, not_found, require_account};
use crate::secret::unique_id;
use crate::{AccessKeyId, EntityName, Secret};

/// Most access keys of one user, and of the root of one account, as IAM has it.
pub const MAX_ACCESS_KEYS: usize = 2;

/// Whose key it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyOwner {
    /// The root of the account.
    Root,
    /// A user of the account.
    User(EntityName),
}

/// Whether a key may sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AccessKeyStatus {
    /// It may.
    Active,
    /// It may not, until it is activated again.
    Inactive,
}

/// An access key without its secret, which is shown only when it is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessKey {
    /// Its id.
    pub id: AccessKeyId,
    /// The account it belongs to.
    pub account: AccountId,
    /// Whose it is.
    pub owner: KeyOwner,
    /// Whether it may sign.
    pub status: AccessKeyStatus,
    /// When it was made.
    pub created: Timestamp,
}

/// An access key that was just made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAccessKey {
    /// Its id.
    pub id: AccessKeyId,
    /// Its secret. It cannot be had again.
    pub secret: Secret,
}

/// What [`Directory::ensure_root`] found or did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RootKey {
    /// The account had the root key already.
    Existing,
    /// The root key was made or given a new secret.
    Created(NewAccessKey),
}

impl From<&KeyRecord> for AccessKey {
    fn from(record: &KeyRecord) -> Self {
        Self {
            id: record.id.clone(),
            account: record.account,
            owner: record.owner.clone(),
            status: record.status,
            created: record.created,
        }
    }
}

impl Directory {
    /// Makes an access key for a user or for the root of an account.
    pub async fn create_access_key(&self, account: AccountId, owner: KeyOwner) -> Result<NewAccessKey, DirectoryError> {
        let created = self.now();
        let new = generate()?;
        self.change(move |inner, state| {
            require_account(state, account)?;
            let owner = canonical(state, account, owner)?;
            let count = state.keys_of(account).iter().filter(|key| key.record.owner == owner).count();
            if count >= MAX_ACCESS_KEYS {
                let of = match owner {
                    KeyOwner::Root => format!("root of account {account}"),
                    KeyOwner::User(name) => format!("user {name}"),
                };
                return Err(DirectoryError::Limit { what: "access keys", of, limit: MAX_ACCESS_KEYS });
            }
            let belongs_to = match &owner {
                KeyOwner::Root => account_key(account),
                KeyOwner::User(name) => user_key(account, name),
            };
            let write = inner.write_key(&new, account, owner, created)?;
            let expect = vec![Expect::Exists(belongs_to), Expect::Absent(access_key_key(&new.id))];
            Ok(Change { expect, writes: vec![write], answer: new })
        })
        .await
    }

    /// Activates or deactivates an access key of an account. Takes effect with the next request.
    pub async fn set_access_key_status(
        &self,
        account: AccountId,
        id: AccessKeyId,
        status: AccessKeyStatus,
    ) -> Result<(), DirectoryError> {
        self.change(move |_, state| {
            let key = find(state, account, &id)?;
            let write = Write::json(key.key.clone(), &KeyRecord { status, ..key.record.clone() })?;
            Ok(Change { expect: vec![key.unchanged()], writes: vec![write], answer: () })
        })
        .await
    }

    /// Deletes an access key of an account.
    pub async fn delete_access_key(&self, account: AccountId, id: AccessKeyId) -> Result<(), DirectoryError> {
        self.change(move |_, state| {
            let key = find(state, account, &id)?;
            let (expect, write) = (key.unchanged(), Write::Delete(key.key.clone()));
            Ok(Change { expect: vec![expect], writes: vec![write], answer: () })
        })
        .await
    }

    /// Returns the access keys of an account, oldest first; of one owner if given.
    pub fn list_access_keys(
        &self,
        account: AccountId,
        owner: Option<KeyOwner>,
    ) -> Result<Vec<AccessKey>, DirectoryError> {
        let state = self.inner.state.read();
        require_account(&state, account)?;
        let owner = owner.map(|owner| canonical(&state, account, owner)).transpose()?;
        let keys = state.keys_of(account).into_iter().map(|key| &key.record);
        Ok(keys.filter(|key| owner.as_ref().is_none_or(|owner| key.owner == *owner)).map(AccessKey::from).collect())
    }

    /// Makes sure that `account` exists and its root can sign.
    ///
    /// With `given`, the root has exactly that key, active, in addition to others; whoever starts the server decides.
    /// Without, a key is made if the root has none that is active.
    pub async fn ensure_root(
        &self,
        account: AccountId,
        given: Option<(AccessKeyId, Secret)>,
    ) -> Result<RootKey, DirectoryError> {
        let created = self.now();
        let generated = generate()?;
        self.change(move |inner, state| {
            let mut change = Change { expect: Vec::new(), writes: Vec::new(), answer: RootKey::Existing };
            if !state.accounts.contains_key(&account) {
                let key = account_key(account);
                change.writes.push(Write::json(key.clone(), &AccountRecord { id: account, created })?);
                change.expect.push(Expect::Absent(key));
            }
            let active = |key: &state::AccessKey| {
                key.record.account == account
                    && key.record.owner == KeyOwner::Root
                    && key.record.status == AccessKeyStatus::Active
            };
            let new = match given {
                Some((id, secret)) => {
                    let existing = state.keys.get(id.as_str());
                    match existing {
                        Some(key) if active(key) && key.secret == secret => return Ok(change),
                        Some(key) if key.record.account != account || key.record.owner != KeyOwner::Root => {
                            return Err(exists("access key", id));
                        }
                        Some(key) => change.expect.push(key.unchanged()),
                        // Session keys are told from others by their prefix.
                        None if is_session_key(id.as_str()) => return Err(exists("session access key", id)),
                        None => change.expect.push(Expect::Absent(access_key_key(&id))),
                    }
                    NewAccessKey { id, secret }
                }
                None if state.keys.values().any(active) => return Ok(change),
                None => {
                    change.expect.push(Expect::Absent(access_key_key(&generated.id)));
                    generated
                }
            };
            change.writes.push(inner.write_key(&new, account, KeyOwner::Root, created)?);
            change.answer = RootKey::Created(new);
            Ok(change)
        })
        .await
    }
}

impl Inner {
    /// The record of an active key, its secret sealed for its id.
    fn write_key(
        &self,
        new: &NewAccessKey,
        account: AccountId,
        owner: KeyOwner,
        created: Timestamp,
    ) -> Result<Write, DirectoryError> {
        let sealed = self.secrets.seal(new.id.as_str(), new.secret.expose().as_bytes())?;
        let status = AccessKeyStatus::Active;
        let record = KeyRecord { id: new.id.clone(), account, owner, status, created, sealed };
        Ok(Write::json(access_key_key(&new.id), &record)?)
    }
}

fn generate() -> Result<NewAccessKey, DirectoryError> {
    let id = unique_id("AKIA", 16)?.parse().expect("a unique id is letters and digits");
    Ok(NewAccessKey { id, secret: Secret::generate()? })
}

/// The owner with its name as it was made.
fn canonical(state: &State, account: AccountId, owner: KeyOwner) -> Result<KeyOwner, DirectoryError> {
    match owner {
        KeyOwner::Root => Ok(KeyOwner::Root),
        KeyOwner::User(name) => {
            let user = state.user(account, &name).ok_or_else(|| not_found("user", &name))?;
            Ok(KeyOwner::User(user.record.name.clone()))
        }
    }
}

fn find<'a>(state: &'a State, account: AccountId, id: &AccessKeyId) -> Result<&'a state::AccessKey, DirectoryError> {
    let key = state.keys.get(id.as_str()).filter(|key| key.record.account == account);
    key.ok_or_else(|| not_found("access key", id))
}
