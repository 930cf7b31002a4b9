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

use std::borrow::Cow;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanBuilder, Date32Array, Date32Builder, Float64Array, Int64Builder,
    LargeStringBuilder, ListArray, MapArray, StringBuilder, StructArray, TimestampMicrosecondArray,
    TimestampMillisecondArray, TimestampNanosecondArray, new_null_array,
};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::compute::{CastOptions, cast, cast_with_options};
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, IntervalMonthDayNano, TimeUnit,
};
use datafusion::arrow::util::display::FormatOptions;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};

use crate::cell::{double_text, element_text};
use crate::error::{failure, mistake, mistake_about};
use crate::functions::calendar::{DAY, parse_moment, zone_text};
use crate::functions::json_text::{Kind, elements, kind, members, quote, scalar, unquoted};
use crate::functions::moments::moments_of_day;
use crate::functions::scalar::{micros, offset_micros, zone_named};
use crate::functions::shape::{Call, Given, Shape};
use crate::types::{
    JSON, TypeName, element, is_integer, is_number, is_text, is_zoned, map_parts, parse_type, trino_type_name,
};

/// The members of a JSON object, values as text.
type Members<'a> = Vec<(String, Cow<'a, str>)>;

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
    if is_integer(&from) && is_integer(&wanted.data_type) {
        return Ok(ExprSimplifyResult::Simplified(datafusion::logical_expr::cast(value.clone(), wanted.data_type)));
    }
    Ok(ExprSimplifyResult::Original(args))
}

/// True if Trino has a cast between these types.
fn castable(from: &DataType, to: &DataType) -> bool {
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
    Ok(cast_with_options(array, to, &CastOptions { safe, format_options: FormatOptions::default() })?)
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

fn round_floats(array: &ArrayRef, to: &DataType, safe: bool) -> Result<ArrayRef> {
    let doubles = cast(array, &DataType::Float64)?;
    let doubles = doubles.as_primitive::<Float64Type>();
    if !safe && let Some(bad) = doubles.iter().flatten().find(|v| !v.is_finite() || v.abs() >= 9.3e18) {
        return Err(failure(format!("cannot cast {} to {}", double_text(bad), trino_type_name(to))));
    }
    let rounded: Float64Array = doubles.unary(|v| (v.abs() + 0.5).floor().copysign(v));
    arrow_cast(&(Arc::new(rounded) as ArrayRef), to, safe)
}

fn round_decimals(array: &ArrayRef, scale: i8, to: &DataType, safe: bool) -> Result<ArrayRef> {
    let unit = 10i128.pow(scale.max(0) as u32);
    let decimals = array.as_primitive::<Decimal128Type>();
    let whole: datafusion::arrow::array::Decimal128Array = decimals
        .unary::<_, Decimal128Type>(|v| (v.abs() + unit / 2) / unit * v.signum())
        .with_precision_and_scale(38, 0)?;
    arrow_cast(&(Arc::new(whole) as ArrayRef), to, safe)
}

fn from_timestamp(
    values: &[i64],
    nulls: Option<&NullBuffer>,
    zone: Option<&str>,
    zoned: bool,
    to: &DataType,
) -> Result<ArrayRef> {
    let zone = zone.filter(|_| zoned).map(zone_named).transpose().map_err(failure)?;
    let wall =
        |instant: i64| zone.as_ref().map_or(instant, |zone| instant.saturating_add(offset_micros(zone, instant)));
    match to {
        DataType::Date32 => {
            let days = values.iter().map(|v| wall(*v).div_euclid(DAY) as i32);
            Ok(Arc::new(Date32Array::new(days.collect(), nulls.cloned())))
        }
        DataType::Time64(TimeUnit::Microsecond) => {
            let times = values.iter().map(|v| wall(*v).rem_euclid(DAY));
            Ok(Arc::new(datafusion::arrow::array::Time64MicrosecondArray::new(times.collect(), nulls.cloned())))
        }
        to if is_zoned(to) => timestamps(values.to_vec(), nulls.cloned(), to),
        DataType::Timestamp(_, _) => timestamps(values.iter().map(|v| wall(*v)).collect(), nulls.cloned(), to),
        other => Err(failure(format!("cannot cast a timestamp to {}", trino_type_name(other)))),
    }
}

/// Builds timestamps of type `to` from microseconds.
pub(crate) fn timestamps(micros: Vec<i64>, nulls: Option<NullBuffer>, to: &DataType) -> Result<ArrayRef> {
    let DataType::Timestamp(unit, zone) = to else { return Err(failure("not a timestamp type")) };
    Ok(match unit {
        TimeUnit::Second => {
            let values = micros.iter().map(|v| v.div_euclid(1_000_000)).collect::<Vec<_>>();
            Arc::new(
                datafusion::arrow::array::TimestampSecondArray::new(values.into(), nulls)
                    .with_timezone_opt(zone.clone()),
            )
        }
        TimeUnit::Millisecond => {
            // Half a millisecond rounds up, as in Trino.
            let values = micros.iter().map(|v| v.saturating_add(500).div_euclid(1000)).collect::<Vec<_>>();
            Arc::new(TimestampMillisecondArray::new(values.into(), nulls).with_timezone_opt(zone.clone()))
        }
        TimeUnit::Microsecond => {
            Arc::new(TimestampMicrosecondArray::new(micros.into(), nulls).with_timezone_opt(zone.clone()))
        }
        TimeUnit::Nanosecond => {
            let values = micros.iter().map(|v| v.saturating_mul(1000)).collect::<Vec<_>>();
            Arc::new(TimestampNanosecondArray::new(values.into(), nulls).with_timezone_opt(zone.clone()))
        }
    })
}

fn to_text(array: &ArrayRef) -> Result<ArrayRef> {
    match array.data_type() {
        DataType::Binary => Ok(arrow_cast(array, &DataType::Utf8, false)?),
        data_type => {
            let mut builder = StringBuilder::with_capacity(array.len(), array.len() * 16);
            let scientific = matches!(data_type, DataType::Float32 | DataType::Float64);
            for row in 0..array.len() {
                if array.is_null(row) {
                    builder.append_null();
                } else if scientific {
                    builder.append_value(scientific_text(array, row));
                } else {
                    builder.append_value(element_text(array, row));
                }
            }
            Ok(Arc::new(builder.finish()))
        }
    }
}

/// Writes `1.5E0`.
fn scientific_text(array: &ArrayRef, row: usize) -> String {
    let value = match array.data_type() {
        DataType::Float32 => return scientific(format!("{:E}", array.as_primitive::<Float32Type>().value(row))),
        _ => array.as_primitive::<Float64Type>().value(row),
    };
    if value.is_finite() { scientific(format!("{value:E}")) } else { double_text(value) }
}

fn scientific(text: String) -> String {
    match text.split_once('E') {
        Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0E{exponent}"),
        _ => text,
    }
}

fn from_text(array: &ArrayRef, to: &DataType, safe: bool) -> Result<ArrayRef> {
    let texts = cast(array, &DataType::Utf8)?;
    let bad = |text: &str| failure(format!("cannot cast '{text}' to {}", trino_type_name(to)));
    match to {
        DataType::Boolean => {
            let mut builder = BooleanBuilder::with_capacity(array.len());
            for text in texts.as_string::<i32>() {
                match text.map(|t| (t, t.to_ascii_lowercase())) {
                    None => builder.append_null(),
                    Some((_, t)) if matches!(t.as_str(), "true" | "t" | "1") => builder.append_value(true),
                    Some((_, t)) if matches!(t.as_str(), "false" | "f" | "0") => builder.append_value(false),
                    Some(_) if safe => builder.append_null(),
                    Some((text, _)) => return Err(bad(text)),
                }
            }
            Ok(Arc::new(builder.finish()))
        }
        DataType::Date32 => {
            let mut builder = Date32Builder::with_capacity(array.len());
            for text in texts.as_string::<i32>() {
                match text.map(|t| (t, parse_moment(t).filter(|m| m.date_only))) {
                    None => builder.append_null(),
                    Some((_, Some(moment))) => builder.append_value(moment.wall.div_euclid(DAY) as i32),
                    Some(_) if safe => builder.append_null(),
                    Some((text, None)) => return Err(bad(text)),
                }
            }
            Ok(Arc::new(builder.finish()))
        }
        DataType::Timestamp(_, _) => {
            let mut builder = Int64Builder::with_capacity(array.len());
            for text in texts.as_string::<i32>() {
                match text.map(|t| (t, parse_moment(t))) {
                    None => builder.append_null(),
                    Some((_, Some(moment))) => builder.append_value(moment.instant()),
                    Some(_) if safe => builder.append_null(),
                    Some((text, None)) => return Err(bad(text)),
                }
            }
            let values = builder.finish();
            timestamps(values.values().to_vec(), values.nulls().cloned(), to)
        }
        DataType::Utf8 => Ok(texts),
        DataType::Binary => Ok(cast(&texts, to)?),
        _ => {
            let texts = texts.as_string::<i32>();
            let trimmed: datafusion::arrow::array::StringArray = texts.iter().map(|t| t.map(str::trim)).collect();
            let parsed = arrow_cast(&(Arc::new(trimmed) as ArrayRef), to, true)?;
            if !safe
                && parsed.null_count() > texts.null_count()
                && let Some(row) = (0..texts.len()).find(|row| texts.is_valid(*row) && parsed.is_null(*row))
            {
                return Err(bad(texts.value(row)));
            }
            Ok(parsed)
        }
    }
}

/// Writes every value as JSON text.
fn to_json(array: &ArrayRef) -> Result<ArrayRef> {
    let mut builder = LargeStringBuilder::new();
    for row in 0..array.len() {
        if array.is_null(row) {
            builder.append_null();
        } else {
            builder.append_value(json_of(array, row));
        }
    }
    Ok(Arc::new(builder.finish()))
}

fn json_of(array: &ArrayRef, row: usize) -> String {
    if array.is_null(row) {
        return "null".into();
    }
    match array.data_type() {
        DataType::LargeUtf8 => array.as_string::<i64>().value(row).to_owned(),
        DataType::Boolean => element_text(array, row),
        DataType::Float32 | DataType::Float64 => {
            let text = element_text(array, row);
            if text.parse::<f64>().is_ok_and(f64::is_finite) { text } else { quote(&text) }
        }
        t if is_number(t) => element_text(array, row),
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(row);
            format!("[{}]", (0..items.len()).map(|i| json_of(&items, i)).collect::<Vec<_>>().join(","))
        }
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns();
            let members = fields.iter().zip(columns).map(|(f, c)| format!("{}:{}", quote(f.name()), json_of(c, row)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        }
        DataType::Map(_, _) => {
            let entries = array.as_map().value(row);
            let (keys, values) = (entries.column(0), entries.column(1));
            let mut members: Vec<_> = (0..entries.len())
                .map(|i| format!("{}:{}", quote(&element_text(keys, i)), json_of(values, i)))
                .collect();
            members.sort();
            format!("{{{}}}", members.join(","))
        }
        _ => quote(&element_text(array, row)),
    }
}

type Raw<'a> = Option<Cow<'a, str>>;

fn raw_values(array: &ArrayRef) -> Vec<Raw<'_>> {
    array.as_string::<i64>().iter().map(|v| v.map(Cow::Borrowed)).collect()
}

/// Builds values of type `to` from raw JSON; a JSON null is NULL.
fn from_json(values: &[Raw<'_>], to: &DataType, safe: bool) -> Result<ArrayRef> {
    let bad = |raw: &str| failure(format!("cannot cast the JSON value {} to {}", shortened(raw), trino_type_name(to)));
    let present = |raw: &Raw<'_>| raw.as_ref().is_some_and(|raw| kind(raw) != Some(Kind::Null));
    match to {
        DataType::LargeUtf8 => {
            Ok(Arc::new(values.iter().map(|v| v.as_deref()).collect::<datafusion::arrow::array::LargeStringArray>()))
        }
        DataType::List(field) => {
            let mut offsets = vec![0i32];
            let mut valid = Vec::with_capacity(values.len());
            let mut children: Vec<Raw<'_>> = vec![];
            for raw in values {
                let items = raw.as_deref().filter(|_| present(raw)).map(|raw| (raw, elements(raw)));
                valid.push(matches!(items, Some((_, Some(_)))));
                match items {
                    Some((_, Some(items))) => children.extend(items.into_iter().map(Some)),
                    Some((raw, None)) if !safe => return Err(bad(raw)),
                    _ => {}
                }
                offsets.push(offset(children.len())?);
            }
            let children = from_json(&children, field.data_type(), safe)?;
            Ok(Arc::new(ListArray::try_new(
                Arc::clone(field),
                OffsetBuffer::new(offsets.into()),
                children,
                Some(valid.into()),
            )?))
        }
        DataType::Map(entries, _) => {
            let (key_type, value_type) = map_parts(to).ok_or_else(|| failure("a map has two parts"))?;
            let mut offsets = vec![0i32];
            let mut valid = Vec::with_capacity(values.len());
            let (mut keys, mut children): (Vec<String>, Vec<Raw<'_>>) = (vec![], vec![]);
            for raw in values {
                let found = raw.as_deref().filter(|_| present(raw)).map(|raw| (raw, members(raw)));
                valid.push(matches!(found, Some((_, Some(_)))));
                match found {
                    Some((_, Some(found))) => {
                        let start = keys.len();
                        for (name, value) in found {
                            // A repeated member counts once, with its last value.
                            match keys[start..].iter().position(|known| *known == name) {
                                Some(at) => children[start + at] = Some(value),
                                None => {
                                    keys.push(name);
                                    children.push(Some(value));
                                }
                            }
                        }
                    }
                    Some((raw, None)) if !safe => return Err(bad(raw)),
                    _ => {}
                }
                offsets.push(offset(keys.len())?);
            }
            let keys: ArrayRef = Arc::new(datafusion::arrow::array::StringArray::from(keys));
            let keys = cast_array(&keys, key_type, false)?;
            let children = from_json(&children, value_type, safe)?;
            map_array(entries, OffsetBuffer::new(offsets.into()), keys, children, Some(valid.into()))
        }
        DataType::Struct(fields) => {
            let parsed: Vec<Option<Members<'_>>> = values
                .iter()
                .map(|raw| match raw.as_deref().filter(|_| present(raw)) {
                    None => Ok(None),
                    // An array gives the fields in order, an object by name.
                    Some(raw) => match members(raw).or_else(|| {
                        Some(elements(raw)?.into_iter().zip(fields).map(|(v, f)| (f.name().clone(), v)).collect())
                    }) {
                        None if !safe => Err(bad(raw)),
                        found => Ok(found),
                    },
                })
                .collect::<Result<_>>()?;
            let columns = fields
                .iter()
                .map(|field| {
                    let find = |row: &Option<Vec<(String, Cow<'_, str>)>>| -> Option<Cow<'_, str>> {
                        row.as_ref()?
                            .iter()
                            .find(|(name, _)| name.eq_ignore_ascii_case(field.name()))
                            .map(|(_, v)| Cow::Owned(v.to_string()))
                    };
                    from_json(&parsed.iter().map(find).collect::<Vec<_>>(), field.data_type(), safe)
                })
                .collect::<Result<Vec<_>>>()?;
            let valid: Vec<bool> = parsed.iter().map(Option::is_some).collect();
            Ok(Arc::new(StructArray::try_new(fields.clone(), columns, Some(valid.into()))?))
        }
        _ => {
            // Scalars go by their text.
            let mut builder = StringBuilder::new();
            for raw in values {
                match raw {
                    Some(found) if present(raw) => match scalar(found.clone()) {
                        Some(text) => builder.append_value(text),
                        None if safe => builder.append_null(),
                        None => return Err(bad(found)),
                    },
                    _ => builder.append_null(),
                }
            }
            let texts: ArrayRef = Arc::new(builder.finish());
            if is_integer(to) {
                // JSON numbers may have a fraction or an exponent.
                let whole = arrow_cast(&texts, to, true)?;
                if whole.null_count() == texts.null_count() {
                    return Ok(whole);
                }
                return round_floats(&from_text(&texts, &DataType::Float64, safe)?, to, safe);
            }
            cast_array(&texts, to, safe)
        }
    }
}

fn offset(length: usize) -> Result<i32> {
    i32::try_from(length).map_err(|_| failure("too many values in one batch"))
}

fn shortened(raw: &str) -> String {
    if raw.chars().count() <= 60 { raw.to_owned() } else { raw.chars().take(60).chain("...".chars()).collect() }
}

/// Decides the type of `type 'text'`; the precision and zone of a timestamp are those of its text.
fn literal_type(given: &Given<'_>) -> Result<DataType> {
    let (Some(text), Some(type_text)) = (given.text(0), given.text(1)) else {
        return Err(mistake("a literal needs a text and a type"));
    };
    if type_text != "timestamp literal" {
        let type_text = type_text.trim_end_matches(" literal");
        let wanted = parse_type(type_text).map_err(mistake)?.data_type;
        return Ok(match (type_text, wanted) {
            ("decimal", _) => {
                let digits = text.bytes().filter(u8::is_ascii_digit).count().clamp(1, 38);
                let scale = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
                DataType::Decimal128(digits as u8, scale.min(digits) as i8)
            }
            (_, wanted) => wanted,
        });
    }
    let moment = parse_moment(text).ok_or_else(|| mistake(format!("'{text}' is not a valid timestamp literal")))?;
    Ok(match (&moment.zone, moment.precision) {
        (Some(_), _) => {
            let name = text.trim().rsplit(' ').next().filter(|last| zone_named(last).is_ok()).unwrap_or("UTC");
            crate::types::zoned(zone_text(name))
        }
        (None, 0..=3) => crate::types::TIMESTAMP,
        (None, 4..=6) => DataType::Timestamp(TimeUnit::Microsecond, None),
        (None, _) => DataType::Timestamp(TimeUnit::Nanosecond, None),
    })
}

fn literal(call: &Call<'_>) -> Result<ArrayRef> {
    let text = call.array(0)?;
    if *call.return_type == JSON {
        return to_json_document(&text);
    }
    cast_array(&text, call.return_type, false)
}

fn to_json_document(text: &ArrayRef) -> Result<ArrayRef> {
    let text = text.as_string::<i32>();
    let documents = text
        .iter()
        .map(|t| t.map(crate::functions::json_text::canonical).transpose().map_err(failure))
        .collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(datafusion::arrow::array::LargeStringArray::from(documents)))
}

fn interval(call: &Call<'_>) -> Result<ArrayRef> {
    let (Some(text), Some(unit)) = (call.text(0), call.text(1)) else {
        return Err(failure("an interval needs a text and a unit"));
    };
    let value: IntervalMonthDayNano = crate::functions::interval::parse_interval(text, unit).map_err(failure)?;
    ScalarValue::IntervalMonthDayNano(Some(value)).to_array_of_size(call.rows)
}

/// Writes timestamps, dates and all else as text, for places where text meets another type.
pub(crate) fn as_text(array: &ArrayRef) -> Result<ArrayRef> {
    if is_text(array.data_type()) {
        return Ok(cast(array, &DataType::Utf8)?);
    }
    if *array.data_type() == JSON {
        let values = array.as_string::<i64>();
        return Ok(Arc::new(
            values
                .iter()
                .map(|v| v.map(|v| unquoted(Cow::Borrowed(v)).into_owned()))
                .collect::<datafusion::arrow::array::StringArray>(),
        ));
    }
    to_text(array)
}
