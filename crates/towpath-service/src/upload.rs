//! Files of an import that the client sends, one at a time or many small ones together (docs/towpath-api.md).

use bytes::{Buf, Bytes};
use http::Uri;
use serde::Deserialize;
use serde_json::{Value, json};
use towpath_import::{FileMark, FileReport, Input};
use towpath_wire::{ApiError, Object};

use crate::operations::Context;
use crate::operations::admin::upload_import;
use crate::operations::import::refused;

/// Most files of one batch.
const MAX_FILES: usize = 1000;
/// Longest line that begins a file of a batch: a name of 4096 bytes may be twice as long with its escapes.
const MAX_LINE: usize = 16 * 1024;

/// What a path sends, and to which import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent<'a> {
    /// One file: `/towpath/v1/imports/<ImportId>/files`.
    File(&'a str),
    /// Many files: `/towpath/v1/imports/<ImportId>/batches`.
    Batch(&'a str),
}

impl<'a> Sent<'a> {
    /// Reads a path; `None` if it is no such path.
    pub(crate) fn of(path: &'a str) -> Option<Self> {
        let (import, what) = path.strip_prefix("/towpath/v1/imports/")?.split_once('/')?;
        match what {
            _ if import.is_empty() => None,
            "files" => Some(Self::File(import)),
            "batches" => Some(Self::Batch(import)),
            _ => None,
        }
    }

    /// The name under which it is measured.
    pub(crate) const fn operation(self) -> &'static str {
        match self {
            Self::File(_) => "UploadFile",
            Self::Batch(_) => "UploadFiles",
        }
    }
}

/// Imports what was sent and tells what became of it.
pub(crate) async fn take(context: &Context<'_>, sent: Sent<'_>, uri: &Uri, body: Bytes) -> Result<Value, ApiError> {
    crate::authorize::authorize(context, "towpath:StartUploadImport", "*", None)?;
    match sent {
        Sent::File(import) => file(context, import, uri, body).await,
        Sent::Batch(import) => batch(context, import, body).await,
    }
}

async fn file(context: &Context<'_>, import: &str, uri: &Uri, body: Bytes) -> Result<Value, ApiError> {
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

async fn batch(context: &Context<'_>, import: &str, body: Bytes) -> Result<Value, ApiError> {
    let files = files_of(body)?;
    let upload = upload_import::find(context, import).await?;
    let reports = upload.offer_all(files).await.map_err(refused)?;
    Ok(json!({ "Files": reports.iter().map(answer).collect::<Vec<_>>() }))
}

/// The line that begins a file of a batch.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Line {
    name: String,
    version: String,
    length: usize,
}

/// Takes a batch apart: for each file a line of JSON with its name, version and length, then so many bytes.
fn files_of(mut body: Bytes) -> Result<Vec<(FileMark, Bytes)>, ApiError> {
    let mut files = Vec::new();
    while !body.is_empty() {
        let number = files.len() + 1;
        if number > MAX_FILES {
            return Err(ApiError::validation(format!("a batch must have at most {MAX_FILES} files")));
        }
        let wrong = |what: &str| ApiError::validation(format!("file {number} of the batch: {what}"));
        let start = &body[..body.len().min(MAX_LINE)];
        let end = start.iter().position(|byte| *byte == b'\n').ok_or_else(|| wrong("the line before it has no end"))?;
        let Object(line): Object<Line> = serde_json::from_slice(&body[..end])
            .map_err(|_| wrong("the line before it must be JSON with Name, Version and Length"))?;
        body.advance(end + 1);
        if line.length > body.len() {
            return Err(wrong("it is shorter than its Length"));
        }
        files.push((upload_import::mark(line.name, line.version)?, body.split_to(line.length)));
    }
    if files.is_empty() { Err(ApiError::validation("a batch must have at least one file")) } else { Ok(files) }
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
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_path_of_files_names_an_import() {
        assert_eq!(Sent::of("/towpath/v1/imports/abc/files"), Some(Sent::File("abc")));
        assert_eq!(Sent::of("/towpath/v1/imports/abc/batches"), Some(Sent::Batch("abc")));
        for path in ["/", "/towpath/v1/imports//files", "/towpath/v1/imports/a/b/files", "/towpath/v1/imports/abc"] {
            assert_eq!(Sent::of(path), None, "{path}");
        }
    }

    fn batch_of(files: &[(String, Vec<u8>)]) -> Vec<u8> {
        let mut body = Vec::new();
        for (name, bytes) in files {
            let line = json!({ "Name": name, "Version": "1", "Length": bytes.len() });
            body.extend(line.to_string().into_bytes());
            body.push(b'\n');
            body.extend(bytes);
        }
        body
    }

    proptest! {
        #[test]
        fn a_batch_is_taken_apart_into_what_it_was_made_of(
            files in prop::collection::vec((".{1,20}", prop::collection::vec(any::<u8>(), 0..50)), 1..8)
        ) {
            let found = files_of(batch_of(&files).into()).unwrap();
            let found: Vec<_> = found.into_iter().map(|(mark, bytes)| (mark.name, bytes.to_vec())).collect();
            prop_assert_eq!(found, files);
        }

        #[test]
        fn a_batch_that_was_cut_is_refused_or_ends_with_a_whole_file(
            files in prop::collection::vec((".{1,20}", prop::collection::vec(any::<u8>(), 1..50)), 1..8),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut body = batch_of(&files);
            body.truncate(cut.index(body.len()));
            if let Ok(found) = files_of(body.clone().into()) {
                prop_assert_eq!(batch_of(&files[..found.len()]), body);
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = files_of(body.into());
        }
    }

    #[test]
    fn a_batch_has_a_file_and_not_too_many() {
        assert!(files_of(Bytes::new()).is_err());
        let files = vec![("a".to_owned(), Vec::new()); MAX_FILES + 1];
        assert!(files_of(batch_of(&files).into()).is_err());
        assert_eq!(files_of(batch_of(&files[1..]).into()).unwrap().len(), MAX_FILES);
    }
}
