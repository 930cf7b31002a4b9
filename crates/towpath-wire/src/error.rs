//! Errors as a caller reads them: a code, a message, a status.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Map, Value};

use crate::generated::operations::Operation;
use crate::operation::ModelledError;
use crate::protocol::Protocol;
use crate::request_id::RequestId;
use crate::xml::Xml;

/// An error that is sent to a caller.
///
/// The code is in the spelling of AWS JSON; [`ApiError::response`] translates it for the protocol of the request.
/// Whatever stands in the message is read by the caller: internal causes are logged, never put here.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiError {
    code: Cow<'static, str>,
    message: String,
    status: Option<StatusCode>,
    fields: Map<String, Value>,
}

impl ApiError {
    /// An error with the status that its code has by convention: 400 for most.
    pub fn new(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), status: None, fields: Map::new() }
    }

    /// An error that a service model names, with the model's status.
    pub fn modelled(error: ModelledError, message: impl Into<String>) -> Self {
        let status = StatusCode::from_u16(error.status).ok().filter(|status| *status != StatusCode::BAD_REQUEST);
        Self { status, ..Self::new(error.code, message) }
    }

    /// The request is none that this service understands.
    pub fn unknown_operation(message: impl Into<String>) -> Self {
        Self::new("UnknownOperationException", message)
    }

    /// The operation exists at AWS and not here.
    pub fn unsupported_operation(operation: Operation) -> Self {
        Self::new("UnsupportedOperationException", format!("{operation} is not implemented"))
    }

    /// The body cannot be read at all.
    pub fn serialization(message: impl Into<String>) -> Self {
        Self::new("SerializationException", message)
    }

    /// A value breaks a rule, and the operation has no error of its own for it.
    pub fn validation(message: impl Into<String>) -> Self {
        Self::new("ValidationException", message)
    }

    /// The body is longer than `limit` bytes.
    pub fn too_large(limit: usize) -> Self {
        Self::new("RequestEntityTooLargeException", format!("the request body is longer than {limit} bytes"))
    }

    /// The caller may not do this. The text says who and what, never which policy.
    pub fn access_denied(message: impl Into<String>) -> Self {
        Self::new("AccessDeniedException", message)
    }

    /// The caller must slow down.
    pub fn throttling() -> Self {
        Self::new("ThrottlingException", "Rate exceeded")
    }

    /// The session token is past its end.
    pub fn expired_token() -> Self {
        Self::new("ExpiredTokenException", "The security token included in the request is expired")
    }

    /// The access key or session token is not known.
    pub fn unrecognized_client() -> Self {
        Self::new("UnrecognizedClientException", "The security token included in the request is invalid.")
    }

    /// Something broke inside. Says nothing about what.
    pub fn internal() -> Self {
        Self::new("InternalFailure", "The request failed because of an internal error. Try again.")
    }

    /// A part that the request needs is not available at the moment.
    pub fn unavailable() -> Self {
        Self::new("ServiceUnavailable", "The service is temporarily unavailable. Try again.")
    }

    /// The same error with another status.
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = Some(status);
        self
    }

    /// The same error with one more member in its JSON body.
    pub fn with_field(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(name.to_owned(), value.into());
        self
    }

    /// The code in the spelling of AWS JSON, which is also how events record it.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// The message.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The status in the given protocol.
    pub fn status(&self, protocol: Protocol) -> StatusCode {
        self.status.unwrap_or_else(|| protocol.status(&self.code))
    }

    /// True if the same request may succeed later.
    pub fn retryable(&self) -> bool {
        matches!(&*self.code, "ThrottlingException" | "InternalFailure" | "ServiceUnavailable")
            || self.status.is_some_and(|status| status.is_server_error())
    }

    /// Writes the error as the protocol wants it.
    pub fn response(&self, protocol: Protocol, request_id: &RequestId) -> Response<Bytes> {
        let body = match protocol {
            // As the models name the member: SDKs that are generated from them (Go's, and Terraform with it) read no other name.
            Protocol::AwsJson => self.json("Message"),
            Protocol::RestJson => self.json("message"),
            Protocol::Query => self.xml(request_id),
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status(protocol);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, protocol.content_type());
        headers.insert("x-amzn-requestid", request_id.header());
        if protocol != Protocol::Query
            && let Ok(code) = HeaderValue::from_str(&self.code)
        {
            headers.insert("x-amzn-errortype", code);
        }
        response
    }

    fn json(&self, message: &str) -> Bytes {
        let mut body = self.fields.clone();
        body.insert("__type".to_owned(), Value::from(&*self.code));
        body.insert(message.to_owned(), Value::from(&*self.message));
        Bytes::from(Value::Object(body).to_string())
    }

    fn xml(&self, request_id: &RequestId) -> Bytes {
        let server = self.status(Protocol::Query).is_server_error();
        let mut xml = Xml::new();
        xml.open_with_namespace("ErrorResponse", crate::sts::NAMESPACE);
        xml.open("Error");
        xml.leaf("Type", if server { "Receiver" } else { "Sender" });
        xml.leaf("Code", Protocol::Query.code(&self.code));
        xml.leaf("Message", &self.message);
        xml.close("Error");
        xml.leaf("RequestId", &request_id.to_string());
        xml.close("ErrorResponse");
        xml.into_bytes()
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for ApiError {}
