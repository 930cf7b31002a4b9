//! Which stored columns a scan of public columns needs, and how the public ones come from them.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef};
use datafusion::common::{Result, exec_datafusion_err};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::projection::ProjectionExec;
use towpath_lake::{Computed, computed, file_schema};
use towpath_model::StoreKind;

/// The stored columns of a scan.
pub(crate) struct StoredColumns {
    /// Their places in the kind's file schema.
    pub(crate) indices: Vec<usize>,
    /// Their schema.
    pub(crate) schema: SchemaRef,
    /// For each public column: where it comes from. `None` when the stored columns are the public ones.
    outputs: Option<Vec<(FieldRef, Output)>>,
}

enum Output {
    Stored(usize),
    Computed(&'static Computed, Vec<usize>),
}

impl StoredColumns {
    /// The stored columns behind the `wanted` columns of the `public` schema, and after them those `also` asked for.
    pub(crate) fn of<'a>(
        kind: StoreKind,
        public: &Schema,
        wanted: &[usize],
        also: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self> {
        let stored = file_schema(kind);
        let mut indices = Vec::with_capacity(wanted.len());
        let mut place_of = |name: &str| -> Result<usize> {
            let index = stored.index_of(name)?;
            Ok(indices.iter().position(|have| *have == index).unwrap_or_else(|| {
                indices.push(index);
                indices.len() - 1
            }))
        };
        let mut outputs = Vec::with_capacity(wanted.len());
        let mut plain = true;
        for (at, index) in wanted.iter().enumerate() {
            let field = public.fields()[*index].clone();
            let output = match computed(kind).iter().find(|column| column.name == field.name()) {
                None => Output::Stored(place_of(field.name())?),
                Some(column) => {
                    let inputs = column.inputs.iter().map(|name| place_of(name)).collect::<Result<_>>()?;
                    Output::Computed(column, inputs)
                }
            };
            plain &= matches!(output, Output::Stored(place) if place == at);
            outputs.push((field, output));
        }
        for name in also {
            place_of(name)?;
        }
        plain &= indices.len() == outputs.len();
        let schema = Arc::new(stored.project(&indices)?);
        Ok(Self { indices, schema, outputs: (!plain).then_some(outputs) })
    }

    /// Makes the public columns of the stored ones.
    pub(crate) fn finish(&self, plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(outputs) = &self.outputs else {
            return Ok(plan);
        };
        let column =
            |place: usize| -> Arc<dyn PhysicalExpr> { Arc::new(Column::new(self.schema.field(place).name(), place)) };
        let mut expressions = Vec::with_capacity(outputs.len());
        for (field, output) in outputs {
            let expression: Arc<dyn PhysicalExpr> = match output {
                Output::Stored(place) => column(*place),
                Output::Computed(computed, inputs) => Arc::new(ScalarFunctionExpr::new(
                    computed.name,
                    Arc::new(ScalarUDF::new_from_impl(ComputedFunction::new(computed, field.data_type().clone()))),
                    inputs.iter().map(|place| column(*place)).collect(),
                    field.clone(),
                    Arc::new(ConfigOptions::default()),
                )),
            };
            expressions.push((expression, field.name().clone()));
        }
        Ok(Arc::new(ProjectionExec::try_new(expressions, plan)?))
    }
}

/// A computed column as a function of stored ones.
#[derive(Debug)]
struct ComputedFunction {
    column: &'static Computed,
    returns: DataType,
    signature: Signature,
}

impl ComputedFunction {
    fn new(column: &'static Computed, returns: DataType) -> Self {
        Self { column, returns, signature: Signature::any(column.inputs.len(), Volatility::Immutable) }
    }
}

impl PartialEq for ComputedFunction {
    fn eq(&self, other: &Self) -> bool {
        self.column.name == other.column.name && self.returns == other.returns
    }
}

impl Eq for ComputedFunction {}

impl Hash for ComputedFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.column.name.hash(state);
    }
}

impl ScalarUDFImpl for ComputedFunction {
    fn name(&self) -> &str {
        self.column.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(self.returns.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let inputs = ColumnarValue::values_to_arrays(&args.args)?;
        let output =
            (self.column.compute)(&inputs).map_err(|cause| exec_datafusion_err!("{}: {cause}", self.name()))?;
        Ok(ColumnarValue::Array(output))
    }
}
