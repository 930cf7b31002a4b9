//! Towpath's own API calls as CloudTrail records, exact in form.
//!
//! Each call to Towpath, allowed or denied, is an event in the account it concerns. The service describes the call
//! ([`ApiCall`]); the record is written as those of captured calls are ([`CallRecord`]). Secrets are never present because
//! [`Parameters`] cannot hold them.

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use smallvec::SmallVec;
use uuid::Uuid;

use towpath_model::{AccountId, Arn, Category, Event, EventFacts, EventTime, Region};

mod event_size;
mod identity;
mod parameters;
mod record;
mod service_event;

pub use event_size::standard_form;
pub use identity::{RoleSession, UserIdentity};
pub use parameters::{HIDDEN, Parameters, record_name};
pub use record::{CallRecord, EventType, RecordResource, VpcEndpoint};
pub use service_event::ServiceEvent;

/// The service that was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiSource {
    /// CloudTrail and CloudTrail Lake.
    CloudTrail,
    /// PutAuditEvents.
    CloudTrailData,
    /// GetCallerIdentity and AssumeRole.
    Sts,
    /// Users, roles, access keys and their policies.
    Iam,
    /// Accounts.
    Organizations,
    /// Buckets of the data directory and their objects.
    S3,
    /// What AWS has no service for: uploads, following events, the server itself.
    Towpath,
}

impl ApiSource {
    /// The `eventSource` of its records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CloudTrail => "cloudtrail.amazonaws.com",
            Self::CloudTrailData => "cloudtrail-data.amazonaws.com",
            Self::Sts => "sts.amazonaws.com",
            Self::Iam => "iam.amazonaws.com",
            Self::Organizations => "organizations.amazonaws.com",
            Self::S3 => "s3.amazonaws.com",
            Self::Towpath => "towpath",
        }
    }
}

/// How a call ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It was done; what it answered. Recorded only of calls that change something, and of AssumeRole.
    Success(Parameters),
    /// It was refused or failed.
    Failure {
        /// The API's name of the error.
        code: String,
        /// What the caller was told.
        message: Option<String>,
    },
}

/// Whether a call is a management or a data event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plane {
    /// It manages resources.
    Management,
    /// It works on the contents of one: PutAuditEvents.
    Data,
}

impl Plane {
    /// The category of its records.
    pub const fn category(self) -> Category {
        match self {
            Self::Management => Category::Management,
            Self::Data => Category::Data,
        }
    }
}

/// A resource that a call concerned.
#[derive(Clone, Debug)]
pub struct Resource {
    /// Its owner.
    pub account: AccountId,
    /// Such as `AWS::CloudTrail::Channel`.
    pub kind: &'static str,
    /// Its ARN.
    pub arn: Arn,
}

impl Resource {
    fn printed(&self) -> RecordResource<'_> {
        RecordResource {
            account: Some(self.account),
            kind: Some(self.kind.into()),
            arn: Some(self.arn.as_str().into()),
            arn_prefix: None,
        }
    }
}

/// The TLS connection that a call came through.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TlsDetails {
    /// Such as `TLSv1.3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_version: Option<String>,
    /// Such as `TLS_AES_128_GCM_SHA256`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cipher_suite: Option<String>,
    /// The host that the client asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_provided_host_header: Option<String>,
    /// The group that keys were exchanged in, such as `x25519` or `X25519MLKEM768`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_exchange: Option<String>,
}

/// A call to Towpath's API.
#[derive(Clone, Debug)]
pub struct ApiCall {
    /// Who called.
    pub identity: UserIdentity,
    /// When the call ended.
    pub time: Timestamp,
    /// The service called.
    pub source: ApiSource,
    /// The operation, as in the API.
    pub name: String,
    /// The region that the call was signed for.
    pub region: Region,
    /// The caller's address.
    pub source_ip: String,
    /// The User-Agent header.
    pub user_agent: Option<String>,
    /// What was asked.
    pub request: Parameters,
    /// How it ended.
    pub outcome: Outcome,
    /// The id that the caller was given for the call.
    pub request_id: String,
    /// True if the operation changes nothing.
    pub read_only: bool,
    /// What it concerned.
    pub resources: Vec<Resource>,
    /// Management or data event.
    pub plane: Plane,
    /// The connection, if it is known.
    pub tls: Option<TlsDetails>,
}

/// One account's copy of a call's record.
#[derive(Clone, Copy, Debug)]
pub struct RecordCopy {
    /// The account whose event it is.
    pub recipient: AccountId,
    /// The id of this copy.
    pub event_id: Uuid,
    /// The same for all copies, where several accounts get one.
    pub shared: Option<Uuid>,
}

impl ApiCall {
    /// The category of its records.
    pub const fn category(&self) -> Category {
        self.plane.category()
    }

    /// Writes one account's copy. The event has no destinations and no trails yet.
    ///
    /// In the copy of another account than the caller's, the caller is only an account and a principal.
    pub fn event(&self, copy: &RecordCopy, admitted: Timestamp) -> Event {
        // The text of a record has whole seconds, and the event says the same.
        let seconds = self.time.as_millisecond().div_euclid(1000) * 1000;
        let time = EventTime::from_millis(seconds).unwrap_or(EventTime::from(self.time));
        Event {
            key: copy.event_id.into(),
            time,
            admitted,
            category: self.category(),
            account: copy.recipient,
            region: self.region.clone(),
            destinations: SmallVec::new(),
            trails: SmallVec::new(),
            json: self.record(copy),
        }
    }

    fn record(&self, copy: &RecordCopy) -> Bytes {
        let nothing = Parameters::none();
        let (error_code, error_message) = match &self.outcome {
            Outcome::Success(_) => (None, None),
            Outcome::Failure { code, message } => (Some(code.as_str()), message.as_deref()),
        };
        let response = match &self.outcome {
            Outcome::Success(response) if !self.read_only || self.name == "AssumeRole" => response,
            _ => &nothing,
        };
        let resources: Vec<_> = self.resources.iter().map(Resource::printed).collect();
        let record = CallRecord {
            identity: &self.identity,
            time: self.time,
            event_source: self.source.as_str(),
            event_name: &self.name,
            region: &self.region,
            source_ip: &self.source_ip,
            user_agent: self.user_agent.as_deref(),
            error_code,
            error_message,
            request: &self.request,
            response,
            additional: &nothing,
            request_id: Some(&self.request_id),
            read_only: self.read_only,
            resources: &resources,
            event_type: EventType::ApiCall,
            api_version: None,
            plane: self.plane,
            service_details: &nothing,
            vpc_endpoint: None,
            tls: self.tls.as_ref(),
        };
        record.json(copy)
    }

    /// The type and ARN of each resource, for [`ApiCall::facts`].
    pub fn resource_facts(&self) -> Vec<(Option<&str>, Option<&str>)> {
        self.resources.iter().map(|resource| (Some(resource.kind), Some(resource.arn.as_str()))).collect()
    }

    /// What selectors look at.
    pub fn facts<'a>(&'a self, resources: &'a [(Option<&'a str>, Option<&'a str>)]) -> EventFacts<'a> {
        EventFacts {
            category: self.category().as_str(),
            read_only: Some(self.read_only),
            event_source: Some(self.source.as_str()),
            event_name: Some(&self.name),
            event_type: Some("AwsApiCall"),
            user_arn: self.identity.arn(),
            error_code: match &self.outcome {
                Outcome::Failure { code, .. } => Some(code),
                Outcome::Success(_) => None,
            },
            resources,
            ..EventFacts::default()
        }
    }
}

#[cfg(test)]
mod tests;
