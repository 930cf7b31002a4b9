//! CreateTrail.

use towpath_model::{Arn, Region, Trail};
use towpath_wire::{ApiError, cloudtrail as wire, errors};

use super::organization::organization_of_new_trail;
use super::{KIND, destination, name, outside, shown};
use crate::catalog::CatalogState;
use crate::operations::{Context, tags};
use crate::refusal::refuse;

/// CreateTrail: the trail takes nothing until StartLogging.
pub(crate) async fn create(
    context: &Context<'_>,
    input: wire::CreateTrailRequest,
) -> Result<wire::CreateTrailResponse, ApiError> {
    let caller = context.caller;
    let name = name::parse_name(&input.name)?;
    let own = Arn::cloudtrail(&caller.region, caller.account, &format!("trail/{name}"));
    context.authorize_as_own("CreateTrail", &own)?;
    let state = context.catalog();
    let organization = match input.is_organization_trail {
        Some(true) => Some(organization_of_new_trail(context, &state)?),
        _ => None,
    };
    let multi_region = input.is_multi_region_trail.unwrap_or(false);
    let include_global = input.include_global_service_events.unwrap_or(true);
    require_global_events(multi_region, include_global)?;
    let tags = tags::check(input.tags_list.unwrap_or_default(), &context.settings().quotas)?;
    let account = organization.as_ref().map_or(caller.account, |organization| organization.management);
    let bucket = destination::bucket(&input.s3_bucket_name)?;
    let mut trail = Trail {
        prefix: destination::prefix(input.s3_key_prefix.as_deref().unwrap_or_default())?,
        kms_key_id: destination::kms_key(input.kms_key_id.as_deref().unwrap_or_default(), caller)?,
        log_file_validation: input.enable_log_file_validation.unwrap_or(false),
        sns_topic_arn: destination::topic(input.sns_topic_name.as_deref().unwrap_or_default(), caller)?,
        include_global_service_events: include_global,
        multi_region,
        recursive_logging: input.recursive_logging.unwrap_or(true),
        organization: organization.map(|organization| organization.id.clone()),
        ..Trail::new(account, caller.region.clone(), name, bucket, caller.now)
    };
    trail.cloud_watch_logs = destination::cloud_watch_logs(
        input.cloud_watch_logs_log_group_arn.as_deref(),
        input.cloud_watch_logs_role_arn.as_deref(),
        &trail.arn(),
    )?;
    // Before the bucket is looked at, which may take a while, and again when the trail is made.
    refuse_used_name(&state, &trail)?;
    refuse_over_quota(context, &state, &trail)?;
    destination::require_deliverable(context, &trail).await?;
    outside::require_topic(context, &trail).await?;
    trail.kms_key_id = outside::usable_key(context, &trail).await?;
    outside::require_log_group(context, &trail).await?;
    context
        .change(|state, change| {
            if trail.organization.is_some() {
                organization_of_new_trail(context, state)?;
            }
            refuse_used_name(state, &trail)?;
            refuse_over_quota(context, state, &trail)?;
            change.put_trail(trail.clone());
            change.put_tags(trail.arn().as_str(), tags);
            Ok(())
        })
        .await?;
    context.touched(KIND, &trail.arn());
    context.parts.trails_changed().await;
    Ok(shown::created(&trail))
}

/// A multi-region trail always takes the events of global services.
pub(super) fn require_global_events(multi_region: bool, include_global: bool) -> Result<(), ApiError> {
    if multi_region && !include_global {
        return Err(refuse(
            errors::INVALID_PARAMETER_COMBINATION_EXCEPTION,
            "a multi-region trail must include global service events",
        ));
    }
    Ok(())
}

fn refuse_used_name(state: &CatalogState, trail: &Trail) -> Result<(), ApiError> {
    if state.trail_named(trail.account, &trail.home_region, &trail.name).is_none() {
        return Ok(());
    }
    Err(refuse(
        errors::TRAIL_ALREADY_EXISTS_EXCEPTION,
        format!("Trail {} already exists for customer: {}", trail.name, trail.account),
    ))
}

/// Counts the trails of every region that the new one would be in, shadows included. Regions without a trail of their
/// own have the same shadows, so that the homes of the account's trails are enough to look at.
fn refuse_over_quota(context: &Context<'_>, state: &CatalogState, trail: &Trail) -> Result<(), ApiError> {
    let homes = state.trails_seen_by(trail.account).map(|other| &other.home_region);
    let elsewhere = homes.filter(|_| trail.multi_region);
    let count = |region: &Region| state.trails_in(trail.account, region).count();
    let limit = context.settings().quotas.trails;
    match std::iter::once(&trail.home_region).chain(elsewhere).find(|region| count(region) >= limit) {
        None => Ok(()),
        Some(region) => Err(refuse(
            errors::MAXIMUM_NUMBER_OF_TRAILS_EXCEEDED_EXCEPTION,
            format!("User: {} already has {limit} trails in {region}.", trail.account),
        )),
    }
}
