//! Calls: special forms, functions under another name, and the check that the name exists.

use std::mem;

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CaseWhen, DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause,
    FunctionArguments, NullTreatment, Spanned,
};
use datafusion::sql::sqlparser::parser::Parser;

use super::Rewriter;
use super::trees::binary;
use crate::error::{SqlError, nearest};
use crate::functions::registry;
use crate::sql::ast::{arguments, call, function, function_name, number, order, text};
use crate::sql::dialect::Trino;

impl Rewriter {
    /// Rewrites a call: special forms, functions under another name, and the check that the name exists.
    pub(super) fn rewritten_function(&mut self, mut f: Function) -> Result<Expr, SqlError> {
        let at = f.name.span();
        let Some(name) = function_name(&f).map(|name| name.value.clone()) else {
            return Err(SqlError::at(at.start, format!("unknown function: {}", f.name)));
        };
        if !matches!(f.parameters, FunctionArguments::None) {
            return Err(SqlError::at(at.end, "syntax error: a call has one list of arguments"));
        }
        let known = registry();
        if !known.contains(&name) {
            let hint = nearest(&name, known.names()).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            return Err(SqlError::at(at.start, format!("unknown function: {name}{hint}")));
        }
        let count = arguments(&f).map(|a| a.len());
        if name == "reduce_agg" {
            return reduce_agg(f);
        }
        let takes_lambda = arguments(&f).is_some_and(|a| a.iter().any(|e| matches!(e, Expr::Lambda(_))));
        if takes_lambda && known.lambda(&name).is_none() {
            // The function may have a form with a lambda and one without.
            let with_lambda = format!("${name}");
            if known.lambda(&with_lambda).is_none() {
                return Err(SqlError::at(at.start, format!("function {name} does not take a lambda here")));
            }
            let arguments = take_arguments(&mut f);
            return Ok(renamed(f, &with_lambda, arguments));
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
            // The form of a normal form is a keyword, not a text.
            "normalize" if count == Some(2) => {
                let mut arguments = take_arguments(&mut f).into_iter();
                let (value, form) = (next(&mut arguments), next(&mut arguments));
                match form {
                    Expr::Identifier(form) if matches!(form.value.as_str(), "nfc" | "nfd" | "nfkc" | "nfkd") => {
                        return Ok(renamed(f, "normalize", vec![value, text(&form.value)]));
                    }
                    _ => return Err(SqlError::at(at.start, "normalize takes one of the forms NFC, NFD, NFKC, NFKD")),
                }
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
                and_filter(&mut f, Expr::IsNotNull(Box::new(self.copy(&by)?)));
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
                and_filter(&mut f, Expr::IsNotNull(Box::new(self.copy(&value)?)));
                let all = ordered(renamed(f, "array_agg", vec![self.copy(&value)?]), value, name == "min");
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
                and_filter(&mut f, Expr::IsNotNull(Box::new(self.copy(&value)?)));
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
                // The call is copied for every share.
                for _ in 0..array_items(&share).map_or(1, |shares| shares.len()) {
                    self.copy(&Expr::Function(f.clone()))?;
                    self.copy(&value)?;
                }
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

/// Rewrites `reduce_agg(value, start, merge, combine)`: all values that are not NULL, reduced.
fn reduce_agg(mut f: Function) -> Result<Expr, SqlError> {
    let at = f.name.span();
    let mut given = take_arguments(&mut f);
    let lambdas = given.iter().skip(2).filter(|argument| matches!(argument, Expr::Lambda(_))).count();
    if given.len() != 4 || lambdas != 2 {
        return Err(SqlError::at(at.start, "function reduce_agg takes a value, a start and two lambdas"));
    }
    // There is one partial result: nothing is combined.
    given.pop();
    let (merge, start, value) = (given.pop(), given.pop(), given.pop());
    let missing = || SqlError::at(at.start, "an argument of reduce_agg is missing");
    let (merge, start, value) = (merge.ok_or_else(missing)?, start.ok_or_else(missing)?, value.ok_or_else(missing)?);
    and_filter(&mut f, Expr::IsNotNull(Box::new(value.clone())));
    let all = renamed(f, "array_agg", vec![value]);
    let same = Parser::new(&Trino).try_with_sql("\"$state\" -> \"$state\"").and_then(|mut parser| parser.parse_expr());
    let same = same.map_err(|error| SqlError::whole(format!("cannot rewrite reduce_agg: {error}")))?;
    Ok(call("reduce", vec![all, start, merge, same], at))
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

pub(super) fn distinct(f: &Function) -> bool {
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
