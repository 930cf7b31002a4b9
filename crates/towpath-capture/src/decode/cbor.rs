//! CBOR, read with the model as the guide.

use bytes::Bytes;
use ciborium::Value as Cbor;
use serde_json::{Number, Value as Json};

use super::{
    DecodeError,
    gather::{self, Gather, Members, Which, member_of},
    limits, scalar,
};
use crate::{
    Value,
    model::{Kind, ShapeId},
};

/// Reads CBOR as a shape. `Ok(None)` if it is null.
///
/// # Errors
/// Bytes that are no CBOR, or not what the model says.
pub(super) fn cbor(gather: &Gather<'_>, shape: ShapeId, bytes: &[u8]) -> Result<Option<Value>, DecodeError> {
    decode(gather, shape, tree(bytes)?, 0)
}

/// Reads CBOR without a model.
pub(super) fn tree(bytes: &[u8]) -> Result<Cbor, DecodeError> {
    let broken = |reason: &str| DecodeError::Malformed { format: "CBOR", reason: reason.to_owned() };
    count_items(bytes)?;
    ciborium::de::from_reader_with_recursion_limit(bytes, limits::DEPTH).map_err(|cause| match cause {
        ciborium::de::Error::Io(_) => broken("it ends too early"),
        ciborium::de::Error::RecursionLimitExceeded => DecodeError::Bound("the depth of values"),
        _ => broken("not well formed"),
    })
}

/// Refuses more items than there may be values, before any of them takes room: an item of one byte becomes a value of
/// forty. Items lie one behind the other whatever they are nested in, so this is a walk, not a parse.
fn count_items(mut bytes: &[u8]) -> Result<(), DecodeError> {
    let cut = || DecodeError::Malformed { format: "CBOR", reason: "it ends too early".into() };
    let mut items = 0usize;
    while let Some((initial, rest)) = bytes.split_first() {
        items += 1;
        // A map's entry is two items, a tag one more.
        if items > limits::VALUES * 3 {
            return Err(DecodeError::Bound("the number of values"));
        }
        let size = match initial & 0x1f {
            24 => 1,
            25 => 2,
            26 => 4,
            27 => 8,
            _ => 0,
        };
        let (argument, rest) = rest.split_at_checked(size).ok_or_else(cut)?;
        let long = argument.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
        let number = if size == 0 { u64::from(initial & 0x1f) } else { long };
        let is_text_or_bytes = matches!(initial >> 5, 2 | 3);
        let content = match is_text_or_bytes && initial & 0x1f != 31 {
            true => usize::try_from(number).map_err(|_| cut())?,
            false => 0,
        };
        bytes = rest.get(content..).ok_or_else(cut)?;
    }
    Ok(())
}

fn decode(gather: &Gather<'_>, shape: ShapeId, cbor: Cbor, depth: usize) -> Result<Option<Value>, DecodeError> {
    gather.count(depth)?;
    let kind = &gather.shape(shape).kind;
    let cbor = match cbor {
        // A tag says nothing that the model does not.
        Cbor::Tag(_, inner) => return decode(gather, shape, *inner, depth + 1),
        Cbor::Null => return Ok(None),
        cbor => cbor,
    };
    Ok(Some(match (kind, cbor) {
        (Kind::Unknown, _) => return Ok(None),
        (Kind::Document, cbor) => Value::Document(document(gather, cbor, depth)?),
        (Kind::Structure(structure), Cbor::Map(entries)) => {
            let mut members = Members::default();
            let mut next = 0;
            for (key, value) in entries {
                let Some(at) = key.as_text().and_then(|key| member_of(structure, key, Which::All, next)) else {
                    continue;
                };
                next = at + 1;
                let member = &structure.members[at];
                if let Some(value) = decode(gather, member.shape, value, depth + 1)? {
                    members.set(at, member, value);
                }
            }
            members.into_value()
        }
        (Kind::Map { value: element, .. }, Cbor::Map(entries)) => {
            let mut read = Vec::new();
            for (key, value) in entries {
                let Cbor::Text(key) = key else {
                    return Err(DecodeError::Mismatch("a key that is no text"));
                };
                let value = decode(gather, element.shape, value, depth + 1)?;
                read.push((key, value.unwrap_or(Value::Null)));
            }
            gather::map(read)
        }
        (Kind::List { element }, Cbor::Array(values)) => {
            let mut read = Vec::new();
            for value in values {
                read.push(decode(gather, element.shape, value, depth + 1)?.unwrap_or(Value::Null));
            }
            Value::List(read)
        }
        (Kind::Structure(_) | Kind::List { .. } | Kind::Map { .. }, _) => {
            return Err(DecodeError::Mismatch("a single value where the model has several"));
        }
        (_, Cbor::Array(_) | Cbor::Map(_)) => {
            return Err(DecodeError::Mismatch("several values where the model has one"));
        }
        (Kind::Blob, Cbor::Bytes(bytes)) => Value::Blob(Bytes::from(bytes)),
        (Kind::Blob, Cbor::Text(text)) => Value::Blob(scalar::blob(&text)),
        (Kind::Time, Cbor::Text(text)) => scalar::time(&text).map_or(Value::Text(text), Value::Time),
        (Kind::Time, cbor) => match number(&cbor) {
            Some(number) => scalar::seconds_of(&number).map_or(Value::Number(number), Value::Time),
            None => return Err(DecodeError::Mismatch("something else where the model has a time")),
        },
        (_, Cbor::Text(text)) => Value::Text(text),
        (_, Cbor::Bool(value)) => Value::Bool(value),
        (_, Cbor::Float(value)) if !value.is_finite() => Value::Text(not_finite(value).to_owned()),
        (_, cbor) => match number(&cbor) {
            Some(number) => Value::Number(number),
            None => return Err(DecodeError::Mismatch("something else where the model has a single value")),
        },
    }))
}

fn number(cbor: &Cbor) -> Option<Number> {
    match cbor {
        Cbor::Integer(integer) => {
            let wide = i128::from(*integer);
            i64::try_from(wide).map(Number::from).or_else(|_| u64::try_from(wide).map(Number::from)).ok()
        }
        Cbor::Float(float) => Number::from_f64(*float),
        _ => None,
    }
}

fn not_finite(value: f64) -> &'static str {
    match value {
        value if value.is_nan() => "NaN",
        value if value > 0.0 => "Infinity",
        _ => "-Infinity",
    }
}

fn document(gather: &Gather<'_>, cbor: Cbor, depth: usize) -> Result<Json, DecodeError> {
    gather.count(depth)?;
    Ok(match cbor {
        Cbor::Text(text) => Json::String(text),
        Cbor::Bool(value) => Json::Bool(value),
        Cbor::Array(values) => {
            let values: Result<_, _> = values.into_iter().map(|value| document(gather, value, depth + 1)).collect();
            Json::Array(values?)
        }
        Cbor::Map(entries) => {
            let mut object = serde_json::Map::new();
            for (key, value) in entries {
                let Cbor::Text(key) = key else {
                    return Err(DecodeError::Mismatch("a key that is no text"));
                };
                object.insert(key, document(gather, value, depth + 1)?);
            }
            Json::Object(object)
        }
        Cbor::Tag(_, inner) => return document(gather, *inner, depth + 1),
        cbor => number(&cbor).map_or(Json::Null, Json::Number),
    })
}
