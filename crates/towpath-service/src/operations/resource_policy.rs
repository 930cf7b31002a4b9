//! Resource policies of channels and event data stores.

use towpath_iam::{Policy, PolicyKind, ResourcePolicyRules};
use towpath_model::Arn;
use towpath_wire::ApiError;
use towpath_wire::{cloudtrail as wire, errors};

use super::Context;
use super::channel::ChannelName;
use super::store_name::{StoreName, require_active};
use crate::catalog::CatalogState;
use crate::refusal::refuse;

/// PutResourcePolicy: a document that is not understood in full is refused, with the place and the reason.
///
/// Users and roles are remembered by their unique ids, as IAM does: one that is deleted and made anew under the same
/// name is not meant any more until the policy is put again.
pub(crate) async fn put(
    context: &Context<'_>,
    input: wire::PutResourcePolicyRequest,
) -> Result<wire::PutResourcePolicyResponse, ApiError> {
    let resource = Resource::parse(context, &input.resource_arn)?;
    let arn = resource.arn();
    context.authorize("PutResourcePolicy", &arn)?;
    let invalid = |why: String| refuse(errors::RESOURCE_POLICY_NOT_VALID_EXCEPTION, why);
    let limit = context.settings().quotas.resource_policy_characters;
    if input.resource_policy.chars().count() > limit {
        return Err(invalid(format!("a resource policy has at most {limit} characters")));
    }
    let policy =
        Policy::parse(&input.resource_policy, PolicyKind::Resource).map_err(|error| invalid(error.to_string()))?;
    let rules = match resource {
        Resource::Channel(_) => ResourcePolicyRules::channel(&arn),
        Resource::Store(_) => ResourcePolicyRules::store(&arn),
    };
    rules.check(&policy).map_err(|violation| invalid(violation.to_string()))?;
    let ids = context.parts.directory.ids_of(&policy);
    if let Some(nobody) = policy.named().into_iter().find(|arn| !ids.contains_key(arn.as_str())) {
        return Err(invalid(format!("invalid principal in policy: {nobody} does not exist")));
    }
    let policy = policy.pinned(&ids);
    context
        .change(|state, change| {
            resource.require_exists(context, state)?;
            change.put_policy(arn.as_str(), policy);
            Ok(())
        })
        .await?;
    context.touched_arn(&arn);
    Ok(wire::PutResourcePolicyResponse {
        resource_arn: Some(arn.to_string()),
        resource_policy: Some(input.resource_policy),
        delegated_admin_resource_policy: resource.delegated_policy(&context.catalog()),
    })
}

/// GetResourcePolicy: the document as it was put, with the unique id in place of each user or role that is no more; and
/// for a store of the organization what its delegated administrators may do.
pub(crate) async fn get(
    context: &Context<'_>,
    input: wire::GetResourcePolicyRequest,
) -> Result<wire::GetResourcePolicyResponse, ApiError> {
    let resource = Resource::parse(context, &input.resource_arn)?;
    let arn = resource.arn();
    context.authorize("GetResourcePolicy", &arn)?;
    let state = context.catalog();
    resource.require_exists(context, &state)?;
    let (policy, delegated) = (state.policy(arn.as_str()), resource.delegated_policy(&state));
    if policy.is_none() && delegated.is_none() {
        return Err(no_policy(&arn));
    }
    context.touched_arn(&arn);
    Ok(wire::GetResourcePolicyResponse {
        resource_arn: Some(arn.to_string()),
        resource_policy: policy.map(|policy| context.parts.directory.shown(policy).into_owned()),
        delegated_admin_resource_policy: delegated,
    })
}

/// DeleteResourcePolicy: from then on only the owner's account has access.
pub(crate) async fn delete(
    context: &Context<'_>,
    input: wire::DeleteResourcePolicyRequest,
) -> Result<wire::DeleteResourcePolicyResponse, ApiError> {
    let resource = Resource::parse(context, &input.resource_arn)?;
    let arn = resource.arn();
    context.authorize("DeleteResourcePolicy", &arn)?;
    context
        .change(|state, change| {
            resource.require_exists(context, state)?;
            state.policy(arn.as_str()).ok_or_else(|| no_policy(&arn))?;
            change.delete_policy(arn.as_str());
            Ok(())
        })
        .await?;
    context.touched_arn(&arn);
    Ok(wire::DeleteResourcePolicyResponse {})
}

enum Resource {
    Channel(ChannelName),
    Store(StoreName),
}

impl Resource {
    fn parse(context: &Context<'_>, text: &str) -> Result<Self, ApiError> {
        let invalid = || {
            refuse(
                errors::RESOURCE_ARN_NOT_VALID_EXCEPTION,
                "ResourceArn must be the ARN of a channel or of an event data store",
            )
        };
        let arn: Arn = text.parse().map_err(|_| invalid())?;
        if arn.service() != "cloudtrail" {
            return Err(invalid());
        }
        match arn.resource().split_once('/').map(|(kind, _)| kind) {
            Some("channel") => ChannelName::parse(text, context.caller).map(Self::Channel).ok_or_else(invalid),
            Some("eventdatastore") => StoreName::parse(text, context.caller).map(Self::Store).map_err(|_| invalid()),
            Some("trail" | "dashboard") => Err(refuse(
                errors::RESOURCE_TYPE_NOT_SUPPORTED_EXCEPTION,
                "resource policies are supported on channels and event data stores",
            )),
            _ => Err(invalid()),
        }
    }

    fn arn(&self) -> Arn {
        match self {
            Self::Channel(name) => name.arn(),
            Self::Store(name) => name.arn(),
        }
    }

    fn delegated_policy(&self, state: &CatalogState) -> Option<String> {
        match self {
            Self::Channel(_) => None,
            Self::Store(name) => state.delegated_policy(name.find(state).ok()?),
        }
    }

    fn require_exists(&self, context: &Context<'_>, state: &CatalogState) -> Result<(), ApiError> {
        let not_found = || refuse(errors::RESOURCE_NOT_FOUND_EXCEPTION, format!("there is no resource {}", self.arn()));
        match self {
            Self::Channel(name) if name.account == context.caller.account => {
                name.find(state).map(drop).ok_or_else(not_found)
            }
            Self::Store(name) if name.account == context.caller.account => {
                require_active(name.find(state).map_err(|_| not_found())?).map_err(|_| not_found())
            }
            _ => Err(not_found()),
        }
    }
}

fn no_policy(arn: &Arn) -> ApiError {
    refuse(errors::RESOURCE_POLICY_NOT_FOUND_EXCEPTION, format!("{arn} has no resource policy"))
}
