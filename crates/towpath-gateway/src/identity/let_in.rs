//! Does an answer show that its upstream knew the caller?
//!
//! An upstream may answer before it has looked at a signature: that it is busy, that it knows no such operation, that the
//! signature is wrong. Only what it says once it knows the caller is worth something: success, and errors about what was
//! asked for or about what the caller may.

use std::borrow::Cow;

use http::{Method, StatusCode};
use towpath_capture::{Ending, Exchange, Response};

use crate::recording::RecordedUpstream;

/// Bytes of an answer that an error code is looked for in.
const LOOKED_AT: usize = 4096;

/// Codes of answers to callers who did not prove who they are, as AWS's protocols spell them, and of answers that come
/// before anybody has looked at a signature.
const CODES: &[&str] = &[
    "AuthFailure",
    "AuthorizationHeaderMalformed",
    "AuthorizationQueryParametersError",
    "BandwidthLimitExceeded",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteBody",
    "IncompleteSignature",
    "IncompleteSignatureException",
    "InvalidAccessKeyId",
    "InvalidAction",
    "InvalidClientTokenId",
    "InvalidSecurity",
    "InvalidSignatureException",
    "InvalidToken",
    "InvalidTokenId",
    "MalformedQueryString",
    "MissingAction",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "MissingContentLength",
    "MissingSecurityHeader",
    "NotAuthorized",
    "NotImplemented",
    "OptInRequired",
    "RequestExpired",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "RequestTimeTooSkewed",
    "RequestTimeout",
    "SerializationException",
    "SignatureDoesNotMatch",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "TokenRefreshRequired",
    "TooManyRequestsException",
    "UnknownOperation",
    "UnknownOperationException",
    "UnrecognizedClientException",
    "UnsupportedSignature",
    "XAmzContentSHA256Mismatch",
];

/// Headers that hold an error code.
const HEADERS: [&str; 3] = ["x-amzn-errortype", "x-amz-error-code", "x-minio-error-code"];

/// True if a caller has proven to hold the secret of the key that it names: to its upstream, which let it in, or to the gateway.
pub(super) fn is_let_in(upstream: &RecordedUpstream, exchange: &Exchange) -> bool {
    match &exchange.ending {
        Ending::Answered(_) if upstream.verifies => true,
        Ending::Answered(response) => lets_in(&exchange.request.head.method, response),
        Ending::Refused { .. } | Ending::Broken { .. } => false,
    }
}

/// True if an answer comes from who had made out the caller.
fn lets_in(method: &Method, response: &Response) -> bool {
    let status = response.head.status;
    if status.is_success() || matches!(status, StatusCode::SWITCHING_PROTOCOLS | StatusCode::NOT_MODIFIED) {
        return true;
    }
    if !status.is_client_error() || status == StatusCode::UNAUTHORIZED {
        return false;
    }
    match code(response) {
        Some(code) => !CODES.contains(&plain(&code)),
        // An answer to HEAD has no body. That there is no such thing is told to those who may know.
        None => *method == Method::HEAD && matches!(status, StatusCode::NOT_FOUND | StatusCode::PRECONDITION_FAILED),
    }
}

/// `Name` of `com.example#Name:http://...`.
fn plain(code: &str) -> &str {
    code.split(':').next().unwrap_or_default().rsplit('#').next().unwrap_or_default()
}

fn code(response: &Response) -> Option<Cow<'_, str>> {
    let header = HEADERS.into_iter().find_map(|name| response.head.headers.get(name));
    if let Some(code) = header.and_then(|value| value.to_str().ok()) {
        return Some(code.into());
    }
    let kept = &response.body.kept;
    let kept = &kept[..kept.len().min(LOOKED_AT)];
    let text = String::from_utf8_lossy(kept);
    let code = code_in_text(&text).or_else(|| code_in_cbor(kept)).filter(|code| !code.is_empty());
    code.map(Cow::Owned)
}

/// The code of an error in XML (`<Code>`), or in JSON (`__type` or `code`).
fn code_in_text(text: &str) -> Option<String> {
    if let Some(code) = super::xml::leaf(text, "Code") {
        return Some(code);
    }
    ["\"__type\"", "\"code\"", "\"Code\""].into_iter().find_map(|name| {
        let (_, rest) = text.split_once(name)?;
        let value = rest.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?;
        value.split_once('"').map(|(code, _)| code.to_owned())
    })
}

/// The member `__type` of a map in CBOR, a text of up to 255 bytes.
fn code_in_cbor(bytes: &[u8]) -> Option<String> {
    const NAME: &[u8] = b"\x66__type";
    let at = bytes.windows(NAME.len()).position(|part| part == NAME)?;
    let (length, text) = match &bytes[at + NAME.len()..] {
        [short @ 0x60..=0x77, text @ ..] => (usize::from(short - 0x60), text),
        [0x78, length, text @ ..] => (usize::from(*length), text),
        _ => return None,
    };
    text.get(..length).and_then(|text| std::str::from_utf8(text).ok()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use towpath_capture::Body;

    use super::*;

    fn answer(method: &Method, status: u16, header: Option<&str>, body: &[u8]) -> bool {
        let mut response = http::Response::builder().status(status);
        if let Some(code) = header {
            response = response.header("x-amzn-errortype", code);
        }
        let (head, ()) = response.body(()).unwrap().into_parts();
        lets_in(method, &Response { head, body: Body::of(body.to_vec()) })
    }

    fn in_(status: u16, header: Option<&str>, body: &str) -> bool {
        answer(&Method::POST, status, header, body.as_bytes())
    }

    #[test]
    fn errors_of_authentication_are_known_in_every_protocol() {
        assert!(!in_(403, None, "<Error><Code>SignatureDoesNotMatch</Code></Error>"));
        assert!(!in_(403, None, "<ErrorResponse><Error><Code>InvalidClientTokenId</Code></Error></ErrorResponse>"));
        assert!(!in_(400, None, r#"{"__type":"com.amazon.coral.service#UnrecognizedClientException"}"#));
        assert!(!in_(400, Some("InvalidSignatureException:http://x"), ""));
        assert!(!answer(&Method::POST, 400, None, b"\xa1\x66__type\x78\x1bUnrecognizedClientException"));
        assert!(!in_(401, None, "<html>"));
    }

    #[test]
    fn errors_about_what_was_asked_come_from_who_knows_the_caller() {
        assert!(in_(403, None, "<Error><Code>AccessDenied</Code></Error>"));
        assert!(in_(400, Some("ValidationException"), "SignatureDoesNotMatch"));
        assert!(in_(404, None, r#"{"code": "NoSuchThing"}"#));
        assert!(answer(&Method::POST, 400, None, b"\xa1\x66__type\x70a#AccessDenied_2."));
        assert!(in_(200, None, "<Code>AuthFailure</Code>") && in_(304, None, "") && in_(101, None, ""));
        assert!(answer(&Method::HEAD, 404, None, b"") && answer(&Method::HEAD, 412, None, b""));
    }

    #[test]
    fn an_answer_that_says_nothing_of_the_caller_proves_nothing() {
        // What HEAD is refused for does not stand in the answer: the signature, maybe.
        assert!(!answer(&Method::HEAD, 403, None, b"") && !answer(&Method::HEAD, 400, None, b""));
        assert!(!in_(403, None, "") && !in_(404, None, "<html>") && !in_(400, None, "\u{1f}\u{8b}gzip"));
        // Who is busy, or away, has not looked.
        assert!(!in_(503, None, "<Error><Code>SlowDown</Code></Error>") && !in_(502, None, "<html>"));
        assert!(!in_(500, None, "<Error><Code>InternalError</Code></Error>"));
        assert!(!in_(400, Some("ThrottlingException"), "") && !in_(400, Some("UnknownOperationException"), ""));
        assert!(!in_(301, None, "<Error><Code>PermanentRedirect</Code></Error>") && !in_(307, None, ""));
    }
}
