//! Maps built from pairs: from arrays, entries, aggregates and text.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, ListArray, MapArray, UInt32Array, new_null_array,
};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::{concat, take};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;

use super::access::entry_range;
use crate::cell::element_text;
use crate::error::failure;
use crate::functions::arrays::{Lists, rows_of};
use crate::functions::casts::{cast_array, map_array};
use crate::functions::scalar::wrong_arguments;
use crate::functions::shape::{Call, Given};
use crate::types::{array_of, is_text, map_of, map_parts};

pub(super) fn map_type(given: &Given<'_>) -> Result<DataType> {
    match given.types.as_slice() {
        [] => Ok(map_of(DataType::Null, DataType::Null)),
        [DataType::List(key), DataType::List(value)] => Ok(map_of(key.data_type().clone(), value.data_type().clone())),
        types => Err(wrong_arguments(given.name, types)),
    }
}

/// What to do when a key comes again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeats {
    Refuse,
    First,
    Last,
    Collect,
}

/// Builds maps from the pairs of each row, given as positions in `keys` and `values`.
fn build(
    pairs: Vec<Option<Vec<(usize, usize)>>>,
    keys: &ArrayRef,
    values: &ArrayRef,
    repeats: Repeats,
    to: &DataType,
) -> Result<ArrayRef> {
    let DataType::Map(entries, _) = to else { return Err(failure("expected a map type")) };
    let (key_type, value_type) = map_parts(to).ok_or_else(|| failure("expected a map type"))?;
    let rows = rows_of(keys)?;
    let mut lengths = Vec::with_capacity(pairs.len());
    let mut valid = Vec::with_capacity(pairs.len());
    let (mut chosen_keys, mut chosen_values): (Vec<u32>, Vec<Vec<u32>>) = (vec![], vec![]);
    for pairs in pairs {
        let before = chosen_keys.len();
        valid.push(pairs.is_some());
        let mut seen = HashMap::new();
        for (key, value) in pairs.into_iter().flatten() {
            if keys.is_null(key) {
                if repeats == Repeats::Refuse {
                    return Err(failure("map key cannot be null"));
                }
                continue;
            }
            match seen.get(&rows.row(key)) {
                None => {
                    seen.insert(rows.row(key), chosen_keys.len());
                    chosen_keys.push(key as u32);
                    chosen_values.push(vec![value as u32]);
                }
                Some(at) => match repeats {
                    Repeats::Refuse => return Err(failure(format!("duplicate map key: {}", element_text(keys, key)))),
                    Repeats::First => {}
                    Repeats::Last => chosen_values[*at] = vec![value as u32],
                    Repeats::Collect => chosen_values[*at].push(value as u32),
                },
            }
        }
        lengths.push(chosen_keys.len() - before);
    }
    let map_keys = cast_array(&take(keys, &UInt32Array::from(chosen_keys), None)?, key_type, false)?;
    let groups = OffsetBuffer::from_lengths(chosen_values.iter().map(Vec::len));
    let flat = take(values, &UInt32Array::from(chosen_values.concat()), None)?;
    let map_values = match (repeats, value_type) {
        (Repeats::Collect, DataType::List(field)) => {
            Arc::new(ListArray::try_new(Arc::clone(field), groups, cast_array(&flat, field.data_type(), false)?, None)?)
                as ArrayRef
        }
        _ => cast_array(&flat, value_type, false)?,
    };
    map_array(entries, OffsetBuffer::from_lengths(lengths), map_keys, map_values, Some(valid.into()))
}

pub(super) fn make_map(call: &Call<'_>) -> Result<ArrayRef> {
    if call.args.is_empty() {
        let nothing = new_null_array(&DataType::Null, 0);
        return build(vec![Some(vec![]); call.rows], &nothing, &nothing, Repeats::Refuse, call.return_type);
    }
    let (keys, values) = (Lists::open(&call.array(0)?)?, Lists::open(&call.array(1)?)?);
    let mut pairs = Vec::with_capacity(call.rows);
    for row in 0..call.rows {
        if keys.is_null(row) || values.is_null(row) {
            pairs.push(None);
            continue;
        }
        if keys.range(row).len() != values.range(row).len() {
            return Err(failure("map: the arrays of keys and values must have the same length"));
        }
        pairs.push(Some(keys.range(row).zip(values.range(row)).collect()));
    }
    build(pairs, keys.values(), values.values(), Repeats::Refuse, call.return_type)
}

pub(super) fn entries_type(given: &Given<'_>) -> Result<DataType> {
    let name = given.name.trim_start_matches('$');
    match given.types.as_slice() {
        [DataType::List(item)] => match item.data_type() {
            DataType::Struct(fields) if fields.len() == 2 => {
                Ok(map_of(fields[0].data_type().clone(), fields[1].data_type().clone()))
            }
            _ => Err(wrong_arguments(name, &given.types)),
        },
        types => Err(wrong_arguments(name, types)),
    }
}

pub(super) fn multimap_type(map: DataType) -> Result<DataType> {
    let (key, value) = map_parts(&map).ok_or_else(|| failure("expected a map type"))?;
    Ok(map_of(key.clone(), array_of(value.clone())))
}

pub(super) fn from_entries(call: &Call<'_>, repeats: Repeats) -> Result<ArrayRef> {
    let lists = Lists::open(&call.array(0)?)?;
    let rows = lists.values().as_struct();
    let pairs = (0..lists.len())
        .map(|row| {
            (!lists.is_null(row)).then(|| lists.range(row).filter(|i| rows.is_valid(*i)).map(|i| (i, i)).collect())
        })
        .collect();
    build(pairs, rows.column(0), rows.column(1), repeats, call.return_type)
}

pub(super) fn histogram(call: &Call<'_>) -> Result<ArrayRef> {
    let lists = Lists::open(&call.array(0)?)?;
    let rows = rows_of(lists.values())?;
    let mut counts: Vec<i64> = vec![];
    let mut pairs = vec![];
    for row in 0..lists.len() {
        let mut order: Vec<(usize, usize)> = vec![];
        let mut seen = HashMap::new();
        for i in lists.range(row).filter(|i| lists.values().is_valid(*i)) {
            let slot = *seen.entry(rows.row(i)).or_insert_with(|| {
                order.push((i, counts.len()));
                counts.push(0);
                counts.len() - 1
            });
            counts[slot] += 1;
        }
        pairs.push((!lists.is_null(row)).then_some(order));
    }
    let counts: ArrayRef = Arc::new(Int64Array::from(counts));
    build(pairs, lists.values(), &counts, Repeats::First, call.return_type)
}

pub(super) fn union_all(call: &Call<'_>) -> Result<ArrayRef> {
    let lists = Lists::open(&call.array(0)?)?;
    let map = lists.values().as_map();
    let pairs = (0..lists.len())
        .map(|row| {
            (!lists.is_null(row)).then(|| lists.range(row).flat_map(|i| entry_range(map, i)).map(|i| (i, i)).collect())
        })
        .collect();
    build(pairs, map.keys(), map.values(), Repeats::First, call.return_type)
}

pub(super) fn concatenate(call: &Call<'_>) -> Result<ArrayRef> {
    let arrays = (0..call.args.len()).map(|i| call.array(i)).collect::<Result<Vec<_>>>()?;
    let maps: Vec<&MapArray> = arrays.iter().map(|a| a.as_map()).collect();
    let join = |pick: fn(&MapArray) -> &ArrayRef| -> Result<ArrayRef> {
        let parts: Vec<&dyn Array> = maps.iter().map(|m| pick(m).as_ref()).collect();
        Ok(concat(&parts)?)
    };
    let (keys, values) = (join(MapArray::keys)?, join(MapArray::values)?);
    let mut pairs = Vec::with_capacity(call.rows);
    for row in 0..call.rows {
        if maps.iter().any(|m| m.is_null(row)) {
            pairs.push(None);
            continue;
        }
        let mut shift = 0;
        let mut all = vec![];
        for map in &maps {
            all.extend(entry_range(map, row).map(|i| (i + shift, i + shift)));
            shift += map.keys().len();
        }
        pairs.push(Some(all));
    }
    build(pairs, &keys, &values, Repeats::Last, call.return_type)
}

pub(super) fn split_type(given: &Given<'_>) -> Result<DataType> {
    match given.types.as_slice() {
        [a, b, c] if is_text(a) && is_text(b) && is_text(c) => Ok(map_of(DataType::Utf8, DataType::Utf8)),
        types => Err(wrong_arguments(given.name, types)),
    }
}

/// Splits texts into entries, and those into keys and values.
pub(super) fn split_to_map(call: &Call<'_>, repeats: Repeats) -> Result<ArrayRef> {
    let name = if repeats == Repeats::Collect { "split_to_multimap" } else { "split_to_map" };
    let texts = (0..3).map(|i| call.array_as(i, &DataType::Utf8)).collect::<Result<Vec<_>>>()?;
    let [text, between, within] = [0, 1, 2].map(|i| texts[i].as_string::<i32>());
    let (mut keys, mut values): (Vec<&str>, Vec<&str>) = (vec![], vec![]);
    let mut pairs = vec![];
    for row in 0..call.rows {
        if text.is_null(row) || between.is_null(row) || within.is_null(row) {
            pairs.push(None);
            continue;
        }
        let mut found = vec![];
        for entry in text.value(row).split(between.value(row)).filter(|e| !e.is_empty()) {
            let (key, value) = entry
                .split_once(within.value(row))
                .ok_or_else(|| failure(format!("{name}: '{entry}' is not a key and a value")))?;
            found.push((keys.len(), keys.len()));
            keys.push(key);
            values.push(value);
        }
        pairs.push(Some(found));
    }
    let keys: ArrayRef = Arc::new(datafusion::arrow::array::StringArray::from(keys));
    let values: ArrayRef = Arc::new(datafusion::arrow::array::StringArray::from(values));
    build(pairs, &keys, &values, repeats, call.return_type)
}
