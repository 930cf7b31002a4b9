//! Start and stop of live ingestion into an event data store.

use towpath_model::{EventDataStoreStatus, StoreKind};
use towpath_wire::ApiError;
use towpath_wire::{cloudtrail as wire, errors};

use super::Context;
use super::store_name::StoreName;
use crate::refusal::refuse;

/// StartEventDataStoreIngestion: only from `STOPPED_INGESTION`.
pub(crate) async fn start(
    context: &Context<'_>,
    input: wire::StartEventDataStoreIngestionRequest,
) -> Result<wire::StartEventDataStoreIngestionResponse, ApiError> {
    let (stopped, enabled) = (EventDataStoreStatus::StoppedIngestion, EventDataStoreStatus::Enabled);
    switch(context, "StartEventDataStoreIngestion", &input.event_data_store, stopped, enabled).await?;
    Ok(wire::StartEventDataStoreIngestionResponse {})
}

/// StopEventDataStoreIngestion: only from `ENABLED`. Queries and imports go on.
pub(crate) async fn stop(
    context: &Context<'_>,
    input: wire::StopEventDataStoreIngestionRequest,
) -> Result<wire::StopEventDataStoreIngestionResponse, ApiError> {
    let (stopped, enabled) = (EventDataStoreStatus::StoppedIngestion, EventDataStoreStatus::Enabled);
    switch(context, "StopEventDataStoreIngestion", &input.event_data_store, enabled, stopped).await?;
    Ok(wire::StopEventDataStoreIngestionResponse {})
}

async fn switch(
    context: &Context<'_>,
    action: &'static str,
    store: &str,
    from: EventDataStoreStatus,
    to: EventDataStoreStatus,
) -> Result<(), ApiError> {
    let name = StoreName::resolve(store, context)?;
    context.authorize(action, &name.arn())?;
    context.own_or_delegated(action, &name)?;
    context.touched("AWS::CloudTrail::EventDataStore", &name.arn());
    context
        .change(|state, change| {
            let current = name.find(state)?;
            if !matches!(current.kind, StoreKind::CloudTrail | StoreKind::ConfigurationItem) {
                return Err(refuse(
                    errors::INVALID_EVENT_DATA_STORE_CATEGORY_EXCEPTION,
                    "ingestion is started and stopped only on stores of CloudTrail events or configuration items",
                ));
            }
            if current.status != from {
                return Err(refuse(
                    errors::INVALID_EVENT_DATA_STORE_STATUS_EXCEPTION,
                    format!("{action} needs status {from}; event data store {} is {}", name.id, current.status),
                ));
            }
            let mut store = current.clone();
            store.status = to;
            store.updated = context.caller.now;
            change.put_store(store);
            Ok(())
        })
        .await
}
