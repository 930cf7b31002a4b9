//! `towpath verify public-keys`: what verifying a copy of a bucket needs when there is no server.
//!
//! The output is that of ListPublicKeys for every region that the trail has digests of, and beside it the signatures of
//! digests, which are metadata of objects that `aws s3 sync` does not copy, and the newest digest of each chain, which
//! shows what a copy lacks at its end.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use object_store::path::Path;
use object_store::{Attribute, GetOptions, ObjectStore};
use serde_json::{Value, json};
use towpath_trail::verify::{NamedChain, Place};

use super::super::time::{self, Written};
use super::super::{Failure, connect, text};
use super::found::{PlaceArgs, in_bucket};
use super::keys::ServerKeys;
use super::places::S3Args;
use super::what::{NamedTrail, parse_trail};
use crate::client::{ConnectionArgs, Retry};
use crate::output;

/// Digests whose metadata is read at a time.
const PARALLEL: usize = 16;

/// Flags of `towpath verify public-keys`.
#[derive(Debug, clap::Args)]
pub struct SavePublicKeys {
    /// ARN of the trail
    #[arg(value_name = "TRAIL", value_parser = parse_trail)]
    trail: NamedTrail,
    /// Digests of this time and later [default: all]
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    start: Option<Written>,
    /// Digests of this time and earlier [default: now]
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    end: Option<Written>,
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    s3: S3Args,
    #[command(flatten)]
    connection: ConnectionArgs,
}

impl SavePublicKeys {
    /// Prints keys and signatures.
    pub async fn run(self) -> Result<(), Failure> {
        let client = connect(&self.connection, Retry::PROMPT)?;
        let now = Timestamp::now();
        let from = self.start.map_or(Timestamp::UNIX_EPOCH, |start| start.instant(now));
        let to = self.end.map_or(now, |end| end.instant(now));
        let found = in_bucket(&client, &self.trail, &self.place, &self.s3).await?;
        let server = ServerKeys(client);
        let mut keys: BTreeMap<String, Value> = BTreeMap::new();
        let mut signatures: BTreeMap<String, String> = BTreeMap::new();
        // The region of the trail has keys even when it has no digests yet.
        let regions: BTreeSet<_> =
            found.chains.iter().map(|chain| &chain.named.place.region).chain([&self.trail.home_region]).collect();
        for region in regions {
            let until = to.checked_add(SignedDuration::from_hours(2)).unwrap_or(to);
            let mut answer = server.answer(region, from, until).await?;
            if let Some(Value::Array(list)) = answer.get_mut("PublicKeyList").map(Value::take) {
                keys.extend(list.into_iter().map(|key| (text(&key, "Fingerprint").to_owned(), key)));
            }
        }
        for chain in &found.chains {
            let store = found.buckets.open(&chain.bucket).await.map_err(|error| Failure::other(Box::new(error)))?;
            signatures.extend(signatures_of(store.as_ref(), &chain.named, (from, to)).await?);
        }
        if let Some(refusal) = &found.refusal {
            eprintln!("note:  {refusal}; the file will not tell of digests that the bucket has lost");
        }
        let keys: Vec<Value> = keys.into_values().collect();
        Ok(output::print_json(&json!({
            "PublicKeyList": keys,
            "Signatures": signatures,
            "Trail": { "TrailARN": self.trail.arn(), "IsMultiRegionTrail": found.multi_region },
            "DigestChains": found.recorded,
        }))?)
    }
}

/// The signatures of a chain's digests, by key.
async fn signatures_of(
    store: &dyn ObjectStore,
    chain: &NamedChain,
    (from, to): (Timestamp, Timestamp),
) -> Result<BTreeMap<String, String>, Failure> {
    let Place { prefix, organization, account, region } = &chain.place;
    let place = towpath_trail::KeyPlace::new(prefix.as_deref(), organization.as_ref(), *account);
    let prefix = towpath_trail::digest_prefix(&place, region);
    let broken = |cause: object_store::Error| Failure::other(Box::new(cause));
    let path = Path::parse(prefix.trim_end_matches('/'));
    let path = path.map_err(|source| broken(object_store::Error::InvalidPath { source }))?;
    // The end of a digest is in its name, in a form whose order is that of time.
    let written = |at: Timestamp| at.strftime("%Y%m%dT%H%M%SZ").to_string();
    let (from, to) = (written(from), written(to.checked_add(SignedDuration::from_hours(1)).unwrap_or(to)));
    let inside = |key: &str| {
        let name = key.trim_end_matches(".json.gz").trim_end_matches("_backfill");
        let end = name.rsplit('_').next().unwrap_or_default();
        NamedChain::of_digest(key).as_ref() == Some(chain) && end >= from.as_str() && end <= to.as_str()
    };
    let listed: Vec<_> = store.list(Some(&path)).try_collect().await.map_err(broken)?;
    let digests = listed.into_iter().map(|object| object.location).filter(|path| inside(path.as_ref()));
    let reads = digests.map(|path| async move {
        let head = GetOptions { head: true, ..GetOptions::default() };
        let found = store.get_opts(&path, head).await?;
        let signature = found.attributes.get(&Attribute::Metadata("signature".into())).map(|value| value.to_string());
        Ok::<_, object_store::Error>(signature.map(|signature| (path.to_string(), signature)))
    });
    let found: Vec<_> = stream::iter(reads).buffer_unordered(PARALLEL).try_collect().await.map_err(broken)?;
    Ok(found.into_iter().flatten().collect())
}
