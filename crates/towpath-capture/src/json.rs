//! JSON without a model as [`Value`]s: the order of members is kept, their names are nobody's to change.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

use crate::{Field, Value};

/// Reads a JSON text. Objects become [`Value::Map`]s. Nesting is bounded by serde_json, at 128 levels.
///
/// # Errors
/// What serde_json says of a text that is no JSON.
pub fn read(text: &[u8]) -> Result<Value, serde_json::Error> {
    serde_json::from_slice::<Ordered>(text).map(|Ordered(value)| value)
}

/// Reads a JSON object; `None` for anything else.
pub fn read_object(text: &[u8]) -> Option<Value> {
    read(text).ok().filter(|value| matches!(value, Value::Map(_)))
}

/// The same with the keys of all objects as names of members.
pub fn as_members(value: Value) -> Value {
    match value {
        Value::Map(entries) => Value::Structure(
            entries
                .into_iter()
                .map(|(name, value)| Field { name: name.into(), value: as_members(value), sensitive: false })
                .collect(),
        ),
        Value::List(items) => Value::List(items.into_iter().map(as_members).collect()),
        other => other,
    }
}

/// Writes a value as JSON. Times and blobs, which no JSON holds, are written as null.
pub fn write(value: &Value, out: &mut String) {
    match value {
        Value::Null | Value::Time(_) | Value::Blob(_) => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => out.push_str(&number.to_string()),
        Value::Text(text) => quote(text, out),
        Value::Document(document) => out.push_str(&document.to_string()),
        Value::List(items) => list('[', ']', items, out, write),
        Value::Map(members) => list('{', '}', members, out, |(name, value), out| member(name, value, out)),
        Value::Structure(fields) => {
            list('{', '}', fields, out, |field, out| member(&field.name, &field.value, out));
        }
    }
}

fn list<T>(open: char, close: char, items: &[T], out: &mut String, write: impl Fn(&T, &mut String)) {
    out.push(open);
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(item, out);
    }
    out.push(close);
}

fn member(name: &str, value: &Value, out: &mut String) {
    quote(name, out);
    out.push(':');
    write(value, out);
}

fn quote(text: &str, out: &mut String) {
    out.push_str(&serde_json::to_string(text).expect("a text is always written"));
}

struct Ordered(Value);

impl<'de> Deserialize<'de> for Ordered {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Build.deserialize(deserializer).map(Self)
    }
}

struct Build;

impl<'de> DeserializeSeed<'de> for Build {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Build {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Value, E> {
        Ok(Value::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Build)? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Vec::new();
        while let Some(name) = members.next_key::<String>()? {
            map.push((name, members.next_value_seed(Build)?));
        }
        Ok(Value::Map(map))
    }
}
