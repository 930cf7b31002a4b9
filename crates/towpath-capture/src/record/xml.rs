//! XML as the JSON that records print of it: elements become members, repeated ones lists.
//!
//! Attributes, `xmlns` among them, are members too; an element without content is the empty text; one with attributes
//! and text has the text as `content`. Whole numbers and truth values are printed as such.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::Value;

/// The deepest element that is read.
const MAX_DEPTH: usize = 48;
/// The most elements that are read.
const MAX_ELEMENTS: usize = 20_000;

/// An element that is being read.
struct Open {
    name: String,
    members: Vec<(String, Value)>,
    text: String,
}

/// The root element's name and what it holds. `None` for what is no XML, or exceeds the bounds.
pub(crate) fn read(bytes: &[u8]) -> Option<(String, Value)> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut reader = Reader::from_str(text);
    let mut stack: Vec<Open> = Vec::new();
    let mut elements = 0;
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => {
                elements += 1;
                if stack.len() >= MAX_DEPTH || elements > MAX_ELEMENTS {
                    return None;
                }
                stack.push(open(&start)?);
            }
            Event::Empty(start) => {
                elements += 1;
                if elements > MAX_ELEMENTS {
                    return None;
                }
                if let Some(root) = close(open(&start)?, &mut stack) {
                    return Some(root);
                }
            }
            Event::End(_) => {
                if let Some(root) = close(stack.pop()?, &mut stack) {
                    return Some(root);
                }
            }
            Event::Text(text) => {
                if let Some(open) = stack.last_mut() {
                    open.text.push_str(&text.decode().ok()?);
                }
            }
            Event::CData(text) => {
                if let Some(open) = stack.last_mut() {
                    open.text.push_str(&text.decode().ok()?);
                }
            }
            // Only the five entities of XML and numbers stand for anything: others are nobody's.
            Event::GeneralRef(name) => {
                let open = stack.last_mut()?;
                match name.resolve_char_ref().ok()? {
                    Some(letter) => open.text.push(letter),
                    None => open.text.push(match &*name.decode().ok()? {
                        "lt" => '<',
                        "gt" => '>',
                        "amp" => '&',
                        "apos" => '\'',
                        "quot" => '"',
                        _ => return None,
                    }),
                }
            }
            Event::Eof => return None,
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) | Event::DocType(_) => {}
        }
    }
}

fn open(start: &BytesStart<'_>) -> Option<Open> {
    let mut members = Vec::new();
    for attribute in start.attributes() {
        let attribute = attribute.ok()?;
        let name = local(attribute.key.as_ref());
        let value = std::str::from_utf8(&attribute.value).ok()?;
        members.push((name.to_owned(), Value::Text(value.to_owned())));
    }
    Some(Open { name: local(start.name().as_ref()).to_owned(), members, text: String::new() })
}

/// A name without the prefix of its namespace.
fn local(name: &[u8]) -> &str {
    let name = std::str::from_utf8(name).unwrap_or_default();
    name.rsplit(':').next().unwrap_or_default()
}

/// Puts an element that has ended into its parent, or gives it if it is the root.
fn close(element: Open, stack: &mut [Open]) -> Option<(String, Value)> {
    let Open { name, mut members, text } = element;
    let text = text.trim();
    let value = if members.is_empty() {
        scalar(text)
    } else {
        if !text.is_empty() {
            members.push(("content".to_owned(), scalar(text)));
        }
        Value::Map(members)
    };
    let Some(parent) = stack.last_mut() else { return Some((name, value)) };
    match parent.members.iter_mut().find(|(other, _)| *other == name) {
        Some((_, Value::List(items))) => items.push(value),
        Some((_, first)) => {
            let before = std::mem::replace(first, Value::Null);
            *first = Value::List(vec![before, value]);
        }
        None => parent.members.push((name, value)),
    }
    None
}

fn scalar(text: &str) -> Value {
    match text {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        // `007` and `+1` are texts: a number of the same value would not be what was sent.
        _ => match text.parse::<i64>() {
            Ok(number) if number.to_string() == text => Value::Number(number.into()),
            _ => Value::Text(text.to_owned()),
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    fn map(entries: Vec<(&str, Value)>) -> Value {
        Value::Map(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }

    #[test]
    fn elements_become_members_and_repeated_ones_lists() {
        let xml = br#"<?xml version="1.0"?><Tagging xmlns="urn:x"><TagSet><Tag><Key>a&amp;b</Key><Value>1</Value></Tag>
            <Tag><Key>c</Key><Value/></Tag></TagSet></Tagging>"#;
        let (root, value) = read(xml).unwrap();
        let tag = |key, value| map(vec![("Key", text(key)), ("Value", value)]);
        let tags = Value::List(vec![tag("a&b", Value::Number(1.into())), tag("c", text(""))]);
        assert_eq!(root, "Tagging");
        assert_eq!(value, map(vec![("xmlns", text("urn:x")), ("TagSet", map(vec![("Tag", tags)]))]));
    }

    #[test]
    fn entities_of_others_and_deep_elements_are_not_read() {
        assert!(read(b"<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>").is_none());
        assert!(read("<a>".repeat(100).as_bytes()).is_none());
        let deep = "<a>".repeat(100) + &"</a>".repeat(100);
        assert!(read(deep.as_bytes()).is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn no_text_makes_reading_panic(text in "[<>/a&;#x=\" \\PC]{0,40}") {
            let _ = read(text.as_bytes());
        }
    }
}
