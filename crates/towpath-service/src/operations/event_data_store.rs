//! Event data stores: create, get, list; update, delete and restore in their own files.

mod deletion;
mod update;

use towpath_model::selector_rules::check_store_selectors;
use towpath_model::{
    AccountId, AdvancedEventSelector, BillingMode, EventConfiguration, EventDataStore, EventDataStoreStatus, StoreId,
};
use towpath_wire::ApiError;
use towpath_wire::cloudtrail as wire;
use towpath_wire::errors;

use super::store_name::StoreName;
use super::trail::owner_of_new_store;
use super::{Context, page, selectors, tags};
use crate::catalog::CatalogState;
use crate::refusal::refuse;

pub(crate) use deletion::{delete, restore};
pub(crate) use update::update;

const MIN_RETENTION: u32 = 7;

/// CreateEventDataStore: answers `CREATED`; the store takes events as soon as this returns, unless ingestion was not
/// to start.
pub(crate) async fn create(
    context: &Context<'_>,
    input: wire::CreateEventDataStoreRequest,
) -> Result<wire::CreateEventDataStoreResponse, ApiError> {
    let caller = context.caller;
    context.authorize("CreateEventDataStore", &context.any("eventdatastore"))?;
    let account = owner_of_new_store(context, input.organization_enabled)?;

    let selectors = match input.advanced_event_selectors {
        Some(given) if !given.is_empty() => selectors::from_wire(given),
        _ => vec![AdvancedEventSelector::default_management_events()],
    };
    let quotas = &context.settings().quotas;
    let kind = check_store_selectors(&selectors, quotas).map_err(selectors::refused)?;
    let billing_mode = input.billing_mode.map_or(BillingMode::ExtendableRetentionPricing, billing_mode_from_wire);
    let retention_days = match input.retention_period {
        Some(days) => check_retention(days, billing_mode)?,
        None => billing_mode.default_retention(),
    };
    let tags = tags::check(input.tags_list.unwrap_or_default(), quotas)?;
    let start_ingestion = input.start_ingestion.unwrap_or(true);

    let store = EventDataStore {
        id: StoreId::random(),
        account,
        region: caller.region.clone(),
        name: input.name,
        kind,
        status: if start_ingestion { EventDataStoreStatus::Enabled } else { EventDataStoreStatus::StoppedIngestion },
        selectors,
        multi_region: input.multi_region_enabled.unwrap_or(true),
        organization: input.organization_enabled.unwrap_or(false),
        retention_days,
        billing_mode,
        termination_protection: input.termination_protection_enabled.unwrap_or(true),
        kms_key_id: input.kms_key_id.map(|key| key_arn(context, &key)),
        event_configuration: EventConfiguration::default(),
        created: caller.now,
        updated: caller.now,
        deletion_requested: None,
        stopped_before_deletion: false,
        purging: false,
    };
    context
        .change(|state, change| {
            refuse_used_name(state, &store)?;
            refuse_over_quota(context, state, account)?;
            change.put_store(store.clone());
            change.put_tags(store.arn().as_str(), tags.clone());
            Ok(())
        })
        .await?;
    context.retention_changed(&store).await?;
    context.touched("AWS::CloudTrail::EventDataStore", &store.arn());

    Ok(wire::CreateEventDataStoreResponse {
        event_data_store_arn: Some(store.arn().to_string()),
        status: Some(wire::EventDataStoreStatus::Created),
        advanced_event_selectors: Some(selectors::to_wire(&store.selectors)),
        multi_region_enabled: Some(store.multi_region),
        organization_enabled: Some(store.organization),
        retention_period: Some(store.retention_days as i32),
        termination_protection_enabled: Some(store.termination_protection),
        tags_list: Some(tags::to_wire(&tags)),
        created_timestamp: Some(store.created.into()),
        updated_timestamp: Some(store.updated.into()),
        billing_mode: Some(billing_mode_to_wire(store.billing_mode)),
        kms_key_id: store.kms_key_id,
        name: Some(store.name),
    })
}

/// GetEventDataStore.
pub(crate) async fn get(
    context: &Context<'_>,
    input: wire::GetEventDataStoreRequest,
) -> Result<wire::GetEventDataStoreResponse, ApiError> {
    let name = StoreName::resolve(&input.event_data_store, context)?;
    context.authorize("GetEventDataStore", &name.arn())?;
    let state = context.catalog();
    let store = name.find(&state)?;
    context.touched("AWS::CloudTrail::EventDataStore", &store.arn());
    Ok(wire::GetEventDataStoreResponse {
        event_data_store_arn: Some(store.arn().to_string()),
        name: Some(store.name.clone()),
        status: Some(status_to_wire(store.status)),
        advanced_event_selectors: Some(selectors::to_wire(&store.selectors)),
        multi_region_enabled: Some(store.multi_region),
        organization_enabled: Some(store.organization),
        retention_period: Some(store.retention_days as i32),
        termination_protection_enabled: Some(store.termination_protection),
        created_timestamp: Some(store.created.into()),
        updated_timestamp: Some(store.updated.into()),
        kms_key_id: store.kms_key_id.clone(),
        billing_mode: Some(billing_mode_to_wire(store.billing_mode)),
        federation_status: Some(wire::FederationStatus::Disabled),
        federation_role_arn: None,
        partition_keys: Some(vec![wire::PartitionKey { name: "calendarday".to_owned(), kind: "string".to_owned() }]),
    })
}

/// ListEventDataStores: ARN and name of each, those pending deletion included, as the original lists them. A delegated
/// administrator sees its organization's behind its own.
pub(crate) async fn list(
    context: &Context<'_>,
    input: wire::ListEventDataStoresRequest,
) -> Result<wire::ListEventDataStoresResponse, ApiError> {
    context.authorize("ListEventDataStores", &context.any("eventdatastore"))?;
    let state = context.catalog();
    let (account, region) = (context.caller.account, &context.caller.region);
    let mut stores = state.stores_of(account, region);
    stores.extend(state.delegated_stores(account, region));
    let page = page::of(&stores, input.next_token.as_deref(), input.max_results, |store| store.id.to_string())?;
    let item = |store: &&std::sync::Arc<EventDataStore>| wire::EventDataStore {
        event_data_store_arn: Some(store.arn().to_string()),
        name: Some(store.name.clone()),
        ..wire::EventDataStore::default()
    };
    Ok(wire::ListEventDataStoresResponse {
        event_data_stores: Some(page.items.iter().map(item).collect()),
        next_token: page.next_token,
    })
}

fn refuse_used_name(state: &CatalogState, store: &EventDataStore) -> Result<(), ApiError> {
    let used = |other: &&std::sync::Arc<EventDataStore>| other.name == store.name && other.id != store.id;
    match state.stores_of(store.account, &store.region).into_iter().find(used) {
        Some(other) => Err(refuse(
            errors::EVENT_DATA_STORE_ALREADY_EXISTS_EXCEPTION,
            format!("an event data store named {} exists already: {}", store.name, other.arn()),
        )),
        None => Ok(()),
    }
}

fn refuse_over_quota(context: &Context<'_>, state: &CatalogState, account: AccountId) -> Result<(), ApiError> {
    let limit = context.settings().quotas.event_data_stores;
    if state.stores_of(account, &context.caller.region).len() < limit {
        return Ok(());
    }
    Err(refuse(
        errors::EVENT_DATA_STORE_MAX_LIMIT_EXCEEDED_EXCEPTION,
        format!("the account has {limit} event data stores in this region already, those pending deletion included"),
    ))
}

fn check_retention(days: i32, mode: BillingMode) -> Result<u32, ApiError> {
    match u32::try_from(days) {
        Ok(days) if (MIN_RETENTION..=mode.max_retention()).contains(&days) => Ok(days),
        _ => Err(refuse(
            errors::INVALID_PARAMETER_EXCEPTION,
            format!("RetentionPeriod must be {MIN_RETENTION} to {} days with {}", mode.max_retention(), mode.as_str()),
        )),
    }
}

fn ongoing_import(store: &EventDataStore) -> ApiError {
    refuse(
        errors::EVENT_DATA_STORE_HAS_ONGOING_IMPORT_EXCEPTION,
        format!("an import into event data store {} is running; wait for it or stop it (StopImport)", store.id),
    )
}

/// Answers carry the key's ARN, whichever way it was named. Towpath keeps the name; it does not call a key service.
fn key_arn(context: &Context<'_>, key: &str) -> String {
    if key.starts_with("arn:") {
        return key.to_owned();
    }
    let resource = if key.starts_with("alias/") { key.to_owned() } else { format!("key/{key}") };
    format!("arn:aws:kms:{}:{}:{resource}", context.caller.region, context.caller.account)
}

fn status_to_wire(status: EventDataStoreStatus) -> wire::EventDataStoreStatus {
    match status {
        EventDataStoreStatus::Enabled => wire::EventDataStoreStatus::Enabled,
        EventDataStoreStatus::StoppedIngestion => wire::EventDataStoreStatus::StoppedIngestion,
        EventDataStoreStatus::PendingDeletion => wire::EventDataStoreStatus::PendingDeletion,
    }
}

fn billing_mode_to_wire(mode: BillingMode) -> wire::BillingMode {
    match mode {
        BillingMode::ExtendableRetentionPricing => wire::BillingMode::ExtendableRetentionPricing,
        BillingMode::FixedRetentionPricing => wire::BillingMode::FixedRetentionPricing,
    }
}

fn billing_mode_from_wire(mode: wire::BillingMode) -> BillingMode {
    match mode {
        wire::BillingMode::ExtendableRetentionPricing => BillingMode::ExtendableRetentionPricing,
        wire::BillingMode::FixedRetentionPricing => BillingMode::FixedRetentionPricing,
    }
}
