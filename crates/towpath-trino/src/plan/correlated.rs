//! `UNNEST` of a column of an outer query.
//!
//! ```text
//! SELECT ... FROM t WHERE EXISTS (SELECT 1 FROM UNNEST(t.tags) AS u(x) WHERE x = 'a')
//! ```
//!
//! DataFusion joins a correlated subquery with the outer rows, but only if the correlation is a condition. So the
//! subquery is made to read the arrays itself: every distinct array of the outer rows once, with a key, and the
//! condition that the key is that of the outer row's array.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::functions_aggregate::first_last::first_value;
use datafusion::logical_expr::expr::{Exists, InSubquery, ScalarFunction, SetComparison};
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Subquery, Unnest};

use crate::error::{mistake, mistake_about};
use crate::functions::registry;
use crate::plan::lifted::{lift_conditions, tell_apart};
use crate::plan::settle::shield;

/// Rewrites the subqueries of a node that unnest columns of the node's input.
pub(crate) fn join_unnested(node: LogicalPlan) -> Result<LogicalPlan> {
    let mut found = false;
    node.apply_expressions(|expr| {
        expr.apply(|e| {
            found |= subquery_of(e).is_some_and(|s| unnests_outer(&s.subquery));
            Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })
    })?;
    if !found {
        return Ok(node);
    }
    let outer = match &node {
        // Conditions without subqueries hold for the outer rows anyway.
        LogicalPlan::Filter(filter) => {
            let plain = split_conjunction_owned(filter.predicate.clone()).into_iter().filter(|c| !has_subquery(c));
            let input = LogicalPlanBuilder::from(filter.input.as_ref().clone());
            match conjunction(plain) {
                Some(plain) => input.filter(plain)?.build()?,
                None => input.build()?,
            }
        }
        LogicalPlan::Projection(projection) => projection.input.as_ref().clone(),
        LogicalPlan::Aggregate(aggregate) => aggregate.input.as_ref().clone(),
        _ => return Err(mistake_about("unnest", "UNNEST of a column of an outer query is not supported here")),
    };
    let mut rewriter = Correlated { outer: &outer, count: 0 };
    Ok(node.map_expressions(|expr| expr.transform_up(|e| rewriter.subquery_rewritten(e)))?.data)
}

/// Refuses an `UNNEST` of an outer column that was not rewritten.
pub(crate) fn check_unnested(plan: &LogicalPlan) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        if outer_projection(node).is_some() {
            return Err(mistake_about("unnest", "UNNEST of a column of an outer query is not supported here"));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

fn subquery_of(expr: &Expr) -> Option<&Subquery> {
    match expr {
        Expr::Exists(Exists { subquery, .. })
        | Expr::InSubquery(InSubquery { subquery, .. })
        | Expr::SetComparison(SetComparison { subquery, .. })
        | Expr::ScalarSubquery(subquery) => Some(subquery),
        _ => None,
    }
}

fn has_subquery(expr: &Expr) -> bool {
    expr.exists(|e| Ok(subquery_of(e).is_some())).unwrap_or(true)
}

/// Returns the arrays of an `UNNEST` if some belong to an outer query.
fn outer_projection(node: &LogicalPlan) -> Option<(&Unnest, &datafusion::logical_expr::Projection)> {
    let LogicalPlan::Unnest(unnest) = node else { return None };
    let LogicalPlan::Projection(arrays) = unnest.input.as_ref() else { return None };
    arrays.expr.iter().any(Expr::contains_outer).then_some((unnest, arrays))
}

fn unnests_outer(plan: &LogicalPlan) -> bool {
    plan.exists(|node| Ok(outer_projection(node).is_some())).unwrap_or(false)
}

struct Correlated<'a> {
    /// The rows that the subqueries belong to.
    outer: &'a LogicalPlan,
    count: usize,
}

impl Correlated<'_> {
    fn subquery_rewritten(&mut self, expr: Expr) -> Result<Transformed<Expr>> {
        if !subquery_of(&expr).is_some_and(|s| unnests_outer(&s.subquery)) {
            return Ok(Transformed::no(expr));
        }
        Ok(Transformed::yes(match expr {
            Expr::Exists(Exists { subquery, negated }) => {
                Expr::Exists(Exists { subquery: self.rewritten(subquery)?, negated })
            }
            Expr::InSubquery(InSubquery { expr, subquery, negated }) => {
                Expr::InSubquery(InSubquery { expr, subquery: self.rewritten(subquery)?, negated })
            }
            Expr::ScalarSubquery(subquery) => Expr::ScalarSubquery(self.rewritten(subquery)?),
            other => other,
        }))
    }

    fn rewritten(&mut self, subquery: Subquery) -> Result<Subquery> {
        let plan = subquery.subquery.as_ref().clone();
        let plan = plan.transform_up(|node| self.node_rewritten(node))?.data;
        let outer_ref_columns = plan.all_out_ref_exprs();
        Ok(Subquery { subquery: Arc::new(plan), outer_ref_columns, spans: subquery.spans })
    }

    fn node_rewritten(&mut self, node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
        // The relation is correlated no more.
        if let LogicalPlan::Subquery(subquery) = node {
            return Ok(Transformed::yes(subquery.subquery.as_ref().clone()));
        }
        if matches!(node, LogicalPlan::Join(_)) {
            let lifted = lift_conditions(node.recompute_schema()?)?;
            let join = if let LogicalPlan::Filter(filter) = &lifted { filter.input.as_ref() } else { &lifted };
            // DataFusion cannot pull the condition out of such a join.
            if join.inputs().iter().any(|input| !input.all_out_ref_exprs().is_empty()) {
                return Err(mistake_about(
                    "unnest",
                    "UNNEST of a column of an outer query is not supported in the side of an outer join that may be NULL",
                ));
            }
            return Ok(Transformed::yes(tell_apart(lifted)?));
        }
        let Some((unnest, arrays)) = outer_projection(&node) else {
            // Nodes above see one more column.
            return Ok(Transformed::yes(if node.inputs().is_empty() { node } else { node.recompute_schema()? }));
        };
        let outer_schema = self.outer.schema();
        let outer_arrays: Vec<Expr> =
            arrays.expr.iter().filter(|e| e.contains_outer()).map(|e| e.clone().unalias()).collect();
        if !outer_arrays.iter().all(|array| belongs_to(array, outer_schema)) {
            return Ok(Transformed::no(node));
        }
        check_outer(self.outer)?;
        self.count += 1;
        let key = format!("\u{1}key{}", self.count);
        let array_name = |i: usize| format!("\u{1}array{}_{i}", self.count);

        // Every distinct array once.
        let local: Vec<Expr> = outer_arrays.iter().map(|a| localized(a.clone())).collect::<Result<_>>()?;
        let mut values = vec![key_of(local.clone())?.alias(&key)];
        values.extend(local.into_iter().enumerate().map(|(i, array)| array.alias(array_name(i))));
        let hidden = |name: &str| Expr::Column(Column::new_unqualified(name));
        let firsts: Vec<Expr> = (0..outer_arrays.len()).map(|i| first_value(hidden(&array_name(i)), vec![])).collect();
        let distinct =
            LogicalPlanBuilder::from(self.outer.clone()).project(values)?.aggregate(vec![hidden(&key)], firsts)?;
        let names = distinct.schema().columns();
        let mut renamed = vec![hidden(&key)];
        renamed
            .extend(names.into_iter().skip(1).enumerate().map(|(i, column)| Expr::Column(column).alias(array_name(i))));
        let distinct = distinct.project(renamed)?.build()?;

        // What stood left of the UNNEST, beside every array.
        let left = match arrays.input.as_ref() {
            LogicalPlan::EmptyRelation(empty) if empty.produce_one_row => distinct,
            other => LogicalPlanBuilder::from(other.clone()).cross_join(distinct)?.build()?,
        };
        let mut next = 0;
        let mut kept: Vec<Expr> = arrays
            .expr
            .iter()
            .map(|expr| {
                if !expr.contains_outer() {
                    return expr.clone();
                }
                let (relation, name) = expr.qualified_name();
                let array = hidden(&array_name(next)).alias_qualified(relation, name);
                next += 1;
                array
            })
            .collect();
        kept.push(hidden(&key));
        let unnested = LogicalPlanBuilder::from(left)
            .project(kept)?
            .unnest_columns_with_options(unnest.exec_columns.clone(), unnest.options.clone())?
            .filter(hidden(&key).eq(shield(key_of(outer_arrays)?)?))?
            .build()?;
        Ok(Transformed::yes(unnested))
    }
}

/// True if all outer columns of an expression are columns of `schema`.
fn belongs_to(expr: &Expr, schema: &DFSchema) -> bool {
    !expr
        .exists(|e| Ok(matches!(e, Expr::OuterReferenceColumn(_, column) if !schema.has_column(column))))
        .unwrap_or(true)
}

/// Makes outer columns columns.
fn localized(expr: Expr) -> Result<Expr> {
    let local = expr.transform_up(|e| {
        Ok(match e {
            Expr::OuterReferenceColumn(_, column) => Transformed::yes(Expr::Column(column)),
            other => Transformed::no(other),
        })
    })?;
    Ok(local.data)
}

fn key_of(arrays: Vec<Expr>) -> Result<Expr> {
    let function = registry().scalar("$key").ok_or_else(|| mistake("unknown function: $key"))?;
    Ok(Expr::ScalarFunction(ScalarFunction::new_udf(function, arrays)))
}

/// How many nodes the plan of the outer rows may have: it is part of the result twice.
const MAX_OUTER: usize = 500;

/// Refuses outer rows that are not the same whenever they are read, and plans that would double too often.
fn check_outer(plan: &LogicalPlan) -> Result<()> {
    let mut nodes = 0;
    plan.apply_with_subqueries(|node| {
        nodes += 1;
        if nodes > MAX_OUTER {
            return Err(mistake_about("unnest", "UNNEST of a column of an outer query nests too deeply"));
        }
        let mut varies = matches!(node, LogicalPlan::Limit(_));
        node.apply_expressions(|expr| {
            varies |= expr.is_volatile();
            Ok(TreeNodeRecursion::Continue)
        })?;
        if varies {
            return Err(mistake_about(
                "unnest",
                "UNNEST of a column of an outer query is not supported over rows that are cut off by LIMIT",
            ));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}
