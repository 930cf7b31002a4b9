//! Verification on the way into an import: nothing is imported unless the digests vouch for it.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use towpath_trail::Buckets;
use towpath_trail::verify::KeySource;

use super::super::Failure;
use super::found::{Found, in_copy};
use super::keys::{KeyFile, ServerKeys};
use super::places::{CopiedBuckets, S3Args, S3Buckets};
use super::shown::Outcome;
use super::trail::{Asked, verify};
use super::what::{Known, contents};
use crate::client::Client;

/// Objects that are read at a time.
const PARALLEL: usize = 16;

/// Verifies every trail that has digests in a place, `s3://bucket[/prefix]` or a folder, and refuses what is not valid.
pub async fn require_valid(client: Client, place: &str, keys: Option<&Path>) -> Result<(), Failure> {
    let file = keys.map(KeyFile::read).transpose()?;
    let outcome = match place.strip_prefix("s3://") {
        Some(rest) => in_bucket(client, rest, file).await?,
        None => in_folder(client, Path::new(place), file).await?,
    };
    if outcome.is_valid() {
        return Ok(());
    }
    for line in outcome.lines() {
        eprintln!("{line}");
    }
    let hint = "look into what is named above; without --verify it is imported all the same";
    Err(Failure::plain(format!("{place} is not valid; nothing was imported"), hint))
}

async fn in_bucket(client: Client, place: &str, file: Option<KeyFile>) -> Result<Outcome, Failure> {
    let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
    let buckets: Arc<dyn Buckets> = Arc::new(S3Buckets::find(&S3Args::default(), client.connection())?);
    let store = buckets.open(bucket).await.map_err(|error| Failure::other(Box::new(error)))?;
    let contents = contents(store.as_ref(), prefix).await?;
    let unvouched = contents.unvouched_places();
    let lost = contents.lost_chains();
    let chains = Known::default().complete(contents.chains.into_keys().chain(lost), bucket);
    run(client, Found::new(buckets, chains, unvouched), file, false).await
}

async fn in_folder(client: Client, folder: &Path, file: Option<KeyFile>) -> Result<Outcome, Failure> {
    let buckets = CopiedBuckets::open(folder)?;
    let store = buckets.open("").await.map_err(|error| Failure::other(Box::new(error)))?;
    let none = KeyFile::empty();
    let found = in_copy(store.as_ref(), Arc::new(buckets), None, file.as_ref().unwrap_or(&none)).await?;
    run(client, found, file, true).await
}

async fn run(client: Client, found: Found, file: Option<KeyFile>, offline: bool) -> Result<Outcome, Failure> {
    let (keys, signatures): (Arc<dyn KeySource>, _) = match file {
        Some(file) => (Arc::new(file.keys), file.signatures),
        None => (Arc::new(ServerKeys(client)), Default::default()),
    };
    let now = Timestamp::now();
    let asked = Asked { from: Timestamp::UNIX_EPOCH, to: now, at: now, offline, parallel: PARALLEL };
    verify(found, &asked, keys, signatures).await
}
