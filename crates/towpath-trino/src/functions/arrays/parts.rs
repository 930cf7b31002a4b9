//! Pieces of arrays: slices, shorter arrays, neighbours, combinations; and arrays in another order.

use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, ListArray};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use rand::seq::SliceRandom;

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
    nested(call, &lists, groups, lengths, lists.nulls().cloned())
}

/// Builds arrays of arrays: the elements of each inner array, and how many of them a row has.
fn nested(
    call: &Call<'_>,
    lists: &Lists,
    groups: Vec<Vec<usize>>,
    lengths: Vec<usize>,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef> {
    let DataType::List(field) = call.return_type else { return Err(failure("expected an array type")) };
    let inner = build(lists.values(), groups, None, field.data_type())?;
    Ok(Arc::new(ListArray::try_new(Arc::clone(field), OffsetBuffer::from_lengths(lengths), inner, nulls)?))
}

/// Largest combinations that may be asked for.
const MAX_COMBINED: i64 = 5;

/// How many elements all combinations of one array may have together.
const MAX_COMBINATIONS: usize = 100_000;

pub(super) fn combinations(call: &Call<'_>) -> Result<ArrayRef> {
    let lists = Lists::open(&call.array(0)?)?;
    let sizes = integers(call, 1)?;
    let nulls = NullBuffer::union(lists.nulls(), sizes.nulls());
    let mut groups: Vec<Vec<usize>> = vec![];
    let mut lengths = vec![];
    for row in 0..lists.len() {
        let before = groups.len();
        if nulls.as_ref().is_none_or(|n| n.is_valid(row)) {
            let size = sizes.value(row);
            if size < 0 {
                return Err(failure(format!("combination size must not be negative: {size}")));
            }
            if size > MAX_COMBINED {
                return Err(failure(format!("combination size must not exceed {MAX_COMBINED}: {size}")));
            }
            combine(lists.range(row), size as usize, &mut groups)?;
        }
        lengths.push(groups.len() - before);
    }
    nested(call, &lists, groups, lengths, nulls)
}

/// Appends all choices of `size` elements, the first elements changing fastest.
fn combine(range: Range<usize>, size: usize, groups: &mut Vec<Vec<usize>>) -> Result<()> {
    if size > range.len() {
        return Ok(());
    }
    let mut chosen: Vec<usize> = (0..size).collect();
    let mut elements = 0;
    loop {
        elements += size;
        if elements > MAX_COMBINATIONS {
            return Err(failure("combinations exceed max size"));
        }
        groups.push(chosen.iter().map(|at| range.start + at).collect());
        let limit = |i: usize| chosen.get(i + 1).copied().unwrap_or(range.len());
        let Some(next) = (0..size).find(|i| chosen[*i] + 1 < limit(*i)) else { return Ok(()) };
        chosen[next] += 1;
        (0..next).for_each(|i| chosen[i] = i);
    }
}

pub(super) fn shuffle(call: &Call<'_>) -> Result<ArrayRef> {
    choose(call, |_, range| {
        let mut order: Vec<usize> = range.collect();
        order.shuffle(&mut rand::rng());
        order
    })
}
