//! Functions of one row: the frame that most of Trino's scalar functions fit into.
//!
//! A function is a list of overloads. An overload names its parameters and holds a plain Rust function from a row of
//! non-null arguments to a value. The frame does the rest: choosing the overload, coercing arguments, nulls in and
//! nulls out, constants evaluated once, and the lenient twin that `TRY` calls, for which an error is NULL.

use std::borrow::Cow;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryBuilder, BooleanArray, BooleanBuilder, Date32Array, Date32Builder,
    Float64Array, Float64Builder, Int64Array, Int64Builder, LargeStringArray, LargeStringBuilder, ListBuilder,
    StringArray, StringBuilder, StringViewArray, TimestampMicrosecondBuilder, TimestampMillisecondBuilder,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use jiff::tz::TimeZone;

use crate::error::{failure, mistake_about};
use crate::types::{JSON, TIMESTAMP, array_of, is_integer, is_number, is_text, is_zoned, trino_type_name, zoned};

/// What an overload accepts at one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Param {
    Text,
    Json,
    TextOrJson,
    Int,
    Double,
    Bool,
    /// A date or a timestamp of any kind.
    Moment,
    Binary,
    /// An array of text.
    Texts,
}

/// The value of a function, or the reason why there is none.
pub(crate) type Out<T> = std::result::Result<Option<T>, String>;

/// What an overload does with a row, by the type it returns.
#[derive(Clone, Copy)]
pub(crate) enum Body {
    Text(for<'a> fn(&Row<'a>) -> Out<Cow<'a, str>>),
    Json(for<'a> fn(&Row<'a>) -> Out<Cow<'a, str>>),
    Int(fn(&Row<'_>) -> Out<i64>),
    Double(fn(&Row<'_>) -> Out<f64>),
    Bool(fn(&Row<'_>) -> Out<bool>),
    /// Days since 1970-01-01.
    Date(fn(&Row<'_>) -> Out<i32>),
    /// Milliseconds since 1970-01-01 00:00:00 UTC.
    Timestamp(fn(&Row<'_>) -> Out<i64>),
    /// Microseconds since 1970-01-01 00:00:00 UTC, shown in UTC.
    Zoned(fn(&Row<'_>) -> Out<i64>),
    Binary(fn(&Row<'_>) -> Out<Vec<u8>>),
    Texts(fn(&Row<'_>) -> Out<Vec<Option<String>>>),
}

impl Body {
    fn return_type(&self) -> DataType {
        match self {
            Self::Text(_) => DataType::Utf8,
            Self::Json(_) => JSON,
            Self::Int(_) => DataType::Int64,
            Self::Double(_) => DataType::Float64,
            Self::Bool(_) => DataType::Boolean,
            Self::Date(_) => DataType::Date32,
            Self::Timestamp(_) => TIMESTAMP,
            Self::Zoned(_) => zoned("UTC"),
            Self::Binary(_) => DataType::Binary,
            Self::Texts(_) => array_of(DataType::Utf8),
        }
    }
}

/// One signature of a function.
#[derive(Clone)]
pub(crate) struct Overload {
    pub(crate) params: &'static [Param],
    pub(crate) body: Body,
}

/// Builds an overload.
pub(crate) fn overload(params: &'static [Param], body: Body) -> Overload {
    Overload { params, body }
}

/// A function of one row.
pub(crate) struct RowFunction {
    name: String,
    overloads: Vec<Overload>,
    lenient: bool,
    signature: Signature,
}

impl RowFunction {
    pub(crate) fn udf(name: &str, overloads: Vec<Overload>) -> ScalarUDF {
        Self::build(name.to_owned(), overloads, false)
    }

    /// Builds the twin for which an error is NULL.
    pub(crate) fn lenient_udf(name: &str, overloads: Vec<Overload>) -> ScalarUDF {
        Self::build(lenient_name(name), overloads, true)
    }

    fn build(name: String, overloads: Vec<Overload>, lenient: bool) -> ScalarUDF {
        ScalarUDF::new_from_impl(Self {
            name,
            overloads,
            lenient,
            signature: Signature::user_defined(Volatility::Immutable),
        })
    }

    fn resolve(&self, types: &[DataType]) -> Result<(&Overload, Vec<DataType>)> {
        for candidate in &self.overloads {
            if candidate.params.len() != types.len() {
                continue;
            }
            let coerced: Option<Vec<_>> =
                candidate.params.iter().zip(types).map(|(param, found)| coerce(*param, found)).collect();
            if let Some(coerced) = coerced {
                return Ok((candidate, coerced));
            }
        }
        Err(wrong_arguments(&self.name, types))
    }
}

const LENIENT: &str = "$try_";

/// Returns the name of the twin for which an error is NULL.
pub(crate) fn lenient_name(name: &str) -> String {
    format!("{LENIENT}{name}")
}

/// Builds the error for arguments that no overload accepts.
pub(crate) fn wrong_arguments(name: &str, types: &[DataType]) -> datafusion::error::DataFusionError {
    let name = name.trim_start_matches(LENIENT).trim_start_matches('$');
    let types: Vec<_> = types.iter().map(trino_type_name).collect();
    mistake_about(name, format!("function {name} does not accept ({})", types.join(", ")))
}

fn coerce(param: Param, found: &DataType) -> Option<DataType> {
    if *found == DataType::Null {
        return Some(match param {
            Param::Text | Param::TextOrJson => DataType::Utf8,
            Param::Json => JSON,
            Param::Int => DataType::Int64,
            Param::Double => DataType::Float64,
            Param::Bool => DataType::Boolean,
            Param::Moment => TIMESTAMP,
            Param::Binary => DataType::Binary,
            Param::Texts => array_of(DataType::Utf8),
        });
    }
    let plain_text = || match found {
        DataType::Dictionary(_, value) => value.as_ref().clone(),
        other => other.clone(),
    };
    match param {
        Param::Text => is_text(found).then(plain_text),
        Param::Json => (*found == JSON).then_some(JSON),
        Param::TextOrJson => (is_text(found) || *found == JSON).then(plain_text),
        Param::Int => is_integer(found).then_some(DataType::Int64),
        Param::Double => is_number(found).then_some(DataType::Float64),
        Param::Bool => (*found == DataType::Boolean).then_some(DataType::Boolean),
        Param::Moment => matches!(found, DataType::Date32 | DataType::Timestamp(_, _)).then(|| found.clone()),
        Param::Binary => {
            matches!(found, DataType::Binary | DataType::BinaryView | DataType::LargeBinary).then_some(DataType::Binary)
        }
        Param::Texts => match found {
            DataType::List(item) if is_text(item.data_type()) || *item.data_type() == DataType::Null => {
                Some(array_of(DataType::Utf8))
            }
            _ => None,
        },
    }
}

impl std::fmt::Debug for RowFunction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RowFunction").field("name", &self.name).finish()
    }
}

impl PartialEq for RowFunction {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for RowFunction {}

impl std::hash::Hash for RowFunction {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for RowFunction {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        // DataFusion would bury an error here; the return type reports the same one.
        Ok(self.resolve(types).map_or_else(|_| types.to_vec(), |(_, coerced)| coerced))
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(self.resolve(types)?.0.body.return_type())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let types: Vec<_> = args.args.iter().map(ColumnarValue::data_type).collect();
        let (chosen, coerced) = self.resolve(&types)?;
        let constant = args.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let mut arrays = Vec::with_capacity(args.args.len());
        for (argument, wanted) in args.args.iter().zip(&coerced) {
            let (array, single) = match argument {
                ColumnarValue::Array(array) => (Arc::clone(array), false),
                ColumnarValue::Scalar(scalar) => (scalar.to_array()?, true),
            };
            let array = if array.data_type() == wanted { array } else { cast(&array, wanted)? };
            arrays.push((array, single));
        }
        let columns = arrays.iter().map(|(array, single)| Column::new(array, *single)).collect::<Result<Vec<_>>>()?;
        let array = Rows { columns: &columns, rows, lenient: self.lenient, name: &self.name }.evaluate(chosen.body)?;
        if constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?));
        }
        Ok(ColumnarValue::Array(array))
    }
}

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
    fn new(array: &'a ArrayRef, single: bool) -> Result<Self> {
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

struct Rows<'a> {
    columns: &'a [Column<'a>],
    rows: usize,
    lenient: bool,
    name: &'a str,
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

    fn evaluate(&self, body: Body) -> Result<ArrayRef> {
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
