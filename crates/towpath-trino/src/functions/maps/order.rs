//! The order of entries: Trino compares maps as sets of entries, the row format as sequences.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, ListArray, StructArray, UInt32Builder};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::take;
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::row::OwnedRow;
use datafusion::common::Result;

use super::access::entry_range;
use crate::functions::arrays::rows_of;
use crate::functions::casts::map_array;
use crate::types::element;

/// Puts the entries of every map, at any depth, in the order of their keys: equal maps then are equal values.
pub(super) fn sorted(array: &ArrayRef) -> Result<ArrayRef> {
    Ok(match array.data_type() {
        DataType::Map(field, _) => {
            let map = array.as_map();
            let rows = rows_of(map.keys())?;
            let in_order = (0..map.len()).all(|row| {
                let range = entry_range(map, row);
                (range.start + 1..range.end).all(|i| rows.row(i - 1) <= rows.row(i))
            });
            if in_order {
                return Ok(Arc::clone(array));
            }
            let mut indices = UInt32Builder::new();
            let mut lengths = vec![];
            for row in 0..map.len() {
                let mut order: Vec<(OwnedRow, usize)> =
                    entry_range(map, row).map(|i| (rows.row(i).owned(), i)).collect();
                order.sort();
                lengths.push(order.len());
                order.iter().for_each(|(_, i)| indices.append_value(*i as u32));
            }
            let indices = indices.finish();
            let values = sorted(&take(map.values(), &indices, None)?)?;
            map_array(
                field,
                OffsetBuffer::from_lengths(lengths),
                take(map.keys(), &indices, None)?,
                values,
                map.nulls().cloned(),
            )?
        }
        DataType::List(field) => {
            let list = array.as_list::<i32>();
            Arc::new(ListArray::try_new(
                Arc::clone(field),
                list.offsets().clone(),
                sorted(list.values())?,
                list.nulls().cloned(),
            )?)
        }
        DataType::Struct(fields) => {
            let row = array.as_struct();
            let columns = row.columns().iter().map(sorted).collect::<Result<Vec<_>>>()?;
            Arc::new(StructArray::try_new(fields.clone(), columns, row.nulls().cloned())?)
        }
        _ => Arc::clone(array),
    })
}

/// True if a type holds a map at any depth.
pub(crate) fn has_map(data_type: &DataType) -> bool {
    match data_type {
        DataType::Map(_, _) => true,
        DataType::Struct(fields) => fields.iter().any(|f| has_map(f.data_type())),
        other => element(other).is_some_and(has_map),
    }
}
