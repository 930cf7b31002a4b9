//! Functions of one row: the frame that most of Trino's scalar functions fit into.
//!
//! A function is a list of overloads. An overload names its parameters and holds a plain Rust function from a row of
//! non-null arguments to a value. The frame does the rest: choosing the overload, coercing arguments, nulls in and
//! nulls out, constants evaluated once, and the lenient twin that `TRY` calls, for which an error is NULL.

use std::borrow::Cow;
use std::sync::Arc;

use datafusion::arrow::array::Array;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use self::rows::{Column, Rows};
use crate::error::mistake_about;
use crate::types::{JSON, TIMESTAMP, array_of, is_integer, is_number, is_text, trino_type_name, zoned};

mod rows;

pub(crate) use self::rows::{Row, micros, offset_micros, zone_named};

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
