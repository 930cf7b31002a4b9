//! The directory against its store: what is kept, what is refused, what a failure leaves behind.

use std::time::Duration;

use towpath_meta::{FailingMetaStore, Fault, MemoryMetaStore, SqliteMetaStore};
use towpath_model::{Arn, ManualClock};

use super::*;
use crate::{
    EntityName, EntityPath, NewRole, PolicyHolder, PolicyName, SecretKeyError, SessionName, SessionTagError,
    SessionTags,
};

const ALLOW_ALL: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;
const TRUST_ALL: &str =
    r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}}"#;

type Store = FailingMetaStore<MemoryMetaStore>;

/// A directory over a store that a test may look into, break, and open again.
struct TestDirectory {
    store: Arc<Store>,
    key: SecretKey,
    clock: Arc<ManualClock>,
    directory: Directory,
}

impl TestDirectory {
    /// One account without identities.
    async fn new() -> Self {
        let store = Arc::new(FailingMetaStore::new(MemoryMetaStore::new()));
        let key = SecretKey::generate().unwrap();
        let clock = Arc::new(ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap()));
        let directory = Directory::open(store.clone(), &key, clock.clone()).await.unwrap();
        directory.create_account(account()).await.unwrap();
        Self { store, key, clock, directory }
    }

    /// The directory as the store has it.
    async fn reopened(&self) -> Directory {
        Directory::open(self.store.clone(), &self.key, self.clock.clone()).await.unwrap()
    }

    fn resolve(&self, id: &str, token: Option<&str>) -> Result<Credentials, CredentialError> {
        self.directory.resolve(id, token, self.clock.now())
    }

    async fn user(&self, text: &str) -> User {
        self.directory.create_user(account(), name(text), EntityPath::default()).await.unwrap()
    }

    async fn user_key(&self, text: &str) -> NewAccessKey {
        self.directory.create_access_key(account(), KeyOwner::User(name(text))).await.unwrap()
    }

    async fn role(&self, text: &str) -> Role {
        self.directory.create_role(account(), NewRole::new(name(text), TRUST_ALL)).await.unwrap()
    }
}

fn account() -> AccountId {
    "123456789012".parse().unwrap()
}

fn name(text: &str) -> EntityName {
    text.parse().unwrap()
}

fn policy_name(text: &str) -> PolicyName {
    text.parse().unwrap()
}

fn ask(session: &str) -> AssumeRole {
    let session_name = session.parse().unwrap();
    AssumeRole {
        session_name,
        duration_seconds: None,
        session_policy: None,
        source_identity: None,
        tags: SessionTags::default(),
    }
}

fn root() -> Principal {
    Principal::Root { account: account() }
}

/// Everything a test can see of a directory.
fn seen(directory: &Directory) -> String {
    let users = directory.list_users(account()).unwrap();
    let policies: Vec<_> = users
        .iter()
        .map(|user| directory.list_inline_policies(account(), &PolicyHolder::User(user.name.clone())).unwrap())
        .collect();
    let (roles, keys) =
        (directory.list_roles(account()).unwrap(), directory.list_access_keys(account(), None).unwrap());
    format!("{:?} {users:?} {policies:?} {roles:?} {keys:?}", directory.list_accounts())
}

mod durability;
mod keys;
mod secrets;
mod sessions;
