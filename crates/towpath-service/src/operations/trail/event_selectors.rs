//! PutEventSelectors and GetEventSelectors. A trail has basic or advanced selectors, never both.

use towpath_model::event_selector::check_event_selectors;
use towpath_model::{DataResource, EventSelector, ReadWriteType, Trail, TrailSelectors, check_trail_selectors};
use towpath_wire::{ApiError, cloudtrail as wire, errors};

use super::KIND;
use super::name::{NamedTrail, require_changeable};
use crate::operations::{Context, selectors};
use crate::refusal::refuse;

/// PutEventSelectors: replaces all selectors of the trail, of whichever kind they were.
pub(crate) async fn put_event_selectors(
    context: &Context<'_>,
    input: wire::PutEventSelectorsRequest,
) -> Result<wire::PutEventSelectorsResponse, ApiError> {
    let name = NamedTrail::parse(&input.trail_name, context.caller)?;
    let state = context.catalog();
    let id = name.changed_by(context, &state, "PutEventSelectors")?.id;
    let selectors = checked(input.event_selectors, input.advanced_event_selectors)?;
    let trail = context
        .change(|state, change| {
            let current = state.trail(id).ok_or_else(|| name.not_found(context.caller))?;
            require_changeable(context, state, current)?;
            let mut trail = Trail::clone(current);
            trail.selectors = selectors;
            trail.updated = context.caller.now;
            change.put_trail(trail.clone());
            Ok(trail)
        })
        .await?;
    context.touched(KIND, &trail.arn());
    context.parts.trails_changed().await;
    let (event_selectors, advanced_event_selectors) = shown(&trail.selectors);
    let trail_arn = Some(trail.arn().to_string());
    Ok(wire::PutEventSelectorsResponse { trail_arn, event_selectors, advanced_event_selectors })
}

/// GetEventSelectors: a trail that was given none answers the one advanced selector that says what it takes.
pub(crate) async fn get_event_selectors(
    context: &Context<'_>,
    input: wire::GetEventSelectorsRequest,
) -> Result<wire::GetEventSelectorsResponse, ApiError> {
    let name = NamedTrail::parse(&input.trail_name, context.caller)?;
    let state = context.catalog();
    let trail = name.shown_by(context, &state, "GetEventSelectors")?;
    context.touched(KIND, &trail.arn());
    let (event_selectors, advanced_event_selectors) = shown(&trail.selectors);
    let trail_arn = Some(trail.arn().to_string());
    Ok(wire::GetEventSelectorsResponse { trail_arn, event_selectors, advanced_event_selectors })
}

/// Checks what was given: exactly one kind, by the rules of that kind.
fn checked(
    basic: Option<Vec<wire::EventSelector>>,
    advanced: Option<Vec<wire::AdvancedEventSelector>>,
) -> Result<TrailSelectors, ApiError> {
    let invalid = |why: String| refuse(errors::INVALID_EVENT_SELECTORS_EXCEPTION, why);
    let given = |count: usize| count > 0;
    let basic = basic.filter(|list| given(list.len()));
    let advanced = advanced.filter(|list| given(list.len()));
    match (basic, advanced) {
        (Some(basic), None) => {
            let basic = basic.into_iter().map(from_wire).collect::<Result<Vec<_>, _>>().map_err(invalid)?;
            check_event_selectors(&basic).map_err(|error| invalid(error.to_string()))?;
            Ok(TrailSelectors::Basic(basic))
        }
        (None, Some(advanced)) => {
            let advanced = selectors::from_wire(advanced);
            check_trail_selectors(&advanced).map_err(selectors::refused)?;
            Ok(TrailSelectors::Advanced(advanced))
        }
        _ => Err(invalid("exactly one of EventSelectors and AdvancedEventSelectors must be given".to_owned())),
    }
}

fn from_wire(selector: wire::EventSelector) -> Result<EventSelector, String> {
    let resource = |resource: wire::DataResource| match resource.kind {
        Some(kind) => Ok(DataResource { r#type: kind, values: resource.values.unwrap_or_default() }),
        None => Err("a data resource needs a Type".to_owned()),
    };
    let read_write_type = match selector.read_write_type {
        None | Some(wire::ReadWriteType::All) => ReadWriteType::All,
        Some(wire::ReadWriteType::ReadOnly) => ReadWriteType::ReadOnly,
        Some(wire::ReadWriteType::WriteOnly) => ReadWriteType::WriteOnly,
    };
    Ok(EventSelector {
        read_write_type,
        include_management_events: selector.include_management_events.unwrap_or(true),
        data_resources: selector
            .data_resources
            .unwrap_or_default()
            .into_iter()
            .map(resource)
            .collect::<Result<_, _>>()?,
        exclude_management_event_sources: selector.exclude_management_event_sources.unwrap_or_default(),
    })
}

fn to_wire(selector: &EventSelector) -> wire::EventSelector {
    let resource = |resource: &DataResource| wire::DataResource {
        kind: Some(resource.r#type.clone()),
        values: Some(resource.values.clone()),
    };
    wire::EventSelector {
        read_write_type: Some(match selector.read_write_type {
            ReadWriteType::All => wire::ReadWriteType::All,
            ReadWriteType::ReadOnly => wire::ReadWriteType::ReadOnly,
            ReadWriteType::WriteOnly => wire::ReadWriteType::WriteOnly,
        }),
        include_management_events: Some(selector.include_management_events),
        data_resources: Some(selector.data_resources.iter().map(resource).collect()),
        exclude_management_event_sources: Some(selector.exclude_management_event_sources.clone()),
    }
}

/// The list that the trail has, basic or advanced.
type Shown = (Option<Vec<wire::EventSelector>>, Option<Vec<wire::AdvancedEventSelector>>);

fn shown(selectors: &TrailSelectors) -> Shown {
    match selectors {
        TrailSelectors::Default => (None, Some(selectors::to_wire(&[TrailSelectors::default_selector()]))),
        TrailSelectors::Basic(basic) => (Some(basic.iter().map(to_wire).collect()), None),
        TrailSelectors::Advanced(advanced) => (None, Some(selectors::to_wire(advanced))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(json: &str) -> Result<TrailSelectors, ApiError> {
        checked(Some(serde_json::from_str(json).unwrap()), None)
    }

    fn refused(outcome: Result<TrailSelectors, ApiError>) -> String {
        outcome.unwrap_err().code().to_owned()
    }

    #[test]
    fn exactly_one_kind_of_selectors_is_taken() {
        let invalid = "InvalidEventSelectorsException";
        let advanced = || {
            let selector = TrailSelectors::default_selector();
            Some(selectors::to_wire(&[selector]))
        };
        let plain = || Some(vec![wire::EventSelector::default()]);
        assert_eq!(refused(checked(None, None)), invalid);
        assert_eq!(refused(checked(plain(), advanced())), invalid);
        assert_eq!(refused(checked(Some(vec![]), Some(vec![]))), invalid);
        assert!(matches!(checked(plain(), Some(vec![])), Ok(TrailSelectors::Basic(_))));
        assert!(matches!(checked(None, advanced()), Ok(TrailSelectors::Advanced(_))));
    }

    #[test]
    fn defaults_of_a_basic_selector_are_filled_in_and_shown() {
        let selectors = basic("[{}]").unwrap();
        assert_eq!(selectors, TrailSelectors::Basic(vec![EventSelector::all_management_events()]));
        let (Some(shown), None) = shown(&selectors) else { panic!("basic selectors are shown as such") };
        assert_eq!(shown[0].read_write_type, Some(wire::ReadWriteType::All));
        assert_eq!(shown[0].data_resources, Some(Vec::new()));
    }

    #[test]
    fn broken_rules_of_either_kind_have_one_code() {
        for json in [
            r#"[{"DataResources":[{"Values":["arn:aws:s3"]}]}]"#,
            r#"[{"DataResources":[{"Type":"AWS::SNS::Topic","Values":[]}]}]"#,
            r#"[{},{},{},{},{},{}]"#,
        ] {
            assert_eq!(refused(basic(json)), "InvalidEventSelectorsException", "{json}");
        }
    }

    #[test]
    fn what_is_put_is_what_is_shown() {
        let json = r#"[{"ReadWriteType":"WriteOnly","IncludeManagementEvents":false,
            "DataResources":[{"Type":"AWS::S3::Object","Values":["arn:aws:s3:::b/"]}],
            "ExcludeManagementEventSources":[]}]"#;
        let given: Vec<wire::EventSelector> = serde_json::from_str(json).unwrap();
        let (Some(back), None) = shown(&checked(Some(given.clone()), None).unwrap()) else { panic!("basic") };
        assert_eq!(back, given);
    }
}
