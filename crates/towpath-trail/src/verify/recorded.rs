//! The server's memory against the bucket: the newest digest that it put must be there, and be the one it put.

use jiff::{SignedDuration, Timestamp};
use object_store::ObjectStoreExt;
use object_store::path::Path;

use super::digests::Checked;
use super::fetch::{Listed, parse_key};
use super::{Missing, ObjectKind, Report, Verdict, VerifyError, VerifyTrail, later};
use crate::recorded::RecordedDigest;

/// Looks for the digests that the server remembers.
pub(super) async fn check(asked: &VerifyTrail, checked: &Checked, report: &mut Report) -> Result<(), VerifyError> {
    for recorded in &asked.recorded {
        // Those of another time were not asked for. A trail that changed its prefix has left its older ones behind.
        let Some(listed) = parse_key(asked, &recorded.key).filter(|listed| !listed.foreign && asked.covers(listed.end))
        else {
            continue;
        };
        let kind = if listed.backfill { ObjectKind::BackfillDigest } else { ObjectKind::Digest };
        match checked.hashes.get(&recorded.key).filter(|_| recorded.bucket == asked.bucket) {
            Some(Some(hash)) if *hash != recorded.hash => {
                report.replace(asked, kind, (&recorded.bucket, &recorded.key), Verdict::NotRecorded);
            }
            // What cannot be read was found already.
            Some(_) => {}
            None if is_there(asked, recorded).await? => {}
            None => {
                report.note(asked, kind, (&recorded.bucket, &recorded.key), Err(Verdict::NotFound));
                let missing = missing_before(&listed, checked, report);
                report.missing.push(missing);
            }
        }
    }
    Ok(())
}

/// A digest in a bucket that the trail used before is not among those that were listed.
async fn is_there(asked: &VerifyTrail, recorded: &RecordedDigest) -> Result<bool, VerifyError> {
    if recorded.bucket == asked.bucket || asked.offline {
        return Ok(recorded.bucket != asked.bucket);
    }
    let Ok(path) = Path::parse(&recorded.key) else { return Ok(false) };
    let store = match asked.buckets.open(&recorded.bucket).await {
        Ok(store) => store,
        Err(error) if error.code.as_deref() == Some("NoSuchBucket") => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    match store.head(&path).await {
        Ok(_) => Ok(true),
        Err(object_store::Error::NotFound { .. }) => Ok(false),
        Err(cause) => Err(VerifyError::Read { what: recorded.key.clone(), cause }),
    }
}

/// The time between the newest digest that is left and the one that is gone.
fn missing_before(gone: &Listed, checked: &Checked, report: &Report) -> Missing {
    let newest = checked.newest.filter(|(_, end)| *end < gone.end && !gone.backfill);
    let digests = newest.map_or(1, |(start, end)| {
        let period = end.duration_since(start).as_secs().max(1);
        // A last digest is shorter than the period.
        u64::try_from(gone.end.duration_since(end).as_secs().div_euclid(period)).unwrap_or(1).max(1)
    });
    let to = towpath_model::eventtime_text(gone.end);
    Missing { from: newest.and_then(|_| report.covered_until.clone()), to, digests }
}

impl VerifyTrail {
    fn covers(&self, end: Timestamp) -> bool {
        end >= self.from && end <= later(self.to, SignedDuration::from_hours(1))
    }
}
