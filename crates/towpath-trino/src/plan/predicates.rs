//! Subqueries in places and forms that DataFusion has no join for.
//!
//! It makes joins of `IN` and `EXISTS` in WHERE or HAVING, and can do nothing with others. They become scalar subqueries:
//! the number of rows for `EXISTS`, and all values with the number of rows and of values for `IN`. A correlated scalar
//! subquery that might have several rows becomes one that counts them.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::functions_aggregate::array_agg::array_agg_udaf;
use datafusion::functions_aggregate::count::count;
use datafusion::functions_aggregate::first_last::first_value;
use datafusion::logical_expr::expr::{AggregateFunction, Exists, InSubquery, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Subquery, lit};

use crate::error::mistake;
use crate::functions::registry;

/// Rewrites the subqueries of a node that DataFusion would not plan.
pub(crate) fn answer_predicates(node: LogicalPlan) -> Result<LogicalPlan> {
    let condition = matches!(node, LogicalPlan::Filter(_));
    let wanted = |e: &Expr| match e {
        Expr::Exists(_) => !condition,
        // A join compares rows with NULL in them otherwise than IN does.
        Expr::InSubquery(tested) => !condition || returns_rows(&tested.subquery),
        Expr::ScalarSubquery(subquery) => !subquery.outer_ref_columns.is_empty() && !is_single(&subquery.subquery),
        _ => false,
    };
    let mut found = false;
    node.apply_expressions(|expr| {
        expr.apply(|e| {
            found |= wanted(e);
            Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })
    })?;
    if !found {
        return Ok(node);
    }
    let schema = merge_schema(&node.inputs());
    let names = NamePreserver::new(&node);
    let rewritten = node.map_expressions(|expr| {
        let name = names.save(&expr);
        Ok(expr
            .transform_up(|e| if wanted(&e) { answered(e, &schema) } else { Ok(Transformed::no(e)) })?
            .update_data(|e| name.restore(e)))
    })?;
    Ok(rewritten.data)
}

fn answered(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    Ok(match expr {
        Expr::Exists(Exists { subquery, negated }) => {
            let rows = scalar(subquery, None, |_| vec![count(lit(1i64))])?;
            Transformed::yes(if negated { rows.eq(lit(0i64)) } else { rows.gt(lit(0i64)) })
        }
        Expr::InSubquery(InSubquery { expr, subquery, negated }) => {
            let summary = scalar(subquery, Some("row"), |values| {
                let distinct =
                    AggregateFunction::new_udf(array_agg_udaf(), vec![values.clone()], true, None, vec![], None);
                vec![count(lit(1i64)), count(values), Expr::AggregateFunction(distinct)]
            })?;
            let among = function("$among", vec![*expr, summary])?;
            among.get_type(schema)?;
            Transformed::yes(if negated { !among } else { among })
        }
        Expr::ScalarSubquery(subquery) => {
            let first = |values| vec![count(lit(1i64)), first_value(values, vec![])];
            Transformed::yes(scalar(subquery, Some("$single"), first)?)
        }
        other => Transformed::no(other),
    })
}

fn function(name: &str, arguments: Vec<Expr>) -> Result<Expr> {
    let udf = registry().scalar(name).ok_or_else(|| mistake(format!("unknown function: {name}")))?;
    Ok(Expr::ScalarFunction(ScalarFunction::new_udf(udf, arguments)))
}

fn returns_rows(subquery: &Subquery) -> bool {
    matches!(subquery.subquery.schema().field(0).data_type(), DataType::Struct(_))
}

/// True if a plan has at most one row for each outer row.
fn is_single(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(projection) => is_single(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => is_single(&alias.input),
        LogicalPlan::Filter(filter) => is_single(&filter.input),
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        other => other.max_rows().is_some_and(|rows| rows <= 1),
    }
}

/// Aggregates all rows of a subquery into one value, which `combine` makes of several aggregates.
fn scalar(subquery: Subquery, combine: Option<&str>, aggregates: impl FnOnce(Expr) -> Vec<Expr>) -> Result<Expr> {
    let plan = subquery.subquery.as_ref().clone();
    let values = Expr::Column(Column::from(plan.schema().qualified_field(0)));
    let aggregated = LogicalPlanBuilder::from(plan).aggregate(Vec::<Expr>::new(), aggregates(values))?;
    let mut columns: Vec<Expr> = aggregated.schema().columns().into_iter().map(Expr::Column).collect();
    let answer = match combine {
        Some(combine) => function(combine, columns)?,
        None => columns.remove(0),
    };
    let plan = aggregated.project(vec![answer.alias("$answer")])?.build()?;
    let outer_ref_columns = plan.all_out_ref_exprs();
    Ok(Expr::ScalarSubquery(Subquery { subquery: Arc::new(plan), outer_ref_columns, spans: subquery.spans }))
}
