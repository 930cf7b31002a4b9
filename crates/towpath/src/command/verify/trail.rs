//! `towpath verify trail`: every chain of digests of a trail, and every log file that they name.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use indicatif::ProgressBar;
use jiff::Timestamp;
use towpath_trail::verify::{KeySource, Progress, VerifyTrail, verify_all};

use super::super::time::{self, Written};
use super::super::{Failure, connect, progress};
use super::Output;
use super::found::{Found, PlaceArgs, in_bucket, in_copy, opened};
use super::keys::{KeyFile, ServerKeys};
use super::places::{CopiedBuckets, S3Args};
use super::shown::Outcome;
use super::what::{Chain, NamedTrail, parse_trail};
use crate::client::{ConnectionArgs, Retry};

/// Flags of `towpath verify trail`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
In a bucket, or without a server in a folder that it was copied to:
  towpath verify trail arn:aws:cloudtrail:eu-west-1:000000000000:trail/audit --start 30d
  towpath verify public-keys arn:aws:cloudtrail:eu-west-1:000000000000:trail/audit > keys
  aws s3 sync s3://audit-logs ./copy
  towpath verify trail --folder ./copy --public-keys keys
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
            at: now,
            offline: self.folder.is_some(),
            parallel: usize::from(self.parallel),
        };
        let signatures = file.map(|file| file.signatures).unwrap_or_default();
        let outcome = verify(found, &asked, Arc::new(keys), signatures).await?;
        let trail = self.trail.as_ref().map(NamedTrail::arn).unwrap_or_default();
        Ok(Outcome { trail, allow_unchecked: self.allow_unchecked, ..outcome })
    }
}

/// How chains are verified.
pub struct Asked {
    /// Digests of this time and later.
    pub from: Timestamp,
    /// Digests of this time and earlier.
    pub to: Timestamp,
    /// The time at which this is asked.
    pub at: Timestamp,
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
        at: asked.at,
        buckets: found.buckets.clone(),
        keys: keys.clone(),
        offline: asked.offline,
        signatures: signatures.clone(),
        recorded: chain.recorded,
        continues: chain.continues,
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

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
    async fn an_empty_folder_is_not_valid() {
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys.json");
        std::fs::write(&keys, r#"{"PublicKeyList":[]}"#).unwrap();
        let empty = tempfile::tempdir().unwrap();
        let line = format!("--folder {} --public-keys {}", empty.path().display(), keys.display());
        assert!(matches!(parse(&line).unwrap().run().await, Err(Failure::Told)));
    }
}
