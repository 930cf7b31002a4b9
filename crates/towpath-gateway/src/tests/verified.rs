//! Signatures that the gateway verifies.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use tokio::io::AsyncWriteExt;
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

/// A request to delete an object, without a hash of its body, whose body does not come.
fn unfinished(secret: &str) -> String {
    let whole = request(secret, "x", "x").replacen("POST", "DELETE", 1);
    let head = whole.rsplit_once("Content-Length").unwrap().0;
    format!("{head}Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
}

#[tokio::test]
async fn no_head_passes_before_the_body_that_proves_it_is_there() {
    let upstream = RawUpstream::answering(OK).await;
    let gateway = gateway(&upstream).await;
    // An upstream that does not care for bodies would have deleted.
    let mut stream = gateway.connect().await;
    stream.write_all(unfinished("guess").as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(upstream.connections.load(Ordering::SeqCst), 0);
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    let answer = read_to_end(&mut stream).await;
    assert_eq!(status(&answer), "403", "{answer}");
    assert!(matches!(gateway.one().await.ending, End::Refused { .. }));

    let mut stream = gateway.connect().await;
    stream.write_all(unfinished("guess").as_bytes()).await.unwrap();
    drop(stream);
    assert!(matches!(gateway.one().await.ending, End::Broken { .. }));
    assert_eq!(upstream.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn what_was_taken_in_passes_as_it_came() {
    let upstream = RawUpstream::answering(OK).await;
    let gateway = gateway(&upstream).await;
    let body = "0123456789".repeat(200_000);
    let whole = request("secret", &body, "").replace("Content-Length: 0\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n");
    let mut stream = gateway.connect().await;
    stream.write_all(whole.as_bytes()).await.unwrap();
    for part in body.as_bytes().chunks(70_001) {
        stream.write_all(format!("{:x}\r\n", part.len()).as_bytes()).await.unwrap();
        stream.write_all(part).await.unwrap();
        stream.write_all(b"\r\n").await.unwrap();
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    assert_eq!(status(&read_to_end(&mut stream).await), "200");
    let seen = gateway.one().await;
    assert_eq!((seen.sent.total, seen.sent.whole), (2_000_000, true));
    let passed = &upstream.requests()[0];
    let chunks = passed.split_once("\r\n\r\n").unwrap().1;
    assert_eq!(chunks.matches('9').count() / 100_000, 2, "{}", chunks.len());
}

#[tokio::test]
async fn a_body_that_is_too_long_to_be_taken_in_is_refused() {
    let upstream = RawUpstream::answering(OK).await;
    let gateway = gateway(&upstream).await;
    let body = "x".repeat((16 << 20) + 1);
    let answer = gateway.exchange(request("secret", &body, &body)).await;
    assert_eq!(status(&answer), "403", "{answer}");
    assert!(answer.contains("x-amz-content-sha256"), "{answer}");
    assert_eq!(upstream.connections.load(Ordering::SeqCst), 0);
}

/// An upload from a form with these fields before a file.
fn form(fields: &[(&str, &str)], file: &str) -> String {
    let mut body = String::new();
    for (name, value) in fields {
        write!(body, "--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").unwrap();
    }
    write!(body, "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n{file}\r\n--b--\r\n")
        .unwrap();
    format!(
        "POST /photos HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Type: multipart/form-data; boundary=b\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test]
async fn a_form_with_a_wrong_signature_is_refused_before_anything_of_it_passes_and_one_without_passes() {
    let upstream = RawUpstream::answering(OK).await;
    let gateway = gateway(&upstream).await;
    let credential = ("x-amz-credential", "AKIAOWN/20151229/us-east-1/s3/aws4_request");
    let zeros = "0".repeat(64);
    let forged = [
        ("key", "k"),
        ("policy", "e30="),
        ("x-amz-algorithm", "AWS4-HMAC-SHA256"),
        credential,
        ("x-amz-date", "20151229T000000Z"),
        ("x-amz-signature", zeros.as_str()),
    ];
    let older = [("key", "k"), ("policy", "e30="), ("AWSAccessKeyId", "AKIAOWN"), ("signature", "c2ln")];
    let long = "x".repeat(70_000);
    let hidden = [("key", "k"), ("note", long.as_str()), credential];
    for fields in [&forged[..], &forged[..4], &older, &hidden] {
        let answer = gateway.exchange(form(fields, &long)).await;
        assert_eq!(status(&answer), "403", "{answer}");
        assert!(matches!(&gateway.one().await.ending, End::Refused { code } if code == "AccessDenied"));
    }
    assert_eq!(upstream.connections.load(Ordering::SeqCst), 0);
    for file in ["", "short", &"x".repeat(3_000_000)] {
        let answer = gateway.exchange(form(&[("key", "k")], file)).await;
        assert_eq!(status(&answer), "200", "{answer}");
        assert!(gateway.one().await.sent.whole);
    }
    let passed = upstream.requests().pop().unwrap();
    let body = |request: &str| request.split_once("\r\n\r\n").unwrap().1.to_owned();
    assert!(body(&passed) == body(&form(&[("key", "k")], &"x".repeat(3_000_000))));
}
