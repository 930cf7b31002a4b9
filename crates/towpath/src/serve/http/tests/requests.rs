//! Huge, wrong and unlucky requests.

use super::*;

#[tokio::test]
async fn a_request_reaches_the_operations_whole() {
    let server = TestServer::start().await;
    let answer = server
        .send("POST /PutAuditEvents HTTP/1.1\r\nhost: t\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello")
        .await;
    assert!(answer.ends_with("\r\n\r\nPOST 5"), "{answer}");
    let answer = server
        .send("POST / HTTP/1.1\r\nhost: t\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n")
        .await;
    assert!(answer.ends_with("\r\n\r\nPOST 7"), "{answer}");
}

#[tokio::test]
async fn a_body_that_stops_arriving_is_refused() {
    let server = TestServer::with(|http| http.body_pause = Duration::from_millis(200)).await;
    let answer = server.send("POST / HTTP/1.1\r\nhost: t\r\ncontent-length: 10\r\n\r\nhell").await;
    assert_eq!(status(&answer), "408", "{answer}");
    assert_eq!(server.echo.calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn headers_that_are_too_long_or_too_many_are_refused() {
    let server = TestServer::with(|http| {
        http.max_header_size = 8 << 10;
        http.max_headers = 16;
    })
    .await;
    let long = format!("GET / HTTP/1.1\r\nhost: t\r\nx: {}\r\n\r\n", "a".repeat(20_000));
    assert_eq!(status(&server.send(long).await), "431");
    let many: String = (0..40).map(|n| format!("x{n}: 1\r\n")).collect();
    assert_eq!(status(&server.send(format!("GET / HTTP/1.1\r\nhost: t\r\n{many}\r\n")).await), "431");
    assert_eq!(server.echo.calls.load(Ordering::SeqCst), 0);
    assert_eq!(status(&server.get("/").await), "200");
}

#[tokio::test]
async fn a_body_over_the_bound_of_its_route_is_refused() {
    let server = TestServer::start().await;
    let announced = server.send("POST / HTTP/1.1\r\nhost: t\r\ncontent-length: 99999999999\r\n\r\n").await;
    assert_eq!(status(&announced), "413", "{announced}");
    assert!(announced.contains("__type"), "{announced}");
    let nowhere =
        server.send("POST /nowhere HTTP/1.1\r\nhost: t\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello");
    assert_eq!(status(&nowhere.await), "503");

    let body = "a".repeat((1 << 20) + 1);
    let sent = format!("POST / HTTP/1.1\r\nhost: t\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    assert_eq!(status(&server.send(sent).await), "413");
    let chunked = format!(
        "POST / HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    );
    assert_eq!(status(&server.send(chunked).await), "413");
    assert_eq!(server.echo.calls.load(Ordering::SeqCst), 0);

    // The same body is no longer too long where files are uploaded.
    let upload = format!(
        "POST /upload HTTP/1.1\r\nhost: t\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    assert!(server.send(upload).await.ends_with("POST 1048577"));
}

#[tokio::test]
async fn bodies_together_stay_within_their_memory() {
    let server = TestServer::with(|http| http.body_memory = 1 << 20).await;
    let mut holder = server.connect().await;
    let head = "POST /PutAuditEvents HTTP/1.1\r\nhost: t\r\ncontent-length: 1048576\r\n\r\n";
    holder.write_all(head.as_bytes()).await.unwrap();
    holder.write_all(&vec![b'a'; (1 << 20) - 100]).await.unwrap();
    sleep(Duration::from_millis(200)).await;

    let second = "POST / HTTP/1.1\r\nhost: t\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello";
    let answer = server.send(second).await;
    assert!(status(&answer) == "400" && answer.contains("ThrottlingException"), "{answer}");

    drop(holder);
    let deadline = Instant::now() + LONG;
    while !server.send(second).await.ends_with("POST 5") {
        assert!(Instant::now() < deadline, "the memory is given back");
    }
}

#[tokio::test]
async fn a_wrong_content_length_reaches_no_operation() {
    let server = TestServer::start().await;
    for lengths in ["content-length: five", "content-length: -1", "content-length: 3\r\ncontent-length: 5"] {
        let answer = server.send(format!("POST / HTTP/1.1\r\nhost: t\r\n{lengths}\r\n\r\nhello")).await;
        assert_eq!(status(&answer), "400", "{lengths}: {answer}");
    }
    let mut stream = server.connect().await;
    stream.write_all(b"POST / HTTP/1.1\r\nhost: t\r\ncontent-length: 10\r\n\r\nhello").await.unwrap();
    stream.shutdown().await.unwrap();
    read_all(&mut stream).await;
    assert_eq!(server.echo.calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_panic_is_answered_and_the_server_goes_on() {
    let server = TestServer::start().await;
    for path in ["/panic", "/panic-early"] {
        let answer = server.get(path).await;
        assert_eq!(status(&answer), "500", "{answer}");
        assert!(answer.contains("InternalFailure") && !answer.contains("told"), "{answer}");
    }
    assert_eq!(status(&server.get("/").await), "200");
}

#[tokio::test]
async fn an_operation_comes_to_its_end_though_its_client_has_gone() {
    let server = TestServer::start().await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET /slow HTTP/1.1\r\nhost: t\r\n\r\n").await.unwrap();
    while server.echo.calls.load(Ordering::SeqCst) == 0 {
        sleep(Duration::from_millis(5)).await;
    }
    drop(stream);
    let deadline = Instant::now() + LONG;
    while server.echo.finished.load(Ordering::SeqCst) == 0 {
        assert!(Instant::now() < deadline, "the operation was stopped halfway");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn an_operation_that_takes_too_long_does_not_hold_its_client() {
    let server = TestServer::with(|http| http.request_timeout = Duration::from_millis(200)).await;
    assert_eq!(status(&server.get("/never").await), "503");
}

#[tokio::test]
async fn more_requests_than_places_are_throttled() {
    let server = TestServer::with(|http| http.max_requests = 1).await;
    let mut first = server.connect().await;
    first.write_all(b"GET /never HTTP/1.1\r\nhost: t\r\n\r\n").await.unwrap();
    while server.echo.calls.load(Ordering::SeqCst) == 0 {
        sleep(Duration::from_millis(5)).await;
    }
    let answer = server.get("/").await;
    assert!(answer.contains("ThrottlingException"), "{answer}");
    assert_eq!(status(&server.get("/healthz").await), "200");
}
