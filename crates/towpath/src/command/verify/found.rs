//! Finding what there is to verify: in a bucket, with what the server knows of it, or in a copy.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde_json::{Value, json};
use towpath_model::{AccountId, Region};
use towpath_trail::verify::{NamedChain, Place};
use towpath_trail::{Buckets, RecordedChain};

use super::super::{Failure, text};
use super::keys::KeyFile;
use super::places::{S3Args, S3Buckets};
use super::what::{Chain, Known, NamedTrail, chains_of, contents};
use crate::client::{Api, Client, ClientError, Connection, Retry};

/// Flags that narrow down where is looked.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct PlaceArgs {
    /// Bucket with the digests [default: as the trail says]
    #[arg(long, value_name = "NAME")]
    pub bucket: Option<String>,
    /// What stands before AWSLogs/ in the keys [default: as the trail says]
    #[arg(long, value_name = "PREFIX", requires = "bucket")]
    pub prefix: Option<String>,
    /// Events of this account alone
    #[arg(long, value_name = "NUMBER")]
    pub account_id: Option<AccountId>,
    /// Events of this region alone
    #[arg(long, value_name = "REGION")]
    pub source_region: Option<Region>,
}

impl PlaceArgs {
    /// True for a place that is looked at.
    pub fn includes(&self, place: &Place) -> bool {
        self.account_id.is_none_or(|account| account == place.account)
            && self.source_region.as_ref().is_none_or(|region| *region == place.region)
    }
}

/// Chains, and where they are.
pub struct Found {
    /// Where objects are read.
    pub buckets: Arc<dyn Buckets>,
    /// The chains.
    pub chains: Vec<Chain>,
    /// Places with log files that no trail with digests can have delivered, and how many files.
    pub unvouched: BTreeMap<Place, u64>,
    /// What the server remembers.
    pub recorded: Vec<RecordedChain>,
    /// Whether the trail takes events of all regions, if that is known.
    pub multi_region: Option<bool>,
    /// The server was asked what it remembers, and its refusal.
    pub refusal: Option<String>,
}

impl Found {
    /// Chains of which nothing more is known.
    pub fn new(buckets: Arc<dyn Buckets>, chains: Vec<Chain>, unvouched: BTreeMap<Place, u64>) -> Self {
        Self { buckets, chains, unvouched, recorded: Vec::new(), multi_region: None, refusal: None }
    }
}

/// Finds every chain of a copy: those with digests, those whose log files alone are left, and those that the file of keys
/// tells of.
pub async fn in_copy(
    store: &dyn ObjectStore,
    buckets: Arc<dyn Buckets>,
    bucket: Option<&str>,
    file: &KeyFile,
) -> Result<Found, Failure> {
    let contents = contents(store, "").await?;
    let is_saved = |chain: &NamedChain| {
        let same = |trail: &NamedTrail| trail.name == chain.trail && trail.home_region == chain.home_region;
        file.trail.as_ref().is_some_and(same)
    };
    // A folder has no name of a bucket. Digests name theirs, and their signatures cover it.
    let mut names: BTreeMap<&NamedChain, String> = BTreeMap::new();
    for (chain, digests) in &contents.chains {
        let name = match bucket {
            Some(bucket) => bucket.to_owned(),
            None => bucket_in_digests(store, digests).await?,
        };
        names.insert(chain, name);
    }
    let lost = contents.lost_chains();
    let all: BTreeSet<&NamedChain> = contents.chains.keys().chain(&lost).collect();
    // A chain without digests was in the bucket of the trail's other chains.
    let bucket_of = |chain: &NamedChain| {
        let sibling = |other: &&NamedChain| other.trail == chain.trail && other.home_region == chain.home_region;
        names.get(chain).or_else(|| names.iter().find(|(other, _)| sibling(other)).map(|(_, name)| name)).cloned()
    };
    let (saved, others): (Vec<_>, Vec<_>) = all.into_iter().cloned().partition(is_saved);
    let mut chains = file.known.complete(saved, "");
    chains.extend(Known::default().complete(others, ""));
    for chain in &mut chains {
        let recorded = chain.recorded.first().map(|digest| digest.bucket.clone());
        chain.bucket = bucket_of(&chain.named).or(recorded).or(bucket.map(str::to_owned)).unwrap_or_default();
    }
    Ok(Found::new(buckets, chains, contents.unvouched_places()))
}

/// Opens a bucket.
pub async fn opened(buckets: &dyn Buckets, bucket: &str) -> Result<Arc<dyn ObjectStore>, Failure> {
    buckets.open(bucket).await.map_err(|error| Failure::other(Box::new(error)))
}

/// Finds the chains of a trail in its bucket, and what the server remembers of them; the trail is asked for where the bucket
/// is not said.
pub async fn in_bucket(client: &Client, trail: &NamedTrail, place: &PlaceArgs, s3: &S3Args) -> Result<Found, Failure> {
    let home = Connection { region: trail.home_region.to_string(), ..client.connection().clone() };
    let server = Client::new(home.clone(), Retry::PROMPT)?;
    let described = match &place.bucket {
        Some(_) => Value::Null,
        None => describe(&server, trail).await?,
    };
    let bucket = place.bucket.clone().unwrap_or_else(|| text(&described, "S3BucketName").to_owned());
    let prefix = place.prefix.as_deref().unwrap_or_else(|| text(&described, "S3KeyPrefix"));
    let flag = |name: &str| described.get(name).and_then(Value::as_bool);
    // Before the bucket is listed: what was put by then must be there.
    let (recorded, refusal) = match recorded_chains(&server, trail).await {
        Ok(recorded) => (recorded, None),
        Err(error) if error.code().is_some() => (Vec::new(), Some(error.to_string())),
        Err(error) => return Err(error.into()),
    };
    let multi_region = flag("IsMultiRegionTrail");
    let known = Known::new(multi_region, recorded.clone());
    let buckets = S3Buckets::find(s3, &home)?;
    let store = opened(&buckets, &bucket).await?;
    // Where the trail is not asked, either kind of key may be there.
    let organization = flag("IsOrganizationTrail");
    let mut there = Vec::new();
    for kind in [false, true] {
        if organization.is_none_or(|organization| organization == kind) {
            there.extend(chains_of(store.as_ref(), trail, Some(prefix), kind).await?);
        }
    }
    let mut chains = known.complete(there, &bucket);
    chains.retain(|chain| place.includes(&chain.named.place));
    Ok(Found { recorded, multi_region, refusal, ..Found::new(Arc::new(buckets), chains, BTreeMap::new()) })
}

/// Asks the server for the newest digests that it has put.
pub async fn recorded_chains(server: &Client, trail: &NamedTrail) -> Result<Vec<RecordedChain>, ClientError> {
    let answer = server.call(Api::Towpath, "ListDigestChains", &json!({ "TrailARN": trail.arn() })).await?;
    let chains = answer.get("DigestChains").cloned().unwrap_or_default();
    serde_json::from_value(chains).map_err(|error| ClientError::Unreadable {
        operation: "ListDigestChains".to_owned(),
        problem: error.to_string(),
    })
}

async fn describe(client: &Client, trail: &NamedTrail) -> Result<Value, Failure> {
    let answer = client.call(Api::CloudTrail, "DescribeTrails", &json!({})).await?;
    let arn = format!(":cloudtrail:{}:{}:trail/{}", trail.home_region, trail.account, trail.name);
    let mut list = answer.get("trailList").and_then(Value::as_array).into_iter().flatten();
    list.find(|item| text(item, "TrailARN").ends_with(&arn)).cloned().ok_or_else(|| {
        Failure::plain(
            format!("there is no trail {} of {} in {}", trail.name, trail.account, trail.home_region),
            "see aws cloudtrail describe-trails; a deleted trail's files are verified with --bucket",
        )
    })
}

/// The bucket that digests say they are in: of the first that can be read.
async fn bucket_in_digests(store: &dyn ObjectStore, digests: &[String]) -> Result<String, Failure> {
    let broken = |cause: object_store::Error| Failure::other(Box::new(cause));
    for key in digests {
        let path = Path::parse(key).map_err(|source| broken(object_store::Error::InvalidPath { source }))?;
        let packed = store.get(&path).await.map_err(broken)?.bytes().await.map_err(broken)?;
        let digest: Option<Value> = serde_json::from_reader(flate2::read::MultiGzDecoder::new(&packed[..])).ok();
        if let Some(bucket) = digest.as_ref().and_then(|digest| digest["digestS3Bucket"].as_str()) {
            return Ok(bucket.to_owned());
        }
    }
    Ok(String::new())
}

#[cfg(test)]
mod tests {
    use super::super::what::parse_trail;
    use super::*;
    use crate::client::fake::Fake;

    const ARN: &str = "arn:aws:cloudtrail:eu-west-1:000000000001:trail/audit";

    #[tokio::test]
    async fn a_trail_that_does_not_exist_is_named() {
        let other = json!({ "trailList": [{ "TrailARN": ARN.replace("audit", "other") }] });
        let fake = Fake::answering(vec![(200, other)]).await;
        let failure = describe(&fake.client(), &parse_trail(ARN).unwrap()).await.unwrap_err();
        assert_eq!(failure.to_string(), "there is no trail audit of 000000000001 in eu-west-1");
        assert!(failure.hint().unwrap().contains("--bucket"));
    }

    #[tokio::test]
    async fn a_server_without_the_record_says_so() {
        let refusal = crate::client::fake::error(400, "UnknownOperationException", "ListDigestChains is no operation");
        let fake = Fake::answering(vec![refusal]).await;
        let error = recorded_chains(&fake.client(), &parse_trail(ARN).unwrap()).await.unwrap_err();
        assert_eq!(error.code(), Some("UnknownOperationException"));
        assert_eq!(fake.seen()[0].input, json!({ "TrailARN": ARN }));
    }
}
