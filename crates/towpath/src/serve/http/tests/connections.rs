//! Slow, silent and many clients.

use super::*;

#[tokio::test]
async fn http_2_is_spoken_too() {
    let server = TestServer::start().await;
    let client = reqwest::Client::builder().http2_prior_knowledge().no_proxy().build().unwrap();
    let answer = client.post(format!("http://{}/", server.address)).body("hello").send().await.unwrap();
    assert_eq!(answer.version(), http::Version::HTTP_2);
    assert_eq!(answer.text().await.unwrap(), "POST 5");
}

#[tokio::test]
async fn a_client_that_says_nothing_or_stops_in_the_preface_is_cut_off() {
    let server = TestServer::with(|http| http.header_timeout = Duration::from_millis(200)).await;
    for opening in ["", "PRI * HTTP/2.0\r\n", "POST / HTTP/1.1\r\nhost: t\r\nx-slow: "] {
        let started = Instant::now();
        let mut stream = server.connect().await;
        stream.write_all(opening.as_bytes()).await.unwrap();
        read_all(&mut stream).await;
        assert!(started.elapsed() < Duration::from_secs(5), "{opening:?} held the connection");
    }
    assert_eq!(server.echo.calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn headers_that_drip_are_cut_off_though_bytes_keep_coming() {
    let server = TestServer::with(|http| http.header_timeout = Duration::from_millis(300)).await;
    let mut stream = server.connect().await;
    let started = Instant::now();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: t\r\nx-slow: ").await.unwrap();
    while stream.write_all(b"a").await.is_ok() && started.elapsed() < LONG {
        sleep(Duration::from_millis(20)).await;
    }
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let server = TestServer::with(|http| {
        http.idle_timeout = Duration::from_millis(200);
        http.header_timeout = Duration::from_millis(200);
    })
    .await;
    let answer = server.send("GET /healthz HTTP/1.1\r\nhost: t\r\n\r\n").await;
    assert_eq!(status(&answer), "200");
}

#[tokio::test]
async fn more_connections_than_places_wait() {
    let server = TestServer::with(|http| http.max_connections = 1).await;
    let first = server.connect().await;
    let mut second = server.connect().await;
    second.write_all(b"GET / HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut byte = [0];
    assert!(timeout(Duration::from_millis(200), second.read(&mut byte)).await.is_err());
    drop(first);
    assert!(read_all(&mut second).await.starts_with("HTTP/1.1 200"));
}
