//! The directory in memory, and the records it is made of.
//!
//! One function turns a record into memory, whether it was just read or just written; so both always agree.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use towpath_meta::{Expect, Key, MetaError, Record, Version, Write};
use towpath_model::{AccountId, Arn};

use super::inline::InlinePolicies;
use super::{AccessKeyStatus, CredentialError, Credentials, DirectoryError, KeyOwner};
use crate::principal::entity_arn;
use crate::seal::Sealer;
use crate::{AccessKeyId, EntityName, EntityPath, Policy, PolicyKind, Principal, Secret};

pub(super) const ACCOUNTS: &str = "iam/account";
pub(super) const USERS: &str = "iam/user";
pub(super) const ROLES: &str = "iam/role";
pub(super) const KEYS: &str = "iam/key";

/// Where records are, in the order they are read: an entity before what belongs to it.
pub(super) const AREAS: [&str; 4] = [ACCOUNTS, USERS, ROLES, KEYS];

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct AccountRecord {
    pub(super) id: AccountId,
    pub(super) created: Timestamp,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct UserRecord {
    pub(super) account: AccountId,
    pub(super) name: EntityName,
    pub(super) path: EntityPath,
    pub(super) id: String,
    pub(super) created: Timestamp,
    #[serde(default)]
    pub(super) policies: InlinePolicies,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct RoleRecord {
    pub(super) account: AccountId,
    pub(super) name: EntityName,
    pub(super) path: EntityPath,
    pub(super) id: String,
    pub(super) created: Timestamp,
    pub(super) description: String,
    /// Seconds.
    pub(super) max_session: u32,
    pub(super) trust: String,
    /// Unique ids of the users and roles that the trust policy names, by ARN, as they were when it was put.
    #[serde(default)]
    pub(super) trusted: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) policies: InlinePolicies,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct KeyRecord {
    pub(super) id: AccessKeyId,
    pub(super) account: AccountId,
    pub(super) owner: KeyOwner,
    pub(super) status: AccessKeyStatus,
    pub(super) created: Timestamp,
    /// The secret, sealed for the id.
    pub(super) sealed: String,
}

/// A record in memory, with what was worked out from it.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) key: Key,
    pub(super) version: Version,
    pub(super) record: AccountRecord,
    root: Arc<Principal>,
}

#[derive(Debug)]
pub(super) struct User {
    pub(super) key: Key,
    pub(super) version: Version,
    pub(super) record: UserRecord,
    pub(super) policies: Arc<[Arc<Policy>]>,
    principal: Arc<Principal>,
}

#[derive(Debug)]
pub(super) struct Role {
    pub(super) key: Key,
    pub(super) version: Version,
    pub(super) record: RoleRecord,
    pub(super) policies: Arc<[Arc<Policy>]>,
    pub(super) trust: Arc<Policy>,
}

#[derive(Debug)]
pub(super) struct AccessKey {
    pub(super) key: Key,
    pub(super) version: Version,
    pub(super) record: KeyRecord,
    pub(super) secret: Secret,
}

/// Everything, by what it is looked up with. Users and roles are found by account and name in lower case.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) accounts: BTreeMap<AccountId, Account>,
    pub(super) users: BTreeMap<(AccountId, String), User>,
    pub(super) roles: BTreeMap<(AccountId, String), Role>,
    pub(super) keys: HashMap<String, AccessKey>,
}

macro_rules! unchanged {
    ($($type:ident),*) => {
        $(impl $type {
            /// Expects that the record is as it is in memory.
            pub(super) fn unchanged(&self) -> Expect {
                Expect::Version(self.key.clone(), self.version)
            }
        })*
    };
}
unchanged!(Account, User, Role, AccessKey);

pub(super) fn account_key(account: AccountId) -> Key {
    key(&["iam", "account", account.as_str()])
}

pub(super) fn user_key(account: AccountId, name: &EntityName) -> Key {
    key(&["iam", "user", account.as_str(), &name.folded()])
}

pub(super) fn role_key(account: AccountId, name: &EntityName) -> Key {
    key(&["iam", "role", account.as_str(), &name.folded()])
}

pub(super) fn access_key_key(id: &AccessKeyId) -> Key {
    key(&["iam", "key", id.as_str()])
}

fn key(parts: &[&str]) -> Key {
    Key::from_parts(parts.iter().copied()).expect("names of identities are far shorter than keys may be")
}

impl State {
    pub(super) fn user(&self, account: AccountId, name: &EntityName) -> Option<&User> {
        self.users.get(&(account, name.folded()))
    }

    pub(super) fn role(&self, account: AccountId, name: &EntityName) -> Option<&Role> {
        self.roles.get(&(account, name.folded()))
    }

    /// The users of one account, by name.
    pub(super) fn users_of(&self, account: AccountId) -> impl Iterator<Item = &User> {
        self.users
            .range((account, String::new())..)
            .take_while(move |((of, _), _)| *of == account)
            .map(|(_, user)| user)
    }

    /// The roles of one account, by name.
    pub(super) fn roles_of(&self, account: AccountId) -> impl Iterator<Item = &Role> {
        self.roles
            .range((account, String::new())..)
            .take_while(move |((of, _), _)| *of == account)
            .map(|(_, role)| role)
    }

    /// The keys of one account, oldest first.
    pub(super) fn keys_of(&self, account: AccountId) -> Vec<&AccessKey> {
        let mut keys: Vec<_> = self.keys.values().filter(|key| key.record.account == account).collect();
        keys.sort_by(|a, b| (a.record.created, &a.record.id).cmp(&(b.record.created, &b.record.id)));
        keys
    }

    /// The unique ids of those users and roles a policy names that exist, by ARN.
    pub(super) fn ids_of(&self, policy: &Policy) -> BTreeMap<String, String> {
        let found = policy.named().into_iter().filter_map(|arn| Some((arn.to_string(), self.id_of(&arn)?)));
        found.collect()
    }

    /// The unique id of the user or role with this ARN.
    fn id_of(&self, arn: &Arn) -> Option<String> {
        let account = arn.account_id()?;
        let (kind, name) = (arn.resource().split('/').next()?, arn.resource().rsplit('/').next()?.parse().ok()?);
        let (id, path, name) = match kind {
            "user" => self.user(account, &name).map(|user| (&user.record.id, &user.record.path, &user.record.name))?,
            "role" => self.role(account, &name).map(|role| (&role.record.id, &role.record.path, &role.record.name))?,
            _ => return None,
        };
        (entity_arn(account, kind, path, name) == *arn).then(|| id.clone())
    }

    /// What a long-term key stands for.
    pub(super) fn credentials(&self, access_key_id: &str) -> Result<Credentials, CredentialError> {
        let key = self.keys.get(access_key_id).ok_or(CredentialError::UnknownKey)?;
        if key.record.status == AccessKeyStatus::Inactive {
            return Err(CredentialError::Inactive);
        }
        let (principal, identity) = match &key.record.owner {
            KeyOwner::Root => {
                let account = self.accounts.get(&key.record.account).ok_or(CredentialError::UnknownKey)?;
                (account.root.clone(), Arc::default())
            }
            KeyOwner::User(name) => {
                let user = self.user(key.record.account, name).ok_or(CredentialError::UnknownKey)?;
                (user.principal.clone(), user.policies.clone())
            }
        };
        let (access_key_id, secret) = (key.record.id.clone(), key.secret.clone());
        Ok(Credentials { access_key_id, secret, principal, identity, session: None })
    }

    /// Takes over what was written.
    pub(super) fn apply(&mut self, write: Write, version: Version, secrets: &Sealer) -> Result<(), DirectoryError> {
        match write {
            Write::Put(key, value) => self.absorb(Record { key, version, value }, secrets),
            Write::Delete(key) => {
                self.accounts.retain(|_, entry| entry.key != key);
                self.users.retain(|_, entry| entry.key != key);
                self.roles.retain(|_, entry| entry.key != key);
                self.keys.retain(|_, entry| entry.key != key);
                Ok(())
            }
        }
    }

    /// Takes over a record.
    pub(super) fn absorb(&mut self, record: Record, secrets: &Sealer) -> Result<(), DirectoryError> {
        let (key, version) = (record.key.clone(), record.version);
        match record.key.as_str().split('/').nth(1) {
            Some("account") => {
                let record: AccountRecord = decode(record)?;
                let root = Arc::new(Principal::Root { account: record.id });
                self.accounts.insert(record.id, Account { key, version, record, root });
            }
            Some("user") => {
                let record: UserRecord = decode(record)?;
                let principal = Arc::new(Principal::User {
                    account: record.account,
                    name: record.name.clone(),
                    path: record.path.clone(),
                    id: record.id.clone(),
                    arn: entity_arn(record.account, "user", &record.path, &record.name),
                });
                let policies = record.policies.compile(PolicyKind::User);
                let place = (record.account, record.name.folded());
                self.users.insert(place, User { key, version, record, policies, principal });
            }
            Some("role") => {
                let record: RoleRecord = decode(record)?;
                let policies = record.policies.compile(PolicyKind::Role);
                let trust = Policy::from_stored(&record.trust, PolicyKind::Trust).pinned(&record.trusted);
                let trust = Arc::new(trust);
                let place = (record.account, record.name.folded());
                self.roles.insert(place, Role { key, version, record, policies, trust });
            }
            Some("key") => {
                let record: KeyRecord = decode(record)?;
                let secret = open_secret(&record, secrets)?;
                self.keys.insert(record.id.as_str().to_owned(), AccessKey { key, version, record, secret });
            }
            _ => return Err(DirectoryError::Damaged(format!("record {key} is of no known kind"))),
        }
        Ok(())
    }
}

fn decode<T: serde::de::DeserializeOwned>(record: Record) -> Result<T, DirectoryError> {
    match record.decode::<T>() {
        Ok(typed) => Ok(typed.value),
        // The cause could quote what is in the record; its name is enough.
        Err(MetaError::Decode { key, .. }) => Err(DirectoryError::Damaged(format!("record {key} cannot be decoded"))),
        Err(error) => Err(error.into()),
    }
}

fn open_secret(record: &KeyRecord, secrets: &Sealer) -> Result<Secret, DirectoryError> {
    let damaged = || DirectoryError::Damaged(format!("secret of access key {} does not open", record.id));
    let plain = secrets.open(record.id.as_str(), &record.sealed).map_err(|_| damaged())?;
    std::str::from_utf8(&plain).ok().and_then(|text| Secret::new(text).ok()).ok_or_else(damaged)
}
