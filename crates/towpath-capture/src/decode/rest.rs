//! The parts of REST requests and answers that are not bodies: path, query string, headers, status.

use std::borrow::Cow;

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderValue};

use super::{
    call::Call,
    gather::{self, Members},
    limits, scalar,
};
use crate::{
    Value,
    model::{Kind, Member, Place, ServiceModel, Structure},
};

/// A query string, decoded.
pub(super) struct Query<'q>(Vec<(Cow<'q, str>, Cow<'q, str>)>);

impl<'q> Query<'q> {
    /// Decodes a query string; names come as often as they stand in it.
    pub(super) fn of(query: Option<&'q str>) -> Self {
        let fields = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        Self(fields.take(limits::FIELDS).collect())
    }

    /// True if a name is there, with a value or without.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(key, _)| key == name)
    }

    /// All values of a name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| &**value)
    }

    /// The first value of a name.
    pub(super) fn first<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.all(name).next()
    }
}

/// Sets the members that stand in a request's URI and headers.
pub(super) fn of_request(call: &Call, head: &http::request::Parts, structure: &Structure, members: &mut Members) {
    let model = call.model();
    let query = Query::of(head.uri.query());
    for (at, member) in structure.members.iter().enumerate() {
        let value = match member.place {
            Place::Label => call.label(&member.wire).and_then(|text| of_text(model, member, text)),
            Place::Query => of_query(model, structure, call, member, &query),
            Place::Header | Place::Headers => of_headers(model, member, &head.headers),
            Place::Body | Place::Status => None,
        };
        if let Some(value) = value {
            members.set(at, member, value);
        }
    }
}

/// Sets the members that stand in an answer's status and headers.
pub(super) fn of_response(
    model: &ServiceModel,
    head: &http::response::Parts,
    structure: &Structure,
    members: &mut Members,
) {
    for (at, member) in structure.members.iter().enumerate() {
        let value = match member.place {
            Place::Status => Some(Value::Number(head.status.as_u16().into())),
            Place::Header | Place::Headers => of_headers(model, member, &head.headers),
            Place::Body | Place::Label | Place::Query => None,
        };
        if let Some(value) = value {
            members.set(at, member, value);
        }
    }
}

fn of_text(model: &ServiceModel, member: &Member, text: &str) -> Option<Value> {
    scalar::value(&model.shape(member.shape).kind, text)
}

fn of_query(
    model: &ServiceModel,
    structure: &Structure,
    call: &Call,
    member: &Member,
    query: &Query<'_>,
) -> Option<Value> {
    match &model.shape(member.shape).kind {
        Kind::List { element } => {
            let kind = &model.shape(element.shape).kind;
            let values: Vec<Value> = query.all(&member.wire).filter_map(|text| scalar::value(kind, text)).collect();
            (!values.is_empty()).then_some(Value::List(values))
        }
        // A map takes every name that is not taken: not by another member, not by the URI itself.
        Kind::Map { value, .. } => {
            let element = &model.shape(value.shape).kind;
            let is_taken = |name: &str| {
                structure
                    .members
                    .iter()
                    .any(|other| other.place == Place::Query && other.name != member.name && *other.wire == *name)
                    || call.operation().uri.literals.iter().any(|literal| *literal.name == *name)
            };
            let mut entries: Vec<(String, Value)> = Vec::new();
            for (name, text) in query.0.iter().filter(|(name, _)| !is_taken(name) && !is_of_signature(name)) {
                match element {
                    Kind::List { element } => {
                        let Some(value) = scalar::value(&model.shape(element.shape).kind, text) else { continue };
                        match entries.iter_mut().find(|(key, _)| key == name) {
                            Some((_, Value::List(values))) => values.push(value),
                            _ => entries.push((name.clone().into_owned(), Value::List(vec![value]))),
                        }
                    }
                    kind => {
                        let Some(value) = scalar::value(kind, text) else { continue };
                        entries.push((name.clone().into_owned(), value));
                    }
                }
            }
            (!entries.is_empty()).then(|| gather::map(entries))
        }
        kind => query.first(&member.wire).and_then(|text| scalar::value(kind, text)),
    }
}

/// True for the parameters of a presigned URL: a signature is no parameter of the call.
fn is_of_signature(name: &str) -> bool {
    let names =
        ["algorithm", "credential", "date", "expires", "signedheaders", "signature", "security-token", "region-set"];
    let name = name.to_ascii_lowercase();
    name.strip_prefix("x-amz-").is_some_and(|name| names.contains(&name))
}

fn of_headers(model: &ServiceModel, member: &Member, headers: &HeaderMap) -> Option<Value> {
    let kind = &model.shape(member.shape).kind;
    if member.place == Place::Headers {
        let prefix = member.wire.to_ascii_lowercase();
        let entries: Vec<(String, Value)> = headers
            .iter()
            .filter_map(|(name, value)| {
                Some((name.as_str().strip_prefix(&prefix)?.to_owned(), Value::Text(text_of(value))))
            })
            .collect();
        return (!entries.is_empty()).then(|| gather::map(entries));
    }
    // Names that are none in HTTP (a model may say anything) are found nowhere.
    let mut values = headers.get_all(&*member.wire).iter().map(text_of);
    let first = values.next()?;
    if member.json_value {
        let json = BASE64_STANDARD.decode(first.trim()).ok().and_then(|json| String::from_utf8(json).ok());
        return Some(Value::Text(json.unwrap_or(first)));
    }
    let Kind::List { element } = kind else {
        return scalar::value(kind, first.trim());
    };
    let kind = &model.shape(element.shape).kind;
    let values = std::iter::once(first).chain(values);
    let parts: Vec<Value> = values
        .flat_map(|line| if matches!(kind, Kind::Time) { times(&line) } else { parts(&line) })
        .filter_map(|part| scalar::value(kind, &part))
        .collect();
    Some(Value::List(parts))
}

/// A header as text; bytes that are no UTF-8 are replaced.
fn text_of(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

/// The parts of a list in a header: between commas, in quotes if they have commas themselves.
fn parts(line: &str) -> Vec<String> {
    let mut parts = Vec::new();
    let (mut part, mut quoted, mut was_quoted) = (String::new(), false, false);
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' if quoted => part.extend(letters.next()),
            '"' if quoted => quoted = false,
            '"' if part.trim().is_empty() && !was_quoted => {
                part.clear();
                (quoted, was_quoted) = (true, true);
            }
            ',' if !quoted => {
                push_part(&mut parts, &mut part, was_quoted);
                was_quoted = false;
            }
            letter => part.push(letter),
        }
    }
    push_part(&mut parts, &mut part, was_quoted);
    parts
}

fn push_part(parts: &mut Vec<String>, part: &mut String, was_quoted: bool) {
    let taken = std::mem::take(part);
    match was_quoted {
        true => parts.push(taken),
        false if taken.trim().is_empty() => (),
        false => parts.push(taken.trim().to_owned()),
    }
}

/// The moments of a list in a header: those of RFC 822 have a comma each.
fn times(line: &str) -> Vec<String> {
    let parts: Vec<&str> = line.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
    let mut times = Vec::new();
    let mut at = 0;
    while at < parts.len() {
        let is_day = parts[at].bytes().all(|byte| byte.is_ascii_alphabetic());
        match parts.get(at + 1).filter(|_| is_day) {
            Some(date) => {
                times.push(format!("{}, {date}", parts[at]));
                at += 2;
            }
            None => {
                times.push(parts[at].to_owned());
                at += 1;
            }
        }
    }
    times
}
