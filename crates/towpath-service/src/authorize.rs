//! May the caller do this? Identity policies, the policy of its session, and the policy of the resource decide.

use std::sync::Arc;

use towpath_iam::{Context as ConditionContext, Decision, Policy, Request, evaluate};
use towpath_model::{AccountId, Arn};
use towpath_wire::{ApiError, errors};

use crate::caller::Caller;
use crate::catalog::CatalogState;
use crate::operations::Context;
use crate::refusal::refuse;

/// The policies on the caller's own side.
#[derive(Clone, Debug, Default)]
pub struct Rights {
    /// Attached to the user or role.
    pub identity: Arc<[Arc<Policy>]>,
    /// Passed when the role was assumed.
    pub session: Option<Arc<Policy>>,
}

/// Refuses with AccessDeniedException, in AWS's words, unless the caller may do `action` on `resource`.
///
/// `owner` is the account of the resource; the caller's own where the ARN names none.
pub(crate) fn authorize(
    context: &Context<'_>,
    action: &str,
    resource: &str,
    owner: Option<AccountId>,
) -> Result<(), ApiError> {
    let state = context.catalog();
    let policy = state.policy(resource).map(Arc::as_ref);
    let conditions = conditions(context.caller, &state, resource);
    let request = Request {
        principal: &context.caller.principal,
        action,
        resource,
        resource_account: owner.unwrap_or(context.caller.account),
        context: &conditions,
    };
    match decide(context.caller, &request, policy).message(&request) {
        None => Ok(()),
        Some(message) => Err(ApiError::access_denied(message)),
    }
}

/// Decides PutAuditEvents on a channel, with the external id that was sent.
///
/// # Errors
/// ChannelInsufficientPermission: the caller's account is not the owner and not allowed by the channel's policy, or the
/// external id is missing or wrong. AccessDeniedException when the caller's own policies do not allow the call.
pub(crate) fn put_audit_events(
    context: &Context<'_>,
    state: &CatalogState,
    channel: &Arn,
    owner: AccountId,
    external_id: Option<&str>,
) -> Result<(), ApiError> {
    let policy = state.policy(channel.as_str()).map(Arc::as_ref);
    let conditions =
        conditions(context.caller, state, channel.as_str()).with_some("cloudtrail:ExternalId", external_id);
    let request = Request {
        principal: &context.caller.principal,
        action: "cloudtrail-data:PutAuditEvents",
        resource: channel.as_str(),
        resource_account: owner,
        context: &conditions,
    };
    let insufficient = |why: &str| Err(refuse(errors::CHANNEL_INSUFFICIENT_PERMISSION, why));
    // A policy that asks for an external id asks it of the owner's callers too.
    if policy.is_some_and(|policy| !policy.is_answered("cloudtrail:ExternalId", &request)) {
        return insufficient("the channel's resource policy asks for an external id, and it is missing or wrong");
    }
    match decide(context.caller, &request, policy) {
        Decision::Allow => Ok(()),
        Decision::DenyExplicit { by: towpath_iam::PolicyType::Resource }
        | Decision::DenyImplicit { missing: towpath_iam::PolicyType::Resource } => insufficient(
            "the channel's resource policy does not let the caller send events; \
             check the principal and the external id in the policy (GetResourcePolicy)",
        ),
        denied => Err(ApiError::access_denied(denied.message(&request).unwrap_or_default())),
    }
}

fn decide(caller: &Caller, request: &Request<'_>, resource: Option<&Policy>) -> Decision {
    evaluate(request, &caller.rights.identity, resource, caller.rights.session.as_deref())
}

fn conditions(caller: &Caller, state: &CatalogState, resource: &str) -> ConditionContext {
    let tags = state.tags(resource).iter().map(|tag| (tag.key.as_str(), tag.value.as_deref().unwrap_or_default()));
    let organization = state.organization(caller.account).map(|organization| organization.id.as_str());
    request_conditions(caller).with_some("aws:PrincipalOrgID", organization).resource_tags(tags)
}

/// The condition keys of any request of the caller, whatever its resource.
pub(crate) fn request_conditions(caller: &Caller) -> ConditionContext {
    ConditionContext::new()
        .at(caller.now)
        .source_ip(caller.source_ip)
        .secure_transport(caller.tls.is_some())
        .with("aws:RequestedRegion", caller.region.as_str())
        // No call reaches an operation by way of another service.
        .with("aws:ViaAWSService", "false")
        .with_some("aws:UserAgent", caller.user_agent.as_deref())
}
