//! Casts from and to `varchar`.

use std::borrow::Cow;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanBuilder, Date32Builder, Int64Builder, StringBuilder};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float32Type, Float64Type};
use datafusion::common::Result;

use super::arrow_cast;
use super::time::timestamps;
use crate::cell::{double_text, element_text};
use crate::error::failure;
use crate::functions::calendar::{DAY, parse_moment};
use crate::functions::json_text::unquoted;
use crate::types::{JSON, is_text, trino_type_name};

pub(super) fn to_text(array: &ArrayRef) -> Result<ArrayRef> {
    match array.data_type() {
        DataType::Binary => Ok(arrow_cast(array, &DataType::Utf8, false)?),
        data_type => {
            let mut builder = StringBuilder::with_capacity(array.len(), array.len() * 16);
            let scientific = matches!(data_type, DataType::Float32 | DataType::Float64);
            for row in 0..array.len() {
                if array.is_null(row) {
                    builder.append_null();
                } else if scientific {
                    builder.append_value(scientific_text(array, row));
                } else {
                    builder.append_value(element_text(array, row));
                }
            }
            Ok(Arc::new(builder.finish()))
        }
    }
}

/// Writes `1.5E0`.
fn scientific_text(array: &ArrayRef, row: usize) -> String {
    let value = match array.data_type() {
        DataType::Float32 => return scientific(format!("{:E}", array.as_primitive::<Float32Type>().value(row))),
        _ => array.as_primitive::<Float64Type>().value(row),
    };
    if value.is_finite() { scientific(format!("{value:E}")) } else { double_text(value) }
}

fn scientific(text: String) -> String {
    match text.split_once('E') {
        Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0E{exponent}"),
        _ => text,
    }
}

pub(super) fn from_text(array: &ArrayRef, to: &DataType, safe: bool) -> Result<ArrayRef> {
    let texts = cast(array, &DataType::Utf8)?;
    let bad = |text: &str| failure(format!("cannot cast '{text}' to {}", trino_type_name(to)));
    match to {
        DataType::Boolean => {
            let mut builder = BooleanBuilder::with_capacity(array.len());
            for text in texts.as_string::<i32>() {
                match text.map(|t| (t, t.to_ascii_lowercase())) {
                    None => builder.append_null(),
                    Some((_, t)) if matches!(t.as_str(), "true" | "t" | "1") => builder.append_value(true),
                    Some((_, t)) if matches!(t.as_str(), "false" | "f" | "0") => builder.append_value(false),
                    Some(_) if safe => builder.append_null(),
                    Some((text, _)) => return Err(bad(text)),
                }
            }
            Ok(Arc::new(builder.finish()))
        }
        DataType::Date32 => {
            let mut builder = Date32Builder::with_capacity(array.len());
            for text in texts.as_string::<i32>() {
                match text.map(|t| (t, parse_moment(t).filter(|m| m.date_only))) {
                    None => builder.append_null(),
                    Some((_, Some(moment))) => builder.append_value(moment.wall.div_euclid(DAY) as i32),
                    Some(_) if safe => builder.append_null(),
                    Some((text, None)) => return Err(bad(text)),
                }
            }
            Ok(Arc::new(builder.finish()))
        }
        DataType::Timestamp(_, _) => {
            let mut builder = Int64Builder::with_capacity(array.len());
            for text in texts.as_string::<i32>() {
                match text.map(|t| (t, parse_moment(t))) {
                    None => builder.append_null(),
                    Some((_, Some(moment))) => builder.append_value(moment.instant()),
                    Some(_) if safe => builder.append_null(),
                    Some((text, None)) => return Err(bad(text)),
                }
            }
            let values = builder.finish();
            timestamps(values.values().to_vec(), values.nulls().cloned(), to)
        }
        DataType::Utf8 => Ok(texts),
        DataType::Binary => Ok(cast(&texts, to)?),
        _ => {
            let texts = texts.as_string::<i32>();
            let trimmed: datafusion::arrow::array::StringArray = texts.iter().map(|t| t.map(str::trim)).collect();
            let parsed = arrow_cast(&(Arc::new(trimmed) as ArrayRef), to, true)?;
            if !safe
                && parsed.null_count() > texts.null_count()
                && let Some(row) = (0..texts.len()).find(|row| texts.is_valid(*row) && parsed.is_null(*row))
            {
                return Err(bad(texts.value(row)));
            }
            Ok(parsed)
        }
    }
}

/// Writes timestamps, dates and all else as text, for places where text meets another type.
pub(crate) fn as_text(array: &ArrayRef) -> Result<ArrayRef> {
    if is_text(array.data_type()) {
        return Ok(cast(array, &DataType::Utf8)?);
    }
    if *array.data_type() == JSON {
        let values = array.as_string::<i64>();
        return Ok(Arc::new(
            values
                .iter()
                .map(|v| v.map(|v| unquoted(Cow::Borrowed(v)).into_owned()))
                .collect::<datafusion::arrow::array::StringArray>(),
        ));
    }
    to_text(array)
}
