//! CreateEventDataStore, GetEventDataStore, UpdateEventDataStore, DeleteEventDataStore, RestoreEventDataStore, and start
//! and stop of ingestion: what each refuses.

use super::*;

fn selectors(fields: Value) -> Value {
    json!([{ "FieldSelectors": fields }])
}

fn category(name: &str) -> Value {
    json!({ "Field": "eventCategory", "Equals": [name] })
}

/// The errors of every operation that names a store.
fn no_such_store(world: &World, more: Value) -> Vec<(Value, &'static str)> {
    let named = |text: &str| {
        let mut input = json!({ "EventDataStore": text });
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        input
    };
    let elsewhere = world.plain.replace(REGION, "us-east-1");
    vec![
        (named("not a name"), "EventDataStoreARNInvalidException"),
        (named(&world.channel), "EventDataStoreARNInvalidException"),
        (named(&world.plain.replace(":cloudtrail:", ":s3:")), "EventDataStoreARNInvalidException"),
        (named(NOBODY), "EventDataStoreNotFoundException"),
        (named(&arn_of("eventdatastore", NOBODY)), "EventDataStoreNotFoundException"),
        (named(&elsewhere), "EventDataStoreNotFoundException"),
    ]
}

#[tokio::test]
async fn create_refuses_what_the_guide_says() {
    let world = World::new().await;
    let named = |more: Value| {
        let mut input = json!({ "Name": "new-store" });
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        input
    };
    let of = |selectors: Value| named(json!({ "AdvancedEventSelectors": selectors }));
    let field = |field: Value| of(selectors(json!([category("Management"), field])));
    let values: Vec<String> = (0..501).map(|n| format!("Event{n}")).collect();
    let fixed = |days: i32| named(json!({ "BillingMode": "FIXED_RETENTION_PRICING", "RetentionPeriod": days }));
    let tags = |tags: Value| named(json!({ "TagsList": tags }));
    let many: Vec<Value> = (0..51).map(|n| json!({ "Key": format!("k{n}") })).collect();
    world
        .refuses(
            "CreateEventDataStore",
            &[
                (json!({ "Name": "plain" }), "EventDataStoreAlreadyExistsException"),
                // A store that is pending deletion keeps its name.
                (json!({ "Name": "pending" }), "EventDataStoreAlreadyExistsException"),
                (named(json!({ "RetentionPeriod": 6 })), "InvalidParameterException"),
                (named(json!({ "RetentionPeriod": 3654 })), "InvalidParameterException"),
                (fixed(2558), "InvalidParameterException"),
                (named(json!({ "OrganizationEnabled": true })), "OrganizationsNotInUseException"),
                (of(json!([{ "FieldSelectors": [category("Management")] }, { "FieldSelectors": [category("ActivityAuditLog")] }])), "InvalidEventSelectorsException"),
                (of(json!([{ "FieldSelectors": [category("Insight")] }, { "FieldSelectors": [category("Data")] }])), "InvalidEventSelectorsException"),
                (of(selectors(json!([category("Everything")]))), "InvalidEventSelectorsException"),
                (of(selectors(json!([{ "Field": "eventName", "Equals": ["x"] }]))), "InvalidEventSelectorsException"),
                (field(json!({ "Field": "colour", "Equals": ["blue"] })), "InvalidEventSelectorsException"),
                (field(json!({ "Field": "readOnly", "StartsWith": ["t"] })), "InvalidEventSelectorsException"),
                (field(json!({ "Field": "eventName", "Equals": values })), "InvalidEventSelectorsException"),
                (field(json!({ "Field": "eventName" })), "InvalidEventSelectorsException"),
                (of(Value::from(vec![json!({ "FieldSelectors": [category("Management")] }); 6])), "InvalidEventSelectorsException"),
                (tags(json!([{ "Key": "aws:mine" }])), "InvalidTagParameterException"),
                (tags(json!([{ "Key": "a" }, { "Key": "a" }])), "InvalidTagParameterException"),
                (tags(json!([{ "Key": "a", "Value": "<>" }])), "InvalidTagParameterException"),
            ],
        )
        .await;
    let too_many = world.test.as_root().call("CreateEventDataStore", tags(Value::from(many))).await;
    assert_eq!(too_many.code(), "TagsLimitExceededException");
    assert!(world.test.parts().catalog.state().all_stores().all(|store| store.name != "new-store"));
}

#[tokio::test]
async fn a_region_has_ten_stores_and_those_pending_deletion_count() {
    let world = World::new().await;
    let root = world.test.as_root();
    for n in 0..5 {
        store(&root, &format!("store-{n}"), json!({})).await;
    }
    let create = |name: &str| json!({ "Name": name });
    world.refuses("CreateEventDataStore", &[(create("eleventh"), "EventDataStoreMaxLimitExceededException")]).await;
    // One that is purged makes room.
    world.test.clock.advance(std::time::Duration::from_secs(8 * 86_400));
    assert_eq!(world.test.parts().purge_deleted().await.unwrap(), 1);
    root.call("CreateEventDataStore", create("eleventh")).await.ok();
}

#[tokio::test]
async fn get_update_and_delete_refuse_what_the_guide_says() {
    let world = World::new().await;
    let mut cases = no_such_store(&world, json!({}));
    world.refuses("GetEventDataStore", &cases).await;

    cases.extend([
        (json!({ "EventDataStore": world.protected }), "EventDataStoreTerminationProtectedException"),
        (json!({ "EventDataStore": world.pending }), "InactiveEventDataStoreException"),
        (json!({ "EventDataStore": world.activity }), "ChannelExistsForEDSException"),
        (json!({ "EventDataStore": world.foreign }), "EventDataStoreNotFoundException"),
    ]);
    // Root is not bound by policies on its own side, so a foreign store is missing the owner's policy.
    let foreign = cases.pop().unwrap();
    world.refuses("DeleteEventDataStore", &cases).await;
    let denied = world.test.as_root().call("DeleteEventDataStore", foreign.0).await;
    assert_eq!(denied.code(), "AccessDeniedException");

    let name = json!({ "Name": "renamed" });
    let plain = |more: Value| {
        let mut input = json!({ "EventDataStore": world.plain });
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        input
    };
    let root = world.test.as_root();
    root.call("UpdateEventDataStore", plain(json!({ "KmsKeyId": "alias/first" }))).await.ok();
    let mut cases = no_such_store(&world, name.clone());
    cases.extend([
        (plain(json!({})), "InvalidParameterException"),
        (plain(json!({ "Name": "stopped" })), "EventDataStoreAlreadyExistsException"),
        (plain(json!({ "RetentionPeriod": 6 })), "InvalidParameterException"),
        (plain(json!({ "BillingMode": "FIXED_RETENTION_PRICING" })), "InvalidParameterException"),
        (plain(json!({ "KmsKeyId": "alias/second" })), "InvalidParameterException"),
        (plain(json!({ "OrganizationEnabled": true })), "OrganizationsNotInUseException"),
        (plain(json!({ "AdvancedEventSelectors": activity() })), "InvalidEventSelectorsException"),
        (json!({ "EventDataStore": world.pending, "Name": "renamed" }), "InactiveEventDataStoreException"),
    ]);
    world.refuses("UpdateEventDataStore", &cases).await;
    let unchanged = root.call("GetEventDataStore", plain(json!({}))).await.ok();
    assert_eq!((&unchanged["Name"], &unchanged["RetentionPeriod"]), (&json!("plain"), &json!(366)));
}

#[tokio::test]
async fn a_store_is_neither_changed_nor_deleted_while_an_import_runs() {
    let world = World::new().await;
    let root = world.test.as_root();
    let started = root.towpath("StartUploadImport", json!({ "EventDataStore": world.plain, "Source": "here" })).await;
    let import = started.ok()["ImportId"].clone();
    let code = "EventDataStoreHasOngoingImportException";
    world.refuses("DeleteEventDataStore", &[(json!({ "EventDataStore": world.plain }), code)]).await;
    world.refuses("UpdateEventDataStore", &[(json!({ "EventDataStore": world.plain, "Name": "new" }), code)]).await;
    root.towpath("FinishUploadImport", json!({ "ImportId": import })).await.ok();
    root.call("DeleteEventDataStore", json!({ "EventDataStore": world.plain })).await.ok();
}

#[tokio::test]
async fn restore_start_and_stop_refuse_what_the_guide_says() {
    let world = World::new().await;
    let eds = |store: &str| json!({ "EventDataStore": store });
    let (status, category) = ("InvalidEventDataStoreStatusException", "InvalidEventDataStoreCategoryException");
    let with = |more: &[(Value, &'static str)]| {
        let mut cases = no_such_store(&world, json!({}));
        cases.extend(more.iter().cloned());
        cases
    };
    world.refuses("RestoreEventDataStore", &with(&[(eds(&world.plain), status), (eds(&world.stopped), status)])).await;
    let start = with(&[(eds(&world.plain), status), (eds(&world.pending), status), (eds(&world.activity), category)]);
    world.refuses("StartEventDataStoreIngestion", &start).await;
    let stop = with(&[(eds(&world.stopped), status), (eds(&world.pending), status), (eds(&world.activity), category)]);
    world.refuses("StopEventDataStoreIngestion", &stop).await;
}

#[tokio::test]
async fn a_new_store_has_the_published_defaults() {
    let test = TestService::new().await;
    let root = test.as_root();
    let made = root.call("CreateEventDataStore", json!({ "Name": "new" })).await.ok();
    assert_eq!(made["Status"], "CREATED");
    let seen = root.call("GetEventDataStore", json!({ "EventDataStore": made["EventDataStoreArn"] })).await.ok();
    for (member, value) in [
        ("Status", json!("ENABLED")),
        ("MultiRegionEnabled", json!(true)),
        ("OrganizationEnabled", json!(false)),
        ("TerminationProtectionEnabled", json!(true)),
        ("BillingMode", json!("EXTENDABLE_RETENTION_PRICING")),
        ("RetentionPeriod", json!(366)),
        ("FederationStatus", json!("DISABLED")),
        ("PartitionKeys", json!([{ "Name": "calendarday", "Type": "string" }])),
    ] {
        assert_eq!(seen[member], value, "{member}");
    }
    let selector = &seen["AdvancedEventSelectors"][0];
    assert_eq!(selector["Name"], "Default management events");
    assert_eq!(selector["FieldSelectors"], json!([{ "Field": "eventCategory", "Equals": ["Management"] }]));
    let fixed = json!({ "Name": "fixed", "BillingMode": "FIXED_RETENTION_PRICING", "StartIngestion": false });
    let made = root.call("CreateEventDataStore", fixed).await.ok();
    assert_eq!((&made["Status"], &made["RetentionPeriod"]), (&json!("CREATED"), &json!(2557)));
    let seen = root.call("GetEventDataStore", json!({ "EventDataStore": made["EventDataStoreArn"] })).await.ok();
    assert_eq!(seen["Status"], "STOPPED_INGESTION");
}
