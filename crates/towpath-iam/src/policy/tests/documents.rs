//! Which documents are policies, and what is said of those that are not.

use super::*;

#[test]
fn what_is_not_understood_denies_when_stored_and_is_refused_when_put() {
    let with = |effect: &str| {
        format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"{effect}","Principal":"*","Action":"*",
                "Resource":"*","Condition":{{"StringSounds":{{"aws:X":"like"}}}}}}]}}"#
        )
    };
    let caller = user(OWNER, "me");
    let allow = [identity("Allow", "*", "*")];
    for effect in ["Allow", "Deny"] {
        let error = Policy::parse(&with(effect), PolicyKind::Resource).unwrap_err();
        assert_eq!(error.to_string(), "Statement[0].Condition.StringSounds: operator is unknown");
    }
    let stored = |text: &str| Policy::from_stored(text, PolicyKind::Resource);
    assert_eq!(decide(&caller, &[], Some(&stored(&with("Allow"))), None), missing(PolicyType::Identity));
    assert_eq!(decide(&caller, &allow, Some(&stored(&with("Deny"))), None), explicit(PolicyType::Resource));
    assert_eq!(decide(&caller, &allow, Some(&stored("{ nonsense")), None), explicit(PolicyType::Resource));
    assert_eq!(decide(&root(OWNER), &allow, Some(&stored("{}")), None), explicit(PolicyType::Resource));
}

#[test]
fn documents_that_are_not_policies_are_refused_with_place_and_reason() {
    let statement = |inside: &str| format!(r#"{{"Version":"2012-10-17","Statement":[{{{inside}}}]}}"#);
    let base = r#""Effect":"Allow","Action":"a:b","Resource":"*""#;
    let user_kind = PolicyKind::User;
    for (kind, text, expected) in [
        (user_kind, "".to_owned(), "document is not valid JSON"),
        (user_kind, "[]".to_owned(), "is a list, not an object"),
        (user_kind, "{}".to_owned(), "document has no Statement"),
        (user_kind, r#"{"Statement":[]}"#.to_owned(), "Statement: list is empty"),
        (user_kind, r#"{"Version":"2020-01-01","Statement":[]}"#.to_owned(), "Version: \"2020-01-01\" is neither"),
        (user_kind, r#"{"Version":1,"Statement":[]}"#.to_owned(), "Version: is a number, not a string"),
        (user_kind, r#"{"version":"2012-10-17"}"#.to_owned(), "element \"version\" is unknown"),
        (
            user_kind,
            statement(r#""Effect":"Allow","Effect":"Deny""#),
            "document is not valid JSON: \"Effect\" appears twice",
        ),
        (user_kind, statement(r#""Action":"a:b","Resource":"*""#), "Statement[0]: statement has no Effect"),
        (user_kind, statement(r#""Effect":"allow""#), "Statement[0].Effect: \"allow\" is neither Allow nor Deny"),
        (
            user_kind,
            statement(r#""Effect":"Allow","Resource":"*""#),
            "Statement[0]: statement has neither Action nor NotAction",
        ),
        (
            user_kind,
            statement(&format!(r#"{base},"NotAction":"x:y""#)),
            "Statement[0]: statement has both Action and NotAction",
        ),
        (user_kind, statement(&format!(r#"{base},"Note":"x""#)), "Statement[0]: element \"Note\" is unknown"),
        (
            user_kind,
            statement(&format!(r#"{base},"Principal":"*""#)),
            "Statement[0].Principal: a policy of an identity",
        ),
        (
            user_kind,
            statement(r#""Effect":"Allow","Action":["a:b","c"],"Resource":"*""#),
            "Statement[0].Action[1]: \"c\" is not of the form",
        ),
        (user_kind, statement(r#""Effect":"Allow","Action":[],"Resource":"*""#), "Statement[0].Action: list is empty"),
        (user_kind, statement(r#""Effect":"Allow","Action":"a:b""#), "Statement[0]: statement has neither Resource"),
        (
            user_kind,
            statement(r#""Effect":"Allow","Action":"a:b","Resource":"bucket""#),
            "Statement[0].Resource: \"bucket\" is neither",
        ),
        (
            user_kind,
            statement(r#""Effect":"Allow","Action":"a:b","Resource":"arn:aws:s3:x""#),
            "Statement[0].Resource: ",
        ),
        (
            user_kind,
            statement(r#""Effect":"Allow","Action":"a:b","Resource":"arn:aws:s3:${aws:username}::x""#),
            "before its fifth colon",
        ),
        (user_kind, statement(r#""Effect":"Allow","Action":"a:b","Resource":"arn:aws:s3:::${x""#), "no closing brace"),
        (user_kind, statement(&format!(r#"{base},"Condition":[]"#)), "Statement[0].Condition: is a list"),
        (
            user_kind,
            statement(&format!(r#"{base},"Condition":{{"Bool":{{"aws:X":"maybe"}}}}"#)),
            "Statement[0].Condition.Bool.aws:X[0]: \"maybe\"",
        ),
        (
            user_kind,
            statement(&format!(r#"{base},"Condition":{{"IpAddress":{{"aws:X":"10.0.0.0/33"}}}}"#)),
            "neither an IP address",
        ),
        (
            user_kind,
            statement(&format!(r#"{base},"Condition":{{"NumericEquals":{{"aws:X":"ten"}}}}"#)),
            "is not a number",
        ),
        (user_kind, statement(&format!(r#"{base},"Condition":{{"DateEquals":{{"aws:X":"soon"}}}}"#)), "is not a time"),
        (user_kind, statement(&format!(r#"{base},"Condition":{{"ArnLike":{{"aws:X":"arn:aws:*"}}}}"#)), "six parts"),
        (
            user_kind,
            statement(&format!(r#"{base},"Condition":{{"StringEquals":{{"x":"y"}}}}"#)),
            "Condition.StringEquals.x: condition key",
        ),
        (
            user_kind,
            statement(&format!(r#"{base},"Condition":{{"StringEquals":{{"aws:X":"1","AWS:x":"2"}}}}"#)),
            "appears twice",
        ),
        (
            user_kind,
            statement(&format!(r#"{base},"Condition":{{"StringEquals":{{"aws:X":{{}}}}}}"#)),
            "is an object, not a string",
        ),
        (
            user_kind,
            statement(&format!(r#"{base},"Condition":{{"NullIfExists":{{"aws:X":"true"}}}}"#)),
            "operator is unknown",
        ),
        (
            user_kind,
            statement(&format!(r#"{base},"Condition":{{"stringequals":{{"aws:X":"true"}}}}"#)),
            "operator is unknown",
        ),
        (user_kind, statement(&format!(r#"{base},"Sid":"not plain!""#)), "Statement[0].Sid: "),
        (
            user_kind,
            format!(r#"{{"Statement":[{{{base},"Sid":"a"}},{{{base},"Sid":"a"}}]}}"#),
            "Statement[1].Sid: \"a\" is the Sid",
        ),
        (PolicyKind::Resource, statement(base), "Statement[0]: statement has neither Principal"),
        (
            PolicyKind::Resource,
            statement(&format!(r#"{base},"Principal":"me""#)),
            "Statement[0].Principal: is a string",
        ),
        (PolicyKind::Resource, statement(&format!(r#"{base},"Principal":{{}}"#)), "no principal is named"),
        (
            PolicyKind::Resource,
            statement(&format!(r#"{base},"Principal":{{"Aws":"*"}}"#)),
            "element \"Aws\" is unknown",
        ),
        (
            PolicyKind::Resource,
            statement(&format!(r#"{base},"Principal":{{"AWS":"me"}}"#)),
            "Statement[0].Principal.AWS: \"me\"",
        ),
        (PolicyKind::Resource, statement(&format!(r#"{base},"NotPrincipal":"*""#)), "with Effect Deny only"),
        (PolicyKind::Trust, statement(&format!(r#"{base},"Principal":"*""#)), "names no resource"),
    ] {
        let error = Policy::parse(&text, kind).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn a_document_over_its_limit_is_refused_and_white_space_is_free_for_identities() {
    let long = |extra: usize| identity("Allow", "a:b", "*").text().replace("a:b", &format!("a:{}", "b".repeat(extra)));
    let spaced = identity("Allow", "a:b", "*").text().replace(',', &format!(",{}", " ".repeat(9000)));
    assert!(Policy::parse(&spaced, PolicyKind::User).is_ok());
    let endless = identity("Allow", "a:b", "*").text().replacen(',', &format!(",{}", " ".repeat(140_000)), 1);
    assert!(Policy::parse(&endless, PolicyKind::User).is_err());
    let error = Policy::parse(&long(2048), PolicyKind::User).unwrap_err();
    assert!(error.to_string().contains("more than 2048"), "{error}");
    let spaced = on_channel("Allow", r#""*""#).text().replace(',', &format!(",{}", " ".repeat(9000)));
    assert!(Policy::parse(&spaced, PolicyKind::Resource).is_err());
}
