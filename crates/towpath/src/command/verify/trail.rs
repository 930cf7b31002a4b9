//! `towpath verify trail`: every chain of digests of a trail, and every log file that they name.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use futures::TryStreamExt;
use indicatif::ProgressBar;
use jiff::Timestamp;
use object_store::ObjectStore;
use object_store::path::Path;
use serde_json::{Value, json};
use towpath_model::{AccountId, Region};
use towpath_trail::verify::{Count, KeySource, Progress, VerifyTrail};
use towpath_trail::{Buckets, KeyPlace};

use super::super::time::{self, Written};
use super::super::{Failure, connect, progress, text};
use super::Output;
use super::keys::{KeyFile, ServerKeys};
use super::places::{CopiedBuckets, S3Args, S3Buckets};
use super::shown::Outcome;
use super::what::{Chain, NamedTrail, all_chains, chains_of, parse_trail};
use crate::client::{Api, Client, Connection, ConnectionArgs, Retry};

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
    fn includes(&self, chain: &Chain) -> bool {
        self.account_id.is_none_or(|account| account == chain.account)
            && self.source_region.as_ref().is_none_or(|region| *region == chain.region)
    }
}

/// Chains, and where they are.
pub struct Found {
    /// The bucket with the digests.
    pub bucket: String,
    /// Where objects are read.
    pub buckets: Arc<dyn Buckets>,
    /// The chains.
    pub chains: Vec<Chain>,
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
                let found = self.in_folder(folder).await?;
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

    async fn in_folder(&self, folder: &std::path::Path) -> Result<Found, Failure> {
        let buckets = CopiedBuckets::open(folder)?;
        let store = opened(&buckets, "").await?;
        let asked = |chain: &Chain| {
            let named = |trail: &NamedTrail| trail.name == chain.trail && trail.home_region == chain.home_region;
            self.trail.as_ref().is_none_or(named) && self.place.includes(chain)
        };
        let chains: Vec<Chain> = all_chains(store.as_ref(), "").await?.into_iter().filter(asked).collect();
        let bucket = match (&self.place.bucket, chains.first()) {
            (Some(bucket), _) => bucket.clone(),
            // A folder has no name of a bucket. Digests name theirs, and their signatures cover it.
            (None, Some(chain)) => bucket_in_digests(store.as_ref(), chain).await?,
            (None, None) => String::new(),
        };
        Ok(Found { bucket, buckets: Arc::new(buckets), chains })
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
        let arn = |trail: &NamedTrail| {
            format!("arn:aws:cloudtrail:{}:{}:trail/{}", trail.home_region, trail.account, trail.name)
        };
        let trail = self.trail.as_ref().map(arn).unwrap_or_default();
        Ok(Outcome { trail, allow_unchecked: self.allow_unchecked, ..outcome })
    }
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
    let mut reports = Vec::new();
    let bar = progress::steps("objects checked");
    for chain in found.chains {
        bar.set_message(format!("{} {}", chain.account, chain.region));
        let verification = VerifyTrail {
            trail: chain.trail,
            home_region: chain.home_region,
            region: chain.region,
            account: chain.account,
            organization: chain.organization,
            bucket: found.bucket.clone(),
            prefix: chain.prefix,
            from: asked.from,
            to: asked.to,
            buckets: found.buckets.clone(),
            keys: keys.clone(),
            offline: asked.offline,
            signatures: signatures.clone(),
            parallel: asked.parallel,
            progress: counting(bar.clone()),
        };
        let mut report = verification.run().await.map_err(|error| Failure::other(Box::new(error)))?;
        if report.digests == Count::default() && report.backfill_digests == Count::default() {
            // Digests that are all gone leave no trace but the files that they named.
            report.undigested_log_files = log_files(&verification).await?;
        }
        reports.push(report);
    }
    bar.finish_and_clear();
    Ok(Outcome { trail: String::new(), bucket: found.bucket, reports, allow_unchecked: false })
}

/// How many log files there are.
async fn log_files(of: &VerifyTrail) -> Result<u64, Failure> {
    let place = KeyPlace::new(of.prefix.as_deref(), of.organization.as_ref(), of.account);
    let folder = Path::parse(format!("{}CloudTrail/{}", place.root(), of.region));
    let folder = folder.map_err(|error| Failure::other(Box::new(error)))?;
    let store = opened(of.buckets.as_ref(), &of.bucket).await?;
    let (mut found, mut count) = (store.list(Some(&folder)), 0);
    while let Some(object) = found.try_next().await.map_err(|error| Failure::other(Box::new(error)))? {
        // Empty objects are folder marks and probes.
        count += u64::from(object.size > 0);
    }
    Ok(count)
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

/// Finds the chains of a trail in its bucket; the trail is asked for where the bucket is not said.
pub async fn in_bucket(client: &Client, trail: &NamedTrail, place: &PlaceArgs, s3: &S3Args) -> Result<Found, Failure> {
    let home = Connection { region: trail.home_region.to_string(), ..client.connection().clone() };
    let described = match &place.bucket {
        Some(_) => Value::Null,
        None => describe(&Client::new(home.clone(), Retry::PROMPT)?, trail).await?,
    };
    let bucket = place.bucket.clone().unwrap_or_else(|| text(&described, "S3BucketName").to_owned());
    let prefix = place.prefix.as_deref().unwrap_or_else(|| text(&described, "S3KeyPrefix"));
    let buckets = S3Buckets::find(s3, &home)?;
    let store = opened(&buckets, &bucket).await?;
    // Where the trail is not asked, either kind of key may be there.
    let organization = described.get("IsOrganizationTrail").and_then(Value::as_bool);
    let mut chains = Vec::new();
    for kind in [false, true] {
        if organization.is_none_or(|organization| organization == kind) {
            chains.extend(chains_of(store.as_ref(), trail, Some(prefix), kind).await?);
        }
    }
    chains.retain(|chain| place.includes(chain));
    Ok(Found { bucket, buckets: Arc::new(buckets), chains })
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

/// The bucket that a chain's digests say they are in: of the first that can be read.
pub async fn bucket_in_digests(store: &dyn ObjectStore, chain: &Chain) -> Result<String, Failure> {
    let mut found = store.list(None);
    let broken = |cause: object_store::Error| Failure::other(Box::new(cause));
    while let Some(object) = found.try_next().await.map_err(broken)? {
        if Chain::of_digest(object.location.as_ref()).as_ref() != Some(chain) {
            continue;
        }
        let options = object_store::GetOptions::default();
        let packed = store.get_opts(&object.location, options).await.map_err(broken)?.bytes().await.map_err(broken)?;
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
    async fn an_empty_folder_is_not_valid() {
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys.json");
        std::fs::write(&keys, r#"{"PublicKeyList":[]}"#).unwrap();
        let empty = tempfile::tempdir().unwrap();
        let line = format!("--folder {} --public-keys {}", empty.path().display(), keys.display());
        assert!(matches!(parse(&line).unwrap().run().await, Err(Failure::Told)));
    }
}
