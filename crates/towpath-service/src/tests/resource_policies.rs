//! PutResourcePolicy, GetResourcePolicy, DeleteResourcePolicy: what each refuses, and whom a policy is about.

use super::*;

fn policy(resource: &str, principal: &str) -> Value {
    let action =
        if resource.contains(":channel/") { "cloudtrail-data:PutAuditEvents" } else { "cloudtrail:GetEventDataStore" };
    let statement = json!({
        "Effect": "Allow", "Principal": { "AWS": principal }, "Action": action, "Resource": resource,
    });
    json!({ "Version": "2012-10-17", "Statement": [statement] })
}

fn put(resource: &str, policy: &Value) -> Value {
    json!({ "ResourceArn": resource, "ResourcePolicy": policy.to_string() })
}

#[tokio::test]
async fn policies_are_refused_where_the_guide_says() {
    let world = World::new().await;
    let root = format!("arn:aws:iam::{ACCOUNT}:root");
    let good = policy(&world.channel, &root);
    let resources = [
        ("arn:aws:s3:::bucket".to_owned(), "ResourceARNNotValidException"),
        ("nonsense".to_owned(), "ResourceARNNotValidException"),
        (arn_of("channel", "x"), "ResourceARNNotValidException"),
        (arn_of("trail", "main"), "ResourceTypeNotSupportedException"),
        (arn_of("channel", NOBODY), "ResourceNotFoundException"),
        (arn_of("eventdatastore", NOBODY), "ResourceNotFoundException"),
        (world.pending.clone(), "ResourceNotFoundException"),
    ];
    let named: Vec<_> = resources.iter().map(|(arn, code)| (json!({ "ResourceArn": arn }), *code)).collect();
    let nothing = [(json!({ "ResourceArn": world.channel }), "ResourcePolicyNotFoundException")];
    for operation in ["GetResourcePolicy", "DeleteResourcePolicy"] {
        world.refuses(operation, &named).await;
        world.refuses(operation, &nothing).await;
    }

    let mut cases: Vec<_> = resources.iter().map(|(arn, code)| (put(arn, &policy(arn, &root)), *code)).collect();
    let changed = |from: &str, to: &str| {
        let text = good.to_string().replace(from, to);
        (json!({ "ResourceArn": world.channel, "ResourcePolicy": text }), "ResourcePolicyNotValidException")
    };
    let unknown = format!("arn:aws:iam::{ACCOUNT}:user/nobody");
    let mut statements = good.clone();
    statements["Statement"] = Value::from(vec![good["Statement"][0].clone(); 21]);
    let long = "x".repeat(8200);
    cases.extend([
        changed("{", "["),
        changed("Allow", "Maybe"),
        changed("PutAuditEvents", "PutEverything"),
        changed(&root, "*"),
        changed(&root, &unknown),
        changed(&world.channel, "*"),
        changed("2012-10-17", &long),
        (put(&world.channel, &statements), "ResourcePolicyNotValidException"),
    ]);
    world.refuses("PutResourcePolicy", &cases).await;
    world.refuses("GetResourcePolicy", &nothing).await;
    world.test.as_root().call("PutResourcePolicy", put(&world.channel, &good)).await.ok();
}

#[tokio::test]
async fn a_policy_is_about_the_user_it_named_and_not_about_another_of_the_same_name() {
    let world = World::new().await;
    let nothing =
        json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Action": "s3:*", "Resource": "*" }] });
    let first = world.test.user("jane", &nothing).await;
    let arn = format!("arn:aws:iam::{ACCOUNT}:user/jane");
    let document = policy(&world.plain, &arn);
    let root = world.test.as_root();
    root.call("PutResourcePolicy", put(&world.plain, &document)).await.ok();

    let get = json!({ "EventDataStore": world.plain });
    let shown = || async {
        let answer = root.call("GetResourcePolicy", json!({ "ResourceArn": world.plain })).await.ok();
        answer["ResourcePolicy"].as_str().unwrap().to_owned()
    };
    world.test.caller(&first).call("GetEventDataStore", get.clone()).await.ok();
    assert_eq!(shown().await, document.to_string());

    root.towpath("DeleteAccessKey", json!({ "AccessKeyId": first.access_key_id })).await.ok();
    root.towpath("DeleteUserPolicy", json!({ "UserName": "jane", "PolicyName": "p" })).await.ok();
    root.towpath("DeleteUser", json!({ "UserName": "jane" })).await.ok();
    let second = world.test.user("jane", &nothing).await;
    let denied = world.test.caller(&second).call("GetEventDataStore", get.clone()).await;
    assert_eq!(denied.code(), "AccessDeniedException", "{}", denied.text);
    let principal = serde_json::from_str::<Value>(&shown().await).unwrap()["Statement"][0]["Principal"]["AWS"].clone();
    assert!(principal.as_str().unwrap().starts_with("AIDA"), "{principal}");

    // Put again, it is about the new one.
    root.call("PutResourcePolicy", put(&world.plain, &document)).await.ok();
    world.test.caller(&second).call("GetEventDataStore", get).await.ok();
}
