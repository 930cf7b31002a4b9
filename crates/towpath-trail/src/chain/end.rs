//! How a chain ends: its final digest, what is delivered after that, and when a deleted trail is forgotten.

use jiff::{SignedDuration, Timestamp};
use towpath_meta::Write;

use super::{Digester, Kind, WRONG_CLOCK, later};
use crate::error::DeliveryError;
use crate::record::{self, ChainId, Known};

impl Digester {
    /// True when every event of the session that ended is in a delivered file, or has had the time for it.
    pub(super) async fn may_end(&self, known: &Known, now: Timestamp) -> Result<bool, DeliveryError> {
        let ended = known.ended.unwrap_or(now);
        if now >= later(ended, self.period()) {
            return Ok(true);
        }
        let grace = i64::try_from(self.shared.settings.stop_grace_ms).unwrap_or(i64::MAX);
        let through = *self.shared.staged_through.lock();
        Ok(through >= later(ended, SignedDuration::from_millis(grace))
            && !self.shared.has_staged(known.trail.id).await?)
    }

    pub(super) async fn make_final(
        &mut self,
        id: &ChainId,
        known: &Known,
        now: Timestamp,
    ) -> Result<(), DeliveryError> {
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
    pub(super) async fn make_loose(
        &mut self,
        id: &ChainId,
        known: &Known,
        now: Timestamp,
    ) -> Result<(), DeliveryError> {
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

    /// Forgets a deleted trail once all of it is delivered.
    pub(super) async fn forget(&mut self, known: &Known) -> Result<(), DeliveryError> {
        let trail = known.trail.id;
        let mine: Vec<ChainId> = self.chains().keys().filter(|id| id.trail == trail).cloned().collect();
        let open = mine.iter().any(|id| self.chains.as_ref().is_some_and(|chains| chains[id].0.session.is_some()));
        let staged = self.shared.all_staged_of(known);
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
