//! Tables for people: a header, a line under it, columns two blanks apart.
//!
//! Where the terminal is too narrow, long cells wrap; where wrapping would leave nothing that can be read (ids in four
//! pieces, a column of single letters), each row is shown as a list of its cells instead.

use comfy_table::{ColumnConstraint, ContentArrangement, Table};

use super::{Rows, visible};

/// Lines a table may have: a rule under the header, nothing else.
const RULES: &str = "     ─             ";

/// Lines a list of cells may have: none.
const NO_RULES: &str = "                   ";

/// Blanks behind a column.
const GAP: u16 = 2;

/// Cells up to this width stay in one piece, longer ones have at least that much room: times, names and half a UUID.
const READABLE: u16 = 24;

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

/// Renders rows as a table, or as lists of cells where there is no room for one.
pub fn render(rows: &Rows, width: Width) -> String {
    let mut table = Table::new();
    table.load_preset(RULES).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(rows.columns.iter().map(|name| visible(name)));
    for row in &rows.rows {
        table.add_row(row.iter().map(|cell| visible(cell)));
    }
    let room = match width {
        Width::OfTerminal => table.width(),
        Width::Columns(columns) => Some(columns),
        Width::Unlimited => None,
    };
    if let Some(room) = room {
        let wanted = table.column_max_content_widths();
        let taken = |widths: &mut dyn Iterator<Item = u16>| -> u64 {
            widths.map(|width| u64::from(width) + u64::from(GAP)).sum::<u64>().saturating_sub(u64::from(GAP))
        };
        let readable = taken(&mut wanted.iter().map(|width| (*width).min(READABLE)));
        if readable > u64::from(room) && wanted.len() > 1 && !rows.rows.is_empty() {
            return lists(rows, room);
        }
        if taken(&mut wanted.iter().copied()) > u64::from(room) {
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(room);
            for (column, wanted) in table.column_iter_mut().zip(wanted) {
                if wanted <= READABLE {
                    column.set_constraint(ColumnConstraint::ContentWidth);
                }
            }
        }
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, GAP));
    }
    lines(&table)
}

/// Each row as a list of its cells, with a numbered line above it.
fn lists(rows: &Rows, room: u16) -> String {
    let mut shown = Vec::with_capacity(rows.rows.len());
    for (index, row) in rows.rows.iter().enumerate() {
        let mut table = Table::new();
        table.load_preset(NO_RULES).set_content_arrangement(ContentArrangement::Dynamic).set_width(room);
        for (name, cell) in rows.columns.iter().zip(row) {
            table.add_row([visible(name), visible(cell)]);
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 0));
        }
        if let Some(names) = table.column_mut(0) {
            names.set_padding((0, GAP)).set_constraint(ColumnConstraint::ContentWidth);
        }
        let number = format!("─ {} ", index + 1);
        let rule = "─".repeat(usize::from(room).saturating_sub(number.chars().count()));
        shown.push(format!("{number}{rule}\n{}", lines(&table)));
    }
    shown.join("\n")
}

fn lines(table: &Table) -> String {
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}
