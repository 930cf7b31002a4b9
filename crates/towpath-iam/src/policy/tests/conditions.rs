//! Operators, keys and variables of conditions.

use super::*;

#[test]
fn operators_compare_as_documented() {
    let with = |value: &str| Context::new().with("aws:X", value);
    for (operator, expected, value, result) in [
        ("StringEquals", "a", "a", true),
        ("StringEquals", "a", "A", false),
        ("StringEquals", "a*", "ab", false),
        ("StringNotEquals", "a", "b", true),
        ("StringNotEquals", "a", "a", false),
        ("StringEqualsIgnoreCase", "Ab", "aB", true),
        ("StringNotEqualsIgnoreCase", "Ab", "aB", false),
        ("StringLike", "a*?", "abc", true),
        ("StringLike", "A*", "abc", false),
        ("StringNotLike", "a*", "b", true),
        ("ArnEquals", "arn:aws:iam::*:user/*", "arn:aws:iam::1:user/a", true),
        ("ArnLike", "arn:aws:*:*:*:user/*", "arn:aws:iam::1:role/a", false),
        ("ArnLike", "arn:aws:*::1:user/a", "arn:aws:iam:x:1:user/a", false),
        ("ArnNotEquals", "arn:aws:iam::1:user/a", "arn:aws:iam::1:user/b", true),
        ("ArnNotLike", "arn:aws:iam::*:user/*", "arn:aws:iam::1:user/b", false),
        ("IpAddress", "10.0.0.0/8", "10.1.2.3", true),
        ("IpAddress", "10.0.0.1", "10.0.0.2", false),
        ("IpAddress", "2001:db8::/32", "2001:db8::1", true),
        ("IpAddress", "10.0.0.0/8", "::ffff:10.1.2.3", true),
        ("NotIpAddress", "10.0.0.0/8", "11.1.2.3", true),
        ("Bool", "true", "TRUE", true),
        ("Bool", "false", "true", false),
        ("NumericEquals", "10", "10.0", true),
        ("NumericNotEquals", "10", "11", true),
        ("NumericLessThan", "10", "9.5", true),
        ("NumericLessThan", "10", "10", false),
        ("NumericLessThanEquals", "10", "10", true),
        ("NumericGreaterThan", "10", "-11", false),
        ("NumericGreaterThanEquals", "10", "10", true),
        ("DateEquals", "2026-01-01T00:00:00Z", "1767225600", true),
        ("DateNotEquals", "2026-01-01", "2026-01-01T00:00:01Z", true),
        ("DateLessThan", "2026-01-01T01:00:00+01:00", "2025-12-31T23:59:59Z", true),
        ("DateLessThanEquals", "2026-01-01", "2026-01-01T00:00:00Z", true),
        ("DateGreaterThan", "2026-01-01", "2026-01-01T00:00:00Z", false),
        ("DateGreaterThanEquals", "2026-01-01", "2026-01-02T00:00:00Z", true),
        ("Null", "true", "x", false),
        ("Null", "false", "x", true),
    ] {
        let condition = format!(r#"{{"{operator}":{{"AWS:x":"{expected}"}}}}"#);
        assert_eq!(holds(&condition, with(value)), result, "{operator} {expected} {value}");
    }
}

#[test]
fn an_absent_key_fails_plain_operators_and_satisfies_negated_ones() {
    for (operator, expected, result) in [
        ("StringEquals", "a", false),
        ("StringNotEquals", "a", true),
        ("StringNotLike", "a", true),
        ("StringEqualsIfExists", "a", true),
        ("StringNotEqualsIfExists", "a", true),
        ("ArnLike", "*", false),
        ("ArnNotLike", "*", true),
        ("IpAddress", "10.0.0.0/8", false),
        ("IpAddressIfExists", "10.0.0.0/8", true),
        ("NotIpAddress", "10.0.0.0/8", true),
        ("Bool", "false", false),
        ("BoolIfExists", "true", true),
        ("NumericLessThan", "5", false),
        ("DateNotEquals", "2026-01-01", true),
        ("ForAllValues:StringEquals", "a", true),
        ("ForAllValues:StringNotEquals", "a", true),
        ("ForAnyValue:StringEquals", "a", false),
        ("ForAnyValue:StringNotEquals", "a", false),
        ("ForAnyValue:StringEqualsIfExists", "a", false),
        ("Null", "true", true),
        ("Null", "false", false),
    ] {
        let condition = format!(r#"{{"{operator}":{{"aws:X":"{expected}"}}}}"#);
        assert_eq!(holds(&condition, Context::new()), result, "{operator}");
    }
}

#[test]
fn several_values_on_either_side_are_put_together_as_documented() {
    let tags = |keys: &[&str]| {
        let mut context = Context::new();
        context.set("aws:TagKeys", keys.iter().map(ToString::to_string));
        context
    };
    for (operator, request, result) in [
        // The policy names "a" and "b".
        ("ForAllValues:StringEquals", &["a"][..], true),
        ("ForAllValues:StringEquals", &["a", "b"], true),
        ("ForAllValues:StringEquals", &["a", "c"], false),
        ("ForAnyValue:StringEquals", &["c", "a"], true),
        ("ForAnyValue:StringEquals", &["c", "d"], false),
        ("ForAllValues:StringNotEquals", &["c", "d"], true),
        ("ForAllValues:StringNotEquals", &["c", "a"], false),
        ("ForAnyValue:StringNotEquals", &["a", "c"], true),
        ("ForAnyValue:StringNotEquals", &["a", "b"], false),
        ("StringEquals", &["b"], true),
        ("StringNotEquals", &["b"], false),
        ("StringNotEquals", &["c"], true),
    ] {
        let condition = format!(r#"{{"{operator}":{{"aws:TagKeys":["a","b"]}}}}"#);
        assert_eq!(holds(&condition, tags(request)), result, "{operator} {request:?}");
    }
}

#[test]
fn every_operator_and_key_of_a_block_must_hold() {
    let block = r#"{"StringEquals":{"aws:A":"1","aws:B":["2","3"]},"Bool":{"aws:SecureTransport":true}}"#;
    let full = || Context::new().with("aws:A", "1").with("aws:B", "3").secure_transport(true);
    assert!(holds(block, full()));
    assert!(!holds(block, full().with("aws:A", "2")));
    assert!(!holds(block, full().with("aws:B", "1")));
    assert!(!holds(block, full().secure_transport(false)));
}

#[test]
fn keys_about_the_caller_come_from_the_caller_alone() {
    let claims = Context::new()
        .with("aws:PrincipalArn", "arn:aws:iam::111111111111:user/admin")
        .with("aws:username", "admin")
        .with("aws:PrincipalAccount", OTHER);
    assert!(!holds(r#"{"StringEquals":{"aws:username":"admin"}}"#, claims.clone()));
    assert!(holds(r#"{"StringEquals":{"aws:USERNAME":"me"}}"#, claims.clone()));
    assert!(holds(r#"{"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::111111111111:user/me"}}"#, claims.clone()));
    assert!(holds(r#"{"StringEquals":{"aws:PrincipalAccount":"111111111111"}}"#, claims));
    assert!(holds(r#"{"StringEquals":{"aws:userid":"AIDAUSER","aws:PrincipalType":"User"}}"#, Context::new()));
    assert!(holds(r#"{"Bool":{"aws:PrincipalIsAWSService":"false"}}"#, Context::new()));
}

#[test]
fn an_external_id_in_the_policy_must_be_sent_and_match() {
    let grants =
        with_condition("Allow", r#"{"AWS":"222222222222"}"#, r#"{"StringEquals":{"cloudtrail:ExternalId":"e-1"}}"#);
    let ask = |external_id: Option<&str>| {
        let context = Context::new().with_some("cloudtrail:ExternalId", external_id);
        evaluate::<Policy>(&send(&root(OTHER), &context), &[], Some(&grants), None)
    };
    assert_eq!(ask(Some("e-1")), ALLOW);
    assert_eq!(ask(Some("e-2")), missing(PolicyType::Resource));
    assert_eq!(ask(None), missing(PolicyType::Resource));
}

#[test]
fn variables_stand_for_values_of_the_request() {
    let own = identity("Allow", "*", "arn:aws:cloudtrail:*:111111111111:channel/${aws:username}-*");
    let context = Context::new();
    let resource = "arn:aws:cloudtrail:us-east-1:111111111111:channel/me-1";
    let ask = |principal: &Principal, policy: &Policy| {
        let (action, resource_account) = (SEND, account(OWNER));
        let request = Request { principal, action, resource, resource_account, context: &context };
        evaluate(&request, std::slice::from_ref(policy), None, None)
    };
    assert_eq!(ask(&user(OWNER, "me"), &own), ALLOW);
    assert_eq!(ask(&user(OWNER, "you"), &own), missing(PolicyType::Identity));
    // A session has no user name: the variable has no value and allows nothing.
    assert_eq!(ask(&session(OWNER, "R", "me"), &own), missing(PolicyType::Identity));
    let others = policy(
        PolicyKind::User,
        r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*",
            "NotResource":"arn:aws:cloudtrail:*:*:channel/${aws:username}-*"}}"#,
    );
    assert_eq!(ask(&session(OWNER, "R", "me"), &others), missing(PolicyType::Identity));
    // The old version of the language has no variables.
    let literal = policy(
        PolicyKind::User,
        r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"arn:aws:x:::channel/${aws:username}-*"}}"#,
    );
    assert_eq!(ask(&user(OWNER, "me"), &literal), missing(PolicyType::Identity));
}
