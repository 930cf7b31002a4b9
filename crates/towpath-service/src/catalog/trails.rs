//! Trails and organizations of the catalog: who sees which trail, and which trails want an event.
//!
//! A trail exists once, in its home region. That it is seen in other regions (a multi-region trail) and in member
//! accounts (an organization trail) follows from its record: there are no copies that could differ. Every region exists
//! for every account, so a multi-region trail is seen in whatever region is asked.

use std::sync::Arc;

use smallvec::SmallVec;
use towpath_model::{
    AccountId, EventFacts, Organization, OrganizationId, OrganizationRole, Region, Trail, TrailId, TrailName,
};
use towpath_trail::TrailSource;

use super::Catalog;
use super::state::CatalogState;

impl TrailSource for Catalog {
    fn trails(&self) -> Vec<Arc<Trail>> {
        self.state().all_trails().cloned().collect()
    }
}

impl CatalogState {
    /// Every trail, once, in no particular order.
    pub fn all_trails(&self) -> impl Iterator<Item = &Arc<Trail>> {
        self.trails.values()
    }

    /// The trail with this id.
    pub fn trail(&self, id: TrailId) -> Option<&Arc<Trail>> {
        self.trails.get(&id)
    }

    /// The trails that an account owns, in all home regions, oldest first.
    pub fn trails_of(&self, account: AccountId) -> &[Arc<Trail>] {
        self.trails_of.get(&account).map_or(&[], Vec::as_slice)
    }

    /// The trails that an account sees, its own and then those of its organization, in all home regions.
    pub fn trails_seen_by(&self, account: AccountId) -> impl Iterator<Item = &Arc<Trail>> {
        let of_organization = self.organization(account).filter(|organization| organization.management != account);
        let shared = of_organization.map_or(&[] as &[_], |organization| self.trails_of(organization.management));
        let shared = shared.iter().filter(move |trail| {
            trail.organization.is_some() && trail.organization.as_ref() == of_organization.map(|o| &o.id)
        });
        self.trails_of(account).iter().chain(shared)
    }

    /// The trails that an account sees in a region: those whose home it is, and shadows of multi-region trails.
    pub fn trails_in(&self, account: AccountId, region: &Region) -> impl Iterator<Item = &Arc<Trail>> {
        self.trails_seen_by(account).filter(move |trail| trail.multi_region || trail.home_region == *region)
    }

    /// The trail with this owner, home region and name.
    pub fn trail_named(&self, account: AccountId, home_region: &Region, name: &TrailName) -> Option<&Arc<Trail>> {
        self.trails_of(account).iter().find(|trail| trail.home_region == *home_region && trail.name == *name)
    }

    /// The trails that want a live event of an account, when it is admitted.
    pub fn trails_for(&self, account: AccountId, region: &Region, facts: &EventFacts<'_>) -> SmallVec<[TrailId; 1]> {
        let organization = self.organization(account).map(|organization| &organization.id);
        let seen = self.trails_seen_by(account);
        seen.filter(|trail| trail.wants(account, organization, region, facts)).map(|trail| trail.id).collect()
    }

    /// The organization that an account belongs to.
    pub fn organization(&self, account: AccountId) -> Option<&Arc<Organization>> {
        self.organization_of.get(&account)
    }

    /// The organization with this id.
    pub fn organization_with(&self, id: &OrganizationId) -> Option<&Arc<Organization>> {
        self.organizations.get(id)
    }

    /// Every organization, by id.
    pub fn all_organizations(&self) -> Vec<&Arc<Organization>> {
        let mut all: Vec<_> = self.organizations.values().collect();
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all
    }

    /// True when an account may change a trail: its own, or one of its organization as delegated administrator.
    pub fn may_change(&self, account: AccountId, trail: &Trail) -> bool {
        let role = || self.organization(account).filter(|o| trail.organization.as_ref() == Some(&o.id));
        account == trail.account
            || role().and_then(|organization| organization.role_of(account))
                == Some(OrganizationRole::DelegatedAdministrator)
    }

    pub(super) fn derive_trails(&mut self) {
        self.organization_of.clear();
        for organization in self.organizations.values() {
            for account in organization.accounts() {
                self.organization_of.insert(account, Arc::clone(organization));
            }
        }
        self.trails_of.clear();
        for trail in self.trails.values() {
            self.trails_of.entry(trail.account).or_default().push(Arc::clone(trail));
        }
        for trails in self.trails_of.values_mut() {
            trails.sort_by_key(|trail| (trail.created, trail.id));
        }
    }
}
