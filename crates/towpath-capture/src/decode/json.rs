//! JSON, read with the model as the guide: one pass builds [`Value`]s directly, and what the model does not know is
//! skipped where it stands.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Number, Value as Json};

use super::{
    DecodeError,
    gather::{self, Gather, Members, Which, member_of},
    scalar,
};
use crate::{
    Value,
    model::{Kind, Member, ShapeId, Structure},
};

/// Reads a JSON text as a shape. `Ok(None)` if it is null.
///
/// # Errors
/// Text that is no JSON, or not what the model says.
pub(super) fn json(
    gather: &Gather<'_>,
    shape: ShapeId,
    members: Which,
    text: &[u8],
) -> Result<Option<Value>, DecodeError> {
    let mut json = serde_json::Deserializer::from_slice(text);
    let seed = Seed { gather, shape, members, depth: 0 };
    let read = seed.deserialize(&mut json).and_then(|value| json.end().map(|()| value));
    read.map_err(|cause| gather.take_fault().unwrap_or_else(|| malformed_json(&cause)))
}

/// Says what is wrong with a JSON text without quoting it, which serde's own words do.
pub(super) fn malformed_json(cause: &serde_json::Error) -> DecodeError {
    let what = match cause.classify() {
        serde_json::error::Category::Eof => "it ends too early",
        serde_json::error::Category::Io => "it cannot be read",
        serde_json::error::Category::Syntax => "syntax error",
        serde_json::error::Category::Data => "a value is not what the model says",
    };
    let reason = format!("{what} at line {} column {}", cause.line(), cause.column());
    DecodeError::Malformed { format: "JSON", reason }
}

/// A value to come, of a known shape.
#[derive(Clone, Copy)]
struct Seed<'g, 'm> {
    gather: &'g Gather<'m>,
    shape: ShapeId,
    members: Which,
    depth: usize,
}

impl<'g, 'm> Seed<'g, 'm> {
    fn of(&self, shape: ShapeId) -> Self {
        Seed { shape, members: Which::All, depth: self.depth + 1, ..*self }
    }

    fn kind(&self) -> &'m Kind {
        &self.gather.shape(self.shape).kind
    }

    fn counted<E: de::Error>(&self) -> Result<(), E> {
        self.gather.count(self.depth).map_err(|fault| self.stop(fault))
    }

    fn stop<E: de::Error>(&self, fault: DecodeError) -> E {
        self.gather.fail(fault);
        E::custom("stopped")
    }

    fn scalar<E: de::Error>(&self, number: Number) -> Result<Option<Value>, E> {
        Ok(match self.kind() {
            Kind::Time => Some(match scalar::seconds_of(&number) {
                Some(time) => Value::Time(time),
                None => Value::Number(number),
            }),
            Kind::Document => Some(Value::Document(Json::Number(number))),
            Kind::Unknown => None,
            Kind::Text | Kind::Integer | Kind::Float | Kind::Bool => Some(Value::Number(number)),
            Kind::Structure(_) | Kind::List { .. } | Kind::Map { .. } | Kind::Blob => {
                return Err(self.stop(DecodeError::Mismatch("a number where the model has none")));
            }
        })
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_, '_> {
    type Value = Option<Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        self.counted()?;
        match self.kind() {
            Kind::Unknown => IgnoredAny::deserialize(deserializer).map(|_| None),
            Kind::Document => {
                let free = Free { gather: self.gather, depth: self.depth };
                deserializer.deserialize_any(free).map(|json| Some(Value::Document(json)))
            }
            _ => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Seed<'_, '_> {
    type Value = Option<Value>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("what the model says")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_none<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Self::Value, E> {
        match self.kind() {
            Kind::Text | Kind::Integer | Kind::Float | Kind::Bool | Kind::Time => Ok(Some(Value::Bool(value))),
            _ => Err(self.stop(DecodeError::Mismatch("a boolean where the model has none"))),
        }
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Self::Value, E> {
        self.scalar(value.into())
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Self::Value, E> {
        self.scalar(value.into())
    }

    fn visit_i128<E: de::Error>(self, value: i128) -> Result<Self::Value, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_u128<E: de::Error>(self, value: u128) -> Result<Self::Value, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Self::Value, E> {
        match Number::from_f64(value) {
            Some(number) => self.scalar(number),
            None if value.is_nan() => self.visit_str("NaN"),
            None => self.visit_str(if value > 0.0 { "Infinity" } else { "-Infinity" }),
        }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        match self.kind() {
            // A number that came as a text stays one: what was sent is what is recorded.
            Kind::Integer | Kind::Float | Kind::Bool => Ok(Some(Value::Text(text.to_owned()))),
            kind => match scalar::value(kind, text) {
                Some(value) => Ok(Some(value)),
                None => Err(self.stop(DecodeError::Mismatch("a text where the model has none"))),
            },
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let Kind::List { element } = self.kind() else {
            return Err(self.stop(DecodeError::Mismatch("a list where the model has none")));
        };
        let mut values = Vec::new();
        while let Some(value) = seq.next_element_seed(self.of(element.shape))? {
            values.push(value.unwrap_or(Value::Null));
        }
        Ok(Some(Value::List(values)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        match self.kind() {
            Kind::Structure(structure) => {
                let mut members = Members::default();
                let mut next = 0;
                while let Some(found) = map.next_key_seed(Key { structure, members: self.members, next })? {
                    let Some(at) = found else {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    };
                    next = at + 1;
                    let member: &Member = &structure.members[at];
                    if let Some(value) = map.next_value_seed(self.of(member.shape))? {
                        members.set(at, member, value);
                    }
                }
                Ok(Some(members.into_value()))
            }
            Kind::Map { value, .. } => {
                let mut entries = Vec::new();
                while let Some(key) = map.next_key::<String>()? {
                    let value = map.next_value_seed(self.of(value.shape))?;
                    entries.push((key, value.unwrap_or(Value::Null)));
                }
                Ok(Some(gather::map(entries)))
            }
            _ => Err(self.stop(DecodeError::Mismatch("an object where the model has none"))),
        }
    }
}

/// The key of a structure: the place of its member, looked for first behind the member that came before it.
struct Key<'m> {
    structure: &'m Structure,
    members: Which,
    next: usize,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl<'de> Visitor<'de> for Key<'_> {
    type Value = Option<usize>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a member's name")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<Self::Value, E> {
        Ok(member_of(self.structure, key, self.members, self.next))
    }
}

/// A value without a model.
#[derive(Clone, Copy)]
struct Free<'g, 'm> {
    gather: &'g Gather<'m>,
    depth: usize,
}

impl Free<'_, '_> {
    fn inner(&self) -> Self {
        Self { depth: self.depth + 1, ..*self }
    }
}

impl<'de> DeserializeSeed<'de> for Free<'_, '_> {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        self.gather.count(self.depth).map_err(|fault| {
            self.gather.fail(fault);
            de::Error::custom("stopped")
        })?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Free<'_, '_> {
    type Value = Json;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a document")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_none<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element_seed(self.inner())? {
            values.push(value);
        }
        Ok(Json::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut entries = serde_json::Map::new();
        while let Some(key) = map.next_key::<String>()? {
            entries.insert(key, map.next_value_seed(self.inner())?);
        }
        Ok(Json::Object(entries))
    }
}
