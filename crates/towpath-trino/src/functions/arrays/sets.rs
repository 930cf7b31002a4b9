//! Arrays as sets: union, intersection, difference, overlap.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, BooleanBuilder};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::row::Rows;
use datafusion::common::Result;

use super::lists::{build, open_two, rows_of, shifted};
use crate::functions::shape::Call;

pub(super) fn combine(call: &Call<'_>, f: fn(&Rows, Range<usize>, Range<usize>) -> Vec<usize>) -> Result<ArrayRef> {
    let (a, b, values, shift) = open_two(call)?;
    let rows = rows_of(&values)?;
    let chosen = (0..a.len()).map(|row| f(&rows, a.range(row), shifted(b.range(row), shift))).collect();
    build(&values, chosen, NullBuffer::union(a.nulls(), b.nulls()), call.return_type)
}

pub(super) fn overlap(call: &Call<'_>) -> Result<ArrayRef> {
    let (a, b, values, shift) = open_two(call)?;
    let rows = rows_of(&values)?;
    let mut builder = BooleanBuilder::with_capacity(a.len());
    for row in 0..a.len() {
        if a.is_null(row) || b.is_null(row) {
            builder.append_null();
            continue;
        }
        let present: HashSet<_> =
            shifted(b.range(row), shift).filter(|i| values.is_valid(*i)).map(|i| rows.row(i)).collect();
        let found = a.range(row).filter(|i| values.is_valid(*i)).any(|i| present.contains(&rows.row(i)));
        let unknown = a.range(row).chain(shifted(b.range(row), shift)).any(|i| values.is_null(i));
        builder.append_option(if found {
            Some(true)
        } else if unknown {
            None
        } else {
            Some(false)
        });
    }
    Ok(Arc::new(builder.finish()))
}
