//! What passes is the same on both sides.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::harness::*;

#[tokio::test]
async fn a_request_arrives_as_it_was_sent() {
    let upstream = RawUpstream::answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    let gateway = TestGateway::before(upstream.address).await;
    let request = "PUT //bucket/a%2Fb/../c%20d?x=%41&y&=&z=a+b HTTP/1.1\r\n\
                   HOST: bucket.s3.amazonaws.com\r\n\
                   X-Amz-Meta-Name: one\r\n\
                   x-AMZ-meta-name: two\r\n\
                   Authorization: AWS4-HMAC-SHA256 Credential=AKID/20261121/eu-west-1/s3/aws4_request, Signature=00\r\n\
                   Content-Length: 5\r\n\
                   x-latin: caf\u{e9}\r\n\r\nhello";
    let mut stream = gateway.connect().await;
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = [0; 27];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer[..], b"HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(upstream.requests(), [request]);

    let seen = gateway.one().await;
    assert_eq!(seen.uri, "//bucket/a%2Fb/../c%20d?x=%41&y&=&z=a+b");
    assert_eq!(&seen.sent.kept[..], b"hello");
    assert!(seen.sent.is_kept());
    assert_eq!(seen.routed.signed_for.as_deref(), Some("s3"));
    assert_eq!(seen.routed.region.as_str(), "eu-west-1");
}

#[tokio::test]
async fn an_answer_arrives_as_it_was_sent() {
    for answer in [
        "HTTP/1.1 200 Fine by me\r\nServer: x\r\nSET-cookie: a=1\r\nSet-Cookie: b=2\r\nx-UPPER: Y\r\nContent-Length: 2\r\nETag: \"q\"\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nTransfer-Encoding: chunked\r\nETag: 1\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nETag: \"q\"\r\n\r\n",
        "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://elsewhere/\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 503 Slow Down\r\nContent-Length: 4\r\nRetry-After: 3\r\n\r\nslow",
    ] {
        let upstream = RawUpstream::answering(answer).await;
        let gateway = TestGateway::before(upstream.address).await;
        let got = gateway.exchange("GET /k HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await;
        // `connection: close` is about the client's own connection.
        let got = got.replacen("connection: close\r\n", "", 1).replacen("Connection: close\r\n", "", 1);
        assert_eq!(got, answer);
        assert_eq!(upstream.requests(), ["GET /k HTTP/1.1\r\nHost: h\r\n\r\n"]);
    }
}

#[tokio::test]
async fn the_answer_to_head_has_a_length_and_no_body() {
    let upstream = RawUpstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nETag: q\r\n\r\n").await;
    let gateway = TestGateway::before(upstream.address).await;
    let got = gateway.exchange("HEAD /k HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await;
    assert!(got.contains("Content-Length: 1234\r\n") && got.ends_with("\r\n\r\n"), "{got}");
    assert_eq!(gateway.one().await.answered().0, 200);
}

#[tokio::test]
async fn chunks_and_trailers_pass_in_both_directions() {
    let answer =
        "HTTP/1.1 200 OK\r\nTrailer: x-sum\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 7\r\n\r\n";
    let upstream = RawUpstream::answering(answer).await;
    let gateway = TestGateway::before(upstream.address).await;
    let request = "PUT /k HTTP/1.1\r\nHost: h\r\nTE: trailers\r\nTrailer: x-hash\r\nTransfer-Encoding: chunked\r\n\r\n\
                   4\r\nwxyz\r\n0\r\nx-hash: 9\r\n\r\n";
    let mut stream = gateway.connect().await;
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut got = vec![0; answer.len()];
    stream.read_exact(&mut got).await.unwrap();
    assert_eq!(String::from_utf8(got).unwrap(), answer);
    assert_eq!(upstream.requests(), [request]);
    let seen = gateway.one().await;
    assert_eq!(&seen.sent.kept[..], b"wxyz");
    assert_eq!(&seen.answered().1.kept[..], b"abc");
}

#[tokio::test]
async fn an_upstream_of_http_1_0_that_ends_by_closing_is_understood() {
    let upstream = RawUpstream::closing("HTTP/1.0 200 OK\r\nServer: old\r\n\r\nall of it").await;
    let gateway = TestGateway::before(upstream.address).await;
    let got = gateway.exchange("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await;
    assert!(got.starts_with("HTTP/1.1 200 OK\r\nServer: old\r\n"), "{got}");
    assert!(got.contains("9\r\nall of it\r\n0\r\n"), "{got}");
    let got = gateway.exchange("GET / HTTP/1.0\r\n\r\n").await;
    assert!(got.ends_with("\r\n\r\nall of it"), "{got}");
}

#[tokio::test]
async fn a_body_that_waits_for_100_continue_is_sent_when_the_upstream_wants_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = TestGateway::before(listener.local_addr().unwrap()).await;
    let mut client = gateway.connect().await;
    client.write_all(b"PUT /k HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n").await.unwrap();

    let (mut upstream, _) = listener.accept().await.unwrap();
    let mut head = vec![0; 1024];
    let length = upstream.read(&mut head).await.unwrap();
    assert!(head[..length].ends_with(b"Expect: 100-continue\r\nContent-Length: 4\r\n\r\n"));
    upstream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.unwrap();
    let mut interim = [0; 25];
    client.read_exact(&mut interim).await.unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    client.write_all(b"body").await.unwrap();
    let mut body = [0; 4];
    upstream.read_exact(&mut body).await.unwrap();
    upstream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
    let mut answer = [0; 40];
    let length = client.read(&mut answer).await.unwrap();
    assert_eq!(&answer[..length], b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_eq!(&gateway.one().await.sent.kept[..], b"body");
}

#[tokio::test]
async fn a_body_that_the_upstream_does_not_want_is_not_asked_for() {
    let upstream = RawUpstream::answering("x").await;
    drop(upstream);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = TestGateway::before(listener.local_addr().unwrap()).await;
    let mut client = gateway.connect().await;
    client.write_all(b"PUT /k HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n").await.unwrap();
    let (mut upstream, _) = listener.accept().await.unwrap();
    let mut head = [0; 1024];
    let _ = upstream.read(&mut head).await.unwrap();
    upstream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").await.unwrap();
    let answer = read_to_end(&mut client).await;
    assert_eq!(status(&answer), "403");
    assert!(answer.ends_with("no"));
    assert_eq!(gateway.one().await.answered().0, 403);
}

#[tokio::test]
async fn interim_answers_do_not_disturb() {
    let answer = "HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
    let upstream = RawUpstream::answering(answer).await;
    let gateway = TestGateway::before(upstream.address).await;
    let got = gateway.exchange("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await;
    assert!(got.starts_with("HTTP/1.1 200 OK\r\n") && got.ends_with("hi"), "{got}");
}

#[tokio::test]
async fn connections_to_the_upstream_are_used_again() {
    let upstream = RawUpstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await;
    let gateway = TestGateway::before(upstream.address).await;
    for _ in 0..20 {
        let got = gateway.exchange("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await;
        assert_eq!(status(&got), "200");
    }
    let connections = upstream.connections.load(std::sync::atomic::Ordering::SeqCst);
    assert!(connections < 5, "{connections} connections for 20 calls in a row");
}

#[tokio::test]
async fn a_connection_that_the_upstream_closed_meanwhile_costs_no_call() {
    // Closes after each answer without saying so beforehand.
    let upstream = RawUpstream::closing("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await;
    let gateway = TestGateway::before(upstream.address).await;
    for number in 0..50 {
        let got = gateway.exchange("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await;
        assert_eq!(status(&got), "200", "call {number}");
    }
    assert_eq!(upstream.requests().len(), 50);
}
