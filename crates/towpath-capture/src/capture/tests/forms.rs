//! Records of calls to services of every form, of calls that failed, and of calls of which little is known.

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use towpath_admit::UserIdentity;

use super::wire::{ACCOUNT, Wire, caller, capture};
use crate::capture::Capture;
use crate::model::Models;
use crate::profile::Profiles;
use crate::{Body, Ending, Tls};

fn bare() -> Capture {
    Capture::new(Models::none(), Profiles::shipped())
}

/// The parts of a record that a call's service decides.
fn parts(record: &Json) -> Json {
    json!({
        "source": record["eventSource"], "name": record["eventName"], "read": record["readOnly"],
        "data": record["eventCategory"] == "Data", "request": record["requestParameters"],
        "response": record["responseElements"],
    })
}

#[test]
fn a_whole_record_has_every_field_in_its_place() {
    let Some(capture) = capture() else { return };
    let mut call = Wire::new("PUT", "/bucket/a%20key?x-id=PutObject", "s3")
        .header("host", "s3.eu-west-1.amazonaws.com")
        .header("authorization", "AWS4-HMAC-SHA256 Credential=AKIA/20261120/eu-west-1/s3/aws4_request, Signature=ff")
        .header("user-agent", "aws-cli/2")
        .header("x-amz-acl", "private")
        .body("0123456789")
        .answer_header("x-amz-server-side-encryption", "AES256")
        .answer_header("x-amz-id-2", "id2");
    call.region = "eu-west-1".to_owned();
    call.tls = Some(Tls {
        version: Some("TLSv1.3".to_owned()),
        cipher_suite: Some("TLS_AES_128_GCM_SHA256".to_owned()),
        key_exchange: Some("x25519".to_owned()),
    });
    let records = call.records(capture);
    let id = serde_json::from_str::<Json>(&records[0]).unwrap()["eventID"].as_str().unwrap().to_owned();
    let expected = [
        r#"{"eventVersion":"1.11","userIdentity":{"type":"IAMUser","principalId":"AIDAEXAMPLE","#,
        r#""arn":"arn:aws:iam::123456789012:user/ann","accountId":"123456789012","accessKeyId":"AKIAEXAMPLE","userName":"ann"},"#,
        r#""eventTime":"2026-11-20T22:57:51Z","eventSource":"s3.amazonaws.com","eventName":"PutObject","awsRegion":"eu-west-1","#,
        r#""sourceIPAddress":"192.0.2.1","userAgent":"[aws-cli/2]","requestParameters":{"bucketName":"bucket","#,
        r#""Host":"s3.eu-west-1.amazonaws.com","x-id":"PutObject","x-amz-acl":"private","key":"a key"},"#,
        r#""responseElements":{"x-amz-server-side-encryption":"AES256"},"additionalEventData":{"SignatureVersion":"SigV4","#,
        r#""CipherSuite":"TLS_AES_128_GCM_SHA256","bytesTransferredIn":10.0,"AuthenticationMethod":"AuthHeader","#,
        r#""x-amz-id-2":"id2","bytesTransferredOut":0.0},"requestID":"11111111-2222-3333-4444-555555555555","#,
        &format!(r#""eventID":"{id}","readOnly":false,"resources":[{{"type":"AWS::S3::Object","#),
        r#""ARN":"arn:aws:s3:::bucket/a key"},{"accountId":"123456789012","type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::bucket"}],"#,
        r#""eventType":"AwsApiCall","managementEvent":false,"recipientAccountId":"123456789012","eventCategory":"Data","#,
        r#""tlsDetails":{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256","#,
        r#""clientProvidedHostHeader":"s3.eu-west-1.amazonaws.com","keyExchange":"x25519"}}"#,
    ];
    assert_eq!(records, [expected.concat()]);
}

#[test]
fn calls_on_buckets_are_management_events_with_names_of_the_wire() {
    let Some(capture) = capture() else { return };
    let s3 = |method, uri: &str, host: &str| Wire::new(method, uri, "s3").header("host", host);
    let record = s3("GET", "/?acl", "b.s3.us-east-1.amazonaws.com").answer(200, "<x/>").record(capture);
    assert_eq!(
        parts(&record),
        json!({"source": "s3.amazonaws.com", "name": "GetBucketAcl", "read": true, "data": false, "response": null,
            "request": {"bucketName": "b", "Host": "b.s3.us-east-1.amazonaws.com", "acl": ""}})
    );
    assert_eq!(record["additionalEventData"], json!({"bytesTransferredIn": 0, "bytesTransferredOut": 4}));
    let policy = r#"{"Version":"2012-10-17","Statement":[]}"#;
    let record = s3("PUT", "/b?policy", "s3.amazonaws.com").body(policy).answer(204, "").record(capture);
    let expected = json!({"bucketPolicy": {"Version": "2012-10-17", "Statement": []}, "bucketName": "b", "Host": "s3.amazonaws.com", "policy": ""});
    assert_eq!(parts(&record)["request"], expected);
    let xml = r#"<CreateBucketConfiguration xmlns="urn:s3"><LocationConstraint>us-west-2</LocationConstraint></CreateBucketConfiguration>"#;
    let record = s3("PUT", "/b", "s3.amazonaws.com").body(xml).record(capture);
    let body = json!({"xmlns": "urn:s3", "LocationConstraint": "us-west-2"});
    assert_eq!(record["requestParameters"]["CreateBucketConfiguration"], body);
    let record = s3("GET", "/b?list-type=2&prefix=p", "s3.amazonaws.com").answer(200, "<x/>").record(capture);
    assert_eq!((&record["eventName"], &record["eventCategory"]), (&json!("ListObjects"), &json!("Data")));
    assert_eq!(record["resources"][0], json!({"type": "AWS::S3::Object", "ARNPrefix": "arn:aws:s3:::b/"}));
    let record = s3("HEAD", "/b/k", "s3.amazonaws.com").answer(404, "").record(capture);
    assert_eq!((&record["errorCode"], &record["requestParameters"]["key"]), (&json!("NoSuchKey"), &json!("k")));
    let record = s3("PUT", "/b?publicAccessBlock", "s3.amazonaws.com").record(capture);
    assert_eq!(record["eventName"], "PutBucketPublicAccessBlock");
}

#[test]
fn each_object_of_a_deletion_has_a_record_of_its_own() {
    let Some(capture) = capture() else { return };
    let call = Wire::new("POST", "/b?delete", "s3")
        .header("host", "s3.amazonaws.com")
        .body("<Delete><Object><Key>one</Key></Object><Object><Key>two</Key></Object></Delete>")
        .answer(200, "<DeleteResult><Deleted><Key>one</Key></Deleted><Error><Key>two</Key><Code>AccessDenied</Code><Message>no</Message></Error></DeleteResult>");
    let records: Vec<Json> = call.records(capture).iter().map(|text| serde_json::from_str(text).unwrap()).collect();
    let names: Vec<&Json> = records.iter().map(|record| &record["eventName"]).collect();
    assert_eq!(names, ["DeleteObjects", "DeleteObject", "DeleteObject"]);
    assert_eq!(records[0]["requestParameters"], json!({"bucketName": "b", "Host": "s3.amazonaws.com", "delete": ""}));
    assert_eq!(records[1]["resources"][0]["ARN"], "arn:aws:s3:::b/one");
    assert_eq!(records[1]["requestParameters"], json!({"bucketName": "b", "Host": "s3.amazonaws.com", "key": "one"}));
    assert_eq!((&records[1]["errorCode"], &records[2]["errorCode"]), (&Json::Null, &json!("AccessDenied")));
    assert_ne!(records[0]["eventID"], records[1]["eventID"]);
}

#[test]
fn ec2_prints_lists_as_sets_and_newer_operations_their_xml() {
    let Some(capture) = capture() else { return };
    let ec2 = |fields: &[(&str, &str)]| Wire::form("ec2", "2016-11-15", fields);
    let call = ec2(&[
        ("Action", "DescribeInstances"),
        ("InstanceId.1", "i-1"),
        ("Filter.1.Name", "vpc-id"),
        ("Filter.1.Value.1", "v"),
        ("MaxResults", "5"),
    ]);
    let request = json!({
        "filterSet": {"items": [{"name": "vpc-id", "valueSet": {"items": [{"value": "v"}]}}]},
        "instancesSet": {"items": [{"instanceId": "i-1"}]}, "maxResults": 5,
    });
    assert_eq!(call.record(capture)["requestParameters"], request);
    let none = ec2(&[("Action", "DescribeInstances")]).record(capture);
    assert_eq!(none["requestParameters"], json!({"instancesSet": {}, "filterSet": {}}));

    let answer = "<StopInstancesResponse xmlns=\"urn\"><requestId>r-1</requestId><instancesSet><item><instanceId>i-1</instanceId>\
        <currentState><code>64</code><name>stopping</name></currentState></item></instancesSet></StopInstancesResponse>";
    let mut call = ec2(&[("Action", "StopInstances"), ("InstanceId.1", "i-1"), ("Force", "true")]).answer(200, answer);
    call.answer_headers.clear();
    let record = call.record(capture);
    assert_eq!(record["requestParameters"], json!({"instancesSet": {"items": [{"instanceId": "i-1"}]}, "force": true}));
    let stopping = json!({"instanceId": "i-1", "currentState": {"code": 64, "name": "stopping"}});
    assert_eq!(record["responseElements"], json!({"requestId": "r-1", "instancesSet": {"items": [stopping]}}));
    assert_eq!(record["requestID"], "r-1");

    let answer = "<DeleteFlowLogsResponse><requestId>r-2</requestId><unsuccessful/></DeleteFlowLogsResponse>";
    let record = ec2(&[("Action", "DeleteFlowLogs"), ("FlowLogId.1", "fl-1")]).answer(200, answer).record(capture);
    let request = json!({"DeleteFlowLogsRequest": {"FlowLogId": {"tag": 1, "content": "fl-1"}}});
    assert_eq!(record["requestParameters"], request);
    assert_eq!(
        record["responseElements"]["DeleteFlowLogsResponse"]["xmlns"],
        "http://ec2.amazonaws.com/doc/2016-11-15/"
    );

    let error = "<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>no</Message></Error></Errors><RequestID>r-3</RequestID></Response>";
    let mut call = ec2(&[("Action", "RebootInstances"), ("InstanceId.1", "i-1")]).answer(403, error);
    call.answer_headers.clear();
    let record = call.record(capture);
    assert_eq!((&record["errorCode"], &record["requestID"]), (&json!("Client.UnauthorizedOperation"), &json!("r-3")));

    let fields = [("Action", "CreateSecurityGroup"), ("GroupName", "g"), ("GroupDescription", "d"), ("VpcId", "v")];
    let record = ec2(&fields).record(capture);
    assert_eq!(record["requestParameters"], json!({"groupName": "g", "groupDescription": "d", "vpcId": "v"}));

    let data = ec2(&[("Action", "ModifyInstanceAttribute"), ("InstanceId", "i-1"), ("UserData.Value", "eA==")]);
    let record = data
        .answer(200, "<ModifyInstanceAttributeResponse><return>true</return></ModifyInstanceAttributeResponse>")
        .record(capture);
    assert_eq!(record["requestParameters"], json!({"instanceId": "i-1", "userData": "<sensitiveDataRemoved>"}));
    assert_eq!(record["responseElements"]["_return"], true);
}

#[test]
fn query_services_print_their_times_in_words_and_answers_by_their_habit() {
    let Some(capture) = capture() else { return };
    let answer = "<R><CreateUserResult><User><UserName>u</UserName><CreateDate>2024-08-01T13:33:28Z</CreateDate></User></CreateUserResult></R>";
    let fields =
        [("Action", "CreateUser"), ("UserName", "u"), ("Tags.member.1.Key", "k"), ("Tags.member.1.Value", "v")];
    let record = Wire::form("iam", "2010-05-08", &fields).answer(200, answer).record(capture);
    assert_eq!(
        parts(&record),
        json!({"source": "iam.amazonaws.com", "name": "CreateUser", "read": false, "data": false,
            "request": {"userName": "u", "tags": [{"key": "k", "value": "v"}]},
            "response": {"user": {"userName": "u", "createDate": "Aug 1, 2024 1:33:28 PM"}}})
    );
    let answer = "<R><CreateDBInstanceResult><DBInstance><DBInstanceIdentifier>d</DBInstanceIdentifier><MultiAZ>false</MultiAZ></DBInstance></CreateDBInstanceResult></R>";
    let fields = [
        ("Action", "CreateDBInstance"),
        ("DBInstanceIdentifier", "d"),
        ("MasterUserPassword", "p"),
        ("AllocatedStorage", "5"),
    ];
    let record = Wire::form("rds", "2014-10-31", &fields).answer(200, answer).record(capture);
    let request =
        json!({"dBInstanceIdentifier": "d", "masterUserPassword": towpath_admit::HIDDEN, "allocatedStorage": 5});
    assert_eq!(record["requestParameters"], request);
    assert_eq!(record["responseElements"], json!({"dBInstanceIdentifier": "d", "multiAZ": false}));
    let answer = "<R><AssumeRoleResult><Credentials><AccessKeyId>ASIA</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>\
        <Expiration>2024-07-30T21:46:15Z</Expiration></Credentials></AssumeRoleResult></R>";
    let fields = [("Action", "AssumeRole"), ("RoleArn", "arn:aws:iam::111122223333:role/r"), ("RoleSessionName", "s")];
    let record = Wire::form("sts", "2011-06-15", &fields).answer(200, answer).record(capture);
    assert_eq!((&record["readOnly"], &record["managementEvent"]), (&json!(true), &json!(true)));
    let credentials =
        json!({"accessKeyId": "ASIA", "sessionToken": towpath_admit::HIDDEN, "expiration": "Jul 30, 2024, 9:46:15 PM"});
    assert_eq!(record["responseElements"], json!({"credentials": credentials}));
    let role =
        json!({"accountId": "111122223333", "type": "AWS::IAM::Role", "ARN": "arn:aws:iam::111122223333:role/r"});
    assert_eq!(record["resources"], json!([role]));
    let record = Wire::form("sts", "2011-06-15", &[("Action", "GetCallerIdentity")]).record(capture);
    assert_eq!((&record["requestParameters"], &record["responseElements"]), (&Json::Null, &Json::Null));
}

#[test]
fn keys_queues_tables_and_functions_are_resources() {
    let Some(capture) = capture() else { return };
    let resources = |call: Wire| call.record(capture)["resources"].clone();
    let one = |kind: &str, arn: &str| json!([{"accountId": ACCOUNT, "type": kind, "ARN": arn}]);
    let json = |target: &str, name: &str, body: Json| Wire::json(target, name, &body);
    let arn = "arn:aws:kms:us-east-1:123456789012:key/k";
    let decrypt = json("TrentService.Decrypt", "kms", json!({"CiphertextBlob": "eA=="}));
    assert_eq!(resources(decrypt.answer(200, json!({"KeyId": arn}).to_string())), one("AWS::KMS::Key", arn));
    assert_eq!(resources(json("TrentService.DisableKey", "kms", json!({"KeyId": "k"}))), one("AWS::KMS::Key", arn));
    let alias = json("TrentService.CreateAlias", "kms", json!({"AliasName": "alias/a", "TargetKeyId": "k"}));
    assert_eq!(resources(alias)[1]["ARN"], "arn:aws:kms:us-east-1:123456789012:alias/a");
    let send =
        json("AmazonSQS.SendMessage", "sqs", json!({"QueueUrl": "https://sqs/123456789012/q", "MessageBody": "m"}));
    let record = send.record(capture);
    assert_eq!(record["resources"], one("AWS::SQS::Queue", "arn:aws:sqs:us-east-1:123456789012:q"));
    assert_eq!(parts(&record)["data"], true);
    let batch = json("DynamoDB_20120810.BatchGetItem", "dynamodb", json!({"RequestItems": {"t": {"Keys": []}}}));
    assert_eq!(resources(batch), one("AWS::DynamoDB::Table", "arn:aws:dynamodb:us-east-1:123456789012:table/t"));
    let invoke = Wire::new("POST", "/2015-03-31/functions/f/invocations", "lambda").record(capture);
    assert_eq!(invoke["resources"], one("AWS::Lambda::Function", "arn:aws:lambda:us-east-1:123456789012:function:f"));
    assert_eq!((&invoke["eventName"], &invoke["managementEvent"]), (&json!("Invoke"), &json!(false)));
    let list = Wire::new("GET", "/2015-03-31/functions/", "lambda").record(capture);
    assert_eq!((&list["eventName"], &list["resources"]), (&json!("ListFunctions20150331"), &Json::Null));
    let parameters = json("AmazonSSM.GetParameters", "ssm", json!({"Names": ["/a/b", "c"]}));
    let arn = |name: &str| json!({"accountId": ACCOUNT, "ARN": format!("arn:aws:ssm:us-east-1:123456789012:parameter/{name}")});
    assert_eq!(resources(parameters), json!([arn("a/b"), arn("c")]));
}

#[test]
fn a_few_services_print_the_version_of_their_api() {
    let Some(capture) = capture() else { return };
    let group = Wire::json("Logs_20140328.CreateLogGroup", "logs", &json!({"logGroupName": "g"}));
    assert_eq!(group.record(capture)["apiVersion"], "20140328");
    let balancers = |version| Wire::form("elasticloadbalancing", version, &[("Action", "DescribeLoadBalancers")]);
    assert_eq!(balancers("2015-12-01").record(capture)["eventSource"], "elasticloadbalancing.amazonaws.com");
    let mut zones = Wire::new("GET", "/2013-04-01/hostedzone", "route53").answer(200, "<x/>");
    zones.region = "eu-west-1".to_owned();
    let record = zones.record(capture);
    assert_eq!((&record["apiVersion"], &record["awsRegion"]), (&json!("2013-04-01"), &json!("us-east-1")));
    let key = Wire::json("TrentService.ListKeys", "kms", &json!({})).record(capture);
    assert_eq!(key["apiVersion"], Json::Null);
}

#[test]
fn actions_of_a_console_are_recorded_without_a_model() {
    let call = Wire::new("POST", "/", "trustedadvisor")
        .header("x-amz-target", "TrustedAdvisor.RefreshCheck")
        .body(r#"{"CheckId":"c"}"#)
        .answer(200, r#"{"status":{"checkId":"c","status":"enqueued"}}"#);
    let expected = json!({
        "source": "trustedadvisor.amazonaws.com", "name": "RefreshCheck", "read": false, "data": false,
        "request": {"checkId": "c"}, "response": {"status": {"checkId": "c", "status": "enqueued"}},
    });
    assert_eq!(parts(&call.record(&bare())), expected);
    let Some(capture) = capture() else { return };
    assert_eq!(parts(&call.record(capture)), expected);
    let silent = Wire::new("POST", "/", "trustedadvisor")
        .header("x-amz-target", "TrustedAdvisor.UpdateNotificationPreferences")
        .body(r#"{"language":"en"}"#)
        .answer(200, r#"{"a":1}"#);
    assert_eq!(parts(&silent.record(capture))["response"], Json::Null);
    let read = Wire::new("POST", "/", "trustedadvisor").header("x-amz-target", "TrustedAdvisor.DescribeChecks");
    assert_eq!(parts(&read.record(capture))["read"], true);
}

#[test]
fn a_call_of_which_little_is_known_is_recorded_as_far_as_it_is() {
    let call =
        Wire::new("DELETE", "/v1/users/4711/keys?x=1", "inventory").header("host", "h.example.org").body("{\"a\":1}");
    let expected = json!({
        "source": "inventory.amazonaws.com", "name": "DELETE /v1/users/4711/keys", "read": false, "data": false,
        "request": null, "response": null,
    });
    assert_eq!(parts(&call.record(&bare())), expected);
    let mut unsigned = Wire::new("GET", "/reset/0123456789abcdef/", "x").header("host", "h.example.org:8080");
    unsigned.signing_name = None;
    let record = unsigned.answer(404, "gone").record(&bare());
    assert_eq!((&record["eventSource"], &record["eventName"]), (&json!("h.example.org"), &json!("GET /reset/*/")));
    assert_eq!((&record["errorCode"], &record["readOnly"]), (&json!("NotFound"), &json!(true)));
    // A name is known though no model has it.
    let target = Wire::json("Orders_2026.ListOrders", "orders", &json!({"a": 1})).record(&bare());
    assert_eq!((&target["eventName"], &target["readOnly"]), (&json!("ListOrders"), &json!(true)));
    let form = Wire::form("orders", "1", &[("Action", "PlaceOrder")]).record(&bare());
    assert_eq!((&form["eventName"], &form["requestParameters"]), (&json!("PlaceOrder"), &Json::Null));
}

#[test]
fn refused_and_broken_calls_say_so() {
    let Some(capture) = capture() else { return };
    let call = Wire::json("TrentService.DisableKey", "kms", &json!({"KeyId": "k"}));
    let end = |ending| {
        let exchange = crate::Exchange { ending, ..call.exchange() };
        let records = capture.records(&exchange, &call.target(), &caller());
        serde_json::from_slice::<Json>(&records[0].json).unwrap()
    };
    let refused = end(Ending::Refused { code: "AccessDenied".to_owned(), message: "no k here".to_owned() });
    assert_eq!((&refused["errorCode"], &refused["errorMessage"]), (&json!("AccessDenied"), &json!("no k here")));
    assert_eq!(refused["requestParameters"], json!({"keyId": "k"}));
    let broken = end(Ending::Broken { reason: "upstream reset the connection".to_owned() });
    assert_eq!(broken["errorCode"], "ConnectionBroken");
    assert_eq!((&broken["responseElements"], &broken["requestID"]), (&Json::Null, &Json::Null));
    let denied = json!({"__type": "AccessDeniedException", "message": "no"}).to_string();
    assert_eq!(call.clone().answer(400, denied).record(capture)["errorCode"], "AccessDenied");
    let missing = json!({"__type": "NotFoundException", "message": "none"}).to_string();
    assert_eq!(call.answer(400, missing).record(capture)["errorCode"], "NotFoundException");
}

#[test]
fn a_caller_of_another_account_gets_a_copy_if_towpath_keeps_its_events() {
    let Some(capture) = capture() else { return };
    let mut call = Wire::json("TrentService.DisableKey", "kms", &json!({"KeyId": "k"}));
    call.account = "210987654321".to_owned();
    let mut target = call.target();
    let alone = capture.records(&call.exchange(), &target, &caller());
    assert_eq!((alone.len(), alone[0].account.as_str()), (1, "210987654321"));
    target.copy_for_caller = true;
    let copies = capture.records(&call.exchange(), &target, &caller());
    let json: Vec<Json> = copies.iter().map(|copy| serde_json::from_slice(&copy.json).unwrap()).collect();
    assert_eq!((copies.len(), copies[1].account.as_str()), (2, ACCOUNT));
    assert_eq!(json[0]["sharedEventID"], json[1]["sharedEventID"]);
    assert!(json[0]["sharedEventID"].is_string() && json[0]["eventID"] != json[1]["eventID"]);
    assert_eq!(json[0]["userIdentity"]["type"], "AWSAccount");
    assert_eq!(json[1]["userIdentity"]["userName"], "ann");
    assert_eq!(json[0]["eventID"], json!(copies[0].event_id.to_string()));
}

#[test]
fn calls_by_a_service_come_from_it() {
    let mut call = Wire::json("TrentService.Decrypt", "kms", &json!({})).header("user-agent", "aws-sdk");
    call.tls = Some(Tls::default());
    let service = UserIdentity::aws_service("cloudtrail.amazonaws.com");
    let records = bare().records(&call.exchange(), &call.target(), &service);
    let record: Json = serde_json::from_slice(&records[0].json).unwrap();
    for field in ["sourceIPAddress", "userAgent"] {
        assert_eq!(record[field], "cloudtrail.amazonaws.com");
    }
    assert_eq!(record["tlsDetails"], Json::Null);
}

#[test]
fn the_event_source_of_the_upstream_comes_first() {
    let call = Wire::json("TrentService.Decrypt", "kms", &json!({}));
    let target = crate::capture::Target { event_source: Some("vault.example.org".to_owned()), ..call.target() };
    let records = bare().records(&call.exchange(), &target, &caller());
    let record: Json = serde_json::from_slice(&records[0].json).unwrap();
    assert_eq!(record["eventSource"], "vault.example.org");
}

#[test]
fn large_parameters_are_left_out_and_the_record_stays_under_its_size() {
    let Some(capture) = capture() else { return };
    let text = "\u{1}".repeat(60_000);
    let call = Wire::json("TrentService.CreateKey", "kms", &json!({"Policy": text, "Description": "d"}))
        .answer(200, json!({"KeyMetadata": {"KeyId": "k", "Description": text}}).to_string());
    let record = call.record(capture);
    let omitted = &record["requestParameters"];
    assert_eq!((&omitted["omitted"], &omitted["reason"]), (&json!(true), &json!("requestParameters too large")));
    assert!(omitted["originalSize"].as_u64().unwrap() > 300_000);
    assert_eq!(record["responseElements"]["reason"], "responseElements too large");
}

#[test]
fn a_body_that_was_not_kept_leaves_what_stands_outside_of_it() {
    let Some(capture) = capture() else { return };
    let call = Wire::new("PUT", "/2015-03-31/functions/f/code", "lambda").body("{\"Publish\": tr");
    let mut exchange = call.exchange();
    exchange.request.body = Body { total: 1 << 30, ..Body::of(call.body.clone()) };
    let records = capture.records(&exchange, &call.target(), &caller());
    let record: Json = serde_json::from_slice(&records[0].json).unwrap();
    assert_eq!(record["eventName"], "UpdateFunctionCode20150331v2");
    assert_eq!(record["requestParameters"]["functionName"], "f");
}

#[test]
#[ignore = "prints a rate; meant for the release profile"]
fn the_rate_of_recording() {
    let Some(capture) = capture() else { return };
    let item = json!({"TableName": "t", "Item": {"id": {"S": "x".repeat(700)}, "n": {"N": "1"}}});
    let fields =
        [("Action", "CreateUser"), ("UserName", "u"), ("Tags.member.1.Key", "k"), ("Tags.member.1.Value", "v")];
    let calls = [
        (
            "s3 PutObject",
            Wire::new("PUT", "/bucket/key", "s3").header("host", "s3.amazonaws.com").body(vec![b'x'; 1024]),
        ),
        ("dynamodb PutItem", Wire::json("DynamoDB_20120810.PutItem", "dynamodb", &item)),
        ("kms Decrypt", Wire::json("TrentService.Decrypt", "kms", &json!({"CiphertextBlob": "eA=="}))),
        ("iam CreateUser", Wire::form("iam", "2010-05-08", &fields)),
        ("ec2 DescribeInstances", Wire::form("ec2", "2016-11-15", &[("Action", "DescribeInstances")])),
        ("repostspace ListSpaces", Wire::new("GET", "/spaces", "repostspace").answer(200, "{\"spaces\":[]}")),
    ];
    for (name, call) in calls {
        let (exchange, target, caller) = (call.exchange(), call.target(), caller());
        capture.records(&exchange, &target, &caller);
        let began = std::time::Instant::now();
        for _ in 0..5_000 {
            assert_eq!(capture.records(&exchange, &target, &caller).len(), 1);
        }
        println!("{name}: {:.0} records/s", 5_000.0 / began.elapsed().as_secs_f64());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn no_call_makes_recording_panic_or_write_what_is_no_json(
        method in prop_oneof![Just("GET"), Just("POST"), Just("PUT"), Just("DELETE"), Just("HEAD")],
        path in "(/[a-zA-Z0-9%._~-]{0,8}){0,4}",
        query in "[a-zA-Z0-9=&%+-]{0,20}",
        name in prop_oneof![
            Just("s3"), Just("kms"), Just("sts"), Just("ec2"), Just("lambda"), Just("dynamodb"), Just("support"),
            Just("repostspace"), Just("trustedadvisor"), Just("sqs"), Just("nobody"),
        ],
        target in prop_oneof![
            Just("TrentService.Encrypt"), Just("DynamoDB_20120810.PutItem"), Just("AmazonSQS.SendMessage"), Just("a"), Just(""),
        ],
        body in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..64).boxed(),
            "(Action=(RunInstances|CreateUser|Publish)&)?[A-Za-z.0-9=&%]{0,40}".prop_map(String::into_bytes).boxed(),
            "[{}\\[\\]\":,a-zA-Z0-9 ]{0,48}".prop_map(String::into_bytes).boxed(),
            "[<>/a-zA-Z \"=&;!-]{0,48}".prop_map(String::into_bytes).boxed(),
        ],
        form in any::<bool>(),
        status in 100u16..600,
    ) {
        let Some(capture) = capture() else { return Ok(()) };
        let kind = if form { "application/x-www-form-urlencoded" } else { "application/json" };
        let mut call = Wire::new(method, &format!("/{path}?{query}"), name).header("content-type", kind);
        if !target.is_empty() {
            call = call.header("x-amz-target", target);
        }
        let call = call.body(body.clone()).answer(status, body);
        for record in call.records(capture).into_iter().chain(call.records(&bare())) {
            prop_assert!(record.len() <= 262_144);
            prop_assert!(serde_json::from_str::<Json>(&record).is_ok(), "{}", record);
        }
    }
}
