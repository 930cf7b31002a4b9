//! Who may what: each side of a request, and both together.

use super::*;

#[test]
fn within_an_account_either_side_is_enough_and_a_deny_wins() {
    use PolicyType::{Identity, Resource};
    let (allow, deny, none) =
        (identity("Allow", SEND, "*"), identity("Deny", SEND, "*"), identity("Allow", "s3:*", "*"));
    let (me, him) =
        (r#"{"AWS":"arn:aws:iam::111111111111:user/me"}"#, r#"{"AWS":"arn:aws:iam::111111111111:user/him"}"#);
    let (grants, other, account) =
        (on_channel("Allow", me), on_channel("Allow", him), on_channel("Allow", r#"{"AWS":"111111111111"}"#));
    let (forbids, anyone) = (on_channel("Deny", me), on_channel("Allow", r#""*""#));

    let caller = user(OWNER, "me");
    for (identity, resource, expected) in [
        (&none, None, missing(Identity)),
        (&allow, None, ALLOW),
        (&deny, None, explicit(Identity)),
        (&none, Some(&grants), ALLOW),
        (&none, Some(&other), missing(Identity)),
        (&allow, Some(&other), ALLOW),
        (&deny, Some(&grants), explicit(Identity)),
        (&allow, Some(&forbids), explicit(Resource)),
        (&none, Some(&anyone), ALLOW),
        // Naming the account hands the question to the account's own policies.
        (&none, Some(&account), missing(Identity)),
        (&allow, Some(&account), ALLOW),
    ] {
        assert_eq!(decide(&caller, std::slice::from_ref(identity), resource, None), expected, "{}", identity.text());
    }
    assert_eq!(decide(&caller, &[], None, None), missing(Identity));
    assert_eq!(decide(&caller, &[allow, deny], None, None), explicit(Identity));
}

#[test]
fn between_accounts_both_sides_must_allow() {
    use PolicyType::{Identity, Resource};
    let (allow, none) = (identity("Allow", "cloudtrail-data:*", "*"), identity("Allow", "s3:*", "*"));
    let by_account = on_channel("Allow", r#"{"AWS":"arn:aws:iam::222222222222:root"}"#);
    let by_user = on_channel("Allow", r#"{"AWS":["arn:aws:iam::222222222222:user/me"]}"#);
    let other_account = on_channel("Allow", r#"{"AWS":"333333333333"}"#);

    let caller = user(OTHER, "me");
    for (identity, resource, expected) in [
        (&allow, None, missing(Resource)),
        (&none, Some(&by_user), missing(Identity)),
        (&allow, Some(&by_user), ALLOW),
        (&allow, Some(&by_account), ALLOW),
        (&allow, Some(&other_account), missing(Resource)),
    ] {
        assert_eq!(decide(&caller, std::slice::from_ref(identity), resource, None), expected);
    }
    assert_eq!(decide(&user(OTHER, "you"), &[allow], Some(&by_user), None), missing(Resource));
}

#[test]
fn the_root_of_an_account_is_bound_by_resource_policies_alone() {
    use PolicyType::Resource;
    let deny = identity("Deny", "*", "*");
    let forbids = on_channel("Deny", r#"{"AWS":"111111111111"}"#);
    let grants_other = on_channel("Allow", r#"{"AWS":"222222222222"}"#);

    assert_eq!(decide(&root(OWNER), &[], None, None), ALLOW);
    assert_eq!(decide(&root(OWNER), &[deny], None, None), ALLOW);
    assert_eq!(decide(&root(OWNER), &[], Some(&forbids), None), explicit(Resource));
    assert_eq!(decide(&root(OTHER), &[], None, None), missing(Resource));
    assert_eq!(decide(&root(OTHER), &[], Some(&grants_other), None), ALLOW);
}

#[test]
fn a_session_policy_cuts_down_the_role_but_not_what_names_the_session() {
    use PolicyType::{Identity, Session};
    let (allow, none) = (identity("Allow", SEND, "*"), identity("Allow", "s3:*", "*"));
    let wide = policy(PolicyKind::Session, allow.text());
    let narrow = policy(PolicyKind::Session, none.text());
    let forbids = policy(PolicyKind::Session, identity("Deny", SEND, "*").text());
    let by_role = on_channel("Allow", r#"{"AWS":"arn:aws:iam::111111111111:role/team/R"}"#);
    let by_session = on_channel("Allow", r#"{"AWS":"arn:aws:sts::111111111111:assumed-role/R/s1"}"#);
    let anyone = with_condition(
        "Allow",
        r#""*""#,
        r#"{"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::111111111111:role/team/R"}}"#,
    );

    let caller = session(OWNER, "R", "s1");
    for (identity, resource, session, expected) in [
        (&allow, None, None, ALLOW),
        (&allow, None, Some(&wide), ALLOW),
        (&allow, None, Some(&narrow), missing(Session)),
        (&none, None, Some(&wide), missing(Identity)),
        (&none, Some(&by_role), None, ALLOW),
        (&none, Some(&by_role), Some(&narrow), missing(Session)),
        (&none, Some(&by_role), Some(&wide), ALLOW),
        (&none, Some(&by_session), Some(&narrow), ALLOW),
        (&none, Some(&anyone), Some(&narrow), ALLOW),
        (&allow, Some(&by_session), Some(&forbids), explicit(Session)),
    ] {
        assert_eq!(decide(&caller, std::slice::from_ref(identity), resource, session), expected);
    }
    // Another session of the role, and a user of the role's name.
    let other = session(OWNER, "R", "t1");
    assert_eq!(decide(&other, &[], Some(&by_session), None), missing(Identity));
    assert_eq!(decide(&user(OWNER, "R"), &[], Some(&by_role), None), missing(Identity));
}

#[test]
fn services_and_anonymous_callers_have_the_resource_policy_alone() {
    use PolicyType::Resource;
    let service = Principal::Service("cloudtrail.amazonaws.com".to_owned());
    let by_name = on_channel("Allow", r#"{"Service":"cloudtrail.amazonaws.com"}"#);
    let anyone = on_channel("Allow", r#"{"AWS":"*"}"#);

    assert_eq!(decide(&service, &[], Some(&by_name), None), ALLOW);
    assert_eq!(decide(&service, &[], Some(&anyone), None), missing(Resource));
    assert_eq!(decide(&service, &[], None, None), missing(Resource));
    let both =
        by_name.text().replace(r#""Statement":["#, r#""Statement":[{"Effect":"Deny","Principal":"*","Action":"*"},"#);
    assert_eq!(decide(&service, &[], Some(&policy(PolicyKind::Resource, &both)), None), explicit(Resource));
    assert_eq!(decide(&Principal::Anonymous, &[], Some(&anyone), None), ALLOW);
    assert_eq!(decide(&Principal::Anonymous, &[], Some(&by_name), None), missing(Resource));
}

#[test]
fn not_principal_spares_those_who_are_listed_in_full() {
    let text = |listed: &str| {
        format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Deny","NotPrincipal":{{"AWS":[{listed}]}},
                "Action":"*","Resource":"{CHANNEL}"}}]}}"#
        )
    };
    let allow = [identity("Allow", "*", "*")];
    let only_user = policy(PolicyKind::Resource, &text(r#""arn:aws:iam::111111111111:user/me""#));
    let user_and_account =
        policy(PolicyKind::Resource, &text(r#""arn:aws:iam::111111111111:user/me","arn:aws:iam::111111111111:root""#));
    let denied = explicit(PolicyType::Resource);

    assert_eq!(decide(&user(OWNER, "me"), &allow, Some(&only_user), None), denied);
    assert_eq!(decide(&user(OWNER, "me"), &allow, Some(&user_and_account), None), ALLOW);
    assert_eq!(decide(&user(OWNER, "you"), &allow, Some(&user_and_account), None), denied);
    assert_eq!(decide(&root(OWNER), &allow, Some(&user_and_account), None), ALLOW);
    assert_eq!(decide(&session(OWNER, "R", "s1"), &allow, Some(&user_and_account), None), denied);
}

#[test]
fn not_action_and_not_resource_mean_all_others() {
    let text = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","NotAction":"iam:*","NotResource":"arn:aws:cloudtrail:*:*:eventdatastore/*"}]}"#;
    let allow = [policy(PolicyKind::User, text)];
    let caller = user(OWNER, "me");
    let context = Context::new();
    let ask = |action, resource| {
        let request =
            Request { principal: &caller, action, resource, resource_account: account(OWNER), context: &context };
        evaluate(&request, &allow, None, None).is_allow()
    };
    assert!(ask(SEND, CHANNEL));
    assert!(!ask("iam:CreateUser", "*"));
    assert!(!ask("IAM:createuser", "*"));
    assert!(!ask(SEND, "arn:aws:cloudtrail:us-east-1:111111111111:eventdatastore/e"));
}

#[test]
fn actions_ignore_case_and_resources_do_not() {
    let caller = user(OWNER, "me");
    for (action, resource, allowed) in [
        ("CLOUDTRAIL-data:putAUDITevents", "*", true),
        ("cloudtrail-data:Put*", "arn:aws:cloudtrail:*:111111111111:channel/*", true),
        ("*", "arn:aws:cloudtrail:*", true),
        ("cloudtrail-data:*Event?", CHANNEL, true),
        ("cloudtrail:*", "*", false),
        (SEND, "arn:aws:cloudtrail:*:111111111111:Channel/*", false),
        (SEND, "arn:aws:cloudtrail:*:222222222222:channel/*", false),
    ] {
        let decision = decide(&caller, &[identity("Allow", action, resource)], None, None);
        assert_eq!(decision.is_allow(), allowed, "{action} {resource}");
    }
}

#[test]
fn assuming_a_role_needs_its_trust_policy_in_every_case() {
    use PolicyType::{Identity, Trust};
    let role = "arn:aws:iam::111111111111:role/R";
    let trust = |principal: &str, condition: &str| {
        let text = format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{principal},
                "Action":"sts:AssumeRole","Condition":{condition}}}]}}"#
        );
        policy(PolicyKind::Trust, &text)
    };
    let allow = [identity("Allow", "sts:AssumeRole", role)];
    let ask = |principal: &Principal, identity: &[Policy], trust: &Policy, external_id: Option<&str>| {
        let context = Context::new().with_some("sts:ExternalId", external_id);
        let (action, resource_account) = ("sts:AssumeRole", account(OWNER));
        let request = Request { principal, action, resource: role, resource_account, context: &context };
        evaluate_trust(&request, identity, trust, None)
    };

    let to_account = trust(r#"{"AWS":"111111111111"}"#, "{}");
    let to_user = trust(r#"{"AWS":"arn:aws:iam::111111111111:user/me"}"#, "{}");
    let to_other = trust(r#"{"AWS":"222222222222"}"#, r#"{"StringEquals":{"sts:ExternalId":"secret"}}"#);
    let me = user(OWNER, "me");
    assert_eq!(ask(&me, &allow, &to_account, None), ALLOW);
    assert_eq!(ask(&me, &[], &to_account, None), missing(Identity));
    assert_eq!(ask(&me, &[], &to_user, None), ALLOW);
    assert_eq!(ask(&user(OWNER, "you"), &allow, &to_user, None), missing(Trust));
    assert_eq!(ask(&root(OWNER), &[], &to_account, None), ALLOW);

    let stranger = user(OTHER, "me");
    assert_eq!(ask(&stranger, &allow, &to_other, Some("secret")), ALLOW);
    assert_eq!(ask(&stranger, &allow, &to_other, Some("wrong")), missing(Trust));
    assert_eq!(ask(&stranger, &allow, &to_other, None), missing(Trust));
    assert_eq!(ask(&stranger, &[], &to_other, Some("secret")), missing(Identity));
    assert_eq!(ask(&stranger, &allow, &to_account, None), missing(Trust));
}

#[test]
fn a_denial_is_told_in_the_words_of_aws() {
    let caller = user(OWNER, "me");
    let context = Context::new();
    let request = send(&caller, &context);
    let subject =
        format!("User: arn:aws:iam::111111111111:user/me is not authorized to perform: {SEND} on resource: {CHANNEL}");
    for (decision, reason) in [
        (missing(PolicyType::Identity), format!("because no identity-based policy allows the {SEND} action")),
        (missing(PolicyType::Resource), format!("because no resource-based policy allows the {SEND} action")),
        (missing(PolicyType::Session), format!("because no session policy allows the {SEND} action")),
        (missing(PolicyType::Trust), format!("because no role trust policy allows the {SEND} action")),
        (explicit(PolicyType::Identity), "with an explicit deny in an identity-based policy".to_owned()),
        (explicit(PolicyType::Resource), "with an explicit deny in a resource-based policy".to_owned()),
        (explicit(PolicyType::Session), "with an explicit deny in a session policy".to_owned()),
    ] {
        assert_eq!(decision.message(&request).unwrap(), format!("{subject} {reason}"));
    }
    assert_eq!(ALLOW.message(&request), None);
}

#[test]
fn a_pinned_policy_is_about_the_one_it_was_pinned_to() {
    let grants =
        on_channel("Allow", r#"{"AWS":["arn:aws:iam::111111111111:user/me","arn:aws:iam::111111111111:role/team/R"]}"#);
    let pin = |user: &str, role: &str| {
        let ids = [("user/me", user), ("role/team/R", role)];
        let ids = ids.map(|(name, id)| (format!("arn:aws:iam::111111111111:{name}"), id.to_owned()));
        grants.clone().pinned(&ids.into())
    };
    let (me, role) = (user(OWNER, "me"), session(OWNER, "R", "s1"));
    for (policy, allowed) in [(pin("AIDAUSER", "AROAROLE"), true), (pin("AIDAOTHER", "AROAOTHER"), false)] {
        for caller in [&me, &role] {
            assert_eq!(decide(caller, &[], Some(&policy), None).is_allow(), allowed);
        }
        assert_eq!(policy.text(), grants.text());
    }
}
