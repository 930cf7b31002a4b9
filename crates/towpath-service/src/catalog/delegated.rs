//! Delegated administrators: the organization's event data stores, owned by the management account, that they use as
//! their own.
//!
//! What they may do is what CloudTrail's user guide lists for them: all but converting a store between the organization
//! and one account, importing into it, and managing its resource policy and event configuration.

use std::sync::Arc;

use serde_json::json;
use towpath_model::{AccountId, Arn, EventDataStore, Organization, OrganizationRole, Region, StoreId};

use super::state::CatalogState;

/// The actions that a delegated administrator may take on a store of its organization.
const ACTIONS: [&str; 15] = [
    "AddTags",
    "CancelQuery",
    "DeleteEventDataStore",
    "DescribeQuery",
    "GetEventConfiguration",
    "GetEventDataStore",
    "GetQueryResults",
    "ListQueries",
    "ListTags",
    "RemoveTags",
    "RestoreEventDataStore",
    "StartEventDataStoreIngestion",
    "StartQuery",
    "StopEventDataStoreIngestion",
    "UpdateEventDataStore",
];

impl CatalogState {
    /// True when a store is of an organization that the account is a delegated administrator of.
    pub fn is_delegated(&self, account: AccountId, store: &EventDataStore) -> bool {
        store.organization && self.delegating(account).is_some_and(|found| found.management == store.account)
    }

    /// True when the account is a delegated administrator of the organization of a store and may do `action` on it.
    pub fn may_as_delegate(&self, account: AccountId, action: &str, store: &Arn) -> bool {
        let id = store.resource().strip_prefix("eventdatastore/").and_then(|id| id.parse::<StoreId>().ok());
        let found = id.and_then(|id| self.store(id)).filter(|found| found.arn() == *store);
        ACTIONS.contains(&action) && found.is_some_and(|found| self.is_delegated(account, found))
    }

    /// The organization that the account is a delegated administrator of.
    pub fn delegating(&self, account: AccountId) -> Option<&Arc<Organization>> {
        let is_administrator = |organization: &&Arc<Organization>| {
            organization.role_of(account) == Some(OrganizationRole::DelegatedAdministrator)
        };
        self.organization(account).filter(is_administrator)
    }

    /// The stores that a delegated administrator manages in a region, oldest first.
    pub fn delegated_stores(&self, account: AccountId, region: &Region) -> Vec<&Arc<EventDataStore>> {
        let Some(organization) = self.delegating(account) else { return Vec::new() };
        let stores = self.stores_of(organization.management, region).into_iter();
        stores.filter(|store| store.organization).collect()
    }

    /// The policy that is added to a store's own for the delegated administrators; none without any.
    pub fn delegated_policy(&self, store: &EventDataStore) -> Option<String> {
        let organization = self.organization(store.account).filter(|_| store.organization)?;
        let administrators = organization.members.iter().filter(|(_, member)| member.delegated_administrator);
        let principals: Vec<String> =
            administrators.map(|(account, _)| format!("arn:aws:iam::{account}:root")).collect();
        let statement = json!({
            "Sid": "DelegatedAdministrators",
            "Effect": "Allow",
            "Principal": { "AWS": principals },
            "Action": ACTIONS.map(|action| format!("cloudtrail:{action}")),
            "Resource": store.arn().as_str(),
        });
        let policy = json!({ "Version": "2012-10-17", "Statement": [statement] });
        (!principals.is_empty()).then(|| policy.to_string())
    }
}
