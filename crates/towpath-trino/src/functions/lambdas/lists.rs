//! Lambdas over arrays.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, BooleanBuilder, ListArray, UInt32Array, UInt32Builder};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::compute::{interleave, take};
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::Result;
use datafusion::logical_expr::LambdaArgument;

use super::{Kind, booleans, run};
use crate::error::failure;
use crate::functions::arrays::{Lists, build};
use crate::functions::casts::cast_array;

/// Positions of the elements that belong to rows, and the row of each.
pub(super) fn reachable(lists: &Lists) -> (UInt32Array, UInt32Array, Vec<usize>) {
    let (mut elements, mut rows) = (UInt32Builder::new(), UInt32Builder::new());
    let mut lengths = Vec::with_capacity(lists.len());
    for row in 0..lists.len() {
        let range = lists.range(row);
        lengths.push(range.len());
        for i in range {
            elements.append_value(i as u32);
            rows.append_value(row as u32);
        }
    }
    (elements.finish(), rows.finish(), lengths)
}

pub(super) fn over_list(kind: Kind, array: &ArrayRef, lambda: &LambdaArgument, to: &DataType) -> Result<ArrayRef> {
    let lists = Lists::open(array)?;
    let (elements, rows, lengths) = reachable(&lists);
    let items = take(lists.values(), &elements, None)?;
    let results = run(lambda, &[Arc::clone(&items)], &rows)?;
    let offsets = OffsetBuffer::<i32>::from_lengths(lengths);
    let range = |row: usize| offsets[row] as usize..offsets[row + 1] as usize;
    if kind == Kind::Transform {
        let item = Arc::new(Field::new_list_field(results.data_type().clone(), true));
        return Ok(Arc::new(ListArray::try_new(item, offsets, results, lists.nulls().cloned())?));
    }
    let verdicts = booleans(&results)?;
    let holds = |i: usize| verdicts.is_valid(i) && verdicts.value(i);
    match kind {
        Kind::Filter => {
            let chosen = (0..lists.len()).map(|row| range(row).filter(|i| holds(*i)).collect()).collect();
            build(&items, chosen, lists.nulls().cloned(), to)
        }
        Kind::FindFirst => {
            let found: UInt32Array =
                (0..lists.len()).map(|row| range(row).find(|i| holds(*i)).map(|i| i as u32)).collect();
            Ok(take(&items, &found, None)?)
        }
        _ => {
            let mut builder = BooleanBuilder::with_capacity(lists.len());
            for row in 0..lists.len() {
                if lists.is_null(row) {
                    builder.append_null();
                    continue;
                }
                let decides = if kind == Kind::AllMatch {
                    range(row).any(|i| verdicts.is_valid(i) && !verdicts.value(i))
                } else {
                    range(row).any(holds)
                };
                let unknown = range(row).any(|i| verdicts.is_null(i));
                let decided = kind == Kind::AnyMatch;
                builder.append_option(if decides {
                    Some(decided)
                } else if unknown {
                    None
                } else {
                    Some(!decided)
                });
            }
            Ok(Arc::new(builder.finish()))
        }
    }
}

pub(super) fn zip_with(values: &[ArrayRef], lambda: &LambdaArgument, to: &DataType) -> Result<ArrayRef> {
    let (a, b) = (Lists::open(&values[0])?, Lists::open(&values[1])?);
    let nulls = NullBuffer::union(a.nulls(), b.nulls());
    let (mut left, mut right, mut rows) = (UInt32Builder::new(), UInt32Builder::new(), UInt32Builder::new());
    let mut lengths = vec![];
    for row in 0..a.len() {
        let (x, y) = (a.range(row), b.range(row));
        let length = if nulls.as_ref().is_some_and(|n| n.is_null(row)) { 0 } else { x.len().max(y.len()) };
        lengths.push(length);
        for i in 0..length {
            left.append_option((i < x.len()).then_some((x.start + i) as u32));
            right.append_option((i < y.len()).then_some((y.start + i) as u32));
            rows.append_value(row as u32);
        }
    }
    let parameters = [take(a.values(), &left.finish(), None)?, take(b.values(), &right.finish(), None)?];
    let results = run(lambda, &parameters, &rows.finish())?;
    let DataType::List(item) = to else { return Err(failure("expected an array type")) };
    let results = cast_array(&results, item.data_type(), false)?;
    Ok(Arc::new(ListArray::try_new(Arc::clone(item), OffsetBuffer::from_lengths(lengths), results, nulls)?))
}

/// Folds every array from its start: step `n` runs the merge over all rows that have an element `n`.
pub(super) fn reduce(
    values: &[ArrayRef],
    merge: &LambdaArgument,
    finish: &LambdaArgument,
    state_type: &DataType,
) -> Result<ArrayRef> {
    let lists = Lists::open(&values[0])?;
    let mut state = cast_array(&values[1], state_type, false)?;
    let longest = (0..lists.len()).map(|row| lists.range(row).len()).max().unwrap_or(0);
    for step in 0..longest {
        let active: Vec<usize> = (0..lists.len()).filter(|row| step < lists.range(*row).len()).collect();
        let rows = UInt32Array::from(active.iter().map(|row| *row as u32).collect::<Vec<_>>());
        let elements =
            UInt32Array::from(active.iter().map(|row| (lists.range(*row).start + step) as u32).collect::<Vec<_>>());
        let merged = run(merge, &[take(&state, &rows, None)?, take(lists.values(), &elements, None)?], &rows)?;
        let merged = cast_array(&merged, state_type, false)?;
        let mut next = 0;
        let sources: Vec<(usize, usize)> = (0..lists.len())
            .map(|row| {
                if active.get(next) == Some(&row) {
                    next += 1;
                    (1, next - 1)
                } else {
                    (0, row)
                }
            })
            .collect();
        state = interleave(&[&state, &merged], &sources)?;
    }
    let all: UInt32Array = (0..lists.len() as u32).collect();
    let results = run(finish, &[state], &all)?;
    let present: UInt32Array = (0..lists.len()).map(|row| (!lists.is_null(row)).then_some(row as u32)).collect();
    Ok(take(&results, &present, None)?)
}
