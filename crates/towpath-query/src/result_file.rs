//! The rows of a query on disk: written while the query runs, read by row number.
//!
//! ```text
//! file   := "TOWROWS1" chunk* index
//! chunk  := rows(u32) length(u32) crc32c(u32) body            body: LZ4 of the rows' cells, at most 1,000 rows
//! body   := columns(varint) cell*
//! cell   := varint(0) for NULL, else varint(length + 1) text
//! index  := entry* ending entries(u32) ending's length(u32) rows(u64) crc32c(u32) "TOWROWSI"
//! entry  := offset(u64) first row(u64)
//! ending := JSON of the query's record as it is when the file is whole
//! ```
//!
//! Numbers are little-endian. A file belongs to its query and is read when the query's record says that it is whole.
//! The ending stands in the file too, so that a query whose end was told, and not yet kept in the ledger when the process
//! was killed, has ended so for good.
//! It is not synced: what a crash of the machine cut short, or left blank, is told by its length and checksums.

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use crc32c::crc32c;

/// Rows of one chunk at most.
const CHUNK_ROWS: usize = 1000;
/// Bytes of text after which a chunk ends early.
const CHUNK_BYTES: usize = 1 << 20;
/// Bytes of text that a chunk may have when it is read back: a chunk ends after the row that fills it.
const MAX_CHUNK_BYTES: usize = 256 << 20;

const MAGIC: &[u8; 8] = b"TOWROWS1";
const INDEX_MAGIC: &[u8; 8] = b"TOWROWSI";
const CHUNK_HEAD: usize = 12;
const ENTRY: usize = 16;
const TAIL: usize = 4 + 4 + 8 + 4 + 8;

/// One row: its cells in select order, `None` for NULL.
pub type Row = Vec<Option<String>>;

/// Writes the rows of a query.
pub(crate) struct ResultWriter {
    file: Arc<File>,
    columns: usize,
    chunk: Vec<u8>,
    chunk_rows: usize,
    /// Where the last whole row of the chunk ends.
    row_end: usize,
    index: ResultIndex,
    written: u64,
    text_bytes: u64,
}

/// Where the chunks are and how many rows they hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct ResultIndex {
    entries: Vec<(u64, u64)>,
    rows: u64,
    /// Where the last chunk ends.
    end: u64,
}

impl ResultIndex {
    /// Rows in the chunks.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Which chunk holds `row`.
    fn chunk_of(&self, row: u64) -> Option<usize> {
        if row >= self.rows {
            return None;
        }
        Some(self.entries.partition_point(|(_, first)| *first <= row) - 1)
    }
}

impl ResultWriter {
    /// Creates the file for rows of so many columns, replacing one of the same name.
    pub(crate) fn create(path: &Path, columns: usize) -> io::Result<Self> {
        let file = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
        Ok(Self {
            file: Arc::new(file),
            columns,
            chunk: Vec::new(),
            chunk_rows: 0,
            row_end: 0,
            index: ResultIndex::default(),
            written: 0,
            text_bytes: 0,
        })
    }

    /// The file, for readers of what is written so far.
    pub(crate) fn file(&self) -> Arc<File> {
        self.file.clone()
    }

    /// Adds a cell to the row that is being written; returns the cell's bytes.
    pub(crate) fn push_cell(&mut self, text: Option<&str>) -> usize {
        if self.chunk.is_empty() {
            push_varint(&mut self.chunk, self.columns as u64);
        }
        match text {
            None => {
                push_varint(&mut self.chunk, 0);
                0
            }
            Some(text) => {
                push_varint(&mut self.chunk, text.len() as u64 + 1);
                self.chunk.extend_from_slice(text.as_bytes());
                text.len()
            }
        }
    }

    /// Ends the row. Returns true when a chunk was written, so that readers can be told of more rows.
    pub(crate) fn end_row(&mut self) -> io::Result<bool> {
        self.chunk_rows += 1;
        self.row_end = self.chunk.len();
        if self.chunk_rows < CHUNK_ROWS && self.chunk.len() < CHUNK_BYTES {
            return Ok(false);
        }
        self.flush_chunk()?;
        Ok(true)
    }

    /// Rows in whole chunks and where they are.
    pub(crate) fn index(&self) -> &ResultIndex {
        &self.index
    }

    /// Bytes of cells written so far.
    pub(crate) fn text_bytes(&self) -> u64 {
        self.text_bytes + self.chunk.len() as u64
    }

    /// Drops cells of a row that was not ended and writes the rest: all rows can be read.
    pub(crate) fn finish_rows(&mut self) -> io::Result<&ResultIndex> {
        self.chunk.truncate(self.row_end);
        self.flush_chunk()?;
        Ok(&self.index)
    }

    /// Writes the index and how the query ended, after which the file is whole.
    pub(crate) fn finish(mut self, ending: &[u8]) -> io::Result<()> {
        self.finish_rows()?;
        let mut tail = Vec::with_capacity(self.index.entries.len() * ENTRY + ending.len() + TAIL);
        if self.written == 0 {
            // Without rows this is the whole file.
            self.file.write_all_at(MAGIC, 0)?;
            self.written = MAGIC.len() as u64;
        }
        for (offset, first) in &self.index.entries {
            tail.extend_from_slice(&offset.to_le_bytes());
            tail.extend_from_slice(&first.to_le_bytes());
        }
        tail.extend_from_slice(ending);
        tail.extend_from_slice(&(self.index.entries.len() as u32).to_le_bytes());
        tail.extend_from_slice(&(ending.len() as u32).to_le_bytes());
        tail.extend_from_slice(&self.index.rows.to_le_bytes());
        tail.extend_from_slice(&crc32c(&tail).to_le_bytes());
        tail.extend_from_slice(INDEX_MAGIC);
        self.file.write_all_at(&tail, self.written)
    }

    fn flush_chunk(&mut self) -> io::Result<()> {
        if self.chunk_rows == 0 {
            return Ok(());
        }
        let body = lz4_flex::compress_prepend_size(&self.chunk);
        let mut bytes = Vec::with_capacity(MAGIC.len() + CHUNK_HEAD + body.len());
        if self.written == 0 {
            bytes.extend_from_slice(MAGIC);
        }
        let magic = bytes.len();
        bytes.extend_from_slice(&(self.chunk_rows as u32).to_le_bytes());
        bytes.extend_from_slice(&(body.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&crc32c(&body).to_le_bytes());
        bytes.extend_from_slice(&body);
        self.file.write_all_at(&bytes, self.written)?;
        self.index.entries.push((self.written + magic as u64, self.index.rows));
        self.index.rows += self.chunk_rows as u64;
        self.written += bytes.len() as u64;
        self.index.end = self.written;
        self.text_bytes += self.chunk.len() as u64;
        self.chunk.clear();
        self.chunk_rows = 0;
        self.row_end = 0;
        Ok(())
    }
}

/// The ending of the query whose whole file this is.
///
/// # Errors
/// When there is no file, or it is cut short or changed.
pub(crate) fn ending(path: &Path) -> io::Result<Vec<u8>> {
    Ok(Index::read(&File::open(path)?)?.ending)
}

/// What a whole file ends with.
struct Index {
    entries: Vec<(u64, u64)>,
    ending: Vec<u8>,
    rows: u64,
    /// Where the last chunk ends.
    end: u64,
}

impl Index {
    fn read(file: &File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        let tail_at = length.checked_sub(TAIL as u64).ok_or_else(|| damaged("file is too short"))?;
        let mut tail = [0; TAIL];
        file.read_exact_at(&mut tail, tail_at)?;
        if &tail[TAIL - 8..] != INDEX_MAGIC {
            return Err(damaged("index is missing"));
        }
        let entries = u32_at(&tail, 0) as usize * ENTRY;
        let ending = u32_at(&tail, 4) as usize;
        let index_at = tail_at.checked_sub((entries + ending) as u64).ok_or_else(|| damaged("index is too long"))?;
        let mut bytes = vec![0; (length - index_at) as usize];
        file.read_exact_at(&mut bytes, index_at)?;
        let sealed = bytes.len() - 12;
        if crc32c(&bytes[..sealed]) != u32_at(&bytes, sealed) {
            return Err(damaged("index has a wrong checksum"));
        }
        Ok(Self {
            entries: bytes[..entries].chunks_exact(ENTRY).map(|entry| (u64_at(entry, 0), u64_at(entry, 8))).collect(),
            ending: bytes[entries..entries + ending].to_vec(),
            rows: u64_at(&tail, 8),
            end: index_at,
        })
    }
}

/// Reads rows by number.
pub(crate) struct ResultReader {
    file: Arc<File>,
    index: ResultIndex,
}

impl ResultReader {
    /// Opens a finished file of so many rows.
    pub(crate) fn open(path: &Path, rows: u64) -> io::Result<Self> {
        let file = File::open(path)?;
        let Index { rows: found, entries, end, .. } = Index::read(&file)?;
        if found != rows {
            return Err(damaged("file is of another result"));
        }
        Ok(Self { file: Arc::new(file), index: ResultIndex { entries, rows, end } })
    }

    /// Reads what a writer has written so far.
    pub(crate) fn live(file: Arc<File>, index: ResultIndex) -> Self {
        Self { file, index }
    }

    /// Rows that can be read.
    pub(crate) fn rows(&self) -> u64 {
        self.index.rows
    }

    /// Bytes of the file that they are in.
    pub(crate) fn bytes(&self) -> u64 {
        self.index.end
    }

    /// Reads rows from `first` on: at most `max_rows`, and no more after `max_bytes` of text (but at least one).
    pub(crate) fn read(&self, first: u64, max_rows: usize, max_bytes: usize) -> io::Result<Vec<Row>> {
        let mut page = Page { rows: Vec::new(), bytes: 0, max_rows, max_bytes };
        let mut next = first;
        while !page.is_full() {
            let Some(chunk) = self.index.chunk_of(next) else { break };
            let (offset, first_of_chunk) = self.index.entries[chunk];
            self.read_chunk(offset, (next - first_of_chunk) as usize, &mut page)?;
            next = first + page.rows.len() as u64;
        }
        Ok(page.rows)
    }

    fn read_chunk(&self, offset: u64, skip: usize, page: &mut Page) -> io::Result<()> {
        let mut head = [0; CHUNK_HEAD];
        self.file.read_exact_at(&mut head, offset)?;
        let (rows, length, sum) = (u32_at(&head, 0) as usize, u32_at(&head, 4) as usize, u32_at(&head, 8));
        if rows == 0 || rows > CHUNK_ROWS || rows <= skip || length > MAX_CHUNK_BYTES {
            return Err(damaged("chunk has a wrong size"));
        }
        let mut body = vec![0; length];
        self.file.read_exact_at(&mut body, offset + CHUNK_HEAD as u64)?;
        if crc32c(&body) != sum {
            return Err(damaged("chunk has a wrong checksum"));
        }
        let (size, compressed) =
            lz4_flex::block::uncompressed_size(&body).map_err(|_| damaged("chunk cannot be decompressed"))?;
        if size > MAX_CHUNK_BYTES {
            return Err(damaged("chunk has a wrong size"));
        }
        let cells = lz4_flex::decompress(compressed, size).map_err(|_| damaged("chunk cannot be decompressed"))?;
        page.take_rows(&cells, rows, skip).ok_or_else(|| damaged("chunk holds no rows"))
    }
}

/// Rows of a page as they are collected.
struct Page {
    rows: Vec<Row>,
    bytes: usize,
    max_rows: usize,
    max_bytes: usize,
}

impl Page {
    fn is_full(&self) -> bool {
        self.rows.len() >= self.max_rows || self.bytes >= self.max_bytes
    }

    fn take_rows(&mut self, mut cells: &[u8], rows: usize, skip: usize) -> Option<()> {
        let columns = read_varint(&mut cells)? as usize;
        for row in 0..rows {
            if self.is_full() {
                break;
            }
            let wanted = row >= skip;
            let mut texts = Vec::with_capacity(if wanted { columns.min(4096) } else { 0 });
            for _ in 0..columns {
                let cell = read_cell(&mut cells)?;
                if wanted {
                    self.bytes += cell.map_or(0, str::len);
                    texts.push(cell.map(str::to_owned));
                }
            }
            if wanted {
                self.rows.push(texts);
            }
        }
        Some(())
    }
}

fn push_varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn read_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..63).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn read_cell<'a>(bytes: &mut &'a [u8]) -> Option<Option<&'a str>> {
    let Some(length) = read_varint(bytes)?.checked_sub(1) else {
        return Some(None);
    };
    let (text, rest) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
    *bytes = rest;
    std::str::from_utf8(text).ok().map(Some)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("result file is damaged: {what}"))
}
