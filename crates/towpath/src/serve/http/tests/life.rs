//! Readiness, metrics and stopping.

use super::*;

#[tokio::test]
async fn readiness_follows_the_operations() {
    let server = TestServer::start().await;
    assert_eq!(status(&server.get("/readyz").await), "200");
    *server.echo.unready.lock().unwrap() = Some("the log is unavailable".to_owned());
    let answer = server.get("/readyz").await;
    assert!(status(&answer) == "503" && answer.ends_with("not ready: the log is unavailable\n"), "{answer}");
    server.gate.close();
    assert!(server.get("/readyz").await.ends_with("not ready: the server is stopping\n"));
    assert_eq!(status(&server.get("/healthz").await), "200");
    assert_eq!(status(&server.send("POST /healthz HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n").await), "405");
}

#[tokio::test]
async fn before_the_operations_are_there_requests_are_told_to_come_back() {
    let server = TestServer::closed().await;
    let answer = server.get("/").await;
    assert!(status(&answer) == "503" && answer.contains("ServiceUnavailable"), "{answer}");
    assert!(server.get("/readyz").await.ends_with("not ready: the server is starting\n"));
    assert_eq!(status(&server.get("/healthz").await), "200");
}

#[tokio::test]
async fn metrics_are_shown_to_whoever_has_the_token() {
    let server = TestServer::start().await;
    assert_eq!(status(&server.get("/metrics").await), "403");
    let answer = server
        .send("GET /metrics HTTP/1.1\r\nhost: t\r\nauthorization: Bearer 0123456789abcdef\r\nconnection: close\r\n\r\n")
        .await;
    assert_eq!(status(&answer), "200");
}

#[tokio::test]
async fn a_stopping_server_finishes_what_runs_and_accepts_nothing_new() {
    let server = TestServer::start().await;
    let mut running = server.connect().await;
    running.write_all(b"GET /slow HTTP/1.1\r\nhost: t\r\n\r\n").await.unwrap();
    let mut idle = server.connect().await;
    while server.echo.calls.load(Ordering::SeqCst) == 0 {
        sleep(Duration::from_millis(5)).await;
    }
    server.stop.cancel();
    assert!(read_all(&mut running).await.starts_with("HTTP/1.1 200"));
    read_all(&mut idle).await;
    timeout(LONG, server.task).await.unwrap().unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn a_stopping_server_does_not_wait_for_ever() {
    let server = TestServer::start().await;
    let mut stuck = server.connect().await;
    stuck.write_all(b"GET /never HTTP/1.1\r\nhost: t\r\n\r\n").await.unwrap();
    while server.echo.calls.load(Ordering::SeqCst) == 0 {
        sleep(Duration::from_millis(5)).await;
    }
    server.stop.cancel();
    assert!(read_all(&mut stuck).await.starts_with("HTTP/1.1 503"));
    timeout(LONG, server.task).await.unwrap().unwrap();
}
