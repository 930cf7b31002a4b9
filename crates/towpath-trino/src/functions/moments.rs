//! Date and time functions whose result has the type of their argument, and the comparisons that need timestamps.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Date32Array};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Date32Type, Int64Type};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::preimage::PreimageResult;
use datafusion::logical_expr::simplify::SimplifyContext;
use jiff::tz::TimeZone;

use crate::error::{failure, mistake_about};
use crate::functions::calendar::{DAY, instant_of};
use crate::functions::casts::{as_text, timestamps};
use crate::functions::datetime::{Unit, add, lenient_instant, truncate, unit};
use crate::functions::scalar::{micros, offset_micros, wrong_arguments, zone_named};
use crate::functions::shape::{Call, Given, Shape};
use crate::types::{is_integer, is_text, is_zoned, zoned};

/// Lists the functions of this file.
pub(crate) fn shapes() -> Vec<Shape> {
    vec![
        Shape::new(
            "date_add",
            |g| match g.types.as_slice() {
                [unit_name, amount, moment] if is_text(unit_name) && is_integer(amount) && is_moment(moment) => {
                    if let Some(name) = g.text(0) {
                        let checked = unit(name).map_err(|m| mistake_about("date_add", m))?;
                        if *moment == DataType::Date32 && matches!(checked, Unit::Micros(_)) {
                            return Err(mistake_about("date_add", format!("'{name}' is not a valid unit of a date")));
                        }
                    }
                    Ok(moment.clone())
                }
                types => Err(wrong_arguments("date_add", types)),
            },
            date_add,
        ),
        Shape::new(
            "date_trunc",
            |g| match g.types.as_slice() {
                [unit_name, moment] if is_text(unit_name) && is_moment(moment) => {
                    if let Some(name) = g.text(0) {
                        unit(name).map_err(|m| mistake_about("date_trunc", m))?;
                    }
                    Ok(moment.clone())
                }
                types => Err(wrong_arguments("date_trunc", types)),
            },
            date_trunc,
        )
        .ranged(moments_of_unit),
        Shape::new(
            "at_timezone",
            |g| zone_result(g, |t| matches!(t, DataType::Timestamp(_, _))),
            |c| {
                let (instants, nulls) = instants(&c.array(0)?)?;
                timestamps(instants, nulls, c.return_type)
            },
        ),
        Shape::new(
            "with_timezone",
            |g| zone_result(g, |t| matches!(t, DataType::Timestamp(_, _)) && !is_zoned(t)),
            |c| {
                let (walls, nulls) = instants(&c.array(0)?)?;
                let zone = zone_of(c.return_type)?;
                timestamps(walls.into_iter().map(|w| instant_of(w, &zone)).collect(), nulls, c.return_type)
            },
        ),
        Shape::new("$as_text", |_| Ok(DataType::Utf8), |c| as_text(&c.array(0)?)),
        Shape::new(
            "$as_boolean",
            |_| Ok(DataType::Boolean),
            |c| {
                let texts = cast(&c.array(0)?, &DataType::Utf8)?;
                let read = texts.as_string::<i32>().iter().map(|t| match t.map(str::to_ascii_lowercase).as_deref() {
                    Some("true") => Some(true),
                    Some("false") => Some(false),
                    _ => None,
                });
                Ok(Arc::new(read.collect::<BooleanArray>()))
            },
        ),
    ]
}

fn is_moment(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Date32 | DataType::Timestamp(_, _))
}

fn zone_result(given: &Given<'_>, fits: fn(&DataType) -> bool) -> Result<DataType> {
    match given.types.as_slice() {
        [moment, zone] if fits(moment) && is_text(zone) => {
            let name = given.text(1).ok_or_else(|| mistake_about(given.name, "a time zone must be constant"))?;
            zone_named(name).map_err(|m| mistake_about(given.name, m))?;
            Ok(zoned(name))
        }
        types => Err(wrong_arguments(given.name, types)),
    }
}

fn zone_of(data_type: &DataType) -> Result<TimeZone> {
    match data_type {
        DataType::Timestamp(_, Some(zone)) => zone_named(zone).map_err(failure),
        _ => Ok(TimeZone::UTC),
    }
}

/// Returns dates and timestamps in microseconds.
fn instants(array: &ArrayRef) -> Result<(Vec<i64>, Option<NullBuffer>)> {
    let values = match array.data_type() {
        DataType::Date32 => array.as_primitive::<Date32Type>().values().iter().map(|d| i64::from(*d) * DAY).collect(),
        DataType::Timestamp(unit, _) => micros(array, *unit),
        other => return Err(failure(format!("{other} is not a moment"))),
    };
    Ok((values, array.nulls().cloned()))
}

/// Applies `f` to what a clock in the argument's zone shows.
fn on_wall(
    array: &ArrayRef,
    to: &DataType,
    mut f: impl FnMut(usize, i64) -> std::result::Result<i64, String>,
) -> Result<(Vec<i64>, Option<NullBuffer>)> {
    let zone = if is_zoned(to) { Some(zone_of(to)?).filter(|z| *z != TimeZone::UTC) } else { None };
    let (mut values, nulls) = instants(array)?;
    for (row, value) in values.iter_mut().enumerate() {
        if nulls.as_ref().is_some_and(|n| n.is_null(row)) {
            continue;
        }
        let wall = zone.as_ref().map_or(*value, |z| *value + offset_micros(z, *value));
        let moved = f(row, wall).map_err(failure)?;
        *value = zone.as_ref().map_or(moved, |z| instant_of(moved, z));
    }
    Ok((values, nulls))
}

fn rebuilt(values: Vec<i64>, nulls: Option<NullBuffer>, to: &DataType) -> Result<ArrayRef> {
    match to {
        DataType::Date32 => {
            Ok(Arc::new(Date32Array::new(values.iter().map(|v| v.div_euclid(DAY) as i32).collect(), nulls)))
        }
        other => timestamps(values, nulls, other),
    }
}

fn date_add(call: &Call<'_>) -> Result<ArrayRef> {
    let names = call.array_as(0, &DataType::Utf8)?;
    let amounts = call.array_as(1, &DataType::Int64)?;
    let (names, amounts) = (names.as_string::<i32>(), amounts.as_primitive::<Int64Type>());
    let known = call.text(0).map(unit).transpose().map_err(failure)?;
    let array = call.array(2)?;
    let (values, nulls) = on_wall(&array, call.return_type, |row, wall| {
        if names.is_null(row) || amounts.is_null(row) {
            return Ok(wall);
        }
        let unit = match known {
            Some(unit) => unit,
            None => unit(names.value(row))?,
        };
        add(wall, unit, amounts.value(row))
    })?;
    let nulls = NullBuffer::union(NullBuffer::union(nulls.as_ref(), names.nulls()).as_ref(), amounts.nulls());
    rebuilt(values, nulls, call.return_type)
}

fn date_trunc(call: &Call<'_>) -> Result<ArrayRef> {
    let names = call.array_as(0, &DataType::Utf8)?;
    let names = names.as_string::<i32>();
    let array = call.array(1)?;
    let (values, nulls) = on_wall(&array, call.return_type, |row, wall| {
        if names.is_null(row) { Ok(wall) } else { truncate(wall, names.value(row)) }
    })?;
    rebuilt(values, NullBuffer::union(nulls.as_ref(), names.nulls()), call.return_type)
}

/// Finds the moments of a day: what `date(column)` and `cast(column AS date)` map to one date.
///
/// With this, a condition on the date of a timestamp is a condition on the timestamp and can prune files.
pub(crate) fn moments_of_day(args: &[Expr], literal: &Expr, info: &SimplifyContext) -> Result<PreimageResult> {
    let (Some(value), Expr::Literal(ScalarValue::Date32(Some(days)), _)) = (args.first(), literal) else {
        return Ok(PreimageResult::None);
    };
    if let Some(Expr::Literal(wanted, _)) = args.get(1)
        && wanted.try_as_str().flatten() != Some("date")
    {
        return Ok(PreimageResult::None);
    }
    let start = i64::from(*days) * DAY;
    range(value, start, start.saturating_add(DAY), info)
}

/// Finds the moments that `date_trunc` cuts down to one.
fn moments_of_unit(args: &[Expr], literal: &Expr, info: &SimplifyContext) -> Result<PreimageResult> {
    let ([Expr::Literal(name, _), value], Expr::Literal(wanted, _)) = (args, literal) else {
        return Ok(PreimageResult::None);
    };
    let Some(name) = name.try_as_str().flatten() else { return Ok(PreimageResult::None) };
    if wanted.is_null() || !matches!(wanted.data_type(), DataType::Timestamp(_, _)) || is_zoned(&wanted.data_type()) {
        return Ok(PreimageResult::None);
    }
    let start = instants(&wanted.to_array()?)?.0[0];
    // Only the start of a unit has moments that are cut down to it.
    let (Ok(cut), Ok(unit)) = (truncate(start, name), unit(name)) else { return Ok(PreimageResult::None) };
    match add(start, unit, 1) {
        Ok(end) if cut == start => range(value, start, end, info),
        _ => Ok(PreimageResult::None),
    }
}

/// Builds the range from `start` to before `end`, both in microseconds, for a plain timestamp.
fn range(value: &Expr, start: i64, end: i64, info: &SimplifyContext) -> Result<PreimageResult> {
    let data_type = info.get_data_type(value)?;
    if !matches!(data_type, DataType::Timestamp(_, _)) || is_zoned(&data_type) {
        return Ok(PreimageResult::None);
    }
    let bounds = timestamps(vec![start, end], None, &data_type)?;
    let interval =
        Interval::try_new(ScalarValue::try_from_array(&bounds, 0)?, ScalarValue::try_from_array(&bounds, 1)?)?;
    Ok(PreimageResult::Range { expr: value.clone(), interval: Box::new(interval) })
}

/// Reads text, dates and timestamps as instants of type `to`; text that is no timestamp becomes NULL.
pub(crate) fn to_instants(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    if is_text(array.data_type()) {
        let texts = cast(array, &DataType::Utf8)?;
        let read: Vec<Option<i64>> = texts.as_string::<i32>().iter().map(|t| t.and_then(lenient_instant)).collect();
        let nulls: NullBuffer = read.iter().map(Option::is_some).collect::<Vec<_>>().into();
        return timestamps(read.into_iter().map(Option::unwrap_or_default).collect(), Some(nulls), to);
    }
    let (values, nulls) = instants(array)?;
    timestamps(values, nulls, to)
}
