//! Who would like somebody else to be named: calls, answers and keys that are made for it.

use std::time::Duration;

use tokio::time::Instant;

use super::*;

/// The answer of an STS to somebody who asks who it is.
fn caller_identity(arn: &str, user_id: &str) -> String {
    format!(
        "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>{arn}</Arn><UserId>{user_id}</UserId>\
         <Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"
    )
}

fn root() -> String {
    caller_identity("arn:aws:iam::123456789012:root", "123456789012")
}

fn kind(identities: &Identities, key: &str) -> Value {
    Called { key: Some(key), ..Called::default() }.identity(identities)["type"].clone()
}

#[test]
fn content_that_looks_like_an_answer_of_sts_teaches_nothing() {
    let (identities, answer) = (Identities::default(), root());
    let call = || Called { service: "sts", form: "Action=GetCallerIdentity", answer: &answer, ..Called::default() };
    let refuses = |change: &dyn Fn(&mut Exchange)| {
        let mut exchange = call().exchange();
        change(&mut exchange);
        identities.learn(&upstream("up"), &call().routed(), &exchange);
        assert_eq!(kind(&identities, "AKIAEXAMPLE"), "Unknown");
    };
    // An object, by a call that is signed for STS.
    refuses(&|exchange| exchange.request.head.uri = "/bucket/evil.xml".parse().unwrap());
    refuses(&|exchange| exchange.request.head.method = http::Method::GET);
    refuses(&|exchange| exchange.request.head.uri = "/?Action=GetCallerIdentity".parse().unwrap());
    refuses(&|exchange| exchange.request.body.total += 1);
    refuses(&|exchange| drop(exchange.request.head.headers.remove("content-type")));
    // A service that repeats what it is told.
    let echo = |path: &str, text: String| {
        refuses(&|exchange| {
            exchange.request.head.uri = path.parse().unwrap();
            exchange.request.body = Body::of(text.clone().into_bytes());
            let Ending::Answered(response) = &mut exchange.ending else { unreachable!() };
            response.body = Body::of(text.clone().into_bytes());
        });
    };
    echo("/?Action=GetCallerIdentity", answer.clone());
    echo("/", format!("{answer}&Action=GetCallerIdentity"));
    echo("/", answer.replacen('>', " a='&Action=GetCallerIdentity&'>", 1));
    let answers = |text: String| {
        refuses(&|exchange| {
            let Ending::Answered(response) = &mut exchange.ending else { unreachable!() };
            response.body = Body::of(text.clone().into_bytes());
        });
    };
    answers(format!("<html>{answer}</html>"));
    answers(format!("{{\"echo\":\"{answer}\"}}"));
    answers(answer.replace("GetCallerIdentityResponse", "GetCallerIdentityResponses"));
    answers(answer.replace("</GetCallerIdentityResponse>", ""));
    answers(answer.replace("<Account>123456789012", "<Account>210987654321"));
    let silent = Ties { realm: "up".into(), own_keys: true, teaches: false };
    let api = Identities::default().with_ties("up", silent);
    call().pass(&api);
    assert_eq!(kind(&api, "AKIAEXAMPLE"), "Unknown");

    call().pass(&identities);
    assert_eq!(kind(&identities, "AKIAEXAMPLE"), "Root", "what was changed above is all that was wrong");
}

#[test]
fn the_role_of_a_session_is_the_one_in_the_answer_whatever_was_asked_for() {
    let answer = format!(
        "<AssumeRoleResponse><AssumeRoleResult>{CREDENTIALS}<AssumedRoleUser><AssumedRoleId>AROADEV:me</AssumedRoleId>\
         <Arn>arn:aws:sts::123456789012:assumed-role/Dev/me</Arn></AssumedRoleUser></AssumeRoleResult></AssumeRoleResponse>"
    );
    let dev = "RoleArn=arn:aws:iam::123456789012:role/Dev";
    for form in [
        "RoleArn=arn:aws:iam::123456789012:role/Admin".to_owned(),
        "RoleArn=arn:aws:iam::210987654321:role/Dev".to_owned(),
        "RoleArn=arn:aws:sts::123456789012:role/Dev".to_owned(),
        // One reader takes the first, another one the last.
        format!("{dev}&RoleArn=arn:aws:iam::123456789012:role/aws-service-role/s3.amazonaws.com/Dev"),
        String::new(),
    ] {
        let identities = Identities::default();
        let form = format!("Action=AssumeRole&{form}");
        Called { service: "sts", form: &form, answer: &answer, ..Called::default() }.pass(&identities);
        assert_eq!(kind(&identities, "ASIAEXAMPLE"), "Unknown", "{form}");
    }
    // A path that was made up does not count where the role's is known.
    let identities = Identities::default();
    let role = "<GetRoleResponse><GetRoleResult><Role><Path>/</Path><RoleName>Dev</RoleName><RoleId>AROADEV</RoleId>\
        <Arn>arn:aws:iam::123456789012:role/Dev</Arn></Role></GetRoleResult></GetRoleResponse>";
    Called { service: "iam", form: "Action=GetRole&RoleName=Dev", answer: role, ..Called::default() }.pass(&identities);
    let form = "Action=AssumeRole&RoleArn=arn:aws:iam::123456789012:role/aws-service-role/s3.amazonaws.com/Dev";
    Called { service: "sts", form, answer: &answer, ..Called::default() }.pass(&identities);
    let session = Called { key: Some("ASIAEXAMPLE"), ..Called::default() }.identity(&identities);
    assert_eq!((&session["type"], &session["invokedBy"]), (&json!("AssumedRole"), &Value::Null));
    assert_eq!(session["sessionContext"]["attributes"]["mfaAuthenticated"], "false");
}

#[test]
fn what_one_upstream_says_of_a_key_counts_for_its_realm_alone() {
    let answer = root();
    let ties = |realm: &str| Ties { realm: realm.into(), own_keys: true, teaches: true };
    let identities = Identities::default()
        .with_ties("up", ties("one"))
        .with_ties("beside", ties("one"))
        .with_ties("elsewhere", ties("two"));
    let call = Called { service: "sts", form: "Action=GetCallerIdentity", answer: &answer, ..Called::default() };
    call.pass(&identities);
    let kind_at = |name: &str| match identities.identify(&upstream(name), &Called::default().exchange(), &call.routed())
    {
        Identified::Known(identity) => identity.kind().to_owned(),
        other => panic!("{other:?}"),
    };
    assert_eq!((kind_at("up"), kind_at("beside")), ("Root".to_owned(), "Root".to_owned()));
    assert_eq!((kind_at("elsewhere"), kind_at("unheard-of")), ("Unknown".to_owned(), "Unknown".to_owned()));
}

#[test]
fn a_key_of_ours_is_a_strangers_where_callers_choose_the_ids_of_their_keys() {
    let chosen = Ties { realm: "up".into(), own_keys: false, teaches: true };
    let server = Arc::new(Counting::default());
    let identities = Identities::default().with_directory(Arc::new(Own)).with_server(server).with_ties("up", chosen);
    let call = Called { key: Some("AKIAOWN"), ..Called::default() };
    let identity = call.identity(&identities);
    assert_eq!(identity["type"], "Unknown");
    assert!(!identities.is_own("up", &call.exchange(), &UserIdentity::root(account(), "AKIAOWN")));
    assert!(identities.is_own("other", &call.exchange(), &UserIdentity::root(account(), "AKIAOWN")));
    assert!(!identities.is_own("other", &call.exchange(), &UserIdentity::unknown()));
}

#[test]
fn users_of_two_accounts_with_one_name_are_two() {
    let identities = Identities::default();
    let show = |key: &'static str, account: &str| {
        let user = format!(
            "<GetUserResponse><GetUserResult><User><UserName>carol</UserName><UserId>AIDA{account}</UserId>\
             <Arn>arn:aws:iam::{account}:user/carol</Arn></User></GetUserResult></GetUserResponse>"
        );
        Called { service: "iam", key: Some(key), form: "Action=GetUser", answer: &user, ..Called::default() }
            .pass(&identities);
    };
    let make = |key: &'static str, made: &str| {
        let made = format!(
            "<CreateAccessKeyResponse><CreateAccessKeyResult><AccessKey><UserName>carol</UserName>\
             <AccessKeyId>{made}</AccessKeyId></AccessKey></CreateAccessKeyResult></CreateAccessKeyResponse>"
        );
        Called { service: "iam", key: Some(key), form: "Action=CreateAccessKey", answer: &made, ..Called::default() }
            .pass(&identities);
    };
    show("AKIAADMINONE", "111111111111");
    make("AKIAADMINTWO", "AKIACAROLTWO");
    assert_eq!(kind(&identities, "AKIACAROLTWO"), "Unknown");
    make("AKIAADMINONE", "AKIACAROLONE");
    let one = Called { key: Some("AKIACAROLONE"), ..Called::default() }.identity(&identities);
    assert_eq!(one["accountId"], "111111111111");
    // Who has another name now, or is no more, is not named any longer.
    let gone = "<DeleteUserResponse/>".replace("/>", "></DeleteUserResponse>");
    let form = "Action=DeleteUser&UserName=carol";
    Called { service: "iam", key: Some("AKIAADMINONE"), form, answer: &gone, ..Called::default() }.pass(&identities);
    assert_eq!(kind(&identities, "AKIACAROLONE"), "Unknown");
    make("AKIAADMINONE", "AKIACAROLNEW");
    assert_eq!(kind(&identities, "AKIACAROLNEW"), "Unknown", "maybe another user of this name");
}

#[test]
fn a_key_that_was_deleted_is_forgotten() {
    let (identities, answer) = (Identities::default(), root());
    Called { service: "sts", form: "Action=GetCallerIdentity", answer: &answer, ..Called::default() }.pass(&identities);
    assert_eq!(kind(&identities, "AKIAEXAMPLE"), "Root");
    let deleted = "<DeleteAccessKeyResponse><ResponseMetadata/></DeleteAccessKeyResponse>";
    let form = "Action=DeleteAccessKey&AccessKeyId=AKIAEXAMPLE";
    Called { service: "iam", key: Some("AKIAADMIN"), form, answer: deleted, ..Called::default() }.pass(&identities);
    assert_eq!(kind(&identities, "AKIAEXAMPLE"), "Unknown");
}

#[test]
fn who_signs_in_a_way_that_nobody_understands_is_unknown_and_not_anonymous() {
    let identities = Identities::default();
    let mut exchange = Called { key: None, form: "AWSAccessKeyId=AKIA1&Action=List", ..Called::default() }.exchange();
    let identity =
        |exchange: &Exchange| match identities.identify(&upstream("up"), exchange, &Called::default().routed()) {
            Identified::Known(identity) => json!(identity),
            other => panic!("{other:?}"),
        };
    assert_eq!(identity(&exchange), json!({ "type": "Unknown" }));
    exchange.request.body = Body::of("Action=List");
    assert_eq!(identity(&exchange)["accountId"], "ANONYMOUS_PRINCIPAL");
    exchange.request.head.headers.insert("authorization", "AWS4-HMAC-SHA256 Credential=AKIAVICTIM".parse().unwrap());
    assert_eq!(identity(&exchange), json!({ "type": "Unknown" }));
}

#[test]
fn a_form_that_was_not_kept_may_be_signed_by_anybody() {
    let identities = Identities::default();
    let mut exchange = Called { key: None, form: "--b\r\n", ..Called::default() }.exchange();
    let kind = "multipart/form-data; boundary=b".parse().unwrap();
    exchange.request.head.headers.insert("content-type", kind);
    let identity =
        |exchange: &Exchange| match identities.identify(&upstream("up"), exchange, &Called::default().routed()) {
            Identified::Known(identity) => json!(identity)["type"].clone(),
            other => panic!("{other:?}"),
        };
    assert_eq!(identity(&exchange), "AWSAccount");
    exchange.request.body.total = 1000;
    assert_eq!(identity(&exchange), "Unknown");
}

#[test]
fn who_was_verified_here_is_known_whatever_the_upstream_answers() {
    let identities = Identities::default().with_directory(Arc::new(Own));
    let verified = RecordedUpstream { verifies: true, ..upstream("up") };
    let call = Called { key: Some("AKIAOWN"), status: 503, ..Called::default() };
    let kind = |upstream: &RecordedUpstream, exchange: &Exchange| match identities.identify(
        upstream,
        exchange,
        &call.routed(),
    ) {
        Identified::Known(identity) => identity.kind().to_owned(),
        other => panic!("{other:?}"),
    };
    let mut exchange = call.exchange();
    assert_eq!((kind(&upstream("up"), &exchange), kind(&verified, &exchange)), ("Unknown".into(), "Root".into()));
    // A call that broke off may have done so before it was verified.
    exchange.ending = Ending::Broken { reason: String::new() };
    assert_eq!(kind(&verified, &exchange), "Unknown");
}

/// Answers who has the right token, after a while; counts who waits for that.
struct Slow {
    pause: Duration,
    waiting: AtomicUsize,
    most: AtomicUsize,
}

impl Slow {
    fn after(pause: Duration) -> Arc<Self> {
        Arc::new(Self { pause, waiting: AtomicUsize::new(0), most: AtomicUsize::new(0) })
    }
}

struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl AskOwner for Slow {
    async fn owner(&self, id: &str, token: Option<&str>) -> Option<UserIdentity> {
        self.most.fetch_max(self.waiting.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let _waiting = Waiting(&self.waiting);
        tokio::time::sleep(self.pause).await;
        (token == Some("right")).then(|| UserIdentity::root(account(), id))
    }
}

fn ask(identities: &Identities, key: &str, token: &str) -> Option<Ask> {
    let call = Called { key: Some(key), ..Called::default() };
    let mut exchange = call.exchange();
    exchange.request.head.headers.insert("x-amz-security-token", token.parse().unwrap());
    match identities.identify(&upstream("up"), &exchange, &call.routed()) {
        Identified::Ask(ask) => Some(ask),
        Identified::Known(_) => None,
    }
}

#[tokio::test]
async fn who_knows_an_id_without_its_token_does_not_spoil_the_answer() {
    let identities = Identities::default().with_server(Slow::after(Duration::ZERO));
    let wrong = ask(&identities, "ASIA1", "wrong").unwrap();
    assert!(!format!("{wrong:?}").contains("wrong"), "a token is not shown");
    assert_eq!(identities.ask(wrong).await.kind(), "Unknown");
    assert_eq!(identities.ask(ask(&identities, "ASIA1", "right").unwrap()).await.kind(), "Root");
    assert!(ask(&identities, "ASIA1", "right").is_none() && ask(&identities, "ASIA1", "wrong").is_none());
}

#[tokio::test]
async fn nobody_waits_longer_than_may_be_whoever_is_asked() {
    let slow = Slow::after(Duration::from_secs(3600));
    let mut identities = Identities::default().with_asked("up", slow.clone()).with_asked("up", slow.clone());
    assert_eq!(std::mem::replace(&mut identities.patience, Duration::from_millis(200)), Duration::from_secs(5));
    let identities = Arc::new(identities);
    let began = Instant::now();
    let mut waiting = Vec::new();
    for number in 0..200 {
        // Two of them ask about one key.
        let question = ask(&identities, &format!("ASIA{}", number / 2), "right").unwrap();
        let identities = identities.clone();
        waiting.push(tokio::spawn(async move { identities.ask(question).await }));
    }
    for asked in waiting {
        assert_eq!(asked.await.unwrap().kind(), "Unknown");
    }
    assert!(began.elapsed() < Duration::from_secs(4));
    assert_eq!(slow.most.load(Ordering::SeqCst), QUESTIONS);
    assert!(ask(&identities, "ASIA0", "right").is_none(), "nobody is believed for a minute");
    assert!(identities.asking.is_empty());
}
