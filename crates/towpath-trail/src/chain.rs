//! Chains of digests: when one is due, what it lists, and how a chain begins and ends.
//!
//! There is one chain for each trail, account and source region. A digest is made whole - text, signature, key - and
//! then one commit stages it, takes its log files off the list of delivered ones and moves the chain on. So a log file
//! is in one digest, and a digest that must be put again has the same bytes.
//!
//! A regular digest covers the files that were delivered in its period. A file that was delivered more than a period
//! after it was written, or after its chain had ended, goes into a backfill digest; those form a chain of their own.

mod end;
mod making;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use metrics::counter;
use tokio_util::sync::CancellationToken;
use towpath_meta::{Expect, MetaStoreExt, Typed, Version, Write};
use tracing::error;

use crate::delivery::Shared;
use crate::error::DeliveryError;
use crate::record::{self, Chain, ChainId, Delivered, Known};

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
}

/// The instant without its fraction of a second: digests know none.
fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_nanosecond().div_euclid(1_000_000_000) as i64).unwrap_or(at)
}

fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(if by.is_negative() { Timestamp::MIN } else { Timestamp::MAX })
}
