//! What a service answered: its output, or an error's code and message.

use ciborium::Value as Cbor;
use http::{HeaderMap, Method, StatusCode};
use serde_json::Value as Json;

use super::{
    DecodeError, Decoded, body,
    call::{Call, has_label},
    cbor::{self, cbor},
    gather::{Gather, Members, Which},
    json::json,
    limits,
    request::{Read, body_members, payload_body, whole},
    rest, stream, xml,
};
use crate::{
    Response, Value,
    model::{Place, Protocol, ShapeId, Structure},
};

/// What a service answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Output or error.
    pub outcome: Outcome,
    /// The service's id of the call, of a header or the body.
    pub request_id: Option<String>,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// With an output; [`Value::empty`] if the operation has none.
    Output(Decoded),
    /// With an error.
    Error {
        /// Such as `ResourceNotFoundException`, without namespace. If the service did not say: for `HEAD` of S3 what S3
        /// means by the status, else the status in digits.
        code: String,
        /// What the service said, if it did.
        message: Option<String>,
    },
}

/// Headers in which services tell the id of a call.
const REQUEST_IDS: [&str; 4] = ["x-amzn-requestid", "x-amz-request-id", "x-amzn-request-id", "x-amz-requestid"];
/// The header in which JSON services tell an error's code.
const ERROR_TYPE: &str = "x-amzn-errortype";
/// The header in which services that used to speak the query protocol tell the code that an error had then.
const QUERY_ERROR: &str = "x-amzn-query-error";

/// Decodes the answer to a call.
///
/// Never fails: what cannot be read is left out, and [`Decoded`] says so.
pub fn response(call: &Call, response: &Response) -> Answer {
    outcome(call, response, true)
}

/// The same; of an answer that is no error and not `wanted` nothing is decoded, and it counts as complete.
pub(crate) fn outcome(call: &Call, response: &Response, wanted: bool) -> Answer {
    let head = &response.head;
    let named = REQUEST_IDS.iter().find_map(|name| text(&head.headers, name)).map(str::to_owned);
    let expected = call.operation().success.is_some_and(|status| status == head.status.as_u16());
    if !expected && (head.status.is_redirection() || head.status.is_client_error() || head.status.is_server_error()) {
        let fault = fault(call, response);
        return fault.told(named, || code_of_status(call, head.status));
    }
    let output_shape = call.operation().output.and_then(|id| call.model().structure(id));
    let events = output_shape.and_then(|structure| stream::events(call.model(), structure));
    // The status had been sent before the stream failed.
    if let Some(fault) = events.and_then(|events| stream::failure(call, events, response)) {
        return fault.told(named, || code_of_status(call, StatusCode::INTERNAL_SERVER_ERROR));
    }
    output(call, response, named, wanted, events.is_some())
}

fn output(call: &Call, response: &Response, named: Option<String>, wanted: bool, streams: bool) -> Answer {
    let model = call.model();
    let head = &response.head;
    // An answer of the query protocol says the id of the call beside its members.
    let enveloped = matches!(call.protocol(), Protocol::Query | Protocol::Ec2);
    let tells_id = enveloped && named.is_none();
    if !wanted && !tells_id {
        let late = call.protocol().is_rest().then(|| late_error(call, response)).flatten();
        let outcome = late.unwrap_or_else(|| Outcome::Output(Decoded::complete(Value::empty())));
        return Answer { outcome, request_id: named };
    }
    let id = call.operation().output.filter(|_| wanted);
    let structure = id.and_then(|id| Some((id, model.structure(id)?)));
    let mut members = Members::default();
    if let (true, Some((_, structure))) = (call.protocol().is_rest(), structure) {
        rest::of_response(model, head, structure, &mut members);
    }
    let mut request_id = named;
    let read = match (call.protocol(), structure) {
        (Protocol::Query | Protocol::Ec2, _) => {
            whole(&head.headers, &response.body, |bytes| in_envelope(call, structure, bytes, &mut request_id))
        }
        (_, None) => Ok(Read::Whole(None)),
        (Protocol::Json | Protocol::Cbor, Some((id, _))) if streams => stream::initial(call, id, &response.body),
        (Protocol::Json, Some((id, _))) => {
            whole(&head.headers, &response.body, |bytes| json(&Gather::new(model), id, Which::All, bytes))
        }
        (Protocol::Cbor, Some((id, _))) => {
            whole(&head.headers, &response.body, |bytes| cbor(&Gather::new(model), id, bytes))
        }
        (Protocol::RestJson | Protocol::RestXml, Some((id, structure))) => match late_error(call, response) {
            Some(outcome) => return Answer { outcome, request_id },
            None => rest_body(call, response, id, structure, &mut members),
        },
    };
    let (complete, fault) = match read {
        Ok(Read::Whole(Some(Value::Structure(fields)))) => {
            if let Some((_, structure)) = structure {
                members.add(structure, fields);
            }
            (true, None)
        }
        Ok(Read::Whole(_)) => (true, None),
        Ok(Read::Cut | Read::Partly(_)) => (false, None),
        Err(fault) => (false, Some(fault)),
    };
    Answer { outcome: Outcome::Output(Decoded { value: members.into_value(), complete, fault }), request_id }
}

fn rest_body(
    call: &Call,
    response: &Response,
    id: ShapeId,
    structure: &Structure,
    members: &mut Members,
) -> Result<Read, DecodeError> {
    let (headers, body) = (&response.head.headers, &response.body);
    if call.operation().method == Method::HEAD {
        return Ok(Read::Whole(None));
    }
    if let Some(payload) = structure.payload() {
        return payload_body(call, headers, body, payload).map(|read| read.into_member(structure, members));
    }
    if !structure.members.iter().any(|member| member.place == Place::Body && !member.streaming) {
        return Ok(Read::Whole(None));
    }
    // A body that is a stream of events has no members beside it.
    if structure.members.iter().any(|member| member.place == Place::Body && member.streaming) {
        return Ok(Read::Whole(None));
    }
    whole(headers, body, |bytes| body_members(call, id, structure, bytes))
}

/// Reads an answer of the query protocol: the result element is unwrapped, the id of the call is beside it.
fn in_envelope(
    call: &Call,
    structure: Option<(ShapeId, &Structure)>,
    bytes: &[u8],
    request_id: &mut Option<String>,
) -> Result<Option<Value>, DecodeError> {
    let root = xml::parse(bytes)?;
    if request_id.is_none() {
        *request_id = request_id_in(&root);
    }
    let Some((_, structure)) = structure else { return Ok(None) };
    let result = match &call.operation().result_wrapper {
        Some(wrapper) => root.child(wrapper).unwrap_or(&root),
        None => &root,
    };
    xml::structure(&Gather::new(call.model()), structure, result, 0, false).map(Some)
}

fn request_id_in(root: &xml::Element) -> Option<String> {
    let metadata = root.child("ResponseMetadata").and_then(|metadata| metadata.child("RequestId"));
    let beside = ["RequestId", "requestId", "RequestID"].iter().find_map(|name| root.child(name));
    let id = metadata.or(beside)?.text.trim();
    (!id.is_empty() && id.len() <= limits::NAME).then(|| id.to_owned())
}

/// What was found of an error.
#[derive(Default)]
pub(super) struct Fault {
    pub(super) code: Option<String>,
    pub(super) message: Option<String>,
    pub(super) request_id: Option<String>,
}

impl Fault {
    /// The answer that it is, texts within their bounds; `otherwise` is the code if it has none.
    fn told(self, request_id: Option<String>, otherwise: impl FnOnce() -> String) -> Answer {
        let cut = |text: String| match text.char_indices().nth(limits::ERROR_TEXT) {
            Some((at, _)) => text[..at].to_owned(),
            None => text,
        };
        let code = self.code.map_or_else(otherwise, cut);
        Answer {
            outcome: Outcome::Error { code, message: self.message.map(cut) },
            request_id: request_id.or(self.request_id),
        }
    }
}

fn fault(call: &Call, response: &Response) -> Fault {
    let headers = &response.head.headers;
    // Of a body that was cut nothing is known, but headers may say enough.
    let plain = body::plain(headers, &response.body).ok().filter(|plain| plain.whole);
    let bytes = plain.as_ref().map(|plain| &*plain.bytes).unwrap_or_default();
    let mut fault = match call.protocol() {
        Protocol::Json | Protocol::RestJson => in_json(bytes),
        Protocol::Cbor => in_cbor(bytes),
        Protocol::Query | Protocol::Ec2 | Protocol::RestXml => in_xml(bytes),
    };
    if let Some(code) = text(headers, ERROR_TYPE) {
        fault.code = Some(code.to_owned());
    }
    fault.code = fault.code.map(|code| plain_code(&code).to_owned()).filter(|code| !code.is_empty());
    if let (true, Some(code)) = (call.model().summary().query_compatible, text(headers, QUERY_ERROR)) {
        let code = code.split(';').next().unwrap_or_default().trim();
        if !code.is_empty() {
            fault.code = Some(code.to_owned());
        }
    }
    fault
}

/// A code without namespace and without the address that may follow it: `ns#Code:http://...`.
pub(super) fn plain_code(code: &str) -> &str {
    let code = code.split(':').next().unwrap_or_default();
    code.rsplit_once('#').map_or(code, |(_, code)| code).trim()
}

pub(super) fn in_json(bytes: &[u8]) -> Fault {
    let Ok(Json::Object(body)) = serde_json::from_slice(bytes) else { return Fault::default() };
    let text = |names: &[&str]| {
        names.iter().find_map(|name| match body.get(*name)? {
            Json::String(text) => Some(text.clone()),
            Json::Number(number) => Some(number.to_string()),
            _ => None,
        })
    };
    Fault {
        code: text(&["__type", "code", "Code"]),
        message: text(&["message", "Message", "errorMessage"]),
        request_id: None,
    }
}

pub(super) fn in_cbor(bytes: &[u8]) -> Fault {
    let Ok(Cbor::Map(entries)) = cbor::tree(bytes) else { return Fault::default() };
    let text = |names: &[&str]| {
        let found = |name: &&str| entries.iter().find(|(key, _)| key.as_text() == Some(name));
        names.iter().find_map(|name| Some(found(name)?.1.as_text()?.to_owned()))
    };
    Fault { code: text(&["__type", "code"]), message: text(&["message", "Message"]), request_id: None }
}

/// `<ErrorResponse><Error>`, `<Response><Errors><Error>` of EC2, or `<Error>` alone as S3 has it.
pub(super) fn in_xml(bytes: &[u8]) -> Fault {
    let Ok(root) = xml::parse(bytes) else { return Fault::default() };
    let error = match &*root.name {
        "Error" => Some(&root),
        _ => root.child("Error").or_else(|| root.child("Errors").and_then(|errors| errors.child("Error"))),
    };
    let text = |name: &str| {
        let found = error.and_then(|error| error.child(name)).or_else(|| root.child(name))?;
        Some(found.text.trim().to_owned()).filter(|text| !text.is_empty())
    };
    Fault { code: text("Code"), message: text("Message"), request_id: request_id_in(&root) }
}

/// An error that came after the status had been sent: long calls of S3 (`CopyObject`, `CompleteMultipartUpload`) answer
/// 200 and then say in the body that they failed.
fn late_error(call: &Call, response: &Response) -> Option<Outcome> {
    let is_long =
        call.protocol() == Protocol::RestXml && !matches!(call.operation().method, Method::GET | Method::HEAD);
    let body = &response.body;
    if !is_long || !body.is_kept() || !has_error_root(&body.kept) {
        return None;
    }
    let fault = in_xml(&body.kept);
    fault.code.map(|code| Outcome::Error { code, message: fault.message })
}

/// True if a text has `<Error>` as its root: a look at its beginning spares parsing most bodies twice. Elements of that name
/// further inside tell of a part that failed, not of the call.
fn has_error_root(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(512)]);
    let mut rest = text.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']);
    while let Some((_, after)) = rest.strip_prefix("<?").and_then(|rest| rest.split_once("?>")) {
        rest = after.trim_start();
    }
    rest.strip_prefix("<Error").is_some_and(|rest| rest.starts_with(['>', ' ', '/', '\t', '\r', '\n']))
}

/// What a status says of an error without a body.
fn code_of_status(call: &Call, status: StatusCode) -> String {
    let is_s3 = &*call.model().summary().endpoint_prefix == "s3";
    let code = match status {
        StatusCode::FORBIDDEN if is_s3 => "AccessDenied",
        StatusCode::NOT_FOUND if is_s3 && has_label(call.operation(), "Key") => "NoSuchKey",
        StatusCode::NOT_FOUND if is_s3 && has_label(call.operation(), "Bucket") => "NoSuchBucket",
        StatusCode::NOT_MODIFIED if is_s3 => "NotModified",
        StatusCode::PRECONDITION_FAILED if is_s3 => "PreconditionFailed",
        status => return status.as_str().to_owned(),
    };
    code.to_owned()
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim).filter(|text| !text.is_empty())
}
