//! LookupEvents: the event history of the caller's account and region.

use towpath_model::StoreId;
use towpath_query::{LookupEvent, LookupKey, LookupRequest, QueryError, Scope};
use towpath_wire::ApiError;
use towpath_wire::{cloudtrail as wire, errors};

use super::Context;
use crate::refusal::refuse;

/// The longest attribute value; `_`, blank, `,` and newline count twice.
const MAX_VALUE: usize = 2000;

/// LookupEvents.
pub(crate) async fn lookup(
    context: &Context<'_>,
    input: wire::LookupEventsRequest,
) -> Result<wire::LookupEventsResponse, ApiError> {
    // No resource-level rights exist for this action.
    crate::authorize::authorize(context, "cloudtrail:LookupEvents", "*", None)?;
    if input.event_category.is_some() {
        return Err(refuse(
            errors::UNSUPPORTED_OPERATION_EXCEPTION,
            "Insights events are not supported yet; leave EventCategory out to look up management events",
        ));
    }
    let scope = Scope { account: context.caller.account, region: context.caller.region.clone() };
    let request = LookupRequest {
        attribute: attribute(input.lookup_attributes.unwrap_or_default())?,
        start_time: input.start_time.map(Into::into),
        end_time: input.end_time.map(Into::into),
        max_results: input.max_results.map(i64::from),
        next_token: input.next_token,
    };
    context.records.seen(&[StoreId::history_of(context.caller.account)]).await;
    let page = context.parts.queries.lookup_events(&scope, &request).await.map_err(|error| match error {
        QueryError::InvalidTimeRange => refuse(errors::INVALID_TIME_RANGE_EXCEPTION, "StartTime is after EndTime"),
        other => super::query::refused(other),
    })?;
    Ok(wire::LookupEventsResponse {
        events: Some(page.events.into_iter().map(event).collect()),
        next_token: page.next_token,
    })
}

fn attribute(attributes: Vec<wire::LookupAttribute>) -> Result<Option<(LookupKey, String)>, ApiError> {
    let invalid = |message: &str| refuse(errors::INVALID_LOOKUP_ATTRIBUTES_EXCEPTION, message);
    let attribute = match <[_; 1]>::try_from(attributes) {
        Ok([attribute]) => attribute,
        Err(none) if none.is_empty() => return Ok(None),
        Err(_) => return Err(invalid("at most one lookup attribute may be given")),
    };
    let doubled = |c: char| if matches!(c, '_' | ' ' | ',' | '\n') { 2 } else { 1 };
    if attribute.attribute_value.chars().map(doubled).sum::<usize>() > MAX_VALUE {
        return Err(invalid("AttributeValue has more than 2000 characters (_ , blank and newline count twice)"));
    }
    let key = LookupKey::parse(attribute.attribute_key.as_str()).ok_or_else(|| invalid("unknown AttributeKey"))?;
    Ok(Some((key, attribute.attribute_value)))
}

fn event(event: LookupEvent) -> wire::Event {
    let resources = event.resources.into_iter().map(|resource| wire::Resource {
        resource_type: resource.resource_type,
        resource_name: Some(resource.resource_name),
    });
    wire::Event {
        event_id: event.event_id,
        event_name: event.event_name,
        read_only: event.read_only.map(|yes| yes.to_string()),
        access_key_id: event.access_key_id,
        event_time: Some(event.event_time.timestamp().into()),
        event_source: event.event_source,
        username: event.username,
        resources: Some(resources.collect()),
        cloud_trail_event: Some(event.cloudtrail_event),
    }
}
