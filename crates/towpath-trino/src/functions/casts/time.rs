//! Casts of timestamps.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, Date32Array, TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray,
};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::Result;

use crate::error::failure;
use crate::functions::calendar::DAY;
use crate::functions::scalar::{offset_micros, zone_named};
use crate::types::{is_zoned, trino_type_name};

pub(super) fn from_timestamp(
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
