//! What subqueries are planned with: quantified comparisons, membership, and keys of values of any type.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BinaryArray, BooleanBuilder, StructArray};
use datafusion::arrow::compute::concat;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::arrow::row::{RowConverter, Rows, SortField};
use datafusion::common::Result;
use datafusion::logical_expr::ColumnarValue;

use crate::error::{failure, mistake, mistake_about};
use crate::functions::arrays::{Lists, rows_of, unify};
use crate::functions::casts::cast_array;
use crate::functions::shape::{Call, Given, Shape};
use crate::types::{element, trino_type_name};

/// Lists the functions of this file.
pub(crate) fn shapes() -> Vec<Shape> {
    vec![
        Shape::new("$quantified", quantified_type, quantified),
        Shape::new("$among", member_type, member),
        Shape::new("$single", |g| Ok(g.types.get(1).cloned().unwrap_or(DataType::Null)), single),
        Shape::new("$key", |_| Ok(DataType::Binary), key),
    ]
}

/// Resolves `(operator, quantifier, value, row(rows, values, least, greatest))`.
fn quantified_type(given: &Given<'_>) -> Result<DataType> {
    let [_, _, value, DataType::Struct(summary)] = given.types.as_slice() else {
        return Err(mistake("a quantified comparison needs a subquery"));
    };
    let [_, _, least, _] = summary.as_ref() else {
        return Err(mistake("a quantified comparison needs a subquery"));
    };
    if unify(value, least.data_type()).is_none() {
        let (op, value, found) =
            (given.text(0).unwrap_or("="), trino_type_name(value), trino_type_name(least.data_type()));
        return Err(mistake_about(
            given.text(1).unwrap_or("all"),
            format!("cannot apply operator: {value} {op} {found}"),
        ));
    }
    Ok(DataType::Boolean)
}

fn quantified(call: &Call<'_>) -> Result<ArrayRef> {
    let (op, all) = (call.text(0).unwrap_or_default().to_owned(), call.text(1) == Some("all"));
    let (value, summary) = (call.array(2)?, call.array(3)?);
    let summary: &StructArray = summary.as_struct();
    let count = |at: usize| summary.column(at).as_primitive::<Int64Type>();
    let (total, present) = (count(0), count(1));
    let wanted = unify(value.data_type(), summary.column(2).data_type())
        .ok_or_else(|| failure("the types of a quantified comparison differ"))?;
    let sides = [&value, summary.column(2), summary.column(3)].map(|side| cast_array(side, &wanted, false)).into_iter();
    let sides = sides.collect::<Result<Vec<_>>>()?;
    // All three in one row format, so that they can be compared whatever their type is.
    let rows = rows_of(&concat(&[&sides[0], &sides[1], &sides[2]])?)?;
    let length = call.rows;
    let mut results = BooleanBuilder::with_capacity(length);
    for row in 0..length {
        if summary.is_null(row) || total.is_null(row) || total.value(row) == 0 {
            results.append_value(all);
            continue;
        }
        if sides[0].is_null(row) || present.value(row) == 0 {
            results.append_null();
            continue;
        }
        let against = |side: usize| rows.row(row).cmp(&rows.row(side * length + row));
        let (least, greatest) = (against(1), against(2));
        let holds = match (op.as_str(), all) {
            ("=", true) => least == Ordering::Equal && greatest == Ordering::Equal,
            ("<>" | "!=", false) => least != Ordering::Equal || greatest != Ordering::Equal,
            (">", true) => greatest == Ordering::Greater,
            (">=", true) => greatest != Ordering::Less,
            ("<", true) => least == Ordering::Less,
            ("<=", true) => least != Ordering::Greater,
            (">", false) => least == Ordering::Greater,
            (">=", false) => least != Ordering::Less,
            ("<", false) => greatest == Ordering::Less,
            ("<=", false) => greatest != Ordering::Greater,
            _ => return Err(failure(format!("operator {op} cannot be quantified"))),
        };
        // A NULL among the rows leaves open what the values do not decide.
        let unknown = present.value(row) < total.value(row);
        results.append_option(if holds != all {
            Some(holds)
        } else if unknown {
            None
        } else {
            Some(holds)
        });
    }
    Ok(Arc::new(results.finish()))
}

/// Resolves `(value, row(rows, values, array))`.
fn member_type(given: &Given<'_>) -> Result<DataType> {
    let [value, DataType::Struct(summary)] = given.types.as_slice() else {
        return Err(mistake("IN needs a subquery"));
    };
    let item = summary.get(2).and_then(|field| element(field.data_type())).unwrap_or(&DataType::Null);
    if unify(value, item).is_none() {
        let (value, item) = (trino_type_name(value), trino_type_name(item));
        return Err(mistake_about("in", format!("cannot apply operator: {value} = {item}")));
    }
    Ok(DataType::Boolean)
}

/// Tells whether the value is one of those of a subquery, as `IN` does.
fn member(call: &Call<'_>) -> Result<ArrayRef> {
    let value = call.array(0)?;
    // A summary of all rows stands once for all of them.
    let (summary, once) = match &call.args[1] {
        ColumnarValue::Scalar(summary) => (summary.to_array()?, true),
        ColumnarValue::Array(summary) => (Arc::clone(summary), false),
    };
    let summary: &StructArray = summary.as_struct();
    let (total, present) =
        (summary.column(0).as_primitive::<Int64Type>(), summary.column(1).as_primitive::<Int64Type>());
    let lists = Lists::open(summary.column(2))?;
    let wanted =
        unify(value.data_type(), lists.values().data_type()).ok_or_else(|| failure("the types of IN differ"))?;
    let (value, items) = (cast_array(&value, &wanted, false)?, cast_array(lists.values(), &wanted, false)?);
    let shift = value.len();
    let rows = rows_of(&concat(&[&value, &items])?)?;
    let set = |at: usize| -> HashSet<_> {
        lists.range(at).filter(|i| items.is_valid(*i)).map(|i| rows.row(shift + i)).collect()
    };
    let shared = if once { set(0) } else { HashSet::new() };
    let partial = Partial::of(&concat(&[&value, &items])?)?;
    let mut results = BooleanBuilder::with_capacity(call.rows);
    for row in 0..call.rows {
        let at = if once { 0 } else { row };
        if summary.is_null(at) || total.is_null(at) || total.value(at) == 0 {
            results.append_value(false);
            continue;
        }
        if value.is_null(row) {
            results.append_null();
            continue;
        }
        let same = if once { shared.contains(&rows.row(row)) } else { set(at).contains(&rows.row(row)) };
        let found = same && !partial.is_open(row);
        let open = || lists.range(at).any(|i| items.is_valid(i) && partial.may_equal(row, shift + i));
        let unknown = !found && (present.value(at) < total.value(at) || open());
        results.append_option((!unknown).then_some(found));
    }
    Ok(Arc::new(results.finish()))
}

/// Rows of which some fields are NULL: whether they are equal may be unknown.
struct Partial {
    /// The fields, each in a format whose values can be compared; none for values that are no rows.
    fields: Vec<(ArrayRef, Rows)>,
    open: Vec<bool>,
}

impl Partial {
    fn of(values: &ArrayRef) -> Result<Self> {
        let DataType::Struct(_) = values.data_type() else { return Ok(Self { fields: vec![], open: vec![] }) };
        let columns = values.as_struct().columns();
        let open = (0..values.len()).map(|row| columns.iter().any(|column| column.is_null(row))).collect();
        let fields = columns.iter().map(|column| Ok((Arc::clone(column), rows_of(column)?))).collect::<Result<_>>()?;
        Ok(Self { fields, open })
    }

    fn is_open(&self, row: usize) -> bool {
        self.open.get(row).copied().unwrap_or_default()
    }

    /// True if a NULL leaves it open whether two rows are equal.
    fn may_equal(&self, a: usize, b: usize) -> bool {
        (self.is_open(a) || self.is_open(b))
            && self
                .fields
                .iter()
                .all(|(values, rows)| values.is_null(a) || values.is_null(b) || rows.row(a) == rows.row(b))
    }
}

/// Returns the value of a subquery that has at most one row: `(rows, value)`.
fn single(call: &Call<'_>) -> Result<ArrayRef> {
    let rows = call.array_as(0, &DataType::Int64)?;
    if rows.as_primitive::<Int64Type>().iter().flatten().any(|rows| rows > 1) {
        return Err(failure("scalar sub-query has returned multiple rows"));
    }
    call.array(1)
}

/// Writes all arguments as bytes that are equal exactly if the arguments are, NULL equal to NULL.
fn key(call: &Call<'_>) -> Result<ArrayRef> {
    let columns = (0..call.args.len()).map(|i| call.array(i)).collect::<Result<Vec<_>>>()?;
    let fields = columns.iter().map(|c| SortField::new(c.data_type().clone())).collect();
    let rows = RowConverter::new(fields)?.convert_columns(&columns)?;
    Ok(Arc::new(BinaryArray::from_iter_values(rows.iter())))
}
