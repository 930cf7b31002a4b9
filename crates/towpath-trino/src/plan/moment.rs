//! Instants in plans: the time of the statement, and conversions that comparisons need.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use jiff::Timestamp;

use crate::functions::moments::to_instants;
use crate::types::{TIMESTAMP, zoned};

/// Builds the functions that know the time of one statement.
pub(crate) fn of_statement(now: Timestamp) -> HashMap<&'static str, Arc<ScalarUDF>> {
    let millis = now.as_millisecond();
    let constant = |name: &'static str, value: ScalarValue| {
        let signature = Signature::exact(vec![], Volatility::Immutable);
        (name, Arc::new(ScalarUDF::new_from_impl(Constant { name, value, signature })))
    };
    HashMap::from([
        constant("$now", ScalarValue::TimestampMicrosecond(Some(millis.saturating_mul(1000)), Some("UTC".into()))),
        constant("$localtimestamp", ScalarValue::TimestampMillisecond(Some(millis), None)),
        constant("$today", ScalarValue::Date32(Some(millis.div_euclid(86_400_000) as i32))),
    ])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Constant {
    name: &'static str,
    value: ScalarValue,
    signature: Signature,
}

impl ScalarUDFImpl for Constant {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(self.value.data_type())
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(ColumnarValue::Scalar(self.value.clone()))
    }
}

/// Reads text, dates and timestamps as timestamps of one type; text that is none is NULL.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Instant {
    to: DataType,
    signature: Signature,
}

impl Instant {
    /// Converts `expr` to timestamps of type `to`.
    pub(crate) fn of(expr: Expr, to: &DataType) -> Expr {
        let function = Self { to: to.clone(), signature: Signature::any(1, Volatility::Immutable) };
        Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(ScalarUDF::new_from_impl(function)), vec![expr]))
    }

    /// Builds a literal of a timestamp type from microseconds since 1970-01-01 00:00:00 UTC.
    pub(crate) fn literal(micros: i64, to: &DataType) -> Result<Expr> {
        let array = crate::functions::casts::timestamps(
            vec![micros],
            None,
            if matches!(to, DataType::Date32) { &TIMESTAMP } else { to },
        )?;
        Ok(Expr::Literal(ScalarValue::try_from_array(&array, 0)?, None))
    }
}

impl ScalarUDFImpl for Instant {
    fn name(&self) -> &str {
        "$instant"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(self.to.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match &args.args[0] {
            ColumnarValue::Scalar(scalar) => {
                let array = to_instants(&scalar.to_array()?, &self.to)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?))
            }
            ColumnarValue::Array(array) => Ok(ColumnarValue::Array(to_instants(array, &self.to)?)),
        }
    }
}

/// Returns the type in which a zoned or plain timestamp is compared with text.
pub(crate) fn comparable(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Date32 => TIMESTAMP,
        DataType::Timestamp(_, _) => data_type.clone(),
        _ => zoned("UTC"),
    }
}
