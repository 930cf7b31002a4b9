//! What a verification found.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{NextDigest, VerifyTrail};

/// The result for one trail, account and source region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The trail's name.
    pub trail: String,
    /// The account.
    pub account: String,
    /// The source region.
    pub region: String,
    /// What was asked for.
    pub from: Timestamp,
    /// What was asked for.
    pub to: Timestamp,
    /// Start of the oldest valid digest.
    pub covered_from: Option<String>,
    /// End of the newest valid digest. Digests that were deleted after it leave no trace in the bucket; only the server
    /// remembers them.
    pub covered_until: Option<String>,
    /// Regular digests.
    pub digests: Count,
    /// Backfill digests.
    pub backfill_digests: Count,
    /// Log files that valid digests name.
    pub log_files: Count,
    /// Whether another digest will follow; none where there is no digest at all.
    pub next_digest: Option<NextDigest>,
    /// Log files newer than the newest digest: a later digest will name them.
    pub pending_log_files: u64,
    /// Log files from before the first digest or from a gap: nothing vouches for them.
    pub undigested_log_files: u64,
    /// All that is not valid.
    pub findings: Vec<Finding>,
    /// Times without digests that a new beginning of the chain explains: logging was stopped.
    pub gaps: Vec<Gap>,
    /// Times whose digests are missing although the chain says they were written.
    pub missing: Vec<Missing>,
}

/// How many objects of a kind are what they should be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Checked and good.
    pub valid: u64,
    /// Not good.
    pub invalid: u64,
    /// Signature not available offline; all else is good.
    pub unchecked: u64,
}

/// Something about one object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What the object is.
    pub kind: ObjectKind,
    /// Its bucket.
    pub bucket: String,
    /// Its key.
    pub key: String,
    /// What was found.
    pub verdict: Verdict,
    /// The verdict in words, as the stock client prints it.
    pub message: String,
}

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectKind {
    /// A digest.
    Digest,
    /// A backfill digest.
    BackfillDigest,
    /// A log file.
    LogFile,
}

/// What is wrong with an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is named and not there.
    NotFound,
    /// It is not gzip, not JSON, or lacks members.
    InvalidFormat,
    /// It lies elsewhere than it says.
    Moved,
    /// Its key is not among the public keys.
    UnknownKey(String),
    /// Its key cannot be used.
    UnusableKey(String),
    /// Its signature is missing or not one of it.
    Signature,
    /// Its text is not what the digest says.
    Hash,
    /// It is not the digest that its successor continued.
    PreviousHash,
    /// It is not the digest that the server remembers.
    NotRecorded,
    /// Two digests name it.
    NamedTwice,
    /// No digest names it.
    Unlisted,
    /// Its signature is not in the copy.
    NotCheckedOffline,
}

/// A time without digests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// End of the digest before.
    pub from: String,
    /// Start of the digest after.
    pub to: String,
}

/// Digests that are gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// End of the last digest before, if one is left.
    pub from: Option<String>,
    /// Start of the first digest after; or the end of the newest one that the server remembers.
    pub to: String,
    /// How many are gone, judged by the period of the digest after; at least 1.
    pub digests: u64,
}

impl Gap {
    /// True for a time in it; a gap whose ends cannot be read holds every time.
    pub(super) fn holds(&self, at: Timestamp) -> bool {
        let time = |text: &String| text.parse::<Timestamp>().ok();
        time(&self.from).is_none_or(|from| at >= from) && time(&self.to).is_none_or(|to| at < to)
    }
}

impl Verdict {
    /// The words of the stock client; for what it does not check, words of the same kind.
    pub fn message(&self, home_region: &str) -> String {
        match self {
            Self::NotFound => "INVALID: not found".to_owned(),
            Self::InvalidFormat => "INVALID: invalid format".to_owned(),
            Self::Moved => "INVALID: has been moved from its original location".to_owned(),
            Self::UnknownKey(key) => {
                format!("INVALID: public key not found in region {home_region} for fingerprint {key}")
            }
            Self::UnusableKey(key) => format!("INVALID: Unable to load PKCS #1 key with fingerprint {key}"),
            Self::Signature => "INVALID: signature verification failed".to_owned(),
            Self::Hash => "INVALID: hash value doesn't match".to_owned(),
            Self::PreviousHash => "INVALID: is not the digest that the next one continues".to_owned(),
            Self::NotRecorded => "INVALID: is not the digest that the server put".to_owned(),
            Self::NamedTwice => "INVALID: is named by more than one digest".to_owned(),
            Self::Unlisted => "INVALID: is not named by any digest".to_owned(),
            Self::NotCheckedOffline => "signature not available offline".to_owned(),
        }
    }
}

impl Report {
    pub(super) fn new(asked: &VerifyTrail) -> Self {
        Self {
            trail: asked.trail.to_string(),
            account: asked.account.to_string(),
            region: asked.region.to_string(),
            from: asked.from,
            to: asked.to,
            covered_from: None,
            covered_until: None,
            next_digest: None,
            digests: Count::default(),
            backfill_digests: Count::default(),
            log_files: Count::default(),
            pending_log_files: 0,
            undigested_log_files: 0,
            findings: Vec::new(),
            gaps: Vec::new(),
            missing: Vec::new(),
        }
    }

    /// True when nothing is invalid and nothing is missing.
    pub fn is_valid(&self) -> bool {
        let counts = [self.digests, self.backfill_digests, self.log_files];
        counts.iter().all(|count| count.invalid == 0) && self.missing.is_empty()
    }

    /// Notes one checked object.
    pub(super) fn note(
        &mut self,
        asked: &VerifyTrail,
        kind: ObjectKind,
        place: (&str, &str),
        outcome: Result<(), Verdict>,
    ) {
        let count = self.count_of(kind);
        let verdict = match outcome {
            Ok(()) => {
                count.valid += 1;
                return;
            }
            Err(verdict) => verdict,
        };
        match verdict {
            Verdict::NotCheckedOffline => count.unchecked += 1,
            _ => count.invalid += 1,
        }
        let message = verdict.message(asked.home_region.as_str());
        let (bucket, key) = (place.0.to_owned(), place.1.to_owned());
        self.findings.push(Finding { kind, bucket, key, verdict, message });
    }

    /// Notes that an object is wrong which had passed the other checks, or adds nothing if it had not.
    pub(super) fn replace(&mut self, asked: &VerifyTrail, kind: ObjectKind, place: (&str, &str), verdict: Verdict) {
        let known = |finding: &Finding| finding.bucket == place.0 && finding.key == place.1;
        match self.findings.iter().position(known) {
            Some(at) if self.findings[at].verdict != Verdict::NotCheckedOffline => return,
            Some(at) => {
                self.findings.remove(at);
                self.count_of(kind).unchecked -= 1;
            }
            None => self.count_of(kind).valid -= 1,
        }
        self.note(asked, kind, place, Err(verdict));
    }

    fn count_of(&mut self, kind: ObjectKind) -> &mut Count {
        match kind {
            ObjectKind::Digest => &mut self.digests,
            ObjectKind::BackfillDigest => &mut self.backfill_digests,
            ObjectKind::LogFile => &mut self.log_files,
        }
    }

    pub(super) fn finish(&mut self) {
        self.findings.sort_by(|a, b| (a.kind, &a.bucket, &a.key).cmp(&(b.kind, &b.bucket, &b.key)));
    }
}
