use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn checked(text: &[u8]) -> Result<Raw<'_>, Flaw> {
    let mut scan = Scan::new(text);
    scan.blanks();
    let value = scan.value()?;
    scan.end()?;
    Ok(value)
}

#[test]
fn the_grammar_is_that_of_the_rfc() {
    for good in ["0", "-0.5e+7", "\"\"", "[]", "{}", " [1 , {\"a\" : null}] ", "\"\\ud83d\\ude00\"", "1E9"] {
        assert!(checked(good.as_bytes()).is_ok(), "{good}");
    }
    let bad = [
        "01",
        "+1",
        "1.",
        ".5",
        "1e",
        "[1,]",
        "{\"a\":1,}",
        "{a:1}",
        "{\"a\"}",
        "tru",
        "nul",
        "\"\\x\"",
        "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\\ud800\\u0041\"",
        "\"\t\"",
        "[1 2]",
        "[}",
        "{]",
        "1 2",
        "'a'",
        "NaN",
        "[",
        "{\"a\":",
        "\"a",
        "",
    ];
    for text in bad {
        assert!(checked(text.as_bytes()).is_err(), "{text}");
    }
}

#[test]
fn nesting_is_bounded_and_costs_no_stack() {
    assert!(checked("[".repeat(100).as_bytes()) == Err(Flaw::Ends));
    let deep = "[".repeat(1_000_000);
    assert_eq!(checked(deep.as_bytes()), Err(Flaw::Bad { at: 100, what: "nesting is too deep" }));
    let object = "{\"a\":".repeat(200);
    let mut scan = Scan::new(object.as_bytes()).depth(3);
    assert!(matches!(scan.object(|_, _| Ok(())), Err(Flaw::Bad { at: 15, .. })));
}

#[test]
fn a_cut_value_is_told_from_a_wrong_one() {
    let text = r#"{"a":[1,"x\u0041",true],"b":{"c":-1.5e3}}"#;
    for cut in 0..text.len() {
        assert_eq!(checked(&text.as_bytes()[..cut]), Err(Flaw::Ends), "{cut}");
    }
    assert!(checked(text.as_bytes()).is_ok());
}

#[test]
fn members_are_found_however_their_key_is_spelled() {
    let raw = checked(br#"{"eventT\u0069me":"a\nb","x":{"eventTime":1},"eventTime":2}"#).unwrap();
    assert_eq!(raw.member("eventTime").unwrap().string().unwrap().decode(), "a\nb");
    assert!(raw.member("x").unwrap().is_object());
    assert_eq!(raw.member("y"), None);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1_000_000i32..1_000_000).prop_map(|n| Value::from(f64::from(n) / 64.0)),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_another_writer_made_is_read_back_the_same(value in any_json()) {
        for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
            let raw = checked(text.as_bytes()).unwrap();
            prop_assert_eq!(raw.text(), text.as_bytes());
            if let Value::Object(map) = &value {
                let mut seen = 0;
                raw.members(|key, part| {
                    seen += 1;
                    let expected = map.get(key.decode().as_ref());
                    assert_eq!(expected, serde_json::from_slice(part.text()).ok().as_ref());
                    if let Some(Value::String(text)) = expected {
                        assert_eq!(part.string().unwrap().decode(), text.as_str());
                    }
                });
                prop_assert_eq!(seen, map.len());
            }
        }
    }

    #[test]
    fn it_accepts_what_another_reader_accepts(text in r#"[\[\]{}",:0-9eE.+\-tfn a\\u]{0,24}"#) {
        // The other reader refuses numbers beyond its range; those texts are too short to hold one with fewer digits.
        let other = serde_json::from_str::<&serde_json::value::RawValue>(&text);
        let ours = checked(text.as_bytes());
        if ours.is_ok() != other.is_ok() {
            prop_assert!(text.contains("\\u"), "{:?} {:?} {:?}", text, ours, other.err());
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0usize..250) {
        let _ = checked(&bytes);
        let _ = Scan::at(&bytes, at).value();
        let _ = Scan::new(&bytes).depth(0).object(|key, value| { key.decode(); value.string().map(RawStr::decode); Ok(()) });
    }

    #[test]
    fn special_bytes_are_found_wherever_they_stand(mut bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        for byte in &mut bytes {
            if *byte % 3 == 0 { *byte |= 0x60; }
        }
        let slow = bytes.iter().position(|b| *b == b'"' || *b == b'\\' || *b < 0x20).unwrap_or(bytes.len());
        prop_assert_eq!(plain_run(&bytes, 0), slow);
    }
}
