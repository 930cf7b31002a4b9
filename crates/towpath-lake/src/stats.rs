//! What a file's manifest entry says about its columns, so that most files can be ruled out without opening them.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::DataType;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use towpath_model::StoreKind;

/// Most distinct values of a column listed one by one.
pub const MAX_VALUES: usize = 64;
/// Most bytes of listed values of one column; a manifest of tens of thousands of files stays in memory.
const MAX_VALUE_BYTES: usize = 1024;
/// Longest minimum or maximum kept.
const MAX_BOUND_BYTES: usize = 128;

/// What is known of one text column of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnStats {
    /// Rows where the column is NULL; for a list, rows with no item.
    #[serde(rename = "n", default)]
    pub nulls: u64,
    /// No value is smaller. `None` with no value at all, too.
    #[serde(rename = "lo", default, skip_serializing_if = "Option::is_none")]
    pub min: Option<String>,
    /// No value is greater. `None` if there is no value, or the greatest is too long to keep.
    #[serde(rename = "hi", default, skip_serializing_if = "Option::is_none")]
    pub max: Option<String>,
    /// Every value that occurs, sorted, where these are few.
    #[serde(rename = "v", default, skip_serializing_if = "Option::is_none")]
    pub values: Option<SortedTexts>,
}

impl ColumnStats {
    /// False when no row can have this value.
    pub fn may_contain(&self, value: &str) -> bool {
        if let Some(values) = &self.values {
            return values.contains(value);
        }
        self.min.as_deref().is_none_or(|min| min <= value) && self.max.as_deref().is_none_or(|max| value <= max)
    }
}

/// Sorted texts in two pieces of memory. While events come in for many days there are thousands of files with hundreds of
/// values each, and a text of its own for each value would take several times as much.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SortedTexts {
    texts: Box<str>,
    // Where each text ends.
    ends: Box<[u32]>,
}

impl SortedTexts {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The texts in their order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|at| self.at(at))
    }

    /// True if this text is one of them.
    pub fn contains(&self, text: &str) -> bool {
        let (mut from, mut to) = (0, self.len());
        while from < to {
            let middle = from + (to - from) / 2;
            match self.at(middle).cmp(text) {
                Ordering::Equal => return true,
                Ordering::Less => from = middle + 1,
                Ordering::Greater => to = middle,
            }
        }
        false
    }

    fn at(&self, at: usize) -> &str {
        let from = at.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        &self.texts[from..self.ends[at] as usize]
    }
}

impl<T: AsRef<str>> FromIterator<T> for SortedTexts {
    fn from_iter<I: IntoIterator<Item = T>>(sorted: I) -> Self {
        let (mut texts, mut ends) = (String::new(), Vec::new());
        for text in sorted {
            texts.push_str(text.as_ref());
            ends.push(u32::try_from(texts.len()).expect("listed values are short and few"));
        }
        Self { texts: texts.into(), ends: ends.into() }
    }
}

impl fmt::Debug for SortedTexts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl Serialize for SortedTexts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for SortedTexts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        if texts.iter().map(String::len).sum::<usize>() > u32::MAX as usize {
            return Err(D::Error::custom("too many values"));
        }
        Ok(texts.into_iter().collect())
    }
}

/// The columns of a kind that have statistics, as paths with `.` between names.
pub fn stats_columns(kind: StoreKind) -> &'static [&'static str] {
    match kind {
        StoreKind::CloudTrail => CLOUD_TRAIL,
        StoreKind::History => HISTORY,
        StoreKind::Insight => &["insighteventsource", "insighteventname", "insighttype", "insighterrorcode"],
        StoreKind::ConfigurationItem => &["eventdata.resourcetype", "eventdata.resourceid", "eventdata.arn"],
        StoreKind::Evidence => &["eventdata.controlname", "eventdata.assessmentid", "eventdata.eventname"],
        StoreKind::Activity => &[
            "eventdata.eventname",
            "eventdata.eventsource",
            "eventdata.useridentity.principalid",
            "eventdata.useridentity.type",
            "eventdata.sourceipaddress",
            "eventdata.errorcode",
            "eventdata.uid",
            "recipientaccountid",
        ],
    }
}

macro_rules! cloud_trail {
    ($($more:literal),*) => {
        &[
            "eventname",
            "eventsource",
            "awsregion",
            "sourceipaddress",
            "errorcode",
            "eventcategory",
            "recipientaccountid",
            "useridentity.type",
            "useridentity.arn",
            "useridentity.accountid",
            "useridentity.accesskeyid",
            "useridentity.username",
            "useridentity.principalid",
            $($more),*
        ]
    };
}

static CLOUD_TRAIL: &[&str] = cloud_trail!();
static HISTORY: &[&str] = cloud_trail!("lookupusername", "lookupresourcenames", "lookupresourcetypes");

/// Collects statistics from the batches of a file.
#[derive(Debug)]
pub(crate) struct StatsBuilder {
    columns: Vec<(&'static str, Collector)>,
}

impl StatsBuilder {
    /// Starts the statistics of a file of this kind.
    pub fn new(kind: StoreKind) -> Self {
        Self { columns: stats_columns(kind).iter().map(|path| (*path, Collector::default())).collect() }
    }

    /// Takes in the rows of `batch`.
    pub fn add(&mut self, batch: &RecordBatch) {
        for (path, collector) in &mut self.columns {
            if let Some(array) = column_at(batch, path) {
                collector.add(&array);
            }
        }
    }

    /// Returns the statistics by column path.
    pub fn finish(self) -> BTreeMap<String, ColumnStats> {
        self.columns.into_iter().map(|(path, collector)| (path.to_owned(), collector.finish())).collect()
    }
}

/// The array at a path such as `useridentity.arn`, NULL where any struct around it is NULL.
pub(crate) fn column_at(batch: &RecordBatch, path: &str) -> Option<ArrayRef> {
    let mut names = path.split('.');
    let mut array = batch.column_by_name(names.next()?)?.clone();
    for name in names {
        let outer = array.as_struct_opt()?;
        let inner = outer.column_by_name(name)?;
        // The converter makes members NULL where the struct is; files of others are not read here.
        array = inner.clone();
    }
    Some(array)
}

#[derive(Debug, Default)]
struct Collector {
    nulls: u64,
    min: Option<String>,
    max: Option<String>,
    values: BTreeSet<String>,
    value_bytes: usize,
    many: bool,
}

impl Collector {
    fn add(&mut self, array: &ArrayRef) {
        match array.data_type() {
            DataType::Utf8 => self.add_texts(array.as_string(), true),
            DataType::List(_) => {
                let lists = array.as_list::<i32>();
                self.nulls +=
                    (0..lists.len()).filter(|at| lists.is_null(*at) || lists.value_length(*at) == 0).count() as u64;
                let (first, last) = (lists.value_offsets().first(), lists.value_offsets().last());
                if let (Some(first), Some(last)) = (first, last) {
                    let items = lists.values().slice(*first as usize, (last - first) as usize);
                    self.add_texts(items.as_string(), false);
                }
            }
            _ => {}
        }
    }

    fn add_texts(&mut self, array: &StringArray, count_nulls: bool) {
        if count_nulls {
            self.nulls += array.null_count() as u64;
        }
        let mut previous = None;
        for value in array.iter().flatten() {
            // Neighbours are often equal.
            if previous == Some(value) {
                continue;
            }
            previous = Some(value);
            self.add_text(value);
        }
    }

    fn add_text(&mut self, value: &str) {
        if !self.many {
            if !self.values.contains(value) {
                self.value_bytes += value.len();
                self.values.insert(value.to_owned());
                self.many = self.values.len() > MAX_VALUES || self.value_bytes > MAX_VALUE_BYTES;
                if self.many {
                    self.min = self.values.pop_first();
                    self.max = self.values.pop_last().or_else(|| self.min.clone());
                    self.values.clear();
                }
            }
            return;
        }
        if self.min.as_deref().is_none_or(|min| value < min) {
            self.min = Some(value.to_owned());
        }
        if self.max.as_deref().is_none_or(|max| value > max) {
            self.max = Some(value.to_owned());
        }
    }

    fn finish(self) -> ColumnStats {
        if self.many {
            // A cut minimum is still no greater than any value; a cut maximum could be smaller than one.
            let min = self.min.map(|min| cut(&min).to_owned());
            let max = self.max.filter(|max| max.len() <= MAX_BOUND_BYTES);
            return ColumnStats { nulls: self.nulls, min, max, values: None };
        }
        // Minimum and maximum are the ends of the list; they are not written twice.
        ColumnStats { nulls: self.nulls, min: None, max: None, values: Some(self.values.into_iter().collect()) }
    }
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(MAX_BOUND_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_value_that_occurs_may_always_be_contained(
            values in prop::collection::vec(prop::option::of("[a-c]{0,3}|\\PC{0,90}"), 0..120),
            other in "[a-c]{0,3}",
        ) {
            let array: ArrayRef = std::sync::Arc::new(StringArray::from(values.clone()));
            let mut collector = Collector::default();
            let half = values.len() / 2;
            collector.add(&array.slice(0, half));
            collector.add(&array.slice(half, values.len() - half));
            let stats = collector.finish();

            prop_assert_eq!(stats.nulls as usize, values.iter().filter(|value| value.is_none()).count());
            for value in values.iter().flatten() {
                prop_assert!(stats.may_contain(value), "{:?} {}", stats, value);
            }
            let read: ColumnStats = serde_json::from_str(&serde_json::to_string(&stats).unwrap()).unwrap();
            prop_assert_eq!(&read, &stats);
            if let Some(listed) = &stats.values {
                let mut all: Vec<_> = values.iter().flatten().map(String::as_str).collect();
                all.sort_unstable();
                all.dedup();
                prop_assert_eq!(listed.iter().collect::<Vec<_>>(), all);
                prop_assert_eq!(stats.may_contain(&other), values.contains(&Some(other.clone())));
            }
        }
    }
}
