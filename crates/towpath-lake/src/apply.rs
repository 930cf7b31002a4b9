//! From the log to the hot tail: each event once per store.

use std::collections::HashMap;
use std::sync::Arc;

use metrics::{counter, gauge};
use smallvec::{SmallVec, smallvec};
use tracing::warn;

use towpath_model::{Destination, Event, EventKey, Position, StoreId, StoreKind};

use crate::batch::Row;
use crate::error::LakeError;
use crate::lake::{Inner, Lake};

/// A row that these stores, all of one kind and in order, do not have yet.
struct New {
    kind: StoreKind,
    stores: SmallVec<[StoreId; 2]>,
    row: Row,
}

/// An event and the stores that have it neither in a hot row nor from earlier in the batch.
struct Maybe<'a> {
    position: Position,
    event: &'a Event,
    destinations: SmallVec<[Destination; 2]>,
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
        let mut maybe: Vec<Maybe<'_>> = Vec::with_capacity(events.len());
        let mut repeats = 0u64;
        {
            let state = self.state.lock();
            // Where each key last stands in `maybe`; earlier places are only looked at when it comes again.
            let mut seen: HashMap<EventKey, SmallVec<[usize; 1]>> = HashMap::with_capacity(events.len());
            for (at, event) in events.iter().enumerate() {
                let position = first.plus(at as u64);
                if position < applied {
                    continue;
                }
                let hot = state.tails.has_key(event.key);
                let earlier = seen.entry(event.key).or_default();
                let has = |store: StoreId| {
                    let in_batch = |at: &usize| maybe[*at].destinations.iter().any(|known| known.store == store);
                    (hot && state.hot_key(store, event.key).is_some()) || earlier.iter().any(in_batch)
                };
                let mut destinations = SmallVec::with_capacity(event.destinations.len());
                for destination in event.destinations.iter().filter(|wanted| !state.dropped(wanted.store)) {
                    if has(destination.store) {
                        repeats += 1;
                    } else {
                        destinations.push(*destination);
                    }
                }
                if !destinations.is_empty() {
                    earlier.push(maybe.len());
                    maybe.push(Maybe { position, event, destinations });
                }
            }
        }
        // A flush may end here and move keys from the hot ones to the index: those were seen above.
        let mut new = Vec::with_capacity(maybe.len());
        for Maybe { position, event, destinations } in maybe {
            let mut stores: SmallVec<[StoreId; 2]> = destinations.iter().map(|to| to.store).collect();
            stores.sort_unstable();
            let having = self.keys.having(&stores, event.key)?;
            repeats += having.len() as u64;
            let from = new.len();
            for Destination { store, kind } in destinations {
                if having.binary_search(&store).is_ok() {
                    continue;
                }
                match new[from..].iter_mut().find(|new: &&mut New| new.kind == kind) {
                    Some(new) => new.stores.push(store),
                    None => new.push(New { kind, stores: smallvec![store], row: Row::of(position, event) }),
                }
            }
            for new in &mut new[from..] {
                new.stores.sort_unstable();
                // An event may name a store twice.
                new.stores.dedup();
            }
        }
        counter!("towpath_lake_repeats_total").increment(repeats);
        Ok(new)
    }

    /// Makes the rows visible.
    fn publish(self: &Arc<Self>, end: Position, new: Vec<New>) {
        let now = self.clock.now();
        let (mut rows, mut full) = (0, Vec::new());
        let hot_bytes = {
            let mut state = self.state.lock();
            let state = &mut *state;
            for New { kind, mut stores, row } in new {
                stores.retain(|store| !state.store(*store, kind).retention.dropped);
                if stores.is_empty() {
                    continue;
                }
                rows += stores.len();
                let (bytes, chunks) = state.tails.push(kind, &stores, row);
                state.hot_bytes += bytes;
                full.extend(chunks);
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
        counter!("towpath_lake_rows_total").increment(rows as u64);
        gauge!("towpath_lake_hot_bytes").set(hot_bytes as f64);
        gauge!("towpath_lake_position").set(end.as_u64() as f64);
    }
}
