//! From records to Arrow: one pass over a record's bytes, then one push per column.
//!
//! Nothing in a record is an error here. What does not fit a column's type is NULL in that column; `eventjson` has the
//! text as it was received, in its [stored form](crate::record). Of members with the same name the last one counts, and one in the record's proper spelling
//! counts before one that differs in case.

use std::sync::Arc;

use arrow::array::{
    ArrayBuilder, ArrayRef, BooleanBuilder, FixedSizeBinaryBuilder, Float64Builder, Int32Builder, ListArray, MapArray,
    NullBufferBuilder, RecordBatch, StringBuilder, StructArray, TimestampMicrosecondBuilder,
    TimestampMillisecondBuilder, UInt64Builder,
};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, FieldRef, Fields};
use arrow::error::ArrowError;
use bytes::Bytes;
use jiff::Timestamp;

use towpath_model::{Event, EventKey, EventTime, Position, StoreKind};

use crate::lookup;
use crate::names::NameIndex;
use crate::record::{self, LeftOut, record_columns};
use crate::schema::{self, Column, EVENT_JSON, Shape};
use crate::tape::{Kind, Tape, Value};

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
        let json = String::from_utf8_lossy(&row.json);
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

/// Builds one column.
#[derive(Debug)]
enum Builder {
    Text(StringBuilder),
    Json(StringBuilder),
    Bool(BooleanBuilder),
    Int(Int32Builder),
    Double(Float64Builder),
    Time(TimestampMillisecondBuilder),
    Map(MapBuilder),
    Row(RowBuilder),
    List(ListBuilder),
    Record(StringBuilder),
    EventTime(TimestampMillisecondBuilder),
    LookupText(StringBuilder),
    LookupList(TextListBuilder),
}

impl Builder {
    fn new(shape: &'static Shape) -> Self {
        match shape {
            Shape::Text => Self::Text(StringBuilder::new()),
            Shape::Json => Self::Json(StringBuilder::new()),
            Shape::Bool => Self::Bool(BooleanBuilder::new()),
            Shape::Int => Self::Int(Int32Builder::new()),
            Shape::Double => Self::Double(Float64Builder::new()),
            Shape::Time => Self::Time(TimestampMillisecondBuilder::new()),
            Shape::Map(..) => Self::Map(MapBuilder::default()),
            Shape::Row(members) => Self::Row(RowBuilder::new(members)),
            Shape::List(_, members) => Self::List(ListBuilder::new(members)),
            Shape::Record => Self::Record(StringBuilder::new()),
            Shape::EventTime => Self::EventTime(TimestampMillisecondBuilder::new()),
            Shape::LookupText => Self::LookupText(StringBuilder::new()),
            Shape::LookupList(id) => Self::LookupList(TextListBuilder::new(*id)),
        }
    }

    #[inline]
    fn push(&mut self, value: Option<Value<'_>>, context: &mut Context<'_>) {
        match self {
            // Appended when it is known what the other columns have of it.
            Self::Record(_) => return,
            Self::EventTime(builder) => return builder.append_value(context.time.as_millis()),
            Self::LookupText(builder) => return builder.append_option(context.scratch.found.username()),
            Self::LookupList(builder) => return builder.push(&context.scratch.found),
            _ => {}
        }
        let Some(value) = value else { return self.push_null() };
        if let Self::Text(_) = self {
            context.stands_in_column(value, 0);
        }
        let scratch = &mut context.scratch.one;
        match self {
            Self::Text(builder) => builder.append_option(plain_text(value, scratch)),
            Self::Json(builder) => match value.kind() {
                Kind::Object | Kind::Array => builder.append_value(value.compact(scratch)),
                _ => builder.append_option(plain_text(value, scratch)),
            },
            Self::Bool(builder) => builder.append_option(boolean(value, scratch)),
            Self::Int(builder) => builder.append_option(number(value).and_then(|text| text.parse().ok())),
            Self::Double(builder) => builder.append_option(number(value).and_then(|text| text.parse().ok())),
            Self::Time(builder) => {
                let time = value.text(scratch).and_then(|text| EventTime::parse(text).ok());
                builder.append_option(time.map(EventTime::as_millis));
            }
            Self::Map(builder) => builder.push(value, context),
            Self::Row(builder) => builder.push(value, context),
            Self::List(builder) => builder.push(value, context),
            Self::Record(_) | Self::EventTime(_) | Self::LookupText(_) | Self::LookupList(_) => {}
        }
    }

    fn push_null(&mut self) {
        match self {
            Self::Text(builder) | Self::Json(builder) | Self::Record(builder) | Self::LookupText(builder) => {
                builder.append_null();
            }
            Self::Bool(builder) => builder.append_null(),
            Self::Int(builder) => builder.append_null(),
            Self::Double(builder) => builder.append_null(),
            Self::Time(builder) | Self::EventTime(builder) => builder.append_null(),
            Self::Map(builder) => builder.push_null(),
            Self::Row(builder) => builder.push_null(),
            Self::List(builder) => builder.push_null(),
            Self::LookupList(builder) => builder.push_null(),
        }
    }

    fn finish(self, field: &FieldRef) -> ArrayRef {
        match self {
            Self::Text(mut builder)
            | Self::Json(mut builder)
            | Self::Record(mut builder)
            | Self::LookupText(mut builder) => Arc::new(builder.finish()),
            Self::Bool(mut builder) => Arc::new(builder.finish()),
            Self::Int(mut builder) => Arc::new(builder.finish()),
            Self::Double(mut builder) => Arc::new(builder.finish()),
            Self::Time(mut builder) | Self::EventTime(mut builder) => Arc::new(builder.finish()),
            Self::Map(builder) => builder.finish(field),
            Self::Row(builder) => builder.finish(field),
            Self::List(builder) => builder.finish(field),
            Self::LookupList(builder) => builder.finish(field),
        }
    }
}

/// `true` and `false`, also as strings.
#[inline]
fn boolean(value: Value<'_>, scratch: &mut String) -> Option<bool> {
    match value.kind() {
        Kind::True => Some(true),
        Kind::False => Some(false),
        Kind::Text => match value.text(scratch)? {
            text if text.eq_ignore_ascii_case("true") => Some(true),
            text if text.eq_ignore_ascii_case("false") => Some(false),
            _ => None,
        },
        _ => None,
    }
}

fn number(value: Value<'_>) -> Option<&str> {
    (value.kind() == Kind::Number).then(|| value.source())
}

/// A map from the members of an object to text.
#[derive(Debug)]
struct MapBuilder {
    offsets: Vec<i32>,
    keys: StringBuilder,
    values: StringBuilder,
    nulls: NullBufferBuilder,
}

impl Default for MapBuilder {
    fn default() -> Self {
        Self {
            offsets: vec![0],
            keys: StringBuilder::new(),
            values: StringBuilder::new(),
            nulls: NullBufferBuilder::new(0),
        }
    }
}

impl MapBuilder {
    fn push(&mut self, value: Value<'_>, context: &mut Context<'_>) {
        if value.kind() != Kind::Object {
            return self.push_null();
        }
        let repeats = Repeats::of(value);
        let first = self.values.len();
        for (at, (name, value)) in value.members().enumerate() {
            if repeats.hides(at) {
                continue;
            }
            context.stands_in_column(value, self.values.len() - first);
            let scratch = &mut *context.scratch;
            self.keys.append_value(name.text(&mut scratch.one).unwrap_or_default());
            match value.kind() {
                Kind::Null => self.values.append_null(),
                Kind::Text => self.values.append_value(value.text(&mut scratch.two).unwrap_or_default()),
                Kind::Number | Kind::True | Kind::False => self.values.append_value(value.source()),
                Kind::Object | Kind::Array => self.values.append_value(value.compact(&mut scratch.two)),
            }
        }
        self.offsets.push(offset(self.values.len()));
        self.nulls.append_non_null();
    }

    fn push_null(&mut self) {
        self.offsets.push(offset(self.values.len()));
        self.nulls.append_null();
    }

    fn finish(mut self, field: &FieldRef) -> ArrayRef {
        let DataType::Map(entries, _) = field.data_type() else { unreachable!("the schema declares a map") };
        let DataType::Struct(members) = entries.data_type() else { unreachable!("the entries of a map are a struct") };
        let entries_array =
            StructArray::new(members.clone(), vec![Arc::new(self.keys.finish()), Arc::new(self.values.finish())], None);
        Arc::new(MapArray::new(entries.clone(), offsets(self.offsets), entries_array, self.nulls.finish(), false))
    }
}

/// Which members of an object are hidden by a later member of the same name.
enum Repeats {
    None,
    // Sorted.
    Hidden(Vec<usize>),
}

impl Repeats {
    fn of(object: Value<'_>) -> Self {
        let mut scratch = String::new();
        // Nearly every object is small and has no repeats: compare source texts before anything is allocated.
        let count = object.members().count();
        if count <= 8 {
            let plain = object.members().all(|(name, _)| !name.source().contains('\\'));
            let distinct = object
                .members()
                .enumerate()
                .all(|(at, (name, _))| object.members().take(at).all(|(earlier, _)| earlier.source() != name.source()));
            if plain && distinct {
                return Self::None;
            }
        }
        let mut last = std::collections::HashMap::with_capacity(count);
        let mut hidden = Vec::new();
        for (at, (name, _)) in object.members().enumerate() {
            let name = name.text(&mut scratch).unwrap_or_default().to_owned();
            if let Some(earlier) = last.insert(name, at) {
                hidden.push(earlier);
            }
        }
        if hidden.is_empty() {
            return Self::None;
        }
        hidden.sort_unstable();
        Self::Hidden(hidden)
    }

    #[inline]
    fn hides(&self, at: usize) -> bool {
        match self {
            Self::None => false,
            Self::Hidden(hidden) => hidden.binary_search(&at).is_ok(),
        }
    }
}

#[derive(Debug)]
struct RowBuilder {
    members: Members,
    nulls: NullBufferBuilder,
}

impl RowBuilder {
    fn new(members: &'static [Column]) -> Self {
        Self { members: Members::new(members.iter()), nulls: NullBufferBuilder::new(0) }
    }

    fn push(&mut self, value: Value<'_>, context: &mut Context<'_>) {
        if value.kind() != Kind::Object {
            return self.push_null();
        }
        self.members.find(Some(value), &mut context.scratch.one);
        self.members.push_found(Some(value), context);
        self.nulls.append_non_null();
    }

    fn push_null(&mut self) {
        self.members.push_null();
        self.nulls.append_null();
    }

    fn finish(mut self, field: &FieldRef) -> ArrayRef {
        let DataType::Struct(fields) = field.data_type() else { unreachable!("the schema declares a struct") };
        Arc::new(StructArray::new(fields.clone(), self.members.finish(fields), self.nulls.finish()))
    }
}

#[derive(Debug)]
struct ListBuilder {
    offsets: Vec<i32>,
    items: RowBuilder,
    length: usize,
    nulls: NullBufferBuilder,
}

impl ListBuilder {
    fn new(members: &'static [Column]) -> Self {
        Self { offsets: vec![0], items: RowBuilder::new(members), length: 0, nulls: NullBufferBuilder::new(0) }
    }

    fn push(&mut self, value: Value<'_>, context: &mut Context<'_>) {
        if value.kind() != Kind::Array {
            return self.push_null();
        }
        for item in value.items() {
            self.items.push(item, context);
            self.length += 1;
        }
        self.offsets.push(offset(self.length));
        self.nulls.append_non_null();
    }

    fn push_null(&mut self) {
        self.offsets.push(offset(self.length));
        self.nulls.append_null();
    }

    fn finish(mut self, field: &FieldRef) -> ArrayRef {
        let DataType::List(element) = field.data_type() else { unreachable!("the schema declares a list") };
        let items = self.items.finish(element);
        Arc::new(ListArray::new(element.clone(), offsets(self.offsets), items, self.nulls.finish()))
    }
}

/// A list of texts that are derived from the record.
#[derive(Debug)]
struct TextListBuilder {
    names: bool,
    offsets: Vec<i32>,
    values: StringBuilder,
    nulls: NullBufferBuilder,
}

impl TextListBuilder {
    fn new(element: i32) -> Self {
        Self {
            names: element == schema::RESOURCE_NAME_ELEMENT,
            offsets: vec![0],
            values: StringBuilder::new(),
            nulls: NullBufferBuilder::new(0),
        }
    }

    fn push(&mut self, found: &lookup::Found) {
        for resource in found.resources() {
            if self.names {
                self.values.append_value(&resource.name);
            } else {
                self.values.append_option(resource.kind.as_deref());
            }
        }
        self.offsets.push(offset(self.values.len()));
        self.nulls.append_non_null();
    }

    fn push_null(&mut self) {
        self.offsets.push(offset(self.values.len()));
        self.nulls.append_null();
    }

    fn finish(mut self, field: &FieldRef) -> ArrayRef {
        let DataType::List(element) = field.data_type() else { unreachable!("the schema declares a list") };
        let values = Arc::new(self.values.finish());
        Arc::new(ListArray::new(element.clone(), offsets(self.offsets), values, self.nulls.finish()))
    }
}

fn offset(length: usize) -> i32 {
    i32::try_from(length).expect("a batch is bounded far below 2^31 values")
}

fn offsets(offsets: Vec<i32>) -> OffsetBuffer<i32> {
    OffsetBuffer::new(ScalarBuffer::from(offsets))
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
