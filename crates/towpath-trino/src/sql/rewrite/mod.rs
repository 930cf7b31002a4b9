//! From Trino's grammar to the grammar that DataFusion plans.
//!
//! One walk over the tree, children before parents. What has the same meaning under another name is renamed; what
//! DataFusion plans with rules of its own (casts, subscripts, BETWEEN, arrays, time fields) becomes a call of one of this
//! crate's functions, where the types are known and Trino's rules are applied.

use std::collections::HashMap;
use std::mem;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Fetch, GroupByExpr, LimitClause, OneOrManyWithParens, OrderByKind, Query, Select, SelectItem,
    SetExpr, Spanned, TableFactor, Value, Visit, Visitor, VisitorMut,
};
use datafusion::sql::sqlparser::tokenizer::Location;

use self::expressions::field_access;
use self::subqueries::mark_joined;
use self::trees::{balance, join_path};
use crate::error::SqlError;
use crate::sql::ast::{function_name, literal, number, place};
use crate::sql::from::{fold_joins, fold_unnest, generated_alias};
use crate::sql::names::{OutputNames, name_items};

mod calls;
mod expressions;
mod subqueries;
mod trees;

/// How deep expressions may nest.
const MAX_DEPTH: usize = 250;

/// How many steps a path of fields and subscripts may have.
const MAX_PATH: usize = 50;

/// How many expressions may be copied because the rewritten form needs them twice.
const MAX_COPIES: usize = 20_000;

/// How many columns one CUBE may have: it stands for two to that power of groupings.
const MAX_CUBE: usize = 8;

/// The operators that stand for `IS [NOT] DISTINCT FROM` until types are known.
pub(crate) const DISTINCT_FROM: &str = "$distinct";

pub(crate) const NOT_DISTINCT_FROM: &str = "$notdistinct";

/// Starts the arithmetic operators within TRY: for them an error is NULL.
pub(crate) const LENIENT: &str = "$try";

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
    /// How many expressions were copied so far.
    copied: usize,
}

impl Rewriter {
    pub(crate) fn new(spelling: HashMap<Location, String>) -> Self {
        Self { spelling, names: HashMap::new(), lambda_parameters: vec![], depth: 0, tries: 0, derived: 0, copied: 0 }
    }

    /// Copies an expression for a place where its value is needed once more.
    ///
    /// Copies of copies double with every level of nesting, so their number is bounded.
    fn copy(&mut self, expr: &Expr) -> Result<Expr, SqlError> {
        let mut counter = Counter { left: MAX_COPIES.saturating_sub(self.copied) };
        if expr.visit(&mut counter).is_break() {
            return Err(SqlError::at(place(expr), "the expression nests too deeply"));
        }
        self.copied = MAX_COPIES - counter.left;
        Ok(expr.clone())
    }

    /// Returns how the columns of a visited SELECT are shown.
    pub(crate) fn names_of(&self, select: &Select) -> Option<OutputNames> {
        self.names.get(&select.select_token.0.span.start).cloned()
    }
}

/// Counts expressions, down to zero.
struct Counter {
    left: usize,
}

impl Visitor for Counter {
    type Break = ();

    fn pre_visit_expr(&mut self, _expr: &Expr) -> ControlFlow<()> {
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                ControlFlow::Continue(())
            }
            None => ControlFlow::Break(()),
        }
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
        select.selection.iter_mut().chain(&mut select.having).for_each(mark_joined);
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
            // sqlparser takes a text for a name.
            TableFactor::Table { name, .. }
                if name.0.iter().filter_map(|part| part.as_ident()).any(|part| part.quote_style == Some('\'')) =>
            {
                return refuse(
                    at,
                    format!("syntax error: {name} is a text; a table is named without quotes or in double quotes"),
                );
            }
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
