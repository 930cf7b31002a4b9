//! Log files of imports: taken apart into records, in whatever of the usual forms they come.
//!
//! ```text
//! {"Records":[R, R, ...]}            as CloudTrail delivers
//! [R, R, ...]      R      R\nR\n...  arrays, single records, one record a line
//! {"Events":[{"CloudTrailEvent":"<R as a string>", ...}]}, or a list of such    LookupEvents
//! {"detail-type":..., "detail":R}    events taken from EventBridge
//! ```
//!
//! The forms may follow one another in a file, and the file may be gzip or plain. The text is read in windows, so that
//! memory depends on the largest record and not on the file; a record is a slice of the window it lies in, byte for
//! byte as received. What is no event is reported with its number and the reason, and reading goes on behind it.

use std::io::Read;

use bytes::Bytes;

use towpath_model::Region;

use crate::imported::{self, ImportedRecord, Reason, RecordProblem};
use crate::json::{Flaw, Raw, Scan};

mod error;
mod recovery;
mod source;
mod value;
mod window;

pub use error::{Foreign, LogFileError, LogFileLimits};
use recovery::{Found, Recovery, next_line};
pub use source::Encoding;
use value::{Value, scan_value};
use window::Window;

/// One part of a log file.
#[derive(Debug)]
pub enum Item {
    /// A record that can become an event.
    Record(ImportedRecord),
    /// Something that cannot.
    Problem(RecordProblem),
}

/// What was read so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogFileTotals {
    /// Records handed out.
    pub records: u64,
    /// Problems handed out.
    pub problems: u64,
    /// Bytes taken from the file.
    pub file_bytes: u64,
    /// Bytes of text after decompression.
    pub text_bytes: u64,
}

/// A log file that is being read. Reading blocks where the source does.
pub struct LogFile<R> {
    window: Window<R>,
    limits: LogFileLimits,
    place: Place,
    number: u64,
    last_region: Option<Region>,
    totals: LogFileTotals,
}

/// Where in the file's structure the window's `at` stands.
#[derive(Debug)]
enum Place {
    /// Between values of the outermost level.
    Top,
    /// Inside an array, before an item or the end. `separated`: no comma is needed any more.
    Items { wrapped: bool, separated: bool },
    /// Behind the array of a wrapper such as `{"Records":[...]`.
    Tail,
    /// Inside a damaged or oversized item of an array.
    DamagedItem { wrapped: bool, search: Recovery },
    /// Inside a damaged or oversized value of the outermost level.
    DamagedTop,
    /// At the end.
    Done,
}

type Step = Option<Result<Item, LogFileError>>;

impl<R: Read> LogFile<R> {
    /// Reads the first bytes of a file and tells how it is stored.
    pub fn open(source: R, limits: LogFileLimits) -> Result<Self, LogFileError> {
        let window = Window::open(source, limits)?;
        let totals = LogFileTotals::default();
        Ok(Self { window, limits, place: Place::Top, number: 0, last_region: None, totals })
    }

    /// How the file is stored.
    pub fn encoding(&self) -> Encoding {
        self.window.source().encoding()
    }

    /// What was read so far.
    pub fn totals(&self) -> LogFileTotals {
        let source = self.window.source();
        LogFileTotals { file_bytes: source.consumed(), text_bytes: source.produced(), ..self.totals }
    }

    /// Reads on to the next record or problem. Returns `None` at the end; an error is returned once and ends the file.
    pub fn next_item(&mut self) -> Result<Option<Item>, LogFileError> {
        loop {
            let step = match &self.place {
                Place::Top => self.top(),
                Place::Items { wrapped, separated } => self.items(*wrapped, *separated),
                Place::Tail => self.tail(),
                Place::DamagedItem { .. } => self.damaged_item(),
                Place::DamagedTop => self.damaged_top(),
                Place::Done => return self.window.take_error().map_or(Ok(None), Err),
            };
            match step {
                None => {}
                Some(Ok(item)) => {
                    match item {
                        Item::Record(_) => self.totals.records += 1,
                        Item::Problem(_) => self.totals.problems += 1,
                    }
                    return Ok(Some(item));
                }
                Some(Err(error)) => {
                    self.place = Place::Done;
                    self.window.take_error();
                    return Err(error);
                }
            }
        }
    }

    /// Passes over white space and returns the next byte; `None` at the end of the file.
    fn next_byte(&mut self) -> Option<u8> {
        loop {
            let blank = |byte: &u8| matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
            let rest = self.window.rest();
            let skipped = rest.iter().position(|byte| !blank(byte)).unwrap_or(rest.len());
            self.window.at += skipped;
            if let Some(byte) = self.window.rest().first() {
                return Some(*byte);
            }
            if self.window.at_end() {
                return None;
            }
            self.window.refill();
        }
    }

    fn top(&mut self) -> Step {
        if self.window.offset() == 0
            && self.next_byte() == Some(0xef)
            && self.window.rest().starts_with(b"\xef\xbb\xbf")
        {
            self.window.at += 3;
        }
        match self.next_byte() {
            None => {
                self.place = Place::Done;
                None
            }
            Some(b'[') => {
                self.window.at += 1;
                self.place = Place::Items { wrapped: false, separated: true };
                None
            }
            Some(b'{') => self.value(false, false),
            Some(_) if self.number == 0 => Some(Err(LogFileError::NotJson)),
            Some(_) => {
                self.place = Place::DamagedTop;
                self.number += 1;
                Some(
                    Ok(self.problem(self.window.offset(), Reason::Malformed("expected an object or array".to_owned()))),
                )
            }
        }
    }

    fn items(&mut self, wrapped: bool, separated: bool) -> Step {
        let Some(byte) = self.next_byte() else { return self.ends() };
        match byte {
            b']' => {
                self.window.at += 1;
                self.place = if wrapped { Place::Tail } else { Place::Top };
                None
            }
            b',' if !separated => {
                self.window.at += 1;
                self.place = Place::Items { wrapped, separated: true };
                None
            }
            _ if separated => self.value(true, wrapped),
            _ => Some(Err(self.broken("expected `,` or `]`"))),
        }
    }

    /// Reads the rest of a wrapper behind its array.
    fn tail(&mut self) -> Step {
        let Some(byte) = self.next_byte() else { return self.ends() };
        let buffer = self.window.buffer();
        let mut scan = Scan::at(&buffer, self.window.at);
        if byte == b'}' {
            self.window.at += 1;
            self.place = Place::Top;
            return None;
        }
        let member = scan.next_key(false).and_then(|key| {
            let array = key.is_some_and(|key| key.is("Records") || key.is("Events")) && scan.peek()? == b'[';
            if !array {
                scan.nested()?;
            }
            Ok(array)
        });
        match member {
            Ok(array) => {
                self.window.at = scan.offset() + usize::from(array);
                if array {
                    self.place = Place::Items { wrapped: true, separated: true };
                }
                None
            }
            Err(Flaw::Ends) if self.window.at_end() => self.ends(),
            Err(Flaw::Ends) if self.window.rest().len() <= self.limits.record_bytes => {
                self.window.refill();
                None
            }
            Err(Flaw::Ends) => Some(Err(self.broken("a member is too long"))),
            Err(Flaw::Bad { at, what }) => {
                self.window.at = at;
                Some(Err(self.broken(what)))
            }
        }
    }

    /// Reads one value: an item of an array, or a value of the outermost level.
    fn value(&mut self, item: bool, wrapped: bool) -> Step {
        let buffer = self.window.buffer();
        let (start, offset) = (self.window.at, self.window.offset());
        let mut scan = Scan::at(&buffer, start);
        match scan_value(&mut scan, !item) {
            Ok(Value::Wrapper { array }) => {
                self.window.at = array + 1;
                self.place = Place::Items { wrapped: true, separated: true };
                None
            }
            Ok(Value::Foreign(kind)) if self.number == 0 => Some(Err(LogFileError::Foreign(kind))),
            Ok(Value::Foreign(kind)) => {
                // The scan stopped inside the object.
                self.place = damaged(item, wrapped, Recovery::of_valid());
                self.number += 1;
                Some(Ok(self.problem(offset, Reason::Foreign(kind))))
            }
            Ok(Value::Other) if scan.offset() == buffer.len() && !self.window.at_end() => {
                // A number may go on behind the window.
                self.window.refill();
                None
            }
            Ok(value) => {
                self.window.at = scan.offset();
                self.place = if item { Place::Items { wrapped, separated: false } } else { Place::Top };
                self.number += 1;
                let record = match value {
                    Value::Object { whole, fields } => self.record(&buffer, start, whole, &fields),
                    _ => Err(Reason::NotAnObject),
                };
                Some(Ok(record.map_or_else(|reason| self.problem(offset, reason), Item::Record)))
            }
            Err(Flaw::Ends) if self.window.at_end() => {
                self.number += 1;
                // On the outermost level a line that was cut must not hide the lines behind it.
                self.place = if item { Place::Done } else { Place::DamagedTop };
                Some(Ok(self.problem(offset, Reason::Cut)))
            }
            Err(Flaw::Ends) if self.window.rest().len() <= self.limits.record_bytes => {
                self.window.refill();
                None
            }
            Err(flaw) => {
                self.number += 1;
                let (search, reason) = match flaw {
                    Flaw::Ends => (Recovery::of_valid(), Reason::TooLong { limit: self.limits.record_bytes }),
                    Flaw::Bad { at, what } => {
                        let place = at - start;
                        (Recovery::of_damaged(), Reason::Malformed(format!("{what} at byte {place} of the record")))
                    }
                };
                self.place = damaged(item, wrapped, search);
                Some(Ok(self.problem(offset, reason)))
            }
        }
    }

    /// Makes a record of an object that was found at `start` of the buffer.
    fn record(
        &mut self,
        buffer: &Bytes,
        start: usize,
        whole: Raw<'_>,
        fields: &imported::Fields<'_>,
    ) -> Result<ImportedRecord, Reason> {
        let offset = self.window.offset() - whole.text().len() as u64;
        if whole.text().len() > self.limits.record_bytes {
            return Err(Reason::TooLong { limit: self.limits.record_bytes });
        }
        let text = buffer.slice(start..start + whole.text().len());
        ImportedRecord::read(self.number, offset, &text, whole, fields, &mut self.last_region)
    }

    fn damaged_item(&mut self) -> Step {
        let last = self.window.at_end();
        let Place::DamagedItem { wrapped, search } = &mut self.place else { return None };
        let wrapped = *wrapped;
        match search.search(self.window.rest(), last) {
            Found::End(at) => {
                self.window.at += at;
                self.place = Place::Items { wrapped, separated: false };
            }
            Found::Record(at) => {
                self.window.at += at;
                self.place = Place::Items { wrapped, separated: true };
            }
            Found::More(seen) => {
                self.window.at += seen;
                if last {
                    self.place = Place::Done;
                }
                self.window.refill();
            }
        }
        None
    }

    fn damaged_top(&mut self) -> Step {
        let last = self.window.at_end();
        match next_line(self.window.rest(), last) {
            Found::More(seen) => {
                self.window.at += seen;
                if last {
                    self.place = Place::Done;
                }
                self.window.refill();
            }
            Found::End(at) | Found::Record(at) => {
                self.window.at += at;
                self.place = Place::Top;
            }
        }
        None
    }

    /// The file ends inside an array or wrapper.
    fn ends(&mut self) -> Step {
        self.place = Place::Done;
        let error = self.window.take_error().unwrap_or_else(|| self.broken("the text ends inside an array"));
        Some(Err(error))
    }

    fn broken(&self, what: &'static str) -> LogFileError {
        LogFileError::Broken { offset: self.window.offset(), what }
    }

    fn problem(&self, offset: u64, reason: Reason) -> Item {
        Item::Problem(RecordProblem { number: self.number, offset, reason })
    }
}

/// The place inside a value that is passed over.
fn damaged(item: bool, wrapped: bool, search: Recovery) -> Place {
    if item { Place::DamagedItem { wrapped, search } } else { Place::DamagedTop }
}

#[cfg(test)]
mod tests;
