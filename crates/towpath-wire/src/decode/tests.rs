use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::cloudtrail::*;
use crate::shape::{Kind, Shape};

fn decode_json(operation: Operation, body: Value) -> Result<Input, InputError> {
    operation.decode(body.to_string().as_bytes())
}

/// The code and message that a body is refused with.
fn refusal(operation: Operation, body: Value) -> (String, String) {
    let error = ApiError::from(decode_json(operation, body).expect_err("the body is accepted"));
    (error.code().to_owned(), error.message().to_owned())
}

fn code(operation: Operation, body: Value) -> String {
    refusal(operation, body).0
}

#[test]
fn a_full_input_is_typed() {
    let body = json!({
        "Name": "audit",
        "AdvancedEventSelectors": [{"Name": "all", "FieldSelectors": [{"Field": "eventCategory", "Equals": ["Management"]}]}],
        "MultiRegionEnabled": false,
        "RetentionPeriod": 90,
        "TagsList": [{"Key": "team", "Value": "security"}, {"Key": "bare"}],
        "BillingMode": "FIXED_RETENTION_PRICING",
        "KmsKeyId": null,
        "NoSuchMember": {"ignored": [1, 2]},
    });
    let Ok(Input::CreateEventDataStore(input)) = decode_json(Operation::CreateEventDataStore, body) else {
        panic!("the body is refused");
    };
    let selector = AdvancedEventSelector {
        name: Some("all".to_owned()),
        field_selectors: vec![AdvancedFieldSelector {
            field: "eventCategory".to_owned(),
            equals: Some(vec!["Management".to_owned()]),
            ..Default::default()
        }],
    };
    let expected = CreateEventDataStoreRequest {
        name: "audit".to_owned(),
        advanced_event_selectors: Some(vec![selector]),
        multi_region_enabled: Some(false),
        retention_period: Some(90),
        tags_list: Some(vec![
            Tag { key: "team".to_owned(), value: Some("security".to_owned()) },
            Tag { key: "bare".to_owned(), value: None },
        ]),
        billing_mode: Some(BillingMode::FixedRetentionPricing),
        ..Default::default()
    };
    assert_eq!(input, expected);
}

#[test]
fn an_empty_body_is_an_empty_input() {
    assert!(matches!(Operation::ListTrails.decode(b""), Ok(Input::ListTrails(_))));
    assert!(matches!(decode::<ListTrailsRequest>(b"{}"), Ok(input) if input.next_token.is_none()));
}

#[test]
fn every_kind_of_violation_is_worded_as_aws_words_it() {
    let store = Operation::CreateEventDataStore;
    let one = |body: Value, text: &str| {
        let expected = format!("1 validation error detected: {text}");
        assert_eq!(refusal(store, body).1, expected);
    };
    one(json!({}), "Value null at 'name' failed to satisfy constraint: Member must not be null");
    one(json!({"Name": null}), "Value null at 'name' failed to satisfy constraint: Member must not be null");
    one(
        json!({"Name": "ab"}),
        "Value 'ab' at 'name' failed to satisfy constraint: Member must have length greater than or equal to 3",
    );
    one(
        json!({"Name": "a b c"}),
        r"Value 'a b c' at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[a-zA-Z0-9._\-]+$",
    );
    one(
        json!({"Name": "audit", "RetentionPeriod": 6}),
        "Value '6' at 'retentionPeriod' failed to satisfy constraint: Member must have value greater than or equal to 7",
    );
    one(
        json!({"Name": "audit", "RetentionPeriod": 3654}),
        "Value '3654' at 'retentionPeriod' failed to satisfy constraint: Member must have value less than or equal to 3653",
    );
    one(
        json!({"Name": "audit", "BillingMode": "FREE"}),
        "Value 'FREE' at 'billingMode' failed to satisfy constraint: Member must satisfy enum value set: [EXTENDABLE_RETENTION_PRICING, FIXED_RETENTION_PRICING]",
    );
    one(
        json!({"Name": "audit", "AdvancedEventSelectors": [{"FieldSelectors": []}]}),
        "Value '[]' at 'advancedEventSelectors.1.member.fieldSelectors' failed to satisfy constraint: Member must have length greater than or equal to 1",
    );
    one(
        json!({"Name": "audit", "TagsList": [{"Key": "a"}, {"Value": "b"}]}),
        "Value null at 'tagsList.2.member.key' failed to satisfy constraint: Member must not be null",
    );
    one(
        json!({"Name": "audit", "TagsList": [null]}),
        "Value null at 'tagsList.1.member' failed to satisfy constraint: Member must not be null",
    );
}

#[test]
fn several_violations_are_told_at_once_up_to_a_bound() {
    let (_, message) = refusal(Operation::CreateEventDataStore, json!({"Name": "x", "RetentionPeriod": 1}));
    assert!(message.starts_with("2 validation errors detected: Value 'x' at 'name'"), "{message}");
    assert!(message.contains("; Value '1' at 'retentionPeriod'"), "{message}");

    let tags = vec![json!({"Key": "", "Value": "v".repeat(2000)}); 200];
    let (_, message) = refusal(Operation::CreateEventDataStore, json!({"Name": "audit", "TagsList": tags}));
    assert!(message.starts_with("10 validation errors"), "{message}");
    assert!(message.len() < 6000);
}

#[test]
fn lengths_count_characters() {
    let tag = |value: String| json!({"Name": "audit", "TagsList": [{"Key": "k", "Value": value}]});
    assert!(decode_json(Operation::CreateEventDataStore, tag("é".repeat(256))).is_ok());
    assert!(decode_json(Operation::CreateEventDataStore, tag("é".repeat(257))).is_err());
}

#[test]
fn a_violation_is_answered_with_the_error_the_operation_has_for_that_member() {
    use Operation as O;
    let id = "11111111-2222-3333-4444-555555555555";
    let store = "arn:aws:cloudtrail:eu-central-1:123456789012:eventdatastore/11111111-2222-3333-4444-555555555555";
    let tags = vec![json!({"Key": "k"}); 201];
    for (operation, body, expected) in [
        (O::CreateEventDataStore, json!({"Name": "a b c"}), "InvalidParameterException"),
        (O::CreateEventDataStore, json!({"Name": "abc", "TagsList": [{"Key": ""}]}), "InvalidTagParameterException"),
        (
            O::CreateChannel,
            json!({"Name": "abc", "Source": "Custom", "Destinations": [], "Tags": [{"Key": ""}]}),
            "InvalidParameterException",
        ),
        (
            O::CreateChannel,
            json!({"Name": "abc", "Source": "a\nb", "Destinations": [{"Type": "EVENT_DATA_STORE", "Location": id}]}),
            "InvalidSourceException",
        ),
        (
            O::CreateChannel,
            json!({"Name": "abc", "Source": "Custom", "Destinations": [{"Type": "EVENT_DATA_STORE", "Location": "a b c"}]}),
            "EventDataStoreARNInvalidException",
        ),
        (O::AddTags, json!({"ResourceId": "x", "TagsList": tags}), "TagsLimitExceededException"),
        (O::RemoveTags, json!({"ResourceId": "x", "TagsList": [{"Key": ""}]}), "InvalidTagParameterException"),
        (O::GetEventDataStore, json!({"EventDataStore": "a b c"}), "EventDataStoreARNInvalidException"),
        (O::ListQueries, json!({"EventDataStore": store, "MaxResults": 0}), "InvalidMaxResultsException"),
        (O::ListQueries, json!({"EventDataStore": store, "NextToken": "x"}), "InvalidNextTokenException"),
        (O::ListQueries, json!({"EventDataStore": store, "QueryStatus": "DONE"}), "InvalidQueryStatusException"),
        (O::GetQueryResults, json!({"QueryId": id, "MaxQueryResults": 1001}), "InvalidMaxResultsException"),
        (O::GetQueryResults, json!({"QueryId": "x"}), "InvalidParameterException"),
        (O::StartQuery, json!({"QueryStatement": ""}), "InvalidQueryStatementException"),
        (O::StartQuery, json!({"DeliveryS3Uri": "http://x"}), "InvalidS3BucketNameException"),
        (
            O::StartQuery,
            json!({"DeliveryS3Uri": format!("s3://bucket/{}", "x".repeat(1024))}),
            "InvalidS3PrefixException",
        ),
        (O::GetChannel, json!({"Channel": "a b c"}), "ChannelARNInvalidException"),
        (O::ListChannels, json!({"NextToken": "x"}), "InvalidNextTokenException"),
        (O::LookupEvents, json!({"MaxResults": 51}), "InvalidMaxResultsException"),
        (O::LookupEvents, json!({"EventCategory": "Insight"}), "InvalidEventCategoryException"),
        (
            O::LookupEvents,
            json!({"LookupAttributes": [{"AttributeKey": "Color", "AttributeValue": "x"}]}),
            "InvalidLookupAttributesException",
        ),
        (O::StartImport, json!({"Destinations": ["a b c"]}), "EventDataStoreARNInvalidException"),
        (O::StartImport, json!({"ImportSource": {"S3": {}}}), "InvalidImportSourceException"),
        (O::GetImport, json!({}), "InvalidParameterException"),
        (O::PutResourcePolicy, json!({"ResourceArn": "x y", "ResourcePolicy": "{}"}), "ResourceARNNotValidException"),
        (O::PutResourcePolicy, json!({"ResourceArn": store, "ResourcePolicy": ""}), "ResourcePolicyNotValidException"),
        (O::CreateTrail, json!({"S3BucketName": "bucket"}), "InvalidTrailNameException"),
        (O::GetDashboard, json!({"DashboardId": "a b"}), "ValidationException"),
        (
            O::PutEventSelectors,
            json!({"TrailName": "t", "AdvancedEventSelectors": [{"FieldSelectors": []}]}),
            "InvalidEventSelectorsException",
        ),
    ] {
        assert_eq!(code(operation, body.clone()), expected, "{operation} {body}");
    }
}

#[test]
fn a_value_of_the_wrong_type_cannot_be_read() {
    for (body, message) in [
        (json!({"Name": 5}), "NUMBER_VALUE can not be converted to a String at 'name'"),
        (
            json!({"Name": "abc", "RetentionPeriod": "90"}),
            "STRING_VALUE can not be converted to an Integer at 'retentionPeriod'",
        ),
        (
            json!({"Name": "abc", "RetentionPeriod": 7.5}),
            "DECIMAL_VALUE can not be converted to an Integer at 'retentionPeriod'",
        ),
        (
            json!({"Name": "abc", "RetentionPeriod": 4294967296u64}),
            "NUMBER_VALUE can not be converted to an Integer at 'retentionPeriod'",
        ),
        (
            json!({"Name": "abc", "StartIngestion": "true"}),
            "STRING_VALUE can not be converted to a Boolean at 'startIngestion'",
        ),
        (json!({"Name": "abc", "TagsList": {}}), "STRUCTURE_VALUE can not be converted to a list at 'tagsList'"),
        (
            json!({"Name": "abc", "TagsList": [[]]}),
            "LIST_VALUE can not be converted to a structure at 'tagsList.1.member'",
        ),
    ] {
        let expected = ("SerializationException".to_owned(), message.to_owned());
        assert_eq!(refusal(Operation::CreateEventDataStore, body), expected);
    }
    assert_eq!(code(Operation::LookupEvents, json!({"StartTime": "soon"})), "SerializationException");
}

#[test]
fn a_whole_number_may_be_written_with_a_fraction_of_zero() {
    let Ok(Input::LookupEvents(input)) = Operation::LookupEvents.decode(b"{\"MaxResults\": 5.0, \"StartTime\": 1.5}")
    else {
        panic!("the body is refused");
    };
    assert_eq!(input.max_results, Some(5));
    assert_eq!(input.start_time.unwrap().0.as_millisecond(), 1500);
}

#[test]
fn what_is_no_json_object_is_told_apart() {
    let message = |body: &[u8]| {
        let error = ApiError::from(Operation::ListTrails.decode(body).unwrap_err());
        assert_eq!(error.code(), "SerializationException");
        error.message().to_owned()
    };
    assert_eq!(message(b"{\"a\":"), "body is not JSON: wrong at line 1 column 5");
    assert_eq!(message(b"[]"), "body is not a JSON object");
    assert_eq!(message(b"{}{}"), "body is not JSON: wrong at line 1 column 3");
    assert_eq!(message(b"{\"a\":\"\xff\"}"), "body is not JSON: wrong at line 1 column 7");
    assert_eq!(message("[".repeat(65).as_bytes()), "body nests deeper than 64 levels");
}

#[test]
fn depth_and_size_are_bounded_before_anything_is_built() {
    let nested = |depth: usize| format!("{{\"x\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
    assert!(Operation::ListTrails.decode(nested(64).as_bytes()).is_ok());
    assert_eq!(Operation::ListTrails.decode(nested(65).as_bytes()).unwrap_err(), InputError::TooDeep);
    assert_eq!(Operation::ListTrails.decode("[".repeat(400_000).as_bytes()).unwrap_err(), InputError::TooDeep);
    let brackets_in_text = format!("{{\"x\":\"\\\"{}\"}}", "[".repeat(100));
    assert!(Operation::ListTrails.decode(brackets_in_text.as_bytes()).is_ok());
    let long = vec![b' '; MAX_JSON_BODY + 1];
    assert_eq!(Operation::ListTrails.decode(&long).unwrap_err(), InputError::TooLarge { limit: MAX_JSON_BODY });
}

#[test]
fn errors_carry_what_sdks_read() {
    let request_id = crate::RequestId::from(uuid::Uuid::nil());
    let error = ApiError::from(Operation::GetChannel.decode(b"{}").unwrap_err());
    let response = error.response(crate::Protocol::AwsJson, &request_id);
    assert_eq!(response.status(), 400);
    let header = |name: &str| response.headers()[name].to_str().unwrap();
    assert_eq!(header("content-type"), "application/x-amz-json-1.1");
    assert_eq!(header("x-amzn-requestid"), "00000000-0000-0000-0000-000000000000");
    assert_eq!(header("x-amzn-errortype"), "ChannelARNInvalidException");
    assert_eq!(
        std::str::from_utf8(response.body()).unwrap(),
        "{\"Message\":\"1 validation error detected: Value null at 'channel' failed to satisfy constraint: Member must not be null\",\"__type\":\"ChannelARNInvalidException\"}"
    );
    // The other protocol's models have the member in small letters, and generated SDKs look at nothing else.
    let response = error.response(crate::Protocol::RestJson, &request_id);
    assert!(std::str::from_utf8(response.body()).unwrap().contains("\"message\":\"1 validation"));
}

#[test]
fn an_output_without_its_absent_members_is_what_is_sent() {
    let output = GetChannelResponse { name: Some("c".to_owned()), ..Default::default() };
    assert_eq!(serde_json::to_string(&output).unwrap(), "{\"Name\":\"c\"}");
    assert_eq!(
        serde_json::to_string(&crate::data::PutAuditEventsResponse::default()).unwrap(),
        "{\"failed\":[],\"successful\":[]}"
    );
    assert_eq!(serde_json::to_string(&DeleteChannelResponse::default()).unwrap(), "{}");
}

/// A value for a shape: mostly one that satisfies it.
fn example(shape: &'static Shape, depth: u32) -> BoxedStrategy<Value> {
    let good = match &shape.kind {
        Kind::String { values, .. } if !values.is_empty() => {
            proptest::sample::select(*values).prop_map(Value::from).boxed()
        }
        Kind::String { min, .. } => {
            let text = "11111111-2222-3333-4444-555555555555".repeat(min.unwrap_or(1) / 36 + 1);
            prop_oneof![Just(Value::from(text)), "[a-z0-9]{3,12}".prop_map(Value::from)].boxed()
        }
        Kind::Integer { min, .. } | Kind::Long { min, .. } => {
            let low = min.unwrap_or(0);
            (low..low + 10).prop_map(Value::from).boxed()
        }
        Kind::Float => any::<f32>().prop_map(|f| json!(f)).boxed(),
        Kind::Boolean => any::<bool>().prop_map(Value::from).boxed(),
        Kind::Timestamp => (0i64..4_000_000_000).prop_map(Value::from).boxed(),
        Kind::Blob => Just(Value::from("AAAA")).boxed(),
        Kind::List { member, .. } => {
            proptest::collection::vec(example(member, depth + 1), 1..3).prop_map(Value::from).boxed()
        }
        Kind::Map { key, value, .. } => (example(key, depth + 1), example(value, depth + 1))
            .prop_map(|(key, value)| json!({key.as_str().unwrap_or("k"): value}))
            .boxed(),
        Kind::Structure(members) => members
            .iter()
            .map(|member| {
                let value = example(member.shape, depth + 1);
                let value =
                    if member.required { value.prop_map(Some).boxed() } else { proptest::option::of(value).boxed() };
                value.prop_map(|value| (member.name, value))
            })
            .collect::<Vec<_>>()
            .prop_map(|members| {
                Value::Object(members.into_iter().filter_map(|(n, v)| v.map(|v| (n.to_owned(), v))).collect())
            })
            .boxed(),
    };
    // The further in, the rarer something odd: a third of all inputs should be fine.
    prop_oneof![
        60 + 60 * depth => good,
        1 => Just(Value::Null),
        1 => ".{0,5}".prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => Just(json!([])),
        1 => Just(json!({})),
    ]
    .boxed()
}

fn any_input() -> impl Strategy<Value = (Operation, Value)> {
    proptest::sample::select(Operation::ALL)
        .prop_flat_map(|operation| (Just(operation), example(operation.model().input, 0)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn what_passes_validation_can_always_be_typed((operation, body) in any_input()) {
        let Value::Object(body) = body else { return Ok(()) };
        if let Ok(input) = checked(operation, body.clone()) {
            let typed = Input::typed(operation, Value::Object(input));
            prop_assert!(typed.is_ok(), "{operation} {body:?}: {typed:?}");
        }
    }

    #[test]
    fn no_bytes_make_decoding_panic(
        operation in proptest::sample::select(Operation::ALL), body in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let _ = operation.decode(&body);
    }

    #[test]
    fn no_json_makes_decoding_panic((operation, body) in any_input(), cut in any::<usize>(), byte in any::<u8>()) {
        let mut text = body.to_string().into_bytes();
        let at = cut % text.len();
        text[at] = byte;
        let _ = operation.decode(&text);
        let _ = operation.decode(&text[..at]);
    }
}

#[test]
fn most_generated_inputs_are_accepted_so_that_the_property_says_something() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let accepted = (0..300).filter(|_| {
        let (operation, body) = any_input().new_tree(&mut runner).unwrap().current();
        matches!(body, Value::Object(body) if checked(operation, body.clone()).is_ok())
    });
    let accepted = accepted.count();
    assert!(accepted > 90, "only {accepted} of 300");
}
