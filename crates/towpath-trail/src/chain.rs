//! Chains of digests: when one is due, what it lists, and how a chain begins and ends.
//!
//! There is one chain for each trail, account and source region. A digest is made whole - text, signature, key - and
//! then one commit stages it, takes its log files off the list of delivered ones and moves the chain on. So a log file
//! is in one digest, and a digest that must be put again has the same bytes.
//!
//! A regular digest covers the files that were delivered in its period. A file that was delivered more than a period
//! after it was written, or after its chain had ended, goes into a backfill digest; those form a chain of their own.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use metrics::counter;
use tokio_util::sync::CancellationToken;
use towpath_meta::{Expect, MetaStoreExt, Typed, Version, Write};
use towpath_model::{Trail, eventtime_text};
use tracing::{error, info};

use crate::buckets::storage_code;
use crate::delivery::Shared;
use crate::digest::{Digest, DigestFile, HASH_ALGORITHM, SIGNATURE_ALGORITHM};
use crate::error::DeliveryError;
use crate::log_file::time_span;
use crate::object_key::{KeyPlace, digest_key};
use crate::record::{self, Chain, ChainId, Delivered, Known, Link, Staged, What};
use crate::{gzip, stager};

// Digests are small and kept for ever.
const GZIP_LEVEL: u32 = 6;
// Periods that are made up for one by one after a standstill; before that one digest covers the rest.
const CATCH_UP: i64 = 31 * 24;
// How often digests are looked at when nothing happens.
const TICK: Duration = Duration::from_secs(1);
// A clock that is further behind the last digest than this was wrong when it was made.
const WRONG_CLOCK: SignedDuration = SignedDuration::from_hours(24);

/// Makes digests.
pub(crate) struct Digester {
    shared: Arc<Shared>,
    // The chains as they are stored; none when they must be read (again).
    chains: Option<HashMap<ChainId, (Chain, Version)>>,
}

/// Which digest is made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Regular,
    /// The last of a session.
    Final,
    Backfill,
}

impl Digester {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, chains: None }
    }

    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut failures = 0u32;
        loop {
            let pause = match self.pass().await {
                Ok(()) => {
                    failures = 0;
                    TICK
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    error!(%error, failures, "digests cannot be made");
                    counter!("towpath_trail_failures_total", "step" => "digest").increment(1);
                    self.shared.settings.pause(failures).min(Duration::from_secs(10))
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
                () = self.shared.digests.notified(), if failures == 0 => {}
            }
        }
    }

    /// Makes what is due.
    pub(crate) async fn pass(&mut self) -> Result<(), DeliveryError> {
        let touched = std::mem::take(&mut *self.shared.touched.lock());
        let done = self.pass_over(&touched).await;
        if done.is_err() {
            // What a failed commit left is read again.
            self.chains = None;
            self.shared.touched.lock().extend(touched);
        }
        done
    }

    async fn pass_over(&mut self, touched: &HashSet<ChainId>) -> Result<(), DeliveryError> {
        self.shared.sync().await?;
        let now = whole_seconds(self.shared.clock.now());
        if self.chains.is_none() {
            self.chains = Some(self.load().await?);
        }
        let all: Vec<Known> = self.shared.known.lock().values().cloned().collect();
        for known in &all {
            self.begin_chains(known, touched, now).await?;
        }
        let known: HashMap<_, _> = all.into_iter().map(|known| (known.trail.id, known)).collect();
        let ids: Vec<ChainId> = self.chains().keys().cloned().collect();
        for id in ids {
            if let Some(known) = known.get(&id.trail) {
                self.advance(&id, known, touched.contains(&id), now).await?;
            }
        }
        for known in known.values().filter(|known| known.deleted) {
            self.forget(known).await?;
        }
        Ok(())
    }

    fn chains(&mut self) -> &mut HashMap<ChainId, (Chain, Version)> {
        self.chains.get_or_insert_default()
    }

    async fn load(&self) -> Result<HashMap<ChainId, (Chain, Version)>, DeliveryError> {
        let stored = self.shared.meta.list_all_json::<Chain>(&record::chain_area()).await;
        let stored = stored.map_err(DeliveryError::meta("read the chains of digests"))?;
        Ok(stored.into_iter().map(|found| (found.value.id.clone(), (found.value, found.version))).collect())
    }

    /// Begins the chains that a trail should have.
    async fn begin_chains(
        &mut self,
        known: &Known,
        touched: &HashSet<ChainId>,
        now: Timestamp,
    ) -> Result<(), DeliveryError> {
        let trail = &known.trail;
        let session = known.session();
        let home = ChainId { trail: trail.id, account: trail.account, region: trail.home_region.clone() };
        let mut wanted: Vec<ChainId> = touched.iter().filter(|id| id.trail == trail.id).cloned().collect();
        if session.is_some() {
            wanted.insert(0, home.clone());
            let regions = self.shared.settings.regions.iter().filter(|_| trail.multi_region);
            wanted.extend(regions.map(|region| ChainId { region: region.clone(), ..home.clone() }));
        }
        for id in wanted {
            let start = match (self.chains().get(&id), session) {
                // It ended, and logging began again: a new beginning after the old end.
                (Some((chain, _)), Some(session)) if chain.session.is_none() => chain.start.max(whole_seconds(session)),
                (Some(_), _) => continue,
                // The regions of a trail keep the same hours.
                (None, Some(session)) => {
                    let hours = self.chains().get(&home).filter(|(chain, _)| chain.session == Some(session));
                    hours.map_or(whole_seconds(session), |(chain, _)| chain.start)
                }
                (None, None) => now,
            };
            let before = self.chains().get(&id).cloned();
            let chain = match &before {
                Some((chain, _)) => Chain { start, session, previous: None, ..chain.clone() },
                None => Chain {
                    id: id.clone(),
                    start,
                    session,
                    previous: None,
                    last: None,
                    backfill: None,
                    backfilled: None,
                    next: 0,
                },
            };
            self.commit(chain, before.map(|(_, version)| version), Vec::new(), "begin a chain of digests").await?;
        }
        Ok(())
    }

    /// Makes the digests of a chain that are due.
    async fn advance(
        &mut self,
        id: &ChainId,
        known: &Known,
        touched: bool,
        now: Timestamp,
    ) -> Result<(), DeliveryError> {
        let Some((chain, _)) = self.chains().get(id).cloned() else { return Ok(()) };
        let wanted = known.session();
        match chain.session {
            Some(session) if wanted == Some(session) => self.make_regular(id, known, now).await,
            Some(_) => {
                if self.may_end(known, now).await? {
                    self.make_final(id, known, now).await
                } else {
                    Ok(())
                }
            }
            None if touched => self.make_loose(id, known, now).await,
            None => Ok(()),
        }
    }

    fn period(&self) -> SignedDuration {
        SignedDuration::try_from(self.shared.settings.digest_every()).unwrap_or(SignedDuration::from_hours(1))
    }

    async fn make_regular(&mut self, id: &ChainId, known: &Known, now: Timestamp) -> Result<(), DeliveryError> {
        let period = self.period();
        loop {
            let Some((chain, _)) = self.chains().get(id).cloned() else { return Ok(()) };
            if now < later(chain.start, -WRONG_CLOCK) {
                return self.begin_again(chain, now).await;
            }
            let periods = now.duration_since(chain.start).as_secs() / period.as_secs().max(1);
            if periods < 1 {
                return Ok(());
            }
            let step = if periods > CATCH_UP { periods - CATCH_UP } else { 1 };
            let end = later(chain.start, period * i32::try_from(step).unwrap_or(i32::MAX));
            let delivered = self.delivered(id).await?;
            let (late, due): (Vec<_>, Vec<_>) = delivered
                .into_iter()
                .filter(|file| file.value.delivered <= end || file.value.delivered > now)
                .partition(|file| self.is_late(&file.value, &chain));
            self.make(id, known, Kind::Regular, (chain.start, end), due).await?;
            if !late.is_empty() {
                self.make(id, known, Kind::Backfill, (chain.start, end), late).await?;
            }
        }
    }

    /// The digest of the file's own time was made without it.
    fn is_late(&self, file: &Delivered, chain: &Chain) -> bool {
        file.staged < chain.start && file.delivered > later(file.staged, self.period())
    }

    /// True when every event of the session that ended is in a delivered file, or has had the time for it.
    async fn may_end(&self, known: &Known, now: Timestamp) -> Result<bool, DeliveryError> {
        let ended = known.ended.unwrap_or(now);
        if now >= later(ended, self.period()) {
            return Ok(true);
        }
        let grace = i64::try_from(self.shared.settings.stop_grace_ms).unwrap_or(i64::MAX);
        let through = *self.shared.staged_through.lock();
        Ok(through >= later(ended, SignedDuration::from_millis(grace))
            && !self.shared.has_staged(known.trail.id).await?)
    }

    async fn make_final(&mut self, id: &ChainId, known: &Known, now: Timestamp) -> Result<(), DeliveryError> {
        let Some((chain, _)) = self.chains().get(id).cloned() else { return Ok(()) };
        let end = now.max(later(chain.start, SignedDuration::from_secs(1)));
        let delivered = self.delivered(id).await?;
        let (late, due): (Vec<_>, Vec<_>) = delivered.into_iter().partition(|file| self.is_late(&file.value, &chain));
        self.make(id, known, Kind::Final, (chain.start, end), due).await?;
        if !late.is_empty() {
            self.make(id, known, Kind::Backfill, (chain.start, end), late).await?;
        }
        Ok(())
    }

    /// Puts files that were delivered after their chain had ended into a backfill digest.
    async fn make_loose(&mut self, id: &ChainId, known: &Known, now: Timestamp) -> Result<(), DeliveryError> {
        let Some((chain, _)) = self.chains().get(id).cloned() else { return Ok(()) };
        let start = chain.backfilled.unwrap_or(chain.start);
        let soon = later(start, SignedDuration::from_secs(1));
        // More may be on its way; but not for longer than a period.
        let wrong_clock = start > later(now, WRONG_CLOCK);
        if (now < soon && !wrong_clock)
            || (now < later(start, self.period()) && !wrong_clock && self.shared.has_staged(id.trail).await?)
        {
            self.shared.touched.lock().insert(id.clone());
            return Ok(());
        }
        let delivered = self.delivered(id).await?;
        if delivered.is_empty() {
            return Ok(());
        }
        self.make(id, known, Kind::Backfill, (start.min(now), now), delivered).await
    }

    /// The clock was far ahead when the last digest was made. A new beginning, at a second of the period that the wrong
    /// one did not use, so that no digest takes the place of another.
    async fn begin_again(&mut self, chain: Chain, now: Timestamp) -> Result<(), DeliveryError> {
        error!(trail = %chain.id.trail, last = %chain.start, %now, "the clock went back by more than a day; the chain of digests begins anew");
        let period = self.period().as_secs().max(1);
        let same = (now.as_second() - chain.start.as_second()).rem_euclid(period) == 0;
        let start = if same { later(now, SignedDuration::from_secs(1)) } else { now };
        let version = self.chains().get(&chain.id).map(|(_, version)| *version);
        let chain = Chain { start, previous: None, ..chain };
        self.commit(chain, version, Vec::new(), "begin a chain of digests").await
    }

    async fn delivered(&self, id: &ChainId) -> Result<Vec<Typed<Delivered>>, DeliveryError> {
        let files = self.shared.meta.list_all_json(&record::delivered_of(id)).await;
        files.map_err(DeliveryError::meta("read the delivered log files"))
    }

    /// Makes one digest, stages it and moves the chain on.
    async fn make(
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

    /// Keeps a chain as it is now, with what else changes.
    async fn commit(
        &mut self,
        chain: Chain,
        before: Option<Version>,
        mut writes: Vec<Write>,
        doing: &'static str,
    ) -> Result<(), DeliveryError> {
        let key = record::chain_key(&chain.id);
        let expect = match before {
            Some(version) => Expect::Version(key.clone(), version),
            None => Expect::Absent(key.clone()),
        };
        writes.push(Write::json(key, &chain).map_err(DeliveryError::meta(doing))?);
        let version = self.shared.meta.commit(&[expect], &writes).await.map_err(DeliveryError::meta(doing))?;
        self.chains().insert(chain.id.clone(), (chain, version));
        Ok(())
    }

    /// Forgets a deleted trail once all of it is delivered.
    async fn forget(&mut self, known: &Known) -> Result<(), DeliveryError> {
        let trail = known.trail.id;
        let mine: Vec<ChainId> = self.chains().keys().filter(|id| id.trail == trail).cloned().collect();
        let open = mine.iter().any(|id| self.chains.as_ref().is_some_and(|chains| chains[id].0.session.is_some()));
        let grace = i64::try_from(self.shared.settings.stop_grace_ms).unwrap_or(i64::MAX);
        let deleted = known.ended.or(known.trail.stopped).unwrap_or(known.trail.updated);
        let staged = *self.shared.staged_through.lock() >= later(deleted, SignedDuration::from_millis(grace));
        let touched = self.shared.touched.lock().iter().any(|id| id.trail == trail);
        if open || touched || !staged || !self.shared.staged_page(trail, None, 1).await?.is_empty() {
            return Ok(());
        }
        for id in &mine {
            if !self.delivered(id).await?.is_empty() {
                self.shared.touched.lock().insert(id.clone());
                return Ok(());
            }
        }
        let mut writes: Vec<Write> = mine.iter().map(|id| Write::Delete(record::chain_key(id))).collect();
        writes.push(Write::Delete(record::known_key(trail)));
        writes.push(Write::Delete(record::status_key(trail)));
        self.shared.meta.commit(&[], &writes).await.map_err(DeliveryError::meta("forget a deleted trail"))?;
        self.chains().retain(|id, _| id.trail != trail);
        self.shared.known.lock().remove(&trail);
        self.shared.statuses.lock().remove(&trail);
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

/// The instant without its fraction of a second: digests know none.
fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_nanosecond().div_euclid(1_000_000_000) as i64).unwrap_or(at)
}

fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(if by.is_negative() { Timestamp::MIN } else { Timestamp::MAX })
}
