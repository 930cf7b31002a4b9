use proptest::prelude::*;

use super::*;

fn accepts(text: &str) -> bool {
    Tape::default().read(text).is_ok()
}

#[test]
fn json_is_accepted_and_nothing_else() {
    for text in ["{}", "[]", " [ ] ", "1", "-0", "1.5e+3", "\"\"", "true", "{\"a\":[1,{\"b\":null}],\"c\":{}}"] {
        assert!(accepts(text), "{text}");
    }
    for text in [
        "",
        " ",
        "{",
        "}",
        "[",
        "[,]",
        "[1,]",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "01",
        "1.",
        "1e",
        "-",
        "+1",
        ".5",
        "tru",
        "nul",
        "\"",
        "\"\\\"",
        "[1}",
        "{\"a\":1]",
        "1 2",
        "{} {}",
        "[1 2]",
    ] {
        assert!(!accepts(text), "{text}");
    }
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(accepts(&nested(MAX_DEPTH)));
    assert!(!accepts(&nested(MAX_DEPTH + 1)));
}

#[test]
fn compact_text_has_no_blanks_outside_strings() {
    let mut tape = Tape::default();
    let value = tape.read(" { \"a b\" : [ 1.50 , \"x \\\" y\" ] ,\n\t\"c\": {} } ").unwrap();
    assert_eq!(value.compact(&mut String::new()), r#"{"a b":[1.50,"x \" y"],"c":{}}"#);
}

#[test]
fn half_a_surrogate_pair_is_replaced() {
    let mut tape = Tape::default();
    let value = tape.read(r#""a\ud83d\ude00b\ud83dc\ude00\u0041""#).unwrap();
    assert_eq!(value.text(&mut String::new()), Some("a\u{1f600}b\u{fffd}c\u{fffd}A"));
}

pub(crate) fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        "\\PC{0,12}".prop_map(Into::into),
        "[ -~\\x00-\\x1f\"\\\\]{0,12}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::hash_map("[a-c\"\\\\\\n]{0,3}", inner, 0..6)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

fn rebuild(value: Value<'_>) -> serde_json::Value {
    let mut scratch = String::new();
    match value.kind() {
        Kind::Null => serde_json::Value::Null,
        Kind::True => true.into(),
        Kind::False => false.into(),
        Kind::Number => serde_json::from_str(value.source()).unwrap(),
        Kind::Text => value.text(&mut scratch).unwrap().into(),
        Kind::Array => value.items().map(rebuild).collect::<Vec<_>>().into(),
        Kind::Object => value
            .members()
            .map(|(name, value)| (name.text(&mut scratch).unwrap().to_owned(), rebuild(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
    }
}

proptest! {
    #[test]
    fn the_tape_of_a_value_is_the_value(value in any_json(), pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        // What serde_json reads back is the reference: printing a float may change it.
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let mut tape = Tape::default();
        let read = tape.read(&text).unwrap();
        prop_assert_eq!(&rebuild(read), &value);
        let compact = read.compact(&mut String::new()).to_owned();
        prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&compact).unwrap(), value);
    }

    #[test]
    fn any_bytes_are_read_or_refused(text in "[\\[\\]{}\",:0-9a-z\\\\ .-]{0,40}") {
        let mut tape = Tape::default();
        let strict = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
        let lenient = tape.read(&text).map(|value| rebuild_lenient(value)).is_ok();
        prop_assert!(lenient || !strict, "{}", text);
    }
}

fn rebuild_lenient(value: Value<'_>) {
    let mut scratch = String::new();
    let _ = (value.text(&mut scratch).is_some(), value.compact(&mut String::new()).len());
    value.items().for_each(rebuild_lenient);
    value.members().for_each(|(_, value)| rebuild_lenient(value));
}
