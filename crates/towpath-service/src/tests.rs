//! The operations as callers see them: every modelled error with a known cause, life cycles, hostile input.

mod channels;
mod delegated_administrators;
mod event_configuration;
mod event_data_stores;
mod first_party;
mod hostile;
mod paging;
mod resource_policies;
mod sessions;
mod states;
mod tags;

use serde_json::{Value, json};
use towpath_wire::Operation;
use towpath_wire::Service as Api;

use crate::testing::{ACCOUNT, REGION, TestCaller, TestService};

/// An id that nothing has.
const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

/// A store for events from integrations.
fn activity() -> Value {
    json!([{ "FieldSelectors": [{ "Field": "eventCategory", "Equals": ["ActivityAuditLog"] }] }])
}

fn arn_of(kind: &str, id: &str) -> String {
    format!("arn:aws:cloudtrail:{REGION}:{ACCOUNT}:{kind}/{id}")
}

/// Makes a store without termination protection; `more` adds members.
async fn store(caller: &TestCaller<'_>, name: &str, more: Value) -> String {
    let mut input = json!({ "Name": name, "TerminationProtectionEnabled": false });
    input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let made = caller.call("CreateEventDataStore", input).await.ok();
    made["EventDataStoreArn"].as_str().unwrap().to_owned()
}

/// Makes a channel into a store.
async fn channel(caller: &TestCaller<'_>, name: &str, into: &str) -> String {
    let destinations = json!([{ "Type": "EVENT_DATA_STORE", "Location": into }]);
    let input = json!({ "Name": name, "Source": "Custom", "Destinations": destinations });
    caller.call("CreateChannel", input).await.ok()["ChannelArn"].as_str().unwrap().to_owned()
}

/// Some of everything, to refuse operations on.
struct World {
    test: TestService,
    /// Events of CloudTrail, enabled, not protected.
    plain: String,
    protected: String,
    stopped: String,
    pending: String,
    /// Events from integrations, the destination of `channel`.
    activity: String,
    channel: String,
    /// Belongs to another account.
    foreign: String,
    foreign_channel: String,
}

impl World {
    async fn new() -> Self {
        let test = TestService::new().await;
        let other = test.account("111111111111").await;
        let root = test.as_root();
        let plain = store(&root, "plain", json!({})).await;
        let protected = store(&root, "protected", json!({ "TerminationProtectionEnabled": true })).await;
        let stopped = store(&root, "stopped", json!({ "StartIngestion": false })).await;
        let pending = store(&root, "pending", json!({})).await;
        root.call("DeleteEventDataStore", json!({ "EventDataStore": pending })).await.ok();
        let activity = store(&root, "activity", json!({ "AdvancedEventSelectors": activity() })).await;
        let channel = channel(&root, "channel", &activity).await;
        let stranger = test.caller(&other);
        let foreign = store(&stranger, "foreign", json!({ "AdvancedEventSelectors": self::activity() })).await;
        let foreign_channel = self::channel(&stranger, "foreign", &foreign).await;
        Self { plain, protected, stopped, pending, activity, channel, foreign, foreign_channel, test }
    }

    /// Calls with each input and expects its error, which the service model must list for the operation.
    async fn refuses(&self, operation: &str, cases: &[(Value, &str)]) {
        let modelled = Operation::named(Api::CloudTrail, operation).unwrap();
        for (input, code) in cases {
            let answer = self.test.as_root().call(operation, input.clone()).await;
            assert_eq!(answer.code(), *code, "{operation} {input}: {}", answer.text);
            let listed = modelled.error(code).is_some() || *code == "ValidationException";
            assert!(listed, "the service model does not list {code} for {operation}");
        }
    }
}

#[tokio::test]
async fn a_user_without_rights_is_denied_every_operation_and_each_denial_is_recorded() {
    let world = World::new().await;
    let nobody =
        json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Action": "s3:*", "Resource": "*" }] });
    let user = world.test.user("nobody", &nobody).await;
    let caller = world.test.caller(&user);
    let destinations = json!([{ "Type": "EVENT_DATA_STORE", "Location": world.activity }]);
    let (eds, channel) = (json!({ "EventDataStore": world.plain }), json!({ "Channel": world.channel }));
    let policy = json!({ "ResourceArn": world.channel });
    let tags = json!({ "ResourceId": world.plain, "TagsList": [{ "Key": "k" }] });
    let calls = [
        ("CreateEventDataStore", json!({ "Name": "mine" })),
        ("GetEventDataStore", eds.clone()),
        ("UpdateEventDataStore", json!({ "EventDataStore": world.plain, "Name": "mine" })),
        ("ListEventDataStores", json!({})),
        ("DeleteEventDataStore", eds.clone()),
        ("RestoreEventDataStore", eds.clone()),
        ("StartEventDataStoreIngestion", eds.clone()),
        ("StopEventDataStoreIngestion", eds.clone()),
        (
            "PutEventConfiguration",
            json!({ "EventDataStore": world.plain, "MaxEventSize": "Large", "ContextKeySelectors": [] }),
        ),
        ("GetEventConfiguration", eds),
        ("CreateChannel", json!({ "Name": "mine", "Source": "Custom", "Destinations": destinations })),
        ("GetChannel", channel.clone()),
        ("UpdateChannel", json!({ "Channel": world.channel, "Name": "mine" })),
        ("ListChannels", json!({})),
        ("DeleteChannel", channel),
        ("PutResourcePolicy", json!({ "ResourceArn": world.channel, "ResourcePolicy": "{}" })),
        ("GetResourcePolicy", policy.clone()),
        ("DeleteResourcePolicy", policy),
        ("AddTags", tags.clone()),
        ("RemoveTags", tags),
        ("ListTags", json!({ "ResourceIdList": [world.plain] })),
    ];
    for (operation, input) in &calls {
        let answer = caller.call(operation, input.clone()).await;
        assert_eq!(answer.code(), "AccessDeniedException", "{operation}: {}", answer.text);
        let message = answer.json()["Message"].as_str().unwrap_or_default().to_owned();
        assert!(message.contains(&format!("cloudtrail:{operation}")), "{message}");
    }
    let events = world.test.events().await;
    for (operation, _) in &calls {
        let denied = events.iter().any(|event| {
            let record: Value = serde_json::from_slice(&event.json).unwrap();
            record["eventName"] == *operation && record["errorCode"] == "AccessDenied"
        });
        assert!(denied, "{operation} was denied without a record");
    }
}
