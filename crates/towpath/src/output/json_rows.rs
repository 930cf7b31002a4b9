//! Rows as a JSON array of objects, one object a line.

use std::io::{self, Write};

/// Writes one row. A name that repeats gets a number, so that no cell is lost: `n`, `n_2`, `n_3`.
pub fn object(out: &mut impl Write, columns: &[String], row: &[String], first: bool) -> io::Result<()> {
    out.write_all(if first { b"[\n" } else { b",\n" })?;
    out.write_all(b"{")?;
    for (index, (name, cell)) in columns.iter().zip(row).enumerate() {
        if index > 0 {
            out.write_all(b",")?;
        }
        let earlier = columns[..index].iter().filter(|other| *other == name).count();
        let name = if earlier == 0 { name.clone() } else { format!("{name}_{}", earlier + 1) };
        serde_json::to_writer(&mut *out, &name)?;
        out.write_all(b":")?;
        serde_json::to_writer(&mut *out, cell)?;
    }
    out.write_all(b"}")
}

/// Ends the array.
pub fn end(out: &mut impl Write, empty: bool) -> io::Result<()> {
    out.write_all(if empty { b"[]\n" } else { b"\n]\n" })
}
