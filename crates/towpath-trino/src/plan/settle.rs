//! What is settled on the finished plan.
//!
//! - IN lists and LIKE get the checks and conversions that comparisons got while they were planned.
//! - A union of text and timestamps is a union of text.
//! - Maps that are grouped by, or made distinct, have their entries put in order first: Trino compares maps as sets of
//!   entries, the row format compares them as sequences.

use std::cell::Cell;
use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::{AggregateFunction, InList, InSubquery, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{conjunction, merge_schema, split_conjunction_owned};
use datafusion::logical_expr::{
    Aggregate, BinaryExpr, Distinct, Expr, ExprSchemable, Like, LogicalPlan, Operator, Projection, Union, lit,
};

use crate::error::{mistake, mistake_about};
use crate::functions::arrays::unify;
use crate::functions::maps::has_map;
use crate::functions::registry;
use crate::plan::correlated::{check_unnested, join_unnested};
use crate::plan::lifted::{lift_conditions, tell_apart};
use crate::plan::moment::Instant;
use crate::plan::operators::{compare, need_text, place_of};
use crate::plan::predicates::answer_predicates;
use crate::types::{TIMESTAMP, is_number, is_text, is_zoned, trino_type_name};

/// Settles a plan and the plans of its subqueries.
pub(crate) fn settle(plan: LogicalPlan) -> Result<LogicalPlan> {
    // The schema of a union decides those of all plans above it.
    let changed_union = Cell::new(false);
    let settled = plan.transform_up_with_subqueries(|node| {
        let node = settle_node(node, &changed_union)?;
        let node = if changed_union.get() && !node.inputs().is_empty() { node.recompute_schema()? } else { node };
        Ok(Transformed::yes(node))
    })?;
    check_unnested(&settled.data)?;
    Ok(settled.data)
}

fn settle_node(node: LogicalPlan, changed_union: &Cell<bool>) -> Result<LogicalPlan> {
    let node = answer_predicates(join_unnested(tell_apart(lift_conditions(settle_expressions(node)?)?)?)?)?;
    match node {
        LogicalPlan::Union(union) => settle_union(union, changed_union),
        LogicalPlan::Aggregate(aggregate) => settle_groups(aggregate),
        LogicalPlan::Distinct(Distinct::All(input)) if holds_map(input.schema()) => {
            Ok(LogicalPlan::Distinct(Distinct::All(Arc::new(with_sorted_maps(&input)?))))
        }
        other => Ok(other),
    }
}

fn settle_expressions(node: LogicalPlan) -> Result<LogicalPlan> {
    let mut schema = merge_schema(&node.inputs());
    if let LogicalPlan::TableScan(scan) = &node {
        schema = scan.projected_schema.as_ref().clone();
    }
    let joins = matches!(node, LogicalPlan::Join(_) | LogicalPlan::Filter(_));
    let names = NamePreserver::new(&node);
    node.map_expressions(|expr| {
        let name = names.save(&expr);
        let settled = expr.transform_up(|e| settle_expression(e, &schema))?;
        let settled = if joins { lenient_conditions(settled.data)?.transform_up(shield_equality)? } else { settled };
        Ok(settled.update_data(|e| name.restore(e)))
    })
    .map(|transformed| transformed.data)
}

fn settle_expression(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        Expr::InList(InList { expr, list, negated }) => in_list(*expr, list, negated, schema).map(Transformed::yes),
        Expr::Like(like) => {
            need_text("LIKE", &like.expr, &like.expr.get_type(schema)?)?;
            need_text("LIKE", &like.pattern, &like.pattern.get_type(schema)?)?;
            Ok(Transformed::yes(Expr::Like(with_backslash_escapes(like)?)))
        }
        Expr::AggregateFunction(AggregateFunction { func, params }) => {
            if matches!(func.name(), "sum" | "avg")
                && let Some(argument) = params.args.first()
            {
                let found = argument.get_type(schema)?;
                if !is_number(&found)
                    && found != DataType::Null
                    && !matches!(found, DataType::Interval(_) | DataType::Duration(_))
                {
                    return Err(mistake_about(
                        func.name(),
                        format!("function {} does not accept ({})", func.name(), trino_type_name(&found)),
                    ));
                }
            }
            let mut params = params;
            if params.distinct {
                for argument in &mut params.args {
                    if has_map(&argument.get_type(schema)?) {
                        *argument = call("$sort_map", argument.clone())?;
                    }
                }
            }
            Ok(Transformed::yes(Expr::AggregateFunction(AggregateFunction { func, params })))
        }
        Expr::InSubquery(InSubquery { expr, subquery, negated }) => {
            let (value, found) = (expr.get_type(schema)?, subquery.subquery.schema().field(0).data_type().clone());
            let lenient =
                |t: &DataType| *t == DataType::Boolean || matches!(t, DataType::Timestamp(_, _) | DataType::Date32);
            let read = is_text(&value) && lenient(&found) || lenient(&value) && is_text(&found);
            if unify(&value, &found).is_none() && !read {
                let message =
                    format!("cannot apply operator: {} = {}", trino_type_name(&value), trino_type_name(&found));
                return Err(mistake_about(&place_of([&expr, &expr]).unwrap_or_else(|| "in".into()), message));
            }
            Ok(Transformed::no(Expr::InSubquery(InSubquery { expr, subquery, negated })))
        }
        Expr::ScalarFunction(f) if matches!(f.name(), "$quantified" | "$among") => {
            // Conditions are not asked for their type before they run.
            let expr = Expr::ScalarFunction(f);
            expr.get_type(schema)?;
            Ok(Transformed::no(expr))
        }
        other => Ok(Transformed::no(other)),
    }
}

/// Makes all conditions of a conjunction but the first lenient: an error of a row is NULL, and the row is dropped.
///
/// Trino does not evaluate a condition for rows that an earlier one has dropped, DataFusion may. So
/// `k = 'a' AND cast(v AS bigint) > 5` must not fail because of a `v` beside another `k`.
fn lenient_conditions(condition: Expr) -> Result<Expr> {
    let conditions = split_conjunction_owned(condition);
    let mut settled = Vec::with_capacity(conditions.len());
    for (i, condition) in conditions.into_iter().enumerate() {
        settled.push(if i == 0 { condition } else { condition.transform_up(|e| Ok(lenient(e)))?.data });
    }
    conjunction(settled).ok_or_else(|| mistake("a condition is empty"))
}

fn lenient(expr: Expr) -> Transformed<Expr> {
    let Expr::ScalarFunction(f) = expr else { return Transformed::no(expr) };
    let name = match f.name() {
        "$subscript" => Some("element_at".to_owned()),
        "cast" => Some("try_cast".to_owned()),
        // These cannot fail, or are known to the optimizer by name.
        "element_at" | "try_cast" | "$field" | "get_field" | "lower" | "upper" | "$literal" | "$interval" => None,
        name => registry().lenient(name),
    };
    match name.and_then(|name| registry().scalar(&name)) {
        Some(function) => Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(function, f.args))),
        None => Transformed::no(Expr::ScalarFunction(f)),
    }
}

/// Hides field accesses within the keys of a join from the optimizer.
///
/// DataFusion moves field accesses towards the scan and then does not find a join key that is a function of one, as in
/// `ON a.n = cardinality(b.row.field)`. A key that is a field and nothing else is found.
fn shield_equality(expr: Expr) -> Result<Transformed<Expr>> {
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = expr else { return Ok(Transformed::no(expr)) };
    if !left.any_column_refs() || !right.any_column_refs() {
        return Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right })));
    }
    let (left, right) = (shield(*left)?, shield(*right)?);
    Ok(Transformed::yes(left.eq(right)))
}

/// Hides the field accesses within an expression from the optimizer.
pub(crate) fn shield(expr: Expr) -> Result<Expr> {
    let field_access = |e: &Expr| matches!(e, Expr::ScalarFunction(f) if matches!(f.name(), "get_field" | "$field"));
    if field_access(&expr) || matches!(expr, Expr::Column(_)) {
        return Ok(expr);
    }
    let shielded = expr.transform_up(|e| match e {
        Expr::ScalarFunction(f) if matches!(f.name(), "get_field" | "$field") && f.args.len() == 2 => {
            let member = registry().scalar("$member").ok_or_else(|| mistake("unknown function: $member"))?;
            Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(member, f.args))))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(shielded.data)
}

/// Rewrites the pattern of LIKE for an engine that always escapes with a backslash; Trino has no default escape.
fn with_backslash_escapes(mut like: Like) -> Result<Like> {
    let escape = like.escape_char.take();
    if let Expr::Literal(pattern, _) = like.pattern.as_ref() {
        let Some(text) = pattern.try_as_str().flatten() else { return Ok(like) };
        let mut rewritten = String::with_capacity(text.len());
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            match c {
                c if Some(c) == escape => {
                    let escaped = chars.next().filter(|next| matches!(next, '%' | '_') || Some(*next) == escape);
                    let escaped = escaped
                        .ok_or_else(|| mistake("the escape character of LIKE must stand before %, _ or itself"))?;
                    rewritten.extend(['\\', escaped]);
                }
                '\\' => rewritten.push_str("\\\\"),
                c => rewritten.push(c),
            }
        }
        if rewritten != text {
            *like.pattern = lit(rewritten);
        }
        return Ok(like);
    }
    match escape {
        None => {
            let replace = registry().scalar("replace").ok_or_else(|| mistake("unknown function: replace"))?;
            let arguments = vec![like.pattern.as_ref().clone(), lit("\\"), lit("\\\\")];
            *like.pattern = Expr::ScalarFunction(ScalarFunction::new_udf(replace, arguments));
            Ok(like)
        }
        Some('\\') => Ok(like),
        Some(_) => Err(mistake("LIKE with ESCAPE needs a constant pattern")),
    }
}

/// Converts the items of an IN list like the operands of `=`.
fn in_list(value: Expr, list: Vec<Expr>, negated: bool, schema: &DFSchema) -> Result<Expr> {
    let value_type = value.get_type(schema)?;
    let mut operands = Vec::with_capacity(list.len());
    for item in list {
        let item_type = item.get_type(schema)?;
        let Expr::BinaryExpr(compared) = compare(Operator::Eq, (value.clone(), value_type.clone()), (item, item_type))?
        else {
            return Err(mistake("an IN list needs values that can be compared"));
        };
        operands.push((*compared.left, *compared.right));
    }
    if operands.iter().all(|(left, _)| *left == value) {
        let list = operands.into_iter().map(|(_, right)| right).collect();
        return Ok(Expr::InList(InList::new(Box::new(value), list, negated)));
    }
    // Some items are compared in another type: spell the comparisons out.
    let any = operands.into_iter().map(|(left, right)| left.eq(right)).reduce(Expr::or);
    let any = any.ok_or_else(|| mistake("an IN list needs at least one item"))?;
    Ok(if negated { !any } else { any })
}

/// Gives all inputs of a union the same types, by Trino's rules and those of its lenient comparisons.
fn settle_union(union: Union, changed: &Cell<bool>) -> Result<LogicalPlan> {
    let width = union.schema.fields().len();
    let mut wanted: Vec<Option<DataType>> = Vec::with_capacity(width);
    for column in 0..width {
        let types: Vec<_> = union
            .inputs
            .iter()
            .map(|i| i.schema().field(column).data_type().clone())
            .filter(|t| *t != DataType::Null)
            .collect();
        let moment = |t: &DataType| matches!(t, DataType::Timestamp(_, _) | DataType::Date32);
        let differ = types.windows(2).any(|pair| pair[0] != pair[1]);
        wanted.push(if !differ {
            None
        } else if types.iter().any(is_text) && types.iter().any(moment) {
            Some(DataType::Utf8)
        } else if types.iter().all(moment) {
            Some(types.iter().find(|t| is_zoned(t)).cloned().unwrap_or(TIMESTAMP))
        } else {
            None
        });
    }
    if wanted.iter().all(Option::is_none) {
        return Ok(LogicalPlan::Union(union));
    }
    changed.set(true);
    let inputs = union
        .inputs
        .iter()
        .map(|input| {
            let columns = input.schema().columns().into_iter().zip(&wanted).zip(input.schema().fields()).map(
                |((column, wanted), field)| {
                    let (relation, name) = (column.relation.clone(), column.name.clone());
                    let converted = match wanted {
                        Some(to) if to != field.data_type() => match to {
                            DataType::Utf8 => call("$as_text", Expr::Column(column))?,
                            to => Instant::of(Expr::Column(column), to),
                        },
                        _ => return Ok(Expr::Column(column)),
                    };
                    Ok(converted.alias_qualified(relation, name))
                },
            );
            let columns = columns.collect::<Result<Vec<_>>>()?;
            Ok(Arc::new(LogicalPlan::Projection(Projection::try_new(columns, Arc::clone(input))?)))
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(LogicalPlan::Union(Union::try_new_with_loose_types(inputs)?))
}

fn call(name: &str, argument: Expr) -> Result<Expr> {
    let udf = registry().scalar(name).ok_or_else(|| mistake(format!("unknown function: {name}")))?;
    Ok(Expr::ScalarFunction(ScalarFunction::new_udf(udf, vec![argument])))
}

fn holds_map(schema: &DFSchema) -> bool {
    schema.fields().iter().any(|f| has_map(f.data_type()))
}

/// Projects an input onto itself, with the entries of its maps in order.
fn with_sorted_maps(input: &Arc<LogicalPlan>) -> Result<LogicalPlan> {
    let columns = input
        .schema()
        .columns()
        .into_iter()
        .zip(input.schema().fields())
        .map(|(column, field)| {
            if !has_map(field.data_type()) {
                return Ok(Expr::Column(column));
            }
            let (relation, name) = (column.relation.clone(), column.name.clone());
            Ok(call("$sort_map", Expr::Column(column))?.alias_qualified(relation, name))
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(LogicalPlan::Projection(Projection::try_new(columns, Arc::clone(input))?))
}

fn settle_groups(aggregate: Aggregate) -> Result<LogicalPlan> {
    let input_schema = aggregate.input.schema();
    let mut changed = false;
    let mut groups = Vec::with_capacity(aggregate.group_expr.len());
    for group in &aggregate.group_expr {
        let is_set = matches!(group, Expr::GroupingSet(_));
        if is_set || !has_map(&group.get_type(input_schema)?) {
            groups.push(group.clone());
            continue;
        }
        let (relation, name) = group.qualified_name();
        groups.push(call("$sort_map", group.clone())?.alias_qualified(relation, name));
        changed = true;
    }
    if !changed {
        return Ok(LogicalPlan::Aggregate(aggregate));
    }
    Ok(LogicalPlan::Aggregate(Aggregate::try_new(Arc::clone(&aggregate.input), groups, aggregate.aggr_expr.clone())?))
}
