//! Casts of numbers with a fraction to whole ones: they round.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, Float64Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Decimal128Type, Float64Type};
use datafusion::common::Result;

use super::arrow_cast;
use crate::cell::double_text;
use crate::error::failure;
use crate::types::trino_type_name;

pub(super) fn round_floats(array: &ArrayRef, to: &DataType, safe: bool) -> Result<ArrayRef> {
    let doubles = cast(array, &DataType::Float64)?;
    let doubles = doubles.as_primitive::<Float64Type>();
    if !safe && let Some(bad) = doubles.iter().flatten().find(|v| !v.is_finite() || v.abs() >= 9.3e18) {
        return Err(failure(format!("cannot cast {} to {}", double_text(bad), trino_type_name(to))));
    }
    let rounded: Float64Array = doubles.unary(|v| (v.abs() + 0.5).floor().copysign(v));
    arrow_cast(&(Arc::new(rounded) as ArrayRef), to, safe)
}

pub(super) fn round_decimals(array: &ArrayRef, scale: i8, to: &DataType, safe: bool) -> Result<ArrayRef> {
    let unit = 10i128.pow(scale.max(0) as u32);
    let decimals = array.as_primitive::<Decimal128Type>();
    let whole: datafusion::arrow::array::Decimal128Array = decimals
        .unary::<_, Decimal128Type>(|v| (v.abs() + unit / 2) / unit * v.signum())
        .with_precision_and_scale(38, 0)?;
    arrow_cast(&(Arc::new(whole) as ArrayRef), to, safe)
}
