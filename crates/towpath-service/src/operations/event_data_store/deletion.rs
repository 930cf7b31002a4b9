//! DeleteEventDataStore and RestoreEventDataStore: a store goes in two steps, and comes back between them.

use towpath_model::EventDataStoreStatus;
use towpath_wire::ApiError;
use towpath_wire::{cloudtrail as wire, errors};

use super::{billing_mode_to_wire, ongoing_import, status_to_wire};
use crate::catalog::Change;
use crate::operations::store_name::{StoreName, require_active};
use crate::operations::{Context, selectors};
use crate::refusal::refuse;

/// DeleteEventDataStore: the store is pending deletion for the wait, then gone for good.
pub(crate) async fn delete(
    context: &Context<'_>,
    input: wire::DeleteEventDataStoreRequest,
) -> Result<wire::DeleteEventDataStoreResponse, ApiError> {
    let name = StoreName::resolve(&input.event_data_store, context)?;
    context.authorize("DeleteEventDataStore", &name.arn())?;
    context.own_or_delegated("DeleteEventDataStore", &name)?;
    context.touched("AWS::CloudTrail::EventDataStore", &name.arn());
    let busy = context.import_running_into(name.id).await?;
    context
        .change(|state, change: &mut Change| {
            let current = name.find(state)?;
            require_active(current)?;
            if current.termination_protection {
                return Err(refuse(
                    errors::EVENT_DATA_STORE_TERMINATION_PROTECTED_EXCEPTION,
                    "termination protection is on; turn it off first \
                     (UpdateEventDataStore with TerminationProtectionEnabled false)",
                ));
            }
            if let Some(channel) = state.channels_into(current.id).next() {
                return Err(refuse(
                    errors::CHANNEL_EXISTS_FOR_EDS_EXCEPTION,
                    format!("channel {} sends into the event data store; delete or update it first", channel.arn()),
                ));
            }
            if busy {
                return Err(ongoing_import(current));
            }
            let mut store = current.clone();
            store.stopped_before_deletion = store.status == EventDataStoreStatus::StoppedIngestion;
            store.status = EventDataStoreStatus::PendingDeletion;
            store.deletion_requested = Some(context.caller.now);
            store.updated = context.caller.now;
            change.put_store(store);
            Ok(())
        })
        .await?;
    Ok(wire::DeleteEventDataStoreResponse {})
}

/// RestoreEventDataStore: brings a store back that is pending deletion, with ingestion stopped if it was before.
///
/// The quota counts pending stores, so restoring one never exceeds it.
pub(crate) async fn restore(
    context: &Context<'_>,
    input: wire::RestoreEventDataStoreRequest,
) -> Result<wire::RestoreEventDataStoreResponse, ApiError> {
    let name = StoreName::resolve(&input.event_data_store, context)?;
    context.authorize("RestoreEventDataStore", &name.arn())?;
    context.own_or_delegated("RestoreEventDataStore", &name)?;
    context.touched("AWS::CloudTrail::EventDataStore", &name.arn());
    let store = context
        .change(|state, change| {
            let current = name.find(state)?;
            if current.purging {
                return Err(name.not_found());
            }
            if current.status != EventDataStoreStatus::PendingDeletion {
                return Err(refuse(
                    errors::INVALID_EVENT_DATA_STORE_STATUS_EXCEPTION,
                    format!(
                        "event data store {} is {}; only one pending deletion can be restored",
                        name.id, current.status
                    ),
                ));
            }
            let mut store = current.clone();
            store.status = if current.stopped_before_deletion {
                EventDataStoreStatus::StoppedIngestion
            } else {
                EventDataStoreStatus::Enabled
            };
            store.stopped_before_deletion = false;
            store.deletion_requested = None;
            store.updated = context.caller.now;
            change.put_store(store.clone());
            Ok(store)
        })
        .await?;
    Ok(wire::RestoreEventDataStoreResponse {
        event_data_store_arn: Some(store.arn().to_string()),
        status: Some(status_to_wire(store.status)),
        advanced_event_selectors: Some(selectors::to_wire(&store.selectors)),
        multi_region_enabled: Some(store.multi_region),
        organization_enabled: Some(store.organization),
        retention_period: Some(store.retention_days as i32),
        termination_protection_enabled: Some(store.termination_protection),
        created_timestamp: Some(store.created.into()),
        updated_timestamp: Some(store.updated.into()),
        billing_mode: Some(billing_mode_to_wire(store.billing_mode)),
        kms_key_id: store.kms_key_id,
        name: Some(store.name),
    })
}
