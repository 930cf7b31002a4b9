//! `UNNEST` in FROM.
//!
//! The rewriter has folded everything left of an `UNNEST` into one nested join that ends with it. Here that becomes one
//! plan: the left side, the arrays as further columns, the unnesting, and a projection that gives the new columns their
//! names. Arrays of rows become the fields of the rows, maps become keys and values, several arrays are zipped.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::NullHandling;
use datafusion::common::{Column, DFSchema, Result, ScalarValue, TableReference, UnnestOptions};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, lit};
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, JoinConstraint, JoinOperator, TableAlias, TableFactor, Value};

use crate::error::{mistake, mistake_about};
use crate::functions::registry;
use crate::sql::from::is_unnest;
use crate::types::{element, trino_type_name};

/// Plans `UNNEST` together with the tables it reads.
#[derive(Debug)]
pub(crate) struct UnnestPlanner;

impl RelationPlanner for UnnestPlanner {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let (left, outer, unnest) = match relation {
            unnest @ TableFactor::UNNEST { .. } => (LogicalPlanBuilder::empty(true).build()?, false, unnest),
            TableFactor::NestedJoin { mut table_with_joins, alias: None }
                if table_with_joins.joins.last().is_some_and(|j| is_unnest(&j.relation)) =>
            {
                let Some(join) = table_with_joins.joins.pop() else { return Err(mistake("a join is missing")) };
                let outer = match join.join_operator {
                    JoinOperator::CrossJoin(_) => false,
                    JoinOperator::Join(ref c) | JoinOperator::Inner(ref c) if always(c) => false,
                    JoinOperator::Left(ref c) | JoinOperator::LeftOuter(ref c) if always(c) => true,
                    _ => {
                        return Err(mistake_about(
                            "unnest",
                            "UNNEST can be joined by CROSS JOIN, or by LEFT JOIN ... ON TRUE",
                        ));
                    }
                };
                let left = if table_with_joins.joins.is_empty() {
                    context.plan(table_with_joins.relation)?
                } else {
                    context.plan(TableFactor::NestedJoin { table_with_joins, alias: None })?
                };
                (left, outer, join.relation)
            }
            other => return Ok(RelationPlanning::Original(Box::new(other))),
        };
        let TableFactor::UNNEST { alias, array_exprs, with_ordinality, .. } = unnest else {
            return Err(mistake("an UNNEST is missing"));
        };
        let schema = left.schema().as_ref().clone();
        let arrays =
            array_exprs.into_iter().map(|expr| context.sql_to_expr(expr, &schema)).collect::<Result<Vec<_>>>()?;
        let plan = unnested(left, &schema, arrays, with_ordinality, outer, alias.as_ref())?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, None))))
    }
}

/// True for `ON TRUE` and no condition at all.
fn always(constraint: &JoinConstraint) -> bool {
    match constraint {
        JoinConstraint::None => true,
        JoinConstraint::On(SqlExpr::Value(value)) => value.value == Value::Boolean(true),
        _ => false,
    }
}

fn function(name: &str, arguments: Vec<Expr>) -> Result<Expr> {
    let udf = registry().scalar(name).ok_or_else(|| mistake(format!("unknown function: {name}")))?;
    Ok(Expr::ScalarFunction(ScalarFunction::new_udf(udf, arguments)))
}

/// A column that an array unnests to: an expression over the unnested plan, and its name if it has one.
struct Unnested {
    expr: Expr,
    name: Option<String>,
}

fn unnested(
    left: LogicalPlan,
    schema: &DFSchema,
    arrays: Vec<Expr>,
    with_ordinality: bool,
    outer: bool,
    alias: Option<&TableAlias>,
) -> Result<LogicalPlan> {
    let names: Vec<String> =
        alias.map(|a| a.columns.iter().map(|c| c.name.value.clone()).collect()).unwrap_or_default();
    let table = alias.map(|a| TableReference::bare(a.name.value.clone()));
    let mut kept: Vec<Expr> = schema.columns().into_iter().map(Expr::Column).collect();
    let own = kept.len();

    // Maps are arrays of entries.
    let mut lists = Vec::with_capacity(arrays.len() + 1);
    let mut kinds = Vec::with_capacity(arrays.len());
    for array in arrays {
        let data_type = array.get_type(schema)?;
        let list = match &data_type {
            DataType::Map(_, _) => function("map_entries", vec![array])?,
            list if element(list).is_some() => array,
            other => return Err(mistake_about("unnest", format!("cannot unnest {}", trino_type_name(other)))),
        };
        kinds.push(list.get_type(schema)?);
        lists.push(list);
    }
    if with_ordinality {
        lists.push(function("$ordinality", lists.clone())?);
    }
    // Names that no query can spell, and that differ between nested unnestings.
    let hidden: Vec<String> = (0..lists.len()).map(|i| format!("\u{1}unnest{own}_{i}")).collect();
    kept.extend(lists.into_iter().zip(&hidden).map(|(list, name)| list.alias(name)));

    let options = UnnestOptions {
        null_handling: if outer { NullHandling::PreserveAndExpandEmpty } else { NullHandling::Drop },
        ..Default::default()
    };
    let columns: Vec<Column> = hidden.iter().map(Column::new_unqualified).collect();
    let plan = LogicalPlanBuilder::from(left).project(kept)?.unnest_columns_with_options(columns, options)?.build()?;

    let fields = output(&kinds, &hidden, &names, with_ordinality)?;
    if !names.is_empty() && names.len() != fields.len() {
        let table = alias.map(|a| a.name.value.clone()).unwrap_or_default();
        return Err(mistake_about(
            &table,
            format!("{table} has {} columns and {} names for them", fields.len(), names.len()),
        ));
    }
    let mut projection: Vec<Expr> = schema.columns().into_iter().map(Expr::Column).collect();
    for (i, field) in fields.into_iter().enumerate() {
        // A column without a name goes by that of its table.
        let name = names
            .get(i)
            .cloned()
            .or(field.name)
            .or_else(|| alias.map(|a| a.name.value.clone()))
            .unwrap_or_else(|| format!("_col{i}"));
        projection.push(field.expr.alias_qualified(table.clone(), name));
    }
    LogicalPlanBuilder::from(plan).project(projection)?.build()
}

/// Lists the columns that the arrays unnest to.
fn output(kinds: &[DataType], hidden: &[String], names: &[String], with_ordinality: bool) -> Result<Vec<Unnested>> {
    // One name for an array of rows keeps the row whole.
    let whole = names.len() == kinds.len() + usize::from(with_ordinality);
    let mut fields = vec![];
    for (kind, name) in kinds.iter().zip(hidden) {
        let column = Expr::Column(Column::new_unqualified(name));
        match element(kind) {
            Some(DataType::Struct(members)) if !(whole && members.len() > 1) => {
                for member in members {
                    let arguments = vec![column.clone(), lit(ScalarValue::from(member.name().as_str()))];
                    let expr = Expr::ScalarFunction(ScalarFunction::new_udf(
                        datafusion::functions::core::get_field(),
                        arguments,
                    ));
                    fields.push(Unnested { expr, name: Some(member.name().clone()).filter(|n| !n.is_empty()) });
                }
            }
            _ => fields.push(Unnested { expr: column, name: None }),
        }
    }
    if with_ordinality {
        let name = hidden.last().ok_or_else(|| mistake("an ordinality is missing"))?;
        fields.push(Unnested { expr: Expr::Column(Column::new_unqualified(name)), name: Some("ordinality".into()) });
    }
    Ok(fields)
}
