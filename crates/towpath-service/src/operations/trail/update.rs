//! UpdateTrail: what is given changes, the rest stays; an empty text removes an optional part.

use towpath_model::Trail;
use towpath_wire::{ApiError, cloudtrail as wire};

use super::create::require_global_events;
use super::name::{NamedTrail, require_changeable};
use super::organization::organization_to_convert_for;
use super::{KIND, destination, outside, shown};
use crate::caller::Caller;
use crate::catalog::CatalogState;
use crate::operations::Context;

/// UpdateTrail: only in the home region. The bucket is looked at again, as with CreateTrail, and so is what the request
/// names beside it.
///
/// The service model lists no error for too many trails here, so that a trail that becomes a multi-region one may exceed
/// the quota of a region.
pub(crate) async fn update(
    context: &Context<'_>,
    input: wire::UpdateTrailRequest,
) -> Result<wire::UpdateTrailResponse, ApiError> {
    let name = NamedTrail::parse(&input.name, context.caller)?;
    let state = context.catalog();
    let current = name.changed_by(context, &state, "UpdateTrail")?;
    let trail = updated(context, &state, current, &input)?;
    destination::require_deliverable(context, &trail).await?;
    let key = require_what_is_given(context, &trail, &input).await?;
    let id = current.id;
    let trail = context
        .change(|state, change| {
            let current = state.trail(id).ok_or_else(|| name.not_found(context.caller))?;
            require_changeable(context, state, current)?;
            let mut trail = updated(context, state, current, &input)?;
            if let Some(key) = &key {
                trail.kms_key_id.clone_from(key);
            }
            change.put_trail(trail.clone());
            Ok(trail)
        })
        .await?;
    context.touched(KIND, &trail.arn());
    context.parts.trails_changed().await;
    Ok(shown::updated(&trail))
}

/// Asks the services that have topic, key and log group about those that the request names; returns the key, if it names
/// one, in place of its alias. What the request leaves as it is was asked for before.
async fn require_what_is_given(
    context: &Context<'_>,
    trail: &Trail,
    input: &wire::UpdateTrailRequest,
) -> Result<Option<Option<String>>, ApiError> {
    if input.sns_topic_name.is_some() {
        outside::require_topic(context, trail).await?;
    }
    let key = match &input.kms_key_id {
        Some(_) => Some(outside::usable_key(context, trail).await?),
        None => None,
    };
    if input.cloud_watch_logs_log_group_arn.is_some() || input.cloud_watch_logs_role_arn.is_some() {
        outside::require_log_group(context, trail).await?;
    }
    Ok(key)
}

fn updated(
    context: &Context<'_>,
    state: &CatalogState,
    current: &Trail,
    input: &wire::UpdateTrailRequest,
) -> Result<Trail, ApiError> {
    let caller = context.caller;
    let mut trail = current.clone();
    trail.updated = caller.now;
    if let Some(bucket) = &input.s3_bucket_name {
        trail.bucket = destination::bucket(bucket)?;
    }
    if let Some(prefix) = &input.s3_key_prefix {
        trail.prefix = destination::prefix(prefix)?;
    }
    if let Some(topic) = &input.sns_topic_name {
        trail.sns_topic_arn = destination::topic(topic, caller)?;
    }
    if let Some(key) = &input.kms_key_id {
        trail.kms_key_id = destination::kms_key(key, caller)?;
    }
    if let Some(validation) = input.enable_log_file_validation {
        trail.log_file_validation = validation;
    }
    if let Some(recursive) = input.recursive_logging {
        trail.recursive_logging = recursive;
    }
    regions(&mut trail, input)?;
    log_group(&mut trail, current, input)?;
    organization(&mut trail, context, caller, state, input)?;
    Ok(trail)
}

/// Global service events follow a change of `IsMultiRegionTrail` unless they are spoken of (trails.md, section 2).
fn regions(trail: &mut Trail, input: &wire::UpdateTrailRequest) -> Result<(), ApiError> {
    if let Some(multi_region) = input.is_multi_region_trail {
        if multi_region != trail.multi_region {
            trail.include_global_service_events = multi_region;
        }
        trail.multi_region = multi_region;
    }
    if let Some(include) = input.include_global_service_events {
        trail.include_global_service_events = include;
    }
    require_global_events(trail.multi_region, trail.include_global_service_events)
}

/// One of group and role may be given alone where the other is there already.
fn log_group(trail: &mut Trail, current: &Trail, input: &wire::UpdateTrailRequest) -> Result<(), ApiError> {
    let (group, role) = (&input.cloud_watch_logs_log_group_arn, &input.cloud_watch_logs_role_arn);
    if group.is_none() && role.is_none() {
        return Ok(());
    }
    let there = current.cloud_watch_logs.as_ref();
    let group = group.as_deref().or_else(|| there.map(|logs| logs.group_arn.as_str()));
    let role = role.as_deref().or_else(|| there.map(|logs| logs.role_arn.as_str()));
    trail.cloud_watch_logs = destination::cloud_watch_logs(group, role, &trail.arn())?;
    Ok(())
}

fn organization(
    trail: &mut Trail,
    context: &Context<'_>,
    caller: &Caller,
    state: &CatalogState,
    input: &wire::UpdateTrailRequest,
) -> Result<(), ApiError> {
    let Some(wanted) = input.is_organization_trail.filter(|wanted| *wanted != trail.organization.is_some()) else {
        return Ok(());
    };
    let organization = organization_to_convert_for(context, state, caller.account)?;
    trail.organization = wanted.then(|| organization.id.clone());
    Ok(())
}
