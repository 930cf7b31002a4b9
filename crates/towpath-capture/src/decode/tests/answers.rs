//! What services answer.

use super::{models, request, response};
use crate::{
    Response, Value,
    decode::{self, Answer, Call, Outcome},
};

fn answer(service: &str, request: crate::Request, response: &Response) -> Option<Answer> {
    let model = models()?.service(service).unwrap().unwrap();
    let call = Call::of(&model, &request, None).expect("an operation");
    Some(decode::response(&call, response))
}

fn target(target: &str) -> crate::Request {
    request("POST", "/", &[("x-amz-target", target)], "{}")
}

fn form(body: &str) -> crate::Request {
    request("POST", "/", &[("content-type", "application/x-www-form-urlencoded")], body.to_owned())
}

fn error(code: &str, message: Option<&str>) -> Outcome {
    Outcome::Error { code: code.to_owned(), message: message.map(str::to_owned) }
}

fn output(answer: &Answer) -> &Value {
    match &answer.outcome {
        Outcome::Output(decoded) => {
            assert!(decoded.complete, "{decoded:?}");
            &decoded.value
        }
        Outcome::Error { code, .. } => panic!("{code}"),
    }
}

fn text(text: &str) -> Option<Value> {
    Some(Value::Text(text.to_owned()))
}

#[test]
fn outputs_of_json_are_read_with_headers_and_status() {
    let headers = [("x-amzn-requestid", "id-1")];
    let body = r#"{"caseId":"case-1","other":1}"#;
    let Some(got) = answer("support", target("AWSSupport_20130415.CreateCase"), &response(200, &headers, body)) else {
        return;
    };
    assert_eq!(output(&got).member("caseId").cloned(), text("case-1"));
    assert_eq!(got.request_id.as_deref(), Some("id-1"));

    let headers = [("x-amz-version-id", "v1"), ("etag", "\"e\""), ("x-amz-request-id", "R")];
    let got = answer("s3", request("PUT", "/b/k", &[], ""), &response(200, &headers, "")).unwrap();
    assert_eq!(output(&got).member("VersionId").cloned(), text("v1"));
    assert_eq!(output(&got).member("ETag").cloned(), text("\"e\""));
    assert_eq!(got.request_id.as_deref(), Some("R"));

    let invoke = request("POST", "/2015-03-31/functions/f/invocations", &[], "raw");
    let got = answer("lambda", invoke, &response(202, &[("x-amz-function-error", "Unhandled")], "raw")).unwrap();
    assert_eq!(output(&got).member("StatusCode"), Some(&Value::Number(202.into())));
    assert_eq!(output(&got).member("FunctionError").cloned(), text("Unhandled"));
}

#[test]
fn results_of_the_query_protocol_are_unwrapped() {
    let body = r#"<CreateUserResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><CreateUserResult><User><UserName>Bob</UserName>
        <Tags><member><Key>k</Key><Value>v</Value></member></Tags><CreateDate>2024-08-01T12:40:00Z</CreateDate></User></CreateUserResult>
        <ResponseMetadata><RequestId>r-1</RequestId></ResponseMetadata></CreateUserResponse>"#;
    let Some(got) = answer("iam", form("Action=CreateUser&UserName=Bob"), &response(200, &[], body)) else { return };
    let user = output(&got).member("User").unwrap();
    assert_eq!(user.member("UserName").cloned(), text("Bob"));
    assert!(matches!(user.member("CreateDate"), Some(Value::Time(_))));
    assert!(matches!(user.member("Tags"), Some(Value::List(tags)) if tags.len() == 1));
    assert_eq!(got.request_id.as_deref(), Some("r-1"));

    let empty =
        "<DeleteUserResponse><ResponseMetadata><RequestId>r-2</RequestId></ResponseMetadata></DeleteUserResponse>";
    let got = answer("iam", form("Action=DeleteUser&UserName=Bob"), &response(200, &[], empty)).unwrap();
    assert_eq!(output(&got), &Value::empty());
    assert_eq!(got.request_id.as_deref(), Some("r-2"));
}

#[test]
fn answers_of_ec2_have_their_id_beside_the_members() {
    let body = r#"<CreateVpcResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>r</requestId>
        <vpc><vpcId>vpc-1</vpcId><tagSet><item><key>k</key><value>v</value></item></tagSet><isDefault>false</isDefault></vpc></CreateVpcResponse>"#;
    let Some(got) = answer("ec2", form("Action=CreateVpc&CidrBlock=10.0.0.0%2F16"), &response(200, &[], body)) else {
        return;
    };
    let vpc = output(&got).member("Vpc").unwrap();
    assert_eq!(vpc.member("VpcId").cloned(), text("vpc-1"));
    assert_eq!(vpc.member("IsDefault"), Some(&Value::Bool(false)));
    assert!(matches!(vpc.member("Tags"), Some(Value::List(tags)) if tags.len() == 1));
    assert_eq!(got.request_id.as_deref(), Some("r"));

    let body = "<Response><Errors><Error><Code>InvalidVpcID.NotFound</Code><Message>no</Message></Error></Errors><RequestID>q</RequestID></Response>";
    let got = answer("ec2", form("Action=DeleteVpc&VpcId=v"), &response(400, &[], body)).unwrap();
    assert_eq!(got.outcome, error("InvalidVpcID.NotFound", Some("no")));
    assert_eq!(got.request_id.as_deref(), Some("q"));
}

#[test]
fn errors_are_read_in_every_protocol() {
    if models().is_none() {
        return;
    }
    let outcome = |service: &str, request, response: &Response| answer(service, request, response).unwrap().outcome;
    let kms = || target("TrentService.Encrypt");
    let body = r#"{"__type":"com.amazonaws.kms#NotFoundException","message":"gone"}"#;
    assert_eq!(outcome("kms", kms(), &response(400, &[], body)), error("NotFoundException", Some("gone")));
    let headers = [("x-amzn-errortype", "AccessDeniedException:http://internal.amazon.com/coral/")];
    assert_eq!(
        outcome("kms", kms(), &response(400, &headers, r#"{"Message":"no"}"#)),
        error("AccessDeniedException", Some("no"))
    );
    assert_eq!(outcome("kms", kms(), &response(500, &[], "<html>")), error("500", None));

    let iam = || form("Action=GetUser");
    let body = "<ErrorResponse><Error><Type>Sender</Type><Code>NoSuchEntity</Code><Message>m</Message></Error><RequestId>r</RequestId></ErrorResponse>";
    assert_eq!(outcome("iam", iam(), &response(404, &[], body)), error("NoSuchEntity", Some("m")));

    let get = || request("GET", "/b/k", &[], "");
    let body = "<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code><Message>The key</Message><RequestId>r</RequestId></Error>";
    assert_eq!(outcome("s3", get(), &response(404, &[], body)), error("NoSuchKey", Some("The key")));
    assert_eq!(outcome("s3", request("HEAD", "/b/k", &[], ""), &response(404, &[], "")), error("NoSuchKey", None));
    assert_eq!(outcome("s3", request("HEAD", "/b", &[], ""), &response(404, &[], "")), error("NoSuchBucket", None));
    assert_eq!(outcome("s3", get(), &response(304, &[], "")), error("NotModified", None));

    let mut cbor = Vec::new();
    ciborium::into_writer(
        &ciborium::Value::Map(vec![("__type".into(), "a.b#Throttled".into()), ("message".into(), "slow".into())]),
        &mut cbor,
    )
    .unwrap();
    let call = || request("POST", "/service/GraniteServiceVersion20100801/operation/PutMetricData", &[], "");
    assert_eq!(outcome("cloudwatch", call(), &response(400, &[], cbor)), error("Throttled", Some("slow")));
    let headers = [("x-amzn-query-error", "AWS.SimpleQueueService.NonExistentQueue;Sender")];
    let sqs = target("AmazonSQS.SendMessage");
    let body = r#"{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"no queue"}"#;
    assert_eq!(
        outcome("sqs", sqs, &response(400, &headers, body)),
        error("AWS.SimpleQueueService.NonExistentQueue", Some("no queue"))
    );
}

#[test]
fn an_error_after_the_status_is_an_error() {
    let copy = request("PUT", "/b/k", &[("x-amz-copy-source", "/b/l")], "");
    let body = "<?xml version=\"1.0\"?>\n<Error><Code>InternalError</Code><Message>late</Message></Error>";
    let Some(got) = answer("s3", copy, &response(200, &[], body)) else { return };
    assert_eq!(got.outcome, error("InternalError", Some("late")));
}

#[test]
fn what_cannot_be_read_is_said_and_headers_are_kept() {
    let Some(models) = models() else { return };
    let model = models.service("s3").unwrap().unwrap();
    let create = request("POST", "/b/k?uploads", &[], "");
    let call = Call::of(&model, &create, None).unwrap();
    let headers = [("x-amz-server-side-encryption", "AES256")];
    for body in ["<Broken", "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>", "<a>&nbsp;</a>"] {
        let Outcome::Output(decoded) = decode::response(&call, &response(200, &headers, body)).outcome else {
            panic!()
        };
        assert!(!decoded.complete && decoded.fault.is_some(), "{body}");
        assert_eq!(decoded.value.member("ServerSideEncryption").cloned(), text("AES256"));
    }
}

#[test]
fn codes_and_messages_are_bounded() {
    let body = format!(r#"{{"__type":"{}","message":"{}"}}"#, "C".repeat(1 << 20), "m".repeat(1 << 20));
    let Some(got) = answer("kms", target("TrentService.Encrypt"), &response(400, &[], body)) else { return };
    let Outcome::Error { code, message } = got.outcome else { panic!("an error") };
    assert!(code.len() <= 8 << 10 && message.unwrap().len() <= 8 << 10);
}

#[test]
fn a_stream_of_events_that_failed_is_an_error_whatever_its_status_was() {
    use crate::event_stream::tests as frames;
    let shard = || target("Kinesis_20131202.SubscribeToShard");
    let kind = [("content-type", "application/vnd.amazon.eventstream")];
    let events =
        [frames::event("initial-response", b"{}"), frames::event("SubscribeToShardEvent", br#"{"Records":[]}"#)];
    let Some(got) = answer("kinesis", shard(), &response(200, &kind, events.concat())) else { return };
    // Events themselves are left out.
    assert_eq!(output(&got), &Value::empty());

    let throttled = frames::exception("KMSThrottlingException", br#"{"message":"slow down"}"#);
    let got = answer("kinesis", shard(), &response(200, &kind, [events.concat(), throttled.clone()].concat())).unwrap();
    assert_eq!(got.outcome, error("KMSThrottlingException", Some("slow down")));
    // What was read along tells of a stream that was too long to be kept.
    let mut long = response(200, &kind, events.concat());
    long.body.stream = Some(Box::new(crate::EventStream::read(&[events.concat(), throttled.clone()].concat())));
    long.body.total = 1 << 40;
    assert_eq!(answer("kinesis", shard(), &long).unwrap().outcome, error("KMSThrottlingException", Some("slow down")));
    // A cut exception is none.
    let cut = [events.concat(), throttled[..throttled.len() - 1].to_vec()].concat();
    assert_eq!(output(&answer("kinesis", shard(), &response(200, &kind, cut)).unwrap()), &Value::empty());

    // The model says what an exception's member is called as an error.
    let converse = request("POST", "/model/m/converse-stream", &[], "{}");
    let failed = frames::exception("modelStreamErrorException", br#"{"message":"m","originalStatusCode":500}"#);
    let got = answer("bedrock-runtime", converse, &response(200, &kind, failed)).unwrap();
    assert_eq!(got.outcome, error("ModelStreamErrorException", Some("m")));

    // S3 does not say that it answers with a stream, and has errors without a model.
    let select = request("POST", "/b/k?select&select-type=2", &[], "<SelectObjectContentRequest/>");
    let failed =
        [frames::event("Records", b"a,b"), frames::error("InternalError", "We encountered an internal error.")];
    let got = answer("s3", select, &response(200, &[], failed.concat())).unwrap();
    assert_eq!(got.outcome, error("InternalError", Some("We encountered an internal error.")));

    // An object that is a stored stream is no stream of the call.
    let get = request("GET", "/b/k", &[], "");
    assert!(matches!(answer("s3", get, &response(200, &kind, throttled)).unwrap().outcome, Outcome::Output(_)));
}

#[test]
fn members_beside_a_stream_are_those_of_its_first_message() {
    use crate::event_stream::tests as frames;
    let json = r#"{"metadata":{"protocol":"PROTOCOL","endpointPrefix":"x","targetPrefix":"X"},
        "operations":{"Do":{"name":"Do","input":{"shape":"In"},"output":{"shape":"In"}}},
        "shapes":{"S":{"type":"string"},"In":{"type":"structure","members":{"Id":{"shape":"S"},"Events":{"shape":"E"}}},
        "E":{"type":"structure","eventstream":true,"members":{"Part":{"shape":"Part"}}},
        "Part":{"type":"structure","event":true,"members":{"Text":{"shape":"S"}}}}}"#;
    let cbor = [0xA1, 0x62, b'I', b'd', 0x61, b'7'];
    let cases: [(&str, &str, &[u8]); 2] = [("json", "X.Do", br#"{"Id":"7"}"#), ("smithy-rpc-v2-cbor", "", &cbor)];
    for (protocol, target, members) in cases {
        let model = crate::ServiceModel::parse("x", json.replace("PROTOCOL", protocol).as_bytes()).unwrap();
        let uri = if target.is_empty() { "/service/X/operation/Do" } else { "/" };
        let events = |kind| [frames::event(kind, members), frames::event("Part", b"x")].concat();
        let asked = request("POST", uri, &[("x-amz-target", target)], events("initial-request"));
        let call = Call::of(&std::sync::Arc::new(model), &asked, None).unwrap();
        let read = decode::request(&call, &asked);
        assert_eq!((read.value.member("Id").cloned(), read.complete), (text("7"), true), "{protocol}");
        let got = decode::response(&call, &response(200, &[], events("initial-response")));
        assert_eq!(output(&got).member("Id").cloned(), text("7"), "{protocol}");
        // What is no stream is said to be none.
        let broken = decode::response(&call, &response(200, &[], "no stream of events"));
        assert!(matches!(broken.outcome, Outcome::Output(read) if !read.complete && read.fault.is_some()));
    }
}
