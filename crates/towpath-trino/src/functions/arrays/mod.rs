//! Functions of arrays. Positions count from one, and from the end if negative.
//!
//! Most of them choose elements: they compute which elements stand where, and take them in one step. Elements are
//! compared in the row format, in which equal values of any type are equal bytes and NULL equals NULL.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::Result;

use self::join::{concat_type, concatenate, flatten, join, join_type};
use self::lists::choose;
use self::parts::{combinations, ngrams, reverse, reversed_type, shuffle, slice, trim};
use self::rows::{make_array, ordinality, row, zip, zip_type};
use self::search::{contains, extreme, position, remove};
use self::sequence::{repeat, sequence, sequence_type};
use self::sets::{combine, overlap};
use self::unify::{coerce_element, common};
use crate::functions::scalar::wrong_arguments;
use crate::functions::shape::{Call, Given, Shape};
use crate::types::{array_of, element, is_integer, is_text};

mod join;
mod lists;
mod parts;
mod rows;
mod search;
mod sequence;
mod sets;
mod unify;

pub(crate) use self::lists::{Lists, build, rows_of};
pub(crate) use self::search::{no_subscript, pick};
pub(crate) use self::unify::unify;

/// Lists the functions of this file.
pub(crate) fn shapes() -> Vec<Shape> {
    vec![
        Shape::new("$array", |g| Ok(array_of(common(g.name, &g.types)?)), make_array),
        Shape::new("cardinality", |g| sized(g, DataType::Int64), cardinality),
        // Of an array and an element, or of a network and an address.
        Shape::new(
            "contains",
            |g| match g.types.as_slice() {
                [network, address] if is_text(network) && is_text(address) => Ok(DataType::Boolean),
                _ => searched(g, |_| DataType::Boolean),
            },
            contains,
        )
        .coerced(coerce_element),
        Shape::new("array_position", |g| searched(g, |_| DataType::Int64), position).coerced(coerce_element),
        Shape::new("array_remove", |g| searched(g, |list| list.clone()), remove).coerced(coerce_element),
        Shape::new(
            "array_distinct",
            |g| listed(g, 1, |list| list.clone()),
            |c| {
                choose(c, |rows, range| {
                    let mut seen = HashSet::new();
                    range.filter(|i| seen.insert(rows.row(*i))).collect()
                })
            },
        ),
        Shape::new(
            "array_sort",
            |g| listed(g, 1, |list| list.clone()),
            |c| {
                choose(c, |rows, range| {
                    let mut order: Vec<_> = range.collect();
                    order.sort_by(|a, b| rows.row(*a).cmp(&rows.row(*b)));
                    order
                })
            },
        ),
        Shape::new("reverse", reversed_type, reverse),
        Shape::new(
            "array_max",
            |g| listed(g, 1, |list| element(list).cloned().unwrap_or(DataType::Null)),
            |c| extreme(c, true),
        ),
        Shape::new(
            "array_min",
            |g| listed(g, 1, |list| element(list).cloned().unwrap_or(DataType::Null)),
            |c| extreme(c, false),
        ),
        Shape::new(
            "array_first",
            |g| listed(g, 1, |list| element(list).cloned().unwrap_or(DataType::Null)),
            |c| pick(c, |_| 1, false),
        ),
        Shape::new(
            "array_last",
            |g| listed(g, 1, |list| element(list).cloned().unwrap_or(DataType::Null)),
            |c| pick(c, |_| -1, false),
        ),
        Shape::new("array_join", join_type, join),
        Shape::new("array_union", two_lists, |c| {
            combine(c, |rows, a, b| {
                let mut seen = HashSet::new();
                a.chain(b).filter(|i| seen.insert(rows.row(*i))).collect()
            })
        }),
        Shape::new("array_intersect", two_lists, |c| {
            combine(c, |rows, a, b| {
                let other: HashSet<_> = b.map(|i| rows.row(i)).collect();
                let mut seen = HashSet::new();
                a.filter(|i| other.contains(&rows.row(*i)) && seen.insert(rows.row(*i))).collect()
            })
        }),
        Shape::new("array_except", two_lists, |c| {
            combine(c, |rows, a, b| {
                let other: HashSet<_> = b.map(|i| rows.row(i)).collect();
                let mut seen = HashSet::new();
                a.filter(|i| !other.contains(&rows.row(*i)) && seen.insert(rows.row(*i))).collect()
            })
        }),
        Shape::new("arrays_overlap", |g| two_lists(g).map(|_| DataType::Boolean), overlap),
        Shape::new("flatten", |g| listed(g, 1, |list| element(list).cloned().unwrap_or(DataType::Null)), flatten),
        Shape::new("concat", concat_type, concatenate),
        Shape::new("slice", |g| listed(g, 3, |list| list.clone()), slice),
        Shape::new("trim_array", |g| listed(g, 2, |list| list.clone()), trim),
        Shape::new(
            "repeat",
            |g| match g.types.as_slice() {
                [value, count] if is_integer(count) => Ok(array_of(value.clone())),
                types => Err(wrong_arguments(g.name, types)),
            },
            repeat,
        ),
        Shape::new("sequence", sequence_type, sequence),
        Shape::new("zip", zip_type, zip),
        Shape::new(
            "row",
            |g| {
                let fields = g.types.iter().map(|t| Field::new("", t.clone(), true)).collect::<Vec<_>>();
                Ok(DataType::Struct(fields.into()))
            },
            row,
        ),
        Shape::new(
            "$pair",
            |g| match g.types.as_slice() {
                [key, value] => Ok(DataType::Struct(
                    vec![Field::new("key", key.clone(), true), Field::new("value", value.clone(), true)].into(),
                )),
                types => Err(wrong_arguments(g.name, types)),
            },
            row,
        ),
        Shape::new("$ordinality", |_| Ok(array_of(DataType::Int64)), ordinality),
        Shape::new("combinations", |g| listed(g, 2, |list| array_of(list.clone())), combinations),
        Shape::new("shuffle", |g| listed(g, 1, |list| list.clone()), shuffle).volatile(),
        Shape::new("ngrams", |g| listed(g, 2, |list| array_of(list.clone()).clone()), ngrams),
    ]
}

/// Resolves a function whose first of `count` arguments is an array.
fn listed(given: &Given<'_>, count: usize, result: fn(&DataType) -> DataType) -> Result<DataType> {
    match given.types.first() {
        Some(list @ DataType::List(_)) if given.types.len() == count => Ok(result(list)),
        _ => Err(wrong_arguments(given.name, &given.types)),
    }
}

/// Resolves a function of an array and an element.
fn searched(given: &Given<'_>, result: fn(&DataType) -> DataType) -> Result<DataType> {
    let fits = matches!(given.types.as_slice(), [list, value] if element(list).is_some_and(|item| unify(item, value).is_some()));
    if fits { listed(given, 2, result) } else { Err(wrong_arguments(given.name, &given.types)) }
}

/// Resolves a function of two arrays whose elements have a common type.
fn two_lists(given: &Given<'_>) -> Result<DataType> {
    match given.types.as_slice() {
        [a @ DataType::List(_), b @ DataType::List(_)] => {
            unify(a, b).ok_or_else(|| wrong_arguments(given.name, &given.types))
        }
        types => Err(wrong_arguments(given.name, types)),
    }
}

fn sized(given: &Given<'_>, result: DataType) -> Result<DataType> {
    match given.types.as_slice() {
        [DataType::List(_) | DataType::Map(_, _)] => Ok(result),
        types => Err(wrong_arguments(given.name, types)),
    }
}

fn cardinality(call: &Call<'_>) -> Result<ArrayRef> {
    let array = call.array(0)?;
    let offsets = match array.data_type() {
        DataType::Map(_, _) => array.as_map().offsets().clone(),
        _ => array.as_list::<i32>().offsets().clone(),
    };
    let sizes = offsets.windows(2).map(|w| i64::from(w[1] - w[0])).collect::<Vec<_>>();
    Ok(Arc::new(Int64Array::new(sizes.into(), array.nulls().cloned())))
}
