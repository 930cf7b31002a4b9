//! Why an audit event, or a whole PutAuditEvents call, is refused.
//!
//! Messages name the field, the limit and the place. They never repeat a value from the event: a refusal travels to
//! logs and to callers who may not be allowed to read the event.

use crate::json::Flaw;

/// Why one audit event of a call is refused; the others are not affected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// `eventData` is longer than [`crate::MAX_EVENT_BYTES`].
    #[error("eventData has {bytes} bytes, more than the {limit} that an event may have")]
    TooLarge {
        /// The length received.
        bytes: usize,
        /// The longest length accepted.
        limit: usize,
    },
    /// The checksum is not the base64 text of the SHA-256 of `eventData`.
    #[error("eventDataChecksum is not the base64-encoded SHA-256 of eventData")]
    Checksum,
    /// `eventData` is not JSON, or nested too deeply.
    #[error("eventData is not valid JSON: {0}")]
    NotJson(JsonFlaw),
    /// `eventData` is JSON but not an object.
    #[error("eventData is not a JSON object")]
    NotAnObject,
    /// A field that this API defines occurs twice, so that readers could disagree about its value.
    #[error("field {0} occurs more than once")]
    Repeated(&'static str),
    /// A required field is absent or null.
    #[error("field {0} is required")]
    Missing(&'static str),
    /// A field has the wrong JSON type.
    #[error("field {field} is not {expected}")]
    Type {
        /// The field, with its path inside `eventData`.
        field: &'static str,
        /// `a string` or `an object`.
        expected: &'static str,
    },
    /// A text field has too many characters.
    #[error("field {field} has more than {limit} characters")]
    TextTooLong {
        /// The field.
        field: &'static str,
        /// The most characters accepted.
        limit: usize,
    },
    /// An object field has too many bytes.
    #[error("field {field} has more than {limit} bytes")]
    ObjectTooLong {
        /// The field.
        field: &'static str,
        /// The most bytes accepted, counted over the member's JSON text as sent.
        limit: usize,
    },
    /// `eventTime` has no accepted form.
    #[error("field eventTime is not a UTC time of the form yyyy-MM-ddTHH:mm:ss, with an optional fraction and Z")]
    Time,
    /// `sourceIPAddress` is no address.
    #[error("field sourceIPAddress is neither an IPv4 nor an IPv6 address")]
    Address,
    /// `recipientAccountId` is not the account that owns the channel.
    #[error("field recipientAccountId is not the account that owns the channel")]
    Recipient,
    /// `eventSource` is the name of an AWS service.
    #[error("field eventSource names an AWS service; events of AWS services cannot be sent through a channel")]
    Source,
}

/// Where and why a text is not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct JsonFlaw(#[from] pub(crate) Flaw);

impl Refusal {
    /// The `errorCode` of the entry in the answer to PutAuditEvents.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } | Self::NotJson(_) | Self::NotAnObject | Self::Repeated(_) => "InvalidData",
            Self::Type { .. } | Self::Time | Self::Address => "InvalidData",
            Self::Checksum => "InvalidChecksum",
            Self::Missing(_) => "FieldNotFound",
            Self::TextTooLong { .. } | Self::ObjectTooLong { .. } => "FieldTooLong",
            Self::Recipient => "InvalidRecipient",
            Self::Source => "InvalidEventSource",
        }
    }
}

/// Why a whole call is refused before any of its events is looked at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallRefusal {
    /// The call has no entries.
    #[error("auditEvents has no entries; a call has 1 to {limit}")]
    Empty {
        /// The most entries in a call.
        limit: usize,
    },
    /// The call has too many entries.
    #[error("auditEvents has {entries} entries; a call has 1 to {limit}")]
    TooMany {
        /// The entries received.
        entries: usize,
        /// The most entries in a call.
        limit: usize,
    },
    /// The request is too large.
    #[error("the request has {bytes} bytes; it must have fewer than {limit}")]
    TooLarge {
        /// The length of the body.
        bytes: usize,
        /// The first length that is refused.
        limit: usize,
    },
    /// An entry's id has a wrong form.
    #[error("the id of entry {entry} is not 1 to 128 letters, digits, hyphens and underscores")]
    Id {
        /// The entry's number in the call; the first is 1.
        entry: usize,
    },
    /// Two entries share an id.
    #[error("entries {first} and {second} have the same id")]
    Duplicate {
        /// The number of the earlier entry; the first of a call is 1.
        first: usize,
        /// The number of the later entry.
        second: usize,
    },
}

impl CallRefusal {
    /// The name of the API's error: `DuplicatedAuditEventId` where the model has one, else `ValidationException`.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Duplicate { .. } => "DuplicatedAuditEventId",
            _ => "ValidationException",
        }
    }
}
