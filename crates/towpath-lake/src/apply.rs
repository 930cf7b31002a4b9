//! From the log to the hot tail: each event once per store.

use std::collections::HashSet;
use std::sync::Arc;

use metrics::{counter, gauge};
use tracing::warn;

use towpath_model::{Event, EventKey, Position, StoreId, StoreKind};

use crate::batch::Row;
use crate::error::LakeError;
use crate::lake::{Inner, Lake};
use crate::state::HotKey;

/// A row that no store has yet.
struct New {
    store: StoreId,
    kind: StoreKind,
    row: Row,
}

impl Lake {
    /// Applies events that the log has from position `first` on; [`Lake::run`] does this with every batch it reads.
    ///
    /// Events that were applied before are passed over, as are events that a store has already. All of the batch becomes
    /// visible in one moment. After an error nothing was applied and the same batch may be tried again.
    pub async fn apply(&self, first: Position, events: Vec<Event>) -> Result<(), LakeError> {
        let this = self.inner.clone();
        let _applying = self.inner.applying.lock().await;
        let applied = self.applied();
        if first > applied {
            // The log gave up damaged events; it says which. Their positions stay empty.
            warn!(expected = %applied, found = %first, "positions are missing in the log");
        }
        let end = first.plus(events.len() as u64);
        if end <= applied {
            return Ok(());
        }
        let sorted = tokio::task::spawn_blocking(move || {
            let new = this.new_rows(first, applied, &events)?;
            this.publish(end, new);
            Ok(())
        });
        sorted.await.unwrap_or(Err(LakeError::Closed))
    }
}

impl Inner {
    /// The rows that are not in their stores yet.
    fn new_rows(&self, first: Position, applied: Position, events: &[Event]) -> Result<Vec<New>, LakeError> {
        let mut maybe = Vec::with_capacity(events.len());
        let mut repeats = 0u64;
        {
            let state = self.state.lock();
            let mut seen: HashSet<(StoreId, EventKey)> = HashSet::with_capacity(events.len());
            for (at, event) in events.iter().enumerate() {
                let position = first.plus(at as u64);
                if position < applied {
                    continue;
                }
                for destination in &event.destinations {
                    if state.dropped(destination.store) {
                        continue;
                    }
                    let hot = state.hot_key(destination.store, event.key).is_some();
                    if hot || !seen.insert((destination.store, event.key)) {
                        repeats += 1;
                        continue;
                    }
                    maybe.push((position, event, destination));
                }
            }
        }
        // A flush may end here and move keys from the hot ones to the index: those were seen above.
        let mut new = Vec::with_capacity(maybe.len());
        for (position, event, destination) in maybe {
            if self.keys.find(destination.store, event.key)?.is_some() {
                repeats += 1;
                continue;
            }
            new.push(New { store: destination.store, kind: destination.kind, row: Row::of(position, event) });
        }
        counter!("towpath_lake_repeats_total").increment(repeats);
        Ok(new)
    }

    /// Makes the rows visible.
    fn publish(self: &Arc<Self>, end: Position, new: Vec<New>) {
        let now = self.clock.now();
        let count = new.len();
        let mut full = Vec::new();
        let hot_bytes = {
            let mut state = self.state.lock();
            let state = &mut *state;
            for New { store, kind, row } in new {
                if state.dropped(store) {
                    continue;
                }
                state.hot_keys.insert((store, row.key), HotKey { time: row.time, admitted: row.admitted });
                let (bytes, chunk) = state.store(store, kind).hot.push(row);
                state.hot_bytes += bytes;
                full.extend(chunk);
            }
            state.applied = end;
            if state.hot_since.is_none() {
                state.hot_since = Some(now);
            }
            state.hot_bytes
        };
        self.applied.send_replace(end);
        for chunk in full {
            // The converter ends with the process only.
            let _ = self.full.send(chunk);
        }
        if hot_bytes >= self.settings.hot_bytes {
            self.flush_wanted.notify_one();
        }
        counter!("towpath_lake_rows_total").increment(count as u64);
        gauge!("towpath_lake_hot_bytes").set(hot_bytes as f64);
        gauge!("towpath_lake_position").set(end.as_u64() as f64);
    }
}
