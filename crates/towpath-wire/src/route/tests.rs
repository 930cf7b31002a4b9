use http::{HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;

fn request(method: &str, uri: &str, headers: &[(&'static str, &str)]) -> Result<Route, ApiError> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    route(&method.parse().unwrap(), &uri.parse().unwrap(), &map)
}

fn target(target: &str) -> Result<Route, ApiError> {
    request("POST", "/", &[("x-amz-target", target), ("content-type", "application/x-amz-json-1.1")])
}

#[test]
fn both_spellings_of_the_target_reach_every_operation_of_cloudtrail() {
    for operation in Operation::ALL.iter().copied().filter(|o| o.service() == Service::CloudTrail) {
        for prefix in ["com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101", "CloudTrail_20131101"] {
            let route = target(&format!("{prefix}.{operation}")).unwrap();
            assert_eq!(route, Route::CloudTrail(operation));
            assert_eq!((route.protocol(), route.signing_name()), (Protocol::AwsJson, "cloudtrail"));
        }
    }
}

#[test]
fn organizations_has_a_target_of_its_own() {
    let route = target("AWSOrganizationsV20161128.DescribeOrganization").unwrap();
    assert_eq!(route, Route::Organizations("DescribeOrganization".to_owned()));
    assert_eq!((route.protocol(), route.signing_name()), (Protocol::AwsJson, "organizations"));
    assert_eq!(target("AWSOrganizationsV20161128.a/b").unwrap_err().code(), "UnknownOperationException");
}

#[test]
fn a_target_that_is_no_operation_is_unknown() {
    for name in [
        "CloudTrail_20131101.Nothing",
        "CloudTrail_20131101.PutAuditEvents",
        "CloudTrail_20131101.",
        "CloudTrail_20131101",
        "cloudtrail_20131101.ListTrails",
        "DynamoDB_20120810.ListTables",
        "Towpath_20261120.",
        "Towpath_20261120.a/b",
        "",
    ] {
        let error = target(name).unwrap_err();
        assert_eq!(error.code(), "UnknownOperationException", "{name}");
        assert_eq!(error.status(Protocol::AwsJson), 400);
    }
    let twice = [("x-amz-target", "CloudTrail_20131101.ListTrails"); 2];
    assert_eq!(request("POST", "/", &twice).unwrap_err().code(), "UnknownOperationException");
    assert_eq!(request("GET", "/", &twice[..1]).unwrap_err().code(), "UnknownOperationException");
    assert_eq!(request("POST", "/x", &twice[..1]).unwrap_err().code(), "UnknownOperationException");
}

#[test]
fn an_operation_of_towpaths_own_is_passed_on_by_name() {
    let route = target("Towpath_20261120.TailEvents").unwrap();
    assert_eq!(route, Route::Towpath("TailEvents".to_owned()));
    assert_eq!(route.signing_name(), "towpath");
}

#[test]
fn audit_events_carry_their_channel_in_the_query_string() {
    let uri = "/PutAuditEvents?channelArn=arn%3Aaws%3Acloudtrail&externalId=a%2Bb";
    let route = request("POST", uri, &[("content-type", "application/json")]).unwrap();
    let target =
        AuditEventsTarget { channel_arn: Some("arn:aws:cloudtrail".to_owned()), external_id: Some("a+b".to_owned()) };
    assert_eq!((route.protocol(), route.signing_name()), (Protocol::RestJson, "cloudtrail-data"));
    assert_eq!(route, Route::PutAuditEvents(target));

    let twice = request("POST", "/PutAuditEvents?channelArn=a&channelArn=b", &[]).unwrap_err();
    assert_eq!(twice.code(), "ValidationException");
    assert_eq!(request("GET", uri, &[]).unwrap_err().status(Protocol::RestJson), 404);
}

#[test]
fn a_form_or_an_action_in_the_query_string_is_for_sts() {
    let form = ("content-type", "application/x-www-form-urlencoded; charset=utf-8");
    assert_eq!(request("POST", "/", &[form]).unwrap(), Route::Sts);
    assert_eq!(request("GET", "/?Action=GetCallerIdentity", &[]).unwrap(), Route::Sts);
    assert_eq!(request("POST", "/?Version=1&Action=GetCallerIdentity", &[]).unwrap(), Route::Sts);
    assert!(request("DELETE", "/?Action=GetCallerIdentity", &[]).is_err());
}

#[test]
fn what_names_no_operation_gets_a_clear_error() {
    for (method, uri) in [("GET", "/"), ("POST", "/"), ("GET", "/favicon.ico"), ("POST", "/putauditevents")] {
        let uri_parsed: Uri = uri.parse().unwrap();
        let error = request(method, uri, &[]).unwrap_err();
        assert_eq!(error.code(), "UnknownOperationException");
        let protocol = Protocol::of(&method.parse().unwrap(), &uri_parsed, &HeaderMap::new());
        assert_eq!(error.status(protocol), 404, "{method} {uri}");
    }
}

#[test]
fn a_call_that_was_signed_for_another_service_is_told_where_it_belongs() {
    let signed = |service: &str| {
        let scope = format!("AKIAIOSFODNN7EXAMPLE/20261121/us-east-1/{service}/aws4_request");
        let signature = "0".repeat(64);
        format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host;x-amz-date, Signature={signature}")
    };
    for (service, method, uri, next) in [
        ("iam", "POST", "/", "towpath iam"),
        ("s3", "GET", "/", "s3_listen"),
        ("s3", "GET", "/bucket/key", "s3_listen"),
        ("ec2", "POST", "/", "gateway"),
    ] {
        let authorization = signed(service);
        let headers = [
            ("authorization", authorization.as_str()),
            ("host", "127.0.0.1"),
            ("x-amz-date", "20261121T080000Z"),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        let error = request(method, uri, &headers).unwrap_err();
        assert!(error.message().contains(service) && error.message().contains(next), "{}", error.message());
        let map: HeaderMap =
            headers.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect();
        assert_eq!(Protocol::of(&method.parse().unwrap(), &uri.parse().unwrap(), &map), Protocol::Query);
    }
    let authorization = signed("sts");
    let form = ("content-type", "application/x-www-form-urlencoded");
    let headers = [("authorization", authorization.as_str()), ("x-amz-date", "20261121T080000Z"), form];
    assert_eq!(request("POST", "/", &headers).unwrap(), Route::Sts);
}

#[test]
fn a_compressed_body_is_refused() {
    for encoding in ["gzip", "aws-chunked", "identity, gzip"] {
        let headers = [("x-amz-target", "CloudTrail_20131101.ListTrails"), ("content-encoding", encoding)];
        let error = request("POST", "/", &headers).unwrap_err();
        assert_eq!(error.code(), "SerializationException");
    }
    let headers = [("x-amz-target", "CloudTrail_20131101.ListTrails"), ("content-encoding", "Identity")];
    assert!(request("POST", "/", &headers).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_request_makes_routing_panic(method in "[A-Z]{1,6}", uri in "/[!-~]{0,40}", target in "[ -~]{0,40}") {
        if let Ok(parsed) = uri.parse::<Uri>() {
            let _ = Protocol::of(&method.parse().unwrap(), &parsed, &HeaderMap::new());
            let _ = request(&method, &uri, &[]);
            let _ = request(&method, &uri, &[("x-amz-target", &target)]);
        }
    }
}
