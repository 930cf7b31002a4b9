//! Functions of numbers.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, Decimal128Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type};
use datafusion::common::Result;

use crate::error::failure;
use crate::functions::scalar::Param::{Double, Int, Text};
use crate::functions::scalar::{Body, Out, Overload, Row, overload, wrong_arguments};
use crate::functions::shape::{Call, Given, Shape};
use crate::types::{is_integer, is_number};

macro_rules! real {
    ($f:expr) => {
        vec![overload(&[Double], Body::Double(|r| Ok(Some($f(r.double(0))))))]
    };
}

/// Lists the functions of one row.
pub(crate) fn functions() -> Vec<(&'static str, Vec<Overload>)> {
    vec![
        ("sqrt", real!(f64::sqrt)),
        ("cbrt", real!(f64::cbrt)),
        ("exp", real!(f64::exp)),
        ("ln", real!(f64::ln)),
        ("log2", real!(f64::log2)),
        ("log10", real!(f64::log10)),
        ("log", vec![overload(&[Double, Double], Body::Double(|r| Ok(Some(r.double(1).ln() / r.double(0).ln()))))]),
        ("power", vec![overload(&[Double, Double], Body::Double(|r| Ok(Some(r.double(0).powf(r.double(1))))))]),
        ("pow", vec![overload(&[Double, Double], Body::Double(|r| Ok(Some(r.double(0).powf(r.double(1))))))]),
        ("sin", real!(f64::sin)),
        ("cos", real!(f64::cos)),
        ("tan", real!(f64::tan)),
        ("asin", real!(f64::asin)),
        ("acos", real!(f64::acos)),
        ("atan", real!(f64::atan)),
        ("sinh", real!(f64::sinh)),
        ("cosh", real!(f64::cosh)),
        ("tanh", real!(f64::tanh)),
        ("atan2", vec![overload(&[Double, Double], Body::Double(|r| Ok(Some(r.double(0).atan2(r.double(1))))))]),
        ("degrees", real!(f64::to_degrees)),
        ("radians", real!(f64::to_radians)),
        ("e", vec![overload(&[], Body::Double(|_| Ok(Some(std::f64::consts::E))))]),
        ("infinity", vec![overload(&[], Body::Double(|_| Ok(Some(f64::INFINITY))))]),
        ("nan", vec![overload(&[], Body::Double(|_| Ok(Some(f64::NAN))))]),
        ("is_nan", vec![overload(&[Double], Body::Bool(|r| Ok(Some(r.double(0).is_nan()))))]),
        ("is_finite", vec![overload(&[Double], Body::Bool(|r| Ok(Some(r.double(0).is_finite()))))]),
        ("is_infinite", vec![overload(&[Double], Body::Bool(|r| Ok(Some(r.double(0).is_infinite()))))]),
        ("bitwise_and", vec![overload(&[Int, Int], Body::Int(|r| Ok(Some(r.int(0) & r.int(1)))))]),
        ("bitwise_or", vec![overload(&[Int, Int], Body::Int(|r| Ok(Some(r.int(0) | r.int(1)))))]),
        ("bitwise_xor", vec![overload(&[Int, Int], Body::Int(|r| Ok(Some(r.int(0) ^ r.int(1)))))]),
        ("bitwise_not", vec![overload(&[Int], Body::Int(|r| Ok(Some(!r.int(0)))))]),
        (
            "bitwise_left_shift",
            vec![overload(&[Int, Int], Body::Int(|r| Ok(Some(shift(r.int(0), r.int(1), |v, by| v << by)))))],
        ),
        (
            "bitwise_right_shift",
            vec![overload(
                &[Int, Int],
                Body::Int(|r| Ok(Some(shift(r.int(0), r.int(1), |v, by| ((v as u64) >> by) as i64)))),
            )],
        ),
        (
            "bitwise_right_shift_arithmetic",
            vec![overload(&[Int, Int], Body::Int(|r| Ok(Some(r.int(0) >> r.int(1).clamp(0, 63)))))],
        ),
        ("bit_count", vec![overload(&[Int, Int], Body::Int(bit_count))]),
        ("width_bucket", vec![overload(&[Double, Double, Double, Int], Body::Int(width_bucket))]),
        (
            "from_base",
            vec![overload(
                &[Text, Int],
                Body::Int(|r| {
                    let base = u32::try_from(r.int(1))
                        .ok()
                        .filter(|b| (2..=36).contains(b))
                        .ok_or("the base must be between 2 and 36")?;
                    i64::from_str_radix(r.text(0), base)
                        .map(Some)
                        .map_err(|_| format!("'{}' is not a number in base {base}", r.text(0)))
                }),
            )],
        ),
        ("to_base", vec![overload(&[Int, Int], Body::Text(|r| Ok(Some(to_base(r.int(0), r.int(1))?.into()))))]),
    ]
}

fn shift(value: i64, by: i64, f: fn(i64, u32) -> i64) -> i64 {
    if (0..64).contains(&by) { f(value, by as u32) } else { 0 }
}

fn bit_count(r: &Row<'_>) -> Out<i64> {
    let bits = r.int(1);
    if !(2..=64).contains(&bits) {
        return Err("the number of bits must be between 2 and 64".into());
    }
    let mask = if bits == 64 { u64::MAX } else { (1 << bits) - 1 };
    Ok(Some(i64::from((r.int(0) as u64 & mask).count_ones())))
}

fn width_bucket(r: &Row<'_>) -> Out<i64> {
    let (value, low, high, count) = (r.double(0), r.double(1), r.double(2), r.int(3));
    if count <= 0 || low == high {
        return Err("the buckets need a width and a number".into());
    }
    let share = (value - low) / (high - low);
    Ok(Some(if share < 0.0 {
        0
    } else if share >= 1.0 {
        count.saturating_add(1)
    } else {
        (share * count as f64) as i64 + 1
    }))
}

fn to_base(value: i64, base: i64) -> Result<String, String> {
    if !(2..=36).contains(&base) {
        return Err("the base must be between 2 and 36".into());
    }
    let mut rest = value.unsigned_abs();
    let mut digits = vec![];
    loop {
        digits.push(char::from_digit((rest % base as u64) as u32, base as u32).unwrap_or('0'));
        rest /= base as u64;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        digits.push('-');
    }
    Ok(digits.into_iter().rev().collect())
}

/// Lists the functions whose result has the type of their argument.
pub(crate) fn shapes() -> Vec<Shape> {
    vec![
        Shape::new("abs", same_number, |c| unary(c, |v| v.checked_abs(), f64::abs, |v, _| v.abs())),
        Shape::new("sign", same_number, |c| {
            unary(c, |v| Some(v.signum()), |v| if v == 0.0 { 0.0 } else { v.signum() }, |v, unit| v.signum() * unit)
        }),
        Shape::new("ceil", same_number, ceil),
        Shape::new("ceiling", same_number, ceil),
        Shape::new("floor", same_number, |c| unary(c, Some, f64::floor, |v, unit| v.div_euclid(unit) * unit)),
        Shape::new("truncate", |g| rounding(g, "truncate"), |c| rounded(c, f64::trunc, |v, unit| v / unit * unit)),
        Shape::new(
            "round",
            |g| rounding(g, "round"),
            |c| {
                rounded(
                    c,
                    |v| (v.abs() + 0.5).floor().copysign(v),
                    |v, unit| (v.abs() + unit / 2) / unit * unit * v.signum(),
                )
            },
        ),
        Shape::new(
            "mod",
            |g| match g.types.as_slice() {
                [a, b] if is_integer(a) && is_integer(b) => Ok(DataType::Int64),
                [a, b] if is_number(a) && is_number(b) => Ok(DataType::Float64),
                types => Err(wrong_arguments("mod", types)),
            },
            modulo,
        ),
        Shape::new("$divide", |g| Ok(g.types[0].clone()), divide),
    ]
}

fn same_number(given: &Given<'_>) -> Result<DataType> {
    match given.types.as_slice() {
        [DataType::Null] => Ok(DataType::Float64),
        [number] if is_integer(number) => Ok(DataType::Int64),
        [DataType::Float32] => Ok(DataType::Float64),
        [number] if is_number(number) => Ok(number.clone()),
        types => Err(wrong_arguments(given.name, types)),
    }
}

fn rounding(given: &Given<'_>, name: &str) -> Result<DataType> {
    match given.types.as_slice() {
        [number] | [number, DataType::Int64 | DataType::Int32] if is_integer(number) => Ok(DataType::Int64),
        [decimal @ DataType::Decimal128(_, _)]
        | [decimal @ DataType::Decimal128(_, _), DataType::Int64 | DataType::Int32] => Ok(decimal.clone()),
        [number] | [number, DataType::Int64 | DataType::Int32] if is_number(number) || *number == DataType::Null => {
            Ok(DataType::Float64)
        }
        types => Err(wrong_arguments(name, types)),
    }
}

fn ceil(call: &Call<'_>) -> Result<ArrayRef> {
    unary(call, Some, f64::ceil, |v, unit| -((-v).div_euclid(unit)) * unit)
}

/// Applies one of three forms of a function, by the kind of number. The decimal form knows how many steps make one.
fn unary(
    call: &Call<'_>,
    whole: fn(i64) -> Option<i64>,
    real: fn(f64) -> f64,
    decimal: fn(i128, i128) -> i128,
) -> Result<ArrayRef> {
    let array = call.array(0)?;
    match call.return_type {
        DataType::Int64 => {
            let numbers = cast(&array, &DataType::Int64)?;
            let numbers = numbers.as_primitive::<Int64Type>();
            let values =
                numbers.try_unary::<_, Int64Type, _>(|v| whole(v).ok_or_else(|| failure("bigint is out of range")))?;
            Ok(Arc::new(values))
        }
        DataType::Decimal128(precision, scale) => {
            let unit = 10i128.pow((*scale).max(0) as u32);
            let values: Decimal128Array = array.as_primitive::<Decimal128Type>().unary(|v| decimal(v, unit));
            Ok(Arc::new(values.with_precision_and_scale(*precision, *scale)?))
        }
        _ => {
            let numbers = cast(&array, &DataType::Float64)?;
            Ok(Arc::new(numbers.as_primitive::<Float64Type>().unary::<_, Float64Type>(real)))
        }
    }
}

fn rounded(call: &Call<'_>, real: fn(f64) -> f64, whole: fn(i128, i128) -> i128) -> Result<ArrayRef> {
    let array = call.array(0)?;
    let digits = if call.args.len() > 1 {
        call.array_as(1, &DataType::Int64)?
    } else {
        Arc::new(datafusion::arrow::array::Int64Array::from(vec![0; call.rows])) as ArrayRef
    };
    let digits = digits.as_primitive::<Int64Type>();
    match call.return_type {
        DataType::Int64 => {
            let numbers = cast(&array, &DataType::Int64)?;
            let values = numbers.as_primitive::<Int64Type>().iter().zip(digits).map(|(v, d)| {
                let (v, d) = (v?, d?);
                Some(if d >= 0 {
                    v
                } else if d < -18 {
                    0
                } else {
                    i64::try_from(whole(i128::from(v), 10i128.pow(-d as u32))).unwrap_or(v)
                })
            });
            Ok(Arc::new(values.collect::<datafusion::arrow::array::Int64Array>()))
        }
        DataType::Decimal128(precision, scale) => {
            let values = array.as_primitive::<Decimal128Type>().iter().zip(digits).map(|(v, d)| {
                let (v, dropped) = (v?, i64::from(*scale) - d?);
                Some(if dropped <= 0 {
                    v
                } else if dropped > 37 {
                    0
                } else {
                    whole(v, 10i128.pow(dropped as u32))
                })
            });
            Ok(Arc::new(values.collect::<Decimal128Array>().with_precision_and_scale(*precision, *scale)?))
        }
        _ => {
            let numbers = cast(&array, &DataType::Float64)?;
            let values = numbers.as_primitive::<Float64Type>().iter().zip(digits).map(|(v, d)| {
                let (v, d) = (v?, d?.clamp(-300, 300));
                let unit = 10f64.powi(d as i32);
                let scaled = v * unit;
                Some(if scaled.is_finite() && v.is_finite() { real(scaled) / unit } else { v })
            });
            Ok(Arc::new(values.collect::<datafusion::arrow::array::Float64Array>()))
        }
    }
}

fn modulo(call: &Call<'_>) -> Result<ArrayRef> {
    if *call.return_type == DataType::Int64 {
        let (a, b) = (call.array_as(0, &DataType::Int64)?, call.array_as(1, &DataType::Int64)?);
        let values =
            a.as_primitive::<Int64Type>().iter().zip(b.as_primitive::<Int64Type>()).map(|(a, b)| match (a, b) {
                (Some(_), Some(0)) if call.lenient => Ok(None),
                (Some(_), Some(0)) => Err(failure("division by zero")),
                (Some(a), Some(b)) => Ok(Some(a.wrapping_rem(b))),
                _ => Ok(None),
            });
        return Ok(Arc::new(values.collect::<Result<datafusion::arrow::array::Int64Array>>()?));
    }
    let (a, b) = (call.array_as(0, &DataType::Float64)?, call.array_as(1, &DataType::Float64)?);
    let values =
        a.as_primitive::<Float64Type>().iter().zip(b.as_primitive::<Float64Type>()).map(|(a, b)| Some(a? % b?));
    Ok(Arc::new(values.collect::<datafusion::arrow::array::Float64Array>()))
}

/// Divides decimals of equal scale; the quotient has that scale and is rounded half up.
fn divide(call: &Call<'_>) -> Result<ArrayRef> {
    let DataType::Decimal128(precision, scale) = call.return_type else { return Err(failure("expected decimals")) };
    let (a, b) = (call.array_as(0, call.return_type)?, call.array_as(1, call.return_type)?);
    let unit = 10i128.pow((*scale).max(0) as u32);
    let values =
        a.as_primitive::<Decimal128Type>().iter().zip(b.as_primitive::<Decimal128Type>()).map(|(a, b)| match (a, b) {
            (Some(_), Some(0)) if call.lenient => Ok(None),
            (Some(_), Some(0)) => Err(failure("division by zero")),
            (Some(a), Some(b)) => {
                let Some(scaled) = a.checked_mul(unit) else {
                    return if call.lenient { Ok(None) } else { Err(failure("decimal overflow")) };
                };
                let (quotient, rest) = (scaled / b, scaled % b);
                let up = rest.unsigned_abs() * 2 >= b.unsigned_abs();
                Ok(Some(if up { quotient + scaled.signum() * b.signum() } else { quotient }))
            }
            _ => Ok(None),
        });
    Ok(Arc::new(values.collect::<Result<Decimal128Array>>()?.with_precision_and_scale(*precision, *scale)?))
}
