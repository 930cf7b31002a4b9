//! The gateway's own answers, in a form that the caller's SDK can read.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderMap, Method, Response, StatusCode};
use uuid::Uuid;

/// A call that the gateway answers in the upstream's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status.
    pub status: StatusCode,
    /// The code, as AWS's services call such errors.
    pub code: &'static str,
    /// What the caller is told.
    pub message: String,
}

impl Refusal {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    /// A head that has no one meaning.
    pub fn malformed(message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequestException", message)
    }

    /// Something that HTTP knows and the gateway does not.
    pub fn not_implemented(message: &str) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, "NotImplementedException", message)
    }

    /// Headers over the bound.
    pub fn head_too_large() -> Self {
        let message = "line and headers of the request are larger than the gateway takes";
        Self::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "RequestHeaderSectionTooLarge", message)
    }

    /// No upstream takes the call.
    pub fn unknown(service: Option<&str>, host: &str) -> Self {
        let of = service.map(|service| format!(" signed for {service:?}")).unwrap_or_default();
        let message = format!("no upstream of this gateway takes calls{of} to host {host:?}");
        Self::new(StatusCode::NOT_FOUND, "UnknownUpstreamException", message)
    }

    /// As many calls are under way as may be.
    pub fn busy() -> Self {
        let message = "the gateway works on as many calls as it may; try again";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message)
    }

    /// The call cannot be recorded, and its upstream wants all calls recorded.
    pub fn unrecordable(cause: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", format!("{cause}; try again"))
    }

    /// The call was made and its record is not durable.
    pub fn not_recorded(cause: impl std::fmt::Display) -> Self {
        let message = format!("the call was passed on and may have taken effect, but {cause}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalFailure", message)
    }

    /// The upstream cannot be reached or broke the connection.
    pub fn bad_gateway(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, "BadGateway", message)
    }

    /// The upstream took too long.
    pub fn gateway_timeout(message: impl Into<String>) -> Self {
        Self::new(StatusCode::GATEWAY_TIMEOUT, "GatewayTimeout", message)
    }

    /// The client took too long.
    pub fn request_timeout() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "RequestTimeout", "the body of the request stopped coming")
    }

    /// The client's body broke off or is none.
    pub fn incomplete_body() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "IncompleteBody", "the body of the request broke off")
    }

    /// A signature that does not verify, or a key that is not known.
    pub fn forged(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "AccessDenied", message)
    }

    /// The answer, in the form that the request suggests.
    pub fn response(&self, head: &Parts, service: Option<&str>) -> Response<Bytes> {
        let form = Form::of(head, service);
        let id = Uuid::new_v4().to_string();
        let body = match head.method {
            Method::HEAD => Bytes::new(),
            _ => form.body(self, &id),
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(form.content_type()));
        headers.insert("x-amzn-errortype", HeaderValue::from_static(self.code));
        if let Ok(id) = HeaderValue::from_str(&id) {
            headers.insert(if form == Form::S3 { "x-amz-request-id" } else { "x-amzn-requestid" }, id);
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// How an error is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Json,
    Cbor,
    Query,
    S3,
}

impl Form {
    fn of(head: &Parts, service: Option<&str>) -> Self {
        let content = text(&head.headers, "content-type");
        if text(&head.headers, "smithy-protocol") == "rpc-v2-cbor" || content.starts_with("application/cbor") {
            return Self::Cbor;
        }
        if head.headers.contains_key("x-amz-target") || content.starts_with("application/x-amz-json") {
            return Self::Json;
        }
        if content.starts_with("application/x-www-form-urlencoded") {
            return Self::Query;
        }
        match service {
            Some("s3" | "s3express" | "s3-outposts" | "route53" | "cloudfront") => Self::S3,
            _ => Self::Json,
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Cbor => "application/cbor",
            Self::Query => "text/xml",
            Self::S3 => "application/xml",
        }
    }

    fn body(self, refusal: &Refusal, id: &str) -> Bytes {
        let (code, message) = (refusal.code, &refusal.message);
        match self {
            Self::Json => serde_json::json!({ "__type": code, "message": message }).to_string().into(),
            Self::Cbor => cbor(&[("__type", code), ("message", message)]),
            Self::Query => {
                let at_fault = if refusal.status.is_server_error() { "Receiver" } else { "Sender" };
                let message = escaped(message);
                format!(
                    "<ErrorResponse><Error><Type>{at_fault}</Type><Code>{code}</Code><Message>{message}</Message></Error>\
                     <RequestId>{id}</RequestId></ErrorResponse>"
                )
                .into()
            }
            Self::S3 => {
                let message = escaped(message);
                format!(
                    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
                     <Error><Code>{code}</Code><Message>{message}</Message><RequestId>{id}</RequestId></Error>"
                )
                .into()
            }
        }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A map of texts in CBOR (RFC 8949): major type 5 for the map, 3 for texts, lengths in the shortest form.
fn cbor(members: &[(&str, &str)]) -> Bytes {
    fn head(out: &mut Vec<u8>, major: u8, length: usize) {
        let major = major << 5;
        match length {
            0..24 => out.push(major | length as u8),
            24..256 => out.extend([major | 24, length as u8]),
            _ => {
                out.push(major | 26);
                out.extend(u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
            }
        }
    }
    let mut out = Vec::new();
    head(&mut out, 5, members.len());
    for text in members.iter().flat_map(|(name, value)| [name, value]) {
        head(&mut out, 3, text.len());
        out.extend(text.as_bytes());
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn body(request: http::request::Builder, service: Option<&str>) -> (String, Bytes) {
        let head = request.body(()).unwrap().into_parts().0;
        let response = Refusal::bad_gateway("a <b> & \"c\"").response(&head, service);
        assert_eq!(response.status(), 502);
        assert_eq!(response.headers()["x-amzn-errortype"], "BadGateway");
        (response.headers()["content-type"].to_str().unwrap().to_owned(), response.into_body())
    }

    #[test]
    fn errors_are_in_the_protocol_of_the_request() {
        let (form, json) = body(Request::post("/").header("x-amz-target", "A.B"), None);
        assert_eq!(form, "application/json");
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(json, serde_json::json!({"__type": "BadGateway", "message": "a <b> & \"c\""}));

        let form = "application/x-www-form-urlencoded; charset=utf-8";
        let (_, query) = body(Request::post("/").header("content-type", form), Some("sts"));
        let query = String::from_utf8(query.to_vec()).unwrap();
        assert!(query.contains("<Type>Receiver</Type><Code>BadGateway</Code>"), "{query}");
        assert!(query.contains("a &lt;b&gt; &amp; &quot;c&quot;"), "{query}");

        let (form, s3) = body(Request::get("/key"), Some("s3"));
        assert_eq!(form, "application/xml");
        assert!(s3.starts_with(b"<?xml"));
        assert_eq!(body(Request::head("/key"), Some("s3")).1, "");

        let (_, cbor) = body(Request::post("/").header("smithy-protocol", "rpc-v2-cbor"), None);
        assert_eq!(&cbor[..8], b"\xa2\x66__type");
    }
}
