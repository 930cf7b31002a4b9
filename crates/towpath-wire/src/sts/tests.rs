use proptest::prelude::*;
use uuid::Uuid;

use super::*;

fn form(body: &str) -> Result<StsRequest, ApiError> {
    StsRequest::decode(&Uri::from_static("/"), body.as_bytes())
}

fn assume(more: &str) -> Result<StsRequest, ApiError> {
    form(&format!(
        "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2FAuditor&RoleSessionName=me%40home{more}"
    ))
}

fn text(response: Response<Bytes>) -> String {
    String::from_utf8(response.into_body().to_vec()).unwrap()
}

#[test]
fn the_callers_identity_may_be_asked_for_by_form_or_query_string() {
    let query = Uri::from_static("/?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Expires=60");
    assert_eq!(form("Action=GetCallerIdentity&Version=2011-06-15").unwrap(), StsRequest::GetCallerIdentity);
    assert_eq!(StsRequest::decode(&query, b"").unwrap(), StsRequest::GetCallerIdentity);
}

#[test]
fn a_role_is_assumed_for_an_hour_unless_asked_otherwise() {
    let expected = AssumeRole {
        role_arn: "arn:aws:iam::123456789012:role/Auditor".to_owned(),
        role_session_name: "me@home".to_owned(),
        duration_seconds: 3600,
        external_id: None,
        policy: None,
        source_identity: None,
        tags: Vec::new(),
        transitive_tag_keys: Vec::new(),
    };
    assert_eq!(assume("").unwrap(), StsRequest::AssumeRole(expected.clone()));
    let asked = "&DurationSeconds=900&ExternalId=a+b&ExternalId2=x";
    assert!(assume(asked).is_err(), "a blank is not allowed in an external id");
    let asked = assume("&DurationSeconds=900&ExternalId=a%2Bb&Policy=%7B%7D&SourceIdentity=me").unwrap();
    let expected = AssumeRole {
        duration_seconds: 900,
        external_id: Some("a+b".to_owned()),
        policy: Some("{}".to_owned()),
        source_identity: Some("me".to_owned()),
        ..expected
    };
    assert_eq!(asked, StsRequest::AssumeRole(expected));
}

#[test]
fn a_parameter_out_of_bounds_is_named() {
    let error = assume("&DurationSeconds=899").unwrap_err();
    assert_eq!(
        error.message(),
        "1 validation error detected: Value '899' at 'durationSeconds' failed to satisfy constraint: Member must have value greater than or equal to 900"
    );
    assert_eq!(error.code(), "ValidationException");
    assert_eq!(assume("&DurationSeconds=soon").unwrap_err().message(), "'durationSeconds' must be an Integer");
    let missing = form("Action=AssumeRole&Version=2011-06-15").unwrap_err();
    assert!(missing.message().starts_with("2 validation errors detected: Value null at 'roleArn'"), "{missing}");
}

#[test]
fn a_session_is_never_wider_than_asked_because_a_parameter_was_overlooked() {
    for parameter in
        ["PolicyArns.member.1.arn=a", "SerialNumber=a", "TokenCode=123456", "ProvidedContexts.member.1.ProviderArn=a"]
    {
        let error = assume(&format!("&{parameter}")).unwrap_err();
        assert!(error.message().contains("is not supported"), "{parameter}: {error}");
    }
}

#[test]
fn tags_are_read_in_the_order_of_their_numbers() {
    let more = "&Tags.member.10.Key=z&Tags.member.10.Value=&Tags.member.2.Value=b+c&Tags.member.2.Key=a\
                &TransitiveTagKeys.member.1=z&TagsOfSomethingElse=1";
    let StsRequest::AssumeRole(asked) = assume(more).unwrap() else { panic!("AssumeRole") };
    assert_eq!(asked.tags, [("a".to_owned(), "b c".to_owned()), ("z".to_owned(), String::new())]);
    assert_eq!(asked.transitive_tag_keys, ["z"]);
    let StsRequest::AssumeRole(asked) = assume("&Tags=&TransitiveTagKeys=").unwrap() else { panic!("AssumeRole") };
    assert!(asked.tags.is_empty() && asked.transitive_tag_keys.is_empty());

    for wrong in [
        "Tags=a",
        "Tags.1.Key=a",
        "Tags.member.x.Key=a",
        "Tags.member.01.Key=a",
        "Tags.member.99999999999.Key=a",
        "Tags.member.1=a",
        "Tags.member.1.Key=a",
        "Tags.member.1.Key=a&Tags.member.1.Value=b&Tags.member.1.Other=c",
        "TransitiveTagKeys.member.1.Key=a",
        "TransitiveTagKeys.entry.1=a",
    ] {
        let error = assume(&format!("&{wrong}")).unwrap_err();
        assert_eq!(error.code(), "ValidationException", "{wrong}: {error}");
    }
}

#[test]
fn an_action_that_is_not_there_is_refused() {
    for body in [
        "Action=GetSessionToken&Version=2011-06-15",
        "Action=GetCallerIdentity",
        "Action=GetCallerIdentity&Version=2010-01-01",
    ] {
        assert_eq!(form(body).unwrap_err().code(), "InvalidAction", "{body}");
    }
    assert_eq!(form("Version=2011-06-15").unwrap_err().code(), "MissingAction");
    assert_eq!(form("Action=a&Action=b").unwrap_err().code(), "MalformedQueryString");
    assert_eq!(form("Action=%ff").unwrap_err().code(), "MalformedQueryString");
    assert_eq!(form(&"a&".repeat(40_000)).unwrap_err().code(), "RequestEntityTooLargeException");
}

#[test]
fn answers_are_the_xml_that_clients_read() {
    let request_id = RequestId::from(Uuid::nil());
    let identity = CallerIdentity {
        account: "123456789012".to_owned(),
        arn: "arn:aws:sts::123456789012:assumed-role/<R&D>/\"x\"".to_owned(),
        user_id: "AROAEXAMPLE:x".to_owned(),
    };
    let response = identity.response(&request_id);
    assert_eq!(response.headers()["content-type"], "text/xml");
    assert_eq!(text(response), include_str!("../../testdata/get-caller-identity.xml").trim_end());

    let role = AssumedRole {
        access_key_id: "ASIAEXAMPLE".to_owned(),
        secret_access_key: "secret/key".to_owned(),
        session_token: "token+token=".to_owned(),
        expiration: "2026-11-20T10:30:00.5Z".parse().unwrap(),
        assumed_role_id: "AROAEXAMPLE:me".to_owned(),
        arn: "arn:aws:sts::123456789012:assumed-role/Auditor/me".to_owned(),
        source_identity: Some("me".to_owned()),
        packed_policy_size: Some(6),
    };
    assert!(!format!("{role:?}").contains("secret"));
    assert_eq!(text(role.response(&request_id)), include_str!("../../testdata/assume-role.xml").trim_end());
}

#[test]
fn errors_have_the_names_and_statuses_of_the_query_protocol() {
    let request_id = RequestId::from(Uuid::nil());
    for (error, code, status) in [
        (ApiError::unrecognized_client(), "InvalidClientTokenId", 403),
        (ApiError::expired_token(), "ExpiredToken", 403),
        (ApiError::access_denied("no"), "AccessDenied", 403),
        (ApiError::validation("no"), "ValidationError", 400),
        (ApiError::throttling(), "Throttling", 400),
        (ApiError::internal(), "InternalFailure", 500),
        (crate::sigv4::AuthError::Missing.into(), "MissingAuthenticationToken", 403),
        (crate::sigv4::AuthError::Mismatch(String::new()).into(), "SignatureDoesNotMatch", 403),
        (crate::sigv4::AuthError::Expired(String::new()).into(), "RequestExpired", 400),
    ] {
        let response = error.response(Protocol::Query, &request_id);
        assert_eq!(response.status(), status, "{code}");
        assert!(text(response).contains(&format!("<Code>{code}</Code>")), "{code}");
    }
    let error = ApiError::access_denied("User: <a> & \u{1} may not").response(Protocol::Query, &request_id);
    assert_eq!(text(error), include_str!("../../testdata/access-denied.xml").trim_end());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_form_makes_it_panic(body in proptest::collection::vec(any::<u8>(), 0..200), more in ".{0,40}") {
        let _ = StsRequest::decode(&Uri::from_static("/"), &body);
        let _ = assume(&format!("&{more}"));
    }
}
