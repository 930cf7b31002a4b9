//! `MaxEventSize`: stores of large events get the records of calls whole, everybody else their standard form.
//!
//! A record that is longer than the published sizes goes into the log twice: whole for stores of large events, and in the
//! form that event history, trails and other stores take. Both have one identity; no store gets two of them.

use smallvec::{SmallVec, smallvec};
use towpath_admit::standard_form;
use towpath_model::{Destination, Event, MaxEventSize, Quotas};

use crate::catalog::CatalogState;

/// The events of a routed record, one for each form that its destinations take.
pub(crate) fn in_each_size(state: &CatalogState, event: Event) -> SmallVec<[Event; 2]> {
    let standard = standard_form(&event.json);
    if standard == event.json {
        return smallvec![event];
    }
    let (large, others): (SmallVec<_>, SmallVec<_>) =
        event.destinations.iter().copied().partition(|to| takes_large(state, to));
    let mut events = SmallVec::new();
    if !others.is_empty() || !event.trails.is_empty() {
        events.push(Event { json: standard, destinations: others, ..event.clone() });
    }
    if !large.is_empty() {
        events.push(Event { destinations: large, trails: SmallVec::new(), ..event });
    }
    events
}

/// The limit that the record of an event is beyond, if it is, by who gets it.
pub(crate) fn too_long(state: &CatalogState, quotas: &Quotas, event: &Event) -> Option<usize> {
    let large = event.trails.is_empty() && event.destinations.iter().all(|to| takes_large(state, to));
    let limit = quotas.event_bytes_of(if large { MaxEventSize::Large } else { MaxEventSize::Standard });
    (event.json.len() > limit).then_some(limit)
}

fn takes_large(state: &CatalogState, to: &Destination) -> bool {
    state.store(to.store).is_some_and(|store| store.event_configuration.max_event_size == MaxEventSize::Large)
}
