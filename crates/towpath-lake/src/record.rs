//! The record as files and hot batches hold it: without the long values that columns beside it have.
//!
//! Ids are random and do not compress; `eventID`, `requestID`, `x-amz-id-2` would stand in every file twice and take a
//! third of it. The stored `eventjson` has a *mark* in the place of such a value, and whoever reads the record puts the
//! value back:
//!
//! ```text
//! received   {"eventID":"5e2676f8-9fce-46ef-8142-3e36a94e6691","eventName":"GetObject", ... }
//! stored     {"eventID":"<U+E000>","eventName":"GetObject", ... }        eventid = 5e2676f8-9fce-...
//! ```
//!
//! A mark is one character of the private use area, U+E000 + 64 · column + entry: the number of the column among
//! [`record_columns`], and which entry of it when it is a map. In UTF-8 its three bytes are `EE`, `80` + column, `80` +
//! entry. The stored text is JSON as well; other engines that read the files see all of the record but those values, and
//! see these in their columns. A record that holds such characters itself is stored whole, behind one more of them.
//!
//! Only what stands in the record exactly as the column has it is left out, so nothing is lost: no escapes, no number
//! spelling, no member that a later one of the same name hides.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, MapArray, RecordBatch, StringArray, StringBuilder, StringViewArray};
use arrow::error::ArrowError;

use towpath_model::StoreKind;

use crate::schema::EVENT_JSON;

/// Shorter values stay where they are: a mark would save little.
const SHORTEST: usize = 16;
/// Entries of a map that a mark can name.
const ENTRIES: usize = 64;
/// The first byte of every mark, and of no other character than those from U+E000 to U+EFFF.
const LEAD: u8 = 0xee;
const MARK_BYTES: usize = 3;
/// Stands before a record that is stored whole because it has characters that could be taken for marks.
const WHOLE: &str = "\u{efff}";

/// The stored columns of a kind that make up the record: `eventjson`, then those with values left out of it.
///
/// The order is part of the format of files: a mark names a column by its place here. Add at the end; never change.
pub const fn record_columns(kind: StoreKind) -> &'static [&'static str] {
    match kind {
        StoreKind::CloudTrail | StoreKind::History => {
            &[EVENT_JSON, "eventid", "requestid", "sharedeventid", "errormessage", "additionaleventdata"]
        }
        StoreKind::Insight => &[EVENT_JSON, "eventid", "sharedeventid"],
        StoreKind::ConfigurationItem | StoreKind::Evidence | StoreKind::Activity => &[EVENT_JSON, "eventid"],
    }
}

/// True if stored records hold the value of this top-level member as it was received, so that whoever wants it alone need
/// not make the record whole.
pub fn is_stored_whole(kind: StoreKind, member: &str) -> bool {
    // Columns that values are left out for bear the names of their members in lower case.
    !record_columns(kind).iter().any(|column| column.eq_ignore_ascii_case(member))
}

/// Stored records as JSON documents: without what stands before those that are stored whole. Values that are left out
/// stay marks; [`is_stored_whole`] tells where there are none.
pub fn stored_documents(stored: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let texts = Texts::of(stored.as_ref())?;
    let rows = || (0..texts.len()).map(|row| texts.at(row));
    if !rows().flatten().any(|text| text.starts_with(WHOLE)) {
        return Ok(stored.clone());
    }
    let documents = rows().map(|text| text.map(|text| text.strip_prefix(WHOLE).unwrap_or(text)));
    Ok(Arc::new(documents.collect::<StringArray>()))
}

/// The records of a batch as they were received, row by row; NULL where the stored one is.
///
/// The batch has the [`record_columns`] of its kind, among others. Fails if a mark names a value that is not there.
pub fn records(kind: StoreKind, batch: &RecordBatch) -> Result<ArrayRef, ArrowError> {
    let column = |name: &&str| {
        let missing = || ArrowError::InvalidArgumentError(format!("column {name} is missing"));
        batch.column_by_name(name).cloned().ok_or_else(missing)
    };
    whole(&record_columns(kind).iter().map(column).collect::<Result<Vec<_>, _>>()?)
}

/// A value that is left out of a record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeftOut {
    // Where the value's text begins and ends in the record.
    start: usize,
    end: usize,
    column: u8,
    entry: u8,
}

impl LeftOut {
    /// The value of `column` (a number of [`record_columns`], less one) and `entry` at these bytes of the record, if it
    /// is worth leaving out.
    #[inline]
    pub fn worthwhile(place: std::ops::Range<usize>, column: u8, entry: usize) -> Option<Self> {
        let entry = u8::try_from(entry).ok().filter(|entry| usize::from(*entry) < ENTRIES)?;
        (place.len() >= SHORTEST).then_some(Self { start: place.start, end: place.end, column, entry })
    }

    fn mark(self) -> char {
        let code = 0xe000 + u32::from(self.column) * ENTRIES as u32 + u32::from(self.entry);
        char::from_u32(code).expect("the area of private use is all characters")
    }
}

/// Appends the stored form of `record` and forgets the values left out.
pub(crate) fn store(record: &str, left_out: &mut Vec<LeftOut>, to: &mut StringBuilder) {
    if record.as_bytes().contains(&LEAD) {
        left_out.clear();
        write(to, WHOLE);
    }
    left_out.sort_unstable_by_key(|value| value.start);
    let mut copied = 0;
    for value in left_out.drain(..) {
        write(to, &record[copied..value.start]);
        let mut mark = [0; MARK_BYTES];
        write(to, value.mark().encode_utf8(&mut mark));
        copied = value.end;
    }
    to.append_value(&record[copied..]);
}

fn write(to: &mut StringBuilder, text: &str) {
    to.write_str(text).expect("a builder takes any text");
}

/// Puts the values back into stored records. The inputs are the [`record_columns`] of a kind, in their order.
pub(crate) fn whole(inputs: &[ArrayRef]) -> Result<ArrayRef, ArrowError> {
    let (stored, columns) = parts(inputs)?;
    let rows = stored.len();
    let mut builder = StringBuilder::with_capacity(rows, stored.bytes() * 5 / 4);
    let mut bytes = 0;
    for row in 0..rows {
        let Some(text) = stored.at(row) else {
            builder.append_null();
            continue;
        };
        for piece in Pieces::of(text) {
            let piece = match piece {
                Piece::Text(text) => text,
                Piece::Mark { column, entry } => value(&columns, row, column, entry)?,
            };
            bytes += piece.len();
            if bytes > i32::MAX as usize {
                return Err(ArrowError::OffsetOverflowError(bytes));
            }
            write(&mut builder, piece);
        }
        builder.append_value("");
    }
    Ok(Arc::new(builder.finish()))
}

/// The bytes of all records of a batch as they were received.
pub(crate) fn whole_bytes(kind: StoreKind, batch: &RecordBatch) -> Result<usize, ArrowError> {
    let inputs: Option<Vec<_>> = record_columns(kind).iter().map(|name| batch.column_by_name(name).cloned()).collect();
    let inputs = inputs.ok_or_else(|| ArrowError::InvalidArgumentError("a column of the record is missing".into()))?;
    let (stored, columns) = parts(&inputs)?;
    let mut bytes = 0;
    for row in 0..stored.len() {
        for piece in stored.at(row).into_iter().flat_map(Pieces::of) {
            bytes += match piece {
                Piece::Text(text) => text.len(),
                Piece::Mark { column, entry } => value(&columns, row, column, entry)?.len(),
            };
        }
    }
    Ok(bytes)
}

fn parts(inputs: &[ArrayRef]) -> Result<(Texts<'_>, Vec<Values<'_>>), ArrowError> {
    let Some((stored, columns)) = inputs.split_first() else {
        return Err(ArrowError::InvalidArgumentError("a record is made of columns".to_owned()));
    };
    Ok((Texts::of(stored.as_ref())?, columns.iter().map(Values::of).collect::<Result<_, _>>()?))
}

fn value<'a>(columns: &[Values<'a>], row: usize, column: u8, entry: u8) -> Result<&'a str, ArrowError> {
    let value = columns.get(usize::from(column)).and_then(|values| values.at(row, usize::from(entry)));
    value
        .ok_or_else(|| ArrowError::InvalidArgumentError("a record names a value that its row does not have".to_owned()))
}

/// A stretch of a stored record, or what stands for a value.
enum Piece<'a> {
    Text(&'a str),
    Mark { column: u8, entry: u8 },
}

/// The pieces of a stored record.
struct Pieces<'a> {
    rest: &'a str,
    marks: bool,
}

impl<'a> Pieces<'a> {
    fn of(stored: &'a str) -> Self {
        match stored.strip_prefix(WHOLE) {
            Some(rest) => Self { rest, marks: false },
            None => Self { rest: stored, marks: true },
        }
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    #[inline]
    fn next(&mut self) -> Option<Piece<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let mark = if self.marks { find_lead(self.rest.as_bytes()) } else { None };
        match mark {
            Some(0) => {
                let (mark, rest) = self.rest.split_at(MARK_BYTES);
                let [_, column, entry] = mark.as_bytes() else { return None };
                self.rest = rest;
                Some(Piece::Mark { column: column - 0x80, entry: entry - 0x80 })
            }
            at => {
                let (text, rest) = self.rest.split_at(at.unwrap_or(self.rest.len()));
                self.rest = rest;
                Some(Piece::Text(text))
            }
        }
    }
}

/// Where the first mark begins. Records are nearly all ASCII: eight bytes at a time are ruled out.
#[inline]
fn find_lead(text: &[u8]) -> Option<usize> {
    let lead = |bytes: &[u8]| bytes.iter().position(|byte| *byte == LEAD);
    let mut at = 0;
    while let Some(word) = text[at..].first_chunk() {
        if u64::from_ne_bytes(*word) & 0x8080_8080_8080_8080 != 0
            && let Some(found) = lead(word)
        {
            return Some(at + found);
        }
        at += word.len();
    }
    lead(&text[at..]).map(|found| at + found)
}

/// A column of texts, however the reader lays it out.
#[derive(Clone, Copy)]
enum Texts<'a> {
    Plain(&'a StringArray),
    Views(&'a StringViewArray),
}

impl<'a> Texts<'a> {
    fn of(array: &'a dyn Array) -> Result<Self, ArrowError> {
        let plain = array.as_string_opt::<i32>().map(Self::Plain);
        plain.or_else(|| array.as_string_view_opt().map(Self::Views)).ok_or_else(|| {
            ArrowError::InvalidArgumentError(format!("a column of the record is text, not {}", array.data_type()))
        })
    }

    fn len(self) -> usize {
        match self {
            Self::Plain(texts) => texts.len(),
            Self::Views(texts) => texts.len(),
        }
    }

    fn bytes(self) -> usize {
        match self {
            Self::Plain(texts) => (texts.value_offsets()[texts.len()] - texts.value_offsets()[0]) as usize,
            Self::Views(texts) => texts.total_bytes_len(),
        }
    }

    #[inline]
    fn at(self, row: usize) -> Option<&'a str> {
        match self {
            Self::Plain(texts) => (row < texts.len() && texts.is_valid(row)).then(|| texts.value(row)),
            Self::Views(texts) => (row < texts.len() && texts.is_valid(row)).then(|| texts.value(row)),
        }
    }
}

/// A column that holds values left out of records.
enum Values<'a> {
    Texts(Texts<'a>),
    Map(&'a MapArray, Texts<'a>),
}

impl<'a> Values<'a> {
    fn of(array: &'a ArrayRef) -> Result<Self, ArrowError> {
        match array.as_map_opt() {
            Some(map) => Ok(Self::Map(map, Texts::of(map.values().as_ref())?)),
            None => Ok(Self::Texts(Texts::of(array.as_ref())?)),
        }
    }

    #[inline]
    fn at(&self, row: usize, entry: usize) -> Option<&'a str> {
        match self {
            Self::Texts(texts) => texts.at(row).filter(|_| entry == 0),
            Self::Map(map, values) => {
                let (start, end) = (map.value_offsets()[row] as usize, map.value_offsets()[row + 1] as usize);
                (map.is_valid(row) && start + entry < end).then(|| values.at(start + entry)).flatten()
            }
        }
    }
}

#[cfg(test)]
mod tests;
