//! `towpath verify trail`: every chain of digests of a trail, and every log file that they name.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use indicatif::ProgressBar;
use jiff::Timestamp;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde_json::{Value, json};
use towpath_model::{AccountId, Region};
use towpath_trail::verify::{KeySource, NamedChain, Place, Progress, VerifyTrail, verify_all};
use towpath_trail::{Buckets, RecordedChain};

use super::super::time::{self, Written};
use super::super::{Failure, connect, progress, text};
use super::Output;
use super::keys::{KeyFile, ServerKeys};
use super::places::{CopiedBuckets, S3Args, S3Buckets};
use super::shown::Outcome;
use super::what::{Chain, Known, NamedTrail, chains_of, contents, parse_trail};
use crate::client::{Api, Client, ClientError, Connection, ConnectionArgs, Retry};

/// Flags of `towpath verify trail`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
In a bucket, or without a server in a folder that it was copied to:
  towpath verify trail arn:aws:cloudtrail:eu-central-1:000000000000:trail/audit --start 30d
  towpath verify public-keys arn:aws:cloudtrail:eu-central-1:000000000000:trail/audit > keys.json
  aws s3 sync s3://audit-logs ./copy
  towpath verify trail --folder ./copy --public-keys keys.json
The exit status is 0 only if everything is valid.")]
pub struct VerifyTrailArgs {
    /// ARN of the trail; with --folder it may be left out, and every trail in the folder is verified
    #[arg(value_name = "TRAIL", value_parser = parse_trail, required_unless_present = "folder")]
    trail: Option<NamedTrail>,
    /// A copy of the bucket, made with aws s3 sync; no server is asked
    #[arg(long, value_name = "FOLDER", requires = "public_keys")]
    folder: Option<PathBuf>,
    /// File with public keys, from towpath verify public-keys or aws cloudtrail list-public-keys
    #[arg(long, value_name = "FILE")]
    public_keys: Option<PathBuf>,
    /// Digests of this time and later [default: all]
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    start: Option<Written>,
    /// Digests of this time and earlier [default: now]
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    end: Option<Written>,
    #[command(flatten)]
    place: PlaceArgs,
    /// With --folder: accept digests whose signature the copy has lost and the file of keys does not have
    #[arg(long, requires = "folder")]
    allow_unchecked: bool,
    /// Objects that are read at a time
    #[arg(long, value_name = "COUNT", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    parallel: u16,
    /// Form of the report
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
    #[command(flatten)]
    s3: S3Args,
    #[command(flatten)]
    connection: ConnectionArgs,
}

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
    fn includes(&self, place: &Place) -> bool {
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

impl VerifyTrailArgs {
    /// Verifies and prints the report.
    pub async fn run(self) -> Result<(), Failure> {
        let file = self.public_keys.as_deref().map(KeyFile::read).transpose()?;
        let outcome = match &self.folder {
            Some(folder) => {
                let Some(file) = file else {
                    return Err(Failure::bare("--folder needs --public-keys"));
                };
                let found = self.in_folder(folder, &file).await?;
                self.verify(found, file.keys.clone(), Some(file)).await?
            }
            None => {
                let client = connect(&self.connection, Retry::PROMPT)?;
                let Some(trail) = &self.trail else { return Err(Failure::bare("name a trail by its ARN")) };
                let found = in_bucket(&client, trail, &self.place, &self.s3).await?;
                match file {
                    Some(file) => self.verify(found, file.keys.clone(), Some(file)).await?,
                    None => self.verify(found, ServerKeys(client), None).await?,
                }
            }
        };
        outcome.print(self.output)?;
        if outcome.unchecked() > 0 && !self.allow_unchecked {
            eprintln!(
                "next:  the copy has lost signatures; make the file of keys with towpath verify public-keys, which \
                 saves them, or accept that with --allow-unchecked"
            );
        }
        if outcome.is_valid() { Ok(()) } else { Err(Failure::Told) }
    }

    async fn in_folder(&self, folder: &std::path::Path, file: &KeyFile) -> Result<Found, Failure> {
        let buckets = CopiedBuckets::open(folder)?;
        let store = opened(&buckets, "").await?;
        let mut found = in_copy(store.as_ref(), Arc::new(buckets), self.place.bucket.as_deref(), file).await?;
        if let Some(trail) = &self.trail {
            found
                .chains
                .retain(|chain| trail.name == chain.named.trail && trail.home_region == chain.named.home_region);
            // What no digest is about is not that trail's.
            found.unvouched.clear();
        }
        found.chains.retain(|chain| self.place.includes(&chain.named.place));
        found.unvouched.retain(|place, _| self.place.includes(place));
        Ok(found)
    }

    async fn verify(&self, found: Found, keys: impl KeySource, file: Option<KeyFile>) -> Result<Outcome, Failure> {
        let now = Timestamp::now();
        let asked = Asked {
            from: self.start.map_or(Timestamp::UNIX_EPOCH, |start| start.instant(now)),
            to: self.end.map_or(now, |end| end.instant(now)),
            offline: self.folder.is_some(),
            parallel: usize::from(self.parallel),
        };
        let signatures = file.map(|file| file.signatures).unwrap_or_default();
        let outcome = verify(found, &asked, Arc::new(keys), signatures).await?;
        let trail = self.trail.as_ref().map(NamedTrail::arn).unwrap_or_default();
        Ok(Outcome { trail, allow_unchecked: self.allow_unchecked, ..outcome })
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

/// How chains are verified.
pub struct Asked {
    /// Digests of this time and later.
    pub from: Timestamp,
    /// Digests of this time and earlier.
    pub to: Timestamp,
    /// The objects have lost their metadata.
    pub offline: bool,
    /// Objects that are read at a time.
    pub parallel: usize,
}

/// Verifies chains, one after the other, the objects of each in parallel.
pub async fn verify(
    found: Found,
    asked: &Asked,
    keys: Arc<dyn KeySource>,
    signatures: HashMap<String, String>,
) -> Result<Outcome, Failure> {
    let bar = progress::steps("objects checked");
    let verification = |chain: Chain| VerifyTrail {
        trail: chain.named.trail,
        home_region: chain.named.home_region,
        region: chain.named.place.region,
        account: chain.named.place.account,
        organization: chain.named.place.organization,
        bucket: chain.bucket,
        prefix: chain.named.place.prefix,
        from: asked.from,
        to: asked.to,
        buckets: found.buckets.clone(),
        keys: keys.clone(),
        offline: asked.offline,
        signatures: signatures.clone(),
        recorded: chain.recorded,
        takes_region: chain.takes_region,
        parallel: asked.parallel,
        progress: counting(bar.clone()),
    };
    let chains: Vec<VerifyTrail> = found.chains.into_iter().map(verification).collect();
    let reports = verify_all(&chains).await.map_err(|error| Failure::other(Box::new(error)))?;
    bar.finish_and_clear();
    let mut buckets: Vec<String> = chains.into_iter().map(|chain| chain.bucket).collect();
    buckets.sort_unstable();
    buckets.dedup();
    Ok(Outcome {
        trail: String::new(),
        bucket: buckets.join(", "),
        reports,
        unvouched: found.unvouched,
        refusal: found.refusal,
        allow_unchecked: false,
    })
}

fn counting(bar: ProgressBar) -> Arc<dyn Fn(Progress) + Send + Sync> {
    Arc::new(move |progress| match progress {
        Progress::Digests(count) | Progress::LogFiles(count) => bar.inc_length(count),
        Progress::DigestChecked | Progress::LogFileChecked => bar.inc(1),
    })
}

async fn opened(buckets: &dyn Buckets, bucket: &str) -> Result<Arc<dyn ObjectStore>, Failure> {
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
    use clap::Parser;

    use super::*;
    use crate::client::fake::Fake;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        trail: VerifyTrailArgs,
    }

    const ARN: &str = "arn:aws:cloudtrail:eu-west-1:000000000001:trail/audit";

    fn parse(line: &str) -> Result<VerifyTrailArgs, clap::Error> {
        let line = Line::try_parse_from(std::iter::once("trail").chain(line.split_whitespace()));
        line.map(|line| line.trail)
    }

    #[test]
    fn a_trail_or_a_folder_with_keys_is_named() {
        for good in [ARN.to_owned(), "--folder d --public-keys k".to_owned(), format!("{ARN} --bucket b --prefix p")] {
            assert!(parse(&good).is_ok(), "{good}");
        }
        for bad in [
            "".to_owned(),
            "audit".to_owned(),
            "--folder d".to_owned(),
            format!("{ARN} --prefix p"),
            format!("{ARN} --allow-unchecked"),
            format!("{ARN} --parallel 0"),
        ] {
            assert!(parse(&bad).is_err(), "{bad}");
        }
    }

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

    #[tokio::test]
    async fn an_empty_folder_is_not_valid() {
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys.json");
        std::fs::write(&keys, r#"{"PublicKeyList":[]}"#).unwrap();
        let empty = tempfile::tempdir().unwrap();
        let line = format!("--folder {} --public-keys {}", empty.path().display(), keys.display());
        assert!(matches!(parse(&line).unwrap().run().await, Err(Failure::Told)));
    }
}
