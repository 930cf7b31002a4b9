//! A log on a simulated disk, and the ledger of what its callers were told.

use std::collections::{BTreeMap, HashMap};

use futures::future::join_all;
use towpath_model::{Event, EventKey, Position};
use towpath_testkit::TestEvent;

use crate::sim::SimDisk;
use crate::{AppendError, Committed, Log, LogSettings, OpenError, Positions};

/// Small segments and no pauses, so that a few events exercise everything.
pub(crate) fn small() -> LogSettings {
    LogSettings { segment_bytes: 4 << 10, ring_bytes: 8 << 10, retry_pause_ms: 0, ..LogSettings::default() }
}

pub(crate) fn open(disk: &SimDisk) -> Result<Log, OpenError> {
    Log::builder(disk.process()).settings(small()).open()
}

pub(crate) fn events(count: usize) -> Vec<Event> {
    (0..count).map(|_| TestEvent::management("CreateUser").to_history().build()).collect()
}

/// Appends all batches as one group.
pub(crate) async fn append_group(log: &Log, batches: Vec<Vec<Event>>) -> Vec<Result<Positions, AppendError>> {
    log.hold(true);
    let appends = join_all(batches.into_iter().map(|batch| log.append(batch)));
    // The appends are polled first and so are in the queue when the writer is let go.
    tokio::join!(appends, async { log.hold(false) }).0
}

/// Reads everything that is committed.
pub(crate) async fn read_all(log: &Log) -> Vec<(Position, Event)> {
    let mut found = Vec::new();
    let mut reader = log.reader(log.start());
    while reader.position() < log.committed() {
        let due = reader.position();
        let Committed { first, events } = reader.next(2_000).await.expect("what is committed can be read");
        assert_eq!(first, due, "positions follow each other");
        found.extend(events.into_iter().enumerate().map(|(at, event)| (first.plus(at as u64), event)));
    }
    found
}

/// What callers and readers were told, and what the log must therefore hold.
#[derive(Default)]
pub(crate) struct Ledger {
    // Acknowledged, or seen by a reader: must be there.
    promised: BTreeMap<Position, Event>,
    // Every append that was ever tried.
    appends: Vec<(Vec<Event>, Outcome)>,
    released: Position,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Acknowledged,
    Refused,
    Unknown,
}

impl Ledger {
    /// Notes the answer to an append.
    pub(crate) fn note(&mut self, events: Vec<Event>, answer: &Result<Positions, AppendError>) {
        let outcome = match answer {
            Ok(positions) => {
                assert_eq!(positions.end.since(positions.first), events.len() as u64);
                for (at, event) in events.iter().enumerate() {
                    let known = self.promised.insert(positions.first.plus(at as u64), event.clone());
                    assert!(known.is_none_or(|known| known == *event), "a position is given once");
                }
                Outcome::Acknowledged
            }
            Err(AppendError::Uncertain(_)) => Outcome::Unknown,
            Err(_) => Outcome::Refused,
        };
        self.appends.push((events, outcome));
    }

    /// Notes that everything before a position may be gone.
    pub(crate) fn note_release(&mut self, before: Position) {
        self.released = self.released.max(before);
    }

    pub(crate) fn acknowledged(&self) -> usize {
        self.appends.iter().filter(|(_, outcome)| *outcome == Outcome::Acknowledged).count()
    }

    pub(crate) fn refused(&self) -> usize {
        self.appends.iter().filter(|(_, outcome)| *outcome == Outcome::Refused).count()
    }

    /// Appends batches as one group and notes the answers.
    pub(crate) async fn append(&mut self, log: &Log, batches: Vec<Vec<Event>>) {
        let answers = append_group(log, batches.clone()).await;
        for (batch, answer) in batches.into_iter().zip(&answers) {
            self.note(batch, answer);
        }
    }

    /// Reads the whole log and compares it with every promise; what it reads becomes a promise.
    pub(crate) async fn check(&mut self, log: &Log) {
        let found = read_all(log).await;
        assert!(log.start() <= self.released, "only what was released is gone");
        let mut keys: HashMap<EventKey, Position> = HashMap::new();
        for (position, event) in &found {
            assert_eq!(keys.insert(event.key, *position), None, "an event is in the log once");
        }
        for (position, event) in self.promised.range(log.start()..) {
            let index = position.since(log.start()) as usize;
            assert_eq!(found.get(index), Some(&(*position, event.clone())), "a promised event is at its position");
        }
        for (events, outcome) in &self.appends {
            let there = events.iter().filter(|event| keys.contains_key(&event.key)).count();
            match outcome {
                Outcome::Refused => assert_eq!(there, 0, "a refused event is absent"),
                Outcome::Unknown => {
                    assert!(there == 0 || there == events.len(), "an append is there whole or not at all")
                }
                Outcome::Acknowledged => {}
            }
        }
        self.promised.extend(found);
    }
}
