//! StartLogging, StopLogging and DeleteTrail.
//!
//! Stopping and deleting take effect after their own record is in the log: the last event that a trail takes is the call
//! that ended it.

use towpath_model::Trail;
use towpath_wire::{ApiError, cloudtrail as wire};

use super::KIND;
use super::name::{NamedTrail, require_changeable};
use crate::catalog::{CatalogState, Change};
use crate::operations::Context;

/// StartLogging. A trail that is logging already goes on as it is.
pub(crate) async fn start_logging(
    context: &Context<'_>,
    input: wire::StartLoggingRequest,
) -> Result<wire::StartLoggingResponse, ApiError> {
    let name = NamedTrail::parse(&input.name, context.caller)?;
    let state = context.catalog();
    let id = name.changed_by(context, &state, "StartLogging")?.id;
    let now = context.caller.now;
    let arn = context
        .change(|state, change| {
            let current = state.trail(id).ok_or_else(|| name.not_found(context.caller))?;
            require_changeable(context, state, current)?;
            if !current.logging {
                let mut trail = Trail::clone(current);
                trail.logging = true;
                trail.started = Some(now);
                change.put_trail(trail);
            }
            Ok(current.arn())
        })
        .await?;
    context.touched(KIND, &arn);
    context.parts.trails_changed().await;
    Ok(wire::StartLoggingResponse {})
}

/// StopLogging. What the trail took before is still delivered.
pub(crate) async fn stop_logging(
    context: &Context<'_>,
    input: wire::StopLoggingRequest,
) -> Result<wire::StopLoggingResponse, ApiError> {
    let now = context.caller.now;
    end(context, &input.name, "StopLogging", move |current, change| {
        if current.logging {
            let mut trail = Trail::clone(current);
            trail.logging = false;
            trail.stopped = Some(now);
            change.put_trail(trail);
        }
    })?;
    Ok(wire::StopLoggingResponse {})
}

/// DeleteTrail. What it took before is still delivered, and nothing that was delivered is touched.
pub(crate) async fn delete(
    context: &Context<'_>,
    input: wire::DeleteTrailRequest,
) -> Result<wire::DeleteTrailResponse, ApiError> {
    end(context, &input.name, "DeleteTrail", |current, change| change.delete_trail(current))?;
    Ok(wire::DeleteTrailResponse {})
}

/// Finds the trail now and ends it when the record of the call is durable.
fn end<'a>(
    context: &Context<'a>,
    name: &str,
    action: &'static str,
    how: impl FnOnce(&Trail, &mut Change) + Send + 'a,
) -> Result<(), ApiError> {
    let name = NamedTrail::parse(name, context.caller)?;
    let state = context.catalog();
    let trail = name.changed_by(context, &state, action)?;
    context.touched(KIND, &trail.arn());
    let (id, parts, caller) = (trail.id, context.parts, context.caller);
    context.do_after_record(async move {
        let decide = |state: &CatalogState, change: &mut Change| {
            let current = state.trail(id).ok_or_else(|| name.not_found(caller))?;
            how(current, change);
            Ok(())
        };
        parts.change_catalog(decide).await?;
        parts.trails_changed().await;
        Ok(())
    });
    Ok(())
}
