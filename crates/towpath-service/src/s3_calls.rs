//! Calls to the buckets as records: operations on buckets are management events, those on objects data events.
//!
//! Event history has the former. The latter are recorded where a store or trail asks for data events of S3, and nowhere
//! else. A call without a known caller is recorded in the account of its bucket, if it has one.

use serde_json::json;
use smallvec::SmallVec;
use towpath_admit::{ApiCall, ApiSource, Outcome, Parameters, Plane, RecordCopy, Resource, TlsDetails, UserIdentity};
use towpath_bucket::S3Call;
use towpath_model::{AccountId, Arn, Event, Region};
use towpath_wire::RequestId;
use uuid::Uuid;

use crate::audit;
use crate::authorize::Rights;
use crate::caller::Caller;
use crate::catalog::CatalogState;
use crate::event_size::in_each_size;
use crate::service::Service;

/// The region of a call that was not signed for one.
const DEFAULT_REGION: &str = "us-east-1";

impl Service {
    /// Records an S3 call that has ended; returns when the record is durable, or has its place in the log's queue if the
    /// call only read. A record that the log does not take is told in the server's own log: the call is over.
    pub async fn record_s3(&self, call: S3Call) {
        let settled = call.read_only && call.error.is_none();
        let events = events(&self.parts().catalog.state(), call);
        let appended = match settled {
            true => self.records().append_read(events).await,
            false => self.records().append(events).await,
        };
        if let Err(cause) = appended {
            metrics::counter!("towpath_audit_records_lost_total").increment(1);
            tracing::error!(code = cause.code(), "the record of an S3 call is lost");
        }
    }
}

/// The events of a call, those that nobody wants left out.
fn events(state: &CatalogState, call: S3Call) -> Vec<Event> {
    // What is no operation, and calls whose signature is wrong, are not recorded: nobody is known to have made them.
    let (Some(operation), Some(caller)) = (call.operation, &call.caller) else {
        return Vec::new();
    };
    let plane = if call.is_data() { Plane::Data } else { Plane::Management };
    let owner = call.bucket.as_ref().and_then(|(_, owner)| *owner);
    let mut recipients: SmallVec<[AccountId; 2]> = caller.principal.account().into_iter().collect();
    if let Some(owner) = owner
        && (plane == Plane::Data || recipients.is_empty())
        && !recipients.contains(&owner)
    {
        recipients.push(owner);
    }
    let region = call.region.clone().unwrap_or_else(default_region);
    let tls = call.encryption.as_ref().map(|encryption| TlsDetails {
        tls_version: encryption.version.clone(),
        cipher_suite: encryption.cipher_suite.clone(),
        client_provided_host_header: call.host.clone(),
        key_exchange: None,
    });
    let api_call = ApiCall {
        identity: identity(&call, caller, &region),
        time: call.time,
        source: ApiSource::S3,
        name: operation.to_owned(),
        region: region.clone(),
        source_ip: call.peer.to_string(),
        user_agent: call.user_agent.clone(),
        request: parameters(&call),
        outcome: match &call.error {
            None => Outcome::Success(Parameters::none()),
            Some((code, message)) => Outcome::Failure { code: code.clone(), message: Some(message.clone()) },
        },
        request_id: call.request_id.to_string(),
        read_only: call.read_only,
        resources: resources(&call, owner),
        plane,
        tls,
    };
    let resource_facts = api_call.resource_facts();
    let facts = api_call.facts(&resource_facts);
    let shared = (recipients.len() > 1).then(Uuid::new_v4);
    let copies = recipients.iter().flat_map(|recipient| {
        let destinations = state.route(*recipient, &region, &facts);
        let trails = state.trails_for(*recipient, &region, &facts);
        if destinations.is_empty() && trails.is_empty() {
            return SmallVec::new();
        }
        let copy = RecordCopy { recipient: *recipient, event_id: Uuid::new_v4(), shared };
        let event = api_call.event(&copy, call.time);
        in_each_size(state, Event { destinations, trails, ..event })
    });
    copies.collect()
}

fn default_region() -> Region {
    DEFAULT_REGION.parse().expect("the name of a region")
}

fn identity(call: &S3Call, caller: &towpath_bucket::Caller, region: &Region) -> UserIdentity {
    let (Some(account), Some(key)) = (caller.principal.account(), &caller.access_key_id) else {
        return UserIdentity::unknown();
    };
    audit::identity(&Caller {
        principal: caller.principal.clone(),
        account,
        access_key_id: key.clone(),
        region: region.clone(),
        source_ip: call.peer,
        user_agent: call.user_agent.clone(),
        request_id: RequestId::from(call.request_id),
        tls: None,
        rights: Rights::default(),
        now: call.time,
    })
}

fn parameters(call: &S3Call) -> Parameters {
    let mut request = serde_json::Map::new();
    if let Some((name, _)) = &call.bucket {
        request.insert("bucketName".to_owned(), json!(name.as_str()));
    }
    if let Some(host) = &call.host {
        request.insert("host".to_owned(), json!(host));
    }
    if let Some(key) = &call.key {
        request.insert("key".to_owned(), json!(key));
    }
    audit::parameters(&request.into())
}

fn resources(call: &S3Call, owner: Option<AccountId>) -> Vec<Resource> {
    let (Some((name, _)), Some(account)) = (&call.bucket, owner) else {
        return Vec::new();
    };
    let resource = |kind, arn: String| Some(Resource { account, kind, arn: arn.parse::<Arn>().ok()? });
    let object = call.key.as_deref().and_then(|key| resource("AWS::S3::Object", name.object_arn(key)));
    object.into_iter().chain(resource("AWS::S3::Bucket", name.arn())).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use towpath_iam::Principal;
    use towpath_model::StoreKind;

    use super::*;

    fn call(operation: &'static str, key: Option<&str>, error: Option<&str>) -> S3Call {
        let account: AccountId = "111111111111".parse().unwrap();
        let mut caller = towpath_bucket::Caller::anonymous();
        caller.principal = Arc::new(Principal::Root { account });
        caller.access_key_id = Some("AKIAEXAMPLE".to_owned());
        S3Call {
            caller: Some(caller),
            operation: Some(operation),
            read_only: false,
            bucket: Some(("logs".parse().unwrap(), Some("222222222222".parse().unwrap()))),
            key: key.map(str::to_owned),
            error: error.map(|code| (code.to_owned(), "no".to_owned())),
            bytes: (0, 0),
            region: Some("eu-central-1".parse().unwrap()),
            peer: "192.0.2.1".parse().unwrap(),
            user_agent: Some("test".to_owned()),
            host: Some("s3:4748".to_owned()),
            encryption: None,
            request_id: Uuid::new_v4(),
            time: "2026-11-21T00:00:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn an_operation_on_a_bucket_is_in_the_event_history_of_its_caller() {
        let events = events(&CatalogState::default(), call("DeleteBucketPolicy", None, Some("AccessDenied")));

        assert_eq!(events.len(), 1);
        assert_eq!(events[0].account.as_str(), "111111111111");
        assert_eq!(events[0].destinations[0].kind, StoreKind::History);
        let record: serde_json::Value = serde_json::from_slice(&events[0].json).unwrap();
        assert_eq!(record["eventSource"], "s3.amazonaws.com");
        assert_eq!(record["eventName"], "DeleteBucketPolicy");
        assert_eq!(record["errorCode"], "AccessDenied");
        assert_eq!(record["requestParameters"]["bucketName"], "logs");
        assert_eq!(record["resources"][0]["ARN"], "arn:aws:s3:::logs");
        assert_eq!(record["resources"][0]["accountId"], "222222222222");
        assert_eq!(record["managementEvent"], true);
    }

    #[test]
    fn an_operation_on_an_object_is_recorded_only_where_somebody_asks() {
        assert!(events(&CatalogState::default(), call("PutObject", Some("k"), None)).is_empty());
    }

    #[test]
    fn a_call_of_nobody_known_is_not_recorded() {
        let mut unknown = call("DeleteBucket", None, Some("SignatureDoesNotMatch"));
        unknown.caller = None;
        assert!(events(&CatalogState::default(), unknown).is_empty());
    }
}
