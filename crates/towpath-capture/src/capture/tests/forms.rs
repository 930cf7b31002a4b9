//! Records of calls to services of the usual form, of calls that failed, and of calls of which little is known.

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
pub(super) fn parts(record: &Json) -> Json {
    json!({
        "source": record["eventSource"], "name": record["eventName"], "read": record["readOnly"],
        "data": record["eventCategory"] == "Data", "request": record["requestParameters"],
        "response": record["responseElements"],
    })
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
fn an_answer_that_fell_short_is_no_success_and_one_that_the_caller_left_is() {
    let Some(capture) = capture() else { return };
    let call = Wire::json("TrentService.CreateKey", "kms", &json!({})).answer_header("x-amzn-requestid", "r-1");
    let cut = |call: &Wire, short| {
        let mut exchange = call.exchange();
        let Ending::Answered(response) = &mut exchange.ending else { panic!("no answer") };
        (response.body.whole, response.body.short) = (false, short);
        let records = capture.records(&exchange, &call.target(), &caller());
        serde_json::from_slice::<Json>(&records[0].json).unwrap()
    };
    let begun = call.clone().answer(200, r#"{"KeyMetadata":{"KeyId":"#);
    let short = cut(&begun, true);
    assert_eq!(short["errorCode"], "ConnectionBroken");
    assert_eq!(short["errorMessage"], "the upstream did not send all of its answer");
    assert_eq!((&short["responseElements"], &short["requestID"]), (&Json::Null, &json!("r-1")));
    assert_eq!(cut(&begun, false)["errorCode"], Json::Null);
    // What an error said of itself before it was cut is said of the call.
    let failed = call.answer(400, r#"{"__type":"LimitExceededException","#).answer_header("x-amzn-errortype", "Other");
    assert_eq!(cut(&failed, true)["errorCode"], "Other");
}

#[test]
fn parameters_that_were_not_kept_whole_are_not_taken_for_none() {
    let Some(capture) = capture() else { return };
    let cut = |call: &Wire, kept: usize| {
        let mut exchange = call.exchange();
        exchange.request.body.kept = exchange.request.body.kept.slice(..kept);
        let records = capture.records(&exchange, &call.target(), &caller());
        serde_json::from_slice::<Json>(&records[0].json).unwrap()["requestParameters"].clone()
    };
    let note = json!({"reason": "requestParameters too large", "omitted": true, "originalSize": 2011});
    let body = json!({"Description": "d".repeat(1993)});
    assert_eq!(cut(&Wire::json("TrentService.CreateKey", "kms", &body), 100), note);
    // What is known stands beside it: members before the cut, of which texts with brackets and quotes are no end.
    let body = r#"{"FunctionName":"f,\"}","Tags":{"a":"1","b":"2"},"Code":{"ZipFile":"UEsD"#.to_owned();
    let function = Wire::new("POST", "/2015-03-31/functions", "lambda").body(body.clone() + &"A".repeat(2000) + "\"}}");
    let printed = cut(&function, body.len() + 10);
    assert_eq!((&printed["functionName"], &printed["tags"]), (&json!("f,\"}"), &json!({"a": "1", "b": "2"})));
    assert_eq!((&printed["omitted"], &printed["code"]), (&json!(true), &Json::Null));
    assert_eq!(cut(&function, 8)["functionName"], Json::Null);
    let policy = [("Action", "CreatePolicy"), ("PolicyName", "p"), ("PolicyDocument", &"d".repeat(2000))];
    let printed = cut(&Wire::form("iam", "2010-05-08", &policy), 100);
    assert_eq!((&printed["policyName"], &printed["omitted"]), (&json!("p"), &json!(true)));
    // The content of an object is no parameter, and of what nobody knows there are none.
    let object = Wire::new("PUT", "/bucket/key", "s3").body(vec![b'x'; 2000]);
    assert_eq!(cut(&object, 100)["omitted"], Json::Null);
    let stranger = Wire::new("POST", "/login", "unheard-of").body(vec![b'x'; 2000]);
    assert_eq!(cut(&stranger, 100), Json::Null);

    let call = Wire::json("TrentService.CreateKey", "kms", &json!({})).answer(200, vec![b' '; 3000]);
    let mut exchange = call.exchange();
    let Ending::Answered(response) = &mut exchange.ending else { panic!("no answer") };
    response.body.kept = response.body.kept.slice(..10);
    let records = capture.records(&exchange, &call.target(), &caller());
    let record: Json = serde_json::from_slice(&records[0].json).unwrap();
    let note = json!({"reason": "responseElements too large", "omitted": true, "originalSize": 3000});
    assert_eq!(record["responseElements"], note);
}

#[test]
fn a_data_event_of_nobody_knows_what_is_selected_by_its_kind() {
    let Some(capture) = capture() else { return };
    let body = json!({"RequestItems": {"t": [{"PutRequest": {"Item": {"a": {"S": "x".repeat(3000)}}}}]}});
    let call = Wire::json("DynamoDB_20120810.BatchWriteItem", "dynamodb", &body);
    let resources = |kept: usize, body: &[u8]| {
        let mut exchange = call.exchange();
        exchange.request.body = crate::Body::of(body.to_vec());
        exchange.request.body.kept = exchange.request.body.kept.slice(..kept.min(body.len()));
        let records = capture.records(&exchange, &call.target(), &caller());
        serde_json::from_slice::<Json>(&records[0].json).unwrap()["resources"].clone()
    };
    let whole = resources(usize::MAX, &call.body);
    assert_eq!(whole[0]["ARN"], format!("arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/t"));
    let kind = json!([{"accountId": ACCOUNT, "type": "AWS::DynamoDB::Table"}]);
    assert_eq!(resources(1000, &call.body), kind);
    assert_eq!(resources(usize::MAX, b"{\"RequestItems\":{\"t\":[\xff"), kind);
    assert_eq!(resources(usize::MAX, b"{}"), kind);
    let statement =
        Wire::json("DynamoDB_20120810.ExecuteStatement", "dynamodb", &json!({"Statement": "SELECT * FROM t"}));
    assert_eq!(statement.record(capture)["resources"], kind);
    let told = statement.answer(200, json!({"ConsumedCapacity": {"TableName": "t"}}).to_string());
    assert_eq!(told.record(capture)["resources"], whole);
}

#[test]
fn what_services_are_signed_for_is_known_by_their_other_names() {
    let Some(capture) = capture() else { return };
    for known in ["dynamodb", "monitoring", "aws-marketplace", "supportapp"] {
        assert!(capture.is_signing_name(known), "{known}");
    }
    for (other, name) in [("marketplace-catalog", "aws-marketplace"), ("EMAIL", "ses"), ("Cost Explorer", "ce")] {
        assert_eq!((capture.is_signing_name(other), capture.signing_name_of(other)), (false, Some(name)), "{other}");
    }
    assert_eq!((capture.is_signing_name("dynamo"), capture.signing_name_of("dynamo")), (false, None));
}

#[test]
fn a_byte_that_is_no_letter_hides_nothing_from_the_record() {
    let Some(capture) = capture() else { return };
    let call = Wire::new("PUT", "/bucket/copy", "s3").header("user-agent", "evil\u{fc}/1");
    let call = call.header("x-amz-copy-source", "bucket/k\u{fc}").header("host", "h\u{fc}");
    let mut exchange = call.exchange();
    let latin = http::HeaderValue::from_bytes(b"bucket/k\xfc").unwrap();
    exchange.request.head.headers.append("x-amz-copy-source", latin);
    let records = capture.records(&exchange, &call.target(), &caller());
    let record: Json = serde_json::from_slice(&records[0].json).unwrap();
    assert_eq!((&record["eventName"], &record["userAgent"]), (&json!("CopyObject"), &json!("[evil\u{fc}/1]")));
    let parameters = &record["requestParameters"];
    assert_eq!(parameters["Host"], "h\u{fc}");
    assert_eq!(parameters["x-amz-copy-source"], json!(["bucket/k\u{fc}", "bucket/k\u{fffd}"]));
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
fn large_parameters_are_recorded_and_left_out_of_the_standard_form() {
    let Some(capture) = capture() else { return };
    let text = "\u{1}".repeat(60_000);
    let call = Wire::json("TrentService.CreateKey", "kms", &json!({"Policy": text, "Description": "d"}))
        .answer(200, json!({"KeyMetadata": {"KeyId": "k", "Description": text}}).to_string());
    let records = capture.records(&call.exchange(), &call.target(), &caller());
    let whole: Json = serde_json::from_slice(&records[0].json).unwrap();
    assert_eq!(whole["requestParameters"]["policy"].as_str().unwrap(), text);
    assert_eq!(whole["responseElements"]["keyMetadata"]["description"].as_str().unwrap(), text);
    let record: Json = serde_json::from_slice(&towpath_admit::standard_form(&records[0].json)).unwrap();
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
fn models_and_profiles_tell_the_service_of_a_target() {
    let Some(capture) = capture() else { return };
    let services = capture.target_services();
    for (target, service) in [
        ("DynamoDB_20120810", "dynamodb"),
        ("AmazonSQS", "sqs"),
        ("TrentService", "kms"),
        ("AWSSupport_20130415", "support"),
        ("PartnerCentralAccount", "partnercentral-account"),
    ] {
        assert_eq!(services.get(target).map(String::as_str), Some(service), "{target}");
    }
    assert_eq!(bare().target_services().get("TrustedAdvisor"), None);
    assert!(services.len() > 50);
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

#[test]
fn a_record_says_which_vpc_endpoint_a_call_came_through() {
    let mut call = Wire::json("AmazonSQS.ListQueues", "sqs", &json!({}));
    assert_eq!(call.record(&bare()).get("vpcEndpointId"), None);
    call.vpc_endpoint = Some(towpath_admit::VpcEndpoint { id: "vpce-0a1b".to_owned(), account: None });
    let record = call.record(&bare());
    assert_eq!((&record["vpcEndpointId"], record.get("vpcEndpointAccountId")), (&json!("vpce-0a1b"), None));
    let account = Some("444455556666".parse().unwrap());
    call.vpc_endpoint = Some(towpath_admit::VpcEndpoint { id: "vpce-0a1b".to_owned(), account });
    let text = call.records(&bare()).remove(0);
    assert!(
        text.contains(r#","vpcEndpointId":"vpce-0a1b","vpcEndpointAccountId":"444455556666","eventCategory":"#),
        "{text}"
    );
}

#[test]
fn members_that_only_records_have_are_filled_from_the_call() {
    let Some(capture) = capture() else { return };
    let update = |name: &str| {
        let path = format!("/2015-03-31/functions/{name}/code");
        Wire::new("PUT", &path, "lambda").body(r#"{"Publish":true}"#).record(capture)["requestParameters"].clone()
    };
    let whole = json!({
        "functionName": "f", "publish": true,
        "fullyQualifiedArn": {
            "arnPrefix": {"partition": "aws", "region": "us-east-1", "account": ACCOUNT},
            "relativeId": {"functionName": "f"}, "functionQualifier": {},
        },
    });
    assert_eq!(update("f"), whole);
    let named = update("arn%3Aaws%3Alambda%3Aus-east-1%3A123456789012%3Afunction%3Ag");
    assert_eq!(named["fullyQualifiedArn"]["relativeId"], json!({"functionName": "g"}));
}
