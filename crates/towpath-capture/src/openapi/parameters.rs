//! What a call asked and what it was answered: parameters of path, query, headers and cookies, and bodies.
//!
//! Parameters stand side by side under their names, in the order of the document. The members of a body that is an
//! object stand beside them; one that has a parameter's name stands in the member `body`, and so does a body of
//! another kind. Only what the document declares is read of query, headers and cookies; of a body everything.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::Read as _;

use http::{HeaderMap, header};
use serde_json::{Number, Value as Json};

use super::body::Media;
use super::document::{Document, Operation, Parameter, Place, Scheme, Style, essence};
use super::hidden::Hider;
use super::template::decode;
use crate::json;
use crate::{Body, Value};

/// The longest body after decompression that is read, in bytes.
const MAX_BODY: u64 = 1 << 20;
/// The most pairs of a query or a form.
pub(super) const MAX_PAIRS: usize = 1024;
/// Headers that say who calls. Never recorded, whatever the document declares.
const CREDENTIALS: [&str; 6] =
    ["authorization", "proxy-authorization", "cookie", "set-cookie", "x-amz-security-token", "x-api-key"];

/// Reads calls by a document.
#[derive(Debug)]
pub struct Parameters<'a> {
    /// The document.
    pub document: &'a Document,
    /// What must not be recorded.
    pub hider: &'a Hider<'a>,
}

impl<'a> Parameters<'a> {
    /// The parameters of a request, `None` if there are none. `path` are the values of the path's names.
    pub fn request(
        &self,
        operation: &'a Operation,
        path: &[(&str, &str)],
        head: &http::request::Parts,
        body: &Body,
    ) -> Option<Value> {
        let mut members = Vec::new();
        let query = pairs(head.uri.query().unwrap_or_default());
        let cookies = cookies(&head.headers);
        for parameter in operation.parameters.iter().filter(|parameter| !self.is_credential(parameter)) {
            let given = match parameter.place {
                Place::Path => {
                    let text = path.iter().find(|(name, _)| *name == parameter.name).map(|(_, text)| *text);
                    text.and_then(|text| self.of_path(parameter, text))
                }
                Place::Query => self.of_form(parameter, &query),
                Place::Header => header_text(&head.headers, &parameter.name).map(|text| self.simple(parameter, &text)),
                Place::Cookie => self.of_form(parameter, &cookies),
            };
            let shown = given
                .and_then(|value| self.hider.value(value, &[&parameter.schema], &mut vec![parameter.name.clone()]));
            members.extend(shown.map(|value| (parameter.name.clone(), value)));
        }
        // A name of the path that the document forgot to declare is a parameter all the same.
        for (name, text) in path {
            if !operation.parameters.iter().any(|known| known.place == Place::Path && known.name == *name) {
                let shown = self.hider.value(Value::Text(decode(text)), &[], &mut vec![(*name).to_owned()]);
                members.extend(shown.map(|value| ((*name).to_owned(), value)));
            }
        }
        if body.total > 0 {
            self.add_body(&mut members, operation, body, &head.headers);
        }
        (!members.is_empty()).then_some(Value::Map(members))
    }

    /// What an answer says, `None` if it is neither JSON nor XML.
    pub fn answer(&self, operation: &'a Operation, head: &http::response::Parts, body: &Body) -> Option<Value> {
        let kind = header_text(&head.headers, "content-type")?;
        let media = Media::of(&essence(&kind)).filter(|media| matches!(media, Media::Json | Media::Xml));
        let (Some(media), 1..) = (media, body.total) else { return None };
        let schema = operation.answer_schema(head.status.as_u16(), &essence(&kind));
        let read = self.read(media, &kind, body, &head.headers, schema);
        if read.cut {
            return Some(omitted("responseElements", body.total));
        }
        let value = self.hider.echoes(self.hider.value(read.value?, schema.as_slice(), &mut Vec::new())?);
        Some(if matches!(value, Value::Map(_)) { value } else { Value::Map(vec![("body".to_owned(), value)]) })
    }

    fn add_body(&self, members: &mut Vec<(String, Value)>, operation: &Operation, body: &Body, headers: &HeaderMap) {
        let kind = header_text(headers, "content-type").unwrap_or_default();
        let Some(media) = Media::of(&essence(&kind)) else { return };
        let schema = operation.body_schema(&essence(&kind));
        let read = self.read(media, &kind, body, headers, schema);
        let shown = read.value.and_then(|value| self.hider.value(value, schema.as_slice(), &mut Vec::new()));
        let mut beside = match shown {
            Some(Value::Map(own)) => {
                let taken: BTreeSet<_> = operation.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
                let is_taken = |name: &str| name == "body" || taken.contains(name);
                let (clashing, own): (Vec<_>, Vec<_>) = own.into_iter().partition(|(name, _)| is_taken(name));
                members.extend(own);
                (!clashing.is_empty()).then_some(Value::Map(clashing))
            }
            other => other,
        };
        if read.cut {
            beside = Some(omitted("body", body.total));
        }
        members.extend(beside.map(|value| ("body".to_owned(), value)));
    }

    /// True for parameters that say who calls.
    fn is_credential(&self, parameter: &Parameter) -> bool {
        let same = |name: &str| match parameter.place {
            Place::Header => name.eq_ignore_ascii_case(&parameter.name),
            _ => name == parameter.name,
        };
        let fixed = parameter.place == Place::Header && CREDENTIALS.iter().any(|name| same(name));
        fixed
            || self.document.schemes.iter().any(|(_, scheme)| {
                matches!(scheme, Scheme::ApiKey { place, name } if *place == parameter.place && same(name))
            })
    }

    fn of_path(&self, parameter: &Parameter, text: &str) -> Option<Value> {
        let prefix = format!(";{}=", parameter.name);
        let text = match parameter.style {
            Style::Label => text.strip_prefix('.').unwrap_or(text),
            Style::Matrix => text.strip_prefix(prefix.as_str()).unwrap_or(text),
            _ => text,
        };
        Some(match (parameter.style, parameter.explode, self.kind(&parameter.schema)) {
            (Style::Label, true, Kind::List) => self.items(text.split('.').map(decode), &parameter.schema),
            (Style::Matrix, true, Kind::List) => self.items(text.split(prefix.as_str()).map(decode), &parameter.schema),
            (_, _, Kind::List) => self.items(text.split(',').map(decode), &parameter.schema),
            _ => self.simple(parameter, &decode(text)),
        })
    }

    /// A value that is one text; lists and objects are joined by commas.
    fn simple(&self, parameter: &Parameter, text: &str) -> Value {
        if parameter.json {
            return json::read(text.as_bytes()).unwrap_or_else(|_| Value::Text(text.to_owned()));
        }
        let split = text.split(',').map(|item| item.trim().to_owned());
        match self.kind(&parameter.schema) {
            Kind::List => self.items(split, &parameter.schema),
            Kind::Object if parameter.explode => {
                let pair = |item: String| item.split_once('=').map(|(name, text)| (name.to_owned(), text.to_owned()));
                self.object(split.filter_map(pair), &parameter.schema)
            }
            Kind::Object => {
                let parts: Vec<_> = split.collect();
                self.object(parts.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())), &parameter.schema)
            }
            _ => self.typed(text, &parameter.schema),
        }
    }

    /// A value out of the pairs of a query or of cookies.
    fn of_form(&self, parameter: &Parameter, pairs: &[(Cow<'_, str>, Cow<'_, str>)]) -> Option<Value> {
        let name = parameter.name.as_str();
        let mut own = pairs.iter().filter(|(key, _)| key == name).map(|(_, text)| text.as_ref()).peekable();
        let kind = self.kind(&parameter.schema);
        if kind == Kind::Object && parameter.style == Style::Deep {
            let inner = pairs.iter().filter_map(|(key, text)| {
                let key = key.strip_prefix(name)?.strip_prefix('[')?.strip_suffix(']')?;
                Some((key.to_owned(), text.to_string()))
            });
            return some_object(self.object(inner, &parameter.schema));
        }
        if kind == Kind::Object && parameter.explode && !parameter.json {
            let inner = pairs.iter().filter(|(key, _)| self.property(&parameter.schema, key).is_some());
            let inner = inner.map(|(key, text)| (key.to_string(), text.to_string()));
            return some_object(self.object(inner, &parameter.schema));
        }
        own.peek()?;
        if kind != Kind::List || parameter.json {
            return own.next().map(|text| self.simple(parameter, text));
        }
        let separator = match parameter.style {
            Style::Space => ' ',
            Style::Pipe => '|',
            _ => ',',
        };
        Some(if parameter.explode {
            self.items(own.map(str::to_owned), &parameter.schema)
        } else {
            self.items(own.flat_map(|text| text.split(separator)).map(str::to_owned), &parameter.schema)
        })
    }

    /// The schema of a list's items.
    pub(super) fn items_of<'s>(&'s self, schema: &'s Json) -> &'s Json {
        self.document.resolve(schema).get("items").unwrap_or(&Json::Bool(true))
    }

    fn items(&self, texts: impl Iterator<Item = String>, schema: &Json) -> Value {
        let inner = self.items_of(schema);
        Value::List(texts.filter(|text| !text.is_empty()).map(|text| self.typed(&text, inner)).collect())
    }

    fn object(&self, pairs: impl Iterator<Item = (String, String)>, schema: &Json) -> Value {
        let typed = |name: &str, text: &str| match self.property(schema, name) {
            Some(own) => self.typed(text, own),
            None => Value::Text(text.to_owned()),
        };
        Value::Map(pairs.map(|(name, text)| (name.clone(), typed(&name, &text))).collect())
    }

    /// The schema of a member, in whatever part of its object's schema it stands.
    pub(super) fn property<'s>(&'s self, schema: &'s Json, name: &str) -> Option<&'s Json> {
        let schemas = self.hider.gather(&[schema])?;
        schemas.into_iter().find_map(|schema| schema.get("properties")?.get(name))
    }

    /// A text as the type that its schema wants, or as it is.
    pub(super) fn typed(&self, text: &str, schema: &Json) -> Value {
        let typed = match self.kind(schema) {
            Kind::Boolean => text.parse().ok().map(Value::Bool),
            Kind::Integer => text.parse::<i64>().ok().map(|number| Value::Number(number.into())),
            Kind::Number => {
                let integer = text.parse::<i64>().ok().map(Number::from);
                integer.or_else(|| Number::from_f64(text.parse().ok()?)).map(Value::Number)
            }
            _ => None,
        };
        typed.unwrap_or_else(|| Value::Text(text.to_owned()))
    }

    pub(super) fn kind(&self, schema: &Json) -> Kind {
        let schema = self.document.resolve(schema);
        let name = match schema.get("type") {
            Some(Json::String(name)) => Some(name.as_str()),
            Some(Json::Array(names)) => names.iter().filter_map(Json::as_str).find(|name| *name != "null"),
            _ => None,
        };
        match name {
            Some("boolean") => Kind::Boolean,
            Some("integer") => Kind::Integer,
            Some("number") => Kind::Number,
            Some("array") => Kind::List,
            Some("object") => Kind::Object,
            None if schema.get("properties").is_some() => Kind::Object,
            None if schema.get("items").is_some() => Kind::List,
            _ => Kind::Text,
        }
    }
}

/// What a schema says of a value's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Boolean,
    Integer,
    Number,
    List,
    Object,
}

fn some_object(value: Value) -> Option<Value> {
    match &value {
        Value::Map(members) if members.is_empty() => None,
        _ => Some(value),
    }
}

/// A header as text.
pub fn header_text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// The pairs of a query.
pub fn pairs(query: &str) -> Vec<(Cow<'_, str>, Cow<'_, str>)> {
    form_urlencoded::parse(query.as_bytes()).take(MAX_PAIRS).collect()
}

/// The pairs of the header `Cookie`.
pub fn cookies(headers: &HeaderMap) -> Vec<(Cow<'static, str>, Cow<'static, str>)> {
    let texts = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = texts.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.take(MAX_PAIRS).map(|(name, value)| (name.to_owned().into(), value.to_owned().into())).collect()
}

/// The mark of something that was too large to be recorded.
fn omitted(field: &str, size: u64) -> Value {
    let member = |name: &str, value| (name.to_owned(), value);
    Value::Map(vec![
        member("reason", Value::Text(format!("{field} too large"))),
        member("omitted", Value::Bool(true)),
        member("originalSize", Value::Number(size.into())),
    ])
}

/// A body of which not every byte was kept, or that grows too large.
#[derive(Debug)]
pub struct TooLarge;

/// A body without its content coding.
pub fn read_body<'b>(body: &'b Body, headers: &HeaderMap) -> Result<Cow<'b, [u8]>, TooLarge> {
    if !body.is_kept() {
        return Err(TooLarge);
    }
    let coding = header_text(headers, "content-encoding").unwrap_or_default().trim().to_ascii_lowercase();
    let inflated = match coding.as_str() {
        "" | "identity" => return Ok(Cow::Borrowed(&body.kept)),
        "gzip" | "x-gzip" => inflate(flate2::read::MultiGzDecoder::new(&body.kept[..])),
        "deflate" => inflate(flate2::read::ZlibDecoder::new(&body.kept[..])),
        _ => None,
    };
    inflated.map(Cow::Owned).ok_or(TooLarge)
}

fn inflate(reader: impl std::io::Read) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(MAX_BODY + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= MAX_BODY).then_some(bytes)
}
