//! Requests that are meant to be understood differently by different readers, and requests that are nothing at all.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::harness::*;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

#[tokio::test]
async fn requests_without_one_meaning_are_refused_and_never_reach_the_upstream() {
    let upstream = RawUpstream::answering(OK).await;
    let gateway = TestGateway::before(upstream.address).await;
    let head = |lines: &str| format!("POST /k HTTP/1.1\r\nHost: h\r\n{lines}\r\n\r\n");
    for (what, request) in [
        ("two lengths", head("Content-Length: 3\r\nContent-Length: 4") + "abcd"),
        ("a list of lengths", head("Content-Length: 3, 4") + "abcd"),
        ("a length with a sign", head("Content-Length: +3") + "abc"),
        ("a length beyond all numbers", head("Content-Length: 99999999999999999999") + "abc"),
        ("a negative length", head("Content-Length: -1")),
        ("an unknown coding", head("Transfer-Encoding: xchunked") + "0\r\n\r\n"),
        ("a coding below chunked", head("Transfer-Encoding: gzip, chunked") + "0\r\n\r\n"),
        ("chunked twice", head("Transfer-Encoding: chunked, chunked") + "0\r\n\r\n"),
        ("chunked not last", head("Transfer-Encoding: chunked, identity") + "0\r\n\r\n"),
        (
            "a coding in HTTP/1.0",
            "POST /k HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
        ),
        ("a folded header", head("X-A: b\r\n Transfer-Encoding: chunked")),
        ("a space before the colon", head("Transfer-Encoding : chunked") + "0\r\n\r\n"),
        ("a control character", head("X-A: a\u{0}b")),
        ("two hosts", head("Host: other")),
        ("another host in the line", "GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n".to_owned()),
        ("a tunnel", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n".to_owned()),
        ("no method", "\u{1}\u{2} / HTTP/1.1\r\n\r\n".to_owned()),
        ("another version", "GET / HTTP/3.7\r\n\r\n".to_owned()),
        ("a header without end", head(&format!("X-A: {}", "a".repeat(400 << 10)))),
        ("a path without end", format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(100 << 10))),
        ("too many headers", head(&(0..200).map(|n| format!("X-{n}: a")).collect::<Vec<_>>().join("\r\n"))),
    ] {
        let answer = gateway.exchange(request).await;
        assert!(answer.is_empty() || matches!(status(&answer).as_bytes()[0], b'4' | b'5'), "{what}: {answer}");
        assert!(answer.is_empty() || !answer.ends_with("hi"), "{what}");
    }
    assert_eq!(upstream.requests(), Vec::<String>::new());
    // And it goes on.
    assert_eq!(status(&gateway.exchange("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await), "200");
}

#[tokio::test]
async fn a_length_beside_chunks_smuggles_nothing() {
    for lines in ["Content-Length: 6\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 6"]
    {
        let upstream = RawUpstream::answering(OK).await;
        let gateway = TestGateway::before(upstream.address).await;
        let request =
            format!("POST /k HTTP/1.1\r\nHost: h\r\n{lines}\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n");
        let answer = gateway.exchange(request).await;
        // Read as chunks, forwarded as chunks alone, and the connection is closed: what follows is never looked at.
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
        let requests = upstream.requests();
        assert_eq!(requests, ["POST /k HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"]);
    }
}

#[tokio::test]
async fn chunks_that_are_none_break_the_call_and_not_the_gateway() {
    for body in
        ["zz\r\nabc\r\n", "3\r\nabcdef\r\n0\r\n\r\n", "ffffffffffffffffff\r\na", "3;x\r\nab", "-1\r\n", "3\nabc\n0\n\n"]
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gateway = TestGateway::before(listener.local_addr().unwrap()).await;
        let mut client = gateway.connect().await;
        let head = "POST /k HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
        client.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        client.shutdown().await.unwrap();
        let (mut upstream, _) = listener.accept().await.unwrap();
        assert_eq!(read_request(&mut upstream).await, None, "{body:?} reached the upstream as a whole");
        let answer = read_to_end(&mut client).await;
        assert!(answer.is_empty() || status(&answer) == "400", "{body:?}: {answer}");
        let seen = gateway.one().await;
        assert!(!seen.sent.whole, "{body:?}: {seen:?}");
    }
}

#[tokio::test]
async fn answers_without_one_meaning_are_a_bad_gateway() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhix",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\nX-A : b\r\nContent-Length: 2\r\n\r\nhi",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n",
    ] {
        let upstream = RawUpstream::closing(answer).await;
        let gateway = TestGateway::before(upstream.address).await;
        let got = gateway.exchange("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await;
        assert_eq!(status(&got), "502", "{answer:?}: {got}");
        assert!(matches!(gateway.one().await.ending, End::Broken { .. }));
    }
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(24))]

    /// Whatever comes, the connection ends and the gateway serves the next one.
    #[test]
    fn no_bytes_stop_the_gateway(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300), line in "[ -~\r\n]{0,200}") {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let upstream = RawUpstream::answering(OK).await;
            let gateway = TestGateway::with(upstream.address, |setup| {
                setup.clients.header_timeout = std::time::Duration::from_millis(50);
                setup.clients.body_pause = std::time::Duration::from_millis(50);
            })
            .await;
            gateway.exchange(&bytes).await;
            gateway.exchange(format!("POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{line}\r\n\r\n")).await;
            let answer = gateway.exchange("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await;
            assert_eq!(status(&answer), "200");
        });
    }
}
