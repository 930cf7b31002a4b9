//! Records of the two services that have forms of their own: Amazon S3 and Amazon EC2.

use serde_json::{Value as Json, json};

use super::forms::parts;
use super::wire::{Wire, capture};
use crate::Tls;

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
fn an_upload_from_a_form_names_its_object() {
    let Some(capture) = capture() else { return };
    let body = [
        ("name=\"key\"", "in/${filename}"),
        ("name=\"acl\"", "private"),
        ("name=\"x-amz-storage-class\"", "GLACIER"),
        ("name=\"policy\"", "cG9saWN5"),
        ("name=\"x-amz-credential\"", "AKIA1/20261121/us-east-1/s3/aws4_request"),
        ("name=\"x-amz-signature\"", "5194"),
        ("name=\"file\"; filename=\"a.txt\"", "content"),
    ];
    let body: String = body
        .iter()
        .map(|(name, value)| format!("--b\r\nContent-Disposition: form-data; {name}\r\n\r\n{value}\r\n"))
        .collect();
    let upload = |path: &str, host: &str| {
        let call = Wire::new("POST", path, "s3").header("host", host);
        let call = call.header("content-type", "multipart/form-data; boundary=b").body(format!("{body}--b--\r\n"));
        Wire { signing_name: None, ..call }
    };
    for (path, host) in [("/photos", "127.0.0.1:9000"), ("/", "photos.s3.eu-west-1.amazonaws.com")] {
        let record = upload(path, host).answer(204, "").record(capture);
        assert_eq!(
            parts(&record),
            json!({"source": "s3.amazonaws.com", "name": "PostObject", "read": false, "data": true, "response": null,
                "request": {"bucketName": "photos", "Host": host, "acl": "private", "x-amz-storage-class": "GLACIER",
                    "key": "in/a.txt"}})
        );
        let arns: Vec<_> = record["resources"].as_array().unwrap().iter().map(|one| &one["ARN"]).collect();
        assert_eq!(arns, ["arn:aws:s3:::photos/in/a.txt", "arn:aws:s3:::photos"]);
        assert_eq!(record["additionalEventData"]["AuthenticationMethod"], "PostForm");
    }
    // Errors show what they say, but for the fields that are not recorded.
    let refused =
        "<Error><Code>AccessDenied</Code><Message>Invalid according to Policy: cG9saWN5 for in/a.txt</Message></Error>";
    let record = upload("/photos", "127.0.0.1").answer(403, refused).record(capture);
    let message = format!("Invalid according to Policy: {} for in/a.txt", towpath_admit::HIDDEN);
    assert_eq!((&record["errorCode"], &record["errorMessage"]), (&json!("AccessDenied"), &json!(message)));
    // Of a form that was cut before its file, some fields were not seen: nothing is repeated then.
    let whole = upload("/photos", "127.0.0.1").answer(403, refused);
    let mut exchange = whole.exchange();
    let cut = body.find("name=\"policy\"").unwrap();
    exchange.request.body =
        crate::Body { kept: body.as_bytes()[..cut].to_vec().into(), whole: true, ..exchange.request.body };
    let records = capture.records(&exchange, &whole.target(), &super::wire::caller());
    let record: Json = serde_json::from_slice(&records[0].json).unwrap();
    assert_eq!((&record["errorCode"], &record["errorMessage"]), (&json!("AccessDenied"), &Json::Null));
    // A form for another service is no upload.
    let other = Wire { signing_name: Some("lambda".to_owned()), ..upload("/photos", "127.0.0.1") }.record(capture);
    assert_ne!(other["eventName"], "PostObject");
}

#[test]
fn buckets_may_be_hosts_below_a_domain_of_ones_own() {
    let Some(capture) = capture() else { return };
    let call = Wire::new("PUT", "/dir/k", "s3").header("host", "my.photos.store.example.org:8443");
    let record = Wire { bucket_domain: Some("store.example.org".to_owned()), ..call.clone() }.record(capture);
    assert_eq!(
        (&record["eventName"], &record["requestParameters"]["bucketName"]),
        (&json!("PutObject"), &json!("my.photos"))
    );
    assert_eq!(record["requestParameters"]["key"], "dir/k");
    assert_eq!(call.record(capture)["requestParameters"]["bucketName"], "dir");
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

    let launch = ec2(&[
        ("Action", "RunInstances"),
        ("ImageId", "ami-1"),
        ("MinCount", "1"),
        ("MaxCount", "2"),
        ("KeyName", "k"),
        ("InstanceType", "t2.micro"),
        ("SecurityGroupId.1", "sg-1"),
        ("Placement.AvailabilityZone", "us-west-1c"),
        ("Placement.Tenancy", "default"),
        ("Placement.GroupName", "near"),
        ("Monitoring.Enabled", "false"),
    ]);
    let answer = "<RunInstancesResponse><reservationId>r-1</reservationId><instancesSet><item><instanceId>i-1</instanceId>\
        <launchTime>2022-02-07T22:19:05.000Z</launchTime></item></instancesSet></RunInstancesResponse>";
    let record = launch.answer(200, answer).record(capture);
    assert_eq!(
        record["requestParameters"],
        json!({
            "instancesSet": {"items": [{"imageId": "ami-1", "minCount": 1, "maxCount": 2, "keyName": "k"}]},
            "groupSet": {"items": [{"groupId": "sg-1"}]}, "instanceType": "t2.micro", "availabilityZone": "us-west-1c",
            "tenancy": "default", "placement": {"groupName": "near"}, "monitoring": {"enabled": false},
        })
    );
    assert_eq!(record["responseElements"]["instancesSet"]["items"][0]["launchTime"], 1_644_272_345_000_i64);

    let data = ec2(&[("Action", "ModifyInstanceAttribute"), ("InstanceId", "i-1"), ("UserData.Value", "eA==")]);
    let record = data
        .answer(200, "<ModifyInstanceAttributeResponse><return>true</return></ModifyInstanceAttributeResponse>")
        .record(capture);
    assert_eq!(record["requestParameters"], json!({"instanceId": "i-1", "userData": "<sensitiveDataRemoved>"}));
    assert_eq!(record["responseElements"]["_return"], true);
}
