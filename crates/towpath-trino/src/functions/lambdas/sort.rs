//! `array_sort(array, (x, y) -> ...)`: a merge sort that asks the lambda for many pairs at once.
//!
//! Runs of one, two, four ... elements are merged. All merges of all rows move forward together, so that a step is one
//! evaluation of the lambda, and there are about twice as many steps as the longest array has elements.

use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, ListArray, UInt32Array};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::take;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::Result;
use datafusion::logical_expr::LambdaArgument;

use super::lists::reachable;
use super::run;
use crate::error::failure;
use crate::functions::arrays::Lists;
use crate::functions::casts::cast_array;

/// Two neighbouring runs on their way into one.
struct Merge {
    left: Range<usize>,
    right: Range<usize>,
    /// Where the next element goes.
    to: usize,
}

impl Merge {
    fn is_open(&self) -> bool {
        !self.left.is_empty() && !self.right.is_empty()
    }

    fn advance(&mut self, take_right: bool, from: &[u32], into: &mut [u32]) {
        let side = if take_right { &mut self.right } else { &mut self.left };
        into[self.to] = from[side.start];
        side.start += 1;
        self.to += 1;
    }

    /// Takes what is left when one side is used up.
    fn finish(&mut self, from: &[u32], into: &mut [u32]) {
        while !self.left.is_empty() || !self.right.is_empty() {
            self.advance(self.left.is_empty(), from, into);
        }
    }
}

/// Sorts every array by the order that the lambda gives to two elements: -1, 0 or 1.
pub(super) fn sort_by(array: &ArrayRef, lambda: &LambdaArgument, to: &DataType) -> Result<ArrayRef> {
    let lists = Lists::open(array)?;
    let (elements, rows, lengths) = reachable(&lists);
    let items = take(lists.values(), &elements, None)?;
    let offsets = OffsetBuffer::<i32>::from_lengths(lengths.iter().copied());
    let longest = lengths.iter().copied().max().unwrap_or(0);
    let mut order: Vec<u32> = (0..items.len() as u32).collect();
    let mut width = 1;
    while width < longest {
        let mut merges = vec![];
        for bounds in offsets.windows(2) {
            let (start, end) = (bounds[0] as usize, bounds[1] as usize);
            for left in (start..end).step_by(2 * width) {
                let middle = (left + width).min(end);
                merges.push(Merge { left: left..middle, right: middle..(left + 2 * width).min(end), to: left });
            }
        }
        let mut merged = order.clone();
        loop {
            let mut open: Vec<&mut Merge> = merges.iter_mut().filter(|m| m.is_open()).collect();
            if open.is_empty() {
                break;
            }
            let lefts: UInt32Array = open.iter().map(|m| order[m.left.start]).collect();
            let rights: UInt32Array = open.iter().map(|m| order[m.right.start]).collect();
            let verdicts = compare(lambda, &items, &lefts, &rights, &rows)?;
            for (merge, verdict) in open.iter_mut().zip(verdicts) {
                merge.advance(verdict > 0, &order, &mut merged);
            }
        }
        merges.iter_mut().for_each(|m| m.finish(&order, &mut merged));
        order = merged;
        width *= 2;
    }
    let DataType::List(field) = to else { return Err(failure("expected an array type")) };
    let sorted = take(&items, &UInt32Array::from(order), None)?;
    let sorted = cast_array(&sorted, field.data_type(), false)?;
    Ok(Arc::new(ListArray::try_new(Arc::clone(field), offsets, sorted, lists.nulls().cloned())?))
}

fn compare(
    lambda: &LambdaArgument,
    items: &ArrayRef,
    lefts: &UInt32Array,
    rights: &UInt32Array,
    rows: &UInt32Array,
) -> Result<Vec<i64>> {
    let rows = take(rows, lefts, None)?;
    let rows = rows.as_primitive();
    let verdicts = run(lambda, &[take(items, lefts, None)?, take(items, rights, None)?], rows)?;
    let verdicts = cast_array(&verdicts, &DataType::Int64, false)?;
    verdicts
        .as_primitive::<Int64Type>()
        .iter()
        .map(|verdict| {
            verdict
                .filter(|v| (-1..=1).contains(v))
                .ok_or_else(|| failure("array_sort: the lambda must return either -1, 0, or 1"))
        })
        .collect()
}
