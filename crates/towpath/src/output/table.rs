//! Tables for people: a header, a line under it, columns two blanks apart; cells wrap where the terminal is narrow.

use comfy_table::{ContentArrangement, Table};

use super::{Rows, visible};

/// Lines a table may have: a rule under the header, nothing else.
const RULES: &str = "     ─             ";

/// How wide a table may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// As wide as the terminal.
    OfTerminal,
    /// As wide as its cells.
    Unlimited,
    /// So many columns of characters.
    #[cfg_attr(not(test), expect(dead_code, reason = "a terminal of known width exists in tests only"))]
    Columns(u16),
}

/// Renders rows as a table.
pub fn render(rows: &Rows, width: Width) -> String {
    let mut table = Table::new();
    table.load_preset(RULES);
    match width {
        Width::OfTerminal => {
            table.set_content_arrangement(ContentArrangement::Dynamic);
        }
        Width::Columns(columns) => {
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(columns);
        }
        Width::Unlimited => {
            table.set_content_arrangement(ContentArrangement::Disabled);
        }
    }
    table.set_header(rows.columns.iter().map(|name| visible(name)));
    for row in &rows.rows {
        table.add_row(row.iter().map(|cell| visible(cell)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}
