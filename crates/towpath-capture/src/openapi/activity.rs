//! Calls as ActivityAuditLog events: the `eventData` of an entry of PutAuditEvents.
//!
//! The entry obeys the API's limits, so that the log takes every one of them: texts are cut, and what is too large is
//! replaced by an object that says so.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use towpath_model::{AccountId, Region, eventtime_text};

use super::event::{Http, HttpEvent};
use crate::json;
use crate::{CapturedRecord, Value};

/// The longest requestParameters and responseElements, in bytes.
const MAX_PARAMETERS: usize = 100 * 1024;
/// The longest text of most fields, in characters; bytes are counted here.
const MAX_TEXT: usize = 1024;
/// The longest errorCode and errorMessage.
const MAX_ERROR: usize = 256;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    version: &'static str,
    user_identity: Identity<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<&'a str>,
    event_source: &'a str,
    event_name: &'a str,
    event_time: String,
    #[serde(rename = "UID")]
    uid: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_parameters: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_elements: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<&'a str>,
    #[serde(rename = "sourceIPAddress")]
    source_ip: String,
    recipient_account_id: AccountId,
    additional_event_data: Additional<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Identity<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    principal_id: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    details: BTreeMap<&'static str, &'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Additional<'a> {
    read_only: bool,
    #[serde(flatten)]
    http: Http<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cipher_suite: Option<&'a str>,
}

/// Writes an event as an entry for a channel of this account.
pub fn write(event: &HttpEvent<'_>, channel: &Arc<str>, account: AccountId, region: &Region) -> CapturedRecord {
    let (kind, principal, details) = event.caller.activity();
    let error = event.error.as_ref();
    let entry = Entry {
        version: "1.0",
        user_identity: Identity {
            kind,
            principal_id: cut(&principal, MAX_TEXT),
            details: details.iter().map(|(name, text)| (*name, text.as_str())).collect(),
        },
        user_agent: short(&event.user_agent),
        event_source: &event.source,
        event_name: cut(event.name, MAX_TEXT),
        event_time: eventtime_text(event.time),
        uid: event.id,
        request_parameters: event.parameters.as_ref().map(|value| bounded(value, "requestParameters")),
        response_elements: event.answer.as_ref().map(|value| bounded(value, "responseElements")),
        error_code: error.map(|error| cut(&error.code, MAX_ERROR)),
        error_message: error.and_then(|error| error.message.as_deref()).map(|text| cut(text, MAX_ERROR)),
        source_ip: event.peer.to_string(),
        recipient_account_id: account,
        additional_event_data: Additional {
            read_only: event.read_only,
            http: event.http(),
            host: short(&event.host),
            request_id: short(&event.request_id),
            tls_version: event.tls.and_then(|tls| tls.version.as_deref()),
            cipher_suite: event.tls.and_then(|tls| tls.cipher_suite.as_deref()),
        },
    };
    CapturedRecord {
        event_id: event.id,
        account,
        region: region.clone(),
        time: event.time,
        channel: Some(Arc::clone(channel)),
        json: Bytes::from(serde_json::to_vec(&entry).expect("texts, numbers and checked JSON are always written")),
    }
}

/// A value as JSON; a longer one than allowed is replaced by an object that says so.
fn bounded(value: &Value, field: &str) -> Box<RawValue> {
    let mut text = String::new();
    json::write(value, &mut text);
    if text.len() > MAX_PARAMETERS {
        text = format!(r#"{{"reason":"{field} too large","omitted":true,"originalSize":{}}}"#, text.len());
    }
    RawValue::from_string(text).expect("what was written is JSON")
}

fn short(text: &Option<String>) -> Option<&str> {
    text.as_deref().map(|text| cut(text, MAX_TEXT))
}

fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}
