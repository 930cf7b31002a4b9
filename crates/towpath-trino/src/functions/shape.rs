//! Functions whose types depend on their arguments: casts, arrays, maps, rows.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::preimage::PreimageResult;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::functions::scalar::lenient_name;

/// What the planner knows about the arguments of a call.
pub(crate) struct Given<'a> {
    pub(crate) name: &'a str,
    pub(crate) types: Vec<DataType>,
    constants: Vec<Option<&'a ScalarValue>>,
}

impl Given<'_> {
    /// Returns a constant text argument.
    pub(crate) fn text(&self, argument: usize) -> Option<&str> {
        self.constants.get(argument).copied().flatten().and_then(|scalar| scalar.try_as_str().flatten())
    }

    /// Returns a constant integer argument.
    pub(crate) fn integer(&self, argument: usize) -> Option<i64> {
        match self.constants.get(argument).copied().flatten()?.cast_to(&DataType::Int64).ok()? {
            ScalarValue::Int64(value) => value,
            _ => None,
        }
    }
}

/// A call at work.
pub(crate) struct Call<'a> {
    pub(crate) args: &'a [ColumnarValue],
    pub(crate) rows: usize,
    pub(crate) return_type: &'a DataType,
    /// True if an error of a row makes that row NULL.
    pub(crate) lenient: bool,
}

impl Call<'_> {
    /// Returns an argument over all rows.
    pub(crate) fn array(&self, argument: usize) -> Result<ArrayRef> {
        self.args[argument].to_array(self.rows)
    }

    /// Returns an argument over all rows, in another type.
    pub(crate) fn array_as(&self, argument: usize, wanted: &DataType) -> Result<ArrayRef> {
        let array = self.array(argument)?;
        if array.data_type() == wanted {
            return Ok(array);
        }
        Ok(datafusion::arrow::compute::cast(&array, wanted)?)
    }

    /// Returns a constant text argument; `None` if it is not constant or null.
    pub(crate) fn text(&self, argument: usize) -> Option<&str> {
        match &self.args[argument] {
            ColumnarValue::Scalar(scalar) => scalar.try_as_str().flatten(),
            ColumnarValue::Array(_) => None,
        }
    }
}

/// Decides the return type, or refuses the arguments.
pub(crate) type Resolve = fn(&Given<'_>) -> Result<DataType>;
/// Decides what types the arguments are coerced to.
pub(crate) type Coerce = fn(&str, &[DataType]) -> Result<Vec<DataType>>;
/// Computes all rows.
pub(crate) type Evaluate = fn(&Call<'_>) -> Result<ArrayRef>;
/// Replaces the call by a simpler expression.
pub(crate) type Simplify = fn(Vec<Expr>, &SimplifyContext) -> Result<ExprSimplifyResult>;

/// Finds the values of an argument for which the call equals a literal, if they are a range.
pub(crate) type Preimage = fn(&[Expr], &Expr, &SimplifyContext) -> Result<PreimageResult>;

/// A function whose types depend on its arguments.
pub(crate) struct ShapeFunction {
    name: String,
    coerce: Coerce,
    resolve: Resolve,
    evaluate: Evaluate,
    simplify: Option<Simplify>,
    preimage: Option<Preimage>,
    lenient: bool,
    volatile: bool,
    signature: Signature,
}

/// The parts of a [`ShapeFunction`], before it is registered.
#[derive(Clone)]
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    pub(crate) coerce: Coerce,
    pub(crate) resolve: Resolve,
    pub(crate) evaluate: Evaluate,
    pub(crate) simplify: Option<Simplify>,
    pub(crate) preimage: Option<Preimage>,
    pub(crate) volatile: bool,
}

impl Shape {
    /// Describes a function that takes its arguments as they come.
    pub(crate) fn new(name: &'static str, resolve: Resolve, evaluate: Evaluate) -> Self {
        Self {
            name,
            coerce: |_, types| Ok(types.to_vec()),
            resolve,
            evaluate,
            simplify: None,
            preimage: None,
            volatile: false,
        }
    }

    pub(crate) fn coerced(mut self, coerce: Coerce) -> Self {
        self.coerce = coerce;
        self
    }

    pub(crate) fn simplified(mut self, simplify: Simplify) -> Self {
        self.simplify = Some(simplify);
        self
    }

    pub(crate) fn ranged(mut self, preimage: Preimage) -> Self {
        self.preimage = Some(preimage);
        self
    }

    /// Makes every evaluation count: equal arguments may give different values.
    pub(crate) fn volatile(mut self) -> Self {
        self.volatile = true;
        self
    }

    /// Builds the function, or its lenient twin.
    pub(crate) fn udf(&self, lenient: bool) -> ScalarUDF {
        ScalarUDF::new_from_impl(ShapeFunction {
            name: if lenient { lenient_name(self.name) } else { self.name.to_owned() },
            coerce: self.coerce,
            resolve: self.resolve,
            evaluate: self.evaluate,
            simplify: self.simplify,
            preimage: self.preimage,
            lenient,
            volatile: self.volatile,
            signature: Signature::user_defined(if self.volatile {
                Volatility::Volatile
            } else {
                Volatility::Immutable
            }),
        })
    }
}

impl std::fmt::Debug for ShapeFunction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ShapeFunction").field("name", &self.name).finish()
    }
}

impl PartialEq for ShapeFunction {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for ShapeFunction {}

impl std::hash::Hash for ShapeFunction {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for ShapeFunction {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        // DataFusion would bury an error here; the return type reports the same one.
        Ok((self.coerce)(&self.name, types).unwrap_or_else(|_| types.to_vec()))
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        (self.resolve)(&Given { name: &self.name, types: types.to_vec(), constants: vec![None; types.len()] })
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let types = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let return_type =
            (self.resolve)(&Given { name: &self.name, types, constants: args.scalar_arguments.to_vec() })?;
        Ok(Arc::new(Field::new(&self.name, return_type, true)))
    }

    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        match self.simplify {
            Some(simplify) => simplify(args, info),
            None => Ok(ExprSimplifyResult::Original(args)),
        }
    }

    fn preimage(&self, args: &[Expr], literal: &Expr, info: &SimplifyContext) -> Result<PreimageResult> {
        match self.preimage {
            Some(preimage) => preimage(args, literal, info),
            None => Ok(PreimageResult::None),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = !self.volatile && args.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let call = Call { args: &args.args, rows, return_type: args.return_field.data_type(), lenient: self.lenient };
        let array = (self.evaluate)(&call)?;
        if constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?));
        }
        Ok(ColumnarValue::Array(array))
    }
}
