//! Audit events for PutAuditEvents: an application's own activity, about 1.2 KB each, every one distinct.
//!
//! A batch is made once and numbered anew for each call: its texts hold places of fixed width that take the number. So
//! the cost of making events stays small beside the cost of sending them, and no two events sent are alike.

use std::fmt::Write as _;

use jiff::civil::Date;

use super::draw::Draw;

/// Digits of a number in a text.
const DIGITS: usize = 16;
const ACTIONS: &[&str] = &[
    "document.viewed",
    "document.edited",
    "document.shared",
    "user.signed_in",
    "user.invited",
    "role.granted",
    "export.started",
];

/// A batch of entries that can be numbered.
pub struct Batch {
    events: Vec<String>,
    // Where in each event its number begins.
    places: Vec<usize>,
    body: Vec<u8>,
    // Where in the body numbers begin: of the entry's id and of its event.
    body_places: Vec<[usize; 2]>,
}

impl Batch {
    /// Makes a batch of `entries` events of a day for an account.
    pub fn new((seed, number): (u64, u32), entries: usize, account: &str, day: Date) -> Self {
        let draw = &mut Draw::of(seed, [u32::MAX - 1, number]);
        let (mut events, mut places) = (Vec::new(), Vec::new());
        let (mut body, mut body_places) = (String::from("{\"auditEvents\":["), Vec::new());
        for entry in 0..entries {
            let (event, place) = event(draw, account, day);
            if entry > 0 {
                body.push(',');
            }
            body.push_str("{\"id\":\"");
            let id_place = body.len();
            body.extend(std::iter::repeat_n('0', DIGITS));
            body.push_str("\",\"eventData\":\"");
            let before = body.len();
            body.push_str(&event.replace('"', "\\\""));
            // Every quote before the place has become two bytes.
            let quotes = event[..place].bytes().filter(|byte| *byte == b'"').count();
            body_places.push([id_place, before + place + quotes]);
            body.push_str("\"}");
            events.push(event);
            places.push(place);
        }
        body.push_str("]}");
        Self { events, places, body: body.into_bytes(), body_places }
    }

    /// Events in it.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// The body of a PutAuditEvents call whose events are numbered from `first`.
    pub fn body(&self, first: u64) -> Vec<u8> {
        let mut body = self.body.clone();
        for (number, places) in (first..).zip(&self.body_places) {
            let digits = digits(number);
            for place in places {
                body[*place..place + DIGITS].copy_from_slice(&digits);
            }
        }
        body
    }

    /// The events themselves, numbered from `first`.
    pub fn events(&self, first: u64) -> Vec<String> {
        let numbered = (first..).zip(self.events.iter().zip(&self.places));
        numbered
            .map(|(number, (event, place))| {
                let mut text = String::with_capacity(event.len());
                text.push_str(&event[..*place]);
                let _ = write!(text, "{number:0DIGITS$x}");
                text.push_str(&event[place + DIGITS..]);
                text
            })
            .collect()
    }
}

fn digits(number: u64) -> [u8; DIGITS] {
    std::array::from_fn(|at| b"0123456789abcdef"[(number >> (4 * (DIGITS - 1 - at)) & 15) as usize])
}

fn event(draw: &mut Draw, account: &str, day: Date) -> (String, usize) {
    let user = draw.skewed(5000);
    let action = *draw.favourite(ACTIONS);
    let mut text = format!(
        "{{\"version\":\"1.0\",\"userIdentity\":{{\"type\":\"CustomUserIdentity\",\"principalId\":\"user-{user}\",\
         \"details\":{{\"email\":\"user-{user}@example.com\",\"team\":\"team-{}\",\"session\":\"",
        user % 40
    );
    draw.uuid(&mut text);
    let agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36";
    let _ = write!(
        text,
        "\",\"mfa\":\"true\"}}}},\"userAgent\":\"{agent}\",\"eventSource\":\"documents.example.com\",\
         \"eventName\":\"{action}\",\"eventTime\":\"{day}T{:02}:{:02}:{:02}Z\",\"UID\":\"",
        draw.below(24),
        draw.below(60),
        draw.below(60)
    );
    let place = text.len();
    text.extend(std::iter::repeat_n('0', DIGITS));
    let _ = write!(
        text,
        "\",\"requestParameters\":{{\"documentId\":\"doc-{}\",\"folder\":\"/projects/{}/drafts\",\"revision\":{},\"trace\":\"",
        draw.skewed(100_000),
        draw.skewed(400),
        draw.below(90)
    );
    draw.hex(&mut text, 32);
    let _ = write!(
        text,
        "\",\"filters\":[{{\"field\":\"owner\",\"value\":\"user-{user}\"}},{{\"field\":\"state\",\"value\":\"open\"}}]}},\"responseElements\":{{\"status\":200,\"etag\":\""
    );
    draw.hex(&mut text, 32);
    let _ = write!(
        text,
        "\"}},\"sourceIPAddress\":\"{}\",\"recipientAccountId\":\"{account}\",\"additionalEventData\":{{\
         \"region\":\"eu\",\"service\":\"documents\",\"durationMillis\":{},\"token\":\"",
        draw.address(),
        draw.skewed(3000)
    );
    let rest = 1200_usize.saturating_sub(text.len() + 3).max(16);
    draw.base62(&mut text, rest);
    text.push_str("\"}}");
    (text, place)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_body_holds_the_events_of_the_batch_under_their_numbers() {
        let batch = Batch::new((1, 0), 3, "123456789012", date(2024, 1, 1));
        let body: Value = serde_json::from_slice(&batch.body(0xabc)).unwrap();
        let events = batch.events(0xabc);
        for (at, entry) in body["auditEvents"].as_array().unwrap().iter().enumerate() {
            assert_eq!(entry["eventData"], events[at]);
            let event: Value = serde_json::from_str(&events[at]).unwrap();
            assert_eq!(entry["id"], event["UID"]);
            assert_eq!(event["UID"], format!("{:016x}", 0xabc + at));
            assert!((1150..1300).contains(&events[at].len()), "{}", events[at].len());
        }
        assert_ne!(batch.body(1), batch.body(4));
    }
}
