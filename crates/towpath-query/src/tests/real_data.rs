//! The real records: nothing is lost between the log and an answer.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;
use towpath_model::{AccountId, Category, Destination, EventKey, EventTime};
use towpath_testkit::SharedData;

use super::*;

fn event(json: &str, store: StoreId) -> Event {
    let record: Value = serde_json::from_str(json).unwrap();
    let time = record["eventTime"].as_str().and_then(|time| EventTime::parse(time).ok());
    let time = time.unwrap_or_else(|| EventTime::parse("2021-01-01T00:00:00Z").unwrap());
    let account: AccountId = "123456789012".parse().unwrap();
    Event {
        key: EventKey::of(record["eventID"].as_str(), json.as_bytes()),
        time,
        admitted: "2026-01-01T00:00:00Z".parse().unwrap(),
        category: Category::Management,
        account,
        region: "us-east-1".parse().unwrap(),
        destinations: [
            Destination { store, kind: StoreKind::CloudTrail },
            Destination { store: StoreId::history_of(account), kind: StoreKind::History },
        ]
        .into_iter()
        .collect(),
        trails: Default::default(),
        json: json.to_owned().into(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_over_real_records_equal_a_plain_count() {
    let Some(data) = SharedData::find() else { return };
    let test = TestEngine::new().await;
    let mut texts = Vec::new();
    for source in data.cloudtrail_sources() {
        // Every fifth of the largest source keeps the test short; all of the odd ones.
        let step = if source.starts_with("sans504") { 5 } else { 1 };
        texts.extend(data.cloudtrail_records(&source).into_iter().step_by(step).map(|record| record.get().to_owned()));
    }
    let mut seen = HashSet::new();
    let mut records: Vec<Value> = Vec::new();
    let mut events = Vec::new();
    for text in &texts {
        let event = event(text, test.store);
        if seen.insert(event.key) {
            records.push(serde_json::from_str(text).unwrap());
        }
        events.push(event);
    }
    let half = events.len() / 2;
    test.ingest(events[..half].to_vec()).await;
    test.lake.flush().await.unwrap();
    test.ingest(events[half..].to_vec()).await;

    assert_eq!(test.cell("SELECT count(*) FROM $").await, records.len().to_string());
    let mut by_name: BTreeMap<&str, u64> = BTreeMap::new();
    for record in &records {
        if let Some(name) = record["eventName"].as_str() {
            *by_name.entry(name).or_default() += 1;
        }
    }
    let counted = test
        .rows("SELECT eventName, count(*) FROM $ WHERE eventName IS NOT NULL GROUP BY eventName ORDER BY eventName")
        .await;
    let expected: Vec<_> = by_name.iter().map(|(name, n)| row([name, &n.to_string()])).collect();
    assert_eq!(counted, expected);

    let mut stored: Vec<_> =
        test.rows("SELECT eventJson FROM $").await.into_iter().map(|row| row[0].clone().unwrap()).collect();
    stored.sort();
    let mut sent: Vec<_> = {
        let mut seen = HashSet::new();
        texts.iter().filter(|text| seen.insert(event(text, test.store).key)).cloned().collect()
    };
    sent.sort();
    assert!(stored == sent, "every record comes back byte for byte");

    for (filter, wanted) in [
        (
            "userIdentity.type = 'IAMUser'",
            &(|r: &Value| r["userIdentity"]["type"] == "IAMUser") as &dyn Fn(&Value) -> bool,
        ),
        ("errorCode = 'AccessDenied'", &|r| r["errorCode"] == "AccessDenied"),
        ("element_at(requestParameters, 'bucketName') IS NOT NULL", &|r| {
            !r["requestParameters"]["bucketName"].is_null()
        }),
        ("sourceIPAddress LIKE '%.amazonaws.com'", &|r| {
            r["sourceIPAddress"].as_str().is_some_and(|address| address.ends_with(".amazonaws.com"))
        }),
    ] {
        let count = records.iter().filter(|record| wanted(record)).count();
        assert_eq!(test.cell(&format!("SELECT count(*) FROM $ WHERE {filter}")).await, count.to_string(), "{filter}");
    }
}
