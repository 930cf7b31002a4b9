//! Inline policies of users and roles.

use serde::{Deserialize, Serialize};
use towpath_iam::{PolicyHolder, PolicyName};
use towpath_model::AccountId;
use towpath_wire::ApiError;

use super::{Context, Done, account, name, refused};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct HolderInput {
    user_name: Option<String>,
    role_name: Option<String>,
    account_id: Option<AccountId>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PolicyInput {
    #[serde(flatten)]
    holder: HolderInput,
    policy_name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PutInput {
    #[serde(flatten)]
    policy: PolicyInput,
    policy_document: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GetOutput {
    policy_name: String,
    policy_document: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListOutput {
    policy_names: Vec<String>,
}

pub(super) async fn put(context: &Context<'_>, input: PutInput) -> Result<Done, ApiError> {
    let (account, holder, policy) = resolve(context, &input.policy)?;
    let put = context.parts.directory.put_inline_policy(account, holder, policy, input.policy_document).await;
    put.map_err(refused)?;
    Ok(Done {})
}

pub(super) fn get(context: &Context<'_>, input: PolicyInput) -> Result<GetOutput, ApiError> {
    let (account, holder, policy) = resolve(context, &input)?;
    let text = context.parts.directory.inline_policy(account, &holder, &policy);
    Ok(GetOutput { policy_name: policy.to_string(), policy_document: text.map_err(refused)? })
}

pub(super) fn list(context: &Context<'_>, input: HolderInput) -> Result<ListOutput, ApiError> {
    let account = account(context, input.account_id)?;
    let names = context.parts.directory.list_inline_policies(account, &holder(&input)?);
    Ok(ListOutput { policy_names: names.map_err(refused)?.iter().map(ToString::to_string).collect() })
}

pub(super) async fn delete(context: &Context<'_>, input: PolicyInput) -> Result<Done, ApiError> {
    let (account, holder, policy) = resolve(context, &input)?;
    context.parts.directory.delete_inline_policy(account, holder, policy).await.map_err(refused)?;
    Ok(Done {})
}

fn resolve(context: &Context<'_>, input: &PolicyInput) -> Result<(AccountId, PolicyHolder, PolicyName), ApiError> {
    let account = account(context, input.holder.account_id)?;
    Ok((account, holder(&input.holder)?, name("PolicyName", &input.policy_name)?))
}

fn holder(input: &HolderInput) -> Result<PolicyHolder, ApiError> {
    match (&input.user_name, &input.role_name) {
        (Some(user), None) => Ok(PolicyHolder::User(name("UserName", user)?)),
        (None, Some(role)) => Ok(PolicyHolder::Role(name("RoleName", role)?)),
        _ => Err(ApiError::validation("exactly one of UserName and RoleName must be given")),
    }
}
