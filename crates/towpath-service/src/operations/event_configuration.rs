//! Event configuration of event data stores: maximum event size and context keys. That of trails is in
//! [`super::trail`].

use towpath_model::{ContextKeySelector, EventConfiguration, EventDataStore, MaxEventSize, StoreKind};
use towpath_wire::ApiError;
use towpath_wire::{cloudtrail as wire, errors};

use super::Context;
use super::store_name::{StoreName, require_active};
use super::trail;
use crate::event_context::condition_key;
use crate::refusal::refuse;

/// PutEventConfiguration on a trail or an event data store. On a store an empty selector list with `Standard` resets it.
pub(crate) async fn put(
    context: &Context<'_>,
    input: wire::PutEventConfigurationRequest,
) -> Result<wire::PutEventConfigurationResponse, ApiError> {
    let name = match target(context, input.trail_name.as_deref(), input.event_data_store.as_deref())? {
        Target::Trail(trail) => return trail::put_configuration(context, trail, &input).await,
        Target::Store(name) => name,
    };
    context.authorize("PutEventConfiguration", &name.arn())?;
    context.own(name.account, || name.not_found())?;
    if input.aggregation_configurations.is_some() {
        return Err(refuse(
            errors::INVALID_PARAMETER_EXCEPTION,
            "AggregationConfigurations belong to trails; an event data store takes MaxEventSize and ContextKeySelectors",
        ));
    }
    if input.max_event_size.is_none() && input.context_key_selectors.is_none() {
        return Err(refuse(errors::INVALID_PARAMETER_EXCEPTION, "MaxEventSize or ContextKeySelectors must be given"));
    }
    let selectors = input.context_key_selectors.as_ref().map(|given| check_selectors(given)).transpose()?;
    let store = context
        .change(|state, change| {
            let mut store = configurable(name.find(state)?)?.clone();
            let configuration = EventConfiguration {
                max_event_size: match input.max_event_size {
                    Some(wire::MaxEventSize::Large) => MaxEventSize::Large,
                    Some(wire::MaxEventSize::Standard) => MaxEventSize::Standard,
                    None => store.event_configuration.max_event_size,
                },
                context_key_selectors: selectors
                    .unwrap_or_else(|| store.event_configuration.context_key_selectors.clone()),
            };
            let small = configuration.max_event_size == MaxEventSize::Standard;
            if small && !configuration.context_key_selectors.is_empty() {
                return Err(refuse(errors::INVALID_PARAMETER_EXCEPTION, "ContextKeySelectors need MaxEventSize Large"));
            }
            store.event_configuration = configuration;
            store.updated = context.caller.now;
            change.put_store(store.clone());
            Ok(store)
        })
        .await?;
    context.touched("AWS::CloudTrail::EventDataStore", &store.arn());
    let (max_event_size, context_key_selectors) = to_wire(&store);
    Ok(wire::PutEventConfigurationResponse {
        event_data_store_arn: Some(store.arn().to_string()),
        max_event_size: Some(max_event_size),
        context_key_selectors: Some(context_key_selectors),
        ..wire::PutEventConfigurationResponse::default()
    })
}

/// GetEventConfiguration of a trail or an event data store.
pub(crate) async fn get(
    context: &Context<'_>,
    input: wire::GetEventConfigurationRequest,
) -> Result<wire::GetEventConfigurationResponse, ApiError> {
    let name = match target(context, input.trail_name.as_deref(), input.event_data_store.as_deref())? {
        Target::Trail(trail) => return trail::get_configuration(context, trail).await,
        Target::Store(name) => name,
    };
    context.authorize("GetEventConfiguration", &name.arn())?;
    context.own_or_delegated("GetEventConfiguration", &name)?;
    let state = context.catalog();
    let store = name.find(&state)?;
    if !store.queryable() {
        return Err(refuse(
            errors::INVALID_EVENT_DATA_STORE_STATUS_EXCEPTION,
            format!("event data store {} is pending deletion; restore it first (RestoreEventDataStore)", store.id),
        ));
    }
    let store = configurable(store)?;
    context.touched("AWS::CloudTrail::EventDataStore", &store.arn());
    let (max_event_size, context_key_selectors) = to_wire(store);
    Ok(wire::GetEventConfigurationResponse {
        event_data_store_arn: Some(store.arn().to_string()),
        max_event_size: Some(max_event_size),
        context_key_selectors: Some(context_key_selectors),
        ..wire::GetEventConfigurationResponse::default()
    })
}

/// What is to be configured.
enum Target<'a> {
    Trail(&'a str),
    Store(StoreName),
}

fn target<'a>(context: &Context<'_>, trail: Option<&'a str>, store: Option<&str>) -> Result<Target<'a>, ApiError> {
    match (trail, store) {
        (None, Some(store)) => StoreName::resolve(store, context).map(Target::Store),
        (Some(trail), None) => Ok(Target::Trail(trail)),
        _ => Err(refuse(
            errors::INVALID_PARAMETER_COMBINATION_EXCEPTION,
            "exactly one of TrailName and EventDataStore must be given",
        )),
    }
}

fn configurable(store: &EventDataStore) -> Result<&EventDataStore, ApiError> {
    require_active(store)?;
    if store.kind == StoreKind::CloudTrail {
        return Ok(store);
    }
    Err(refuse(
        errors::INVALID_EVENT_DATA_STORE_CATEGORY_EXCEPTION,
        "event configuration is for stores of CloudTrail events",
    ))
}

fn check_selectors(given: &[wire::ContextKeySelector]) -> Result<Vec<ContextKeySelector>, ApiError> {
    let invalid = |message: String| refuse(errors::INVALID_PARAMETER_EXCEPTION, message);
    let mut selectors: Vec<ContextKeySelector> = Vec::new();
    for selector in given {
        let kind = selector.kind.as_str();
        if selectors.iter().any(|other| other.r#type == kind) {
            return Err(invalid(format!("ContextKeySelectors has more than one selector of type {kind}")));
        }
        let mut equals: Vec<String> = Vec::with_capacity(selector.equals.len());
        for key in &selector.equals {
            let proper = match kind {
                "RequestContext" => condition_key(key)
                    .ok_or_else(|| invalid(format!("'{key}' is not a condition key that can be added to events")))?,
                _ => key.as_str(),
            };
            if !equals.iter().any(|other| other == proper) {
                equals.push(proper.to_owned());
            }
        }
        selectors.push(ContextKeySelector { r#type: kind.to_owned(), equals });
    }
    Ok(selectors)
}

fn to_wire(store: &EventDataStore) -> (wire::MaxEventSize, Vec<wire::ContextKeySelector>) {
    let size = match store.event_configuration.max_event_size {
        MaxEventSize::Standard => wire::MaxEventSize::Standard,
        MaxEventSize::Large => wire::MaxEventSize::Large,
    };
    let selector = |selector: &ContextKeySelector| wire::ContextKeySelector {
        kind: if selector.r#type == "TagContext" {
            wire::ContextKeyType::TagContext
        } else {
            wire::ContextKeyType::RequestContext
        },
        equals: selector.equals.clone(),
    };
    (size, store.event_configuration.context_key_selectors.iter().map(selector).collect())
}
