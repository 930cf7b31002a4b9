//! Pages of data files, decompressed, as many as fit in memory, and which rows were found by them.
//!
//! A question about few rows reads few pages, and the questions that follow it read many of the same: those of the column
//! that it searches, and dictionaries. They are kept by where they lie in which file; a file never changes. Whoever asks
//! about a key asks more than once, so the rows that have it are kept too.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use parquet::arrow::arrow_reader::RowGroups;
use parquet::column::page::{Page, PageIterator, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::page_index::offset_index::PageLocation;
use parquet::file::serialized_reader::SerializedPageReader;
use towpath_lake::FileBytes;
use uuid::Uuid;

use crate::kept::Kept;
use crate::scan_counters::ScanCounters;

/// What a page takes beside its bytes, about.
const PAGE_OVERHEAD: usize = 256;

/// A file's content and where in it a page lies.
type Place = (Uuid, i64);

/// What was looked for: a file's content, a row group of it, a column, and texts.
type Search = (Uuid, usize, usize, Arc<[Vec<u8>]>);

/// What part of the cache is for rows that were found.
const FOUND_PART: usize = 16;
/// What the rows of a search take beside their numbers, about.
const SEARCH_OVERHEAD: usize = 256;

/// Pages that were read lately. One for the process.
#[derive(Debug)]
pub(crate) struct PageCache {
    // Each held for a few lines.
    kept: Mutex<Kept<Place, Page>>,
    found: Mutex<Kept<Search, Arc<[Range<usize>]>>>,
}

impl PageCache {
    /// Keeps up to so many bytes.
    pub(crate) fn new(most_bytes: usize) -> Self {
        let found = most_bytes / FOUND_PART;
        Self { kept: Mutex::new(Kept::new(most_bytes - found)), found: Mutex::new(Kept::new(found)) }
    }
}

/// A file whose pages are read one by one, by threads that may block.
#[derive(Clone)]
pub(crate) struct PagedFile {
    pub(crate) content: Uuid,
    pub(crate) bytes: Arc<FileBytes>,
    pub(crate) metadata: Arc<ParquetMetaData>,
    pub(crate) cache: Arc<PageCache>,
    pub(crate) counters: Arc<ScanCounters>,
}

impl PagedFile {
    /// The row groups' number.
    pub(crate) fn groups(&self) -> usize {
        self.metadata.num_row_groups()
    }

    /// One of its row groups; `None` when the file does not say where the group's pages are.
    pub(crate) fn group(&self, index: usize) -> Option<PagedGroup> {
        let located = self.metadata.offset_index()?.get(index)?.len() == self.metadata.row_group(index).num_columns();
        located.then(|| PagedGroup { file: self.clone(), index })
    }
}

/// A row group of a file, as the decoder of rows wants it.
pub(crate) struct PagedGroup {
    file: PagedFile,
    index: usize,
}

impl PagedGroup {
    /// What the footer says of it.
    pub(crate) fn metadata(&self) -> &RowGroupMetaData {
        self.file.metadata.row_group(self.index)
    }

    /// The rows that have one of the texts in a column, if they were found before. The column counts as read.
    pub(crate) fn found(&self, column: usize, texts: &Arc<[Vec<u8>]>) -> Option<Arc<[Range<usize>]>> {
        let search = (self.file.content, self.index, column, texts.clone());
        let found = self.file.cache.found.lock().get(&search)?;
        self.file.counters.read(self.metadata().column(column).compressed_size().unsigned_abs());
        Some(found)
    }

    /// Keeps rows that were found. None are not: that a dictionary does not have a text is soon seen.
    pub(crate) fn keep_found(
        &self,
        column: usize,
        texts: &Arc<[Vec<u8>]>,
        rows: Arc<[Range<usize>]>,
    ) -> Arc<[Range<usize>]> {
        if !rows.is_empty() {
            let search = (self.file.content, self.index, column, texts.clone());
            let bytes = SEARCH_OVERHEAD + size_of_val::<[_]>(&rows) + texts.iter().map(Vec::len).sum::<usize>();
            self.file.cache.found.lock().put(search, rows.clone(), bytes);
        }
        rows
    }

    /// The pages of a column, the dictionary first.
    pub(crate) fn pages(&self, column: usize) -> Result<ColumnPages> {
        let unknown = || ParquetError::General(format!("column {column} has no pages"));
        let locations = self.file.metadata.offset_index().and_then(|index| index.get(self.index)?.get(column));
        let locations = locations.ok_or_else(unknown)?.page_locations().clone();
        let (start, _) = self.metadata().columns().get(column).ok_or_else(unknown)?.byte_range();
        // What lies before the first page of values is the dictionary.
        let dictionary = locations.first().filter(|first| first.offset > start as i64).map(|first| PageLocation {
            offset: start as i64,
            compressed_page_size: (first.offset - start as i64) as i32,
            first_row_index: 0,
        });
        Ok(ColumnPages {
            file: self.file.clone(),
            group: self.index,
            column,
            dictionary,
            locations,
            next: 0,
            reader: None,
            behind: 0,
        })
    }
}

impl RowGroups for PagedGroup {
    fn num_rows(&self) -> usize {
        self.metadata().num_rows() as usize
    }

    fn column_chunks(&self, column: usize) -> Result<Box<dyn PageIterator>> {
        Ok(Box::new(OneColumn(Some(self.pages(column)))))
    }

    fn row_groups(&self) -> Box<dyn Iterator<Item = &RowGroupMetaData> + '_> {
        Box::new(std::iter::once(self.file.metadata.row_group(self.index)))
    }

    fn metadata(&self) -> &ParquetMetaData {
        &self.file.metadata
    }
}

/// The pages of a column of one row group.
struct OneColumn(Option<Result<ColumnPages>>);

impl Iterator for OneColumn {
    type Item = Result<Box<dyn PageReader>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.take().map(|pages| pages.map(|pages| Box::new(pages) as Box<dyn PageReader>))
    }
}

impl PageIterator for OneColumn {}

/// Pages of one column of a row group in their order, from memory or else from the file.
pub(crate) struct ColumnPages {
    file: PagedFile,
    group: usize,
    column: usize,
    // Until it was read or skipped.
    dictionary: Option<PageLocation>,
    locations: Vec<PageLocation>,
    // The next page of values.
    next: usize,
    // Decompresses; made for the first page that is not in memory, and behind by so many pages.
    reader: Option<SerializedPageReader<FileBytes>>,
    behind: usize,
}

impl ColumnPages {
    fn rows_of(&self, page: usize) -> usize {
        let end = self.locations.get(page + 1).map(|next| next.first_row_index);
        let end = end.unwrap_or_else(|| self.file.metadata.row_group(self.group).num_rows());
        (end - self.locations[page].first_row_index).max(0) as usize
    }

    /// Takes the next page's place.
    fn step(&mut self) -> Option<PageLocation> {
        if let Some(dictionary) = self.dictionary.take() {
            return Some(dictionary);
        }
        let location = self.locations.get(self.next)?.clone();
        self.next += 1;
        Some(location)
    }

    /// Reads and decompresses the page after those that are behind.
    fn read(&mut self) -> Result<Option<Page>> {
        let reader = match &mut self.reader {
            Some(reader) => reader,
            none => {
                let group = self.file.metadata.row_group(self.group);
                let (column, rows) = (group.column(self.column), group.num_rows() as usize);
                let locations = Some(self.locations.clone());
                none.insert(SerializedPageReader::new(self.file.bytes.clone(), column, rows, locations)?)
            }
        };
        for _ in 0..std::mem::take(&mut self.behind) {
            reader.skip_next_page()?;
        }
        reader.get_next_page()
    }
}

impl PageReader for ColumnPages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let Some(location) = self.step() else { return Ok(None) };
        self.file.counters.read(location.compressed_page_size as u64);
        let place = (self.file.content, location.offset);
        if let Some(page) = self.file.cache.kept.lock().get(&place) {
            self.behind += 1;
            return Ok(Some(page));
        }
        let Some(page) = self.read()? else { return Ok(None) };
        let page = shrunk(page);
        let bytes = page.buffer().len() + PAGE_OVERHEAD;
        self.file.cache.kept.lock().put(place, page.clone(), bytes);
        Ok(Some(page))
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        if self.dictionary.is_some() {
            return Ok(Some(PageMetadata { num_rows: None, num_levels: None, is_dict: true }));
        }
        let more = self.next < self.locations.len();
        Ok(more.then(|| PageMetadata { num_rows: Some(self.rows_of(self.next)), num_levels: None, is_dict: false }))
    }

    fn skip_next_page(&mut self) -> Result<()> {
        if self.step().is_some() {
            self.behind += 1;
        }
        Ok(())
    }

    fn at_record_boundary(&mut self) -> Result<bool> {
        // Where it is known where pages lie, they begin with rows.
        Ok(true)
    }
}

impl Iterator for ColumnPages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

/// The page in a piece of memory of its own size: one that was decompressed has room to spare, one that was not is part
/// of something larger.
fn shrunk(page: Page) -> Page {
    let own = |buf: Bytes| Bytes::from(buf.to_vec().into_boxed_slice());
    match page {
        Page::DataPage { buf, num_values, encoding, def_level_encoding, rep_level_encoding, statistics } => {
            let buf = own(buf);
            Page::DataPage { buf, num_values, encoding, def_level_encoding, rep_level_encoding, statistics }
        }
        Page::DictionaryPage { buf, num_values, encoding, is_sorted } => {
            Page::DictionaryPage { buf: own(buf), num_values, encoding, is_sorted }
        }
        other => other,
    }
}
