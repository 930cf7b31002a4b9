//! Calls whose body is a stream of events: the members beside the events, and how the stream failed.

use super::{
    DecodeError,
    answer::{Fault, in_cbor, in_json, in_xml, plain_code},
    call::Call,
    cbor::cbor,
    gather::{Gather, Which},
    json::json,
    request::Read,
};
use crate::{
    Body, Response, StreamFailure,
    model::{Kind, Member, Protocol, ServiceModel, ShapeId, Structure},
};

/// The events of a structure that has a stream of them.
pub(super) fn events<'m>(model: &'m ServiceModel, structure: &Structure) -> Option<&'m Structure> {
    let of = |member: &Member| match &model.shape(member.shape).kind {
        Kind::Structure(events) if events.event_stream => Some(events),
        _ => None,
    };
    structure.members.iter().filter(|member| member.streaming).find_map(of)
}

/// Reads the members that protocols without paths send as the first message of a stream.
pub(super) fn initial(call: &Call, id: ShapeId, body: &Body) -> Result<Read, DecodeError> {
    let said = body.said();
    let gather = Gather::new(call.model());
    match said.initial {
        Some(payload) if payload.is_empty() => Ok(Read::Whole(None)),
        Some(payload) if call.protocol() == Protocol::Cbor => cbor(&gather, id, &payload).map(Read::Whole),
        Some(payload) => json(&gather, id, Which::All, &payload).map(Read::Whole),
        None if said.messages > 0 || body.kept.is_empty() => Ok(Read::Whole(None)),
        None if !body.is_kept() => Ok(Read::Cut),
        None => Err(DecodeError::Malformed { format: "event stream", reason: "no message".into() }),
    }
}

/// The exception or error in an answer that is a stream of `events`.
pub(super) fn failure(call: &Call, events: &Structure, response: &Response) -> Option<Fault> {
    let StreamFailure { code, message, payload } = response.body.said().failure?;
    let said = match call.protocol() {
        Protocol::Json | Protocol::RestJson => in_json(&payload),
        Protocol::Cbor => in_cbor(&payload),
        Protocol::Query | Protocol::Ec2 | Protocol::RestXml => in_xml(&payload),
    };
    let modelled = events.member(&code).map(|member| {
        let shape = call.model().shape(member.shape);
        let error = match &shape.kind {
            Kind::Structure(structure) => structure.error.as_ref(),
            _ => None,
        };
        error.and_then(|error| error.code.as_deref()).unwrap_or(&shape.name).to_owned()
    });
    let code = modelled.unwrap_or_else(|| plain_code(&code).to_owned());
    let code = Some(code).filter(|code| !code.is_empty()).or(said.code);
    Some(Fault { code, message: message.or(said.message), request_id: None })
}
