//! Inline policies: documents that belong to one user or role and go with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::DirectoryError;
use crate::{Policy, PolicyKind, PolicyName};

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
