//! Towpath audits itself: each call becomes an event in the account it concerns.
//!
//! A call is recorded when it is over, with what it answered; see [`crate::records`] for what the answer waits for. Calls
//! whose signature is wrong are not recorded: nobody is known to have made them.

use std::sync::Arc;

use serde_json::Value;
use smallvec::SmallVec;
use towpath_admit::{ApiCall, ApiSource, Outcome, Parameters, Plane, RecordCopy, Resource, RoleSession, UserIdentity};
use towpath_iam::Principal;
use towpath_model::{AccountId, Event};
use towpath_wire::ApiError;
use uuid::Uuid;

use crate::caller::Caller;
use crate::catalog::CatalogState;
use crate::event_size::in_each_size;
use crate::operations::Touched;

/// What a call was, for its record.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) source: ApiSource,
    pub(crate) name: String,
    pub(crate) read_only: bool,
    pub(crate) plane: Plane,
    pub(crate) request: Parameters,
}

/// The events that record a call: one for the caller's account and one for each other account whose resource it
/// concerned, those without destinations left out.
pub(crate) fn events(
    state: &CatalogState,
    caller: &Caller,
    call: Call,
    outcome: Result<Parameters, &ApiError>,
    touched: Vec<Touched>,
) -> Vec<Event> {
    let resources: Vec<Resource> = touched
        .into_iter()
        .filter_map(|touched| {
            Some(Resource { account: touched.arn.account_id()?, kind: touched.kind, arn: touched.arn })
        })
        .collect();
    let mut recipients: SmallVec<[AccountId; 2]> = SmallVec::from_elem(caller.account, 1);
    for resource in &resources {
        if !recipients.contains(&resource.account) && call.plane == Plane::Data {
            recipients.push(resource.account);
        }
    }
    let shared = (recipients.len() > 1).then(Uuid::new_v4);
    let api_call = ApiCall {
        identity: identity(caller),
        time: caller.now,
        source: call.source,
        name: call.name,
        region: caller.region.clone(),
        source_ip: caller.source_ip.to_string(),
        user_agent: caller.user_agent.clone(),
        request: call.request,
        outcome: match outcome {
            Ok(answer) => Outcome::Success(answer),
            Err(error) => {
                Outcome::Failure { code: recorded_code(error).to_owned(), message: Some(error.message().to_owned()) }
            }
        },
        request_id: caller.request_id.to_string(),
        read_only: call.read_only,
        resources,
        plane: call.plane,
        tls: caller.tls.clone(),
    };
    let resource_facts = api_call.resource_facts();
    let facts = api_call.facts(&resource_facts);
    let copies = recipients.iter().flat_map(|recipient| {
        let destinations = state.route(*recipient, &caller.region, &facts);
        let trails = state.trails_for(*recipient, &caller.region, &facts);
        if destinations.is_empty() && trails.is_empty() {
            return SmallVec::new();
        }
        let copy = RecordCopy { recipient: *recipient, event_id: Uuid::new_v4(), shared };
        let event = api_call.event(&copy, caller.now);
        in_each_size(state, Event { destinations, trails, ..event })
    });
    copies.collect()
}

/// What went over the wire, as a record prints it.
pub(crate) fn parameters(value: &Value) -> Parameters {
    serde_json::to_vec(value).map_or_else(|_| Parameters::none(), |text| Parameters::of_json(&text))
}

/// Records say `AccessDenied` where the API's exception is longer.
fn recorded_code(error: &ApiError) -> &str {
    match error.code() {
        "AccessDeniedException" => "AccessDenied",
        code => code,
    }
}

pub(crate) fn identity(caller: &Caller) -> UserIdentity {
    identity_of(Arc::as_ref(&caller.principal), &caller.access_key_id)
}

/// A principal that signed with a key, as a record prints it.
pub(crate) fn identity_of(principal: &Principal, key: &str) -> UserIdentity {
    match principal {
        Principal::Root { account } => UserIdentity::root(*account, key),
        Principal::User { account, name, id, arn, .. } => {
            UserIdentity::iam_user(id, arn, *account, key, &name.to_string())
        }
        Principal::AssumedRole(session) => UserIdentity::assumed_role(&RoleSession {
            role_id: session.role_id.clone(),
            role_arn: session.role_arn.clone(),
            role_name: session.role_name.to_string(),
            account: session.account,
            session_name: session.session_name.to_string(),
            session_arn: session.arn.clone(),
            access_key_id: key.to_owned(),
            created: session.issued_at,
            mfa: false,
            source_identity: session.source_identity.as_ref().map(ToString::to_string),
        }),
        Principal::Service(_) | Principal::Anonymous => UserIdentity::unknown(),
    }
}
