//! Imports of a local folder: its files are uploaded, small ones many at a time.
//!
//! The server knows the import by store and source, and which of its files are completed. To run the same command again
//! is to go on where it stopped, however it stopped.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzEncoder;
use futures::{Stream, StreamExt, stream};
use indicatif::ProgressBar;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::super::{Failure, counted, progress, store_name, text};
use super::report::Report;
use super::walk::{Found, Walk, WalkError};
use crate::client::{Api, Client, ClientError};

/// Longest file as sent (docs/towpath-api.md).
const MAX_UPLOAD: u64 = 64 << 20;

/// Files that are asked after at a time, and that a batch has, at most.
const GROUP: usize = 1000;

/// Bytes of a batch. A longer file is sent alone.
const BATCH: u64 = 4 << 20;

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
        let seen = root.clone();
        let first = tokio::task::spawn_blocking(move || Walk::new(&seen).flatten().next().is_some()).await;
        if !first.map_err(|error| Failure::other(Box::new(error)))? {
            return Err(Failure::bare(format!("there are no files in {}", self.root.display())));
        }
        let store = store_name::reference(client, self.store).await?;
        let input = json!({ "EventDataStore": store, "Source": source(&root) });
        let answer = client.call(Api::Towpath, "StartUploadImport", &input).await?;
        report.import_id = text(&answer, "ImportId").to_owned();
        // Of an import that begins now no file was sent before.
        let ask = answer.get("Resumed").and_then(Value::as_bool).unwrap_or(true);
        let bar = progress::bytes(0);
        measure(root.clone(), bar.clone());
        let outcome = self.upload_all(client, &root, ask, &bar, report).await;
        bar.finish_and_clear();
        outcome?;
        let answer = client.call(Api::Towpath, "FinishUploadImport", &json!({ "ImportId": report.import_id })).await?;
        report.status = text(&answer, "ImportStatus").to_owned();
        Ok(())
    }

    async fn upload_all(
        &self,
        client: &Client,
        root: &Path,
        ask: bool,
        bar: &ProgressBar,
        report: &mut Report,
    ) -> Result<(), Failure> {
        let id = report.import_id.clone();
        let sendings = groups(root.to_owned()).then(|group| async {
            let group = if ask { pending(client, &id, group).await? } else { all(group) };
            Ok::<_, Failure>(Sending::all(group))
        });
        let sendings = sendings.flat_map(|group| match group {
            Ok(sendings) => stream::iter(sendings).map(Ok).left_stream(),
            Err(failure) => stream::iter([Err(failure)]).right_stream(),
        });
        let mut uploads = std::pin::pin!(
            sendings
                .map(|sending| async {
                    Ok::<_, Failure>(match sending? {
                        Sending::Done(name, length, done) => vec![(name, length, done)],
                        Sending::Alone(found) => vec![upload(client, &id, found).await],
                        Sending::Batch(found) => upload_batch(client, &id, found).await,
                    })
                })
                .buffer_unordered(self.parallel)
        );
        let mut seen = 0;
        while let Some(done) = uploads.next().await {
            for (name, length, done) in done? {
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
            }
            bar.set_message(format!("{} files", counted(seen)));
        }
        Ok(())
    }
}

/// Adds up the bytes of the folder beside the import, so that the progress bar knows how many there are.
fn measure(root: PathBuf, bar: ProgressBar) {
    tokio::task::spawn_blocking(move || {
        for found in Walk::new(&root).flatten() {
            if bar.is_finished() {
                return;
            }
            bar.inc_length(found.length);
        }
    });
}

/// Walks the folder on a thread of its own. Files come in groups, so that neither side holds the list of a folder with
/// millions of them.
fn groups(root: PathBuf) -> impl Stream<Item = Vec<Result<Found, WalkError>>> {
    let (sender, receiver) = mpsc::channel(2);
    tokio::task::spawn_blocking(move || {
        let mut walk = Walk::new(&root);
        loop {
            let group: Vec<_> = walk.by_ref().take(GROUP).collect();
            // Nobody wants the rest when the import was given up.
            if group.is_empty() || sender.blocking_send(group).is_err() {
                return;
            }
        }
    });
    stream::unfold(receiver, |mut receiver| async move { receiver.recv().await.map(|group| (group, receiver)) })
}

/// What is sent at a time.
enum Sending {
    Done(String, u64, Done),
    Alone(Found),
    Batch(Vec<Found>),
}

impl Sending {
    /// Puts small files together.
    fn all(steps: Vec<Step>) -> Vec<Self> {
        let (mut all, mut batch, mut bytes) = (Vec::new(), Vec::new(), 0);
        for step in steps {
            match step {
                Step::Done(name, length, done) => all.push(Self::Done(name, length, done)),
                Step::Send(found) if found.length > BATCH / 4 => all.push(Self::Alone(found)),
                Step::Send(found) => {
                    if bytes + found.length > BATCH {
                        all.push(Self::Batch(std::mem::take(&mut batch)));
                        bytes = 0;
                    }
                    bytes += found.length;
                    batch.push(found);
                }
            }
        }
        if !batch.is_empty() {
            all.push(Self::Batch(batch));
        }
        all
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

/// A file, its length, and what became of it.
type Outcome = (String, u64, Done);

async fn upload(client: &Client, id: &str, found: Found) -> Outcome {
    let path = found.path.clone();
    let read = tokio::task::spawn_blocking(move || read(&path)).await;
    let done = match read {
        Ok(Ok(Some(body))) => match client.upload(id, &found.name, &found.version, body).await {
            Ok(answer) => Done::Answered(answer),
            Err(error) => Done::Failed(error),
        },
        Ok(Ok(None)) => Done::TooLarge,
        Ok(Err(cause)) => Done::NotRead(cause),
        Err(error) => Done::NotRead(io::Error::other(error)),
    };
    (found.name, found.length, done)
}

/// Sends files together; one by one if the server does not take them so, to learn which of them it refuses.
async fn upload_batch(client: &Client, id: &str, batch: Vec<Found>) -> Vec<Outcome> {
    let read = tokio::task::spawn_blocking(move || read_batch(batch)).await;
    let (body, batch, mut outcomes) = match read {
        Ok(read) => read,
        Err(error) => return vec![("a batch".to_owned(), 0, Done::NotRead(io::Error::other(error)))],
    };
    if batch.is_empty() {
        return outcomes;
    }
    let answers = match client.upload_batch(id, body).await {
        Ok(mut answer) => match answer.get_mut("Files").map(Value::take) {
            Some(Value::Array(answers)) if answers.len() == batch.len() => Some(answers),
            _ => None,
        },
        Err(error) if concerns_file(&error) => None,
        Err(error) => {
            // Whatever it is, it concerns the import: one of the files can stand for all.
            let first = &batch[0];
            outcomes.push((first.name.clone(), first.length, Done::Failed(error)));
            return outcomes;
        }
    };
    match answers {
        Some(answers) => {
            let answered = batch.into_iter().zip(answers);
            outcomes.extend(answered.map(|(found, answer)| (found.name, found.length, Done::Answered(answer))));
        }
        None => {
            for found in batch {
                outcomes.push(upload(client, id, found).await);
            }
        }
    }
    outcomes
}

/// Reads files into the body of a batch; returns it, the files that are in it, and what became of the others.
fn read_batch(batch: Vec<Found>) -> (Bytes, Vec<Found>, Vec<Outcome>) {
    let bytes: u64 = batch.iter().map(|found| found.length + 200).sum();
    let (mut body, mut taken, mut outcomes) = (Vec::with_capacity(bytes as usize), Vec::new(), Vec::new());
    let mut file = Vec::new();
    for found in batch {
        file.clear();
        // A file that grew meanwhile is cut off at what is sent of a file at most, and the server says so.
        let read = File::open(&found.path).and_then(|open| open.take(MAX_UPLOAD / 64).read_to_end(&mut file));
        match read {
            Ok(length) => {
                let line = json!({ "Name": found.name, "Version": found.version, "Length": length });
                body.extend_from_slice(line.to_string().as_bytes());
                body.push(b'\n');
                body.extend_from_slice(&file);
                taken.push(found);
            }
            Err(cause) => outcomes.push((found.name, found.length, Done::NotRead(cause))),
        }
    }
    (Bytes::from(body), taken, outcomes)
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
    let steps = all(group).into_iter().map(|step| match step {
        Step::Send(Found { name, length, .. }) if !pending.contains(&name) => Step::Done(name, length, Done::Before),
        step => step,
    });
    Ok(steps.collect())
}

/// Everything that can be read is sent.
fn all(group: Vec<Result<Found, WalkError>>) -> Vec<Step> {
    let step = |found| match found {
        Err(WalkError { path, cause }) => Step::Done(path.display().to_string(), 0, Done::NotRead(cause)),
        Ok(found) => Step::Send(found),
    };
    group.into_iter().map(step).collect()
}

/// The text that names the folder: the same for the same folder on the same machine.
fn source(root: &Path) -> String {
    let host = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    let host = host.trim();
    let host = if host.is_empty() { "localhost" } else { host };
    format!("file://{host}{}", root.display())
}
