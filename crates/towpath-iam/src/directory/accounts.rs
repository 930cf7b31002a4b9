//! Accounts.

use jiff::Timestamp;
use towpath_meta::{Expect, Write};
use towpath_model::AccountId;

use super::state::{self, AccountRecord, account_key};
use super::{Change, Directory, DirectoryError, exists, not_found};

/// Most accounts of an installation.
pub const MAX_ACCOUNTS: usize = 10_000;

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its number.
    pub id: AccountId,
    /// When it was made.
    pub created: Timestamp,
}

impl From<&state::Account> for Account {
    fn from(entry: &state::Account) -> Self {
        Self { id: entry.record.id, created: entry.record.created }
    }
}

impl Directory {
    /// Makes an account. It has no identities yet; give it a root key or users.
    pub async fn create_account(&self, id: AccountId) -> Result<Account, DirectoryError> {
        let created = self.now();
        self.change(move |_, state| {
            if state.accounts.contains_key(&id) {
                return Err(exists("account", id));
            }
            if state.accounts.len() >= MAX_ACCOUNTS {
                let of = "installation".to_owned();
                return Err(DirectoryError::Limit { what: "accounts", of, limit: MAX_ACCOUNTS });
            }
            let key = account_key(id);
            let write = Write::json(key.clone(), &AccountRecord { id, created })?;
            Ok(Change { expect: vec![Expect::Absent(key)], writes: vec![write], answer: Account { id, created } })
        })
        .await
    }

    /// Deletes an account that has neither users, roles nor access keys. What it owns elsewhere is not looked at.
    pub async fn delete_account(&self, id: AccountId) -> Result<(), DirectoryError> {
        self.change(move |_, state| {
            let account = state.accounts.get(&id).ok_or_else(|| not_found("account", id))?;
            let user = state.users_of(id).next().map(|user| format!("user {}", user.record.name));
            let role = || state.roles_of(id).next().map(|role| format!("role {}", role.record.name));
            let key = || state.keys_of(id).first().map(|key| format!("access key {}", key.record.id));
            if let Some(has) = user.or_else(role).or_else(key) {
                return Err(DirectoryError::InUse { what: "account", name: id.to_string(), has });
            }
            let (expect, write) = (account.unchanged(), Write::Delete(account.key.clone()));
            Ok(Change { expect: vec![expect], writes: vec![write], answer: () })
        })
        .await
    }

    /// Returns all accounts by number.
    pub fn list_accounts(&self) -> Vec<Account> {
        self.inner.state.read().accounts.values().map(Account::from).collect()
    }

    /// Returns one account.
    pub fn account(&self, id: AccountId) -> Option<Account> {
        self.inner.state.read().accounts.get(&id).map(Account::from)
    }
}
