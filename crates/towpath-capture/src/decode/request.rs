//! What a request asks for.

use super::{
    DecodeError, Decoded, body,
    call::{Call, host_of},
    cbor::cbor,
    form::{Dialect, form},
    gather::{Gather, Members, Which},
    json::json,
    rest, scalar, stream, xml,
};
use crate::{
    Body, Request, Value,
    model::{Kind, Member, Place, Protocol, ShapeId, Structure},
};

/// Decodes the parameters of a call.
///
/// Never fails: what cannot be read is left out, and [`Decoded`] says so.
pub fn request(call: &Call, request: &Request) -> Decoded {
    let model = call.model();
    let Some(id) = call.operation().input else { return Decoded::complete(Value::empty()) };
    let Some(structure) = model.structure(id) else { return Decoded::complete(Value::empty()) };
    let mut members = Members::default();
    if call.protocol().is_rest() {
        rest::of_request(call, &request.head, structure, &mut members);
    }
    let read = match call.protocol() {
        Protocol::RestJson | Protocol::RestXml => rest_body(call, request, id, structure, &mut members),
        Protocol::Json | Protocol::Cbor if stream::events(model, structure).is_some() => {
            stream::initial(call, id, &request.body)
        }
        Protocol::Json => {
            begun(&request.head.headers, &request.body, |bytes| json(&Gather::new(model), id, Which::All, bytes))
        }
        Protocol::Cbor => whole(&request.head.headers, &request.body, |bytes| cbor(&Gather::new(model), id, bytes)),
        Protocol::Query => form_body(call, request, structure, Dialect::Query),
        Protocol::Ec2 => form_body(call, request, structure, Dialect::Ec2),
    };
    let (complete, fault) = match read {
        Ok(Read::Whole(Some(Value::Structure(fields)))) => {
            members.add(structure, fields);
            (true, None)
        }
        Ok(Read::Partly(Value::Structure(fields))) => {
            members.add(structure, fields);
            (false, None)
        }
        Ok(Read::Whole(_)) => (true, None),
        Ok(Read::Partly(_)) => (false, None),
        Ok(Read::Cut) => (false, None),
        Err(fault) => (false, Some(fault)),
    };
    of_host(call, request, structure, &mut members);
    Decoded { value: members.into_value(), complete, fault }
}

/// What came of a body.
pub(super) enum Read {
    /// It was read.
    Whole(Option<Value>),
    /// It was not kept whole, but what was kept was read.
    Partly(Value),
    /// It was not kept whole, so it was not read.
    Cut,
}

/// Reads a body that has to be whole; an empty one says nothing.
pub(super) fn whole(
    headers: &http::HeaderMap,
    body: &Body,
    read: impl FnOnce(&[u8]) -> Result<Option<Value>, DecodeError>,
) -> Result<Read, DecodeError> {
    if !body.is_kept() {
        return Ok(Read::Cut);
    }
    if body.kept.is_empty() {
        return Ok(Read::Whole(None));
    }
    let plain = body::plain(headers, body)?;
    match plain.bytes.iter().all(u8::is_ascii_whitespace) {
        true => Ok(Read::Whole(None)),
        false => read(&plain.bytes).map(Read::Whole),
    }
}

fn rest_body(
    call: &Call,
    request: &Request,
    id: ShapeId,
    structure: &Structure,
    members: &mut Members,
) -> Result<Read, DecodeError> {
    let headers = &request.head.headers;
    if let Some(payload) = structure.payload() {
        return payload_body(call, headers, &request.body, payload).map(|read| read.into_member(structure, members));
    }
    if !structure.members.iter().any(|member| member.place == Place::Body && !member.streaming) {
        return Ok(Read::Whole(None));
    }
    let read = |bytes: &[u8]| body_members(call, id, structure, bytes);
    match call.protocol() {
        Protocol::RestJson => begun(headers, &request.body, read),
        _ => whole(headers, &request.body, read),
    }
}

/// Reads a JSON body; of one that was cut the members of the object that are there whole.
fn begun(
    headers: &http::HeaderMap,
    body: &Body,
    read: impl FnOnce(&[u8]) -> Result<Option<Value>, DecodeError>,
) -> Result<Read, DecodeError> {
    if !body.is_cut() {
        return whole(headers, body, read);
    }
    let plain = body::plain(headers, body)?;
    let object = begun_object(&plain.bytes).and_then(|object| read(&object).ok().flatten());
    Ok(object.map_or(Read::Cut, Read::Partly))
}

/// The members of an object that stand before the cut, as an object; `None` if there are none.
fn begun_object(json: &[u8]) -> Option<Vec<u8>> {
    let (mut depth, mut quoted, mut escaped, mut end) = (0usize, false, false, None);
    for (at, byte) in json.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' if depth == 1 => end = Some(at),
            _ => {}
        }
    }
    let members = json.get(..end?)?;
    Some([members, b"}"].concat())
}

/// Reads the members of a structure that a REST body holds.
pub(super) fn body_members(
    call: &Call,
    id: ShapeId,
    structure: &Structure,
    bytes: &[u8],
) -> Result<Option<Value>, DecodeError> {
    let gather = Gather::new(call.model());
    match call.protocol() {
        Protocol::RestXml => xml::structure(&gather, structure, &xml::parse(bytes)?, 0, true).map(Some),
        _ => json(&gather, id, Which::OfBody, bytes),
    }
}

/// Reads a body that is one member. Streams and raw bytes are not kept, and that is no loss.
pub(super) fn payload_body(
    call: &Call,
    headers: &http::HeaderMap,
    body: &Body,
    payload: &Member,
) -> Result<Read, DecodeError> {
    let model = call.model();
    let kind = &model.shape(payload.shape).kind;
    if payload.streaming {
        return Ok(Read::Whole(None));
    }
    match kind {
        Kind::Blob | Kind::Unknown => Ok(Read::Whole(None)),
        Kind::Text => whole(headers, body, |bytes| match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Some(Value::Text(text.to_owned()))),
            Err(_) => Err(DecodeError::Malformed { format: "text", reason: "not UTF-8".into() }),
        }),
        Kind::Integer | Kind::Float | Kind::Bool | Kind::Time => {
            whole(headers, body, |bytes| Ok(scalar::value(kind, &String::from_utf8_lossy(bytes))))
        }
        _ => whole(headers, body, |bytes| {
            let gather = Gather::new(model);
            match call.protocol() {
                Protocol::RestXml => xml::value(&gather, payload.shape, &xml::parse(bytes)?, 0),
                _ => json(&gather, payload.shape, Which::All, bytes),
            }
        }),
    }
}

impl Read {
    /// Sets the payload member to what was read; nothing is left to read then.
    pub(super) fn into_member(self, structure: &Structure, members: &mut Members) -> Self {
        if let (Self::Whole(Some(value)), Some(at), Some(member)) = (&self, structure.payload, structure.payload()) {
            members.set(at, member, value.clone());
            return Self::Whole(None);
        }
        self
    }
}

/// Reads the fields of URL and body. Of a body that was cut, those that are there whole.
fn form_body(call: &Call, request: &Request, structure: &Structure, dialect: Dialect) -> Result<Read, DecodeError> {
    let plain = body::plain(&request.head.headers, &request.body)?;
    let end = match plain.whole {
        true => plain.bytes.len(),
        false => plain.bytes.iter().rposition(|byte| *byte == b'&').unwrap_or(0),
    };
    let url = form_urlencoded::parse(request.head.uri.query().unwrap_or_default().as_bytes());
    let fields = url.chain(form_urlencoded::parse(&plain.bytes[..end]));
    let value = form(&Gather::new(call.model()), structure, dialect, fields)?;
    Ok(if plain.whole { Read::Whole(Some(value)) } else { Read::Partly(value) })
}

/// Sets members that are a part of the host's name and were sent nowhere else.
fn of_host(call: &Call, request: &Request, structure: &Structure, members: &mut Members) {
    let (Some(prefix), Some(host)) = (&call.operation().host_prefix, host_of(&request.head)) else { return };
    // A host that is not the service's own says nothing.
    if !host.contains(&*call.model().summary().endpoint_prefix) {
        return;
    }
    for (at, member) in structure.members.iter().enumerate().filter(|(_, member)| member.host_label) {
        let Some((before, after)) = prefix.split_once(&*format!("{{{}}}", member.name)) else { continue };
        // One label between literal text, which is all that host prefixes are.
        let end = after.chars().next().unwrap_or('.');
        let value = host.strip_prefix(before).and_then(|host| host.split(end).next());
        if let (Some(value), false) = (value, members.has(at)) {
            members.set(at, member, Value::Text(value.to_owned()));
        }
    }
}
