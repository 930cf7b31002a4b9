//! The log files of one window while they are filled.
//!
//! Events are grouped by trail, account, region and folder; each group fills a file of its own, and another when that is
//! full. A busy group fills as many files side by side as there are threads to compress them. The body of a file is one
//! line, `{"Records":[...]}`, with the text of each event as it is.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use jiff::Timestamp;
use towpath_model::{AccountId, Category, Event, EventTime, Region, TrailId};

use crate::aggregate::{Aggregates, Counted, Template};
use crate::object_key::Folder;
use crate::record::LogFileFacts;
use crate::settings::TrailSettings;
use crate::stager::{Block, Stagers, Written, sync_folder};

const OPENING: &[u8] = b"{\"Records\":[";
const CLOSING: &[u8] = b"]}";
// Text that is compressed at a time. Smaller blocks compress worse, larger ones need more memory.
const BLOCK: usize = 256 << 10;
// A group that has filled this much of a file may fill several side by side.
const BUSY: u64 = 4 << 20;
// A disk that takes longer for the blocks that wait is not going to write them.
const PATIENCE: Duration = Duration::from_secs(600);

/// What the events of a file have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Group {
    pub(crate) trail: TrailId,
    pub(crate) account: AccountId,
    pub(crate) region: Region,
    pub(crate) folder: Folder,
}

/// A file of a window that is on disk.
#[derive(Clone, Debug)]
pub(crate) struct Filled {
    pub(crate) group: Group,
    /// Number among the files of its group in this window.
    pub(crate) part: u32,
    /// Number of the file on disk; no other ever had it.
    pub(crate) number: u64,
    /// Name on disk.
    pub(crate) file: String,
    pub(crate) facts: LogFileFacts,
}

/// How a window's data events are aggregated.
#[derive(Default)]
struct Aggregation {
    // The trails that aggregate, and what by.
    templates: HashMap<TrailId, Vec<Template>>,
    // What is counted and not delivered yet.
    open: Aggregates,
    // Five minutes that ended before then are over.
    due: Timestamp,
}

/// The files of a window.
pub(crate) struct LogFiles {
    stagers: Arc<Stagers>,
    settings: Arc<TrailSettings>,
    groups: HashMap<Group, usize>,
    lanes: Vec<Lanes>,
    // The group of the last event; the next is often of the same.
    last: Option<(Group, usize)>,
    // Number of the next file on disk.
    next: u64,
    filled: Vec<Filled>,
    // Text that waits in buffers.
    buffered: usize,
    // Text of all files.
    bytes: u64,
    aggregation: Aggregation,
    answers: (Sender<Written>, Receiver<Written>),
}

struct Lanes {
    group: Group,
    lanes: Vec<Lane>,
    current: usize,
    parts: u32,
    // The thread of the first lane, so that groups spread over threads.
    thread: usize,
}

#[derive(Default)]
struct Lane {
    open: Option<Open>,
}

struct Open {
    number: u64,
    file: String,
    part: u32,
    buffer: Vec<u8>,
    begun: bool,
    facts: LogFileFacts,
}

impl LogFiles {
    /// Begins a window whose first file gets number `next`.
    pub(crate) fn begin(stagers: Arc<Stagers>, settings: Arc<TrailSettings>, next: u64) -> Self {
        Self {
            stagers,
            settings,
            groups: HashMap::new(),
            lanes: Vec::new(),
            last: None,
            next,
            filled: Vec::new(),
            buffered: 0,
            bytes: 0,
            aggregation: Aggregation::default(),
            answers: channel(),
        }
    }

    /// Goes on counting data events where `open` stands.
    #[must_use]
    pub(crate) fn counting(mut self, open: Aggregates) -> Self {
        self.aggregation.open = open;
        self
    }

    /// From now on counts the data events of these trails; five minutes that ended before `due` are over.
    pub(crate) fn aggregate(&mut self, templates: HashMap<TrailId, Vec<Template>>, due: Timestamp) {
        (self.aggregation.templates, self.aggregation.due) = (templates, due);
    }

    /// Takes a number for a file that is no log file.
    pub(crate) fn take_number(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    /// What is counted and not delivered yet.
    pub(crate) fn open_aggregates(&self) -> &Aggregates {
        &self.aggregation.open
    }

    /// Number of the next file.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// The trails that have events in the window.
    pub(crate) fn trails(&self) -> HashSet<TrailId> {
        self.groups.keys().map(|group| group.trail).collect()
    }

    /// True when the window should end.
    pub(crate) fn full(&self) -> bool {
        self.bytes >= self.settings.window_bytes
            || self.filled.len() + self.lanes.len() >= self.settings.window_files
            || self.crowded()
    }

    /// Adds an event to a file of each trail that wants it. Blocks while the threads are busy.
    pub(crate) fn add(&mut self, event: &Event) -> io::Result<()> {
        for trail in &event.trails {
            let folder = Folder::of(event.category);
            let lanes = self.lanes_of(*trail, event.account, &event.region, folder);
            self.add_to(lanes, &event.json, event.time)?;
        }
        if event.category == Category::Data && !self.aggregation.templates.is_empty() {
            self.aggregation.count(event);
        }
        if self.buffered > self.settings.buffer_bytes {
            self.flush()?;
        }
        Ok(())
    }

    /// More is counted than may wait.
    pub(crate) fn crowded(&self) -> bool {
        self.aggregation.open.size() >= self.settings.aggregate_bytes
    }

    /// Adds the records of what was counted and is over before `due`, and of all of the trails in `ended`.
    pub(crate) fn close_aggregates(&mut self, due: Timestamp, ended: &HashSet<TrailId>) -> io::Result<()> {
        for finished in self.aggregation.open.take(due, ended, self.next) {
            let span = &finished.span;
            let lanes = self.lanes_of(span.trail, span.account, &span.region, Folder::Aggregated);
            self.add_to(lanes, &finished.text, span.time())?;
            if self.buffered > self.settings.buffer_bytes {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn lanes_of(&mut self, trail: TrailId, account: AccountId, region: &Region, folder: Folder) -> usize {
        if let Some((last, at)) = &self.last {
            let same = last.trail == trail && last.account == account && last.folder == folder;
            if same && last.region == *region {
                return *at;
            }
        }
        let group = Group { trail, account, region: region.clone(), folder };
        let at = match self.groups.entry(group.clone()) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                let at = self.lanes.len();
                let group = group.clone();
                self.lanes.push(Lanes { group, lanes: vec![Lane::default()], current: 0, parts: 0, thread: at });
                *new.insert(at)
            }
        };
        self.last = Some((group, at));
        at
    }

    fn add_to(&mut self, at: usize, text: &[u8], time: EventTime) -> io::Result<()> {
        // The event, the comma before it and the end of the file.
        let needed = text.len() as u64 + 1 + CLOSING.len() as u64;
        let lanes = &mut self.lanes[at];
        let full = lanes.lanes[lanes.current]
            .open
            .as_ref()
            .is_some_and(|open| open.facts.bytes + needed > self.settings.file_bytes);
        if full {
            self.end_file(at)?;
        }
        let lanes = &mut self.lanes[at];
        let lane = &mut lanes.lanes[lanes.current];
        let open = match &mut lane.open {
            Some(open) => {
                open.buffer.push(b',');
                open.facts.bytes += 1;
                self.buffered += 1;
                open
            }
            closed => {
                let number = self.next;
                let file = format!("l{number:020}");
                (self.next, lanes.parts) = (self.next + 1, lanes.parts + 1);
                self.buffered += OPENING.len();
                closed.insert(Open {
                    number,
                    file,
                    part: lanes.parts - 1,
                    buffer: OPENING.to_vec(),
                    begun: false,
                    facts: LogFileFacts {
                        hash: String::new(),
                        oldest: time,
                        newest: time,
                        events: 0,
                        bytes: OPENING.len() as u64,
                        validated: false,
                    },
                })
            }
        };
        open.buffer.extend_from_slice(text);
        self.buffered += text.len();
        self.bytes += text.len() as u64;
        let facts = &mut open.facts;
        facts.bytes += text.len() as u64;
        facts.events += 1;
        facts.oldest = facts.oldest.min(time);
        facts.newest = facts.newest.max(time);
        if open.buffer.len() >= BLOCK {
            let busy = open.facts.bytes >= BUSY;
            let thread = lanes.thread + lanes.current;
            self.buffered -= send(&self.stagers, thread, open, None)?;
            if busy || lanes.lanes.len() > 1 {
                lanes.current = (lanes.current + 1) % self.stagers.threads();
                if lanes.current == lanes.lanes.len() {
                    lanes.lanes.push(Lane::default());
                }
            }
        }
        Ok(())
    }

    /// Ends the file that a group is filling.
    fn end_file(&mut self, at: usize) -> io::Result<()> {
        let lanes = &mut self.lanes[at];
        let thread = lanes.thread + lanes.current;
        let Some(mut open) = lanes.lanes[lanes.current].open.take() else { return Ok(()) };
        open.buffer.extend_from_slice(CLOSING);
        open.facts.bytes += CLOSING.len() as u64;
        self.buffered += CLOSING.len();
        self.buffered -= send(&self.stagers, thread, &mut open, Some(self.answers.0.clone()))?;
        let group = lanes.group.clone();
        self.filled.push(Filled { group, part: open.part, number: open.number, file: open.file, facts: open.facts });
        Ok(())
    }

    /// Sends what waits in buffers, so that memory stays bounded however many groups there are.
    fn flush(&mut self) -> io::Result<()> {
        for lanes in &mut self.lanes {
            for (number, lane) in lanes.lanes.iter_mut().enumerate() {
                if let Some(open) = lane.open.as_mut().filter(|open| !open.buffer.is_empty()) {
                    self.buffered -= send(&self.stagers, lanes.thread + number, open, None)?;
                }
            }
        }
        Ok(())
    }

    /// Ends every file and waits until all of them are durable in `folder`.
    pub(crate) fn finish(&mut self, folder: &Path) -> io::Result<Vec<Filled>> {
        for at in 0..self.lanes.len() {
            for lane in 0..self.lanes[at].lanes.len() {
                self.lanes[at].current = lane;
                self.end_file(at)?;
            }
        }
        let mut places: HashMap<String, usize> =
            self.filled.iter().enumerate().map(|(at, filled)| (filled.file.clone(), at)).collect();
        let mut failed = None;
        while !places.is_empty() {
            let written = self.answers.1.recv_timeout(PATIENCE);
            let written = written.map_err(|_| io::Error::other("a staging thread does not answer"))?;
            let Some(at) = places.remove(&written.file) else { continue };
            match written.hash {
                Ok(hash) => self.filled[at].facts.hash = hash,
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            Some(error) => Err(error),
            None => {
                sync_folder(folder)?;
                // In an order that does not depend on threads.
                self.filled.sort_by(|a, b| (&a.group, a.part).cmp(&(&b.group, b.part)));
                Ok(std::mem::take(&mut self.filled))
            }
        }
    }
}

impl Aggregation {
    fn count(&mut self, event: &Event) {
        let mut counted = None;
        for trail in &event.trails {
            let Some(templates) = self.templates.get(trail) else { continue };
            // Read once, and only if a trail asks.
            let Some(counted) = counted.get_or_insert_with(|| Counted::of(&event.json)) else { return };
            self.open.count(*trail, templates, event, counted, self.due);
        }
    }
}

/// Hands what a file has gathered to its thread; returns how much that was.
fn send(stagers: &Stagers, thread: usize, open: &mut Open, last: Option<Sender<Written>>) -> io::Result<usize> {
    let text = if last.is_some() {
        std::mem::take(&mut open.buffer)
    } else {
        // A group that filled a block will fill another.
        let room = if open.buffer.len() >= BLOCK { BLOCK + (4 << 10) } else { 0 };
        std::mem::replace(&mut open.buffer, Vec::with_capacity(room))
    };
    let sent = text.len();
    let first = !open.begun;
    open.begun = true;
    stagers.write(thread, Block { file: open.file.clone(), text, first, last })?;
    Ok(sent)
}

/// Name of the file that keeps counts of data events.
pub(crate) fn counts_name(number: u64) -> String {
    format!("c{number:020}")
}

/// Removes the staged files with numbers from `first` up to, but not including, `end`.
pub(crate) fn remove_files(folder: &Path, first: u64, end: u64) {
    for number in first..end {
        // Most often it is there; if it cannot be removed the next start tries again.
        let _ = std::fs::remove_file(folder.join(format!("l{number:020}")));
        let _ = std::fs::remove_file(folder.join(counts_name(number)));
    }
}

/// Times a digest gives for a list of files: the newest and the oldest.
pub(crate) fn time_span<'a>(files: impl Iterator<Item = &'a LogFileFacts>) -> Option<(EventTime, EventTime)> {
    files.fold(None, |span, facts| match span {
        None => Some((facts.newest, facts.oldest)),
        Some((newest, oldest)) => Some((facts.newest.max(newest), facts.oldest.min(oldest))),
    })
}

#[cfg(test)]
mod tests;
