//! What lies in a bucket or a folder, by the names of its objects: chains of digests, and places with log files.

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt;
use object_store::ObjectStore;
use object_store::path::Path;
use serde::Serialize;
use towpath_model::{AccountId, OrganizationId, Region, TrailName};

use crate::object_key::Folder;

/// Digests of a chain that are remembered by name, for whoever looks into one.
const SAMPLES: usize = 8;

/// Where the objects of one account and region lie.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// What stands before `AWSLogs/`.
    pub prefix: Option<String>,
    /// The organization in the keys.
    pub organization: Option<OrganizationId>,
    /// The account.
    pub account: AccountId,
    /// The region of the events.
    pub region: Region,
}

/// One chain of digests, as the names of its digests tell it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NamedChain {
    /// The trail's name.
    pub trail: TrailName,
    /// Its home region.
    pub home_region: Region,
    /// The account and region that it is about, and where they lie.
    pub place: Place,
}

/// What the names of objects tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Every chain that has a digest, with the keys of some of its digests.
    pub chains: BTreeMap<NamedChain, Vec<String>>,
    /// How many log files there are.
    pub log_files: BTreeMap<Place, u64>,
}

impl Place {
    /// The place that a key is in, its folder, and the name of the object.
    fn of(key: &str) -> Option<(Self, &str, &str)> {
        let (prefix, rest) = match key.split_once("AWSLogs/") {
            Some(("", rest)) => (None, rest),
            Some((before, rest)) => (Some(before.strip_suffix('/')?.to_owned()), rest),
            None => return None,
        };
        let mut parts = rest.split('/');
        let first = parts.next()?;
        let (organization, account) = match first.parse::<OrganizationId>() {
            Ok(organization) => (Some(organization), parts.next()?),
            Err(_) => (None, first),
        };
        let account: AccountId = account.parse().ok()?;
        let folder = parts.next()?;
        let region: Region = parts.next()?.parse().ok()?;
        Some((Self { prefix, organization, account, region }, folder, parts.next_back()?))
    }

    /// The place of a log file; none for other objects.
    pub fn of_log_file(key: &str) -> Option<Self> {
        let (place, folder, name) = Self::of(key)?;
        (Folder::ALL.iter().any(|known| known.as_str() == folder) && name.ends_with(".json.gz")).then_some(place)
    }
}

impl NamedChain {
    /// The chain that a digest belongs to, from its key; none for other objects.
    pub fn of_digest(key: &str) -> Option<Self> {
        let (place, folder, name) = Place::of(key)?;
        let name = name.strip_suffix(".json.gz").filter(|_| folder == "CloudTrail-Digest")?;
        let name = name.strip_suffix("_backfill").unwrap_or(name);
        let name = name.strip_prefix(&format!("{}_CloudTrail-Digest_{}_", place.account, place.region))?;
        let (name, _time) = name.rsplit_once('_')?;
        let (trail, home_region) = name.rsplit_once('_')?;
        Some(Self { trail: trail.parse().ok()?, home_region: home_region.parse().ok()?, place })
    }

    /// True when both are of one trail: of an organization's in any account, else in one account.
    fn same_trail(&self, other: &Self) -> bool {
        let trail = |chain: &Self| {
            let Place { prefix, organization, account, .. } = chain.place.clone();
            let account = organization.is_none().then_some(account);
            (chain.trail.clone(), chain.home_region.clone(), prefix, organization, account)
        };
        trail(self) == trail(other)
    }
}

impl Contents {
    /// Lists everything below a prefix.
    pub async fn scan(store: &dyn ObjectStore, below: &str) -> Result<Self, object_store::Error> {
        let path = Path::parse(below.trim_end_matches('/'))?;
        let (mut contents, mut found) = (Self::default(), store.list(Some(&path)));
        while let Some(object) = found.try_next().await? {
            contents.add(object.location.as_ref(), object.size);
        }
        Ok(contents)
    }

    fn add(&mut self, key: &str, size: u64) {
        if let Some(chain) = NamedChain::of_digest(key) {
            let samples = self.chains.entry(chain).or_default();
            if samples.len() < SAMPLES {
                samples.push(key.to_owned());
            }
        // Empty objects are folder marks and probes.
        } else if let Some(place) = Place::of_log_file(key).filter(|_| size > 0) {
            *self.log_files.entry(place).or_default() += 1;
        }
    }

    /// Chains of `trails` that should be there and are not: a trail with digests elsewhere delivered the log files of a
    /// place where no trail has any.
    pub fn lost_chains(&self) -> BTreeSet<NamedChain> {
        let mut lost = BTreeSet::new();
        for place in self.bare_places() {
            for chain in self.chains.keys() {
                let other = NamedChain { place: place.clone(), ..chain.clone() };
                if chain.same_trail(&other) {
                    lost.insert(other);
                }
            }
        }
        lost
    }

    /// Places with log files that no trail with digests can have delivered.
    pub fn unvouched_places(&self) -> BTreeMap<Place, u64> {
        let lost: BTreeSet<Place> = self.lost_chains().into_iter().map(|chain| chain.place).collect();
        let bare = self.bare_places().filter(|place| !lost.contains(*place));
        bare.map(|place| (place.clone(), self.log_files[place])).collect()
    }

    fn bare_places(&self) -> impl Iterator<Item = &Place> {
        let with_digests: BTreeSet<&Place> = self.chains.keys().map(|chain| &chain.place).collect();
        self.log_files.keys().filter(move |place| !with_digests.contains(place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "AWSLogs/000000000001/CloudTrail-Digest/eu-west-1/2026/11/21/\
                       000000000001_CloudTrail-Digest_eu-west-1_my_trail_us-east-1_20261121T090000Z.json.gz";
    const LOG: &str = "AWSLogs/000000000001/CloudTrail/eu-north-1/2026/11/21/x.json.gz";

    #[test]
    fn the_key_of_a_digest_names_its_chain() {
        let chain = NamedChain::of_digest(KEY).unwrap();
        assert_eq!((chain.trail.to_string(), chain.home_region.as_str()), ("my_trail".to_owned(), "us-east-1"));
        assert_eq!(chain.place.region.as_str(), "eu-west-1");
        assert_eq!((chain.place.prefix, chain.place.organization), (None, None));
        let deep = KEY.replace("AWSLogs/", "a/b/AWSLogs/o-abcdefghij/").replace("Z.json", "Z_backfill.json");
        let place = NamedChain::of_digest(&deep).unwrap().place;
        assert_eq!(place.prefix.as_deref(), Some("a/b"));
        assert_eq!(place.organization.unwrap().as_str(), "o-abcdefghij");
        for other in ["", "x", &KEY.replace("CloudTrail-Digest/", "CloudTrail/"), &KEY.replace(".gz", "")] {
            assert_eq!(NamedChain::of_digest(other), None, "{other}");
        }
    }

    #[test]
    fn places_without_digests_are_lost_by_a_trail_or_vouched_for_by_none() {
        let organization = |key: &str| key.replace("AWSLogs/", "AWSLogs/o-abcdefghij/");
        let mut contents = Contents::default();
        for key in [
            KEY,
            LOG,
            &LOG.replace("eu-north-1", "eu-west-1"),
            // Another account: a trail of its own, or none.
            &LOG.replace("000000000001", "000000000002"),
            &organization(KEY),
            &organization(LOG).replace("000000000001", "000000000003"),
        ] {
            contents.add(key, 1);
        }
        contents.add(&LOG.replace("eu-north-1", "eu-south-1"), 0);
        let lost: Vec<String> = contents
            .lost_chains()
            .iter()
            .map(|chain| format!("{} {} {}", chain.trail, chain.place.account, chain.place.region))
            .collect();
        assert_eq!(lost, ["my_trail 000000000001 eu-north-1", "my_trail 000000000003 eu-north-1"]);
        let unvouched = contents.unvouched_places();
        let [(place, 1)] = unvouched.iter().map(|(place, count)| (place, *count)).collect::<Vec<_>>()[..] else {
            panic!("{unvouched:?}")
        };
        assert_eq!(place.account.as_str(), "000000000002");
    }
}
