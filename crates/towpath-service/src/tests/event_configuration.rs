//! PutEventConfiguration and GetEventConfiguration: what they refuse, and the context that events get.

use towpath_model::StoreId;

use super::*;

fn configure(store: &str, keys: Value) -> Value {
    json!({ "EventDataStore": store, "MaxEventSize": "Large", "ContextKeySelectors": keys })
}

fn request_keys(keys: &[&str]) -> Value {
    json!({ "Type": "RequestContext", "Equals": keys })
}

fn tag_keys(keys: &[&str]) -> Value {
    json!({ "Type": "TagContext", "Equals": keys })
}

#[tokio::test]
async fn configurations_are_refused_where_the_guide_says() {
    let world = World::new().await;
    let eds = |store: &str| json!({ "EventDataStore": store });
    let named = [
        (eds("nonsense"), "EventDataStoreARNInvalidException"),
        (eds(NOBODY), "EventDataStoreNotFoundException"),
        (eds(&world.activity), "InvalidEventDataStoreCategoryException"),
        (json!({}), "InvalidParameterCombinationException"),
        (json!({ "EventDataStore": world.plain, "TrailName": "main" }), "InvalidParameterCombinationException"),
    ];
    world.refuses("GetEventConfiguration", &named).await;
    world.refuses("GetEventConfiguration", &[(eds(&world.pending), "InvalidEventDataStoreStatusException")]).await;

    let large = |mut input: Value| {
        input["MaxEventSize"] = json!("Large");
        input["ContextKeySelectors"] = json!([]);
        input
    };
    let mut cases: Vec<_> = named.iter().map(|(input, code)| (large(input.clone()), *code)).collect();
    let small =
        json!({ "EventDataStore": world.plain, "MaxEventSize": "Standard", "ContextKeySelectors": [tag_keys(&["k"])] });
    cases.extend([
        (configure(&world.pending, json!([])), "InactiveEventDataStoreException"),
        (small, "InvalidParameterException"),
        (configure(&world.plain, json!([request_keys(&["aws:Nothing"])])), "InvalidParameterException"),
        (configure(&world.plain, json!([tag_keys(&["a"]), tag_keys(&["b"])])), "InvalidParameterException"),
    ]);
    world.refuses("PutEventConfiguration", &cases).await;
    let seen = world.test.as_root().call("GetEventConfiguration", eds(&world.plain)).await.ok();
    assert_eq!((&seen["MaxEventSize"], &seen["ContextKeySelectors"]), (&json!("Standard"), &json!([])));
}

#[tokio::test]
async fn a_configuration_is_kept_in_its_proper_spelling_and_reset_by_nothing() {
    let world = World::new().await;
    let root = world.test.as_root();
    let keys = json!([request_keys(&["AWS:principalARN", "aws:PrincipalArn"]), tag_keys(&["team"])]);
    root.call("PutEventConfiguration", configure(&world.plain, keys)).await.ok();
    let get = || async { root.call("GetEventConfiguration", json!({ "EventDataStore": world.plain })).await.ok() };
    let kept = json!([request_keys(&["aws:PrincipalArn"]), tag_keys(&["team"])]);
    assert_eq!(get().await["ContextKeySelectors"], kept);
    let nothing = json!({ "EventDataStore": world.plain, "MaxEventSize": "Standard", "ContextKeySelectors": [] });
    root.call("PutEventConfiguration", nothing).await.ok();
    assert_eq!(get().await["MaxEventSize"], "Standard");
}

/// The records of a call, each with the stores it goes to.
async fn records(test: &TestService, operation: &str) -> Vec<(Vec<StoreId>, Value)> {
    let of = |event: towpath_model::Event| {
        let record: Value = serde_json::from_slice(&event.json).unwrap();
        let stores = event.destinations.iter().map(|to| to.store).collect();
        (record["eventName"] == operation).then_some((stores, record))
    };
    test.events().await.into_iter().filter_map(of).collect()
}

fn id(arn: &str) -> StoreId {
    arn.rsplit('/').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_store_of_large_events_gets_a_record_whole_and_all_others_its_standard_form() {
    let test = TestService::new().await;
    let root = test.as_root();
    let (large, standard) = (store(&root, "large", json!({})).await, store(&root, "standard", json!({})).await);
    root.call("PutEventConfiguration", configure(&large, json!([]))).await.ok();
    let statement = "x".repeat(150_000);
    root.call("StartQuery", json!({ "QueryStatement": statement })).await;

    let found = records(&test, "StartQuery").await;
    let by_store = |wanted: StoreId| {
        let mut with = found.iter().filter(|(stores, _)| stores.contains(&wanted));
        let record = with.next().unwrap().1.clone();
        assert!(with.next().is_none(), "a store gets an event once");
        record
    };
    let (whole, short) = (by_store(id(&large)), by_store(id(&standard)));
    assert_eq!(whole["requestParameters"]["queryStatement"], statement);
    assert_eq!(short["requestParameters"]["reason"], "requestParameters too large");
    assert_eq!(by_store(StoreId::history_of(ACCOUNT.parse().unwrap())), short);
    assert_eq!(whole["eventID"], short["eventID"]);
}

#[tokio::test]
async fn events_get_the_context_that_their_store_asks_for_and_history_gets_none() {
    let test = TestService::new().await;
    let root = test.as_root();
    let (asking, same, plain) = (
        store(&root, "asking", json!({})).await,
        store(&root, "same", json!({})).await,
        store(&root, "plain", json!({})).await,
    );
    let other = store(&root, "other", json!({})).await;
    let keys = json!([
        request_keys(&[
            "aws:PrincipalArn",
            "aws:PrincipalType",
            "aws:RequestedRegion",
            "aws:SecureTransport",
            "aws:PrincipalOrgID"
        ]),
        tag_keys(&["team", "absent"]),
    ]);
    for store in [&asking, &same] {
        root.call("PutEventConfiguration", configure(store, keys.clone())).await.ok();
    }
    root.call("PutEventConfiguration", configure(&other, json!([tag_keys(&["colour"])]))).await.ok();
    let tags = json!([{ "Key": "team", "Value": "blue" }, { "Key": "colour", "Value": "red" }]);
    root.call("AddTags", json!({ "ResourceId": plain, "TagsList": tags })).await.ok();

    let found = records(&test, "AddTags").await;
    let [(first_stores, first), (second_stores, second), (rest_stores, rest)] = &found[..] else {
        panic!("three copies: {found:?}")
    };
    let by_store = |wanted: &str| {
        let mut with = found.iter().filter(|(stores, _)| stores.contains(&id(wanted)));
        let record = with.next().unwrap().1.clone();
        assert!(with.next().is_none(), "a store gets an event once");
        record
    };
    // One record for all: the same text up to the context, the same id.
    for record in [first, second] {
        let mut bare = record.clone();
        bare.as_object_mut().unwrap().remove("eventContext");
        assert_eq!(bare, *rest);
    }
    assert_eq!(first_stores.len() + second_stores.len(), 3);
    let history = StoreId::history_of(ACCOUNT.parse().unwrap());
    assert!(rest_stores.contains(&history) && rest_stores.contains(&id(&plain)) && rest_stores.len() == 2);

    assert_eq!(by_store(&asking), by_store(&same));
    let expected = json!({
        "requestContext": {
            "aws:PrincipalArn": format!("arn:aws:iam::{ACCOUNT}:root"),
            "aws:PrincipalType": "Account",
            "aws:RequestedRegion": REGION,
            "aws:SecureTransport": "false",
        },
        "tagContext": { "resourceTags": [{ "arn": plain, "tags": { "team": "blue" } }] },
    });
    assert_eq!(by_store(&asking)["eventContext"], expected);
    let expected = json!({
        "requestContext": {},
        "tagContext": { "resourceTags": [{ "arn": plain, "tags": { "colour": "red" } }] },
    });
    assert_eq!(by_store(&other)["eventContext"], expected);
}

#[tokio::test]
async fn a_context_that_makes_an_event_too_long_is_left_out() {
    let test = TestService::with(|settings| settings.quotas.large_event_bytes = 2000).await;
    let root = test.as_root();
    let asking = store(&root, "asking", json!({})).await;
    let keys: Vec<String> = (0..10).map(|n| format!("key{n}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    root.call("PutEventConfiguration", configure(&asking, json!([tag_keys(&keys)]))).await.ok();
    let tag = |name: &str| json!({ "Key": name, "Value": "v".repeat(256) });
    root.call("AddTags", json!({ "ResourceId": asking, "TagsList": [tag("key0")] })).await.ok();
    root.call("RemoveTags", json!({ "ResourceId": asking, "TagsList": [{ "Key": "nothing" }] })).await.ok();
    let context_of = |records: Vec<(Vec<StoreId>, Value)>| {
        let own: Vec<_> = records.into_iter().filter(|(stores, _)| stores.contains(&id(&asking))).collect();
        assert_eq!(own.len(), 1);
        own[0].1["eventContext"].clone()
    };
    assert_ne!(context_of(records(&test, "RemoveTags").await), Value::Null);
    for n in 1..8 {
        root.call("AddTags", json!({ "ResourceId": asking, "TagsList": [tag(&format!("key{n}"))] })).await.ok();
    }
    root.call("StopEventDataStoreIngestion", json!({ "EventDataStore": asking })).await.ok();
    root.call("StartEventDataStoreIngestion", json!({ "EventDataStore": asking })).await.ok();
    assert_eq!(context_of(records(&test, "StartEventDataStoreIngestion").await), Value::Null);
}

#[tokio::test]
async fn another_account_does_not_see_the_tags_and_names_of_the_caller() {
    let test = TestService::new().await;
    let other = test.account("111111111111").await;
    let (root, stranger) = (test.as_root(), test.caller(&other));
    let into = store(&stranger, "into", json!({ "AdvancedEventSelectors": activity() })).await;
    let channel = channel(&stranger, "channel", &into).await;
    let data = json!([{ "FieldSelectors": [
        { "Field": "eventCategory", "Equals": ["Data"] },
        { "Field": "resources.type", "Equals": ["AWS::CloudTrail::Channel"] },
    ] }]);
    let keys = json!([request_keys(&["aws:PrincipalArn", "aws:PrincipalAccount"])]);
    let mut stores = Vec::new();
    for caller in [&root, &stranger] {
        let store = store(caller, "data", json!({ "AdvancedEventSelectors": data })).await;
        caller.call("PutEventConfiguration", configure(&store, keys.clone())).await.ok();
        stores.push(store);
    }
    let refused = root.put_audit_events(&channel, br#"{"auditEvents":[{"id":"1","eventData":"{}"}]}"#.to_vec()).await;
    assert!(refused.code().contains("InsufficientPermission"), "{}", refused.text);

    let found = records(&test, "PutAuditEvents").await;
    let context = |store: &str| {
        let of = found.iter().find(|(stores, _)| stores.contains(&id(store))).unwrap();
        of.1["eventContext"]["requestContext"].clone()
    };
    let arn = format!("arn:aws:iam::{ACCOUNT}:root");
    assert_eq!(context(&stores[0]), json!({ "aws:PrincipalArn": arn, "aws:PrincipalAccount": ACCOUNT }));
    assert_eq!(context(&stores[1]), json!({ "aws:PrincipalAccount": ACCOUNT }));
}
