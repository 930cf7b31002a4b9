//! Inline policies: documents that belong to one user or role and go with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use towpath_model::AccountId;

use super::{Directory, DirectoryError, not_found, roles, users};
use crate::{EntityName, Policy, PolicyKind, PolicyName};

/// Whose inline policies are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyHolder {
    /// A user, by name.
    User(EntityName),
    /// A role, by name.
    Role(EntityName),
}

impl Directory {
    /// Sets an inline policy. All of a user may have 2,048 characters together and all of a role 10,240, white space not
    /// counted.
    pub async fn put_inline_policy(
        &self,
        account: AccountId,
        holder: PolicyHolder,
        policy: PolicyName,
        text: String,
    ) -> Result<(), DirectoryError> {
        let put = move |policies: &mut InlinePolicies, kind, of: String| policies.put(policy, &text, kind, &of);
        self.edit_inline_policies(account, holder, put).await
    }

    /// Removes an inline policy.
    pub async fn delete_inline_policy(
        &self,
        account: AccountId,
        holder: PolicyHolder,
        policy: PolicyName,
    ) -> Result<(), DirectoryError> {
        let remove = move |policies: &mut InlinePolicies, _, _| match policies.remove(&policy) {
            true => Ok(()),
            false => Err(not_found("policy", policy)),
        };
        self.edit_inline_policies(account, holder, remove).await
    }

    /// Returns the document of an inline policy.
    pub fn inline_policy(
        &self,
        account: AccountId,
        holder: &PolicyHolder,
        policy: &PolicyName,
    ) -> Result<String, DirectoryError> {
        let text =
            self.read_inline_policies(account, holder, |policies| policies.get(policy).map(ToOwned::to_owned))?;
        text.ok_or_else(|| not_found("policy", policy))
    }

    /// Returns the names of inline policies.
    pub fn list_inline_policies(
        &self,
        account: AccountId,
        holder: &PolicyHolder,
    ) -> Result<Vec<PolicyName>, DirectoryError> {
        self.read_inline_policies(account, holder, InlinePolicies::names)
    }

    fn read_inline_policies<T>(
        &self,
        account: AccountId,
        holder: &PolicyHolder,
        read: impl FnOnce(&InlinePolicies) -> T,
    ) -> Result<T, DirectoryError> {
        let state = self.inner.state.read();
        Ok(read(match holder {
            PolicyHolder::User(name) => &users::find(&state, account, name)?.record.policies,
            PolicyHolder::Role(name) => &roles::find(&state, account, name)?.record.policies,
        }))
    }

    /// Changes inline policies; `edit` is told their kind and whose they are.
    async fn edit_inline_policies(
        &self,
        account: AccountId,
        holder: PolicyHolder,
        edit: impl FnOnce(&mut InlinePolicies, PolicyKind, String) -> Result<(), DirectoryError> + Send + 'static,
    ) -> Result<(), DirectoryError> {
        match holder {
            PolicyHolder::User(name) => {
                let of = format!("user {name}");
                self.edit_user(account, name, |record| edit(&mut record.policies, PolicyKind::User, of)).await
            }
            PolicyHolder::Role(name) => {
                let of = format!("role {name}");
                self.edit_role(account, name, |_, record| edit(&mut record.policies, PolicyKind::Role, of)).await
            }
        }
    }
}

/// The inline policies of one identity, by name, as texts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct InlinePolicies(BTreeMap<PolicyName, String>);

impl InlinePolicies {
    /// Sets a policy after checking the document and the length of all together. `of` names the identity in messages.
    pub(super) fn put(
        &mut self,
        name: PolicyName,
        text: &str,
        kind: PolicyKind,
        of: &str,
    ) -> Result<(), DirectoryError> {
        Policy::parse(text, kind)?;
        let others = self.0.iter().filter(|(other, _)| **other != name).map(|(_, text)| kind.measure(text));
        let actual = others.sum::<usize>() + kind.measure(text);
        if actual > kind.limit() {
            return Err(DirectoryError::PolicySize { of: of.to_owned(), actual, limit: kind.limit() });
        }
        self.0.insert(name, text.to_owned());
        Ok(())
    }

    /// Removes a policy; false when there was none.
    pub(super) fn remove(&mut self, name: &PolicyName) -> bool {
        self.0.remove(name).is_some()
    }

    pub(super) fn get(&self, name: &PolicyName) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(super) fn names(&self) -> Vec<PolicyName> {
        self.0.keys().cloned().collect()
    }

    /// Says what stands in the way of deleting the identity, if anything.
    pub(super) fn blocker(&self) -> Option<String> {
        self.0.keys().next().map(|name| format!("inline policy {name}"))
    }

    /// Reads all documents for evaluation.
    pub(super) fn compile(&self, kind: PolicyKind) -> Arc<[Arc<Policy>]> {
        self.0.values().map(|text| Arc::new(Policy::from_stored(text, kind))).collect()
    }
}
