//! `requestID`: the id that the service gave a call.

use crate::Response;

/// The headers that hold it, in the order in which they are looked for.
const HEADERS: [&str; 4] = ["x-amzn-requestid", "x-amz-request-id", "x-amzn-request-id", "x-amz-requestid"];
/// The XML elements that hold it.
const ELEMENTS: [&str; 3] = ["RequestId", "requestId", "RequestID"];
/// The longest that is taken for one, in bytes.
const MAX_BYTES: usize = 256;

/// The id in a header of the answer, or else in its XML.
pub(crate) fn request_id(response: &Response) -> Option<String> {
    let header = HEADERS.iter().find_map(|name| response.head.headers.get(*name)?.to_str().ok());
    if let Some(id) = header.filter(|id| !id.is_empty()) {
        return Some(id.to_owned());
    }
    let body = std::str::from_utf8(&response.body.kept).ok()?;
    if !body.trim_start().starts_with('<') {
        return None;
    }
    ELEMENTS.iter().find_map(|name| {
        // Answers name it last, and errors too.
        let (_, after) = body.rsplit_once(&format!("<{name}>"))?;
        let (id, _) = after.split_once('<')?;
        let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '+' | '/' | '=');
        (!id.is_empty() && id.len() <= MAX_BYTES && id.chars().all(plain)).then(|| id.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Body;

    fn answer(header: Option<(&str, &str)>, body: &str) -> Response {
        let mut response = http::Response::builder();
        if let Some((name, value)) = header {
            response = response.header(name, value);
        }
        Response { head: response.body(()).unwrap().into_parts().0, body: Body::of(body.to_owned()) }
    }

    #[test]
    fn the_id_stands_in_a_header_or_in_the_body() {
        let id = |header, body| request_id(&answer(header, body));
        assert_eq!(id(Some(("x-amzn-RequestId", "a-1")), "<RequestId>b</RequestId>").as_deref(), Some("a-1"));
        assert_eq!(id(Some(("x-amz-request-id", "A1")), "").as_deref(), Some("A1"));
        let query = "<R><ResponseMetadata><RequestId>b-2</RequestId></ResponseMetadata></R>";
        assert_eq!(id(None, query).as_deref(), Some("b-2"));
        assert_eq!(id(None, "<R xmlns=\"x\"><requestId>c</requestId></R>").as_deref(), Some("c"));
        assert_eq!(id(None, "{\"RequestId\":\"d\"}"), None);
        assert_eq!(id(None, "<RequestId>not an id</RequestId>"), None);
    }
}
