//! A JSON object read into a structure, and nothing but an object.
//!
//! Derived structures are read from arrays too, member by member in the order of their declaration: `[["a"]]` would
//! pass for `{"names":["a"]}`. That order is no part of any interface, so what arrives from outside is read through
//! [`Object`], which takes objects alone.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::{Deserialize, Deserializer};

/// A `T` that was a JSON object. Only the outermost brackets are meant: structures within `T` are wrapped by themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Visitor(PhantomData)).map(Self)
    }
}

struct Visitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> serde::de::Visitor<'de> for Visitor<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Entry {
        id: String,
    }

    #[derive(Debug, Deserialize)]
    struct Batch<'a> {
        #[serde(borrow)]
        name: &'a str,
        entries: Vec<Object<Entry>>,
        #[serde(borrow)]
        rest: Option<&'a RawValue>,
    }

    fn read(json: &str) -> Result<Object<Batch<'_>>, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn objects_are_read_and_what_they_borrow_is_the_text() {
        let Object(batch) = read(r#"{"name":"a","entries":[{"id":"1"}],"rest":{"x": [1, 2]},"more":null}"#).unwrap();
        assert_eq!(batch.name, "a");
        assert_eq!(batch.entries, [Object(Entry { id: "1".to_owned() })]);
        assert_eq!(batch.rest.unwrap().get(), r#"{"x": [1, 2]}"#);
    }

    #[test]
    fn arrays_are_no_objects_at_any_depth() {
        for json in [r#"["a",[{"id":"1"}],null]"#, r#"{"name":"a","entries":[["1"]],"rest":null}"#, "[]", "1", "null"] {
            let error = read(json).unwrap_err();
            assert!(error.to_string().contains("expected a JSON object"), "{json}: {error}");
        }
    }
}
