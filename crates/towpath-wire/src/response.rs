//! Answers of calls that succeeded.

use bytes::Bytes;
use http::{Response, header};
use serde::Serialize;

use crate::error::ApiError;
use crate::protocol::Protocol;
use crate::request_id::RequestId;

/// Writes the output of a call as JSON: 200, the protocol's content type, the request identifier.
///
/// An output that cannot be written becomes an internal error. STS has answers of its own in [`crate::sts`].
pub fn success(protocol: Protocol, request_id: &RequestId, output: &impl Serialize) -> Response<Bytes> {
    match serde_json::to_vec(output) {
        Ok(body) => bare(protocol, request_id, Bytes::from(body)),
        Err(_) => ApiError::internal().response(protocol, request_id),
    }
}

/// Writes a body that is ready.
pub(crate) fn bare(protocol: Protocol, request_id: &RequestId, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, protocol.content_type());
    response.headers_mut().insert("x-amzn-requestid", request_id.header());
    response
}
