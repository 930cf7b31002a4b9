//! Bodies by their media type: JSON, forms, XML. What comes of them has the names and types of the document's schemas, so that
//! what a schema says of a member holds for it however it was sent.
//!
//! Files in forms are told by name, type and size. Of a form that was not kept whole, the parts before the cut are read.

use http::HeaderMap;
use serde_json::Value as Json;

use super::document::is_json;
use super::parameters::{Kind, MAX_PAIRS, Parameters, read_body};
use crate::multipart::{Part, Parts};
use crate::record::read_xml;
use crate::{Body, Value, json};

/// The most parts of a multipart form.
const MAX_PARTS: usize = 256;
/// How many brackets a form's name may have: `a[b][c]` has two.
const MAX_BRACKETS: usize = 8;
/// How deep a schema is followed beside an XML body.
const MAX_DEPTH: usize = 48;

/// What came of a body.
#[derive(Debug)]
pub(super) struct BodyRead {
    /// What it says; `None` if nothing of it can be read.
    pub(super) value: Option<Value>,
    /// True if it is larger than what is kept or read: what it says is missing, or a part of it.
    pub(super) cut: bool,
}

/// The media types that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Media {
    Json,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// `multipart/form-data`.
    Multipart,
    Xml,
}

impl Media {
    /// By a media type without parameters.
    pub(super) fn of(kind: &str) -> Option<Self> {
        match kind {
            "application/x-www-form-urlencoded" => Some(Self::Form),
            "multipart/form-data" => Some(Self::Multipart),
            kind if is_json(kind) => Some(Self::Json),
            kind if is_xml(kind) => Some(Self::Xml),
            _ => None,
        }
    }
}

/// True for XML, of whatever vocabulary.
pub(super) fn is_xml(kind: &str) -> bool {
    kind == "application/xml" || kind == "text/xml" || kind.ends_with("+xml")
}

impl Parameters<'_> {
    /// Reads a body. `kind` is its content type as it was sent.
    pub(super) fn read(
        &self,
        media: Media,
        kind: &str,
        body: &Body,
        headers: &HeaderMap,
        schema: Option<&Json>,
    ) -> BodyRead {
        if media == Media::Multipart && !headers.contains_key(http::header::CONTENT_ENCODING) {
            return BodyRead { value: self.multipart(kind, &body.kept, schema), cut: !body.is_kept() };
        }
        let Ok(bytes) = read_body(body, headers) else { return BodyRead { value: None, cut: true } };
        let value = match media {
            Media::Json => json::read(&bytes).ok(),
            Media::Form => Some(self.form(&bytes, schema)),
            Media::Multipart => self.multipart(kind, &bytes, schema),
            Media::Xml => read_xml(&bytes).map(|(_, value)| match schema {
                Some(schema) => self.of_xml(value, schema, 0),
                None => value,
            }),
        };
        BodyRead { value, cut: false }
    }

    /// The pairs of a form, as an object: a name that stands twice is a list, `a[b]` is the member `b` of `a`.
    fn form(&self, bytes: &[u8], schema: Option<&Json>) -> Value {
        let mut members = Vec::new();
        for (name, text) in form_urlencoded::parse(bytes).take(MAX_PAIRS) {
            let (base, brackets) = bracketed(&name);
            let own = schema.and_then(|schema| self.property(schema, base));
            self.put(&mut members, base, &brackets, &text, own);
        }
        Value::Map(members)
    }

    fn put(&self, members: &mut Vec<(String, Value)>, name: &str, inner: &[&str], text: &str, schema: Option<&Json>) {
        let list = schema.is_some_and(|schema| self.kind(schema) == Kind::List);
        let Some((next, rest)) = inner.split_first() else {
            let value = match schema {
                Some(schema) if list => self.typed(text, self.items_of(schema)),
                Some(schema) => self.typed(text, schema),
                None => Value::Text(text.to_owned()),
            };
            return add(members, name, value, list);
        };
        let number = !next.is_empty() && next.bytes().all(|byte| byte.is_ascii_digit());
        if rest.is_empty() && (next.is_empty() || (list && number)) {
            let value = match schema {
                Some(schema) => self.typed(text, self.items_of(schema)),
                None => Value::Text(text.to_owned()),
            };
            return add(members, name, value, true);
        }
        let own = schema.and_then(|schema| match list {
            true => Some(self.items_of(schema)),
            false => self.property(schema, next),
        });
        let at = members.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
            members.push((name.to_owned(), Value::Map(Vec::new())));
            members.len() - 1
        });
        // A name with a value of its own as well keeps that; what is below it has nowhere to be.
        if let Value::Map(below) = &mut members[at].1 {
            self.put(below, next, rest, text, own);
        }
    }

    /// The parts of a multipart form.
    fn multipart(&self, kind: &str, bytes: &[u8], schema: Option<&Json>) -> Option<Value> {
        let mut members = Vec::new();
        for part in Parts::of(kind, bytes)?.take(MAX_PARTS) {
            let own = schema.and_then(|schema| self.property(schema, &part.name));
            let list = own.is_some_and(|schema| self.kind(schema) == Kind::List);
            let own = own.map(|schema| if list { self.items_of(schema) } else { schema });
            if let Some(value) = self.part(&part, own) {
                add(&mut members, &part.name, value, list);
            }
        }
        Some(Value::Map(members))
    }

    fn part(&self, part: &Part<'_>, schema: Option<&Json>) -> Option<Value> {
        let kind = part.kind.as_deref().map(super::document::essence);
        let json = kind.as_deref().is_some_and(is_json);
        let text = kind.as_deref().is_none_or(|kind| kind.starts_with("text/"));
        let binary = schema.is_some_and(|schema| {
            let schema = self.document.resolve(schema);
            schema.get("format").and_then(Json::as_str) == Some("binary") || schema.get("contentMediaType").is_some()
        });
        if part.file_name.is_some() || binary || !(json || text) {
            return Some(file(part));
        }
        if !part.whole {
            return None;
        }
        let own = schema.map_or(Kind::Text, |schema| self.kind(schema));
        if (json || matches!(own, Kind::Object | Kind::List))
            && let Ok(value) = json::read(part.content)
        {
            return Some(value);
        }
        let text = std::str::from_utf8(part.content).ok()?;
        Some(schema.map_or_else(|| Value::Text(text.to_owned()), |schema| self.typed(text, schema)))
    }

    /// XML with the names of its schema: elements and attributes by their `xml.name`, lists with and without an element
    /// around them, texts that look like numbers as texts where the schema says so.
    fn of_xml(&self, value: Value, schema: &Json, depth: usize) -> Value {
        if depth > MAX_DEPTH {
            return Value::Null;
        }
        match (value, self.kind(schema)) {
            (value, Kind::List) => {
                let items = self.items_of(schema);
                let wrapped = xml_flag(self.document.resolve(schema), "wrapped");
                let several = match value {
                    Value::Map(mut members) if wrapped && members.len() == 1 => members.remove(0).1,
                    // An empty list is an empty element.
                    Value::Text(text) if wrapped && text.is_empty() => Value::List(Vec::new()),
                    other => other,
                };
                let several = match several {
                    Value::List(several) => several,
                    one => vec![one],
                };
                Value::List(several.into_iter().map(|item| self.of_xml(item, items, depth + 1)).collect())
            }
            (Value::Map(members), _) => {
                let own = self.xml_members(schema);
                let renamed =
                    members.into_iter().map(|(name, value)| match own.iter().find(|(wire, ..)| *wire == name) {
                        Some((_, own, schema)) => ((*own).to_owned(), self.of_xml(value, schema, depth + 1)),
                        None => (name, value),
                    });
                Value::Map(renamed.collect())
            }
            (Value::Number(number), Kind::Text) => Value::Text(number.to_string()),
            (Value::Bool(value), Kind::Text) => Value::Text(value.to_string()),
            (Value::Text(text), _) => self.typed(&text, schema),
            (value, _) => value,
        }
    }

    /// The members of an object: names in XML, names of the document, schemas.
    fn xml_members<'s>(&'s self, schema: &'s Json) -> Vec<(&'s str, &'s str, &'s Json)> {
        let schemas = self.hider.gather(&[schema]).unwrap_or_default();
        let all = schemas.into_iter().filter_map(|schema| schema.get("properties")?.as_object()).flatten();
        let named = |(name, schema): (&'s String, &'s Json)| {
            let own = self.document.resolve(schema);
            let repeated = self.kind(own) == Kind::List && !xml_flag(own, "wrapped");
            let wire = match repeated {
                true => xml_name(self.document.resolve(self.items_of(own))).or_else(|| xml_name(own)),
                false => xml_name(own),
            };
            (wire.unwrap_or(name), name.as_str(), schema)
        };
        all.map(named).collect()
    }
}

fn xml_name(schema: &Json) -> Option<&str> {
    schema.get("xml")?.get("name")?.as_str()
}

fn xml_flag(schema: &Json, name: &str) -> bool {
    schema.get("xml").and_then(|xml| xml.get(name)).and_then(Json::as_bool) == Some(true)
}

/// What is recorded of a file.
fn file(part: &Part<'_>) -> Value {
    let text = |name: &str, text: &str| (name.to_owned(), Value::Text(text.to_owned()));
    let mut members = Vec::new();
    members.extend(part.file_name.as_deref().map(|name| text("fileName", name)));
    members.extend(part.kind.as_deref().map(|kind| text("contentType", kind)));
    if part.whole {
        members.push(("size".to_owned(), Value::Number(part.content.len().into())));
    }
    Value::Map(members)
}

/// Adds a value under a name: a name that is there already becomes a list.
fn add(members: &mut Vec<(String, Value)>, name: &str, value: Value, list: bool) {
    match members.iter_mut().find(|(known, _)| known == name) {
        Some((_, Value::List(items))) => items.push(value),
        Some((_, first)) => *first = Value::List(vec![std::mem::replace(first, Value::Null), value]),
        None if list => members.push((name.to_owned(), Value::List(vec![value]))),
        None => members.push((name.to_owned(), value)),
    }
}

/// `a[b][c]` as `a` and `b`, `c`; a name of another form as it is.
fn bracketed(name: &str) -> (&str, Vec<&str>) {
    let split = || {
        let at = name.find('[').filter(|at| *at > 0)?;
        let inner = name[at..].strip_prefix('[')?.strip_suffix(']')?;
        let parts: Vec<_> = inner.split("][").collect();
        let plain = parts.len() <= MAX_BRACKETS && !parts.iter().any(|part| part.contains(['[', ']']));
        plain.then_some((&name[..at], parts))
    };
    split().unwrap_or((name, Vec::new()))
}
