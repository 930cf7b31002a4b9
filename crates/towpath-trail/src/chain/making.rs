//! One digest, made: text, signature and staged file, and the commit that moves its chain on.

use jiff::Timestamp;
use metrics::counter;
use towpath_meta::{Typed, Write};
use towpath_model::{Trail, eventtime_text};
use tracing::info;

use super::{Digester, Kind};
use crate::buckets::storage_code;
use crate::digest::{Digest, DigestFile, HASH_ALGORITHM, SIGNATURE_ALGORITHM};
use crate::error::DeliveryError;
use crate::log_file::time_span;
use crate::object_key::{KeyPlace, digest_key};
use crate::record::{self, Chain, ChainId, Delivered, Known, Link, Staged, What};
use crate::{gzip, stager};

// Digests are small and kept for ever.
const GZIP_LEVEL: u32 = 6;

impl Digester {
    /// Makes one digest, stages it and moves the chain on.
    pub(super) async fn make(
        &mut self,
        id: &ChainId,
        known: &Known,
        kind: Kind,
        (start, end): (Timestamp, Timestamp),
        files: Vec<Typed<Delivered>>,
    ) -> Result<(), DeliveryError> {
        let Some((chain, version)) = self.chains().get(id).cloned() else { return Ok(()) };
        let now = self.shared.clock.now();
        let (trail, backfill) = (&known.trail, kind == Kind::Backfill);
        let key = self.shared.keys.at(&id.region, if backfill { now } else { end }).await;
        let key = key.map_err(DeliveryError::Sign)?;
        let previous = if backfill { &chain.backfill } else { &chain.previous };
        let digest = digest(trail, id, (start, end), backfill, &key.fingerprint, previous.as_ref(), &files);
        let (count, object) = (files.len(), digest.digest_s3_object.clone());
        let link = |hash: &str, signature: &str| Link {
            bucket: digest.digest_s3_bucket.clone(),
            key: digest.digest_s3_object.clone(),
            hash: hash.to_owned(),
            signature: signature.to_owned(),
        };
        let signed = digest.sign(|text| key.sign(text));
        let file = format!("d{:010}-{}-{}-{}", chain.next, id.trail, id.account, id.region);
        let (folder, name, text) = (self.shared.folder.clone(), file.clone(), signed.text.clone());
        let write = move || stager::write_whole(&folder, &name, &gzip::whole(GZIP_LEVEL, &text)?);
        let written = tokio::task::spawn_blocking(write).await.map_err(|_| DeliveryError::Stopping)?;
        if let Err(cause) = written {
            self.shared.note(id.trail, |status| status.digest.failure(now, Some(storage_code(&cause))));
            return Err(DeliveryError::Staging(cause));
        }

        let staged = Staged {
            trail: id.trail,
            account: id.account,
            region: id.region.clone(),
            file: file.clone(),
            bucket: digest.digest_s3_bucket.clone(),
            key: object.clone(),
            staged: now,
            what: What::Digest { signature: signed.signature.clone(), backfill: backfill.then_some(now) },
        };
        let made = link(&signed.hash, &signed.signature);
        let mut next = Chain { next: chain.next + 1, ..chain };
        match kind {
            Kind::Regular => (next.start, next.previous, next.last) = (end, Some(made.clone()), Some(made)),
            Kind::Final => (next.start, next.previous, next.last, next.session) = (end, None, Some(made), None),
            Kind::Backfill => (next.backfilled, next.backfill) = (Some(end), Some(made)),
        }
        let doing = "commit a digest";
        let write = Write::json(record::staged_key(id.trail, &file), &staged).map_err(DeliveryError::meta(doing))?;
        let mut writes = vec![write];
        writes.extend(files.into_iter().map(|file| Write::Delete(file.key)));
        self.commit(next, Some(version), writes, doing).await?;
        counter!("towpath_trail_digests_total").increment(1);
        info!(trail = %trail.name, region = %id.region, key = object, files = count, "digest staged");
        self.shared.staged.notify_one();
        Ok(())
    }
}

fn digest(
    trail: &Trail,
    id: &ChainId,
    (start, end): (Timestamp, Timestamp),
    backfill: bool,
    fingerprint: &str,
    previous: Option<&Link>,
    files: &[Typed<Delivered>],
) -> Digest {
    let place = KeyPlace::of(trail, id.account);
    let object = digest_key(&place, &id.region, &trail.name, &trail.home_region, end, backfill);
    let span = time_span(files.iter().map(|file| &file.value.facts));
    Digest {
        aws_account_id: id.account.to_string(),
        digest_start_time: eventtime_text(start),
        digest_end_time: eventtime_text(end),
        digest_s3_bucket: trail.bucket.clone(),
        digest_s3_object: object,
        digest_public_key_fingerprint: fingerprint.to_owned(),
        digest_signature_algorithm: SIGNATURE_ALGORITHM.to_owned(),
        newest_event_time: span.map(|(newest, _)| newest.to_string()),
        oldest_event_time: span.map(|(_, oldest)| oldest.to_string()),
        previous_digest_s3_bucket: previous.map(|link| link.bucket.clone()),
        previous_digest_s3_object: previous.map(|link| link.key.clone()),
        previous_digest_hash_value: previous.map(|link| link.hash.clone()),
        previous_digest_hash_algorithm: previous.map(|_| HASH_ALGORITHM.to_owned()),
        previous_digest_signature: previous.map(|link| link.signature.clone()),
        log_files: files.iter().map(|file| file_of(&file.value)).collect(),
    }
}

fn file_of(file: &Delivered) -> DigestFile {
    DigestFile {
        s3_bucket: file.bucket.clone(),
        s3_object: file.key.clone(),
        hash_value: file.facts.hash.clone(),
        hash_algorithm: HASH_ALGORITHM.to_owned(),
        newest_event_time: file.facts.newest.to_string(),
        oldest_event_time: file.facts.oldest.to_string(),
    }
}
