//! Headers on their way through: what is meant for one connection stays on it, everything else passes in its order and,
//! for HTTP/1, its case.

use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, DATE, EXPECT, Entry, HOST, HeaderMap, HeaderName, HeaderValue,
    RANGE, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::uri::{PathAndQuery, Scheme, Uri};
use http::{Method, Version};

use crate::refusal::Refusal;
use crate::upstream::Origin;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
/// Names the operation, in the JSON protocols of AWS.
const TARGET: HeaderName = HeaderName::from_static("x-amz-target");

/// Refuses heads that different readers could understand differently, and methods that are not for a reverse proxy: a
/// record must say of the call what the upstream took it for.
///
/// The HTTP library has refused before: lengths that differ, transfer codings that do not end in `chunked`, whatever
/// is not a head. Of a length beside a transfer coding it drops the length and closes the connection after the answer.
pub fn check(head: &Parts, max_bytes: usize) -> Result<(), Refusal> {
    if head.method == Method::CONNECT {
        return Err(Refusal::malformed("this is not a proxy that makes tunnels"));
    }
    if is_repeated(&head.headers, &HOST) {
        return Err(Refusal::malformed("there is more than one header Host"));
    }
    if is_repeated(&head.headers, &TARGET) {
        return Err(Refusal::malformed("there is more than one header X-Amz-Target"));
    }
    if let (Some(authority), Some(host)) = (head.uri.authority(), head.headers.get(HOST))
        && !host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes())
    {
        return Err(Refusal::malformed("the header Host names another host than the request line"));
    }
    let codings = head.headers.get_all(TRANSFER_ENCODING).iter();
    if codings.into_iter().any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked")) {
        return Err(Refusal::not_implemented("transfer codings other than chunked are not understood here"));
    }
    let bytes: usize = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    let line = head.uri.path_and_query().map_or(0, |path| path.as_str().len());
    if bytes + line > max_bytes {
        return Err(Refusal::head_too_large());
    }
    Ok(())
}

/// True if a header stands more than once: some readers take the first, some the last, some join them.
fn is_repeated(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers.get_all(name).iter().nth(1).is_some()
}

/// True if the request asks for another protocol on this connection, and one that passes: not HTTP/2, which is spoken
/// from the first byte or not at all.
pub fn asks_for_upgrade(head: &Parts) -> bool {
    head.version == Version::HTTP_11
        && head.headers.get(UPGRADE).is_some_and(|to| !to.as_bytes().eq_ignore_ascii_case(b"h2c"))
        && lists(&head.headers, &CONNECTION, "upgrade")
}

/// Makes a request's head that of a request to `origin`. Path and query stay the bytes that came.
///
/// `has_body` tells of a body of unknown length, which HTTP/1 must announce.
pub fn to_upstream(head: &mut Parts, origin: &Origin, has_body: bool) {
    let path = head.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    let host = match head.uri.authority() {
        Some(authority) => HeaderValue::from_str(authority.as_str()).ok(),
        None => head.headers.get(HOST).cloned(),
    };
    let trailers = lists(&head.headers, &TE, "trailers");
    let mut stay = Vec::new();
    if trailers {
        stay.push(TE);
    }
    if !origin.http2 {
        stay.push(TRANSFER_ENCODING);
        if asks_for_upgrade(head) {
            stay.extend([CONNECTION, UPGRADE]);
        }
    }
    drop_hop_by_hop(&mut head.headers, &stay);
    if trailers {
        head.headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    if origin.http2 {
        let authority = host.as_ref().and_then(|host| host.as_bytes().try_into().ok());
        without(&mut head.headers, &[HOST, EXPECT]);
        let mut uri = http::uri::Parts::default();
        uri.scheme = Some(if origin.encrypted { Scheme::HTTPS } else { Scheme::HTTP });
        uri.authority = authority.or_else(|| origin.authority().as_str().try_into().ok());
        uri.path_and_query = Some(path);
        head.uri = Uri::from_parts(uri).unwrap_or_default();
        head.version = Version::HTTP_2;
        return;
    }
    if !head.headers.contains_key(HOST) {
        let host = host.or_else(|| HeaderValue::from_str(&origin.authority()).ok());
        head.headers.extend(host.map(|host| (HOST, host)));
    }
    if head.version == Version::HTTP_2 {
        join_cookies(&mut head.headers);
    }
    let announced = head.headers.contains_key(CONTENT_LENGTH) || head.headers.contains_key(TRANSFER_ENCODING);
    if has_body && !announced {
        head.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    head.uri = Uri::from(path);
    head.version = Version::HTTP_11;
}

/// Makes an answer's head that of an answer to a client that speaks `version`.
pub fn to_client(head: &mut http::response::Parts, version: Version) {
    let mut stay = Vec::new();
    if head.status == http::StatusCode::SWITCHING_PROTOCOLS {
        stay.extend([CONNECTION, UPGRADE]);
    }
    // The length beside a transfer coding is not the body's, which was read by its coding (RFC 9112, 6.3).
    if head.headers.contains_key(TRANSFER_ENCODING) {
        without(&mut head.headers, &[CONTENT_LENGTH]);
    }
    // How the body is coded is written as the upstream wrote it, where there is HTTP/1.1 on both sides.
    if (head.version, version) == (Version::HTTP_11, Version::HTTP_11) {
        stay.push(TRANSFER_ENCODING);
    }
    drop_hop_by_hop(&mut head.headers, &stay);
    head.version = version.max(Version::HTTP_11);
}

/// What is meant for one connection in any case (RFC 9110, 7.6.1).
const ALWAYS: [HeaderName; 7] =
    [CONNECTION, KEEP_ALIVE, PROXY_CONNECTION, TE, TRANSFER_ENCODING, UPGRADE, HTTP2_SETTINGS];

/// Removes what is meant for one connection: what RFC 9110 (7.6.1) names but for `stay`, and what `Connection` lists.
fn drop_hop_by_hop(headers: &mut HeaderMap, stay: &[HeaderName]) {
    let mut gone = listed(headers);
    gone.extend(ALWAYS);
    gone.retain(|name| !stay.contains(name));
    without(headers, &gone);
}

/// Removes from a copy for the record what `Connection` keeps from the upstream, so that nothing is recorded that the upstream
/// did not see.
pub fn drop_listed(headers: &mut HeaderMap) {
    let mut gone = listed(headers);
    gone.retain(|name| !ALWAYS.contains(name));
    without(headers, &gone);
}

/// The headers that `Connection` lists, except for those that say what is called, by whom, and where it ends: a caller could
/// sign a call for the record, and have the signature taken off before the upstream sees it.
fn listed(headers: &HeaderMap) -> Vec<HeaderName> {
    let passes = |name: &HeaderName| {
        [HOST, AUTHORIZATION, COOKIE, DATE, RANGE, TRANSFER_ENCODING].contains(name)
            || ["content-", "x-amz", "smithy-"].iter().any(|start| name.as_str().starts_with(start))
    };
    let listed = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let listed = listed.flat_map(|value| value.split(',')).filter_map(|name| name.trim().parse::<HeaderName>().ok());
    listed.filter(|name| !passes(name)).collect()
}

/// Removes headers and keeps the order of the others, which [`HeaderMap::remove`] does not.
fn without(headers: &mut HeaderMap, gone: &[HeaderName]) {
    if !gone.iter().any(|name| headers.contains_key(name)) {
        return;
    }
    let mut kept = HeaderMap::with_capacity(headers.len());
    let mut last: Option<HeaderName> = None;
    for (name, value) in std::mem::take(headers) {
        // A name stands with its first value only.
        last = name.or(last);
        if let Some(name) = last.as_ref().filter(|name| !gone.contains(name)) {
            kept.append(name.clone(), value);
        }
    }
    *headers = kept;
}

/// HTTP/2 may split cookies over several fields, HTTP/1 may not (RFC 9113, 8.2.3).
pub fn join_cookies(headers: &mut HeaderMap) {
    let Entry::Occupied(mut cookies) = headers.entry(COOKIE) else { return };
    if cookies.iter().nth(1).is_none() {
        return;
    }
    let joined = cookies.iter().map(HeaderValue::as_bytes).collect::<Vec<_>>().join(&b"; "[..]);
    if let Ok(joined) = HeaderValue::from_bytes(&joined) {
        cookies.insert(joined);
    }
}

/// True if a comma-separated header lists `token`.
fn lists(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|one| one.trim().eq_ignore_ascii_case(token))
}

/// Copies a head for its record: one small block of memory in place of references into the connection's read buffers,
/// which would stay as long as the record waits.
pub fn compact(headers: &HeaderMap) -> HeaderMap {
    let bytes: usize = headers.values().map(HeaderValue::len).sum();
    let mut block = bytes::BytesMut::with_capacity(bytes);
    for value in headers.values() {
        block.extend_from_slice(value.as_bytes());
    }
    let mut block = block.freeze();
    let mut copy = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        let own = block.split_to(value.len());
        if let Ok(mut own) = HeaderValue::from_maybe_shared(own) {
            own.set_sensitive(value.is_sensitive());
            copy.append(name, own);
        }
    }
    copy
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn origin(http2: bool) -> Origin {
        Origin { encrypted: false, host: "10.0.0.1".to_owned(), port: 9000, ca: None, server_name: None, http2 }
    }

    fn head(request: http::request::Builder) -> Parts {
        request.body(()).unwrap().into_parts().0
    }

    fn lines(headers: &HeaderMap) -> Vec<String> {
        headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect()
    }

    #[test]
    fn what_is_for_one_connection_stays_on_it_and_the_rest_keeps_its_order() {
        let mut head = head(
            Request::post("/a%2Fb//c/../d?x=%41&y")
                .header("x-first", "1")
                .header("connection", "keep-alive, x-private, host")
                .header("host", "bucket.s3.amazonaws.com")
                .header("x-private", "p")
                .header("te", "trailers, deflate;q=0.5")
                .header("x-many", "1")
                .header("keep-alive", "timeout=5")
                .header("x-many", "2")
                .header("content-length", "5"),
        );
        to_upstream(&mut head, &origin(false), true);
        let expected = [
            "x-first: 1",
            "host: bucket.s3.amazonaws.com",
            "te: trailers",
            "x-many: 1",
            "x-many: 2",
            "content-length: 5",
        ];
        assert_eq!(lines(&head.headers), expected);
        assert_eq!(head.uri, "/a%2Fb//c/../d?x=%41&y");
    }

    #[test]
    fn http_2_becomes_http_1_with_host_joined_cookies_and_an_announced_body() {
        let request = Request::get("https://api.example.org:8443/p?q").version(Version::HTTP_2);
        let mut head = head(request.header("cookie", "a=1").header("cookie", "b=2"));
        to_upstream(&mut head, &origin(false), true);
        let expected = ["cookie: a=1; b=2", "host: api.example.org:8443", "transfer-encoding: chunked"];
        assert_eq!(lines(&head.headers), expected);
        assert_eq!((head.uri.to_string().as_str(), head.version), ("/p?q", Version::HTTP_11));
    }

    #[test]
    fn http_1_becomes_http_2_with_the_host_that_was_signed() {
        let request = Request::put("/key").header("host", "bucket.example.org").header("expect", "100-continue");
        let mut head = head(request.header("x", "y"));
        to_upstream(&mut head, &origin(true), true);
        assert_eq!(lines(&head.headers), ["x: y"]);
        assert_eq!(head.uri, "http://bucket.example.org/key");
    }

    #[test]
    fn upgrades_pass_and_those_to_http_2_do_not() {
        let request = |to: &str| head(Request::get("/").header("connection", "Upgrade").header("upgrade", to));
        let mut socket = request("websocket");
        to_upstream(&mut socket, &origin(false), false);
        assert!(lines(&socket.headers).contains(&"upgrade: websocket".to_owned()));
        let mut h2c = request("h2c");
        to_upstream(&mut h2c, &origin(false), false);
        assert_eq!(lines(&h2c.headers), ["host: 10.0.0.1:9000"]);
    }

    #[test]
    fn heads_with_two_meanings_are_refused() {
        let refused = |request: http::request::Builder| check(&head(request), 200).is_err();
        assert!(refused(Request::get("/").header("host", "a").header("host", "b")));
        assert!(refused(Request::get("http://a/").header("host", "b")));
        assert!(refused(Request::post("/").header("x-amz-target", "A.List").header("X-Amz-Target", "A.Delete")));
        assert!(refused(Request::post("/").header("transfer-encoding", "gzip, chunked")));
        assert!(refused(
            Request::post("/").header("transfer-encoding", "chunked").header("transfer-encoding", "chunked, x")
        ));
        assert!(refused(Request::connect("a:1")));
        assert!(refused(Request::get("/").header("x", "y".repeat(200))));
        assert!(!refused(Request::get("http://A:80/").header("host", "a:80")));
        assert!(!refused(Request::post("/").header("transfer-encoding", "Chunked")));
    }

    #[test]
    fn a_length_beside_the_coding_of_an_answer_stays_behind() {
        for version in [Version::HTTP_11, Version::HTTP_2] {
            let answer = http::Response::builder().header("x", "y").header("content-length", "3");
            let mut head = answer.header("transfer-encoding", "chunked").body(()).unwrap().into_parts().0;
            to_client(&mut head, version);
            let expected: &[&str] =
                if version == Version::HTTP_11 { &["x: y", "transfer-encoding: chunked"] } else { &["x: y"] };
            assert_eq!(lines(&head.headers), expected);
        }
    }

    #[test]
    fn a_compact_copy_is_equal() {
        let head = head(Request::get("/").header("a", "1").header("b", "").header("a", "3"));
        assert_eq!(compact(&head.headers), head.headers);
        assert_eq!(lines(&compact(&head.headers)), lines(&head.headers));
    }

    #[test]
    fn nobody_takes_a_signature_off_behind_the_record() {
        let head = || {
            head(
                Request::get("/k")
                    .header("authorization", "AWS AKIAVICTIM:sig")
                    .header("x-amz-target", "T.Op")
                    .header("x-shop-key", "victims")
                    .header("connection", "close, Authorization, X-Amz-Target, x-shop-key"),
            )
        };
        let mut sent = head();
        to_upstream(&mut sent, &origin(false), false);
        assert!(sent.headers.contains_key("authorization") && sent.headers.contains_key("x-amz-target"));
        let mut recorded = head();
        drop_listed(&mut recorded.headers);
        assert!(!sent.headers.contains_key("x-shop-key") && !recorded.headers.contains_key("x-shop-key"));
        assert!(recorded.headers.contains_key("authorization") && recorded.headers.contains_key("connection"));
    }
}
