//! Counts add up, survive the disk and are told in the form of CloudTrail's aggregated events.

use proptest::prelude::*;
use serde_json::{Value, json};
use towpath_model::{Category, EventKey};

use super::*;

const ALL: [Template; 3] = [Template::ApiActivity, Template::ResourceAccess, Template::UserActions];

fn trail(number: u128) -> TrailId {
    TrailId::from_uuid(uuid::Uuid::from_u128(number))
}

fn event(time: &str, record: &Value) -> Event {
    let json = record.to_string();
    Event {
        key: EventKey::of(None, json.as_bytes()),
        time: EventTime::from(time.parse::<Timestamp>().unwrap()),
        admitted: time.parse().unwrap(),
        category: Category::Data,
        account: "111111111111".parse().unwrap(),
        region: "us-east-1".parse().unwrap(),
        destinations: Default::default(),
        trails: Default::default(),
        json: json.into(),
    }
}

fn record(name: &str, user: &str, object: &str) -> Value {
    json!({
        "userIdentity": { "type": "IAMUser", "arn": format!("arn:aws:iam::111111111111:user/{user}") },
        "eventSource": "s3.amazonaws.com",
        "eventName": name,
        "sourceIPAddress": "192.0.2.1",
        "userAgent": "client",
        "resources": [
            { "type": "AWS::S3::Object", "ARN": format!("arn:aws:s3:::bucket/{object}") },
            { "accountId": "111111111111", "type": "AWS::S3::Bucket", "ARN": "arn:aws:s3:::bucket" },
            { "type": "AWS::S3::Object", "ARNPrefix": "arn:aws:s3:::bucket/" },
        ],
    })
}

fn count(aggregates: &mut Aggregates, templates: &[Template], time: &str, record: &Value, due: &str) {
    let event = event(time, record);
    aggregates.count(trail(1), templates, &event, &Counted::of(&event.json).unwrap(), due.parse().unwrap());
}

fn take(aggregates: &mut Aggregates, due: &str) -> Vec<Value> {
    let finished = aggregates.take(due.parse().unwrap(), &HashSet::new(), 7).into_iter();
    finished.map(|finished| serde_json::from_slice(&finished.text).unwrap()).collect()
}

#[test]
fn a_record_has_the_form_of_cloudtrails() {
    let mut aggregates = Aggregates::default();
    let due = "2026-11-21T08:00:00Z";
    for (time, name, user) in [
        ("2026-11-21T08:00:00Z", "GetObject", "alice"),
        ("2026-11-21T08:04:59.999Z", "GetObject", "bob"),
        ("2026-11-21T08:02:00Z", "GetObject", "bob"),
        ("2026-11-21T08:05:00Z", "GetObject", "carol"),
    ] {
        count(&mut aggregates, &[Template::ApiActivity], time, &record(name, user, "a"), due);
    }
    let mut failed = record("GetObject", "bob", "a");
    failed["errorCode"] = "AccessDenied".into();
    count(&mut aggregates, &[Template::ApiActivity], "2026-11-21T08:01:00Z", &failed, due);

    assert!(take(&mut aggregates, "2026-11-21T08:04:59Z").is_empty(), "the five minutes are not over");
    let event = aggregates.take("2026-11-21T08:05:00Z".parse().unwrap(), &HashSet::new(), 7);
    assert_eq!(event.len(), 1);
    let text = String::from_utf8(event[0].text.clone()).unwrap();
    let id = serde_json::from_str::<Value>(&text).unwrap()["eventId"].as_str().unwrap().to_owned();
    let dimension = |name: &str, statistics: &str| {
        format!(r#"{{"dimension":"{name}","statistics":[{statistics}],"aggregationType":"Count"}}"#)
    };
    let details = [
        dimension(
            "resourceARN",
            r#"{"name":"arn:aws:s3:::bucket","value":4},{"name":"arn:aws:s3:::bucket/a","value":4}"#,
        ),
        dimension(
            "userIdentity",
            r#"{"name":"arn:aws:iam::111111111111:user/bob","value":3},{"name":"arn:aws:iam::111111111111:user/alice","value":1}"#,
        ),
        dimension("userAgent", r#"{"name":"client","value":4}"#),
        dimension("sourceIpAddress", r#"{"name":"192.0.2.1","value":4}"#),
        dimension("errorCodes", r#"{"name":"AccessDenied","value":1}"#),
    ];
    let expected = format!(
        concat!(
            r#"{{"eventVersion":"1.0","accountId":"111111111111","eventId":"{}","eventCategory":"Aggregated","#,
            r#""eventType":"AwsAggregatedEvent","awsRegion":"us-east-1","eventSource":"s3.amazonaws.com","#,
            r#""timeWindow":{{"windowStart":"2026-11-21T08:00:00Z","windowEnd":"2026-11-21T08:05:00Z","windowSize":"PT5M"}},"#,
            r#""summary":{{"primaryDimension":{},"details":[{}]}}}}"#,
        ),
        id,
        dimension("eventName", r#"{"name":"GetObject","value":4}"#),
        details.join(","),
    );
    assert_eq!(text, expected);
    assert_eq!(take(&mut aggregates, "2026-11-21T08:10:00Z").len(), 1, "carol's");
    assert_eq!((aggregates.is_empty(), aggregates.size()), (true, 0));
}

#[test]
fn what_comes_after_its_time_is_marked() {
    let mut aggregates = Aggregates::default();
    let due = "2026-11-21T08:05:00Z";
    count(&mut aggregates, &ALL[..1], "2026-11-21T08:04:59Z", &record("PutObject", "alice", "a"), due);
    count(&mut aggregates, &ALL[..1], "2026-11-21T08:05:00Z", &record("PutObject", "alice", "a"), due);
    let records = take(&mut aggregates, "2026-11-21T09:00:00Z");
    let reasons: Vec<_> = records.iter().map(|record| record["addendum"]["reason"].as_str()).collect();
    assert_eq!(reasons, [Some("DELIVERY_DELAY"), None]);
}

#[test]
fn callers_without_an_arn_are_named_by_type_and_id() {
    for (identity, name) in [
        (
            json!({ "type": "AWSAccount", "accountId": "111111111111", "principalId": "AIDA" }),
            Some("AWSAccount:111111111111"),
        ),
        (json!({ "type": "AWSService", "invokedBy": "AWS Internal" }), Some("AWSService:AWS Internal")),
        (json!({ "type": "WebIdentityUser", "principalId": "provider:id" }), Some("WebIdentityUser:provider:id")),
        (json!({ "type": "Unknown" }), Some("Unknown")),
        (json!({}), None),
        (Value::Null, None),
    ] {
        let record = json!({ "eventSource": "s", "eventName": "n", "userIdentity": identity }).to_string();
        let counted = Counted::of(record.as_bytes()).unwrap();
        assert_eq!(counted.names(Dimension::UserIdentity).next(), name, "{record}");
    }
}

#[test]
fn names_beyond_the_bound_count_for_the_record_alone() {
    let mut aggregates = Aggregates::default();
    let due = "2026-11-21T08:00:00Z";
    let events = NAMES + 50;
    for number in 0..events {
        let record = record("GetObject", "alice", &format!("{number}{}", "x".repeat(MAX_NAME)));
        count(&mut aggregates, &ALL[..1], "2026-11-21T08:00:00Z", &record, due);
    }
    let bound = (NAMES + 10) * (MAX_NAME + OVERHEAD);
    assert!(aggregates.size() < bound, "{}", aggregates.size());
    let records = take(&mut aggregates, "2026-11-21T08:05:00Z");
    assert_eq!(records.len(), 1);
    assert_eq!(records[0]["summary"]["primaryDimension"]["statistics"][0]["value"], events);
    assert_eq!(records[0]["summary"]["details"][0]["statistics"].as_array().unwrap().len(), 100);
}

proptest! {
    #[test]
    fn each_event_counts_once_however_often_the_counts_are_taken_and_kept(
        events in prop::collection::vec((0i64..2_000, 0usize..3, 0usize..3), 0..60),
        pauses in prop::collection::vec((0usize..60, 0i64..2_000), 0..6),
    ) {
        let start: Timestamp = "2026-11-21T08:00:00Z".parse().unwrap();
        let at = |second: i64| Timestamp::from_second(start.as_second() + second).unwrap();
        let (mut aggregates, mut taken) = (Aggregates::default(), Vec::new());
        for (number, (second, name, user)) in events.iter().enumerate() {
            let record = record(["GetObject", "PutObject", "ListObjects"][*name], ["a", "b", "c"][*user], "o");
            count(&mut aggregates, &ALL, &at(*second).to_string(), &record, "2026-11-21T08:00:00Z");
            for (_, due) in pauses.iter().filter(|(place, _)| *place == number) {
                taken.extend(aggregates.take(at(*due), &HashSet::new(), number as u64));
                let kept = serde_json::to_vec(&aggregates).unwrap();
                let back: Aggregates = serde_json::from_slice(&kept).unwrap();
                prop_assert_eq!(&back, &aggregates);
                aggregates = back;
            }
        }
        taken.extend(aggregates.take(Timestamp::MAX, &HashSet::new(), u64::MAX));
        prop_assert!(aggregates.is_empty() && aggregates.size() == 0);
        let (mut sums, mut ids) = (HashMap::new(), HashSet::new());
        for finished in &taken {
            let record: Value = serde_json::from_slice(&finished.text).unwrap();
            let primary = &record["summary"]["primaryDimension"];
            let statistic = &primary["statistics"][0];
            let key = (primary["dimension"].to_string(), statistic["name"].to_string());
            *sums.entry(key).or_insert(0) += statistic["value"].as_u64().unwrap();
            prop_assert!(ids.insert(record["eventId"].to_string()), "an id of its own");
        }
        let whole = |dimension: &str| -> u64 {
            sums.iter().filter(|((of, _), _)| of.contains(dimension)).map(|(_, sum)| sum).sum()
        };
        let events = events.len() as u64;
        prop_assert_eq!(whole("eventName"), events);
        prop_assert_eq!(whole("userIdentity"), events);
        prop_assert_eq!(whole("resourceARN"), 2 * events, "an object and its bucket");
    }

    #[test]
    fn no_record_makes_counting_panic(record in ".{0,60}", time in -62_135_596_800_000i64..253_402_207_199_999) {
        let mut event = event("2026-11-21T08:00:00Z", &json!({ "eventSource": record, "eventName": record }));
        event.time = EventTime::from_millis(time).unwrap();
        prop_assert!(Counted::of(record.as_bytes()).is_none());
        let counted = Counted::of(&event.json).unwrap();
        let mut aggregates = Aggregates::default();
        aggregates.count(trail(1), &ALL, &event, &counted, Timestamp::MAX);
        prop_assert_eq!(aggregates.take(Timestamp::MAX, &HashSet::new(), 0).len(), 1);
    }
}
