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

const fn col(id: i32, json: &'static str, shape: Shape) -> Column {
    Column { id, json, alias: "", shape }
}

const fn text(id: i32, json: &'static str) -> Column {
    col(id, json, Shape::Text)
}

const fn map(id: i32, json: &'static str, inner: i32) -> Column {
    col(id, json, Shape::Map(inner, inner + 1))
}

const fn row(id: i32, json: &'static str, members: &'static [Column]) -> Column {
    col(id, json, Shape::Row(members))
}

const EVENT_TIME_COLUMN: &str = "eventTime";

static USER_IDENTITY: &[Column] = &[
    text(100, "type"),
    text(101, "principalId"),
    text(102, "arn"),
    text(103, "accountId"),
    text(104, "accessKeyId"),
    text(105, "userName"),
    row(
        106,
        "sessionContext",
        &[
            row(107, "attributes", &[col(108, "creationDate", Shape::Time), text(109, "mfaAuthenticated")]),
            row(
                110,
                "sessionIssuer",
                &[
                    text(111, "type"),
                    text(112, "principalId"),
                    text(113, "arn"),
                    text(114, "accountId"),
                    text(115, "userName"),
                ],
            ),
            row(116, "webIdFederationData", &[text(117, "federatedProvider"), map(118, "attributes", 119)]),
            text(121, "sourceIdentity"),
            text(122, "ec2RoleDelivery"),
            text(123, "ec2IssuedInVpc"),
        ],
    ),
    row(124, "onBehalfOf", &[text(125, "userId"), text(126, "identityStoreArn")]),
    row(
        127,
        "inScopeOf",
        &[
            text(128, "sourceArn"),
            text(129, "sourceAccount"),
            text(130, "issuerType"),
            // The published schema spells it so; records do not.
            Column { id: 131, json: "credentiaIsIssuedTo", alias: "credentialsIssuedTo", shape: Shape::Text },
        ],
    ),
    text(132, "invokedBy"),
    text(133, "identityProvider"),
];

static RESOURCES: &[Column] = &[text(141, "accountId"), text(142, "type"), text(143, "ARN"), text(144, "ARNPrefix")];

static EVENT_CONTEXT: &[Column] = &[
    map(180, "requestContext", 181),
    row(
        183,
        "tagContext",
        &[
            col(184, "resourceTags", Shape::List(185, &[text(186, "arn"), map(187, "tags", 188)])),
            map(190, "principalTags", 191),
        ],
    ),
];

static CLOUD_TRAIL: &[Column] = &[
    text(1, "eventVersion"),
    row(2, "userIdentity", USER_IDENTITY),
    col(3, EVENT_TIME_COLUMN, Shape::EventTime),
    text(4, "eventSource"),
    text(5, "eventName"),
    text(6, "awsRegion"),
    text(7, "sourceIPAddress"),
    text(8, "userAgent"),
    text(9, "errorCode"),
    text(10, "errorMessage"),
    map(11, "requestParameters", 150),
    map(12, "responseElements", 152),
    map(13, "additionalEventData", 154),
    text(14, "requestID"),
    text(15, "eventID"),
    col(16, "readOnly", Shape::Bool),
    col(17, "resources", Shape::List(140, RESOURCES)),
    text(18, "eventType"),
    text(19, "apiVersion"),
    col(20, "managementEvent", Shape::Bool),
    text(21, "recipientAccountId"),
    text(22, "sharedEventID"),
    text(23, "annotation"),
    text(24, "vpcEndpointId"),
    text(25, "vpcEndpointAccountId"),
    map(26, "serviceEventDetails", 156),
    map(27, "addendum", 158),
    map(28, "edgeDeviceDetails", 160),
    map(29, "insightDetails", 162),
    text(30, "eventCategory"),
    row(31, "tlsDetails", &[text(170, "tlsVersion"), text(171, "cipherSuite"), text(172, "clientProvidedHostHeader")]),
    text(32, "sessionCredentialFromConsole"),
    col(33, "eventJson", Shape::Record),
    // 34 is eventjsonchecksum, computed when read.
    row(35, "eventContext", EVENT_CONTEXT),
];

static LOOKUP: &[Column] = &[
    col(40, "lookupUsername", Shape::LookupText),
    col(41, "lookupResourceNames", Shape::LookupList(RESOURCE_NAME_ELEMENT)),
    col(43, "lookupResourceTypes", Shape::LookupList(44)),
];

static INSIGHT: &[Column] = &[
    text(1, "eventVersion"),
    text(2, "eventCategory"),
    text(3, "eventType"),
    text(4, "eventID"),
    col(5, EVENT_TIME_COLUMN, Shape::EventTime),
    text(6, "awsRegion"),
    text(7, "recipientAccountId"),
    text(8, "sharedEventID"),
    map(9, "addendum", 100),
    text(10, "insightSource"),
    text(11, "insightState"),
    text(12, "insightEventSource"),
    text(13, "insightEventName"),
    text(14, "insightErrorCode"),
    text(15, "insightType"),
    row(
        16,
        "insightContext",
        &[
            col(110, "baselineAverage", Shape::Double),
            col(111, "insightAverage", Shape::Double),
            col(112, "baselineDuration", Shape::Int),
            col(113, "insightDuration", Shape::Int),
            col(
                114,
                "attributions",
                Shape::List(
                    115,
                    &[
                        text(116, "attribute"),
                        text(117, "insightValue"),
                        col(118, "insightAverage", Shape::Double),
                        text(119, "baselineValue"),
                        col(120, "baselineAverage", Shape::Double),
                        row(121, "insight", &[text(122, "value"), col(123, "average", Shape::Double)]),
                        row(124, "baseline", &[text(125, "value"), col(126, "average", Shape::Double)]),
                    ],
                ),
            ),
        ],
    ),
    col(17, "eventJson", Shape::Record),
];

static CONFIGURATION_ITEM: &[Column] = &[
    text(1, "eventVersion"),
    text(2, "eventCategory"),
    text(3, "eventType"),
    text(4, "eventID"),
    col(5, EVENT_TIME_COLUMN, Shape::EventTime),
    text(6, "awsRegion"),
    text(7, "recipientAccountId"),
    map(8, "addendum", 100),
    row(
        9,
        "eventData",
        &[
            text(110, "configurationItemVersion"),
            text(111, "configurationItemCaptureTime"),
            text(112, "configurationItemStatus"),
            Column { id: 113, json: "configurationItemStateId", alias: "configurationStateId", shape: Shape::Text },
            text(114, "accountId"),
            text(115, "resourceType"),
            text(116, "resourceId"),
            text(117, "resourceName"),
            text(118, "arn"),
            text(119, "awsRegion"),
            text(120, "availabilityZone"),
            text(121, "resourceCreationTime"),
            map(122, "configuration", 130),
            map(123, "supplementaryConfiguration", 132),
            col(124, "relatedEvents", Shape::Json),
            col(
                125,
                "relationships",
                Shape::List(
                    134,
                    &[text(135, "name"), text(136, "resourceType"), text(137, "resourceId"), text(138, "resourceName")],
                ),
            ),
            map(126, "tags", 140),
        ],
    ),
    col(10, "eventJson", Shape::Record),
];

static EVIDENCE: &[Column] = &[
    text(1, "eventVersion"),
    text(2, "eventCategory"),
    text(3, "eventType"),
    text(4, "eventID"),
    col(5, EVENT_TIME_COLUMN, Shape::EventTime),
    text(6, "awsRegion"),
    text(7, "recipientAccountId"),
    map(8, "addendum", 100),
    row(
        9,
        "eventData",
        &[
            map(110, "attributes", 150),
            text(111, "awsAccountId"),
            text(112, "awsOrganization"),
            text(113, "complianceCheck"),
            text(114, "dataSource"),
            text(115, "eventName"),
            text(116, "eventSource"),
            text(117, "evidenceAwsAccountId"),
            text(118, "evidenceByType"),
            text(119, "iamId"),
            text(120, "evidenceId"),
            col(121, "time", Shape::Time),
            text(122, "assessmentId"),
            text(123, "controlSetId"),
            text(124, "controlId"),
            text(125, "controlName"),
            text(126, "controlDomainName"),
            text(127, "frameworkName"),
            text(128, "frameworkId"),
            text(129, "service"),
            text(130, "serviceCategory"),
            text(131, "resourceArn"),
            text(132, "resourceType"),
            text(133, "evidenceFolderId"),
            text(134, "description"),
            text(135, "manualEvidenceS3ResourcePath"),
            text(136, "evidenceFolderName"),
            text(137, "resourceComplianceCheck"),
        ],
    ),
    col(10, "eventJson", Shape::Record),
];

static ACTIVITY: &[Column] = &[
    text(1, "eventVersion"),
    text(2, "eventCategory"),
    text(3, "eventType"),
    text(4, "eventID"),
    col(5, EVENT_TIME_COLUMN, Shape::EventTime),
    text(6, "awsRegion"),
    text(7, "recipientAccountId"),
    row(
        8,
        "addendum",
        &[text(100, "reason"), text(101, "updatedFields"), text(102, "originalUID"), text(103, "originalEventID")],
    ),
    row(9, "metadata", &[text(110, "ingestionTime"), text(111, "channelARN")]),
    row(
        10,
        "eventData",
        &[
            text(120, "version"),
            row(121, "userIdentity", &[text(140, "type"), text(141, "principalId"), map(142, "details", 143)]),
            text(122, "userAgent"),
            text(123, "eventSource"),
            text(124, "eventName"),
            text(125, "eventTime"),
            text(126, "UID"),
            map(127, "requestParameters", 150),
            map(128, "responseElements", 152),
            text(129, "errorCode"),
            text(130, "errorMessage"),
            text(131, "sourceIPAddress"),
            text(132, "recipientAccountId"),
            map(133, "additionalEventData", 154),
        ],
    ),
    col(11, "eventJson", Shape::Record),
];

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
    KINDS.map(|kind| {
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

pub(crate) const KINDS: [StoreKind; 6] = [
    StoreKind::CloudTrail,
    StoreKind::Insight,
    StoreKind::ConfigurationItem,
    StoreKind::Evidence,
    StoreKind::Activity,
    StoreKind::History,
];

fn index(kind: StoreKind) -> usize {
    match kind {
        StoreKind::CloudTrail => 0,
        StoreKind::Insight => 1,
        StoreKind::ConfigurationItem => 2,
        StoreKind::Evidence => 3,
        StoreKind::Activity => 4,
        StoreKind::History => 5,
    }
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
        for kind in KINDS {
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
        for kind in KINDS {
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
