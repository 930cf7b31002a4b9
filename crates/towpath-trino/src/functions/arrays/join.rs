//! Arrays put together: into text, flattened, one after the other.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, ListArray, StringBuilder};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::compute::{cast, concat};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;

use super::lists::{Lists, build, shifted};
use super::unify::common;
use crate::cell::element_text;
use crate::error::failure;
use crate::functions::casts::cast_array;
use crate::functions::scalar::wrong_arguments;
use crate::functions::shape::{Call, Given};
use crate::types::{array_of, element, is_text};

pub(super) fn join_type(given: &Given<'_>) -> Result<DataType> {
    match given.types.as_slice() {
        [DataType::List(item), rest @ ..]
            if matches!(rest.len(), 1 | 2) && rest.iter().all(is_text) && !item.data_type().is_nested() =>
        {
            Ok(DataType::Utf8)
        }
        types => Err(wrong_arguments(given.name, types)),
    }
}

pub(super) fn join(call: &Call<'_>) -> Result<ArrayRef> {
    let lists = Lists::open(&call.array(0)?)?;
    let separators = call.array_as(1, &DataType::Utf8)?;
    let missing = if call.args.len() > 2 { Some(call.array_as(2, &DataType::Utf8)?) } else { None };
    let mut builder = StringBuilder::new();
    for row in 0..lists.len() {
        if lists.is_null(row) || separators.is_null(row) {
            builder.append_null();
            continue;
        }
        let missing = missing.as_ref().map(|m| m.as_string::<i32>().value(row));
        let parts: Vec<String> = lists
            .range(row)
            .filter_map(|i| {
                if lists.values().is_null(i) {
                    missing.map(str::to_owned)
                } else {
                    Some(element_text(lists.values(), i))
                }
            })
            .collect();
        builder.append_value(parts.join(separators.as_string::<i32>().value(row)));
    }
    Ok(Arc::new(builder.finish()))
}

pub(super) fn flatten(call: &Call<'_>) -> Result<ArrayRef> {
    let outer = Lists::open(&call.array(0)?)?;
    let inner = Lists::open(outer.values())?;
    let chosen = (0..outer.len()).map(|row| outer.range(row).flat_map(|i| inner.range(i)).collect()).collect();
    build(inner.values(), chosen, outer.nulls().cloned(), call.return_type)
}

pub(super) fn concat_type(given: &Given<'_>) -> Result<DataType> {
    let types = &given.types;
    let lists = types.iter().filter(|t| matches!(t, DataType::List(_))).count();
    match types.first() {
        Some(_) if lists > 0 => {
            // An element may stand beside an array.
            let items: Vec<_> = types.iter().map(|t| element(t).cloned().unwrap_or_else(|| t.clone())).collect();
            Ok(array_of(common(given.name, &items)?))
        }
        Some(_) if types.iter().all(|t| is_text(t) || *t == DataType::Null) => Ok(DataType::Utf8),
        Some(DataType::Binary) => Ok(DataType::Binary),
        _ => Err(wrong_arguments(given.name, types)),
    }
}

pub(super) fn concatenate(call: &Call<'_>) -> Result<ArrayRef> {
    let arrays = (0..call.args.len()).map(|i| call.array(i)).collect::<Result<Vec<_>>>()?;
    match call.return_type {
        DataType::Utf8 => {
            let texts = arrays.iter().map(|a| Ok(cast(a, &DataType::Utf8)?)).collect::<Result<Vec<_>>>()?;
            let mut builder = StringBuilder::new();
            for row in 0..call.rows {
                if texts.iter().any(|t| t.is_null(row)) {
                    builder.append_null();
                } else {
                    builder.append_value(texts.iter().map(|t| t.as_string::<i32>().value(row)).collect::<String>());
                }
            }
            Ok(Arc::new(builder.finish()))
        }
        DataType::Binary => {
            let rows = (0..call.rows).map(|row| {
                arrays
                    .iter()
                    .map(|a| a.is_valid(row).then(|| a.as_binary::<i32>().value(row)))
                    .collect::<Option<Vec<_>>>()
                    .map(|parts| parts.concat())
            });
            Ok(Arc::new(rows.collect::<datafusion::arrow::array::BinaryArray>()))
        }
        to => {
            let item = element(to).ok_or_else(|| failure("expected an array type"))?;
            let lists = arrays
                .iter()
                .map(|array| match array.data_type() {
                    DataType::List(_) => Lists::open(&cast_array(array, to, false)?),
                    // An element is an array of one.
                    _ => {
                        let values = cast_array(array, item, false)?;
                        let DataType::List(field) = to else { return Err(failure("expected an array type")) };
                        let ones = OffsetBuffer::from_lengths(std::iter::repeat_n(1, values.len()));
                        Lists::open(&(Arc::new(ListArray::try_new(Arc::clone(field), ones, values, None)?) as ArrayRef))
                    }
                })
                .collect::<Result<Vec<_>>>()?;
            let parts: Vec<&dyn Array> = lists.iter().map(|l| l.values().as_ref()).collect();
            let values = concat(&parts)?;
            let mut shifts = vec![0];
            for list in &lists {
                shifts.push(shifts[shifts.len() - 1] + list.values().len());
            }
            let chosen = (0..call.rows)
                .map(|row| lists.iter().zip(&shifts).flat_map(|(l, by)| shifted(l.range(row), *by)).collect())
                .collect();
            let nulls = lists.iter().fold(None, |nulls, l| NullBuffer::union(nulls.as_ref(), l.nulls()));
            build(&values, chosen, nulls, to)
        }
    }
}
