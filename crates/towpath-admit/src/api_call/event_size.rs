//! The two sizes of a record: whole, for event data stores of large events, and as everybody else takes it.
//!
//! A record is written whole, up to 1 MB. Trails, event history and stores of standard event size take its
//! [standard form](standard_form): no field longer than its published size, and 256 KB in all. A text that is too long
//! keeps its beginning; an object that is too long is replaced by one that says so.

use bytes::Bytes;

use crate::MAX_EVENT_BYTES;
use crate::json::{Flaw, Raw, Scan};

/// The longest record that is written, in bytes.
pub(super) const MAX_LARGE_BYTES: usize = 1024 * 1024;

/// The published size of a member of a record.
#[derive(Clone, Copy, Debug)]
struct Cap {
    member: &'static str,
    bytes: usize,
}

const fn cap(member: &'static str, bytes: usize) -> Cap {
    Cap { member, bytes }
}

/// The published sizes, in the order in which fields of large events give way.
const CAPS: [Cap; 10] = [
    cap("annotation", 1024),
    cap("requestID", 1024),
    cap("additionalEventData", 28 * 1024),
    cap("serviceEventDetails", 100 * 1024),
    cap("userAgent", 1024),
    cap("errorCode", 1024),
    cap("eventContext", 28 * 1024),
    cap("responseElements", 100 * 1024),
    cap("requestParameters", 100 * 1024),
    cap("errorMessage", 1024),
];

/// What goes from a record whose fields are within their sizes and still too much together: what explains least first.
const SPARE: [Cap; 5] = [
    cap("additionalEventData", 0),
    cap("eventContext", 0),
    cap("serviceEventDetails", 0),
    cap("responseElements", 0),
    cap("requestParameters", 0),
];

/// The longest text of which nothing is longer than any of the published sizes.
const SHORT: usize = 1024;

/// The form of a record that trails, event history and stores of standard event size take; mostly the record itself. The
/// record is a JSON object; what is none is returned as it is.
///
/// It has at most 256 KB, unless members without a published size have more.
pub fn standard_form(record: &Bytes) -> Bytes {
    if record.len() <= SHORT {
        return record.clone();
    }
    let Some(text) = capped(record, &CAPS) else { return record.clone() };
    if text.as_ref().map_or(record.len(), Vec::len) <= MAX_EVENT_BYTES {
        return text.map_or_else(|| record.clone(), Bytes::from);
    }
    let mut caps = CAPS;
    let mut shorter = text;
    for spare in SPARE {
        caps.iter_mut().filter(|cap| cap.member == spare.member).for_each(|cap| cap.bytes = spare.bytes);
        shorter = capped(record, &caps).flatten();
        if shorter.as_ref().is_some_and(|text| text.len() <= MAX_EVENT_BYTES) {
            break;
        }
    }
    shorter.map_or_else(|| record.clone(), Bytes::from)
}

/// A record of at most 1 MB: fields beyond their published sizes give way one after the other until it is short enough.
pub(super) fn large_form(record: Vec<u8>) -> Bytes {
    if record.len() <= MAX_LARGE_BYTES {
        return record.into();
    }
    let mut shorter = None;
    for count in 1..=CAPS.len() {
        shorter = capped(&record, &CAPS[..count]).flatten();
        if shorter.as_ref().is_some_and(|text| text.len() <= MAX_LARGE_BYTES) {
            break;
        }
    }
    shorter.unwrap_or(record).into()
}

/// The record with members of the outermost level held to `caps`: `Some(None)` if none is longer, `None` if the text is
/// no JSON object.
fn capped(record: &[u8], caps: &[Cap]) -> Option<Option<Vec<u8>>> {
    rewritten(record, caps).ok()
}

fn rewritten(record: &[u8], caps: &[Cap]) -> Result<Option<Vec<u8>>, Flaw> {
    let mut out: Option<Vec<u8>> = None;
    // Where the part of the record begins that is not copied yet.
    let mut from = 0;
    let mut scan = Scan::new(record);
    let mut first = true;
    while let Some(key) = scan.next_key(first)? {
        first = false;
        let start = scan.offset();
        let value = scan.nested()?;
        let Some(cap) = caps.iter().find(|cap| value.text().len() > cap.bytes && key.is(cap.member)) else { continue };
        let Some(shorter) = shortened(value, cap) else { continue };
        let out = out.get_or_insert_with(|| Vec::with_capacity(record.len()));
        out.extend_from_slice(&record[from..start]);
        out.extend_from_slice(shorter.as_bytes());
        from = scan.offset();
    }
    if let Some(out) = &mut out {
        out.extend_from_slice(&record[from..]);
    }
    Ok(out)
}

/// What stands in place of a value that is longer than its size; `None` if it is not.
fn shortened(value: Raw<'_>, cap: &Cap) -> Option<String> {
    let Some(text) = value.string() else {
        let (length, member) = (value.text().len(), cap.member);
        return (!value.is_null())
            .then(|| format!(r#"{{"reason":"{member} too large","omitted":true,"originalSize":{length}}}"#));
    };
    let text = text.decode();
    let cut = &text[..text.floor_char_boundary(cap.bytes)];
    (cut.len() < text.len()).then(|| serde_json::to_string(cut).expect("a string is always written"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn bytes(record: &Value) -> Bytes {
        record.to_string().into()
    }

    fn standard(record: &Value) -> Value {
        serde_json::from_slice(&standard_form(&bytes(record))).unwrap()
    }

    #[test]
    fn a_record_within_the_sizes_is_its_own_standard_form() {
        let record = bytes(&json!({"userAgent": "a".repeat(1024), "requestParameters": {"q": "q".repeat(102_392)}}));
        assert_eq!(standard_form(&record), record);
        let broken = Bytes::from("x".repeat(5000));
        assert_eq!(standard_form(&broken), broken);
    }

    #[test]
    fn only_what_is_too_long_changes_and_only_on_the_outermost_level() {
        let long = "m".repeat(2000);
        let record = json!({
            "userIdentity": {"userAgent": long},
            "userAgent": "ü".repeat(600),
            "requestParameters": {"q": "q".repeat(102_393)},
            "responseElements": null,
            "errorMessage": long,
            "note": long,
        });
        let cut = standard(&record);
        assert_eq!(cut["userAgent"].as_str().unwrap(), "ü".repeat(512));
        assert_eq!(
            cut["requestParameters"],
            json!({"reason": "requestParameters too large", "omitted": true, "originalSize": 102_401})
        );
        assert_eq!(cut["errorMessage"].as_str().unwrap().len(), 1024);
        for same in ["userIdentity", "responseElements", "note"] {
            assert_eq!(cut[same], record[same]);
        }
        let keys = |record: &Value| record.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&cut), keys(&record));
    }

    #[test]
    fn fields_that_are_too_much_together_give_way_and_the_request_goes_last() {
        let near = |letter: &str, bytes: usize| json!({ "v": letter.repeat(bytes - 100) });
        let record = json!({
            "requestParameters": near("q", 100 * 1024),
            "responseElements": near("r", 100 * 1024),
            "serviceEventDetails": near("d", 60 * 1024),
            "additionalEventData": near("a", 20 * 1024),
        });
        let cut = standard(&record);
        assert_eq!(cut["additionalEventData"]["omitted"], true);
        assert_eq!(cut["serviceEventDetails"]["omitted"], true);
        assert_eq!(cut["responseElements"], record["responseElements"]);
        assert_eq!(cut["requestParameters"], record["requestParameters"]);
    }

    #[test]
    fn a_large_record_keeps_what_fits_into_a_megabyte() {
        let record = json!({
            "userAgent": "u".repeat(5000),
            "requestParameters": {"q": "q".repeat(700_000)},
            "responseElements": {"r": "r".repeat(200_000)},
        });
        assert_eq!(large_form(record.to_string().into_bytes()), bytes(&record));

        let mut larger = record.clone();
        larger["responseElements"] = json!({"r": "r".repeat(500_000)});
        let kept: Value = serde_json::from_slice(&large_form(larger.to_string().into_bytes())).unwrap();
        assert_eq!(kept["userAgent"].as_str().unwrap().len(), 1024);
        assert_eq!(kept["responseElements"]["originalSize"], 500_008);
        assert_eq!(kept["requestParameters"], record["requestParameters"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn whatever_the_record_its_standard_form_is_json_within_the_sizes(
            sizes in prop::collection::vec((0..CAPS.len(), 0usize..150_000), 0..8), text in "\\PC{0,4}"
        ) {
            let mut record = serde_json::Map::new();
            for (field, size) in sizes {
                let cap = CAPS[field];
                let long = text.repeat(size / text.len().max(1));
                let value = if cap.bytes == 1024 { json!(long) } else { json!({ "v": long }) };
                record.insert(cap.member.to_owned(), value);
            }
            let record = Value::Object(record);
            let form = standard_form(&bytes(&record));
            prop_assert!(form.len() <= MAX_EVENT_BYTES);
            let cut: Value = serde_json::from_slice(&form).unwrap();
            for cap in CAPS {
                if record[cap.member].to_string().len() <= cap.bytes && bytes(&record).len() <= MAX_EVENT_BYTES {
                    prop_assert_eq!(&cut[cap.member], &record[cap.member]);
                }
            }
            prop_assert_eq!(standard_form(&form), form);
        }
    }
}
