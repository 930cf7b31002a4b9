//! One Parquet file of a store, as the manifest describes it.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use towpath_model::{EventTime, Position, StoreId, StoreKind};

use crate::stats::ColumnStats;

/// A committed Parquet file: rows of one store that occurred on one UTC day, sorted by `eventtime`, then `_position`.
///
/// A file never changes. It stays in storage for as long as an `Arc` to its entry is held, even after the lake has
/// replaced or expired it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataFile {
    /// The file's own id.
    pub id: Uuid,
    /// The store its rows belong to.
    pub store: StoreId,
    /// The store's kind; names the [schema](crate::file_schema).
    pub kind: StoreKind,
    /// Days since 1970-01-01 of every row's `eventtime`.
    pub day: i32,
    /// Bytes of the file.
    pub size: u64,
    /// Number of rows.
    pub rows: u64,
    /// Bytes of all records' text.
    pub raw_bytes: u64,
    /// The smallest and the greatest position of its rows.
    pub positions: (Position, Position),
    /// The earliest and the latest `eventtime` of its rows.
    pub times: (EventTime, EventTime),
    /// Of files that several stores have, byte for byte the same: the id of one of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Uuid>,
    /// How often its rows were rewritten to last: 0 for a file from the hot tail, and for one that was joined in haste.
    pub level: u8,
    /// When it was written.
    pub created: Timestamp,
    /// Statistics of text columns, by path: `eventname`, `useridentity.arn`.
    pub columns: BTreeMap<String, ColumnStats>,
    /// Where the file has Parquet bloom filters, by path as in `columns`: one place for each row group.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub filters: BTreeMap<String, Vec<FilterPlace>>,
}

/// Where in a file a filter lies: offset and bytes. No bytes: the row group has none, and nothing is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilterPlace(pub u64, pub u32);

impl DataFile {
    /// Where the file lies in the lake's object store: `<store>/<yyyy-mm-dd>/<id>.parquet`.
    pub fn path(&self) -> Path {
        Path::from(format!("{}/{}/{}.parquet", self.store, DayText(self.day), self.id))
    }

    /// What files that are byte for byte the same have in common.
    pub(crate) fn content(&self) -> Uuid {
        self.content.unwrap_or(self.id)
    }

    /// The entries of the same file for several stores, that of the first one's own among them.
    pub(crate) fn shared_with(mut self, others: impl IntoIterator<Item = StoreId>) -> Vec<Self> {
        let mut others = others.into_iter().peekable();
        self.content = others.peek().is_some().then_some(self.id);
        let mut files = vec![self];
        for store in others {
            files.push(Self { id: Uuid::new_v4(), store, ..files[0].clone() });
        }
        files
    }

    /// False when no row has one of `values` in the text column at `path` (`useridentity.accesskeyid`; for a list of
    /// texts: among its items). True when that is not known.
    pub fn may_match(&self, path: &str, values: &[&str]) -> bool {
        self.columns.get(path).is_none_or(|stats| values.iter().any(|value| stats.may_contain(value)))
    }

    /// False when every row has a value in the text column at `path`. True when that is not known.
    pub fn may_be_null(&self, path: &str) -> bool {
        self.columns.get(path).is_none_or(|stats| stats.nulls > 0)
    }

    /// False when no row occurred between `from` and `to`, both included.
    pub fn may_overlap(&self, from: EventTime, to: EventTime) -> bool {
        self.times.0 <= to && from <= self.times.1
    }
}

/// A day as `yyyy-mm-dd`.
pub(crate) struct DayText(pub i32);

impl fmt::Display for DayText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = jiff::Span::new().days(self.0);
        match Date::constant(1970, 1, 1).checked_add(span) {
            Ok(date) => date.fmt(f),
            // An EventTime lies within the years 1 to 9999, so its day is a date.
            Err(_) => write!(f, "day{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_a_date() {
        assert_eq!(DayText(0).to_string(), "1970-01-01");
        assert_eq!(DayText(-1).to_string(), "1969-12-31");
        assert_eq!(DayText(18_836).to_string(), "2021-07-28");
    }
}
