//! Casts from and to `json`.

use std::borrow::Cow;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, LargeStringBuilder, ListArray, StringBuilder, StructArray};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;

use super::numbers::round_floats;
use super::text::from_text;
use super::{arrow_cast, cast_array, map_array};
use crate::cell::element_text;
use crate::error::failure;
use crate::functions::json_text::{Kind, elements, kind, members, quote, scalar};
use crate::types::{is_integer, is_number, map_parts, trino_type_name};

/// The members of a JSON object, values as text.
type Members<'a> = Vec<(String, Cow<'a, str>)>;

/// Writes every value as JSON text.
pub(super) fn to_json(array: &ArrayRef) -> Result<ArrayRef> {
    let mut builder = LargeStringBuilder::new();
    for row in 0..array.len() {
        if array.is_null(row) {
            builder.append_null();
        } else {
            builder.append_value(json_of(array, row));
        }
    }
    Ok(Arc::new(builder.finish()))
}

fn json_of(array: &ArrayRef, row: usize) -> String {
    if array.is_null(row) {
        return "null".into();
    }
    match array.data_type() {
        DataType::LargeUtf8 => array.as_string::<i64>().value(row).to_owned(),
        DataType::Boolean => element_text(array, row),
        DataType::Float32 | DataType::Float64 => {
            let text = element_text(array, row);
            if text.parse::<f64>().is_ok_and(f64::is_finite) { text } else { quote(&text) }
        }
        t if is_number(t) => element_text(array, row),
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(row);
            format!("[{}]", (0..items.len()).map(|i| json_of(&items, i)).collect::<Vec<_>>().join(","))
        }
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns();
            let members = fields.iter().zip(columns).map(|(f, c)| format!("{}:{}", quote(f.name()), json_of(c, row)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        }
        DataType::Map(_, _) => {
            let entries = array.as_map().value(row);
            let (keys, values) = (entries.column(0), entries.column(1));
            let mut members: Vec<_> = (0..entries.len())
                .map(|i| format!("{}:{}", quote(&element_text(keys, i)), json_of(values, i)))
                .collect();
            members.sort();
            format!("{{{}}}", members.join(","))
        }
        _ => quote(&element_text(array, row)),
    }
}

type Raw<'a> = Option<Cow<'a, str>>;

pub(super) fn raw_values(array: &ArrayRef) -> Vec<Raw<'_>> {
    array.as_string::<i64>().iter().map(|v| v.map(Cow::Borrowed)).collect()
}

/// Builds values of type `to` from raw JSON; a JSON null is NULL.
pub(super) fn from_json(values: &[Raw<'_>], to: &DataType, safe: bool) -> Result<ArrayRef> {
    let bad = |raw: &str| failure(format!("cannot cast the JSON value {} to {}", shortened(raw), trino_type_name(to)));
    let present = |raw: &Raw<'_>| raw.as_ref().is_some_and(|raw| kind(raw) != Some(Kind::Null));
    match to {
        DataType::LargeUtf8 => {
            Ok(Arc::new(values.iter().map(|v| v.as_deref()).collect::<datafusion::arrow::array::LargeStringArray>()))
        }
        DataType::List(field) => {
            let mut offsets = vec![0i32];
            let mut valid = Vec::with_capacity(values.len());
            let mut children: Vec<Raw<'_>> = vec![];
            for raw in values {
                let items = raw.as_deref().filter(|_| present(raw)).map(|raw| (raw, elements(raw)));
                valid.push(matches!(items, Some((_, Some(_)))));
                match items {
                    Some((_, Some(items))) => children.extend(items.into_iter().map(Some)),
                    Some((raw, None)) if !safe => return Err(bad(raw)),
                    _ => {}
                }
                offsets.push(offset(children.len())?);
            }
            let children = from_json(&children, field.data_type(), safe)?;
            Ok(Arc::new(ListArray::try_new(
                Arc::clone(field),
                OffsetBuffer::new(offsets.into()),
                children,
                Some(valid.into()),
            )?))
        }
        DataType::Map(entries, _) => {
            let (key_type, value_type) = map_parts(to).ok_or_else(|| failure("a map has two parts"))?;
            let mut offsets = vec![0i32];
            let mut valid = Vec::with_capacity(values.len());
            let (mut keys, mut children): (Vec<String>, Vec<Raw<'_>>) = (vec![], vec![]);
            for raw in values {
                let found = raw.as_deref().filter(|_| present(raw)).map(|raw| (raw, members(raw)));
                valid.push(matches!(found, Some((_, Some(_)))));
                match found {
                    Some((_, Some(found))) => {
                        let start = keys.len();
                        for (name, value) in found {
                            // A repeated member counts once, with its last value.
                            match keys[start..].iter().position(|known| *known == name) {
                                Some(at) => children[start + at] = Some(value),
                                None => {
                                    keys.push(name);
                                    children.push(Some(value));
                                }
                            }
                        }
                    }
                    Some((raw, None)) if !safe => return Err(bad(raw)),
                    _ => {}
                }
                offsets.push(offset(keys.len())?);
            }
            let keys: ArrayRef = Arc::new(datafusion::arrow::array::StringArray::from(keys));
            let keys = cast_array(&keys, key_type, false)?;
            let children = from_json(&children, value_type, safe)?;
            map_array(entries, OffsetBuffer::new(offsets.into()), keys, children, Some(valid.into()))
        }
        DataType::Struct(fields) => {
            let parsed: Vec<Option<Members<'_>>> = values
                .iter()
                .map(|raw| match raw.as_deref().filter(|_| present(raw)) {
                    None => Ok(None),
                    // An array gives the fields in order, an object by name.
                    Some(raw) => match members(raw).or_else(|| {
                        Some(elements(raw)?.into_iter().zip(fields).map(|(v, f)| (f.name().clone(), v)).collect())
                    }) {
                        None if !safe => Err(bad(raw)),
                        found => Ok(found),
                    },
                })
                .collect::<Result<_>>()?;
            let columns = fields
                .iter()
                .map(|field| {
                    let find = |row: &Option<Vec<(String, Cow<'_, str>)>>| -> Option<Cow<'_, str>> {
                        row.as_ref()?
                            .iter()
                            .find(|(name, _)| name.eq_ignore_ascii_case(field.name()))
                            .map(|(_, v)| Cow::Owned(v.to_string()))
                    };
                    from_json(&parsed.iter().map(find).collect::<Vec<_>>(), field.data_type(), safe)
                })
                .collect::<Result<Vec<_>>>()?;
            let valid: Vec<bool> = parsed.iter().map(Option::is_some).collect();
            Ok(Arc::new(StructArray::try_new(fields.clone(), columns, Some(valid.into()))?))
        }
        _ => {
            // Scalars go by their text.
            let mut builder = StringBuilder::new();
            for raw in values {
                match raw {
                    Some(found) if present(raw) => match scalar(found.clone()) {
                        Some(text) => builder.append_value(text),
                        None if safe => builder.append_null(),
                        None => return Err(bad(found)),
                    },
                    _ => builder.append_null(),
                }
            }
            let texts: ArrayRef = Arc::new(builder.finish());
            if is_integer(to) {
                // JSON numbers may have a fraction or an exponent.
                let whole = arrow_cast(&texts, to, true)?;
                if whole.null_count() == texts.null_count() {
                    return Ok(whole);
                }
                return round_floats(&from_text(&texts, &DataType::Float64, safe)?, to, safe);
            }
            cast_array(&texts, to, safe)
        }
    }
}

fn offset(length: usize) -> Result<i32> {
    i32::try_from(length).map_err(|_| failure("too many values in one batch"))
}

fn shortened(raw: &str) -> String {
    if raw.chars().count() <= 60 { raw.to_owned() } else { raw.chars().take(60).chain("...".chars()).collect() }
}

pub(super) fn to_json_document(text: &ArrayRef) -> Result<ArrayRef> {
    let text = text.as_string::<i32>();
    let documents = text
        .iter()
        .map(|t| t.map(crate::functions::json_text::canonical).transpose().map_err(failure))
        .collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(datafusion::arrow::array::LargeStringArray::from(documents)))
}
