//! Durations written with a unit: `parse_duration('3.81 d')`.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, IntervalMonthDayNanoArray};
use datafusion::arrow::datatypes::{DataType, IntervalMonthDayNano, IntervalUnit};
use datafusion::common::Result;

use crate::error::failure;
use crate::functions::scalar::wrong_arguments;
use crate::functions::shape::{Call, Given, Shape};
use crate::types::is_text;

/// Lists the functions of this file.
pub(crate) fn shapes() -> Vec<Shape> {
    vec![Shape::new("parse_duration", duration_type, parsed)]
}

fn duration_type(given: &Given<'_>) -> Result<DataType> {
    match given.types.as_slice() {
        [text] if is_text(text) || *text == DataType::Null => Ok(DataType::Interval(IntervalUnit::MonthDayNano)),
        types => Err(wrong_arguments(given.name, types)),
    }
}

fn parsed(call: &Call<'_>) -> Result<ArrayRef> {
    let texts = call.array_as(0, &DataType::Utf8)?;
    let texts = texts.as_string::<i32>();
    let mut durations = Vec::with_capacity(texts.len());
    for text in texts.iter() {
        durations.push(match text.map(|text| read(text).ok_or(text)) {
            None => None,
            Some(Ok(duration)) => Some(duration),
            Some(Err(_)) if call.lenient => None,
            Some(Err(text)) => {
                let message = format!("parse_duration: '{text}' is not a number and one of ns, us, ms, s, m, h, d");
                return Err(failure(message));
            }
        });
    }
    Ok(Arc::new(IntervalMonthDayNanoArray::from(durations)))
}

/// Reads a number and its unit, rounded to milliseconds; none for other texts and what no interval can hold.
fn read(text: &str) -> Option<IntervalMonthDayNano> {
    let text = text.trim();
    let split = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = (text[..split].trim_end(), &text[split..]);
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    let per = match unit {
        "ns" => 1e-6,
        "us" => 1e-3,
        "ms" => 1.0,
        "s" => 1e3,
        "m" => 60e3,
        "h" => 3_600e3,
        "d" => 86_400e3,
        _ => return None,
    };
    let millis = (number.parse::<f64>().ok()? * per + 0.5).floor();
    // Exact in a double, and its days fit.
    if millis > 9e15 {
        return None;
    }
    let millis = millis as i64;
    let days = i32::try_from(millis / 86_400_000).ok()?;
    Some(IntervalMonthDayNano::new(0, days, millis % 86_400_000 * 1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        let millis =
            |text: &str| read(text).map(|found| i64::from(found.days) * 86_400_000 + found.nanoseconds / 1_000_000);
        for (text, expected) in
            [("42.8ms", 43), ("3.81 d", 329_184_000), ("5m", 300_000), (" 1 h ", 3_600_000), ("499us", 0), ("0ns", 0)]
        {
            assert_eq!(millis(text), Some(expected), "{text}");
        }
        for wrong in ["", "5", "m", "-5m", "5 weeks", "1.m", ".5s", "5 m 3 s", "99999999999999999999d"] {
            assert_eq!(millis(wrong), None, "{wrong}");
        }
    }
}
