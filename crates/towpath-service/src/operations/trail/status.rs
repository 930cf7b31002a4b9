//! GetTrailStatus.

use jiff::Timestamp;
use towpath_model::{DeliveryStatus, eventtime_text};
use towpath_wire::{ApiError, cloudtrail as wire};

use super::KIND;
use super::name::NamedTrail;
use crate::operations::Context;

/// GetTrailStatus: what became of the latest deliveries. Members ending in `AttemptTime` and `AttemptSucceeded`, and
/// `TimeLogging...`, are texts that old clients show; they are empty where there is nothing to say.
pub(crate) async fn status(
    context: &Context<'_>,
    input: wire::GetTrailStatusRequest,
) -> Result<wire::GetTrailStatusResponse, ApiError> {
    let name = NamedTrail::parse(&input.name, context.caller)?;
    let state = context.catalog();
    let trail = name.shown_by(context, &state, "GetTrailStatus")?;
    context.touched(KIND, &trail.arn());
    let status = context.parts.delivery.status(trail.id);
    let time = |instant: Option<Timestamp>| instant.map(Into::into);
    Ok(wire::GetTrailStatusResponse {
        is_logging: Some(trail.logging),
        latest_delivery_error: error(&status.delivery),
        latest_notification_error: error(&status.notification),
        latest_delivery_time: time(status.delivery.succeeded),
        latest_notification_time: time(status.notification.succeeded),
        start_logging_time: time(trail.started),
        stop_logging_time: time(trail.stopped),
        latest_cloud_watch_logs_delivery_error: error(&status.cloud_watch_logs),
        latest_cloud_watch_logs_delivery_time: time(status.cloud_watch_logs.succeeded),
        latest_digest_delivery_time: time(status.digest.succeeded),
        latest_digest_delivery_error: error(&status.digest),
        latest_delivery_attempt_time: text(status.delivery.attempted),
        latest_notification_attempt_time: text(status.notification.attempted),
        latest_notification_attempt_succeeded: text(status.notification.succeeded),
        latest_delivery_attempt_succeeded: text(status.delivery.succeeded),
        time_logging_started: text(trail.started),
        time_logging_stopped: text(trail.stopped),
    })
}

/// The code of a failure, until the next success.
fn error(status: &DeliveryStatus) -> Option<String> {
    status.error.clone().filter(|_| status.failing)
}

fn text(instant: Option<Timestamp>) -> Option<String> {
    Some(instant.map(eventtime_text).unwrap_or_default())
}
