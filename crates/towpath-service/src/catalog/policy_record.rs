//! A resource policy as it is stored: the document, and whom it was about when it was put.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use towpath_iam::{Policy, PolicyKind};

/// The record of a resource policy.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum PolicyRecord {
    /// With the unique ids of the users and roles that the document names, by ARN.
    Pinned { document: String, principals: BTreeMap<String, String> },
    /// The form of the first data directories, without ids: the document is about whoever has the name.
    Document(String),
}

impl PolicyRecord {
    pub(super) fn of(policy: &Policy) -> Self {
        Self::Pinned { document: policy.text().to_owned(), principals: policy.pins() }
    }

    pub(super) fn policy(&self) -> Policy {
        match self {
            Self::Pinned { document, principals } => {
                Policy::from_stored(document, PolicyKind::Resource).pinned(principals)
            }
            Self::Document(document) => Policy::from_stored(document, PolicyKind::Resource),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: &str = "arn:aws:iam::111111111111:user/jane";

    #[test]
    fn a_policy_is_the_same_after_it_was_stored_in_either_form() {
        let text = format!(
            r#"{{"Statement":{{"Effect":"Allow","Principal":{{"AWS":"{USER}"}},"Action":"a:b","Resource":"*"}}}}"#
        );
        let policy = Policy::parse(&text, PolicyKind::Resource).unwrap();
        let pinned = policy.clone().pinned(&[(USER.to_owned(), "AIDAJANE".to_owned())].into());
        for (policy, ids) in [(&policy, 0), (&pinned, 1)] {
            let stored = serde_json::to_string(&PolicyRecord::of(policy)).unwrap();
            let read: PolicyRecord = serde_json::from_str(&stored).unwrap();
            assert_eq!((read.policy(), read.policy().pins().len()), (policy.clone(), ids));
        }
        let old: PolicyRecord = serde_json::from_str(&serde_json::to_string(&text).unwrap()).unwrap();
        assert_eq!(old.policy(), policy);
    }
}
