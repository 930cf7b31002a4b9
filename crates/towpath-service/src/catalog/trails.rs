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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use towpath_meta::{MemoryMetaStore, MetaStore};
    use towpath_model::{FeatureSet, Member};

    use super::*;
    use crate::catalog::CatalogError;

    const ORGANIZATION: &str = "o-abcdefghij";

    fn account(digit: u64) -> AccountId {
        format!("{digit:012}").parse().unwrap()
    }

    fn region(name: &str) -> Region {
        name.parse().unwrap()
    }

    /// A logging trail of an account with its home in eu-central-1.
    fn trail(owner: u64, name: &str, multi_region: bool, organization: bool) -> Trail {
        let made = "2026-01-01T00:00:00Z".parse().unwrap();
        Trail {
            multi_region,
            organization: organization.then(|| ORGANIZATION.parse().unwrap()),
            logging: true,
            started: Some(made),
            ..Trail::new(account(owner), region("eu-central-1"), name.parse().unwrap(), "bucket".to_owned(), made)
        }
    }

    /// Account 1 manages 2, an administrator, and 3; account 4 is alone.
    fn organization() -> Organization {
        let joined = "2026-01-01T00:00:00Z".parse().unwrap();
        let member = |delegated_administrator| Member { joined, delegated_administrator };
        Organization {
            id: ORGANIZATION.parse().unwrap(),
            management: account(1),
            members: BTreeMap::from([(account(2), member(true)), (account(3), member(false))]),
            feature_set: FeatureSet::All,
            trusted_access: true,
            created: joined,
        }
    }

    async fn catalog(trails: &[&Trail]) -> (Arc<dyn MetaStore>, Catalog) {
        let meta: Arc<dyn MetaStore> = Arc::new(MemoryMetaStore::new());
        let catalog = Catalog::open(meta.clone()).await.unwrap();
        let changed = catalog.change(|_, change| {
            trails.iter().for_each(|trail| change.put_trail(Trail::clone(trail)));
            change.put_organization(organization());
            Ok::<_, CatalogError>(())
        });
        changed.await.unwrap();
        (meta, catalog)
    }

    fn names<'a>(trails: impl Iterator<Item = &'a Arc<Trail>>) -> Vec<&'a str> {
        let mut names: Vec<_> = trails.map(|trail| trail.name.as_str()).collect();
        names.sort_unstable();
        names
    }

    #[tokio::test]
    async fn members_see_the_trails_of_their_organization_and_strangers_do_not() {
        let (own, shared) = (trail(1, "own", false, false), trail(1, "shared", false, true));
        let (_, catalog) = catalog(&[&own, &shared]).await;
        let state = catalog.state();
        assert_eq!(names(state.trails_seen_by(account(1))), ["own", "shared"]);
        for member in [2, 3] {
            assert_eq!(names(state.trails_seen_by(account(member))), ["shared"]);
        }
        assert!(names(state.trails_seen_by(account(4))).is_empty());
        let may_change = [1, 2, 3, 4].map(|digit| state.may_change(account(digit), &shared));
        assert_eq!(may_change, [true, true, false, false]);
        assert!(!state.may_change(account(2), &own));
    }

    #[tokio::test]
    async fn a_multi_region_trail_is_seen_in_every_region_and_another_at_home() {
        let (multi, single) = (trail(4, "multi", true, false), trail(4, "single", false, false));
        let (_, catalog) = catalog(&[&multi, &single]).await;
        let state = catalog.state();
        assert_eq!(names(state.trails_in(account(4), &region("eu-central-1"))), ["multi", "single"]);
        assert_eq!(names(state.trails_in(account(4), &region("ap-south-1"))), ["multi"]);
        let named = |at: &str| state.trail_named(account(4), &region(at), &multi.name).map(|found| found.id);
        assert_eq!((named("eu-central-1"), named("ap-south-1")), (Some(multi.id), None));
    }

    #[tokio::test]
    async fn an_event_goes_to_the_trails_that_want_it() {
        let (own, shared) = (trail(3, "own", false, false), trail(1, "shared", true, true));
        let (_, catalog) = catalog(&[&own, &shared]).await;
        let state = catalog.state();
        let facts = EventFacts { category: "Management", ..EventFacts::default() };
        let wanted = |digit: u64, at: &str| state.trails_for(account(digit), &region(at), &facts).to_vec();
        assert_eq!(wanted(3, "eu-central-1"), [own.id, shared.id]);
        assert_eq!(wanted(3, "us-east-1"), [shared.id]);
        assert_eq!(wanted(1, "eu-central-1"), [shared.id]);
        assert!(wanted(4, "eu-central-1").is_empty());
        let data = EventFacts { category: "Data", ..EventFacts::default() };
        assert!(state.trails_for(account(3), &region("eu-central-1"), &data).is_empty());
    }

    #[tokio::test]
    async fn trails_and_organizations_are_there_after_a_restart() {
        let shared = trail(1, "shared", true, true);
        let (meta, first) = catalog(&[&shared]).await;
        let state = Catalog::open(meta.clone()).await.unwrap().state();
        assert_eq!(state.trail(shared.id).map(|found| Trail::clone(found)), Some(shared.clone()));
        assert_eq!(**state.organization(account(3)).unwrap(), organization());
        assert_eq!(TrailSource::trails(&first).len(), 1);

        let removed = first.change(|_, change| {
            change.delete_trail(&shared);
            change.delete_organization(&organization().id);
            Ok::<_, CatalogError>(())
        });
        removed.await.unwrap();
        let state = Catalog::open(meta).await.unwrap().state();
        assert!(state.trail(shared.id).is_none() && state.organization(account(3)).is_none());
    }
}
