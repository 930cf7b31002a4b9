//! Arrays built from nothing: sequences and repetitions, of bounded length.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int64Array, ListArray};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::datatypes::{DataType, Date32Type};
use datafusion::common::Result;

use super::lists::{build, integers};
use crate::error::failure;
use crate::functions::calendar::DAY;
use crate::functions::casts::timestamps;
use crate::functions::datetime;
use crate::functions::scalar::{micros, wrong_arguments};
use crate::functions::shape::{Call, Given};
use crate::types::{array_of, element, is_integer};

/// Longest array that a function may build from nothing.
const MAX_BUILT: i64 = 10_000;

pub(super) fn repeat(call: &Call<'_>) -> Result<ArrayRef> {
    let values = call.array(0)?;
    let counts = integers(call, 1)?;
    let mut chosen = Vec::with_capacity(call.rows);
    for row in 0..call.rows {
        let count = counts.value(row).max(0);
        if count > MAX_BUILT {
            return Err(failure(format!("repeat: an array may have at most {MAX_BUILT} elements")));
        }
        chosen.push(vec![row; count as usize]);
    }
    build(&values, chosen, counts.nulls().cloned(), call.return_type)
}

pub(super) fn sequence_type(given: &Given<'_>) -> Result<DataType> {
    match given.types.as_slice() {
        [a, b] | [a, b, _] if is_integer(a) && is_integer(b) => Ok(array_of(DataType::Int64)),
        [DataType::Date32, DataType::Date32] | [DataType::Date32, DataType::Date32, DataType::Interval(_)] => {
            Ok(array_of(DataType::Date32))
        }
        [a @ DataType::Timestamp(_, _), DataType::Timestamp(_, _) | DataType::Date32, DataType::Interval(_)] => {
            Ok(array_of(a.clone()))
        }
        types => Err(wrong_arguments(given.name, types)),
    }
}

pub(super) fn sequence(call: &Call<'_>) -> Result<ArrayRef> {
    let item = element(call.return_type).cloned().ok_or_else(|| failure("expected an array type"))?;
    let as_numbers = |argument: usize| -> Result<(Vec<i64>, Option<NullBuffer>)> {
        let array = call.array(argument)?;
        let values = match array.data_type() {
            DataType::Date32 => {
                array.as_primitive::<Date32Type>().values().iter().map(|d| i64::from(*d) * DAY).collect()
            }
            DataType::Timestamp(unit, _) => micros(&array, *unit),
            _ => integers(call, argument)?.values().to_vec(),
        };
        Ok((values, array.nulls().cloned()))
    };
    let ((starts, a_nulls), (stops, b_nulls)) = (as_numbers(0)?, as_numbers(1)?);
    let intervals = if call.args.len() > 2 && !is_integer(&call.args[2].data_type()) {
        Some(call.array_as(2, &DataType::Interval(datafusion::arrow::datatypes::IntervalUnit::MonthDayNano))?)
    } else {
        None
    };
    let steps = if call.args.len() > 2 && intervals.is_none() { Some(integers(call, 2)?) } else { None };
    let nulls = NullBuffer::union(a_nulls.as_ref(), b_nulls.as_ref());
    let mut built: Vec<i64> = vec![];
    let mut lengths = vec![];
    for row in 0..call.rows {
        let before = built.len();
        if nulls.as_ref().is_none_or(|n| n.is_valid(row)) {
            let (start, stop) = (starts[row], stops[row]);
            let mut next = start;
            let advance = |n: i64, count: i64| -> Result<i64> {
                if let Some(intervals) = &intervals {
                    let step =
                        intervals.as_primitive::<datafusion::arrow::datatypes::IntervalMonthDayNanoType>().value(row);
                    let months = datetime::add(start, datetime::Unit::Months(1), i64::from(step.months) * count)
                        .map_err(failure)?;
                    return Ok(months
                        .saturating_add((i64::from(step.days) * DAY + step.nanoseconds / 1000).saturating_mul(count)));
                }
                let down = if stop < start { -1 } else { 1 };
                let step = match (&steps, &item) {
                    (Some(steps), _) => steps.value(row),
                    (None, DataType::Int64) => down,
                    (None, _) => down * DAY,
                };
                Ok(n.saturating_add(step))
            };
            let ascending = advance(start, 1)? >= start;
            if advance(start, 1)? == start || start != stop && ascending != (start < stop) {
                return Err(failure("sequence: the step does not lead from the start to the end"));
            }
            let mut count = 0;
            while if ascending { next <= stop } else { next >= stop } {
                built.push(next);
                count += 1;
                if count > MAX_BUILT {
                    return Err(failure(format!("sequence: an array may have at most {MAX_BUILT} elements")));
                }
                next = advance(next, count)?;
            }
        }
        lengths.push(built.len() - before);
    }
    let values: ArrayRef = match &item {
        DataType::Date32 => Arc::new(datafusion::arrow::array::Date32Array::from(
            built.iter().map(|v| v.div_euclid(DAY) as i32).collect::<Vec<_>>(),
        )),
        DataType::Int64 => Arc::new(Int64Array::from(built)),
        other => timestamps(built, None, other)?,
    };
    let DataType::List(field) = call.return_type else { return Err(failure("expected an array type")) };
    Ok(Arc::new(ListArray::try_new(Arc::clone(field), OffsetBuffer::from_lengths(lengths), values, nulls)?))
}
