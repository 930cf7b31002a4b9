//! Nobody may take for ever.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::harness::*;

const SHORT: Duration = Duration::from_millis(100);
const GET: &str = "GET /k HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn an_upstream_that_does_not_answer_in_time_is_a_gateway_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = TestGateway::with(listener.local_addr().unwrap(), |setup| {
        setup.upstream.limits.first_byte_timeout = SHORT;
    })
    .await;
    let answer = gateway.exchange(GET).await;
    assert_eq!(status(&answer), "504");
    assert!(matches!(gateway.one().await.ending, End::Broken { .. }));
}

#[tokio::test]
async fn the_time_for_an_answer_begins_at_the_end_of_the_request() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = TestGateway::with(listener.local_addr().unwrap(), |setup| {
        setup.upstream.limits.first_byte_timeout = 3 * SHORT;
    })
    .await;
    let mut client = gateway.connect().await;
    client.write_all(b"PUT /k HTTP/1.1\r\nHost: h\r\nContent-Length: 8\r\nConnection: close\r\n\r\n").await.unwrap();
    let (mut upstream, _) = listener.accept().await.unwrap();
    for _ in 0..8 {
        tokio::time::sleep(SHORT).await;
        client.write_all(b"x").await.unwrap();
    }
    let _ = read_request(&mut upstream).await.unwrap();
    upstream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await.unwrap();
    assert!(read_to_end(&mut client).await.ends_with("hi"));
}

#[tokio::test]
async fn a_request_that_stops_coming_is_a_request_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = TestGateway::with(listener.local_addr().unwrap(), |setup| setup.clients.body_pause = SHORT).await;
    let answer = gateway.exchange("PUT /k HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\npart").await;
    assert_eq!(status(&answer), "408");
    let seen = gateway.one().await;
    assert_eq!((&seen.sent.kept[..], seen.sent.whole), (&b"part"[..], false));
}

#[tokio::test]
async fn an_answer_that_stops_coming_is_cut() {
    let upstream = RawUpstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await;
    let gateway = TestGateway::with(upstream.address, |setup| setup.upstream.limits.body_pause = SHORT).await;
    let answer = gateway.exchange(GET).await;
    assert!(answer.ends_with("half"), "{answer}");
    assert!(!gateway.one().await.answered().1.whole);
}

#[tokio::test]
async fn heads_that_drip_and_clients_that_say_nothing_are_cut() {
    let upstream = RawUpstream::answering("x").await;
    let gateway = TestGateway::with(upstream.address, |setup| setup.clients.header_timeout = 2 * SHORT).await;
    for opening in ["", "GET / HT", "PRI * HTTP/2.0\r\n", "GET / HTTP/1.1\r\nx: "] {
        let mut stream = gateway.connect().await;
        stream.write_all(opening.as_bytes()).await.unwrap();
        let answer = read_to_end(&mut stream).await;
        assert!(answer.is_empty() || status(&answer) == "408", "{answer}");
    }
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answer_is_cut() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = TestGateway::with(listener.local_addr().unwrap(), |setup| {
        setup.clients.idle_timeout = 3 * SHORT;
    })
    .await;
    let mut client = gateway.connect().await;
    client.write_all(GET.as_bytes()).await.unwrap();
    let (mut upstream, _) = listener.accept().await.unwrap();
    let _ = read_request(&mut upstream).await.unwrap();
    upstream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n").await.unwrap();
    // The upstream notices because its connection is closed.
    while upstream.write_all(&[0; 1 << 16]).await.is_ok() {}
    let seen = gateway.one().await;
    assert!(!seen.answered().1.whole);
    drop(client);
}

#[tokio::test]
async fn calls_beyond_the_bound_of_an_upstream_are_turned_away_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = TestGateway::with(listener.local_addr().unwrap(), |setup| {
        setup.upstream.limits.max_connections = 1;
        setup.upstream.limits.connect_timeout = SHORT;
    })
    .await;
    let mut first = gateway.connect().await;
    first.write_all(GET.as_bytes()).await.unwrap();
    let (mut upstream, _) = listener.accept().await.unwrap();
    let _ = read_request(&mut upstream).await.unwrap();
    assert_eq!(status(&gateway.exchange(GET).await), "503");
    upstream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    assert_eq!(status(&read_to_end(&mut first).await), "200");
    assert_eq!(gateway.seen(2).await.len(), 2);
}

#[tokio::test]
async fn more_connections_than_places_wait() {
    let upstream = RawUpstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let gateway = TestGateway::with(upstream.address, |setup| setup.clients.max_connections = 1).await;
    let first = gateway.connect().await;
    let mut second = gateway.connect().await;
    second.write_all(GET.as_bytes()).await.unwrap();
    assert!(tokio::time::timeout(2 * SHORT, second.read(&mut [0])).await.is_err());
    drop(first);
    assert_eq!(status(&read_to_end(&mut second).await), "200");
}
