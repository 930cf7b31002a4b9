//! Signatures that the gateway verifies.

use std::fmt::Write;
use std::sync::Arc;

use jiff::Timestamp;
use towpath_admit::UserIdentity;
use towpath_wire::sigv4::{Credentials, Secret, sign};

use super::harness::*;
use crate::KeyDirectory;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

struct Own;

impl KeyDirectory for Own {
    fn owner(&self, _: &str, _: Option<&str>) -> Option<UserIdentity> {
        None
    }

    fn secret(&self, id: &str, _: Option<&str>) -> Option<Secret> {
        (id == "AKIAOWN").then(|| Secret::new("secret"))
    }
}

/// A request of a body signed with a secret; what is sent as its body may be another one of the same length.
fn request(secret: &str, signed: &str, sent: &str) -> String {
    let request = http::Request::post("http://h/").header("x-amz-target", "T.Op").body(()).unwrap();
    let (mut parts, ()) = request.into_parts();
    let credentials = Credentials {
        access_key_id: "AKIAOWN".to_owned(),
        secret_access_key: Secret::new(secret),
        session_token: None,
    };
    sign(&mut parts, signed.as_bytes(), &credentials, "us-east-1", "dynamodb", Timestamp::now()).unwrap();
    let mut text = "POST / HTTP/1.1\r\nConnection: close\r\n".to_owned();
    for (name, value) in &parts.headers {
        write!(text, "{name}: {}\r\n", value.to_str().unwrap()).unwrap();
    }
    write!(text, "Content-Length: {}\r\n\r\n{sent}", sent.len()).unwrap();
    text
}

async fn gateway(upstream: &RawUpstream) -> TestGateway {
    TestGateway::with(upstream.address, |setup| {
        setup.upstream.verify_signatures = true;
        setup.identities = std::mem::take(&mut setup.identities).with_directory(Arc::new(Own));
    })
    .await
}

#[tokio::test]
async fn a_call_whose_signature_is_right_passes_with_all_of_its_body() {
    let upstream = RawUpstream::answering(OK).await;
    let gateway = gateway(&upstream).await;
    for body in ["", "{}", &"x".repeat(100_000)] {
        let answer = gateway.exchange(request("secret", body, body)).await;
        assert_eq!(status(&answer), "200", "{answer}");
        assert!(matches!(gateway.one().await.ending, End::Answered { .. }));
    }
    assert!(upstream.requests().last().unwrap().ends_with("xxx"));
}

#[tokio::test]
async fn a_forged_call_is_answered_by_the_gateway_and_recorded_as_access_denied() {
    let upstream = RawUpstream::answering(OK).await;
    let gateway = gateway(&upstream).await;
    let long = ("x".repeat(100_000), "x".repeat(99_999) + "y");
    let forged = [("guess", "", ""), ("guess", "{}", "{}"), ("secret", "{a}", "{b}"), ("secret", &long.0, &long.1)];
    for (secret, signed, sent) in forged {
        let answer = gateway.exchange(request(secret, signed, sent)).await;
        assert_eq!(status(&answer), "403", "{answer}");
        assert!(answer.contains("AccessDenied"), "{answer}");
        let seen = gateway.one().await;
        assert!(matches!(&seen.ending, End::Refused { code } if code == "AccessDenied"), "{seen:?}");
    }
    // The upstream may have seen a beginning, and never a whole request.
    assert!(upstream.requests().iter().all(|request| !request.ends_with('y') && !request.ends_with('}')));
}
