//! JSON as policies need it: the order and the numbers as written, and no name twice in one object.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Parses `text`, which must be one value and nothing else. Nesting is bounded by the parser (128 levels).
    pub(crate) fn parse(text: &str) -> Result<Self, serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let value = AnyJson.deserialize(&mut deserializer)?;
        deserializer.end()?;
        Ok(value)
    }

    /// Names the kind of the value, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }

    /// The value as a list: itself if it is one, otherwise a list of itself.
    pub(crate) fn one_or_many(&self) -> &[Json] {
        match self {
            Self::List(items) => items,
            other => std::slice::from_ref(other),
        }
    }
}

struct AnyJson;

impl<'de> DeserializeSeed<'de> for AnyJson {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AnyJson {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Number(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(Json::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(AnyJson)? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let mut object: Vec<(String, Json)> = Vec::new();
        while let Some(name) = members.next_key::<String>()? {
            if object.iter().any(|(earlier, _)| *earlier == name) {
                return Err(A::Error::custom(format_args!("{name:?} appears twice")));
            }
            object.push((name, members.next_value_seed(AnyJson)?));
        }
        Ok(Json::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_twice_and_trailing_text_are_refused() {
        let error = Json::parse(r#"{"a":{"b":1,"b":2}}"#).unwrap_err().to_string();
        assert!(error.starts_with(r#""b" appears twice at line 1"#), "{error}");
        assert!(Json::parse("{} {}").is_err());
        assert!(Json::parse(&"[".repeat(100_000)).is_err());
    }

    #[test]
    fn values_keep_their_order() {
        let parsed = Json::parse(r#"{"b":[1,true,null,"x",1.5],"a":{}}"#).unwrap();
        let list = vec![
            Json::Number("1".into()),
            Json::Bool(true),
            Json::Null,
            Json::Text("x".into()),
            Json::Number("1.5".into()),
        ];
        assert_eq!(parsed, Json::Object(vec![("b".into(), Json::List(list)), ("a".into(), Json::Object(vec![]))]));
    }
}
