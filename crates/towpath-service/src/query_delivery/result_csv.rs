//! A result file: rows as gzip CSV.

use std::io;

use flate2::Compression;
use flate2::write::GzEncoder;

/// Rows as gzip CSV: the names of the columns first, quotes where RFC 4180 asks for them, NULL as an empty field.
pub(super) struct ResultCsv(csv::Writer<Counted>);

/// Where the compressed bytes go.
struct Counted(GzEncoder<Vec<u8>>);

impl io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        // Flushing an encoder costs compression, and nobody reads before the end.
        Ok(())
    }
}

impl ResultCsv {
    pub(super) fn new(columns: &[String]) -> io::Result<Self> {
        let encoder = Counted(GzEncoder::new(Vec::new(), Compression::default()));
        let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(encoder);
        writer.write_record(columns).map_err(io::Error::other)?;
        Ok(Self(writer))
    }

    pub(super) fn add(&mut self, rows: &[Vec<Option<String>>]) -> io::Result<()> {
        for row in rows {
            self.0
                .write_record(row.iter().map(|cell| cell.as_deref().unwrap_or_default()))
                .map_err(io::Error::other)?;
        }
        Ok(())
    }

    /// Compressed bytes so far.
    pub(super) fn bytes(&self) -> usize {
        self.0.get_ref().0.get_ref().len()
    }

    pub(super) fn finish(mut self) -> io::Result<Vec<u8>> {
        self.0.flush()?;
        let counted = self.0.into_inner().map_err(|error| io::Error::other(error.to_string()))?;
        counted.0.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn results_are_csv_with_quotes_where_they_are_needed() {
        let columns = ["a".to_owned(), "b,c".to_owned()];
        let mut csv = ResultCsv::new(&columns).unwrap();
        csv.add(&[vec![Some("1".to_owned()), None], vec![Some("x\"y".to_owned()), Some("l1\nl2".to_owned())]]).unwrap();
        let bytes = csv.finish().unwrap();
        let mut text = String::new();
        GzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
        assert_eq!(text, "a,\"b,c\"\r\n1,\r\n\"x\"\"y\",\"l1\nl2\"\r\n");
    }
}
