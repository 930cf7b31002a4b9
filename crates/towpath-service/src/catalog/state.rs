//! The catalog as of one moment.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use towpath_iam::Policy;
use towpath_meta::MetaStore;
use towpath_model::{
    AccountId, Channel, Destination, EventDataStore, EventDataStoreStatus, EventFacts, Organization, OrganizationId,
    Region, StoreId, StoreKind, Trail, TrailId,
};
use uuid::Uuid;

use super::policy_record::PolicyRecord;
use super::{CatalogError, keys, read_area};

/// A tag of a resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    /// 1 to 128 characters.
    pub key: String,
    /// 0 to 256 characters; absent is not the same as empty.
    pub value: Option<String>,
}

/// Event data stores, channels, trails, tags, resource policies and organizations as of one moment. Cloning copies
/// references.
#[derive(Clone, Debug, Default)]
pub struct CatalogState {
    pub(super) stores: HashMap<StoreId, Arc<EventDataStore>>,
    pub(super) channels: HashMap<Uuid, Arc<Channel>>,
    pub(super) trails: HashMap<TrailId, Arc<Trail>>,
    pub(super) organizations: HashMap<OrganizationId, Arc<Organization>>,
    pub(super) tags: HashMap<String, Arc<Vec<Tag>>>,
    pub(super) policies: HashMap<String, Arc<Policy>>,

    // Derived: the enabled stores of an account that take live CloudTrail events.
    live: HashMap<AccountId, Vec<Arc<EventDataStore>>>,
    // Derived: the organization of each account, and the trails of each owner, oldest first.
    pub(super) organization_of: HashMap<AccountId, Arc<Organization>>,
    pub(super) trails_of: HashMap<AccountId, Vec<Arc<Trail>>>,
}

impl CatalogState {
    /// The store with this id, whatever its status.
    pub fn store(&self, id: StoreId) -> Option<&Arc<EventDataStore>> {
        self.stores.get(&id)
    }

    /// Every store, in no particular order.
    pub fn all_stores(&self) -> impl Iterator<Item = &Arc<EventDataStore>> {
        self.stores.values()
    }

    /// The stores of an account in a region, those pending deletion included, oldest first.
    pub fn stores_of(&self, account: AccountId, region: &Region) -> Vec<&Arc<EventDataStore>> {
        let mut stores: Vec<_> =
            self.stores.values().filter(|store| store.account == account && store.region == *region).collect();
        stores.sort_by_key(|store| (store.created, store.id));
        stores
    }

    /// The channel with this id.
    pub fn channel(&self, id: Uuid) -> Option<&Arc<Channel>> {
        self.channels.get(&id)
    }

    /// The channels of an account in a region, oldest first.
    pub fn channels_of(&self, account: AccountId, region: &Region) -> Vec<&Arc<Channel>> {
        let mut channels: Vec<_> =
            self.channels.values().filter(|channel| channel.account == account && channel.region == *region).collect();
        channels.sort_by_key(|channel| (channel.created, channel.id));
        channels
    }

    /// The channels that send into a store.
    pub fn channels_into(&self, store: StoreId) -> impl Iterator<Item = &Arc<Channel>> {
        self.channels.values().filter(move |channel| channel.destinations.contains(&store))
    }

    /// The tags of a resource, in the order they were added.
    pub fn tags(&self, arn: &str) -> &[Tag] {
        self.tags.get(arn).map_or(&[], |tags| tags.as_slice())
    }

    /// The resource policy of a resource.
    pub fn policy(&self, arn: &str) -> Option<&Arc<Policy>> {
        self.policies.get(arn)
    }

    /// Where a live event of an account goes: the stores whose selectors want it, and the account's event history if it
    /// is a management event.
    pub fn route(&self, account: AccountId, region: &Region, facts: &EventFacts<'_>) -> SmallVec<[Destination; 2]> {
        let mut destinations = SmallVec::new();
        if facts.category == "Management" {
            destinations.push(Destination { store: StoreId::history_of(account), kind: StoreKind::History });
        }
        let live = |account: &AccountId| self.live.get(account).map_or(&[] as &[_], Vec::as_slice);
        for store in live(&account) {
            if store.wants(account, region, facts) {
                destinations.push(Destination { store: store.id, kind: store.kind });
            }
        }
        // The organization stores of the management account take the events of members as if they were its own.
        if let Some(management) = self.organization(account).map(|o| o.management).filter(|owner| *owner != account) {
            for store in live(&management).iter().filter(|store| store.organization) {
                if store.wants(management, region, facts) {
                    destinations.push(Destination { store: store.id, kind: store.kind });
                }
            }
        }
        destinations
    }

    pub(super) fn derive(&mut self) {
        self.live.clear();
        for store in self.stores.values() {
            if store.kind == StoreKind::CloudTrail && store.status == EventDataStoreStatus::Enabled {
                self.live.entry(store.account).or_default().push(Arc::clone(store));
            }
        }
        self.derive_trails();
    }
}

pub(super) async fn read(meta: &dyn MetaStore) -> Result<CatalogState, CatalogError> {
    let mut state = CatalogState::default();
    let unreadable = |cause| CatalogError::Meta { doing: "read", cause };
    for record in read_area(meta, keys::STORES).await? {
        let store: EventDataStore = record.decode().map_err(unreadable)?.value;
        state.stores.insert(store.id, Arc::new(store));
    }
    for record in read_area(meta, keys::CHANNELS).await? {
        let channel: Channel = record.decode().map_err(unreadable)?.value;
        state.channels.insert(channel.id, Arc::new(channel));
    }
    for record in read_area(meta, keys::TRAILS).await? {
        let trail: Trail = record.decode().map_err(unreadable)?.value;
        state.trails.insert(trail.id, Arc::new(trail));
    }
    for record in read_area(meta, keys::ORGANIZATIONS).await? {
        let organization: Organization = record.decode().map_err(unreadable)?.value;
        state.organizations.insert(organization.id.clone(), Arc::new(organization));
    }
    for record in read_area(meta, keys::TAGS).await? {
        let arn = record.key.last_part().into_owned();
        state.tags.insert(arn, Arc::new(record.decode().map_err(unreadable)?.value));
    }
    for record in read_area(meta, keys::POLICIES).await? {
        let arn = record.key.last_part().into_owned();
        let stored: PolicyRecord = record.decode().map_err(unreadable)?.value;
        state.policies.insert(arn, Arc::new(stored.policy()));
    }
    state.derive();
    Ok(state)
}
