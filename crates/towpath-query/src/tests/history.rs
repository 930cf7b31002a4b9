//! Event history, against a plain search through the same records.

use jiff::Timestamp;

use super::*;
use crate::{LookupKey, LookupPage, LookupRequest};

async fn history(count: usize) -> (TestEngine, Vec<TestEvent>) {
    let test = TestEngine::new().await;
    let events: Vec<_> = minutes(count)
        .enumerate()
        .map(|(n, event)| {
            let event = event.request(serde_json::json!({ "userName": format!("target{}", n % 13) }));
            if n % 17 == 0 { event.region("eu-west-1") } else { event }
        })
        .collect();
    (test, events)
}

async fn ingest(test: &TestEngine, events: &[TestEvent]) {
    test.ingest(events.iter().map(|event| event.clone().to_history().build()).collect()).await;
}

async fn pages(test: &TestEngine, mut request: LookupRequest) -> Vec<LookupPage> {
    let mut pages = Vec::new();
    loop {
        let page = test.engine.lookup_events(&test.scope, &request).await.unwrap();
        request.next_token = page.next_token.clone();
        pages.push(page);
        if request.next_token.is_none() {
            return pages;
        }
    }
}

fn ids(pages: &[LookupPage]) -> Vec<String> {
    pages.iter().flat_map(|page| &page.events).map(|event| event.event_id.clone().unwrap()).collect()
}

/// What a look-up must find: a plain search, newest first.
fn expected(events: &[TestEvent], wanted: impl Fn(&serde_json::Value) -> bool) -> Vec<String> {
    let mut found: Vec<(String, usize, String)> = events
        .iter()
        .enumerate()
        .map(|(n, event)| (n, serde_json::from_str::<serde_json::Value>(&event.json()).unwrap()))
        .filter(|(_, record)| record["awsRegion"] == "us-east-1" && wanted(record))
        .map(|(n, record)| (record["eventTime"].to_string(), n, record["eventID"].as_str().unwrap().to_owned()))
        .collect();
    found.sort();
    found.into_iter().rev().map(|(_, _, id)| id).collect()
}

#[tokio::test]
async fn each_attribute_finds_what_a_plain_search_finds() {
    let (test, events) = history(4000).await;
    ingest(&test, &events[..1500]).await;
    test.lake.flush().await.unwrap();
    ingest(&test, &events[1500..3000]).await;
    test.lake.flush().await.unwrap();
    ingest(&test, &events[3000..]).await;
    let id = serde_json::from_str::<serde_json::Value>(&events[42].json()).unwrap()["eventID"].clone();
    let id = id.as_str().unwrap();

    type Has<'a> = &'a dyn Fn(&serde_json::Value) -> bool;
    let cases: [(LookupKey, &str, Has<'_>); 8] = [
        (LookupKey::AccessKeyId, "AKIA0000000000000003", &|r| {
            r["userIdentity"]["accessKeyId"] == "AKIA0000000000000003"
        }),
        (LookupKey::EventId, id, &|r| r["eventID"] == id),
        (LookupKey::EventName, "DeleteUser", &|r| r["eventName"] == "DeleteUser"),
        (LookupKey::EventSource, "iam.amazonaws.com", &|_| true),
        (LookupKey::ReadOnly, "true", &|r| r["readOnly"] == true),
        (LookupKey::ResourceName, "target5", &|r| r["requestParameters"]["userName"] == "target5"),
        (LookupKey::ResourceType, "AWS::IAM::User", &|_| true),
        (LookupKey::Username, "user4", &|r| r["userIdentity"]["userName"] == "user4"),
    ];
    for (key, value, wanted) in cases {
        let request = LookupRequest { attribute: Some((key, value.to_owned())), ..LookupRequest::default() };
        let pages = pages(&test, request).await;
        assert!(pages.iter().all(|page| page.events.len() <= 50));
        assert_eq!(ids(&pages), expected(&events, wanted), "{key:?}");
    }
    let nothing = LookupRequest { attribute: Some((LookupKey::EventName, "deleteuser".into())), ..Default::default() };
    assert!(ids(&pages(&test, nothing).await).is_empty());
}

#[tokio::test]
async fn every_event_with_an_id_that_is_no_uuid_is_looked_up_by_it() {
    let (test, mut events) = history(600).await;
    for event in events.iter_mut().step_by(5) {
        *event = event.clone().id("...");
    }
    ingest(&test, &events[..400]).await;
    test.lake.flush().await.unwrap();
    ingest(&test, &events).await;
    let request = LookupRequest { attribute: Some((LookupKey::EventId, "...".to_owned())), ..LookupRequest::default() };
    let pages = pages(&test, request).await;
    let found: Vec<_> =
        pages.iter().flat_map(|page| &page.events).map(|event| event.cloudtrail_event.clone()).collect();
    let mut sent: Vec<_> = events.iter().step_by(5).map(TestEvent::json).collect();
    sent.retain(|text| text.contains("us-east-1"));
    sent.reverse();
    assert!(sent.len() > 100);
    assert_eq!(found, sent);
}

#[tokio::test]
async fn a_time_range_includes_both_ends() {
    let (test, events) = history(3000).await;
    ingest(&test, &events).await;
    test.lake.flush().await.unwrap();
    let [start, end] = ["2026-01-01T10:00:00Z", "2026-01-01T11:00:00Z"].map(|time| time.parse::<Timestamp>().unwrap());
    let request = LookupRequest { start_time: Some(start), end_time: Some(end), ..LookupRequest::default() };
    let found = ids(&pages(&test, request.clone()).await);
    let in_range = |r: &serde_json::Value| {
        let time: Timestamp = r["eventTime"].as_str().unwrap().parse().unwrap();
        start <= time && time <= end
    };
    assert_eq!(found, expected(&events, in_range));
    let backwards = LookupRequest { start_time: Some(end), end_time: Some(start), ..request };
    let refused = test.engine.lookup_events(&test.scope, &backwards).await;
    assert!(matches!(refused, Err(QueryError::InvalidTimeRange)));
}

#[tokio::test]
async fn a_token_belongs_to_its_parameters() {
    let (test, events) = history(200).await;
    ingest(&test, &events).await;
    let request = LookupRequest { max_results: Some(7), ..LookupRequest::default() };
    let first = test.engine.lookup_events(&test.scope, &request).await.unwrap();
    assert_eq!(first.events.len(), 7);
    let other = LookupRequest { max_results: Some(8), next_token: first.next_token.clone(), ..Default::default() };
    assert!(matches!(test.engine.lookup_events(&test.scope, &other).await, Err(QueryError::InvalidNextToken)));
    for max_results in [Some(0), Some(51)] {
        let refused =
            test.engine.lookup_events(&test.scope, &LookupRequest { max_results, ..Default::default() }).await;
        assert!(matches!(refused, Err(QueryError::InvalidMaxResults { most: 50, .. })));
    }
}

#[tokio::test]
async fn an_event_carries_what_lookup_events_returns() {
    let test = TestEngine::new().await;
    let event = TestEvent::management("CreateUser")
        .at("2026-01-15T08:09:10Z")
        .user("bob")
        .access_key("AKIABOB")
        .request(serde_json::json!({ "userName": "eve" }));
    ingest(&test, std::slice::from_ref(&event)).await;
    for flushed in [false, true] {
        if flushed {
            test.lake.flush().await.unwrap();
        }
        let page = test.engine.lookup_events(&test.scope, &LookupRequest::default()).await.unwrap();
        let [found] = page.events.as_slice() else { panic!("{page:?}") };
        assert_eq!(found.cloudtrail_event, event.json());
        assert_eq!(found.event_name.as_deref(), Some("CreateUser"));
        assert_eq!(found.read_only, Some(false));
        assert_eq!(found.access_key_id.as_deref(), Some("AKIABOB"));
        assert_eq!(found.username.as_deref(), Some("bob"));
        assert_eq!(found.event_time.to_string(), "2026-01-15T08:09:10Z");
        let resource = &found.resources[0];
        assert_eq!(
            (resource.resource_type.as_deref(), resource.resource_name.as_str()),
            (Some("AWS::IAM::User"), "eve")
        );
    }
}

#[tokio::test]
async fn history_reaches_back_ninety_days() {
    let (test, events) = history(100).await;
    ingest(&test, &events).await;
    test.clock.set("2026-04-01T00:30:00Z".parse().unwrap());
    let found = ids(&pages(&test, LookupRequest::default()).await);
    let live = |r: &serde_json::Value| r["eventTime"].as_str().unwrap() >= "2026-01-01T00:30:00Z";
    assert_eq!(found, expected(&events, live));
}
