//! PutAuditEvents: the one operation whose decoding must be fast.
//!
//! Nearly every request is well formed, so the body is first read straight into its types and checked by hand. Whatever
//! that path does not take, for whatever reason, goes through the general decoder, which alone decides what is wrong.

use serde::Deserialize;
use serde_json::Value;

use crate::data::{AuditEvent, PutAuditEventsRequest, constraints};
use crate::decode::{InputError, body_object, checked, typed};
use crate::generated::operations::Operation;
use crate::limits::{MAX_AUDIT_EVENTS_BODY, MAX_AUDIT_EVENTS_BYTES};
use crate::object::Object;
use crate::shape::{Kind, Shape};

/// What the query string of a PutAuditEvents request says, decoded and not yet checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditEventsTarget {
    /// The channel the events are for.
    pub channel_arn: Option<String>,
    /// The external identifier that the channel's policy may ask for.
    pub external_id: Option<String>,
}

impl AuditEventsTarget {
    /// Decodes and checks the request with this body.
    pub fn decode(self, body: &[u8]) -> Result<PutAuditEventsRequest, InputError> {
        if body.len() > MAX_AUDIT_EVENTS_BODY {
            return Err(InputError::TooLarge { limit: MAX_AUDIT_EVENTS_BODY });
        }
        let request = match self.fast(body) {
            Some(audit_events) => PutAuditEventsRequest {
                audit_events,
                channel_arn: self.channel_arn.unwrap_or_default(),
                external_id: self.external_id,
            },
            None => self.general(body)?,
        };
        let bytes: usize = request.audit_events.iter().map(|event| event.event_data.len()).sum();
        if bytes > MAX_AUDIT_EVENTS_BYTES {
            return Err(InputError::TooLarge { limit: MAX_AUDIT_EVENTS_BYTES });
        }
        Ok(request)
    }

    /// The events, if the request is in perfect order.
    fn fast(&self, body: &[u8]) -> Option<Vec<AuditEvent>> {
        let channel_arn = self.channel_arn.as_deref()?;
        let external_id = self.external_id.as_deref();
        let in_order = satisfies(&constraints::CHANNEL_ARN, channel_arn)
            && external_id.is_none_or(|id| satisfies(&constraints::EXTERNAL_ID, id));
        if !in_order {
            return None;
        }
        let Object(body) = serde_json::from_slice::<Object<Body>>(body).ok()?;
        let count_fits = (1..=100).contains(&body.audit_events.len());
        let ids_fit = || body.audit_events.iter().all(|Object(entry)| is_entry_id(&entry.id));
        if !count_fits || !ids_fit() {
            return None;
        }
        Some(body.audit_events.into_iter().map(|Object(entry)| entry.into()).collect())
    }

    fn general(self, body: &[u8]) -> Result<PutAuditEventsRequest, InputError> {
        let mut input = body_object(body, MAX_AUDIT_EVENTS_BODY)?;
        // Members that travel in the query string are never read from the body.
        for (name, value) in [("channelArn", self.channel_arn), ("externalId", self.external_id)] {
            input.insert(name.to_owned(), value.map_or(Value::Null, Value::from));
        }
        typed(checked(Operation::PutAuditEvents, input)?)
    }
}

/// The body without anything unexpected in it; the rest is for the general path.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    #[serde(rename = "auditEvents")]
    audit_events: Vec<Object<Entry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    #[serde(rename = "eventData")]
    event_data: String,
    #[serde(rename = "eventDataChecksum")]
    event_data_checksum: Option<String>,
}

impl From<Entry> for AuditEvent {
    fn from(entry: Entry) -> Self {
        Self { event_data: entry.event_data, event_data_checksum: entry.event_data_checksum, id: entry.id }
    }
}

/// The model's `Uuid`, which is no UUID: 1 to 128 of letters, digits, `-` and `_`.
fn is_entry_id(id: &str) -> bool {
    (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// True if `text` satisfies a string shape.
fn satisfies(shape: &Shape, text: &str) -> bool {
    let Kind::String { min, max, pattern, .. } = shape.kind else { return false };
    let length = text.chars().count();
    min.is_none_or(|min| length >= min)
        && max.is_none_or(|max| length <= max)
        && pattern.is_none_or(|pattern| pattern.matches(text))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const CHANNEL: &str = "arn:aws:cloudtrail:eu-central-1:123456789012:channel/11111111-2222-3333-4444-555555555555";

    fn target() -> AuditEventsTarget {
        AuditEventsTarget { channel_arn: Some(CHANNEL.to_owned()), external_id: None }
    }

    fn code(error: InputError) -> String {
        crate::ApiError::from(error).code().to_owned()
    }

    #[test]
    fn a_request_in_order_keeps_every_byte_of_its_event_text() {
        let data = "{\"a\" :\t\"\\u0041 \u{1F600}\"}";
        let body = json!({"auditEvents": [{"id": "1", "eventData": data}]}).to_string();
        let request = target().decode(body.as_bytes()).unwrap();
        assert_eq!(request.audit_events[0].event_data, data);
        assert_eq!(request.channel_arn, CHANNEL);
    }

    #[test]
    fn an_unknown_member_is_ignored_and_a_null_checksum_is_absent() {
        let body =
            json!({"auditEvents": [{"id": "1", "eventData": "{}", "eventDataChecksum": null, "x": [1]}], "y": {}});
        let request = target().decode(body.to_string().as_bytes()).unwrap();
        assert_eq!(request.audit_events[0].event_data_checksum, None);
    }

    #[test]
    fn the_channel_is_taken_from_the_query_string_only() {
        let body = json!({"auditEvents": [{"id": "1", "eventData": "{}"}], "channelArn": CHANNEL}).to_string();
        let error = AuditEventsTarget::default().decode(body.as_bytes()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "1 validation error detected: Value null at 'channelArn' failed to satisfy constraint: Member must not be null"
        );
        assert_eq!(code(error), "ValidationException");
    }

    #[test]
    fn a_channel_that_is_no_arn_has_its_own_error() {
        let target = AuditEventsTarget { channel_arn: Some("channel".to_owned()), external_id: None };
        let body = json!({"auditEvents": [{"id": "1", "eventData": "{}"}]}).to_string();
        assert_eq!(code(target.decode(body.as_bytes()).unwrap_err()), "InvalidChannelARN");
    }

    #[test]
    fn a_batch_of_none_or_of_more_than_a_hundred_is_refused() {
        for count in [0, 101] {
            let events = vec![json!({"id": "1", "eventData": "{}"}); count];
            let body = json!({ "auditEvents": events }).to_string();
            assert_eq!(code(target().decode(body.as_bytes()).unwrap_err()), "ValidationException");
        }
    }

    #[test]
    fn more_event_text_than_a_request_may_hold_is_refused() {
        let events: Vec<_> =
            (0..5).map(|i| json!({"id": i.to_string(), "eventData": "x".repeat(256 * 1024)})).collect();
        let body = json!({ "auditEvents": events }).to_string();
        assert_eq!(code(target().decode(body.as_bytes()).unwrap_err()), "RequestEntityTooLargeException");
    }

    fn entry() -> impl Strategy<Value = Value> {
        let id = prop_oneof![5 => "[-_a-zA-Z0-9]{1,12}".prop_map(Value::from), 1 => any::<String>().prop_map(Value::from),
            1 => any::<i32>().prop_map(Value::from)];
        let data = prop_oneof![5 => any::<String>().prop_map(Value::from), 1 => Just(Value::Null)];
        let more = prop_oneof![Just(json!({})), Just(json!({"eventDataChecksum": "x"})), Just(json!({"other": 1}))];
        (id, data, more).prop_map(|(id, data, more)| {
            let mut entry = more;
            entry["id"] = id;
            entry["eventData"] = data;
            entry
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn the_fast_path_takes_nothing_that_the_general_path_would_refuse_or_read_differently(
            entries in proptest::collection::vec(entry(), 0..4),
            external_id in proptest::option::of(".{0,5}"),
        ) {
            let body = json!({"auditEvents": entries}).to_string();
            let target = AuditEventsTarget { external_id, ..target() };
            if let Some(audit_events) = target.fast(body.as_bytes()) {
                prop_assert_eq!(target.general(body.as_bytes()).unwrap().audit_events, audit_events);
            }
        }

        #[test]
        fn no_bytes_make_it_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = target().decode(&body);
        }
    }
}
