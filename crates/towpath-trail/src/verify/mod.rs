//! Verification: is what lies in the bucket what the trail delivered?
//!
//! Works on any bucket, and on a local copy of one, and needs nothing but the objects and the public keys. It checks what
//! the stock client's `validate-logs` checks, with the same words (integrity.md, section 7), and beyond that:
//!
//! - each digest's `previousDigestHashValue` against the text of the one before,
//! - neighbouring digests that are missing together, of which only the newest is named by a digest that is left,
//! - log files that no digest names, also where a region or an account has lost all its digests,
//! - digests that the server remembers and the bucket has lost ([`VerifyTrail::recorded`]),
//! - log files behind the newest digest of a trail that has ended ([`NextDigest`]).
//!
//! A copy made with `aws s3 sync` has lost the user metadata and with it the signatures. There a digest is checked with
//! the signature that its successor repeats; the newest of a session has no successor and counts as unchecked unless its
//! signature is supplied ([`VerifyTrail::signatures`]). Everything it names is still compared with it.

mod contents;
mod digests;
mod fetch;
mod keys;
mod log_files;
mod next_digest;
mod recorded;
mod report;
mod vouched;

#[cfg(test)]
mod evidence_tests;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use object_store::ObjectStore;
use towpath_model::{AccountId, OrganizationId, Region, TrailName};

use crate::buckets::{BucketError, Buckets};
use crate::object_key::{KeyPlace, digest_prefix};
use crate::recorded::{Continues, RecordedDigest};

use digests::Checked;
use fetch::Listed;

pub use contents::{Contents, NamedChain, Place};
pub use keys::{KeyFileError, KeySource, SavedKeys};
pub use next_digest::NextDigest;
pub use report::{Count, Finding, Gap, Missing, ObjectKind, Report, Verdict};
pub use vouched::{NotVouched, Vouchers};

/// What is to be verified.
pub struct VerifyTrail {
    /// The trail's name.
    pub trail: TrailName,
    /// Its home region.
    pub home_region: Region,
    /// The region whose events are verified.
    pub region: Region,
    /// The account whose events are verified.
    pub account: AccountId,
    /// The organization, for an organization trail.
    pub organization: Option<OrganizationId>,
    /// The bucket that digests are looked for in.
    pub bucket: String,
    /// The trail's prefix.
    pub prefix: Option<String>,
    /// Digests that end before are left out.
    pub from: Timestamp,
    /// Digests that end more than an hour after are left out.
    pub to: Timestamp,
    /// The time at which this is asked.
    pub at: Timestamp,
    /// Where objects are read. For a local copy every bucket is its folder.
    pub buckets: Arc<dyn Buckets>,
    /// Where public keys are looked up.
    pub keys: Arc<dyn KeySource>,
    /// The objects have lost their metadata.
    pub offline: bool,
    /// Signatures known from elsewhere, by object key; for digests whose metadata is not at hand.
    pub signatures: HashMap<String, String>,
    /// The newest digests that the server remembers to have put, if it was asked.
    pub recorded: Vec<RecordedDigest>,
    /// How the chain goes on, if the server was asked. Offline it counts only if there is no digest newer than `recorded`.
    pub continues: Option<Continues>,
    /// False when it is known that the trail takes no events of this region: log files there are another trail's.
    pub takes_region: bool,
    /// Objects that are read at the same time; at least 1.
    pub parallel: usize,
    /// Told of each object that was checked.
    pub progress: Arc<dyn Fn(Progress) + Send + Sync>,
}

/// How far a verification has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// So many digests are to be checked.
    Digests(u64),
    /// One digest was checked.
    DigestChecked,
    /// So many log files are to be checked, known once the digests are.
    LogFiles(u64),
    /// One log file was checked.
    LogFileChecked,
}

/// Why nothing could be verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// A bucket cannot be opened.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// A listing or an object cannot be read, for another reason than that it is missing.
    #[error("cannot read {what}")]
    Read {
        /// What was being read.
        what: String,
        /// Why it failed.
        #[source]
        cause: object_store::Error,
    },
    /// The public keys cannot be had.
    #[error("cannot get public keys: {0}")]
    Keys(String),
    /// There are no public keys for the time.
    #[error("No public keys found between {from} and {to}")]
    NoKeys {
        /// Begin of the time asked for.
        from: Timestamp,
        /// Its end.
        to: Timestamp,
    },
    /// The process stops.
    #[error("the process stops")]
    Stopping,
}

impl VerifyTrail {
    /// Verifies one account and region. Log files without any digest are counted; [`verify_all`] judges them.
    ///
    /// # Errors
    /// When objects or keys cannot be read at all; whatever is wrong with them is in the report.
    pub async fn run(&self) -> Result<Report, VerifyError> {
        let (mut report, checked) = self.check().await?;
        if checked.newest.is_none() {
            log_files::without_digests(self, &checked, &[], &mut report).await?;
        }
        report.finish();
        Ok(report)
    }

    async fn check(&self) -> Result<(Report, Checked), VerifyError> {
        let mut report = Report::new(self);
        let store = self.buckets.open(&self.bucket).await?;
        let listed = fetch::list_digests(self, store.as_ref()).await?;
        let checked = self.check_listed(store.as_ref(), listed, &mut report).await?;
        recorded::check(self, &checked, &mut report).await?;
        Ok((report, checked))
    }

    async fn check_listed(
        &self,
        store: &dyn ObjectStore,
        listed: Vec<Listed>,
        report: &mut Report,
    ) -> Result<Checked, VerifyError> {
        if listed.is_empty() {
            return Ok(Checked::default());
        }
        let until = later(self.to, SignedDuration::from_hours(2));
        let keys = self.keys.public_keys(&self.region, self.from, until).await.map_err(VerifyError::Keys)?;
        if keys.is_empty() {
            return Err(VerifyError::NoKeys { from: self.from, to: until });
        }
        let fetched = fetch::read_digests(self, store, listed).await?;
        let checked = digests::check(self, fetched, keys, report).await?;
        report.next_digest = NextDigest::after(self, &checked);
        log_files::check(self, &checked, report).await?;
        Ok(checked)
    }

    /// True when another verification is of the same trail, for another account or region.
    fn same_trail(&self, other: &Self) -> bool {
        (&self.trail, &self.home_region, &self.organization, &self.bucket, &self.prefix)
            == (&other.trail, &other.home_region, &other.organization, &other.bucket, &other.prefix)
    }

    pub(crate) fn place(&self) -> KeyPlace {
        KeyPlace::new(self.prefix.as_deref(), self.organization.as_ref(), self.account)
    }

    pub(crate) fn digest_prefix(&self) -> String {
        digest_prefix(&self.place(), &self.region)
    }
}

/// A time in which a trail wrote digests, as those of one account and region show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    from: Timestamp,
    /// Start of the newest digest: what was delivered before is in it at the latest.
    pub(crate) until: Timestamp,
    /// Its end.
    pub(crate) end: Timestamp,
    gaps: Vec<Gap>,
    pub(crate) next: NextDigest,
}

impl Session {
    fn of(report: &Report, checked: &Checked) -> Option<Self> {
        let from = report.covered_from.as_ref()?.parse().ok()?;
        let (until, end) = checked.newest?;
        Some(Self { from, until, end, gaps: report.gaps.clone(), next: report.next_digest? })
    }

    /// True when a file of this time should be in a digest.
    pub(crate) fn holds(&self, at: Timestamp) -> bool {
        let until = match self.next {
            next if next.is_end() => Timestamp::MAX,
            next if next.may_come() => self.until,
            _ => self.end,
        };
        at >= self.from && at < until && self.gaps.iter().all(|gap| !gap.holds(at))
    }
}

/// Verifies chains, one after the other. Where an account and region have log files and no digest, the other chains of
/// the same trail tell whether it wrote digests then: all its chains keep the same hours.
///
/// # Errors
/// As [`VerifyTrail::run`].
pub async fn verify_all(chains: &[VerifyTrail]) -> Result<Vec<Report>, VerifyError> {
    let mut done = Vec::with_capacity(chains.len());
    for chain in chains {
        done.push(chain.check().await?);
    }
    let sessions: Vec<Option<Session>> = done.iter().map(|(report, checked)| Session::of(report, checked)).collect();
    for (asked, (report, checked)) in chains.iter().zip(&mut done) {
        if checked.newest.is_none() {
            let others =
                chains.iter().zip(&sessions).filter(|(other, _)| asked.takes_region && asked.same_trail(other));
            let sessions: Vec<Session> = others.filter_map(|(_, session)| session.clone()).collect();
            log_files::without_digests(asked, checked, &sessions, report).await?;
        }
        report.finish();
    }
    Ok(done.into_iter().map(|(report, _)| report).collect())
}

pub(crate) fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(if by.is_negative() { Timestamp::MIN } else { Timestamp::MAX })
}
