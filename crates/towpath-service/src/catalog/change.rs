//! A change of the catalog before it is committed.

use std::sync::Arc;

use towpath_iam::Policy;
use towpath_meta::{MetaError, Write};
use towpath_model::{Channel, EventDataStore, Organization, OrganizationId, StoreId, Trail, TrailId};
use uuid::Uuid;

use super::keys;
use super::policy_record::PolicyRecord;
use super::state::{CatalogState, Tag};

/// Edits that become durable and visible together.
#[derive(Default)]
pub struct Change {
    edits: Vec<Edit>,
}

enum Edit {
    PutStore(EventDataStore),
    DeleteStore(StoreId),
    PutChannel(Channel),
    DeleteChannel(Uuid),
    PutTrail(Box<Trail>),
    DeleteTrail(TrailId),
    PutOrganization(Organization),
    DeleteOrganization(OrganizationId),
    PutTags(String, Vec<Tag>),
    PutPolicy(String, Policy),
    DeletePolicy(String),
}

impl Change {
    /// Adds or replaces a store.
    pub fn put_store(&mut self, store: EventDataStore) {
        self.edits.push(Edit::PutStore(store));
    }

    /// Removes a store with its tags and policy.
    pub fn delete_store(&mut self, store: &EventDataStore) {
        self.forget(store.arn().as_str());
        self.edits.push(Edit::DeleteStore(store.id));
    }

    /// Adds or replaces a channel.
    pub fn put_channel(&mut self, channel: Channel) {
        self.edits.push(Edit::PutChannel(channel));
    }

    /// Removes a channel with its tags and policy.
    pub fn delete_channel(&mut self, channel: &Channel) {
        self.forget(channel.arn().as_str());
        self.edits.push(Edit::DeleteChannel(channel.id));
    }

    /// Adds or replaces a trail.
    pub fn put_trail(&mut self, trail: Trail) {
        self.edits.push(Edit::PutTrail(Box::new(trail)));
    }

    /// Removes a trail with its tags.
    pub fn delete_trail(&mut self, trail: &Trail) {
        self.put_tags(trail.arn().as_str(), Vec::new());
        self.edits.push(Edit::DeleteTrail(trail.id));
    }

    /// Adds or replaces an organization.
    pub fn put_organization(&mut self, organization: Organization) {
        self.edits.push(Edit::PutOrganization(organization));
    }

    /// Removes an organization.
    pub fn delete_organization(&mut self, id: &OrganizationId) {
        self.edits.push(Edit::DeleteOrganization(id.clone()));
    }

    /// Sets the tags of a resource; none removes the record.
    pub fn put_tags(&mut self, arn: &str, tags: Vec<Tag>) {
        self.edits.push(Edit::PutTags(arn.to_owned(), tags));
    }

    /// Sets the policy of a resource.
    pub fn put_policy(&mut self, arn: &str, policy: Policy) {
        self.edits.push(Edit::PutPolicy(arn.to_owned(), policy));
    }

    /// Removes the policy of a resource.
    pub fn delete_policy(&mut self, arn: &str) {
        self.edits.push(Edit::DeletePolicy(arn.to_owned()));
    }

    fn forget(&mut self, arn: &str) {
        self.put_tags(arn, Vec::new());
        self.delete_policy(arn);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    pub(super) fn writes(&self) -> Result<Vec<Write>, MetaError> {
        self.edits
            .iter()
            .map(|edit| match edit {
                Edit::PutStore(store) => Write::json(keys::record(keys::STORES, &store.id.to_string()), store),
                Edit::DeleteStore(id) => Ok(Write::Delete(keys::record(keys::STORES, &id.to_string()))),
                Edit::PutChannel(channel) => {
                    Write::json(keys::record(keys::CHANNELS, &channel.id.to_string()), channel)
                }
                Edit::DeleteChannel(id) => Ok(Write::Delete(keys::record(keys::CHANNELS, &id.to_string()))),
                Edit::PutTrail(trail) => Write::json(keys::record(keys::TRAILS, &trail.id.to_string()), trail),
                Edit::DeleteTrail(id) => Ok(Write::Delete(keys::record(keys::TRAILS, &id.to_string()))),
                Edit::PutOrganization(organization) => {
                    Write::json(keys::record(keys::ORGANIZATIONS, organization.id.as_str()), organization)
                }
                Edit::DeleteOrganization(id) => Ok(Write::Delete(keys::record(keys::ORGANIZATIONS, id.as_str()))),
                Edit::PutTags(arn, tags) if tags.is_empty() => Ok(Write::Delete(keys::record(keys::TAGS, arn))),
                Edit::PutTags(arn, tags) => Write::json(keys::record(keys::TAGS, arn), tags),
                Edit::PutPolicy(arn, policy) => {
                    Write::json(keys::record(keys::POLICIES, arn), &PolicyRecord::of(policy))
                }
                Edit::DeletePolicy(arn) => Ok(Write::Delete(keys::record(keys::POLICIES, arn))),
            })
            .collect()
    }

    pub(super) fn applied_to(self, state: &CatalogState) -> CatalogState {
        let mut next = state.clone();
        for edit in self.edits {
            match edit {
                Edit::PutStore(store) => {
                    next.stores.insert(store.id, Arc::new(store));
                }
                Edit::DeleteStore(id) => {
                    next.stores.remove(&id);
                }
                Edit::PutChannel(channel) => {
                    next.channels.insert(channel.id, Arc::new(channel));
                }
                Edit::DeleteChannel(id) => {
                    next.channels.remove(&id);
                }
                Edit::PutTrail(trail) => {
                    next.trails.insert(trail.id, Arc::from(trail));
                }
                Edit::DeleteTrail(id) => {
                    next.trails.remove(&id);
                }
                Edit::PutOrganization(organization) => {
                    next.organizations.insert(organization.id.clone(), Arc::new(organization));
                }
                Edit::DeleteOrganization(id) => {
                    next.organizations.remove(&id);
                }
                Edit::PutTags(arn, tags) if tags.is_empty() => {
                    next.tags.remove(&arn);
                }
                Edit::PutTags(arn, tags) => {
                    next.tags.insert(arn, Arc::new(tags));
                }
                Edit::PutPolicy(arn, policy) => {
                    next.policies.insert(arn, Arc::new(policy));
                }
                Edit::DeletePolicy(arn) => {
                    next.policies.remove(&arn);
                }
            }
        }
        next.derive();
        next
    }
}
