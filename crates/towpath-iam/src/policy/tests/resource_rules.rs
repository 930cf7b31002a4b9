//! What CloudTrail asks of the policies of channels and stores.

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
        (document(&[statement(&principals(51), PUT, ON_CHANNEL, "{}")]), "Statement[0].Principal: has 51 principals"),
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
        (document(&[statement(PARTNER, PUT, ON_CHANNEL, r#"{"Bool":{"s3:x":"true"}}"#)]), "\"s3:x\" is not supported"),
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
    assert!(check(&document(&[statement(PARTNER, r#""cloudtrail:DeleteEventDataStore""#, &on_store, "{}")])).is_err());

    let dashboard = r#"{"StringLike":{"AWS:SourceArn":"arn:aws:cloudtrail:us-east-1:111111111111:dashboard/*"},
        "StringEquals":{"AWS:SourceAccount":"111111111111"}}"#;
    let service = r#"{"Service":"cloudtrail.amazonaws.com"}"#;
    let text = statement(service, r#""cloudtrail:StartQuery""#, &on_store, dashboard);
    assert_eq!(check(&document(&[text])), Ok(()));
}
