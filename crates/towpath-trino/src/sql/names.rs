//! The names of result columns.
//!
//! | Select item | Name |
//! |---|---|
//! | column | as typed |
//! | field of a row | its last part, in lower case |
//! | alias | as typed |
//! | other expression | `_col` and the position, counted from zero |
//! | `*` | the names of the input |
//!
//! DataFusion wants the columns of a plan to differ in name and Trino does not, so a repeated name gets a suffix inside
//! the plan that no query can spell.

use std::collections::{HashMap, HashSet};

use datafusion::sql::sqlparser::ast::{Expr, Ident, Query, Select, SelectItem, SetExpr};
use datafusion::sql::sqlparser::tokenizer::{Location, Span};

/// Separates a name from the number that makes it unique within a plan.
const SUFFIX: char = '\u{1}';

/// How a column of the result gets its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OutputName {
    /// The text to show.
    Given(String),
    /// `_col` and the position.
    Numbered,
}

/// Shown names by the name that the column has in the plan; columns of a wildcard have no entry.
pub(crate) type OutputNames = HashMap<String, OutputName>;

/// Drops the suffix that makes a name unique within a plan.
pub(crate) fn without_suffix(name: &str) -> &str {
    name.split(SUFFIX).next().unwrap_or(name)
}

/// Gives every item of a select list a name of its own, and reports how each is shown.
pub(crate) fn name_items(select: &mut Select, spelling: &HashMap<Location, String>) -> OutputNames {
    let has_wildcard =
        select.projection.iter().any(|i| matches!(i, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)));
    let mut taken = HashSet::new();
    let mut shown = OutputNames::new();
    for (position, item) in select.projection.iter_mut().enumerate() {
        let (expr, name, output, plain) = match item {
            SelectItem::UnnamedExpr(expr) => {
                let plain = matches!(expr, Expr::Identifier(_));
                let (name, output) = name_of(expr, position, spelling);
                (expr.clone(), name, output, plain)
            }
            SelectItem::ExprWithAlias { expr, alias } => {
                let output = OutputName::Given(spelled(alias, spelling));
                (expr.clone(), alias.clone(), output, false)
            }
            _ => continue,
        };
        let first = taken.insert(name.value.clone());
        let aliased = matches!(item, SelectItem::ExprWithAlias { .. });
        let unique = if first && (aliased || !has_wildcard) {
            name.value.clone()
        } else {
            format!("{}{SUFFIX}{position}", name.value)
        };
        shown.insert(unique.clone(), output);
        if !(plain && unique == name.value) {
            *item = SelectItem::ExprWithAlias {
                expr,
                alias: Ident { value: unique, quote_style: Some('"'), span: name.span },
            };
        }
    }
    shown
}

/// Returns the name that an unaliased expression has in the plan, and how it is shown.
fn name_of(expr: &Expr, position: usize, spelling: &HashMap<Location, String>) -> (Ident, OutputName) {
    match expr {
        Expr::Identifier(name) => (name.clone(), OutputName::Given(spelled(name, spelling))),
        Expr::Nested(inner) => name_of(inner, position, spelling),
        Expr::CompoundIdentifier(parts) if !parts.is_empty() => {
            let last = &parts[parts.len() - 1];
            (last.clone(), OutputName::Given(last.value.clone()))
        }
        Expr::CompoundFieldAccess { access_chain, .. } => {
            use datafusion::sql::sqlparser::ast::AccessExpr;
            match access_chain.last() {
                Some(AccessExpr::Dot(Expr::Identifier(name))) => (name.clone(), OutputName::Given(name.value.clone())),
                _ => numbered(position),
            }
        }
        _ => numbered(position),
    }
}

fn numbered(position: usize) -> (Ident, OutputName) {
    (Ident { value: format!("_col{position}"), quote_style: Some('"'), span: Span::empty() }, OutputName::Numbered)
}

/// Returns a word as it was typed.
fn spelled(name: &Ident, spelling: &HashMap<Location, String>) -> String {
    spelling.get(&name.span.start).cloned().unwrap_or_else(|| name.value.clone())
}

/// Finds the select list that names the result of a query: the first of a set operation.
pub(crate) fn naming_select(query: &Query) -> Option<&Select> {
    let mut body = query.body.as_ref();
    loop {
        body = match body {
            SetExpr::Select(select) => return Some(select),
            SetExpr::Query(query) => query.body.as_ref(),
            SetExpr::SetOperation { left, .. } => left.as_ref(),
            _ => return None,
        };
    }
}
