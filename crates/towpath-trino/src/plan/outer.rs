//! Fields of rows of an outer query.
//!
//! DataFusion's planner finds `t.row` in an outer query but not `t.row.field`. It says so, and then the dotted name is cut
//! into the part it can find and a field access.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Query, VisitMut, VisitorMut};

use crate::sql::ast::{call, text};

const COMPLAINT: &str = "Nested identifiers are not yet supported for OuterReferenceColumn ";

/// Cuts the names that `error` complains about; false if it complains about something else.
pub(crate) fn separate_fields(query: &mut Query, error: &str) -> bool {
    let Some((_, name)) = error.split_once(COMPLAINT) else { return false };
    let name = name.lines().next().unwrap_or_default();
    let column = name.rsplit('.').next().unwrap_or_default().trim().trim_matches('"').to_owned();
    let mut separator = Separator { column, changed: false };
    let _ = query.visit(&mut separator);
    separator.changed
}

struct Separator {
    column: String,
    changed: bool,
}

impl VisitorMut for Separator {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let Expr::CompoundIdentifier(parts) = expr else { return ControlFlow::Continue(()) };
        // The column is the first part, or the second after the name of its table.
        let Some(at) = parts.iter().take(2).rposition(|part| part.value == self.column) else {
            return ControlFlow::Continue(());
        };
        if at + 1 >= parts.len() {
            return ControlFlow::Continue(());
        }
        let fields = parts.split_off(at + 1);
        let root = if parts.len() == 1 {
            Expr::Identifier(parts.remove(0))
        } else {
            Expr::CompoundIdentifier(std::mem::take(parts))
        };
        *expr =
            fields.into_iter().fold(root, |inner, field| call("$field", vec![inner, text(&field.value)], field.span));
        self.changed = true;
        ControlFlow::Continue(())
    }
}
