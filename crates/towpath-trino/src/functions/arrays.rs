//! Functions of arrays. Positions count from one, and from the end if negative.
//!
//! Most of them choose elements: they compute which elements stand where, and take them in one step. Elements are
//! compared in the row format, in which equal values of any type are equal bytes and NULL equals NULL.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanBuilder, Int64Array, Int64Builder, ListArray, StringBuilder, StructArray,
    UInt32Array, UInt32Builder, new_null_array,
};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::compute::{cast, concat, take};
use datafusion::arrow::datatypes::{DataType, Date32Type, Field, Int64Type};
use datafusion::arrow::row::{RowConverter, Rows, SortField};
use datafusion::common::Result;

use crate::cell::element_text;
use crate::error::{failure, mistake_about};
use crate::functions::calendar::DAY;
use crate::functions::casts::{cast_array, timestamps};
use crate::functions::datetime;
use crate::functions::formats::in_network;
use crate::functions::scalar::{micros, wrong_arguments};
use crate::functions::shape::{Call, Given, Shape};
use crate::types::{array_of, element, is_integer, is_number, is_text, is_zoned, map_parts, trino_type_name};

/// Longest array that a function may build from nothing.
const MAX_BUILT: i64 = 10_000;

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

/// Finds the type that all of `types` can become.
pub(crate) fn common(name: &str, types: &[DataType]) -> Result<DataType> {
    let mut found = DataType::Null;
    for next in types {
        found = unify(&found, next).ok_or_else(|| wrong_arguments(name, types))?;
    }
    Ok(found)
}

/// Finds the type that both types can become without loss.
pub(crate) fn unify(a: &DataType, b: &DataType) -> Option<DataType> {
    if a == b || *b == DataType::Null {
        return Some(a.clone());
    }
    if *a == DataType::Null {
        return Some(b.clone());
    }
    if is_text(a) && is_text(b) {
        return Some(DataType::Utf8);
    }
    if is_number(a) && is_number(b) {
        if is_integer(a) && is_integer(b) {
            return Some(DataType::Int64);
        }
        return datafusion::logical_expr::type_coercion::binary::binary_numeric_coercion(a, b);
    }
    match (a, b) {
        (DataType::List(a), DataType::List(b)) => unify(a.data_type(), b.data_type()).map(array_of),
        (DataType::Struct(x), DataType::Struct(y)) if x.len() == y.len() => {
            let fields = x
                .iter()
                .zip(y)
                .map(|(x, y)| Some(Field::new(x.name(), unify(x.data_type(), y.data_type())?, true)))
                .collect::<Option<Vec<_>>>()?;
            Some(DataType::Struct(fields.into()))
        }
        (DataType::Map(_, _), DataType::Map(_, _)) => {
            let ((ak, av), (bk, bv)) = (map_parts(a)?, map_parts(b)?);
            Some(crate::types::map_of(unify(ak, bk)?, unify(av, bv)?))
        }
        (DataType::Date32, t) | (t, DataType::Date32) if matches!(t, DataType::Timestamp(_, _)) => Some(t.clone()),
        (DataType::Timestamp(_, _), DataType::Timestamp(_, _)) => Some(if is_zoned(a) { a.clone() } else { b.clone() }),
        _ => None,
    }
}

/// Coerces the second argument to the element type of the first.
fn coerce_element(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    let [list, value] = types else { return Err(wrong_arguments(name, types)) };
    let Some(item) = element(list) else { return Err(wrong_arguments(name, types)) };
    if unify(item, value).is_none() {
        return Err(wrong_arguments(name, types));
    }
    let wanted = unify(item, value).unwrap_or_else(|| item.clone());
    Ok(vec![if wanted == *item { list.clone() } else { array_of(wanted.clone()) }, wanted])
}

/// An array column, opened.
pub(crate) struct Lists {
    list: ListArray,
}

impl Lists {
    /// Opens an argument that is an array.
    pub(crate) fn open(array: &ArrayRef) -> Result<Self> {
        match array.data_type() {
            DataType::List(_) => Ok(Self { list: array.as_list::<i32>().clone() }),
            DataType::Null => {
                let empty = new_null_array(&array_of(DataType::Null), array.len());
                Ok(Self { list: empty.as_list::<i32>().clone() })
            }
            other => match element(other) {
                Some(item) => Ok(Self { list: cast(array, &array_of(item.clone()))?.as_list::<i32>().clone() }),
                None => Err(failure(format!("expected an array, found {}", trino_type_name(other)))),
            },
        }
    }

    pub(crate) fn values(&self) -> &ArrayRef {
        self.list.values()
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn nulls(&self) -> Option<&NullBuffer> {
        self.list.nulls()
    }

    /// Returns where the elements of a row are; nowhere for NULL.
    pub(crate) fn range(&self, row: usize) -> Range<usize> {
        if self.list.is_null(row) {
            return 0..0;
        }
        let offsets = self.list.value_offsets();
        offsets[row] as usize..offsets[row + 1] as usize
    }

    pub(crate) fn is_null(&self, row: usize) -> bool {
        self.list.is_null(row)
    }
}

/// Puts values into the row format.
pub(crate) fn rows_of(values: &ArrayRef) -> Result<Rows> {
    let options = datafusion::arrow::compute::SortOptions { descending: false, nulls_first: false };
    let converter = RowConverter::new(vec![SortField::new_with_options(values.data_type().clone(), options)])?;
    Ok(converter.convert_columns(&[Arc::clone(values)])?)
}

/// Builds an array column of chosen elements.
pub(crate) fn build(
    values: &ArrayRef,
    chosen: Vec<Vec<usize>>,
    nulls: Option<NullBuffer>,
    to: &DataType,
) -> Result<ArrayRef> {
    let lengths = OffsetBuffer::from_lengths(chosen.iter().map(Vec::len));
    let indices: UInt32Array = chosen.into_iter().flatten().map(|i| i as u32).collect();
    let DataType::List(field) = to else { return Err(failure("expected an array type")) };
    let taken = take(values, &indices, None)?;
    let taken = cast_array(&taken, field.data_type(), false)?;
    Ok(Arc::new(ListArray::try_new(Arc::clone(field), lengths, taken, nulls)?))
}

/// Chooses elements of one array.
fn choose(call: &Call<'_>, f: fn(&Rows, Range<usize>) -> Vec<usize>) -> Result<ArrayRef> {
    let lists = Lists::open(&call.array(0)?)?;
    let rows = rows_of(lists.values())?;
    let chosen = (0..lists.len()).map(|row| f(&rows, lists.range(row))).collect();
    build(lists.values(), chosen, lists.nulls().cloned(), call.return_type)
}

/// Opens two arrays over common values.
fn open_two(call: &Call<'_>) -> Result<(Lists, Lists, ArrayRef, usize)> {
    let (a, b) = (Lists::open(&call.array(0)?)?, Lists::open(&call.array(1)?)?);
    let wanted =
        unify(a.values().data_type(), b.values().data_type()).ok_or_else(|| failure("the arrays differ in type"))?;
    let (x, y) = (cast_array(a.values(), &wanted, false)?, cast_array(b.values(), &wanted, false)?);
    let shift = x.len();
    let values = concat(&[&x, &y])?;
    Ok((a, b, values, shift))
}

fn shifted(range: Range<usize>, by: usize) -> Range<usize> {
    range.start + by..range.end + by
}

fn combine(call: &Call<'_>, f: fn(&Rows, Range<usize>, Range<usize>) -> Vec<usize>) -> Result<ArrayRef> {
    let (a, b, values, shift) = open_two(call)?;
    let rows = rows_of(&values)?;
    let chosen = (0..a.len()).map(|row| f(&rows, a.range(row), shifted(b.range(row), shift))).collect();
    build(&values, chosen, NullBuffer::union(a.nulls(), b.nulls()), call.return_type)
}

fn overlap(call: &Call<'_>) -> Result<ArrayRef> {
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

fn make_array(call: &Call<'_>) -> Result<ArrayRef> {
    let DataType::List(field) = call.return_type else { return Err(failure("expected an array type")) };
    let count = call.args.len();
    let columns =
        (0..count).map(|i| cast_array(&call.array(i)?, field.data_type(), false)).collect::<Result<Vec<_>>>()?;
    let values = if columns.is_empty() {
        new_null_array(field.data_type(), 0)
    } else {
        let parts: Vec<&dyn Array> = columns.iter().map(|c| c.as_ref()).collect();
        concat(&parts)?
    };
    let chosen = (0..call.rows).map(|row| (0..count).map(|column| column * call.rows + row).collect()).collect();
    build(&values, chosen, None, call.return_type)
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

/// Finds, for each row, the first element equal to the second argument.
fn search(call: &Call<'_>, mut found: impl FnMut(usize, &Lists, Option<usize>, bool)) -> Result<()> {
    let lists = Lists::open(&call.array(0)?)?;
    let wanted =
        unify(lists.values().data_type(), &call.args[1].data_type()).ok_or_else(|| failure("the types differ"))?;
    let values = cast_array(lists.values(), &wanted, false)?;
    let needles = cast_array(&call.array(1)?, &wanted, false)?;
    let converter = RowConverter::new(vec![SortField::new(wanted)])?;
    let (haystack, needle_rows) =
        (converter.convert_columns(&[Arc::clone(&values)])?, converter.convert_columns(&[Arc::clone(&needles)])?);
    for row in 0..lists.len() {
        let absent = lists.is_null(row) || needles.is_null(row);
        let at = if absent {
            None
        } else {
            lists.range(row).find(|i| values.is_valid(*i) && haystack.row(*i) == needle_rows.row(row))
        };
        found(row, &lists, at, absent);
    }
    Ok(())
}

fn contains(call: &Call<'_>) -> Result<ArrayRef> {
    if is_text(&call.args[0].data_type()) {
        return in_network(call);
    }
    let mut builder = BooleanBuilder::with_capacity(call.rows);
    search(call, |row, lists, at, absent| {
        let unknown = || lists.range(row).any(|i| lists.values().is_null(i));
        builder.append_option(if absent || at.is_none() && unknown() { None } else { Some(at.is_some()) });
    })?;
    Ok(Arc::new(builder.finish()))
}

fn position(call: &Call<'_>) -> Result<ArrayRef> {
    let mut builder = Int64Builder::with_capacity(call.rows);
    search(call, |row, lists, at, absent| {
        builder.append_option((!absent).then(|| at.map_or(0, |at| (at - lists.range(row).start) as i64 + 1)));
    })?;
    Ok(Arc::new(builder.finish()))
}

fn remove(call: &Call<'_>) -> Result<ArrayRef> {
    let lists = Lists::open(&call.array(0)?)?;
    let needles = cast_array(&call.array(1)?, lists.values().data_type(), false)?;
    let converter = RowConverter::new(vec![SortField::new(needles.data_type().clone())])?;
    let (haystack, wanted) = (
        converter.convert_columns(&[Arc::clone(lists.values())])?,
        converter.convert_columns(&[Arc::clone(&needles)])?,
    );
    let chosen = (0..lists.len())
        .map(|row| lists.range(row).filter(|i| haystack.row(*i) != wanted.row(row)).collect())
        .collect();
    build(lists.values(), chosen, NullBuffer::union(lists.nulls(), needles.nulls()), call.return_type)
}

fn reversed_type(given: &Given<'_>) -> Result<DataType> {
    match given.types.as_slice() {
        [list @ DataType::List(_)] => Ok(list.clone()),
        [text] if is_text(text) || *text == DataType::Null => Ok(DataType::Utf8),
        types => Err(wrong_arguments(given.name, types)),
    }
}

fn reverse(call: &Call<'_>) -> Result<ArrayRef> {
    if *call.return_type == DataType::Utf8 {
        let texts = call.array_as(0, &DataType::Utf8)?;
        let reversed = texts.as_string::<i32>().iter().map(|t| t.map(|t| t.chars().rev().collect::<String>()));
        return Ok(Arc::new(reversed.collect::<datafusion::arrow::array::StringArray>()));
    }
    choose(call, |_, range| range.rev().collect())
}

fn extreme(call: &Call<'_>, greatest: bool) -> Result<ArrayRef> {
    let lists = Lists::open(&call.array(0)?)?;
    let rows = rows_of(lists.values())?;
    let mut indices = UInt32Builder::with_capacity(lists.len());
    for row in 0..lists.len() {
        // An array with a NULL in it has no greatest element.
        let has_null = lists.range(row).any(|i| lists.values().is_null(i));
        let order = |a: &usize, b: &usize| rows.row(*a).cmp(&rows.row(*b));
        let found = if greatest { lists.range(row).max_by(order) } else { lists.range(row).min_by(order) };
        indices.append_option(found.filter(|_| !has_null).map(|i| i as u32));
    }
    Ok(take(lists.values(), &indices.finish(), None)?)
}

/// Takes one element by position; outside the array it is NULL, or an error if `strict`.
pub(crate) fn pick(call: &Call<'_>, at: impl Fn(usize) -> i64, strict: bool) -> Result<ArrayRef> {
    let lists = Lists::open(&call.array(0)?)?;
    let mut indices = UInt32Builder::with_capacity(lists.len());
    for row in 0..lists.len() {
        let range = lists.range(row);
        let index = match at(row) {
            i64::MIN => None,
            0 if !call.lenient && !lists.is_null(row) => return Err(failure("array positions count from one")),
            n if n > 0 => range.start.checked_add(n as usize - 1).filter(|i| *i < range.end),
            n => range.end.checked_sub(n.unsigned_abs() as usize).filter(|i| *i >= range.start && n != 0),
        };
        if strict && index.is_none() && !lists.is_null(row) && at(row) != i64::MIN && !call.lenient {
            return Err(failure(format!("array subscript {} is out of bounds", at(row))));
        }
        indices.append_option(index.map(|i| i as u32));
    }
    Ok(take(lists.values(), &indices.finish(), None)?)
}

fn join_type(given: &Given<'_>) -> Result<DataType> {
    match given.types.as_slice() {
        [DataType::List(item), rest @ ..]
            if matches!(rest.len(), 1 | 2) && rest.iter().all(is_text) && !item.data_type().is_nested() =>
        {
            Ok(DataType::Utf8)
        }
        types => Err(wrong_arguments(given.name, types)),
    }
}

fn join(call: &Call<'_>) -> Result<ArrayRef> {
    let lists = Lists::open(&call.array(0)?)?;
    let separators = call.array_as(1, &DataType::Utf8)?;
    let missing = if call.args.len() > 2 { Some(call.array_as(2, &DataType::Utf8)?) } else { None };
    let mut builder = StringBuilder::new();
    for row in 0..lists.len() {
        if lists.is_null(row) || separators.is_null(row) {
            builder.append_null();
            continue;
        }
        let missing = missing.as_ref().map(|m| m.as_string::<i32>().value(row));
        let parts: Vec<String> = lists
            .range(row)
            .filter_map(|i| {
                if lists.values().is_null(i) {
                    missing.map(str::to_owned)
                } else {
                    Some(element_text(lists.values(), i))
                }
            })
            .collect();
        builder.append_value(parts.join(separators.as_string::<i32>().value(row)));
    }
    Ok(Arc::new(builder.finish()))
}

fn flatten(call: &Call<'_>) -> Result<ArrayRef> {
    let outer = Lists::open(&call.array(0)?)?;
    let inner = Lists::open(outer.values())?;
    let chosen = (0..outer.len()).map(|row| outer.range(row).flat_map(|i| inner.range(i)).collect()).collect();
    build(inner.values(), chosen, outer.nulls().cloned(), call.return_type)
}

fn concat_type(given: &Given<'_>) -> Result<DataType> {
    let types = &given.types;
    let lists = types.iter().filter(|t| matches!(t, DataType::List(_))).count();
    match types.first() {
        Some(_) if lists > 0 => {
            // An element may stand beside an array.
            let items: Vec<_> = types.iter().map(|t| element(t).cloned().unwrap_or_else(|| t.clone())).collect();
            Ok(array_of(common(given.name, &items)?))
        }
        Some(_) if types.iter().all(|t| is_text(t) || *t == DataType::Null) => Ok(DataType::Utf8),
        Some(DataType::Binary) => Ok(DataType::Binary),
        _ => Err(wrong_arguments(given.name, types)),
    }
}

fn concatenate(call: &Call<'_>) -> Result<ArrayRef> {
    let arrays = (0..call.args.len()).map(|i| call.array(i)).collect::<Result<Vec<_>>>()?;
    match call.return_type {
        DataType::Utf8 => {
            let texts = arrays.iter().map(|a| Ok(cast(a, &DataType::Utf8)?)).collect::<Result<Vec<_>>>()?;
            let mut builder = StringBuilder::new();
            for row in 0..call.rows {
                if texts.iter().any(|t| t.is_null(row)) {
                    builder.append_null();
                } else {
                    builder.append_value(texts.iter().map(|t| t.as_string::<i32>().value(row)).collect::<String>());
                }
            }
            Ok(Arc::new(builder.finish()))
        }
        DataType::Binary => {
            let rows = (0..call.rows).map(|row| {
                arrays
                    .iter()
                    .map(|a| a.is_valid(row).then(|| a.as_binary::<i32>().value(row)))
                    .collect::<Option<Vec<_>>>()
                    .map(|parts| parts.concat())
            });
            Ok(Arc::new(rows.collect::<datafusion::arrow::array::BinaryArray>()))
        }
        to => {
            let item = element(to).ok_or_else(|| failure("expected an array type"))?;
            let lists = arrays
                .iter()
                .map(|array| match array.data_type() {
                    DataType::List(_) => Lists::open(&cast_array(array, to, false)?),
                    // An element is an array of one.
                    _ => {
                        let values = cast_array(array, item, false)?;
                        let DataType::List(field) = to else { return Err(failure("expected an array type")) };
                        let ones = OffsetBuffer::from_lengths(std::iter::repeat_n(1, values.len()));
                        Lists::open(&(Arc::new(ListArray::try_new(Arc::clone(field), ones, values, None)?) as ArrayRef))
                    }
                })
                .collect::<Result<Vec<_>>>()?;
            let parts: Vec<&dyn Array> = lists.iter().map(|l| l.values().as_ref()).collect();
            let values = concat(&parts)?;
            let mut shifts = vec![0];
            for list in &lists {
                shifts.push(shifts[shifts.len() - 1] + list.values().len());
            }
            let chosen = (0..call.rows)
                .map(|row| lists.iter().zip(&shifts).flat_map(|(l, by)| shifted(l.range(row), *by)).collect())
                .collect();
            let nulls = lists.iter().fold(None, |nulls, l| NullBuffer::union(nulls.as_ref(), l.nulls()));
            build(&values, chosen, nulls, to)
        }
    }
}

fn integers(call: &Call<'_>, argument: usize) -> Result<Int64Array> {
    Ok(call.array_as(argument, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
}

fn slice(call: &Call<'_>) -> Result<ArrayRef> {
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

fn trim(call: &Call<'_>) -> Result<ArrayRef> {
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

fn repeat(call: &Call<'_>) -> Result<ArrayRef> {
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

fn sequence_type(given: &Given<'_>) -> Result<DataType> {
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

fn sequence(call: &Call<'_>) -> Result<ArrayRef> {
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

fn zip_type(given: &Given<'_>) -> Result<DataType> {
    let fields = given
        .types
        .iter()
        .map(|t| element(t).map(|item| Field::new("", item.clone(), true)))
        .collect::<Option<Vec<_>>>();
    match fields {
        Some(fields) if fields.len() >= 2 => Ok(array_of(DataType::Struct(fields.into()))),
        _ => Err(wrong_arguments(given.name, &given.types)),
    }
}

fn zip(call: &Call<'_>) -> Result<ArrayRef> {
    let lists = (0..call.args.len()).map(|i| Lists::open(&call.array(i)?)).collect::<Result<Vec<_>>>()?;
    let lengths: Vec<usize> =
        (0..call.rows).map(|row| lists.iter().map(|l| l.range(row).len()).max().unwrap_or(0)).collect();
    let columns = lists
        .iter()
        .map(|list| {
            let mut indices = UInt32Builder::new();
            for (row, length) in lengths.iter().enumerate() {
                let range = list.range(row);
                for i in 0..*length {
                    indices.append_option((i < range.len()).then_some((range.start + i) as u32));
                }
            }
            Ok(take(list.values(), &indices.finish(), None)?)
        })
        .collect::<Result<Vec<_>>>()?;
    let DataType::List(field) = call.return_type else { return Err(failure("expected an array type")) };
    let DataType::Struct(fields) = field.data_type() else { return Err(failure("expected an array of rows")) };
    let rows: ArrayRef = Arc::new(StructArray::try_new(fields.clone(), columns, None)?);
    let nulls = lists.iter().fold(None, |nulls, l| NullBuffer::union(nulls.as_ref(), l.nulls()));
    Ok(Arc::new(ListArray::try_new(Arc::clone(field), OffsetBuffer::from_lengths(lengths), rows, nulls)?))
}

fn row(call: &Call<'_>) -> Result<ArrayRef> {
    let DataType::Struct(fields) = call.return_type else { return Err(failure("expected a row type")) };
    let columns = fields
        .iter()
        .enumerate()
        .map(|(i, f)| cast_array(&call.array(i)?, f.data_type(), false))
        .collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(StructArray::try_new(fields.clone(), columns, None)?))
}

/// Counts the rows that arrays unnest to: an array from one to the length of the longest.
fn ordinality(call: &Call<'_>) -> Result<ArrayRef> {
    let lists = (0..call.args.len()).map(|i| Lists::open(&call.array(i)?)).collect::<Result<Vec<_>>>()?;
    let lengths: Vec<usize> =
        (0..call.rows).map(|row| lists.iter().map(|l| l.range(row).len()).max().unwrap_or(0)).collect();
    let values: ArrayRef = Arc::new(Int64Array::from_iter_values(lengths.iter().flat_map(|n| 1..=*n as i64)));
    let DataType::List(field) = call.return_type else { return Err(failure("expected an array type")) };
    Ok(Arc::new(ListArray::try_new(Arc::clone(field), OffsetBuffer::from_lengths(lengths), values, None)?))
}

fn ngrams(call: &Call<'_>) -> Result<ArrayRef> {
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
    let DataType::List(field) = call.return_type else { return Err(failure("expected an array type")) };
    let inner = build(lists.values(), groups, None, field.data_type())?;
    Ok(Arc::new(ListArray::try_new(
        Arc::clone(field),
        OffsetBuffer::from_lengths(lengths),
        inner,
        lists.nulls().cloned(),
    )?))
}

/// Refuses a subscript of a type that has none.
pub(crate) fn no_subscript(name: &str, data_type: &DataType) -> datafusion::error::DataFusionError {
    mistake_about(name, format!("a value of type {} has no elements", trino_type_name(data_type)))
}
