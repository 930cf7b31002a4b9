//! The converter against a slow one that is plainly right: serde_json with the rules of the schema, row by row.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Float64Type, Int32Type, TimestampMillisecondType, UInt64Type};
use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;
use crate::record::records;
use crate::schema::Shape;
use crate::testing::{real_records, row_of};

/// A JSON value with its order, repeats and number spelling kept.
#[derive(Clone, Debug)]
enum Json<'a> {
    Null,
    Bool(bool),
    Number(&'a str),
    Text(String),
    Array(Vec<Json<'a>>),
    Object(Vec<(String, Json<'a>, &'a RawValue)>),
}

struct Pairs<'a>(Vec<(String, &'a RawValue)>);

impl<'de> serde::Deserialize<'de> for Pairs<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Pairs<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

fn parse(raw: &RawValue) -> Json<'_> {
    let text = raw.get();
    match text.as_bytes()[0] {
        b'n' => Json::Null,
        b't' => Json::Bool(true),
        b'f' => Json::Bool(false),
        b'"' => Json::Text(serde_json::from_str(text).unwrap()),
        b'[' => {
            let items: Vec<&RawValue> = serde_json::from_str(text).unwrap();
            Json::Array(items.into_iter().map(parse).collect())
        }
        b'{' => {
            let Pairs(pairs) = serde_json::from_str(text).unwrap();
            Json::Object(pairs.into_iter().map(|(name, raw)| (name, parse(raw), raw)).collect())
        }
        _ => Json::Number(text),
    }
}

/// Compact text without touching tokens: drops blanks outside strings, one character at a time.
fn compact(raw: &str) -> String {
    let (mut out, mut inside, mut escaped) = (String::new(), false, false);
    for c in raw.chars() {
        if inside {
            out.push(c);
            (escaped, inside) = (c == '\\' && !escaped, escaped || c != '"');
        } else if !c.is_ascii_whitespace() {
            out.push(c);
            inside = c == '"';
        }
    }
    out
}

/// What a cell should hold, as text with types: comparable and printable.
#[derive(Clone, Debug, PartialEq)]
enum Cell {
    Null,
    Text(String),
    Bool(bool),
    Int(i32),
    Double(f64),
    Time(i64),
    Map(Vec<(String, Option<String>)>),
    Row(Vec<Cell>),
    List(Vec<Cell>),
}

fn scalar(value: &Json<'_>) -> Cell {
    match value {
        Json::Text(text) => Cell::Text(text.clone()),
        Json::Number(text) => Cell::Text((*text).to_owned()),
        Json::Bool(value) => Cell::Text(value.to_string()),
        _ => Cell::Null,
    }
}

fn member<'v, 'a>(
    object: &'v [(String, Json<'a>, &'a RawValue)],
    column: &Column,
) -> Option<(&'v Json<'a>, &'a RawValue)> {
    let proper = |name: &str| name == column.json || (!column.alias.is_empty() && name == column.alias);
    let loose = |name: &str| {
        name.eq_ignore_ascii_case(column.json) || (!column.alias.is_empty() && name.eq_ignore_ascii_case(column.alias))
    };
    let last = |test: &dyn Fn(&str) -> bool| object.iter().rev().find(|(name, ..)| test(name));
    last(&proper).or_else(|| last(&loose)).map(|(_, value, raw)| (value, *raw))
}

fn expected(shape: &Shape, value: &Json<'_>, raw: &RawValue) -> Cell {
    match (shape, value) {
        (Shape::Text, value) => scalar(value),
        (Shape::Json, Json::Object(_) | Json::Array(_)) => Cell::Text(compact(raw.get())),
        (Shape::Json, value) => scalar(value),
        (Shape::Bool, Json::Bool(value)) => Cell::Bool(*value),
        (Shape::Bool, Json::Text(text)) => match text.to_ascii_lowercase().as_str() {
            "true" => Cell::Bool(true),
            "false" => Cell::Bool(false),
            _ => Cell::Null,
        },
        (Shape::Int, Json::Number(text)) => text.parse().map_or(Cell::Null, Cell::Int),
        (Shape::Double, Json::Number(text)) => text.parse().map_or(Cell::Null, Cell::Double),
        (Shape::Time, Json::Text(text)) => EventTime::parse(text).map_or(Cell::Null, |t| Cell::Time(t.as_millis())),
        (Shape::Map(..), Json::Object(members)) => {
            let mut entries = Vec::new();
            for (at, (name, value, raw)) in members.iter().enumerate() {
                if members[at + 1..].iter().any(|(later, ..)| later == name) {
                    continue;
                }
                let text = match value {
                    Json::Null => None,
                    Json::Object(_) | Json::Array(_) => Some(compact(raw.get())),
                    Json::Text(text) => Some(text.clone()),
                    Json::Number(text) => Some((*text).to_owned()),
                    Json::Bool(value) => Some(value.to_string()),
                };
                entries.push((name.clone(), text));
            }
            Cell::Map(entries)
        }
        (Shape::Row(columns), Json::Object(members)) => {
            Cell::Row(columns.iter().map(|c| of_member(c, members)).collect())
        }
        (Shape::List(_, columns), Json::Array(items)) => Cell::List(
            items
                .iter()
                .map(|item| match item {
                    Json::Object(members) => Cell::Row(columns.iter().map(|c| of_member(c, members)).collect()),
                    _ => Cell::Null,
                })
                .collect(),
        ),
        _ => Cell::Null,
    }
}

fn of_member(column: &Column, members: &[(String, Json<'_>, &RawValue)]) -> Cell {
    member(members, column).map_or(Cell::Null, |(value, raw)| expected(&column.shape, value, raw))
}

fn actual(array: &dyn Array, at: usize) -> Cell {
    if array.is_null(at) {
        return Cell::Null;
    }
    match array.data_type() {
        DataType::Utf8 => Cell::Text(array.as_string::<i32>().value(at).to_owned()),
        DataType::Boolean => Cell::Bool(array.as_boolean().value(at)),
        DataType::Int32 => Cell::Int(array.as_primitive::<Int32Type>().value(at)),
        DataType::Float64 => Cell::Double(array.as_primitive::<Float64Type>().value(at)),
        DataType::Timestamp(..) => Cell::Time(array.as_primitive::<TimestampMillisecondType>().value(at)),
        DataType::Map(..) => {
            let entries = array.as_map().value(at);
            let (keys, values) = (entries.column(0).as_string::<i32>(), entries.column(1).as_string::<i32>());
            let value = |at| values.is_valid(at).then(|| values.value(at).to_owned());
            Cell::Map((0..entries.len()).map(|at| (keys.value(at).to_owned(), value(at))).collect())
        }
        DataType::Struct(_) => Cell::Row(array.as_struct().columns().iter().map(|c| actual(c, at)).collect()),
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(at);
            Cell::List((0..items.len()).map(|at| actual(&items, at)).collect())
        }
        other => panic!("no column has type {other}"),
    }
}

fn check(kind: StoreKind, rows: &[Row]) {
    let batch = batch_of(kind, rows).unwrap();
    assert_eq!(batch.num_rows(), rows.len());
    let whole = records(kind, &batch).unwrap();
    for (at, row) in rows.iter().enumerate() {
        let text = std::str::from_utf8(&row.json).unwrap();
        let raw: &RawValue = serde_json::from_str(text).unwrap();
        let Json::Object(members) = parse(raw) else { panic!("a record is an object") };
        for (column, array) in schema::columns(kind).zip(batch.columns()) {
            let expected = match column.shape {
                Shape::Record => {
                    assert_eq!(whole.as_string::<i32>().value(at), text);
                    continue;
                }
                Shape::EventTime => Cell::Time(row.time.as_millis()),
                Shape::LookupText | Shape::LookupList(_) => continue,
                _ => of_member(column, &members),
            };
            assert_eq!(actual(array, at), expected, "{kind:?} {} of {text}", column.name());
        }
        let positions = batch.column_by_name(schema::POSITION).unwrap().as_primitive::<UInt64Type>();
        assert_eq!(positions.value(at), row.position.as_u64());
    }
}

#[test]
fn all_real_records_convert_as_the_slow_converter_says() {
    let rows: Vec<_> = real_records().into_iter().enumerate().map(|(at, json)| row_of(at as u64, json)).collect();
    assert_eq!(rows.len(), 24_520);
    for rows in rows.chunks(2048) {
        check(StoreKind::CloudTrail, rows);
    }
}

#[test]
fn every_kind_reads_its_own_form() {
    let insight = r#"{"eventVersion":"1.08","eventCategory":"Insight","insightState":"Start","insightContext":{"baselineAverage":9.82222E-5,
        "insightAverage":3,"baselineDuration":10181,"insightDuration":1.5,"attributions":[{"attribute":"userAgent","insightAverage":1,
        "insight":{"value":"x","average":2}},null]}}"#;
    let item = r#"{"eventData":{"configurationStateId":17,"arn":"a","relatedEvents":[ "x" , 1 ],"relationships":[{"name":"n"}],
        "configuration":{"a":{"b" : 1}},"tags":{}}}"#;
    let evidence =
        r#"{"eventData":{"time":"2023-01-01T00:00:00Z","attributes":{"x":null},"manualEvidenceS3ResourcePath":"p"}}"#;
    let activity = r#"{"addendum":{"reason":"r"},"metadata":{"ingestionTime":"t","channelARN":"c"},"eventData":{"UID":"u",
        "userIdentity":{"type":"t","details":{"k":true}},"eventTime":"2023-06-28T00:00:00Z","requestParameters":"text"}}"#;
    let history =
        r#"{"userIdentity":{"inScopeOf":{"credentialsIssuedTo":"x"}},"readOnly":"TRUE","resources":[{"ARN":"a"}]}"#;
    for (kind, json) in [
        (StoreKind::Insight, insight),
        (StoreKind::ConfigurationItem, item),
        (StoreKind::Evidence, evidence),
        (StoreKind::Activity, activity),
        (StoreKind::History, history),
    ] {
        let rows: Vec<_> = [insight, item, evidence, activity, history, json]
            .into_iter()
            .enumerate()
            .map(|(at, json)| row_of(at as u64, json.into()))
            .collect();
        check(kind, &rows);
    }
}

#[test]
fn what_is_no_json_is_a_row_with_its_text_alone() {
    let texts = ["", "{", "[]", "null", "{\"eventName\":\"x\"} trailing"];
    let rows: Vec<_> = texts.iter().map(|text| row_of(0, (*text).into())).collect();
    let batch = batch_of(StoreKind::CloudTrail, &rows).unwrap();
    let whole = records(StoreKind::CloudTrail, &batch).unwrap();
    for (at, text) in texts.iter().enumerate() {
        assert_eq!(whole.as_string::<i32>().value(at), *text);
        assert!(batch.column_by_name("eventname").unwrap().is_null(at));
    }
}

#[test]
fn proper_spelling_counts_before_another_case_and_the_last_of_repeats_counts() {
    let row = row_of(0, r#"{"eventName":"a","eventName":"b","EVENTNAME":"c","AWSREGION":"d","awsregion":"e"}"#.into());
    let batch = batch_of(StoreKind::CloudTrail, &[row]).unwrap();
    assert_eq!(batch.column_by_name("eventname").unwrap().as_string::<i32>().value(0), "b");
    assert_eq!(batch.column_by_name("awsregion").unwrap().as_string::<i32>().value(0), "e");
}

/// Text that resembles a record: real member names, any values, repeats, escapes and blanks.
fn any_record() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        4 => prop::sample::select(vec![
            "eventName", "EVENTNAME", "userIdentity", "sessionContext", "attributes", "creationDate", "requestParameters",
            "resources", "ARN", "arn", "type", "readOnly", "eventID", "tlsDetails", "eventContext", "tagContext",
            "resourceTags", "tags", "additionalEventData", "sessionIssuer", "inScopeOf", "credentialsIssuedTo", "eventTime", "requestID", "sharedEventID",
            "errorMessage", "ErrorMessage",
        ]).prop_map(str::to_owned),
        1 => "[a-cA-C.:-]{0,3}",
    ];
    let scalar = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("\"False\"".to_owned()),
        Just("1.50e+02".to_owned()),
        Just("-0".to_owned()),
        Just("\"2021-07-28T14:02:03Z\"".to_owned()),
        "\\PC{0,8}".prop_map(|text| serde_json::to_string(&text).unwrap()),
        Just(r#""a\u003d\"\\\n \ud83d\ude00""#.to_owned()),
        // Long enough to be left out of the stored record, and characters like the marks that stand for it.
        "[0-9a-f-]{15,17}".prop_map(|text| format!("\"{text}\"")),
        "[0-9A-Za-zé/\\\\]{16,20}".prop_map(|text| serde_json::to_string(&text).unwrap()),
        "[\u{e000}-\u{e002}\u{e140}\u{efff}\u{f000}]{0,2}".prop_map(|text| serde_json::to_string(&text).unwrap()),
    ];
    let value = scalar.prop_recursive(5, 64, 6, move |inner| {
        let member = (name.clone(), inner.clone(), "[ \n]{0,2}").prop_map(|(name, value, blank)| {
            format!("{blank}{}{blank}:{value}{blank}", serde_json::to_string(&name).unwrap())
        });
        prop_oneof![
            3 => prop::collection::vec(member, 0..8).prop_map(|members| format!("{{{}}}", members.join(","))),
            1 => prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(", "))),
        ]
    });
    value.prop_map(|value| if value.starts_with('{') { value } else { format!("{{\"userIdentity\":{value}}}") })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_record_converts_as_the_slow_converter_says(records in prop::collection::vec(any_record(), 1..8)) {
        let rows: Vec<_> = records.into_iter().enumerate().map(|(at, json)| row_of(at as u64, json)).collect();
        for kind in [StoreKind::CloudTrail, StoreKind::History, StoreKind::ConfigurationItem] {
            check(kind, &rows);
        }
    }

    #[test]
    fn any_bytes_make_a_row(texts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 1..6), kind in 0usize..6) {
        let rows: Vec<_> = texts
            .iter()
            .map(|text| {
                let mut row = row_of(0, String::new());
                row.json = text.clone().into();
                row
            })
            .collect();
        prop_assert_eq!(batch_of(StoreKind::ALL[kind], &rows).unwrap().num_rows(), rows.len());
    }
}
