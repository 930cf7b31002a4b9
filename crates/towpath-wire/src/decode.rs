//! Decoding: the bytes of a body become a typed input, or an error that says what is wrong and where.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::call::Call;
use crate::error::ApiError;
use crate::generated::input::Input;
use crate::generated::operations::Operation;
use crate::limits::{MAX_JSON_BODY, MAX_JSON_DEPTH};
use crate::member_error::code_for;
use crate::validate::{WrongType, validate};
use crate::violation::{Violation, describe};

/// Why a body is not the input of its operation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// The body is longer than its route allows.
    #[error("body is longer than {limit} bytes")]
    TooLarge {
        /// The bound, in bytes.
        limit: usize,
    },
    /// The body is not JSON.
    #[error("body is not JSON: wrong at line {line} column {column}")]
    NotJson {
        /// Line, counted from one.
        line: usize,
        /// Column, counted from one.
        column: usize,
    },
    /// The body is JSON but no object.
    #[error("body is not a JSON object")]
    NotAnObject,
    /// The body nests deeper than [`MAX_JSON_DEPTH`].
    #[error("body nests deeper than {MAX_JSON_DEPTH} levels")]
    TooDeep,
    /// A member has a value of a type that it cannot have.
    #[error("{found} can not be converted to {wanted} at '{path}'")]
    WrongType {
        /// Where, as in [`Violation::path`].
        path: String,
        /// What is there.
        found: &'static str,
        /// What should be.
        wanted: &'static str,
    },
    /// Members break constraints of the model.
    #[error("{}", describe(violations))]
    Invalid {
        /// The error code for the first of them.
        code: &'static str,
        /// At least one.
        violations: Vec<Violation>,
    },
}

impl From<WrongType> for InputError {
    fn from(WrongType { path, found, wanted }: WrongType) -> Self {
        Self::WrongType { path, found, wanted }
    }
}

impl From<InputError> for ApiError {
    fn from(error: InputError) -> Self {
        match &error {
            InputError::TooLarge { limit } => ApiError::too_large(*limit),
            InputError::Invalid { code, .. } => ApiError::new(*code, error.to_string()),
            _ => ApiError::serialization(error.to_string()),
        }
    }
}

impl Operation {
    /// Decodes and checks the JSON body of this operation. An empty body is an empty input.
    pub fn decode(self, body: &[u8]) -> Result<Input, InputError> {
        let input = checked(self, body_object(body, MAX_JSON_BODY)?)?;
        Input::typed(self, Value::Object(input)).map_err(|error| untyped(&error))
    }
}

/// Decodes and checks the body of a call whose type is known.
pub fn decode<C: Call>(body: &[u8]) -> Result<C, InputError> {
    typed(checked(C::OPERATION, body_object(body, MAX_JSON_BODY)?)?)
}

/// Reads a body as a JSON object, within bounds of size and depth.
pub(crate) fn body_object(body: &[u8], limit: usize) -> Result<Map<String, Value>, InputError> {
    if body.len() > limit {
        return Err(InputError::TooLarge { limit });
    }
    if body.is_empty() {
        return Ok(Map::new());
    }
    if nests_too_deep(body) {
        return Err(InputError::TooDeep);
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(InputError::NotAnObject),
        Err(error) => Err(InputError::NotJson { line: error.line(), column: error.column() }),
    }
}

/// Holds an object against the model of the operation.
pub(crate) fn checked(operation: Operation, mut input: Map<String, Value>) -> Result<Map<String, Value>, InputError> {
    let violations = validate(operation.model().input, &mut input)?;
    match violations.first() {
        None => Ok(input),
        Some(first) => Err(InputError::Invalid { code: code_for(operation, first), violations }),
    }
}

/// Types an object that has passed [`checked`].
pub(crate) fn typed<T: DeserializeOwned>(input: Map<String, Value>) -> Result<T, InputError> {
    serde_json::from_value(Value::Object(input)).map_err(|error| untyped(&error))
}

/// The generated types and the generated constraints come from one model, so this is not reached; if it were, the
/// caller's input is refused rather than half understood.
fn untyped(error: &serde_json::Error) -> InputError {
    InputError::NotJson { line: error.line(), column: error.column() }
}

/// True if brackets outside strings nest deeper than allowed. Runs before parsing, without recursion.
fn nests_too_deep(body: &[u8]) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                if depth > MAX_JSON_DEPTH {
                    return true;
                }
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests;
