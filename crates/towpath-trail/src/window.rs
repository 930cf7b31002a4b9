//! Windows: from a range of positions to staged files, in one commit.
//!
//! The position moves and the files are listed together. A crash before that commit leaves files that nobody names and
//! a position from which the same events are read again; after it, files whose names and bytes never change.

mod finish;

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use metrics::{counter, gauge};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use towpath_log::{Committed, Log, LogHold, LogReader, ReadError};
use towpath_meta::{Expect, MetaError, MetaStoreExt, Write};
use towpath_model::{Position, TrailId, TrailStatus};
use tracing::{error, info, warn};

use crate::aggregate::Aggregates;
use crate::buckets::storage_code;
use crate::delivery::Shared;
use crate::error::{DeliveryError, RunError};
use crate::log_file::{Filled, LogFiles, remove_files};
use crate::object_key::{Folder, KeyPlace, log_file_key, unique_part};
use crate::record::{self, Progress, Staged, What};
use crate::stager::Stagers;

use finish::{Finished, counts, finish};

// Text of events read at a time.
const READ: usize = 4 << 20;
// How often the clock is looked at while nothing comes.
const TICK: Duration = Duration::from_millis(200);

/// Reads the log and stages files.
pub(crate) struct Windows {
    shared: Arc<Shared>,
    log: Log,
    hold: LogHold,
    reader: LogReader,
    stagers: Arc<Stagers>,
    progress: Progress,
    // What was counted of the events before the position and is not delivered yet.
    aggregates: Aggregates,
    // The progress record as it is now.
    unchanged: Expect,
    // No name of a file is used twice in the life of a process: blocks of a window that was given up may still be on
    // their way to the disk.
    next: u64,
    // Text read for this window, whether or not a trail wants it: so much the log keeps.
    read: u64,
    // Who waits for everything before a position to be staged.
    flushing: Vec<(Position, oneshot::Sender<()>)>,
}

/// Why reading ended.
enum Ended {
    /// The window is over.
    Window,
    Stopping,
}

impl Windows {
    pub(crate) fn open(
        shared: Arc<Shared>,
        log: Log,
        hold: LogHold,
        progress: Progress,
        unchanged: Expect,
    ) -> io::Result<Self> {
        let stagers = Stagers::start(&shared.folder, shared.settings.workers, shared.settings.gzip_level)?;
        let reader = log.reader(progress.position);
        let aggregates = counts(&shared.folder, progress.aggregates);
        Ok(Self {
            shared,
            log,
            hold,
            reader,
            stagers: Arc::new(stagers),
            progress,
            aggregates,
            unchanged,
            next: progress.next,
            read: 0,
            flushing: Vec::new(),
        })
    }

    pub(crate) async fn run(
        mut self,
        mut flushes: mpsc::Receiver<oneshot::Sender<()>>,
        stop: CancellationToken,
    ) -> Result<(), RunError> {
        let mut failures = 0u32;
        loop {
            let mut files = self.begin();
            let ended = match self.fill(&mut files, &mut flushes, &stop).await {
                Ok(Ended::Stopping) => return Ok(()),
                Ok(Ended::Window) => self.end(files).await,
                Err(Failed::Log(ReadError::Closed)) => return Ok(()),
                Err(Failed::Log(cause @ ReadError::Storage { .. })) => {
                    error!(error = %cause, "log cannot be read");
                    self.give_up(&files);
                    Err(DeliveryError::Staging(io::Error::other(cause)))
                }
                Err(Failed::Log(cause)) => return Err(RunError::Log(cause)),
                Err(Failed::Staging(cause)) => {
                    self.give_up(&files);
                    Err(DeliveryError::Staging(cause))
                }
            };
            match ended {
                Ok(()) => failures = 0,
                Err(error) => {
                    failures = failures.saturating_add(1);
                    error!(%error, failures, "a window of trails failed and is repeated");
                    counter!("towpath_trail_failures_total", "step" => "window").increment(1);
                    let pause = self.shared.settings.pause(failures).min(Duration::from_secs(10));
                    tokio::select! {
                        () = stop.cancelled() => return Ok(()),
                        () = tokio::time::sleep(pause) => {}
                    }
                    if !self.recover(&stop).await {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn begin(&mut self) -> LogFiles {
        self.read = 0;
        LogFiles::begin(self.stagers.clone(), self.shared.settings.clone(), self.next).counting(self.aggregates.clone())
    }

    /// True when the window ends before its time: its files are as many or as large as they may be, or the log would keep
    /// too much for it.
    fn full(&self, files: &LogFiles) -> bool {
        files.full() || self.read >= self.shared.settings.window_bytes
    }

    /// Reads events into files until the window is over.
    async fn fill(
        &mut self,
        files: &mut LogFiles,
        flushes: &mut mpsc::Receiver<oneshot::Sender<()>>,
        stop: &CancellationToken,
    ) -> Result<Ended, Failed> {
        let opened = self.shared.clock.now();
        let end = self.end_of_window(opened);
        if !self.flushing.is_empty() {
            self.catch_up(files).await?;
            return Ok(Ended::Window);
        }
        loop {
            let now = self.shared.clock.now();
            // A clock that was set back must not keep the window open for ever.
            if self.full(files) || now >= end || now < opened {
                return Ok(Ended::Window);
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(Ended::Stopping),
                Some(flush) = flushes.recv() => {
                    self.flushing.push((self.log.committed(), flush));
                    self.catch_up(files).await?;
                    return Ok(Ended::Window);
                }
                next = self.reader.next(READ) => self.take(files, next).await?,
                () = tokio::time::sleep(TICK) => {}
            }
        }
    }

    /// Reads what is in the log now, unless the window becomes full before.
    async fn catch_up(&mut self, files: &mut LogFiles) -> Result<(), Failed> {
        let end = self.log.committed();
        while self.reader.position() < end && !self.full(files) {
            let next = self.reader.next(READ).await;
            self.take(files, next).await?;
        }
        Ok(())
    }

    async fn take(&mut self, files: &mut LogFiles, next: Result<Committed, ReadError>) -> Result<(), Failed> {
        match next {
            Ok(next) => {
                self.read += next.events.iter().map(|event| event.json.len() as u64).sum::<u64>();
                self.add(files, next.events).await
            }
            // What was read before stays in the window.
            Err(ReadError::Released { from, start }) => {
                error!(%from, %start, "the log released events before trails delivered them");
                self.reader = self.log.reader(start);
                Ok(())
            }
            Err(cause) => Err(Failed::Log(cause)),
        }
    }

    async fn add(&mut self, files: &mut LogFiles, events: Vec<towpath_model::Event>) -> Result<(), Failed> {
        if events.iter().all(|event| event.trails.is_empty()) {
            return Ok(());
        }
        let empty = LogFiles::begin(self.stagers.clone(), self.shared.settings.clone(), 0);
        let mut moved = std::mem::replace(files, empty);
        moved.aggregate(self.templates(), self.due());
        let task = move || {
            let added = events.iter().try_for_each(|event| moved.add(event));
            (moved, added)
        };
        let (moved, added) = tokio::task::spawn_blocking(task).await.map_err(|_| Failed::Log(ReadError::Closed))?;
        *files = moved;
        added.map_err(Failed::Staging)
    }

    /// The next multiple of the cadence.
    fn end_of_window(&self, now: Timestamp) -> Timestamp {
        let cadence = i64::try_from(self.shared.settings.cadence_seconds).unwrap_or(i64::MAX);
        let ahead = cadence - now.as_second().rem_euclid(cadence);
        let whole = Timestamp::from_second(now.as_second()).unwrap_or(now);
        whole.checked_add(SignedDuration::from_secs(ahead)).unwrap_or(Timestamp::MAX)
    }

    /// Makes the files of a window durable and moves on.
    async fn end(&mut self, files: LogFiles) -> Result<(), DeliveryError> {
        let now = self.shared.clock.now();
        let (start, end) = (self.progress.position, self.reader.position());
        let caught_up = end == self.log.committed();
        let counting = files.open_aggregates();
        if start != end || !counting.is_empty() {
            // Names of trails that were made or deleted since are needed now.
            self.shared.sync().await?;
        }
        let due = if files.crowded() { Timestamp::MAX } else { self.due() };
        let ended = self.ended(counting.trails());
        if start != end || counting.is_due(due, &ended) {
            let trails = files.trails();
            if let Err(error) = self.commit(files, now, (start, end), (due, ended)).await {
                if let DeliveryError::Staging(cause) = &error {
                    let failed = |status: &mut TrailStatus| status.delivery.failure(now, Some(storage_code(cause)));
                    trails.iter().for_each(|trail| self.shared.note(*trail, failed));
                }
                return Err(error);
            }
            self.hold.move_to(end);
        }
        if caught_up {
            *self.shared.staged_through.lock() = now;
        }
        let (done, waiting) = std::mem::take(&mut self.flushing).into_iter().partition(|(to, _)| *to <= end);
        self.flushing = waiting;
        let done: Vec<(Position, oneshot::Sender<()>)> = done;
        for (_, flush) in done {
            // Whoever asked may have left.
            let _ = flush.send(());
        }
        gauge!("towpath_trail_lag_events").set(self.log.committed().since(end) as f64);
        self.shared.staged.notify_one();
        self.shared.digests.notify_one();
        Ok(())
    }

    async fn commit(
        &mut self,
        mut files: LogFiles,
        now: Timestamp,
        range: (Position, Position),
        over: (Timestamp, HashSet<TrailId>),
    ) -> Result<(), DeliveryError> {
        let folder = self.shared.folder.clone();
        let before = (self.progress.aggregates, std::mem::take(&mut self.aggregates));
        let finish = move || {
            let finished = finish(&mut files, &folder, &over, &before);
            (files.next(), finished, before.1)
        };
        let (next, finished, before) =
            tokio::task::spawn_blocking(finish).await.map_err(|_| DeliveryError::Stopping)?;
        (self.next, self.aggregates) = (next, before);
        let Finished { filled, aggregates, counts } = finished.map_err(DeliveryError::Staging)?;
        let doing = DeliveryError::meta("commit a window of log files");
        let progress = Progress { position: range.1, next: self.next, aggregates: counts };
        let mut writes = vec![Write::json(record::progress_key(), &progress).map_err(&doing)?];
        let (mut events, mut bytes) = (0, 0);
        for filled in &filled {
            let Some(staged) = self.staged(filled, now, range) else { continue };
            let key = record::staged_key(staged.trail, &staged.file);
            writes.push(Write::json(key, &staged).map_err(&doing)?);
            (events, bytes) = (events + filled.facts.events, bytes + filled.facts.bytes);
        }
        let files = writes.len() - 1;
        let version = self.shared.meta.commit(std::slice::from_ref(&self.unchanged), &writes).await.map_err(&doing)?;
        self.unchanged = Expect::Version(record::progress_key(), version);
        self.move_to(progress);
        self.aggregates = aggregates;
        counter!("towpath_trail_events_total").increment(events);
        counter!("towpath_trail_bytes_total").increment(bytes);
        if files > 0 {
            info!(files, events, bytes, from = %range.0, to = %range.1, "log files staged");
        }
        Ok(())
    }

    /// Names a file; none if its trail is gone for good.
    fn staged(&self, filled: &Filled, now: Timestamp, range: (Position, Position)) -> Option<Staged> {
        let group = &filled.group;
        let Some(known) = self.shared.known(group.trail) else {
            warn!(trail = %group.trail, events = filled.facts.events, "events of a deleted trail are not delivered");
            return None;
        };
        let trail = known.trail;
        let positions = match group.folder {
            // What is counted is delivered when its time is over, whether or not anything was read.
            Folder::Aggregated => (filled.number, u64::MAX),
            _ => (range.0.as_u64(), range.1.as_u64()),
        };
        let unique = unique_part(group.trail, positions, group.account, &group.region, group.folder, filled.part);
        let mut facts = filled.facts.clone();
        facts.validated = trail.log_file_validation;
        Some(Staged {
            trail: group.trail,
            account: group.account,
            region: group.region.clone(),
            file: filled.file.clone(),
            key: log_file_key(&KeyPlace::of(&trail, group.account), group.folder, &group.region, now, &unique),
            bucket: trail.bucket,
            staged: now,
            what: What::LogFile(facts),
        })
    }

    /// Forgets a window: its files go, its events are read again.
    fn give_up(&mut self, files: &LogFiles) {
        self.next = files.next();
        self.reader = self.log.reader(self.progress.position);
    }

    /// Finds out how far the last commit got; false when it is time to stop.
    pub(crate) async fn recover(&mut self, stop: &CancellationToken) -> bool {
        loop {
            match self.reload().await {
                Ok(()) => return true,
                Err(error) => error!(%error, "the position of trails cannot be read"),
            }
            tokio::select! {
                () = stop.cancelled() => return false,
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
            }
        }
    }

    async fn reload(&mut self) -> Result<(), MetaError> {
        let key = record::progress_key();
        if let Some(found) = self.shared.meta.get_json::<Progress>(&key).await? {
            self.unchanged = found.unchanged();
            self.move_to(found.value);
            self.hold.move_to(self.progress.position);
            self.aggregates = counts(&self.shared.folder, self.progress.aggregates);
        }
        // What was not committed is named by nobody.
        remove_files(&self.shared.folder, self.progress.next, self.next);
        self.reader = self.log.reader(self.progress.position);
        self.shared.staged.notify_one();
        Ok(())
    }

    /// Stages what is in the log now.
    #[cfg(test)]
    pub(crate) async fn step(&mut self) -> Result<(), DeliveryError> {
        let mut files = self.begin();
        match self.catch_up(&mut files).await {
            Ok(()) => self.end(files).await,
            Err(Failed::Staging(cause)) => Err(DeliveryError::Staging(cause)),
            Err(Failed::Log(cause)) => Err(DeliveryError::Staging(io::Error::other(cause))),
        }
    }
}

enum Failed {
    Log(ReadError),
    Staging(io::Error),
}
