//! From Trino's grammar to the grammar that DataFusion plans.
//!
//! One walk over the tree, children before parents. What has the same meaning under another name is renamed; what
//! DataFusion plans with rules of its own (casts, subscripts, BETWEEN, arrays, time fields) becomes a call of one of this
//! crate's functions, where the types are known and Trino's rules are applied.

use std::collections::HashMap;
use std::mem;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, CaseWhen, CastKind, DataType as SqlType, DuplicateTreatment, Expr, Fetch, Function,
    FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments, GroupByExpr, Ident, LimitClause,
    NullTreatment, OneOrManyWithParens, OrderByKind, Query, Select, SelectItem, SetExpr, Spanned, Subscript,
    TableFactor, TrimWhereField, UnaryOperator, Value, ValueWithSpan, VisitorMut,
    helpers::attached_token::AttachedToken,
};
use datafusion::sql::sqlparser::tokenizer::Location;

use crate::error::{SqlError, nearest};
use crate::functions::registry;
use crate::sql::ast::{arguments, call, function, function_name, literal, number, order, place, text};
use crate::sql::from::{fold_joins, fold_unnest, generated_alias};
use crate::sql::names::{OutputNames, name_items};

/// How deep expressions may nest.
const MAX_DEPTH: usize = 250;

/// How many steps a path of fields and subscripts may have.
const MAX_PATH: usize = 50;

/// How many columns one CUBE may have: it stands for two to that power of groupings.
const MAX_CUBE: usize = 8;

/// The operators that stand for `IS [NOT] DISTINCT FROM` until types are known.
pub(crate) const DISTINCT_FROM: &str = "$distinct";
pub(crate) const NOT_DISTINCT_FROM: &str = "$notdistinct";

type Flow = ControlFlow<SqlError>;

/// The walk, with what it knows of the place it is at.
pub(crate) struct Rewriter {
    spelling: HashMap<Location, String>,
    /// Result names by the position of their SELECT.
    names: HashMap<Location, OutputNames>,
    /// Parameters of the lambdas around this place.
    lambda_parameters: Vec<String>,
    depth: usize,
    /// How many TRY calls are around this place.
    tries: usize,
    derived: usize,
}

impl Rewriter {
    pub(crate) fn new(spelling: HashMap<Location, String>) -> Self {
        Self { spelling, names: HashMap::new(), lambda_parameters: vec![], depth: 0, tries: 0, derived: 0 }
    }

    /// Returns how the columns of a visited SELECT are shown.
    pub(crate) fn names_of(&self, select: &Select) -> Option<OutputNames> {
        self.names.get(&select.select_token.0.span.start).cloned()
    }
}

fn refuse(at: Location, message: impl Into<String>) -> Flow {
    ControlFlow::Break(SqlError::at(at, message))
}

impl VisitorMut for Rewriter {
    type Break = SqlError;

    fn pre_visit_query(&mut self, query: &mut Query) -> Flow {
        let at = query.span().start;
        if !query.locks.is_empty() || query.for_clause.is_some() || !query.pipe_operators.is_empty() {
            return refuse(at, "only plain queries are supported");
        }
        if let Some(Fetch { with_ties, percent, quantity }) = query.fetch.take() {
            if with_ties || percent {
                return refuse(at, "FETCH FIRST ... WITH TIES is not supported");
            }
            let quantity = quantity.unwrap_or_else(|| number(1));
            match &mut query.limit_clause {
                Some(LimitClause::LimitOffset { limit: limit @ None, .. }) => *limit = Some(quantity),
                Some(_) => return refuse(at, "LIMIT and FETCH FIRST exclude each other"),
                None => {
                    query.limit_clause =
                        Some(LimitClause::LimitOffset { limit: Some(quantity), offset: None, limit_by: vec![] })
                }
            }
        }
        match query.body.as_ref() {
            SetExpr::Select(_) | SetExpr::Query(_) | SetExpr::SetOperation { .. } | SetExpr::Values(_) => {
                ControlFlow::Continue(())
            }
            _ => refuse(at, "only SELECT statements are supported"),
        }
    }

    fn post_visit_query(&mut self, query: &mut Query) -> Flow {
        // An ORDER BY item that repeats a select item means that item; DISTINCT insists on it.
        if let (SetExpr::Select(select), Some(order_by)) = (query.body.as_ref(), &mut query.order_by)
            && let OrderByKind::Expressions(items) = &mut order_by.kind
        {
            for item in items {
                let wanted = item.expr.to_string();
                let found = select.projection.iter().find_map(|selected| match selected {
                    SelectItem::ExprWithAlias { expr, alias } if expr.to_string() == wanted => Some(alias),
                    _ => None,
                });
                if let Some(alias) = found
                    && !matches!(item.expr, Expr::Value(_) | Expr::Identifier(_))
                {
                    item.expr = Expr::Identifier(alias.clone());
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> Flow {
        let at = select.select_token.0.span.start;
        let foreign = select.into.is_some()
            || select.top.is_some()
            || !select.lateral_views.is_empty()
            || select.qualify.is_some()
            || select.prewhere.is_some()
            || !select.connect_by.is_empty()
            || !select.cluster_by.is_empty()
            || !select.distribute_by.is_empty()
            || !select.sort_by.is_empty()
            || select.exclude.is_some();
        if foreign {
            return refuse(at, "this form of SELECT is not supported");
        }
        if select.projection.is_empty() {
            return refuse(at, "syntax error: a SELECT needs at least one item");
        }
        fold_unnest(&mut select.from);
        let names = name_items(select, &self.spelling);
        self.names.insert(at, names);
        if let GroupByExpr::Expressions(items, _) = &select.group_by
            && items.iter().any(|item| matches!(item, Expr::Cube(columns) if columns.len() > MAX_CUBE))
        {
            return refuse(at, format!("CUBE of more than {MAX_CUBE} columns"));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> Flow {
        let at = factor.span().start;
        match factor {
            TableFactor::Derived { alias: alias @ None, lateral: false, sample: None, .. } => {
                self.derived += 1;
                *alias = Some(generated_alias(self.derived));
            }
            TableFactor::Table { sample: Some(_), .. } | TableFactor::Derived { sample: Some(_), .. } => {
                return refuse(at, "TABLESAMPLE is not supported");
            }
            TableFactor::Derived { lateral: true, .. } => return refuse(at, "LATERAL is not supported"),
            TableFactor::Table { args: Some(_), name, .. } => {
                return refuse(at, format!("unknown table function: {name}"));
            }
            TableFactor::Table { version: Some(_), .. } => {
                return refuse(at, "FOR VERSION and FOR TIMESTAMP are not supported");
            }
            TableFactor::NestedJoin { table_with_joins, .. } if !ends_with_unnest(table_with_joins) => {
                fold_joins(table_with_joins)
            }
            TableFactor::Table { .. }
            | TableFactor::Derived { .. }
            | TableFactor::UNNEST { .. }
            | TableFactor::NestedJoin { .. } => {}
            _ => return refuse(at, "this kind of table expression is not supported"),
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> Flow {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return refuse(place(expr), "the expression nests too deeply");
        }
        match expr {
            Expr::BinaryOp { op: BinaryOperator::And | BinaryOperator::Or, .. } => balance(expr),
            Expr::Lambda(lambda) => {
                let parameters = match &lambda.params {
                    OneOrManyWithParens::One(parameter) => std::slice::from_ref(parameter),
                    OneOrManyWithParens::Many(parameters) => parameters.as_slice(),
                };
                self.lambda_parameters.extend(parameters.iter().map(|p| p.name.value.clone()));
            }
            Expr::CompoundIdentifier(parts)
                if parts.first().is_some_and(|first| self.lambda_parameters.contains(&first.value)) =>
            {
                let mut parts = mem::take(parts).into_iter();
                let root = parts.next().expect("a compound name has a first part");
                *expr = parts.fold(Expr::Identifier(root), |inner, field| field_access(inner, &field));
            }
            // The root of an access chain may be a name with dots: the chain is a path from there.
            Expr::CompoundFieldAccess { access_chain, .. } if access_chain.len() > MAX_PATH => {
                return refuse(place(expr), "the expression nests too deeply");
            }
            Expr::CompoundIdentifier(parts) if parts.len() > MAX_PATH => {
                return refuse(place(expr), "the name has too many parts");
            }
            Expr::CompoundFieldAccess { root, access_chain } => join_path(root, access_chain),
            Expr::Function(f) if function_name(f).is_some_and(|name| name.value == "try") => self.tries += 1,
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> Flow {
        self.depth -= 1;
        let taken = mem::replace(expr, literal(Value::Null));
        match self.rewritten(taken) {
            Ok(rewritten) => {
                *expr = rewritten;
                ControlFlow::Continue(())
            }
            Err(error) => ControlFlow::Break(error),
        }
    }
}

fn ends_with_unnest(item: &datafusion::sql::sqlparser::ast::TableWithJoins) -> bool {
    item.joins.last().is_some_and(|join| crate::sql::from::is_unnest(&join.relation))
}

/// Makes a long chain of ANDs or ORs a balanced tree, so that its depth is no danger.
fn balance(expr: &mut Expr) {
    let Expr::BinaryOp { op, .. } = expr else { return };
    let op = op.clone();
    let mut operands = Vec::new();
    let mut rest = mem::replace(expr, literal(Value::Null));
    loop {
        match rest {
            Expr::BinaryOp { left, op: this, right } if this == op => {
                operands.push(*right);
                rest = *left;
            }
            last => {
                operands.push(last);
                break;
            }
        }
    }
    operands.reverse();
    if operands.len() <= 8 {
        let mut operands = operands.into_iter();
        let first = operands.next().expect("an operator has operands");
        *expr = operands.fold(first, |left, right| binary(left, op.clone(), right));
        return;
    }
    *expr = balanced(operands, &op);
}

fn balanced(mut operands: Vec<Expr>, op: &BinaryOperator) -> Expr {
    if operands.len() == 1 {
        return operands.pop().expect("there is one operand");
    }
    let right = operands.split_off(operands.len() / 2);
    binary(balanced(operands, op), op.clone(), balanced(right, op))
}

fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }
}

fn in_subquery(value: Expr, subquery: Expr, negated: bool) -> Expr {
    match subquery {
        Expr::Subquery(subquery) => Expr::InSubquery { expr: Box::new(value), subquery, negated },
        other => binary(value, BinaryOperator::Eq, other),
    }
}

fn field_access(value: Expr, field: &Ident) -> Expr {
    call("$field", vec![value, text(&field.value)], field.span)
}

/// Moves leading `.name` steps of an access chain into its root, which then is an ordinary dotted name.
fn join_path(root: &mut Box<Expr>, chain: &mut Vec<AccessExpr>) {
    let mut parts = match root.as_ref() {
        Expr::Identifier(name) => vec![name.clone()],
        Expr::CompoundIdentifier(parts) => parts.clone(),
        _ => return,
    };
    let steps = chain.iter().take_while(|step| matches!(step, AccessExpr::Dot(Expr::Identifier(_)))).count();
    for step in chain.drain(..steps) {
        if let AccessExpr::Dot(Expr::Identifier(name)) = step {
            parts.push(name);
        }
    }
    **root = if parts.len() == 1 { Expr::Identifier(parts.remove(0)) } else { Expr::CompoundIdentifier(parts) };
    // Names in the chain are fields, not columns: make them text before the walk reaches them.
    for step in chain.iter_mut() {
        if let AccessExpr::Dot(inner) = step
            && let Expr::Identifier(name) = inner
        {
            *inner =
                Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(name.value.clone()), span: name.span });
        }
    }
}

impl Rewriter {
    /// Rewrites one expression whose children are rewritten already.
    fn rewritten(&mut self, expr: Expr) -> Result<Expr, SqlError> {
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
                Expr::Nested(Box::new(binary(binary((*expr).clone(), above, *low), both, binary(*expr, below, *high))))
            }
            Expr::IsDistinctFrom(left, right) => {
                Expr::Nested(Box::new(binary(*left, BinaryOperator::Custom(DISTINCT_FROM.into()), *right)))
            }
            Expr::IsNotDistinctFrom(left, right) => {
                Expr::Nested(Box::new(binary(*left, BinaryOperator::Custom(NOT_DISTINCT_FROM.into()), *right)))
            }
            Expr::BinaryOp { left, op: op @ (BinaryOperator::Divide | BinaryOperator::Modulo), right }
                if self.tries > 0 =>
            {
                binary(*left, op, call("nullif", vec![*right, number(0)], at))
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
                binary(*left, op, *right)
            }
            Expr::Tuple(items) => call("row", items, at),
            // DataFusion's quantified comparisons forget the comparison; two of them are IN.
            Expr::AnyOp { left, compare_op: BinaryOperator::Eq, right, .. }
                if matches!(right.as_ref(), Expr::Subquery(_)) =>
            {
                in_subquery(*left, *right, false)
            }
            Expr::AllOp { left, compare_op: BinaryOperator::NotEq, right }
                if matches!(right.as_ref(), Expr::Subquery(_)) =>
            {
                in_subquery(*left, *right, true)
            }
            Expr::AnyOp { .. } | Expr::AllOp { .. } => {
                return Err(SqlError::at(at.start, "this quantified comparison is not supported"));
            }
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
            | Expr::InList { .. }
            | Expr::InSubquery { .. }
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

    /// Rewrites a call: special forms, functions under another name, and the check that the name exists.
    fn rewritten_function(&mut self, mut f: Function) -> Result<Expr, SqlError> {
        let at = f.name.span();
        let Some(name) = function_name(&f).map(|name| name.value.clone()) else {
            return Err(SqlError::at(at.start, format!("unknown function: {}", f.name)));
        };
        let known = registry();
        if !known.contains(&name) {
            let hint = nearest(&name, known.names()).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            return Err(SqlError::at(at.start, format!("unknown function: {name}{hint}")));
        }
        let count = arguments(&f).map(|a| a.len());
        let takes_lambda = arguments(&f).is_some_and(|a| a.iter().any(|e| matches!(e, Expr::Lambda(_))));
        if takes_lambda && known.lambda(&name).is_none() {
            return Err(SqlError::at(at.start, format!("function {name} does not take a lambda here")));
        }
        let arity = |wanted: &[usize]| match count {
            Some(count) if wanted.contains(&count) => Ok(()),
            _ => Err(SqlError::at(
                at.start,
                format!("function {name} cannot be called with {} arguments", count.unwrap_or(0)),
            )),
        };
        match name.as_str() {
            "if" => {
                arity(&[2, 3])?;
                let mut arguments = take_arguments(&mut f).into_iter();
                let (condition, result) = (next(&mut arguments), next(&mut arguments));
                return Ok(case(condition, result, arguments.next()));
            }
            "try" => {
                arity(&[1])?;
                self.tries = self.tries.saturating_sub(1);
                return Ok(Expr::Nested(Box::new(next(&mut take_arguments(&mut f).into_iter()))));
            }
            "now" | "current_timestamp" => return Ok(call("$now", vec![], at)),
            "localtimestamp" => return Ok(call("$localtimestamp", vec![], at)),
            "current_date" => return Ok(call("$today", vec![], at)),
            "current_timezone" => return Ok(text("UTC")),
            "pi" => return Ok(call("$literal", vec![text("3.141592653589793"), text("double")], at)),
            // DataFusion's planner reads a call of `map` by a rule of its own.
            "map" => {
                let arguments = take_arguments(&mut f);
                return Ok(renamed(f, "$map", arguments));
            }
            "count_if" => {
                arity(&[1])?;
                let condition = next(&mut take_arguments(&mut f).into_iter());
                return Ok(renamed(f, "count", vec![case(condition, number(1), None)]));
            }
            "arbitrary" | "any_value" => {
                arity(&[1])?;
                f.null_treatment = Some(NullTreatment::IgnoreNulls);
                let arguments = take_arguments(&mut f);
                return Ok(renamed(f, "first_value", arguments));
            }
            "max_by" | "min_by" => {
                arity(&[2, 3])?;
                let mut arguments = take_arguments(&mut f).into_iter();
                let (value, by) = (next(&mut arguments), next(&mut arguments));
                and_filter(&mut f, Expr::IsNotNull(Box::new(by.clone())));
                let ascending = name == "min_by";
                return Ok(match arguments.next() {
                    None => ordered(renamed(f, "first_value", vec![value]), by, ascending),
                    Some(limit) => {
                        let all = ordered(renamed(f, "array_agg", vec![value]), by, ascending);
                        call("slice", vec![all, number(1), limit], at)
                    }
                });
            }
            "min" | "max" if count == Some(2) => {
                let mut arguments = take_arguments(&mut f).into_iter();
                let (value, limit) = (next(&mut arguments), next(&mut arguments));
                and_filter(&mut f, Expr::IsNotNull(Box::new(value.clone())));
                let all = ordered(renamed(f, "array_agg", vec![value.clone()]), value, name == "min");
                return Ok(call("slice", vec![all, number(1), limit], at));
            }
            "map_agg" | "multimap_agg" => {
                arity(&[2])?;
                let mut arguments = take_arguments(&mut f).into_iter();
                let (key, value) = (next(&mut arguments), next(&mut arguments));
                let pair = call("$pair", vec![key, value], at);
                return Ok(call(&format!("${name}"), vec![renamed(f, "array_agg", vec![pair])], at));
            }
            "histogram" | "map_union" => {
                arity(&[1])?;
                let arguments = take_arguments(&mut f);
                return Ok(call(&format!("${name}"), vec![renamed(f, "array_agg", arguments)], at));
            }
            "listagg" => {
                arity(&[1, 2])?;
                let mut arguments = take_arguments(&mut f).into_iter();
                let value = next(&mut arguments);
                let separator = arguments.next().unwrap_or_else(|| text(""));
                and_filter(&mut f, Expr::IsNotNull(Box::new(value.clone())));
                let by = mem::take(&mut f.within_group);
                let distinct = distinct(&f);
                let mut all = function("array_agg", vec![value], at);
                all.filter = f.filter;
                all.over = f.over;
                if let FunctionArguments::List(list) = &mut all.args {
                    list.duplicate_treatment = distinct.then_some(DuplicateTreatment::Distinct);
                    if !by.is_empty() {
                        list.clauses = vec![FunctionArgumentClause::OrderBy(by)];
                    }
                }
                return Ok(call("array_join", vec![Expr::Function(all), separator], at));
            }
            "approx_percentile" => {
                arity(&[2])?;
                let mut arguments = take_arguments(&mut f).into_iter();
                let (value, share) = (next(&mut arguments), next(&mut arguments));
                let one = |share: Expr| {
                    let mut single = f.clone();
                    single.within_group = vec![order(value.clone(), true)];
                    let least = renamed(f.clone(), "min", vec![value.clone()]);
                    // DataFusion answers in doubles, Trino in the type of the values.
                    call("$typed_as", vec![renamed(single, "approx_percentile_cont", vec![share]), least], at)
                };
                return Ok(match array_items(&share) {
                    Some(shares) => call("$array", shares.into_iter().map(one).collect(), at),
                    None => one(share),
                });
            }
            "approx_distinct" => {
                arity(&[1, 2])?;
                let value = next(&mut take_arguments(&mut f).into_iter());
                return Ok(bigint(renamed(f, "approx_distinct", vec![value])));
            }
            "geometric_mean" => {
                arity(&[1])?;
                let value = next(&mut take_arguments(&mut f).into_iter());
                return Ok(call("exp", vec![renamed(f, "avg", vec![call("ln", vec![value], at)])], at));
            }
            "greatest" | "least" => {
                let items = take_arguments(&mut f);
                if items.is_empty() {
                    return Err(SqlError::at(at.start, format!("function {name} needs arguments")));
                }
                let extreme = if name == "greatest" { "array_max" } else { "array_min" };
                return Ok(call(extreme, vec![call("$array", items, at)], at));
            }
            "row_number" | "rank" | "dense_rank" | "ntile" => return Ok(bigint(Expr::Function(f))),
            "count" | "grouping" => {
                return Ok(if name == "grouping" { bigint(Expr::Function(f)) } else { Expr::Function(f) });
            }
            _ => {}
        }
        if let Some(other) = renamed_aggregate(&name) {
            let arguments = take_arguments(&mut f);
            let distinct = distinct(&f);
            let mut renamed = renamed(f, other, arguments);
            if let (Expr::Function(f), true) = (&mut renamed, distinct)
                && let FunctionArguments::List(list) = &mut f.args
            {
                list.duplicate_treatment = Some(DuplicateTreatment::Distinct);
            }
            return Ok(renamed);
        }
        if self.tries > 0
            && let Some(lenient) = known.lenient(&name)
        {
            let arguments = take_arguments(&mut f);
            return Ok(renamed(f, &lenient, arguments));
        }
        Ok(Expr::Function(f))
    }
}

/// Aggregates that DataFusion has under another name.
fn renamed_aggregate(name: &str) -> Option<&'static str> {
    Some(match name {
        "every" => "bool_and",
        "variance" => "var_samp",
        "stddev_samp" => "stddev",
        "bitwise_and_agg" => "bit_and",
        "bitwise_or_agg" => "bit_or",
        "bitwise_xor_agg" => "bit_xor",
        _ => return None,
    })
}

fn next(arguments: &mut impl Iterator<Item = Expr>) -> Expr {
    arguments.next().expect("the number of arguments was checked")
}

fn case(condition: Expr, result: Expr, otherwise: Option<Expr>) -> Expr {
    Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions: vec![CaseWhen { condition, result }],
        else_result: otherwise.map(Box::new),
    }
}

fn bigint(value: Expr) -> Expr {
    let at = value.span();
    call("cast", vec![value, text("bigint")], at)
}

fn distinct(f: &Function) -> bool {
    matches!(&f.args, FunctionArguments::List(list) if list.duplicate_treatment == Some(DuplicateTreatment::Distinct))
}

fn take_arguments(f: &mut Function) -> Vec<Expr> {
    let FunctionArguments::List(list) = &mut f.args else { return vec![] };
    mem::take(&mut list.args)
        .into_iter()
        .filter_map(|argument| match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
            _ => None,
        })
        .collect()
}

/// Gives a call another name and other arguments; FILTER, OVER, DISTINCT and the like stay.
fn renamed(mut f: Function, name: &str, arguments: Vec<Expr>) -> Expr {
    let fresh = function(name, arguments, f.name.span());
    if let (FunctionArguments::List(old), FunctionArguments::List(new)) = (&mut f.args, &fresh.args) {
        old.args = new.args.clone();
    } else {
        f.args = fresh.args;
    }
    f.name = fresh.name;
    Expr::Function(f)
}

fn ordered(expr: Expr, by: Expr, ascending: bool) -> Expr {
    let Expr::Function(mut f) = expr else { return expr };
    if let FunctionArguments::List(list) = &mut f.args {
        list.clauses = vec![FunctionArgumentClause::OrderBy(vec![order(by, ascending)])];
    }
    Expr::Function(f)
}

fn and_filter(f: &mut Function, condition: Expr) {
    f.filter = Some(Box::new(match f.filter.take() {
        Some(filter) => binary(Expr::Nested(filter), BinaryOperator::And, condition),
        None => condition,
    }));
}

/// Returns the elements of an array that is written out.
fn array_items(expr: &Expr) -> Option<Vec<Expr>> {
    let Expr::Function(f) = expr else { return None };
    (function_name(f)?.value == "$array").then(|| arguments(f).map(|items| items.into_iter().cloned().collect()))?
}
