//! From records that were sent to events that are routed, one verdict each.

use std::collections::HashSet;

use bytes::Bytes;
use jiff::Timestamp;
use smallvec::SmallVec;
use towpath_model::{AccountId, Event};
use towpath_wire::ApiError;

use super::record::OfferedForm;
use crate::event_size::{in_each_size, too_long};
use crate::parts::Parts;
use crate::refusal::internal;

/// Why a record was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// `InvalidRecord`, `RecordTooLarge`, `TimeOutOfRange`, `DuplicateEventId`, `AccountNotFound` or `AccessDenied`.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
}

impl Refused {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub(super) fn too_large(limit: usize) -> Self {
        Self::new("RecordTooLarge", format!("the record is longer than {limit} bytes"))
    }
}

/// What becomes of the records of a call.
#[derive(Default)]
pub(crate) struct Admitted {
    /// Those that must be durable before the call is answered. Records that nobody wants, or that are stored already,
    /// are taken and not among them.
    pub(crate) events: Vec<Event>,
    /// Those that were not taken: by their place in the call.
    pub(crate) refused: Vec<(usize, Refused)>,
    /// The accounts that records were taken for.
    pub(crate) accounts: SmallVec<[AccountId; 2]>,
}

/// Checks and routes records. `may_write` tells for which accounts the sender may write. Nothing is stored yet.
///
/// # Errors
/// `InternalFailure` if the stores cannot be asked whether they have a record.
pub(crate) async fn admit(
    parts: &Parts,
    records: impl Iterator<Item = Bytes>,
    may_write: impl Fn(AccountId) -> bool,
    now: Timestamp,
) -> Result<Admitted, ApiError> {
    let state = parts.catalog.state();
    let quotas = &parts.settings.quotas;
    let mut admitted = Admitted::default();
    let mut keys = HashSet::new();
    for (number, json) in records.enumerate() {
        let routed = OfferedForm::check(&json, quotas.large_event_bytes, now).and_then(|checked| {
            let account = checked.account;
            if !may_write(account) {
                return Err(Refused::new(
                    "AccessDenied",
                    format!("the caller may not write records of account {account}"),
                ));
            }
            if parts.directory.account(account).is_none() {
                return Err(Refused::new("AccountNotFound", format!("there is no account {account}")));
            }
            if !keys.insert(checked.key) {
                return Err(Refused::new("DuplicateEventId", "another record of the call has the same eventID"));
            }
            let mut event = checked.event(json.clone(), now);
            checked.facts(|facts| {
                event.destinations = state.route(account, &checked.region, facts);
                event.trails = state.trails_for(account, &checked.region, facts);
            });
            let events = in_each_size(&state, event);
            match events.iter().find_map(|event| too_long(&state, quotas, event)) {
                Some(limit) => Err(Refused::too_large(limit)),
                None => Ok((account, events)),
            }
        });
        match routed {
            Err(refused) => admitted.refused.push((number, refused)),
            Ok((account, events)) => {
                if !admitted.accounts.contains(&account) {
                    admitted.accounts.push(account);
                }
                for event in events {
                    let wanted = !event.destinations.is_empty() || !event.trails.is_empty();
                    if wanted && !is_stored(parts, &event).await? {
                        admitted.events.push(event);
                    }
                }
            }
        }
    }
    Ok(admitted)
}

/// True if a store that the event goes to has it already: then it was taken before, with all its destinations.
async fn is_stored(parts: &Parts, event: &Event) -> Result<bool, ApiError> {
    let Some(to) = event.destinations.first() else { return Ok(false) };
    let at = parts.lake.admitted_at(to.store, event.key).await;
    at.map(|at| at.is_some()).map_err(|cause| internal("look for an earlier copy", cause))
}
