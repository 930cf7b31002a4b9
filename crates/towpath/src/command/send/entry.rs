//! Lines become entries of PutAuditEvents.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use towpath_wire::data::AuditEvent;

/// Longest entry, in bytes as sent: a whole request must stay below a megabyte.
pub const MAX_ENTRY: usize = 1_000_000;

/// Longest id.
const MAX_ID: usize = 128;

/// An entry and the line it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The number of the line, the first is 1.
    pub line: u64,
    /// What is sent.
    pub event: AuditEvent,
    /// Its length in a request, in bytes.
    pub length: usize,
}

/// A line that was not accepted, by this program or by the server.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Refused {
    /// The number of the line.
    pub line: u64,
    /// The entry's id, if it had come to have one.
    pub id: Option<String>,
    /// The server's code, or `NotSent`.
    pub code: String,
    /// Why.
    pub message: String,
}

impl Refused {
    /// A line that is not sent at all.
    pub fn not_sent(line: u64, message: impl Into<String>) -> Self {
        Self { line, id: None, code: "NotSent".to_owned(), message: message.into() }
    }
}

/// An entry as it may be written: all three members, or some.
#[derive(Deserialize)]
struct Wrapped<'a> {
    id: Option<String>,
    #[serde(rename = "eventData", borrow)]
    data: Option<&'a RawValue>,
    #[serde(rename = "eventDataChecksum")]
    checksum: Option<String>,
}

impl Entry {
    /// Reads a line: `{"id", "eventData", "eventDataChecksum"}`, or the event itself. An empty line is none.
    ///
    /// An entry without an id gets one from its line's number and content, so that sending the same file again within
    /// the server's retry window stores nothing twice.
    pub fn parse(line: u64, bytes: &[u8]) -> Result<Option<Self>, Refused> {
        let refuse = |message: String| Refused::not_sent(line, message);
        let text = std::str::from_utf8(bytes).map_err(|_| refuse("not UTF-8".to_owned()))?.trim();
        // Some editors begin a file with a byte order mark.
        let text = text.trim_start_matches('\u{feff}');
        if text.is_empty() {
            return Ok(None);
        }
        if !text.starts_with('{') {
            return Err(refuse("not a JSON object".to_owned()));
        }
        let wrapped: Wrapped =
            serde_json::from_str(text).map_err(|error| refuse(format!("not a JSON object: {error}")))?;
        let data = match wrapped.data {
            None => text.to_owned(),
            Some(raw) if raw.get().starts_with('"') => {
                serde_json::from_str(raw.get()).map_err(|error| refuse(format!("eventData cannot be read: {error}")))?
            }
            Some(raw) => raw.get().to_owned(),
        };
        // Where the line is the event itself, its own "id" is a member like any other.
        let id = wrapped.id.filter(|_| wrapped.data.is_some()).unwrap_or_else(|| derived_id(line, &data));
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if id.is_empty() || id.len() > MAX_ID || !id.bytes().all(word) {
            return Err(refuse("the id must have 1 to 128 letters, digits, - and _".to_owned()));
        }
        let checksum = wrapped.checksum.unwrap_or_else(|| STANDARD.encode(Sha256::digest(data.as_bytes())));
        let event = AuditEvent { event_data: data, event_data_checksum: Some(checksum), id };
        // The comma between entries counts.
        let length = serde_json::to_vec(&event).map_err(|error| refuse(error.to_string()))?.len() + 1;
        if length > MAX_ENTRY {
            return Err(refuse(format!("{length} bytes are more than a request may have")));
        }
        Ok(Some(Self { line, event, length }))
    }
}

fn derived_id(line: u64, data: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(line.to_be_bytes());
    hash.update(data.as_bytes());
    URL_SAFE_NO_PAD.encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(text: &str) -> AuditEvent {
        Entry::parse(7, text.as_bytes()).unwrap().unwrap().event
    }

    #[test]
    fn an_event_is_sent_byte_for_byte_with_its_checksum() {
        let event = entry("  {\"UID\": \"1\",  \"version\":\"1\"}\r\n");
        assert_eq!(event.event_data, "{\"UID\": \"1\",  \"version\":\"1\"}");
        let hash = STANDARD.encode(Sha256::digest(event.event_data.as_bytes()));
        assert_eq!(event.event_data_checksum.unwrap(), hash);
    }

    #[test]
    fn an_entry_keeps_its_id_and_checksum() {
        let event = entry("{\"id\":\"a-1\",\"eventData\":\"{\\\"UID\\\":\\\"ä\\\"}\",\"eventDataChecksum\":\"c\"}");
        assert_eq!((event.id.as_str(), event.event_data.as_str()), ("a-1", "{\"UID\":\"ä\"}"));
        assert_eq!(event.event_data_checksum.unwrap(), "c");
        let event = entry("{\"id\":\"a-1\",\"eventData\": { \"UID\" : 1 } }");
        assert_eq!(event.event_data, "{ \"UID\" : 1 }");
    }

    #[test]
    fn an_id_is_the_same_each_time_and_differs_from_line_to_line() {
        let id = |line, text: &str| Entry::parse(line, text.as_bytes()).unwrap().unwrap().event.id;
        assert_eq!(id(1, "{\"a\":1}"), id(1, "{\"a\":1}"));
        assert_ne!(id(1, "{\"a\":1}"), id(2, "{\"a\":1}"));
        assert_ne!(id(1, "{\"a\":1}"), id(1, "{\"a\":2}"));
        assert_eq!(id(1, "{\"a\":1}").len(), 43);
        // "id" of an event itself is not the id of the entry.
        assert_eq!(id(1, "{\"id\":\"x\"}").len(), 43);
    }

    #[test]
    fn what_cannot_be_sent_is_refused_with_its_line() {
        for (text, expected) in [
            ("[1]", "not a JSON object"),
            ("{\"a\":", "not a JSON object: EOF"),
            ("{\"id\":\"a b\",\"eventData\":{}}", "the id must have"),
            ("{\"id\":\"\",\"eventData\":{}}", "the id must have"),
            ("{\"id\":5,\"eventData\":{}}", "not a JSON object: invalid type"),
        ] {
            let refused = Entry::parse(3, text.as_bytes()).unwrap_err();
            assert!(refused.line == 3 && refused.message.starts_with(expected), "{text}: {refused:?}");
        }
        assert_eq!(Entry::parse(1, b"\xff").unwrap_err().message, "not UTF-8");
        assert_eq!(Entry::parse(1, b"  \r\n").unwrap(), None);
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_ENTRY));
        assert!(Entry::parse(1, long.as_bytes()).unwrap_err().message.contains("more than a request"));
    }

    proptest! {
        #[test]
        fn no_line_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Entry::parse(1, &bytes);
        }
    }
}
