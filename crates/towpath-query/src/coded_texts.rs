//! Which rows of a row group have one of some texts, and which texts some rows have, told by the codes of a column that
//! has a dictionary.
//!
//! Such a column lists its texts once and has a code for each row. A text is looked up in the list, and its code among the
//! codes: nothing is put together for the rows that have another. The other way round, the code of a row is found by its
//! number; the rows between are not decoded. The layout is Parquet's
//! (<https://parquet.apache.org/docs/file-format/data-pages/encodings/>); all pages are of the first form, which is what
//! the lake writes.

mod numbers;
mod runs;

use std::ops::Range;

use arrow::array::{StringArray, StringBuilder};
use parquet::basic::Encoding;
use parquet::column::page::{Page, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::schema::types::ColumnDescriptor;

use self::runs::{End, matches};

/// True if all of the column's pages hold codes.
pub(crate) fn is_coded(column: &ColumnChunkMetaData, leaf: &ColumnDescriptor) -> bool {
    let only_codes = column
        .page_encoding_stats_mask()
        .is_some_and(|mask| mask.is_only(Encoding::RLE_DICTIONARY) || mask.is_only(Encoding::PLAIN_DICTIONARY));
    only_codes && leaf.max_rep_level() == 0 && column.dictionary_page_offset().is_some()
}

/// The rows with one of `texts`, in order; `None` when the pages are of another form.
pub(crate) fn rows_with(
    mut pages: impl PageReader,
    leaf: &ColumnDescriptor,
    texts: &[Vec<u8>],
) -> Result<Option<Vec<Range<usize>>>> {
    let Some(Page::DictionaryPage { buf, num_values, .. }) = pages.get_next_page()? else { return Ok(None) };
    let codes = codes_of(&buf, num_values as usize, texts)?;
    let mut rows = Rows::default();
    if codes.is_empty() {
        return Ok(Some(rows.0));
    }
    let mut first = 0;
    while let Some(page) = pages.get_next_page()? {
        let Page::DataPage { buf, num_values, encoding, def_level_encoding, .. } = page else { return Ok(None) };
        let coded = matches!(encoding, Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY);
        if !coded || (leaf.max_def_level() > 0 && def_level_encoding != Encoding::RLE) {
            return Ok(None);
        }
        // Nothing repeats within a row, so there is a value, or a level that says there is none, for each row.
        let count = num_values as usize;
        search(&buf, count, leaf.max_def_level() as u64, &codes, &mut |found| {
            rows.add(first + found.start..first + found.end);
        })?;
        first += count;
    }
    Ok(Some(rows.0))
}

/// The texts of rows, which rise; `None` when the pages are of another form.
pub(crate) fn texts_at(
    mut pages: impl PageReader,
    leaf: &ColumnDescriptor,
    rows: &[Range<usize>],
) -> Result<Option<StringArray>> {
    let Some(Page::DictionaryPage { buf, num_values, .. }) = pages.get_next_page()? else { return Ok(None) };
    let dictionary = texts_of(&buf, num_values as usize)?;
    let count = rows.iter().map(Range::len).sum();
    let mut texts = StringBuilder::with_capacity(count, count * 16);
    let mut wanted = rows.iter().cloned().peekable();
    let (mut first, mut here) = (0, Vec::new());
    while let Some(next) = wanted.peek() {
        let Some(rows) = pages.peek_next_page()?.and_then(|page| page.num_rows) else { return Ok(None) };
        if next.start >= first + rows {
            pages.skip_next_page()?;
            first += rows;
            continue;
        }
        let Some(Page::DataPage { buf, num_values, encoding, def_level_encoding, .. }) = pages.get_next_page()? else {
            return Ok(None);
        };
        let coded = matches!(encoding, Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY);
        if !coded || num_values as usize != rows || (leaf.max_def_level() > 0 && def_level_encoding != Encoding::RLE) {
            return Ok(None);
        }
        // What is wanted of this page, counted from its first row.
        here.clear();
        while let Some(next) = wanted.peek_mut().filter(|next| next.start < first + rows) {
            here.push(next.start - first..next.end.min(first + rows) - first);
            next.start = first + rows;
            if next.start >= next.end {
                wanted.next();
            }
        }
        let (levels, values) = split_page(&buf, leaf.max_def_level() as u64)?;
        numbers::at(levels, leaf.max_def_level() as u64, values, &here, &mut |code| {
            match code {
                None => texts.append_null(),
                Some(code) => {
                    let text = usize::try_from(code).ok().and_then(|code| dictionary.get(code)).ok_or_else(cut)?;
                    texts.append_value(std::str::from_utf8(text)?);
                }
            }
            Ok(())
        })?;
        first += rows;
    }
    Ok(Some(texts.finish()))
}

/// The texts of a dictionary, by code.
fn texts_of(mut dictionary: &[u8], count: usize) -> Result<Vec<&[u8]>> {
    let mut texts = Vec::with_capacity(count.min(dictionary.len() / 4));
    for _ in 0..count {
        let (text, rest) = next_text(dictionary)?;
        texts.push(text);
        dictionary = rest;
    }
    Ok(texts)
}

fn next_text(dictionary: &[u8]) -> Result<(&[u8], &[u8])> {
    let (length, rest) = dictionary.split_first_chunk::<4>().ok_or_else(cut)?;
    rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(cut)
}

/// The levels of a page, if it has some, and what comes after them.
fn split_page(page: &[u8], defined: u64) -> Result<(Option<&[u8]>, &[u8])> {
    if defined == 0 {
        return Ok((None, page));
    }
    let (levels, values) = next_text(page)?;
    Ok((Some(levels), values))
}

/// Rows in order, neighbours together.
#[derive(Default)]
struct Rows(Vec<Range<usize>>);

impl Rows {
    fn add(&mut self, rows: Range<usize>) {
        match self.0.last_mut() {
            Some(last) if last.end == rows.start => last.end = rows.end,
            _ => self.0.push(rows),
        }
    }
}

/// The codes of those texts that the dictionary has.
fn codes_of(mut dictionary: &[u8], count: usize, texts: &[Vec<u8>]) -> Result<Vec<u64>> {
    let mut codes = Vec::new();
    for code in 0..count {
        let (text, rest) = next_text(dictionary)?;
        if texts.iter().any(|wanted| wanted == text) {
            codes.push(code as u64);
        }
        dictionary = rest;
    }
    Ok(codes)
}

/// Tells the rows of a page of `count` rows that have one of these codes.
fn search(page: &[u8], count: usize, defined: u64, codes: &[u64], tell: &mut dyn FnMut(Range<usize>)) -> Result<()> {
    let (levels, values) = split_page(page, defined)?;
    let Some((width, runs)) = values.split_first() else { return Ok(()) };
    // Rows without a value have no code either. How many there are is not known yet: the last codes may be fillers.
    let mut found = Vec::new();
    let mut note = |values: Range<usize>| found.push(values);
    match codes {
        [code] => matches(runs, *width, count, End::Open, |number| number == *code, &mut note)?,
        codes => matches(runs, *width, count, End::Open, |number| codes.contains(&number), &mut note)?,
    }
    // Mostly the page has none of the texts, and where its rows lack a value need not be known.
    if found.is_empty() {
        return Ok(());
    }
    let Some(levels) = levels else {
        found.into_iter().for_each(tell);
        return Ok(());
    };
    let width = (64 - defined.leading_zeros()) as u8;
    let (mut at, mut before) = (0, 0);
    matches(levels, width, count, End::Counted, |level| level == defined, &mut |rows| {
        // Rows that all have a value: from numbers of values to numbers of rows.
        let after = before + rows.len();
        while let Some(values) = found.get(at).filter(|values| values.start < after) {
            let from = values.start.max(before);
            tell(rows.start + from - before..rows.start + values.end.min(after) - before);
            if values.end > after {
                // It goes on with the next rows that have a value.
                break;
            }
            at += 1;
        }
        before = after;
    })
}

fn varint(bytes: &mut &[u8]) -> Result<u64> {
    let mut value = 0;
    for shift in (0..35).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or_else(cut)?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(cut())
}

fn cut() -> ParquetError {
    ParquetError::EOF("a page of codes ends too early".to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, RecordBatch, StringArray, StructArray};
    use arrow::buffer::NullBuffer;
    use arrow::datatypes::{DataType, Field, Fields};
    use bytes::Bytes;
    use parquet::arrow::ArrowWriter;
    use parquet::basic::Compression;
    use parquet::file::metadata::{PageIndexPolicy, ParquetMetaDataReader};
    use parquet::file::properties::WriterProperties;
    use parquet::file::reader::FileReader;
    use parquet::file::serialized_reader::{SerializedFileReader, SerializedPageReader};
    use proptest::prelude::*;

    use super::*;

    /// A file with the column `s.t`, its rows given as: no struct, no text, a text.
    fn file_of(rows: &[Option<Option<String>>], rows_a_page: usize) -> Bytes {
        let texts = StringArray::from_iter(rows.iter().map(|row| row.clone().flatten()));
        let fields = Fields::from(vec![Field::new("t", DataType::Utf8, true)]);
        let structs = NullBuffer::from_iter(rows.iter().map(Option::is_some));
        let structs: ArrayRef = Arc::new(StructArray::new(fields, vec![Arc::new(texts)], Some(structs)));
        let batch = RecordBatch::try_from_iter_with_nullable([("s", structs, true)]).unwrap();
        let properties = WriterProperties::builder()
            .set_compression(Compression::UNCOMPRESSED)
            .set_data_page_row_count_limit(rows_a_page)
            .set_write_batch_size(rows_a_page)
            .build();
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.into_inner().unwrap().into()
    }

    /// Where the pages of the only column are.
    fn paged(file: &Bytes) -> Vec<parquet::file::page_index::offset_index::PageLocation> {
        let metadata = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Required);
        let metadata = metadata.parse_and_finish(file).unwrap();
        metadata.offset_index().unwrap()[0][0].page_locations().clone()
    }

    fn found_in(file: Bytes, texts: &[&str]) -> Result<Option<Vec<Range<usize>>>> {
        let reader = SerializedFileReader::new(file.clone()).unwrap();
        let group = reader.metadata().row_group(0);
        let leaf = reader.metadata().file_metadata().schema_descr().column(0);
        assert!(is_coded(group.column(0), &leaf));
        let rows = group.num_rows() as usize;
        let pages = SerializedPageReader::new(Arc::new(file), group.column(0), rows, None).unwrap();
        let texts: Vec<_> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
        rows_with(pages, &leaf, &texts)
    }

    fn any_rows() -> impl Strategy<Value = Vec<Option<Option<String>>>> {
        let text = |texts: u32| (0..texts).prop_map(|n| Some(Some(format!("text {n}"))));
        // Runs and mixtures, few texts and many, so that codes have few bits and many.
        let stretch = prop_oneof![
            (prop_oneof![Just(None), Just(Some(None)), text(3)], 1..40usize).prop_map(|(row, count)| vec![row; count]),
            prop::collection::vec(prop_oneof![1 => Just(None), 1 => Just(Some(None)), 6 => text(40)], 1..60),
            prop::collection::vec(text(600), 1..200),
        ];
        prop::collection::vec(stretch, 1..8).prop_map(|stretches| stretches.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(150))]
        #[test]
        fn codes_tell_the_rows_that_a_plain_search_finds(
            rows in any_rows(),
            rows_a_page in prop::sample::select(vec![7usize, 64, 1000]),
            wanted in prop::collection::vec(0..600u32, 1..4),
        ) {
            let texts: Vec<_> = wanted.iter().map(|n| format!("text {}", n % 41)).collect();
            let texts: Vec<_> = texts.iter().map(String::as_str).collect();
            let plain = rows.iter().enumerate().filter(|(_, row)| {
                row.as_ref().is_some_and(|text| text.as_deref().is_some_and(|text| texts.contains(&text)))
            });
            let plain: Vec<usize> = plain.map(|(at, _)| at).collect();
            // A file without any text has no dictionary.
            prop_assume!(rows.iter().any(|row| row.as_ref().is_some_and(Option::is_some)));
            let found = found_in(file_of(&rows, rows_a_page), &texts).unwrap().unwrap();
            prop_assert!(found.windows(2).all(|pair| pair[0].end < pair[1].start), "neighbours are together");
            prop_assert_eq!(found.into_iter().flatten().collect::<Vec<_>>(), plain);
        }

        #[test]
        fn codes_tell_the_texts_of_rows_by_their_numbers(
            rows in any_rows(),
            rows_a_page in prop::sample::select(vec![7usize, 64, 1000]),
            chosen in prop::collection::vec(any::<prop::sample::Index>(), 1..30),
            lengths in prop::collection::vec(1..12usize, 30),
        ) {
            prop_assume!(rows.iter().any(|row| row.as_ref().is_some_and(Option::is_some)));
            let mut wanted: Vec<Range<usize>> = Vec::new();
            let mut starts: Vec<_> = chosen.iter().map(|index| index.index(rows.len())).collect();
            starts.sort_unstable();
            for (start, length) in starts.into_iter().zip(lengths) {
                let start = wanted.last().map_or(start, |last| start.max(last.end));
                if start < rows.len() {
                    wanted.push(start..(start + length).min(rows.len()));
                }
            }
            let file = file_of(&rows, rows_a_page);
            let metadata = SerializedFileReader::new(file.clone()).unwrap().metadata().clone();
            let leaf = metadata.file_metadata().schema_descr().column(0);
            let (group, index) = (metadata.row_group(0), paged(&file));
            let pages = SerializedPageReader::new(Arc::new(file), group.column(0), rows.len(), Some(index)).unwrap();
            let found = texts_at(pages, &leaf, &wanted).unwrap().unwrap();
            let plain: Vec<_> = wanted.into_iter().flatten().map(|row| rows[row].clone().flatten()).collect();
            prop_assert_eq!(found.iter().map(|text| text.map(str::to_owned)).collect::<Vec<_>>(), plain);
        }

        #[test]
        fn pages_of_any_bytes_are_an_error_or_an_answer(
            page in prop::collection::vec(any::<u8>(), 0..200), count in 0..500usize, defined in 0..4u64,
        ) {
            let mut last = 0;
            let _ = search(&page, count, defined, &[0, 3], &mut |rows| {
                assert!(rows.start < rows.end && last <= rows.start && rows.end <= count, "{rows:?} of {count}");
                last = rows.end;
            });
            let _ = codes_of(&page, count, &[b"x".to_vec()]);
            let _ = texts_of(&page, count);
            if let Ok((levels, values)) = split_page(&page, defined) {
                let (mut told, rows) = (0, [0..count / 3, count / 2..count]);
                let ended = numbers::at(levels, defined, values, &rows, &mut |_| {
                    told += 1;
                    Ok(())
                });
                assert!(ended.is_err() || told == rows.iter().map(Range::len).sum::<usize>());
            }
        }
    }
}
