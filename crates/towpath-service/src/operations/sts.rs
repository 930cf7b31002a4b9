//! STS: GetCallerIdentity and AssumeRole.

use bytes::Bytes;
use http::Response;
use serde_json::{Map, Value, json};
use towpath_iam::{
    AssumeRole as Ask, AssumeRoleError, Context as ConditionContext, Decision, Principal, Request, SessionName,
    SessionTags, evaluate_trust,
};
use towpath_model::Arn;
use towpath_wire::ApiError;
use towpath_wire::sts::{AssumeRole, AssumedRole, CallerIdentity, StsRequest};

use super::Context;
use crate::refusal::internal;

const ASSUME_ROLE: &str = "sts:AssumeRole";

/// The answer, and what the audit record says of it.
pub(crate) struct Answer {
    pub(crate) response: Response<Bytes>,
    pub(crate) recorded: Value,
}

/// Runs an STS request.
pub(crate) fn call(context: &Context<'_>, request: &StsRequest) -> Result<Answer, ApiError> {
    match request {
        StsRequest::GetCallerIdentity => caller_identity(context),
        StsRequest::AssumeRole(ask) => assume_role(context, ask),
    }
}

/// What the audit record says of a request of `caller`.
pub(crate) fn parameters(request: &StsRequest, caller: &Principal) -> Value {
    match request {
        StsRequest::GetCallerIdentity => Value::Null,
        StsRequest::AssumeRole(ask) => {
            let mut parameters = json!({
                "roleArn": ask.role_arn,
                "roleSessionName": ask.role_session_name,
                "durationSeconds": ask.duration_seconds,
            });
            for (name, value) in
                [("externalId", &ask.external_id), ("policy", &ask.policy), ("sourceIdentity", &ask.source_identity)]
            {
                if let Some(value) = value {
                    parameters[name] = json!(value);
                }
            }
            if !ask.tags.is_empty() {
                let tag = |(key, value): &(String, String)| json!({ "key": key, "value": value });
                parameters["tags"] = ask.tags.iter().map(tag).collect();
            }
            if !ask.transitive_tag_keys.is_empty() {
                parameters["transitiveTagKeys"] = json!(ask.transitive_tag_keys);
            }
            // What the caller's own session hands on is recorded with what it asks for.
            if let Principal::AssumedRole(session) = caller {
                let handed_on: Map<String, Value> =
                    session.tags.transitive().map(|tag| (tag.key.clone(), json!(tag.value))).collect();
                if !handed_on.is_empty() {
                    parameters["incomingTransitiveTags"] = Value::Object(handed_on);
                }
            }
            parameters
        }
    }
}

/// GetCallerIdentity needs no rights: whoever can sign may know who it is.
fn caller_identity(context: &Context<'_>) -> Result<Answer, ApiError> {
    let principal = &context.caller.principal;
    let identity = CallerIdentity {
        account: context.caller.account.to_string(),
        arn: principal.arn().map(|arn| arn.to_string()).unwrap_or_default(),
        user_id: principal.principal_id().unwrap_or_default(),
    };
    Ok(Answer { response: identity.response(&context.caller.request_id), recorded: Value::Null })
}

/// AssumeRole: the role's trust policy decides, with the caller's own policies.
fn assume_role(context: &Context<'_>, ask: &AssumeRole) -> Result<Answer, ApiError> {
    let caller = context.caller;
    let directory = &context.parts.directory;
    let denied = |action: &str| {
        let who = caller.principal.display_name();
        let role = &ask.role_arn;
        ApiError::access_denied(format!("User: {who} is not authorized to perform: {action} on resource: {role}"))
    };
    // The root of an account cannot assume roles, as at AWS: its rights could not be taken back from the session.
    if matches!(*caller.principal, Principal::Root { .. }) {
        return Err(ApiError::access_denied("Roles may not be assumed by root accounts."));
    }
    let arn: Arn = ask.role_arn.parse().map_err(|_| ApiError::validation(format!("{} is invalid", ask.role_arn)))?;
    let role = directory.role_by_arn(&arn).ok_or_else(|| denied(ASSUME_ROLE))?;
    let conditions = ConditionContext::new()
        .at(caller.now)
        .source_ip(caller.source_ip)
        .secure_transport(caller.tls.is_some())
        .with("sts:RoleSessionName", &ask.role_session_name)
        .with_some("sts:ExternalId", ask.external_id.as_ref())
        .with_some("sts:SourceIdentity", ask.source_identity.as_ref())
        .request_tags(ask.tags.iter().map(|(key, value)| (key.as_str(), value.as_str())))
        .with_all("sts:TransitiveTagKeys", ask.transitive_tag_keys.iter().cloned());
    let rights = &caller.rights;
    // Naming the session in other ways than its name needs a right of its own, on both sides.
    let actions = [
        (ASSUME_ROLE, true),
        ("sts:TagSession", !ask.tags.is_empty() || !ask.transitive_tag_keys.is_empty()),
        ("sts:SetSourceIdentity", ask.source_identity.is_some()),
    ];
    for action in actions.iter().filter(|(_, asked)| *asked).map(|(action, _)| *action) {
        let request = Request {
            principal: &caller.principal,
            action,
            resource: arn.as_str(),
            resource_account: role.account,
            context: &conditions,
        };
        let decision = evaluate_trust(&request, &rights.identity, &role.trust, rights.session.as_deref());
        if decision != Decision::Allow {
            return Err(denied(action));
        }
    }
    context.touched("AWS::IAM::Role", &arn);
    let name = |text: &str| text.parse::<SessionName>().map_err(|error| ApiError::validation(error.to_string()));
    let ask = Ask {
        session_name: name(&ask.role_session_name)?,
        duration_seconds: Some(ask.duration_seconds),
        session_policy: ask.policy.clone(),
        source_identity: ask.source_identity.as_deref().map(name).transpose()?,
        tags: SessionTags::new(ask.tags.clone(), &ask.transitive_tag_keys)
            .map_err(|error| ApiError::validation(error.to_string()))?,
    };
    let credentials = directory.assume_role(&arn, &caller.principal, ask).map_err(|error| match error {
        AssumeRoleError::NotFound(_) => denied(ASSUME_ROLE),
        AssumeRoleError::Random(cause) => internal("make session", cause),
        AssumeRoleError::Policy(_) => ApiError::new("MalformedPolicyDocument", error.to_string()),
        AssumeRoleError::Packed(_) => ApiError::new("PackedPolicyTooLarge", error.to_string()),
        other => ApiError::validation(other.to_string()),
    })?;
    let assumed_role_id = format!("{}:{}", credentials.session.role_id, credentials.session.session_name);
    let mut recorded = json!({
        "credentials": {
            "accessKeyId": credentials.access_key_id.to_string(),
            "expiration": towpath_model::eventtime_text(credentials.expires),
        },
        "assumedRoleUser": { "assumedRoleId": assumed_role_id, "arn": credentials.session.arn },
    });
    if let Some(percent) = credentials.packed_policy_size {
        recorded["packedPolicySize"] = json!(percent);
    }
    let answer = AssumedRole {
        access_key_id: credentials.access_key_id.to_string(),
        secret_access_key: credentials.secret.expose().to_owned(),
        session_token: credentials.session_token.expose().to_owned(),
        expiration: credentials.expires,
        assumed_role_id,
        arn: credentials.session.arn.to_string(),
        source_identity: credentials.session.source_identity.as_ref().map(ToString::to_string),
        packed_policy_size: credentials.packed_policy_size,
    };
    Ok(Answer { response: answer.response(&caller.request_id), recorded })
}
