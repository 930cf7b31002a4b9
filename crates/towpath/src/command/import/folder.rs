//! Imports of a local folder: its files are uploaded, several at a time.
//!
//! The server knows the import by store and source, and which of its files are completed. To run the same command again
//! is to go on where it stopped, however it stopped.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzEncoder;
use futures::{StreamExt, stream};
use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::super::{Failure, counted, progress, store_name, text};
use super::report::Report;
use super::walk::{Found, Walk, WalkError};
use crate::client::{Api, Client, ClientError};

/// Longest file as sent (docs/towpath-api.md).
const MAX_UPLOAD: u64 = 64 << 20;

/// Files that are asked after at a time, the most there may be.
const GROUP: usize = 1000;

/// The local side of an import.
pub struct Folder<'a> {
    /// The folder, or the one file.
    pub root: &'a Path,
    /// The event data store as it was written.
    pub store: &'a str,
    /// Uploads at a time.
    pub parallel: usize,
}

impl Folder<'_> {
    /// Uploads what is not yet imported. The report holds what was done even when the outcome is an error.
    pub async fn import(&self, client: &Client, report: &mut Report) -> Result<(), Failure> {
        let root = std::fs::canonicalize(self.root)
            .map_err(|cause| Failure::Read { path: self.root.display().to_string(), cause })?;
        let (files, bytes) = self.measure(&root).await?;
        if files == 0 {
            return Err(Failure::bare(format!("there are no files in {}", self.root.display())));
        }
        let store = store_name::reference(client, self.store).await?;
        let input = json!({ "EventDataStore": store, "Source": source(&root) });
        let answer = client.call(Api::Towpath, "StartUploadImport", &input).await?;
        report.import_id = text(&answer, "ImportId").to_owned();
        let bar = progress::bytes(bytes);
        let outcome = self.upload_all(client, &root, files, &bar, report).await;
        bar.finish_and_clear();
        outcome?;
        let answer = client.call(Api::Towpath, "FinishUploadImport", &json!({ "ImportId": report.import_id })).await?;
        report.status = text(&answer, "ImportStatus").to_owned();
        Ok(())
    }

    /// Counts files and bytes, for the progress bar.
    async fn measure(&self, root: &Path) -> Result<(u64, u64), Failure> {
        let root = root.to_owned();
        let count = move || {
            let found = Walk::new(&root).flatten();
            found.fold((0u64, 0u64), |(files, bytes), found| (files + 1, bytes + found.length))
        };
        tokio::task::spawn_blocking(count).await.map_err(|error| Failure::other(Box::new(error)))
    }

    async fn upload_all(
        &self,
        client: &Client,
        root: &Path,
        files: u64,
        bar: &ProgressBar,
        report: &mut Report,
    ) -> Result<(), Failure> {
        let id = report.import_id.clone();
        // Files are asked after in groups, so that neither side holds the list of a folder with millions of them.
        let groups = stream::iter(Walk::new(root)).chunks(GROUP).then(|group| pending(client, &id, group));
        let steps = groups.flat_map(|group| match group {
            Ok(steps) => stream::iter(steps).map(Ok).left_stream(),
            Err(failure) => stream::iter([Err(failure)]).right_stream(),
        });
        let mut uploads = std::pin::pin!(
            steps
                .map(|step| async {
                    Ok::<_, Failure>(match step? {
                        Step::Done(name, length, done) => (name, length, done),
                        Step::Send(found) => {
                            let (name, length) = (found.name.clone(), found.length);
                            (name, length, upload(client, &id, found).await)
                        }
                    })
                })
                .buffer_unordered(self.parallel)
        );
        let mut seen = 0;
        while let Some(step) = uploads.next().await {
            let (name, length, done) = step?;
            seen += 1;
            match done {
                Done::Answered(answer) => report.add(&name, length, &answer),
                Done::Before => report.files_resumed += 1,
                Done::NotRead(cause) => report.fail_file(&name, "NotRead", cause.to_string()),
                Done::TooLarge => {
                    let message = format!("longer than {} MiB even when compressed; split it", MAX_UPLOAD >> 20);
                    report.fail_file(&name, "TooLarge", message);
                }
                Done::Failed(error) if concerns_file(&error) => {
                    report.fail_file(&name, error.code().unwrap_or("NoAnswer"), error.to_string());
                }
                Done::Failed(error) => return Err(error.into()),
            }
            bar.inc(length);
            bar.set_message(format!("{}/{} files", counted(seen), counted(files)));
        }
        Ok(())
    }
}

/// What became of one file.
enum Done {
    Answered(Value),
    Before,
    NotRead(io::Error),
    TooLarge,
    Failed(ClientError),
}

async fn upload(client: &Client, id: &str, found: Found) -> Done {
    let path = found.path.clone();
    let read = tokio::task::spawn_blocking(move || read(&path)).await;
    let body = match read {
        Ok(Ok(Some(body))) => body,
        Ok(Ok(None)) => return Done::TooLarge,
        Ok(Err(cause)) => return Done::NotRead(cause),
        Err(error) => return Done::NotRead(io::Error::other(error)),
    };
    match client.upload(id, &found.name, &found.version, body).await {
        Ok(answer) => Done::Answered(answer),
        Err(error) => Done::Failed(error),
    }
}

/// Reads a file; a long one that is not compressed is compressed. `None` if it is too long in any case.
pub fn read(path: &Path) -> io::Result<Option<Bytes>> {
    let mut file = File::open(path)?;
    let mut start = Vec::new();
    (&mut file).take(MAX_UPLOAD + 1).read_to_end(&mut start)?;
    if start.len() as u64 <= MAX_UPLOAD {
        return Ok(Some(Bytes::from(start)));
    }
    if start.starts_with(&[0x1f, 0x8b]) {
        return Ok(None);
    }
    let whole = io::Cursor::new(start).chain(file);
    let mut packed = Vec::new();
    GzEncoder::new(whole, Compression::fast()).take(MAX_UPLOAD + 1).read_to_end(&mut packed)?;
    Ok((packed.len() as u64 <= MAX_UPLOAD).then(|| Bytes::from(packed)))
}

/// True if the server refused this file and may take others.
fn concerns_file(error: &ClientError) -> bool {
    matches!(
        error.code(),
        Some(
            "ValidationException" | "InvalidParameterException" | "RequestEntityTooLargeException" | "InternalFailure"
        )
    )
}

/// What is to be done about a file.
enum Step {
    Send(Found),
    Done(String, u64, Done),
}

/// Asks the server which of these files must still be sent.
async fn pending(client: &Client, id: &str, group: Vec<Result<Found, WalkError>>) -> Result<Vec<Step>, Failure> {
    let found = group.iter().flatten();
    let files: Vec<_> = found.map(|found| json!({ "Name": found.name, "Version": found.version })).collect();
    let mut pending = HashSet::new();
    if !files.is_empty() {
        let input = json!({ "ImportId": id, "Files": files });
        let answer = client.call(Api::Towpath, "ListPendingFiles", &input).await?;
        let names = answer.get("Pending").and_then(Value::as_array).cloned().unwrap_or_default();
        pending.extend(names.into_iter().filter_map(|name| Some(name.as_str()?.to_owned())));
    }
    let step = |found| match found {
        Err(WalkError { path, cause }) => Step::Done(path.display().to_string(), 0, Done::NotRead(cause)),
        Ok(Found { name, length, .. }) if !pending.contains(&name) => Step::Done(name, length, Done::Before),
        Ok(found) => Step::Send(found),
    };
    Ok(group.into_iter().map(step).collect())
}

/// The text that names the folder: the same for the same folder on the same machine.
fn source(root: &Path) -> String {
    let host = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    let host = host.trim();
    let host = if host.is_empty() { "localhost" } else { host };
    format!("file://{host}{}", root.display())
}
