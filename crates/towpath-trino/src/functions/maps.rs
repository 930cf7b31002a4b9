//! Functions of maps, and access to elements and fields.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, ListArray, MapArray, StructArray, UInt32Array, UInt32Builder, new_null_array,
};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::compute::{cast, concat, take};
use datafusion::arrow::datatypes::{DataType, Field, Int64Type};
use datafusion::arrow::row::{OwnedRow, RowConverter, SortField};
use datafusion::common::Result;
use datafusion::functions::core::expr_ext::FieldAccessor;
use datafusion::logical_expr::simplify::ExprSimplifyResult;
use datafusion::logical_expr::{ColumnarValue, Expr};

use crate::cell::element_text;
use crate::error::{failure, mistake_about, nearest};
use crate::functions::arrays::{Lists, no_subscript, pick, rows_of, unify};
use crate::functions::casts::{cast_array, map_array};
use crate::functions::scalar::wrong_arguments;
use crate::functions::shape::{Call, Given, Shape};
use crate::types::{array_of, element, is_integer, is_text, map_of, map_parts, trino_type_name};

/// Lists the functions of this file.
pub(crate) fn shapes() -> Vec<Shape> {
    vec![
        Shape::new("element_at", element_type, |call| access(call, false)).coerced(coerce_key),
        Shape::new("$subscript", element_type, |call| access(call, true)).coerced(coerce_key),
        Shape::new("$field", field_type, field).simplified(|args, _| match args.as_slice() {
            [value, Expr::Literal(name, _)] => match name.try_as_str().flatten() {
                Some(name) => Ok(ExprSimplifyResult::Simplified(value.clone().field(name.to_owned()))),
                None => Ok(ExprSimplifyResult::Original(args)),
            },
            _ => Ok(ExprSimplifyResult::Original(args)),
        }),
        // The same, for places where the optimizer must not take it apart.
        Shape::new("$member", field_type, field),
        Shape::new("$map", map_type, make_map),
        Shape::new("map_keys", |g| parts(g).map(|(k, _)| array_of(k)), |c| side(c, 0)),
        Shape::new("map_values", |g| parts(g).map(|(_, v)| array_of(v)), |c| side(c, 1)),
        Shape::new("map_entries", |g| parts(g).map(|(k, v)| array_of(pair(k, v))), entries),
        Shape::new("map_from_entries", entries_type, |c| from_entries(c, Repeats::Refuse)),
        Shape::new("multimap_from_entries", |g| multimap_type(entries_type(g)?), |c| from_entries(c, Repeats::Collect)),
        Shape::new("$map_agg", entries_type, |c| from_entries(c, Repeats::First)),
        Shape::new("$multimap_agg", |g| multimap_type(entries_type(g)?), |c| from_entries(c, Repeats::Collect)),
        Shape::new(
            "$histogram",
            |g| match g.types.as_slice() {
                [DataType::List(item)] => Ok(map_of(item.data_type().clone(), DataType::Int64)),
                types => Err(wrong_arguments("histogram", types)),
            },
            histogram,
        ),
        Shape::new(
            "$map_union",
            |g| match g.types.as_slice() {
                [DataType::List(item)] if map_parts(item.data_type()).is_some() => Ok(item.data_type().clone()),
                types => Err(wrong_arguments("map_union", types)),
            },
            union_all,
        ),
        Shape::new(
            "map_concat",
            |g| match g.types.first() {
                Some(first @ DataType::Map(_, _)) if g.types.iter().all(|t| map_parts(t) == map_parts(first)) => {
                    Ok(first.clone())
                }
                _ => Err(wrong_arguments(g.name, &g.types)),
            },
            concatenate,
        ),
        Shape::new("split_to_map", split_type, split_to_map),
        Shape::new("$sort_map", |g| Ok(g.types[0].clone()), |c| sorted(&c.array(0)?)),
    ]
}

fn pair(key: DataType, value: DataType) -> DataType {
    DataType::Struct(vec![Field::new("key", key, true), Field::new("value", value, true)].into())
}

fn parts(given: &Given<'_>) -> Result<(DataType, DataType)> {
    match given.types.as_slice() {
        [map] => {
            map_parts(map).map(|(k, v)| (k.clone(), v.clone())).ok_or_else(|| wrong_arguments(given.name, &given.types))
        }
        types => Err(wrong_arguments(given.name, types)),
    }
}

/// Coerces the key to the key type of the map.
fn coerce_key(_: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    let mut coerced = types.to_vec();
    if let [map, key] = types
        && let Some((wanted, _)) = map_parts(map)
        && !(is_text(wanted) && is_text(key))
        && unify(wanted, key).is_some()
    {
        coerced[1] = wanted.clone();
    }
    Ok(coerced)
}

fn element_type(given: &Given<'_>) -> Result<DataType> {
    let [value, key] = given.types.as_slice() else { return Err(wrong_arguments(given.name, &given.types)) };
    let named = if given.name == "$subscript" { "a subscript" } else { given.name };
    if let Some((wanted, found)) = map_parts(value) {
        if unify(wanted, key).is_none() {
            let message = format!(
                "{named} of {} needs a key of type {}, not {}",
                trino_type_name(value),
                trino_type_name(wanted),
                trino_type_name(key)
            );
            return Err(mistake_about(given.name, message));
        }
        return Ok(found.clone());
    }
    if let Some(item) = element(value) {
        if !is_integer(key) && *key != DataType::Null {
            return Err(mistake_about(
                given.name,
                format!("{named} of an array needs a number, not {}", trino_type_name(key)),
            ));
        }
        return Ok(item.clone());
    }
    match value {
        // Fields of a row by position: the type depends on the position, which must be constant.
        DataType::Struct(fields) if given.name == "$subscript" => given
            .integer(1)
            .and_then(|n| usize::try_from(n).ok())
            .and_then(|n| fields.get(n.checked_sub(1)?))
            .map(|f| f.data_type().clone())
            .ok_or_else(|| mistake_about(given.name, "a row has no field at this position")),
        _ if given.name == "$subscript" => Err(no_subscript(given.name, value)),
        _ => Err(wrong_arguments(given.name, &given.types)),
    }
}

fn access(call: &Call<'_>, strict: bool) -> Result<ArrayRef> {
    match call.args[0].data_type() {
        DataType::Map(_, _) => map_access(call, strict),
        DataType::Struct(_) => {
            let at = call.array_as(1, &DataType::Int64)?.as_primitive::<Int64Type>().value(0) as usize;
            let rows = call.array(0)?;
            Ok(masked(rows.as_struct(), at - 1))
        }
        _ => {
            let positions = call.array_as(1, &DataType::Int64)?;
            let positions: &Int64Array = positions.as_primitive::<Int64Type>();
            pick(call, |row| if positions.is_null(row) { i64::MIN } else { positions.value(row) }, strict)
        }
    }
}

/// Looks a key up in every map: one pass over the keys, one gathering of the values.
fn map_access(call: &Call<'_>, strict: bool) -> Result<ArrayRef> {
    let array = call.array(0)?;
    let map = array.as_map();
    let indices = match (map.keys().data_type(), call.text(1)) {
        (DataType::Utf8, Some(key)) => {
            let keys = map.keys().as_string::<i32>();
            find_keys(map, |i| keys.value(i) == key)
        }
        (DataType::Utf8View, Some(key)) => {
            let keys = map.keys().as_string_view();
            find_keys(map, |i| keys.value(i) == key)
        }
        _ => {
            let wanted = call.array(1)?;
            let key_type =
                if is_text(map.keys().data_type()) { DataType::Utf8 } else { map.keys().data_type().clone() };
            let (keys, wanted) = (cast(map.keys(), &key_type)?, cast_array(&wanted, &key_type, false)?);
            let converter = RowConverter::new(vec![SortField::new(key_type)])?;
            let (key_rows, wanted_rows) =
                (converter.convert_columns(&[keys])?, converter.convert_columns(&[Arc::clone(&wanted)])?);
            let mut indices = UInt32Builder::with_capacity(map.len());
            for row in 0..map.len() {
                let mut range = entry_range(map, row);
                let at =
                    if wanted.is_null(row) { None } else { range.find(|i| key_rows.row(*i) == wanted_rows.row(row)) };
                indices.append_option(at.map(|i| i as u32));
            }
            indices.finish()
        }
    };
    if strict && !call.lenient {
        let key_is_null = matches!(&call.args[1], ColumnarValue::Scalar(s) if s.is_null());
        if let Some(row) =
            (0..map.len()).find(|row| indices.is_null(*row) && map.is_valid(*row)).filter(|_| !key_is_null)
        {
            let key = element_text(&call.array(1)?, row);
            return Err(failure(format!("key not present in map: {key}")));
        }
    }
    Ok(take(map.values(), &indices, None)?)
}

fn entry_range(map: &MapArray, row: usize) -> std::ops::Range<usize> {
    if map.is_null(row) {
        return 0..0;
    }
    let offsets = map.value_offsets();
    offsets[row] as usize..offsets[row + 1] as usize
}

fn find_keys(map: &MapArray, matches: impl Fn(usize) -> bool) -> UInt32Array {
    let mut indices = UInt32Builder::with_capacity(map.len());
    for row in 0..map.len() {
        indices.append_option(entry_range(map, row).find(|i| matches(*i)).map(|i| i as u32));
    }
    indices.finish()
}

/// Checks that a value has a field, and finds its type.
pub(crate) fn field_of<'a>(value: &'a DataType, name: &str) -> Result<&'a DataType> {
    match value {
        DataType::Struct(fields) => match fields.iter().find(|f| f.name() == name) {
            Some(field) => Ok(field.data_type()),
            None => {
                let hint = nearest(name, fields.iter().map(|f| f.name().as_str()))
                    .map(|n| format!("; did you mean {n}?"))
                    .unwrap_or_default();
                Err(mistake_about(name, format!("unknown field: {name}{hint}")))
            }
        },
        DataType::Map(_, _) => {
            let message =
                format!("a map has no field {name}; write element_at(..., '{name}') with the spelling of the key");
            Err(mistake_about(name, message))
        }
        other => Err(mistake_about(name, format!("a value of type {} has no field {name}", trino_type_name(other)))),
    }
}

fn field_type(given: &Given<'_>) -> Result<DataType> {
    let name = given.text(1).ok_or_else(|| mistake_about(given.name, "a field needs a name"))?;
    field_of(&given.types[0], name).cloned()
}

fn field(call: &Call<'_>) -> Result<ArrayRef> {
    let name = call.text(1).unwrap_or_default();
    let rows = call.array(0)?;
    let rows = rows.as_struct();
    let at =
        rows.fields().iter().position(|f| f.name() == name).ok_or_else(|| failure(format!("unknown field: {name}")))?;
    Ok(masked(rows, at))
}

/// Returns a column of rows, NULL wherever the row is.
fn masked(rows: &StructArray, at: usize) -> ArrayRef {
    let column = rows.column(at);
    match rows.nulls() {
        None => Arc::clone(column),
        Some(nulls) => {
            let merged = NullBuffer::union(Some(nulls), column.logical_nulls().as_ref());
            let indices: UInt32Array =
                (0..rows.len()).map(|i| merged.as_ref().is_none_or(|m| m.is_valid(i)).then_some(i as u32)).collect();
            take(column, &indices, None).unwrap_or_else(|_| new_null_array(column.data_type(), rows.len()))
        }
    }
}

fn map_type(given: &Given<'_>) -> Result<DataType> {
    match given.types.as_slice() {
        [] => Ok(map_of(DataType::Null, DataType::Null)),
        [DataType::List(key), DataType::List(value)] => Ok(map_of(key.data_type().clone(), value.data_type().clone())),
        types => Err(wrong_arguments(given.name, types)),
    }
}

/// What to do when a key comes again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Repeats {
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

fn make_map(call: &Call<'_>) -> Result<ArrayRef> {
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

fn side(call: &Call<'_>, at: usize) -> Result<ArrayRef> {
    let array = call.array(0)?;
    let map = array.as_map();
    let DataType::List(field) = call.return_type else { return Err(failure("expected an array type")) };
    let values = if at == 0 { map.keys() } else { map.values() };
    Ok(Arc::new(ListArray::try_new(
        Arc::clone(field),
        map.offsets().clone(),
        Arc::clone(values),
        map.nulls().cloned(),
    )?))
}

fn entries(call: &Call<'_>) -> Result<ArrayRef> {
    let array = call.array(0)?;
    let map = array.as_map();
    let DataType::List(field) = call.return_type else { return Err(failure("expected an array type")) };
    let DataType::Struct(fields) = field.data_type() else { return Err(failure("expected an array of rows")) };
    let rows = StructArray::try_new(fields.clone(), vec![Arc::clone(map.keys()), Arc::clone(map.values())], None)?;
    Ok(Arc::new(ListArray::try_new(Arc::clone(field), map.offsets().clone(), Arc::new(rows), map.nulls().cloned())?))
}

fn entries_type(given: &Given<'_>) -> Result<DataType> {
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

fn multimap_type(map: DataType) -> Result<DataType> {
    let (key, value) = map_parts(&map).ok_or_else(|| failure("expected a map type"))?;
    Ok(map_of(key.clone(), array_of(value.clone())))
}

fn from_entries(call: &Call<'_>, repeats: Repeats) -> Result<ArrayRef> {
    let lists = Lists::open(&call.array(0)?)?;
    let rows = lists.values().as_struct();
    let pairs = (0..lists.len())
        .map(|row| {
            (!lists.is_null(row)).then(|| lists.range(row).filter(|i| rows.is_valid(*i)).map(|i| (i, i)).collect())
        })
        .collect();
    build(pairs, rows.column(0), rows.column(1), repeats, call.return_type)
}

fn histogram(call: &Call<'_>) -> Result<ArrayRef> {
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

fn union_all(call: &Call<'_>) -> Result<ArrayRef> {
    let lists = Lists::open(&call.array(0)?)?;
    let map = lists.values().as_map();
    let pairs = (0..lists.len())
        .map(|row| {
            (!lists.is_null(row)).then(|| lists.range(row).flat_map(|i| entry_range(map, i)).map(|i| (i, i)).collect())
        })
        .collect();
    build(pairs, map.keys(), map.values(), Repeats::First, call.return_type)
}

fn concatenate(call: &Call<'_>) -> Result<ArrayRef> {
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

fn split_type(given: &Given<'_>) -> Result<DataType> {
    match given.types.as_slice() {
        [a, b, c] if is_text(a) && is_text(b) && is_text(c) => Ok(map_of(DataType::Utf8, DataType::Utf8)),
        types => Err(wrong_arguments(given.name, types)),
    }
}

fn split_to_map(call: &Call<'_>) -> Result<ArrayRef> {
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
                .ok_or_else(|| failure(format!("split_to_map: '{entry}' is not a key and a value")))?;
            found.push((keys.len(), keys.len()));
            keys.push(key);
            values.push(value);
        }
        pairs.push(Some(found));
    }
    let keys: ArrayRef = Arc::new(datafusion::arrow::array::StringArray::from(keys));
    let values: ArrayRef = Arc::new(datafusion::arrow::array::StringArray::from(values));
    build(pairs, &keys, &values, Repeats::Refuse, call.return_type)
}

/// Puts the entries of every map, at any depth, in the order of their keys: equal maps then are equal values.
fn sorted(array: &ArrayRef) -> Result<ArrayRef> {
    Ok(match array.data_type() {
        DataType::Map(field, _) => {
            let map = array.as_map();
            let rows = rows_of(map.keys())?;
            let in_order = (0..map.len()).all(|row| {
                let range = entry_range(map, row);
                (range.start + 1..range.end).all(|i| rows.row(i - 1) <= rows.row(i))
            });
            if in_order {
                return Ok(Arc::clone(array));
            }
            let mut indices = UInt32Builder::new();
            let mut lengths = vec![];
            for row in 0..map.len() {
                let mut order: Vec<(OwnedRow, usize)> =
                    entry_range(map, row).map(|i| (rows.row(i).owned(), i)).collect();
                order.sort();
                lengths.push(order.len());
                order.iter().for_each(|(_, i)| indices.append_value(*i as u32));
            }
            let indices = indices.finish();
            let values = sorted(&take(map.values(), &indices, None)?)?;
            map_array(
                field,
                OffsetBuffer::from_lengths(lengths),
                take(map.keys(), &indices, None)?,
                values,
                map.nulls().cloned(),
            )?
        }
        DataType::List(field) => {
            let list = array.as_list::<i32>();
            Arc::new(ListArray::try_new(
                Arc::clone(field),
                list.offsets().clone(),
                sorted(list.values())?,
                list.nulls().cloned(),
            )?)
        }
        DataType::Struct(fields) => {
            let row = array.as_struct();
            let columns = row.columns().iter().map(sorted).collect::<Result<Vec<_>>>()?;
            Arc::new(StructArray::try_new(fields.clone(), columns, row.nulls().cloned())?)
        }
        _ => Arc::clone(array),
    })
}

/// True if a type holds a map at any depth.
pub(crate) fn has_map(data_type: &DataType) -> bool {
    match data_type {
        DataType::Map(_, _) => true,
        DataType::Struct(fields) => fields.iter().any(|f| has_map(f.data_type())),
        other => element(other).is_some_and(has_map),
    }
}
