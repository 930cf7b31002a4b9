//! `towpath send`: audit events, one JSON object a line, into a channel.
//!
//! Every entry has an id that does not change, so whatever is sent twice is stored once: calls are repeated when the
//! server is busy or gone, and entries that it could not take are sent again alone.

mod batch;
mod deliver;
mod entry;

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use indicatif::ProgressBar;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::timeout;

use self::batch::{Batch, Batcher, Line, Lines};
use self::deliver::Delivery;
use self::entry::Refused;
use super::{Failure, channels, connect, counted, plural, progress};
use crate::client::{Client, ConnectionArgs, Retry};
use crate::output::{self, visible};

/// Refusals that a JSON report lists; all are counted.
const LISTED: usize = 10_000;

/// How long a batch that is not full waits for the next line.
const LINE_WAIT: Duration = Duration::from_millis(200);

/// Flags of `towpath send`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A line is an event as PutAuditEvents takes it in eventData, or an entry:
{\"id\", \"eventData\", \"eventDataChecksum\"?}. The same file may be sent again: what the
server has is not stored twice (within its retry window).
  towpath send --channel shop events.ndjson
  tail -F audit.log | towpath send --channel shop")]
pub struct Send {
    /// Channel that takes the events, by ARN, name or id
    #[arg(long, value_name = "CHANNEL")]
    channel: String,
    /// External id, where the channel asks for one
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,
    /// File with one event a line; - or nothing reads standard input
    file: Option<PathBuf>,
    /// Calls at a time
    #[arg(long, value_name = "COUNT", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    parallel: u16,
    /// Form of the report
    #[arg(long, short, value_enum, default_value_t)]
    output: ReportFormat,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// The form of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ReportFormat {
    /// Lines for people, to standard error.
    #[default]
    Text,
    /// One JSON object, to standard output.
    Json,
}

/// What became of all lines.
#[derive(Debug, Default, serde::Serialize)]
struct Report {
    accepted: u64,
    refused: u64,
    failures: Vec<Refused>,
}

impl Send {
    /// Sends all lines.
    pub async fn run(self) -> Result<(), Failure> {
        let client = connect(&self.connection, Retry::PATIENT)?;
        let channel = channels::arn(&client, &self.channel).await?;
        let (reader, bar) = self.open()?;
        let started = Instant::now();
        let mut report = Report::default();
        let outcome = tokio::select! {
            outcome = self.send(&client, &channel, reader, &bar, &mut report) => outcome,
            _ = tokio::signal::ctrl_c() => Err(Failure::Interrupted),
        };
        bar.finish_and_clear();
        self.tell(&report, started)?;
        outcome?;
        if report.refused > 0 { Err(Failure::Told) } else { Ok(()) }
    }

    fn open(&self) -> Result<(Box<dyn BufRead + std::marker::Send>, ProgressBar), Failure> {
        let Some(path) = self.file.as_ref().filter(|path| path.as_os_str() != "-") else {
            if std::io::stdin().is_terminal() {
                eprintln!("reading events from standard input, one a line; Ctrl-D ends");
            }
            return Ok((Box::new(BufReader::new(std::io::stdin())), progress::flow()));
        };
        let failed = |cause| Failure::Read { path: path.display().to_string(), cause };
        let file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        Ok((Box::new(BufReader::with_capacity(1 << 20, file)), progress::bytes(length)))
    }

    async fn send(
        &self,
        client: &Client,
        channel: &str,
        reader: Box<dyn BufRead + std::marker::Send>,
        bar: &ProgressBar,
        report: &mut Report,
    ) -> Result<(), Failure> {
        let parallel = usize::from(self.parallel);
        let (read, lines) = mpsc::channel(parallel * batch::MAX_ENTRIES);
        // A thread of its own: reading may wait for as long as somebody types.
        std::thread::Builder::new()
            .name("lines".to_owned())
            .spawn(move || {
                for line in Lines::new(reader) {
                    if read.blocking_send(line).is_err() {
                        return;
                    }
                }
            })
            .map_err(|cause| Failure::Read { path: "the input".to_owned(), cause })?;

        let delivery = Delivery { client, channel, external_id: self.external_id.as_deref() };
        let gathering = Gathering { lines, batcher: Batcher::default(), ended: false };
        let batches =
            stream::unfold(gathering, |mut gathering| async { gathering.next().await.map(|batch| (batch, gathering)) });
        let mut done = std::pin::pin!(
            batches
                .map(|batch| async {
                    let Batch { entries, refused, bytes } =
                        batch.map_err(|cause| Failure::Read { path: self.input_name(), cause })?;
                    let outcome = delivery.deliver(entries).await?;
                    Ok::<_, Failure>((outcome, refused, bytes))
                })
                .buffer_unordered(parallel)
        );
        while let Some(outcome) = done.next().await {
            let (outcome, not_sent, bytes) = outcome?;
            report.accepted += outcome.accepted;
            for refused in not_sent.into_iter().chain(outcome.refused) {
                self.note(refused, bar, report);
            }
            bar.inc(bytes);
            bar.set_message(format!("{} events", counted(report.accepted)));
        }
        Ok(())
    }

    fn input_name(&self) -> String {
        self.file.as_ref().map(|path| path.display().to_string()).unwrap_or_else(|| "standard input".to_owned())
    }

    fn note(&self, refused: Refused, bar: &ProgressBar, report: &mut Report) {
        report.refused += 1;
        if self.output == ReportFormat::Text {
            let line = format!("line {}: {}: {}", refused.line, visible(&refused.code), visible(&refused.message));
            bar.suspend(|| {
                // A reader of standard error that has gone stops nothing.
                let _ = writeln!(std::io::stderr(), "{line}");
            });
        } else if report.failures.len() < LISTED {
            report.failures.push(refused);
        }
    }

    fn tell(&self, report: &Report, started: Instant) -> Result<(), Failure> {
        if self.output == ReportFormat::Json {
            return Ok(output::print_json(&json!(report))?);
        }
        let seconds = started.elapsed().as_secs_f64().max(0.001);
        let refused = match report.refused {
            0 => String::new(),
            refused => format!(", {} refused", plural(refused, "line")),
        };
        eprintln!(
            "{} accepted{refused} in {seconds:.1} s ({}/s)",
            plural(report.accepted, "event"),
            counted((report.accepted as f64 / seconds) as u64)
        );
        Ok(())
    }
}

/// Gathers lines into batches. A batch goes when it is full, or when no further line came for a moment.
struct Gathering {
    lines: mpsc::Receiver<io::Result<Line>>,
    batcher: Batcher,
    ended: bool,
}

impl Gathering {
    async fn next(&mut self) -> Option<io::Result<Batch>> {
        while !self.ended {
            let line = if self.batcher.is_empty() {
                self.lines.recv().await
            } else {
                match timeout(LINE_WAIT, self.lines.recv()).await {
                    Ok(line) => line,
                    Err(_) => break,
                }
            };
            match line {
                Some(Ok(line)) => {
                    if let Some(batch) = self.batcher.add(line) {
                        return Some(Ok(batch));
                    }
                }
                Some(Err(error)) => {
                    self.ended = true;
                    return Some(Err(error));
                }
                None => self.ended = true,
            }
        }
        self.batcher.take().map(Ok)
    }
}

#[cfg(test)]
mod tests;
