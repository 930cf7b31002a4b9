//! Requests that botocore signed, and what is refused of them.

use super::*;

#[test]
fn every_request_that_botocore_signs_is_accepted() {
    for golden in Golden::all() {
        let signed = golden.parse().unwrap_or_else(|error| panic!("{}: {error}", golden.name));
        let mut canonical = signed.canonical.clone();
        canonical.extend_from_slice(BodyHash::of(golden.body.as_bytes()).to_string().as_bytes());
        assert_eq!(String::from_utf8(canonical).unwrap(), golden.canonical_request, "{}", golden.name);
        assert_eq!(signed.session_token(), golden.session_token.as_deref(), "{}", golden.name);
        assert_eq!(signed.is_presigned(), golden.presigned, "{}", golden.name);

        let verified = golden.verify().unwrap_or_else(|error| panic!("{}: {error}", golden.name));
        assert_eq!(verified.access_key_id(), golden.access_key_id);
        assert_eq!((verified.region(), verified.service()), (&*golden.region, &*golden.service));
    }
}

#[test]
fn our_own_signatures_are_those_of_botocore() {
    for golden in Golden::all().into_iter().filter(|golden| !golden.presigned) {
        let mut request = Request::builder().method(&*golden.method).uri(&golden.uri).body(()).unwrap();
        *request.headers_mut() = golden.header_map();
        let theirs = request.headers_mut().remove(AUTHORIZATION).unwrap();
        request.headers_mut().remove("x-amz-date");
        let (mut parts, ()) = request.into_parts();
        let credentials = Credentials {
            access_key_id: golden.access_key_id.clone(),
            secret_access_key: Secret::new(&*golden.secret),
            session_token: golden.session_token.clone().map(Secret::new),
        };
        sign(&mut parts, golden.body.as_bytes(), &credentials, &golden.region, &golden.service, golden.time).unwrap();
        assert_eq!(parts.headers[AUTHORIZATION], theirs, "{}", golden.name);
    }
}

#[test]
fn a_request_without_any_signature_is_told_so() {
    let mut golden = Golden::named("a form");
    golden.headers.retain(|(name, _)| name != "authorization");
    assert_eq!(golden.code(), "MissingAuthenticationTokenException");
}

#[test]
fn a_wrong_secret_is_refused_with_the_string_to_sign_and_without_the_secret() {
    let mut golden = Golden::named("a call with a session token");
    golden.secret = "other".to_owned();
    let error = golden.verify().unwrap_err();
    assert_eq!(error.code(), "InvalidSignatureException");
    let text = error.to_string();
    assert!(text.starts_with("The request signature we calculated does not match the signature you provided."));
    assert!(text.contains("20261120/eu-central-1/cloudtrail/aws4_request\n"));
    assert!(text.contains("x-amz-security-token:...\n"));
    assert!(!text.contains(golden.session_token.as_deref().unwrap()), "the token is in the error");
    assert!(!text.contains("other"));
}

#[test]
fn debug_output_holds_no_token_and_no_secret() {
    let golden = Golden::named("a call with a session token");
    let credentials = Credentials {
        access_key_id: "AKIDEXAMPLE".to_owned(),
        secret_access_key: Secret::new("hidden"),
        session_token: Some(Secret::new("hidden")),
    };
    let text = format!("{:?} {credentials:?} {:?}", golden.parse().unwrap(), SigningKeys::default());
    assert!(!text.contains("hidden") && !text.contains("IQoJ"), "{text}");
}

#[test]
fn a_clock_may_be_five_minutes_off_and_no_more() {
    let golden = Golden::named("an empty AWS JSON call");
    for (seconds, accepted) in [(-301, false), (-300, true), (0, true), (300, true), (301, false)] {
        let result = golden.verify_at(golden.time + SignedDuration::from_secs(seconds));
        assert_eq!(result.is_ok(), accepted, "{seconds}");
    }
    let late = golden.verify_at(golden.time + SignedDuration::from_mins(6)).unwrap_err();
    assert_eq!(late.code(), "InvalidSignatureException");
    assert_eq!(
        late.to_string(),
        "Signature expired: 20261120T093000Z is now earlier than 20261120T093100Z (20261120T093600Z - 5 min.)"
    );
    let early = golden.verify_at(golden.time - SignedDuration::from_mins(6)).unwrap_err();
    assert_eq!(
        early.to_string(),
        "Signature not yet current: 20261120T093000Z is still later than 20261120T092900Z (20261120T092400Z + 5 min.)"
    );
}

#[test]
fn a_presigned_request_is_good_until_its_own_end() {
    let golden = Golden::named("a presigned query");
    for (seconds, code) in
        [(-301, Some("InvalidSignatureException")), (0, None), (60, None), (61, Some("RequestExpired"))]
    {
        let result = golden.verify_at(golden.time + SignedDuration::from_secs(seconds));
        assert_eq!(result.err().map(|error| error.code()), code, "{seconds}");
    }
}

#[test]
fn a_presigned_request_may_not_ask_for_more_than_seven_days() {
    for expires in ["604801", "0", "-1", "x", "99999999999999999999"] {
        let mut golden = Golden::named("a presigned query");
        golden.uri = golden.uri.replace("X-Amz-Expires=60", &format!("X-Amz-Expires={expires}"));
        assert_eq!(golden.code(), "IncompleteSignatureException", "{expires}");
    }
}

#[test]
fn a_signature_for_another_service_is_refused() {
    let mut golden = Golden::named("an empty AWS JSON call");
    golden.service = "cloudtrail-data".to_owned();
    let error = golden.verify().unwrap_err();
    assert_eq!(error.code(), "InvalidSignatureException");
    assert_eq!(error.to_string(), "Credential should be scoped to correct service: 'cloudtrail-data'. ");
}

#[test]
fn headers_that_aws_reads_must_be_signed() {
    for header in ["x-amz-target", "x-amz-user-agent", "x-amz-security-token"] {
        let mut golden = Golden::named("a form");
        golden.headers.push((header.to_owned(), "x".to_owned()));
        let error = golden.verify().unwrap_err();
        assert_eq!(error, AuthError::Unsigned(header.to_owned()));
    }
    for missing in ["host;", ";x-amz-date"] {
        let mut golden = Golden::named("a form");
        *golden.header("authorization") = golden.header("authorization").replace(missing, "");
        assert_eq!(golden.code(), "InvalidSignatureException", "{missing}");
    }
}

#[test]
fn a_header_that_is_signed_must_be_there() {
    let mut golden = Golden::named("a form");
    golden.headers.retain(|(name, _)| name != "content-type");
    assert_eq!(golden.code(), "IncompleteSignatureException");
}

#[test]
fn the_date_header_serves_where_there_is_no_amz_date() {
    let credentials = Credentials {
        access_key_id: "AKIDEXAMPLE".to_owned(),
        secret_access_key: Secret::new("secret"),
        session_token: None,
    };
    let golden = Golden::named("a form");
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static("example.com"));
    headers.insert("date", HeaderValue::from_static("Fri, 20 Nov 2026 09:30:00 GMT"));
    let scope = Scope { day: "20261120".to_owned(), region: "eu-central-1".to_owned(), service: "sts".to_owned() };
    let uri = Uri::from_static("/");
    let mut canonical =
        parse::canonical_request(&Method::GET, ("/", &uri), &headers, &["date", "host"], false).unwrap();
    canonical.extend_from_slice(BodyHash::of(b"").to_string().as_bytes());
    let hash = <sha2::Sha256 as sha2::Digest>::digest(&canonical);
    let text = canonical::string_to_sign("20261120T093000Z", &scope.to_string(), &hash);
    let key = key::SigningKey::derive(credentials.secret_access_key.expose().as_bytes(), &scope);
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{scope}, SignedHeaders=date;host, Signature={}",
        hex::encode(key.sign(&text))
    );
    headers.insert(AUTHORIZATION, HeaderValue::from_str(&authorization).unwrap());
    let expect = Expect { service: "sts", now: golden.time, skew: DEFAULT_SKEW };
    let signed = SignedRequest::parse(&Method::GET, &uri, &headers).unwrap();
    signed.verify(b"secret", &BodyHash::of(b""), &expect, &SigningKeys::default()).unwrap();

    headers.insert("date", HeaderValue::from_static("yesterday"));
    assert_eq!(SignedRequest::parse(&Method::GET, &uri, &headers).unwrap_err().code(), "IncompleteSignatureException");
}

#[test]
fn a_body_must_be_signed_and_must_be_the_one_that_was() {
    let mut golden = Golden::named("a body hash in a header");
    golden.body = "{ }".to_owned();
    assert!(matches!(golden.verify(), Err(AuthError::Body(_))));
    for claim in ["UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "", "44136FA355B3678A"] {
        let mut golden = Golden::named("a body hash in a header");
        *golden.header("x-amz-content-sha256") = claim.to_owned();
        assert!(matches!(golden.verify(), Err(AuthError::Body(_))), "{claim}");
    }
}

#[test]
fn a_request_signed_twice_over_is_refused() {
    let mut golden = Golden::named("a presigned query");
    let header = Golden::named("a query").header("authorization").clone();
    golden.headers.push(("authorization".to_owned(), header.clone()));
    assert_eq!(golden.code(), "IncompleteSignatureException");
    let mut golden = Golden::named("a query");
    golden.headers.push(("authorization".to_owned(), header));
    assert_eq!(golden.code(), "IncompleteSignatureException");
}

#[test]
fn hostile_authorization_headers_are_incomplete() {
    let good = Golden::named("a form").header("authorization").clone();
    let hostile = [
        String::new(),
        "AWS4-HMAC-SHA256".to_owned(),
        "Basic dXNlcjpwYXNz".to_owned(),
        "AWS4-ECDSA-P256-SHA256 Credential=a/20261120/r/s/aws4_request, SignedHeaders=host, Signature=00".to_owned(),
        good.replace("Signature=", "Signature=zz"),
        good.replace("Credential=AKIDEXAMPLE/", "Credential="),
        good.replace("20261120/", "2026112/"),
        good.replace("20261120/", "20261119/"),
        good.replace("aws4_request", "aws3_request"),
        good.replace("eu-central-1", ""),
        good.replace("eu-central-1", "../.."),
        good.replace("SignedHeaders=content-type;host", "SignedHeaders=host;content-type"),
        good.replace("SignedHeaders=content-type", "SignedHeaders=content-type;content-type"),
        good.replace("SignedHeaders=content-type", "SignedHeaders=Content-Type"),
        good.replace("SignedHeaders=content-type", "SignedHeaders=;content-type"),
        format!("{good}, Signature=00"),
        format!("{good}, Other=00"),
        format!("{good}{}", ",".repeat(9000)),
        good.replace("SignedHeaders=", &format!("SignedHeaders={}", "a;".repeat(200))),
    ];
    for header in hostile {
        let mut golden = Golden::named("a form");
        *golden.header("authorization") = header.clone();
        assert_eq!(golden.code(), "IncompleteSignatureException", "{header}");
    }
}
