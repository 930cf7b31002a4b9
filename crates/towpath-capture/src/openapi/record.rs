//! Calls as records of the type `AwsApiCall`.

use std::borrow::Cow;

use towpath_admit::{CallRecord, EventType, Parameters, Plane, RecordCopy, RecordResource, TlsDetails};
use towpath_model::{AccountId, Region};

use super::event::HttpEvent;
use crate::json;
use crate::{CapturedRecord, Value};

/// Writes an event as a record of an account.
pub fn write(event: &HttpEvent<'_>, account: AccountId, region: &Region) -> CapturedRecord {
    let identity = event.caller.clone().identity();
    let resources: Vec<_> = event
        .resources
        .iter()
        .map(|(kind, arn)| RecordResource {
            account: Some(account),
            kind: Some(Cow::Borrowed(kind)),
            arn: arn.as_deref().map(Cow::Borrowed),
            arn_prefix: None,
        })
        .collect();
    let additional = serde_json::to_string(&event.http()).expect("texts and numbers are always written");
    let tls = event.tls.map(|tls| TlsDetails {
        tls_version: tls.version.clone(),
        cipher_suite: tls.cipher_suite.clone(),
        client_provided_host_header: event.host.clone(),
        key_exchange: tls.key_exchange.clone(),
    });
    let copy = RecordCopy { recipient: account, event_id: event.id, shared: None };
    let record = CallRecord {
        identity: &identity,
        time: event.time,
        event_source: &event.source,
        event_name: event.name,
        region,
        source_ip: &event.peer.to_string(),
        user_agent: event.user_agent.as_deref(),
        error_code: event.error.as_ref().map(|error| error.code.as_str()),
        error_message: event.error.as_ref().and_then(|error| error.message.as_deref()),
        request: &printed(event.parameters.as_ref()),
        response: &printed(event.answer.as_ref()),
        additional: &Parameters::of_printed(additional),
        request_id: event.request_id.as_deref(),
        read_only: event.read_only,
        resources: &resources,
        event_type: EventType::ApiCall,
        api_version: None,
        plane: if event.data { Plane::Data } else { Plane::Management },
        service_details: &Parameters::none(),
        vpc_endpoint: event.vpc_endpoint,
        tls: tls.as_ref(),
    };
    CapturedRecord {
        event_id: event.id,
        account,
        region: region.clone(),
        time: event.time,
        channel: None,
        json: record.json(&copy),
    }
}

fn printed(value: Option<&Value>) -> Parameters {
    let Some(value) = value else { return Parameters::none() };
    let mut text = String::new();
    json::write(value, &mut text);
    Parameters::of_printed(text)
}
