//! WebSockets over HTTP/2 (RFC 8441): an extended CONNECT becomes the upgrade of HTTP/1.1 that the upstream knows, and back.
//!
//! The handshake of HTTP/1.1 has a key that HTTP/2 has not. It is made here, and the upstream's proof that it has read it is
//! checked here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::header::{CONNECTION, HeaderName, HeaderValue, UPGRADE};
use http::{HeaderMap, Method, Request, StatusCode, Version, response};
use hyper::ext::Protocol;
use sha1::{Digest as _, Sha1};

use crate::headers::join_cookies;

const KEY: HeaderName = HeaderName::from_static("sec-websocket-key");
const ACCEPT: HeaderName = HeaderName::from_static("sec-websocket-accept");
/// What a server puts behind the key before it hashes it (RFC 6455, 1.3).
const SUFFIX: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// What the upstream must answer to the key that was made for it.
pub struct Expected(String);

/// Makes an extended CONNECT for a WebSocket a request for an upgrade; `None`, and nothing changed, for any other request.
pub fn to_upgrade<B>(request: &mut Request<B>) -> Option<Expected> {
    let protocol = request.extensions().get::<Protocol>().map(|protocol| protocol.as_str());
    let asks = *request.method() == Method::CONNECT && request.version() == Version::HTTP_2;
    if !asks || !protocol.is_some_and(|protocol| protocol.eq_ignore_ascii_case("websocket")) {
        return None;
    }
    let key = BASE64.encode(uuid::Uuid::new_v4().as_bytes());
    let expected = BASE64.encode(Sha1::digest(format!("{key}{SUFFIX}")));
    *request.method_mut() = Method::GET;
    *request.version_mut() = Version::HTTP_11;
    let headers = request.headers_mut();
    join_cookies(headers);
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(KEY, HeaderValue::from_str(&key).ok()?);
    Some(Expected(expected))
}

impl Expected {
    /// True if an upstream that changes the protocol has read the key.
    pub fn is_in(&self, headers: &HeaderMap) -> bool {
        headers.get(ACCEPT).is_some_and(|accept| accept.as_bytes() == self.0.as_bytes())
    }
}

/// Makes the answer of an upstream that changed the protocol what it is in HTTP/2.
pub fn to_stream(head: &mut response::Parts) {
    head.status = StatusCode::OK;
    head.version = Version::HTTP_2;
    for name in [CONNECTION, UPGRADE, ACCEPT] {
        head.headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connect(protocol: Option<&'static str>, version: Version) -> Request<()> {
        let builder = Request::connect("https://h.example/chat").version(version).header("sec-websocket-version", "13");
        let mut request = builder.header("cookie", "a=1").header("cookie", "b=2").body(()).unwrap();
        request.extensions_mut().extend(
            protocol
                .map(Protocol::from_static)
                .map(|protocol| {
                    let mut extensions = http::Extensions::new();
                    extensions.insert(protocol);
                    extensions
                })
                .unwrap_or_default(),
        );
        request
    }

    #[test]
    fn an_extended_connect_is_an_upgrade_with_a_key_of_its_own() {
        let mut request = connect(Some("websocket"), Version::HTTP_2);
        let expected = to_upgrade(&mut request).unwrap();
        assert_eq!((request.method(), request.version()), (&Method::GET, Version::HTTP_11));
        assert_eq!(request.headers()["cookie"], "a=1; b=2");
        assert_eq!(
            (&request.headers()["upgrade"], &request.headers()["connection"]),
            (&"websocket".parse().unwrap(), &"Upgrade".parse().unwrap())
        );
        let key = request.headers()[KEY].to_str().unwrap().to_owned();
        let mut headers = HeaderMap::new();
        assert!(!expected.is_in(&headers));
        headers.insert(ACCEPT, BASE64.encode(Sha1::digest(key + SUFFIX)).parse().unwrap());
        assert!(expected.is_in(&headers));
        let mut again = connect(Some("websocket"), Version::HTTP_2);
        assert!(!to_upgrade(&mut again).unwrap().is_in(&headers));
    }

    #[test]
    fn the_proof_is_that_of_the_specification() {
        // RFC 6455, 1.3.
        let proof = BASE64.encode(Sha1::digest(format!("dGhlIHNhbXBsZSBub25jZQ=={SUFFIX}")));
        assert_eq!(proof, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn other_requests_stay_what_they_are() {
        for (protocol, version) in
            [(None, Version::HTTP_2), (Some("other"), Version::HTTP_2), (Some("websocket"), Version::HTTP_11)]
        {
            let mut request = connect(protocol, version);
            assert!(to_upgrade(&mut request).is_none());
            assert_eq!(*request.method(), Method::CONNECT);
        }
    }
}
