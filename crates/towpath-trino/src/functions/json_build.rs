//! `json_object` and `json_array`, under names that no query can write. Their clauses arrive as constant arguments, in the order in which the lexer puts them:
//!
//! ```text
//! $json_object(on null, unique, key, value, format, ...)
//! $json_array(on null, value, format, ...)
//! ```
//!
//! A value is written as a cast to `json` writes it; one of the format `json` is JSON already.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringArray, StringBuilder};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;

use crate::error::failure;
use crate::functions::casts::{cast_array, castable};
use crate::functions::json_text::{compact, is_valid, quote};
use crate::functions::scalar::wrong_arguments;
use crate::functions::shape::{Call, Given, Shape};
use crate::types::{JSON, is_text};

/// Lists the functions of this file.
pub(crate) fn shapes() -> Vec<Shape> {
    vec![Shape::new("$json_object", object_type, object), Shape::new("$json_array", array_type, array)]
}

fn object_type(given: &Given<'_>) -> Result<DataType> {
    for member in given.types.get(2..).unwrap_or_default().chunks(3) {
        if !matches!(member.first(), Some(key) if is_text(key) || *key == DataType::Null) {
            return Err(wrong_arguments(given.name, &member[..1.min(member.len())]));
        }
        check_value(given.name, member.get(1))?;
    }
    Ok(DataType::Utf8)
}

fn array_type(given: &Given<'_>) -> Result<DataType> {
    for member in given.types.get(1..).unwrap_or_default().chunks(2) {
        check_value(given.name, member.first())?;
    }
    Ok(DataType::Utf8)
}

fn check_value(name: &str, value: Option<&DataType>) -> Result<()> {
    match value {
        Some(value) if castable(value, &JSON) => Ok(()),
        other => Err(wrong_arguments(name, other.map(std::slice::from_ref).unwrap_or_default())),
    }
}

/// The values of an argument as JSON texts, and whether they were given as such.
struct Values {
    texts: StringArray,
    json: bool,
}

impl Values {
    fn of(call: &Call<'_>, at: usize) -> Result<Self> {
        let value = call.array(at)?;
        let json = call.text(at + 1) == Some("json") && is_text(value.data_type());
        let raw = if json { value } else { cast_array(&value, &JSON, false)? };
        Ok(Self { texts: cast(&raw, &DataType::Utf8)?.as_string::<i32>().clone(), json })
    }

    /// The value of a row; none for NULL.
    fn at(&self, row: usize) -> std::result::Result<Option<String>, String> {
        if self.texts.is_null(row) {
            return Ok(None);
        }
        let text = self.texts.value(row);
        if self.json && !is_valid(text) {
            return Err("a value with FORMAT JSON is not JSON".to_owned());
        }
        Ok(Some(compact(text.into()).into_owned()))
    }
}

fn object(call: &Call<'_>) -> Result<ArrayRef> {
    let (absent, unique) = (call.text(0) == Some("absent"), call.text(1) == Some("with"));
    let mut members = Vec::new();
    for at in (2..call.args.len().saturating_sub(2)).step_by(3) {
        members.push((call.array_as(at, &DataType::Utf8)?, Values::of(call, at + 1)?));
    }
    written(call, "json_object", |row| {
        let mut written: Vec<(&str, String)> = Vec::with_capacity(members.len());
        for (keys, values) in &members {
            let keys = keys.as_string::<i32>();
            if keys.is_null(row) {
                return Err("a key is NULL".to_owned());
            }
            let (key, value) = (keys.value(row), values.at(row)?);
            if value.is_none() && absent {
                continue;
            }
            let value = value.unwrap_or_else(|| "null".to_owned());
            match written.iter_mut().find(|(known, _)| *known == key) {
                Some(_) if unique => return Err(format!("the key {key} comes twice")),
                Some(known) => known.1 = value,
                None => written.push((key, value)),
            }
        }
        let members: Vec<String> = written.into_iter().map(|(key, value)| format!("{}:{value}", quote(key))).collect();
        Ok(format!("{{{}}}", members.join(",")))
    })
}

fn array(call: &Call<'_>) -> Result<ArrayRef> {
    let absent = call.text(0) == Some("absent");
    let mut values = Vec::new();
    for at in (1..call.args.len().saturating_sub(1)).step_by(2) {
        values.push(Values::of(call, at)?);
    }
    written(call, "json_array", |row| {
        let mut items = Vec::with_capacity(values.len());
        for values in &values {
            match values.at(row)? {
                Some(value) => items.push(value),
                None if absent => {}
                None => items.push("null".to_owned()),
            }
        }
        Ok(format!("[{}]", items.join(",")))
    })
}

fn written(
    call: &Call<'_>,
    name: &str,
    row: impl Fn(usize) -> std::result::Result<String, String>,
) -> Result<ArrayRef> {
    let mut texts = StringBuilder::new();
    for at in 0..call.rows {
        match row(at) {
            Ok(text) => texts.append_value(text),
            Err(_) if call.lenient => texts.append_null(),
            Err(message) => return Err(failure(format!("{name}: {message}"))),
        }
    }
    Ok(Arc::new(texts.finish()))
}
