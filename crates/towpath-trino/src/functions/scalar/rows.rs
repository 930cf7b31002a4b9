//! Rows of arguments, and the columns of results made from them.

use std::borrow::Cow;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryBuilder, BooleanArray, BooleanBuilder, Date32Array, Date32Builder,
    Float64Array, Float64Builder, Int64Array, Int64Builder, LargeStringArray, LargeStringBuilder, ListBuilder,
    StringArray, StringBuilder, StringViewArray, TimestampMicrosecondBuilder, TimestampMillisecondBuilder,
};
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use datafusion::common::Result;
use jiff::tz::TimeZone;

use super::{Body, Out};
use crate::error::failure;
use crate::types::is_zoned;

/// An argument over all rows.
pub(crate) struct Column<'a> {
    values: Values<'a>,
    nulls: Option<&'a datafusion::arrow::buffer::NullBuffer>,
    single: bool,
    zoned: bool,
}

enum Values<'a> {
    Utf8(&'a StringArray),
    View(&'a StringViewArray),
    Large(&'a LargeStringArray),
    Int(&'a Int64Array),
    Double(&'a Float64Array),
    Bool(&'a BooleanArray),
    Date(&'a Date32Array),
    Micros(Vec<i64>, Option<TimeZone>),
    Binary(&'a BinaryArray),
    Texts(&'a datafusion::arrow::array::ListArray),
}

impl<'a> Column<'a> {
    pub(super) fn new(array: &'a ArrayRef, single: bool) -> Result<Self> {
        let values = match array.data_type() {
            DataType::Utf8 => Values::Utf8(array.as_string()),
            DataType::Utf8View => Values::View(array.as_string_view()),
            DataType::LargeUtf8 => Values::Large(array.as_string()),
            DataType::Int64 => Values::Int(array.as_primitive::<Int64Type>()),
            DataType::Float64 => Values::Double(array.as_primitive::<Float64Type>()),
            DataType::Boolean => Values::Bool(array.as_boolean()),
            DataType::Date32 => Values::Date(array.as_primitive::<Date32Type>()),
            DataType::Timestamp(unit, zone) => {
                let zone =
                    zone.as_deref().map(zone_named).transpose().map_err(failure)?.filter(|zone| *zone != TimeZone::UTC);
                Values::Micros(micros(array, *unit), zone)
            }
            DataType::Binary => Values::Binary(array.as_binary()),
            DataType::List(_) => Values::Texts(array.as_list()),
            other => return Err(failure(format!("unexpected argument type {other}"))),
        };
        Ok(Self { values, nulls: array.nulls(), single, zoned: is_zoned(array.data_type()) })
    }

    fn index(&self, row: usize) -> usize {
        if self.single { 0 } else { row }
    }

    fn is_null(&self, row: usize) -> bool {
        self.nulls.is_some_and(|nulls| nulls.is_null(self.index(row)))
    }
}

/// Returns the values of a timestamp column in microseconds.
pub(crate) fn micros(array: &ArrayRef, unit: TimeUnit) -> Vec<i64> {
    match unit {
        TimeUnit::Second => {
            array.as_primitive::<TimestampSecondType>().values().iter().map(|v| v.saturating_mul(1_000_000)).collect()
        }
        TimeUnit::Millisecond => {
            array.as_primitive::<TimestampMillisecondType>().values().iter().map(|v| v.saturating_mul(1000)).collect()
        }
        TimeUnit::Microsecond => array.as_primitive::<TimestampMicrosecondType>().values().to_vec(),
        TimeUnit::Nanosecond => {
            array.as_primitive::<TimestampNanosecondType>().values().iter().map(|v| v.div_euclid(1000)).collect()
        }
    }
}

/// Reads a zone: a name of the time zone database, or an offset such as `+02:00`.
pub(crate) fn zone_named(name: &str) -> std::result::Result<TimeZone, String> {
    let unknown = || format!("unknown time zone: {name}");
    if matches!(name, "UTC" | "utc" | "Z" | "GMT" | "+00:00") {
        return Ok(TimeZone::UTC);
    }
    if let Some(offset) = name.strip_prefix(['+', '-']) {
        let (hours, minutes) = offset.split_once(':').unwrap_or((offset, "0"));
        let hours: i32 = hours.parse().map_err(|_| unknown())?;
        let minutes: i32 = minutes.parse().map_err(|_| unknown())?;
        let seconds = (hours * 60 + minutes) * if name.starts_with('-') { -60 } else { 60 };
        return jiff::tz::Offset::from_seconds(seconds).map(TimeZone::fixed).map_err(|_| unknown());
    }
    TimeZone::get(name).map_err(|_| unknown())
}

/// One row of arguments, none of them null.
pub(crate) struct Row<'a> {
    columns: &'a [Column<'a>],
    row: usize,
}

impl<'a> Row<'a> {
    pub(crate) fn text(&self, argument: usize) -> &'a str {
        let column = &self.columns[argument];
        let at = column.index(self.row);
        match &column.values {
            Values::Utf8(array) => array.value(at),
            Values::View(array) => array.value(at),
            Values::Large(array) => array.value(at),
            _ => "",
        }
    }

    pub(crate) fn int(&self, argument: usize) -> i64 {
        let column = &self.columns[argument];
        match &column.values {
            Values::Int(array) => array.value(column.index(self.row)),
            _ => 0,
        }
    }

    pub(crate) fn double(&self, argument: usize) -> f64 {
        let column = &self.columns[argument];
        match &column.values {
            Values::Double(array) => array.value(column.index(self.row)),
            _ => 0.0,
        }
    }

    pub(crate) fn bool(&self, argument: usize) -> bool {
        let column = &self.columns[argument];
        match &column.values {
            Values::Bool(array) => array.value(column.index(self.row)),
            _ => false,
        }
    }

    pub(crate) fn binary(&self, argument: usize) -> &'a [u8] {
        let column = &self.columns[argument];
        match &column.values {
            Values::Binary(array) => array.value(column.index(self.row)),
            _ => &[],
        }
    }

    pub(crate) fn texts(&self, argument: usize) -> Vec<Option<String>> {
        let column = &self.columns[argument];
        match &column.values {
            Values::Texts(array) => {
                array.value(column.index(self.row)).as_string::<i32>().iter().map(|t| t.map(str::to_owned)).collect()
            }
            _ => vec![],
        }
    }

    /// Returns the instant of a date or timestamp, in microseconds since 1970-01-01 00:00:00 UTC.
    pub(crate) fn instant(&self, argument: usize) -> i64 {
        let column = &self.columns[argument];
        let at = column.index(self.row);
        match &column.values {
            Values::Date(array) => i64::from(array.value(at)) * 86_400_000_000,
            Values::Micros(values, _) => values[at],
            _ => 0,
        }
    }

    /// Returns what a clock on the wall shows, in microseconds since it showed 1970-01-01 00:00:00.
    pub(crate) fn wall(&self, argument: usize) -> i64 {
        let instant = self.instant(argument);
        match &self.columns[argument].values {
            Values::Micros(_, Some(zone)) => instant.saturating_add(offset_micros(zone, instant)),
            _ => instant,
        }
    }

    /// True if the argument is a date.
    pub(crate) fn is_date(&self, argument: usize) -> bool {
        matches!(self.columns[argument].values, Values::Date(_))
    }

    /// True if the argument is a timestamp with time zone.
    pub(crate) fn is_zoned(&self, argument: usize) -> bool {
        self.columns[argument].zoned
    }

    /// Returns the zone of a timestamp, if it is not UTC.
    pub(crate) fn zone(&self, argument: usize) -> Option<&TimeZone> {
        match &self.columns[argument].values {
            Values::Micros(_, zone) => zone.as_ref(),
            _ => None,
        }
    }
}

/// Returns the offset of `zone` from UTC at an instant, both in microseconds.
pub(crate) fn offset_micros(zone: &TimeZone, instant: i64) -> i64 {
    jiff::Timestamp::from_microsecond(instant).map_or(0, |at| i64::from(zone.to_offset(at).seconds()) * 1_000_000)
}

pub(super) struct Rows<'a> {
    pub(super) columns: &'a [Column<'a>],
    pub(super) rows: usize,
    pub(super) lenient: bool,
    pub(super) name: &'a str,
}

macro_rules! fill {
    ($self:ident, $builder:expr, $f:ident, $append:expr) => {{
        let mut builder = $builder;
        for row in 0..$self.rows {
            match $self.value(row, $f)? {
                Some(value) => $append(&mut builder, value),
                None => builder.append_null(),
            }
        }
        Arc::new(builder.finish()) as ArrayRef
    }};
}

impl<'a> Rows<'a> {
    fn value<T>(&self, row: usize, f: impl Fn(&Row<'a>) -> Out<T>) -> Result<Option<T>> {
        if self.columns.iter().any(|column| column.is_null(row)) {
            return Ok(None);
        }
        match f(&Row { columns: self.columns, row }) {
            Ok(value) => Ok(value),
            Err(_) if self.lenient => Ok(None),
            Err(message) => Err(failure(format!("{}: {message}", self.name))),
        }
    }

    pub(super) fn evaluate(&self, body: Body) -> Result<ArrayRef> {
        Ok(match body {
            Body::Text(f) => fill!(
                self,
                StringBuilder::with_capacity(self.rows, self.rows * 16),
                f,
                |b: &mut StringBuilder, v: Cow<'_, str>| b.append_value(v)
            ),
            Body::Json(f) => {
                fill!(self, LargeStringBuilder::new(), f, |b: &mut LargeStringBuilder, v: Cow<'_, str>| b
                    .append_value(v))
            }
            Body::Int(f) => {
                fill!(self, Int64Builder::with_capacity(self.rows), f, |b: &mut Int64Builder, v| b.append_value(v))
            }
            Body::Double(f) => {
                fill!(self, Float64Builder::with_capacity(self.rows), f, |b: &mut Float64Builder, v| b.append_value(v))
            }
            Body::Bool(f) => {
                fill!(self, BooleanBuilder::with_capacity(self.rows), f, |b: &mut BooleanBuilder, v| b.append_value(v))
            }
            Body::Date(f) => {
                fill!(self, Date32Builder::with_capacity(self.rows), f, |b: &mut Date32Builder, v| b.append_value(v))
            }
            Body::Timestamp(f) => fill!(
                self,
                TimestampMillisecondBuilder::with_capacity(self.rows),
                f,
                |b: &mut TimestampMillisecondBuilder, v| b.append_value(v)
            ),
            Body::Zoned(f) => fill!(
                self,
                TimestampMicrosecondBuilder::with_capacity(self.rows).with_timezone("UTC"),
                f,
                |b: &mut TimestampMicrosecondBuilder, v| b.append_value(v)
            ),
            Body::Binary(f) => {
                fill!(self, BinaryBuilder::new(), f, |b: &mut BinaryBuilder, v: Vec<u8>| b.append_value(v))
            }
            Body::Texts(f) => {
                let mut builder = ListBuilder::new(StringBuilder::new());
                for row in 0..self.rows {
                    match self.value(row, f)? {
                        Some(values) => builder.append_value(values),
                        None => builder.append_null(),
                    }
                }
                Arc::new(builder.finish())
            }
        })
    }
}
