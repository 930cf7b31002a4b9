//! PutAuditEvents: entries in, one verdict each, acknowledged when durable.

use smallvec::SmallVec;
use towpath_admit::{AuditEntry, CallRefusal, ChannelRef, CheckedEntry, Parameters, check_call};
use towpath_model::{Channel, Destination, Event, EventDataStoreStatus, EventKey, StoreKind};
use towpath_wire::data::{AuditEventResultEntry, PutAuditEventsRequest, PutAuditEventsResponse, ResultErrorEntry};
use towpath_wire::{ApiError, errors};
use uuid::Uuid;

use super::Context;
use super::channel::ChannelName;
use crate::authorize;
use crate::catalog::CatalogState;
use crate::refusal::{internal, refuse};

/// The answer, and the events that must be durable before it is sent.
pub(crate) struct Admitted {
    pub(crate) answer: PutAuditEventsResponse,
    pub(crate) events: Vec<Event>,
    channel: Uuid,
    latest: Option<Uuid>,
    error_code: Option<String>,
}

impl Admitted {
    /// Notes on the channel what became of the call; called once the events are durable.
    pub(crate) fn note(&self, context: &Context<'_>) {
        context.parts.statuses.note(self.channel, context.caller.now, self.latest, self.error_code.as_deref());
    }
}

/// Checks a call and each of its entries. Nothing is stored yet. `body_bytes`: the length of the request's body.
///
/// # Errors
/// Whole-call errors: InvalidChannelARN, ChannelNotFound, ChannelInsufficientPermission, ChannelUnsupportedSchema,
/// DuplicatedAuditEventId, ValidationException.
pub(crate) async fn admit(
    context: &Context<'_>,
    input: &PutAuditEventsRequest,
    body_bytes: usize,
) -> Result<Admitted, ApiError> {
    let name = ChannelName::parse(&input.channel_arn, context.caller)
        .ok_or_else(|| refuse(errors::INVALID_CHANNEL_ARN, "channelArn is not the ARN of a channel"))?;
    let state = context.catalog();
    let arn = name.arn();
    context.touched("AWS::CloudTrail::Channel", &arn);
    authorize::put_audit_events(context, &state, &arn, name.account, input.external_id.as_deref())?;
    let channel =
        name.find(&state).ok_or_else(|| refuse(errors::CHANNEL_NOT_FOUND, format!("there is no channel {arn}")))?;
    let destinations = destinations(&state, channel)?;

    let entries: Vec<AuditEntry<'_>> = input
        .audit_events
        .iter()
        .map(|entry| AuditEntry {
            id: &entry.id,
            event_data: &entry.event_data,
            checksum: entry.event_data_checksum.as_deref(),
        })
        .collect();
    check_call(&entries, body_bytes).map_err(|refusal| match refusal {
        CallRefusal::Duplicate { .. } => refuse(errors::DUPLICATED_AUDIT_EVENT_ID, refusal.to_string()),
        _ => ApiError::validation(refusal.to_string()),
    })?;

    let channel_ref = ChannelRef { arn: &arn, owner: channel.account, region: &channel.region };
    let mut admitted = Admitted {
        answer: PutAuditEventsResponse::default(),
        events: Vec::with_capacity(entries.len()),
        channel: channel.id,
        latest: None,
        error_code: None,
    };
    for entry in entries {
        let id = entry.id.to_owned();
        match entry.check(&channel_ref) {
            Ok(checked) => {
                let (event_id, event) = event(context, &channel_ref, &destinations, checked).await?;
                admitted.events.extend(event);
                admitted.latest = Some(event_id);
                let event_id = event_id.hyphenated().to_string();
                admitted.answer.successful.push(AuditEventResultEntry { event_id, id });
            }
            Err(refusal) => {
                admitted.error_code = Some(refusal.code().to_owned());
                admitted.answer.failed.push(ResultErrorEntry {
                    error_code: refusal.code().to_owned(),
                    error_message: refusal.to_string(),
                    id,
                });
            }
        }
    }
    Ok(admitted)
}

/// The event of an entry and its id; no event if a retry found it stored already.
///
/// An entry older than the retention of a destination is accepted and goes to the other destinations alone: in that
/// store it would have expired already.
async fn event(
    context: &Context<'_>,
    channel: &ChannelRef<'_>,
    destinations: &[StoreOfChannel],
    checked: CheckedEntry<'_>,
) -> Result<(Uuid, Option<Event>), ApiError> {
    let now = context.caller.now;
    let candidates = context.parts.event_ids.candidates(channel.arn.as_str(), checked.id(), checked.content(), now);
    let previous = EventKey::from(candidates.previous);
    let mut admitted = None;
    for to in destinations {
        let at = context.parts.lake.admitted_at(to.destination.store, previous).await;
        admitted = admitted.or(at.map_err(|cause| internal("look for an earlier copy", cause))?);
    }
    let event_id = candidates.choose(admitted);
    if event_id == candidates.previous {
        return Ok((event_id, None));
    }
    let wanted: SmallVec<[Destination; 2]> = destinations
        .iter()
        .filter(|to| checked.time().as_millis() >= to.oldest_millis(now))
        .map(|to| to.destination)
        .collect();
    if wanted.is_empty() {
        return Ok((event_id, None));
    }
    let mut event = checked.into_event(event_id, channel, now);
    event.destinations = wanted;
    Ok((event_id, Some(event)))
}

struct StoreOfChannel {
    destination: Destination,
    retention_days: u32,
}

impl StoreOfChannel {
    fn oldest_millis(&self, now: jiff::Timestamp) -> i64 {
        now.as_millisecond() - i64::from(self.retention_days) * 86_400_000
    }
}

fn destinations(state: &CatalogState, channel: &Channel) -> Result<Vec<StoreOfChannel>, ApiError> {
    let active = channel
        .destinations
        .iter()
        .filter_map(|id| state.store(*id))
        .filter(|store| store.kind == StoreKind::Activity && store.status != EventDataStoreStatus::PendingDeletion)
        .map(|store| StoreOfChannel {
            destination: Destination { store: store.id, kind: store.kind },
            retention_days: store.retention_days,
        })
        .collect::<Vec<_>>();
    if active.is_empty() {
        return Err(refuse(
            errors::CHANNEL_UNSUPPORTED_SCHEMA,
            "the channel has no destination that takes events from integrations",
        ));
    }
    Ok(active)
}

/// What the audit record says of the request: the entries' ids, never their content.
pub(crate) fn parameters(input: &PutAuditEventsRequest) -> Parameters {
    let ids = input.audit_events.iter().map(|entry| entry.id.as_str());
    Parameters::of_put_audit_events(&input.channel_arn, input.external_id.is_some(), ids)
}

/// What the audit record says of the answer.
pub(crate) fn recorded(admitted: &Admitted) -> Parameters {
    let successful = admitted.answer.successful.iter();
    let failed = admitted.answer.failed.iter();
    Parameters::of_put_audit_events_result(
        successful.filter_map(|entry| Some((entry.id.as_str(), Uuid::try_parse(&entry.event_id).ok()?))),
        failed.map(|entry| (entry.id.as_str(), entry.error_code.as_str())),
    )
}
