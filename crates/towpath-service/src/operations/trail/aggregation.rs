//! Event configuration of trails: how the data events that a trail delivers are aggregated.

use towpath_model::{AggregationConfiguration, Trail};
use towpath_wire::{ApiError, cloudtrail as wire, errors};

use super::KIND;
use super::name::{NamedTrail, require_changeable};
use crate::operations::Context;
use crate::refusal::refuse;

/// PutEventConfiguration of a trail: replaces its aggregations, an empty list removes them.
pub(crate) async fn put_configuration(
    context: &Context<'_>,
    trail: &str,
    input: &wire::PutEventConfigurationRequest,
) -> Result<wire::PutEventConfigurationResponse, ApiError> {
    let name = NamedTrail::parse(trail, context.caller)?;
    let state = context.catalog();
    let id = name.changed_by(context, &state, "PutEventConfiguration")?.id;
    let invalid = |why: &str| refuse(errors::INVALID_PARAMETER_EXCEPTION, why);
    if input.max_event_size.is_some() || input.context_key_selectors.is_some() {
        return Err(invalid(
            "MaxEventSize and ContextKeySelectors belong to event data stores; a trail takes AggregationConfigurations",
        ));
    }
    let given = input.aggregation_configurations.as_ref();
    let given = given.ok_or_else(|| invalid("AggregationConfigurations must be given"))?;
    let mut aggregations = Vec::with_capacity(given.len());
    for configuration in given {
        let mut templates: Vec<String> = Vec::with_capacity(configuration.templates.len());
        for template in &configuration.templates {
            if templates.iter().any(|other| other == template.as_str()) {
                return Err(invalid("a template is given more than once"));
            }
            templates.push(template.as_str().to_owned());
        }
        let event_category = configuration.event_category.as_str().to_owned();
        aggregations.push(AggregationConfiguration { event_category, templates });
    }
    let trail = context
        .change(|state, change| {
            let current = state.trail(id).ok_or_else(|| name.not_found(context.caller))?;
            require_changeable(context, state, current)?;
            if !aggregations.is_empty() && !current.selectors.take_data_events() {
                return Err(invalid(
                    "the trail delivers no data events that could be aggregated; add a selector of data events with \
                     PutEventSelectors first",
                ));
            }
            let mut trail = Trail::clone(current);
            trail.aggregations = aggregations;
            trail.updated = context.caller.now;
            change.put_trail(trail.clone());
            Ok(trail)
        })
        .await?;
    context.touched(KIND, &trail.arn());
    context.parts.trails_changed().await;
    Ok(wire::PutEventConfigurationResponse {
        trail_arn: Some(trail.arn().to_string()),
        aggregation_configurations: Some(to_wire(&trail)),
        ..wire::PutEventConfigurationResponse::default()
    })
}

/// GetEventConfiguration of a trail.
pub(crate) async fn get_configuration(
    context: &Context<'_>,
    trail: &str,
) -> Result<wire::GetEventConfigurationResponse, ApiError> {
    let name = NamedTrail::parse(trail, context.caller)?;
    let state = context.catalog();
    let trail = name.shown_by(context, &state, "GetEventConfiguration")?;
    context.touched(KIND, &trail.arn());
    Ok(wire::GetEventConfigurationResponse {
        trail_arn: Some(trail.arn().to_string()),
        aggregation_configurations: Some(to_wire(trail)),
        ..wire::GetEventConfigurationResponse::default()
    })
}

fn to_wire(trail: &Trail) -> Vec<wire::AggregationConfiguration> {
    let template = |text: &String| text.parse::<wire::Template>().ok();
    let one = |kept: &AggregationConfiguration| wire::AggregationConfiguration {
        templates: kept.templates.iter().filter_map(template).collect(),
        event_category: wire::EventCategoryAggregation::Data,
    };
    trail.aggregations.iter().map(one).collect()
}
