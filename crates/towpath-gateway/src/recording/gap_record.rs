//! Gap records: an AwsServiceEvent that says that calls have no record, signed so that nobody can take it back or forge it.
//!
//! What is signed, with Ed25519, is the UTF-8 text of ten lines, each ended by a line feed: `towpath-gap-1`, and then of
//! the record `eventID`, `recipientAccountId`, `awsRegion`, and of its `serviceEventDetails` `gateway`, `upstream`,
//! `reason`, `from`, `to`, `atLeast`. Signature and public key stand beside them in base64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use towpath_admit::{CallRecord, EventType, Parameters, Plane, RecordCopy, UserIdentity};
use towpath_capture::CapturedRecord;
use towpath_model::eventtime_text;
use uuid::Uuid;

use super::gap::Gap;
use super::gap_key::GapKey;

/// Who makes gap records: `eventSource`, `sourceIPAddress`, `userAgent` and `invokedBy`, as for Towpath's own calls.
const SOURCE: &str = "towpath";
/// `eventName`.
const NAME: &str = "RecordingGap";

/// `serviceEventDetails` of a gap record.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Details<'a> {
    gateway: &'a str,
    upstream: &'a str,
    reason: &'a str,
    from: String,
    to: String,
    at_least: u64,
    public_key: String,
    signature: String,
}

/// Writes the record of a gap. `gateway` names who tells it.
pub(super) fn record(gap: &Gap, gateway: &str, key: &GapKey, event_id: Uuid) -> CapturedRecord {
    let from = eventtime_text(gap.from);
    let to = eventtime_text(up(gap.to));
    let reason = gap.reason.as_str();
    let at_least = gap.at_least.to_string();
    let (account, region) = (gap.account.to_string(), gap.region.as_str());
    let id = event_id.to_string();
    let lines = ["towpath-gap-1", &id, &account, region, gateway, &gap.upstream, reason, &from, &to, &at_least];
    let signed: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
    let details = Details {
        gateway,
        upstream: &gap.upstream,
        reason,
        from,
        to,
        at_least: gap.at_least,
        public_key: BASE64.encode(key.public_key()),
        signature: BASE64.encode(key.sign(signed.as_bytes())),
    };
    let details = serde_json::to_string(&details).expect("texts and numbers are always written");
    let record = CallRecord {
        identity: &UserIdentity::service_event(gap.account, SOURCE),
        time: gap.to,
        event_source: SOURCE,
        event_name: NAME,
        region: &gap.region,
        source_ip: SOURCE,
        user_agent: Some(SOURCE),
        error_code: None,
        error_message: None,
        request: &Parameters::none(),
        response: &Parameters::none(),
        additional: &Parameters::none(),
        request_id: None,
        read_only: false,
        resources: &[],
        event_type: EventType::ServiceEvent,
        api_version: None,
        plane: Plane::Management,
        service_details: &Parameters::of_printed(details),
        tls: None,
    };
    let json = record.json(&RecordCopy { recipient: gap.account, event_id, shared: None });
    CapturedRecord { event_id, account: gap.account, region: gap.region.clone(), time: gap.to, channel: None, json }
}

/// True for a gap record.
pub(super) fn is_one(record: &CapturedRecord) -> bool {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Name<'a> {
        event_source: &'a str,
        event_name: &'a str,
    }
    let name = serde_json::from_slice::<Name<'_>>(&record.json);
    name.is_ok_and(|name| name.event_source == SOURCE && name.event_name == NAME)
}

/// The next whole second, so that a gap is told no shorter than it was.
fn up(at: Timestamp) -> Timestamp {
    let whole = Timestamp::from_second(at.as_second()).unwrap_or(at);
    if whole == at { at } else { whole.saturating_add(SignedDuration::from_secs(1)).unwrap_or(at) }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::gap::Reason;
    use super::*;

    #[test]
    fn a_gap_record_says_who_from_when_to_when_and_how_many_and_its_signature_verifies() {
        let key = GapKey::ephemeral().unwrap();
        let gap = Gap {
            upstream: "orders".into(),
            account: "123456789012".parse().unwrap(),
            region: "eu-central-1".parse().unwrap(),
            reason: Reason::Full,
            from: "2026-11-21T05:00:00.4Z".parse().unwrap(),
            to: "2026-11-21T05:00:09.2Z".parse().unwrap(),
            at_least: 17,
        };
        let made = record(&gap, "gate-1", &key, Uuid::from_u128(7));

        let json: Value = serde_json::from_slice(&made.json).unwrap();
        assert_eq!(json["eventType"], "AwsServiceEvent");
        assert_eq!(json["eventName"], "RecordingGap");
        assert_eq!(json["userIdentity"].to_string(), r#"{"accountId":"123456789012","invokedBy":"towpath"}"#);
        let details = &json["serviceEventDetails"];
        assert_eq!(details["from"], "2026-11-21T05:00:00Z");
        assert_eq!(details["to"], "2026-11-21T05:00:10Z");
        assert_eq!(details["atLeast"], 17);

        // As somebody else would verify it, from the record alone.
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let mut signed = "towpath-gap-1\n".to_owned();
        for member in ["eventID", "recipientAccountId", "awsRegion"] {
            signed += &format!("{}\n", text(&json[member]));
        }
        for member in ["gateway", "upstream", "reason", "from", "to", "atLeast"] {
            signed += &format!("{}\n", text(&details[member]));
        }
        let public = BASE64.decode(text(&details["publicKey"])).unwrap();
        let signature = BASE64.decode(text(&details["signature"])).unwrap();
        let verify = |signed: &str| {
            ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, &public)
                .verify(signed.as_bytes(), &signature)
        };
        assert!(verify(&signed).is_ok());
        assert!(verify(&signed.replace("17", "1")).is_err());
    }
}
