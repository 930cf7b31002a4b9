//! Files: read, taken apart and appended.
//!
//! A thread of its own takes a file apart, because decompression and scanning need the processor. It gets the file
//! through a short queue and hands batches of events on through another, so that a file of any size needs a few
//! megabytes. Small files are taken apart one after the other on one thread and share batches: most log files hold
//! a few events, and an append and two changes of threads for each would cost more than its events do.

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
use crate::source_error;

/// A batch of events is appended when it has so many bytes.
const BATCH_BYTES: usize = 1024 * 1024;
/// It is also appended when so much text was read for it, because its events keep that text in memory.
const BATCH_TEXT: u64 = 4 * 1024 * 1024;
/// The most problems of a file that are kept word for word, and of files that are imported together.
const MAX_PROBLEMS: usize = 1000;
const MAX_PROBLEMS_TOGETHER: usize = 10_000;
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
    let mut parser = Parser::new(target, now, batches);
    let mut reports = match input {
        Input::Bytes(bytes) => {
            let parse = tokio::task::spawn_blocking(move || {
                parser.read(io::Cursor::new(bytes));
                parser.finish()
            });
            append_all(received, parse, target).await?
        }
        Input::Stream(stream) => {
            let (pieces, source) = mpsc::channel(4);
            let reader = PieceReader { source, piece: Bytes::new() };
            let parse = tokio::task::spawn_blocking(move || {
                parser.read(reader);
                parser.finish()
            });
            let (_, reports) = tokio::join!(feed(stream, pieces, target.silence), append_all(received, parse, target));
            reports?
        }
    };
    Ok(reports.pop().expect("one file was read"))
}

/// Imports small files together; the reports come in the order of the files.
pub(crate) async fn import_files(
    files: Vec<Bytes>,
    target: &Target,
    now: Timestamp,
) -> Result<Vec<FileReport>, LogClosed> {
    let (batches, received) = mpsc::channel(1);
    let mut parser = Parser::new(target, now, batches);
    let parse = tokio::task::spawn_blocking(move || {
        for file in files {
            parser.read(io::Cursor::new(file));
        }
        parser.finish()
    });
    append_all(received, parse, target).await
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

/// Appends batches as they come and says in the reports what became of their events.
async fn append_all(
    mut batches: mpsc::Receiver<Batch>,
    parse: tokio::task::JoinHandle<Vec<FileReport>>,
    target: &Target,
) -> Result<Vec<FileReport>, LogClosed> {
    // Of each file: events of its batches, and those of them that the log refused.
    let mut counts: Vec<(u64, u64)> = Vec::new();
    while let Some(Batch { events, shares }) = batches.recv().await {
        let refused = match append_patiently(&*target.sink, events).await {
            Appended::All => Vec::new(),
            Appended::TooLarge(places) => places,
            Appended::Closed => return Err(LogClosed),
        };
        let mut from = 0;
        for Share { file, events } in shares {
            if counts.len() <= file {
                counts.resize(file + 1, (0, 0));
            }
            let places = from..from + events;
            from = places.end;
            counts[file].0 += events as u64;
            counts[file].1 += refused.iter().filter(|place| places.contains(place)).count() as u64;
        }
    }
    // A blocking task ends early only when the runtime shuts down.
    let mut reports = parse.await.map_err(|_| LogClosed)?;
    for (report, (events, refused)) in reports.iter_mut().zip(counts) {
        report.events = events - refused;
        if refused > 0 && report.fault.is_none() {
            let message = format!("{refused} events are larger than the log takes");
            report.fault = Some(Fault::new(FailureKind::InvalidFormat, message));
        }
    }
    Ok(reports)
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

/// Events to be appended together.
struct Batch {
    events: Vec<Event>,
    /// Which files they are from, in order.
    shares: Vec<Share>,
}

/// The events of a batch that are from one file.
struct Share {
    file: usize,
    events: usize,
}

/// Takes files apart and hands batches of events on.
struct Parser {
    target: Target,
    now: Timestamp,
    batches: mpsc::Sender<Batch>,
    reports: Vec<FileReport>,
    /// Problems that may still be kept word for word.
    problems_left: usize,
    events: Vec<Event>,
    shares: Vec<Share>,
    /// Bytes of the events of the batch, and of the text that was read for it.
    bytes: usize,
    text: u64,
    /// The import was given up.
    stopped: bool,
}

impl Parser {
    fn new(target: &Target, now: Timestamp, batches: mpsc::Sender<Batch>) -> Self {
        Self {
            target: target.clone(),
            now,
            batches,
            reports: Vec::new(),
            problems_left: MAX_PROBLEMS_TOGETHER,
            events: Vec::new(),
            shares: Vec::new(),
            bytes: 0,
            text: 0,
            stopped: false,
        }
    }

    /// Takes the next file apart.
    fn read(&mut self, source: impl Read) {
        let report = if self.stopped { FileReport::default() } else { self.read_file(source) };
        self.reports.push(report);
    }

    fn read_file(&mut self, source: impl Read) -> FileReport {
        let mut file = match LogFile::open(source, self.target.limits) {
            Ok(file) => file,
            Err(error) => return FileReport::failed(fault_of(&error)),
        };
        if self.target.gzip_only && file.encoding() != Encoding::Gzip {
            return FileReport::failed(Fault::new(FailureKind::InvalidFormat, "the file is not gzip"));
        }
        let mut report = FileReport::default();
        let mut share = Share { file: self.reports.len(), events: 0 };
        // Text of this file that counts for the batch already.
        let mut counted = 0;
        loop {
            match file.next_item() {
                Ok(Some(Item::Record(record))) => {
                    if !self.target.range.takes(record.time()) {
                        report.skipped += 1;
                        continue;
                    }
                    self.bytes += record.text().len();
                    self.events.push(record.into_event(self.target.destination, &self.target.fallback, self.now));
                    share.events += 1;
                    let text = file.totals().text_bytes;
                    self.text += text - counted;
                    counted = text;
                    if self.bytes >= BATCH_BYTES || self.text >= BATCH_TEXT {
                        let next = Share { file: share.file, events: 0 };
                        self.shares.push(std::mem::replace(&mut share, next));
                        self.flush();
                        if self.stopped {
                            break;
                        }
                    }
                }
                Ok(Some(Item::Problem(problem))) => {
                    report.problem_count += 1;
                    if report.problems.len() < MAX_PROBLEMS && self.problems_left > 0 {
                        self.problems_left -= 1;
                        report.problems.push(problem);
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    report.fault = Some(fault_of(&error));
                    break;
                }
            }
        }
        let totals = file.totals();
        self.text += totals.text_bytes - counted;
        if share.events > 0 {
            self.shares.push(share);
        }
        report.text_bytes = totals.text_bytes;
        report.judged(totals.records + totals.problems)
    }

    /// Hands on what is left and returns the reports, which do not tell yet how many events were appended.
    fn finish(mut self) -> Vec<FileReport> {
        self.flush();
        self.reports
    }

    /// Hands the batch on, unless the import was given up meanwhile.
    fn flush(&mut self) {
        let mut batch = Batch { events: std::mem::take(&mut self.events), shares: std::mem::take(&mut self.shares) };
        // Few events of much text would keep all of it in memory for as long as they live.
        if (self.bytes as u64) < self.text / 2 {
            for event in &mut batch.events {
                event.json = Bytes::copy_from_slice(&event.json);
            }
        }
        (self.bytes, self.text) = (0, 0);
        if !batch.events.is_empty() {
            self.stopped = self.batches.blocking_send(batch).is_err();
        }
    }
}

/// The fault of a file, with the source's own error where that is the cause.
fn fault_of(error: &LogFileError) -> Fault {
    if let LogFileError::Read(cause) = error
        && let Some(cause) = cause.get_ref().and_then(|cause| cause.downcast_ref::<object_store::Error>())
    {
        return source_error::fault(cause);
    }
    Fault::of_log_file(error)
}
