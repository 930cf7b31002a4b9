//! From records to Arrow: one pass over a record's bytes, then one push per column.
//!
//! Nothing in a record is an error here. What does not fit a column's type is NULL in that column; `eventjson` has the
//! text as it was received, in its [stored form](crate::record). Of members with the same name the last one counts, and one in the record's proper spelling
//! counts before one that differs in case.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeBinaryBuilder, RecordBatch, TimestampMicrosecondBuilder, UInt64Builder};
use arrow::datatypes::Fields;
use arrow::error::ArrowError;
use bytes::Bytes;
use jiff::Timestamp;

use towpath_model::{Event, EventKey, EventTime, Position, StoreKind};

use crate::lookup;
use crate::names::NameIndex;
use crate::record::{self, LeftOut, record_columns};
use crate::schema::{self, Column, EVENT_JSON};
use crate::tape::{Kind, Tape, Value};

mod column;
mod nested;

use column::Builder;

/// An event at its position, as much of it as a row needs.
#[derive(Clone, Debug)]
pub struct Row {
    /// Where the log has it.
    pub position: Position,
    /// Its identity in the store.
    pub key: EventKey,
    /// When it occurred.
    pub time: EventTime,
    /// When it was admitted.
    pub admitted: Timestamp,
    /// The record as received.
    pub json: Bytes,
}

impl Row {
    /// The row of `event` at `position`.
    pub fn of(position: Position, event: &Event) -> Self {
        Self { position, key: event.key, time: event.time, admitted: event.admitted, json: event.json.clone() }
    }
}

/// Turns rows of one store kind into a record batch with the kind's [file schema](crate::file_schema).
#[derive(Debug)]
pub struct BatchBuilder {
    kind: StoreKind,
    tape: Tape,
    members: Members,
    event_id: Option<usize>,
    record: usize,
    positions: UInt64Builder,
    admitted: TimestampMicrosecondBuilder,
    keys: FixedSizeBinaryBuilder,
    scratch: Scratch,
}

/// Buffers that are reused from row to row.
#[derive(Debug, Default)]
struct Scratch {
    one: String,
    two: String,
    found: lookup::Found,
    left_out: Vec<LeftOut>,
}

/// What a column needs to know of a row besides the JSON.
struct Context<'a> {
    time: EventTime,
    scratch: &'a mut Scratch,
    // The number by which a stored record names the column, if it may leave out the column's values.
    left_out_as: Option<u8>,
}

impl Context<'_> {
    /// Notes that the column has `value`, word for word, as its `entry`.
    #[inline]
    fn stands_in_column(&mut self, value: Value<'_>, entry: usize) {
        if let (Some(column), Some(place)) = (self.left_out_as, value.plain_text_range()) {
            self.scratch.left_out.extend(LeftOut::worthwhile(place, column, entry));
        }
    }
}

impl BatchBuilder {
    /// Starts a batch of about `rows` rows for stores of `kind`.
    pub fn new(kind: StoreKind, rows: usize) -> Self {
        let place = |name: &str| schema::columns(kind).position(|column| column.name() == name);
        let mut members = Members::new(schema::columns(kind));
        for (column, name) in (0..).zip(&record_columns(kind)[1..]) {
            members.left_out_as[place(name).expect("a record leaves out what columns have")] = Some(column);
        }
        Self {
            kind,
            tape: Tape::default(),
            members,
            event_id: place("eventid"),
            record: place(EVENT_JSON).expect("every kind has the record"),
            positions: UInt64Builder::with_capacity(rows),
            admitted: TimestampMicrosecondBuilder::with_capacity(rows),
            keys: FixedSizeBinaryBuilder::with_capacity(0, 16),
            scratch: Scratch::default(),
        }
    }

    /// Adds a row.
    pub fn push(&mut self, row: &Row) {
        let Self { kind, tape, members, event_id, record, positions, admitted, keys, scratch } = self;
        // Admission refuses what is not UTF-8; should it ever come here, the row still appears.
        let json = std::str::from_utf8(&row.json).map_or_else(|_| String::from_utf8_lossy(&row.json), Cow::Borrowed);
        let value = tape.read(&json).ok().filter(|value| value.kind() == Kind::Object);
        match value {
            Some(value) if *kind == StoreKind::History => scratch.found.derive(value),
            _ => scratch.found.clear(),
        }

        members.find(value, &mut scratch.one);
        let event_id = event_id.and_then(|at| members.slots[at].value(value?));
        let derived = derived_key(event_id, json.as_bytes(), &mut scratch.one);
        scratch.left_out.clear();
        members.push_found(value, &mut Context { time: row.time, scratch, left_out_as: None });
        if let Builder::Record(records) = &mut members.columns[*record] {
            record::store(&json, &mut scratch.left_out, records);
        }

        positions.append_value(row.position.as_u64());
        admitted.append_value(row.admitted.as_microsecond());
        if derived == row.key {
            keys.append_null();
        } else {
            keys.append_value(row.key.as_bytes()).expect("a key has sixteen bytes");
        }
    }

    /// Returns the batch of all rows pushed.
    pub fn finish(self) -> Result<RecordBatch, ArrowError> {
        let Self { kind, members, mut positions, mut admitted, mut keys, .. } = self;
        let schema = schema::file_schema(kind);
        let mut columns = members.finish(schema.fields());
        columns.push(Arc::new(positions.finish()));
        columns.push(Arc::new(admitted.finish()));
        columns.push(Arc::new(keys.finish()));
        RecordBatch::try_new(schema, columns)
    }
}

/// The key as a reader of the file derives it from the columns: see [`crate::keys::derived`].
fn derived_key(event_id: Option<Value<'_>>, json: &[u8], scratch: &mut String) -> EventKey {
    EventKey::of(event_id.and_then(|id| plain_text(id, scratch)), json)
}

/// The text that a `Text` column takes from a value: a string as it is, numbers and booleans as their JSON text.
#[inline]
fn plain_text<'s, 'a: 's>(value: Value<'a>, scratch: &'s mut String) -> Option<&'s str> {
    match value.kind() {
        Kind::Text => value.text(scratch),
        Kind::Number | Kind::True | Kind::False => Some(value.source()),
        Kind::Null | Kind::Object | Kind::Array => None,
    }
}

/// The members of an object as columns.
#[derive(Debug)]
struct Members {
    names: NameIndex,
    columns: Vec<Builder>,
    slots: Vec<Slot>,
    // For each column, the number by which a stored record names it.
    left_out_as: Vec<Option<u8>>,
}

/// Where the current object has a member: a token of its tape, and whether the name was spelled properly.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    token: usize,
    exact: bool,
}

impl Slot {
    /// The value in the tape that `within` belongs to. Token 0 is the record itself and no member.
    #[inline]
    fn value<'a>(self, within: Value<'a>) -> Option<Value<'a>> {
        (self.token != 0).then(|| within.sibling(self.token))
    }
}

impl Members {
    fn new(columns: impl Iterator<Item = &'static Column>) -> Self {
        let declared: Vec<_> = columns.collect();
        let names = declared.iter().enumerate().flat_map(|(at, column)| {
            [column.json, column.alias].into_iter().filter(|name| !name.is_empty()).map(move |name| (name, at))
        });
        Self {
            names: NameIndex::new(names),
            columns: declared.iter().map(|column| Builder::new(&column.shape)).collect(),
            slots: vec![Slot::default(); declared.len()],
            left_out_as: vec![None; declared.len()],
        }
    }

    /// Notes where `object` has each member.
    #[inline]
    fn find(&mut self, object: Option<Value<'_>>, scratch: &mut String) {
        self.slots.fill(Slot::default());
        let Some(object) = object else { return };
        for (name, value) in object.members() {
            let Some(name) = name.text(scratch) else { continue };
            let Some((at, exact)) = self.names.find(name) else { continue };
            let slot = &mut self.slots[at];
            if exact || !slot.exact {
                *slot = Slot { token: value.index(), exact };
            }
        }
    }

    /// Pushes what [`Members::find`] found.
    #[inline]
    fn push_found(&mut self, object: Option<Value<'_>>, context: &mut Context<'_>) {
        for ((column, slot), left_out_as) in self.columns.iter_mut().zip(&self.slots).zip(&self.left_out_as) {
            context.left_out_as = *left_out_as;
            column.push(object.and_then(|object| slot.value(object)), context);
        }
    }

    fn push_null(&mut self) {
        for column in &mut self.columns {
            column.push_null();
        }
    }

    fn finish(self, fields: &Fields) -> Vec<ArrayRef> {
        self.columns.into_iter().zip(fields).map(|(column, field)| column.finish(field)).collect()
    }
}

/// Converts rows to one batch.
pub fn batch_of(kind: StoreKind, rows: &[Row]) -> Result<RecordBatch, ArrowError> {
    let mut builder = BatchBuilder::new(kind, rows.len());
    for row in rows {
        builder.push(row);
    }
    builder.finish()
}

#[cfg(test)]
mod tests;
