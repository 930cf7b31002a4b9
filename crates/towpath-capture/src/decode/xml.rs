//! XML: bodies of REST services and answers of the query protocol.
//!
//! A document type declaration is refused, so there are no entities but XML's own five and character references, and
//! nothing expands.

use quick_xml::{
    Reader, XmlVersion,
    events::{BytesStart, Event},
};

use super::{
    DecodeError,
    gather::{self, Gather, Members},
    limits, scalar,
};
use crate::{
    Value,
    model::{Element as Part, Kind, Member, Place, ShapeId, Structure},
};

/// An element.
#[derive(Debug, Default)]
pub(super) struct Element {
    /// Its name without prefix.
    pub(super) name: String,
    /// Its attributes, names as they stand.
    attributes: Vec<(String, String)>,
    /// Its own text.
    pub(super) text: String,
    /// The elements in it.
    pub(super) children: Vec<Element>,
}

impl Element {
    /// The first element in it of this name.
    pub(super) fn child(&self, name: &str) -> Option<&Self> {
        self.named(name).next()
    }

    fn named<'e, 'n>(&'e self, name: &'n str) -> impl Iterator<Item = &'e Self> + use<'e, 'n> {
        self.children.iter().filter(move |child| child.name == *name)
    }

    fn attribute(&self, name: &str) -> Option<&str> {
        let local = |name: &str| name.rsplit_once(':').map_or(name.to_owned(), |(_, local)| local.to_owned());
        let exact = self.attributes.iter().find(|(key, _)| key == name);
        exact
            .or_else(|| self.attributes.iter().find(|(key, _)| local(key) == local(name)))
            .map(|(_, value)| value.as_str())
    }
}

/// Reads a document; gives its root.
///
/// # Errors
/// Text that is no XML, has a document type, or exceeds a bound.
pub(super) fn parse(text: &[u8]) -> Result<Element, DecodeError> {
    let broken = |reason: &'static str| DecodeError::Malformed { format: "XML", reason: reason.to_owned() };
    let text = std::str::from_utf8(text).map_err(|_| broken("not UTF-8"))?;
    let mut reader = Reader::from_str(text);
    let mut open: Vec<Element> = Vec::new();
    let mut root: Option<Element> = None;
    let mut count = 0usize;
    loop {
        match reader.read_event().map_err(|_| broken("not well formed"))? {
            Event::Start(start) => {
                count += 1;
                if open.len() >= limits::DEPTH {
                    return Err(DecodeError::Bound("the depth of values"));
                }
                if count > limits::VALUES {
                    return Err(DecodeError::Bound("the number of values"));
                }
                open.push(element(&start)?);
            }
            Event::Empty(start) => {
                count += 1;
                if count > limits::VALUES {
                    return Err(DecodeError::Bound("the number of values"));
                }
                close(element(&start)?, &mut open, &mut root)?;
            }
            Event::End(_) => {
                let ended = open.pop().ok_or_else(|| broken("an end without a start"))?;
                close(ended, &mut open, &mut root)?;
            }
            Event::Text(text) => {
                let text = text.xml_content(XmlVersion::Implicit1_0).map_err(|_| broken("not UTF-8"))?;
                if let Some(element) = open.last_mut() {
                    element.text.push_str(&text);
                }
            }
            Event::CData(text) => {
                let text = text.decode().map_err(|_| broken("not UTF-8"))?;
                if let Some(element) = open.last_mut() {
                    element.text.push_str(&text);
                }
            }
            Event::GeneralRef(reference) => {
                let character = match reference.resolve_char_ref().map_err(|_| broken("not a character"))? {
                    Some(character) => character,
                    None => predefined(&reference).ok_or_else(|| broken("an entity that XML does not have"))?,
                };
                if let Some(element) = open.last_mut() {
                    element.text.push(character);
                }
            }
            Event::DocType(_) => return Err(broken("a document type, which is refused")),
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => (),
            Event::Eof => break,
        }
    }
    match (open.is_empty(), root) {
        (true, Some(root)) => Ok(root),
        _ => Err(broken("it ends too early")),
    }
}

fn predefined(name: &[u8]) -> Option<char> {
    Some(match name {
        b"lt" => '<',
        b"gt" => '>',
        b"amp" => '&',
        b"quot" => '"',
        b"apos" => '\'',
        _ => return None,
    })
}

fn element(start: &BytesStart<'_>) -> Result<Element, DecodeError> {
    let broken = |reason: &'static str| DecodeError::Malformed { format: "XML", reason: reason.to_owned() };
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| broken("not UTF-8"));
    let mut attributes = Vec::new();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|_| broken("an attribute is not well formed"))?;
        let value = attribute
            .normalized_value(XmlVersion::Implicit1_0)
            .map_err(|_| broken("an attribute is not well formed"))?;
        attributes.push((text(attribute.key.as_ref())?, value.into_owned()));
    }
    Ok(Element { name: text(start.local_name().as_ref())?, attributes, ..Element::default() })
}

fn close(ended: Element, open: &mut [Element], root: &mut Option<Element>) -> Result<(), DecodeError> {
    match open.last_mut() {
        Some(parent) => parent.children.push(ended),
        None if root.is_some() => {
            return Err(DecodeError::Malformed { format: "XML", reason: "more than one root".into() });
        }
        None => *root = Some(ended),
    }
    Ok(())
}

/// Reads what is in an element as the members of a structure.
///
/// # Errors
/// More values than there may be.
pub(super) fn structure(
    gather: &Gather<'_>,
    structure: &Structure,
    element: &Element,
    depth: usize,
    only_body: bool,
) -> Result<Value, DecodeError> {
    let mut members = Members::default();
    for (at, member) in structure.members.iter().enumerate() {
        if member.streaming || (only_body && member.place != Place::Body) {
            continue;
        }
        if let Some(value) = self::member(gather, member, element, depth + 1)? {
            members.set(at, member, value);
        }
    }
    Ok(members.into_value())
}

fn member(gather: &Gather<'_>, member: &Member, parent: &Element, depth: usize) -> Result<Option<Value>, DecodeError> {
    let kind = &gather.shape(member.shape).kind;
    if member.attribute {
        gather.count(depth)?;
        return Ok(parent.attribute(&member.wire).and_then(|text| scalar::value(kind, text)));
    }
    if member.flattened {
        match kind {
            Kind::List { element } => {
                // Of a flattened list the elements stand for the list, with their own name if they have one.
                let names = [element.wire.as_deref(), Some(&*member.wire)];
                let found = names.into_iter().flatten().find(|name| parent.child(name).is_some());
                let Some(name) = found else { return Ok(None) };
                gather.count(depth)?;
                return list(gather, element, parent.named(name), depth).map(Some);
            }
            Kind::Map { key, value } if parent.child(&member.wire).is_some() => {
                gather.count(depth)?;
                return map(gather, key, value, parent.named(&member.wire), depth).map(Some);
            }
            Kind::Map { .. } => return Ok(None),
            _ => (),
        }
    }
    match parent.child(&member.wire).or_else(|| parent.child(&member.name)) {
        Some(element) => value(gather, member.shape, element, depth),
        None => Ok(None),
    }
}

/// Reads an element as a shape. `None` for what is not understood.
pub(super) fn value(
    gather: &Gather<'_>,
    shape: ShapeId,
    element: &Element,
    depth: usize,
) -> Result<Option<Value>, DecodeError> {
    gather.count(depth)?;
    match &gather.shape(shape).kind {
        Kind::Structure(of) => structure(gather, of, element, depth, false).map(Some),
        Kind::List { element: part } => list(gather, part, element.children.iter(), depth).map(Some),
        Kind::Map { key, value } => map(gather, key, value, element.named("entry"), depth).map(Some),
        // An empty element says nothing, except of a text.
        Kind::Integer | Kind::Float | Kind::Bool | Kind::Time if element.text.trim().is_empty() => Ok(None),
        kind @ (Kind::Text | Kind::Blob | Kind::Document) => Ok(scalar::value(kind, &element.text)),
        kind => Ok(scalar::value(kind, element.text.trim())),
    }
}

fn list<'e>(
    gather: &Gather<'_>,
    part: &Part,
    elements: impl Iterator<Item = &'e Element>,
    depth: usize,
) -> Result<Value, DecodeError> {
    let mut values = Vec::new();
    for element in elements {
        let read = value(gather, part.shape, element, depth + 1)?;
        values.push(read.unwrap_or(Value::Null));
    }
    Ok(Value::List(values))
}

fn map<'e>(
    gather: &Gather<'_>,
    key: &Part,
    part: &Part,
    entries: impl Iterator<Item = &'e Element>,
    depth: usize,
) -> Result<Value, DecodeError> {
    let mut read = Vec::new();
    for entry in entries {
        let Some(name) = entry.child(key.wire.as_deref().unwrap_or("key")) else { continue };
        let found = match entry.child(part.wire.as_deref().unwrap_or("value")) {
            Some(element) => value(gather, part.shape, element, depth + 1)?,
            None => None,
        };
        read.push((name.text.clone(), found.unwrap_or(Value::Null)));
    }
    Ok(gather::map(read))
}
