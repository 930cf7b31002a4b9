//! What commands print: tables for people, CSV and JSON for programs.
//!
//! Events hold text that attackers chose. Whatever is meant for a terminal has its control characters made visible, so
//! that no user agent can move the cursor or rename the window.

mod csv_rows;
mod json_rows;
mod table;

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};

pub use table::Width;

/// The form of what a command prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Columns for people.
    #[default]
    Table,
    /// JSON.
    Json,
    /// CSV with a header line (RFC 4180).
    Csv,
}

/// Rows of text under named columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// The names of the columns; names may repeat.
    pub columns: Vec<String>,
    /// The rows, each as long as `columns`.
    pub rows: Vec<Vec<String>>,
}

impl Rows {
    /// No rows yet.
    pub fn new(columns: &[&str]) -> Self {
        Self { columns: columns.iter().map(|name| (*name).to_owned()).collect(), rows: Vec::new() }
    }

    /// Adds a row; missing cells are empty.
    pub fn push(&mut self, row: Vec<String>) {
        let mut row = row;
        row.resize(self.columns.len(), String::new());
        self.rows.push(row);
    }
}

/// Writes rows in parts, so that a large result need not be in memory: CSV and JSON as they come, a table at the end.
pub struct RowWriter<W: Write> {
    out: W,
    format: Format,
    width: Width,
    /// True if a terminal reads.
    terminal: bool,
    rows: Rows,
    written: usize,
}

impl RowWriter<io::StdoutLock<'static>> {
    /// Writes to standard output.
    pub fn stdout(format: Format) -> Self {
        let terminal = io::stdout().is_terminal();
        let width = if terminal { Width::OfTerminal } else { Width::Unlimited };
        Self::new(io::stdout().lock(), format, width, terminal)
    }
}

impl<W: Write> RowWriter<W> {
    /// Writes to `out`.
    pub fn new(out: W, format: Format, width: Width, terminal: bool) -> Self {
        Self { out, format, width, terminal, rows: Rows::default(), written: 0 }
    }

    /// Adds rows. The columns of the first call hold for all.
    pub fn add(&mut self, rows: Rows) -> io::Result<()> {
        if self.rows.columns.is_empty() {
            self.rows.columns = rows.columns;
            if self.format == Format::Csv {
                csv_rows::line(&mut self.out, &self.rows.columns, self.terminal)?;
            }
        }
        for row in rows.rows {
            match self.format {
                Format::Table => self.rows.rows.push(row),
                Format::Csv => csv_rows::line(&mut self.out, &row, self.terminal)?,
                Format::Json => json_rows::object(&mut self.out, &self.rows.columns, &row, self.written == 0)?,
            }
            self.written += 1;
        }
        Ok(())
    }

    /// Ends the output.
    pub fn finish(mut self) -> io::Result<()> {
        match self.format {
            Format::Table if self.rows.columns.is_empty() => {}
            Format::Table => writeln!(self.out, "{}", table::render(&self.rows, self.width))?,
            Format::Csv => {}
            Format::Json => json_rows::end(&mut self.out, self.written == 0)?,
        }
        self.out.flush()
    }
}

/// Prints rows at once.
pub fn print(rows: Rows, format: Format) -> io::Result<()> {
    let mut writer = RowWriter::stdout(format);
    writer.add(rows)?;
    writer.finish()
}

/// Prints a JSON value.
pub fn print_json(value: &serde_json::Value) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value)?;
    writeln!(out)?;
    out.flush()
}

/// Prints one line to standard output.
pub fn print_line(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// Text with its control characters made visible.
pub fn visible(text: &str) -> Cow<'_, str> {
    // Beside control characters: marks that reverse the direction of reading, which can make a text look like another.
    let hidden = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            c if hidden(c) => shown.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
            c => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

/// As [`visible`], with line breaks left in.
pub fn visible_lines(text: &str) -> String {
    text.lines().map(visible).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests;
