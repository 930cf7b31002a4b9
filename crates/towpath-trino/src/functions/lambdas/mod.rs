//! Functions that take lambdas: `transform(array, x -> ...)` and its relatives.
//!
//! A lambda runs over the elements of all rows at once. Columns that it captures are repeated for each element of their
//! row.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, UInt32Array};
use datafusion::arrow::compute::take_arrays;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, HigherOrderFunctionArgs, HigherOrderReturnFieldArgs, HigherOrderSignature, HigherOrderUDF,
    HigherOrderUDFImpl, LambdaArgument, LambdaParametersProgress, ValueOrLambda, Volatility,
};

use self::lists::{over_list, reduce, zip_with};
use self::maps::{map_zip_with, over_map};
use self::matches::replace_matches;
use self::sort::sort_by;
use crate::error::{failure, mistake_about};
use crate::functions::arrays::unify;
use crate::functions::casts::cast_array;
use crate::functions::scalar::wrong_arguments;
use crate::types::{array_of, element, is_integer, is_text, map_of, map_parts, trino_type_name};

mod lists;
mod maps;
mod matches;
mod sort;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Transform,
    Filter,
    AnyMatch,
    AllMatch,
    NoneMatch,
    FindFirst,
    Reduce,
    ZipWith,
    MapFilter,
    TransformKeys,
    TransformValues,
    MapZipWith,
    ArraySort,
    RegexpReplace,
}

/// Lists the functions of this file.
pub(crate) fn functions() -> Vec<Arc<HigherOrderUDF>> {
    [
        ("transform", Kind::Transform),
        ("filter", Kind::Filter),
        ("any_match", Kind::AnyMatch),
        ("all_match", Kind::AllMatch),
        ("none_match", Kind::NoneMatch),
        ("find_first", Kind::FindFirst),
        ("reduce", Kind::Reduce),
        ("zip_with", Kind::ZipWith),
        ("map_filter", Kind::MapFilter),
        ("transform_keys", Kind::TransformKeys),
        ("transform_values", Kind::TransformValues),
        ("map_zip_with", Kind::MapZipWith),
        // Functions of these names exist without a lambda too.
        ("$array_sort", Kind::ArraySort),
        ("$regexp_replace", Kind::RegexpReplace),
    ]
    .into_iter()
    .map(|(name, kind)| {
        Arc::new(HigherOrderUDF::new_from_impl(LambdaFunction {
            name,
            kind,
            signature: HigherOrderSignature::user_defined(Volatility::Immutable),
        }))
    })
    .collect()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct LambdaFunction {
    name: &'static str,
    kind: Kind,
    signature: HigherOrderSignature,
}

fn field(data_type: &DataType) -> FieldRef {
    Arc::new(Field::new("", data_type.clone(), true))
}

impl LambdaFunction {
    /// Types of the arguments that are values.
    fn value_types<L>(&self, fields: &[ValueOrLambda<FieldRef, L>]) -> Vec<DataType> {
        fields
            .iter()
            .filter_map(|f| match f {
                ValueOrLambda::Value(field) => Some(field.data_type().clone()),
                ValueOrLambda::Lambda(_) => None,
            })
            .collect()
    }

    /// Number of lambdas, which must come last.
    fn lambda_count<V, L>(&self, arguments: &[ValueOrLambda<V, L>]) -> usize {
        arguments.iter().filter(|a| matches!(a, ValueOrLambda::Lambda(_))).count()
    }

    fn check_types(&self, types: &[DataType]) -> Result<()> {
        let list = |t: &DataType| matches!(t, DataType::List(_));
        let map = |t: &DataType| matches!(t, DataType::Map(_, _));
        let text = |t: &DataType| is_text(t) || *t == DataType::Null;
        let fits = match (self.kind, types) {
            (Kind::RegexpReplace, [a, b]) => text(a) && text(b),
            (Kind::Reduce, [a, _]) => list(a),
            (Kind::ZipWith, [a, b]) => list(a) && list(b),
            (Kind::MapZipWith, [a, b]) => map(a) && map(b) && map_parts(a).map(|p| p.0) == map_parts(b).map(|p| p.0),
            (Kind::MapFilter | Kind::TransformKeys | Kind::TransformValues, [a]) => map(a),
            (
                Kind::Reduce
                | Kind::RegexpReplace
                | Kind::ZipWith
                | Kind::MapZipWith
                | Kind::MapFilter
                | Kind::TransformKeys
                | Kind::TransformValues,
                _,
            ) => false,
            (_, [a]) => list(a),
            _ => false,
        };
        if fits { Ok(()) } else { Err(wrong_arguments(self.name, types)) }
    }

    /// The name as a query writes it.
    fn shown(&self) -> &'static str {
        self.name.trim_start_matches('$')
    }

    fn wants_boolean(&self) -> bool {
        matches!(
            self.kind,
            Kind::Filter | Kind::AnyMatch | Kind::AllMatch | Kind::NoneMatch | Kind::FindFirst | Kind::MapFilter
        )
    }

    fn return_type(&self, types: &[DataType], results: &[DataType]) -> Result<DataType> {
        self.check_types(types)?;
        let first = results
            .first()
            .ok_or_else(|| mistake_about(self.shown(), format!("function {} needs a lambda", self.shown())))?;
        let (wanted, fits) = match self.kind {
            _ if self.wants_boolean() => ("boolean", *first == DataType::Boolean),
            Kind::ArraySort => ("bigint", is_integer(first)),
            Kind::RegexpReplace => ("varchar", is_text(first)),
            _ => ("", true),
        };
        if !fits && *first != DataType::Null {
            let message =
                format!("the lambda of {} must return {wanted}, not {}", self.shown(), trino_type_name(first));
            return Err(mistake_about(self.shown(), message));
        }
        let key_and_value = || map_parts(&types[0]).ok_or_else(|| wrong_arguments(self.name, types));
        Ok(match self.kind {
            Kind::Transform | Kind::ZipWith => array_of(first.clone()),
            Kind::Filter | Kind::MapFilter | Kind::ArraySort => types[0].clone(),
            Kind::RegexpReplace => DataType::Utf8,
            Kind::AnyMatch | Kind::AllMatch | Kind::NoneMatch => DataType::Boolean,
            Kind::FindFirst => element(&types[0]).cloned().unwrap_or(DataType::Null),
            Kind::Reduce => {
                results.get(1).cloned().ok_or_else(|| mistake_about("reduce", "function reduce needs two lambdas"))?
            }
            Kind::TransformKeys => map_of(first.clone(), key_and_value()?.1.clone()),
            Kind::TransformValues | Kind::MapZipWith => map_of(key_and_value()?.0.clone(), first.clone()),
        })
    }

    fn state_type(&self, initial: &DataType, merged: &DataType) -> Result<DataType> {
        let unified = unify(initial, merged).map(|found| match found {
            // A decimal grows with every step: give it all the room there is.
            DataType::Decimal128(_, scale) => DataType::Decimal128(38, scale),
            other => other,
        });
        unified.ok_or_else(|| {
            mistake_about(
                "reduce",
                format!(
                    "the state of reduce is {} at first and {} then",
                    trino_type_name(initial),
                    trino_type_name(merged)
                ),
            )
        })
    }
}

impl HigherOrderUDFImpl for LambdaFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &HigherOrderSignature {
        &self.signature
    }

    fn coerce_value_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        // Wrong types are reported where the parameters of the lambdas are asked for.
        Ok(types.to_vec())
    }

    fn lambda_parameters(
        &self,
        step: usize,
        fields: &[ValueOrLambda<FieldRef, Option<FieldRef>>],
    ) -> Result<LambdaParametersProgress> {
        let types = self.value_types(fields);
        self.check_types(&types)?;
        let wanted = if self.kind == Kind::Reduce { 2 } else { 1 };
        if self.lambda_count(fields) != wanted {
            return Err(mistake_about(
                self.shown(),
                format!("function {} needs {wanted} lambda(s) at its end", self.shown()),
            ));
        }
        let item = |at: usize| field(element(&types[at]).unwrap_or(&DataType::Null));
        Ok(LambdaParametersProgress::Complete(match self.kind {
            Kind::ZipWith => vec![vec![item(0), item(1)]],
            Kind::ArraySort => vec![vec![item(0), item(0)]],
            Kind::RegexpReplace => vec![vec![field(&array_of(DataType::Utf8))]],
            Kind::Reduce => {
                let merged = fields.iter().find_map(|f| match f {
                    ValueOrLambda::Lambda(Some(result)) => Some(result.data_type().clone()),
                    _ => None,
                });
                match merged {
                    // The type of the state is known once the merge was seen with the type of its start.
                    None if step == 0 => {
                        return Ok(LambdaParametersProgress::Partial(vec![
                            Some(vec![field(&types[1]), item(0)]),
                            None,
                        ]));
                    }
                    None => return Err(failure("the result type of a lambda is unknown")),
                    Some(merged) => {
                        let state = field(&self.state_type(&types[1], &merged)?);
                        vec![vec![Arc::clone(&state), item(0)], vec![state]]
                    }
                }
            }
            Kind::MapFilter | Kind::TransformKeys | Kind::TransformValues | Kind::MapZipWith => {
                let (key, value) = map_parts(&types[0]).ok_or_else(|| wrong_arguments(self.name, &types))?;
                let mut parameters = vec![field(key), field(value)];
                if self.kind == Kind::MapZipWith {
                    parameters.push(field(map_parts(&types[1]).ok_or_else(|| wrong_arguments(self.name, &types))?.1));
                }
                vec![parameters]
            }
            _ => vec![vec![item(0)]],
        }))
    }

    fn return_field_from_args(&self, args: HigherOrderReturnFieldArgs<'_>) -> Result<FieldRef> {
        let types = self.value_types(args.arg_fields);
        let results = lambda_results(args.arg_fields);
        Ok(Arc::new(Field::new(self.name, self.return_type(&types, &results)?, true)))
    }

    fn clear_null_values(&self) -> bool {
        false
    }

    fn invoke_with_args(&self, args: HigherOrderFunctionArgs) -> Result<ColumnarValue> {
        let (mut values, mut lambdas) = (vec![], vec![]);
        for argument in &args.args {
            match argument {
                ValueOrLambda::Value(value) => values.push(value.to_array(args.number_rows)?),
                ValueOrLambda::Lambda(lambda) => lambdas.push(lambda),
            }
        }
        let lambda = *lambdas.first().ok_or_else(|| failure("a lambda is missing"))?;
        let to = args.return_type();
        let result = match self.kind {
            Kind::Reduce => {
                let results = lambda_results(&args.arg_fields);
                let state = self.state_type(values[1].data_type(), &results[0])?;
                reduce(&values, lambda, lambdas.get(1).ok_or_else(|| failure("a lambda is missing"))?, &state)?
            }
            Kind::ZipWith => zip_with(&values, lambda, to)?,
            Kind::MapFilter | Kind::TransformKeys | Kind::TransformValues => {
                over_map(self.kind, &values[0], lambda, to)?
            }
            Kind::MapZipWith => map_zip_with(&values, lambda, to)?,
            Kind::ArraySort => sort_by(&values[0], lambda, to)?,
            Kind::RegexpReplace => replace_matches(&values, lambda)?,
            _ => over_list(self.kind, &values[0], lambda, to)?,
        };
        Ok(ColumnarValue::Array(cast_array(&result, to, false)?))
    }
}

/// The types of what each lambda answers.
fn lambda_results(arguments: &[ValueOrLambda<FieldRef, FieldRef>]) -> Vec<DataType> {
    let result = |argument: &ValueOrLambda<FieldRef, FieldRef>| match argument {
        ValueOrLambda::Lambda(field) => Some(field.data_type().clone()),
        ValueOrLambda::Value(_) => None,
    };
    arguments.iter().filter_map(result).collect()
}

/// Runs a lambda over parameters of equal length; `rows` names the row that each position belongs to.
fn run(lambda: &LambdaArgument, parameters: &[ArrayRef], rows: &UInt32Array) -> Result<ArrayRef> {
    let closures: Vec<_> = parameters.iter().map(|p| move || Ok(Arc::clone(p))).collect();
    let closures: Vec<&dyn Fn() -> Result<ArrayRef>> =
        closures.iter().map(|c| c as &dyn Fn() -> Result<ArrayRef>).collect();
    lambda.evaluate(&closures, |captured| Ok(take_arrays(captured, rows, None)?))?.into_array(rows.len())
}

fn booleans(array: &ArrayRef) -> Result<BooleanArray> {
    Ok(cast_array(array, &DataType::Boolean, false)?.as_boolean().clone())
}
