//! What there is to verify: the chains of digests of a trail, one per account and region, and where they are.

use std::collections::BTreeSet;

use object_store::ObjectStore;
use object_store::path::Path;
use towpath_model::{AccountId, Arn, OrganizationId, Region, TrailName};
use towpath_trail::verify::{Contents, NamedChain, Place};
use towpath_trail::{Continues, Folder, RecordedChain, RecordedDigest};

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

impl NamedTrail {
    /// Its ARN.
    pub fn arn(&self) -> String {
        format!("arn:aws:cloudtrail:{}:{}:trail/{}", self.home_region, self.account, self.name)
    }
}

/// A chain to verify.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Its name.
    pub named: NamedChain,
    /// The bucket with its digests.
    pub bucket: String,
    /// The newest digests that the server remembers to have put.
    pub recorded: Vec<RecordedDigest>,
    /// What follows them, as far as the server said.
    pub continues: Option<Continues>,
    /// False when it is known that the trail takes no events of the region.
    pub takes_region: bool,
}

/// What is known of a trail beside what its bucket holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// False when it takes the events of its home region alone.
    pub multi_region: Option<bool>,
    /// The newest digests that the server remembers, by chain.
    pub recorded: Vec<(NamedChain, RecordedDigest)>,
    /// What follows them, by chain.
    pub continues: Vec<(NamedChain, Continues)>,
}

impl Known {
    /// What the server remembers of a trail.
    pub fn new(multi_region: Option<bool>, chains: Vec<RecordedChain>) -> Self {
        let (mut recorded, mut continues) = (Vec::new(), Vec::new());
        for chain in chains {
            for digest in [chain.digest, chain.backfill_digest].into_iter().flatten() {
                let Some(named) = NamedChain::of_digest(&digest.key) else { continue };
                continues.extend(chain.continues.map(|continues| (named.clone(), continues)));
                recorded.push((named, digest));
            }
        }
        Self { multi_region, recorded, continues }
    }

    /// The chains that are there and those that are remembered, each with what is known of it.
    pub fn complete(&self, there: impl IntoIterator<Item = NamedChain>, bucket: &str) -> Vec<Chain> {
        let mut all: BTreeSet<NamedChain> = there.into_iter().collect();
        all.extend(self.recorded.iter().map(|(chain, _)| chain.clone()));
        let known = |named: NamedChain| {
            let recorded = self.recorded.iter().filter(|(chain, _)| *chain == named).map(|(_, digest)| digest.clone());
            let continues = self.continues.iter().find(|(chain, _)| *chain == named).map(|(_, continues)| *continues);
            Chain {
                recorded: recorded.collect(),
                continues,
                takes_region: self.multi_region != Some(false) || named.place.region == named.home_region,
                bucket: bucket.to_owned(),
                named,
            }
        };
        all.into_iter().map(known).collect()
    }
}

/// Lists what is in a bucket or a folder.
pub async fn contents(store: &dyn ObjectStore, below: &str) -> Result<Contents, Failure> {
    Contents::scan(store, below).await.map_err(unreadable)
}

/// Accounts and regions that have digests in a bucket, by its folders and without a look at each object.
///
/// Other trails may have made some of these folders; for them nothing is found.
pub async fn chains_of(
    store: &dyn ObjectStore,
    trail: &NamedTrail,
    prefix: Option<&str>,
    organization: bool,
) -> Result<BTreeSet<NamedChain>, Failure> {
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
        for folder in Folder::ALL.map(Folder::as_str).into_iter().chain(["CloudTrail-Digest"]) {
            for region in folders(store, &format!("{place}/{folder}")).await? {
                let Ok(region) = region.parse() else { continue };
                let (prefix, organization) = (prefix.map(str::to_owned), organization.clone());
                chains.insert(NamedChain {
                    trail: trail.name.clone(),
                    home_region: trail.home_region.clone(),
                    place: Place { prefix, organization, account, region },
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
        let regions = |chains: &BTreeSet<NamedChain>| {
            let place = |chain: &NamedChain| format!("{} {}", chain.place.account, chain.place.region);
            chains.iter().map(place).collect::<Vec<_>>()
        };
        let own = chains_of(&store, &trail(), None, false).await.unwrap();
        assert_eq!(regions(&own), ["000000000001 eu-north-1", "000000000001 eu-west-1"]);
        let organization = chains_of(&store, &trail(), None, true).await.unwrap();
        assert_eq!(regions(&organization), ["000000000002 eu-west-1"]);
        assert_eq!(contents(&store, "").await.unwrap().chains.len(), 2);
    }

    #[test]
    fn what_the_server_remembers_is_looked_for_where_nothing_is_left() {
        let digest = RecordedDigest {
            bucket: "b".to_owned(),
            key: KEY.to_owned(),
            hash: String::new(),
            signature: String::new(),
        };
        let chain = RecordedChain {
            account_id: "000000000001".parse().unwrap(),
            region: "eu-west-1".parse().unwrap(),
            digest: Some(digest.clone()),
            backfill_digest: None,
            continues: Some(Continues::Ended),
        };
        let known = Known::new(Some(false), vec![chain]);
        let [only] = &known.complete([], "b")[..] else { panic!("one chain is remembered") };
        assert_eq!((only.recorded.as_slice(), only.takes_region), (&[digest][..], false));
        assert_eq!(only.continues, Some(Continues::Ended));
        assert!(Known::default().complete([only.named.clone()], "b")[0].takes_region);
    }
}
