//! Entries of PutAuditEvents: whatever the text, a verdict; an admitted record holds the text as it was sent.
#![no_main]

use libfuzzer_sys::fuzz_target;
use towpath_admit::{AuditEntry, ChannelRef};
use towpath_model::Arn;

fuzz_target!(|text: &str| {
    let arn: Arn = "arn:aws:cloudtrail:eu-central-1:000000000000:channel/c".parse().unwrap();
    let region = "eu-central-1".parse().unwrap();
    let channel = ChannelRef { arn: &arn, owner: "000000000000".parse().unwrap(), region: &region };
    let entry = AuditEntry { id: "1", event_data: text, checksum: None };
    if let Ok(checked) = entry.check(&channel) {
        let event = checked.into_event(Default::default(), &channel, Default::default());
        let record = std::str::from_utf8(&event.json).expect("a record is text");
        assert!(record.contains(text.trim_matches([' ', '\n', '\r', '\t'])));
    }
});
