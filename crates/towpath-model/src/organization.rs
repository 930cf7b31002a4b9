//! Organizations: one management account, its members, and who may act for it.

use std::collections::BTreeMap;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::AccountId;
use crate::text::is_a_text;

/// An organization of accounts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Organization {
    /// Part of the keys of its trails' log files.
    pub id: OrganizationId,
    /// The account that owns its trails and event data stores.
    pub management: AccountId,
    /// The other accounts.
    pub members: BTreeMap<AccountId, Member>,
    /// What members share.
    pub feature_set: FeatureSet,
    /// Trusted access: CloudTrail may work in the accounts of the organization.
    pub trusted_access: bool,
    /// When it was made.
    pub created: Timestamp,
}

/// A member of an organization other than the management account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// When it joined.
    pub joined: Timestamp,
    /// It may manage the organization's trails on behalf of the management account.
    #[serde(default)]
    pub delegated_administrator: bool,
}

/// What the members of an organization share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FeatureSet {
    /// Everything; what trails of the organization need.
    #[default]
    All,
    /// Bills alone.
    ConsolidatedBilling,
}

/// What an account is in its organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrganizationRole {
    /// The management account.
    Management,
    /// A delegated administrator of CloudTrail.
    DelegatedAdministrator,
    /// Any other member.
    Member,
}

/// Delegated administrators of CloudTrail per organization.
pub const MAX_DELEGATED_ADMINISTRATORS: usize = 3;

impl Organization {
    /// What `account` is in the organization; none if it does not belong to it.
    pub fn role_of(&self, account: AccountId) -> Option<OrganizationRole> {
        if account == self.management {
            return Some(OrganizationRole::Management);
        }
        self.members.get(&account).map(|member| {
            if member.delegated_administrator {
                OrganizationRole::DelegatedAdministrator
            } else {
                OrganizationRole::Member
            }
        })
    }

    /// All its accounts, the management account first.
    pub fn accounts(&self) -> impl Iterator<Item = AccountId> {
        std::iter::once(self.management).chain(self.members.keys().copied())
    }

    /// How many delegated administrators it has.
    pub fn delegated_administrators(&self) -> usize {
        self.members.values().filter(|member| member.delegated_administrator).count()
    }
}

impl FeatureSet {
    /// The text on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "ALL",
            Self::ConsolidatedBilling => "CONSOLIDATED_BILLING",
        }
    }
}

/// The id of an organization: `o-` and 10 to 32 lower-case letters and digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrganizationId(String);

/// The text is not the id of an organization.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an organization id is o- and 10 to 32 lower-case letters and digits")]
pub struct OrganizationIdError;

impl OrganizationId {
    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id made of these bits: `o-` and ten letters and digits.
    pub fn from_bits(mut bits: u64) -> Self {
        const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
        let mut text = String::from("o-");
        for _ in 0..10 {
            text.push(char::from(LETTERS[(bits % 36) as usize]));
            bits /= 36;
        }
        Self(text)
    }
}

impl FromStr for OrganizationId {
    type Err = OrganizationIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = text.strip_prefix("o-").ok_or(OrganizationIdError)?;
        let plain = rest.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if plain && (10..=32).contains(&rest.len()) { Ok(Self(text.to_owned())) } else { Err(OrganizationIdError) }
    }
}

is_a_text!(OrganizationId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_what_it_was_made_in_its_organization() {
        let account = |digit: u64| format!("{digit:012}").parse::<AccountId>().unwrap();
        let joined = "2026-01-01T00:00:00Z".parse().unwrap();
        let member = |delegated_administrator| Member { joined, delegated_administrator };
        let organization = Organization {
            id: OrganizationId::from_bits(7),
            management: account(1),
            members: BTreeMap::from([(account(2), member(true)), (account(3), member(false))]),
            feature_set: FeatureSet::All,
            trusted_access: true,
            created: joined,
        };
        let roles = [1, 2, 3, 4].map(|digit| organization.role_of(account(digit)));
        use OrganizationRole::{DelegatedAdministrator, Management, Member as Plain};
        assert_eq!(roles, [Some(Management), Some(DelegatedAdministrator), Some(Plain), None]);
        assert_eq!(organization.accounts().collect::<Vec<_>>(), [1, 2, 3].map(account));
        assert_eq!(organization.delegated_administrators(), 1);
        let text = serde_json::to_string(&organization).unwrap();
        assert_eq!(serde_json::from_str::<Organization>(&text).unwrap(), organization);
    }

    #[test]
    fn ids_made_of_bits_are_ids() {
        for bits in [0, 1, u64::MAX] {
            let id = OrganizationId::from_bits(bits);
            assert_eq!(id.as_str().parse::<OrganizationId>(), Ok(id));
        }
        for text in ["", "o-", "o-short", "r-abcdefghij", "o-ABCDEFGHIJ"] {
            assert_eq!(text.parse::<OrganizationId>(), Err(OrganizationIdError));
        }
    }
}
