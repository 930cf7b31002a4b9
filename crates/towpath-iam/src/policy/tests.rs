//! Tables of IAM's documented outcomes, and laws that hold for every policy.

use jiff::Timestamp;
use proptest::prelude::*;
use towpath_model::{AccountId, Arn};

use super::*;
use crate::principal::{RoleSession, entity_arn};
use crate::{EntityName, EntityPath, Principal};

const OWNER: &str = "111111111111";
const OTHER: &str = "222222222222";
const CHANNEL: &str = "arn:aws:cloudtrail:us-east-1:111111111111:channel/c1";
const SEND: &str = "cloudtrail-data:PutAuditEvents";

fn account(text: &str) -> AccountId {
    text.parse().unwrap()
}

fn root(of: &str) -> Principal {
    Principal::Root { account: account(of) }
}

fn user(of: &str, name: &str) -> Principal {
    let (name, path): (EntityName, EntityPath) = (name.parse().unwrap(), EntityPath::default());
    let arn = entity_arn(account(of), "user", &path, &name);
    Principal::User { account: account(of), name, path, id: "AIDAUSER".to_owned(), arn }
}

fn session(of: &str, role: &str, name: &str) -> Principal {
    let (role, path): (EntityName, EntityPath) = (role.parse().unwrap(), "/team/".parse().unwrap());
    let arn = entity_arn(account(of), "role", &path, &role);
    let role = (account(of), role, arn, "AROAROLE".to_owned());
    Principal::AssumedRole(RoleSession::new(role, name.parse().unwrap(), None, Timestamp::UNIX_EPOCH))
}

fn policy(kind: PolicyKind, text: &str) -> Policy {
    Policy::parse(text, kind).unwrap_or_else(|error| panic!("{error} in {text}"))
}

/// An identity policy with one statement.
fn identity(effect: &str, action: &str, resource: &str) -> Policy {
    let text = format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"{effect}","Action":"{action}","Resource":"{resource}"}}}}"#
    );
    policy(PolicyKind::User, &text)
}

/// A policy of the channel with one statement about `principal` (JSON).
fn on_channel(effect: &str, principal: &str) -> Policy {
    with_condition(effect, principal, "{}")
}

fn with_condition(effect: &str, principal: &str, condition: &str) -> Policy {
    let text = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"{effect}","Principal":{principal},
            "Action":"{SEND}","Resource":"{CHANNEL}","Condition":{condition}}}]}}"#
    );
    policy(PolicyKind::Resource, &text)
}

fn send<'a>(principal: &'a Principal, context: &'a Context) -> Request<'a> {
    Request { principal, action: SEND, resource: CHANNEL, resource_account: account(OWNER), context }
}

fn decide(principal: &Principal, identity: &[Policy], resource: Option<&Policy>, session: Option<&Policy>) -> Decision {
    evaluate(&send(principal, &Context::new()), identity, resource, session)
}

const ALLOW: Decision = Decision::Allow;

fn explicit(by: PolicyType) -> Decision {
    Decision::DenyExplicit { by }
}

fn missing(missing: PolicyType) -> Decision {
    Decision::DenyImplicit { missing }
}

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

/// Whether a condition (JSON) holds for a user with the given context.
fn holds(condition: &str, context: Context) -> bool {
    let grants = with_condition("Allow", r#""*""#, condition);
    let caller = user(OWNER, "me");
    let allowed = evaluate::<Policy>(&send(&caller, &context), &[], Some(&grants), None).is_allow();
    // The same condition on a deny must hold in the same cases when all is known.
    let forbids = with_condition("Deny", r#""*""#, condition);
    let denied = !evaluate(&send(&caller, &context), &[identity("Allow", "*", "*")], Some(&forbids), None).is_allow();
    assert_eq!(allowed, denied, "{condition}");
    allowed
}

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

mod resource_rules {
    use super::*;

    fn check(text: &str) -> Result<(), String> {
        let arn: Arn = CHANNEL.parse().unwrap();
        let policy = policy(PolicyKind::Resource, text);
        ResourcePolicyRules::channel(&arn).check(&policy).map_err(|violation| violation.to_string())
    }

    fn statement(principal: &str, action: &str, resource: &str, condition: &str) -> String {
        format!(
            r#"{{"Effect":"Allow","Principal":{principal},"Action":{action},"Resource":{resource},"Condition":{condition}}}"#
        )
    }

    fn document(statements: &[String]) -> String {
        format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, statements.join(","))
    }

    const PARTNER: &str = r#"{"AWS":["arn:aws:iam::222222222222:root"]}"#;
    const PUT: &str = r#""cloudtrail-data:PutAuditEvents""#;
    const ON_CHANNEL: &str = r#""arn:aws:cloudtrail:us-east-1:111111111111:channel/c1""#;

    #[test]
    fn the_published_form_of_a_channel_policy_is_taken() {
        let condition = r#"{"StringEquals":{"cloudtrail:ExternalId":"id"}}"#;
        assert_eq!(check(&document(&[statement(PARTNER, PUT, ON_CHANNEL, condition)])), Ok(()));
    }

    #[test]
    fn each_rule_of_a_channel_policy_has_its_reason() {
        let principals = |count: usize| {
            let listed: Vec<_> = (0..count).map(|n| format!(r#""{n:012}""#)).collect();
            format!(r#"{{"AWS":[{}]}}"#, listed.join(","))
        };
        let good = statement(PARTNER, PUT, ON_CHANNEL, "{}");
        for (text, expected) in [
            (document(&vec![good.clone(); 21]), "Statement: has 21 statements, more than 20"),
            (
                document(&[statement(&principals(51), PUT, ON_CHANNEL, "{}")]),
                "Statement[0].Principal: has 51 principals",
            ),
            (document(&[good.clone(), statement(r#""*""#, PUT, ON_CHANNEL, "{}")]), "Statement[1].Principal: \"*\""),
            (document(&[statement(r#"{"Service":"a.b"}"#, PUT, ON_CHANNEL, "{}")]), "cannot send to a channel"),
            (
                document(&[statement(PARTNER, r#""cloudtrail:*""#, ON_CHANNEL, "{}")]),
                "Statement[0].Action: \"cloudtrail:*\"",
            ),
            (document(&[statement(PARTNER, PUT, r#""*""#, "{}")]), "Statement[0].Resource: \"*\" is not the resource"),
            (
                document(&[statement(PARTNER, PUT, ON_CHANNEL, r#"{"StringLike":{"cloudtrail:ExternalId":"x*"}}"#)]),
                "StringEquals only",
            ),
            (
                document(&[statement(PARTNER, PUT, ON_CHANNEL, r#"{"Bool":{"s3:x":"true"}}"#)]),
                "\"s3:x\" is not supported",
            ),
            (document(&[good.replace(r#""Action""#, r#""NotAction""#)]), "NotAction is not supported"),
            (document(&[good.replace(r#""Resource""#, r#""NotResource""#)]), "NotResource is not supported"),
            (
                document(&[good.replace("Allow", "Deny").replace(r#""Principal""#, r#""NotPrincipal""#)]),
                "NotPrincipal is not",
            ),
        ] {
            let problem = check(&text).unwrap_err();
            assert!(problem.contains(expected), "{problem}");
        }
        assert_eq!(check(&document(&[statement(&principals(50), PUT, ON_CHANNEL, "{}")])), Ok(()));
        assert_eq!(check(&document(&vec![good; 20])), Ok(()));
    }

    #[test]
    fn a_store_takes_its_own_actions_and_dashboards() {
        let arn: Arn = "arn:aws:cloudtrail:us-east-1:111111111111:eventdatastore/e1".parse().unwrap();
        let check = |text: &str| ResourcePolicyRules::store(&arn).check(&policy(PolicyKind::Resource, text));
        let on_store = format!(r#""{arn}""#);
        let queries = r#"["cloudtrail:StartQuery","cloudtrail:GetQueryResults"]"#;
        assert_eq!(check(&document(&[statement(PARTNER, queries, &on_store, "{}")])), Ok(()));
        assert!(
            check(&document(&[statement(PARTNER, r#""cloudtrail:DeleteEventDataStore""#, &on_store, "{}")])).is_err()
        );

        let dashboard = r#"{"StringLike":{"AWS:SourceArn":"arn:aws:cloudtrail:us-east-1:111111111111:dashboard/*"},
            "StringEquals":{"AWS:SourceAccount":"111111111111"}}"#;
        let service = r#"{"Service":"cloudtrail.amazonaws.com"}"#;
        let text = statement(service, r#""cloudtrail:StartQuery""#, &on_store, dashboard);
        assert_eq!(check(&document(&[text])), Ok(()));
    }
}

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
