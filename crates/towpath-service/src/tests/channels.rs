//! CreateChannel, GetChannel, UpdateChannel, DeleteChannel: what each refuses.

use super::*;

fn into(stores: &[&str]) -> Value {
    stores.iter().map(|store| json!({ "Type": "EVENT_DATA_STORE", "Location": store })).collect()
}

/// The errors of destinations, for both operations that take them.
fn bad_destinations(world: &World, base: &Value) -> Vec<(Value, &'static str)> {
    let with = |destinations: Value| {
        let mut input = base.clone();
        input["Destinations"] = destinations;
        input
    };
    vec![
        (with(into(&["nonsense"])), "EventDataStoreARNInvalidException"),
        (with(into(&[NOBODY])), "EventDataStoreNotFoundException"),
        (with(into(&[&world.foreign])), "EventDataStoreNotFoundException"),
        (with(into(&[&world.plain])), "InvalidEventDataStoreCategoryException"),
        (with(into(&[&world.pending])), "InactiveEventDataStoreException"),
        (with(into(&[&world.activity, &world.activity])), "InvalidParameterException"),
        (with(json!([{ "Type": "AWS_SERVICE", "Location": "application-signals" }])), "InvalidParameterException"),
    ]
}

#[tokio::test]
async fn create_refuses_what_the_guide_says() {
    let world = World::new().await;
    let root = world.test.as_root();
    let good = json!({ "Name": "new", "Source": "Custom", "Destinations": into(&[&world.activity]) });
    let with = |member: &str, value: Value| {
        let mut input = good.clone();
        input[member] = value;
        input
    };
    let mut partner = with("Source", json!("Netskope"));
    partner["Name"] = json!("partner");
    let partner_made = root.call("CreateChannel", partner).await;
    if partner_made.status >= 300 {
        assert_eq!(partner_made.code(), "InvalidSourceException", "{}", partner_made.text);
    }
    let source = towpath_model::PARTNER_SOURCES[0].source;
    let mut first = with("Source", json!(source));
    first["Name"] = json!("first-of-its-source");
    root.call("CreateChannel", first).await.ok();

    let mut cases = bad_destinations(&world, &good);
    cases.extend([
        (with("Source", json!("Nobody")), "InvalidSourceException"),
        (with("Name", json!("channel")), "ChannelAlreadyExistsException"),
        (with("Source", json!(source)), "ChannelAlreadyExistsException"),
        (with("Tags", json!([{ "Key": "aws:x" }])), "InvalidTagParameterException"),
        (with("Tags", (0..51).map(|n| json!({ "Key": format!("k{n}") })).collect()), "TagsLimitExceededException"),
    ]);
    world.refuses("CreateChannel", &cases).await;
    root.call("CreateChannel", good).await.ok();
}

#[tokio::test]
async fn a_region_has_twenty_five_channels() {
    let world = World::new().await;
    let root = world.test.as_root();
    for n in 0..24 {
        channel(&root, &format!("channel-{n}"), &world.activity).await;
    }
    let one_more = json!({ "Name": "more", "Source": "Custom", "Destinations": into(&[&world.activity]) });
    world.refuses("CreateChannel", &[(one_more.clone(), "ChannelMaxLimitExceededException")]).await;
    root.call("DeleteChannel", json!({ "Channel": world.channel })).await.ok();
    root.call("CreateChannel", one_more).await.ok();
}

#[tokio::test]
async fn get_update_and_delete_refuse_what_the_guide_says() {
    let world = World::new().await;
    let no_such = |more: Value| {
        let named = |text: &str| {
            let mut input = json!({ "Channel": text });
            input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            input
        };
        vec![
            (named("nonsense"), "ChannelARNInvalidException"),
            (named(&world.plain), "ChannelARNInvalidException"),
            (named(NOBODY), "ChannelNotFoundException"),
            (named(&arn_of("channel", NOBODY)), "ChannelNotFoundException"),
            (named(&world.channel.replace(REGION, "us-east-1")), "ChannelNotFoundException"),
        ]
    };
    world.refuses("GetChannel", &no_such(json!({}))).await;
    world.refuses("DeleteChannel", &no_such(json!({}))).await;
    for operation in ["GetChannel", "DeleteChannel"] {
        let denied = world.test.as_root().call(operation, json!({ "Channel": world.foreign_channel })).await;
        assert_eq!(denied.code(), "AccessDeniedException", "{operation}");
    }

    let root = world.test.as_root();
    let other = channel(&root, "other", &world.activity).await;
    let mut cases = no_such(json!({ "Name": "renamed" }));
    cases.extend(bad_destinations(&world, &json!({ "Channel": world.channel })));
    cases.extend([
        (json!({ "Channel": world.channel }), "InvalidParameterException"),
        (json!({ "Channel": world.channel, "Name": "other" }), "ChannelAlreadyExistsException"),
    ]);
    world.refuses("UpdateChannel", &cases).await;
    let unchanged = root.call("GetChannel", json!({ "Channel": world.channel })).await.ok();
    assert_eq!(unchanged["Name"], "channel");
    assert_eq!(unchanged["Destinations"], into(&[&world.activity]));

    root.call("DeleteChannel", json!({ "Channel": other })).await.ok();
    world.refuses("GetChannel", &[(json!({ "Channel": other }), "ChannelNotFoundException")]).await;
}
