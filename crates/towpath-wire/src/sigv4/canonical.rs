//! The canonical form of a request: what both sides hash, whatever happened to its spelling on the way.

use std::fmt::Write;

use http::{HeaderMap, Uri, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};

/// Everything but the characters RFC 3986 leaves unreserved.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The same, with the slashes of a path kept.
const RESERVED_IN_PATH: &AsciiSet = &RESERVED.remove(b'/');

/// A `%` in a query string that no two hexadecimal digits follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StrayPercent;

/// The path with dot segments and doubled slashes removed, then encoded once more than it was sent.
pub(crate) fn path(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            other => kept.push(other),
        }
    }
    let mut normal = String::from("/");
    normal.push_str(&kept.join("/"));
    if path.ends_with('/') && !kept.is_empty() {
        normal.push('/');
    }
    percent_encode(normal.as_bytes(), RESERVED_IN_PATH).to_string()
}

/// The path of a request to S3, whose keys may have any segments: decoded and encoded again once, and else as it was sent.
pub(crate) fn s3_path(path: &str) -> String {
    let bytes: Vec<u8> = percent_decode_str(path).collect();
    percent_encode(&bytes, RESERVED_IN_PATH).to_string()
}

/// The query string decoded, encoded again, sorted; without the parameter `except`.
///
/// `+` is a blank here and wherever the parameters are read, so nobody on the way can change what a request means by
/// respelling it.
pub(crate) fn query(query: &str, except: Option<&str>) -> Result<String, StrayPercent> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let pair = (recoded(name)?, recoded(value)?);
        if except.is_none_or(|except| pair.0 != except) {
            pairs.push(pair);
        }
    }
    pairs.sort();
    let pairs: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    Ok(pairs.join("&"))
}

fn recoded(text: &str) -> Result<String, StrayPercent> {
    let bytes = decoded(text).ok_or(StrayPercent)?;
    Ok(percent_encode(&bytes, RESERVED).to_string())
}

/// Undoes the encoding of a query string: `+` and percent signs; `None` if a `%` stands alone.
pub(crate) fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(if byte == b'+' { b' ' } else { byte });
            continue;
        }
        let digit = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16)).and_then(|d| u8::try_from(d).ok());
        out.push(digit(bytes.next())? << 4 | digit(bytes.next())?);
    }
    Some(out)
}

/// Appends `name:value\n` for a signed header; false if the request has none of this name.
///
/// Blanks at both ends go, runs of blanks become one, several values are joined by commas in the order sent. With
/// HTTP/2 the host is the authority of the URI.
pub(crate) fn push_header(out: &mut Vec<u8>, name: &str, uri: &Uri, headers: &HeaderMap) -> bool {
    let start = out.len();
    out.extend_from_slice(name.as_bytes());
    out.push(b':');
    let mut values = headers.get_all(name).iter().map(|value| value.as_bytes()).peekable();
    if values.peek().is_none() {
        match uri.authority().filter(|_| name == header::HOST.as_str()) {
            Some(authority) => out.extend_from_slice(authority.as_str().as_bytes()),
            None => {
                out.truncate(start);
                return false;
            }
        }
    }
    let mut first = true;
    for value in values {
        if !first {
            out.push(b',');
        }
        first = false;
        push_folded(out, value);
    }
    out.push(b'\n');
    true
}

fn push_folded(out: &mut Vec<u8>, value: &[u8]) {
    let mut words = value.split(|b| *b == b' ' || *b == b'\t').filter(|word| !word.is_empty());
    if let Some(word) = words.next() {
        out.extend_from_slice(word);
    }
    for word in words {
        out.push(b' ');
        out.extend_from_slice(word);
    }
}

/// The string to sign, without the hash of the canonical request at its end.
pub(crate) fn string_to_sign(date: &str, scope: &str, canonical_hash: &[u8]) -> String {
    let mut text = format!("{}\n{date}\n{scope}\n", super::ALGORITHM);
    for byte in canonical_hash {
        write!(text, "{byte:02x}").expect("writing to a String does not fail");
    }
    text
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_path_loses_its_dots_and_is_encoded_twice() {
        for (sent, canonical) in [
            ("/", "/"),
            ("", "/"),
            ("/PutAuditEvents", "/PutAuditEvents"),
            ("/a//b/./c/../d/", "/a/b/d/"),
            ("/../..", "/"),
            ("/a%20b", "/a%2520b"),
            ("/~a-b_c.d", "/~a-b_c.d"),
            ("/a+b:c", "/a%2Bb%3Ac"),
        ] {
            assert_eq!(path(sent), canonical, "{sent}");
        }
    }

    #[test]
    fn a_query_is_sorted_and_spelt_one_way() {
        for (sent, canonical) in [
            ("", ""),
            ("b=2&a=1", "a=1&b=2"),
            ("a=2&a=1&a", "a=&a=1&a=2"),
            ("a=%2f%C3%A9", "a=%2F%C3%A9"),
            ("a=x+y", "a=x%20y"),
            ("a=x%2By", "a=x%2By"),
            ("a=x%20y", "a=x%20y"),
            ("a=b=c", "a=b%3Dc"),
            ("a-b=1&a=1", "a=1&a-b=1"),
            ("&&a=1&", "a=1"),
            ("%7e=~", "~=~"),
        ] {
            assert_eq!(query(sent, None), Ok(canonical.to_owned()), "{sent}");
        }
        assert_eq!(query("a=%4", None), Err(StrayPercent));
        assert_eq!(query("a=%zz", None), Err(StrayPercent));
        assert_eq!(query("a=1&b=2", Some("b")), Ok("a=1".to_owned()));
    }

    #[test]
    fn header_values_are_trimmed_folded_and_joined() {
        let mut headers = HeaderMap::new();
        headers.append("x-amz-meta", HeaderValue::from_static("  a   b\t c "));
        headers.append("x-amz-meta", HeaderValue::from_static("d"));
        let uri = Uri::from_static("http://example.com:4747/");
        let mut out = Vec::new();
        assert!(push_header(&mut out, "x-amz-meta", &uri, &headers));
        assert!(push_header(&mut out, "host", &uri, &headers));
        assert!(!push_header(&mut out, "x-amz-date", &uri, &headers));
        assert_eq!(out, b"x-amz-meta:a b c,d\nhost:example.com:4747\n");
    }
}
