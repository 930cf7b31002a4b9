//! Names of objects in a trail's bucket (trails.md, section 3; integrity.md, section 2).

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use towpath_model::{AccountId, Category, OrganizationId, Region, Trail, TrailId, TrailName};

/// The folder below the account, and the part of the file name that repeats it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Folder {
    /// Management and data events.
    CloudTrail,
    /// Insights.
    Insight,
    /// Network activity.
    NetworkActivity,
    /// Aggregated data events.
    Aggregated,
}

impl Folder {
    /// Every folder of log files.
    pub const ALL: [Self; 4] = [Self::CloudTrail, Self::Insight, Self::NetworkActivity, Self::Aggregated];

    /// The folder of an event. Categories that no trail delivers go with the management events.
    pub const fn of(category: Category) -> Self {
        match category {
            Category::Insight => Self::Insight,
            Category::NetworkActivity => Self::NetworkActivity,
            _ => Self::CloudTrail,
        }
    }

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CloudTrail => "CloudTrail",
            Self::Insight => "CloudTrail-Insight",
            Self::NetworkActivity => "CloudTrail-NetworkActivity",
            Self::Aggregated => "CloudTrail-Aggregated",
        }
    }
}

/// Where the objects of one account lie in a bucket: `[prefix/]AWSLogs/[o-id/]<account>/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPlace {
    root: String,
    account: AccountId,
}

/// The key of an object cannot be used by every kind of bucket.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a usable object key")]
pub struct KeyError(pub String);

impl KeyPlace {
    /// The place of `account` for a prefix and, for organization trails, an organization.
    pub fn new(prefix: Option<&str>, organization: Option<&OrganizationId>, account: AccountId) -> Self {
        let mut root = String::new();
        if let Some(prefix) = prefix.map(|prefix| prefix.trim_end_matches('/')).filter(|prefix| !prefix.is_empty()) {
            root.push_str(prefix);
            root.push('/');
        }
        root.push_str("AWSLogs/");
        if let Some(organization) = organization {
            root.push_str(organization.as_str());
            root.push('/');
        }
        root.push_str(account.as_str());
        root.push('/');
        Self { root, account }
    }

    /// The place of `account` for a trail.
    pub fn of(trail: &Trail, account: AccountId) -> Self {
        Self::new(trail.prefix.as_deref(), trail.organization.as_ref(), account)
    }

    /// `[prefix/]AWSLogs/[o-id/]<account>/`.
    pub fn root(&self) -> &str {
        &self.root
    }
}

/// `<place><folder>/<region>/<Y>/<M>/<D>/<account>_<folder>_<region>_<YYYYMMDDTHHmmZ>_<unique>.json.gz`.
pub fn log_file_key(place: &KeyPlace, folder: Folder, region: &Region, time: Timestamp, unique: &str) -> String {
    let (day, minute) = (time.strftime("%Y/%m/%d"), time.strftime("%Y%m%dT%H%MZ"));
    let (root, account, folder) = (&place.root, place.account, folder.as_str());
    format!("{root}{folder}/{region}/{day}/{account}_{folder}_{region}_{minute}_{unique}.json.gz")
}

/// The key of a digest that ends at `end`, in whole seconds.
pub fn digest_key(
    place: &KeyPlace,
    region: &Region,
    trail: &TrailName,
    home_region: &Region,
    end: Timestamp,
    backfill: bool,
) -> String {
    let prefix = digest_prefix(place, region);
    let (day, second) = (end.strftime("%Y/%m/%d"), end.strftime("%Y%m%dT%H%M%SZ"));
    let (account, suffix) = (place.account, if backfill { "_backfill" } else { "" });
    format!("{prefix}{day}/{account}_CloudTrail-Digest_{region}_{trail}_{home_region}_{second}{suffix}.json.gz")
}

/// What the keys of all digests of a region begin with: `<place>CloudTrail-Digest/<region>/`.
pub fn digest_prefix(place: &KeyPlace, region: &Region) -> String {
    format!("{}CloudTrail-Digest/{region}/", place.root)
}

/// The 16 letters and digits that make the name of a log file its own: derived from the trail, the range of positions
/// that the file was read from, its group and its number among the group's files.
pub(crate) fn unique_part(
    trail: TrailId,
    range: (u64, u64),
    account: AccountId,
    region: &Region,
    folder: Folder,
    part: u32,
) -> String {
    const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut hash = Sha256::new();
    hash.update(trail.uuid().as_bytes());
    hash.update(range.0.to_le_bytes());
    hash.update(range.1.to_le_bytes());
    hash.update(account.as_str());
    hash.update(part.to_le_bytes());
    hash.update(folder.as_str());
    hash.update([0]);
    hash.update(region.as_str());
    let digest = hash.finalize();
    let mut number = u128::from_le_bytes(digest[..16].try_into().expect("a SHA-256 has 32 bytes"));
    let mut name = String::with_capacity(16);
    for _ in 0..16 {
        name.push(char::from(LETTERS[(number % 62) as usize]));
        number /= 62;
    }
    name
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn time() -> Timestamp {
        "2026-11-21T09:05:07.9Z".parse().unwrap()
    }

    fn account() -> AccountId {
        "123456789012".parse().unwrap()
    }

    #[test]
    fn log_files_are_named_as_cloudtrail_names_them() {
        let region = "eu-central-1".parse().unwrap();
        let place = KeyPlace::new(None, None, account());
        assert_eq!(
            log_file_key(&place, Folder::CloudTrail, &region, time(), "0123456789abcdef"),
            "AWSLogs/123456789012/CloudTrail/eu-central-1/2026/11/21/123456789012_CloudTrail_eu-central-1_20261121T0905Z_0123456789abcdef.json.gz"
        );
        let place = KeyPlace::new(Some("a/b/"), Some(&"o-abcdefghij".parse().unwrap()), account());
        assert_eq!(
            log_file_key(&place, Folder::Insight, &region, time(), "x"),
            "a/b/AWSLogs/o-abcdefghij/123456789012/CloudTrail-Insight/eu-central-1/2026/11/21/123456789012_CloudTrail-Insight_eu-central-1_20261121T0905Z_x.json.gz"
        );
    }

    #[test]
    fn digests_carry_both_regions_the_trail_and_seconds() {
        let place = KeyPlace::new(Some("p"), None, account());
        let (region, home, name) =
            ("us-west-2".parse().unwrap(), "us-east-1".parse().unwrap(), "my-trail".parse().unwrap());
        assert_eq!(
            digest_key(&place, &region, &name, &home, time(), true),
            "p/AWSLogs/123456789012/CloudTrail-Digest/us-west-2/2026/11/21/123456789012_CloudTrail-Digest_us-west-2_my-trail_us-east-1_20261121T090507Z_backfill.json.gz"
        );
    }

    proptest! {
        #[test]
        fn every_range_group_and_part_has_a_name_of_its_own(
            trails in prop::collection::hash_set(any::<u128>(), 1..3),
            ranges in prop::collection::hash_set((0u64..50, 50u64..99), 1..4),
            parts in 1u32..4,
        ) {
            let mut names = HashSet::new();
            let mut count = 0;
            for trail in &trails {
                for range in &ranges {
                    for folder in Folder::ALL {
                        for region in ["us-east-1", "us-east-11"] {
                            for part in 0..parts {
                                let trail = TrailId::from_uuid(uuid_of(*trail));
                                let name = unique_part(trail, *range, account(), &region.parse().unwrap(), folder, part);
                                prop_assert!(name.len() == 16 && name.bytes().all(|b| b.is_ascii_alphanumeric()));
                                let again = unique_part(trail, *range, account(), &region.parse().unwrap(), folder, part);
                                prop_assert_eq!(&name, &again);
                                names.insert(name);
                                count += 1;
                            }
                        }
                    }
                }
            }
            prop_assert_eq!(names.len(), count);
        }
    }

    fn uuid_of(number: u128) -> uuid::Uuid {
        uuid::Uuid::from_u128(number)
    }
}
