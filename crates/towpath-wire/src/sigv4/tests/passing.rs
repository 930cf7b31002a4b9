//! Requests that pass by on their way to S3, as botocore signed them: bodies that are not signed, and keys with any path.

use super::*;

const HASHED: (&str, &str) = (
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    "7a4c93dd2fe03a6857ec0d4eb4ed92459daffe35b2501b8618ba345f8b6e1243",
);
const UNSIGNED: (&str, &str) = ("UNSIGNED-PAYLOAD", "a1249785cc0fbac2996ddbe8f86f88b68a5ea5b5b8c8a7f56ce58308ef1eff48");
const STREAMED: (&str, &str) =
    ("STREAMING-UNSIGNED-PAYLOAD-TRAILER", "dd7b9378afb4381d2e818be43003cbc1516e7ada43b577c49d47cd7315ad03cc");
const PRESIGNED: &str = "/bucket/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAEXAMPLE%2F20261121%2Fus-east-1%2Fs3\
    %2Faws4_request&X-Amz-Date=20261121T050000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host\
    &X-Amz-Signature=b8ac419603f48522f65940122f29ea1121c07645a87899c4d72ee7ec67102bd0";

fn put((hash, signature): (&str, &str), key: &str) -> Request<()> {
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/20261121/us-east-1/s3/aws4_request, \
         SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature={signature}"
    );
    Request::put(format!("/bucket/{key}"))
        .header("host", "s3.test")
        .header("x-amz-date", "20261121T050000Z")
        .header("x-amz-content-sha256", hash)
        .header(AUTHORIZATION, authorization)
        .body(())
        .unwrap()
}

fn proven(request: &Request<()>, secret: &str) -> Result<(), AuthError> {
    let signed = SignedRequest::parse_passing(request.method(), request.uri(), request.headers())?;
    assert!(signed.is_proven_by_head());
    let expect = Expect { service: "s3", now: "2026-11-21T05:00:10Z".parse().unwrap(), skew: DEFAULT_SKEW };
    signed.verify_head(secret.as_bytes(), &expect, &SigningKeys::default()).map(drop)
}

#[test]
fn bodies_that_are_signed_streamed_or_not_signed_are_proven_by_the_head() {
    for stated in [HASHED, UNSIGNED, STREAMED] {
        let request = put(stated, "a%20b//c%2Bd");
        assert_eq!(proven(&request, "secret"), Ok(()), "{}", stated.0);
        assert!(matches!(proven(&request, "wrong"), Err(AuthError::Mismatch(_))));
        assert!(matches!(proven(&put(stated, "a%20b/c%2Bd"), "secret"), Err(AuthError::Mismatch(_))), "another key");
    }
    assert!(matches!(proven(&put((STREAMED.0, UNSIGNED.1), "a%20b//c%2Bd"), "secret"), Err(AuthError::Mismatch(_))));
}

#[test]
fn a_presigned_request_to_s3_signs_no_body() {
    let request = |uri: &str| Request::get(uri).header("host", "s3.test").body(()).unwrap();
    assert_eq!(proven(&request(PRESIGNED), "secret"), Ok(()));
    let another = PRESIGNED.replace("/bucket/k", "/bucket/l");
    assert!(matches!(proven(&request(&another), "secret"), Err(AuthError::Mismatch(_))));
}

#[test]
fn towpaths_own_operations_take_no_body_that_is_not_signed() {
    for stated in [UNSIGNED, STREAMED] {
        let request = put(stated, "k");
        let refused = SignedRequest::parse(request.method(), request.uri(), request.headers()).err().unwrap();
        assert!(matches!(refused, AuthError::Body(_)));
    }
}

#[test]
fn a_request_whose_head_tells_no_hash_waits_for_its_body() {
    let golden = Golden::all();
    let without = golden.iter().filter(|it| !it.headers.iter().any(|(name, _)| name == "x-amz-content-sha256"));
    let mut count = 0;
    for golden in without {
        let (method, uri) = (golden.method.parse().unwrap(), golden.uri.parse::<Uri>().unwrap());
        let signed = SignedRequest::parse_passing(&method, &uri, &golden.header_map()).unwrap();
        let expect = Expect { service: &golden.service, now: golden.time, skew: DEFAULT_SKEW };
        assert!(!signed.is_proven_by_head());
        let keys = SigningKeys::default();
        assert!(matches!(signed.verify_head(golden.secret.as_bytes(), &expect, &keys), Err(AuthError::Body(_))));
        let body = BodyHash::of(golden.body.as_bytes());
        assert!(signed.verify(golden.secret.as_bytes(), &body, &expect, &keys).is_ok());
        count += 1;
    }
    assert!(count > 0);
}
