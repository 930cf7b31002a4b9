//! Laws that hold for every policy.

use super::*;

/// A statement out of a small world, so that statements meet often and many of them apply.
fn any_statement(with_principal: bool) -> impl Strategy<Value = String> {
    let effect = prop_oneof![4 => Just("Allow"), 1 => Just("Deny")];
    let action = prop_oneof![3 => Just("*"), 3 => Just("a:*"), 2 => Just("a:X"), 1 => Just("a:Y"), 1 => Just("b:?")];
    let resource = prop_oneof![
        4 => Just("*"),
        2 => Just("arn:aws:a:::*"),
        1 => Just("arn:aws:a:::r"),
        1 => Just("arn:aws:a:::${aws:username}"),
    ];
    let principal = prop::sample::select(vec![
        r#""*""#,
        r#""*""#,
        r#"{"AWS":"111111111111"}"#,
        r#"{"AWS":"222222222222"}"#,
        r#"{"AWS":"arn:aws:iam::111111111111:user/me"}"#,
        r#"{"AWS":"arn:aws:iam::222222222222:role/team/R"}"#,
    ]);
    let condition = prop::sample::select(vec![
        "{}",
        "{}",
        "{}",
        r#"{"StringEquals":{"aws:X":"1"}}"#,
        r#"{"StringNotEquals":{"aws:X":"${aws:username}"}}"#,
        r#"{"ForAllValues:StringLike":{"aws:Y":["1*","2"]}}"#,
        r#"{"Null":{"aws:X":"true"}}"#,
    ]);
    let not = (prop::bool::weighted(0.1), prop::bool::weighted(0.1));
    (effect, action, resource, principal, condition, not).prop_map(
        move |(effect, action, resource, principal, condition, (not_action, not_resource))| {
            let prefix = |not: bool| if not { "Not" } else { "" };
            let principal = if with_principal { format!(r#""Principal":{principal},"#) } else { String::new() };
            format!(
                r#"{{"Effect":"{effect}",{principal}"{}Action":"{action}","{}Resource":"{resource}","Condition":{condition}}}"#,
                prefix(not_action),
                prefix(not_resource),
            )
        },
    )
}

fn any_principal() -> impl Strategy<Value = Principal> {
    prop::sample::select(vec![
        root(OWNER),
        root(OTHER),
        user(OWNER, "me"),
        user(OTHER, "me"),
        session(OWNER, "R", "s1"),
        session(OTHER, "R", "s1"),
        Principal::Anonymous,
    ])
}

fn any_context() -> impl Strategy<Value = Context> {
    (prop::option::of("[12]|me"), prop::collection::vec("[123]{1,2}", 0..3)).prop_map(|(x, y)| {
        let mut context = Context::new().with_some("aws:X", x);
        context.set("aws:Y", y);
        context
    })
}

fn join(kind: PolicyKind, statements: &[String]) -> Option<Policy> {
    let text = format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, statements.join(","));
    (!statements.is_empty()).then(|| policy(kind, &text))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..Default::default() })]

    #[test]
    fn adding_a_deny_or_removing_an_allow_never_allows(
        identity in prop::collection::vec(any_statement(false), 0..4),
        resource in prop::collection::vec(any_statement(true), 0..4),
        session in prop::option::of(prop::collection::vec(any_statement(false), 1..3)),
        principal in any_principal(),
        context in any_context(),
        action in prop::sample::select(vec!["a:X", "A:x", "b:Z"]),
        target in prop::sample::select(vec!["arn:aws:a:::r", "arn:aws:a:::me", "*"]),
        extra in any_statement(true),
        place in any::<prop::sample::Index>(),
    ) {
        let request =
            Request { principal: &principal, action, resource: target, resource_account: account(OWNER), context: &context };
        let ask = |identity: &[String], resource: &[String]| {
            let identity: Vec<_> = join(PolicyKind::User, identity).into_iter().collect();
            let resource = join(PolicyKind::Resource, resource);
            let session = session.as_ref().and_then(|session| join(PolicyKind::Session, session));
            evaluate(&request, &identity, resource.as_ref(), session.as_ref())
        };
        let before = ask(&identity, &resource);

        let mut more = resource.clone();
        more.insert(place.index(resource.len() + 1), extra.replace("Allow", "Deny"));
        let with_deny = ask(&identity, &more);
        prop_assert!(before.is_allow() || !with_deny.is_allow());

        for (less_identity, less_resource) in [
            (without_an_allow(&identity, place), resource.clone()),
            (identity.clone(), without_an_allow(&resource, place)),
        ] {
            let after = ask(&less_identity, &less_resource);
            prop_assert!(before.is_allow() || !after.is_allow());
        }

        // The order of statements does not matter, nor does asking again.
        let reversed: Vec<_> = resource.iter().rev().cloned().collect();
        prop_assert_eq!(ask(&identity, &reversed), before);
        // Nothing is allowed where there is no policy, except to the owner's root.
        let bare = evaluate::<Policy>(&request, &[], None, None).is_allow();
        prop_assert_eq!(bare, principal == root(OWNER));
    }

    #[test]
    fn a_session_policy_never_adds_a_right(
        identity in prop::collection::vec(any_statement(false), 0..4),
        resource in prop::collection::vec(any_statement(true), 0..4),
        session_policy in prop::collection::vec(any_statement(false), 1..3),
        context in any_context(),
    ) {
        let caller = session(OWNER, "R", "s1");
        let request = Request {
            principal: &caller, action: "a:X", resource: "arn:aws:a:::r", resource_account: account(OWNER), context: &context,
        };
        let identity: Vec<_> = join(PolicyKind::Role, &identity).into_iter().collect();
        let resource = join(PolicyKind::Resource, &resource);
        let session_policy = join(PolicyKind::Session, &session_policy);
        let without = evaluate(&request, &identity, resource.as_ref(), None);
        let with = evaluate(&request, &identity, resource.as_ref(), session_policy.as_ref());
        prop_assert!(without.is_allow() || !with.is_allow());
    }

    #[test]
    fn reading_never_panics_and_what_is_put_can_be_read_again(text in any_document()) {
        for kind in [PolicyKind::User, PolicyKind::Trust, PolicyKind::Resource] {
            let parsed = Policy::parse(&text, kind);
            let stored = Policy::from_stored(&text, kind);
            if let Ok(parsed) = parsed {
                prop_assert_eq!(&parsed, &stored);
                prop_assert_eq!(parsed.text(), text.as_str());
            }
            let _ = decide(&user(OTHER, "me"), std::slice::from_ref(&stored), Some(&stored), None);
        }
    }
}

fn without_an_allow(statements: &[String], place: prop::sample::Index) -> Vec<String> {
    let mut statements = statements.to_vec();
    if !statements.is_empty() {
        let at = place.index(statements.len());
        if statements[at].contains(r#""Allow""#) {
            statements.remove(at);
        }
    }
    statements
}

/// A policy document with one piece of it replaced by something else, or any text at all.
fn any_document() -> impl Strategy<Value = String> {
    let sound = || {
        let statement = any::<bool>().prop_flat_map(any_statement);
        statement.prop_map(|text| format!(r#"{{"Version":"2012-10-17","Statement":[{text}]}}"#))
    };
    let damaged = (sound(), any::<prop::sample::Index>(), 0..12_usize, ".{0,6}").prop_map(|(text, at, cut, with)| {
        let characters: Vec<char> = text.chars().collect();
        let start = at.index(characters.len());
        let end = (start + cut).min(characters.len());
        let (head, tail): (String, String) = (characters[..start].iter().collect(), characters[end..].iter().collect());
        head + &with + &tail
    });
    prop_oneof![2 => sound(), 5 => damaged, 1 => ".{0,80}"]
}
