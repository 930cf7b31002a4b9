//! Answers that HTTP gives without asking an operation, in the form AWS clients understand.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use uuid::Uuid;

/// An error as both of CloudTrail's protocols read it, whose models spell the message differently: `__type`, `message` and
/// `Message` in the body, the code in `x-amzn-errortype`.
pub fn error(status: StatusCode, code: &'static str, message: &str) -> Response<Bytes> {
    let body = serde_json::json!({ "__type": code, "message": message, "Message": message }).to_string();
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.1"));
    headers.insert("x-amzn-errortype", HeaderValue::from_static(code));
    let id = HeaderValue::from_str(&Uuid::new_v4().to_string()).expect("a UUID is visible ASCII");
    headers.insert("x-amzn-requestid", id);
    response
}

/// The server cannot work on the request now; a client that waits and tries again may succeed.
pub fn throttled(message: &str) -> Response<Bytes> {
    error(StatusCode::BAD_REQUEST, "ThrottlingException", message)
}

/// The server is starting, stopping or broken.
pub fn unavailable(message: &str) -> Response<Bytes> {
    error(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message)
}

/// Something failed that should not have.
pub fn internal() -> Response<Bytes> {
    error(StatusCode::INTERNAL_SERVER_ERROR, "InternalFailure", "the request failed because of an unknown error")
}

/// Text for people and probes.
pub fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
