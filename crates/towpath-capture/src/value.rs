//! What a call said, between its protocol and its record.
//!
//! Decoders make [`Value`]s with the member names of the service model; the record's writer gives them the names and
//! forms that records have. Order is kept: records print members in the order of the model, or as they arrived.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;

/// A decoded member, parameter or answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// JSON's null, where a protocol sends one.
    Null,
    /// A boolean.
    Bool(bool),
    /// A number, with the text that it came in kept as far as JSON can hold it.
    Number(serde_json::Number),
    /// A text. Nested JSON texts stay texts.
    Text(String),
    /// A moment that the model calls a timestamp. Its printed form is the profile's choice.
    Time(Timestamp),
    /// Bytes that the model calls a blob. Left out of records unless a profile asks for them.
    Blob(Bytes),
    /// A free document (Smithy's `document`, or JSON without a model), keys as they came.
    Document(serde_json::Value),
    /// A list.
    List(Vec<Value>),
    /// A structure of the model: member names are the model's, and the record changes them.
    Structure(Vec<Field>),
    /// A map of the model: keys are the caller's, and the record keeps them.
    Map(Vec<(String, Value)>),
}

/// A member of a structure.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// The member's name in the model (`SpaceId`), not its name on the wire.
    pub name: Arc<str>,
    /// What it holds.
    pub value: Value,
    /// True if the model marks the member or its shape as sensitive.
    pub sensitive: bool,
}

impl Value {
    /// A structure without members.
    pub const fn empty() -> Self {
        Self::Structure(Vec::new())
    }

    /// The member of a structure with this name in the model.
    pub fn member(&self, name: &str) -> Option<&Value> {
        match self {
            Self::Structure(fields) => fields.iter().find(|field| &*field.name == name).map(|field| &field.value),
            _ => None,
        }
    }

    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}
