//! YAML texts as the JSON values that they stand for.
//!
//! OpenAPI documents are JSON that people like to write as YAML. Scalars are read by YAML 1.2's core schema, keys are
//! texts whatever they look like (`200:`), and aliases are followed as far as the bounds below allow, so that a small
//! text cannot become a large value.

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Number, Value as Json};

/// The deepest nesting.
const MAX_DEPTH: usize = 100;
/// The most values in a document, those behind aliases counted wherever they are used.
const MAX_VALUES: usize = 4_000_000;

/// Why a text is no YAML that can be read.
#[derive(Debug, thiserror::Error)]
pub enum YamlError {
    /// The text breaks YAML's grammar; the message says where.
    #[error("{0}")]
    Grammar(String),
    /// A key that is no scalar, or stands twice in one mapping.
    #[error("line {line}: {what}")]
    Key {
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
    /// An alias of nothing that was said before, or of what it stands in.
    #[error("line {0}: an alias of nothing that was said before")]
    Alias(usize),
    /// Too deep or too large.
    #[error("it nests deeper than {MAX_DEPTH} levels or holds more than {MAX_VALUES} values")]
    Bounds,
    /// Nothing, or several documents.
    #[error("it holds {0} documents in place of one")]
    Documents(usize),
}

/// A finished value, with what it adds to its surroundings.
#[derive(Clone)]
struct Built {
    json: Json,
    values: usize,
    depth: usize,
}

/// A collection that is still open.
struct Open {
    anchor: usize,
    values: usize,
    depth: usize,
    content: Content,
}

enum Content {
    List(Vec<Json>),
    Map { members: Map<String, Json>, key: Option<String> },
}

/// Reads one document.
///
/// # Errors
/// See [`YamlError`].
pub fn read(text: &str) -> Result<Json, YamlError> {
    let mut reader = Reader::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| YamlError::Grammar(error.to_string()))?;
        reader.take(event, span.start.line())?;
    }
    match (reader.documents, reader.root) {
        (1, Some(root)) => Ok(root),
        (count, _) => Err(YamlError::Documents(count)),
    }
}

#[derive(Default)]
struct Reader {
    open: Vec<Open>,
    root: Option<Json>,
    documents: usize,
    values: usize,
    anchors: HashMap<usize, Built>,
}

impl Reader {
    fn take(&mut self, event: Event<'_>, line: usize) -> Result<(), YamlError> {
        match event {
            Event::DocumentStart(_) => self.documents += 1,
            Event::Scalar(text, style, anchor, tag) => {
                if let Some(key) = self.awaited_key() {
                    return set_key(key, text.into_owned(), line);
                }
                let is_text = tag.is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str");
                let plain = style == ScalarStyle::Plain && !is_text;
                let json = if plain { scalar(&text) } else { Json::String(text.into_owned()) };
                self.put(Built { json, values: 1, depth: 0 }, anchor)?;
            }
            Event::SequenceStart(anchor, _) => self.begin(anchor, Content::List(Vec::new()), line)?,
            Event::MappingStart(anchor, _) => {
                self.begin(anchor, Content::Map { members: Map::new(), key: None }, line)?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(Open { anchor, values, depth, content }) = self.open.pop() {
                    let json = match content {
                        Content::List(items) => Json::Array(items),
                        Content::Map { members, .. } => Json::Object(members),
                    };
                    self.put(Built { json, values: values + 1, depth: depth + 1 }, anchor)?;
                }
            }
            Event::Alias(anchor) => {
                if self.awaited_key().is_some() {
                    return Err(YamlError::Key { line, what: "a key is an alias".to_owned() });
                }
                let built = self.anchors.get(&anchor).ok_or(YamlError::Alias(line))?;
                self.values += built.values;
                if self.values > MAX_VALUES {
                    return Err(YamlError::Bounds);
                }
                let built = built.clone();
                self.put(built, 0)?;
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Ok(())
    }

    /// The place of the next key, where a key comes next.
    fn awaited_key(&mut self) -> Option<(&Map<String, Json>, &mut Option<String>)> {
        match &mut self.open.last_mut()?.content {
            Content::Map { members, key } if key.is_none() => Some((members, key)),
            _ => None,
        }
    }

    fn begin(&mut self, anchor: usize, content: Content, line: usize) -> Result<(), YamlError> {
        if self.awaited_key().is_some() {
            return Err(YamlError::Key { line, what: "a key is a list or a mapping".to_owned() });
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(YamlError::Bounds);
        }
        self.open.push(Open { anchor, values: 0, depth: 0, content });
        Ok(())
    }

    /// Puts a finished value where it belongs.
    fn put(&mut self, built: Built, anchor: usize) -> Result<(), YamlError> {
        self.values += 1;
        if anchor != 0 {
            self.values += built.values;
        }
        // What stands behind an alias brings its depth with it.
        if self.values > MAX_VALUES || self.open.len() + built.depth > MAX_DEPTH {
            return Err(YamlError::Bounds);
        }
        if anchor != 0 {
            self.anchors.insert(anchor, built.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(built.json);
            return Ok(());
        };
        open.values += built.values;
        open.depth = open.depth.max(built.depth);
        match &mut open.content {
            Content::List(items) => items.push(built.json),
            Content::Map { members, key } => {
                members.extend(key.take().map(|key| (key, built.json)));
            }
        }
        Ok(())
    }
}

fn set_key(
    (members, key): (&Map<String, Json>, &mut Option<String>),
    text: String,
    line: usize,
) -> Result<(), YamlError> {
    if members.contains_key(&text) {
        return Err(YamlError::Key { line, what: format!("the key {text:?} stands twice") });
    }
    *key = Some(text);
    Ok(())
}

/// A plain scalar by the core schema.
fn scalar(text: &str) -> Json {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Json::Null,
        "true" | "True" | "TRUE" => return Json::Bool(true),
        "false" | "False" | "FALSE" => return Json::Bool(false),
        _ => {}
    }
    number(text).map_or_else(|| Json::String(text.to_owned()), Json::Number)
}

fn number(text: &str) -> Option<Number> {
    if let Some(digits) = text.strip_prefix("0x") {
        return u64::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+')).map(Number::from);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return u64::from_str_radix(digits, 8).ok().filter(|_| !digits.starts_with('+')).map(Number::from);
    }
    // Infinities, NaN and words that Rust reads as numbers have no JSON number and stay texts.
    if !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')) {
        return None;
    }
    let unsigned = text.strip_prefix('+').unwrap_or(text);
    if let Ok(integer) = unsigned.parse::<i64>() {
        return Some(Number::from(integer));
    }
    if let Ok(integer) = unsigned.parse::<u64>() {
        return Some(Number::from(integer));
    }
    Number::from_f64(text.parse().ok()?)
}
