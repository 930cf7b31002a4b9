//! Trails as the API shows them: members that are not set are left out.

use towpath_model::Trail;
use towpath_wire::cloudtrail as wire;

/// The `Trail` structure.
pub(super) fn to_wire(trail: &Trail) -> wire::Trail {
    wire::Trail {
        name: Some(trail.name.to_string()),
        s3_bucket_name: Some(trail.bucket.clone()),
        s3_key_prefix: trail.prefix.clone(),
        sns_topic_name: topic_name(trail),
        sns_topic_arn: trail.sns_topic_arn.clone(),
        include_global_service_events: Some(trail.include_global_service_events),
        is_multi_region_trail: Some(trail.multi_region),
        home_region: Some(trail.home_region.to_string()),
        trail_arn: Some(trail.arn().to_string()),
        log_file_validation_enabled: Some(trail.log_file_validation),
        cloud_watch_logs_log_group_arn: trail.cloud_watch_logs.as_ref().map(|logs| logs.group_arn.clone()),
        cloud_watch_logs_role_arn: trail.cloud_watch_logs.as_ref().map(|logs| logs.role_arn.clone()),
        kms_key_id: trail.kms_key_id.clone(),
        has_custom_event_selectors: Some(trail.selectors.custom()),
        has_insight_selectors: Some(!trail.insight_selectors.is_empty()),
        is_organization_trail: Some(trail.organization.is_some()),
        recursive_logging: Some(trail.recursive_logging),
    }
}

/// What CreateTrail answers.
pub(super) fn created(trail: &Trail) -> wire::CreateTrailResponse {
    let shown = to_wire(trail);
    wire::CreateTrailResponse {
        name: shown.name,
        s3_bucket_name: shown.s3_bucket_name,
        s3_key_prefix: shown.s3_key_prefix,
        sns_topic_name: shown.sns_topic_name,
        sns_topic_arn: shown.sns_topic_arn,
        include_global_service_events: shown.include_global_service_events,
        is_multi_region_trail: shown.is_multi_region_trail,
        trail_arn: shown.trail_arn,
        log_file_validation_enabled: shown.log_file_validation_enabled,
        cloud_watch_logs_log_group_arn: shown.cloud_watch_logs_log_group_arn,
        cloud_watch_logs_role_arn: shown.cloud_watch_logs_role_arn,
        kms_key_id: shown.kms_key_id,
        is_organization_trail: shown.is_organization_trail,
        recursive_logging: shown.recursive_logging,
    }
}

/// What UpdateTrail answers.
pub(super) fn updated(trail: &Trail) -> wire::UpdateTrailResponse {
    let shown = to_wire(trail);
    wire::UpdateTrailResponse {
        name: shown.name,
        s3_bucket_name: shown.s3_bucket_name,
        s3_key_prefix: shown.s3_key_prefix,
        sns_topic_name: shown.sns_topic_name,
        sns_topic_arn: shown.sns_topic_arn,
        include_global_service_events: shown.include_global_service_events,
        is_multi_region_trail: shown.is_multi_region_trail,
        trail_arn: shown.trail_arn,
        log_file_validation_enabled: shown.log_file_validation_enabled,
        cloud_watch_logs_log_group_arn: shown.cloud_watch_logs_log_group_arn,
        cloud_watch_logs_role_arn: shown.cloud_watch_logs_role_arn,
        kms_key_id: shown.kms_key_id,
        is_organization_trail: shown.is_organization_trail,
        recursive_logging: shown.recursive_logging,
    }
}

/// The deprecated `SnsTopicName`: the last part of the topic's ARN.
fn topic_name(trail: &Trail) -> Option<String> {
    let arn = trail.sns_topic_arn.as_deref()?;
    Some(arn.rsplit(':').next().unwrap_or(arn).to_owned())
}
