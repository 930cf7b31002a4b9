//! Imports of files that only the client can see.

use serde::{Deserialize, Serialize};
use towpath_import::{FileMark, Import, ImportId, NewUpload, TimeRange, Upload};
use towpath_model::Destination;
use towpath_wire::{ApiError, Object};

use super::Context;
use crate::operations::import::{cutoff, importable, owner, record_bytes, refused};
use crate::operations::store_name::StoreName;

/// Most files that one ListPendingFiles asks about.
const MAX_FILES: usize = 1000;

/// Longest name of a source or file, in bytes.
const MAX_NAME: usize = 4096;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct StartInput {
    event_data_store: String,
    source: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct StartOutput {
    import_id: String,
    resumed: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PendingInput {
    import_id: String,
    files: Vec<Object<FileInput>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct FileInput {
    name: String,
    version: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PendingOutput {
    pending: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct FinishInput {
    import_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct FinishOutput {
    import_id: String,
    import_status: &'static str,
    import_statistics: StatisticsOutput,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct StatisticsOutput {
    files_completed: u64,
    events_completed: u64,
    failed_entries: u64,
}

/// StartUploadImport: opens an import, or finds the unfinished one of the same source into the same store.
pub(super) async fn start(context: &Context<'_>, input: StartInput) -> Result<StartOutput, ApiError> {
    if input.source.is_empty() || input.source.len() > MAX_NAME {
        return Err(ApiError::validation(format!("Source must have 1 to {MAX_NAME} bytes")));
    }
    let state = context.catalog();
    let caller = context.caller;
    let by_name = state.stores_of(caller.account, &caller.region).into_iter();
    let by_name = by_name.filter(|store| store.name == input.event_data_store).map(|store| store.arn()).next();
    let name = StoreName::parse(by_name.as_ref().map_or(input.event_data_store.as_str(), |arn| arn.as_str()), caller)?;
    context.authorize("StartImport", &name.arn())?;
    context.own(name.account, || name.not_found())?;
    let store = importable(name.find(&state)?)?;
    context.touched("AWS::CloudTrail::EventDataStore", &store.arn());
    let new = NewUpload {
        owner: owner(context),
        destination: Destination { store: store.id, kind: store.kind },
        label: input.source,
        range: TimeRange { cutoff: cutoff(context, store), ..TimeRange::default() },
        record_bytes: record_bytes(context, store),
    };
    let upload = context.parts.imports.open_upload(new).await.map_err(refused)?;
    Ok(StartOutput { import_id: upload.id().to_string(), resumed: upload.is_resumed() })
}

/// ListPendingFiles: which of the files must still be sent.
pub(super) async fn list_pending(context: &Context<'_>, input: PendingInput) -> Result<PendingOutput, ApiError> {
    if input.files.len() > MAX_FILES {
        return Err(ApiError::validation(format!("Files must name at most {MAX_FILES} files")));
    }
    let upload = find(context, &input.import_id).await?;
    let marks: Vec<_> =
        input.files.into_iter().map(|Object(file)| mark(file.name, file.version)).collect::<Result<_, _>>()?;
    let pending = upload.pending(&marks).await.map_err(refused)?;
    let pending = marks.into_iter().zip(pending).filter(|(_, pending)| *pending).map(|(mark, _)| mark.name);
    Ok(PendingOutput { pending: pending.collect() })
}

/// FinishUploadImport: ends the import, completed or failed by what became of its files.
pub(super) async fn finish(context: &Context<'_>, input: FinishInput) -> Result<FinishOutput, ApiError> {
    let import: Import = find(context, &input.import_id).await?.finish().await.map_err(refused)?;
    Ok(FinishOutput {
        import_id: import.id.to_string(),
        import_status: import.status.as_str(),
        import_statistics: StatisticsOutput {
            files_completed: import.statistics.files_completed,
            events_completed: import.statistics.events_completed,
            failed_entries: import.statistics.failed_entries,
        },
    })
}

/// Finds an upload of the caller that takes files.
pub(crate) async fn find(context: &Context<'_>, id: &str) -> Result<Upload, ApiError> {
    let id: ImportId = id.parse().map_err(|_| ApiError::validation("ImportId must be a UUID"))?;
    context.parts.imports.upload(&owner(context), id).await.map_err(refused)
}

/// A file as the client names it.
pub(crate) fn mark(name: String, version: String) -> Result<FileMark, ApiError> {
    if name.is_empty() || name.len() > MAX_NAME || version.len() > MAX_NAME {
        return Err(ApiError::validation(format!("a file's name must have 1 to {MAX_NAME} bytes")));
    }
    Ok(FileMark { name, version })
}
