//! Identity and kind of an event data store.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{AccountId, Category};

/// The UUID of an event data store; also its table name in SQL and the last part of its ARN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StoreId(Uuid);

// Namespace of the ids of built-in stores; any constant would do, and it may never change.
const HISTORY_NAMESPACE: Uuid = Uuid::from_u128(0x7f6d_1c52_0f0b_4b7e_9c3d_2a51_8e44_00a1);

impl StoreId {
    /// Makes a new random id.
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// The id of the built-in store that holds the event history of `account`.
    ///
    /// It is derived from the account, so that every part of the system finds it without asking.
    pub fn history_of(account: AccountId) -> Self {
        Self(Uuid::new_v5(&HISTORY_NAMESPACE, account.as_str().as_bytes()))
    }

    /// The id with these bytes.
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The UUID.
    pub const fn uuid(self) -> Uuid {
        self.0
    }
}

impl FromStr for StoreId {
    type Err = uuid::Error;

    /// Parses the hyphenated form in either case; other forms of UUID are refused.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() != 36 {
            // Parsing what cannot be a UUID yields the error to return.
            return Uuid::parse_str("").map(Self);
        }
        Uuid::parse_str(text).map(Self)
    }
}

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// What a store holds. A kind has one table schema and is fixed for life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum StoreKind {
    /// Management, data and network activity events.
    CloudTrail,
    /// Insights events.
    Insight,
    /// AWS Config configuration items.
    ConfigurationItem,
    /// AWS Audit Manager evidence.
    Evidence,
    /// Events from integrations, sent with PutAuditEvents.
    Activity,
    /// The built-in event history of an account: the schema of [`StoreKind::CloudTrail`] and lookup columns.
    History,
}

impl StoreKind {
    /// Every kind, in the order of their declaration.
    pub const ALL: [Self; 6] =
        [Self::CloudTrail, Self::Insight, Self::ConfigurationItem, Self::Evidence, Self::Activity, Self::History];

    /// The kind of store that holds events of `category`.
    pub const fn of(category: Category) -> Self {
        match category {
            Category::Management | Category::Data | Category::NetworkActivity => Self::CloudTrail,
            Category::Insight => Self::Insight,
            Category::ConfigurationItem => Self::ConfigurationItem,
            Category::Evidence => Self::Evidence,
            Category::ActivityAuditLog => Self::Activity,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_id_is_a_hyphenated_uuid() {
        let text = "5e2676f8-9fce-46ef-8142-3e36a94e6691";
        assert_eq!(text.to_uppercase().parse::<StoreId>().unwrap().to_string(), text);
        assert!("5e2676f89fce46ef81423e36a94e6691".parse::<StoreId>().is_err());
        assert!("".parse::<StoreId>().is_err());
    }

    #[test]
    fn each_account_has_its_own_history() {
        let [a, b] = ["000000000000", "000000000001"].map(|text| StoreId::history_of(text.parse().unwrap()));
        assert_ne!(a, b);
        assert_eq!(a, StoreId::history_of("000000000000".parse().unwrap()));
    }
}
