//! Gap records of the gateway.

use towpath_admit::{GapKey, GapRecord};
use towpath_capture::CapturedRecord;
use towpath_gap::Gap;
use uuid::Uuid;

/// Who makes gap records: `eventSource`, `sourceIPAddress`, `userAgent` and `invokedBy`, as for Towpath's own calls.
const SOURCE: &str = "towpath";

/// Writes the record of a gap. `gateway` names who tells it.
pub(super) fn record(gap: &Gap, gateway: &str, key: &GapKey, event_id: Uuid) -> CapturedRecord {
    let record = GapRecord {
        source: SOURCE,
        teller: gateway,
        upstream: &gap.upstream,
        reason: gap.reason.as_str(),
        account: gap.account,
        region: &gap.region,
        from: gap.from,
        to: gap.to,
        at_least: gap.at_least,
    };
    let json = record.json(key, event_id);
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
    name.is_ok_and(|name| name.event_source == SOURCE && name.event_name == GapRecord::NAME)
}
