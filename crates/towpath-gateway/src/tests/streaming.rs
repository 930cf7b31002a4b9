//! Long bodies, conversations, and HTTP/2.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Frame;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use super::harness::*;
use crate::Policy;

const LENGTH: u64 = 64 << 20;

/// A body of `LENGTH` bytes that tells how much of it was taken.
fn long_body(
    taken: Arc<AtomicU64>,
) -> http_body_util::StreamBody<impl futures::Stream<Item = Result<Frame<Bytes>, std::io::Error>>> {
    let piece = Bytes::from(vec![7; 64 << 10]);
    http_body_util::StreamBody::new(futures::stream::iter((0..LENGTH >> 16).map(move |_| {
        taken.fetch_add(1 << 16, Ordering::SeqCst);
        Ok(Frame::data(piece.clone()))
    })))
}

#[tokio::test]
async fn a_long_upload_passes_and_waits_for_an_upstream_that_does_not_read() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = TestGateway::before(listener.local_addr().unwrap()).await;
    let taken = Arc::new(AtomicU64::new(0));
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(gateway.connect().await)).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::put("/k").header("host", "h").header("content-length", LENGTH);
    let answer = tokio::spawn(sender.send_request(request.body(long_body(taken.clone())).unwrap()));

    let (mut upstream, _) = listener.accept().await.unwrap();
    eventually("the upload begins", || taken.load(Ordering::SeqCst) > 0).await;
    // What is on the way is in buffers of sockets, not in the gateway: far less than the body.
    sleep(Duration::from_millis(500)).await;
    let on_the_way = taken.load(Ordering::SeqCst);
    assert!(on_the_way < LENGTH / 2, "{on_the_way} bytes were taken though nobody reads");

    let mut bytes = vec![0; 1 << 20];
    let mut read = 0;
    while read < LENGTH {
        read += upstream.read(&mut bytes).await.unwrap() as u64;
    }
    upstream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    assert_eq!(answer.await.unwrap().unwrap().status(), 200);
    let seen = gateway.one().await;
    assert_eq!(seen.sent.total, LENGTH);
    assert_eq!(seen.sent.kept.len(), 256 << 10);
    assert!(seen.sent.whole && !seen.sent.is_kept());
}

#[tokio::test]
async fn a_long_download_passes_and_waits_for_a_client_that_does_not_read() {
    let sent = Arc::new(AtomicU64::new(0));
    let upstream = http_upstream({
        let sent = sent.clone();
        move |_| {
            let body = long_body(sent.clone());
            http::Response::builder().header("content-length", LENGTH).body(body).unwrap()
        }
    })
    .await;
    let gateway = TestGateway::with(upstream, |setup| setup.policy(crate::Policy::FailClosed)).await;
    let mut client = gateway.connect().await;
    client.write_all(b"GET /k HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await.unwrap();
    eventually("the download begins", || sent.load(Ordering::SeqCst) > 0).await;
    sleep(Duration::from_millis(500)).await;
    let on_the_way = sent.load(Ordering::SeqCst);
    assert!(on_the_way < LENGTH / 2, "{on_the_way} bytes were sent though nobody reads");
    let mut bytes = vec![0; 1 << 20];
    let mut read = 0;
    while let Ok(length @ 1..) = client.read(&mut bytes).await {
        read += length as u64;
    }
    assert!(read > LENGTH && read < LENGTH + 1024, "{read}");
    let seen = gateway.one().await;
    let (_, got) = seen.answered();
    assert_eq!((got.total, got.kept.len(), got.whole), (LENGTH, 256 << 10, true));
}

#[tokio::test]
async fn events_arrive_while_the_stream_goes_on() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = TestGateway::before(listener.local_addr().unwrap()).await;
    let mut client = gateway.connect().await;
    client.write_all(b"POST /events HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    let (mut upstream, _) = listener.accept().await.unwrap();
    let _ = upstream.read(&mut [0; 1024]).await.unwrap();
    upstream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.amazon.eventstream\r\nTransfer-Encoding: chunked\r\n\r\n").await.unwrap();
    let mut bytes = [0; 1024];
    let mut text = String::new();
    for event in ["one", "two", "three"] {
        upstream.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).await.unwrap();
        while !text.contains(event) {
            let length = client.read(&mut bytes).await.unwrap();
            text.push_str(std::str::from_utf8(&bytes[..length]).unwrap());
        }
    }
    upstream.write_all(b"0\r\n\r\n").await.unwrap();
    let seen = gateway.one().await;
    assert_eq!(&seen.answered().1.kept[..], b"onetwothree");
}

/// A message of a stream of events.
fn message(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    let sum = |bytes: &[u8]| {
        let step = |sum: u32, byte: &u8| {
            let bit = |sum: u32| (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg());
            (0..8).fold(sum ^ u32::from(*byte), |sum, _| bit(sum))
        };
        (!bytes.iter().fold(u32::MAX, step)).to_be_bytes()
    };
    let text = |text: &str| [&(text.len() as u16).to_be_bytes(), text.as_bytes()].concat();
    let header = |(name, value): &(&str, &str)| [&[name.len() as u8], name.as_bytes(), &[7], &text(value)].concat();
    let head = headers.iter().map(header).collect::<Vec<_>>().concat();
    let lengths = [16 + head.len() + payload.len(), head.len()].map(|length| (length as u32).to_be_bytes()).concat();
    let mut bytes = [&lengths[..], &sum(&lengths), &head, payload].concat();
    bytes.extend_from_slice(&sum(&bytes));
    bytes
}

#[tokio::test]
async fn how_a_stream_of_events_failed_is_known_however_long_it_was_and_broken_ones_pass_as_they_are() {
    let event = message(&[(":message-type", "event"), (":event-type", "chunk")], &[b'x'; 100_000]);
    let failed = message(&[(":message-type", "error"), (":error-code", "Busy"), (":error-message", "later")], b"");
    let mut stream = event.repeat(4);
    stream.extend_from_slice(&failed);
    let mut broken = stream.clone();
    broken[event.len() + 3] ^= 1;
    let endless = [&u32::MAX.to_be_bytes()[..], &[0; 60]].concat();
    for (sent, messages, code) in [(stream, 5, Some("Busy")), (broken, 1, None), (endless, 0, None)] {
        let mut answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.amazon.eventstream\r\n".to_vec();
        answer.extend_from_slice(b"Connection: close\r\n\r\n");
        answer.extend_from_slice(&sent);
        let upstream = RawUpstream::closing(answer).await;
        let gateway = TestGateway::before(upstream.address).await;
        let mut client = gateway.connect().await;
        client
            .write_all(b"POST /events HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut got = Vec::new();
        client.read_to_end(&mut got).await.unwrap();
        let seen = gateway.one().await;
        let (_, body) = seen.answered();
        let said = body.stream.as_ref().unwrap();
        assert_eq!((said.messages, said.failure.as_ref().map(|failure| failure.code.as_str())), (messages, code));
        assert!(body.kept.len() <= 256 << 10 && body.total == sent.len() as u64);
        // Chunks of the gateway's making stand between the parts.
        assert!(got.len() > sent.len());
    }
}

#[tokio::test]
async fn a_conversation_in_another_protocol_passes_and_is_recorded_at_its_end() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = TestGateway::before(listener.local_addr().unwrap()).await;
    let mut client = gateway.connect().await;
    let request =
        "GET /chat HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: a\r\n\r\n";
    client.write_all(request.as_bytes()).await.unwrap();
    let (mut upstream, _) = listener.accept().await.unwrap();
    let asked = read_request(&mut upstream).await.unwrap();
    assert_eq!(asked, request);
    let answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    upstream.write_all(answer.as_bytes()).await.unwrap();
    let mut got = vec![0; answer.len()];
    client.read_exact(&mut got).await.unwrap();
    assert_eq!(String::from_utf8(got).unwrap(), answer);
    for _ in 0..3 {
        let mut word = [0; 4];
        client.write_all(b"ping").await.unwrap();
        upstream.read_exact(&mut word).await.unwrap();
        assert_eq!(&word, b"ping");
        upstream.write_all(b"pong").await.unwrap();
        client.read_exact(&mut word).await.unwrap();
        assert_eq!(&word, b"pong");
    }
    drop(client);
    assert_eq!(upstream.read(&mut [0; 8]).await.unwrap(), 0);
    drop(upstream);
    let seen = gateway.one().await;
    assert_eq!(seen.sent.total, 12);
    let (status, got) = seen.answered();
    assert_eq!((status, got.total), (101, 12));
}

#[tokio::test]
async fn an_upgrade_that_the_upstream_declines_is_a_call_like_any_other() {
    let upstream = RawUpstream::answering("HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\nno").await;
    let gateway = TestGateway::before(upstream.address).await;
    let got = gateway.exchange("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").await;
    assert!(got.starts_with("HTTP/1.1 400"), "{got}");
    assert_eq!(gateway.one().await.answered().0, 400);
}

#[tokio::test]
async fn http_2_clients_reach_upstreams_of_http_1_and_of_http_2() {
    let answer = |request: http::Request<Bytes>| {
        let host = request.uri().authority().map(|authority| authority.to_string());
        let host = host.or_else(|| request.headers().get("host").map(|host| host.to_str().unwrap().to_owned()));
        let said = format!("{:?} {} {}", request.version(), host.unwrap_or_default(), request.uri().path());
        http::Response::new(http_body_util::Full::new(Bytes::from(said)))
    };
    let upstream = http_upstream(answer).await;
    for http2 in [false, true] {
        let gateway = TestGateway::with(upstream, |setup| setup.origin().http2 = http2).await;
        let stream = TokioIo::new(gateway.connect().await);
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        tokio::spawn(connection);
        for number in 0..5 {
            let uri = format!("http://api.example.org/p{number}");
            let body = http_body_util::Full::new(Bytes::from("asked"));
            let answer = sender.send_request(http::Request::post(uri).body(body).unwrap()).await.unwrap();
            let text = answer.into_body().collect().await.unwrap().to_bytes();
            let version = if http2 { "HTTP/2.0" } else { "HTTP/1.1" };
            assert_eq!(text, format!("{version} api.example.org /p{number}"));
        }
        let seen = gateway.seen(5).await;
        assert!(seen.iter().all(|seen| &seen.sent.kept[..] == b"asked"));
    }
}

#[tokio::test]
async fn trailers_that_nobody_announced_pass_over_http_2_whatever_the_length_and_the_policy() {
    use http_body_util::{Empty, Full};
    let upstream = http_upstream(move |request| {
        let trailers = [(http::HeaderName::from_static("x-sum"), http::HeaderValue::from_static("7"))];
        let trailers = async move { Some(Ok(http::HeaderMap::from_iter(trailers))) };
        let length = request.uri().path().trim_start_matches('/').parse().unwrap();
        http::Response::new(Full::new(Bytes::from(vec![b'x'; length])).with_trailers(trailers))
    })
    .await;
    for policy in [Policy::FailOpen, Policy::FailClosed] {
        let gateway = TestGateway::with(upstream, |setup| {
            setup.origin().http2 = true;
            setup.policy(policy);
        })
        .await;
        let stream = TokioIo::new(gateway.connect().await);
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        tokio::spawn(connection);
        for length in [0, 3, 200_000] {
            let request = http::Request::get(format!("http://api.example.org/{length}"));
            let answer = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
            let body = answer.into_body().collect().await.unwrap();
            assert_eq!(body.trailers().unwrap()["x-sum"], "7", "{policy:?} {length}");
            assert_eq!(body.to_bytes().len(), length);
            assert!(gateway.one().await.answered().1.whole);
        }
    }
}

/// An upstream of HTTP/1.1 and HTTP/2.
async fn http_upstream<B>(
    answer: impl Fn(http::Request<Bytes>) -> http::Response<B> + Clone + Send + Sync + 'static,
) -> std::net::SocketAddr
where
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let service = hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
                    let answer = answer.clone();
                    async move {
                        let (head, body) = request.into_parts();
                        let body = body.collect().await?.to_bytes();
                        Ok::<_, hyper::Error>(answer(http::Request::from_parts(head, body)))
                    }
                });
                let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                let _ = builder.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    address
}

#[tokio::test]
async fn a_stop_lets_calls_end_and_takes_no_more() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut gateway = TestGateway::with(listener.local_addr().unwrap(), |setup| setup.clients.grace = LONG).await;
    let mut client = gateway.connect().await;
    client.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    let (mut upstream, _) = listener.accept().await.unwrap();
    let _ = read_request(&mut upstream).await.unwrap();
    gateway.stop.cancel();
    sleep(Duration::from_millis(50)).await;
    assert!(TcpStream::connect(gateway.address).await.is_err());
    upstream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await.unwrap();
    let answer = read_to_end(&mut client).await;
    assert!(answer.ends_with("hi"), "{answer}");
    gateway.server.take().unwrap().await.unwrap();
    assert_eq!(gateway.one().await.answered().0, 200);
}

/// Reads from a stream of bytes over HTTP/2 until a word is there.
async fn hears(stream: &mut (impl tokio::io::AsyncRead + Unpin), word: &str) {
    let mut got = vec![0; word.len()];
    stream.read_exact(&mut got).await.unwrap();
    assert_eq!(got, word.as_bytes());
}

#[tokio::test]
async fn a_websocket_over_http_2_is_an_upgrade_for_the_upstream_and_is_recorded_at_its_end() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = TestGateway::before(listener.local_addr().unwrap()).await;
    let stream = TokioIo::new(gateway.connect().await);
    let (mut sender, connection) =
        hyper::client::conn::http2::Builder::new(TokioExecutor::new()).handshake(stream).await.unwrap();
    tokio::spawn(connection);
    // The client may ask once it has read that the gateway allows it.
    sender.ready().await.unwrap();
    sleep(Duration::from_millis(100)).await;
    let ask = |path: &str| {
        let uri = format!("http://chat.example{path}");
        let request = http::Request::connect(uri).version(http::Version::HTTP_2);
        let request = request.header("sec-websocket-version", "13").header("sec-websocket-protocol", "talk");
        let mut request = request.body(http_body_util::Empty::<Bytes>::new()).unwrap();
        request.extensions_mut().insert(hyper::ext::Protocol::from_static("websocket"));
        request
    };
    let answer = tokio::spawn(sender.send_request(ask("/chat?room=1")));
    let (mut upstream, _) = listener.accept().await.unwrap();
    let asked = read_request(&mut upstream).await.unwrap();
    assert!(asked.starts_with("GET /chat?room=1 HTTP/1.1\r\n"), "{asked}");
    let header = |name: &str| {
        let mut lines = asked.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
    };
    assert_eq!(header("upgrade").as_deref(), Some("websocket"));
    assert_eq!(header("host").as_deref(), Some("chat.example"));
    assert_eq!(header("sec-websocket-protocol").as_deref(), Some("talk"));
    use base64::Engine as _;
    use sha1::Digest as _;
    let key = header("sec-websocket-key").unwrap() + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    let accept = base64::engine::general_purpose::STANDARD.encode(sha1::Sha1::digest(key));
    let said = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: talk\r\n\r\n"
    );
    upstream.write_all(said.as_bytes()).await.unwrap();
    let mut answer = answer.await.unwrap().unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers().get("sec-websocket-accept")), (200, None));
    assert_eq!(answer.headers()["sec-websocket-protocol"], "talk");
    let mut client = TokioIo::new(hyper::upgrade::on(&mut answer).await.unwrap());
    for _ in 0..3 {
        client.write_all(b"ping").await.unwrap();
        client.flush().await.unwrap();
        hears(&mut upstream, "ping").await;
        upstream.write_all(b"pong!").await.unwrap();
        hears(&mut client, "pong!").await;
    }
    client.shutdown().await.unwrap();
    drop(client);
    drop(upstream);
    let seen = gateway.one().await;
    assert_eq!((seen.method.as_str(), seen.uri.as_str()), ("GET", "http://chat.example/chat?room=1"));
    let (status, got) = seen.answered();
    assert_eq!((status, got.total, seen.sent.total), (101, 15, 12));

    // An upstream that has not read the key, or does not want to, is not taken for one that agreed.
    for (said, status, code) in [
        (
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: AA==\r\n\r\n",
            502,
            None,
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 502, None),
        ("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", 403, Some("no")),
    ] {
        let answer = tokio::spawn(sender.send_request(ask("/other")));
        let (mut upstream, _) = listener.accept().await.unwrap();
        read_request(&mut upstream).await.unwrap();
        upstream.write_all(said.as_bytes()).await.unwrap();
        let answer = answer.await.unwrap().unwrap();
        assert_eq!(answer.status().as_u16(), status);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert!(code.is_none_or(|code| body == code), "{body:?}");
        gateway.one().await;
    }
    // A tunnel to anywhere is still none of the gateway's business.
    let mut tunnel = ask("/");
    tunnel.extensions_mut().remove::<hyper::ext::Protocol>();
    *tunnel.uri_mut() = "chat.example:443".parse().unwrap();
    assert_eq!(sender.send_request(tunnel).await.unwrap().status(), 400);
}
