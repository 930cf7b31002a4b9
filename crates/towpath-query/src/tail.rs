//! The events of a store in the order of the log, from a position on: what following a store live is made of.

use std::collections::BTreeMap;
use std::time::Duration;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{TimestampMillisecondType, UInt64Type};
use datafusion::common::Result;
use tokio::time::Instant;
use towpath_lake::{EVENT_TIME, POSITION, StoreSnapshot, record_columns};
use towpath_model::{EventTime, Position, StoreId, StoreKind};

use crate::engine::page_size;
use crate::event_data_store_table::visible;
use crate::file_reader::CountingReaderFactory;
use crate::rows::{OpenFile, column_at, record_at};
use crate::time_range::TimeRange;
use crate::{QueryEngine, QueryError};

/// Longest wait for an event.
pub const MAX_TAIL_WAIT: Duration = Duration::from_secs(20);

/// How soon a store without new events is looked at again at the earliest.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// An event where the log has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TailEvent {
    /// Its position.
    pub position: Position,
    /// The record as received.
    pub event_json: String,
}

/// Events of a store and where to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TailPage {
    /// The events in order of position.
    pub events: Vec<TailEvent>,
    /// What to pass as `after` to get the events that follow; `None` while the log is empty.
    pub next: Option<Position>,
}

impl QueryEngine {
    /// The events of a store after a position (`None`: from the first), at most `max` (1 to 1000, 100 if absent).
    ///
    /// Returns as soon as there is one, or without any when `wait` is over.
    pub async fn tail(
        &self,
        store: StoreId,
        kind: StoreKind,
        after: Option<Position>,
        max: Option<i64>,
        wait: Duration,
    ) -> Result<TailPage, QueryError> {
        let max = page_size(max.or(Some(100)))?;
        let until = Instant::now() + wait.min(MAX_TAIL_WAIT);
        let mut after = after;
        loop {
            let (snapshot, reader) = self.shared.read_store(store, kind).await?;
            let end = snapshot.position;
            let read = self.workers().spawn(async move { after_position(&snapshot, &reader, after, max).await });
            let events = read.await.map_err(|_| QueryError::Stopping)?.map_err(QueryError::Execute)?;
            if let Some(last) = events.last() {
                // A full page may have left events behind; a page that is not full has seen all there are.
                let seen = if events.len() < max { before(end) } else { None };
                return Ok(TailPage { next: seen.max(Some(last.position)), events });
            }
            after = after.max(before(end));
            let now = Instant::now();
            if now >= until {
                return Ok(TailPage { events, next: after });
            }
            // Events of other stores wake this too; the pause bounds how often they do.
            let news = async {
                tokio::time::sleep(LOOK_AGAIN).await;
                self.shared.lake.wait_applied(end.plus(1)).await
            };
            if let Ok(Err(cause)) = tokio::time::timeout(until - now, news).await {
                return Err(QueryError::Lake(cause.into()));
            }
        }
    }
}

/// The position before `end`.
fn before(end: Position) -> Option<Position> {
    end.as_u64().checked_sub(1).map(Position::new)
}

/// Where a row lies.
#[derive(Clone, Copy)]
enum Place {
    Hot { batch: usize, row: usize },
    File { file: usize, row: u64 },
}

/// The rows with the lowest positions after a position.
struct Lowest {
    after: Option<u64>,
    max: usize,
    rows: BTreeMap<u64, Place>,
}

impl Lowest {
    fn offer(&mut self, position: u64, place: Place) {
        if self.after.is_some_and(|after| position <= after) || !self.may_want(position) {
            return;
        }
        self.rows.insert(position, place);
        if self.rows.len() > self.max {
            self.rows.pop_last();
        }
    }

    /// False when no row at or after `position` is among the lowest.
    fn may_want(&self, position: u64) -> bool {
        self.rows.len() < self.max || self.rows.last_key_value().is_none_or(|(last, _)| position < *last)
    }

    /// False when no row between the two is wanted.
    fn may_want_between(&self, low: u64, high: u64) -> bool {
        self.after.is_none_or(|after| high > after) && self.may_want(low)
    }
}

async fn after_position(
    snapshot: &StoreSnapshot,
    reader: &CountingReaderFactory,
    after: Option<Position>,
    max: usize,
) -> Result<Vec<TailEvent>> {
    let mut lowest = Lowest { after: after.map(Position::as_u64), max, rows: BTreeMap::new() };
    let hot = visible(&snapshot.hot, TimeRange::ALL.since(snapshot.cutoff))?;
    for (batch, rows) in hot.iter().enumerate() {
        let positions = column_at(rows, POSITION)?.as_primitive::<UInt64Type>();
        for (row, position) in positions.values().iter().enumerate() {
            lowest.offer(*position, Place::Hot { batch, row });
        }
    }
    let mut files: Vec<_> = snapshot.files.iter().cloned().collect();
    files.retain(|file| snapshot.cutoff.is_none_or(|cutoff| file.times.1 >= cutoff));
    files.sort_by_key(|file| file.positions.0);
    for (file, entry) in files.iter().enumerate() {
        if !lowest.may_want(entry.positions.0.as_u64()) {
            break;
        }
        if !lowest.may_want_between(entry.positions.0.as_u64(), entry.positions.1.as_u64()) {
            continue;
        }
        // Rows that have expired stay in a file as long as it has others.
        let cutoff = snapshot.cutoff.filter(|cutoff| entry.times.0 < *cutoff).map(EventTime::as_millis);
        let paths: &[&str] = if cutoff.is_some() { &[POSITION, EVENT_TIME] } else { &[POSITION] };
        let open = OpenFile::open(reader, entry).await?;
        for group in 0..open.metadata().num_row_groups() {
            // Positions are unsigned; their statistics are those of the same 64 bits.
            if let Some((low, high)) = open.bounds(group, POSITION)
                && !lowest.may_want_between(low as u64, high as u64)
            {
                continue;
            }
            let look = |first: u64, rows: &RecordBatch| {
                let positions = column_at(rows, POSITION)?.as_primitive::<UInt64Type>();
                let times = match cutoff {
                    Some(_) => Some(column_at(rows, EVENT_TIME)?.as_primitive::<TimestampMillisecondType>()),
                    None => None,
                };
                for (row, position) in positions.values().iter().enumerate() {
                    let live = cutoff.zip(times).is_none_or(|(cutoff, times)| times.value(row) >= cutoff);
                    if live {
                        lowest.offer(*position, Place::File { file, row: first + row as u64 });
                    }
                }
                Ok(())
            };
            open.read_group(group, paths, look).await?;
        }
    }
    let mut texts: BTreeMap<u64, String> = BTreeMap::new();
    let mut in_files: BTreeMap<usize, Vec<(u64, u64)>> = BTreeMap::new();
    for (position, place) in &lowest.rows {
        match place {
            Place::Hot { batch, row } => {
                texts.insert(*position, record_at(snapshot.kind, &hot[*batch], *row)?);
            }
            Place::File { file, row } => in_files.entry(*file).or_default().push((*row, *position)),
        }
    }
    for (file, mut rows) in in_files {
        rows.sort_unstable();
        let numbers: Vec<_> = rows.iter().map(|(row, _)| *row).collect();
        let open = OpenFile::open(reader, &files[file]).await?;
        let fetched = open.fetch(&numbers, record_columns(snapshot.kind)).await?;
        for (at, (_, position)) in rows.iter().enumerate() {
            texts.insert(*position, record_at(snapshot.kind, &fetched, at)?);
        }
    }
    Ok(texts
        .into_iter()
        .map(|(position, event_json)| TailEvent { position: Position::new(position), event_json })
        .collect())
}
