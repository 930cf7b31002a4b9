//! The outcome of a verification, as a table and as JSON.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::{Value, json};
use towpath_trail::verify::{Count, NextDigest, ObjectKind, Place, Report, Verdict};

use super::super::{counted, plural};
use super::Output;
use crate::output::{self, Format, Rows};

/// What was found for every account and region of a trail.
pub struct Outcome {
    /// The trail as it was named.
    pub trail: String,
    /// Where its digests are.
    pub bucket: String,
    /// One report per account and region.
    pub reports: Vec<Report>,
    /// Places with log files that no trail with digests can have delivered, and how many files.
    pub unvouched: BTreeMap<Place, u64>,
    /// Why the server did not tell which digests it has put.
    pub refusal: Option<String>,
    /// Digests whose signature a copy has lost are accepted.
    pub allow_unchecked: bool,
}

impl Outcome {
    /// True when there are digests, and everything is valid.
    pub fn is_valid(&self) -> bool {
        self.reports.iter().any(|report| total(report) > 0)
            && self.reports.iter().all(Report::is_valid)
            && self.unvouched.is_empty()
            && (self.allow_unchecked || self.unchecked() == 0)
    }

    /// How many digests could not be checked.
    pub fn unchecked(&self) -> u64 {
        self.reports.iter().map(|report| report.digests.unchecked + report.backfill_digests.unchecked).sum()
    }

    fn json(&self) -> Value {
        json!({
            "trail": self.trail,
            "bucket": self.bucket,
            "valid": self.is_valid(),
            "reports": self.reports,
            "unvouched": self.unvouched.iter().map(unvouched_json).collect::<Vec<_>>(),
            "serverRecord": self.refusal.is_none(),
        })
    }

    /// Prints the report.
    pub fn print(&self, output: Output) -> io::Result<()> {
        if output == Output::Json {
            return output::print_json(&self.json());
        }
        let mut rows = Rows::new(&["account", "region", "digests", "backfill digests", "log files", "from", "until"]);
        for report in &self.reports {
            rows.push(vec![
                report.account.clone(),
                report.region.clone(),
                valid_of(report.digests),
                valid_of(report.backfill_digests),
                valid_of(report.log_files),
                report.covered_from.clone().unwrap_or_default(),
                report.covered_until.clone().unwrap_or_default(),
            ]);
        }
        output::print(rows, Format::Table)?;
        let mut out = io::stdout().lock();
        for line in self.lines() {
            writeln!(out, "{line}")?;
        }
        Ok(())
    }

    /// What there is to say beside the numbers: each finding names its object.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for report in &self.reports {
            for finding in &report.findings {
                let kind = match finding.kind {
                    ObjectKind::Digest => "digest",
                    ObjectKind::BackfillDigest => "backfill digest",
                    ObjectKind::LogFile => "log file",
                };
                let object = output::visible(&finding.key).into_owned();
                lines.push(format!("{kind} s3://{}/{object}: {}", finding.bucket, finding.message));
            }
            let place = format!("{} {}", report.account, report.region);
            for missing in &report.missing {
                let from = missing.from.as_deref().unwrap_or("the start");
                let digests = plural(missing.digests, "digest");
                lines.push(format!("{place}: {digests} missing between {from} and {}", missing.to));
            }
            for gap in &report.gaps {
                let (from, to) = (&gap.from, &gap.to);
                lines.push(format!("{place}: no digests between {from} and {to}; the trail was not logging"));
            }
            lines.extend(assumption_of(report).map(|assumed| format!("{place}: {assumed}")));
            for (count, what) in [
                (report.pending_log_files, "newer than the newest digest; the next one names them"),
                (report.undigested_log_files, "of times without digests; nothing vouches for them"),
            ] {
                if count > 0 {
                    lines.push(format!("{place}: {} {what}", plural(count, "log file")));
                }
            }
        }
        for (place, files) in &self.unvouched {
            let (account, region) = (place.account, &place.region);
            lines.push(format!(
                "{account} {region}: {} and no digest; nothing vouches for them",
                plural(*files, "log file")
            ));
        }
        if let Some(refusal) = &self.refusal {
            lines.push(format!(
                "the server did not tell which digests it has put ({refusal}); a cut end goes unnoticed"
            ));
        }
        if self.reports.iter().all(|report| total(report) == 0) {
            lines.push("no digests found".to_owned());
        }
        lines.push(if self.is_valid() { "valid".to_owned() } else { "NOT valid".to_owned() });
        lines
    }
}

/// What is assumed about the next digest, where log files that no digest names depend on it.
fn assumption_of(report: &Report) -> Option<String> {
    let strange = report.findings.iter().any(|finding| finding.verdict == Verdict::Unlisted);
    let matters = match report.next_digest? {
        NextDigest::Due { .. } => report.pending_log_files > 0,
        NextDigest::Overdue { .. } => strange,
        NextDigest::Comes | NextDigest::Unvalidated | NextDigest::Ended => false,
    };
    report.next_digest.filter(|_| matters)?.assumption()
}

fn unvouched_json((place, files): (&Place, &u64)) -> Value {
    json!({ "account": place.account, "region": place.region, "prefix": place.prefix, "log_files": files })
}

fn total(report: &Report) -> u64 {
    let of = |count: Count| count.valid + count.invalid + count.unchecked;
    of(report.digests) + of(report.backfill_digests)
}

/// `12/12 valid`, and what is not.
fn valid_of(count: Count) -> String {
    let all = count.valid + count.invalid + count.unchecked;
    let mut text = format!("{}/{} valid", counted(count.valid), counted(all));
    for (number, what) in [(count.invalid, "INVALID"), (count.unchecked, "unchecked")] {
        if number > 0 {
            text.push_str(&format!(", {} {what}", counted(number)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use towpath_trail::verify::{Finding, Missing};

    use super::*;

    fn report() -> Report {
        Report {
            trail: "t".to_owned(),
            account: "000000000001".to_owned(),
            region: "eu-west-1".to_owned(),
            from: Timestamp::UNIX_EPOCH,
            to: Timestamp::UNIX_EPOCH,
            covered_from: None,
            covered_until: None,
            next_digest: None,
            digests: Count { valid: 2, ..Count::default() },
            backfill_digests: Count::default(),
            log_files: Count { valid: 1, ..Count::default() },
            pending_log_files: 0,
            undigested_log_files: 0,
            findings: Vec::new(),
            gaps: Vec::new(),
            missing: Vec::new(),
        }
    }

    fn outcome(reports: Vec<Report>) -> Outcome {
        let (trail, bucket, unvouched) = ("t".to_owned(), "b".to_owned(), BTreeMap::new());
        Outcome { trail, bucket, reports, unvouched, refusal: None, allow_unchecked: false }
    }

    #[test]
    fn only_what_is_there_and_whole_is_valid() {
        assert!(outcome(vec![report()]).is_valid());
        assert!(!outcome(Vec::new()).is_valid());
        let empty = Report { digests: Count::default(), ..report() };
        assert!(!outcome(vec![empty.clone()]).is_valid());
        assert!(outcome(vec![report(), empty]).is_valid());
        let missing = Missing { from: None, to: "2026".to_owned(), digests: 2 };
        let holed = Report { missing: vec![missing], ..report() };
        assert!(!outcome(vec![report(), holed]).is_valid());
        let unchecked = Report { digests: Count { valid: 1, invalid: 0, unchecked: 1 }, ..report() };
        assert!(!outcome(vec![unchecked.clone()]).is_valid());
        assert!(Outcome { allow_unchecked: true, ..outcome(vec![unchecked]) }.is_valid());
    }

    #[test]
    fn what_is_assumed_of_the_next_digest_is_said_where_it_matters() {
        let until = Timestamp::UNIX_EPOCH;
        let due = Report { next_digest: Some(NextDigest::Due { until }), ..report() };
        assert_eq!(outcome(vec![due.clone()]).lines(), ["valid"]);
        let lines = outcome(vec![Report { pending_log_files: 1, ..due.clone() }]).lines();
        assert_eq!(lines[0], "000000000001 eu-west-1: a next digest is assumed to come by 1970-01-01T00:00:00Z");
        let known = Report { next_digest: Some(NextDigest::Comes), pending_log_files: 1, ..report() };
        assert!(!outcome(vec![known]).lines().concat().contains("assumed"));
    }

    #[test]
    fn a_finding_names_its_object() {
        let finding = Finding {
            kind: ObjectKind::LogFile,
            bucket: "b".to_owned(),
            key: "AWSLogs/x\u{1b}.json.gz".to_owned(),
            verdict: Verdict::Hash,
            message: Verdict::Hash.message("eu-west-1"),
        };
        let bad = Report { findings: vec![finding], log_files: Count { invalid: 1, ..Count::default() }, ..report() };
        let lines = outcome(vec![bad]).lines();
        assert_eq!(lines[0], "log file s3://b/AWSLogs/x\\u{1b}.json.gz: INVALID: hash value doesn't match");
        assert_eq!(lines.last().unwrap(), "NOT valid");
        assert_eq!(
            valid_of(Count { valid: 1_200, invalid: 2, unchecked: 1 }),
            "1,200/1,203 valid, 2 INVALID, 1 unchecked"
        );
    }
}
