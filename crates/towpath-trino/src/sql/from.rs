//! FROM clauses in the form the planner can plan.
//!
//! The arguments of `UNNEST` see the tables on their left. Each `UNNEST` is therefore folded, together with all that
//! stands left of it, into one nested join that ends with it; the relation planner turns that into a single plan.

use datafusion::sql::sqlparser::ast::{
    Ident, Join, JoinConstraint, JoinOperator, TableAlias, TableFactor, TableWithJoins,
};
use datafusion::sql::sqlparser::tokenizer::Span;

/// Folds the left side of every `UNNEST` in a FROM list.
pub(crate) fn fold_unnest(from: &mut Vec<TableWithJoins>) {
    let mut folded: Vec<TableWithJoins> = Vec::with_capacity(from.len());
    for mut item in from.drain(..) {
        if is_unnest(&item.relation) && !folded.is_empty() {
            let mut left = folded.drain(..).map(into_factor);
            let relation = left.next().expect("there is a table before the unnest");
            let mut joins: Vec<_> = left.map(cross_join).collect();
            joins.push(cross_join(item.relation));
            joins.append(&mut item.joins);
            item = TableWithJoins { relation, joins };
        }
        fold_joins(&mut item);
        folded.push(item);
    }
    *from = folded;
}

/// Folds within one chain of joins.
pub(crate) fn fold_joins(item: &mut TableWithJoins) {
    let joins = std::mem::take(&mut item.joins);
    for join in joins {
        let ends = is_unnest(&join.relation);
        item.joins.push(join);
        if ends {
            let inner = TableWithJoins { relation: item.relation.clone(), joins: std::mem::take(&mut item.joins) };
            item.relation = TableFactor::NestedJoin { table_with_joins: Box::new(inner), alias: None };
        }
    }
}

/// True for `UNNEST(...)`.
pub(crate) fn is_unnest(relation: &TableFactor) -> bool {
    matches!(relation, TableFactor::UNNEST { .. })
}

fn into_factor(item: TableWithJoins) -> TableFactor {
    if item.joins.is_empty() {
        return item.relation;
    }
    TableFactor::NestedJoin { table_with_joins: Box::new(item), alias: None }
}

fn cross_join(relation: TableFactor) -> Join {
    Join { relation, global: false, join_operator: JoinOperator::CrossJoin(JoinConstraint::None) }
}

/// Builds the alias of a derived table that has none.
pub(crate) fn generated_alias(number: usize) -> TableAlias {
    let name = Ident { value: format!("$derived{number}"), quote_style: Some('"'), span: Span::empty() };
    TableAlias { explicit: true, name, columns: vec![], at: None }
}
