//! The server itself.

use serde::Serialize;
use towpath_model::{AccountId, eventtime_text};
use towpath_wire::ApiError;

use super::Context;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ServerOutput {
    version: &'static str,
    account_id: AccountId,
    position: u64,
    applied_position: u64,
    started_timestamp: String,
}

pub(super) fn describe(context: &Context<'_>) -> Result<ServerOutput, ApiError> {
    let parts = context.parts;
    Ok(ServerOutput {
        version: env!("CARGO_PKG_VERSION"),
        account_id: context.caller.account,
        position: parts.log.committed().as_u64(),
        applied_position: parts.lake.applied().as_u64(),
        started_timestamp: eventtime_text(parts.started),
    })
}
