//! The directory: every account, user, role and key, kept in the metadata store and answered from memory.
//!
//! Reads take a shared lock for a look-up. Changes are made one after another: they are checked against memory,
//! committed to the store with expectations, and only then seen in memory. A change runs to its end even when its
//! caller goes away, so memory never falls behind the store.

mod accounts;
mod inline;
mod keys;
mod roles;
mod sessions;
mod state;
mod users;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use parking_lot::RwLock;
use tokio::sync::Mutex;
use towpath_meta::{Expect, Key, MetaError, MetaStore, MetaStoreExt, Write};
use towpath_model::{AccountId, Clock};

use crate::seal::Sealer;
use crate::{AccessKeyId, Policy, PolicyError, Principal, RandomError, Secret, SecretKey};

pub use accounts::{Account, MAX_ACCOUNTS};
pub use inline::PolicyHolder;
pub use keys::{AccessKey, AccessKeyStatus, KeyOwner, MAX_ACCESS_KEYS, NewAccessKey, RootKey};
pub use roles::{MAX_ROLES, NewRole, Role};
pub use sessions::{AssumeRole, AssumeRoleError, RoleCredentials, SessionToken};
pub use users::{MAX_USERS, User};

use state::State;

/// What is sealed to find out whether the secret key is the one of this database.
const CHECK_TEXT: &[u8] = b"towpath";

/// Every identity of the installation. Cloning is cheap; clones share all.
#[derive(Clone)]
pub struct Directory {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn MetaStore>,
    clock: Arc<dyn Clock>,
    secrets: Sealer,
    tokens: Sealer,

    // Read for a look-up, written after a commit; never held across an await.
    state: RwLock<State>,

    // Held by the one change that is under way, across its commit.
    changes: Mutex<()>,
    /// Set when the outcome of a commit is unknown: memory is read anew before the next change.
    stale: AtomicBool,
}

/// What an access key id stands for.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The key that was asked for.
    pub access_key_id: AccessKeyId,
    /// What must have made the signature.
    pub secret: Secret,
    /// Who signed.
    pub principal: Arc<Principal>,
    /// The policies of the user or role; none for the root of an account.
    pub identity: Arc<[Arc<Policy>]>,
    /// The policy passed when the role was assumed.
    pub session: Option<Arc<Policy>>,
}

/// Why an access key id stands for nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// There is no such key.
    #[error("access key is unknown")]
    UnknownKey,
    /// The key was deactivated.
    #[error("access key is inactive")]
    Inactive,
    /// The key is of a session and came without its session token.
    #[error("session token is missing")]
    TokenMissing,
    /// The session token is not one of this installation, not of this key, or its role is gone.
    #[error("session token is invalid")]
    TokenInvalid,
    /// The session is over.
    #[error("session token has expired")]
    TokenExpired,
}

/// Why the directory did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// What is named does not exist.
    #[error("{what} {name} does not exist")]
    NotFound {
        /// Such as `user`.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// What is to be made exists already. Names that differ only in case are the same.
    #[error("{what} {name} exists already")]
    Exists {
        /// Such as `user`.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// What is to be deleted still has something that must be deleted first.
    #[error("cannot delete {what} {name}: it still has {has}; delete that first")]
    InUse {
        /// Such as `user`.
        what: &'static str,
        /// Its name.
        name: String,
        /// What it has.
        has: String,
    },
    /// There are as many as there may be.
    #[error("{of} has {limit} {what} already, and may have no more")]
    Limit {
        /// What there would be too many of.
        what: &'static str,
        /// Of whom.
        of: String,
        /// How many there may be.
        limit: usize,
    },
    /// A value is outside its range.
    #[error("{what} is {actual}; it must be between {least} and {most}")]
    Range {
        /// What was given.
        what: &'static str,
        /// Its value.
        actual: u64,
        /// The least it may be.
        least: u64,
        /// The most it may be.
        most: u64,
    },
    /// The document is not a policy.
    #[error("policy document is malformed: {0}")]
    Policy(PolicyError),
    /// The inline policies of one identity are too long together.
    #[error("inline policies of {of} would have {actual} characters, more than {limit}")]
    PolicySize {
        /// Whose.
        of: String,
        /// Their length together, white space not counted.
        actual: usize,
        /// The limit.
        limit: usize,
    },
    /// The secret key does not open this database.
    #[error("the secret key is not the one this database was made with; restore its key file or TOWPATH_SECRET_KEY")]
    WrongKey,
    /// What is stored cannot be understood.
    #[error("directory is damaged: {0}")]
    Damaged(String),
    /// The metadata store failed.
    #[error("cannot reach the directory's records")]
    Store(#[from] MetaError),
    /// No identifier or secret could be made.
    #[error("cannot make an identifier or secret")]
    Random(#[from] RandomError),
    /// The process is stopping.
    #[error("change was interrupted because the process is stopping")]
    Interrupted,
}

// Not derived: what is wrong with a document is the message, not a cause below it.
impl From<PolicyError> for DirectoryError {
    fn from(error: PolicyError) -> Self {
        Self::Policy(error)
    }
}

/// What a change wants to commit, and what it answers when that is done.
struct Change<T> {
    expect: Vec<Expect>,
    writes: Vec<Write>,
    answer: T,
}

impl Directory {
    /// Reads the whole directory from `store`. A database made with another secret key is refused.
    pub async fn open(
        store: Arc<dyn MetaStore>,
        key: &SecretKey,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, DirectoryError> {
        let inner = Inner {
            store,
            clock,
            secrets: key.sealer("secrets at rest"),
            tokens: key.sealer("session tokens"),
            state: RwLock::default(),
            changes: Mutex::new(()),
            stale: AtomicBool::new(false),
        };
        inner.check_key().await?;
        inner.reload().await?;
        Ok(Self { inner: Arc::new(inner) })
    }

    /// True if `store` has identities, so that a secret key was made for it before. Changes nothing.
    pub async fn exists(store: &dyn MetaStore) -> Result<bool, DirectoryError> {
        let identities = Key::new("iam").expect("a plain key");
        Ok(!store.list(&identities, None, 1).await?.is_empty())
    }

    /// Finds the secret and the principal behind an access key id, as of `now`.
    pub fn resolve(
        &self,
        access_key_id: &str,
        session_token: Option<&str>,
        now: Timestamp,
    ) -> Result<Credentials, CredentialError> {
        if sessions::is_session_key(access_key_id) {
            let token = session_token.ok_or(CredentialError::TokenMissing)?;
            return self.resolve_session(access_key_id, token, now);
        }
        let credentials = self.inner.state.read().credentials(access_key_id)?;
        if session_token.is_some() {
            return Err(CredentialError::TokenInvalid);
        }
        Ok(credentials)
    }

    /// Returns the policies attached to a user or the role of a session, none to others.
    pub fn identity_policies(&self, principal: &Principal) -> Arc<[Arc<Policy>]> {
        let state = self.inner.state.read();
        let policies = match principal {
            Principal::User { account, name, id, .. } => {
                state.user(*account, name).filter(|user| user.record.id == *id).map(|user| user.policies.clone())
            }
            Principal::AssumedRole(session) => state
                .role(session.account, &session.role_name)
                .filter(|role| role.record.id == session.role_id)
                .map(|role| role.policies.clone()),
            Principal::Root { .. } | Principal::Service(_) | Principal::Anonymous => None,
        };
        policies.unwrap_or_default()
    }

    /// Returns the unique ids of those users and roles a policy names that exist, by ARN; see [`Policy::pinned`].
    pub fn ids_of(&self, policy: &Policy) -> BTreeMap<String, String> {
        self.inner.state.read().ids_of(policy)
    }

    /// Returns the document of a pinned policy as IAM shows it: the unique id stands where the ARN of a user or role
    /// stood that is no more.
    pub fn shown<'a>(&self, policy: &'a Policy) -> Cow<'a, str> {
        policy.shown(&self.ids_of(policy))
    }

    fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// Makes one change: plans it on what is in memory, commits it, and shows it in memory.
    async fn change<T, F>(&self, plan: F) -> Result<T, DirectoryError>
    where
        T: Send + 'static,
        F: FnOnce(&Inner, &State) -> Result<Change<T>, DirectoryError> + Send + 'static,
    {
        let inner = self.inner.clone();
        // A task of its own: if the caller stops waiting, the change still reaches both the store and memory.
        let task = tokio::spawn(async move { inner.change(plan).await });
        task.await.unwrap_or(Err(DirectoryError::Interrupted))
    }
}

impl Inner {
    async fn change<T, F>(&self, plan: F) -> Result<T, DirectoryError>
    where
        F: FnOnce(&Inner, &State) -> Result<Change<T>, DirectoryError>,
    {
        let _only = self.changes.lock().await;
        if self.stale.load(Ordering::SeqCst) {
            self.reload().await?;
        }
        let Change { expect, writes, answer } = plan(self, &self.state.read())?;
        match self.store.commit(&expect, &writes).await {
            Ok(version) => {
                let mut state = self.state.write();
                writes.into_iter().try_for_each(|write| state.apply(write, version, &self.secrets))?;
                Ok(answer)
            }
            Err(error) => {
                // Either memory was behind, or the commit may have happened. Both end with reading what is there.
                if error.is_conflict() || matches!(error, MetaError::InDoubt(_)) {
                    self.stale.store(true, Ordering::SeqCst);
                    if let Err(cause) = self.reload().await {
                        tracing::warn!(%cause, "directory cannot be read anew; the next change tries again");
                    }
                }
                Err(error.into())
            }
        }
    }

    /// Reads everything from the store into memory.
    async fn reload(&self) -> Result<(), DirectoryError> {
        let mut fresh = State::default();
        for prefix in state::AREAS {
            let prefix = Key::new(prefix).expect("areas are plain parts");
            for record in self.store.list_all(&prefix).await? {
                fresh.absorb(record, &self.secrets)?;
            }
        }
        *self.state.write() = fresh;
        self.stale.store(false, Ordering::SeqCst);
        Ok(())
    }

    /// Opens the text that was sealed when the database was new, or seals it if it is.
    async fn check_key(&self) -> Result<(), DirectoryError> {
        let key = Key::new("iam/check").expect("a plain key");
        if let Some(record) = self.store.get_json::<String>(&key).await? {
            return match self.secrets.open(key.as_str(), &record.value) {
                Ok(text) if text.as_slice() == CHECK_TEXT => Ok(()),
                _ => Err(DirectoryError::WrongKey),
            };
        }
        let keys = Key::new(state::KEYS).expect("a plain key");
        if !self.store.list(&keys, None, 1).await?.is_empty() {
            return Err(DirectoryError::Damaged(format!("there are access keys but no record {key}")));
        }
        let sealed = self.secrets.seal(key.as_str(), CHECK_TEXT)?;
        let write = Write::json(key.clone(), &sealed)?;
        self.store.commit(&[Expect::Absent(key)], &[write]).await?;
        Ok(())
    }
}

fn not_found(what: &'static str, name: impl fmt::Display) -> DirectoryError {
    DirectoryError::NotFound { what, name: name.to_string() }
}

fn exists(what: &'static str, name: impl fmt::Display) -> DirectoryError {
    DirectoryError::Exists { what, name: name.to_string() }
}

fn require_account(state: &State, account: AccountId) -> Result<(), DirectoryError> {
    if state.accounts.contains_key(&account) { Ok(()) } else { Err(not_found("account", account)) }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
