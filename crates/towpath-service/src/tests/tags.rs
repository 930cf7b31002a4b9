//! AddTags, RemoveTags, ListTags: what each refuses, and what they do.

use super::*;

#[tokio::test]
async fn tags_are_refused_where_the_guide_says() {
    let world = World::new().await;
    let on = |resource: &str, tags: Value| json!({ "ResourceId": resource, "TagsList": tags });
    let one = json!([{ "Key": "k", "Value": "v" }]);
    let many = |count: usize| Value::from((0..count).map(|n| json!({ "Key": format!("k{n}") })).collect::<Vec<_>>());
    let resources = [
        ("nonsense".to_owned(), "CloudTrailARNInvalidException"),
        (arn_of("eventdatastore", "x"), "EventDataStoreARNInvalidException"),
        (arn_of("eventdatastore", NOBODY), "EventDataStoreNotFoundException"),
        (arn_of("channel", NOBODY), "ChannelNotFoundException"),
        (arn_of("channel", "x"), "ChannelARNInvalidException"),
        (world.pending.clone(), "InactiveEventDataStoreException"),
        (arn_of("dashboard", "x"), "ResourceTypeNotSupportedException"),
    ];
    let named = |resource: &str| on(resource, one.clone());
    let mut cases: Vec<_> = resources.iter().map(|(resource, code)| (named(resource), *code)).collect();
    world.refuses("RemoveTags", &cases).await;
    cases.extend([
        (on(&world.plain, json!([{ "Key": "aws:x" }])), "InvalidTagParameterException"),
        (on(&world.plain, json!([{ "Key": "x" }, { "Key": "x" }])), "InvalidTagParameterException"),
        (on(&world.plain, json!([{ "Key": "*" }])), "InvalidTagParameterException"),
        (on(&world.plain, many(51)), "TagsLimitExceededException"),
    ]);
    world.refuses("AddTags", &cases).await;
    let listed = |code: &'static str| match code {
        "ChannelNotFoundException" => "ResourceNotFoundException",
        other => other,
    };
    let lists: Vec<_> =
        resources.iter().map(|(resource, code)| (json!({ "ResourceIdList": [resource] }), listed(code))).collect();
    world.refuses("ListTags", &lists).await;
    let token = json!({ "ResourceIdList": [world.plain], "NextToken": "t" });
    world.refuses("ListTags", &[(token, "InvalidTokenException")]).await;

    // Fifty fit, a fifty-first does not, and a key that is there already is no new one.
    let root = world.test.as_root();
    root.call("AddTags", on(&world.plain, many(50))).await.ok();
    world.refuses("AddTags", &[(on(&world.plain, one), "TagsLimitExceededException")]).await;
    root.call("AddTags", on(&world.plain, json!([{ "Key": "k0", "Value": "new" }]))).await.ok();
}

#[tokio::test]
async fn a_tag_is_replaced_by_its_key_and_removed_by_key_and_value() {
    let world = World::new().await;
    let root = world.test.as_root();
    let tags = |list: Value| json!({ "ResourceId": world.channel, "TagsList": list });
    let listed = || async {
        let answer = root.call("ListTags", json!({ "ResourceIdList": [world.channel] })).await.ok();
        answer["ResourceTagList"][0]["TagsList"].clone()
    };
    root.call("AddTags", tags(json!([{ "Key": "a", "Value": "1" }, { "Key": "b" }]))).await.ok();
    root.call("AddTags", tags(json!([{ "Key": "a", "Value": "2" }]))).await.ok();
    assert_eq!(listed().await, json!([{ "Key": "a", "Value": "2" }, { "Key": "b" }]));
    root.call("RemoveTags", tags(json!([{ "Key": "a", "Value": "1" }, { "Key": "nobody" }]))).await.ok();
    assert_eq!(listed().await, json!([{ "Key": "a", "Value": "2" }, { "Key": "b" }]));
    root.call("RemoveTags", tags(json!([{ "Key": "a" }, { "Key": "b" }]))).await.ok();
    assert_eq!(listed().await, json!([]));
}
