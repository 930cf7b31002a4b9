//! Aggregated events: data events counted per five minutes (record.md, section 11).
//!
//! A trail that PutEventConfiguration asked to aggregate counts the data events that it delivers. What is counted is
//! open until its five minutes are over by `aggregation_seconds`; then it becomes records in the folder
//! `CloudTrail-Aggregated`. Until then the counts lie in a file that the record of the position names: they and the
//! position move in one commit, so that each event counts once whatever crashes.
//!
//! Counts are never taken back: what comes later is counted in a further record of the same five minutes, marked with
//! the addendum `DELIVERY_DELAY`. The sum over the records is the number of events.

mod counted;
mod record;

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use towpath_model::{AccountId, Event, EventTime, Region, TrailId};

pub(crate) use counted::Counted;

/// Length of a window of time, in seconds.
const WINDOW: i64 = 300;
/// Names that are counted for one dimension of a record; events with further names count for the record alone.
const NAMES: usize = 1_000;
/// Longest name that is told apart, in bytes.
const MAX_NAME: usize = 2_048;
/// What one counted name takes in memory beside its text, in bytes, by estimate.
const OVERHEAD: usize = 96;

/// What a trail counts by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum Template {
    /// Events by name.
    ApiActivity,
    /// Events by the resource they touch.
    ResourceAccess,
    /// Events by who made them.
    UserActions,
}

/// What can be told of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum Dimension {
    EventName,
    ResourceArn,
    UserIdentity,
    UserAgent,
    SourceIpAddress,
    ErrorCodes,
}

impl Template {
    /// The template that the API calls so.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "API_ACTIVITY" => Some(Self::ApiActivity),
            "RESOURCE_ACCESS" => Some(Self::ResourceAccess),
            "USER_ACTIONS" => Some(Self::UserActions),
            _ => None,
        }
    }

    const fn primary(self) -> Dimension {
        match self {
            Self::ApiActivity => Dimension::EventName,
            Self::ResourceAccess => Dimension::ResourceArn,
            Self::UserActions => Dimension::UserIdentity,
        }
    }
}

impl Dimension {
    const ALL: [Self; 6] = [
        Self::EventName,
        Self::ResourceArn,
        Self::UserIdentity,
        Self::UserAgent,
        Self::SourceIpAddress,
        Self::ErrorCodes,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::EventName => "eventName",
            Self::ResourceArn => "resourceARN",
            Self::UserIdentity => "userIdentity",
            Self::UserAgent => "userAgent",
            Self::SourceIpAddress => "sourceIpAddress",
            Self::ErrorCodes => "errorCodes",
        }
    }
}

/// What the records of one file have in common, and their five minutes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Span {
    pub(crate) trail: TrailId,
    pub(crate) account: AccountId,
    pub(crate) region: Region,
    /// Beginning of the five minutes, in seconds since 1970.
    start: i64,
}

/// What one record counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Row {
    source: String,
    template: Template,
    /// The value of the template's primary dimension.
    primary: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Counts {
    events: u64,
    #[serde(with = "pairs")]
    names: BTreeMap<Dimension, HashMap<String, u64>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Table {
    /// The five minutes were over when the first event came.
    late: bool,
    #[serde(with = "pairs")]
    rows: BTreeMap<Row, Counts>,
}

/// Counts that are not delivered yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Aggregates {
    #[serde(with = "pairs")]
    open: BTreeMap<Span, Table>,
    /// Bytes of memory, by estimate.
    size: usize,
}

/// A record that is to be delivered.
pub(crate) struct Finished {
    pub(crate) span: Span,
    pub(crate) text: Vec<u8>,
}

impl Span {
    /// The beginning of the five minutes; an event's time, since it lies before one.
    pub(crate) fn time(&self) -> EventTime {
        EventTime::from_millis(self.start.saturating_mul(1_000)).unwrap_or(EventTime::from(Timestamp::UNIX_EPOCH))
    }

    const fn end(&self) -> i64 {
        self.start + WINDOW
    }

    fn is_over(&self, due: Timestamp, ended: &HashSet<TrailId>) -> bool {
        self.end() <= due.as_second() || ended.contains(&self.trail)
    }
}

impl Aggregates {
    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Bytes of memory, by estimate.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// True when [`take`](Self::take) would find something.
    pub(crate) fn is_due(&self, due: Timestamp, ended: &HashSet<TrailId>) -> bool {
        self.open.keys().any(|span| span.is_over(due, ended))
    }

    /// The trails that something is open of.
    pub(crate) fn trails(&self) -> HashSet<TrailId> {
        self.open.keys().map(|span| span.trail).collect()
    }

    /// Counts an event of a trail by `templates`. Its five minutes are late if they were over before `due`.
    pub(crate) fn count(
        &mut self,
        trail: TrailId,
        templates: &[Template],
        event: &Event,
        counted: &Counted<'_>,
        due: Timestamp,
    ) {
        let second = event.time.as_millis().div_euclid(1_000);
        let start = second - second.rem_euclid(WINDOW);
        let span = Span { trail, account: event.account, region: event.region.clone(), start };
        let late = span.end() <= due.as_second();
        let table = self.open.entry(span).or_insert_with(|| Table { late, rows: BTreeMap::new() });
        for template in templates {
            for primary in counted.names(template.primary()) {
                let row = Row {
                    source: counted.source().to_owned(),
                    template: *template,
                    primary: shortened(primary).to_owned(),
                };
                let length = row.source.len() + row.primary.len();
                let counts = table.rows.entry(row).or_insert_with(|| {
                    self.size += OVERHEAD + length;
                    Counts::default()
                });
                counts.events += 1;
                for dimension in Dimension::ALL.into_iter().filter(|dimension| *dimension != template.primary()) {
                    for name in counted.names(dimension) {
                        self.size += counts.count(dimension, shortened(name));
                    }
                }
            }
        }
    }

    /// Takes out what is over before `due`, and everything of the trails in `ended`, as records. `seed` makes their ids.
    pub(crate) fn take(&mut self, due: Timestamp, ended: &HashSet<TrailId>, seed: u64) -> Vec<Finished> {
        let all = std::mem::take(&mut self.open).into_iter();
        let (taken, open): (BTreeMap<_, _>, _) = all.partition(|(span, _)| span.is_over(due, ended));
        self.open = open;
        if !taken.is_empty() {
            self.size = self.open.values().map(Table::size).sum();
        }
        let mut finished = Vec::new();
        for (span, table) in taken {
            for (row, counts) in &table.rows {
                finished
                    .push(Finished { text: record::text(&span, row, counts, table.late, seed), span: span.clone() });
            }
        }
        finished
    }
}

impl Table {
    fn size(&self) -> usize {
        let rows =
            self.rows.iter().map(|(row, counts)| OVERHEAD + row.source.len() + row.primary.len() + counts.size());
        rows.sum()
    }
}

impl Counts {
    /// Counts a name; returns the memory that took.
    fn count(&mut self, dimension: Dimension, name: &str) -> usize {
        let names = self.names.entry(dimension).or_default();
        if let Some(count) = names.get_mut(name) {
            *count += 1;
            return 0;
        }
        if names.len() >= NAMES {
            return 0;
        }
        names.insert(name.to_owned(), 1);
        OVERHEAD + name.len()
    }

    fn size(&self) -> usize {
        self.names.values().flat_map(HashMap::keys).map(|name| OVERHEAD + name.len()).sum()
    }
}

fn shortened(name: &str) -> &str {
    &name[..name.floor_char_boundary(MAX_NAME)]
}

/// Maps whose keys are no texts, as lists of pairs.
mod pairs {
    use serde::de::{Deserialize, DeserializeOwned, Deserializer};
    use serde::ser::{Serialize, Serializer};

    pub(super) fn serialize<'a, S, M, K, V>(map: &'a M, serializer: S) -> Result<S::Ok, S::Error>
    where
        S: Serializer,
        &'a M: IntoIterator<Item = (&'a K, &'a V)>,
        K: Serialize + 'a,
        V: Serialize + 'a,
    {
        serializer.collect_seq(map)
    }

    pub(super) fn deserialize<'de, D, M, K, V>(deserializer: D) -> Result<M, D::Error>
    where
        D: Deserializer<'de>,
        M: FromIterator<(K, V)>,
        K: DeserializeOwned,
        V: DeserializeOwned,
    {
        Ok(Vec::<(K, V)>::deserialize(deserializer)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests;
