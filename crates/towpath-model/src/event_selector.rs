//! Basic event selectors of trails: what one may say, and which events it takes.
//!
//! A trail has basic selectors or advanced ones, never both. `ReadWriteType` filters the management and the data events
//! of its selector alike (selectors.md, sections 1, 2 and 4). Network activity events need advanced selectors.

use serde::{Deserialize, Serialize};

use crate::EventFacts;

/// A basic selector as the API carries it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct EventSelector {
    /// Reads, writes or both.
    #[serde(default)]
    pub read_write_type: ReadWriteType,
    /// Takes management events.
    #[serde(default = "yes")]
    pub include_management_events: bool,
    /// Takes data events of these resources.
    #[serde(default)]
    pub data_resources: Vec<DataResource>,
    /// Event sources whose management events are left out.
    #[serde(default)]
    pub exclude_management_event_sources: Vec<String>,
}

fn yes() -> bool {
    true
}

/// Which of reads and writes a basic selector takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReadWriteType {
    /// Events whose `readOnly` is true.
    ReadOnly,
    /// All others: what does not say that it only reads may have written.
    WriteOnly,
    /// All events.
    #[default]
    All,
}

/// Resources of one type whose data events are taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DataResource {
    /// One of [`DATA_RESOURCE_TYPES`].
    pub r#type: String,
    /// ARNs or beginnings of ARNs; none takes nothing.
    #[serde(default)]
    pub values: Vec<String>,
}

const S3: &str = "AWS::S3::Object";
const LAMBDA: &str = "AWS::Lambda::Function";
const DYNAMO_DB: &str = "AWS::DynamoDB::Table";

/// The resource types that basic selectors know.
pub const DATA_RESOURCE_TYPES: [&str; 3] = [S3, LAMBDA, DYNAMO_DB];

/// The event sources that may be left out.
pub const EXCLUDABLE_SOURCES: [&str; 2] = ["kms.amazonaws.com", "rdsdata.amazonaws.com"];

/// Basic selectors per trail.
pub const MAX_BASIC_SELECTORS: usize = 5;

/// Values of data resources over all basic selectors of a trail, those that mean all resources not counted.
pub const MAX_DATA_RESOURCES: usize = 250;

/// Why basic selectors are refused; each becomes `InvalidEventSelectorsException`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventSelectorError {
    /// None, or more than the quota allows.
    #[error("a trail has 1 to {MAX_BASIC_SELECTORS} event selectors, not {0}")]
    Count(usize),
    /// More values of data resources than the quota allows.
    #[error("the event selectors name {0} data resources; at most {MAX_DATA_RESOURCES} are allowed")]
    TooManyResources(usize),
    /// A type that basic selectors do not know.
    #[error("data resource type '{0}' is not one of AWS::S3::Object, AWS::Lambda::Function, AWS::DynamoDB::Table")]
    Type(String),
    /// A value that can never match a resource of the type.
    #[error("'{value}' is not a valid value for data resources of type {kind}")]
    Value {
        /// The type.
        kind: String,
        /// The value given.
        value: String,
    },
    /// A source that cannot be left out.
    #[error("event source '{0}' cannot be excluded; kms.amazonaws.com and rdsdata.amazonaws.com can")]
    Source(String),
    /// Sources left out of management events that are not taken at all.
    #[error("event sources can be excluded only where management events are included")]
    NothingToExclude,
}

impl ReadWriteType {
    /// The text on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReadOnly => "ReadOnly",
            Self::WriteOnly => "WriteOnly",
            Self::All => "All",
        }
    }

    /// The value with exactly this text.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::ReadOnly, Self::WriteOnly, Self::All].into_iter().find(|kind| kind.as_str() == text)
    }

    fn takes(self, read_only: Option<bool>) -> bool {
        match self {
            Self::ReadOnly => read_only == Some(true),
            Self::WriteOnly => read_only != Some(true),
            Self::All => true,
        }
    }
}

impl EventSelector {
    /// The selector of every management event and nothing else.
    pub fn all_management_events() -> Self {
        Self {
            read_write_type: ReadWriteType::All,
            include_management_events: true,
            data_resources: Vec::new(),
            exclude_management_event_sources: Vec::new(),
        }
    }

    /// True when the selector takes the event.
    pub fn matches(&self, event: &EventFacts<'_>) -> bool {
        if !self.read_write_type.takes(event.read_only) {
            return false;
        }
        match event.category {
            "Management" => {
                let excluded = |source: &str| self.exclude_management_event_sources.iter().any(|out| out == source);
                self.include_management_events && !event.event_source.is_some_and(excluded)
            }
            "Data" => self.data_resources.iter().any(|wanted| wanted.matches(event)),
            _ => false,
        }
    }
}

impl DataResource {
    /// True when one resource of the event is of the type and under one of the values.
    fn matches(&self, event: &EventFacts<'_>) -> bool {
        event.resources.iter().any(|(kind, arn)| {
            *kind == Some(self.r#type.as_str())
                && self.values.iter().any(|value| match (value_of(&self.r#type, value), arn) {
                    (Some(Value::All), _) => true,
                    (Some(Value::Prefix), Some(arn)) => arn.starts_with(value.as_str()),
                    (Some(Value::Prefix), None) => bucket_of(event).is_some_and(|bucket| under_bucket(value, bucket)),
                    (Some(Value::Exact), arn) => *arn == Some(value.as_str()),
                    (None, _) => false,
                })
        })
    }
}

/// Calls on a bucket's listing name no object: the bucket stands beside the object's entry, and a value that means the
/// whole bucket takes them.
fn bucket_of<'a>(event: &EventFacts<'a>) -> Option<&'a str> {
    let bucket = event.resources.iter().find(|(kind, _)| *kind == Some("AWS::S3::Bucket"));
    bucket.and_then(|(_, arn)| *arn)
}

fn under_bucket(value: &str, bucket: &str) -> bool {
    value.strip_suffix('/') == Some(bucket)
}

/// How a value of a data resource is compared.
enum Value {
    All,
    Prefix,
    Exact,
}

/// Tells how a value is compared, or that it can match nothing of the type.
fn value_of(kind: &str, value: &str) -> Option<Value> {
    let mut parts = value.splitn(3, ':');
    let (arn, partition, rest) = (parts.next()?, parts.next()?, parts.next()?);
    if arn != "arn" || partition.is_empty() {
        return None;
    }
    match kind {
        S3 if rest == "s3" || rest == "s3:::" => Some(Value::All),
        S3 => {
            let (bucket, _) = rest.strip_prefix("s3:::")?.split_once('/')?;
            (!bucket.is_empty()).then_some(Value::Prefix)
        }
        LAMBDA if rest == "lambda" => Some(Value::All),
        LAMBDA => rest.starts_with("lambda:").then_some(Value::Exact),
        DYNAMO_DB if rest == "dynamodb" => Some(Value::All),
        DYNAMO_DB => rest.starts_with("dynamodb:").then_some(Value::Exact),
        _ => None,
    }
}

/// Checks the basic selectors of a trail.
///
/// # Errors
/// The first rule that is broken, in the order of the list.
pub fn check_event_selectors(selectors: &[EventSelector]) -> Result<(), EventSelectorError> {
    if selectors.is_empty() || selectors.len() > MAX_BASIC_SELECTORS {
        return Err(EventSelectorError::Count(selectors.len()));
    }
    let mut named = 0;
    for selector in selectors {
        for source in &selector.exclude_management_event_sources {
            if !EXCLUDABLE_SOURCES.contains(&source.as_str()) {
                return Err(EventSelectorError::Source(source.clone()));
            }
            if !selector.include_management_events {
                return Err(EventSelectorError::NothingToExclude);
            }
        }
        for resource in &selector.data_resources {
            let kind = resource.r#type.as_str();
            if !DATA_RESOURCE_TYPES.contains(&kind) {
                return Err(EventSelectorError::Type(kind.to_owned()));
            }
            for value in &resource.values {
                match value_of(kind, value) {
                    None => {
                        return Err(EventSelectorError::Value { kind: kind.to_owned(), value: value.clone() });
                    }
                    Some(Value::All) => {}
                    Some(Value::Prefix | Value::Exact) => named += 1,
                }
            }
        }
    }
    if named > MAX_DATA_RESOURCES { Err(EventSelectorError::TooManyResources(named)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OBJECT: &str = "arn:aws:s3:::bucket/folder/key";

    fn data(kind: &str, values: &[&str]) -> EventSelector {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        EventSelector {
            include_management_events: false,
            data_resources: vec![DataResource { r#type: kind.to_owned(), values }],
            ..EventSelector::all_management_events()
        }
    }

    fn takes(selector: &EventSelector, resources: &[(Option<&str>, Option<&str>)]) -> bool {
        selector.matches(&EventFacts { category: "Data", resources, ..EventFacts::default() })
    }

    #[test]
    fn object_values_are_beginnings_of_arns() {
        let object = [(Some(S3), Some(OBJECT)), (Some("AWS::S3::Bucket"), Some("arn:aws:s3:::bucket"))];
        for value in ["arn:aws:s3", "arn:aws:s3:::", "arn:aws:s3:::bucket/", "arn:aws:s3:::bucket/fold", OBJECT] {
            assert!(takes(&data(S3, &[value]), &object), "{value}");
        }
        for value in ["arn:aws:s3:::bucket", "arn:aws:s3:::buck/", "arn:aws:s3:::bucket/other", "bucket/"] {
            assert!(!takes(&data(S3, &[value]), &object), "{value}");
        }
        assert!(!takes(&data(S3, &[]), &object));
    }

    #[test]
    fn a_call_that_lists_a_bucket_belongs_to_the_whole_bucket() {
        let listing = [(Some(S3), None), (Some("AWS::S3::Bucket"), Some("arn:aws:s3:::bucket"))];
        assert!(takes(&data(S3, &["arn:aws:s3:::bucket/"]), &listing));
        assert!(!takes(&data(S3, &["arn:aws:s3:::bucket/folder"]), &listing));
    }

    #[test]
    fn functions_and_tables_are_named_exactly() {
        let function = "arn:aws:lambda:us-east-1:123456789012:function:f";
        assert!(takes(&data(LAMBDA, &["arn:aws:lambda"]), &[(Some(LAMBDA), Some(function))]));
        assert!(takes(&data(LAMBDA, &[function]), &[(Some(LAMBDA), Some(function))]));
        let other = format!("{function}2");
        assert!(!takes(&data(LAMBDA, &[function]), &[(Some(LAMBDA), Some(&other))]));
        let table = "arn:aws:dynamodb:us-east-1:123456789012:table/t";
        let stream = [(Some(DYNAMO_DB), Some(table)), (Some("AWS::DynamoDB::Stream"), Some("arn:aws:dynamodb:x"))];
        assert!(takes(&data(DYNAMO_DB, &[table]), &stream));
    }

    #[test]
    fn reads_and_writes_are_told_apart_in_both_categories() {
        let mut selector = data(S3, &["arn:aws:s3"]);
        selector.include_management_events = true;
        let object = [(Some(S3), Some(OBJECT))];
        for category in ["Management", "Data"] {
            let facts = |read_only| EventFacts { category, read_only, resources: &object, ..EventFacts::default() };
            for (kind, expected) in [
                (ReadWriteType::ReadOnly, [true, false, false]),
                (ReadWriteType::WriteOnly, [false, true, true]),
                (ReadWriteType::All, [true, true, true]),
            ] {
                selector.read_write_type = kind;
                let taken = [Some(true), Some(false), None].map(|read_only| selector.matches(&facts(read_only)));
                assert_eq!(taken, expected, "{kind:?} {category}");
            }
        }
    }

    #[test]
    fn excluded_sources_keep_their_data_events() {
        let mut selector = data(S3, &["arn:aws:s3"]);
        selector.include_management_events = true;
        selector.exclude_management_event_sources = vec!["kms.amazonaws.com".to_owned()];
        let facts = |category, source| EventFacts {
            category,
            event_source: Some(source),
            resources: &[(Some(S3), Some(OBJECT))],
            ..EventFacts::default()
        };
        assert!(!selector.matches(&facts("Management", "kms.amazonaws.com")));
        assert!(selector.matches(&facts("Management", "iam.amazonaws.com")));
        assert!(selector.matches(&facts("Data", "kms.amazonaws.com")));
        assert!(!selector.matches(&facts("NetworkActivity", "s3.amazonaws.com")));
    }

    #[test]
    fn each_broken_rule_is_named() {
        let good = EventSelector::all_management_events();
        assert_eq!(check_event_selectors(&[]), Err(EventSelectorError::Count(0)));
        assert_eq!(check_event_selectors(&vec![good.clone(); 6]), Err(EventSelectorError::Count(6)));
        assert_eq!(check_event_selectors(&vec![good.clone(); 5]), Ok(()));
        let unknown = data("AWS::SNS::Topic", &[]);
        assert!(matches!(check_event_selectors(&[unknown]), Err(EventSelectorError::Type(_))));
        let bare = data(S3, &["arn:aws:s3:::bucket"]);
        assert!(matches!(check_event_selectors(&[bare]), Err(EventSelectorError::Value { .. })));
        let mut excluding = good.clone();
        excluding.exclude_management_event_sources = vec!["s3.amazonaws.com".to_owned()];
        assert!(matches!(check_event_selectors(&[excluding.clone()]), Err(EventSelectorError::Source(_))));
        excluding.exclude_management_event_sources = vec!["kms.amazonaws.com".to_owned()];
        excluding.include_management_events = false;
        assert_eq!(check_event_selectors(&[excluding]), Err(EventSelectorError::NothingToExclude));
        let keys: Vec<String> = (0..251).map(|n| format!("arn:aws:s3:::bucket/{n}")).collect();
        let values: Vec<&str> = keys.iter().map(String::as_str).collect();
        let many = data(S3, &values);
        assert_eq!(check_event_selectors(&[many]), Err(EventSelectorError::TooManyResources(251)));
        let all: Vec<&str> = std::iter::once("arn:aws:s3").chain(values[..250].iter().copied()).collect();
        assert_eq!(check_event_selectors(&[data(S3, &all)]), Ok(()));
    }

    proptest! {
        #[test]
        fn more_values_never_take_fewer_events(
            values in prop::collection::vec("(arn:aws:s3(:::[ab]{0,2}(/[ab]{0,2})?)?)?", 0..4),
            more in "arn:aws:s3:::[ab]{1,2}/[ab]{0,2}",
            object in "arn:aws:s3:::[ab]{1,2}/[ab]{0,3}",
        ) {
            let object = [(Some(S3), Some(object.as_str()))];
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            let mut wider = values.clone();
            wider.push(&more);
            prop_assert!(!takes(&data(S3, &values), &object) || takes(&data(S3, &wider), &object));
        }

        #[test]
        fn every_event_is_a_read_or_a_write_and_never_both(read_only: Option<bool>, category in "(Management|Data|NetworkActivity)") {
            let facts = EventFacts { category: &category, read_only, ..EventFacts::default() };
            let with = |read_write_type| EventSelector { read_write_type, ..EventSelector::all_management_events() };
            let (reads, writes) = (with(ReadWriteType::ReadOnly).matches(&facts), with(ReadWriteType::WriteOnly).matches(&facts));
            prop_assert!(!(reads && writes));
            prop_assert_eq!(reads || writes, with(ReadWriteType::All).matches(&facts));
        }
    }
}
