//! A finished record on its way to the log.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use towpath_model::{AccountId, Region};
use uuid::Uuid;

/// A finished record with what the log needs to know of it, so that nobody parses it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapturedRecord {
    /// Its `eventID`. A record that is sent twice is one event.
    pub event_id: Uuid,
    /// The account whose event it is (`recipientAccountId`).
    pub account: AccountId,
    /// `awsRegion`.
    pub region: Region,
    /// `eventTime`.
    pub time: Timestamp,
    /// The channel that it enters by, as an entry of PutAuditEvents whose `eventData` is `json` and whose id is
    /// `event_id`; `None` for a record that is an event of its account. Only OpenAPI upstreams name channels.
    pub channel: Option<Arc<str>>,
    /// The record, one JSON object.
    pub json: Bytes,
}
