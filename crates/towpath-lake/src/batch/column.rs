//! One column of a batch while it is built: what each kind of column takes from a JSON value.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Float64Builder, Int32Builder, StringBuilder, TimestampMillisecondBuilder,
};
use arrow::datatypes::FieldRef;

use towpath_model::EventTime;

use super::nested::{ListBuilder, MapBuilder, RowBuilder, TextListBuilder};
use super::{Context, plain_text};
use crate::schema::Shape;
use crate::tape::{Kind, Value};

/// Builds one column.
#[derive(Debug)]
pub(super) enum Builder {
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
    pub(super) fn new(shape: &'static Shape) -> Self {
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
    pub(super) fn push(&mut self, value: Option<Value<'_>>, context: &mut Context<'_>) {
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

    pub(super) fn push_null(&mut self) {
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

    pub(super) fn finish(self, field: &FieldRef) -> ArrayRef {
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
