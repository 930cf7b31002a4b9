//! The text of result cells.
//!
//! | Type | Text |
//! |---|---|
//! | `bigint`, `boolean` | `96059`, `true` |
//! | `double` | as Java prints it: `0.5`, `1.0`, `1.0E10`, `NaN` |
//! | `decimal(10,2)` | `12.50` |
//! | `timestamp` | `2023-01-22 16:53:53.000` |
//! | `timestamp with time zone` | `2023-01-22 16:53:53.000 UTC` |
//! | `date` | `2023-01-22` |
//! | `map` | `{key1=value1, key2=value2}` |
//! | `row` | `{field1=value1, field2=value2}` |
//! | `array` | `[item1, item2]` |
//! | `json` | its text |
//! | `varbinary` | pairs of hexadecimal digits, separated by blanks |
//! | `interval` | `1 02:03:04.000`, `1-2` |
//!
//! NULL has no text at the top; within a value it is `null`.

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Date64Type, Decimal128Type, Decimal256Type, DurationMicrosecondType, DurationMillisecondType,
    DurationNanosecondType, DurationSecondType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    IntervalDayTimeType, IntervalMonthDayNanoType, IntervalUnit, IntervalYearMonthType, Time32MillisecondType,
    Time32SecondType, Time64MicrosecondType, Time64NanosecondType, TimeUnit, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};

use crate::functions::calendar::{date_text, time_text, timestamp_text, zone_text};
use crate::functions::scalar::{offset_micros, zone_named};
use crate::types::is_zoned;

/// Turns columns of a result into text.
#[derive(Clone, Copy, Debug, Default)]
pub struct CellFormatter;

impl CellFormatter {
    /// Builds a formatter.
    pub fn new() -> Self {
        Self
    }

    /// Returns the text of one cell, `None` for NULL.
    pub fn cell(&self, column: &ArrayRef, row: usize) -> Option<String> {
        // Dictionary and null arrays carry their nulls elsewhere.
        (!is_null(column, row)).then(|| element_text(column, row))
    }

    /// Returns the texts of one row, in column order.
    pub fn row(&self, batch: &RecordBatch, row: usize) -> Vec<Option<String>> {
        batch.columns().iter().map(|column| self.cell(column, row)).collect()
    }
}

fn is_null(array: &ArrayRef, row: usize) -> bool {
    match array.data_type() {
        DataType::Null => true,
        DataType::Dictionary(_, _) => {
            array.is_null(row) || array.as_any_dictionary().values().is_null(dictionary_key(array, row))
        }
        _ => array.is_null(row),
    }
}

fn dictionary_key(array: &ArrayRef, row: usize) -> usize {
    let key = array.as_any_dictionary().keys().slice(row, 1);
    let key = datafusion::arrow::compute::cast(&key, &DataType::UInt64).ok();
    key.map_or(0, |key| key.as_primitive::<UInt64Type>().value(0) as usize)
}

/// Writes a value that may be NULL, as within arrays, maps and rows.
fn inner_text(array: &ArrayRef, row: usize) -> String {
    if is_null(array, row) { "null".into() } else { element_text(array, row) }
}

/// Writes a value that is not NULL.
pub(crate) fn element_text(array: &ArrayRef, row: usize) -> String {
    macro_rules! number {
        ($type:ty) => {
            array.as_primitive::<$type>().value(row).to_string()
        };
    }
    match array.data_type() {
        DataType::Null => "null".into(),
        DataType::Boolean => array.as_boolean().value(row).to_string(),
        DataType::Int8 => number!(Int8Type),
        DataType::Int16 => number!(Int16Type),
        DataType::Int32 => number!(Int32Type),
        DataType::Int64 => number!(Int64Type),
        DataType::UInt8 => number!(UInt8Type),
        DataType::UInt16 => number!(UInt16Type),
        DataType::UInt32 => number!(UInt32Type),
        DataType::UInt64 => number!(UInt64Type),
        DataType::Float32 => float_text(array.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => double_text(array.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal128(_, _) => array.as_primitive::<Decimal128Type>().value_as_string(row),
        DataType::Decimal256(_, _) => array.as_primitive::<Decimal256Type>().value_as_string(row),
        DataType::Utf8 => array.as_string::<i32>().value(row).to_owned(),
        DataType::LargeUtf8 => array.as_string::<i64>().value(row).to_owned(),
        DataType::Utf8View => array.as_string_view().value(row).to_owned(),
        DataType::Binary => binary_text(array.as_binary::<i32>().value(row)),
        DataType::LargeBinary => binary_text(array.as_binary::<i64>().value(row)),
        DataType::BinaryView => binary_text(array.as_binary_view().value(row)),
        DataType::Date32 => date_text(i64::from(array.as_primitive::<Date32Type>().value(row))),
        DataType::Date64 => date_text(array.as_primitive::<Date64Type>().value(row).div_euclid(86_400_000)),
        DataType::Time32(TimeUnit::Second) => {
            time_text(i64::from(array.as_primitive::<Time32SecondType>().value(row)) * 1_000_000, 0)
        }
        DataType::Time32(_) => time_text(i64::from(array.as_primitive::<Time32MillisecondType>().value(row)) * 1000, 3),
        DataType::Time64(TimeUnit::Nanosecond) => {
            time_text(array.as_primitive::<Time64NanosecondType>().value(row) / 1000, 6)
        }
        DataType::Time64(_) => time_text(array.as_primitive::<Time64MicrosecondType>().value(row), 3),
        DataType::Timestamp(unit, zone) => timestamp_cell(array, *unit, zone.as_deref(), row),
        DataType::Interval(unit) => interval_text(array, *unit, row),
        DataType::Duration(unit) => duration_text(array, *unit, row),
        DataType::Dictionary(_, _) => inner_text(array.as_any_dictionary().values(), dictionary_key(array, row)),
        DataType::List(_) => list_text(&array.as_list::<i32>().value(row)),
        DataType::LargeList(_) => list_text(&array.as_list::<i64>().value(row)),
        DataType::FixedSizeList(_, _) => list_text(&array.as_fixed_size_list().value(row)),
        DataType::Map(_, _) => {
            let entries = array.as_map().value(row);
            let (keys, values) = (entries.column(0), entries.column(1));
            let entries: Vec<_> =
                (0..entries.len()).map(|i| format!("{}={}", inner_text(keys, i), inner_text(values, i))).collect();
            format!("{{{}}}", entries.join(", "))
        }
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns();
            let name = |i: usize, name: &str| if name.is_empty() { format!("field{i}") } else { name.to_owned() };
            let members: Vec<_> = fields
                .iter()
                .zip(columns)
                .enumerate()
                .map(|(i, (f, c))| format!("{}={}", name(i, f.name()), inner_text(c, row)))
                .collect();
            format!("{{{}}}", members.join(", "))
        }
        _ => datafusion::arrow::util::display::array_value_to_string(array, row).unwrap_or_default(),
    }
}

fn list_text(items: &ArrayRef) -> String {
    format!("[{}]", (0..items.len()).map(|i| inner_text(items, i)).collect::<Vec<_>>().join(", "))
}

fn binary_text(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ")
}

fn timestamp_cell(array: &ArrayRef, unit: TimeUnit, zone: Option<&str>, row: usize) -> String {
    let (micros, digits) = match unit {
        TimeUnit::Second => (array.as_primitive::<TimestampSecondType>().value(row).saturating_mul(1_000_000), 3),
        TimeUnit::Millisecond => (array.as_primitive::<TimestampMillisecondType>().value(row).saturating_mul(1000), 3),
        TimeUnit::Microsecond => (array.as_primitive::<TimestampMicrosecondType>().value(row), 6),
        TimeUnit::Nanosecond => (array.as_primitive::<TimestampNanosecondType>().value(row).div_euclid(1000), 6),
    };
    match zone.filter(|_| is_zoned(array.data_type())) {
        None => timestamp_text(micros, digits),
        Some(name) => {
            let offset = zone_named(name).map_or(0, |zone| offset_micros(&zone, micros));
            format!("{} {}", timestamp_text(micros.saturating_add(offset), 3), zone_text(name))
        }
    }
}

/// Writes a double as Java does: plain from a thousandth to ten millions, with an exponent beyond.
pub(crate) fn double_text(value: f64) -> String {
    java_float(value, value.is_nan(), format!("{value:E}"), format!("{value}"))
}

fn float_text(value: f32) -> String {
    java_float(f64::from(value), value.is_nan(), format!("{value:E}"), format!("{value}"))
}

fn java_float(value: f64, nan: bool, scientific: String, plain: String) -> String {
    if nan {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.into();
    }
    let size = value.abs();
    let with_point = |digits: &str| if digits.contains('.') { digits.to_owned() } else { format!("{digits}.0") };
    if size == 0.0 || (1e-3..1e7).contains(&size) {
        return with_point(&plain);
    }
    match scientific.split_once('E') {
        Some((digits, exponent)) => format!("{}E{exponent}", with_point(digits)),
        None => scientific,
    }
}

fn interval_text(array: &ArrayRef, unit: IntervalUnit, row: usize) -> String {
    match unit {
        IntervalUnit::YearMonth => months_text(i64::from(array.as_primitive::<IntervalYearMonthType>().value(row))),
        IntervalUnit::DayTime => {
            let value = array.as_primitive::<IntervalDayTimeType>().value(row);
            day_time_text(i64::from(value.days) * 86_400_000 + i64::from(value.milliseconds))
        }
        IntervalUnit::MonthDayNano => {
            let value = array.as_primitive::<IntervalMonthDayNanoType>().value(row);
            if value.months != 0 {
                return months_text(i64::from(value.months));
            }
            day_time_text(i64::from(value.days) * 86_400_000 + value.nanoseconds / 1_000_000)
        }
    }
}

fn duration_text(array: &ArrayRef, unit: TimeUnit, row: usize) -> String {
    day_time_text(match unit {
        TimeUnit::Second => array.as_primitive::<DurationSecondType>().value(row).saturating_mul(1000),
        TimeUnit::Millisecond => array.as_primitive::<DurationMillisecondType>().value(row),
        TimeUnit::Microsecond => array.as_primitive::<DurationMicrosecondType>().value(row) / 1000,
        TimeUnit::Nanosecond => array.as_primitive::<DurationNanosecondType>().value(row) / 1_000_000,
    })
}

fn months_text(months: i64) -> String {
    format!("{}{}-{}", if months < 0 { "-" } else { "" }, months.abs() / 12, months.abs() % 12)
}

fn day_time_text(millis: i64) -> String {
    let size = millis.unsigned_abs();
    let (days, rest) = (size / 86_400_000, size % 86_400_000);
    let sign = if millis < 0 { "-" } else { "" };
    format!("{sign}{days} {:02}:{:02}:{:02}.{:03}", rest / 3_600_000, rest / 60_000 % 60, rest / 1000 % 60, rest % 1000)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, Float64Array, StringDictionaryBuilder, TimestampMillisecondArray};
    use datafusion::arrow::datatypes::Int32Type;

    use super::*;

    #[test]
    fn doubles_are_printed_as_java_prints_them() {
        for (value, text) in [
            (0.5, "0.5"),
            (1.0, "1.0"),
            (-2.25, "-2.25"),
            (0.0, "0.0"),
            (1e7, "1.0E7"),
            (9_999_999.0, "9999999.0"),
            (1.5e-4, "1.5E-4"),
            (0.001, "0.001"),
            (123_456_789.125, "1.23456789125E8"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(double_text(value), text);
        }
    }

    #[test]
    fn timestamps_have_three_digits_and_no_zone() {
        let plain: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![Some(1_674_406_433_000), None]));
        let utc: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![1_674_406_433_007]).with_timezone("UTC"));
        let format = CellFormatter::new();
        assert_eq!(format.cell(&plain, 0).as_deref(), Some("2023-01-22 16:53:53.000"));
        assert_eq!(format.cell(&plain, 1), None);
        assert_eq!(format.cell(&utc, 0).as_deref(), Some("2023-01-22 16:53:53.007"));
    }

    #[test]
    fn dictionaries_are_read_through() {
        let mut builder = StringDictionaryBuilder::<Int32Type>::new();
        builder.append_option(Some("a"));
        builder.append_option(None::<&str>);
        builder.append_option(Some("b"));
        let array: ArrayRef = Arc::new(builder.finish());
        let cells: Vec<_> = (0..3).map(|row| CellFormatter::new().cell(&array, row)).collect();
        assert_eq!(cells, [Some("a".into()), None, Some("b".into())]);
    }

    #[test]
    fn doubles_survive_in_a_column() {
        let array: ArrayRef = Arc::new(Float64Array::from(vec![0.1 + 0.2]));
        assert_eq!(CellFormatter::new().cell(&array, 0).as_deref(), Some("0.30000000000000004"));
    }

    proptest::proptest! {
        #[test]
        fn the_text_of_a_double_reads_back_as_the_same_double(value: f64) {
            let text = double_text(value).replace("Infinity", "inf");
            proptest::prop_assert!(value.is_nan() || text.parse::<f64>().unwrap() == value);
        }
    }
}
