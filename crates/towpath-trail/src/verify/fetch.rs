//! Reading digests: which there are, and what each says.

use std::io::Read;

use flate2::read::MultiGzDecoder;
use futures::{StreamExt, TryStreamExt};
use jiff::{SignedDuration, Timestamp};
use object_store::path::Path;
use object_store::{Attribute, ObjectStore, ObjectStoreExt};
use serde_json::Value;

use super::{Progress, VerifyError, VerifyTrail, later};
use crate::digest::{Digest, hash_of};

// A digest of a million files; larger ones are not read to their end.
const MAX_TEXT: u64 = 512 << 20;

/// A digest's key in the listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) key: String,
    pub(super) end: Timestamp,
    pub(super) backfill: bool,
    /// A digest of another trail that delivers to the same place.
    pub(super) foreign: bool,
}

/// A digest's object.
pub(super) struct Fetched {
    pub(super) listed: Listed,
    pub(super) content: Content,
    pub(super) signature: Option<String>,
    pub(super) algorithm: Option<String>,
    pub(super) generated: Option<String>,
}

pub(super) enum Content {
    /// Vanished between listing and reading.
    Missing,
    /// Not gzip, not JSON, not a digest.
    Unreadable,
    Digest {
        digest: Box<Digest>,
        hash: String,
    },
}

/// Lists the digests of the time asked for, in the order of their names.
pub(super) async fn list_digests(asked: &VerifyTrail, store: &dyn ObjectStore) -> Result<Vec<Listed>, VerifyError> {
    let prefix = asked.digest_prefix();
    let read = |cause| VerifyError::Read { what: format!("the listing of {prefix}"), cause };
    let path = Path::parse(prefix.trim_end_matches('/'));
    let path = path.map_err(|source| read(object_store::Error::InvalidPath { source }))?;
    let mut listed = Vec::new();
    let mut found = store.list(Some(&path));
    while let Some(meta) = found.try_next().await.map_err(read)? {
        let last = later(asked.to, SignedDuration::from_hours(1));
        if let Some(digest) = parse_key(asked, meta.location.as_ref()).filter(|d| d.end >= asked.from && d.end <= last)
        {
            listed.push(digest);
        }
    }
    listed.sort_by(|a, b| (a.end, &a.key).cmp(&(b.end, &b.key)));
    Ok(listed)
}

/// Takes the name of a digest apart; none if it is no digest of the account and region.
pub(super) fn parse_key(asked: &VerifyTrail, key: &str) -> Option<Listed> {
    let name = key.strip_prefix(&asked.digest_prefix())?.rsplit('/').next()?;
    let rest = name.strip_suffix(".json.gz")?;
    let (rest, backfill) = match rest.strip_suffix("_backfill") {
        Some(rest) => (rest, true),
        None => (rest, false),
    };
    let rest = rest.strip_prefix(&format!("{}_CloudTrail-Digest_{}_", asked.account, asked.region))?;
    let (trail, time) = rest.rsplit_once('_')?;
    let foreign = trail != format!("{}_{}", asked.trail, asked.home_region);
    Some(Listed { key: key.to_owned(), end: instant_of(time)?, backfill, foreign })
}

/// `YYYYMMDDTHHMMSSZ`, or without the seconds, as names have it.
pub(super) fn instant_of(text: &str) -> Option<Timestamp> {
    let digits = text.strip_suffix('Z')?;
    let (day, time) = digits.split_once('T')?;
    if day.len() != 8 || !(time.len() == 4 || time.len() == 6) || !digits.is_ascii() {
        return None;
    }
    let seconds = time.get(4..6).unwrap_or("00");
    let (year, month, date) = (&day[..4], &day[4..6], &day[6..8]);
    format!("{year}-{month}-{date}T{}:{}:{seconds}Z", &time[..2], &time[2..4]).parse().ok()
}

/// Reads digests, several at a time.
pub(super) async fn read_digests(
    asked: &VerifyTrail,
    store: &dyn ObjectStore,
    listed: Vec<Listed>,
) -> Result<Vec<Fetched>, VerifyError> {
    (asked.progress)(Progress::Digests(listed.iter().filter(|digest| !digest.foreign).count() as u64));
    let reads = listed.into_iter().map(|listed| read_digest(store, listed));
    let mut fetched = futures::stream::iter(reads).buffered(asked.parallel.max(1));
    let mut digests = Vec::new();
    while let Some(digest) = fetched.try_next().await? {
        if !digest.listed.foreign {
            (asked.progress)(Progress::DigestChecked);
        }
        digests.push(digest);
    }
    Ok(digests)
}

async fn read_digest(store: &dyn ObjectStore, listed: Listed) -> Result<Fetched, VerifyError> {
    let read = |cause| VerifyError::Read { what: listed.key.clone(), cause };
    let path = Path::parse(&listed.key).map_err(|source| read(object_store::Error::InvalidPath { source }))?;
    let missing =
        |listed| Fetched { listed, content: Content::Missing, signature: None, algorithm: None, generated: None };
    let found = match store.get(&path).await {
        Ok(found) => found,
        Err(object_store::Error::NotFound { .. }) => return Ok(missing(listed)),
        Err(cause) => return Err(read(cause)),
    };
    let metadata = |name: &'static str| {
        found.attributes.get(&Attribute::Metadata(name.into())).map(|value| value.as_ref().to_owned())
    };
    let (signature, algorithm) = (metadata("signature"), metadata("signature-algorithm"));
    let generated = metadata("backfill-generation-timestamp");
    let bytes = found.bytes().await.map_err(read)?;
    let content = tokio::task::spawn_blocking(move || parse(&bytes)).await.map_err(|_| VerifyError::Stopping)?;
    Ok(Fetched { listed, content, signature, algorithm, generated })
}

fn parse(packed: &[u8]) -> Content {
    let mut text = Vec::new();
    if MultiGzDecoder::new(packed).take(MAX_TEXT).read_to_end(&mut text).is_err() {
        return Content::Unreadable;
    }
    // Members that the checks need must be there, even when they are null.
    let whole = serde_json::from_slice::<Value>(&text).is_ok_and(|json| json.get("previousDigestSignature").is_some());
    match serde_json::from_slice::<Digest>(&text) {
        Ok(digest) if whole => Content::Digest { digest: Box::new(digest), hash: hash_of(&text) },
        _ => Content::Unreadable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_names_have_minutes_or_seconds() {
        let at = |text: &str| text.parse::<Timestamp>().ok();
        assert_eq!(instant_of("20261121T0905Z"), at("2026-11-21T09:05:00Z"));
        assert_eq!(instant_of("20261121T090507Z"), at("2026-11-21T09:05:07Z"));
        for text in ["", "Z", "20261121T09Z", "2026112ST0905Z", "20261321T0905Z", "20261121T0905", "2026112é0T0905Z"] {
            assert_eq!(instant_of(text), None, "{text}");
        }
    }
}
