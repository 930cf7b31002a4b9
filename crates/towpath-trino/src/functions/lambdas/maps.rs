//! Lambdas over maps.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayBuilder, ArrayRef, AsArray, UInt32Builder};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::compute::take;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::LambdaArgument;

use super::{Kind, booleans, run};
use crate::error::failure;
use crate::functions::arrays::rows_of;
use crate::functions::casts::{cast_array, map_array};
use crate::types::map_parts;

pub(super) fn over_map(kind: Kind, array: &ArrayRef, lambda: &LambdaArgument, to: &DataType) -> Result<ArrayRef> {
    let map = array.as_map();
    let (mut entries, mut rows, mut lengths) = (UInt32Builder::new(), UInt32Builder::new(), vec![]);
    for row in 0..map.len() {
        let range = if map.is_null(row) { 0..0 } else { map.value_offsets()[row]..map.value_offsets()[row + 1] };
        lengths.push(range.len());
        for i in range {
            entries.append_value(i as u32);
            rows.append_value(row as u32);
        }
    }
    let entries = entries.finish();
    let (keys, values) = (take(map.keys(), &entries, None)?, take(map.values(), &entries, None)?);
    let results = run(lambda, &[Arc::clone(&keys), Arc::clone(&values)], &rows.finish())?;
    let DataType::Map(field, _) = to else { return Err(failure("expected a map type")) };
    let (key_type, value_type) = map_parts(to).ok_or_else(|| failure("expected a map type"))?;
    match kind {
        Kind::MapFilter => {
            let verdicts = booleans(&results)?;
            let mut kept = UInt32Builder::new();
            let mut kept_lengths = vec![];
            let mut at = 0;
            for length in lengths {
                let chosen =
                    (at..at + length).filter(|i| verdicts.is_valid(*i) && verdicts.value(*i)).map(|i| i as u32);
                let before = ArrayBuilder::len(&kept);
                chosen.for_each(|i| kept.append_value(i));
                kept_lengths.push(ArrayBuilder::len(&kept) - before);
                at += length;
            }
            let kept = kept.finish();
            map_array(
                field,
                OffsetBuffer::from_lengths(kept_lengths),
                take(&keys, &kept, None)?,
                take(&values, &kept, None)?,
                map.nulls().cloned(),
            )
        }
        Kind::TransformKeys => {
            let new_keys = cast_array(&results, key_type, false)?;
            check_keys(&new_keys, &lengths)?;
            map_array(field, OffsetBuffer::from_lengths(lengths), new_keys, values, map.nulls().cloned())
        }
        _ => map_array(
            field,
            OffsetBuffer::from_lengths(lengths),
            keys,
            cast_array(&results, value_type, false)?,
            map.nulls().cloned(),
        ),
    }
}

/// Refuses NULL and repeated keys.
fn check_keys(keys: &ArrayRef, lengths: &[usize]) -> Result<()> {
    if keys.null_count() > 0 {
        return Err(failure("map key cannot be null"));
    }
    let rows = rows_of(keys)?;
    let mut at = 0;
    for length in lengths {
        let mut seen = std::collections::HashSet::new();
        if let Some(again) = (at..at + length).find(|i| !seen.insert(rows.row(*i))) {
            return Err(failure(format!("duplicate map key: {}", crate::cell::element_text(keys, again))));
        }
        at += length;
    }
    Ok(())
}

pub(super) fn map_zip_with(values: &[ArrayRef], lambda: &LambdaArgument, to: &DataType) -> Result<ArrayRef> {
    let (a, b) = (values[0].as_map(), values[1].as_map());
    let both = datafusion::arrow::compute::concat(&[a.keys(), b.keys()])?;
    let rows_format = rows_of(&both)?;
    let shift = a.keys().len();
    let nulls = NullBuffer::union(a.nulls(), b.nulls());
    let (mut keys, mut left, mut right, mut rows) =
        (UInt32Builder::new(), UInt32Builder::new(), UInt32Builder::new(), UInt32Builder::new());
    let mut lengths = vec![];
    for row in 0..a.len() {
        let before = ArrayBuilder::len(&keys);
        if nulls.as_ref().is_none_or(|n| n.is_valid(row)) {
            let range = |m: &datafusion::arrow::array::MapArray| {
                m.value_offsets()[row] as usize..m.value_offsets()[row + 1] as usize
            };
            let same = |i: usize, j: usize| rows_format.row(i) == rows_format.row(j + shift);
            for i in range(a) {
                keys.append_value(i as u32);
                left.append_value(i as u32);
                right.append_option(range(b).find(|j| same(i, *j)).map(|j| j as u32));
            }
            for j in range(b).filter(|j| !range(a).any(|i| same(i, *j))) {
                keys.append_value((j + shift) as u32);
                left.append_null();
                right.append_value(j as u32);
            }
        }
        let length = ArrayBuilder::len(&keys) - before;
        (0..length).for_each(|_| rows.append_value(row as u32));
        lengths.push(length);
    }
    let keys = take(&both, &keys.finish(), None)?;
    let parameters =
        [Arc::clone(&keys), take(a.values(), &left.finish(), None)?, take(b.values(), &right.finish(), None)?];
    let results = run(lambda, &parameters, &rows.finish())?;
    let DataType::Map(field, _) = to else { return Err(failure("expected a map type")) };
    let value_type = map_parts(to).ok_or_else(|| failure("expected a map type"))?.1;
    map_array(field, OffsetBuffer::from_lengths(lengths), keys, cast_array(&results, value_type, false)?, nulls)
}
