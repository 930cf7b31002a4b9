//! No call without a record, and no record without a call.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use super::harness::*;
use crate::Policy;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
const GET: &str = "GET /k HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn a_call_that_no_upstream_takes_is_refused_in_its_protocol_and_recorded() {
    let upstream = RawUpstream::answering(OK).await;
    let gateway =
        TestGateway::with(upstream.address, |setup| setup.upstream.takes.services = vec!["s3".to_owned()]).await;
    let scope = "AWS4-HMAC-SHA256 Credential=AKID/20261121/eu-west-1/sqs/aws4_request, Signature=00";
    let request = format!(
        "POST / HTTP/1.1\r\nHost: sqs.example.org\r\nAuthorization: {scope}\r\nX-Amz-Target: AmazonSQS.ListQueues\r\n\
         Content-Length: 2\r\n\r\n{{}}"
    );
    let answer = gateway.exchange(request).await;
    assert_eq!(status(&answer), "404");
    assert!(answer.contains("x-amzn-errortype: UnknownUpstreamException"), "{answer}");
    assert!(answer.contains("\"__type\":\"UnknownUpstreamException\""), "{answer}");
    let seen = gateway.one().await;
    assert!(matches!(&seen.ending, End::Refused { code } if code == "UnknownUpstreamException"), "{seen:?}");
    assert_eq!((&*seen.routed.upstream, seen.routed.service.as_deref()), ("unknown", Some("sqs")));
    assert!(upstream.requests().is_empty());
}

/// A call to a fail-closed upstream while the log takes nothing.
async fn asked_while_shut(upstream: &RawUpstream) -> (TestGateway, TcpStream) {
    let gateway = TestGateway::with(upstream.address, |setup| {
        setup.policy(Policy::FailClosed);
        setup.log.shut.store(true, Ordering::SeqCst);
    })
    .await;
    let mut client = gateway.connect().await;
    client.write_all(GET.as_bytes()).await.unwrap();
    (gateway, client)
}

#[tokio::test]
async fn a_fail_closed_answer_waits_for_its_record() {
    let upstream = RawUpstream::answering(OK).await;
    let (gateway, mut client) = asked_while_shut(&upstream).await;
    eventually("the call is passed on", || upstream.requests().len() == 1).await;
    let mut answer = [0; 256];
    let told = timeout(Duration::from_millis(300), client.read(&mut answer)).await;
    assert!(told.is_err(), "the answer was told before its record was durable");

    gateway.log.shut.store(false, Ordering::SeqCst);
    assert!(read_to_end(&mut client).await.ends_with("hi"));
    assert_eq!(gateway.log.taken.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_long_fail_closed_answer_passes_but_for_its_end() {
    let body = "x".repeat(200_000);
    let upstream =
        RawUpstream::answering(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())).await;
    let (gateway, mut client) = asked_while_shut(&upstream).await;
    let mut got = Vec::new();
    while let Ok(Ok(1..)) = timeout(Duration::from_millis(300), client.read_buf(&mut got)).await {}
    assert!(got.starts_with(b"HTTP/1.1 200 OK") && got.len() < body.len(), "{} bytes", got.len());
    gateway.log.shut.store(false, Ordering::SeqCst);
    let rest = read_to_end(&mut client).await;
    assert!(got.len() + rest.len() > body.len());
}

#[tokio::test]
async fn a_fail_closed_call_whose_record_the_log_refuses_is_not_told_as_a_success() {
    let upstream = RawUpstream::answering(OK).await;
    let gateway = TestGateway::with(upstream.address, |setup| {
        setup.policy(Policy::FailClosed);
        setup.log.refusing.store(true, Ordering::SeqCst);
    })
    .await;
    let answer = gateway.exchange(GET).await;
    assert_eq!(status(&answer), "500");
    assert!(answer.contains("InternalFailure"), "{answer}");
}

#[tokio::test]
async fn without_room_for_a_record_a_fail_closed_call_is_refused_and_a_fail_open_one_passes() {
    let slow = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for (policy, expected) in [(Policy::FailClosed, "503"), (Policy::FailOpen, "200")] {
        let gateway = TestGateway::with(slow.local_addr().unwrap(), |setup| {
            setup.policy(policy);
            setup.recording.queue_calls = 1;
        })
        .await;
        let mut first = gateway.connect().await;
        first.write_all(GET.as_bytes()).await.unwrap();
        let (mut held, _) = slow.accept().await.unwrap();
        let _ = read_request(&mut held).await.unwrap();

        let second = tokio::spawn({
            let mut client = gateway.connect().await;
            async move {
                client.write_all(GET.as_bytes()).await.unwrap();
                read_to_end(&mut client).await
            }
        });
        if expected == "200" {
            let (mut upstream, _) = slow.accept().await.unwrap();
            let _ = read_request(&mut upstream).await.unwrap();
            upstream.write_all(OK.as_bytes()).await.unwrap();
        }
        assert_eq!(status(&second.await.unwrap()), expected);
        held.write_all(OK.as_bytes()).await.unwrap();
        assert_eq!(status(&read_to_end(&mut first).await), "200");
        assert_eq!(gateway.one().await.answered().0, 200);
    }
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_a_record_that_says_how_the_call_ended() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = TestGateway::before(listener.local_addr().unwrap()).await;
    let mut client = gateway.connect().await;
    client.write_all(b"DELETE /k HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    let (mut upstream, _) = listener.accept().await.unwrap();
    let _ = read_request(&mut upstream).await.unwrap();
    drop(client);
    sleep(Duration::from_millis(50)).await;
    upstream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").await.unwrap();
    let seen = gateway.one().await;
    assert_eq!(seen.method, "DELETE");
    let (status, got) = seen.answered();
    assert_eq!((status, &got.kept[..], got.whole), (403, &b"no"[..], true));
}

#[tokio::test]
async fn a_client_that_goes_away_while_it_sends_is_recorded_and_the_upstream_is_not_told_a_part_for_the_whole() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = TestGateway::before(listener.local_addr().unwrap()).await;
    let mut client = gateway.connect().await;
    client.write_all(b"PUT /k HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\npart").await.unwrap();
    let (mut upstream, _) = listener.accept().await.unwrap();
    let mut got = Vec::new();
    while !got.ends_with(b"part") {
        upstream.read_buf(&mut got).await.unwrap();
    }
    drop(client);
    let rest = timeout(LONG, upstream.read_buf(&mut got)).await.unwrap();
    assert!(matches!(rest, Ok(0) | Err(_)), "the connection to the upstream is closed");
    let seen = gateway.one().await;
    assert!(matches!(seen.ending, End::Broken { .. }), "{seen:?}");
    assert_eq!((&seen.sent.kept[..], seen.sent.whole), (&b"part"[..], false));
}

#[tokio::test]
async fn a_client_that_goes_away_while_it_receives_is_recorded() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = TestGateway::before(listener.local_addr().unwrap()).await;
    let mut client = gateway.connect().await;
    client.write_all(GET.as_bytes()).await.unwrap();
    let (mut upstream, _) = listener.accept().await.unwrap();
    let _ = read_request(&mut upstream).await.unwrap();
    upstream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\nfirst").await.unwrap();
    let mut got = Vec::new();
    while !got.ends_with(b"first") {
        client.read_buf(&mut got).await.unwrap();
    }
    drop(client);
    let pusher = tokio::spawn(async move { while upstream.write_all(&[0; 1 << 16]).await.is_ok() {} });
    let seen = gateway.one().await;
    let (status, body) = seen.answered();
    assert_eq!((status, body.whole, body.short), (200, false, false));
    assert!(body.kept.starts_with(b"first"));
    timeout(LONG, pusher).await.unwrap().unwrap();
}

#[tokio::test]
async fn an_upstream_that_breaks_off_is_recorded_and_the_client_sees_that_the_answer_is_not_whole() {
    for policy in [Policy::FailOpen, Policy::FailClosed] {
        for length in [10, 10_000_000] {
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\nhalf");
            let upstream = RawUpstream::closing(answer).await;
            let gateway = TestGateway::with(upstream.address, |setup| setup.policy(policy)).await;
            let got = gateway.exchange(GET).await;
            assert!(got.contains(&format!("Content-Length: {length}\r\n")) && got.ends_with("half"), "{got}");
            let seen = gateway.one().await;
            let (_, body) = seen.answered();
            assert_eq!((&body.kept[..], body.whole, body.short), (&b"half"[..], false, true));
        }
    }
}

#[tokio::test]
async fn an_upstream_that_is_not_there_or_says_nothing_useful_is_a_bad_gateway_and_recorded() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let gateway = TestGateway::before(nobody).await;
    let answer = gateway.exchange(GET).await;
    assert_eq!(status(&answer), "502");
    assert!(matches!(gateway.one().await.ending, End::Broken { .. }));
    for nonsense in [
        "",
        "SSH-2.0-x\r\n",
        "HTTP/1.1 999999 x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
    ] {
        let upstream = RawUpstream::closing(nonsense).await;
        let gateway = TestGateway::before(upstream.address).await;
        let answer = gateway.exchange(GET).await;
        assert_eq!(status(&answer), "502", "{nonsense:?}");
        let End::Broken { reason } = gateway.one().await.ending else { panic!("{nonsense:?}") };
        assert!(!reason.contains("SSH"), "{reason}");
    }
}
