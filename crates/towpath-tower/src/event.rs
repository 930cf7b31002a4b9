//! What a service says of one request; the form of the record is made of it.

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;
use towpath_admit::{CallRecord, EventType, Parameters, Plane, RecordCopy, RecordResource, UserIdentity};
use towpath_model::{AccountId, Region};
use uuid::Uuid;

/// One event of a service.
///
/// Only what is put into it is recorded: no header and no body gets in by itself. Leave secrets out.
#[derive(Clone, Debug)]
pub struct Event {
    /// Who called.
    pub identity: UserIdentity,
    /// The operation, such as `CreateOrder`.
    pub name: String,
    /// True if it changes nothing.
    pub read_only: bool,
    /// The caller's address.
    pub source_ip: String,
    /// What called.
    pub user_agent: Option<String>,
    /// What was asked: an object, or nothing.
    pub parameters: Option<Value>,
    /// What was answered, of operations that change something: an object, or nothing.
    pub response: Option<Value>,
    /// Code and message of a request that failed.
    pub error: Option<(String, String)>,
    /// Type and ARN of the resources concerned.
    pub resources: Vec<(String, String)>,
    /// The service's id of the request.
    pub request_id: Option<String>,
    /// What kind of thing happened.
    pub event_type: EventType,
    /// Management or data event.
    pub plane: Plane,
}

impl Event {
    /// A management event of a call that may change something.
    pub fn new(name: impl Into<String>, identity: UserIdentity, source_ip: impl Into<String>) -> Self {
        Self {
            identity,
            name: name.into(),
            read_only: false,
            source_ip: source_ip.into(),
            user_agent: None,
            parameters: None,
            response: None,
            error: None,
            resources: Vec::new(),
            request_id: None,
            event_type: EventType::ApiCall,
            plane: Plane::Management,
        }
    }

    /// Writes the record: of `account`, in `region`, by the service `source`.
    pub(crate) fn record(&self, source: &str, account: AccountId, region: &Region, time: Timestamp) -> Bytes {
        let object = |value: &Option<Value>| match value {
            Some(value) if value.is_object() => Parameters::of_printed(value.to_string()),
            _ => Parameters::none(),
        };
        let resources: Vec<_> = self
            .resources
            .iter()
            .map(|(kind, arn)| RecordResource {
                account: Some(account),
                kind: Some(kind.as_str().into()),
                arn: Some(arn.as_str().into()),
                ..RecordResource::default()
            })
            .collect();
        let failed = self.error.is_some();
        let record = CallRecord {
            identity: &self.identity,
            time,
            event_source: source,
            event_name: &self.name,
            region,
            source_ip: &self.source_ip,
            user_agent: self.user_agent.as_deref(),
            error_code: self.error.as_ref().map(|(code, _)| code.as_str()),
            error_message: self.error.as_ref().map(|(_, message)| message.as_str()),
            request: &object(&self.parameters),
            response: &if failed || self.read_only { Parameters::none() } else { object(&self.response) },
            additional: &Parameters::none(),
            request_id: self.request_id.as_deref(),
            read_only: self.read_only,
            resources: &resources,
            event_type: self.event_type,
            api_version: None,
            plane: self.plane,
            service_details: &Parameters::none(),
            vpc_endpoint: None,
            tls: None,
        };
        record.json(&RecordCopy { recipient: account, event_id: Uuid::new_v4(), shared: None })
    }
}
