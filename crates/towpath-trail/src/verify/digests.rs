//! Checking digests: each by itself, and each against its neighbours.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use towpath_model::Region;

use super::fetch::{Content, Fetched, parse_key};
use super::{Gap, Missing, ObjectKind, Report, Verdict, VerifyError, VerifyTrail, later};
use crate::digest::{Digest, DigestFile, SIGNATURE_ALGORITHM, string_to_sign};
use crate::signing_key::{Checker, PublicKey};

/// What the log files are compared with.
#[derive(Default)]
pub(super) struct Checked {
    /// Files that valid digests name.
    pub(super) named: Vec<DigestFile>,
    /// Files that other digests name: those of invalid digests, and of other trails that deliver to the same place.
    pub(super) known: Vec<(String, String)>,
    /// Start and end of the newest digest.
    pub(super) newest: Option<(Timestamp, Timestamp)>,
    /// Its key.
    pub(super) newest_key: Option<String>,
    /// How long the times are that readable digests cover.
    lengths: Vec<SignedDuration>,
    /// Hexadecimal SHA-256 of each digest's text, by key; none for what cannot be read.
    pub(super) hashes: HashMap<String, Option<String>>,
}

impl Checked {
    /// The time that most digests cover: first and last ones are shorter, and one after a standstill is longer.
    pub(super) fn period(&self) -> SignedDuration {
        let mut lengths = self.lengths.clone();
        lengths.sort_unstable();
        lengths.get(lengths.len() / 2).copied().unwrap_or_default()
    }
}

/// The public keys, looked up further for backfill digests.
struct Keys<'a> {
    asked: &'a VerifyTrail,
    region: &'a Region,
    found: HashMap<String, Option<Checker>>,
}

impl Keys<'_> {
    fn add(&mut self, keys: Vec<PublicKey>) {
        self.found.extend(keys.into_iter().map(|key| (key.fingerprint, Checker::read(&key.value))));
    }

    /// The key of a digest.
    async fn of(&mut self, digest: &Fetched, fingerprint: &str) -> Result<Option<&Option<Checker>>, VerifyError> {
        let generated = digest.generated.as_deref().and_then(|text| text.parse::<Timestamp>().ok());
        if let (false, true, Some(at)) = (self.found.contains_key(fingerprint), digest.listed.backfill, generated) {
            let hour = SignedDuration::from_hours(1);
            let keys = self.asked.keys.public_keys(self.region, later(at, -hour), later(at, hour)).await;
            self.add(keys.map_err(VerifyError::Keys)?);
        }
        Ok(self.found.get(fingerprint))
    }
}

/// Checks every digest of the trail.
pub(super) async fn check(
    asked: &VerifyTrail,
    fetched: Vec<Fetched>,
    public_keys: Vec<PublicKey>,
    report: &mut Report,
) -> Result<Checked, VerifyError> {
    let mut keys = Keys { asked, region: &asked.region, found: HashMap::new() };
    keys.add(public_keys);
    // The signature that a successor repeats stands in for metadata that a copy has lost.
    let mut repeated: HashMap<(String, String), String> = HashMap::new();
    for digest in fetched.iter().filter(|digest| !digest.listed.foreign).filter_map(digest_of) {
        let place = digest.previous_digest_s3_bucket.clone().zip(digest.previous_digest_s3_object.clone());
        if let Some((place, signature)) = place.zip(digest.previous_digest_signature.clone()) {
            repeated.insert(place, signature);
        }
    }
    let mut outcomes = Vec::with_capacity(fetched.len());
    for digest in &fetched {
        if !digest.listed.foreign {
            outcomes.push(check_one(asked, digest, &mut keys, &repeated).await?);
        }
    }
    let mut checked = Checked::default();
    for foreign in fetched.iter().filter(|digest| digest.listed.foreign).filter_map(digest_of) {
        checked.known.extend(foreign.log_files.iter().map(|file| (file.s3_bucket.clone(), file.s3_object.clone())));
    }
    let own: Vec<Fetched> = fetched.into_iter().filter(|digest| !digest.listed.foreign).collect();
    for backfill in [false, true] {
        let chain: Vec<usize> = (0..own.len()).filter(|at| own[*at].listed.backfill == backfill).collect();
        check_links(asked, &own, &chain, &mut outcomes, report);
    }
    for (digest, outcome) in own.iter().zip(outcomes) {
        let kind = kind_of(digest.listed.backfill);
        let hash = match &digest.content {
            Content::Digest { hash, .. } => Some(hash.clone()),
            Content::Missing | Content::Unreadable => None,
        };
        checked.hashes.insert(digest.listed.key.clone(), hash);
        if let Some(content) = digest_of(digest) {
            match outcome {
                Ok(()) | Err(Verdict::NotCheckedOffline) => {
                    checked.named.extend(content.log_files.iter().cloned());
                    if !digest.listed.backfill {
                        report.covered_from.get_or_insert_with(|| content.digest_start_time.clone());
                        report.covered_until = Some(content.digest_end_time.clone());
                    }
                }
                Err(_) => {
                    let files = content.log_files.iter();
                    checked.known.extend(files.map(|file| (file.s3_bucket.clone(), file.s3_object.clone())));
                }
            }
        }
        if !digest.listed.backfill {
            let start: Option<Timestamp> = digest_of(digest).and_then(|digest| digest.digest_start_time.parse().ok());
            checked.lengths.extend(start.map(|start| digest.listed.end.duration_since(start)));
            checked.newest = Some((start.unwrap_or(digest.listed.end), digest.listed.end));
            checked.newest_key = Some(digest.listed.key.clone());
        }
        report.note(asked, kind, (&asked.bucket, &digest.listed.key), outcome);
    }
    Ok(checked)
}

const fn kind_of(backfill: bool) -> ObjectKind {
    if backfill { ObjectKind::BackfillDigest } else { ObjectKind::Digest }
}

fn digest_of(fetched: &Fetched) -> Option<&Digest> {
    match &fetched.content {
        Content::Digest { digest, .. } => Some(digest),
        Content::Missing | Content::Unreadable => None,
    }
}

/// The checks of one digest by itself; the first failure wins.
async fn check_one(
    asked: &VerifyTrail,
    fetched: &Fetched,
    keys: &mut Keys<'_>,
    repeated: &HashMap<(String, String), String>,
) -> Result<Result<(), Verdict>, VerifyError> {
    let (digest, hash) = match &fetched.content {
        Content::Missing => return Ok(Err(Verdict::NotFound)),
        Content::Unreadable => return Ok(Err(Verdict::InvalidFormat)),
        Content::Digest { digest, hash } => (digest, hash),
    };
    let known = asked.signatures.get(&fetched.listed.key);
    let signature = match (&fetched.signature, &fetched.algorithm) {
        (Some(signature), Some(algorithm)) if algorithm == SIGNATURE_ALGORITHM => Some(signature),
        (None, None) if known.is_some() => known,
        (None, None) if asked.offline => repeated.get(&(asked.bucket.clone(), fetched.listed.key.clone())),
        _ => return Ok(Err(Verdict::Signature)),
    };
    if fetched.listed.backfill && fetched.generated.is_none() && !asked.offline {
        return Ok(Err(Verdict::InvalidFormat));
    }
    if digest.digest_s3_bucket != asked.bucket || digest.digest_s3_object != fetched.listed.key {
        return Ok(Err(Verdict::Moved));
    }
    let fingerprint = &digest.digest_public_key_fingerprint;
    let checker = match keys.of(fetched, fingerprint).await? {
        None => return Ok(Err(Verdict::UnknownKey(fingerprint.clone()))),
        Some(None) => return Ok(Err(Verdict::UnusableKey(fingerprint.clone()))),
        Some(Some(checker)) => checker,
    };
    let Some(signature) = signature else { return Ok(Err(Verdict::NotCheckedOffline)) };
    let text = string_to_sign(
        &digest.digest_end_time,
        &digest.digest_s3_bucket,
        &digest.digest_s3_object,
        hash,
        digest.previous_digest_signature.as_deref(),
    );
    Ok(if checker.verifies(text.as_bytes(), signature) { Ok(()) } else { Err(Verdict::Signature) })
}

/// Walks one chain from its newest digest: what a digest names must be there and be what it names.
fn check_links(
    asked: &VerifyTrail,
    own: &[Fetched],
    chain: &[usize],
    outcomes: &mut [Result<(), Verdict>],
    report: &mut Report,
) {
    // By name and not by order: after a clock that jumped, chains lie between each other.
    let places: HashMap<&str, usize> = chain.iter().map(|at| (own[*at].listed.key.as_str(), *at)).collect();
    for (number, at) in chain.iter().enumerate().rev() {
        let Some(digest) = digest_of(&own[*at]) else { continue };
        let sound = matches!(outcomes[*at], Ok(()) | Err(Verdict::NotCheckedOffline));
        let before = number.checked_sub(1).map(|number| chain[number]);
        let older = before.and_then(|at| digest_of(&own[at]));
        let (Some(bucket), Some(key)) = (&digest.previous_digest_s3_bucket, &digest.previous_digest_s3_object) else {
            // Backfill digests are written when they are needed: no time between them is a gap.
            if let Some(older) =
                older.filter(|older| !own[*at].listed.backfill && older.digest_end_time != digest.digest_start_time)
            {
                let (from, to) = (older.digest_end_time.clone(), digest.digest_start_time.clone());
                report.gaps.push(Gap { from, to });
            }
            continue;
        };
        let named = places.get(key.as_str()).copied().filter(|_| *bucket == asked.bucket);
        if let Some(before) = named {
            if let (true, Content::Digest { hash, .. }, Ok(()) | Err(Verdict::NotCheckedOffline)) =
                (sound, &own[before].content, &outcomes[before])
            {
                let same = digest.previous_digest_hash_value.as_deref() == Some(hash.as_str());
                let signature = own[before].signature.as_ref();
                let signed = signature.is_none_or(|found| digest.previous_digest_signature.as_ref() == Some(found));
                if !same || !signed {
                    outcomes[before] = Err(Verdict::PreviousHash);
                }
            }
            continue;
        }
        // A digest before the time asked for, or in a bucket that the trail used before, is not looked at.
        let inside = parse_key(asked, key).is_some_and(|previous| previous.end >= asked.from);
        if !sound || !inside || *bucket != asked.bucket {
            continue;
        }
        let kind = kind_of(own[*at].listed.backfill);
        report.note(asked, kind, (bucket, key), Err(Verdict::NotFound));
        let from = before.map(|at| own[at].listed.end);
        let digests = missing_between(digest, from).max(1);
        let from = from.map(towpath_model::eventtime_text);
        report.missing.push(Missing { from, to: digest.digest_start_time.clone(), digests });
    }
}

/// How many digests fit between the end of an older digest and the start of a newer one, by the newer one's length.
fn missing_between(newer: &Digest, older_end: Option<Timestamp>) -> u64 {
    let times = (newer.digest_start_time.parse::<Timestamp>(), newer.digest_end_time.parse::<Timestamp>());
    let ((Ok(start), Ok(end)), Some(older_end)) = (times, older_end) else { return 1 };
    let length = end.duration_since(start).as_secs().max(1);
    u64::try_from(start.duration_since(older_end).as_secs() / length).unwrap_or(1)
}
