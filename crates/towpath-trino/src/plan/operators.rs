//! Operators by Trino's rules.
//!
//! DataFusion coerces more freely than Trino; where Trino refuses, this refuses. It is more lenient than Trino in two
//! comparisons, both of which audit queries rely on: text against a timestamp or date, and text against a boolean.
//! Conversions go to the literal side, so that a comparison of a column stays a comparison of a column and can prune files.

use std::sync::Mutex;

use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result, ScalarValue, TableReference};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawAggregateExpr, RawBinaryExpr};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator, cast, lit};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use crate::error::{Mistake, mistake, mistake_about};
use crate::functions::calendar::parse_moment;
use crate::functions::maps::field_of;
use crate::functions::registry;
use crate::plan::moment::{Instant, comparable};
use crate::sql::rewrite::{DISTINCT_FROM, LENIENT, NOT_DISTINCT_FROM};
use crate::types::{JSON, TIMESTAMP, is_integer, is_interval, is_number, is_text, trino_type_name};

/// Plans operators and dotted names.
#[derive(Debug, Default)]
pub(crate) struct Operators {
    /// The last mistake in a dotted name: DataFusion's planner drops such errors and reports one without a cause.
    mistake: Mutex<Option<Mistake>>,
}

impl Operators {
    /// Returns the mistake that explains a failed plan, if there is one.
    pub(crate) fn take_mistake(&self) -> Option<DataFusionError> {
        let mut kept = self.mistake.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        kept.take().map(|mistake| DataFusionError::External(Box::new(mistake)))
    }

    fn keep(&self, error: &DataFusionError) {
        if let DataFusionError::External(inner) = error
            && let Some(mistake) = inner.downcast_ref::<Mistake>()
        {
            *self.mistake.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(mistake.clone());
        }
    }
}

impl ExprPlanner for Operators {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let RawBinaryExpr { op, left, right } = expr;
        let operator = match &op {
            BinaryOperator::Custom(name) if name == DISTINCT_FROM => Some(Operator::IsDistinctFrom),
            BinaryOperator::Custom(name) if name == NOT_DISTINCT_FROM => Some(Operator::IsNotDistinctFrom),
            BinaryOperator::Eq => Some(Operator::Eq),
            BinaryOperator::NotEq => Some(Operator::NotEq),
            BinaryOperator::Lt => Some(Operator::Lt),
            BinaryOperator::LtEq => Some(Operator::LtEq),
            BinaryOperator::Gt => Some(Operator::Gt),
            BinaryOperator::GtEq => Some(Operator::GtEq),
            _ => None,
        };
        // A column that does not exist has no type; DataFusion reports it.
        let (left_type, right_type) = match (left.get_type(schema), right.get_type(schema)) {
            (Ok(left), Ok(right)) => (left, right),
            (Err(error), _) | (_, Err(error)) => {
                if is_mistake(&error) {
                    return Err(error);
                }
                return Ok(match operator {
                    Some(operator) => PlannerResult::Planned(binary(left, operator, right)),
                    None => PlannerResult::Original(RawBinaryExpr { op, left, right }),
                });
            }
        };
        if let Some(operator) = operator {
            return Ok(PlannerResult::Planned(compare(operator, (left, left_type), (right, right_type))?));
        }
        arithmetic(op, (left, left_type), (right, right_type))
    }

    fn plan_compound_identifier(
        &self,
        field: &Field,
        qualifier: Option<&TableReference>,
        nested: &[String],
    ) -> Result<PlannerResult<Vec<Expr>>> {
        let mut expr = Expr::Column(Column::from((qualifier, field)));
        let mut data_type = field.data_type();
        for name in nested {
            data_type = field_of(data_type, name).inspect_err(|error| self.keep(error))?;
            let arguments = vec![expr, lit(ScalarValue::from(name.clone()))];
            expr = Expr::ScalarFunction(ScalarFunction::new_udf(datafusion::functions::core::get_field(), arguments));
        }
        Ok(PlannerResult::Planned(expr))
    }

    fn plan_aggregate(&self, expr: RawAggregateExpr) -> Result<PlannerResult<RawAggregateExpr>> {
        Ok(PlannerResult::Original(expr))
    }
}

/// True for the mistakes this crate reports.
fn is_mistake(error: &DataFusionError) -> bool {
    matches!(error.find_root(), DataFusionError::External(inner) if inner.downcast_ref::<Mistake>().is_some())
}

fn binary(left: Expr, op: Operator, right: Expr) -> Expr {
    Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)))
}

fn function(name: &str, arguments: Vec<Expr>) -> Result<Expr> {
    let udf = registry().scalar(name).ok_or_else(|| mistake(format!("unknown function: {name}")))?;
    Ok(Expr::ScalarFunction(ScalarFunction::new_udf(udf, arguments)))
}

/// Returns the text of a text literal.
pub(crate) fn text_literal(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Literal(value, _) => value.try_as_str().flatten(),
        _ => None,
    }
}

/// True if an expression has the same value for all rows.
fn is_constant(expr: &Expr) -> bool {
    let mut constant = true;
    let _ = expr.apply(|e| {
        let varies = !matches!(
            e,
            Expr::Literal(..)
                | Expr::ScalarFunction(_)
                | Expr::Cast(_)
                | Expr::TryCast(_)
                | Expr::Negative(_)
                | Expr::BinaryExpr(_)
                | Expr::Alias(_)
        );
        constant &= !varies;
        Ok(if varies { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    constant
}

fn is_moment(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(_, _) | DataType::Date32)
}

type Operand = (Expr, DataType);

/// Names the place of a mistake: the first column in one of the operands.
pub(crate) fn place_of(operands: [&Expr; 2]) -> Option<String> {
    let mut found = None;
    for operand in operands {
        let _ = operand.apply(|e| {
            if let Expr::Column(column) = e {
                found.get_or_insert_with(|| column.name.clone());
            }
            Ok(TreeNodeRecursion::Continue)
        });
    }
    found
}

fn refuse(op: &str, (left, left_type): &Operand, (right, right_type): &Operand) -> DataFusionError {
    let message = format!("cannot apply operator: {} {op} {}", trino_type_name(left_type), trino_type_name(right_type));
    match place_of([left, right]) {
        Some(name) => mistake_about(&name, message),
        None => mistake(message),
    }
}

/// Plans a comparison.
pub(crate) fn compare(op: Operator, left: Operand, right: Operand) -> Result<Expr> {
    let ((l, lt), (r, rt)) = (&left, &right);
    let planned = |l: Expr, r: Expr| Ok(binary(l, op, r));
    if *lt == DataType::Null
        || *rt == DataType::Null
        || is_text(lt) && is_text(rt)
        || is_number(lt) && is_number(rt)
        || is_interval(lt) && is_interval(rt)
    {
        return planned(left.0, right.0);
    }
    if is_moment(lt) && is_text(rt) {
        let (l, r) = aligned(l, lt, r)?;
        return planned(l, r);
    }
    if is_text(lt) && is_moment(rt) {
        let (r, l) = aligned(r, rt, l)?;
        return planned(l, r);
    }
    if is_moment(lt) && is_moment(rt) {
        if lt == rt {
            return planned(left.0, right.0);
        }
        // The constant side gives way; between columns the right one does.
        let keep_left = !is_constant(l) || is_constant(r);
        let (kept, to) = if keep_left { (lt, comparable(lt)) } else { (rt, comparable(rt)) };
        let convert = |expr: &Expr, from: &DataType| {
            if *from == to && from == kept { expr.clone() } else { Instant::of(expr.clone(), &to) }
        };
        return planned(convert(l, lt), convert(r, rt));
    }
    if *lt == DataType::Boolean && is_text(rt) {
        return planned(if text_literal(r).is_some() { l.clone() } else { boolean_text(l) }, boolean_operand(l, r)?);
    }
    if is_text(lt) && *rt == DataType::Boolean {
        return planned(boolean_operand(r, l)?, if text_literal(l).is_some() { r.clone() } else { boolean_text(r) });
    }
    match (lt, rt) {
        (DataType::Map(_, _), DataType::Map(_, _))
            if matches!(
                op,
                Operator::Eq | Operator::NotEq | Operator::IsDistinctFrom | Operator::IsNotDistinctFrom
            ) =>
        {
            let entries = |expr: &Expr| function("map_entries", vec![function("$sort_map", vec![expr.clone()])?]);
            planned(entries(l)?, entries(r)?)
        }
        (DataType::List(_), DataType::List(_)) | (DataType::Struct(_), DataType::Struct(_)) => planned(left.0, right.0),
        (a, b) if a == b && !matches!(a, DataType::Map(_, _)) => planned(left.0, right.0),
        (DataType::Binary | DataType::BinaryView, DataType::Binary | DataType::BinaryView) => planned(left.0, right.0),
        _ => Err(refuse(&op.to_string(), &left, &right)),
    }
}

/// Brings a moment and a text together, by reading the text as a moment.
fn aligned(moment: &Expr, moment_type: &DataType, text: &Expr) -> Result<(Expr, Expr)> {
    if let Some(literal) = text_literal(text) {
        let Some(read) = parse_moment(literal) else {
            let message = format!("'{literal}' is not a timestamp");
            return Err(
                place_of([moment, text]).map_or_else(|| mistake(&message), |name| mistake_about(&name, &message))
            );
        };
        if *moment_type == DataType::Date32 && read.date_only {
            let days = read.wall.div_euclid(crate::functions::calendar::DAY) as i32;
            return Ok((moment.clone(), lit(ScalarValue::Date32(Some(days)))));
        }
        let to = comparable(moment_type);
        let kept = if to == *moment_type { moment.clone() } else { Instant::of(moment.clone(), &to) };
        return Ok((kept, Instant::literal(read.instant(), &to)?));
    }
    let to = comparable(moment_type);
    let kept = if to == *moment_type { moment.clone() } else { Instant::of(moment.clone(), &to) };
    Ok((kept, Instant::of(text.clone(), &to)))
}

/// Turns a boolean into text, so that a text column can be compared with it as it is.
fn boolean_text(boolean: &Expr) -> Expr {
    match boolean {
        Expr::Literal(ScalarValue::Boolean(Some(value)), _) => lit(if *value { "true" } else { "false" }),
        other => other.clone(),
    }
}

/// Prepares the text side of a comparison with `boolean`.
fn boolean_operand(boolean: &Expr, text: &Expr) -> Result<Expr> {
    match (boolean, text_literal(text)) {
        (_, Some(literal)) => match literal.to_ascii_lowercase().as_str() {
            "true" => Ok(lit(true)),
            "false" => Ok(lit(false)),
            _ => Err(mistake(format!("'{literal}' is not a boolean"))),
        },
        (Expr::Literal(ScalarValue::Boolean(Some(_)), _), None) => Ok(text.clone()),
        _ => function("$as_boolean", vec![text.clone()]),
    }
}

/// Calls a function, or its twin for which an error is NULL.
fn twin(name: &str, lenient: bool, arguments: Vec<Expr>) -> Result<Expr> {
    match registry().lenient(name).filter(|_| lenient) {
        Some(lenient) => function(&lenient, arguments),
        None => function(name, arguments),
    }
}

/// Reads an operator within `TRY`: for it an error is NULL.
fn strict(op: BinaryOperator) -> (BinaryOperator, bool) {
    match &op {
        BinaryOperator::Custom(name) => match name.strip_prefix(LENIENT) {
            Some("+") => (BinaryOperator::Plus, true),
            Some("-") => (BinaryOperator::Minus, true),
            Some("*") => (BinaryOperator::Multiply, true),
            Some("/") => (BinaryOperator::Divide, true),
            Some("%") => (BinaryOperator::Modulo, true),
            _ => (op, false),
        },
        _ => (op, false),
    }
}

/// Plans all other operators.
fn arithmetic(op: BinaryOperator, left: Operand, right: Operand) -> Result<PlannerResult<RawBinaryExpr>> {
    let (lt, rt) = (&left.1, &right.1);
    let (op, lenient) = strict(op);
    let symbol = op.to_string();
    let original = |op, left: Operand, right: Operand| {
        Ok(PlannerResult::Original(RawBinaryExpr { op, left: left.0, right: right.0 }))
    };
    match op {
        BinaryOperator::And | BinaryOperator::Or => {
            let fits = |t: &DataType| matches!(t, DataType::Boolean | DataType::Null);
            if !fits(lt) || !fits(rt) {
                return Err(refuse(&symbol, &left, &right));
            }
            original(op, left, right)
        }
        BinaryOperator::StringConcat => {
            let list = |t: &DataType| matches!(t, DataType::List(_));
            let text = |t: &DataType| is_text(t) || *t == DataType::Null;
            if text(lt) && text(rt) {
                return original(op, left, right);
            }
            if list(lt) || list(rt) || *lt == DataType::Binary && *rt == DataType::Binary {
                return Ok(PlannerResult::Planned(function("concat", vec![left.0, right.0])?));
            }
            Err(refuse(&symbol, &left, &right))
        }
        _ => {
            let number = |t: &DataType| is_number(t) || *t == DataType::Null;
            let float = |t: &DataType| matches!(t, DataType::Float32 | DataType::Float64);
            if is_integer(lt) && is_integer(rt) {
                let name = match op {
                    BinaryOperator::Plus => "$add",
                    BinaryOperator::Minus => "$subtract",
                    BinaryOperator::Multiply => "$multiply",
                    BinaryOperator::Divide => "$divide_whole",
                    BinaryOperator::Modulo => "$remainder",
                    _ => return Err(refuse(&symbol, &left, &right)),
                };
                return Ok(PlannerResult::Planned(twin(name, lenient, vec![left.0, right.0])?));
            }
            if number(lt) && number(rt) {
                let decimal = |t: &DataType| matches!(t, DataType::Decimal128(_, _));
                if op == BinaryOperator::Divide && (decimal(lt) || decimal(rt)) && !float(lt) && !float(rt) {
                    let scale = |t: &DataType| if let DataType::Decimal128(_, scale) = t { *scale } else { 0 };
                    let to = DataType::Decimal128(38, scale(lt).max(scale(rt)));
                    let operands = vec![cast(left.0, to.clone()), cast(right.0, to)];
                    return Ok(PlannerResult::Planned(twin("$divide", lenient, operands)?));
                }
                return original(op, left, right);
            }
            if is_moment(lt) && is_moment(rt) && op == BinaryOperator::Minus {
                let to = if lt == rt && *lt != DataType::Date32 { lt.clone() } else { TIMESTAMP };
                let side = |(expr, from): Operand| if from == to { expr } else { Instant::of(expr, &to) };
                return Ok(PlannerResult::Planned(binary(side(left), Operator::Minus, side(right))));
            }
            let plus_or_minus = matches!(op, BinaryOperator::Plus | BinaryOperator::Minus);
            let fits = is_moment(lt) && is_interval(rt) && plus_or_minus
                || is_interval(lt) && is_moment(rt) && op == BinaryOperator::Plus
                || is_interval(lt) && is_interval(rt) && plus_or_minus
                || is_interval(lt) && is_number(rt)
                || is_number(lt) && is_interval(rt)
                || *lt == DataType::Null
                || *rt == DataType::Null;
            if fits { original(op, left, right) } else { Err(refuse(&symbol, &left, &right)) }
        }
    }
}

/// Refuses `value` where text is needed.
pub(crate) fn need_text(what: &str, value: &Expr, data_type: &DataType) -> Result<()> {
    if is_text(data_type) || *data_type == DataType::Null {
        return Ok(());
    }
    let hint = match data_type {
        DataType::Map(_, _) => "; use element_at to look a key up",
        t if *t == JSON => "; cast it to varchar",
        _ => "",
    };
    let message = format!("{what} needs varchar, not {}{hint}", trino_type_name(data_type));
    Err(place_of([value, value]).map_or_else(|| mistake(&message), |name| mistake_about(&name, &message)))
}
