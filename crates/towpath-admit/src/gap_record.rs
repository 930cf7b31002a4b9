//! Gap records: a service's own event that says that calls have no record, signed so that nobody can take it back or forge it.
//!
//! What is signed, with Ed25519, is the UTF-8 text of ten lines, each ended by a line feed: `towpath-gap-1`, and then of
//! the record `eventID`, `recipientAccountId`, `awsRegion`, and of its `serviceEventDetails` `gateway`, `upstream`,
//! `reason`, `from`, `to`, `atLeast`. Signature and public key stand beside them in base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use towpath_model::{AccountId, Region, eventtime_text};
use uuid::Uuid;

use crate::{GapKey, Parameters, ServiceEvent};

/// Calls without a record, as the record of the gap tells them.
#[derive(Clone, Debug)]
pub struct GapRecord<'a> {
    /// Who makes the record: its `eventSource`.
    pub source: &'a str,
    /// Who lost the calls: a gateway, or a service that records its own.
    pub teller: &'a str,
    /// Whose calls they were.
    pub upstream: &'a str,
    /// Why there is no record, such as `QUEUE_FULL`.
    pub reason: &'a str,
    /// The account whose event the gap is.
    pub account: AccountId,
    /// Its region.
    pub region: &'a Region,
    /// From when on calls are missing.
    pub from: Timestamp,
    /// Until when.
    pub to: Timestamp,
    /// How many are missing at least.
    pub at_least: u64,
}

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

impl GapRecord<'_> {
    /// `eventName` of gap records.
    pub const NAME: &'static str = "RecordingGap";

    /// Writes the record, signed.
    pub fn json(&self, key: &GapKey, event_id: Uuid) -> Bytes {
        let Self { source, teller, upstream, reason, account, region, .. } = *self;
        let from = eventtime_text(self.from);
        let to = eventtime_text(up(self.to));
        let (id, at_least) = (event_id.to_string(), self.at_least.to_string());
        let lines =
            ["towpath-gap-1", &id, account.as_str(), region.as_str(), teller, upstream, reason, &from, &to, &at_least];
        let signed: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
        let details = Details {
            gateway: teller,
            upstream,
            reason,
            from,
            to,
            at_least: self.at_least,
            public_key: BASE64.encode(key.public_key()),
            signature: BASE64.encode(key.sign(signed.as_bytes())),
        };
        let details = serde_json::to_string(&details).expect("texts and numbers are always written");
        let details = Parameters::of_printed(details);
        let event = ServiceEvent { source, name: Self::NAME, account, region, time: self.to, details: &details };
        event.json(event_id)
    }
}

/// The next whole second, so that a gap is told no shorter than it was.
fn up(at: Timestamp) -> Timestamp {
    let whole = Timestamp::from_second(at.as_second()).unwrap_or(at);
    if whole == at { at } else { whole.saturating_add(SignedDuration::from_secs(1)).unwrap_or(at) }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_gap_record_says_who_from_when_to_when_and_how_many_and_its_signature_verifies() {
        let key = GapKey::ephemeral().unwrap();
        let gap = GapRecord {
            source: "towpath",
            teller: "gate-1",
            upstream: "orders",
            account: "123456789012".parse().unwrap(),
            region: &"eu-central-1".parse().unwrap(),
            reason: "QUEUE_FULL",
            from: "2026-11-21T05:00:00.4Z".parse().unwrap(),
            to: "2026-11-21T05:00:09.2Z".parse().unwrap(),
            at_least: 17,
        };
        let made = gap.json(&key, Uuid::from_u128(7));

        let json: Value = serde_json::from_slice(&made).unwrap();
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
