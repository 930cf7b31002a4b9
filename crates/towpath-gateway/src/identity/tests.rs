//! Who is who, from what passes by.

use std::sync::atomic::{AtomicUsize, Ordering};

use http::Request;
use serde_json::{Value, json};
use towpath_capture::{Body, Ending, Response};

use super::*;
use crate::recording::Policy;

mod hostile;

fn account() -> AccountId {
    "123456789012".parse().unwrap()
}

fn upstream(name: &str) -> RecordedUpstream {
    RecordedUpstream {
        name: name.into(),
        account: account(),
        region: "us-east-1".parse().unwrap(),
        policy: Policy::FailOpen,
        verifies: false,
    }
}

/// A call, as a client makes it.
struct Called<'a> {
    service: &'a str,
    key: Option<&'a str>,
    form: &'a str,
    status: u16,
    answer: &'a str,
}

impl Default for Called<'_> {
    fn default() -> Self {
        Self { service: "dynamodb", key: Some("AKIAEXAMPLE"), form: "", status: 200, answer: "" }
    }
}

impl Called<'_> {
    fn exchange(&self) -> Exchange {
        let mut request = Request::post("/");
        if let Some(key) = self.key {
            let scope = format!("{key}/20261121/us-east-1/{}/aws4_request", self.service);
            request = request.header(
                "authorization",
                format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=00"),
            );
        }
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let (head, ()) = request.header("x-user", "arn:aws:iam::1:user/forged").body(()).unwrap().into_parts();
        let (answer, ()) = http::Response::builder().status(self.status).body(()).unwrap().into_parts();
        Exchange {
            request: towpath_capture::Request { head, body: Body::of(self.form.as_bytes().to_vec()) },
            ending: Ending::Answered(Response { head: answer, body: Body::of(self.answer.as_bytes().to_vec()) }),
            began: at(),
            ended: at(),
            peer: std::net::Ipv4Addr::LOCALHOST.into(),
            tls: None,
        }
    }

    fn routed(&self) -> Routed {
        Routed { service: Some(self.service.into()), ..Routed::to(&upstream("up")) }
    }

    fn pass(&self, identities: &Identities) {
        identities.learn(&upstream("up"), &self.routed(), &self.exchange());
    }

    fn identity(&self, identities: &Identities) -> Value {
        match identities.identify(&upstream("up"), &self.exchange(), &self.routed()) {
            Identified::Known(identity) => json!(identity),
            Identified::Ask(_) => json!("ask"),
        }
    }
}

fn at() -> Timestamp {
    "2026-11-21T05:00:00Z".parse().unwrap()
}

const CREDENTIALS: &str = "<Credentials><AccessKeyId>ASIAEXAMPLE</AccessKeyId><SecretAccessKey>s3cr3t</SecretAccessKey>\
    <SessionToken>t0k3n</SessionToken><Expiration>2026-11-21T06:00:00Z</Expiration></Credentials>";

struct Own;

impl KeyDirectory for Own {
    fn owner(&self, id: &str, token: Option<&str>) -> Option<UserIdentity> {
        match (id, token) {
            ("AKIAOWN", None) => Some(UserIdentity::root(account(), id)),
            _ => None,
        }
    }

    fn secret(&self, _: &str, _: Option<&str>) -> Option<Secret> {
        None
    }
}

#[test]
fn a_key_of_towpaths_accounts_is_its_owner_if_the_upstream_let_it_in() {
    let identities = Identities::default().with_directory(Arc::new(Own));
    let call = Called { key: Some("AKIAOWN"), ..Called::default() };
    assert_eq!(call.identity(&identities)["type"], "Root");
    let denied = Called { status: 403, answer: "<Code>AccessDenied</Code>", ..call };
    assert_eq!(denied.identity(&identities)["type"], "Root");
    let forged = Called { answer: "<Code>SignatureDoesNotMatch</Code>", ..denied };
    assert_eq!(forged.identity(&identities), json!({ "type": "Unknown", "accessKeyId": "AKIAOWN" }));
}

#[test]
fn nobody_is_taken_at_a_words_of_a_header_and_who_does_not_sign_is_anonymous() {
    let identities = Identities::default();
    let unknown = json!({ "type": "Unknown", "accountId": "123456789012", "accessKeyId": "AKIAEXAMPLE" });
    assert_eq!(Called::default().identity(&identities), unknown);
    let unsigned = Called { key: None, ..Called::default() };
    let anonymous = json!({ "type": "AWSAccount", "principalId": "", "accountId": "ANONYMOUS_PRINCIPAL" });
    assert_eq!(unsigned.identity(&identities), anonymous);

    let mut exchange = Called::default().exchange();
    exchange.ending = Ending::Refused { code: "AccessDenied".to_owned(), message: String::new() };
    match identities.identify(&upstream("up"), &exchange, &Called::default().routed()) {
        Identified::Known(identity) => assert_eq!(*identity, UserIdentity::unknown_key(None, "AKIAEXAMPLE")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_answer_to_get_caller_identity_says_whose_key_it_is() {
    let identities = Identities::default();
    let answer = "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/team/alice</Arn>\
        <UserId>AIDAEXAMPLE</UserId><Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>";
    Called { service: "sts", form: "Action=GetCallerIdentity", answer, ..Called::default() }.pass(&identities);
    let alice = json!({
        "type": "IAMUser", "principalId": "AIDAEXAMPLE", "arn": "arn:aws:iam::123456789012:user/team/alice",
        "accountId": "123456789012", "accessKeyId": "AKIAEXAMPLE", "userName": "alice",
    });
    assert_eq!(Called::default().identity(&identities), alice);
    // An answer of another service teaches nothing, whatever it looks like.
    let other = Called { key: Some("AKIAOTHER"), form: "Action=GetCallerIdentity", answer, ..Called::default() };
    other.pass(&identities);
    assert_eq!(other.identity(&identities)["type"], "Unknown");
}

#[test]
fn a_session_is_known_from_the_answer_to_assume_role_until_it_ends() {
    let identities = Identities::default();
    let answer = format!(
        "<AssumeRoleResponse><AssumeRoleResult>{CREDENTIALS}<AssumedRoleUser><AssumedRoleId>AROAEXAMPLE:me</AssumedRoleId>\
         <Arn>arn:aws:sts::123456789012:assumed-role/Admin/me</Arn></AssumedRoleUser>\
         <SourceIdentity>boss</SourceIdentity></AssumeRoleResult></AssumeRoleResponse>"
    );
    let form = "Action=AssumeRole&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fteam%2FAdmin&RoleSessionName=me\
        &SerialNumber=x&TokenCode=123456&SourceIdentity=claimed";
    Called { service: "sts", form, answer: &answer, ..Called::default() }.pass(&identities);
    let call = Called { key: Some("ASIAEXAMPLE"), ..Called::default() };
    let session = call.identity(&identities);
    assert_eq!(session["type"], "AssumedRole");
    assert_eq!(session["principalId"], "AROAEXAMPLE:me");
    assert_eq!(session["sessionContext"]["sessionIssuer"]["arn"], "arn:aws:iam::123456789012:role/team/Admin");
    assert_eq!(session["sessionContext"]["sessionIssuer"]["userName"], "Admin");
    assert_eq!(session["sessionContext"]["attributes"]["mfaAuthenticated"], "true");
    assert_eq!(session["sessionContext"]["sourceIdentity"], "boss");
    assert!(!format!("{session}").contains("s3cr3t"));

    let mut later = call.exchange();
    later.ended = "2026-11-21T06:00:01Z".parse().unwrap();
    match identities.identify(&upstream("up"), &later, &call.routed()) {
        Identified::Known(identity) => assert_eq!(identity.kind(), "Unknown"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn federated_users_and_users_of_identity_providers_are_known() {
    let identities = Identities::default().with_directory(Arc::new(Own));
    let answer = format!(
        "<GetFederationTokenResponse><GetFederationTokenResult>{CREDENTIALS}<FederatedUser><FederatedUserId>123456789012:bob</FederatedUserId>\
         <Arn>arn:aws:sts::123456789012:federated-user/bob</Arn></FederatedUser></GetFederationTokenResult></GetFederationTokenResponse>"
    );
    let form = "Action=GetFederationToken&Name=bob";
    Called { service: "sts", key: Some("AKIAOWN"), form, answer: &answer, ..Called::default() }.pass(&identities);
    let bob = Called { key: Some("ASIAEXAMPLE"), ..Called::default() }.identity(&identities);
    assert_eq!((&bob["type"], &bob["principalId"]), (&json!("FederatedUser"), &json!("123456789012:bob")));
    assert_eq!(bob["sessionContext"]["sessionIssuer"]["type"], "Root");

    let answer = "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><SubjectFromWebIdentityToken>user1</SubjectFromWebIdentityToken>\
        <Audience>app</Audience><Provider>accounts.example</Provider></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>";
    let call =
        Called { service: "sts", key: None, form: "Action=AssumeRoleWithWebIdentity", answer, ..Called::default() };
    assert_eq!(call.identity(&identities)["principalId"], "accounts.example:app:user1");
    assert_eq!(Called { status: 400, ..call }.identity(&identities), json!({ "type": "Unknown" }));
}

#[test]
fn a_key_that_iam_made_is_the_users_it_was_made_for() {
    let identities = Identities::default();
    let user = "<CreateUserResponse><CreateUserResult><User><Path>/</Path><UserName>carol</UserName><UserId>AIDACAROL</UserId>\
        <Arn>arn:aws:iam::123456789012:user/carol</Arn></User></CreateUserResult></CreateUserResponse>";
    Called { service: "iam", form: "Action=CreateUser&UserName=carol", answer: user, ..Called::default() }
        .pass(&identities);
    let key = "<CreateAccessKeyResponse><CreateAccessKeyResult><AccessKey><UserName>carol</UserName><AccessKeyId>AKIACAROL</AccessKeyId>\
        <SecretAccessKey>s3cr3t</SecretAccessKey></AccessKey></CreateAccessKeyResult></CreateAccessKeyResponse>";
    Called { service: "iam", form: "Action=CreateAccessKey", answer: key, ..Called::default() }.pass(&identities);
    let carol = Called { key: Some("AKIACAROL"), ..Called::default() }.identity(&identities);
    assert_eq!((&carol["type"], &carol["userName"]), (&json!("IAMUser"), &json!("carol")));
}

/// Counts how often it is asked.
#[derive(Default)]
struct Counting(AtomicUsize);

#[async_trait]
impl AskOwner for Counting {
    async fn owner(&self, id: &str, _: Option<&str>) -> Option<UserIdentity> {
        self.0.fetch_add(1, Ordering::Relaxed);
        (id == "AKIAEXAMPLE").then(|| UserIdentity::unknown_key("999999999999".parse().ok(), id))
    }
}

#[tokio::test]
async fn sts_is_asked_once_for_a_key_that_nobody_knows_and_believed_for_a_while() {
    let sts = Arc::new(Counting::default());
    let identities = Identities::default().with_asked("up", sts.clone());
    for key in ["AKIAEXAMPLE", "AKIASTRANGER"] {
        let call = Called { key: Some(key), ..Called::default() };
        let ask = || match identities.identify(&upstream("up"), &call.exchange(), &call.routed()) {
            Identified::Ask(ask) => ask,
            other => panic!("{other:?}"),
        };
        let (one, two) = (identities.ask(ask()), identities.ask(ask()));
        let (one, two) = tokio::join!(one, two);
        let expected = if key == "AKIAEXAMPLE" { "999999999999" } else { "123456789012" };
        assert_eq!((json!(one)["accountId"].as_str(), one == two), (Some(expected), true));
        assert_eq!(call.identity(&identities)["accountId"], expected);
    }
    assert_eq!(sts.0.load(Ordering::Relaxed), 2);
}
