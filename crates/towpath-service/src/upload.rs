//! Files of an import that the client sends: `POST /towpath/v1/imports/<ImportId>/files?name=..&version=..`.

use bytes::Bytes;
use http::Uri;
use serde_json::{Value, json};
use towpath_import::{FileReport, Input};
use towpath_wire::ApiError;

use crate::operations::Context;
use crate::operations::admin::upload_import;
use crate::operations::import::refused;

/// The import that a path sends a file to, if it is such a path.
pub(crate) fn import_of(path: &str) -> Option<&str> {
    let id = path.strip_prefix("/towpath/v1/imports/")?.strip_suffix("/files")?;
    (!id.is_empty() && !id.contains('/')).then_some(id)
}

/// Imports one file and tells what became of it.
pub(crate) async fn file(context: &Context<'_>, import: &str, uri: &Uri, body: Bytes) -> Result<Value, ApiError> {
    crate::authorize::authorize(context, "towpath:StartUploadImport", "*", None)?;
    let (mut name, mut version) = (None, String::new());
    for (key, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
        match &*key {
            "name" => name = Some(value.into_owned()),
            "version" => version = value.into_owned(),
            _ => {}
        }
    }
    let name = name.ok_or_else(|| ApiError::validation("the parameter name must be given"))?;
    let mark = upload_import::mark(name, version)?;
    let upload = upload_import::find(context, import).await?;
    let report = upload.offer(mark, Input::Bytes(body)).await.map_err(refused)?;
    Ok(answer(&report))
}

fn answer(report: &FileReport) -> Value {
    let mut failures: Vec<Value> = Vec::new();
    for problem in &report.problems {
        failures.push(json!({
            "RecordNumber": problem.number,
            "ErrorType": "InvalidFormat",
            "ErrorMessage": format!("at byte {}: {}", problem.offset, problem.reason),
        }));
    }
    let failure = report.failure();
    if let (Some((kind, message)), true) = (failure, report.problems.is_empty()) {
        failures.push(json!({ "ErrorType": kind.as_str(), "ErrorMessage": message }));
    }
    json!({
        "FileStatus": if failure.is_some() { "FAILED" } else { "COMPLETED" },
        "EventsCompleted": report.events,
        "EventsSkipped": report.skipped,
        "Failures": failures,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_path_of_a_file_names_an_import() {
        assert_eq!(import_of("/towpath/v1/imports/abc/files"), Some("abc"));
        for path in ["/", "/towpath/v1/imports//files", "/towpath/v1/imports/a/b/files", "/towpath/v1/imports/abc"] {
            assert_eq!(import_of(path), None, "{path}");
        }
    }
}
