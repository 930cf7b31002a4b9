//! Bodies of any kind: every one gets an answer, none a failure of the server, and the server goes on.

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::*;
use crate::operations::admin;

/// Bytes that are no JSON, JSON that is no object, objects with members of wrong types, and honest ones.
fn any_body() -> impl Strategy<Value = Vec<u8>> {
    let name = prop::sample::select(vec![
        "Name",
        "EventDataStore",
        "Channel",
        "ResourceArn",
        "ResourcePolicy",
        "ResourceId",
        "TagsList",
        "Key",
        "Value",
        "ResourceIdList",
        "Destinations",
        "Type",
        "Location",
        "Source",
        "AdvancedEventSelectors",
        "FieldSelectors",
        "Field",
        "Equals",
        "RetentionPeriod",
        "MaxResults",
        "NextToken",
        "QueryStatement",
        "QueryId",
        "ImportId",
        "ImportSource",
        "S3",
        "LookupAttributes",
        "AttributeKey",
        "AttributeValue",
        "StartTime",
        "MaxEventSize",
        "ContextKeySelectors",
        "BillingMode",
        "UserName",
        "RoleName",
        "AccountId",
        "PolicyDocument",
        "AccessKeyId",
        "auditEvents",
        "id",
        "eventData",
        "eventDataChecksum",
    ]);
    let scalar = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        Just("1e999".to_owned()),
        Just("-0.0".to_owned()),
        ".{0,12}".prop_map(|text| serde_json::to_string(&text).unwrap()),
        prop::sample::select(vec![
            r#""Custom""#,
            r#""EVENT_DATA_STORE""#,
            r#""00000000-0000-4000-8000-000000000000""#,
            r#""arn:aws:cloudtrail:eu-central-1:000000000000:channel/00000000-0000-4000-8000-000000000000""#,
            r#""\ud800""#,
        ])
        .prop_map(str::to_owned),
    ];
    let value = scalar.prop_recursive(4, 24, 5, move |inner| {
        let member = (name.clone(), inner.clone()).prop_map(|(name, value)| format!("\"{name}\":{value}"));
        prop_oneof![
            3 => prop::collection::vec(member, 0..6).prop_map(|members| format!("{{{}}}", members.join(","))),
            1 => prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
        ]
    });
    prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..80),
        4 => value.prop_map(String::into_bytes),
    ]
}

#[test]
fn any_bytes_get_an_answer_from_every_operation() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let world = runtime.block_on(World::new());
    let mut runner = TestRunner::new(ProptestConfig::with_cases(24));
    runner
        .run(&any_body(), |body| {
            runtime.block_on(async {
                let root = world.test.as_root();
                let mut answers = Vec::new();
                for operation in Operation::ALL.iter().filter(|operation| operation.service() == Api::CloudTrail) {
                    answers.push((operation.name(), root.raw(operation.name(), body.clone()).await));
                }
                // TailEvents waits for events, which is not the point here.
                for operation in admin::names().filter(|name| *name != "TailEvents") {
                    answers.push((operation, root.towpath_raw(operation, body.clone()).await));
                }
                answers.push(("PutAuditEvents", root.put_audit_events(&world.channel, body.clone()).await));
                answers.push(("sts", root.sts(&String::from_utf8_lossy(&body)).await));
                for (operation, answer) in answers {
                    prop_assert!(answer.status < 500, "{operation}: {}", answer.text);
                    prop_assert!(answer.status < 300 || !answer.code().is_empty(), "{operation}: {}", answer.text);
                    let object = body.trim_ascii_start().starts_with(b"{");
                    let honest =
                        body.is_empty() || (object && serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_ok());
                    prop_assert!(honest || answer.status >= 400, "{operation} took {body:?}");
                }
                Ok(())
            })
        })
        .unwrap();
    // It still works.
    runtime.block_on(async { store(&world.test.as_root(), "afterwards", json!({})).await });
}

#[tokio::test]
async fn arrays_are_no_inputs_whatever_their_members_would_stand_for() {
    let world = World::new().await;
    let root = world.test.as_root();
    let nulls = serde_json::to_string(&vec![Value::Null; 20]).unwrap();
    let bodies = ["[]", "[[]]", "[null]", "[[null]]", r#"["a"]"#, r#"[[{"id":"1","eventData":"{}"}]]"#, &nulls];
    for body in bodies {
        for operation in admin::names() {
            let answer = root.towpath_raw(operation, body.into()).await;
            assert_eq!(answer.status, 400, "{operation} took {body}: {}", answer.text);
        }
        let answer = root.put_audit_events(&world.channel, body.into()).await;
        assert_eq!(answer.status, 400, "PutAuditEvents took {body}: {}", answer.text);
    }
    let entries = br#"{"auditEvents":[["1","{}",null]]}"#;
    let answer = root.put_audit_events(&world.channel, entries.into()).await;
    assert_eq!(answer.status, 400, "PutAuditEvents took entries that are arrays: {}", answer.text);
}

#[tokio::test]
async fn deep_and_long_bodies_are_refused() {
    let world = World::new().await;
    let root = world.test.as_root();
    let deep = format!("{}{}", r#"{"Name":["#.repeat(5000), "]}".repeat(5000));
    for operation in ["CreateEventDataStore", "PutResourcePolicy", "LookupEvents"] {
        let answer = root.raw(operation, deep.clone().into_bytes()).await;
        assert_eq!(answer.status, 400, "{operation}: {}", answer.text);
        let long = format!(r#"{{"Name":"{}"}}"#, "x".repeat(600_000));
        let answer = root.raw(operation, long.into_bytes()).await;
        assert!((400..500).contains(&answer.status), "{operation}: {}", answer.text);
    }
    let answer = root.towpath_raw("CreateUser", deep.into_bytes()).await;
    assert_eq!(answer.status, 400, "{}", answer.text);
}
