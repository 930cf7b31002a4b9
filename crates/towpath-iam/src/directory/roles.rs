//! IAM roles: who may assume them, for how long, and their inline policies.

use std::sync::Arc;

use jiff::Timestamp;
use towpath_meta::{Expect, Write};
use towpath_model::{AccountId, Arn};

use super::state::{self, RoleRecord, State, account_key, role_key};
use super::{Change, Directory, DirectoryError, exists, not_found, require_account};
use crate::principal::entity_arn;
use crate::secret::unique_id;
use crate::{EntityName, EntityPath, Policy, PolicyKind};

/// Most roles of an account.
pub const MAX_ROLES: usize = 5000;

/// Longest description of a role, in characters.
const MAX_DESCRIPTION: usize = 1000;

/// A role.
#[derive(Clone, Debug, PartialEq)]
pub struct Role {
    /// The account it belongs to.
    pub account: AccountId,
    /// Its name; unique in its account without regard to case.
    pub name: EntityName,
    /// Its path.
    pub path: EntityPath,
    /// Its unique id, `AROA...`.
    pub id: String,
    /// `arn:aws:iam::A:role/path/name`.
    pub arn: Arn,
    /// When it was made.
    pub created: Timestamp,
    /// What it is for.
    pub description: String,
    /// How long a session of it may last at most, in seconds; 3,600 to 43,200.
    pub max_session_seconds: u32,
    /// Who may assume it.
    pub trust: Arc<Policy>,
}

/// What a role is made of.
#[derive(Clone, Debug)]
pub struct NewRole {
    /// Its name.
    pub name: EntityName,
    /// Its path.
    pub path: EntityPath,
    /// The document that says who may assume it.
    pub trust_policy: String,
    /// Up to 1,000 characters.
    pub description: String,
    /// Seconds, 3,600 to 43,200.
    pub max_session_seconds: u32,
}

impl NewRole {
    /// A role at the path `/` whose sessions last an hour at most.
    pub fn new(name: EntityName, trust_policy: impl Into<String>) -> Self {
        let trust_policy = trust_policy.into();
        Self { name, path: EntityPath::default(), trust_policy, description: String::new(), max_session_seconds: 3600 }
    }
}

impl From<&state::Role> for Role {
    fn from(entry: &state::Role) -> Self {
        let record = &entry.record;
        Self {
            account: record.account,
            name: record.name.clone(),
            path: record.path.clone(),
            id: record.id.clone(),
            arn: entity_arn(record.account, "role", &record.path, &record.name),
            created: record.created,
            description: record.description.clone(),
            max_session_seconds: record.max_session,
            trust: entry.trust.clone(),
        }
    }
}

impl Directory {
    /// Makes a role. It may do nothing until a policy says so.
    pub async fn create_role(&self, account: AccountId, role: NewRole) -> Result<Role, DirectoryError> {
        let trust = Policy::parse(&role.trust_policy, PolicyKind::Trust)?;
        check_max_session(role.max_session_seconds)?;
        check_range("length of the description", role.description.chars().count() as u64, 0, MAX_DESCRIPTION as u64)?;
        let created = self.now();
        let id = unique_id("AROA", 17)?;
        self.change(move |_, state| {
            require_account(state, account)?;
            if state.role(account, &role.name).is_some() {
                return Err(exists("role", role.name));
            }
            if state.roles_of(account).count() >= MAX_ROLES {
                let of = format!("account {account}");
                return Err(DirectoryError::Limit { what: "roles", of, limit: MAX_ROLES });
            }
            let key = role_key(account, &role.name);
            let arn = entity_arn(account, "role", &role.path, &role.name);
            let trusted = state.ids_of(&trust);
            let trust = Arc::new(trust.pinned(&trusted));
            let record = RoleRecord {
                account,
                name: role.name.clone(),
                path: role.path.clone(),
                id: id.clone(),
                created,
                description: role.description.clone(),
                max_session: role.max_session_seconds,
                trust: role.trust_policy,
                trusted,
                policies: Default::default(),
            };
            let write = Write::json(key.clone(), &record)?;
            let expect = vec![Expect::Exists(account_key(account)), Expect::Absent(key)];
            let answer = Role {
                account,
                name: role.name,
                path: role.path,
                id,
                arn,
                created,
                description: role.description,
                max_session_seconds: role.max_session_seconds,
                trust,
            };
            Ok(Change { expect, writes: vec![write], answer })
        })
        .await
    }

    /// Deletes a role that has no inline policies. Its sessions end at once.
    pub async fn delete_role(&self, account: AccountId, name: EntityName) -> Result<(), DirectoryError> {
        self.change(move |_, state| {
            let role = find(state, account, &name)?;
            if let Some(has) = role.record.policies.blocker() {
                return Err(DirectoryError::InUse { what: "role", name: name.to_string(), has });
            }
            let (expect, write) = (role.unchanged(), Write::Delete(role.key.clone()));
            Ok(Change { expect: vec![expect], writes: vec![write], answer: () })
        })
        .await
    }

    /// Returns the roles of an account by name.
    pub fn list_roles(&self, account: AccountId) -> Result<Vec<Role>, DirectoryError> {
        let state = self.inner.state.read();
        require_account(&state, account)?;
        Ok(state.roles_of(account).map(Role::from).collect())
    }

    /// Returns one role.
    pub fn role(&self, account: AccountId, name: &EntityName) -> Option<Role> {
        self.inner.state.read().role(account, name).map(Role::from)
    }

    /// Returns the role with this ARN, path included.
    pub fn role_by_arn(&self, arn: &Arn) -> Option<Role> {
        let (_, name) = arn.resource().strip_prefix("role/").map(|rest| rest.rsplit_once('/').unwrap_or(("", rest)))?;
        let role = self.role(arn.account_id()?, &name.parse().ok()?)?;
        (role.arn == *arn).then_some(role)
    }

    /// Replaces the trust policy of a role. Sessions that exist stay.
    ///
    /// Users and roles that the policy names by ARN are remembered by their unique ids: if one is deleted and another
    /// of the same name is made, put the policy again to trust the new one.
    pub async fn update_trust_policy(
        &self,
        account: AccountId,
        name: EntityName,
        text: String,
    ) -> Result<(), DirectoryError> {
        let trust = Policy::parse(&text, PolicyKind::Trust)?;
        self.edit_role(account, name, move |state, record| {
            record.trusted = state.ids_of(&trust);
            record.trust = text;
            Ok(())
        })
        .await
    }

    /// Sets how long sessions of a role may last, in seconds. Sessions that exist stay.
    pub async fn update_max_session(
        &self,
        account: AccountId,
        name: EntityName,
        seconds: u32,
    ) -> Result<(), DirectoryError> {
        check_max_session(seconds)?;
        self.edit_role(account, name, move |_, record| {
            record.max_session = seconds;
            Ok(())
        })
        .await
    }

    pub(super) async fn edit_role(
        &self,
        account: AccountId,
        name: EntityName,
        edit: impl FnOnce(&State, &mut RoleRecord) -> Result<(), DirectoryError> + Send + 'static,
    ) -> Result<(), DirectoryError> {
        self.change(move |_, state| {
            let role = find(state, account, &name)?;
            let mut record = role.record.clone();
            edit(state, &mut record)?;
            let write = Write::json(role.key.clone(), &record)?;
            Ok(Change { expect: vec![role.unchanged()], writes: vec![write], answer: () })
        })
        .await
    }
}

pub(super) fn find<'a>(
    state: &'a State,
    account: AccountId,
    name: &EntityName,
) -> Result<&'a state::Role, DirectoryError> {
    state.role(account, name).ok_or_else(|| not_found("role", name))
}

fn check_max_session(seconds: u32) -> Result<(), DirectoryError> {
    check_range("maximum session duration in seconds", u64::from(seconds), 3600, 43_200)
}

fn check_range(what: &'static str, actual: u64, least: u64, most: u64) -> Result<(), DirectoryError> {
    if (least..=most).contains(&actual) { Ok(()) } else { Err(DirectoryError::Range { what, actual, least, most }) }
}
