//! Elements found by value, by extreme and by position.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, BooleanBuilder, Int64Builder, UInt32Builder};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::compute::take;
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::row::{RowConverter, SortField};
use datafusion::common::Result;

use super::lists::{Lists, build, rows_of};
use super::unify::unify;
use crate::error::{failure, mistake_about};
use crate::functions::casts::cast_array;
use crate::functions::formats::in_network;
use crate::functions::shape::Call;
use crate::types::{is_text, trino_type_name};

/// Finds, for each row, the first element equal to the second argument.
fn search(call: &Call<'_>, mut found: impl FnMut(usize, &Lists, Option<usize>, bool)) -> Result<()> {
    let lists = Lists::open(&call.array(0)?)?;
    let wanted =
        unify(lists.values().data_type(), &call.args[1].data_type()).ok_or_else(|| failure("the types differ"))?;
    let values = cast_array(lists.values(), &wanted, false)?;
    let needles = cast_array(&call.array(1)?, &wanted, false)?;
    let converter = RowConverter::new(vec![SortField::new(wanted)])?;
    let (haystack, needle_rows) =
        (converter.convert_columns(&[Arc::clone(&values)])?, converter.convert_columns(&[Arc::clone(&needles)])?);
    for row in 0..lists.len() {
        let absent = lists.is_null(row) || needles.is_null(row);
        let at = if absent {
            None
        } else {
            lists.range(row).find(|i| values.is_valid(*i) && haystack.row(*i) == needle_rows.row(row))
        };
        found(row, &lists, at, absent);
    }
    Ok(())
}

pub(super) fn contains(call: &Call<'_>) -> Result<ArrayRef> {
    if is_text(&call.args[0].data_type()) {
        return in_network(call);
    }
    let mut builder = BooleanBuilder::with_capacity(call.rows);
    search(call, |row, lists, at, absent| {
        let unknown = || lists.range(row).any(|i| lists.values().is_null(i));
        builder.append_option(if absent || at.is_none() && unknown() { None } else { Some(at.is_some()) });
    })?;
    Ok(Arc::new(builder.finish()))
}

pub(super) fn position(call: &Call<'_>) -> Result<ArrayRef> {
    let mut builder = Int64Builder::with_capacity(call.rows);
    search(call, |row, lists, at, absent| {
        builder.append_option((!absent).then(|| at.map_or(0, |at| (at - lists.range(row).start) as i64 + 1)));
    })?;
    Ok(Arc::new(builder.finish()))
}

pub(super) fn remove(call: &Call<'_>) -> Result<ArrayRef> {
    let lists = Lists::open(&call.array(0)?)?;
    let needles = cast_array(&call.array(1)?, lists.values().data_type(), false)?;
    let converter = RowConverter::new(vec![SortField::new(needles.data_type().clone())])?;
    let (haystack, wanted) = (
        converter.convert_columns(&[Arc::clone(lists.values())])?,
        converter.convert_columns(&[Arc::clone(&needles)])?,
    );
    let chosen = (0..lists.len())
        .map(|row| lists.range(row).filter(|i| haystack.row(*i) != wanted.row(row)).collect())
        .collect();
    build(lists.values(), chosen, NullBuffer::union(lists.nulls(), needles.nulls()), call.return_type)
}

pub(super) fn extreme(call: &Call<'_>, greatest: bool) -> Result<ArrayRef> {
    let lists = Lists::open(&call.array(0)?)?;
    let rows = rows_of(lists.values())?;
    let mut indices = UInt32Builder::with_capacity(lists.len());
    for row in 0..lists.len() {
        // An array with a NULL in it has no greatest element.
        let has_null = lists.range(row).any(|i| lists.values().is_null(i));
        let order = |a: &usize, b: &usize| rows.row(*a).cmp(&rows.row(*b));
        let found = if greatest { lists.range(row).max_by(order) } else { lists.range(row).min_by(order) };
        indices.append_option(found.filter(|_| !has_null).map(|i| i as u32));
    }
    Ok(take(lists.values(), &indices.finish(), None)?)
}

/// Takes one element by position; outside the array it is NULL, or an error if `strict`.
pub(crate) fn pick(call: &Call<'_>, at: impl Fn(usize) -> i64, strict: bool) -> Result<ArrayRef> {
    let lists = Lists::open(&call.array(0)?)?;
    let mut indices = UInt32Builder::with_capacity(lists.len());
    for row in 0..lists.len() {
        let range = lists.range(row);
        let index = match at(row) {
            i64::MIN => None,
            0 if !call.lenient && !lists.is_null(row) => return Err(failure("array positions count from one")),
            n if n > 0 => range.start.checked_add(n as usize - 1).filter(|i| *i < range.end),
            n => range.end.checked_sub(n.unsigned_abs() as usize).filter(|i| *i >= range.start && n != 0),
        };
        if strict && index.is_none() && !lists.is_null(row) && at(row) != i64::MIN && !call.lenient {
            return Err(failure(format!("array subscript {} is out of bounds", at(row))));
        }
        indices.append_option(index.map(|i| i as u32));
    }
    Ok(take(lists.values(), &indices.finish(), None)?)
}

/// Refuses a subscript of a type that has none.
pub(crate) fn no_subscript(name: &str, data_type: &DataType) -> datafusion::error::DataFusionError {
    mistake_about(name, format!("a value of type {} has no elements", trino_type_name(data_type)))
}
