//! Quantified comparisons, and rows compared with rows and with subqueries.
//!
//! | Trino | here |
//! |---|---|
//! | `x > ALL (q)` | one call over the number of rows of `q`, its number of values, its least and its greatest value |
//! | `x = ANY (q)`, `x <> ALL (q)` | `x IN (q)`, `x NOT IN (q)` |
//! | `(a, b) IN (q)` as a condition | `EXISTS` over `q` with both columns compared: a join on columns |
//! | `(a, b) IN (q)` elsewhere, where NULL is not false | `ROW(a, b) IN (q)`, with rows for columns |
//! | `(a, b) = (c, d)` | the conjunction of the parts |

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Ident, Query, SelectItem, SetExpr, Spanned, TableAlias, TableAliasColumnDef, TableFactor,
    UnaryOperator,
};
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Span;

use super::Rewriter;
use super::trees::{balanced, binary};
use crate::error::SqlError;
use crate::sql::ast::{arguments, call, function_name, text};
use crate::sql::dialect::Trino;

/// The alias of a subquery that was moved into FROM; no query can spell it.
const MOVED: &str = "$subquery";

/// Marks a row of which only true matters; no query can spell it.
const JOINED: &str = "$joined";

/// Marks the rows whose `IN` is a condition, or part of one, of which false and NULL are the same.
pub(super) fn mark_joined(condition: &mut Expr) {
    let mut open = vec![condition];
    while let Some(expr) = open.pop() {
        match expr {
            Expr::Nested(inner) => open.push(inner.as_mut()),
            Expr::BinaryOp { left, op: BinaryOperator::And | BinaryOperator::Or, right } => {
                open.extend([left.as_mut(), right.as_mut()]);
            }
            Expr::InSubquery { expr: value, .. }
            | Expr::AnyOp { left: value, compare_op: BinaryOperator::Eq, .. }
            | Expr::AllOp { left: value, compare_op: BinaryOperator::NotEq, .. }
                if is_row(value) =>
            {
                let row = std::mem::replace(value.as_mut(), Expr::Tuple(vec![]));
                let at = row.span();
                **value = call(JOINED, vec![row], at);
            }
            _ => {}
        }
    }
}

fn is_row(expr: &Expr) -> bool {
    match expr {
        Expr::Nested(inner) => is_row(inner),
        Expr::Tuple(items) => items.len() > 1,
        other => row_items(other).is_some(),
    }
}

/// Which rows of the subquery must fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantifier {
    All,
    Any,
}

/// Rewrites `value op ALL|ANY (right)`.
pub(super) fn quantified(
    value: Expr,
    op: BinaryOperator,
    quantifier: Quantifier,
    right: Expr,
) -> Result<Expr, SqlError> {
    let at = value.span();
    let Expr::Subquery(subquery) = right else {
        return Err(SqlError::at(at.start, "a quantified comparison needs a subquery"));
    };
    let row = row_items(&value).is_some();
    match (&op, quantifier) {
        (BinaryOperator::Eq, Quantifier::Any) => return in_subquery(value, subquery, false),
        (BinaryOperator::NotEq, Quantifier::All) => return in_subquery(value, subquery, true),
        (
            BinaryOperator::Eq
            | BinaryOperator::NotEq
            | BinaryOperator::Lt
            | BinaryOperator::LtEq
            | BinaryOperator::Gt
            | BinaryOperator::GtEq,
            _,
        ) if !row => {}
        _ => return Err(SqlError::at(at.start, "this quantified comparison is not supported")),
    }
    let mut summary = template(
        r#"SELECT "row"("count"(*), "count"("$1"), "min"("$1"), "max"("$1")) AS "$summary" FROM (SELECT 1) AS "$subquery""#,
    )?;
    move_into(&mut summary, subquery, 1);
    let quantifier = if quantifier == Quantifier::All { "all" } else { "any" };
    let arguments = vec![text(&op.to_string()), text(quantifier), value, Expr::Subquery(summary)];
    Ok(call("$quantified", arguments, at))
}

/// Rewrites `value [NOT] IN (subquery)`.
pub(super) fn in_subquery(value: Expr, mut subquery: Box<Query>, negated: bool) -> Result<Expr, SqlError> {
    let joined = match &value {
        Expr::Function(f) if function_name(f).is_some_and(|name| name.value == JOINED) => {
            arguments(f).and_then(|arguments| arguments.first().copied().cloned())
        }
        _ => None,
    };
    let is_condition = joined.is_some();
    let value = joined.unwrap_or(value);
    let Some(items) = row_items(&value) else {
        return Ok(Expr::InSubquery { expr: Box::new(value), subquery, negated });
    };
    let count = items.len();
    spread_row(&mut subquery, count);
    if !is_condition {
        let subquery = rows_of(subquery, count)?;
        return Ok(Expr::InSubquery { expr: Box::new(value), subquery, negated });
    }
    let columns = (1..=count).map(|i| Expr::Identifier(column(i)));
    let same = items.into_iter().zip(columns).map(|(item, column)| binary(column, BinaryOperator::Eq, item)).collect();
    let mut same = conjunction(same);
    if negated {
        // A comparison with NULL is neither: such a row keeps NOT IN from being true.
        same = Expr::IsNotFalse(Box::new(Expr::Nested(Box::new(same))));
    }
    let mut found = template(r#"SELECT 1 AS "$found" FROM (SELECT 1) AS "$subquery" WHERE true"#)?;
    move_into(&mut found, subquery, count);
    if let SetExpr::Select(select) = found.body.as_mut() {
        select.selection = Some(same);
    }
    Ok(Expr::Exists { subquery: found, negated })
}

/// Compares rows part by part, if both sides are written out.
pub(super) fn compare_rows(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    let (parts, negated) = match op {
        BinaryOperator::Eq => (same_rows(&left, &right), false),
        BinaryOperator::NotEq => (same_rows(&left, &right), true),
        _ => (None, false),
    };
    match parts {
        Some(parts) => maybe_not(parts, negated),
        None => binary(left, op, right),
    }
}

impl Rewriter {
    /// Rewrites `row [NOT] IN (rows)`, if all rows are written out.
    pub(super) fn in_rows(&mut self, value: Expr, list: Vec<Expr>, negated: bool) -> Result<Expr, SqlError> {
        if list.is_empty() || row_items(&value).is_none() {
            return Ok(Expr::InList { expr: Box::new(value), list, negated });
        }
        let mut alternatives = Vec::with_capacity(list.len());
        for item in &list {
            match same_rows(&self.copy(&value)?, item) {
                Some(same) => alternatives.push(same),
                None => return Ok(Expr::InList { expr: Box::new(value), list, negated }),
            }
        }
        Ok(maybe_not(Expr::Nested(Box::new(balanced(alternatives, &BinaryOperator::Or))), negated))
    }
}

fn maybe_not(expr: Expr, negated: bool) -> Expr {
    if negated { Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(expr) } } else { expr }
}

fn same_rows(left: &Expr, right: &Expr) -> Option<Expr> {
    let (left, right) = (row_items(left)?, row_items(right)?);
    if left.len() != right.len() {
        return None;
    }
    Some(conjunction(left.into_iter().zip(right).map(|(l, r)| binary(l, BinaryOperator::Eq, r)).collect()))
}

fn conjunction(parts: Vec<Expr>) -> Expr {
    Expr::Nested(Box::new(balanced(parts, &BinaryOperator::And)))
}

/// Returns the fields of a row that is written out, if it has more than one.
fn row_items(expr: &Expr) -> Option<Vec<Expr>> {
    match expr {
        Expr::Nested(inner) => row_items(inner),
        Expr::Function(f) if function_name(f)?.value == "row" => {
            let items = arguments(f)?;
            (items.len() > 1).then(|| items.into_iter().cloned().collect())
        }
        _ => None,
    }
}

fn column(number: usize) -> Ident {
    Ident { value: format!("${number}"), quote_style: Some('"'), span: Span::empty() }
}

/// Parses SQL of this file's own.
fn template(sql: &str) -> Result<Box<Query>, SqlError> {
    let parsed = Parser::new(&Trino).try_with_sql(sql).and_then(|mut parser| parser.parse_query());
    parsed.map_err(|error| SqlError::whole(format!("cannot rewrite a subquery: {error}")))
}

/// Puts `subquery` into the FROM of a template, with columns named by their number.
///
/// The columns of a plain SELECT get their names there: DataFusion cannot correlate what is renamed from outside.
fn move_into(template: &mut Query, mut subquery: Box<Query>, columns: usize) {
    let SetExpr::Select(select) = template.body.as_mut() else { return };
    let Some(TableFactor::Derived { subquery: place, alias, .. }) = select.from.first_mut().map(|f| &mut f.relation)
    else {
        return;
    };
    if name_columns(&mut subquery, columns) {
        (*place, *alias) = (subquery, None);
        return;
    }
    *place = subquery;
    let columns = (1..=columns).map(|i| TableAliasColumnDef { name: column(i), data_type: None }).collect();
    let name = Ident { value: MOVED.into(), quote_style: Some('"'), span: Span::empty() };
    *alias = Some(TableAlias { explicit: true, name, columns, at: None });
}

/// Names the columns of a plain SELECT by their number; false if the query is none, or has another number of columns.
fn name_columns(query: &mut Query, columns: usize) -> bool {
    if query.order_by.is_some() || query.limit_clause.is_some() {
        return false;
    }
    let SetExpr::Select(select) = query.body.as_mut() else { return false };
    let plain = |item: &SelectItem| matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. });
    if select.projection.len() != columns || !select.projection.iter().all(plain) {
        return false;
    }
    for (i, item) in select.projection.iter_mut().enumerate() {
        if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: column(i + 1) };
        }
    }
    true
}

/// Makes a query of several columns one of rows.
fn rows_of(mut subquery: Box<Query>, columns: usize) -> Result<Box<Query>, SqlError> {
    let row =
        |items: Vec<Expr>| SelectItem::ExprWithAlias { expr: call("row", items, Span::empty()), alias: column(1) };
    if name_columns(&mut subquery, columns)
        && let SetExpr::Select(select) = subquery.body.as_mut()
    {
        let items = select.projection.iter().filter_map(|item| match item {
            SelectItem::ExprWithAlias { expr, .. } => Some(expr.clone()),
            _ => None,
        });
        select.projection = vec![row(items.collect())];
        return Ok(subquery);
    }
    let mut rows = template(r#"SELECT 1 AS "$found" FROM (SELECT 1) AS "$subquery""#)?;
    move_into(&mut rows, subquery, columns);
    if let SetExpr::Select(select) = rows.body.as_mut() {
        select.projection = vec![row((1..=columns).map(|i| Expr::Identifier(column(i))).collect())];
    }
    Ok(rows)
}

/// Makes `SELECT ROW(a, b)` the same as `SELECT a, b`.
fn spread_row(query: &mut Query, wanted: usize) {
    let SetExpr::Select(select) = query.body.as_mut() else { return };
    let [SelectItem::ExprWithAlias { expr, .. } | SelectItem::UnnamedExpr(expr)] = select.projection.as_slice() else {
        return;
    };
    let Some(items) = row_items(expr).filter(|items| items.len() == wanted) else { return };
    let items = items.into_iter().enumerate();
    select.projection = items.map(|(i, expr)| SelectItem::ExprWithAlias { expr, alias: column(i + 1) }).collect();
}
