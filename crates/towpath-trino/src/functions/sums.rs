//! `sum`, which refuses a total that does not fit.
//!
//! DataFusion adds integers modulo two to the 64th. Here they are added in 128 bits, which no number of rows can exceed,
//! and only the total must fit in a `bigint`. All other types are DataFusion's.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, BooleanArray, Decimal128Array, Int64Array};
use datafusion::arrow::datatypes::{DataType, Decimal128Type, Field, FieldRef, Int64Type};
use datafusion::common::{Result, ScalarValue};
use datafusion::functions_aggregate::sum::Sum;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF, Signature, Volatility,
};

use crate::error::failure;
use crate::functions::scalar::wrong_arguments;
use crate::types::{is_integer, is_interval};

/// What integers are added in.
const WIDE: DataType = DataType::Decimal128(38, 0);

/// Returns the function.
pub(crate) fn sum() -> Arc<AggregateUDF> {
    let signature = Signature::user_defined(Volatility::Immutable);
    Arc::new(AggregateUDF::new_from_impl(CheckedSum { inner: Sum::new(), signature }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct CheckedSum {
    inner: Sum,
    signature: Signature,
}

fn wide_field(field: &FieldRef) -> FieldRef {
    Arc::new(Field::new(field.name(), WIDE, true))
}

/// Arguments for a sum of [`WIDE`] numbers.
fn widened(args: AccumulatorArgs<'_>) -> AccumulatorArgs<'_> {
    AccumulatorArgs { return_field: wide_field(&args.return_field), ..args }
}

fn counts_whole(field: &FieldRef) -> bool {
    *field.data_type() == DataType::Int64
}

impl AggregateUDFImpl for CheckedSum {
    fn name(&self) -> &str {
        "sum"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(match types {
            [whole] if is_integer(whole) => vec![DataType::Int64],
            [DataType::Null] => vec![DataType::Int64],
            [DataType::Float16 | DataType::Float32 | DataType::Float64] => vec![DataType::Float64],
            [decimal @ DataType::Decimal128(_, _)] => vec![decimal.clone()],
            [interval] if is_interval(interval) => vec![interval.clone()],
            types => return Err(wrong_arguments("sum", types)),
        })
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        if counts_whole(&args.return_field) {
            return Ok(Box::new(Total(self.inner.accumulator(widened(args))?)));
        }
        self.inner.accumulator(args)
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        if counts_whole(&args.return_field) {
            let return_field = wide_field(&args.return_field);
            return self.inner.state_fields(StateFieldsArgs { return_field, ..args });
        }
        self.inner.state_fields(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        if counts_whole(&args.return_field) {
            return Ok(Box::new(Totals(self.inner.create_groups_accumulator(widened(args))?)));
        }
        self.inner.create_groups_accumulator(args)
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        if counts_whole(&args.return_field) {
            return Ok(Box::new(Total(self.inner.create_sliding_accumulator(widened(args))?)));
        }
        self.inner.create_sliding_accumulator(args)
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

fn wide(values: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
    let [values] = values else { return Err(failure("sum takes one argument")) };
    let wide: Decimal128Array = values.as_primitive::<Int64Type>().unary::<_, Decimal128Type>(i128::from);
    Ok(vec![Arc::new(wide.with_precision_and_scale(38, 0)?)])
}

fn narrow(total: i128) -> Result<i64> {
    i64::try_from(total).map_err(|_| failure(format!("bigint addition overflow: the sum is {total}")))
}

/// The total of one group.
#[derive(Debug)]
struct Total(Box<dyn Accumulator>);

impl Accumulator for Total {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.0.update_batch(&wide(values)?)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.0.retract_batch(&wide(values)?)
    }

    fn supports_retract_batch(&self) -> bool {
        self.0.supports_retract_batch()
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        match self.0.evaluate()? {
            ScalarValue::Decimal128(total, _, _) => Ok(ScalarValue::Int64(total.map(narrow).transpose()?)),
            other => Err(failure(format!("sum: unexpected total {other}"))),
        }
    }

    fn size(&self) -> usize {
        self.0.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.0.state()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.0.merge_batch(states)
    }
}

/// The totals of many groups.
struct Totals(Box<dyn GroupsAccumulator>);

impl GroupsAccumulator for Totals {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        count: usize,
    ) -> Result<()> {
        self.0.update_batch(&wide(values)?, groups, filter, count)
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        let totals = self.0.evaluate(emit)?;
        let totals = totals.as_primitive::<Decimal128Type>();
        let narrowed: Int64Array = totals.try_unary::<_, Int64Type, _>(narrow)?;
        Ok(Arc::new(narrowed))
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        self.0.state(emit)
    }

    fn merge_batch(&mut self, values: &[ArrayRef], groups: &[usize], count: usize) -> Result<()> {
        self.0.merge_batch(values, groups, count)
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        self.0.convert_to_state(&wide(values)?, filter)
    }

    fn size(&self) -> usize {
        self.0.size()
    }
}
