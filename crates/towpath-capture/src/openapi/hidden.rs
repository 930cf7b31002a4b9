//! What of a body must not be recorded, and what stands in its place.
//!
//! A member is hidden if its schema says so (`writeOnly`, or the format `password`), if its name is one that secrets
//! have, or if the mapping says so. Where a value fits several schemas (`allOf`, `oneOf`, ...), one that hides is enough.

use std::borrow::Cow;
use std::cell::RefCell;

use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use super::document::Document;
use super::mapping::Mapping;
use crate::Value;

/// What stands in place of a hidden value.
pub const HIDDEN: &str = "HIDDEN_DUE_TO_SECURITY_REASONS";
/// Schemas that are looked at for one value. One that fits more of them is hidden.
const MAX_SCHEMAS: usize = 256;
/// Names of members that hold secrets, small letters and digits alone. Also those that end in one of them.
const SECRET_NAMES: [&str; 14] = [
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "secret",
    "secretkey",
    "secretaccesskey",
    "privatekey",
    "apikey",
    "accesstoken",
    "refreshtoken",
    "idtoken",
    "authorization",
    "sessiontoken",
];
/// Names that mean a secret only if there is nothing before them.
const SECRET_WORDS: [&str; 5] = ["token", "pin", "otp", "cvv", "cvc"];
/// Keywords whose schemas hold for the same value.
const SAME: [&str; 6] = ["allOf", "anyOf", "oneOf", "then", "else", "if"];

/// The shortest text that is looked for elsewhere once it was hidden, in bytes: shorter ones stand in other words.
const MIN_ECHO: usize = 5;
/// The most texts that are looked for elsewhere.
const MAX_ECHOES: usize = 256;

/// Takes out of the values of one call what must not be recorded, and remembers it: answers repeat what was asked.
#[derive(Debug)]
pub struct Hider<'a> {
    document: &'a Document,
    mapping: &'a Mapping,
    // Texts that were taken out.
    taken: RefCell<Vec<String>>,
}

/// What becomes of a member.
enum Fate {
    Kept,
    Hidden,
    Dropped,
    Hashed,
}

impl<'a> Hider<'a> {
    /// By the schemas of a document and the lists of a mapping.
    pub const fn new(document: &'a Document, mapping: &'a Mapping) -> Self {
        Self { document, mapping, taken: RefCell::new(Vec::new()) }
    }

    /// Takes a text as secret wherever it stands.
    pub fn take(&self, text: &str) {
        let mut taken = self.taken.borrow_mut();
        if text.len() >= MIN_ECHO && taken.len() < MAX_ECHOES && !taken.iter().any(|known| known == text) {
            taken.push(text.to_owned());
        }
    }

    /// The text with what was hidden elsewhere taken out.
    pub fn text(&self, text: String) -> String {
        let taken = self.taken.borrow();
        taken.iter().fold(text, |text, secret| {
            if text.contains(secret.as_str()) { text.replace(secret.as_str(), HIDDEN) } else { text }
        })
    }

    /// The value with what was hidden elsewhere taken out of its texts.
    pub fn echoes(&self, value: Value) -> Value {
        match value {
            Value::Text(text) => Value::Text(self.text(text)),
            Value::List(items) => Value::List(items.into_iter().map(|item| self.echoes(item)).collect()),
            Value::Map(members) => {
                Value::Map(members.into_iter().map(|(name, value)| (name, self.echoes(value))).collect())
            }
            other => other,
        }
    }

    fn take_all(&self, value: &Value) {
        match value {
            Value::Text(text) => self.take(text),
            Value::List(items) => items.iter().for_each(|item| self.take_all(item)),
            Value::Map(members) => members.iter().for_each(|(_, value)| self.take_all(value)),
            _ => {}
        }
    }

    /// The value as it may be recorded, given the schemas that are about it. `path` are the names that lead to it;
    /// an item of a list has the path of the list. `None`: it is left out.
    pub fn value<'s>(&'s self, value: Value, about: &[&'s Json], path: &mut Vec<String>) -> Option<Value> {
        let schemas = self.gather(about);
        let hides = schemas.as_ref().is_none_or(|schemas| schemas.iter().any(|schema| hides(schema)));
        let fate = self.fate(path, hides);
        if !matches!(fate, Fate::Kept) {
            self.take_all(&value);
        }
        match fate {
            Fate::Kept => Some(self.inside(value, &schemas.unwrap_or_default(), path)),
            Fate::Hidden => Some(Value::Text(HIDDEN.to_owned())),
            Fate::Dropped => None,
            Fate::Hashed => Some(Value::Text(hash_of(&value))),
        }
    }

    fn inside<'s>(&'s self, value: Value, schemas: &[&'s Json], path: &mut Vec<String>) -> Value {
        match value {
            Value::List(items) => {
                let items = items.into_iter().enumerate().filter_map(|(index, item)| {
                    let inner: Vec<_> = schemas.iter().flat_map(|schema| of_item(schema, index)).collect();
                    self.value(item, &inner, path)
                });
                Value::List(items.collect())
            }
            Value::Map(members) => {
                let members = members.into_iter().filter_map(|(name, value)| {
                    let inner: Vec<_> = schemas.iter().flat_map(|schema| of_member(schema, &name)).collect();
                    path.push(name.clone());
                    let value = self.value(value, &inner, path);
                    path.pop();
                    value.map(|value| (name, value))
                });
                Value::Map(members.collect())
            }
            other => other,
        }
    }

    fn fate(&self, path: &[String], hides: bool) -> Fate {
        let listed = |list: &[String]| list.iter().any(|entry| is_tail(entry, path));
        if listed(&self.mapping.drop) {
            return Fate::Dropped;
        }
        if listed(&self.mapping.hash) {
            return Fate::Hashed;
        }
        if listed(&self.mapping.hide) {
            return Fate::Hidden;
        }
        let secret = hides || path.last().is_some_and(|name| names_a_secret(name));
        if secret && !listed(&self.mapping.show) { Fate::Hidden } else { Fate::Kept }
    }

    /// The schemas and all that hold for the same value; `None` if they are too many.
    pub(super) fn gather<'s>(&'s self, about: &[&'s Json]) -> Option<Vec<&'s Json>> {
        let mut left = about.to_vec();
        let mut found: Vec<&Json> = Vec::new();
        while let Some(schema) = left.pop() {
            if found.iter().any(|known| std::ptr::eq(*known, schema)) {
                continue;
            }
            if found.len() >= MAX_SCHEMAS {
                return None;
            }
            found.push(schema);
            let target = self.document.resolve(schema);
            if !std::ptr::eq(target, schema) {
                left.push(target);
            }
            for keyword in SAME {
                match schema.get(keyword) {
                    Some(Json::Array(several)) => left.extend(several),
                    Some(one) => left.push(one),
                    None => {}
                }
            }
            let dependent = schema.get("dependentSchemas").and_then(Json::as_object);
            left.extend(dependent.into_iter().flat_map(|schemas| schemas.values()));
        }
        Some(found)
    }
}

fn hides(schema: &Json) -> bool {
    let is_true = |key: &str| schema.get(key).and_then(Json::as_bool) == Some(true);
    is_true("writeOnly") || is_true("x-sensitive") || schema.get("format").and_then(Json::as_str) == Some("password")
}

/// The schemas of a member, within one schema of its object.
fn of_member<'a>(schema: &'a Json, name: &str) -> Vec<&'a Json> {
    if let Some(own) = schema.get("properties").and_then(|members| members.get(name)) {
        return vec![own];
    }
    // Patterns are not compared: all of them are taken to fit, which hides rather too much.
    let patterns = schema.get("patternProperties").and_then(Json::as_object);
    let mut found: Vec<_> = patterns.into_iter().flat_map(|map| map.values()).collect();
    found.extend(schema.get("additionalProperties").filter(|schema| schema.is_object()));
    found
}

/// The schemas of an item, within one schema of its list.
fn of_item(schema: &Json, index: usize) -> Vec<&Json> {
    let first = schema.get("prefixItems").and_then(|items| items.get(index));
    first.into_iter().chain(schema.get("items").filter(|items| items.is_object())).collect()
}

/// True if a dotted path is the end of another.
fn is_tail(entry: &str, path: &[String]) -> bool {
    let mut path = path.iter().rev();
    entry.rsplit('.').all(|name| path.next().is_some_and(|own| own == name))
}

/// True for names such as `password`, `client_secret`, `X-Api-Key`.
pub fn names_a_secret(name: &str) -> bool {
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    SECRET_NAMES.iter().any(|secret| plain.ends_with(secret)) || SECRET_WORDS.contains(&plain.as_str())
}

/// What stands for a value of which only a hash is recorded.
fn hash_of(value: &Value) -> String {
    let text = match value {
        Value::Text(text) => Cow::Borrowed(text.as_str()),
        other => {
            let mut text = String::new();
            crate::json::write(other, &mut text);
            Cow::Owned(text)
        }
    };
    fingerprint(text.as_bytes())
}

/// The first half of a SHA-256, as text.
pub fn fingerprint(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    let hex: String = digest[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}
