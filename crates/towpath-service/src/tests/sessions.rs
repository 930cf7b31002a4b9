//! AssumeRole: tags, policies and names of sessions, and what is recorded of them.

use towpath_wire::sigv4::Credentials;

use super::*;
use crate::testing::{Answer, between, credentials};

const ROLE: &str = "arn:aws:iam::000000000000:role/R";

/// A role that trusts the account for these actions, and a user who may ask for them.
async fn role(test: &TestService, actions: &[&str]) -> Credentials {
    let trust = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Principal": { "AWS": ACCOUNT }, "Action": actions },
    ] });
    let root = test.as_root();
    root.towpath("CreateRole", json!({ "RoleName": "R", "AssumeRolePolicyDocument": trust.to_string() })).await.ok();
    let rights = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": "cloudtrail:ListChannels", "Resource": "*",
          "Condition": { "StringEquals": { "aws:PrincipalTag/team": "blue" } } },
        { "Effect": "Allow", "Action": ["cloudtrail:ListEventDataStores", "sts:*"], "Resource": "*" },
    ] });
    let policy = json!({ "RoleName": "R", "PolicyName": "p", "PolicyDocument": rights.to_string() });
    root.towpath("PutRolePolicy", policy).await.ok();
    test.user(
        "jane",
        &json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Action": "sts:*", "Resource": "*" }] }),
    )
    .await
}

fn form(more: &str) -> String {
    format!("Action=AssumeRole&Version=2011-06-15&RoleArn={ROLE}&RoleSessionName=me{more}")
}

fn session(answer: &Answer) -> Credentials {
    assert_eq!(answer.status, 200, "{}", answer.text);
    let part = |name: &str| between(&answer.text, &format!("<{name}>"), &format!("</{name}>"));
    credentials(&part("AccessKeyId"), &part("SecretAccessKey"), Some(&part("SessionToken")))
}

const TAGS: &str = "&Tags.member.1.Key=team&Tags.member.1.Value=blue&Tags.member.2.Key=cost&Tags.member.2.Value=7\
                    &TransitiveTagKeys.member.1=team";

#[tokio::test]
async fn tags_of_a_session_are_seen_by_policies_and_recorded() {
    let test = TestService::new().await;
    let user = role(&test, &["sts:AssumeRole", "sts:TagSession"]).await;
    let plain = session(&test.caller(&user).sts(&form("")).await);
    assert_eq!(test.caller(&plain).call("ListChannels", json!({})).await.code(), "AccessDeniedException");

    let answer = test.caller(&user).sts(&form(TAGS)).await;
    assert!(answer.text.contains("<PackedPolicySize>1</PackedPolicySize>"), "{}", answer.text);
    let tagged = session(&answer);
    test.caller(&tagged).call("ListChannels", json!({})).await.ok();

    // The next session inherits what is transitive, and cannot change it.
    let next = session(&test.caller(&tagged).sts(&form("")).await);
    test.caller(&next).call("ListChannels", json!({})).await.ok();
    let changed = test.caller(&tagged).sts(&form("&Tags.member.1.Key=TEAM&Tags.member.1.Value=red")).await;
    assert_eq!(changed.code(), "ValidationError", "{}", changed.text);

    let events = test.events().await;
    let records = events.iter().map(|event| serde_json::from_slice::<Value>(&event.json).unwrap());
    let assumed: Vec<_> = records.filter(|record| record["eventName"] == "AssumeRole").collect();
    let asked = &assumed[1]["requestParameters"];
    assert_eq!(asked["tags"], json!([{ "key": "team", "value": "blue" }, { "key": "cost", "value": "7" }]));
    assert_eq!(asked["transitiveTagKeys"], json!(["team"]));
    assert_eq!(assumed[2]["requestParameters"]["incomingTransitiveTags"], json!({ "team": "blue" }));
}

#[tokio::test]
async fn tagging_and_naming_a_session_need_rights_of_their_own() {
    let test = TestService::new().await;
    let user = role(&test, &["sts:AssumeRole"]).await;
    let caller = test.caller(&user);
    session(&caller.sts(&form("")).await);
    let denied = caller.sts(&form(TAGS)).await;
    assert_eq!(denied.code(), "AccessDenied");
    assert!(denied.text.contains("sts:TagSession"), "{}", denied.text);
    let denied = caller.sts(&form("&SourceIdentity=jane")).await;
    assert!(denied.code() == "AccessDenied" && denied.text.contains("sts:SetSourceIdentity"), "{}", denied.text);
}

#[tokio::test]
async fn a_session_policy_cuts_the_session_down() {
    let test = TestService::new().await;
    let user = role(&test, &["sts:AssumeRole", "sts:TagSession"]).await;
    let policy = "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%7B%22Effect%22%3A%22Allow%22%2C\
                  %22Action%22%3A%22cloudtrail%3AListChannels%22%2C%22Resource%22%3A%22*%22%7D%5D%7D";
    let narrow = session(&test.caller(&user).sts(&form(&format!("{TAGS}&Policy={policy}"))).await);
    test.caller(&narrow).call("ListChannels", json!({})).await.ok();
    let denied = test.caller(&narrow).call("ListEventDataStores", json!({})).await;
    assert!(denied.text.contains("no session policy allows"), "{}", denied.text);
}

#[tokio::test]
async fn what_is_not_evaluated_is_refused_by_name_and_nothing_is_made() {
    let test = TestService::new().await;
    let user = role(&test, &["sts:AssumeRole", "sts:TagSession"]).await;
    let many: String = (1..=51).map(|n| format!("&Tags.member.{n}.Key=k{n}&Tags.member.{n}.Value=v")).collect();
    let long: String =
        (1..=40).map(|n| format!("&Tags.member.{n}.Key=k{n}&Tags.member.{n}.Value={}", "v".repeat(250))).collect();
    for (more, code, word) in [
        ("&PolicyArns.member.1.arn=arn:aws:iam::aws:policy/ReadOnlyAccess".to_owned(), "ValidationError", "PolicyArns"),
        ("&SerialNumber=arn:aws:iam::1:mfa/x&TokenCode=123456".to_owned(), "ValidationError", "MFA"),
        ("&Policy=%7B%7D".to_owned(), "MalformedPolicyDocument", "Statement"),
        ("&Tags.member.1.Key=aws:x&Tags.member.1.Value=1".to_owned(), "ValidationError", "reserved"),
        ("&TransitiveTagKeys.member.1=x".to_owned(), "ValidationError", "transitive"),
        (many, "ValidationError", "50"),
        (long, "PackedPolicyTooLarge", "bytes"),
    ] {
        let refused = test.caller(&user).sts(&form(&more)).await;
        assert_eq!(refused.code(), code, "{}", refused.text);
        assert!(refused.text.contains(word), "{}", refused.text);
        assert!(!refused.text.contains("SessionToken"));
    }
}
