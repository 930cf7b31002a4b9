//! Was a call refused because its caller could not be made out?

use std::borrow::Cow;

use towpath_capture::Response;

/// Bytes of an answer that an error code is looked for in.
const LOOKED_AT: usize = 4096;

/// Codes of answers to callers who did not prove who they are, as AWS's protocols spell them.
const CODES: &[&str] = &[
    "AuthFailure",
    "AuthorizationHeaderMalformed",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "IncompleteSignatureException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSecurity",
    "InvalidSignatureException",
    "InvalidToken",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "NotAuthorized",
    "RequestExpired",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
    "UnrecognizedClientException",
];

/// True if an answer refuses the caller's proof of who it is. A caller that is known and may not is not refused this way.
pub(super) fn authentication(response: &Response) -> bool {
    let status = response.head.status;
    if status.as_u16() == 401 {
        return true;
    }
    if !status.is_client_error() {
        return false;
    }
    let header = ["x-amzn-errortype", "x-amz-error-code"].into_iter().find_map(|name| response.head.headers.get(name));
    if let Some(code) = header.and_then(|value| value.to_str().ok()) {
        return is_one(code);
    }
    let kept = &response.body.kept;
    let text = String::from_utf8_lossy(&kept[..kept.len().min(LOOKED_AT)]);
    code_in(&text).is_some_and(|code| is_one(&code))
}

fn is_one(code: &str) -> bool {
    let code = code.split(':').next().unwrap_or_default().rsplit('#').next().unwrap_or_default();
    CODES.contains(&code)
}

/// The code of an error in XML (`<Code>`), or in JSON (`__type` or `code`).
fn code_in(text: &str) -> Option<Cow<'_, str>> {
    if let Some(code) = super::xml::leaf(text, "Code") {
        return Some(Cow::Owned(code));
    }
    ["\"__type\"", "\"code\"", "\"Code\""].into_iter().find_map(|name| {
        let (_, rest) = text.split_once(name)?;
        let value = rest.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?;
        value.split_once('"').map(|(code, _)| Cow::Borrowed(code))
    })
}

#[cfg(test)]
mod tests {
    use towpath_capture::Body;

    use super::*;

    fn refused(status: u16, header: Option<&str>, body: &str) -> bool {
        let mut response = http::Response::builder().status(status);
        if let Some(code) = header {
            response = response.header("x-amzn-errortype", code);
        }
        let (head, ()) = response.body(()).unwrap().into_parts();
        authentication(&Response { head, body: Body::of(body.as_bytes().to_vec()) })
    }

    #[test]
    fn errors_of_authentication_are_known_in_every_protocol() {
        assert!(refused(403, None, "<Error><Code>SignatureDoesNotMatch</Code></Error>"));
        assert!(refused(403, None, "<ErrorResponse><Error><Code>InvalidClientTokenId</Code></Error></ErrorResponse>"));
        assert!(refused(400, None, r#"{"__type":"com.amazon.coral.service#UnrecognizedClientException"}"#));
        assert!(refused(400, Some("InvalidSignatureException:http://x"), ""));
        assert!(refused(401, None, "<html>"));
    }

    #[test]
    fn other_errors_leave_the_caller_known() {
        assert!(!refused(403, None, "<Error><Code>AccessDenied</Code></Error>"));
        assert!(!refused(400, Some("ValidationException"), "SignatureDoesNotMatch"));
        assert!(!refused(404, None, "<html>"));
        assert!(!refused(500, None, "<Error><Code>AuthFailure</Code></Error>"));
        assert!(!refused(200, None, "<Code>AuthFailure</Code>"));
    }
}
