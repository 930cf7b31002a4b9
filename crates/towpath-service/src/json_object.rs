//! JSON objects that callers send, read into structures.
//!
//! Who sends one through a client never sees its text, so an error names the member that is wrong and says what was
//! expected there. Lines and columns are told of a text that is no JSON at all, where there are no members to name.

use serde::Deserialize;
use towpath_wire::Object;

/// Why a text cannot be read as the structure that it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ObjectError {
    /// The text is not JSON.
    #[error("wrong at line {line} column {column}")]
    Syntax {
        /// The line, from 1.
        line: usize,
        /// The column in bytes, from 1.
        column: usize,
    },
    /// It is JSON, and a member of it is missing or has another type: `Tags[0].Key: invalid type: ..`.
    #[error("{0}")]
    Member(String),
}

impl ObjectError {
    /// What is wrong with a text that is not JSON.
    pub(crate) fn syntax(error: &serde_json::Error) -> Self {
        Self::Syntax { line: error.line(), column: error.column() }
    }
}

/// Reads a JSON object that may be borrowed from; unknown members are passed over.
pub(crate) fn read<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, ObjectError> {
    match serde_json::from_slice(json) {
        Ok(Object(read)) => Ok(read),
        Err(error) if error.is_data() => Err(wrong_member::<T>(json, &error)),
        Err(error) => Err(ObjectError::syntax(&error)),
    }
}

/// Finds the member that `error` is about. Only what is refused is read a second time.
fn wrong_member<'a, T: Deserialize<'a>>(json: &'a [u8], error: &serde_json::Error) -> ObjectError {
    let mut again = serde_json::Deserializer::from_slice(json);
    let place = match serde_path_to_error::deserialize::<_, Object<T>>(&mut again) {
        Err(error) if error.path().iter().len() > 0 => format!("{}: ", error.path()),
        _ => String::new(),
    };
    let (text, position) = (error.to_string(), format!(" at line {} column {}", error.line(), error.column()));
    ObjectError::Member(format!("{place}{}", text.strip_suffix(&position).unwrap_or(&text)))
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "PascalCase")]
    struct Tag {
        key: String,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "PascalCase")]
    #[allow(dead_code)]
    struct Input<'a> {
        name: String,
        #[serde(default)]
        tags: Vec<Object<Tag>>,
        #[serde(borrow, default)]
        records: Vec<&'a RawValue>,
    }

    fn refusal(json: &str) -> String {
        read::<Input<'_>>(json.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn what_is_read_borrows_from_the_text() {
        let read = read::<Input<'_>>(br#"{"Name":"a","Tags":[{"Key":"k"}],"Records":[{"x": 1}],"More":0}"#).unwrap();
        assert_eq!((read.tags[0].0.key.as_str(), read.records[0].get()), ("k", r#"{"x": 1}"#));
    }

    #[test]
    fn a_wrong_member_is_named_with_what_was_expected_and_without_its_place_in_the_text() {
        assert_eq!(refusal(r#"{"Name":5}"#), "Name: invalid type: integer `5`, expected a string");
        assert_eq!(refusal(r#"{"Name":"a","Tags":{}}"#), "Tags: invalid type: map, expected a sequence");
        assert_eq!(
            refusal(r#"{"Name":"a","Tags":[{"Key":"k"},{"Key":true}]}"#),
            "Tags[1].Key: invalid type: boolean `true`, expected a string"
        );
        assert_eq!(
            refusal(r#"{"Name":"a","Tags":[["k"]]}"#),
            "Tags[0]: invalid type: sequence, expected a JSON object"
        );
        assert_eq!(refusal(r#"{"Tags":[]}"#), "missing field `Name`");
        assert_eq!(refusal(r#"{"Name":"a","Tags":[{}]}"#), "Tags[0]: missing field `Key`");
        assert_eq!(refusal("[]"), "invalid type: sequence, expected a JSON object");
    }

    #[test]
    fn what_is_no_json_has_a_line_and_a_column() {
        assert_eq!(refusal("{\"Name\":\n"), "wrong at line 2 column 0");
        assert_eq!(refusal(r#"{"Name":"a"}}"#), "wrong at line 1 column 13");
    }
}
