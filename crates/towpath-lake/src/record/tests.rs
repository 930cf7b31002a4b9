use proptest::prelude::*;

use super::*;
use crate::batch::batch_of;
use crate::testing::{real_records, row_of};

fn stored(kind: StoreKind, record: &str) -> (RecordBatch, String) {
    let batch = batch_of(kind, &[row_of(0, record.to_owned())]).unwrap();
    let text = batch.column_by_name(EVENT_JSON).unwrap().as_string::<i32>().value(0).to_owned();
    (batch, text)
}

#[test]
fn long_values_that_columns_have_are_left_out_and_nothing_else() {
    let record = r#"{"eventID":"5e2676f8-9fce-46ef-8142-3e36a94e6691","requestID":"15-characters-x","errorMessage":"sixteen \u0063haracters",
        "sharedEventID":"one hidden by another of its name","sharedEventID":"sixteen-letters.","eventName":"a name of more than sixteen letters",
        "requestParameters":{"eventID":"5e2676f8-9fce-46ef-8142-3e36a94e6691"},
        "additionalEventData":{"a":"again, but not last","b":20000000000000000000,"a":"short","é":"sixteen-letters-é","c":{"d":"longer than sixteen"}}}"#;
    // The stored form is part of the format of files: what is expected here may never change.
    let expected = record
        .replacen("5e2676f8-9fce-46ef-8142-3e36a94e6691", "\u{e000}", 1)
        .replace("sixteen-letters.", "\u{e080}")
        .replace("sixteen-letters-é", "\u{e102}");
    let (batch, text) = stored(StoreKind::CloudTrail, record);
    assert_eq!(text, expected);
    assert_eq!(records(StoreKind::CloudTrail, &batch).unwrap().as_string::<i32>().value(0), record);
    assert_eq!(whole_bytes(StoreKind::CloudTrail, &batch).unwrap(), record.len());
    assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
}

#[test]
fn a_record_with_characters_like_marks_is_stored_whole() {
    for text in ["\u{e000}", "\u{efff}", "a\u{e123}", "\u{efff}\u{efff}{}", "{\"x\":\"\u{e081}\"}", "[\"\u{eabc}\"]"] {
        let record =
            format!(r#"{{"eventID":"5e2676f8-9fce-46ef-8142-3e36a94e6691","eventName":{}}}"#, serde_json::json!(text));
        for record in [record.as_str(), text] {
            let (batch, stored) = stored(StoreKind::History, record);
            assert_eq!(stored, format!("{WHOLE}{record}"));
            assert_eq!(records(StoreKind::History, &batch).unwrap().as_string::<i32>().value(0), record);
        }
    }
    // Neighbours of the marks are ordinary characters.
    let (_, text) = stored(StoreKind::History, "{\"eventName\":\"\u{f000}\u{d7ff}\u{f8ff}\"}");
    assert!(text.starts_with('{'));
}

#[test]
fn a_stored_document_has_the_members_that_nothing_is_left_out_of() {
    let record = r#"{"eventID":"5e2676f8-9fce-46ef-8142-3e36a94e6691","requestParameters":{"errorMessage":"sixteen characters"}}"#;
    let private = record.replace("sixteen", "\u{e000}");
    for (record, is_plain) in [(record, true), (private.as_str(), false)] {
        let (batch, text) = stored(StoreKind::CloudTrail, record);
        let documents = stored_documents(batch.column_by_name(EVENT_JSON).unwrap()).unwrap();
        let document: serde_json::Value = serde_json::from_str(documents.as_string::<i32>().value(0)).unwrap();
        let whole: serde_json::Value = serde_json::from_str(record).unwrap();
        assert_eq!(text.starts_with(WHOLE), !is_plain);
        for (member, value) in whole.as_object().unwrap() {
            let same = document[member] == *value;
            assert_eq!(same, !is_plain || is_stored_whole(StoreKind::CloudTrail, member), "{member}");
        }
    }
}

#[test]
fn a_mark_without_its_value_is_an_error() {
    let texts = |text: &str| Arc::new(StringArray::from(vec![text])) as ArrayRef;
    for mark in ["\u{e000}", "\u{e001}", "\u{e040}", "\u{e140}", "\u{effe}"] {
        let inputs = [texts(&format!("{{\"eventID\":\"{mark}\"}}")), Arc::new(StringArray::from(vec![None::<&str>]))];
        assert!(whole(&inputs).is_err(), "{mark:?}");
    }
    let inputs = [texts("{\"eventID\":\"\u{e001}\"}"), texts("x")];
    assert!(whole(&inputs).is_err());
    assert!(whole(&[]).is_err());
}

#[test]
fn real_records_lose_a_tenth_of_their_text_and_come_back_byte_for_byte() {
    for kind in StoreKind::ALL {
        let texts = &real_records()[..3000];
        let rows: Vec<_> = texts.iter().map(|text| row_of(0, text.clone())).collect();
        let batch = batch_of(kind, &rows).unwrap();
        let whole = records(kind, &batch).unwrap();
        assert!(whole.as_string::<i32>().iter().flatten().eq(texts.iter().map(String::as_str)), "{kind:?}");
        let all: usize = texts.iter().map(String::len).sum();
        assert_eq!(whole_bytes(kind, &batch).unwrap(), all);
        let stored = Texts::of(batch.column_by_name(EVENT_JSON).unwrap().as_ref()).unwrap().bytes();
        assert!(stored < all && (kind != StoreKind::CloudTrail || stored * 10 < all * 9), "{kind:?} {stored} of {all}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_text_comes_back_byte_for_byte(texts in prop::collection::vec("([a-z\"{}:,]|[\u{e000}-\u{efff}]|é|\u{10fffd}){0,24}", 1..5), kind in 0usize..6) {
        let kind = StoreKind::ALL[kind];
        let rows: Vec<_> = texts.iter().map(|text| row_of(0, text.clone())).collect();
        let batch = batch_of(kind, &rows).unwrap();
        let whole = records(kind, &batch).unwrap();
        prop_assert!(whole.as_string::<i32>().iter().flatten().eq(texts.iter().map(String::as_str)));
    }

    #[test]
    fn leads_are_found_wherever_they_are(text in prop::collection::vec(prop_oneof![3 => 0u8..0x80, 1 => 0x80u8..=0xff], 0..40)) {
        prop_assert_eq!(find_lead(&text), text.iter().position(|byte| *byte == LEAD));
    }
}
