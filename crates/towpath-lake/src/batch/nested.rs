//! Columns that hold several values a row: maps, structs and lists while they are built.

use std::sync::Arc;

use arrow::array::{ArrayBuilder, ArrayRef, ListArray, MapArray, NullBufferBuilder, StringBuilder, StructArray};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, FieldRef};

use super::{Context, Members};
use crate::lookup;
use crate::schema::{self, Column};
use crate::tape::{Kind, Value};

/// Where the values of each row end, and which rows have none at all.
#[derive(Debug)]
struct Ends {
    offsets: Vec<i32>,
    nulls: NullBufferBuilder,
}

impl Default for Ends {
    fn default() -> Self {
        Self { offsets: vec![0], nulls: NullBufferBuilder::new(0) }
    }
}

impl Ends {
    /// Adds a row; there are `values` of it and the rows before.
    fn push(&mut self, values: usize) {
        self.offsets.push(offset(values));
        self.nulls.append_non_null();
    }

    /// Adds a null.
    fn push_null(&mut self, values: usize) {
        self.offsets.push(offset(values));
        self.nulls.append_null();
    }

    fn finish(mut self) -> (OffsetBuffer<i32>, Option<NullBuffer>) {
        (OffsetBuffer::new(ScalarBuffer::from(self.offsets)), self.nulls.finish())
    }
}

/// A map from the members of an object to text.
#[derive(Debug, Default)]
pub(super) struct MapBuilder {
    keys: StringBuilder,
    values: StringBuilder,
    rows: Ends,
}

impl MapBuilder {
    pub(super) fn push(&mut self, value: Value<'_>, context: &mut Context<'_>) {
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
        self.rows.push(self.values.len());
    }

    pub(super) fn push_null(&mut self) {
        self.rows.push_null(self.values.len());
    }

    pub(super) fn finish(mut self, field: &FieldRef) -> ArrayRef {
        let DataType::Map(entries, _) = field.data_type() else { unreachable!("the schema declares a map") };
        let DataType::Struct(members) = entries.data_type() else { unreachable!("the entries of a map are a struct") };
        let entries_array =
            StructArray::new(members.clone(), vec![Arc::new(self.keys.finish()), Arc::new(self.values.finish())], None);
        let (ends, nulls) = self.rows.finish();
        Arc::new(MapArray::new(entries.clone(), ends, entries_array, nulls, false))
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
pub(super) struct RowBuilder {
    members: Members,
    nulls: NullBufferBuilder,
}

impl RowBuilder {
    pub(super) fn new(members: &'static [Column]) -> Self {
        Self { members: Members::new(members.iter()), nulls: NullBufferBuilder::new(0) }
    }

    pub(super) fn push(&mut self, value: Value<'_>, context: &mut Context<'_>) {
        if value.kind() != Kind::Object {
            return self.push_null();
        }
        self.members.find(Some(value), &mut context.scratch.one);
        self.members.push_found(Some(value), context);
        self.nulls.append_non_null();
    }

    pub(super) fn push_null(&mut self) {
        self.members.push_null();
        self.nulls.append_null();
    }

    pub(super) fn finish(mut self, field: &FieldRef) -> ArrayRef {
        let DataType::Struct(fields) = field.data_type() else { unreachable!("the schema declares a struct") };
        Arc::new(StructArray::new(fields.clone(), self.members.finish(fields), self.nulls.finish()))
    }
}

#[derive(Debug)]
pub(super) struct ListBuilder {
    items: RowBuilder,
    length: usize,
    rows: Ends,
}

impl ListBuilder {
    pub(super) fn new(members: &'static [Column]) -> Self {
        Self { items: RowBuilder::new(members), length: 0, rows: Ends::default() }
    }

    pub(super) fn push(&mut self, value: Value<'_>, context: &mut Context<'_>) {
        if value.kind() != Kind::Array {
            return self.push_null();
        }
        for item in value.items() {
            self.items.push(item, context);
            self.length += 1;
        }
        self.rows.push(self.length);
    }

    pub(super) fn push_null(&mut self) {
        self.rows.push_null(self.length);
    }

    pub(super) fn finish(self, field: &FieldRef) -> ArrayRef {
        let DataType::List(element) = field.data_type() else { unreachable!("the schema declares a list") };
        let items = self.items.finish(element);
        let (ends, nulls) = self.rows.finish();
        Arc::new(ListArray::new(element.clone(), ends, items, nulls))
    }
}

/// A list of texts that are derived from the record.
#[derive(Debug)]
pub(super) struct TextListBuilder {
    names: bool,
    values: StringBuilder,
    rows: Ends,
}

impl TextListBuilder {
    pub(super) fn new(element: i32) -> Self {
        Self { names: element == schema::RESOURCE_NAME_ELEMENT, values: StringBuilder::new(), rows: Ends::default() }
    }

    pub(super) fn push(&mut self, found: &lookup::Found) {
        for resource in found.resources() {
            if self.names {
                self.values.append_value(&resource.name);
            } else {
                self.values.append_option(resource.kind.as_deref());
            }
        }
        self.rows.push(self.values.len());
    }

    pub(super) fn push_null(&mut self) {
        self.rows.push_null(self.values.len());
    }

    pub(super) fn finish(mut self, field: &FieldRef) -> ArrayRef {
        let DataType::List(element) = field.data_type() else { unreachable!("the schema declares a list") };
        let values = Arc::new(self.values.finish());
        let (ends, nulls) = self.rows.finish();
        Arc::new(ListArray::new(element.clone(), ends, values, nulls))
    }
}

fn offset(length: usize) -> i32 {
    i32::try_from(length).expect("a batch is bounded far below 2^31 values")
}
