//! Arithmetic of integers, checked: a result that does not fit is an error and never another number.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, Datum, Int64Array, Scalar};
use datafusion::arrow::compute::kernels::numeric;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::arrow::error::ArrowError;
use datafusion::common::Result;
use datafusion::logical_expr::ColumnarValue;

use crate::error::{failure, mistake_about};
use crate::functions::casts::cast_array;
use crate::functions::scalar::wrong_arguments;
use crate::functions::shape::{Call, Given, Shape};
use crate::types::{is_integer, is_interval, is_number, trino_type_name};

type Kernel = fn(&dyn Datum, &dyn Datum) -> std::result::Result<ArrayRef, ArrowError>;

/// An operation, as its messages name it.
struct Operation {
    noun: &'static str,
    symbol: &'static str,
    kernel: Kernel,
    /// The same for one pair of values: `None` is an overflow.
    single: fn(i64, i64) -> Option<i64>,
    divides: bool,
}

const ADDITION: Operation = Operation {
    noun: "addition",
    symbol: "+",
    kernel: |a, b| numeric::add(a, b),
    single: i64::checked_add,
    divides: false,
};

const SUBTRACTION: Operation = Operation {
    noun: "subtraction",
    symbol: "-",
    kernel: |a, b| numeric::sub(a, b),
    single: i64::checked_sub,
    divides: false,
};

const MULTIPLICATION: Operation = Operation {
    noun: "multiplication",
    symbol: "*",
    kernel: |a, b| numeric::mul(a, b),
    single: i64::checked_mul,
    divides: false,
};

const DIVISION: Operation = Operation {
    noun: "division",
    symbol: "/",
    kernel: |a, b| numeric::div(a, b),
    single: i64::checked_div,
    divides: true,
};

const REMAINDER: Operation = Operation {
    noun: "modulus",
    symbol: "%",
    kernel: |a, b| numeric::rem(a, b),
    single: |a, b| Some(a.wrapping_rem(b)),
    divides: true,
};

/// Lists the functions of this file.
pub(crate) fn shapes() -> Vec<Shape> {
    vec![
        Shape::new("$add", wider, |call| checked(call, &ADDITION)),
        Shape::new("$subtract", wider, |call| checked(call, &SUBTRACTION)),
        Shape::new("$multiply", wider, |call| checked(call, &MULTIPLICATION)),
        Shape::new("$divide_whole", wider, |call| checked(call, &DIVISION)),
        Shape::new("$remainder", wider, |call| checked(call, &REMAINDER)),
        Shape::new("$negate", negated_type, negate),
    ]
}

/// The wider of two integer types.
fn wider(given: &Given<'_>) -> Result<DataType> {
    let width = |t: &DataType| match t {
        DataType::Int8 => 1,
        DataType::Int16 | DataType::UInt8 => 2,
        DataType::Int32 | DataType::UInt16 => 3,
        _ => 4,
    };
    match given.types.as_slice() {
        [a, b] if is_integer(a) && is_integer(b) => Ok(match width(a).max(width(b)) {
            1 => DataType::Int8,
            2 => DataType::Int16,
            3 => DataType::Int32,
            _ => DataType::Int64,
        }),
        types => Err(wrong_arguments(given.name, types)),
    }
}

fn checked(call: &Call<'_>, operation: &Operation) -> Result<ArrayRef> {
    let to = call.return_type;
    let side = |argument: usize| -> Result<(ArrayRef, bool)> {
        let (array, constant) = match &call.args[argument] {
            ColumnarValue::Array(array) => (Arc::clone(array), false),
            ColumnarValue::Scalar(value) => (value.to_array()?, true),
        };
        Ok((cast_array(&array, to, false)?, constant))
    };
    let ((left, left_constant), (right, right_constant)) = (side(0)?, side(1)?);
    let computed = match (left_constant, right_constant) {
        (true, false) => (operation.kernel)(&Scalar::new(&left), &right),
        (false, true) => (operation.kernel)(&left, &Scalar::new(&right)),
        _ => (operation.kernel)(&left, &right),
    };
    match computed {
        Ok(values) => Ok(values),
        // Some row does not fit: find it.
        Err(_) => row_by_row(call, operation),
    }
}

fn row_by_row(call: &Call<'_>, operation: &Operation) -> Result<ArrayRef> {
    let to = call.return_type;
    let type_name = trino_type_name(to);
    let side = |argument: usize| -> Result<Int64Array> {
        Ok(cast_array(&call.array(argument)?, &DataType::Int64, false)?.as_primitive::<Int64Type>().clone())
    };
    let (left, right) = (side(0)?, side(1)?);
    let values = left.iter().zip(&right).map(|pair| {
        let (Some(a), Some(b)) = pair else { return Ok(None) };
        if operation.divides && b == 0 {
            return if call.lenient { Ok(None) } else { Err(failure("division by zero")) };
        }
        match (operation.single)(a, b).filter(|value| fits(*value, to)) {
            Some(value) => Ok(Some(value)),
            None if call.lenient => Ok(None),
            None => Err(failure(format!("{type_name} {} overflow: {a} {} {b}", operation.noun, operation.symbol))),
        }
    });
    let values: ArrayRef = Arc::new(values.collect::<Result<Int64Array>>()?);
    cast_array(&values, to, false)
}

fn fits(value: i64, data_type: &DataType) -> bool {
    match data_type {
        DataType::Int8 => i8::try_from(value).is_ok(),
        DataType::Int16 => i16::try_from(value).is_ok(),
        DataType::Int32 => i32::try_from(value).is_ok(),
        _ => true,
    }
}

fn negated_type(given: &Given<'_>) -> Result<DataType> {
    match given.types.as_slice() {
        [whole] if whole.is_unsigned_integer() => Ok(DataType::Int64),
        [number] if is_number(number) || is_interval(number) || *number == DataType::Null => Ok(number.clone()),
        [other] => Err(mistake_about(given.name, format!("cannot negate {}", trino_type_name(other)))),
        types => Err(wrong_arguments(given.name, types)),
    }
}

fn negate(call: &Call<'_>) -> Result<ArrayRef> {
    if *call.return_type == DataType::Null {
        return call.array(0);
    }
    let values = cast_array(&call.array(0)?, call.return_type, false)?;
    if let Ok(negated) = numeric::neg(&values) {
        return Ok(negated);
    }
    // Only the least value of a type has no opposite.
    let whole = cast_array(&values, &DataType::Int64, false)?;
    let opposite = whole.as_primitive::<Int64Type>().iter().map(|value| {
        let Some(value) = value else { return Ok(None) };
        match value.checked_neg().filter(|opposite| fits(*opposite, call.return_type)) {
            Some(opposite) => Ok(Some(opposite)),
            None if call.lenient => Ok(None),
            None => Err(failure(format!("{} negation overflow: {value}", trino_type_name(call.return_type)))),
        }
    });
    let opposite: ArrayRef = Arc::new(opposite.collect::<Result<Int64Array>>()?);
    cast_array(&opposite, call.return_type, false)
}
