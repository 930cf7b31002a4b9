//! Pieces of arrays: slices, shorter arrays, runs of neighbours; and arrays backwards.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, ListArray};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;

use super::lists::{Lists, build, choose, integers};
use crate::error::failure;
use crate::functions::scalar::wrong_arguments;
use crate::functions::shape::{Call, Given};
use crate::types::is_text;

pub(super) fn reversed_type(given: &Given<'_>) -> Result<DataType> {
    match given.types.as_slice() {
        [list @ DataType::List(_)] => Ok(list.clone()),
        [text] if is_text(text) || *text == DataType::Null => Ok(DataType::Utf8),
        types => Err(wrong_arguments(given.name, types)),
    }
}

pub(super) fn reverse(call: &Call<'_>) -> Result<ArrayRef> {
    if *call.return_type == DataType::Utf8 {
        let texts = call.array_as(0, &DataType::Utf8)?;
        let reversed = texts.as_string::<i32>().iter().map(|t| t.map(|t| t.chars().rev().collect::<String>()));
        return Ok(Arc::new(reversed.collect::<datafusion::arrow::array::StringArray>()));
    }
    choose(call, |_, range| range.rev().collect())
}

pub(super) fn slice(call: &Call<'_>) -> Result<ArrayRef> {
    let lists = Lists::open(&call.array(0)?)?;
    let (starts, lengths) = (integers(call, 1)?, integers(call, 2)?);
    let mut chosen = Vec::with_capacity(lists.len());
    for row in 0..lists.len() {
        let range = lists.range(row);
        let (start, length) = (starts.value(row), lengths.value(row));
        if starts.is_valid(row) && start == 0 {
            return Err(failure("slice: array positions count from one"));
        }
        if lengths.is_valid(row) && length < 0 {
            return Err(failure("slice: the length must not be negative"));
        }
        let size = range.len() as i64;
        let first = if start > 0 { start - 1 } else { size + start };
        let last = first.saturating_add(length).min(size);
        chosen.push(if first < 0 || first >= last {
            vec![]
        } else {
            (range.start + first as usize..range.start + last as usize).collect()
        });
    }
    let nulls = NullBuffer::union(NullBuffer::union(lists.nulls(), starts.nulls()).as_ref(), lengths.nulls());
    build(lists.values(), chosen, nulls, call.return_type)
}

pub(super) fn trim(call: &Call<'_>) -> Result<ArrayRef> {
    let lists = Lists::open(&call.array(0)?)?;
    let counts = integers(call, 1)?;
    let mut chosen = Vec::with_capacity(lists.len());
    for row in 0..lists.len() {
        let range = lists.range(row);
        let count = counts.value(row);
        if count < 0 || count as usize > range.len() && !lists.is_null(row) {
            return Err(failure("trim_array: the size must be between zero and the size of the array"));
        }
        chosen.push((range.start..range.end.saturating_sub(count as usize).max(range.start)).collect());
    }
    build(lists.values(), chosen, NullBuffer::union(lists.nulls(), counts.nulls()), call.return_type)
}

pub(super) fn ngrams(call: &Call<'_>) -> Result<ArrayRef> {
    let lists = Lists::open(&call.array(0)?)?;
    let sizes = integers(call, 1)?;
    let mut groups: Vec<Vec<usize>> = vec![];
    let mut lengths = vec![];
    for row in 0..lists.len() {
        let before = groups.len();
        let size = sizes.value(row);
        if size < 1 {
            return Err(failure("ngrams: the size must be positive"));
        }
        let range: Vec<usize> = lists.range(row).collect();
        if range.len() <= size as usize {
            groups.push(range);
        } else {
            groups.extend(range.windows(size as usize).map(<[usize]>::to_vec));
        }
        lengths.push(groups.len() - before);
    }
    let DataType::List(field) = call.return_type else { return Err(failure("expected an array type")) };
    let inner = build(lists.values(), groups, None, field.data_type())?;
    Ok(Arc::new(ListArray::try_new(
        Arc::clone(field),
        OffsetBuffer::from_lengths(lengths),
        inner,
        lists.nulls().cloned(),
    )?))
}
