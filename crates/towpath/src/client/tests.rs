//! The client against a server that checks signatures.

use serde_json::json;

use super::fake::{Fake, error};
use super::*;

#[tokio::test]
async fn every_kind_of_call_is_signed_as_the_server_wants_it() {
    let fake = Fake::start(|seen| match seen.operation.as_str() {
        "/PutAuditEvents" => (200, json!({"successful": [], "failed": []})),
        _ => (200, json!({"Answer": 42})),
    })
    .await;
    let client = fake.client();
    let answer = client.call(Api::CloudTrail, "GetChannel", &json!({"Channel": "x"})).await.unwrap();
    assert_eq!(answer["Answer"], 42);
    client.call(Api::Towpath, "DescribeServer", &json!({})).await.unwrap();
    let arn = "arn:aws:cloudtrail:eu-west-1:000000000000:channel/1";
    client.put_audit_events(arn, Some("a+b=c,@x"), Bytes::from_static(b"{\"auditEvents\":[]}")).await.unwrap();
    client.upload("id", "2026/11/a file's näme+%.json.gz", "12-3", Bytes::from_static(b"\x1f\x8b")).await.unwrap();

    let seen = fake.seen();
    assert_eq!(seen[0].input, json!({"Channel": "x"}));
    assert_eq!(
        seen[2].target,
        "/PutAuditEvents?channelArn=arn%3Aaws%3Acloudtrail%3Aeu-west-1%3A000000000000%3Achannel%2F1&externalId=a%2Bb%3Dc%2C%40x"
    );
    assert_eq!(
        seen[3].target,
        "/towpath/v1/imports/id/files?name=2026%2F11%2Fa%20file%27s%20n%C3%A4me%2B%25.json.gz&version=12-3"
    );
    assert_eq!(seen[3].body, &b"\x1f\x8b"[..]);
}

#[tokio::test]
async fn a_wrong_secret_is_refused_with_a_next_step_and_not_tried_again() {
    let fake = Fake::answering(vec![]).await;
    let client = fake.client_with("wrong");
    let refusal = client.call(Api::Towpath, "DescribeServer", &json!({})).await.unwrap_err();
    assert_eq!(refusal.code(), Some("InvalidSignatureException"));
    assert!(refusal.hint().unwrap().contains("AWS_SECRET_ACCESS_KEY"));
}

#[tokio::test]
async fn pages_are_followed_to_the_last() {
    let fake = Fake::answering(vec![
        (200, json!({"Channels": [1, 2], "NextToken": "t"})),
        (200, json!({"Channels": [], "NextToken": "u"})),
        (200, json!({"Channels": [3]})),
    ])
    .await;
    let items =
        fake.client().list(Api::CloudTrail, "ListChannels", &json!({"MaxResults": 2}), "Channels").await.unwrap();
    assert_eq!(items, [json!(1), json!(2), json!(3)]);
    let inputs: Vec<_> = fake.seen().into_iter().map(|seen| seen.input).collect();
    assert_eq!(
        inputs,
        [
            json!({"MaxResults": 2}),
            json!({"MaxResults": 2, "NextToken": "t"}),
            json!({"MaxResults": 2, "NextToken": "u"})
        ]
    );
}

#[tokio::test]
async fn a_page_that_names_itself_does_not_go_on_for_ever() {
    let fake = Fake::start(|_| (200, json!({"Channels": [1], "NextToken": "t"}))).await;
    let error = fake.client().list(Api::CloudTrail, "ListChannels", &json!({}), "Channels").await.unwrap_err();
    assert!(matches!(error, ClientError::Unreadable { .. }));
}

#[tokio::test]
async fn a_busy_or_failing_server_is_asked_again() {
    let fake = Fake::answering(vec![
        error(400, "ThrottlingException", "slow down"),
        error(500, "InternalFailure", ""),
        (200, json!({})),
    ])
    .await;
    fake.client().call(Api::CloudTrail, "GetChannel", &json!({})).await.unwrap();
    assert_eq!(fake.seen().len(), 3);
}

#[tokio::test]
async fn what_must_not_happen_twice_is_not_repeated_when_its_outcome_is_unknown() {
    let fake = Fake::answering(vec![error(500, "InternalFailure", "oh no")]).await;
    let refusal = fake.client().call(Api::CloudTrail, "CreateChannel", &json!({})).await.unwrap_err();
    assert_eq!(refusal.to_string(), "CreateChannel was refused: InternalFailure: oh no");
    assert_eq!(fake.seen().len(), 1);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_with_the_next_step() {
    let fake = Fake::answering(vec![]).await;
    let mut connection = fake.client().connection().clone();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    connection.endpoint = format!("http://{free}");
    let quick = Duration::from_millis(1);
    let client = Client::new(connection, Retry { pause: quick, ..Retry::PROMPT }).unwrap();
    let error = client.call(Api::Towpath, "DescribeServer", &json!({})).await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot reach http://{free}"));
    assert!(error.hint().unwrap().contains("towpath serve"));
}

#[test]
fn codes_are_read_in_every_form_aws_has() {
    let status = http::StatusCode::BAD_REQUEST;
    for (header, body) in [
        (None, r#"{"__type":"ChannelNotFoundException","message":"m"}"#),
        (None, r#"{"__type":"com.amazonaws.cloudtrail#ChannelNotFoundException","Message":"m"}"#),
        (Some("ChannelNotFoundException:http://internal.amazon.com/"), r#"{"message":"m"}"#),
    ] {
        let error = refusal("X", status, header.map(str::to_owned), body.as_bytes());
        assert_eq!(error.code(), Some("ChannelNotFoundException"), "{body}");
        assert_eq!(error.to_string(), "X was refused: ChannelNotFoundException: m");
    }
    let error = refusal("X", status, None, b"<html>\x1b[2J");
    assert!(matches!(&error, ClientError::Unreadable { problem, .. } if problem.ends_with("\"<html>[2J\"")), "{error}");
}
