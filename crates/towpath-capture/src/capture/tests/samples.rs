//! Given the same call, the record of each published sample event: field for field, in order.
//!
//! Samples are older than the format that is written. A field that a sample does not have is not compared; its eventID and
//! eventVersion are its own. All else is: requestID, times and addresses too, since the call is given the same ones.

use serde_json::{Value as Json, json};
use towpath_admit::UserIdentity;

use super::wire::{Wire, capture, shared};
use crate::json;
use crate::{Tls, Value};

/// A published event, in order and for looking things up.
struct Sample {
    ordered: Value,
    json: Json,
}

fn sample(name: &str) -> Option<Sample> {
    let text = std::fs::read(shared(&format!("samples/{name}.json"))?).unwrap();
    Some(Sample { ordered: json::read_object(&text).unwrap(), json: serde_json::from_slice(&text).unwrap() })
}

fn entries(value: Value) -> Vec<(String, Value)> {
    match value {
        Value::Map(entries) => entries,
        other => panic!("{other:?}"),
    }
}

/// What a record says, without the order of its members.
fn unordered(value: &Value) -> Json {
    match value {
        Value::Map(entries) => entries.iter().map(|(key, value)| (key.clone(), unordered(value))).collect(),
        Value::List(items) => items.iter().map(unordered).collect(),
        Value::Text(text) => json!(text),
        Value::Bool(truth) => json!(truth),
        Value::Number(number) => Json::Number(number.clone()),
        _ => Json::Null,
    }
}

/// Gives the call what the sample says around it, and compares the record with the sample.
fn check(name: &str, call: Wire, sample: &Sample) {
    let Some(capture) = capture() else { return };
    let text = |pointer: &str| sample.json.pointer(pointer).and_then(Json::as_str);
    let mut call = call.header("user-agent", text("/userAgent").unwrap());
    call = call.answer_header("x-amzn-requestid", text("/requestID").unwrap());
    call.time = text("/eventTime").unwrap().parse().unwrap();
    call.peer = text("/sourceIPAddress").unwrap().to_owned();
    call.region = text("/awsRegion").unwrap().to_owned();
    call.account = text("/recipientAccountId").unwrap().to_owned();
    if sample.json.get("tlsDetails").is_some() {
        let part = |name: &str| text(&format!("/tlsDetails/{name}")).map(str::to_owned);
        call.tls = Some(Tls { version: part("tlsVersion"), cipher_suite: part("cipherSuite"), key_exchange: None });
        call = call.header("host", &part("clientProvidedHostHeader").unwrap());
    }
    // Older versions print an empty object where nobody federates, and calls from the console name it.
    let mut identity = sample.json["userIdentity"].clone();
    if let Some(Json::Object(session)) = identity.get_mut("sessionContext") {
        session.remove("webIdFederationData");
    }
    let caller: UserIdentity = serde_json::from_value(identity.clone()).unwrap();
    let from_console = caller.invoker().is_some();

    let records = capture.records(&call.exchange(), &call.target(), &caller);

    assert_eq!(records.len(), 1, "{name}");
    let record = entries(json::read_object(&records[0].json).unwrap());
    let expected = entries(sample.ordered.clone());
    let compared = |entries: &[(String, Value)]| -> Vec<(String, Value)> {
        let kept = entries.iter().filter(|(key, _)| {
            let own = matches!(&**key, "eventID" | "eventVersion" | "userIdentity");
            let address = from_console && matches!(&**key, "sourceIPAddress" | "userAgent");
            !own && !address && sample.json.get(key).is_some()
        });
        kept.cloned().collect()
    };
    assert_eq!(compared(&record), compared(&expected), "{name}");
    let written = record.iter().find(|(key, _)| key == "userIdentity").map(|(_, value)| unordered(value)).unwrap();
    assert_eq!(written, identity, "{name}");
    // Nothing but what newer versions have is in the record besides.
    for (key, _) in &record {
        let newer = ["readOnly", "managementEvent", "eventCategory"].contains(&key.as_str());
        assert!(newer || sample.json.get(key).is_some(), "{name}: {key}");
    }
    assert_eq!(records[0].time, call.time);
}

/// The sample's parameters with the names that the API has for them: a capital first letter, at every depth.
fn capitals(value: &Json) -> Json {
    match value {
        Json::Object(members) => {
            let capital = |name: &str| name[..1].to_ascii_uppercase() + &name[1..];
            members.iter().map(|(name, value)| (capital(name), capitals(value))).collect()
        }
        Json::Array(items) => items.iter().map(capitals).collect(),
        other => other.clone(),
    }
}

#[test]
fn partner_central_create_partner() {
    let Some(sample) = sample("partnercentral-account-CreatePartner") else { return };
    let mut answer = capitals(&sample.json["responseElements"]);
    // The API answers with more than the record prints.
    answer["AwsTrainingCertificationEmailDomains"] = json!([]);
    let call = Wire::json(
        "PartnerCentralAccount.CreatePartner",
        "partnercentral-account",
        &capitals(&sample.json["requestParameters"]),
    );
    check("CreatePartner", call.answer(200, answer.to_string()), &sample);
}

#[test]
fn marketplace_list_entities() {
    let Some(sample) = sample("marketplacecatalog-ListEntities") else { return };
    let call = Wire::new("POST", "/ListEntities", "aws-marketplace")
        .header("host", "catalog.marketplace.us-east-1.amazonaws.com")
        .header("content-type", "application/json")
        .body(capitals(&sample.json["requestParameters"]).to_string())
        .answer(200, json!({"EntitySummaryList": [{"Name": "x"}], "NextToken": "t"}).to_string());
    check("ListEntities", call, &sample);
}

#[test]
fn support_create_case() {
    let Some(sample) = sample("support-CreateCase") else { return };
    let mut request = sample.json["requestParameters"].clone();
    request["subject"] = json!("nobody's business");
    request["communicationBody"] = json!("nobody's business");
    request["ccEmailAddresses"] = json!(["ann@example.org"]);
    request["attachmentSetId"] = json!("set-1");
    let call = Wire::json("AWSSupport_20130415.CreateCase", "support", &request)
        .answer(200, sample.json["responseElements"].to_string());
    check("CreateCase", call, &sample);
}

#[test]
fn support_refresh_trusted_advisor_check() {
    let Some(sample) = sample("support-RefreshTrustedAdvisorCheck") else { return };
    let target = "AWSSupport_20130415.RefreshTrustedAdvisorCheck";
    let status = json!({"status": {"checkId": "x", "status": "enqueued", "millisUntilNextRefreshable": 1}});
    let call = Wire::json(target, "support", &sample.json["requestParameters"]).answer(200, status.to_string());
    check("RefreshTrustedAdvisorCheck", call, &sample);
}

#[test]
fn support_resolve_case() {
    let Some(sample) = sample("support-ResolveCase") else { return };
    let call = Wire::json("AWSSupport_20130415.ResolveCase", "support", &sample.json["requestParameters"])
        .answer(200, sample.json["responseElements"].to_string());
    check("ResolveCase", call, &sample);
}

#[test]
fn repost_create_space() {
    let Some(sample) = sample("repostspace-CreateSpace") else { return };
    let said = &sample.json["requestParameters"];
    // Role and tags are not sent: the record has them all the same.
    let request = json!({
        "name": said["spaceName"], "subdomain": said["spaceSubdomain"], "tier": said["tier"],
        "description": said["spaceDescription"],
    });
    let answer = json!({"spaceId": sample.json["responseElements"]["spaceId"]});
    let call = Wire::new("POST", "/spaces", "repostspace")
        .header("content-type", "application/json")
        .body(request.to_string())
        .answer(200, answer.to_string());
    check("CreateSpace", call, &sample);
}

#[test]
fn repost_register_admin() {
    let Some(sample) = sample("repostspace-RegisterAdmin") else { return };
    let text = |name: &str| sample.json["requestParameters"][name].as_str().unwrap();
    let exposed = sample.json["responseElements"]["Access-Control-Expose-Headers"].as_str().unwrap();
    let uri = format!("/spaces/{}/admins/{}", text("spaceId"), text("adminId"));
    let call = Wire::new("POST", &uri, "repostspace").answer_header("Access-Control-Expose-Headers", exposed);
    check("RegisterAdmin", call, &sample);
}

#[test]
fn repost_list_spaces() {
    let Some(sample) = sample("repostspace-ListSpaces") else { return };
    let call = Wire::new("GET", "/spaces", "repostspace").answer(200, json!({"spaces": []}).to_string());
    check("ListSpaces", call, &sample);
}
