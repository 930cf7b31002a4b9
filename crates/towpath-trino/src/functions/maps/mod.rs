//! Functions of maps, and access to elements and fields.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, ListArray, StructArray};
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::Result;
use datafusion::functions::core::expr_ext::FieldAccessor;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::simplify::ExprSimplifyResult;

use self::access::{access, coerce_key, element_type, field, field_type};
use self::build::{
    Repeats, concatenate, entries_type, from_entries, histogram, make_map, map_type, multimap_type, split_to_map,
    split_type, union_all,
};
use self::order::sorted;
use crate::error::failure;
use crate::functions::scalar::wrong_arguments;
use crate::functions::shape::{Call, Given, Shape};
use crate::types::{array_of, map_of, map_parts};

mod access;
mod build;
mod order;

pub(crate) use self::access::field_of;
pub(crate) use self::order::has_map;

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
        Shape::new("split_to_map", split_type, |c| split_to_map(c, Repeats::Refuse)),
        Shape::new("split_to_multimap", |g| multimap_type(split_type(g)?), |c| split_to_map(c, Repeats::Collect)),
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
