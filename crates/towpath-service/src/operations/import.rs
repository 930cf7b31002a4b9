//! Imports from buckets: start, get, list, failures, stop.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use towpath_import::{
    Import, ImportError, ImportId, ImportSource, ImportStatus, ListFilter, NewImport, Owner, SourceError, Statistics,
    TimeRange,
};
use towpath_model::{Arn, Destination, EventDataStore, StoreKind};
use towpath_wire::ApiError;
use towpath_wire::{cloudtrail as wire, errors};

use super::Context;
use super::store_name::{StoreName, require_active};
use crate::refusal::{internal, refuse};

/// Most items of a page.
const MAX_PAGE: usize = 1000;

/// StartImport: a new import, or with ImportId alone the retry of one that failed or was stopped.
pub(crate) async fn start(
    context: &Context<'_>,
    input: wire::StartImportRequest,
) -> Result<wire::StartImportResponse, ApiError> {
    let invalid = |message: &str| refuse(errors::INVALID_PARAMETER_EXCEPTION, message);
    let import = match (input.import_id, input.destinations, input.import_source) {
        (Some(id), None, None) if input.start_event_time.is_none() && input.end_event_time.is_none() => {
            retry(context, &id).await?
        }
        (Some(_), _, _) => return Err(invalid("ImportId stands alone: it retries an import as it was started")),
        (None, Some(destinations), Some(source)) => {
            let [destination] = destinations.as_slice() else {
                return Err(invalid("Destinations must name exactly one event data store"));
            };
            let range = TimeRange {
                start: input.start_event_time.map(Into::into),
                end: input.end_event_time.map(Into::into),
                cutoff: None,
            };
            if range.start.zip(range.end).is_some_and(|(start, end)| start > end) {
                return Err(invalid("StartEventTime is after EndEventTime"));
            }
            new(context, destination, source.s3, range).await?
        }
        _ => return Err(invalid("Destinations and ImportSource must be given, or ImportId alone for a retry")),
    };
    Ok(wire::StartImportResponse {
        import_id: Some(import.id.to_string()),
        destinations: Some(destinations(context, &import)),
        import_source: source(&import),
        start_event_time: import.range.start.map(Into::into),
        end_event_time: import.range.end.map(Into::into),
        import_status: Some(status_to_wire(import.status)),
        created_timestamp: Some(import.created.into()),
        updated_timestamp: Some(import.updated.into()),
    })
}

async fn new(
    context: &Context<'_>,
    destination: &str,
    source: wire::S3ImportSource,
    range: TimeRange,
) -> Result<Import, ApiError> {
    let name = StoreName::parse(destination, context.caller)?;
    context.authorize("StartImport", &name.arn())?;
    context.own(name.account, || name.not_found())?;
    let state = context.catalog();
    let store = importable(name.find(&state)?)?;
    context.touched("AWS::CloudTrail::EventDataStore", &store.arn());
    require_readable(context, &source.s3_location_uri)?;
    let new = NewImport {
        owner: owner(context),
        destination: Destination { store: store.id, kind: store.kind },
        source: ImportSource::S3 {
            uri: source.s3_location_uri,
            region: source.s3_bucket_region,
            role_arn: source.s3_bucket_access_role_arn,
        },
        range: TimeRange { cutoff: cutoff(context, store), ..range },
        record_bytes: record_bytes(context, store),
    };
    context.parts.imports.start(new).await.map_err(refused)
}

/// The longest record that the store takes.
pub(super) fn record_bytes(context: &Context<'_>, store: &EventDataStore) -> usize {
    context.parts.settings.quotas.event_bytes_of(store.event_configuration.max_event_size)
}

/// Refuses a bucket of the data directory that the caller may not list and read; other buckets have a say of their own.
fn require_readable(context: &Context<'_>, uri: &str) -> Result<(), ApiError> {
    let Some((bucket, prefix)) = uri.strip_prefix("s3://").map(|rest| rest.split_once('/').unwrap_or((rest, "")))
    else {
        return Ok(());
    };
    let buckets = &context.parts.buckets;
    if buckets.get(bucket).is_err() {
        return Ok(());
    }
    let caller = context.caller;
    let reader = towpath_bucket::Caller {
        principal: Arc::clone(&caller.principal),
        identity: Arc::clone(&caller.rights.identity),
        session: caller.rights.session.clone(),
        access_key_id: Some(caller.access_key_id.clone()),
    };
    let facts = towpath_iam::Context::new().with("aws:SourceIp", caller.source_ip.to_string());
    let prefix = prefix.trim_end_matches('/');
    let objects = if prefix.is_empty() { "*".to_owned() } else { format!("{prefix}/*") };
    for (action, key) in [("s3:ListBucket", None), ("s3:GetObject", Some(objects.as_str()))] {
        buckets.authorize(&reader, action, bucket, key, &facts).map_err(|error| {
            refuse(errors::INVALID_IMPORT_SOURCE_EXCEPTION, format!("the source cannot be read: {error}"))
        })?;
    }
    Ok(())
}

async fn retry(context: &Context<'_>, id: &str) -> Result<Import, ApiError> {
    let owner = owner(context);
    let (id, import) = find(context, "StartImport", id).await?;
    if let ImportSource::S3 { uri, .. } = &import.source {
        require_readable(context, uri)?;
    }
    let state = context.catalog();
    let store = state.store(import.destination.store).ok_or_else(|| {
        refuse(
            errors::EVENT_DATA_STORE_NOT_FOUND_EXCEPTION,
            "the event data store of the import does not exist any more",
        )
    })?;
    let store = importable(store)?;
    let (cutoff, record_bytes) = (cutoff(context, store), record_bytes(context, store));
    context.parts.imports.retry(&owner, id, cutoff, record_bytes).await.map_err(refused)
}

/// Refuses stores that take no imports.
pub(super) fn importable(store: &EventDataStore) -> Result<&EventDataStore, ApiError> {
    require_active(store)?;
    if store.kind == StoreKind::CloudTrail {
        return Ok(store);
    }
    Err(refuse(
        errors::INVALID_EVENT_DATA_STORE_CATEGORY_EXCEPTION,
        "log files can be imported only into a store of CloudTrail events",
    ))
}

/// The time before which events have outlived the store's retention.
pub(super) fn cutoff(context: &Context<'_>, store: &EventDataStore) -> Option<Timestamp> {
    let retention = SignedDuration::from_hours(24 * i64::from(store.retention_days));
    context.caller.now.checked_sub(retention).ok()
}

/// GetImport.
pub(crate) async fn get(
    context: &Context<'_>,
    input: wire::GetImportRequest,
) -> Result<wire::GetImportResponse, ApiError> {
    let (_, import) = find(context, "GetImport", &input.import_id).await?;
    Ok(wire::GetImportResponse {
        import_id: Some(import.id.to_string()),
        destinations: Some(destinations(context, &import)),
        import_source: source(&import),
        start_event_time: import.range.start.map(Into::into),
        end_event_time: import.range.end.map(Into::into),
        import_status: Some(status_to_wire(import.status)),
        created_timestamp: Some(import.created.into()),
        updated_timestamp: Some(import.updated.into()),
        import_statistics: Some(statistics(&import.statistics)),
    })
}

/// ListImports, newest first.
pub(crate) async fn list(
    context: &Context<'_>,
    input: wire::ListImportsRequest,
) -> Result<wire::ListImportsResponse, ApiError> {
    context.authorize("ListImports", &context.any("eventdatastore"))?;
    let destination = match &input.destination {
        Some(text) => {
            let name = StoreName::parse(text, context.caller)?;
            context.own(name.account, || name.not_found())?;
            Some(name.find(&context.catalog())?.id)
        }
        None => None,
    };
    let filter = ListFilter { destination, status: input.import_status.map(status_from_wire) };
    let limit = page_size(input.max_results);
    let page = context.parts.imports.list(&owner(context), filter, input.next_token.as_deref(), limit).await;
    let page = page.map_err(refused)?;
    let item = |import: &Import| wire::ImportsListItem {
        import_id: Some(import.id.to_string()),
        import_status: Some(status_to_wire(import.status)),
        destinations: Some(destinations(context, import)),
        created_timestamp: Some(import.created.into()),
        updated_timestamp: Some(import.updated.into()),
    };
    Ok(wire::ListImportsResponse { imports: Some(page.items.iter().map(item).collect()), next_token: page.next })
}

/// ListImportFailures.
pub(crate) async fn failures(
    context: &Context<'_>,
    input: wire::ListImportFailuresRequest,
) -> Result<wire::ListImportFailuresResponse, ApiError> {
    let (id, _) = find(context, "ListImportFailures", &input.import_id).await?;
    let limit = page_size(input.max_results);
    let page = context.parts.imports.failures(&owner(context), id, input.next_token.as_deref(), limit).await;
    let page = page.map_err(refused)?;
    let item = |failure: towpath_import::Failure| wire::ImportFailureListItem {
        location: Some(failure.location),
        status: Some(match failure.status {
            towpath_import::FailureStatus::Failed => wire::ImportFailureStatus::Failed,
            towpath_import::FailureStatus::Retry => wire::ImportFailureStatus::Retry,
            towpath_import::FailureStatus::Succeeded => wire::ImportFailureStatus::Succeeded,
        }),
        error_type: Some(failure.kind.as_str().to_owned()),
        error_message: Some(failure.message),
        last_updated_time: Some(failure.updated.into()),
    };
    Ok(wire::ListImportFailuresResponse {
        failures: Some(page.items.into_iter().map(item).collect()),
        next_token: page.next,
    })
}

/// StopImport: what was imported stays; the import can be retried.
pub(crate) async fn stop(
    context: &Context<'_>,
    input: wire::StopImportRequest,
) -> Result<wire::StopImportResponse, ApiError> {
    let (id, _) = find(context, "StopImport", &input.import_id).await?;
    let import = context.parts.imports.stop(&owner(context), id).await.map_err(refused)?;
    Ok(wire::StopImportResponse {
        import_id: Some(import.id.to_string()),
        import_source: source(&import),
        destinations: Some(destinations(context, &import)),
        import_status: Some(status_to_wire(import.status)),
        created_timestamp: Some(import.created.into()),
        updated_timestamp: Some(import.updated.into()),
        start_event_time: import.range.start.map(Into::into),
        end_event_time: import.range.end.map(Into::into),
        import_statistics: Some(statistics(&import.statistics)),
    })
}

/// Finds an import of the caller and authorizes the action on the store that it goes into.
async fn find(context: &Context<'_>, action: &'static str, text: &str) -> Result<(ImportId, Import), ApiError> {
    let not_found = || refuse(errors::IMPORT_NOT_FOUND_EXCEPTION, format!("there is no import {text}"));
    let found = match text.parse::<ImportId>() {
        Ok(id) => match context.parts.imports.get(&owner(context), id).await {
            Ok(import) => Some((id, import)),
            Err(ImportError::NotFound(_)) => None,
            Err(error) => return Err(refused(error)),
        },
        Err(_) => None,
    };
    let Some((id, import)) = found else {
        context.authorize(action, &context.any("eventdatastore"))?;
        return Err(not_found());
    };
    let arn = store_arn(context, &import);
    context.authorize(action, &arn)?;
    context.touched("AWS::CloudTrail::EventDataStore", &arn);
    Ok((id, import))
}

pub(super) fn owner(context: &Context<'_>) -> Owner {
    Owner { account: context.caller.account, region: context.caller.region.clone() }
}

fn store_arn(context: &Context<'_>, import: &Import) -> Arn {
    let store = import.destination.store;
    Arn::cloudtrail(&context.caller.region, context.caller.account, &format!("eventdatastore/{store}"))
}

fn destinations(context: &Context<'_>, import: &Import) -> Vec<String> {
    vec![store_arn(context, import).to_string()]
}

/// The source as the API shows it. Uploads and folders are not of the API; their place stands in the URI.
fn source(import: &Import) -> Option<wire::ImportSource> {
    let (uri, region, role) = match &import.source {
        ImportSource::S3 { uri, region, role_arn } => (uri.clone(), region.clone(), role_arn.clone()),
        ImportSource::Folder { path } => (format!("file://{path}"), String::new(), String::new()),
        ImportSource::Upload { label } => (format!("upload://{label}"), String::new(), String::new()),
    };
    let s3 = wire::S3ImportSource { s3_location_uri: uri, s3_bucket_region: region, s3_bucket_access_role_arn: role };
    Some(wire::ImportSource { s3 })
}

fn statistics(statistics: &Statistics) -> wire::ImportStatistics {
    let count = |count: u64| Some(i64::try_from(count).unwrap_or(i64::MAX));
    wire::ImportStatistics {
        prefixes_found: count(statistics.prefixes_found),
        prefixes_completed: count(statistics.prefixes_completed),
        files_completed: count(statistics.files_completed),
        events_completed: count(statistics.events_completed),
        failed_entries: count(statistics.failed_entries),
    }
}

fn page_size(max_results: Option<i32>) -> usize {
    max_results.and_then(|n| usize::try_from(n).ok()).unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE)
}

pub(crate) fn refused(error: ImportError) -> ApiError {
    match error {
        ImportError::Ongoing => refuse(
            errors::ACCOUNT_HAS_ONGOING_IMPORT_EXCEPTION,
            "the account has a running import; wait for it or stop it (StopImport)",
        ),
        ImportError::NotFound(_) => refuse(errors::IMPORT_NOT_FOUND_EXCEPTION, error.to_string()),
        ImportError::NotRetryable { .. } | ImportError::NotAnUpload(_) => {
            refuse(errors::INVALID_PARAMETER_EXCEPTION, error.to_string())
        }
        ImportError::Source(SourceError::Client(cause)) => internal("open the source of an import", cause),
        ImportError::Source(cause) => refuse(errors::INVALID_IMPORT_SOURCE_EXCEPTION, cause.to_string()),
        ImportError::Token => refuse(errors::INVALID_NEXT_TOKEN_EXCEPTION, error.to_string()),
        ImportError::Closed => ApiError::unavailable(),
        ImportError::Meta(cause) => internal("import", cause),
    }
}

pub(super) fn status_to_wire(status: ImportStatus) -> wire::ImportStatus {
    match status {
        ImportStatus::Initializing => wire::ImportStatus::Initializing,
        ImportStatus::InProgress => wire::ImportStatus::InProgress,
        ImportStatus::Stopped => wire::ImportStatus::Stopped,
        ImportStatus::Failed => wire::ImportStatus::Failed,
        ImportStatus::Completed => wire::ImportStatus::Completed,
    }
}

fn status_from_wire(status: wire::ImportStatus) -> ImportStatus {
    match status {
        wire::ImportStatus::Initializing => ImportStatus::Initializing,
        wire::ImportStatus::InProgress => ImportStatus::InProgress,
        wire::ImportStatus::Stopped => ImportStatus::Stopped,
        wire::ImportStatus::Failed => ImportStatus::Failed,
        wire::ImportStatus::Completed => ImportStatus::Completed,
    }
}
