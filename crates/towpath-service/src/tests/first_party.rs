//! Records that first-party software writes: who may, what becomes of them, and sign-ins told in few words.

use uuid::Uuid;

use super::*;
use crate::OfferedRecord;
use crate::testing::Answer;

const OTHER: &str = "111111111111";

/// A record of a call, made a minute before the tests' clock.
fn record(id: u128, name: &str, account: &str) -> Value {
    json!({
        "eventVersion": "1.11",
        "userIdentity": { "type": "IAMUser", "principalId": "AIDAEXAMPLE", "accountId": account, "userName": "alice" },
        "eventTime": "2026-01-19T23:59:00Z",
        "eventSource": "dynamodb.amazonaws.com",
        "eventName": name,
        "awsRegion": REGION,
        "sourceIPAddress": "192.0.2.1",
        "requestParameters": { "tableName": "é" },
        "responseElements": null,
        "eventID": Uuid::from_u128(id).to_string(),
        "readOnly": false,
        "eventType": "AwsApiCall",
        "managementEvent": true,
        "recipientAccountId": account,
        "eventCategory": "Management"
    })
}

async fn put(caller: &TestCaller<'_>, records: &[Value]) -> Answer {
    caller.towpath("PutRecords", json!({ "Records": records })).await
}

/// Texts of the records of a name that event history has, newest first.
async fn found(caller: &TestCaller<'_>, name: &str) -> Vec<String> {
    let input = json!({ "LookupAttributes": [{ "AttributeKey": "EventName", "AttributeValue": name }] });
    let answer = caller.call("LookupEvents", input).await.ok();
    let events = answer["Events"].as_array().unwrap().iter();
    events.map(|event| event["CloudTrailEvent"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_record_is_found_as_it_was_sent_and_is_one_event_however_often_it_comes() {
    let test = TestService::new().await;
    let root = test.as_root();
    let records = [record(1, "CreateTable", ACCOUNT), record(2, "CreateTable", ACCOUNT)];
    for _ in 0..2 {
        let answer = put(&root, &records).await.ok();
        assert_eq!(answer, json!({ "Accepted": 2, "Failed": [] }));
        let mut texts = found(&root, "CreateTable").await;
        texts.sort();
        let mut sent: Vec<_> = records.iter().map(Value::to_string).collect();
        sent.sort();
        assert_eq!(texts, sent);
    }
}

#[tokio::test]
async fn each_record_has_its_own_verdict() {
    let test = TestService::new().await;
    let root = test.as_root();
    let mut late = record(3, "A", ACCOUNT);
    late["eventTime"] = "2020-01-01T00:00:00Z".into();
    let records = [
        record(1, "A", ACCOUNT),
        record(1, "A", ACCOUNT),
        json!({ "eventName": "A" }),
        json!(7),
        late,
        record(4, "A", "999999999999"),
        record(5, "A", ACCOUNT),
    ];
    let answer = put(&root, &records).await.ok();
    assert_eq!(answer["Accepted"], 2);
    let failed = answer["Failed"].as_array().unwrap().iter();
    let failed: Vec<_> = failed.map(|it| (it["Index"].as_u64().unwrap(), it["ErrorCode"].as_str().unwrap())).collect();
    let expected = [
        (1, "DuplicateEventId"),
        (2, "InvalidRecord"),
        (3, "InvalidRecord"),
        (4, "TimeOutOfRange"),
        (5, "AccountNotFound"),
    ];
    assert_eq!(failed, expected);
    assert_eq!(found(&root, "A").await.len(), 2);
}

#[tokio::test]
async fn arrays_do_not_stand_for_structures_of_a_record() {
    let test = TestService::new().await;
    let mut identity = record(1, "A", ACCOUNT);
    identity["userIdentity"] = json!(["IAMUser", "arn:aws:iam::000000000000:user/alice", null]);
    let mut resources = record(2, "A", ACCOUNT);
    resources["resources"] = json!([["AWS::DynamoDB::Table", "arn:aws:dynamodb:eu-central-1:000000000000:table/t"]]);
    let whole: Vec<_> = record(3, "A", ACCOUNT).as_object().unwrap().values().cloned().collect();
    let answer = put(&test.as_root(), &[identity, resources, whole.into()]).await.ok();
    assert_eq!(answer["Accepted"], 0);
    for failed in answer["Failed"].as_array().unwrap() {
        assert!(failed["ErrorMessage"].as_str().unwrap().contains("expected a JSON object"), "{failed}");
    }
}

#[tokio::test]
async fn an_account_writes_for_itself_and_the_first_account_for_all() {
    let test = TestService::new().await;
    let other = test.account(OTHER).await;
    let (root, other) = (test.as_root(), test.caller(&other));
    put(&root, &[record(1, "ByFirst", OTHER)]).await.ok();
    put(&other, &[record(2, "ByItself", OTHER)]).await.ok();
    let answer = put(&other, &[record(3, "Forged", ACCOUNT)]).await.ok();
    assert_eq!(answer["Failed"][0]["ErrorCode"], "AccessDenied");
    assert_eq!(found(&other, "ByFirst").await.len(), 1);
    assert_eq!(found(&other, "ByItself").await.len(), 1);
    assert!(found(&root, "Forged").await.is_empty());
}

#[tokio::test]
async fn the_call_needs_a_right_of_its_own_and_is_recorded_where_refused() {
    let test = TestService::new().await;
    let rights = |action: &str| json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Action": action, "Resource": "*" }] });
    let may = test.user("gate", &rights("towpath:PutRecords")).await;
    let may_not = test.user("other", &rights("cloudtrail:*")).await;
    put(&test.caller(&may), &[record(1, "A", ACCOUNT)]).await.ok();
    let refused = put(&test.caller(&may_not), &[record(2, "A", ACCOUNT)]).await;
    assert_eq!(refused.code(), "AccessDeniedException");

    // What was taken is a data event of the account, which nobody asks for here; what was refused is in event history.
    let calls = found(&test.as_root(), "PutRecords").await;
    assert_eq!(calls.len(), 1);
    let call: Value = serde_json::from_str(&calls[0]).unwrap();
    assert_eq!((&call["errorCode"], &call["requestParameters"]), (&json!("AccessDenied"), &json!({ "records": 1 })));
    assert_eq!(put(&test.as_root(), &[]).await.code(), "ValidationException");
    let text = test.as_root().towpath_raw("PutRecords", b"{\"Records\":[".to_vec()).await;
    assert_eq!(text.code(), "SerializationException");
}

#[tokio::test]
async fn records_go_to_stores_whose_selectors_want_them() {
    let test = TestService::new().await;
    let root = test.as_root();
    let selectors = json!([{ "FieldSelectors": [
        { "Field": "eventCategory", "Equals": ["Data"] },
        { "Field": "resources.type", "Equals": ["AWS::DynamoDB::Table"] },
        { "Field": "readOnly", "Equals": ["false"] },
    ] }]);
    let store = store(&root, "data", json!({ "AdvancedEventSelectors": selectors })).await;
    let data = |id, kind: &str| {
        let mut record = record(id, "PutItem", ACCOUNT);
        record["eventCategory"] = "Data".into();
        record["managementEvent"] = false.into();
        record["resources"] = json!([{ "accountId": ACCOUNT, "type": kind, "ARN": "arn:aws:dynamodb:x:0:table/t" }]);
        record
    };
    put(&root, &[data(1, "AWS::DynamoDB::Table"), data(2, "AWS::S3::Object")]).await.ok();
    let id = store.rsplit('/').next().unwrap().to_owned();
    let events = test.events().await;
    let routed: Vec<_> = events.iter().filter(|event| event.json.windows(7).any(|part| part == b"PutItem")).collect();
    assert_eq!(routed.len(), 1, "what nobody wants is not stored");
    assert_eq!(routed[0].destinations.len(), 1);
    assert_eq!(routed[0].destinations[0].store.to_string(), id);
}

#[tokio::test]
async fn a_sign_in_has_the_form_of_cloudtrails() {
    let test = TestService::new().await;
    let root = test.as_root();
    root.towpath("CreateUser", json!({ "UserName": "alice" })).await.ok();
    let sign_ins = [
        json!({ "UserName": "alice", "Success": true, "MFAUsed": true, "MFAIdentifier": "arn:aws:iam::0:mfa/a" }),
        json!({ "UserName": "alice", "Success": false }),
        json!({ "UserName": "my-password", "Success": false }),
        json!({ "Success": true, "MobileVersion": true, "LoginTo": "https://console.example.com" }),
    ];
    for mut sign_in in sign_ins {
        sign_in["SourceIPAddress"] = "203.0.113.9".into();
        // Without it they are events of us-east-1, as sign-ins to the global console are.
        sign_in["Region"] = REGION.into();
        sign_in["UserAgent"] = "Mozilla/5.0".into();
        root.towpath("PutConsoleSignIn", sign_in).await.ok();
    }
    let texts = found(&root, "ConsoleLogin").await;
    assert_eq!(texts.len(), 4);
    let record = |like: &dyn Fn(&Value) -> bool| {
        texts.iter().map(|text| serde_json::from_str(text).unwrap()).find(|record| like(record)).unwrap()
    };
    let success: Value = record(&|it| it["additionalEventData"]["MFAUsed"] == "Yes");
    assert_eq!(success["eventSource"], "signin.amazonaws.com");
    assert_eq!(success["eventType"], "AwsConsoleSignIn");
    assert_eq!(success["responseElements"], json!({ "ConsoleLogin": "Success" }));
    assert_eq!(success["requestParameters"], Value::Null);
    assert_eq!(success["userIdentity"]["arn"], "arn:aws:iam::000000000000:user/alice");
    assert_eq!(success["additionalEventData"]["MFAIdentifier"], "arn:aws:iam::0:mfa/a");
    assert!(success.get("requestID").is_none());

    let failure: Value = record(&|it| it["userIdentity"]["userName"] == "alice" && it["errorMessage"].is_string());
    let identity = json!({ "type": "IAMUser", "accountId": ACCOUNT, "accessKeyId": "", "userName": "alice" });
    assert_eq!(failure["userIdentity"], identity);
    assert_eq!(failure["errorMessage"], "Failed authentication");
    assert!(failure.get("errorCode").is_none());

    let nobody: Value = record(&|it| it["userIdentity"]["userName"] == "HIDDEN_DUE_TO_SECURITY_REASONS");
    assert_eq!(nobody["responseElements"], json!({ "ConsoleLogin": "Failure" }));
    assert!(texts.iter().all(|text| !text.contains("my-password")), "people type passwords into the wrong field");
    let calls = found(&root, "PutConsoleSignIn").await;
    assert!(calls.len() == 4 && calls.iter().all(|text| !text.contains("my-password")), "{calls:?}");

    let owner: Value = record(&|it| it["userIdentity"]["type"] == "Root");
    let additional = json!({ "LoginTo": "https://console.example.com", "MobileVersion": "Yes", "MFAUsed": "No" });
    assert_eq!(owner["additionalEventData"], additional);

    let stranger = json!({ "UserName": "bob", "Success": true, "SourceIPAddress": "203.0.113.9" });
    assert_eq!(root.towpath("PutConsoleSignIn", stranger).await.code(), "ValidationException");
}

#[tokio::test]
async fn a_gateway_learns_whose_a_key_is_and_a_foreign_one_learns_nothing() {
    let test = TestService::new().await;
    let other = test.account(OTHER).await;
    let ask = |key: &str| json!({ "AccessKeyId": key });
    let root = test.as_root();
    let known = root.towpath("ResolveCaller", ask(&other.access_key_id)).await.ok();
    assert_eq!(known["UserIdentity"]["arn"], "arn:aws:iam::111111111111:root");
    assert_eq!(root.towpath("ResolveCaller", ask("AKIANOBODY")).await.ok(), json!({}));
    let refused = test.caller(&other).towpath("ResolveCaller", ask(&test.root.access_key_id)).await;
    assert_eq!(refused.code(), "AccessDeniedException");
}

#[tokio::test]
async fn a_gateway_in_the_process_writes_for_every_account_and_is_told_what_is_refused() {
    let test = TestService::new().await;
    test.account(OTHER).await;
    let offered = |id: u128, account: &str| OfferedRecord {
        event_id: Uuid::from_u128(id),
        json: record(id, "Captured", account).to_string().into(),
        channel: None,
    };
    let records = [offered(1, ACCOUNT), offered(2, "999999999999"), offered(3, OTHER)];
    for _ in 0..2 {
        let refused = test.service.put_gateway_records(&records).await.unwrap();
        assert_eq!(refused.len(), 1);
        assert_eq!((refused[0].0, refused[0].1.code), (1, "AccountNotFound"));
    }
    assert_eq!(found(&test.as_root(), "Captured").await.len(), 1);
    let owner = test.service.key_owner(&test.root.access_key_id, None).unwrap();
    assert_eq!(owner.identity.kind(), "Root");
    assert!(test.service.key_owner("AKIANOBODY", None).is_err());

    let root = test.as_root();
    let into = store(&root, "activity", json!({ "AdvancedEventSelectors": activity() })).await;
    let channel = channel(&root, "orders", &into).await;
    let entry = |data: Value| OfferedRecord {
        event_id: Uuid::from_u128(9),
        json: data.to_string().into(),
        channel: Some(channel.as_str().into()),
    };
    let good = json!({
        "version": "1.0", "userIdentity": { "type": "CustomUserIdentity", "principalId": "p" },
        "eventSource": "orders.example.org", "eventName": "createOrder", "eventTime": "2026-01-19T23:59:00Z",
        "UID": "u-1", "recipientAccountId": ACCOUNT,
    });
    assert_eq!(test.service.put_gateway_records(&[entry(good)]).await.unwrap(), []);
    let refused = test.service.put_gateway_records(&[entry(json!({ "version": "1.0" }))]).await.unwrap();
    assert_eq!(refused.len(), 1);
}
