//! Encryption on both sides.

use std::path::Path;
use std::sync::Arc;

use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use towpath_port::Tls;

use super::harness::*;
use crate::DevelopmentCa;

fn authority(folder: &Path) -> Tls {
    Tls::resolving(Arc::new(DevelopmentCa::open(folder, &[]).unwrap())).unwrap()
}

async fn connect(gateway: &TestGateway, ca: &Path, name: &str, alpn: &[&str]) -> TlsStream<TcpStream> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, gateway.connect().await).await.unwrap()
}

#[tokio::test]
async fn clients_that_trust_the_development_authority_reach_any_name_and_the_record_says_how() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = RawUpstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await;
    let gateway = TestGateway::with(upstream.address, |setup| setup.tls = Some(authority(folder.path()))).await;
    let ca = folder.path().join("ca.pem");
    for name in ["bucket.s3.eu-west-1.amazonaws.com", "localhost", "127.0.0.1"] {
        let mut stream = connect(&gateway, &ca, name, &["http/1.1"]).await;
        let request = format!("GET /k HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        assert!(read_to_end(&mut stream).await.ends_with("hi"));
        let seen = gateway.one().await;
        let tls = seen.tls.unwrap();
        assert_eq!(tls.version.as_deref(), Some("TLSv1.3"));
        assert!(tls.cipher_suite.unwrap().starts_with("TLS_"));
        assert_eq!(tls.key_exchange.as_deref(), Some("x25519"));
        assert_eq!(seen.headers["host"], name);
    }
}

#[tokio::test]
async fn http_2_is_agreed_on_while_connecting() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = RawUpstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await;
    let gateway = TestGateway::with(upstream.address, |setup| setup.tls = Some(authority(folder.path()))).await;
    let stream = connect(&gateway, &folder.path().join("ca.pem"), "api.example.org", &["h2", "http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::get("https://api.example.org/k").body(Empty::<bytes::Bytes>::new()).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "hi");
    assert_eq!(upstream.requests(), ["GET /k HTTP/1.1\r\nhost: api.example.org\r\n\r\n"]);
}

#[tokio::test]
async fn upstreams_are_reached_over_tls_if_their_certificate_is_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let tls = authority(folder.path());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(mut stream) = tls.accept(stream).await {
                let mut bytes = [0; 1024];
                let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut bytes).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await;
                let _ = stream.shutdown().await;
            }
        }
    });
    for (ca, expected) in [(Some(folder.path().join("ca.pem")), "200"), (None, "502")] {
        let gateway = TestGateway::with(address, |setup| {
            setup.origin().encrypted = true;
            setup.origin().ca = ca;
            setup.origin().server_name = Some("storage.example.org".to_owned());
        })
        .await;
        let answer = gateway.exchange("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await;
        assert_eq!(status(&answer), expected);
    }
}
