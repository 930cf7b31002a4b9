//! `element_at`, subscripts and fields: one value out of a map, an array or a row.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, MapArray, StructArray, UInt32Array, UInt32Builder, new_null_array,
};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::compute::{cast, take};
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::arrow::row::{RowConverter, SortField};
use datafusion::common::Result;
use datafusion::logical_expr::ColumnarValue;

use crate::cell::element_text;
use crate::error::{failure, mistake_about, nearest};
use crate::functions::arrays::{no_subscript, pick, unify};
use crate::functions::casts::cast_array;
use crate::functions::scalar::wrong_arguments;
use crate::functions::shape::{Call, Given};
use crate::types::{element, is_integer, is_text, map_parts, trino_type_name};

/// Coerces the key to the key type of the map.
pub(super) fn coerce_key(_: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    let mut coerced = types.to_vec();
    if let [map, key] = types
        && let Some((wanted, _)) = map_parts(map)
        && !(is_text(wanted) && is_text(key))
        && unify(wanted, key).is_some()
    {
        coerced[1] = wanted.clone();
    }
    Ok(coerced)
}

pub(super) fn element_type(given: &Given<'_>) -> Result<DataType> {
    let [value, key] = given.types.as_slice() else { return Err(wrong_arguments(given.name, &given.types)) };
    let named = if given.name == "$subscript" { "a subscript" } else { given.name };
    if let Some((wanted, found)) = map_parts(value) {
        if unify(wanted, key).is_none() {
            let message = format!(
                "{named} of {} needs a key of type {}, not {}",
                trino_type_name(value),
                trino_type_name(wanted),
                trino_type_name(key)
            );
            return Err(mistake_about(given.name, message));
        }
        return Ok(found.clone());
    }
    if let Some(item) = element(value) {
        if !is_integer(key) && *key != DataType::Null {
            return Err(mistake_about(
                given.name,
                format!("{named} of an array needs a number, not {}", trino_type_name(key)),
            ));
        }
        return Ok(item.clone());
    }
    match value {
        // Fields of a row by position: the type depends on the position, which must be constant.
        DataType::Struct(fields) if given.name == "$subscript" => given
            .integer(1)
            .and_then(|n| usize::try_from(n).ok())
            .and_then(|n| fields.get(n.checked_sub(1)?))
            .map(|f| f.data_type().clone())
            .ok_or_else(|| mistake_about(given.name, "a row has no field at this position")),
        _ if given.name == "$subscript" => Err(no_subscript(given.name, value)),
        _ => Err(wrong_arguments(given.name, &given.types)),
    }
}

pub(super) fn access(call: &Call<'_>, strict: bool) -> Result<ArrayRef> {
    match call.args[0].data_type() {
        DataType::Map(_, _) => map_access(call, strict),
        DataType::Struct(_) => {
            let at = call.array_as(1, &DataType::Int64)?.as_primitive::<Int64Type>().value(0) as usize;
            let rows = call.array(0)?;
            Ok(masked(rows.as_struct(), at - 1))
        }
        _ => {
            let positions = call.array_as(1, &DataType::Int64)?;
            let positions: &Int64Array = positions.as_primitive::<Int64Type>();
            pick(call, |row| if positions.is_null(row) { i64::MIN } else { positions.value(row) }, strict)
        }
    }
}

/// Looks a key up in every map: one pass over the keys, one gathering of the values.
fn map_access(call: &Call<'_>, strict: bool) -> Result<ArrayRef> {
    let array = call.array(0)?;
    let map = array.as_map();
    let indices = match (map.keys().data_type(), call.text(1)) {
        (DataType::Utf8, Some(key)) => {
            let keys = map.keys().as_string::<i32>();
            find_keys(map, |i| keys.value(i) == key)
        }
        (DataType::Utf8View, Some(key)) => {
            let keys = map.keys().as_string_view();
            find_keys(map, |i| keys.value(i) == key)
        }
        _ => {
            let wanted = call.array(1)?;
            let key_type =
                if is_text(map.keys().data_type()) { DataType::Utf8 } else { map.keys().data_type().clone() };
            let (keys, wanted) = (cast(map.keys(), &key_type)?, cast_array(&wanted, &key_type, false)?);
            let converter = RowConverter::new(vec![SortField::new(key_type)])?;
            let (key_rows, wanted_rows) =
                (converter.convert_columns(&[keys])?, converter.convert_columns(&[Arc::clone(&wanted)])?);
            let mut indices = UInt32Builder::with_capacity(map.len());
            for row in 0..map.len() {
                let mut range = entry_range(map, row);
                let at =
                    if wanted.is_null(row) { None } else { range.find(|i| key_rows.row(*i) == wanted_rows.row(row)) };
                indices.append_option(at.map(|i| i as u32));
            }
            indices.finish()
        }
    };
    if strict && !call.lenient {
        let key_is_null = matches!(&call.args[1], ColumnarValue::Scalar(s) if s.is_null());
        if let Some(row) =
            (0..map.len()).find(|row| indices.is_null(*row) && map.is_valid(*row)).filter(|_| !key_is_null)
        {
            let key = element_text(&call.array(1)?, row);
            return Err(failure(format!("key not present in map: {key}")));
        }
    }
    Ok(take(map.values(), &indices, None)?)
}

pub(super) fn entry_range(map: &MapArray, row: usize) -> std::ops::Range<usize> {
    if map.is_null(row) {
        return 0..0;
    }
    let offsets = map.value_offsets();
    offsets[row] as usize..offsets[row + 1] as usize
}

fn find_keys(map: &MapArray, matches: impl Fn(usize) -> bool) -> UInt32Array {
    let mut indices = UInt32Builder::with_capacity(map.len());
    for row in 0..map.len() {
        indices.append_option(entry_range(map, row).find(|i| matches(*i)).map(|i| i as u32));
    }
    indices.finish()
}

/// Checks that a value has a field, and finds its type.
pub(crate) fn field_of<'a>(value: &'a DataType, name: &str) -> Result<&'a DataType> {
    match value {
        DataType::Struct(fields) => match fields.iter().find(|f| f.name() == name) {
            Some(field) => Ok(field.data_type()),
            None => {
                let hint = nearest(name, fields.iter().map(|f| f.name().as_str()))
                    .map(|n| format!("; did you mean {n}?"))
                    .unwrap_or_default();
                Err(mistake_about(name, format!("unknown field: {name}{hint}")))
            }
        },
        DataType::Map(_, _) => {
            let message =
                format!("a map has no field {name}; write element_at(..., '{name}') with the spelling of the key");
            Err(mistake_about(name, message))
        }
        other => Err(mistake_about(name, format!("a value of type {} has no field {name}", trino_type_name(other)))),
    }
}

pub(super) fn field_type(given: &Given<'_>) -> Result<DataType> {
    let name = given.text(1).ok_or_else(|| mistake_about(given.name, "a field needs a name"))?;
    field_of(&given.types[0], name).cloned()
}

pub(super) fn field(call: &Call<'_>) -> Result<ArrayRef> {
    let name = call.text(1).unwrap_or_default();
    let rows = call.array(0)?;
    let rows = rows.as_struct();
    let at =
        rows.fields().iter().position(|f| f.name() == name).ok_or_else(|| failure(format!("unknown field: {name}")))?;
    Ok(masked(rows, at))
}

/// Returns a column of rows, NULL wherever the row is.
fn masked(rows: &StructArray, at: usize) -> ArrayRef {
    let column = rows.column(at);
    match rows.nulls() {
        None => Arc::clone(column),
        Some(nulls) => {
            let merged = NullBuffer::union(Some(nulls), column.logical_nulls().as_ref());
            let indices: UInt32Array =
                (0..rows.len()).map(|i| merged.as_ref().is_none_or(|m| m.is_valid(i)).then_some(i as u32)).collect();
            take(column, &indices, None).unwrap_or_else(|_| new_null_array(column.data_type(), rows.len()))
        }
    }
}
