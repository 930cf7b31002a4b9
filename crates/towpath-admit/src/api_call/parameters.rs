//! `requestParameters` and `responseElements`: what went over the wire, as records print it.
//!
//! Records print the names of the API with a small first letter, leave out what must not be recorded, and write times
//! as `Jul 10, 2023, 12:25:04 PM`. The order of members is that of the wire. Building a [`Parameters`] is the only way
//! into a record, so that a secret cannot get into one by another.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::json::{Raw, Scan};

/// Members whose values are never recorded: they are left out wherever they stand.
const DROPPED: [&str; 9] = [
    "SecretAccessKey",
    "SessionToken",
    "Password",
    "EventData",
    "AuditEvents",
    "TokenCode",
    "WebIdentityToken",
    "SAMLAssertion",
    "SecretKey",
];
/// Members of which only the presence is recorded.
const PRESENCE_ONLY: [&str; 1] = ["ExternalId"];
/// What stands in place of a hidden value.
pub const HIDDEN: &str = "HIDDEN_DUE_TO_SECURITY_REASONS";
/// Members that are maps: the keys in them are data and keep their spelling.
const MAPS: [&str; 3] = ["Dimensions", "QueryParameterValues", "ViewProperties"];

/// The parameters of a call, or what it answered, as a record prints them.
#[derive(Clone, Debug, Default)]
pub struct Parameters(Option<Box<RawValue>>);

impl Parameters {
    /// No parameters: `null`.
    pub const fn none() -> Self {
        Self(None)
    }

    /// Reads a JSON object as it went over the wire. Anything else, and an object without members, is `null`.
    pub fn of_json(text: &[u8]) -> Self {
        let mut scan = Scan::new(text);
        scan.blanks();
        let object = scan.value().and_then(|value| scan.end().map(|()| value));
        let object = object.ok().filter(|value| value.is_object() && std::str::from_utf8(text).is_ok());
        let Some(object) = object else { return Self::none() };
        let mut out = String::with_capacity(object.text().len() + 16);
        write_value(object, false, &mut out);
        if out == "{}" { Self::none() } else { Self::checked(out) }
    }

    /// The request of a PutAuditEvents call: the channel, whether an external id was sent, and the entries' ids.
    pub fn of_put_audit_events<'a>(
        channel_arn: &str,
        external_id_sent: bool,
        entries: impl Iterator<Item = &'a str>,
    ) -> Self {
        #[derive(Serialize)]
        struct Entry<'a> {
            id: &'a str,
        }
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Request<'a> {
            channel_arn: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            external_id: Option<&'static str>,
            audit_events: Vec<Entry<'a>>,
        }
        let external_id = external_id_sent.then_some(HIDDEN);
        Self::of(&Request { channel_arn, external_id, audit_events: entries.map(|id| Entry { id }).collect() })
    }

    /// The answer to a PutAuditEvents call: entry and event ids of what was stored, entry ids and codes of the rest.
    pub fn of_put_audit_events_result<'a>(
        successful: impl Iterator<Item = (&'a str, Uuid)>,
        failed: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        #[derive(Serialize)]
        struct Successful<'a> {
            id: &'a str,
            #[serde(rename = "eventID")]
            event_id: Uuid,
        }
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Failed<'a> {
            id: &'a str,
            error_code: &'a str,
        }
        #[derive(Serialize)]
        struct Response<'a> {
            successful: Vec<Successful<'a>>,
            failed: Vec<Failed<'a>>,
        }
        Self::of(&Response {
            successful: successful.map(|(id, event_id)| Successful { id, event_id }).collect(),
            failed: failed.map(|(id, error_code)| Failed { id, error_code }).collect(),
        })
    }

    /// Takes a JSON object that was made for a record: names spelled as records spell them, what must not be recorded
    /// left out. Text that is no JSON object, and an object without members, is none.
    pub fn of_printed(text: String) -> Self {
        if text == "{}" || !text.starts_with('{') { Self::none() } else { Self::checked(text) }
    }

    /// True if nothing is printed but `null`.
    pub const fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// The JSON text, if there is any.
    pub fn text(&self) -> Option<&str> {
        self.0.as_deref().map(RawValue::get)
    }

    fn of(value: &impl Serialize) -> Self {
        Self::checked(serde_json::to_string(value).expect("texts and lists are always written"))
    }

    fn checked(text: String) -> Self {
        // The text was made from checked JSON. What another reader still refuses must not keep the call unrecorded.
        Self(RawValue::from_string(text).ok())
    }

    /// What a record prints.
    pub(super) fn raw(&self) -> Option<&RawValue> {
        self.0.as_deref()
    }
}

/// Writes a checked value with its names as records spell them. Depth is bounded by the scan that checked it.
fn write_value(value: Raw<'_>, map: bool, out: &mut String) {
    if value.is_object() {
        out.push('{');
        let open = out.len();
        value.members(|key, value| {
            let name = key.decode();
            let is = |list: &[&str]| list.iter().any(|entry| entry.eq_ignore_ascii_case(&name));
            if is(&DROPPED) {
                return;
            }
            if out.len() > open {
                out.push(',');
            }
            let printed = if map { Cow::Borrowed(name.as_ref()) } else { record_name(&name) };
            out.push_str(&serde_json::to_string(&printed).expect("a string is always written"));
            out.push(':');
            match time_text(&name, value) {
                _ if is(&PRESENCE_ONLY) => {
                    out.push('"');
                    out.push_str(HIDDEN);
                    out.push('"');
                }
                Some(time) => out.push_str(&time),
                None => write_value(value, is(&MAPS), out),
            }
        });
        out.push('}');
    } else if value.text().first() == Some(&b'[') {
        out.push('[');
        let mut first = true;
        value.items(|item| {
            if !std::mem::take(&mut first) {
                out.push(',');
            }
            write_value(item, false, out);
        });
        out.push(']');
    } else {
        out.push_str(&String::from_utf8_lossy(value.text()));
    }
}

/// A member's name as records spell it: the name of the API with a small first letter (`DBInstanceIdentifier` is
/// `dBInstanceIdentifier`).
pub fn record_name(name: &str) -> Cow<'_, str> {
    match name.chars().next() {
        Some(first) if first.is_ascii_uppercase() => {
            Cow::Owned(format!("{}{}", first.to_ascii_lowercase(), &name[1..]))
        }
        _ => Cow::Borrowed(name),
    }
}

/// The printed form of a time: a number of seconds in a member whose name says that it is a time.
fn time_text(name: &str, value: Raw<'_>) -> Option<String> {
    if !name.ends_with("Time") && !name.ends_with("Timestamp") {
        return None;
    }
    let seconds: f64 = std::str::from_utf8(value.text()).ok()?.parse().ok()?;
    // A float outside the range of an i64 becomes its nearest bound, which is no time.
    let instant = Timestamp::from_second(seconds.floor() as i64).ok()?;
    Some(instant.strftime("\"%b %-d, %Y, %-I:%M:%S %p\"").to_string())
}
