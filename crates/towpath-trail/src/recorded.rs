//! What the server remembers of the digests that it put: the newest of each chain.
//!
//! A bucket cannot tell that the newest digests of a chain, or all of them, are gone; who has this record can.

use std::io::Read;
use std::path::Path;

use flate2::read::MultiGzDecoder;
use serde::{Deserialize, Serialize};
use towpath_meta::{MAX_PAGE, MetaStoreExt};
use towpath_model::{AccountId, Region, TrailId};

use crate::delivery::Shared;
use crate::digest::Digest;
use crate::error::DeliveryError;
use crate::record::{self, Chain, Delivered, Link, Staged, What};

/// The newest digests of one account and region of a trail.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RecordedChain {
    /// The account whose events the chain is about.
    pub account_id: AccountId,
    /// Their region.
    pub region: Region,
    /// The newest digest that was put; none before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<RecordedDigest>,
    /// The newest backfill digest that was put.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backfill_digest: Option<RecordedDigest>,
    /// What follows the digests that were put.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<Continues>,
}

/// What follows the digests of a chain that were put.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Continues {
    /// Another digest: the trail is logging, or some of what it delivered is in no digest yet.
    Digests,
    /// Log files alone: the trail is logging without digests.
    LogFiles,
    /// Nothing: the trail was stopped, and each log file that it delivered is in a digest that was put.
    Ended,
}

/// A digest that was put.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RecordedDigest {
    /// Its bucket.
    #[serde(rename = "S3BucketName")]
    pub bucket: String,
    /// Its key.
    #[serde(rename = "S3ObjectKey")]
    pub key: String,
    /// Hexadecimal SHA-256 of its text.
    #[serde(rename = "HashValue")]
    pub hash: String,
    /// Its hexadecimal signature.
    #[serde(rename = "Signature")]
    pub signature: String,
}

impl From<Link> for RecordedDigest {
    fn from(Link { bucket, key, hash, signature }: Link) -> Self {
        Self { bucket, key, hash, signature }
    }
}

/// The chains of a trail, by account and region.
pub(crate) async fn chains_of(shared: &Shared, trail: TrailId) -> Result<Vec<RecordedChain>, DeliveryError> {
    let doing = DeliveryError::meta("read the chains of digests");
    // Chains first: a digest that is put between the two looks is then taken for waiting, never the other way round.
    let chains = shared.meta.list_all_json::<Chain>(&record::chain_area_of(trail)).await.map_err(&doing)?;
    let waiting = waiting_files(shared, trail).await?;
    let mut recorded = Vec::with_capacity(chains.len());
    for found in chains {
        let chain = found.value;
        let continues = continues(shared, &chain, &waiting).await?;
        recorded.push(RecordedChain {
            continues: Some(continues),
            account_id: chain.id.account,
            region: chain.id.region,
            digest: newest_put(shared, &waiting, chain.last.or(chain.previous)).await,
            backfill_digest: newest_put(shared, &waiting, chain.backfill).await,
        });
    }
    Ok(recorded)
}

/// How a chain goes on that was read before `waiting` was.
async fn continues(shared: &Shared, chain: &Chain, waiting: &[Staged]) -> Result<Continues, DeliveryError> {
    let doing = DeliveryError::meta("read the chains of digests");
    let (id, known) = (&chain.id, shared.known(chain.id.trail));
    let Some(known) = known.filter(|known| known.session().is_none() && chain.session.is_none()) else {
        return Ok(Continues::Digests);
    };
    let is_mine = |staged: &Staged| staged.account == id.account && staged.region == id.region;
    let delivered = shared.meta.list_json::<Delivered>(&record::delivered_of(id), None, 1).await.map_err(&doing)?;
    // A file goes from waiting to delivered, and from there into a digest, which moves the chain on.
    let now = shared.meta.get_json::<Chain>(&record::chain_key(id)).await.map_err(&doing)?;
    let moved = now.is_none_or(|now| now.value != *chain);
    let unread = !shared.all_staged_of(&known);
    Ok(match known.trail.logging {
        _ if moved || unread || !delivered.is_empty() || waiting.iter().any(is_mine) => Continues::Digests,
        true => Continues::LogFiles,
        false => Continues::Ended,
    })
}

async fn waiting_files(shared: &Shared, trail: TrailId) -> Result<Vec<Staged>, DeliveryError> {
    let (mut waiting, mut after) = (Vec::new(), None);
    loop {
        let page = shared.staged_page(trail, after.as_ref(), MAX_PAGE).await?;
        let full = page.len() == MAX_PAGE;
        after = page.last().map(|staged| staged.key.clone());
        waiting.extend(page.into_iter().map(|staged| staged.value));
        if !full {
            return Ok(waiting);
        }
    }
}

/// Walks back from a digest over those that still wait for their bucket.
async fn newest_put(shared: &Shared, waiting: &[Staged], newest: Option<Link>) -> Option<RecordedDigest> {
    let mut at = newest?;
    let same = |staged: &&Staged, at: &Link| {
        matches!(staged.what, What::Digest { .. }) && staged.key == at.key && staged.bucket == at.bucket
    };
    while let Some(staged) = waiting.iter().find(|staged| same(staged, &at)) {
        let path = shared.folder.join(&staged.file);
        let read = tokio::task::spawn_blocking(move || previous_of(&path)).await.ok()?;
        match read {
            Ok(previous) => at = previous?,
            // It was put since it was listed.
            Err(_) => break,
        }
    }
    Some(at.into())
}

fn previous_of(staged: &Path) -> std::io::Result<Option<Link>> {
    let mut text = Vec::new();
    MultiGzDecoder::new(std::fs::File::open(staged)?).read_to_end(&mut text)?;
    let digest: Digest = serde_json::from_slice(&text)?;
    let place = digest.previous_digest_s3_bucket.zip(digest.previous_digest_s3_object);
    let facts = digest.previous_digest_hash_value.zip(digest.previous_digest_signature);
    Ok(place.zip(facts).map(|((bucket, key), (hash, signature))| Link { bucket, key, hash, signature }))
}
