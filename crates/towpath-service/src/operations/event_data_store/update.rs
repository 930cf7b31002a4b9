//! UpdateEventDataStore: what may change of a store, and what may not.

use towpath_model::selector_rules::check_store_selectors;
use towpath_model::{BillingMode, EventDataStore};
use towpath_wire::ApiError;
use towpath_wire::{cloudtrail as wire, errors};

use super::{
    billing_mode_from_wire, billing_mode_to_wire, check_retention, key_arn, ongoing_import, refuse_used_name,
    status_to_wire,
};
use crate::catalog::CatalogState;
use crate::operations::store_name::{StoreName, require_active};
use crate::operations::trail::refuse_organization;
use crate::operations::{Context, selectors};
use crate::refusal::refuse;

/// UpdateEventDataStore: needs at least one member besides the store.
pub(crate) async fn update(
    context: &Context<'_>,
    input: wire::UpdateEventDataStoreRequest,
) -> Result<wire::UpdateEventDataStoreResponse, ApiError> {
    let name = StoreName::resolve(&input.event_data_store, context)?;
    context.authorize("UpdateEventDataStore", &name.arn())?;
    context.own_or_delegated("UpdateEventDataStore", &name)?;
    let nothing_else = input.name.is_none()
        && input.advanced_event_selectors.is_none()
        && input.multi_region_enabled.is_none()
        && input.organization_enabled.is_none()
        && input.retention_period.is_none()
        && input.termination_protection_enabled.is_none()
        && input.kms_key_id.is_none()
        && input.billing_mode.is_none();
    if nothing_else {
        return Err(refuse(
            errors::INVALID_PARAMETER_EXCEPTION,
            "at least one member besides EventDataStore must be given",
        ));
    }
    let converts = |store: &EventDataStore| input.organization_enabled.filter(|wanted| *wanted != store.organization);
    if name.find(&context.catalog()).is_ok_and(|store| converts(store).is_some()) {
        refuse_organization(context, Some(true))?;
    }
    let busy = context.import_running_into(name.id).await?;

    let store = context
        .change(|state, change| {
            let current = name.find(state)?;
            require_active(current)?;
            if busy {
                return Err(ongoing_import(current));
            }
            let updated = updated(context, state, current, &input)?;
            change.put_store(updated.clone());
            Ok(updated)
        })
        .await?;
    context.retention_changed(&store).await?;
    context.touched("AWS::CloudTrail::EventDataStore", &store.arn());

    Ok(wire::UpdateEventDataStoreResponse {
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
        federation_status: Some(wire::FederationStatus::Disabled),
        federation_role_arn: None,
        kms_key_id: store.kms_key_id,
        name: Some(store.name),
    })
}

fn updated(
    context: &Context<'_>,
    state: &CatalogState,
    current: &EventDataStore,
    input: &wire::UpdateEventDataStoreRequest,
) -> Result<EventDataStore, ApiError> {
    let mut store = current.clone();
    store.updated = context.caller.now;
    if let Some(name) = &input.name {
        store.name.clone_from(name);
        refuse_used_name(state, &store)?;
    }
    if let Some(given) = &input.advanced_event_selectors {
        store.selectors = selectors::from_wire(given.clone());
        let kind = check_store_selectors(&store.selectors, &context.settings().quotas).map_err(selectors::refused)?;
        if kind != current.kind {
            return Err(refuse(
                errors::INVALID_EVENT_SELECTORS_EXCEPTION,
                "the kind of events of an event data store cannot be changed; create another store for them",
            ));
        }
    }
    if let Some(organization) = input.organization_enabled {
        store.organization = organization;
    }
    if let Some(multi_region) = input.multi_region_enabled {
        store.multi_region = multi_region;
    }
    if let Some(mode) = input.billing_mode.map(billing_mode_from_wire) {
        let shrinks = current.billing_mode == BillingMode::ExtendableRetentionPricing
            && mode == BillingMode::FixedRetentionPricing;
        if shrinks {
            return Err(refuse(
                errors::INVALID_PARAMETER_EXCEPTION,
                "the billing mode cannot be changed to FIXED_RETENTION_PRICING; stop ingestion and create another store",
            ));
        }
        store.billing_mode = mode;
    }
    if let Some(days) = input.retention_period {
        store.retention_days = check_retention(days, store.billing_mode)?;
    }
    if let Some(protected) = input.termination_protection_enabled {
        store.termination_protection = protected;
    }
    if let Some(key) = &input.kms_key_id {
        let key = key_arn(context, key);
        if current.kms_key_id.as_ref().is_some_and(|attached| *attached != key) {
            return Err(refuse(
                errors::INVALID_PARAMETER_EXCEPTION,
                "the KMS key of an event data store cannot be changed or removed",
            ));
        }
        store.kms_key_id = Some(key);
    }
    Ok(store)
}
