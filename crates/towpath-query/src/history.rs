//! Event history: the events of an account and region, newest first, by at most one attribute.
//!
//! A look-up wants fifty rows out of millions. It goes through the newest files first, reads of each row group only the
//! columns that decide (time, position, region, the attribute), and stops when nothing older can be among the fifty.
//! The wide columns are then read for the chosen rows alone.

mod request;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{TimestampMillisecondType, UInt64Type};
use datafusion::common::{Result, exec_datafusion_err};
use jiff::Timestamp;
use towpath_lake::{
    EVENT_TIME, LOOKUP_RESOURCE_NAMES, LOOKUP_RESOURCE_TYPES, LOOKUP_USERNAME, Located, POSITION, StoreSnapshot,
    record_columns,
};
use towpath_model::{EventKey, EventTime, StoreId, StoreKind};

use crate::condition::Condition;
use crate::file_reader::CountingReaderFactory;
use crate::rows::{OpenFile, column_at, record_at, text_at};
use crate::value_filters::Candidate;
use crate::{QueryEngine, QueryError, Scope};

pub use request::{LookupEvent, LookupKey, LookupPage, LookupRequest, LookupResource};

/// Most events of a page, and how many there are if nobody asks.
pub const MAX_LOOKUP_RESULTS: usize = 50;

/// Days that event history reaches back.
const HISTORY_DAYS: i64 = 90;

impl QueryEngine {
    /// Looks up events of an account and region, newest first.
    pub async fn lookup_events(&self, scope: &Scope, request: &LookupRequest) -> Result<LookupPage, QueryError> {
        let max = match request.max_results {
            None => MAX_LOOKUP_RESULTS,
            Some(asked) => usize::try_from(asked)
                .ok()
                .filter(|max| (1..=MAX_LOOKUP_RESULTS).contains(max))
                .ok_or(QueryError::InvalidMaxResults { asked, most: MAX_LOOKUP_RESULTS })?,
        };
        if request.start_time.zip(request.end_time).is_some_and(|(start, end)| start > end) {
            return Err(QueryError::InvalidTimeRange);
        }
        let shared = &self.shared;
        let bound = format!(
            "{} {} {:?} {:?} {:?} {max}",
            scope.account, scope.region, request.attribute, request.start_time, request.end_time
        );
        let parameters: [&[u8]; 2] = [b"lookup", bound.as_bytes()];
        let before = match &request.next_token {
            Some(token) => {
                let bytes = shared.tokens.open_token(&parameters, token);
                let rank = bytes.ok().and_then(|bytes| Rank::from_bytes(&bytes));
                Some(rank.ok_or(QueryError::InvalidNextToken)?)
            }
            None => None,
        };
        let oldest = shared.clock.now().as_millisecond() - HISTORY_DAYS * 86_400_000;
        let wanted = Wanted {
            region: scope.region.as_str().to_owned(),
            attribute: request.attribute.clone(),
            from: request.start_time.map_or(oldest, crate::engine::ceil_millis).max(oldest),
            to: request.end_time.map_or(i64::MAX, Timestamp::as_millisecond),
            before,
        };
        let store = StoreId::history_of(scope.account);
        let (snapshot, reader) = shared.read_store(store, StoreKind::History).await?;
        let located = match &request.attribute {
            Some((LookupKey::EventId, id)) => match EventKey::of_event_id(id) {
                Some(key) => {
                    let located = shared.lake.find(store, key).await;
                    Some(located.map_err(|cause| QueryError::Lake(cause.into()))?)
                }
                // Several events may have it, and the index does not know them by it.
                None => None,
            },
            _ => None,
        };
        // One more than asked for tells whether another page follows.
        let search = async move { newest(&snapshot, &reader, wanted, located, max + 1).await };
        let found = self.workers().spawn(search).await.map_err(|_| QueryError::Stopping)?;
        let mut found = found.map_err(QueryError::Execute)?;
        let more = found.len() > max;
        found.truncate(max);
        let last = found.last().filter(|_| more).map(|(rank, _)| rank.to_bytes());
        Ok(LookupPage {
            next_token: last.map(|position| shared.tokens.seal(&parameters, &position)),
            events: found.into_iter().map(|(_, event)| event).collect(),
        })
    }
}

/// The order of event history: time, then position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    time: i64,
    position: u64,
}

impl Rank {
    fn to_bytes(self) -> Vec<u8> {
        [self.time.to_be_bytes(), self.position.to_be_bytes()].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (time, position) = bytes.split_first_chunk()?;
        Some(Self { time: i64::from_be_bytes(*time), position: u64::from_be_bytes(position.try_into().ok()?) })
    }
}

/// Which rows are looked for.
struct Wanted {
    region: String,
    attribute: Option<(LookupKey, String)>,
    from: i64,
    to: i64,
    before: Option<Rank>,
}

impl Wanted {
    /// The latest time that a wanted row can have.
    fn latest(&self) -> i64 {
        self.before.map_or(self.to, |before| before.time.min(self.to))
    }

    /// False when no row of the file is wanted.
    fn may_be_in(&self, file: &towpath_lake::DataFile) -> bool {
        let (first, last) = (file.times.0.as_millis(), file.times.1.as_millis());
        last >= self.from
            && first <= self.latest()
            && file.may_match("awsregion", &[&self.region])
            && self.attribute.as_ref().is_none_or(|(key, value)| file.may_match(key.path(), &[value]))
    }

    /// The columns that decide.
    fn paths(&self) -> Vec<&'static str> {
        let mut paths = vec![EVENT_TIME, POSITION, "awsregion"];
        paths.extend(self.attribute.as_ref().map(|(key, _)| key.path()));
        paths
    }

    /// What statistics and bloom filters of row groups can be asked.
    fn condition(&self) -> Condition {
        match &self.attribute {
            Some((key, value)) => Condition::OneOf { path: key.path().to_owned(), values: vec![value.clone()] },
            None => Condition::Unknown,
        }
    }

    /// Hands on the rows that are wanted.
    fn choose(&self, batch: &RecordBatch, mut each: impl FnMut(Rank, usize)) -> Result<()> {
        let times = column_at(batch, EVENT_TIME)?.as_primitive::<TimestampMillisecondType>();
        let positions = column_at(batch, POSITION)?.as_primitive::<UInt64Type>();
        let regions = column_at(batch, "awsregion")?;
        let attribute = match &self.attribute {
            Some((key, value)) => Some((*key, column_at(batch, key.path())?, value.as_str())),
            None => None,
        };
        for row in 0..batch.num_rows() {
            let rank = Rank { time: times.value(row), position: positions.value(row) };
            let in_range = rank.time >= self.from
                && rank.time <= self.to
                && self.before.is_none_or(|before| rank < before)
                && text_at(regions.as_ref(), row) == Some(&self.region);
            if in_range && attribute.is_none_or(|(key, column, value)| has(key, column.as_ref(), row, value)) {
                each(rank, row);
            }
        }
        Ok(())
    }
}

fn has(key: LookupKey, column: &dyn Array, row: usize, value: &str) -> bool {
    match key {
        LookupKey::ReadOnly => {
            let flags = column.as_boolean_opt();
            flags.is_some_and(|flags| flags.is_valid(row) && (if flags.value(row) { "true" } else { "false" }) == value)
        }
        LookupKey::ResourceName | LookupKey::ResourceType => {
            let Some(lists) = column.as_list_opt::<i32>().filter(|lists| lists.is_valid(row)) else { return false };
            let items = lists.value(row);
            (0..items.len()).any(|at| text_at(items.as_ref(), at) == Some(value))
        }
        _ => text_at(column, row) == Some(value),
    }
}

/// Where a row lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Hot { batch: usize, row: usize },
    File { file: usize, row: u64 },
}

/// The newest rows found so far.
struct Newest {
    max: usize,
    rows: BTreeSet<(Reverse<Rank>, Place)>,
}

impl Newest {
    fn offer(&mut self, rank: Rank, place: Place) {
        self.rows.insert((Reverse(rank), place));
        if self.rows.len() > self.max {
            self.rows.pop_last();
        }
    }

    /// False when no row that occurred at `time` or before is among the newest.
    fn may_want(&self, time: i64) -> bool {
        self.rows.len() < self.max || self.rows.last().is_none_or(|(last, _)| last.0.time <= time)
    }
}

async fn newest(
    snapshot: &StoreSnapshot,
    reader: &Arc<CountingReaderFactory>,
    mut wanted: Wanted,
    located: Option<Option<Located>>,
    max: usize,
) -> Result<Vec<(Rank, LookupEvent)>> {
    if let Some(cutoff) = snapshot.cutoff {
        wanted.from = wanted.from.max(cutoff.as_millis());
    }
    let mut newest = Newest { max, rows: BTreeSet::new() };
    for (batch, rows) in snapshot.hot.iter().enumerate() {
        wanted.choose(rows, |rank, row| newest.offer(rank, Place::Hot { batch, row }))?;
    }
    let mut files: Vec<_> = snapshot.files.iter().filter(|file| wanted.may_be_in(file)).cloned().collect();
    match &located {
        None => {}
        Some(None) => files.clear(),
        Some(Some(located)) if located.files.is_empty() => files.clear(),
        // When it occurred has not changed, even if another file has it now.
        Some(Some(located)) => files.retain(|file| file.may_overlap(located.time, located.time)),
    }
    files.sort_by_key(|file| Reverse(file.times.1));
    let paths = wanted.paths();
    let condition = wanted.condition();
    for (file, entry) in files.iter().enumerate() {
        if !newest.may_want(entry.times.1.as_millis()) {
            break;
        }
        let Some(Candidate { groups: plan, .. }) = reader.candidates(vec![entry.clone()], &condition).await?.pop()
        else {
            continue;
        };
        let open = OpenFile::open(reader, entry).await?;
        let mut groups: Vec<_> = (0..open.metadata().num_row_groups())
            .filter(|group| plan.as_ref().is_none_or(|plan| plan.should_scan(*group)))
            .map(|group| (group, open.bounds(group, EVENT_TIME).unwrap_or((i64::MIN, i64::MAX))))
            .filter(|(_, (first, last))| *last >= wanted.from && *first <= wanted.latest())
            .collect();
        groups.sort_by_key(|(_, (_, last))| Reverse(*last));
        for (group, (_, last)) in groups {
            if !newest.may_want(last) {
                break;
            }
            let look = |first: u64, rows: &RecordBatch| {
                wanted.choose(rows, |rank, row| newest.offer(rank, Place::File { file, row: first + row as u64 }))
            };
            open.read_group(group, &paths, look).await?;
        }
    }
    let mut events = BTreeMap::new();
    let mut in_files: BTreeMap<usize, Vec<(u64, Rank)>> = BTreeMap::new();
    for (Reverse(rank), place) in &newest.rows {
        match place {
            Place::Hot { batch, row } => {
                events.insert(Reverse(*rank), event_of(&snapshot.hot[*batch], *row)?);
            }
            Place::File { file, row } => in_files.entry(*file).or_default().push((*row, *rank)),
        }
    }
    for (file, mut rows) in in_files {
        rows.sort_unstable();
        let numbers: Vec<_> = rows.iter().map(|(row, _)| *row).collect();
        let fetched = OpenFile::open(reader, &files[file]).await?.fetch(&numbers, &event_columns()).await?;
        for (at, (_, rank)) in rows.iter().enumerate() {
            events.insert(Reverse(*rank), event_of(&fetched, at)?);
        }
    }
    Ok(events.into_iter().map(|(Reverse(rank), event)| (rank, event)).collect())
}

/// The columns that an event is made of.
fn event_columns() -> Vec<&'static str> {
    let mut columns = vec![
        "eventid",
        "eventname",
        "readonly",
        "useridentity.accesskeyid",
        EVENT_TIME,
        "eventsource",
        LOOKUP_USERNAME,
        LOOKUP_RESOURCE_NAMES,
        LOOKUP_RESOURCE_TYPES,
    ];
    columns.extend(record_columns(StoreKind::History));
    columns
}

fn event_of(batch: &RecordBatch, row: usize) -> Result<LookupEvent> {
    let text = |path: &str| -> Result<Option<String>> {
        Ok(text_at(column_at(batch, path)?.as_ref(), row).map(str::to_owned))
    };
    let time = column_at(batch, EVENT_TIME)?.as_primitive::<TimestampMillisecondType>().value(row);
    let read_only = column_at(batch, "readonly")?.as_boolean_opt().filter(|flags| flags.is_valid(row));
    Ok(LookupEvent {
        event_id: text("eventid")?,
        event_name: text("eventname")?,
        read_only: read_only.map(|flags| flags.value(row)),
        access_key_id: text("useridentity.accesskeyid")?,
        event_time: EventTime::from_millis(time).map_err(|_| exec_datafusion_err!("{time} is no time of an event"))?,
        event_source: text("eventsource")?,
        username: text(LOOKUP_USERNAME)?,
        resources: resources_of(batch, row)?,
        cloudtrail_event: record_at(StoreKind::History, batch, row)?,
    })
}

fn resources_of(batch: &RecordBatch, row: usize) -> Result<Vec<LookupResource>> {
    let items = |path: &str| -> Result<Vec<Option<String>>> {
        let Some(lists) = column_at(batch, path)?.as_list_opt::<i32>().filter(|lists| lists.is_valid(row)) else {
            return Ok(Vec::new());
        };
        let items = lists.value(row);
        Ok((0..items.len()).map(|at| text_at(items.as_ref(), at).map(str::to_owned)).collect())
    };
    let mut types = items(LOOKUP_RESOURCE_TYPES)?.into_iter();
    let names = items(LOOKUP_RESOURCE_NAMES)?;
    let resources = names.into_iter().map(|name| (name, types.next().flatten()));
    Ok(resources
        .filter_map(|(name, resource_type)| Some(LookupResource { resource_type, resource_name: name? }))
        .collect())
}
