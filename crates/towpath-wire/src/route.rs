//! Routing: which protocol and operation a request speaks, told from its method, path and headers alone.

use http::{HeaderMap, Method, Uri, header};

use crate::audit_events::AuditEventsTarget;
use crate::decode::InputError;
use crate::error::ApiError;
use crate::form::Parameters;
use crate::generated::input::Input;
use crate::generated::operations::Operation;
use crate::limits::{MAX_AUDIT_EVENTS_BODY, MAX_FORM_BODY, MAX_JSON_BODY, MAX_RECORDS_BODY};
use crate::operation::Service;
use crate::protocol::{Protocol, is_form, names_action};

/// The prefix of `X-Amz-Target` for operations that are Towpath's own.
pub(crate) const TOWPATH_TARGET: &str = "Towpath_20261120";

/// The prefix of `X-Amz-Target` for operations of Organizations (organizations 2016-11-28 service model).
const ORGANIZATIONS_TARGET: &str = "AWSOrganizationsV20161128";

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// An operation of CloudTrail, AWS JSON.
    CloudTrail(Operation),
    /// PutAuditEvents, REST JSON.
    PutAuditEvents(AuditEventsTarget),
    /// STS; the action is in the query string or body, see [`crate::sts::StsRequest::decode`].
    Sts,
    /// An operation of Organizations, AWS JSON: 1 to 64 letters and digits, not looked at any further.
    Organizations(String),
    /// An operation of Towpath's own, AWS JSON: 1 to 64 letters and digits, not looked at any further.
    Towpath(String),
}

impl Route {
    /// The protocol of the answer.
    pub fn protocol(&self) -> Protocol {
        match self {
            Self::CloudTrail(_) | Self::Organizations(_) | Self::Towpath(_) => Protocol::AwsJson,
            Self::PutAuditEvents(_) => Protocol::RestJson,
            Self::Sts => Protocol::Query,
        }
    }

    /// The service name that the request must be signed for.
    pub fn signing_name(&self) -> &'static str {
        match self {
            Self::CloudTrail(_) => Service::CloudTrail.signing_name(),
            Self::PutAuditEvents(_) => Service::CloudTrailData.signing_name(),
            Self::Sts => "sts",
            Self::Organizations(_) => "organizations",
            Self::Towpath(_) => "towpath",
        }
    }

    /// The longest body, in bytes. A server stops reading there and answers [`ApiError::too_large`].
    pub fn max_body(&self) -> usize {
        match self {
            Self::Towpath(name) if name == "PutRecords" => MAX_RECORDS_BODY,
            Self::CloudTrail(_) | Self::Organizations(_) | Self::Towpath(_) => MAX_JSON_BODY,
            Self::PutAuditEvents(_) => MAX_AUDIT_EVENTS_BODY,
            Self::Sts => MAX_FORM_BODY,
        }
    }

    /// The modelled operation, if it is one.
    pub fn operation(&self) -> Option<Operation> {
        match self {
            Self::CloudTrail(operation) => Some(*operation),
            Self::PutAuditEvents(_) => Some(Operation::PutAuditEvents),
            Self::Sts | Self::Organizations(_) | Self::Towpath(_) => None,
        }
    }

    /// Decodes the body of a modelled operation; `None` for the others, which have decoders of their own.
    pub fn decode(self, body: &[u8]) -> Option<Result<Input, InputError>> {
        match self {
            Self::CloudTrail(operation) => Some(operation.decode(body)),
            Self::PutAuditEvents(target) => Some(target.decode(body).map(Input::PutAuditEvents)),
            Self::Sts | Self::Organizations(_) | Self::Towpath(_) => None,
        }
    }
}

/// Finds the route of a request. Its error is to be written in [`Protocol::of`] the request.
///
/// # Errors
/// For what names no operation that is answered here. A call that was signed for another service is told where it belongs:
/// with `AWS_ENDPOINT_URL` set, clients of all services come here.
pub fn route(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Route, ApiError> {
    let found = find(method, uri, headers);
    if matches!(found, Err(_) | Ok(Route::Sts))
        && let Some(service) = elsewhere::service(method, uri, headers)
    {
        return Err(elsewhere::refusal(&service));
    }
    found
}

fn find(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Route, ApiError> {
    refuse_encoding(headers)?;
    if headers.contains_key("x-amz-target") {
        return by_target(method, uri, headers);
    }
    match uri.path() {
        "/PutAuditEvents" => put_audit_events(method, uri),
        "/" | "" => by_action(method, uri, headers),
        _ => Err(ApiError::unknown_operation("no operation has this path")),
    }
}

fn by_target(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Route, ApiError> {
    if method != Method::POST || !matches!(uri.path(), "/" | "") {
        return Err(ApiError::unknown_operation("a request with X-Amz-Target must be POST /"));
    }
    let mut targets = headers.get_all("x-amz-target").iter();
    let (Some(target), None) = (targets.next().and_then(|value| value.to_str().ok()), targets.next()) else {
        return Err(ApiError::unknown_operation("X-Amz-Target must be given once, as plain text"));
    };
    let unknown = || ApiError::unknown_operation("X-Amz-Target names no operation of this service");
    let (prefix, name) = target.rsplit_once('.').ok_or_else(unknown)?;
    let plain = (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric());
    match prefix {
        TOWPATH_TARGET if plain => return Ok(Route::Towpath(name.to_owned())),
        ORGANIZATIONS_TARGET if plain => return Ok(Route::Organizations(name.to_owned())),
        _ => {}
    }
    if !Service::CloudTrail.target_prefixes().contains(&prefix) {
        return Err(unknown());
    }
    Operation::named(Service::CloudTrail, name).map(Route::CloudTrail).ok_or_else(unknown)
}

fn put_audit_events(method: &Method, uri: &Uri) -> Result<Route, ApiError> {
    if method != Method::POST {
        return Err(ApiError::unknown_operation("PutAuditEvents must be POST"));
    }
    let mut parameters = Parameters::of_query(uri.query().unwrap_or_default())
        .map_err(|error| ApiError::validation(error.message().to_owned()))?;
    Ok(Route::PutAuditEvents(AuditEventsTarget {
        channel_arn: parameters.take("channelArn"),
        external_id: parameters.take("externalId"),
    }))
}

fn by_action(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Route, ApiError> {
    if method == Method::POST && is_form(headers) {
        return Ok(Route::Sts);
    }
    if names_action(method, uri) {
        return Ok(Route::Sts);
    }
    let message = "the request names no operation: neither X-Amz-Target nor Action is given";
    Err(ApiError::unknown_operation(message).with_status(http::StatusCode::NOT_FOUND))
}

/// Bodies are read as they come: the signature covers the bytes that were sent, and a compressed body could hide any
/// amount of text.
fn refuse_encoding(headers: &HeaderMap) -> Result<(), ApiError> {
    let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    if encodings.all(|encoding| encoding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity")) {
        return Ok(());
    }
    Err(ApiError::serialization("compressed request bodies are not accepted; send the body without Content-Encoding"))
}

pub(crate) mod elsewhere;

#[cfg(test)]
mod tests;
