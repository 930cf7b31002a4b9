//! Activities on their way to a channel: the `eventData` of an entry, written so that the entry is taken.
//!
//! Texts are cut to what the API allows, and parameters that are too large are replaced by an object that says so: the rules
//! are those by which entries are checked.

use std::collections::BTreeMap;
use std::net::IpAddr;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use towpath_model::{AccountId, eventtime_text};
use uuid::Uuid;

use super::{MAX_ERROR, MAX_PARAMETERS, MAX_TEXT, MAX_TYPE};

/// An activity of somebody in an application.
#[derive(Clone, Debug)]
pub struct Activity<'a, A> {
    /// What kind of caller it is, such as `ApiKey`.
    pub identity_type: &'a str,
    /// Who called.
    pub principal_id: &'a str,
    /// What else is known of the caller.
    pub details: BTreeMap<&'a str, &'a str>,
    /// What called.
    pub user_agent: Option<&'a str>,
    /// The application; none of AWS's services.
    pub event_source: &'a str,
    /// What was done.
    pub event_name: &'a str,
    /// When.
    pub time: Timestamp,
    /// The application's id of it.
    pub uid: Uuid,
    /// What was asked: a JSON object.
    pub request_parameters: Option<Box<RawValue>>,
    /// What was answered: a JSON object.
    pub response_elements: Option<Box<RawValue>>,
    /// How it failed.
    pub error_code: Option<&'a str>,
    /// What was said of that.
    pub error_message: Option<&'a str>,
    /// The caller's address.
    pub source_ip: IpAddr,
    /// The account that owns the channel.
    pub recipient: AccountId,
    /// `additionalEventData`: written as a JSON object of less than 28 KB.
    pub additional: A,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a, A> {
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
    request_parameters: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_elements: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<&'a str>,
    #[serde(rename = "sourceIPAddress")]
    source_ip: IpAddr,
    recipient_account_id: AccountId,
    additional_event_data: &'a A,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Identity<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    principal_id: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    details: &'a BTreeMap<&'a str, &'a str>,
}

impl<A: Serialize> Activity<'_, A> {
    /// Writes the `eventData`.
    ///
    /// # Errors
    /// Additional data that cannot be written as JSON.
    pub fn json(&self) -> Result<Bytes, serde_json::Error> {
        let too_large = |parameters: &Option<Box<RawValue>>, field: &str| {
            let size = parameters.as_ref().map(|json| json.get().len()).filter(|size| *size > MAX_PARAMETERS)?;
            let text = format!(r#"{{"reason":"{field} too large","omitted":true,"originalSize":{size}}}"#);
            Some(RawValue::from_string(text).expect("what was written is JSON"))
        };
        let (request, response) = (&self.request_parameters, &self.response_elements);
        let no_request = too_large(request, "requestParameters");
        let no_response = too_large(response, "responseElements");
        let data = Data {
            version: "1.0",
            user_identity: Identity {
                kind: cut(self.identity_type, MAX_TYPE),
                principal_id: cut(self.principal_id, MAX_TEXT),
                details: &self.details,
            },
            user_agent: self.user_agent.map(|text| cut(text, MAX_TEXT)),
            event_source: cut(self.event_source, MAX_TEXT),
            event_name: cut(self.event_name, MAX_TEXT),
            event_time: eventtime_text(self.time),
            uid: self.uid,
            request_parameters: no_request.as_deref().or(request.as_deref()),
            response_elements: no_response.as_deref().or(response.as_deref()),
            error_code: self.error_code.map(|text| cut(text, MAX_ERROR)),
            error_message: self.error_message.map(|text| cut(text, MAX_ERROR)),
            source_ip: self.source_ip,
            recipient_account_id: self.recipient,
            additional_event_data: &self.additional,
        };
        serde_json::to_vec(&data).map(Bytes::from)
    }
}

/// The longest prefix of so many bytes, which bound characters from above.
fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AuditEntry, ChannelRef};

    #[test]
    fn an_activity_of_whatever_size_is_an_entry_that_is_taken() {
        let long = "ä".repeat(200_000);
        let raw = |text: &str| RawValue::from_string(format!("{{\"a\":\"{text}\"}}")).unwrap();
        let activity = Activity {
            identity_type: &long,
            principal_id: &long,
            details: BTreeMap::from([("k", "v")]),
            user_agent: Some(&long),
            event_source: "shop.example",
            event_name: &long,
            time: Timestamp::UNIX_EPOCH,
            uid: Uuid::from_u128(7),
            request_parameters: Some(raw(&long)),
            response_elements: Some(raw("short")),
            error_code: Some(&long),
            error_message: Some(&long),
            source_ip: [192, 0, 2, 1].into(),
            recipient: "123456789012".parse().unwrap(),
            additional: serde_json::json!({"readOnly": false}),
        };
        let json = activity.json().unwrap();
        let text = std::str::from_utf8(&json).unwrap();
        let arn = "arn:aws:cloudtrail:eu-central-1:123456789012:channel/0f4b7a16-5e0b-4bb4-a2a7-9f6f0a3d1c11";
        let (arn, region) = (arn.parse().unwrap(), "eu-central-1".parse().unwrap());
        let channel = ChannelRef { arn: &arn, owner: activity.recipient, region: &region };
        AuditEntry { id: "1", event_data: text, checksum: None }.check(&channel).unwrap();
        let read: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(read["requestParameters"]["originalSize"], 400_008);
        assert_eq!(read["responseElements"]["a"], "short");
    }
}
