//! Calls as ActivityAuditLog events: the `eventData` of an entry of PutAuditEvents.

use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;
use towpath_admit::Activity;
use towpath_model::{AccountId, Region};

use super::event::{Http, HttpEvent};
use crate::json;
use crate::{CapturedRecord, Value};

/// The longest text that `additionalEventData` repeats, in bytes.
const MAX_TEXT: usize = 1024;

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
    let activity = Activity {
        identity_type: kind,
        principal_id: &principal,
        details: details.iter().map(|(name, text)| (*name, text.as_str())).collect(),
        user_agent: event.user_agent.as_deref(),
        event_source: &event.source,
        event_name: event.name,
        time: event.time,
        uid: event.id,
        request_parameters: event.parameters.as_ref().map(printed),
        response_elements: event.answer.as_ref().map(printed),
        error_code: error.map(|error| error.code.as_str()),
        error_message: error.and_then(|error| error.message.as_deref()),
        source_ip: event.peer,
        recipient: account,
        additional: Additional {
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
        json: activity.json().expect("texts and numbers are always written"),
    }
}

fn printed(value: &Value) -> Box<RawValue> {
    let mut text = String::new();
    json::write(value, &mut text);
    RawValue::from_string(text).expect("what was written is JSON")
}

fn short(text: &Option<String>) -> Option<&str> {
    text.as_deref().map(|text| &text[..text.floor_char_boundary(MAX_TEXT)])
}
