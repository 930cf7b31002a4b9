//! Checking log files: those that digests name, and those that none names.

use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use futures::{StreamExt, TryStreamExt};
use jiff::{SignedDuration, Timestamp};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use sha2::{Digest as _, Sha256};

use super::digests::Checked;
use super::fetch::instant_of;
use super::{NextDigest, ObjectKind, Progress, Report, Session, Verdict, VerifyError, VerifyTrail, later};
use crate::digest::DigestFile;
use crate::object_key::Folder;

/// Checks the log files of the digests that were checked.
pub(super) async fn check(asked: &VerifyTrail, checked: &Checked, report: &mut Report) -> Result<(), VerifyError> {
    (asked.progress)(Progress::LogFiles(checked.named.len() as u64));
    let mut stores: HashMap<&str, Arc<dyn ObjectStore>> = HashMap::new();
    for file in &checked.named {
        if !stores.contains_key(file.s3_bucket.as_str()) {
            stores.insert(&file.s3_bucket, asked.buckets.open(&file.s3_bucket).await?);
        }
    }
    let mut seen = HashSet::with_capacity(checked.named.len());
    let reads = checked.named.iter().map(|file| {
        let store = stores[file.s3_bucket.as_str()].clone();
        async move { Ok::<_, VerifyError>((file, check_one(store.as_ref(), file).await?)) }
    });
    let mut outcomes = futures::stream::iter(reads).buffer_unordered(asked.parallel.max(1));
    while let Some((file, outcome)) = outcomes.try_next().await? {
        (asked.progress)(Progress::LogFileChecked);
        let place = (file.s3_bucket.as_str(), file.s3_object.as_str());
        let outcome = if seen.insert(place) { outcome } else { Err(Verdict::NamedTwice) };
        report.note(asked, ObjectKind::LogFile, place, outcome);
    }
    let known = checked.known.iter().map(|(bucket, key)| (bucket.as_str(), key.as_str()));
    seen.extend(known);
    find_unlisted(asked, checked, &seen, report).await
}

async fn check_one(store: &dyn ObjectStore, file: &DigestFile) -> Result<Result<(), Verdict>, VerifyError> {
    let Ok(path) = Path::parse(&file.s3_object) else { return Ok(Err(Verdict::InvalidFormat)) };
    let read = async { store.get(&path).await?.bytes().await };
    let packed = match read.await {
        Ok(packed) => packed,
        Err(object_store::Error::NotFound { .. }) => return Ok(Err(Verdict::NotFound)),
        Err(cause) => return Err(VerifyError::Read { what: file.s3_object.clone(), cause }),
    };
    let hashed = tokio::task::spawn_blocking(move || hash_text(&packed)).await.map_err(|_| VerifyError::Stopping)?;
    Ok(match hashed {
        Err(_) => Err(Verdict::InvalidFormat),
        Ok(hash) if hash == file.hash_value => Ok(()),
        Ok(_) => Err(Verdict::Hash),
    })
}

/// The hexadecimal SHA-256 of what the gzip data hold. Data behind the first stream count: readers may read them.
pub(super) fn hash_text(packed: &Bytes) -> std::io::Result<String> {
    let mut text = MultiGzDecoder::new(&packed[..]);
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 64 << 10]);
    loop {
        match text.read(&mut buffer)? {
            0 => return Ok(hex::encode(hash.finalize())),
            read => hash.update(&buffer[..read]),
        }
    }
}

/// Looks for log files of the verified time that no digest names.
async fn find_unlisted(
    asked: &VerifyTrail,
    checked: &Checked,
    named: &HashSet<(&str, &str)>,
    report: &mut Report,
) -> Result<(), VerifyError> {
    let first = report.covered_from.as_ref().and_then(|text| text.parse::<Timestamp>().ok());
    let Some((start, end)) = checked.newest else { return Ok(()) };
    let gaps = report.gaps.clone();
    // What was put after the newest digest, the next one names; unless it is much older than that.
    let recent = later(end, start.duration_since(end) * 2);
    let vouched = |at: Timestamp| first.is_some_and(|first| at >= first) && gaps.iter().all(|gap| !gap.holds(at));
    let next = report.next_digest.unwrap_or(NextDigest::Comes);
    let judge = |file: &Found| match file.time {
        Some(time) if file.moment(time) >= end || (time >= recent && file.modified >= end) => next.of_newer_files(),
        // Names have minutes alone: the first minute of a session is as good as in it, if the file was put in it.
        Some(time) if !vouched(end_of_minute(time)) || !(vouched(time) || vouched(file.modified)) => {
            Standing::Undigested
        }
        _ => Standing::Unlisted,
    };
    judge_files(asked, named, judge, report).await
}

/// Judges log files where there is no digest at all. `sessions` are the times in which the trail wrote digests for other
/// accounts and regions: a file of such a time was in a digest that is gone.
pub(super) async fn without_digests(
    asked: &VerifyTrail,
    checked: &Checked,
    sessions: &[Session],
    report: &mut Report,
) -> Result<(), VerifyError> {
    let named: HashSet<(&str, &str)> =
        checked.known.iter().map(|(bucket, key)| (bucket.as_str(), key.as_str())).collect();
    let within = |at: Timestamp| sessions.iter().any(|session| session.holds(at));
    let judge = |file: &Found| match (file.time, sessions.iter().max_by_key(|session| session.until)) {
        (_, None) => Standing::Undigested,
        (None, Some(_)) => Standing::Unlisted,
        (Some(time), Some(newest)) if newest.may_follow(time, file) => Standing::Pending,
        (Some(time), _) if within(file.moment(time)) => Standing::Unlisted,
        _ => Standing::Undigested,
    };
    judge_files(asked, &named, judge, report).await
}

/// A log file that no digest names.
struct Found {
    /// The minute in its name; none if it has another form.
    time: Option<Timestamp>,
    /// When it was put, by the clock of its bucket; a copy made with `aws s3 sync` keeps it.
    modified: Timestamp,
}

impl Found {
    /// When it was put, as exactly as can be told: names have minutes alone.
    fn moment(&self, minute: Timestamp) -> Timestamp {
        if self.modified >= minute && self.modified <= end_of_minute(minute) { self.modified } else { minute }
    }
}

impl Session {
    /// True when a file may be so new that its digest was not due yet.
    fn may_follow(&self, minute: Timestamp, file: &Found) -> bool {
        if !self.next.may_come() {
            return false;
        }
        let recent = later(self.end, self.until.duration_since(self.end) * 2);
        file.moment(minute) >= self.until || (minute >= recent && file.modified >= self.until)
    }
}

impl NextDigest {
    /// How a file stands that was put after the newest digest.
    fn of_newer_files(self) -> Standing {
        match self {
            Self::Comes | Self::Due { .. } => Standing::Pending,
            Self::Unvalidated => Standing::Undigested,
            Self::Ended | Self::Overdue { .. } => Standing::Unlisted,
        }
    }
}

enum Standing {
    /// A digest should name it.
    Unlisted,
    /// The next digest will.
    Pending,
    /// It was delivered while there were no digests.
    Undigested,
}

/// Lists the log files and notes how each stands that is not `named`.
async fn judge_files(
    asked: &VerifyTrail,
    named: &HashSet<(&str, &str)>,
    judge: impl Fn(&Found) -> Standing,
    report: &mut Report,
) -> Result<(), VerifyError> {
    let store = asked.buckets.open(&asked.bucket).await?;
    for folder in Folder::ALL {
        let prefix = format!("{}{}/{}", asked.place().root(), folder.as_str(), asked.region);
        let read = |cause| VerifyError::Read { what: format!("the listing of {prefix}"), cause };
        let path = Path::parse(&prefix).map_err(|source| read(object_store::Error::InvalidPath { source }))?;
        let mut found = store.list(Some(&path));
        while let Some(meta) = found.try_next().await.map_err(read)? {
            let key = meta.location.as_ref();
            // Empty objects are folder marks and probes.
            if meta.size == 0 || named.contains(&(asked.bucket.as_str(), key)) {
                continue;
            }
            let time = key.strip_suffix(".json.gz").and_then(|key| instant_of(key.rsplit('_').nth(1)?));
            if time.is_some_and(|time| time < asked.from) {
                continue;
            }
            match judge(&Found { time, modified: modified(&meta) }) {
                Standing::Pending => report.pending_log_files += 1,
                Standing::Undigested => report.undigested_log_files += 1,
                Standing::Unlisted => {
                    report.note(asked, ObjectKind::LogFile, (&asked.bucket, key), Err(Verdict::Unlisted));
                }
            }
        }
    }
    Ok(())
}

fn end_of_minute(minute: Timestamp) -> Timestamp {
    later(minute, SignedDuration::from_secs(59))
}

fn modified(meta: &ObjectMeta) -> Timestamp {
    Timestamp::from_second(meta.last_modified.timestamp()).unwrap_or(Timestamp::MIN)
}
