//! Typed literals: `timestamp '...'`, `decimal '...'`, `interval '...' day`.

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::{DataType, IntervalMonthDayNano, TimeUnit};
use datafusion::common::{Result, ScalarValue};

use super::cast_array;
use super::json::to_json_document;
use crate::error::{failure, mistake};
use crate::functions::calendar::{parse_moment, zone_text};
use crate::functions::scalar::zone_named;
use crate::functions::shape::{Call, Given};
use crate::types::{JSON, parse_type};

/// Decides the type of `type 'text'`; the precision and zone of a timestamp are those of its text.
pub(super) fn literal_type(given: &Given<'_>) -> Result<DataType> {
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

pub(super) fn literal(call: &Call<'_>) -> Result<ArrayRef> {
    let text = call.array(0)?;
    if *call.return_type == JSON {
        return to_json_document(&text);
    }
    cast_array(&text, call.return_type, false)
}

pub(super) fn interval(call: &Call<'_>) -> Result<ArrayRef> {
    let (Some(text), Some(unit)) = (call.text(0), call.text(1)) else {
        return Err(failure("an interval needs a text and a unit"));
    };
    let value: IntervalMonthDayNano = crate::functions::interval::parse_interval(text, unit).map_err(failure)?;
    ScalarValue::IntervalMonthDayNano(Some(value)).to_array_of_size(call.rows)
}
