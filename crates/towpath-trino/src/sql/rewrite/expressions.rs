//! Single expressions, rewritten after their children.

use datafusion::sql::sqlparser::ast::DataType as SqlType;
use datafusion::sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, CastKind, Expr, Ident, OneOrManyWithParens, Spanned, Subscript, TrimWhereField,
    UnaryOperator, Value, ValueWithSpan,
};

use super::Rewriter;
use super::subqueries::{Quantifier, compare_rows, in_subquery, quantified};
use super::trees::binary;
use super::{DISTINCT_FROM, LENIENT, NOT_DISTINCT_FROM};
use crate::error::SqlError;
use crate::sql::ast::{call, number, text};

pub(super) fn field_access(value: Expr, field: &Ident) -> Expr {
    call("$field", vec![value, text(&field.value)], field.span)
}

impl Rewriter {
    /// Rewrites one expression whose children are rewritten already.
    pub(super) fn rewritten(&mut self, expr: Expr) -> Result<Expr, SqlError> {
        let at = expr.span();
        Ok(match expr {
            Expr::Lambda(lambda) => {
                let count = match &lambda.params {
                    OneOrManyWithParens::One(_) => 1,
                    OneOrManyWithParens::Many(parameters) => parameters.len(),
                };
                self.lambda_parameters.truncate(self.lambda_parameters.len() - count.min(self.lambda_parameters.len()));
                Expr::Lambda(lambda)
            }
            Expr::Function(function) => self.rewritten_function(function)?,
            Expr::Cast { kind, expr, data_type, .. } => {
                let SqlType::Custom(name, _) = &data_type else {
                    return Err(SqlError::at(at.start, format!("unknown type: {data_type}")));
                };
                let type_text =
                    name.0.first().and_then(|part| part.as_ident()).map(|i| i.value.clone()).unwrap_or_default();
                let safe = self.tries > 0 || matches!(kind, CastKind::TryCast | CastKind::SafeCast);
                call(if safe { "try_cast" } else { "cast" }, vec![*expr, text(&type_text)], at)
            }
            Expr::CompoundFieldAccess { root, access_chain } => {
                let mut value = *root;
                for step in access_chain {
                    value = match step {
                        AccessExpr::Dot(Expr::Value(field)) => {
                            call("$field", vec![value, Expr::Value(field.clone())], field.span)
                        }
                        AccessExpr::Dot(Expr::Identifier(field)) => field_access(value, &field),
                        AccessExpr::Subscript(Subscript::Index { index }) => {
                            call(if self.tries > 0 { "element_at" } else { "$subscript" }, vec![value, index], at)
                        }
                        _ => return Err(SqlError::at(at.start, "this form of access is not supported")),
                    };
                }
                value
            }
            Expr::Between { expr, negated, low, high } => {
                let (above, both, below) = if negated {
                    (BinaryOperator::Lt, BinaryOperator::Or, BinaryOperator::Gt)
                } else {
                    (BinaryOperator::GtEq, BinaryOperator::And, BinaryOperator::LtEq)
                };
                let again = self.copy(&expr)?;
                Expr::Nested(Box::new(binary(binary(again, above, *low), both, binary(*expr, below, *high))))
            }
            Expr::IsDistinctFrom(left, right) => {
                Expr::Nested(Box::new(binary(*left, BinaryOperator::Custom(DISTINCT_FROM.into()), *right)))
            }
            Expr::IsNotDistinctFrom(left, right) => {
                Expr::Nested(Box::new(binary(*left, BinaryOperator::Custom(NOT_DISTINCT_FROM.into()), *right)))
            }
            Expr::BinaryOp {
                left,
                op:
                    op @ (BinaryOperator::Plus
                    | BinaryOperator::Minus
                    | BinaryOperator::Multiply
                    | BinaryOperator::Divide
                    | BinaryOperator::Modulo),
                right,
            } if self.tries > 0 => binary(*left, BinaryOperator::Custom(format!("{LENIENT}{op}")), *right),
            // A number with its sign is a literal; everything else is negated by a function that sees an overflow.
            Expr::UnaryOp { op: UnaryOperator::Minus, expr } if !is_number(&expr) => {
                call(if self.tries > 0 { "$try_$negate" } else { "$negate" }, vec![*expr], at)
            }
            Expr::Extract { field, expr, .. } => {
                let name = field.to_string().to_lowercase();
                let name = match name.as_str() {
                    "year" | "quarter" | "month" | "week" | "day" | "hour" | "minute" | "second" | "timezone_hour"
                    | "timezone_minute" => name,
                    "day_of_week" | "dow" => "day_of_week".into(),
                    "day_of_year" | "doy" => "day_of_year".into(),
                    "year_of_week" | "yow" => "year_of_week".into(),
                    "day_of_month" => "day".into(),
                    other => return Err(SqlError::at(at.start, format!("cannot extract {other}"))),
                };
                call(&name, vec![*expr], at)
            }
            Expr::Position { expr, r#in } => call("strpos", vec![*r#in, *expr], at),
            Expr::Substring { expr, substring_from, substring_for, .. } => {
                let mut arguments = vec![*expr, substring_from.map_or_else(|| number(1), |from| *from)];
                arguments.extend(substring_for.map(|length| *length));
                call("substr", arguments, at)
            }
            Expr::Trim { trim_where, trim_what, expr, trim_characters } => {
                let name = match trim_where {
                    Some(TrimWhereField::Leading) => "ltrim",
                    Some(TrimWhereField::Trailing) => "rtrim",
                    _ => "trim",
                };
                let mut arguments = vec![*expr];
                arguments.extend(trim_what.map(|what| *what));
                arguments.extend(trim_characters.unwrap_or_default());
                call(name, arguments, at)
            }
            Expr::AtTimeZone { timestamp, time_zone } => call("at_timezone", vec![*timestamp, *time_zone], at),
            Expr::Array(array) => call("$array", array.elem, at),
            Expr::Value(ValueWithSpan { value: Value::UnicodeStringLiteral(text), span }) => {
                Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(text), span })
            }
            // A number with an exponent is a double, others with a point are decimals.
            Expr::Value(ValueWithSpan { value: Value::Number(digits, _), span }) if digits.contains(['e', 'E']) => {
                call("$literal", vec![text(&digits), text("double")], span)
            }
            Expr::UnaryOp { op: op @ (UnaryOperator::Not | UnaryOperator::Minus | UnaryOperator::Plus), expr } => {
                Expr::UnaryOp { op, expr }
            }
            Expr::UnaryOp { op, .. } => return Err(SqlError::at(at.start, format!("operator {op} is not supported"))),
            Expr::BinaryOp { left, op, right } => {
                let known = matches!(
                    op,
                    BinaryOperator::Plus
                        | BinaryOperator::Minus
                        | BinaryOperator::Multiply
                        | BinaryOperator::Divide
                        | BinaryOperator::Modulo
                        | BinaryOperator::StringConcat
                        | BinaryOperator::Gt
                        | BinaryOperator::Lt
                        | BinaryOperator::GtEq
                        | BinaryOperator::LtEq
                        | BinaryOperator::Eq
                        | BinaryOperator::NotEq
                        | BinaryOperator::And
                        | BinaryOperator::Or
                        | BinaryOperator::Custom(_)
                );
                if !known {
                    return Err(SqlError::at(left.span().end, format!("operator {op} is not supported")));
                }
                compare_rows(*left, op, *right)
            }
            Expr::Tuple(items) => call("row", items, at),
            Expr::AnyOp { left, compare_op, right, .. } => quantified(*left, compare_op, Quantifier::Any, *right)?,
            Expr::AllOp { left, compare_op, right } => quantified(*left, compare_op, Quantifier::All, *right)?,
            Expr::InSubquery { expr, subquery, negated } => in_subquery(*expr, subquery, negated)?,
            Expr::InList { expr, list, negated } => self.in_rows(*expr, list, negated)?,
            Expr::Like { any: true, .. } => return Err(SqlError::at(at.start, "LIKE ANY is not supported")),
            other @ (Expr::Identifier(_)
            | Expr::CompoundIdentifier(_)
            | Expr::Value(_)
            | Expr::Nested(_)
            | Expr::IsNull(_)
            | Expr::IsNotNull(_)
            | Expr::IsTrue(_)
            | Expr::IsNotTrue(_)
            | Expr::IsFalse(_)
            | Expr::IsNotFalse(_)
            | Expr::IsUnknown(_)
            | Expr::IsNotUnknown(_)
            | Expr::Like { .. }
            | Expr::Case { .. }
            | Expr::Exists { .. }
            | Expr::Subquery(_)
            | Expr::GroupingSets(_)
            | Expr::Cube(_)
            | Expr::Rollup(_)
            | Expr::Wildcard(_)
            | Expr::QualifiedWildcard(..)) => other,
            other => return Err(SqlError::at(at.start, format!("this expression is not supported: {other}"))),
        })
    }
}

/// True for a number as it is written.
fn is_number(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(ValueWithSpan { value: Value::Number(..), .. }))
}
