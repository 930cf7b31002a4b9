use serde_json::json;

use super::*;

fn account() -> AccountId {
    "123456789012".parse().unwrap()
}

fn at() -> Timestamp {
    "2026-11-21T05:00:00Z".parse().unwrap()
}

fn alice() -> UserIdentity {
    let arn = "arn:aws:iam::123456789012:user/alice".parse().unwrap();
    UserIdentity::iam_user("AIDAEXAMPLE", &arn, account(), "AKIAEXAMPLE", "alice")
}

fn text(identity: &UserIdentity) -> String {
    serde_json::to_string(identity).unwrap()
}

#[test]
fn each_kind_has_the_members_of_real_records_in_their_order() {
    assert_eq!(
        text(&alice().in_session("ASIAEXAMPLE", at(), true)),
        r#"{"type":"IAMUser","principalId":"AIDAEXAMPLE","arn":"arn:aws:iam::123456789012:user/alice","accountId":"123456789012","accessKeyId":"ASIAEXAMPLE","userName":"alice","sessionContext":{"attributes":{"creationDate":"2026-11-21T05:00:00Z","mfaAuthenticated":"true"}}}"#
    );
    assert_eq!(
        text(&UserIdentity::federated_user(account(), "bob", "ASIAEXAMPLE", Some(&alice()), at())),
        r#"{"type":"FederatedUser","principalId":"123456789012:bob","arn":"arn:aws:sts::123456789012:federated-user/bob","accountId":"123456789012","accessKeyId":"ASIAEXAMPLE","sessionContext":{"sessionIssuer":{"type":"IAMUser","principalId":"AIDAEXAMPLE","arn":"arn:aws:iam::123456789012:user/alice","accountId":"123456789012","userName":"alice"},"attributes":{"creationDate":"2026-11-21T05:00:00Z","mfaAuthenticated":"false"}}}"#
    );
    assert_eq!(
        text(&UserIdentity::web_identity_user("accounts.google.com", "app", "user1")),
        r#"{"type":"WebIdentityUser","principalId":"accounts.google.com:app:user1","userName":"user1","identityProvider":"accounts.google.com"}"#
    );
    assert_eq!(
        text(&UserIdentity::aws_service("secretsmanager.amazonaws.com")),
        r#"{"type":"AWSService","invokedBy":"secretsmanager.amazonaws.com"}"#
    );
    assert_eq!(
        text(&UserIdentity::anonymous()),
        r#"{"type":"AWSAccount","principalId":"","accountId":"ANONYMOUS_PRINCIPAL"}"#
    );
    assert_eq!(
        text(&UserIdentity::service_event(account(), "AWS Internal")),
        r#"{"accountId":"123456789012","invokedBy":"AWS Internal"}"#
    );
}

#[test]
fn a_call_by_way_of_a_service_says_so_last() {
    let called = UserIdentity::root(account(), "AKIAEXAMPLE").invoked_by("cloudformation.amazonaws.com");
    assert!(text(&called).ends_with(r#","accessKeyId":"AKIAEXAMPLE","invokedBy":"cloudformation.amazonaws.com"}"#));
}

#[test]
fn a_service_linked_role_is_the_service_that_calls() {
    let role = |arn: &str| RoleSession {
        role_id: "AROAEXAMPLE".to_owned(),
        role_arn: arn.parse().unwrap(),
        role_name: "R".to_owned(),
        account: account(),
        session_name: "s".to_owned(),
        session_arn: "arn:aws:sts::123456789012:assumed-role/R/s".parse().unwrap(),
        access_key_id: "ASIAEXAMPLE".to_owned(),
        created: at(),
        mfa: false,
        source_identity: None,
    };
    let linked = role("arn:aws:iam::123456789012:role/aws-service-role/autoscaling.amazonaws.com/R");
    assert_eq!(UserIdentity::assumed_role(&linked).invoker(), Some("autoscaling.amazonaws.com"));
    assert_eq!(UserIdentity::assumed_role(&role("arn:aws:iam::123456789012:role/team/R")).invoker(), None);
}

#[test]
fn an_identity_that_was_written_is_read_as_the_same() {
    let role = RoleSession {
        role_id: "AROAEXAMPLE".to_owned(),
        role_arn: "arn:aws:iam::123456789012:role/Admin".parse().unwrap(),
        role_name: "Admin".to_owned(),
        account: account(),
        session_name: "me".to_owned(),
        session_arn: "arn:aws:sts::123456789012:assumed-role/Admin/me".parse().unwrap(),
        access_key_id: "ASIAEXAMPLE".to_owned(),
        created: at(),
        mfa: false,
        source_identity: Some("me".to_owned()),
    };
    let attributes = BTreeMap::from([("aud".to_owned(), "x".to_owned())]);
    let role = UserIdentity::assumed_role(&role).federated_by("accounts.google.com", attributes);
    for identity in
        [alice(), role, UserIdentity::anonymous(), UserIdentity::unknown(), UserIdentity::saml_user("q", "s")]
    {
        assert_eq!(serde_json::from_value::<UserIdentity>(json!(identity)).unwrap(), identity);
    }
}

#[test]
fn a_stranger_sees_the_account_and_the_principal_alone() {
    let stranger = "999999999999".parse().unwrap();
    assert_eq!(
        text(&alice().seen_by(stranger)),
        r#"{"type":"AWSAccount","principalId":"AIDAEXAMPLE","accountId":"123456789012"}"#
    );
    assert_eq!(*alice().seen_by(account()), alice());
}
