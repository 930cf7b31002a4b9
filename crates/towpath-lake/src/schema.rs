//! The columns of each store kind, declared once, with field ids that never change.
//!
//! A kind has two schemas. [`schema`] is what SQL sees, in the published order. [`file_schema`] is what Parquet files
//! and hot batches hold: the same columns without the [computed](crate::computed) ones, followed by hidden columns
//! that Towpath needs itself. Names are lower case at every depth. Every field carries its id under
//! `PARQUET:field_id`; an id is used for one field of one kind and is never given to another, so that files written
//! years apart can be read with one schema.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};

use towpath_model::StoreKind;

mod tables;

use tables::{ACTIVITY, CLOUD_TRAIL, CONFIGURATION_ITEM, EVIDENCE, INSIGHT, LOOKUP};

/// Hidden column: the position of the event in the log, `UInt64`, never NULL.
pub const POSITION: &str = "_position";
/// Hidden column: when Towpath admitted the event, microseconds since 1970 in UTC, never NULL.
pub const ADMITTED: &str = "_admitted";
/// Hidden column: the event's key as 16 bytes where it does not follow from `eventid`, else NULL.
pub const KEY: &str = "_key";
/// The column that holds the record as received.
pub const EVENT_JSON: &str = "eventjson";
/// The column that holds the SHA-256 of `eventjson`; computed when read.
pub const EVENT_JSON_CHECKSUM: &str = "eventjsonchecksum";
/// The column that holds when the event occurred.
pub const EVENT_TIME: &str = "eventtime";
/// Event history: the user name by which LookupEvents finds an event.
pub const LOOKUP_USERNAME: &str = "lookupusername";
/// Event history: the names of the resources an event touched, a list parallel to [`LOOKUP_RESOURCE_TYPES`].
pub const LOOKUP_RESOURCE_NAMES: &str = "lookupresourcenames";
/// Event history: the types of the resources, NULL where unknown.
pub const LOOKUP_RESOURCE_TYPES: &str = "lookupresourcetypes";

const FIELD_ID: &str = "PARQUET:field_id";

/// One declared column or struct member.
#[derive(Debug)]
pub(crate) struct Column {
    /// Stable id, unique within the kind.
    pub id: i32,
    /// The member's name as records spell it. The column's name is its lower-case form.
    pub json: &'static str,
    /// A second spelling that records use, or the empty text.
    pub alias: &'static str,
    /// What it holds.
    pub shape: Shape,
}

/// The type of a column, and how a JSON value fills it.
#[derive(Debug)]
pub(crate) enum Shape {
    /// A JSON string; numbers and booleans as their JSON text.
    Text,
    /// Like `Text`, and objects and arrays as compact JSON text.
    Json,
    /// A JSON boolean, or the strings `true` and `false`.
    Bool,
    /// A JSON integer of 32 bits.
    Int,
    /// A JSON number.
    Double,
    /// A JSON string with a time; milliseconds.
    Time,
    /// A JSON object of anything; ids of key and value.
    Map(i32, i32),
    /// A JSON object of known members.
    Row(&'static [Column]),
    /// A JSON array of objects of known members; id of the element.
    List(i32, &'static [Column]),
    /// The record itself.
    Record,
    /// The event's own time, as admission read it.
    EventTime,
    /// Derived for LookupEvents: a text.
    LookupText,
    /// Derived for LookupEvents: a list of texts; id of the element.
    LookupList(i32),
}

/// The id of the elements of [`LOOKUP_RESOURCE_NAMES`].
pub(crate) const RESOURCE_NAME_ELEMENT: i32 = 42;

// Ids of the hidden columns, the same for every kind.
const POSITION_ID: i32 = 900;
const ADMITTED_ID: i32 = 901;
const KEY_ID: i32 = 902;
const CHECKSUM_ID: i32 = 34;

/// The declared columns of `kind` that files hold, hidden ones excepted.
pub(crate) fn columns(kind: StoreKind) -> impl Iterator<Item = &'static Column> {
    let (main, more): (&'static [Column], &'static [Column]) = match kind {
        StoreKind::CloudTrail => (CLOUD_TRAIL, &[]),
        StoreKind::History => (CLOUD_TRAIL, LOOKUP),
        StoreKind::Insight => (INSIGHT, &[]),
        StoreKind::ConfigurationItem => (CONFIGURATION_ITEM, &[]),
        StoreKind::Evidence => (EVIDENCE, &[]),
        StoreKind::Activity => (ACTIVITY, &[]),
    };
    main.iter().chain(more)
}

impl Column {
    /// The column's name: the record's spelling in lower case.
    pub fn name(&self) -> String {
        self.json.to_ascii_lowercase()
    }

    /// The Arrow field, with ids at every depth.
    pub fn field(&self) -> Field {
        field(self.id, &self.name(), self.shape.data_type(), true)
    }
}

impl Shape {
    fn data_type(&self) -> DataType {
        match self {
            Self::Text | Self::Json | Self::Record | Self::LookupText => DataType::Utf8,
            Self::Bool => DataType::Boolean,
            Self::Int => DataType::Int32,
            Self::Double => DataType::Float64,
            Self::Time | Self::EventTime => DataType::Timestamp(TimeUnit::Millisecond, None),
            Self::Map(key, value) => {
                let entries =
                    vec![field(*key, "key", DataType::Utf8, false), field(*value, "value", DataType::Utf8, true)];
                let entries = Field::new("key_value", DataType::Struct(entries.into()), false);
                DataType::Map(Arc::new(entries), false)
            }
            Self::Row(members) => DataType::Struct(fields(members)),
            Self::List(id, members) => {
                DataType::List(Arc::new(field(*id, "element", DataType::Struct(fields(members)), true)))
            }
            Self::LookupList(id) => DataType::List(Arc::new(field(*id, "element", DataType::Utf8, true))),
        }
    }
}

fn fields(columns: &'static [Column]) -> Fields {
    columns.iter().map(Column::field).collect()
}

fn field(id: i32, name: &str, data_type: DataType, nullable: bool) -> Field {
    Field::new(name, data_type, nullable).with_metadata(HashMap::from([(FIELD_ID.to_owned(), id.to_string())]))
}

/// The columns that SQL sees in a store of this kind, in the published order.
///
/// All are nullable. `eventtime` is `Timestamp(Millisecond)` without a zone, meaning UTC; texts are `Utf8`; maps have
/// entries `key` and `value`. Columns that are not in [`file_schema`] are [computed](crate::computed).
pub fn schema(kind: StoreKind) -> SchemaRef {
    SCHEMAS[index(kind)].0.clone()
}

/// The columns of Parquet files and hot batches of this kind: stored public columns, then hidden ones.
pub fn file_schema(kind: StoreKind) -> SchemaRef {
    SCHEMAS[index(kind)].1.clone()
}

static SCHEMAS: LazyLock<[(SchemaRef, SchemaRef); 6]> = LazyLock::new(|| {
    StoreKind::ALL.map(|kind| {
        let stored: Vec<_> = columns(kind).map(Column::field).collect();
        let mut public = Vec::new();
        for field in &stored {
            public.push(field.clone());
            if field.name() == EVENT_JSON && matches!(kind, StoreKind::CloudTrail | StoreKind::History) {
                public.push(self::field(CHECKSUM_ID, EVENT_JSON_CHECKSUM, DataType::Utf8, true));
            }
        }
        let mut file = stored;
        file.push(field(POSITION_ID, POSITION, DataType::UInt64, false));
        file.push(field(ADMITTED_ID, ADMITTED, DataType::Timestamp(TimeUnit::Microsecond, None), false));
        file.push(field(KEY_ID, KEY, DataType::FixedSizeBinary(16), true));
        (Arc::new(Schema::new(public)), Arc::new(Schema::new(file)))
    })
});

/// The place of a kind among [`StoreKind::ALL`].
const fn index(kind: StoreKind) -> usize {
    kind as usize
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn ids(field: &Field, path: &str, found: &mut Vec<(i32, String)>) {
        let path = format!("{path}/{}", field.name());
        assert_eq!(field.name(), &field.name().to_ascii_lowercase(), "{path}");
        match field.metadata().get(FIELD_ID) {
            Some(id) => found.push((id.parse().unwrap(), path.clone())),
            // The entries of a map are no field of their own in Parquet or Iceberg.
            None => assert!(path.ends_with("/key_value"), "{path} has no id"),
        }
        match field.data_type() {
            DataType::Struct(members) => members.iter().for_each(|member| ids(member, &path, found)),
            DataType::List(element) => ids(element, &path, found),
            DataType::Map(entries, _) => ids(entries, &path, found),
            _ => {}
        }
    }

    #[test]
    fn every_field_of_a_kind_has_its_own_id_and_a_lower_case_name() {
        for kind in StoreKind::ALL {
            let mut found = Vec::new();
            file_schema(kind).fields().iter().for_each(|field| ids(field, "", &mut found));
            let distinct: HashSet<_> = found.iter().map(|(id, _)| *id).collect();
            assert_eq!(distinct.len(), found.len(), "{kind:?}: {found:?}");
        }
    }

    #[test]
    fn cloudtrail_columns_stand_in_the_published_order() {
        let names: Vec<_> = schema(StoreKind::CloudTrail).fields().iter().map(|f| f.name().clone()).collect();
        let published = "eventversion useridentity eventtime eventsource eventname awsregion sourceipaddress useragent \
             errorcode errormessage requestparameters responseelements additionaleventdata requestid eventid readonly \
             resources eventtype apiversion managementevent recipientaccountid sharedeventid annotation vpcendpointid \
             vpcendpointaccountid serviceeventdetails addendum edgedevicedetails insightdetails eventcategory tlsdetails \
             sessioncredentialfromconsole eventjson eventjsonchecksum eventcontext";
        assert_eq!(names.join(" "), published);
    }

    #[test]
    fn the_ids_of_fields_are_those_of_files_already_written() {
        // A changed number here means that files written before can no longer be read. Add; never change.
        let mut found = Vec::new();
        for kind in StoreKind::ALL {
            let mut of_kind = Vec::new();
            file_schema(kind).fields().iter().for_each(|field| ids(field, "", &mut of_kind));
            found.extend(of_kind.into_iter().map(|(id, path)| format!("{kind:?}{path}={id}")));
        }
        let digest = {
            use sha2::{Digest, Sha256};
            hex::encode(Sha256::digest(found.join("\n")))
        };
        assert_eq!(digest, GOLDEN_IDS, "{}", found.join("\n"));
    }

    const GOLDEN_IDS: &str = "c96a3b2e65d8ece22f9dcf916791cb0fd7dfe2713539a3e1f99b31b9b4c3fff3";
}
