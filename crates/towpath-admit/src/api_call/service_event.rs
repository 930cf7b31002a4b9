//! What a service does by itself, without a call: records of the type `AwsServiceEvent`.

use bytes::Bytes;
use jiff::Timestamp;
use towpath_model::{AccountId, Region};
use uuid::Uuid;

use super::{CallRecord, EventType, Parameters, Plane, RecordCopy, UserIdentity};

/// Something that a service did by itself, or that happened to it.
#[derive(Clone, Debug)]
pub struct ServiceEvent<'a> {
    /// The service: `eventSource`, `sourceIPAddress`, `userAgent` and `invokedBy`.
    pub source: &'a str,
    /// What happened.
    pub name: &'a str,
    /// Whose event it is.
    pub account: AccountId,
    /// Where.
    pub region: &'a Region,
    /// When.
    pub time: Timestamp,
    /// `serviceEventDetails`.
    pub details: &'a Parameters,
}

impl ServiceEvent<'_> {
    /// Writes the record.
    pub fn json(&self, event_id: Uuid) -> Bytes {
        let none = Parameters::none();
        let record = CallRecord {
            identity: &UserIdentity::service_event(self.account, self.source),
            time: self.time,
            event_source: self.source,
            event_name: self.name,
            region: self.region,
            source_ip: self.source,
            user_agent: Some(self.source),
            error_code: None,
            error_message: None,
            request: &none,
            response: &none,
            additional: &none,
            request_id: None,
            read_only: false,
            resources: &[],
            event_type: EventType::ServiceEvent,
            api_version: None,
            plane: Plane::Management,
            service_details: self.details,
            vpc_endpoint: None,
            tls: None,
        };
        record.json(&RecordCopy { recipient: self.account, event_id, shared: None })
    }
}
