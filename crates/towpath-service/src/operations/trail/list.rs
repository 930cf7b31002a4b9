//! GetTrail, DescribeTrails and ListTrails.

use std::sync::Arc;

use towpath_model::Trail;
use towpath_wire::{ApiError, cloudtrail as wire, errors};

use super::name::NamedTrail;
use super::{KIND, shown};
use crate::authorize;
use crate::operations::{Context, page};
use crate::refusal::refuse;

/// GetTrail.
pub(crate) async fn get(
    context: &Context<'_>,
    input: wire::GetTrailRequest,
) -> Result<wire::GetTrailResponse, ApiError> {
    let name = NamedTrail::parse(&input.name, context.caller)?;
    let state = context.catalog();
    let trail = name.shown_by(context, &state, "GetTrail")?;
    context.touched(KIND, &trail.arn());
    Ok(wire::GetTrailResponse { trail: Some(shown::to_wire(trail)) })
}

/// DescribeTrails: all trails of the region, shadows included if not told otherwise, or the named ones. A name means a
/// trail of the account whose home the region is; others are named by ARN. What does not exist is left out.
pub(crate) async fn describe(
    context: &Context<'_>,
    input: wire::DescribeTrailsRequest,
) -> Result<wire::DescribeTrailsResponse, ApiError> {
    authorize::authorize(context, "cloudtrail:DescribeTrails", "*", None)?;
    let caller = context.caller;
    let state = context.catalog();
    let wanted: Vec<&str> = input.trail_name_list.iter().flatten().map(String::as_str).collect();
    let mut trails: Vec<&Arc<Trail>> = Vec::new();
    if wanted.is_empty() {
        trails.extend(state.trails_in(caller.account, &caller.region));
    }
    for text in wanted {
        let found = NamedTrail::parse(text, caller)?.find(&state, caller);
        trails.extend(found.filter(|found| !trails.iter().any(|trail| trail.id == found.id)));
    }
    if input.include_shadow_trails == Some(false) {
        trails.retain(|trail| trail.home_region == caller.region && trail.account == caller.account);
    }
    for trail in &trails {
        context.touched(KIND, &trail.arn());
    }
    Ok(wire::DescribeTrailsResponse { trail_list: Some(trails.into_iter().map(|t| shown::to_wire(t)).collect()) })
}

/// ListTrails: ARN, name and home region of every trail in the region, shadows included; these are what the quota
/// counts.
pub(crate) async fn list(
    context: &Context<'_>,
    input: wire::ListTrailsRequest,
) -> Result<wire::ListTrailsResponse, ApiError> {
    authorize::authorize(context, "cloudtrail:ListTrails", "*", None)?;
    let state = context.catalog();
    let trails: Vec<_> = state.trails_in(context.caller.account, &context.caller.region).collect();
    let page = page::of(&trails, input.next_token.as_deref(), None, |trail| trail.id.to_string())
        .map_err(|_| refuse(errors::INVALID_PARAMETER_EXCEPTION, "NextToken is not one that ListTrails gave out"))?;
    let item = |trail: &&Arc<Trail>| wire::TrailInfo {
        trail_arn: Some(trail.arn().to_string()),
        name: Some(trail.name.to_string()),
        home_region: Some(trail.home_region.to_string()),
    };
    Ok(wire::ListTrailsResponse { trails: Some(page.items.iter().map(item).collect()), next_token: page.next_token })
}
