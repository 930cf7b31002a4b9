//! IAM users and their inline policies.

use jiff::Timestamp;
use towpath_meta::{Expect, Write};
use towpath_model::{AccountId, Arn};

use super::keys::KeyOwner;
use super::state::{self, State, UserRecord, account_key, user_key};
use super::{Change, Directory, DirectoryError, exists, not_found, require_account};
use crate::principal::entity_arn;
use crate::secret::unique_id;
use crate::{EntityName, EntityPath};

/// Most users of an account, as IAM has it.
pub const MAX_USERS: usize = 5000;

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The account it belongs to.
    pub account: AccountId,
    /// Its name; unique in its account without regard to case.
    pub name: EntityName,
    /// Its path.
    pub path: EntityPath,
    /// Its unique id, `AIDA...`.
    pub id: String,
    /// `arn:aws:iam::A:user/path/name`.
    pub arn: Arn,
    /// When it was made.
    pub created: Timestamp,
}

impl From<&UserRecord> for User {
    fn from(record: &UserRecord) -> Self {
        Self {
            account: record.account,
            name: record.name.clone(),
            path: record.path.clone(),
            id: record.id.clone(),
            arn: entity_arn(record.account, "user", &record.path, &record.name),
            created: record.created,
        }
    }
}

impl Directory {
    /// Makes a user. It may do nothing until a policy says so.
    pub async fn create_user(
        &self,
        account: AccountId,
        name: EntityName,
        path: EntityPath,
    ) -> Result<User, DirectoryError> {
        let created = self.now();
        let id = unique_id("AIDA", 17)?;
        self.change(move |_, state| {
            require_account(state, account)?;
            if state.user(account, &name).is_some() {
                return Err(exists("user", name));
            }
            if state.users_of(account).count() >= MAX_USERS {
                let of = format!("account {account}");
                return Err(DirectoryError::Limit { what: "users", of, limit: MAX_USERS });
            }
            let key = user_key(account, &name);
            let record = UserRecord { account, name, path, id, created, policies: Default::default() };
            let write = Write::json(key.clone(), &record)?;
            let expect = vec![Expect::Exists(account_key(account)), Expect::Absent(key)];
            Ok(Change { expect, writes: vec![write], answer: User::from(&record) })
        })
        .await
    }

    /// Deletes a user that has neither access keys nor inline policies.
    pub async fn delete_user(&self, account: AccountId, name: EntityName) -> Result<(), DirectoryError> {
        self.change(move |_, state| {
            let user = find(state, account, &name)?;
            let owner = KeyOwner::User(user.record.name.clone());
            let keys = state.keys_of(account);
            let key =
                keys.iter().find(|key| key.record.owner == owner).map(|key| format!("access key {}", key.record.id));
            if let Some(has) = key.or_else(|| user.record.policies.blocker()) {
                return Err(DirectoryError::InUse { what: "user", name: name.to_string(), has });
            }
            let (expect, write) = (user.unchanged(), Write::Delete(user.key.clone()));
            Ok(Change { expect: vec![expect], writes: vec![write], answer: () })
        })
        .await
    }

    /// Returns the users of an account by name.
    pub fn list_users(&self, account: AccountId) -> Result<Vec<User>, DirectoryError> {
        let state = self.inner.state.read();
        require_account(&state, account)?;
        Ok(state.users_of(account).map(|user| User::from(&user.record)).collect())
    }

    /// Returns one user.
    pub fn user(&self, account: AccountId, name: &EntityName) -> Option<User> {
        self.inner.state.read().user(account, name).map(|user| User::from(&user.record))
    }

    pub(super) async fn edit_user(
        &self,
        account: AccountId,
        name: EntityName,
        edit: impl FnOnce(&mut UserRecord) -> Result<(), DirectoryError> + Send + 'static,
    ) -> Result<(), DirectoryError> {
        self.change(move |_, state| {
            let user = find(state, account, &name)?;
            let mut record = user.record.clone();
            edit(&mut record)?;
            let write = Write::json(user.key.clone(), &record)?;
            Ok(Change { expect: vec![user.unchanged()], writes: vec![write], answer: () })
        })
        .await
    }
}

pub(super) fn find<'a>(
    state: &'a State,
    account: AccountId,
    name: &EntityName,
) -> Result<&'a state::User, DirectoryError> {
    state.user(account, name).ok_or_else(|| not_found("user", name))
}
