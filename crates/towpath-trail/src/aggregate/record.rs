//! The text of an aggregated event.

use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{Counts, Dimension, Row, Span};

/// Names that a record lists for one dimension, the most frequent first. CloudTrail's own limit is not known.
const LISTED: usize = 100;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AggregatedEvent<'a> {
    event_version: &'static str,
    account_id: &'a str,
    event_id: Uuid,
    event_category: &'static str,
    event_type: &'static str,
    aws_region: &'a str,
    event_source: &'a str,
    time_window: TimeWindow,
    summary: Summary<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    addendum: Option<Addendum>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TimeWindow {
    window_start: String,
    window_end: String,
    window_size: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary<'a> {
    primary_dimension: Counting<'a>,
    details: Vec<Counting<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Counting<'a> {
    dimension: &'static str,
    statistics: Vec<Statistic<'a>>,
    aggregation_type: &'static str,
}

#[derive(Serialize)]
struct Statistic<'a> {
    name: &'a str,
    value: u64,
}

#[derive(Serialize)]
struct Addendum {
    reason: &'static str,
}

/// The record of what one row counted.
pub(super) fn text(span: &Span, row: &Row, counts: &Counts, late: bool, seed: u64) -> Vec<u8> {
    let primary = Statistic { name: &row.primary, value: counts.events };
    let record = AggregatedEvent {
        event_version: "1.0",
        account_id: span.account.as_str(),
        event_id: id(span, row, seed),
        event_category: "Aggregated",
        event_type: "AwsAggregatedEvent",
        aws_region: span.region.as_str(),
        event_source: &row.source,
        time_window: TimeWindow { window_start: iso(span.start), window_end: iso(span.end()), window_size: "PT5M" },
        summary: Summary {
            primary_dimension: Counting::of(row.template.primary(), vec![primary]),
            details: counts
                .names
                .keys()
                .map(|dimension| Counting::of(*dimension, listed(counts, *dimension)))
                .collect(),
        },
        addendum: late.then_some(Addendum { reason: "DELIVERY_DELAY" }),
    };
    serde_json::to_vec(&record).expect("texts and numbers are JSON")
}

impl<'a> Counting<'a> {
    const fn of(dimension: Dimension, statistics: Vec<Statistic<'a>>) -> Self {
        Self { dimension: dimension.as_str(), statistics, aggregation_type: "Count" }
    }
}

/// The most frequent names, those of the same number in the order of the alphabet.
fn listed(counts: &Counts, dimension: Dimension) -> Vec<Statistic<'_>> {
    let names = counts.names.get(&dimension).into_iter().flatten();
    let mut statistics: Vec<_> = names.map(|(name, value)| Statistic { name, value: *value }).collect();
    statistics.sort_by(|a, b| b.value.cmp(&a.value).then(a.name.cmp(b.name)));
    statistics.truncate(LISTED);
    statistics
}

/// An id that no other record has: `seed` is another one for each delivery.
fn id(span: &Span, row: &Row, seed: u64) -> Uuid {
    let mut hash = Sha256::new();
    hash.update(b"aggregated event\0");
    hash.update(span.trail.uuid().as_bytes());
    hash.update(span.account.as_str());
    hash.update(span.start.to_le_bytes());
    hash.update(seed.to_le_bytes());
    for text in [span.region.as_str(), &row.source, row.template.primary().as_str(), &row.primary] {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    }
    let digest = hash.finalize();
    Uuid::new_v8(digest[..16].try_into().expect("a SHA-256 has 32 bytes"))
}

fn iso(second: i64) -> String {
    Timestamp::from_second(second).unwrap_or_default().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
