//! `CAST`, `TRY_CAST` and typed literals, by Trino's rules.
//!
//! | From | To | Rule |
//! |---|---|---|
//! | `double` | `bigint` | rounds, does not cut |
//! | `double` | `varchar` | `1.5E0` |
//! | `timestamp` | `varchar` | `2023-01-22 16:53:53.000` |
//! | `json` | `varchar` | the content of a scalar; arrays and objects are errors |
//! | `json` | `map(varchar, json)` and other shapes | member by member |
//! | anything | `json` | the value as JSON |
//! | `timestamp with time zone` | `timestamp` | what the clock in that zone shows |

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, ListArray, MapArray, StructArray, new_null_array};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::compute::{CastOptions, cast, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Date32Type};
use datafusion::arrow::util::display::FormatOptions;
use datafusion::common::Result;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};

use self::json::{from_json, raw_values, to_json};
use self::literals::{interval, literal, literal_type};
use self::numbers::{round_decimals, round_floats};
use self::text::{from_text, to_text};
use self::time::from_timestamp;
use crate::cell::element_text;
use crate::error::{failure, mistake, mistake_about};
use crate::functions::calendar::DAY;
use crate::functions::moments::moments_of_day;
use crate::functions::scalar::micros;
use crate::functions::shape::{Call, Given, Shape};
use crate::types::{
    JSON, TypeName, element, is_integer, is_number, is_text, is_zoned, map_parts, parse_type, trino_type_name,
};

mod json;
mod literals;
mod numbers;
mod text;
mod time;

pub(crate) use self::text::as_text;
pub(crate) use self::time::timestamps;

/// Lists the functions of this file.
pub(crate) fn shapes() -> Vec<Shape> {
    vec![
        Shape::new("cast", resolve, |call| evaluate(call, false)).simplified(simplify).ranged(moments_of_day),
        Shape::new("try_cast", resolve, |call| evaluate(call, true)).simplified(simplify).ranged(moments_of_day),
        Shape::new("$literal", literal_type, literal),
        Shape::new(
            "$interval",
            |_| Ok(DataType::Interval(datafusion::arrow::datatypes::IntervalUnit::MonthDayNano)),
            interval,
        ),
        Shape::new(
            "date",
            |given| target(given, "date").map(|_| DataType::Date32),
            |call| cast_array(&call.array(0)?, &DataType::Date32, call.lenient),
        )
        .ranged(moments_of_day),
        // The first argument in the type of the second, which is of no other use.
        Shape::new(
            "$typed_as",
            |given| Ok(given.types[1].clone()),
            |call| cast_array(&call.array(0)?, call.return_type, false),
        ),
        Shape::new(
            "typeof",
            |_| Ok(DataType::Utf8),
            |call| {
                let name = trino_type_name(&call.args[0].data_type());
                Ok(Arc::new(datafusion::arrow::array::StringArray::from(vec![name; call.rows])))
            },
        ),
    ]
}

fn target(given: &Given<'_>, type_text: &str) -> Result<TypeName> {
    let wanted = parse_type(type_text).map_err(mistake)?;
    let from = given.types.first().ok_or_else(|| mistake("a cast needs a value"))?;
    if !castable(from, &wanted.data_type) {
        let message = format!("cannot cast {} to {}", trino_type_name(from), trino_type_name(&wanted.data_type));
        return Err(mistake_about(given.name, message));
    }
    Ok(wanted)
}

fn resolve(given: &Given<'_>) -> Result<DataType> {
    let Some(type_text) = given.text(1) else { return Err(mistake("a cast needs a type")) };
    let wanted = target(given, type_text)?;
    let from = &given.types[0];
    Ok(if is_text(from) && wanted.data_type == DataType::Utf8 && wanted.length.is_none() {
        from.clone()
    } else {
        wanted.data_type
    })
}

fn evaluate(call: &Call<'_>, safe: bool) -> Result<ArrayRef> {
    let wanted = parse_type(call.text(1).unwrap_or_default()).map_err(mistake)?;
    let array = cast_array(&call.array(0)?, call.return_type, safe || call.lenient)?;
    match wanted.length {
        Some(length) => {
            let texts = array.as_string::<i32>();
            Ok(Arc::new(
                texts
                    .iter()
                    .map(|t| t.map(|t| t.chars().take(length).collect::<String>()))
                    .collect::<datafusion::arrow::array::StringArray>(),
            ))
        }
        None => Ok(array),
    }
}

/// Drops casts that change nothing, so that they do not hide a column from pruning.
fn simplify(args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
    let [value, Expr::Literal(type_text, _)] = args.as_slice() else { return Ok(ExprSimplifyResult::Original(args)) };
    let Some(Ok(wanted)) = type_text.try_as_str().flatten().map(parse_type) else {
        return Ok(ExprSimplifyResult::Original(args));
    };
    let from = info.get_data_type(value)?;
    let same = from == wanted.data_type || is_text(&from) && wanted.data_type == DataType::Utf8;
    if same && wanted.length.is_none() {
        return Ok(ExprSimplifyResult::Simplified(value.clone()));
    }
    if is_integer(&from) && wanted.data_type == DataType::Int64 && from != DataType::UInt64 {
        return Ok(ExprSimplifyResult::Simplified(datafusion::logical_expr::cast(value.clone(), wanted.data_type)));
    }
    Ok(ExprSimplifyResult::Original(args))
}

/// True if Trino has a cast between these types.
pub(crate) fn castable(from: &DataType, to: &DataType) -> bool {
    if from == to || *from == DataType::Null || is_text(from) && is_text(to) {
        return true;
    }
    if *to == JSON || *from == JSON {
        let other = if *to == JSON { from } else { to };
        return !matches!(other, DataType::Interval(_) | DataType::Duration(_));
    }
    let scalar = |t: &DataType| is_number(t) || *t == DataType::Boolean;
    let temporal = |t: &DataType| matches!(t, DataType::Timestamp(_, _) | DataType::Date32);
    match (from, to) {
        (a, b) if scalar(a) && scalar(b) => true,
        (a, b) if is_text(a) => scalar(b) || temporal(b) || matches!(b, DataType::Binary | DataType::Time64(_)),
        (a, b) if is_text(b) => !a.is_nested(),
        (a, b) if temporal(a) => temporal(b) || matches!(b, DataType::Time64(_)) && *a != DataType::Date32,
        (DataType::Interval(_) | DataType::Duration(_), DataType::Interval(_)) => true,
        (DataType::Struct(a), DataType::Struct(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| castable(a.data_type(), b.data_type()))
        }
        (a, b) => match (element(a), element(b), map_parts(a), map_parts(b)) {
            (Some(a), Some(b), _, _) => castable(a, b),
            (_, _, Some(a), Some(b)) => castable(a.0, b.0) && castable(a.1, b.1),
            _ => false,
        },
    }
}

/// Casts an array; with `safe`, a value that cannot be cast becomes NULL.
pub(crate) fn cast_array(array: &ArrayRef, to: &DataType, safe: bool) -> Result<ArrayRef> {
    let from = array.data_type();
    if from == to {
        return Ok(Arc::clone(array));
    }
    match (from, to) {
        (DataType::Null, _) => Ok(new_null_array(to, array.len())),
        (DataType::Dictionary(_, value), _) => cast_array(&cast(array, value)?, to, safe),
        (_, to) if *to == JSON => to_json(array),
        (from, _) if *from == JSON => from_json(&raw_values(array), to, safe),
        (from, to) if is_text(from) => from_text(array, to, safe),
        (_, DataType::Utf8) => to_text(array),
        (_, DataType::Utf8View) => Ok(cast(&to_text(array)?, to)?),
        (DataType::Float32 | DataType::Float64, to) if is_integer(to) => round_floats(array, to, safe),
        (DataType::Decimal128(_, scale), to) if is_integer(to) => round_decimals(array, *scale, to, safe),
        (DataType::Timestamp(unit, zone), _) => {
            from_timestamp(&micros(array, *unit), array.nulls(), zone.as_deref(), is_zoned(from), to)
        }
        (DataType::Date32, DataType::Timestamp(_, _)) => {
            let values: Vec<i64> =
                array.as_primitive::<Date32Type>().values().iter().map(|d| i64::from(*d) * DAY).collect();
            timestamps(values, array.nulls().cloned(), to)
        }
        (DataType::List(_), DataType::List(field)) => {
            let list = array.as_list::<i32>();
            let values = cast_array(list.values(), field.data_type(), safe)?;
            Ok(Arc::new(ListArray::try_new(Arc::clone(field), list.offsets().clone(), values, list.nulls().cloned())?))
        }
        (DataType::Map(_, _), DataType::Map(field, _)) => {
            let map = array.as_map();
            let (key, value) = map_parts(to).ok_or_else(|| failure("a map has two parts"))?;
            let (keys, values) = (cast_array(map.keys(), key, safe)?, cast_array(map.values(), value, safe)?);
            map_array(field, map.offsets().clone(), keys, values, map.nulls().cloned())
        }
        (DataType::Struct(_), DataType::Struct(fields)) => {
            let row = array.as_struct();
            let columns = row
                .columns()
                .iter()
                .zip(fields)
                .map(|(c, f)| cast_array(c, f.data_type(), safe))
                .collect::<Result<Vec<_>>>()?;
            Ok(Arc::new(StructArray::try_new(fields.clone(), columns, row.nulls().cloned())?))
        }
        _ => arrow_cast(array, to, safe),
    }
}

fn arrow_cast(array: &ArrayRef, to: &DataType, safe: bool) -> Result<ArrayRef> {
    let cast = |safe| cast_with_options(array, to, &CastOptions { safe, format_options: FormatOptions::default() });
    let failed = match cast(safe) {
        Ok(values) => return Ok(values),
        Err(error) => error,
    };
    if is_integer(to)
        && let Ok(values) = cast(true)
        && let Some(row) = (0..array.len()).find(|row| array.is_valid(*row) && values.is_null(*row))
    {
        return Err(failure(format!("out of range for {}: {}", trino_type_name(to), element_text(array, row))));
    }
    Err(failed.into())
}

/// Builds a map from its parts.
pub(crate) fn map_array(
    entries: &datafusion::arrow::datatypes::FieldRef,
    offsets: OffsetBuffer<i32>,
    keys: ArrayRef,
    values: ArrayRef,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef> {
    let DataType::Struct(fields) = entries.data_type() else { return Err(failure("the entries of a map are rows")) };
    let rows = StructArray::try_new(fields.clone(), vec![keys, values], None)?;
    Ok(Arc::new(MapArray::try_new(Arc::clone(entries), offsets, rows, nulls, false)?))
}
