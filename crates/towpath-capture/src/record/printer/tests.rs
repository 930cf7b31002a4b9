use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::profile::{Profile, Profiles};

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn structure(fields: Vec<(&str, Value)>) -> Value {
    let field = |(name, value): (&str, Value)| Field { name: Arc::from(name), value, sensitive: false };
    Value::Structure(fields.into_iter().map(field).collect())
}

fn sensitive(name: &str, value: Value) -> Value {
    Value::Structure(vec![Field { name: Arc::from(name), value, sensitive: true }])
}

/// Prints requestParameters under a profile whose rule for every operation is this TOML.
fn printed(rule: &str, value: &Value) -> (Option<String>, Secrets) {
    let text = format!("event-source = \"a\"\n[[operation]]\nnames = [\"*\"]\n{rule}");
    let profile = Profile::parse("test", &text).unwrap();
    let profiles = Profiles::shipped();
    let rules = profiles.rules(&profile, "Do");
    let mut secrets = Secrets::default();
    let mut printer = Printer {
        rules: &rules.request,
        sensitive: rules.sensitive,
        times: TimeForm::Iso,
        keeps_names: false,
        secrets: Some(&mut secrets),
    };
    let printed = printer.print(value).parameters();
    (printed.text().map(str::to_owned), secrets)
}

fn json_of(rule: &str, value: &Value) -> String {
    printed(rule, value).0.unwrap_or_else(|| "null".to_owned())
}

#[test]
fn members_get_a_small_letter_and_keys_of_maps_stay() {
    let value = structure(vec![
        ("DBName", text("x")),
        ("Tags", Value::List(vec![structure(vec![("Key", text("K")), ("Value", Value::Null)])])),
        ("Context", Value::Map(vec![("Aws:Arn".to_owned(), text("a"))])),
        ("Size", Value::Number(3.into())),
        ("Free", Value::Document(json!({"Key": 1}))),
        ("Empty", Value::List(Vec::new())),
        ("Body", Value::Blob(Bytes::from_static(b"blob"))),
        ("Inner", Value::empty()),
    ]);
    let expected = r#"{"dBName":"x","tags":[{"key":"K"}],"context":{"Aws:Arn":"a"},"size":3,"free":{"Key":1},"empty":[],"inner":{}}"#;
    assert_eq!(json_of("", &value), expected);
    assert_eq!(json_of("request.leave-out-empty = true", &structure(vec![("A", Value::List(vec![]))])), "null");
    assert_eq!(json_of("", &Value::empty()), "null");
}

#[test]
fn members_are_dropped_hidden_replaced_hashed_and_shown() {
    let value = structure(vec![
        ("A", text("secret-a")),
        ("B", text("secret-b")),
        ("C", structure(vec![("D", text("secret-d")), ("E", text("e"))])),
        ("F", text("x")),
        ("Password", text("secret-p")),
        ("Key", Value::Blob(Bytes::from_static(b"k"))),
    ]);
    let rule = r#"
        request.drop = ["a"]
        request.hide = ["B"]
        request.replace = { "C.D" = "<removed>" }
        request.hash = ["F"]
        request.show = ["Key"]"#;
    let (printed, mut secrets) = printed(rule, &value);
    let expected = concat!(
        r#"{"b":"HIDDEN_DUE_TO_SECURITY_REASONS","c":{"d":"<removed>","e":"e"},"#,
        r#""f":"sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881","#,
        r#""password":"HIDDEN_DUE_TO_SECURITY_REASONS","key":"aw=="}"#
    );
    assert_eq!(printed.unwrap(), expected);
    let message = secrets.removed_from("secret-a secret-b secret-d secret-p");
    assert!(!message.contains("secret"), "{message}");
}

#[test]
fn what_the_model_marks_is_hidden_unless_a_profile_shows_it() {
    let value = sensitive("Name", structure(vec![("First", text("Ann"))]));
    assert_eq!(json_of("", &value), r#"{"name":"HIDDEN_DUE_TO_SECURITY_REASONS"}"#);
    assert_eq!(json_of("request.show = [\"Name\"]", &value), r#"{"name":{"first":"Ann"}}"#);
    assert_eq!(json_of("", &sensitive("Zip", Value::Blob(Bytes::from_static(b"zip")))), "null");
}

#[test]
fn members_are_renamed_ordered_added_and_kept() {
    let value = structure(vec![("name", text("n")), ("tier", text("t")), ("other", text("o"))]);
    let rule = r#"
        request.rename = { name = "spaceName" }
        request.add = { roleArn = "", tier = "never" }
        request.order = ["tier", "roleArn", "spaceName"]"#;
    assert_eq!(json_of(rule, &value), r#"{"tier":"t","roleArn":"","spaceName":"n","other":"o"}"#);
    assert_eq!(json_of("request.only = [\"tier\"]", &value), r#"{"tier":"t"}"#);
}

#[test]
fn one_structure_alone_is_printed_without_its_name() {
    let value = structure(vec![("DBInstance", structure(vec![("Engine", text("mysql")), ("Password", text("p"))]))]);
    let expected = r#"{"engine":"mysql","password":"HIDDEN_DUE_TO_SECURITY_REASONS"}"#;
    assert_eq!(json_of("request.unwrap = true", &value), expected);
    let two = structure(vec![("A", Value::empty()), ("B", Value::empty())]);
    assert_eq!(json_of("request.unwrap = true", &two), r#"{"a":{},"b":{}}"#);
}

#[test]
fn secrets_in_maps_and_documents_are_found_by_name() {
    let value = structure(vec![
        ("Env", Value::Map(vec![("DB_password".to_owned(), text("hunter2")), ("a".to_owned(), text("b"))])),
        ("Doc", Value::Document(json!({"list": [{"secretKey": "hunter2", "b": 1}]}))),
    ]);
    let printed = json_of("", &value);
    assert!(!printed.contains("hunter2"), "{printed}");
    assert!(printed.contains(r#""a":"b""#) && printed.contains(r#""b":1"#), "{printed}");
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(|number| Value::Number(number.into())),
        ".{0,12}".prop_map(Value::Text),
        any::<[u8; 3]>().prop_map(|bytes| Value::Blob(Bytes::copy_from_slice(&bytes))),
        (-1_000_000_000_000i64..1_000_000_000_000)
            .prop_map(|millis| Value::Time(jiff::Timestamp::from_millisecond(millis).unwrap())),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
            proptest::collection::vec((".{0,6}", inner.clone()), 0..4).prop_map(Value::Map),
            proptest::collection::vec((".{0,6}", inner, any::<bool>()), 0..4).prop_map(|fields| {
                let field =
                    |(name, value, sensitive): (String, Value, bool)| Field { name: name.into(), value, sensitive };
                Value::Structure(fields.into_iter().map(field).collect())
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn whatever_is_decoded_is_printed_as_json(value in values()) {
        let (printed, _) = printed("request.hash = [\"*.a\"]", &value);
        if let Some(text) = printed {
            prop_assert!(serde_json::from_str::<Json>(&text).is_ok(), "{}", text);
        }
    }

    #[test]
    fn no_hidden_text_is_printed(secret in "[a-z]{12}", depth in 0usize..4) {
        let mut value = structure(vec![("Password", text(&secret)), ("Other", text("x"))]);
        for _ in 0..depth {
            value = structure(vec![("Inner", Value::List(vec![value]))]);
        }
        let (printed, mut secrets) = printed("", &value);
        prop_assert!(!printed.unwrap().contains(&secret));
        let message = format!("Value '{secret}' at 'password'");
        prop_assert!(!secrets.removed_from(&message).contains(&secret));
    }
}
