//! Array columns, opened: where the elements of each row are, and new columns of chosen elements.

use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int64Array, ListArray, UInt32Array, new_null_array};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::compute::{cast, concat, take};
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::arrow::row::{RowConverter, Rows, SortField};
use datafusion::common::Result;

use super::unify::unify;
use crate::error::failure;
use crate::functions::casts::cast_array;
use crate::functions::shape::Call;
use crate::types::{array_of, element, trino_type_name};

/// An array column, opened.
pub(crate) struct Lists {
    list: ListArray,
}

impl Lists {
    /// Opens an argument that is an array.
    pub(crate) fn open(array: &ArrayRef) -> Result<Self> {
        match array.data_type() {
            DataType::List(_) => Ok(Self { list: array.as_list::<i32>().clone() }),
            DataType::Null => {
                let empty = new_null_array(&array_of(DataType::Null), array.len());
                Ok(Self { list: empty.as_list::<i32>().clone() })
            }
            other => match element(other) {
                Some(item) => Ok(Self { list: cast(array, &array_of(item.clone()))?.as_list::<i32>().clone() }),
                None => Err(failure(format!("expected an array, found {}", trino_type_name(other)))),
            },
        }
    }

    pub(crate) fn values(&self) -> &ArrayRef {
        self.list.values()
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn nulls(&self) -> Option<&NullBuffer> {
        self.list.nulls()
    }

    /// Returns where the elements of a row are; nowhere for NULL.
    pub(crate) fn range(&self, row: usize) -> Range<usize> {
        if self.list.is_null(row) {
            return 0..0;
        }
        let offsets = self.list.value_offsets();
        offsets[row] as usize..offsets[row + 1] as usize
    }

    pub(crate) fn is_null(&self, row: usize) -> bool {
        self.list.is_null(row)
    }
}

/// Puts values into the row format.
pub(crate) fn rows_of(values: &ArrayRef) -> Result<Rows> {
    let options = datafusion::arrow::compute::SortOptions { descending: false, nulls_first: false };
    let converter = RowConverter::new(vec![SortField::new_with_options(values.data_type().clone(), options)])?;
    Ok(converter.convert_columns(&[Arc::clone(values)])?)
}

/// Builds an array column of chosen elements.
pub(crate) fn build(
    values: &ArrayRef,
    chosen: Vec<Vec<usize>>,
    nulls: Option<NullBuffer>,
    to: &DataType,
) -> Result<ArrayRef> {
    let lengths = OffsetBuffer::from_lengths(chosen.iter().map(Vec::len));
    let indices: UInt32Array = chosen.into_iter().flatten().map(|i| i as u32).collect();
    let DataType::List(field) = to else { return Err(failure("expected an array type")) };
    let taken = take(values, &indices, None)?;
    let taken = cast_array(&taken, field.data_type(), false)?;
    Ok(Arc::new(ListArray::try_new(Arc::clone(field), lengths, taken, nulls)?))
}

/// Chooses elements of one array.
pub(super) fn choose(call: &Call<'_>, f: fn(&Rows, Range<usize>) -> Vec<usize>) -> Result<ArrayRef> {
    let lists = Lists::open(&call.array(0)?)?;
    let rows = rows_of(lists.values())?;
    let chosen = (0..lists.len()).map(|row| f(&rows, lists.range(row))).collect();
    build(lists.values(), chosen, lists.nulls().cloned(), call.return_type)
}

/// Opens two arrays over common values.
pub(super) fn open_two(call: &Call<'_>) -> Result<(Lists, Lists, ArrayRef, usize)> {
    let (a, b) = (Lists::open(&call.array(0)?)?, Lists::open(&call.array(1)?)?);
    let wanted =
        unify(a.values().data_type(), b.values().data_type()).ok_or_else(|| failure("the arrays differ in type"))?;
    let (x, y) = (cast_array(a.values(), &wanted, false)?, cast_array(b.values(), &wanted, false)?);
    let shift = x.len();
    let values = concat(&[&x, &y])?;
    Ok((a, b, values, shift))
}

pub(super) fn shifted(range: Range<usize>, by: usize) -> Range<usize> {
    range.start + by..range.end + by
}

pub(super) fn integers(call: &Call<'_>, argument: usize) -> Result<Int64Array> {
    Ok(call.array_as(argument, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
}
