//! What a look-up in event history asks for, and what it answers.

use jiff::Timestamp;
use towpath_lake::{LOOKUP_RESOURCE_NAMES, LOOKUP_RESOURCE_TYPES, LOOKUP_USERNAME};
use towpath_model::EventTime;

/// By which attribute events are looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LookupKey {
    /// `userIdentity.accessKeyId`.
    AccessKeyId,
    /// `eventID`.
    EventId,
    /// `eventName`.
    EventName,
    /// `eventSource`.
    EventSource,
    /// `readOnly`: `true` or `false`.
    ReadOnly,
    /// A resource that the event touched, by name.
    ResourceName,
    /// A resource that the event touched, by type.
    ResourceType,
    /// The user or role session.
    Username,
}

impl LookupKey {
    /// Every key.
    pub const ALL: [Self; 8] = [
        Self::AccessKeyId,
        Self::EventId,
        Self::EventName,
        Self::EventSource,
        Self::ReadOnly,
        Self::ResourceName,
        Self::ResourceType,
        Self::Username,
    ];

    /// The text on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AccessKeyId => "AccessKeyId",
            Self::EventId => "EventId",
            Self::EventName => "EventName",
            Self::EventSource => "EventSource",
            Self::ReadOnly => "ReadOnly",
            Self::ResourceName => "ResourceName",
            Self::ResourceType => "ResourceType",
            Self::Username => "Username",
        }
    }

    /// The key with this exact text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|key| key.as_str() == text)
    }

    /// The column that holds it.
    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::AccessKeyId => "useridentity.accesskeyid",
            Self::EventId => "eventid",
            Self::EventName => "eventname",
            Self::EventSource => "eventsource",
            Self::ReadOnly => "readonly",
            Self::ResourceName => LOOKUP_RESOURCE_NAMES,
            Self::ResourceType => LOOKUP_RESOURCE_TYPES,
            Self::Username => LOOKUP_USERNAME,
        }
    }
}

/// What to look up.
#[derive(Clone, Debug, Default)]
pub struct LookupRequest {
    /// The attribute and the value it must have exactly; all events without.
    pub attribute: Option<(LookupKey, String)>,
    /// Occurred at or after; 90 days ago if absent.
    pub start_time: Option<Timestamp>,
    /// Occurred at or before; no limit if absent.
    pub end_time: Option<Timestamp>,
    /// `MaxResults`: 1 to 50, 50 if absent.
    pub max_results: Option<i64>,
    /// `NextToken` of the page before.
    pub next_token: Option<String>,
}

/// A resource that an event touched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupResource {
    /// `AWS::Service::Type`, where known.
    pub resource_type: Option<String>,
    /// A name, id or ARN as it stands in the record.
    pub resource_name: String,
}

/// An event of event history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupEvent {
    /// `eventID`.
    pub event_id: Option<String>,
    /// `eventName`.
    pub event_name: Option<String>,
    /// `readOnly`.
    pub read_only: Option<bool>,
    /// `userIdentity.accessKeyId`.
    pub access_key_id: Option<String>,
    /// When it occurred.
    pub event_time: EventTime,
    /// `eventSource`.
    pub event_source: Option<String>,
    /// The user or role session.
    pub username: Option<String>,
    /// The resources it touched.
    pub resources: Vec<LookupResource>,
    /// The record as received.
    pub cloudtrail_event: String,
}

/// A page of event history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupPage {
    /// The events, newest first.
    pub events: Vec<LookupEvent>,
    /// Token of the next page: absent after the last event.
    pub next_token: Option<String>,
}
