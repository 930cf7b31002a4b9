//! Arrays and rows written out: `ARRAY[...]`, `ROW(...)`, and arrays zipped into rows.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, Int64Array, ListArray, StructArray, UInt32Builder, new_null_array};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::compute::{concat, take};
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::Result;

use super::lists::{Lists, build};
use crate::error::failure;
use crate::functions::casts::cast_array;
use crate::functions::scalar::wrong_arguments;
use crate::functions::shape::{Call, Given};
use crate::types::{array_of, element};

pub(super) fn make_array(call: &Call<'_>) -> Result<ArrayRef> {
    let DataType::List(field) = call.return_type else { return Err(failure("expected an array type")) };
    let count = call.args.len();
    let columns =
        (0..count).map(|i| cast_array(&call.array(i)?, field.data_type(), false)).collect::<Result<Vec<_>>>()?;
    let values = if columns.is_empty() {
        new_null_array(field.data_type(), 0)
    } else {
        let parts: Vec<&dyn Array> = columns.iter().map(|c| c.as_ref()).collect();
        concat(&parts)?
    };
    let chosen = (0..call.rows).map(|row| (0..count).map(|column| column * call.rows + row).collect()).collect();
    build(&values, chosen, None, call.return_type)
}

pub(super) fn zip_type(given: &Given<'_>) -> Result<DataType> {
    let fields = given
        .types
        .iter()
        .map(|t| element(t).map(|item| Field::new("", item.clone(), true)))
        .collect::<Option<Vec<_>>>();
    match fields {
        Some(fields) if fields.len() >= 2 => Ok(array_of(DataType::Struct(fields.into()))),
        _ => Err(wrong_arguments(given.name, &given.types)),
    }
}

pub(super) fn zip(call: &Call<'_>) -> Result<ArrayRef> {
    let lists = (0..call.args.len()).map(|i| Lists::open(&call.array(i)?)).collect::<Result<Vec<_>>>()?;
    let lengths: Vec<usize> =
        (0..call.rows).map(|row| lists.iter().map(|l| l.range(row).len()).max().unwrap_or(0)).collect();
    let columns = lists
        .iter()
        .map(|list| {
            let mut indices = UInt32Builder::new();
            for (row, length) in lengths.iter().enumerate() {
                let range = list.range(row);
                for i in 0..*length {
                    indices.append_option((i < range.len()).then_some((range.start + i) as u32));
                }
            }
            Ok(take(list.values(), &indices.finish(), None)?)
        })
        .collect::<Result<Vec<_>>>()?;
    let DataType::List(field) = call.return_type else { return Err(failure("expected an array type")) };
    let DataType::Struct(fields) = field.data_type() else { return Err(failure("expected an array of rows")) };
    let rows: ArrayRef = Arc::new(StructArray::try_new(fields.clone(), columns, None)?);
    let nulls = lists.iter().fold(None, |nulls, l| NullBuffer::union(nulls.as_ref(), l.nulls()));
    Ok(Arc::new(ListArray::try_new(Arc::clone(field), OffsetBuffer::from_lengths(lengths), rows, nulls)?))
}

pub(super) fn row(call: &Call<'_>) -> Result<ArrayRef> {
    let DataType::Struct(fields) = call.return_type else { return Err(failure("expected a row type")) };
    let columns = fields
        .iter()
        .enumerate()
        .map(|(i, f)| cast_array(&call.array(i)?, f.data_type(), false))
        .collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(StructArray::try_new(fields.clone(), columns, None)?))
}

/// Counts the rows that arrays unnest to: an array from one to the length of the longest.
pub(super) fn ordinality(call: &Call<'_>) -> Result<ArrayRef> {
    let lists = (0..call.args.len()).map(|i| Lists::open(&call.array(i)?)).collect::<Result<Vec<_>>>()?;
    let lengths: Vec<usize> =
        (0..call.rows).map(|row| lists.iter().map(|l| l.range(row).len()).max().unwrap_or(0)).collect();
    let values: ArrayRef = Arc::new(Int64Array::from_iter_values(lengths.iter().flat_map(|n| 1..=*n as i64)));
    let DataType::List(field) = call.return_type else { return Err(failure("expected an array type")) };
    Ok(Arc::new(ListArray::try_new(Arc::clone(field), OffsetBuffer::from_lengths(lengths), values, None)?))
}
