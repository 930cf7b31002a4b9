//! One file: read, taken apart and appended.
//!
//! A thread of its own takes the file apart, because decompression and scanning need the processor. It gets the file
//! through a short queue and hands batches of events on through another, so that a file of any size needs a few
//! megabytes.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt};
use jiff::Timestamp;
use tokio::sync::mpsc;

use towpath_admit::{Encoding, Fallback, Item, LogFile, LogFileError, LogFileLimits, RecordProblem};
use towpath_model::{Destination, Event};

use crate::failure::{FailureKind, Fault};
use crate::import::TimeRange;
use crate::sink::{Appended, EventSink, append_patiently};

/// A batch of events is appended when it has so many bytes.
const BATCH_BYTES: usize = 1024 * 1024;
/// It is also appended when so much text was read for it, because its events keep that text in memory.
const BATCH_TEXT: u64 = 4 * 1024 * 1024;
/// The most problems of a file that are kept word for word.
const MAX_PROBLEMS: usize = 1000;
/// The most problems that a failure's message lists.
const MAX_LISTED: usize = 100;

/// What becomes of the events of a file.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) sink: Arc<dyn EventSink>,
    pub(crate) destination: Destination,
    pub(crate) fallback: Fallback,
    pub(crate) range: TimeRange,
    pub(crate) limits: LogFileLimits,
    pub(crate) gzip_only: bool,
    /// A source that sends nothing for so long has failed.
    pub(crate) silence: Duration,
}

/// The bytes of a file, as they are stored.
pub enum Input {
    /// All of them.
    Bytes(Bytes),
    /// Piece by piece.
    Stream(BoxStream<'static, io::Result<Bytes>>),
}

/// What became of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileReport {
    /// Events appended, repeats included.
    pub events: u64,
    /// Events passed over because of their time.
    pub skipped: u64,
    /// Bytes of text after decompression.
    pub text_bytes: u64,
    /// Records that are no events: the first thousand.
    pub problems: Vec<RecordProblem>,
    /// How many there are.
    pub problem_count: u64,
    pub(crate) fault: Option<Fault>,
}

impl FileReport {
    /// Says why the file counts as a failure, if it does.
    pub fn failure(&self) -> Option<(FailureKind, &str)> {
        self.fault.as_ref().map(|fault| (fault.kind, fault.message.as_str()))
    }

    pub(crate) fn failed(fault: Fault) -> Self {
        Self { fault: Some(fault), ..Self::default() }
    }

    /// Adds what the problems mean for the file.
    fn judged(mut self, records: u64) -> Self {
        if self.problem_count == 0 {
            return self;
        }
        let listed: Vec<_> = self.problems.iter().take(MAX_LISTED).map(RecordProblem::to_string).collect();
        let more = self.problem_count.saturating_sub(listed.len() as u64);
        let mut message = format!("{} of {records} records are no events: {}", self.problem_count, listed.join("; "));
        if more > 0 {
            message.push_str(&format!("; and {more} more"));
        }
        self.fault = Some(match self.fault.take() {
            Some(fault) => Fault::new(fault.kind, format!("{}; {message}", fault.message)),
            None => Fault::new(FailureKind::InvalidFormat, message),
        });
        self
    }
}

/// The log was closed while a file was imported.
#[derive(Debug)]
pub(crate) struct LogClosed;

/// Imports one file.
pub(crate) async fn import_file(input: Input, target: &Target, now: Timestamp) -> Result<FileReport, LogClosed> {
    let (batches, received) = mpsc::channel(1);
    let parser = Parser {
        target: target.clone(),
        now,
        batches,
        report: FileReport::default(),
        batch: Vec::new(),
        bytes: 0,
        text_from: 0,
    };
    match input {
        Input::Bytes(bytes) => {
            let parse = tokio::task::spawn_blocking(move || parser.run(io::Cursor::new(bytes)));
            append_all(received, parse, target).await
        }
        Input::Stream(stream) => {
            let (pieces, source) = mpsc::channel(4);
            let reader = PieceReader { source, piece: Bytes::new() };
            let parse = tokio::task::spawn_blocking(move || parser.run(reader));
            let (_, report) = tokio::join!(feed(stream, pieces, target.silence), append_all(received, parse, target));
            report
        }
    }
}

/// Passes the pieces of a file on until there are no more or nobody wants them.
async fn feed(
    mut stream: BoxStream<'static, io::Result<Bytes>>,
    pieces: mpsc::Sender<io::Result<Bytes>>,
    silence: Duration,
) {
    loop {
        let piece = match tokio::time::timeout(silence, stream.next()).await {
            Ok(Some(piece)) => piece,
            Ok(None) => return,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        };
        let failed = piece.is_err();
        if pieces.send(piece).await.is_err() || failed {
            return;
        }
    }
}

async fn append_all(
    mut batches: mpsc::Receiver<Vec<Event>>,
    parse: tokio::task::JoinHandle<FileReport>,
    target: &Target,
) -> Result<FileReport, LogClosed> {
    let (mut events, mut refused) = (0, 0);
    while let Some(batch) = batches.recv().await {
        let count = batch.len() as u64;
        match append_patiently(&*target.sink, batch).await {
            Appended::All => events += count,
            Appended::TooLarge(some) => {
                events += count - some;
                refused += some;
            }
            Appended::Closed => return Err(LogClosed),
        }
    }
    // A blocking task ends early only when the runtime shuts down.
    let mut report = parse.await.map_err(|_| LogClosed)?;
    report.events = events;
    if refused > 0 && report.fault.is_none() {
        let message = format!("{refused} events are larger than the log takes");
        report.fault = Some(Fault::new(FailureKind::InvalidFormat, message));
    }
    Ok(report)
}

/// Reads pieces that come from an asynchronous source.
struct PieceReader {
    source: mpsc::Receiver<io::Result<Bytes>>,
    piece: Bytes,
}

impl Read for PieceReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.source.blocking_recv() {
                Some(piece) => self.piece = piece?,
                None => return Ok(0),
            }
        }
        let count = self.piece.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.piece.split_to(count));
        Ok(count)
    }
}

/// Takes a file apart and hands batches of events on.
struct Parser {
    target: Target,
    now: Timestamp,
    batches: mpsc::Sender<Vec<Event>>,
    report: FileReport,
    batch: Vec<Event>,
    bytes: usize,
    text_from: u64,
}

impl Parser {
    fn run(mut self, source: impl Read) -> FileReport {
        let mut file = match LogFile::open(source, self.target.limits) {
            Ok(file) => file,
            Err(error) => return FileReport::failed(fault_of(&error)),
        };
        if self.target.gzip_only && file.encoding() != Encoding::Gzip {
            return FileReport::failed(Fault::new(FailureKind::InvalidFormat, "the file is not gzip"));
        }
        loop {
            match file.next_item() {
                Ok(Some(Item::Record(record))) => {
                    if !self.target.range.takes(record.time()) {
                        self.report.skipped += 1;
                        continue;
                    }
                    self.bytes += record.text().len();
                    self.batch.push(record.into_event(self.target.destination, &self.target.fallback, self.now));
                    let text = file.totals().text_bytes;
                    if (self.bytes >= BATCH_BYTES || text - self.text_from >= BATCH_TEXT) && self.flush(text).is_err() {
                        break;
                    }
                }
                Ok(Some(Item::Problem(problem))) => {
                    self.report.problem_count += 1;
                    if self.report.problems.len() < MAX_PROBLEMS {
                        self.report.problems.push(problem);
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    self.report.fault = Some(fault_of(&error));
                    break;
                }
            }
        }
        let totals = file.totals();
        let _ = self.flush(totals.text_bytes);
        self.report.text_bytes = totals.text_bytes;
        self.report.judged(totals.records + totals.problems)
    }

    /// Hands the batch on; fails if the import was given up meanwhile.
    fn flush(&mut self, text: u64) -> Result<(), mpsc::error::SendError<Vec<Event>>> {
        let mut batch = std::mem::take(&mut self.batch);
        // Few events of much text would keep all of it in memory for as long as they live.
        if (self.bytes as u64) < (text - self.text_from) / 2 {
            for event in &mut batch {
                event.json = Bytes::copy_from_slice(&event.json);
            }
        }
        (self.bytes, self.text_from) = (0, text);
        if batch.is_empty() { Ok(()) } else { self.batches.blocking_send(batch) }
    }
}

/// The fault of a file, with the source's own error where that is the cause.
fn fault_of(error: &LogFileError) -> Fault {
    if let LogFileError::Read(cause) = error
        && let Some(cause) = cause.get_ref().and_then(|cause| cause.downcast_ref::<object_store::Error>())
    {
        return Fault::of_source(cause);
    }
    Fault::of_log_file(error)
}
