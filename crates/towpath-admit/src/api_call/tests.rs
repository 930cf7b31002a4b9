use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const ACCOUNT: &str = "123456789012";

fn account(text: &str) -> AccountId {
    text.parse().unwrap()
}

fn call(name: &str) -> ApiCall {
    ApiCall {
        identity: UserIdentity::iam_user(
            "AIDAEXAMPLE",
            &Arn::iam(account(ACCOUNT), "user/ann"),
            account(ACCOUNT),
            "AKIAEXAMPLE",
            "ann",
        ),
        time: "2026-11-20T22:57:51.999Z".parse().unwrap(),
        source: ApiSource::CloudTrail,
        name: name.to_owned(),
        region: "us-east-1".parse().unwrap(),
        source_ip: "192.0.2.1".to_owned(),
        user_agent: Some("aws-cli/2".to_owned()),
        request: Parameters::none(),
        outcome: Outcome::Success(Parameters::none()),
        request_id: "req-1".to_owned(),
        read_only: false,
        resources: Vec::new(),
        plane: Plane::Management,
        tls: None,
    }
}

fn copy() -> RecordCopy {
    RecordCopy { recipient: account(ACCOUNT), event_id: Uuid::from_u128(1), shared: None }
}

fn text(call: &ApiCall) -> String {
    String::from_utf8(call.event(&copy(), Timestamp::UNIX_EPOCH).json.to_vec()).unwrap()
}

fn value(call: &ApiCall) -> Value {
    serde_json::from_str(&text(call)).unwrap()
}

#[test]
fn a_change_is_recorded_as_cloudtrail_prints_it() {
    let mut call = call("CreateEventDataStore");
    call.request = Parameters::of_json(
        br#"{ "Name": "x", "AdvancedEventSelectors": [{"Name":"a","FieldSelectors":[{"Field":"eventCategory","Equals":["Data"]}]}], "TagsList":[], "MultiRegionEnabled": true}"#,
    );
    call.outcome = Outcome::Success(Parameters::of_json(br#"{"EventDataStoreArn":"arn:x","CreatedTimestamp":1.7E9}"#));
    call.tls =
        Some(TlsDetails { client_provided_host_header: Some("localhost:4747".to_owned()), ..Default::default() });
    let expected = concat!(
        r#"{"eventVersion":"1.11","userIdentity":{"type":"IAMUser","principalId":"AIDAEXAMPLE","#,
        r#""arn":"arn:aws:iam::123456789012:user/ann","accountId":"123456789012","accessKeyId":"AKIAEXAMPLE","userName":"ann"},"#,
        r#""eventTime":"2026-11-20T22:57:51Z","eventSource":"cloudtrail.amazonaws.com","eventName":"CreateEventDataStore","#,
        r#""awsRegion":"us-east-1","sourceIPAddress":"192.0.2.1","userAgent":"aws-cli/2","#,
        r#""requestParameters":{"name":"x","advancedEventSelectors":[{"name":"a","fieldSelectors":[{"field":"eventCategory","equals":["Data"]}]}],"tagsList":[],"multiRegionEnabled":true},"#,
        r#""responseElements":{"eventDataStoreArn":"arn:x","createdTimestamp":"Nov 14, 2023, 10:13:20 PM"},"#,
        r#""requestID":"req-1","eventID":"00000000-0000-0000-0000-000000000001","readOnly":false,"eventType":"AwsApiCall","#,
        r#""managementEvent":true,"recipientAccountId":"123456789012","eventCategory":"Management","#,
        r#""tlsDetails":{"clientProvidedHostHeader":"localhost:4747"}}"#
    );
    assert_eq!(text(&call), expected);

    let event = call.event(&copy(), Timestamp::UNIX_EPOCH);
    assert_eq!(event.time.to_string(), "2026-11-20T22:57:51Z");
    assert_eq!(event.time.as_millis() % 1000, 0);
    assert_eq!((event.key, event.category), (Uuid::from_u128(1).into(), Category::Management));
}

#[test]
fn put_audit_events_is_a_data_event_without_payload() {
    let channel: Arn = "arn:aws:cloudtrail:us-east-1:123456789012:channel/c".parse().unwrap();
    let mut call = call("PutAuditEvents");
    call.source = ApiSource::CloudTrailData;
    call.plane = Plane::Data;
    call.request = Parameters::of_put_audit_events(channel.as_str(), true, ["1", "2"].into_iter());
    let failed = [("2", "InvalidData")].into_iter();
    call.outcome =
        Outcome::Success(Parameters::of_put_audit_events_result([("1", Uuid::from_u128(2))].into_iter(), failed));
    call.resources =
        vec![Resource { account: account(ACCOUNT), kind: "AWS::CloudTrail::Channel", arn: channel.clone() }];

    let text = text(&call);

    let expected = concat!(
        r#""requestParameters":{"channelArn":"arn:aws:cloudtrail:us-east-1:123456789012:channel/c","#,
        r#""externalId":"HIDDEN_DUE_TO_SECURITY_REASONS","auditEvents":[{"id":"1"},{"id":"2"}]},"#,
        r#""responseElements":{"successful":[{"id":"1","eventID":"00000000-0000-0000-0000-000000000002"}],"#,
        r#""failed":[{"id":"2","errorCode":"InvalidData"}]},"requestID":"req-1","#,
        r#""eventID":"00000000-0000-0000-0000-000000000001","readOnly":false,"#,
        r#""resources":[{"accountId":"123456789012","type":"AWS::CloudTrail::Channel","#,
        r#""ARN":"arn:aws:cloudtrail:us-east-1:123456789012:channel/c"}],"eventType":"AwsApiCall","managementEvent":false,"#,
        r#""recipientAccountId":"123456789012","eventCategory":"Data"}"#
    );
    assert!(text.ends_with(expected), "{text}");
    assert!(text.contains(r#""eventSource":"cloudtrail-data.amazonaws.com""#));
    let resources = call.resource_facts();
    let facts = call.facts(&resources);
    assert_eq!((facts.category, facts.resources[0].0), ("Data", Some("AWS::CloudTrail::Channel")));
}

#[test]
fn a_refused_call_says_why_and_answers_nothing() {
    let mut call = call("DeleteChannel");
    call.identity = UserIdentity::unknown();
    call.user_agent = None;
    call.outcome = Outcome::Failure { code: "AccessDenied".to_owned(), message: Some("no".to_owned()) };
    let value = value(&call);
    assert_eq!(value["userIdentity"], json!({"type": "Unknown"}));
    assert_eq!((&value["errorCode"], &value["errorMessage"]), (&json!("AccessDenied"), &json!("no")));
    assert_eq!((&value["requestParameters"], &value["responseElements"]), (&Value::Null, &Value::Null));
    let record = value.as_object().unwrap();
    assert!(record.contains_key("responseElements") && !record.contains_key("userAgent"));
    assert_eq!(call.facts(&[]).error_code, Some("AccessDenied"));
}

#[test]
fn reading_calls_answer_nothing_but_assume_role_does() {
    let answer = || Outcome::Success(Parameters::of_json(br#"{"A":1}"#));
    for (name, expected) in [("GetChannel", Value::Null), ("AssumeRole", json!({"a": 1}))] {
        let call = ApiCall { read_only: true, outcome: answer(), ..call(name) };
        assert_eq!(value(&call)["responseElements"], expected, "{name}");
    }
}

#[test]
fn a_role_session_names_its_role() {
    let session = RoleSession {
        role_id: "AROAEXAMPLE".to_owned(),
        role_arn: Arn::iam(account(ACCOUNT), "role/Audit"),
        role_name: "Audit".to_owned(),
        account: account(ACCOUNT),
        session_name: "s".to_owned(),
        session_arn: "arn:aws:sts::123456789012:assumed-role/Audit/s".parse().unwrap(),
        access_key_id: "ASIAEXAMPLE".to_owned(),
        created: "2026-11-20T22:00:00Z".parse().unwrap(),
        mfa: false,
        source_identity: Some("ann".to_owned()),
    };
    let text = serde_json::to_string(&UserIdentity::assumed_role(&session)).unwrap();
    let expected = concat!(
        r#"{"type":"AssumedRole","principalId":"AROAEXAMPLE:s","arn":"arn:aws:sts::123456789012:assumed-role/Audit/s","#,
        r#""accountId":"123456789012","accessKeyId":"ASIAEXAMPLE","sessionContext":{"sessionIssuer":{"type":"Role","#,
        r#""principalId":"AROAEXAMPLE","arn":"arn:aws:iam::123456789012:role/Audit","accountId":"123456789012","userName":"Audit"},"#,
        r#""attributes":{"creationDate":"2026-11-20T22:00:00Z","mfaAuthenticated":"false"},"sourceIdentity":"ann"}}"#
    );
    assert_eq!(text, expected);
}

#[test]
fn another_account_learns_only_account_and_principal_of_the_caller() {
    let call = call("PutAuditEvents");
    let copy = RecordCopy { recipient: account("210987654321"), shared: Some(Uuid::from_u128(9)), ..copy() };
    let record: Value = serde_json::from_slice(&call.event(&copy, Timestamp::UNIX_EPOCH).json).unwrap();
    assert_eq!(
        record["userIdentity"],
        json!({"type": "AWSAccount", "principalId": "AIDAEXAMPLE", "accountId": ACCOUNT})
    );
    assert_eq!(record["sharedEventID"], json!("00000000-0000-0000-0000-000000000009"));
    assert_eq!(record["recipientAccountId"], json!("210987654321"));
}

#[test]
fn the_root_of_an_account_has_the_account_as_principal() {
    let text = serde_json::to_string(&UserIdentity::root(account(ACCOUNT), "AKIAROOT")).unwrap();
    let expected = r#"{"type":"Root","principalId":"123456789012","arn":"arn:aws:iam::123456789012:root","accountId":"123456789012","accessKeyId":"AKIAROOT"}"#;
    assert_eq!(text, expected);
}

#[test]
fn a_record_is_whole_and_its_standard_form_within_the_published_sizes() {
    let mut call = call("StartQuery");
    call.user_agent = Some("ü".repeat(600) + "x");
    call.outcome = Outcome::Failure { code: "E".repeat(2000), message: Some("m".repeat(2000)) };
    call.request = Parameters::of_json(json!({"QueryStatement": "q".repeat(102_400)}).to_string().as_bytes());
    let whole = value(&call);
    assert_eq!(whole["userAgent"].as_str().unwrap().len(), 1201);
    assert_eq!(whole["requestParameters"]["queryStatement"].as_str().unwrap().len(), 102_400);

    let form = standard_form(&call.event(&copy(), Timestamp::UNIX_EPOCH).json);
    let cut: Value = serde_json::from_slice(&form).unwrap();
    assert_eq!(cut["userAgent"].as_str().unwrap().len(), 1024);
    assert_eq!(cut["errorCode"].as_str().unwrap().len(), 1024);
    assert_eq!(cut["errorMessage"].as_str().unwrap().len(), 1024);
    let note = json!({"reason": "requestParameters too large", "omitted": true, "originalSize": 102_421});
    assert_eq!(cut["requestParameters"], note);
    call.request = Parameters::of_json(json!({"QueryStatement": "q".repeat(102_379)}).to_string().as_bytes());
    let form = standard_form(&call.event(&copy(), Timestamp::UNIX_EPOCH).json);
    let cut: Value = serde_json::from_slice(&form).unwrap();
    assert_eq!(cut["requestParameters"]["queryStatement"].as_str().unwrap().len(), 102_379);
}

#[test]
fn secrets_are_never_recorded() {
    let secret = "hunter2";
    let wire = json!({
        "Credentials": {"AccessKeyId": "ASIA", "SecretAccessKey": secret, "SessionToken": secret, "Expiration": 1.7e9},
        "ExternalId": secret, "externalId": secret, "Password": secret, "TokenCode": secret,
        "auditEvents": [{"id": "1", "eventData": secret}], "List": [[{"EventData": secret}]],
    });
    let mut call = call("AssumeRole");
    call.request = Parameters::of_json(wire.to_string().as_bytes());
    let text = text(&call);
    assert!(!text.contains(secret), "{text}");
    assert_eq!(value(&call)["requestParameters"]["credentials"]["accessKeyId"], json!("ASIA"));
    assert_eq!(value(&call)["requestParameters"]["list"], json!([[{}]]));
}

#[test]
fn names_are_small_at_the_first_letter_and_map_keys_stay() {
    let printed = |wire: &str| {
        let mut call = call("X");
        call.request = Parameters::of_json(wire.as_bytes());
        value(&call)["requestParameters"].clone()
    };
    assert_eq!(printed(r#"{"TrailARN":1,"S3BucketName":2}"#), json!({"trailARN": 1, "s3BucketName": 2}));
    assert_eq!(
        printed(r#"{"QueryParameterValues":{"$Start":"x","Key":"y"}}"#),
        json!({"queryParameterValues": {"$Start": "x", "Key": "y"}})
    );
    assert_eq!(
        printed(r#"{"StartTime":0,"EndTime":1e99,"Time":"x","n":1.50}"#)["startTime"],
        json!("Jan 1, 1970, 12:00:00 AM")
    );
    for nothing in ["", "{}", "[]", "null", "{", "{\"a\":1} x", "7"] {
        assert_eq!(printed(nothing), Value::Null, "{nothing}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_bytes_make_recording_panic_or_write_what_is_no_json(bytes in proptest::collection::vec(any::<u8>(), 0..80), text in any::<String>()) {
        let mut call = call(&text);
        call.user_agent = Some(text.clone());
        call.source_ip = text.clone();
        for body in [bytes, json!({text.clone(): {text.clone(): [text, 1e300]}}).to_string().into_bytes()] {
            call.request = Parameters::of_json(&body);
            prop_assert!(serde_json::from_slice::<Value>(&call.event(&copy(), Timestamp::UNIX_EPOCH).json).is_ok());
        }
    }
}
