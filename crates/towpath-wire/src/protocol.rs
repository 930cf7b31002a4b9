//! Protocols: the three ways AWS services speak, and what differs in their errors.
//!
//! The same failure has other names and statuses in each. Code throughout Towpath uses the names of AWS JSON; the table
//! here translates them when an answer is written. Statuses follow the "common errors" pages of the services.

use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};

use crate::route::elsewhere;

/// The way a request, and so its answer, is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// AWS JSON 1.1: the operation in `X-Amz-Target`, everything else in a JSON body. CloudTrail and Towpath's own.
    AwsJson,
    /// REST JSON: the operation in method and path. CloudTrail Data.
    RestJson,
    /// Query: the operation in a form, answers in XML. STS.
    Query,
}

impl Protocol {
    /// Guesses the protocol of a request, routable or not, so that even its refusal can be read by the caller.
    pub fn of(method: &Method, uri: &Uri, headers: &HeaderMap) -> Self {
        if headers.contains_key("x-amz-target") || media_type(headers).starts_with("application/x-amz-json") {
            return Self::AwsJson;
        }
        if elsewhere::service(method, uri, headers).is_some_and(|service| service == "s3") {
            return Self::Query; // clients of S3 read errors in XML
        }
        if uri.path() != "/" && !uri.path().is_empty() {
            return Self::RestJson;
        }
        if is_form(headers) || names_action(method, uri) { Self::Query } else { Self::AwsJson }
    }

    /// The content type of answers.
    pub fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::AwsJson => "application/x-amz-json-1.1",
            Self::RestJson => "application/json",
            Self::Query => "text/xml",
        })
    }

    /// The spelling of an error code in this protocol.
    pub(crate) fn code(self, code: &str) -> &str {
        if self != Self::Query {
            return code;
        }
        match code {
            "AccessDeniedException" => "AccessDenied",
            "ExpiredTokenException" => "ExpiredToken",
            "IncompleteSignatureException" => "IncompleteSignature",
            "InvalidSignatureException" => "SignatureDoesNotMatch",
            "MissingAuthenticationTokenException" => "MissingAuthenticationToken",
            "RequestEntityTooLargeException" => "RequestEntityTooLarge",
            "SerializationException" => "MalformedInput",
            "ThrottlingException" => "Throttling",
            "UnknownOperationException" => "InvalidAction",
            "UnrecognizedClientException" => "InvalidClientTokenId",
            "ValidationException" => "ValidationError",
            other => other,
        }
    }

    /// The HTTP status of an error code that every operation can answer; 400 for all others.
    pub(crate) fn status(self, code: &str) -> StatusCode {
        match code {
            "InternalFailure" => StatusCode::INTERNAL_SERVER_ERROR,
            "ServiceUnavailable" => StatusCode::SERVICE_UNAVAILABLE,
            "RequestEntityTooLargeException" => StatusCode::PAYLOAD_TOO_LARGE,
            "MissingAuthenticationTokenException" | "InvalidSignatureException" => StatusCode::FORBIDDEN,
            "AccessDeniedException" | "ExpiredTokenException" | "UnrecognizedClientException"
                if self != Self::AwsJson =>
            {
                StatusCode::FORBIDDEN
            }
            "UnknownOperationException" if self == Self::RestJson => StatusCode::NOT_FOUND,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

/// The media type of a request in lower case, without parameters; empty if there is none or it is not text.
fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// True if the body is a form.
pub(crate) fn is_form(headers: &HeaderMap) -> bool {
    media_type(headers) == "application/x-www-form-urlencoded"
}

/// True if the query string names an action of the query protocol.
pub(crate) fn names_action(method: &Method, uri: &Uri) -> bool {
    let action = uri.query().is_some_and(|query| query.split('&').any(|pair| pair.starts_with("Action=")));
    action && (method == Method::GET || method == Method::POST)
}
