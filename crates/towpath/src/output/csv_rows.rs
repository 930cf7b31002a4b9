//! CSV as RFC 4180 has it.

use std::io::{self, Write};

use super::visible;

/// Writes one line.
pub fn line(out: &mut impl Write, cells: &[String], terminal: bool) -> io::Result<()> {
    let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
    let record = if terminal {
        writer.write_record(cells.iter().map(|cell| visible(cell).into_owned()))
    } else {
        writer.write_record(cells)
    };
    record?;
    let bytes = writer.into_inner().map_err(|error| io::Error::other(error.to_string()))?;
    out.write_all(&bytes)
}
