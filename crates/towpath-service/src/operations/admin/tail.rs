//! TailEvents: the events of a store as they arrive.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use towpath_model::{Position, StoreId, StoreKind};
use towpath_wire::ApiError;

use super::Context;
use crate::operations::query::refused;
use crate::operations::store_name::{StoreName, require_active};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TailInput {
    event_data_store: Option<String>,
    after_position: Option<u64>,
    max_results: Option<i64>,
    wait_seconds: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct EventOutput {
    position: u64,
    event_json: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TailOutput {
    events: Vec<EventOutput>,
    next_position: u64,
}

pub(super) async fn tail(context: &Context<'_>, input: TailInput) -> Result<TailOutput, ApiError> {
    let (store, kind) = match &input.event_data_store {
        Some(text) => named(context, text)?,
        None => {
            crate::authorize::authorize(context, "cloudtrail:LookupEvents", "*", None)?;
            (StoreId::history_of(context.caller.account), StoreKind::History)
        }
    };
    let wait = input.wait_seconds.unwrap_or(10);
    if wait > 20 {
        return Err(ApiError::validation("WaitSeconds must be 0 to 20"));
    }
    context.records.seen(&[store]).await;
    let committed = context.parts.log.committed().as_u64();
    // Without a position: what comes from now on, so the last position that is already there.
    let after = match input.after_position {
        Some(position) => Some(position),
        None => committed.checked_sub(1),
    };
    let tail =
        context.parts.queries.tail(store, kind, after.map(Position::new), input.max_results, Duration::from_secs(wait));
    let page = tail.await.map_err(refused)?;
    Ok(TailOutput {
        next_position: page.next.map(Position::as_u64).or(after).unwrap_or(0),
        events: page
            .events
            .into_iter()
            .map(|event| EventOutput { position: event.position.as_u64(), event_json: event.event_json })
            .collect(),
    })
}

fn named(context: &Context<'_>, text: &str) -> Result<(StoreId, StoreKind), ApiError> {
    let state = context.catalog();
    let by_name = state
        .stores_of(context.caller.account, &context.caller.region)
        .into_iter()
        .find(|store| store.name == text)
        .map(|store| store.arn().to_string());
    let name = StoreName::parse(by_name.as_deref().unwrap_or(text), context.caller)?;
    // Following a store shows what a query would.
    context.authorize("StartQuery", &name.arn())?;
    context.own(name.account, || name.not_found())?;
    let store = name.find(&state)?;
    require_active(store)?;
    Ok((store.id, store.kind))
}
