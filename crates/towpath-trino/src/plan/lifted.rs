//! Conditions on outer rows below a join, moved above it.
//!
//! ```text
//! SELECT ... FROM t WHERE EXISTS (SELECT 1 FROM a JOIN b ON a.x = b.x AND b.y = t.y)
//! ```
//!
//! DataFusion joins a subquery with the outer rows if the conditions on them stand above all joins of the subquery. They
//! may stand there wherever the join drops rows that they drop: in both sides of an inner join, and in the side of an
//! outer join whose rows are all kept.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, JoinType, Result};
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{Expr, Join, LogicalPlan, LogicalPlanBuilder};

/// Moves the conditions on outer rows out of a join. The join may have further columns then.
pub(crate) fn lift_conditions(node: LogicalPlan) -> Result<LogicalPlan> {
    let LogicalPlan::Join(join) = node else { return Ok(node) };
    let own = join.filter.as_ref().is_some_and(Expr::contains_outer);
    if !own && !depends(&join.left) && !depends(&join.right) {
        return Ok(LogicalPlan::Join(join));
    }
    let Join { left, right, on, filter, join_type, join_constraint, null_equality, null_aware, .. } = join;
    let mut lifted = Vec::new();
    let mut side = |plan: Arc<LogicalPlan>, keeps: bool| -> Result<Arc<LogicalPlan>> {
        if !keeps || !depends(&plan) {
            return Ok(plan);
        }
        let (plan, conditions) = taken(plan.as_ref().clone())?;
        lifted.extend(conditions);
        Ok(Arc::new(plan))
    };
    let left = side(left, matches!(join_type, JoinType::Inner | JoinType::Left))?;
    let right = side(right, matches!(join_type, JoinType::Inner | JoinType::Right))?;
    let conditions = filter.map(split_conjunction_owned).unwrap_or_default();
    let (outer, local): (Vec<_>, Vec<_>) =
        conditions.into_iter().partition(|condition| join_type == JoinType::Inner && condition.contains_outer());
    lifted.extend(outer);
    let filter = conjunction(local);
    let join = Join::try_new(left, right, on, filter, join_type, join_constraint, null_equality, null_aware)?;
    match conjunction(lifted) {
        Some(condition) => LogicalPlanBuilder::from(LogicalPlan::Join(join)).filter(condition)?.build(),
        None => Ok(LogicalPlan::Join(join)),
    }
}

/// Gives the columns that conditions on outer rows read names that nothing else has.
///
/// DataFusion hands such columns to the join with the outer rows without the names of their tables, and takes one of the
/// name for the other.
pub(crate) fn tell_apart(node: LogicalPlan) -> Result<LogicalPlan> {
    let LogicalPlan::Filter(filter) = node else { return Ok(node) };
    if !filter.predicate.contains_outer() {
        return Ok(LogicalPlan::Filter(filter));
    }
    let fields = filter.input.schema();
    let shared = |column: &Column| fields.columns().iter().filter(|other| other.name == column.name).count() > 1;
    let (outer, local): (Vec<_>, Vec<_>) =
        split_conjunction_owned(filter.predicate.clone()).into_iter().partition(Expr::contains_outer);
    let read: BTreeSet<Column> = outer.iter().flat_map(|condition| condition.column_refs()).cloned().collect();
    let mut columns: Vec<Expr> = fields.columns().into_iter().map(Expr::Column).collect();
    let mut names: HashMap<Column, Expr> = HashMap::new();
    for column in read.into_iter().filter(shared) {
        let hidden = format!("\u{1}apart{}_{}", columns.len(), column.name);
        columns.push(Expr::Column(column.clone()).alias(&hidden));
        names.insert(column, Expr::Column(Column::new_unqualified(hidden)));
    }
    if names.is_empty() {
        return Ok(LogicalPlan::Filter(filter));
    }
    let mut input = LogicalPlanBuilder::from(filter.input.as_ref().clone());
    if let Some(local) = conjunction(local) {
        input = input.filter(local)?;
    }
    match conjunction(renamed(outer, &names)?) {
        Some(condition) => input.project(columns)?.filter(condition)?.build(),
        None => input.build(),
    }
}

/// True if a plan reads columns of an outer row, at whatever depth.
fn depends(plan: &LogicalPlan) -> bool {
    !plan.all_out_ref_exprs().is_empty()
}

/// Takes the conditions on outer rows off a plan, written with the columns that it has then.
fn taken(plan: LogicalPlan) -> Result<(LogicalPlan, Vec<Expr>)> {
    match plan {
        LogicalPlan::Filter(filter) => {
            let (outer, local): (Vec<_>, Vec<_>) =
                split_conjunction_owned(filter.predicate).into_iter().partition(Expr::contains_outer);
            let (input, mut conditions) = taken(filter.input.as_ref().clone())?;
            conditions.extend(outer);
            let plan = match conjunction(local) {
                Some(local) => LogicalPlanBuilder::from(input).filter(local)?.build()?,
                None => input,
            };
            Ok((plan, conditions))
        }
        LogicalPlan::Projection(projection) => {
            let (input, conditions) = taken(projection.input.as_ref().clone())?;
            if conditions.is_empty() {
                return Ok((LogicalPlan::Projection(projection), conditions));
            }
            // What the conditions read must be among the columns.
            let mut columns = projection.expr;
            let mut names: HashMap<Column, Expr> = HashMap::new();
            for needed in conditions.iter().flat_map(|condition| condition.column_refs()) {
                if names.contains_key(needed) {
                    continue;
                }
                let shown = Expr::Column(needed.clone());
                let known = columns.iter().find(|column| Expr::clone(column).unalias() == shown);
                let name = match known {
                    Some(column) => {
                        let (relation, name) = column.qualified_name();
                        Column::new(relation, name)
                    }
                    None => {
                        let hidden = format!("\u{1}lifted{}_{}", columns.len(), needed.name);
                        columns.push(shown.alias(&hidden));
                        Column::new_unqualified(hidden)
                    }
                };
                names.insert(needed.clone(), Expr::Column(name));
            }
            let plan = LogicalPlanBuilder::from(input).project(columns)?.build()?;
            Ok((plan, renamed(conditions, &names)?))
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let (input, conditions) = taken(alias.input.as_ref().clone())?;
            if conditions.is_empty() {
                return Ok((LogicalPlan::SubqueryAlias(alias), conditions));
            }
            let before = input.schema().columns();
            let plan = LogicalPlanBuilder::from(input).alias(alias.alias)?.build()?;
            let after = plan.schema().columns().into_iter().map(Expr::Column);
            Ok((plan, renamed(conditions, &before.into_iter().zip(after).collect())?))
        }
        other => Ok((other, Vec::new())),
    }
}

fn renamed(conditions: Vec<Expr>, names: &HashMap<Column, Expr>) -> Result<Vec<Expr>> {
    let rename = |expr: Expr| {
        Ok(match &expr {
            Expr::Column(column) if names.contains_key(column) => Transformed::yes(names[column].clone()),
            _ => Transformed::no(expr),
        })
    };
    conditions.into_iter().map(|condition| Ok(condition.transform_up(rename)?.data)).collect()
}
