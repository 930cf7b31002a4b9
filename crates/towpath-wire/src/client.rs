//! The caller's side: a typed input becomes an HTTP request, an HTTP answer becomes a typed output or an error.
//!
//! Nothing is sent here. A client builds the request, signs it with [`crate::sigv4::sign`], sends it, and hands the
//! answer back.

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, Uri, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

use crate::call::Call;
use crate::data::PutAuditEventsRequest;
use crate::error::ApiError;
use crate::operation::Service;
use crate::protocol::Protocol;

/// Why a request cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The endpoint is not `http://host` or `https://host` with an optional port.
    #[error("endpoint {0} is not of the form http://host:port")]
    Endpoint(String),
    /// The input cannot be written as JSON.
    #[error("cannot write the input of {operation}")]
    Input {
        /// The operation's name.
        operation: &'static str,
        /// Why.
        #[source]
        cause: serde_json::Error,
    },
    /// The parts do not make a request.
    #[error("cannot build the request for {operation}")]
    Request {
        /// The operation's name.
        operation: &'static str,
        /// Why.
        #[source]
        cause: http::Error,
    },
}

/// The request for a CloudTrail call, not yet signed.
///
/// `endpoint` is scheme, host and port; a path in it is ignored. PutAuditEvents has a path of its own and so
/// [`put_audit_events`].
pub fn request<C: Call>(endpoint: &str, call: &C) -> Result<Request<Bytes>, BuildError> {
    let operation = C::OPERATION.name();
    let prefix = Service::CloudTrail.target_prefixes()[0];
    let body = serde_json::to_vec(call).map_err(|cause| BuildError::Input { operation, cause })?;
    Request::post(at(endpoint, "/")?)
        .header(header::CONTENT_TYPE, Protocol::AwsJson.content_type())
        .header("x-amz-target", format!("{prefix}.{operation}"))
        .body(Bytes::from(body))
        .map_err(|cause| BuildError::Request { operation, cause })
}

/// The request for an operation of Towpath's own, not yet signed.
pub fn towpath_request(endpoint: &str, operation: &'static str, input: &Value) -> Result<Request<Bytes>, BuildError> {
    Request::post(at(endpoint, "/")?)
        .header(header::CONTENT_TYPE, Protocol::AwsJson.content_type())
        .header("x-amz-target", format!("{}.{operation}", crate::route::TOWPATH_TARGET))
        .body(Bytes::from(input.to_string()))
        .map_err(|cause| BuildError::Request { operation, cause })
}

/// The request for PutAuditEvents, not yet signed.
pub fn put_audit_events(endpoint: &str, call: &PutAuditEventsRequest) -> Result<Request<Bytes>, BuildError> {
    let operation = PutAuditEventsRequest::OPERATION.name();
    let mut path = format!("/PutAuditEvents?channelArn={}", utf8_percent_encode(&call.channel_arn, NON_ALPHANUMERIC));
    if let Some(id) = &call.external_id {
        path.push_str("&externalId=");
        path.extend(utf8_percent_encode(id, NON_ALPHANUMERIC));
    }
    let body = serde_json::to_vec(call).map_err(|cause| BuildError::Input { operation, cause })?;
    Request::post(at(endpoint, &path)?)
        .header(header::CONTENT_TYPE, Protocol::RestJson.content_type())
        .body(Bytes::from(body))
        .map_err(|cause| BuildError::Request { operation, cause })
}

fn at(endpoint: &str, path: &str) -> Result<Uri, BuildError> {
    let wrong = || BuildError::Endpoint(endpoint.to_owned());
    let mut parts = endpoint.parse::<Uri>().map_err(|_| wrong())?.into_parts();
    if parts.scheme.is_none() || parts.authority.is_none() {
        return Err(wrong());
    }
    parts.path_and_query = Some(path.parse().map_err(|_| wrong())?);
    Uri::from_parts(parts).map_err(|_| wrong())
}

/// Reads the answer to a call.
///
/// A failure comes back as the error that the server sent, an answer that cannot be read as a SerializationException.
pub fn answer<C: Call>(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Result<C::Output, ApiError> {
    if !status.is_success() {
        return Err(failure(status, headers, body));
    }
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body)
        .map_err(|_| ApiError::serialization(format!("the answer to {} cannot be read", C::OPERATION)))
}

/// Reads the answer of a JSON service that says it failed, the way SDKs do: the code from the header or `__type`,
/// without a namespace before `#` or a URL after `:`.
pub fn failure(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> ApiError {
    let body: Map<String, Value> = serde_json::from_slice(body).unwrap_or_default();
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let code = headers.get("x-amzn-errortype").and_then(|value| value.to_str().ok()).or_else(|| text("__type"));
    let code = code.unwrap_or_else(|| status.as_str());
    let code = code.split(':').next().unwrap_or_default().rsplit('#').next().unwrap_or_default();
    let message = text("message").or_else(|| text("Message")).unwrap_or_default();
    ApiError::new(code.to_owned(), message).with_status(status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloudtrail::{ListChannelsRequest, ListChannelsResponse};
    use crate::data::AuditEvent;
    use crate::{Input, RequestId, Route, route};

    #[test]
    fn what_a_client_builds_is_what_the_server_decodes() {
        let call = ListChannelsRequest { max_results: Some(5), next_token: None };
        let (parts, body) = request("http://127.0.0.1:4747", &call).unwrap().into_parts();
        let route = route(&parts.method, &parts.uri, &parts.headers).unwrap();
        match route.decode(&body) {
            Some(Ok(Input::ListChannels(decoded))) => assert_eq!(decoded, call),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn audit_events_reach_the_server_with_their_channel_and_external_id() {
        let event =
            AuditEvent { id: "1".to_owned(), event_data: "{\"a\":\"é\"}".to_owned(), event_data_checksum: None };
        let call = PutAuditEventsRequest {
            audit_events: vec![event],
            channel_arn: "arn:aws:cloudtrail:eu-central-1:123456789012:channel/x".to_owned(),
            external_id: Some("a+b=c,d@e:/f".to_owned()),
        };
        let (parts, body) = put_audit_events("https://example.com", &call).unwrap().into_parts();
        let route = route(&parts.method, &parts.uri, &parts.headers).unwrap();
        match route.decode(&body) {
            Some(Ok(Input::PutAuditEvents(decoded))) => assert_eq!(decoded, call),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_operation_of_towpaths_own_is_routed_by_name() {
        let request = towpath_request("http://localhost:4747/ignored", "TailEvents", &Value::Null).unwrap();
        let route = route(request.method(), request.uri(), request.headers()).unwrap();
        assert_eq!(route, Route::Towpath("TailEvents".to_owned()));
    }

    #[test]
    fn an_endpoint_without_scheme_or_host_is_refused() {
        for endpoint in ["127.0.0.1:4747", "", "/", "http://", "not a host"] {
            assert!(request(endpoint, &ListChannelsRequest::default()).is_err(), "{endpoint}");
        }
    }

    #[test]
    fn an_error_is_read_as_it_was_sent() {
        let sent = ApiError::new("ChannelNotFoundException", "no such channel");
        for protocol in [Protocol::AwsJson, Protocol::RestJson] {
            let (parts, body) = sent.response(protocol, &RequestId::random()).into_parts();
            let read = answer::<ListChannelsRequest>(parts.status, &parts.headers, &body).unwrap_err();
            assert_eq!((read.code(), read.message()), (sent.code(), sent.message()));
        }
        let body = b"{\"__type\":\"com.amazonaws.cloudtrail#ThrottlingException:http://x\",\"Message\":\"slow\"}";
        let read = failure(StatusCode::BAD_REQUEST, &HeaderMap::new(), body);
        assert_eq!((read.code(), read.message(), read.retryable()), ("ThrottlingException", "slow", true));
        let read = failure(StatusCode::BAD_GATEWAY, &HeaderMap::new(), b"<html>");
        assert_eq!((read.code(), read.retryable()), ("502", true));
    }

    #[test]
    fn an_answer_that_is_no_answer_is_an_error() {
        let ok = |body: &[u8]| answer::<ListChannelsRequest>(StatusCode::OK, &HeaderMap::new(), body);
        assert_eq!(ok(b"").unwrap(), ListChannelsResponse::default());
        assert_eq!(ok(b"<html>").unwrap_err().code(), "SerializationException");
    }
}
