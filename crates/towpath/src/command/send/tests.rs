//! Sending against a server with a script.

use std::collections::HashMap;

use serde_json::Value;

use super::*;
use crate::client::fake::{Fake, Seen, error};

const ARN: &str = "arn:aws:cloudtrail:eu-west-1:000000000000:channel/11111111-2222-3333-4444-555555555555";

fn ids(seen: &Seen) -> Vec<String> {
    seen.input["auditEvents"].as_array().unwrap().iter().map(|e| e["id"].as_str().unwrap().to_owned()).collect()
}

fn verdicts(seen: &Seen, refuse: impl Fn(&str) -> Option<&'static str>) -> (u16, Value) {
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for id in ids(seen) {
        match refuse(&id) {
            Some(code) => failed.push(json!({"id": id, "errorCode": code, "errorMessage": "because"})),
            None => successful.push(json!({"id": id, "eventID": "e"})),
        }
    }
    (200, json!({"successful": successful, "failed": failed}))
}

fn command() -> Send {
    Send {
        channel: ARN.to_owned(),
        external_id: None,
        file: None,
        parallel: 3,
        output: ReportFormat::Json,
        connection: ConnectionArgs::default(),
    }
}

async fn send(fake: &Fake, text: String) -> (Result<(), Failure>, Report) {
    let mut report = Report::default();
    let reader = Box::new(std::io::Cursor::new(text.into_bytes()));
    let bar = ProgressBar::hidden();
    let outcome = command().send(&fake.client(), ARN, reader, &bar, &mut report).await;
    report.failures.sort_by_key(|refused| refused.line);
    (outcome, report)
}

fn lines(count: usize) -> String {
    (0..count).map(|n| format!("{{\"id\":\"n{n}\",\"eventData\":{{\"UID\":\"{n}\"}}}}\n")).collect()
}

#[tokio::test]
async fn only_entries_that_may_still_be_accepted_are_sent_again() {
    let mut tries: HashMap<String, u32> = HashMap::new();
    let fake = Fake::start(move |seen| {
        for id in ids(seen) {
            *tries.entry(id).or_default() += 1;
        }
        verdicts(seen, |id| match id {
            "n3" => Some("InvalidData"),
            "n5" if tries["n5"] < 3 => Some("Throttling"),
            _ => None,
        })
    })
    .await;
    let (outcome, report) = send(&fake, lines(10) + "nonsense\n").await;
    outcome.unwrap();
    assert_eq!((report.accepted, report.refused), (9, 2));
    let told: Vec<_> = report.failures.iter().map(|refused| (refused.line, refused.code.as_str())).collect();
    assert_eq!(told, [(4, "InvalidData"), (11, "NotSent")]);
    let sent: Vec<_> = fake.seen().iter().map(|seen| ids(seen).len()).collect();
    assert_eq!(sent, [10, 1, 1]);
}

#[tokio::test]
async fn a_call_whose_answer_was_lost_is_repeated_with_the_same_ids_and_bytes() {
    let mut calls = 0;
    let fake = Fake::start(move |seen| {
        calls += 1;
        match calls {
            1 => error(500, "InternalFailure", ""),
            2 => error(400, "ThrottlingException", ""),
            _ => verdicts(seen, |_| None),
        }
    })
    .await;
    let (outcome, report) = send(&fake, "{\"UID\":\"1\"}\n{\"UID\":\"2\"}\n".to_owned()).await;
    outcome.unwrap();
    assert_eq!(report.accepted, 2);
    let seen = fake.seen();
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().all(|call| call.body == seen[0].body));
}

#[tokio::test]
async fn one_entry_that_spoils_a_call_is_found_and_the_others_are_accepted() {
    let fake = Fake::start(|seen| {
        if ids(seen).contains(&"n7".to_owned()) {
            return error(400, "ValidationException", "n7 is wrong");
        }
        verdicts(seen, |_| None)
    })
    .await;
    let (outcome, report) = send(&fake, lines(16)).await;
    outcome.unwrap();
    assert_eq!((report.accepted, report.refused), (15, 1));
    assert_eq!((report.failures[0].line, report.failures[0].code.as_str()), (8, "ValidationException"));
}

#[tokio::test]
async fn a_channel_that_is_not_there_ends_it() {
    let fake = Fake::start(|_| error(404, "ChannelNotFound", "no such channel")).await;
    let (outcome, report) = send(&fake, lines(500)).await;
    let failure = outcome.unwrap_err();
    assert_eq!(failure.to_string(), "PutAuditEvents was refused: ChannelNotFound: no such channel");
    assert!(failure.hint().unwrap().contains("towpath channels list"));
    assert_eq!(report.accepted, 0);
    assert!(fake.seen().len() <= 3);
}

#[tokio::test]
async fn many_lines_go_in_full_batches() {
    let fake = Fake::start(|seen| verdicts(seen, |_| None)).await;
    let (outcome, report) = send(&fake, lines(1050)).await;
    outcome.unwrap();
    assert_eq!(report.accepted, 1050);
    let mut sizes: Vec<_> = fake.seen().iter().map(|seen| ids(seen).len()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [vec![50], vec![100; 10]].concat());
}
