//! Functions that take lambdas: `transform(array, x -> ...)` and its relatives.
//!
//! A lambda runs over the elements of all rows at once. Columns that it captures are repeated for each element of their
//! row.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayBuilder, ArrayRef, AsArray, BooleanArray, BooleanBuilder, ListArray, UInt32Array, UInt32Builder,
};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::compute::{interleave, take, take_arrays};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, HigherOrderFunctionArgs, HigherOrderReturnFieldArgs, HigherOrderSignature, HigherOrderUDF,
    HigherOrderUDFImpl, LambdaArgument, LambdaParametersProgress, ValueOrLambda, Volatility,
};

use crate::error::{failure, mistake_about};
use crate::functions::arrays::{Lists, build, rows_of, unify};
use crate::functions::casts::{cast_array, map_array};
use crate::functions::scalar::wrong_arguments;
use crate::types::{array_of, element, map_of, map_parts, trino_type_name};

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
        let fits = match (self.kind, types) {
            (Kind::Reduce, [a, _]) => list(a),
            (Kind::ZipWith, [a, b]) => list(a) && list(b),
            (Kind::MapZipWith, [a, b]) => map(a) && map(b) && map_parts(a).map(|p| p.0) == map_parts(b).map(|p| p.0),
            (Kind::MapFilter | Kind::TransformKeys | Kind::TransformValues, [a]) => map(a),
            (
                Kind::Reduce
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
            .ok_or_else(|| mistake_about(self.name, format!("function {} needs a lambda", self.name)))?;
        if self.wants_boolean() && !matches!(first, DataType::Boolean | DataType::Null) {
            let message = format!("the lambda of {} must return boolean, not {}", self.name, trino_type_name(first));
            return Err(mistake_about(self.name, message));
        }
        let key_and_value = || map_parts(&types[0]).ok_or_else(|| wrong_arguments(self.name, types));
        Ok(match self.kind {
            Kind::Transform | Kind::ZipWith => array_of(first.clone()),
            Kind::Filter | Kind::MapFilter => types[0].clone(),
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
                self.name,
                format!("function {} needs {wanted} lambda(s) at its end", self.name),
            ));
        }
        let item = |at: usize| field(element(&types[at]).unwrap_or(&DataType::Null));
        Ok(LambdaParametersProgress::Complete(match self.kind {
            Kind::ZipWith => vec![vec![item(0), item(1)]],
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
        let results: Vec<_> = args
            .arg_fields
            .iter()
            .filter_map(|f| match f {
                ValueOrLambda::Lambda(field) => Some(field.data_type().clone()),
                ValueOrLambda::Value(_) => None,
            })
            .collect();
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
                let results: Vec<_> = args
                    .arg_fields
                    .iter()
                    .filter_map(|f| match f {
                        ValueOrLambda::Lambda(field) => Some(field.data_type().clone()),
                        ValueOrLambda::Value(_) => None,
                    })
                    .collect();
                let state = self.state_type(values[1].data_type(), &results[0])?;
                reduce(&values, lambda, lambdas.get(1).ok_or_else(|| failure("a lambda is missing"))?, &state)?
            }
            Kind::ZipWith => zip_with(&values, lambda, to)?,
            Kind::MapFilter | Kind::TransformKeys | Kind::TransformValues => {
                over_map(self.kind, &values[0], lambda, to)?
            }
            Kind::MapZipWith => map_zip_with(&values, lambda, to)?,
            _ => over_list(self.kind, &values[0], lambda, to)?,
        };
        Ok(ColumnarValue::Array(cast_array(&result, to, false)?))
    }
}

/// Runs a lambda over parameters of equal length; `rows` names the row that each position belongs to.
fn run(lambda: &LambdaArgument, parameters: &[ArrayRef], rows: &UInt32Array) -> Result<ArrayRef> {
    let closures: Vec<_> = parameters.iter().map(|p| move || Ok(Arc::clone(p))).collect();
    let closures: Vec<&dyn Fn() -> Result<ArrayRef>> =
        closures.iter().map(|c| c as &dyn Fn() -> Result<ArrayRef>).collect();
    lambda.evaluate(&closures, |captured| Ok(take_arrays(captured, rows, None)?))?.into_array(rows.len())
}

/// Positions of the elements that belong to rows, and the row of each.
fn reachable(lists: &Lists) -> (UInt32Array, UInt32Array, Vec<usize>) {
    let (mut elements, mut rows) = (UInt32Builder::new(), UInt32Builder::new());
    let mut lengths = Vec::with_capacity(lists.len());
    for row in 0..lists.len() {
        let range = lists.range(row);
        lengths.push(range.len());
        for i in range {
            elements.append_value(i as u32);
            rows.append_value(row as u32);
        }
    }
    (elements.finish(), rows.finish(), lengths)
}

fn booleans(array: &ArrayRef) -> Result<BooleanArray> {
    Ok(cast_array(array, &DataType::Boolean, false)?.as_boolean().clone())
}

fn over_list(kind: Kind, array: &ArrayRef, lambda: &LambdaArgument, to: &DataType) -> Result<ArrayRef> {
    let lists = Lists::open(array)?;
    let (elements, rows, lengths) = reachable(&lists);
    let items = take(lists.values(), &elements, None)?;
    let results = run(lambda, &[Arc::clone(&items)], &rows)?;
    let offsets = OffsetBuffer::<i32>::from_lengths(lengths);
    let range = |row: usize| offsets[row] as usize..offsets[row + 1] as usize;
    if kind == Kind::Transform {
        let item = Arc::new(Field::new_list_field(results.data_type().clone(), true));
        return Ok(Arc::new(ListArray::try_new(item, offsets, results, lists.nulls().cloned())?));
    }
    let verdicts = booleans(&results)?;
    let holds = |i: usize| verdicts.is_valid(i) && verdicts.value(i);
    match kind {
        Kind::Filter => {
            let chosen = (0..lists.len()).map(|row| range(row).filter(|i| holds(*i)).collect()).collect();
            build(&items, chosen, lists.nulls().cloned(), to)
        }
        Kind::FindFirst => {
            let found: UInt32Array =
                (0..lists.len()).map(|row| range(row).find(|i| holds(*i)).map(|i| i as u32)).collect();
            Ok(take(&items, &found, None)?)
        }
        _ => {
            let mut builder = BooleanBuilder::with_capacity(lists.len());
            for row in 0..lists.len() {
                if lists.is_null(row) {
                    builder.append_null();
                    continue;
                }
                let decides = if kind == Kind::AllMatch {
                    range(row).any(|i| verdicts.is_valid(i) && !verdicts.value(i))
                } else {
                    range(row).any(holds)
                };
                let unknown = range(row).any(|i| verdicts.is_null(i));
                let decided = kind == Kind::AnyMatch;
                builder.append_option(if decides {
                    Some(decided)
                } else if unknown {
                    None
                } else {
                    Some(!decided)
                });
            }
            Ok(Arc::new(builder.finish()))
        }
    }
}

fn zip_with(values: &[ArrayRef], lambda: &LambdaArgument, to: &DataType) -> Result<ArrayRef> {
    let (a, b) = (Lists::open(&values[0])?, Lists::open(&values[1])?);
    let nulls = NullBuffer::union(a.nulls(), b.nulls());
    let (mut left, mut right, mut rows) = (UInt32Builder::new(), UInt32Builder::new(), UInt32Builder::new());
    let mut lengths = vec![];
    for row in 0..a.len() {
        let (x, y) = (a.range(row), b.range(row));
        let length = if nulls.as_ref().is_some_and(|n| n.is_null(row)) { 0 } else { x.len().max(y.len()) };
        lengths.push(length);
        for i in 0..length {
            left.append_option((i < x.len()).then_some((x.start + i) as u32));
            right.append_option((i < y.len()).then_some((y.start + i) as u32));
            rows.append_value(row as u32);
        }
    }
    let parameters = [take(a.values(), &left.finish(), None)?, take(b.values(), &right.finish(), None)?];
    let results = run(lambda, &parameters, &rows.finish())?;
    let DataType::List(item) = to else { return Err(failure("expected an array type")) };
    let results = cast_array(&results, item.data_type(), false)?;
    Ok(Arc::new(ListArray::try_new(Arc::clone(item), OffsetBuffer::from_lengths(lengths), results, nulls)?))
}

/// Folds every array from its start: step `n` runs the merge over all rows that have an element `n`.
fn reduce(
    values: &[ArrayRef],
    merge: &LambdaArgument,
    finish: &LambdaArgument,
    state_type: &DataType,
) -> Result<ArrayRef> {
    let lists = Lists::open(&values[0])?;
    let mut state = cast_array(&values[1], state_type, false)?;
    let longest = (0..lists.len()).map(|row| lists.range(row).len()).max().unwrap_or(0);
    for step in 0..longest {
        let active: Vec<usize> = (0..lists.len()).filter(|row| step < lists.range(*row).len()).collect();
        let rows = UInt32Array::from(active.iter().map(|row| *row as u32).collect::<Vec<_>>());
        let elements =
            UInt32Array::from(active.iter().map(|row| (lists.range(*row).start + step) as u32).collect::<Vec<_>>());
        let merged = run(merge, &[take(&state, &rows, None)?, take(lists.values(), &elements, None)?], &rows)?;
        let merged = cast_array(&merged, state_type, false)?;
        let mut next = 0;
        let sources: Vec<(usize, usize)> = (0..lists.len())
            .map(|row| {
                if active.get(next) == Some(&row) {
                    next += 1;
                    (1, next - 1)
                } else {
                    (0, row)
                }
            })
            .collect();
        state = interleave(&[&state, &merged], &sources)?;
    }
    let all: UInt32Array = (0..lists.len() as u32).collect();
    let results = run(finish, &[state], &all)?;
    let present: UInt32Array = (0..lists.len()).map(|row| (!lists.is_null(row)).then_some(row as u32)).collect();
    Ok(take(&results, &present, None)?)
}

fn over_map(kind: Kind, array: &ArrayRef, lambda: &LambdaArgument, to: &DataType) -> Result<ArrayRef> {
    let map = array.as_map();
    let (mut entries, mut rows, mut lengths) = (UInt32Builder::new(), UInt32Builder::new(), vec![]);
    for row in 0..map.len() {
        let range = if map.is_null(row) { 0..0 } else { map.value_offsets()[row]..map.value_offsets()[row + 1] };
        lengths.push(range.len());
        for i in range {
            entries.append_value(i as u32);
            rows.append_value(row as u32);
        }
    }
    let entries = entries.finish();
    let (keys, values) = (take(map.keys(), &entries, None)?, take(map.values(), &entries, None)?);
    let results = run(lambda, &[Arc::clone(&keys), Arc::clone(&values)], &rows.finish())?;
    let DataType::Map(field, _) = to else { return Err(failure("expected a map type")) };
    let (key_type, value_type) = map_parts(to).ok_or_else(|| failure("expected a map type"))?;
    match kind {
        Kind::MapFilter => {
            let verdicts = booleans(&results)?;
            let mut kept = UInt32Builder::new();
            let mut kept_lengths = vec![];
            let mut at = 0;
            for length in lengths {
                let chosen =
                    (at..at + length).filter(|i| verdicts.is_valid(*i) && verdicts.value(*i)).map(|i| i as u32);
                let before = ArrayBuilder::len(&kept);
                chosen.for_each(|i| kept.append_value(i));
                kept_lengths.push(ArrayBuilder::len(&kept) - before);
                at += length;
            }
            let kept = kept.finish();
            map_array(
                field,
                OffsetBuffer::from_lengths(kept_lengths),
                take(&keys, &kept, None)?,
                take(&values, &kept, None)?,
                map.nulls().cloned(),
            )
        }
        Kind::TransformKeys => {
            let new_keys = cast_array(&results, key_type, false)?;
            check_keys(&new_keys, &lengths)?;
            map_array(field, OffsetBuffer::from_lengths(lengths), new_keys, values, map.nulls().cloned())
        }
        _ => map_array(
            field,
            OffsetBuffer::from_lengths(lengths),
            keys,
            cast_array(&results, value_type, false)?,
            map.nulls().cloned(),
        ),
    }
}

/// Refuses NULL and repeated keys.
fn check_keys(keys: &ArrayRef, lengths: &[usize]) -> Result<()> {
    if keys.null_count() > 0 {
        return Err(failure("map key cannot be null"));
    }
    let rows = rows_of(keys)?;
    let mut at = 0;
    for length in lengths {
        let mut seen = std::collections::HashSet::new();
        if let Some(again) = (at..at + length).find(|i| !seen.insert(rows.row(*i))) {
            return Err(failure(format!("duplicate map key: {}", crate::cell::element_text(keys, again))));
        }
        at += length;
    }
    Ok(())
}

fn map_zip_with(values: &[ArrayRef], lambda: &LambdaArgument, to: &DataType) -> Result<ArrayRef> {
    let (a, b) = (values[0].as_map(), values[1].as_map());
    let both = datafusion::arrow::compute::concat(&[a.keys(), b.keys()])?;
    let rows_format = rows_of(&both)?;
    let shift = a.keys().len();
    let nulls = NullBuffer::union(a.nulls(), b.nulls());
    let (mut keys, mut left, mut right, mut rows) =
        (UInt32Builder::new(), UInt32Builder::new(), UInt32Builder::new(), UInt32Builder::new());
    let mut lengths = vec![];
    for row in 0..a.len() {
        let before = ArrayBuilder::len(&keys);
        if nulls.as_ref().is_none_or(|n| n.is_valid(row)) {
            let range = |m: &datafusion::arrow::array::MapArray| {
                m.value_offsets()[row] as usize..m.value_offsets()[row + 1] as usize
            };
            let same = |i: usize, j: usize| rows_format.row(i) == rows_format.row(j + shift);
            for i in range(a) {
                keys.append_value(i as u32);
                left.append_value(i as u32);
                right.append_option(range(b).find(|j| same(i, *j)).map(|j| j as u32));
            }
            for j in range(b).filter(|j| !range(a).any(|i| same(i, *j))) {
                keys.append_value((j + shift) as u32);
                left.append_null();
                right.append_value(j as u32);
            }
        }
        let length = ArrayBuilder::len(&keys) - before;
        (0..length).for_each(|_| rows.append_value(row as u32));
        lengths.push(length);
    }
    let keys = take(&both, &keys.finish(), None)?;
    let parameters =
        [Arc::clone(&keys), take(a.values(), &left.finish(), None)?, take(b.values(), &right.finish(), None)?];
    let results = run(lambda, &parameters, &rows.finish())?;
    let DataType::Map(field, _) = to else { return Err(failure("expected a map type")) };
    let value_type = map_parts(to).ok_or_else(|| failure("expected a map type"))?.1;
    map_array(field, OffsetBuffer::from_lengths(lengths), keys, cast_array(&results, value_type, false)?, nulls)
}
