//! The one writer of records of calls: keys in the order of delivered records, whole up to 1 MB.
//!
//! Towpath's own calls and the calls that a gateway saw end here. What may not be recorded has been left out before:
//! [`Parameters`] are the only way in for what a caller or a service said. Who takes shorter records gets their
//! [standard form](crate::standard_form).

use std::borrow::Cow;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use towpath_model::{AccountId, Region, eventtime_text};

use super::event_size::large_form;
use super::{Parameters, Plane, RecordCopy, TlsDetails, UserIdentity};

/// The version of the record format that is written.
const EVENT_VERSION: &str = "1.11";
/// The longest name of an event, source or address, in bytes; longer ones are cut.
const MAX_NAME_BYTES: usize = 1024;
/// The most that `resources` takes of a record, in bytes; those after are left out.
const MAX_RESOURCES_BYTES: usize = 16 * 1024;

/// What kind of thing a record tells of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EventType {
    /// A call of a public API.
    #[default]
    ApiCall,
    /// Something done in a console that is no call of an API.
    ConsoleAction,
    /// A sign-in, or what belongs to one.
    ConsoleSignIn,
    /// Something that a service did by itself.
    ServiceEvent,
}

impl EventType {
    /// The `eventType` of its records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ApiCall => "AwsApiCall",
            Self::ConsoleAction => "AwsConsoleAction",
            Self::ConsoleSignIn => "AwsConsoleSignIn",
            Self::ServiceEvent => "AwsServiceEvent",
        }
    }
}

/// A resource as a record prints it. Each part may be missing: objects of S3 have no account, parameters of Systems
/// Manager no type, and a call on a bucket's objects names a prefix of their ARNs instead of one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RecordResource<'a> {
    /// Its owner.
    #[serde(rename = "accountId", skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// Such as `AWS::S3::Object`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<Cow<'a, str>>,
    /// Its ARN.
    #[serde(rename = "ARN", skip_serializing_if = "Option::is_none")]
    pub arn: Option<Cow<'a, str>>,
    /// What the ARNs of all resources concerned begin with.
    #[serde(rename = "ARNPrefix", skip_serializing_if = "Option::is_none")]
    pub arn_prefix: Option<Cow<'a, str>>,
}

/// A VPC endpoint that calls come through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VpcEndpoint {
    /// Such as `vpce-0a1b2c3d`.
    pub id: String,
    /// Its owner.
    pub account: Option<AccountId>,
}

/// All that the record of a call prints, apart from what differs between the copies of several accounts.
#[derive(Clone, Debug)]
pub struct CallRecord<'a> {
    /// Who called.
    pub identity: &'a UserIdentity,
    /// When the call ended; records have whole seconds.
    pub time: Timestamp,
    /// Such as `s3.amazonaws.com`.
    pub event_source: &'a str,
    /// The operation.
    pub event_name: &'a str,
    /// The region that the call was made to.
    pub region: &'a Region,
    /// The caller's address, or the name of the service that called.
    pub source_ip: &'a str,
    /// What called.
    pub user_agent: Option<&'a str>,
    /// The API's name of the error, of a call that failed.
    pub error_code: Option<&'a str>,
    /// What the caller was told of the error.
    pub error_message: Option<&'a str>,
    /// What was asked; none prints as `null`.
    pub request: &'a Parameters,
    /// What was answered; none prints as `null`, as it must for calls that change nothing.
    pub response: &'a Parameters,
    /// `additionalEventData`; left out if none.
    pub additional: &'a Parameters,
    /// The id that the service gave the call.
    pub request_id: Option<&'a str>,
    /// True if the operation changes nothing.
    pub read_only: bool,
    /// What it concerned.
    pub resources: &'a [RecordResource<'a>],
    /// What kind of thing happened.
    pub event_type: EventType,
    /// The version of the API, for the few services that print one.
    pub api_version: Option<&'a str>,
    /// Management or data event.
    pub plane: Plane,
    /// `serviceEventDetails`; left out if none.
    pub service_details: &'a Parameters,
    /// The VPC endpoint that the call came through.
    pub vpc_endpoint: Option<&'a VpcEndpoint>,
    /// The connection, if it is known.
    pub tls: Option<&'a TlsDetails>,
}

/// A record in the order of its keys.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    event_version: &'static str,
    user_identity: Cow<'a, UserIdentity>,
    event_time: String,
    event_source: &'a str,
    event_name: &'a str,
    aws_region: &'a str,
    #[serde(rename = "sourceIPAddress")]
    source_ip: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<&'a str>,
    request_parameters: Option<&'a RawValue>,
    response_elements: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    additional_event_data: Option<&'a RawValue>,
    #[serde(rename = "requestID", skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    #[serde(rename = "eventID")]
    event_id: Uuid,
    read_only: bool,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    resources: &'a [RecordResource<'a>],
    event_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_version: Option<&'a str>,
    management_event: bool,
    recipient_account_id: AccountId,
    #[serde(rename = "sharedEventID", skip_serializing_if = "Option::is_none")]
    shared_event_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_event_details: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vpc_endpoint_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vpc_endpoint_account_id: Option<AccountId>,
    event_category: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_details: Option<&'a TlsDetails>,
}

impl CallRecord<'_> {
    /// Writes one account's copy: one JSON object of at most 1 MB.
    ///
    /// Where several accounts get a copy, the caller is only an account and a principal in those of accounts other than
    /// the caller's. The only copy names the caller in full: nowhere else does it stand.
    pub fn json(&self, copy: &RecordCopy) -> Bytes {
        let record = Record {
            event_version: EVENT_VERSION,
            user_identity: match copy.shared {
                Some(_) => self.identity.seen_by(copy.recipient),
                None => Cow::Borrowed(self.identity),
            },
            event_time: eventtime_text(self.time),
            event_source: cut(self.event_source),
            event_name: cut(self.event_name),
            aws_region: self.region.as_str(),
            source_ip: cut(self.source_ip),
            user_agent: self.user_agent,
            error_code: self.error_code,
            error_message: self.error_message,
            request_parameters: self.request.raw(),
            response_elements: self.response.raw(),
            additional_event_data: self.additional.raw(),
            request_id: self.request_id,
            event_id: copy.event_id,
            read_only: self.read_only,
            resources: fitting(self.resources),
            event_type: self.event_type.as_str(),
            api_version: self.api_version,
            management_event: self.plane == Plane::Management,
            recipient_account_id: copy.recipient,
            shared_event_id: copy.shared,
            service_event_details: self.service_details.raw(),
            vpc_endpoint_id: self.vpc_endpoint.map(|endpoint| endpoint.id.as_str()),
            vpc_endpoint_account_id: self.vpc_endpoint.and_then(|endpoint| endpoint.account),
            event_category: self.plane.category().as_str(),
            tls_details: self.tls,
        };
        large_form(serde_json::to_vec(&record).expect("texts, numbers and checked JSON are always written"))
    }
}

/// The first resources that fit into their share of a record.
fn fitting<'a>(resources: &'a [RecordResource<'a>]) -> &'a [RecordResource<'a>] {
    let size = |resource: &RecordResource<'_>| {
        // Quotes, names and the account are under 100 bytes; a text may double when it is escaped.
        let texts = [&resource.kind, &resource.arn, &resource.arn_prefix];
        100 + texts.into_iter().flatten().map(|text| 2 * text.len()).sum::<usize>()
    };
    let mut total = 0;
    let fit = resources.iter().take_while(|resource| {
        total += size(resource);
        total <= MAX_RESOURCES_BYTES
    });
    &resources[..fit.count()]
}

/// The longest prefix of whole characters that has at most [`MAX_NAME_BYTES`].
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_NAME_BYTES)]
}
