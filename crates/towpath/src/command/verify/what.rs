//! What there is to verify: the chains of digests that a trail has in a bucket, one per account and region.

use std::collections::BTreeSet;

use futures::TryStreamExt;
use object_store::ObjectStore;
use object_store::path::Path;
use towpath_model::{AccountId, Arn, OrganizationId, Region, TrailName};

use super::super::Failure;

/// A trail as its ARN names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NamedTrail {
    /// Its name.
    pub name: TrailName,
    /// Its home region.
    pub home_region: Region,
    /// The account that owns it.
    pub account: AccountId,
}

/// Reads the ARN of a trail; for clap.
pub fn parse_trail(text: &str) -> Result<NamedTrail, String> {
    let form = || "a trail's ARN has the form arn:aws:cloudtrail:<region>:<account>:trail/<name>".to_owned();
    let arn: Arn = text.parse().map_err(|_| form())?;
    let name = arn.resource().strip_prefix("trail/").filter(|_| arn.service() == "cloudtrail").ok_or_else(form)?;
    Ok(NamedTrail {
        name: name.parse().map_err(|_| form())?,
        home_region: arn.region().parse().map_err(|_| form())?,
        account: arn.account_id().ok_or_else(form)?,
    })
}

/// One chain of digests.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Chain {
    /// The trail's name.
    pub trail: TrailName,
    /// Its home region.
    pub home_region: Region,
    /// What stands before `AWSLogs/`.
    pub prefix: Option<String>,
    /// The organization in the keys.
    pub organization: Option<OrganizationId>,
    /// The account whose events the chain is about.
    pub account: AccountId,
    /// Their region.
    pub region: Region,
}

impl Chain {
    /// The chain that a digest belongs to, from its key; none for other objects.
    pub fn of_digest(key: &str) -> Option<Self> {
        let (place, rest) = match key.split_once("AWSLogs/") {
            Some(("", rest)) => (None, rest),
            Some((place, rest)) => (Some(place.strip_suffix('/')?.to_owned()), rest),
            None => return None,
        };
        let mut parts = rest.split('/');
        let first = parts.next()?;
        let (organization, account) = match first.parse::<OrganizationId>() {
            Ok(organization) => (Some(organization), parts.next()?),
            Err(_) => (None, first),
        };
        let account: AccountId = account.parse().ok()?;
        if parts.next()? != "CloudTrail-Digest" {
            return None;
        }
        let region: Region = parts.next()?.parse().ok()?;
        let name = parts.next_back()?.strip_suffix(".json.gz")?;
        let name = name.strip_suffix("_backfill").unwrap_or(name);
        let name = name.strip_prefix(&format!("{account}_CloudTrail-Digest_{region}_"))?;
        let (name, _time) = name.rsplit_once('_')?;
        let (trail, home_region) = name.rsplit_once('_')?;
        let (trail, home_region) = (trail.parse().ok()?, home_region.parse().ok()?);
        Some(Self { trail, home_region, prefix: place, organization, account, region })
    }
}

/// Every chain in a folder, found by its digests.
pub async fn all_chains(store: &dyn ObjectStore, below: &str) -> Result<BTreeSet<Chain>, Failure> {
    let mut chains = BTreeSet::new();
    let path = Path::parse(below.trim_end_matches('/'));
    let path = path.map_err(|source| unreadable(object_store::Error::InvalidPath { source }))?;
    let mut found = store.list(Some(&path));
    while let Some(object) = found.try_next().await.map_err(unreadable)? {
        let key = object.location.as_ref();
        if key.contains("/CloudTrail-Digest/") {
            chains.extend(Chain::of_digest(key));
        }
    }
    Ok(chains)
}

/// Accounts and regions that have digests in a bucket, by its folders and without a look at each object.
///
/// Other trails may have made some of these folders; for them nothing is found.
pub async fn chains_of(
    store: &dyn ObjectStore,
    trail: &NamedTrail,
    prefix: Option<&str>,
    organization: bool,
) -> Result<BTreeSet<Chain>, Failure> {
    let prefix = prefix.filter(|prefix| !prefix.is_empty());
    let base = prefix.map_or("AWSLogs".to_owned(), |prefix| format!("{prefix}/AWSLogs"));
    let mut places: Vec<(Option<OrganizationId>, AccountId, String)> = Vec::new();
    if organization {
        for folder in folders(store, &base).await? {
            let Ok(id) = folder.parse::<OrganizationId>() else { continue };
            let inside = format!("{base}/{folder}");
            for account in folders(store, &inside).await? {
                if let Ok(account) = account.parse::<AccountId>() {
                    places.push((Some(id.clone()), account, format!("{inside}/{account}")));
                }
            }
        }
    } else {
        places.push((None, trail.account, format!("{base}/{}", trail.account)));
    }
    let mut chains = BTreeSet::new();
    for (organization, account, place) in places {
        // A region whose digests are all gone still has its log files.
        for folder in ["CloudTrail-Digest", "CloudTrail"] {
            for region in folders(store, &format!("{place}/{folder}")).await? {
                let Ok(region) = region.parse() else { continue };
                chains.insert(Chain {
                    trail: trail.name.clone(),
                    home_region: trail.home_region.clone(),
                    prefix: prefix.map(str::to_owned),
                    organization: organization.clone(),
                    account,
                    region,
                });
            }
        }
    }
    Ok(chains)
}

async fn folders(store: &dyn ObjectStore, inside: &str) -> Result<Vec<String>, Failure> {
    let path = Path::parse(inside).map_err(|source| unreadable(object_store::Error::InvalidPath { source }))?;
    let listed = store.list_with_delimiter(Some(&path)).await.map_err(unreadable)?;
    Ok(listed.common_prefixes.iter().filter_map(|path| path.filename().map(str::to_owned)).collect())
}

fn unreadable(cause: object_store::Error) -> Failure {
    let code = towpath_trail::error_code(&cause).map(|code| format!(" ({code})")).unwrap_or_default();
    Failure::plain(
        format!("the bucket cannot be listed{code}: {cause}"),
        "check the address (--s3-endpoint), the bucket's name and the access key (--s3-profile)",
    )
}

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt;
    use object_store::memory::InMemory;

    use super::*;

    const KEY: &str = "AWSLogs/000000000001/CloudTrail-Digest/eu-west-1/2026/11/21/\
                       000000000001_CloudTrail-Digest_eu-west-1_my_trail_us-east-1_20261121T090000Z.json.gz";

    fn trail() -> NamedTrail {
        parse_trail("arn:aws:cloudtrail:us-east-1:000000000001:trail/my_trail").unwrap()
    }

    #[test]
    fn the_key_of_a_digest_names_its_chain() {
        let chain = Chain::of_digest(KEY).unwrap();
        assert_eq!((chain.trail.to_string(), chain.home_region.as_str()), ("my_trail".to_owned(), "us-east-1"));
        assert_eq!((chain.region.as_str(), chain.prefix, chain.organization), ("eu-west-1", None, None));
        let deep = KEY.replace("AWSLogs/", "a/b/AWSLogs/o-abcdefghij/").replace("Z.json", "Z_backfill.json");
        let chain = Chain::of_digest(&deep).unwrap();
        assert_eq!(chain.prefix.as_deref(), Some("a/b"));
        assert_eq!(chain.organization.unwrap().as_str(), "o-abcdefghij");
        for other in ["", "x", &KEY.replace("CloudTrail-Digest/", "CloudTrail/"), &KEY.replace(".gz", "")] {
            assert_eq!(Chain::of_digest(other), None, "{other}");
        }
    }

    #[test]
    fn only_the_arn_of_a_trail_names_one() {
        assert_eq!(trail().home_region.as_str(), "us-east-1");
        for bad in ["my_trail", "arn:aws:s3:::b", "arn:aws:cloudtrail:us-east-1:000000000001:channel/x"] {
            assert!(parse_trail(bad).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn chains_are_found_by_folders_and_by_digests() {
        let store = InMemory::new();
        let log = "AWSLogs/000000000001/CloudTrail/eu-north-1/2026/11/21/x.json.gz";
        let member = KEY.replace("AWSLogs/", "AWSLogs/o-abcdefghij/").replace("000000000001", "000000000002");
        for key in [KEY, log, &member] {
            store.put(&Path::parse(key).unwrap(), "".into()).await.unwrap();
        }
        let regions = |chains: &BTreeSet<Chain>| {
            chains.iter().map(|chain| format!("{} {}", chain.account, chain.region)).collect::<Vec<_>>()
        };
        let own = chains_of(&store, &trail(), None, false).await.unwrap();
        assert_eq!(regions(&own), ["000000000001 eu-north-1", "000000000001 eu-west-1"]);
        let organization = chains_of(&store, &trail(), None, true).await.unwrap();
        assert_eq!(regions(&organization), ["000000000002 eu-west-1"]);
        assert_eq!(all_chains(&store, "").await.unwrap().len(), 2);
    }
}
