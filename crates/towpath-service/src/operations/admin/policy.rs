//! Inline policies of users and roles.

use serde::{Deserialize, Serialize};
use towpath_iam::{EntityName, PolicyName};
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

/// Whose policy it is.
enum Holder {
    User(EntityName),
    Role(EntityName),
}

pub(super) async fn put(context: &Context<'_>, input: PutInput) -> Result<Done, ApiError> {
    let (account, holder, policy) = resolve(context, &input.policy)?;
    let directory = &context.parts.directory;
    let put = match holder {
        Holder::User(user) => directory.put_user_policy(account, user, policy, input.policy_document).await,
        Holder::Role(role) => directory.put_role_policy(account, role, policy, input.policy_document).await,
    };
    put.map_err(refused)?;
    Ok(Done {})
}

pub(super) fn get(context: &Context<'_>, input: PolicyInput) -> Result<GetOutput, ApiError> {
    let (account, holder, policy) = resolve(context, &input)?;
    let directory = &context.parts.directory;
    let text = match holder {
        Holder::User(user) => directory.user_policy(account, &user, &policy),
        Holder::Role(role) => directory.role_policy(account, &role, &policy),
    };
    Ok(GetOutput { policy_name: policy.to_string(), policy_document: text.map_err(refused)? })
}

pub(super) fn list(context: &Context<'_>, input: HolderInput) -> Result<ListOutput, ApiError> {
    let account = account(context, input.account_id)?;
    let directory = &context.parts.directory;
    let names = match holder(&input)? {
        Holder::User(user) => directory.list_user_policies(account, &user),
        Holder::Role(role) => directory.list_role_policies(account, &role),
    };
    Ok(ListOutput { policy_names: names.map_err(refused)?.iter().map(ToString::to_string).collect() })
}

pub(super) async fn delete(context: &Context<'_>, input: PolicyInput) -> Result<Done, ApiError> {
    let (account, holder, policy) = resolve(context, &input)?;
    let directory = &context.parts.directory;
    let deleted = match holder {
        Holder::User(user) => directory.delete_user_policy(account, user, policy).await,
        Holder::Role(role) => directory.delete_role_policy(account, role, policy).await,
    };
    deleted.map_err(refused)?;
    Ok(Done {})
}

fn resolve(context: &Context<'_>, input: &PolicyInput) -> Result<(AccountId, Holder, PolicyName), ApiError> {
    let account = account(context, input.holder.account_id)?;
    Ok((account, holder(&input.holder)?, name("PolicyName", &input.policy_name)?))
}

fn holder(input: &HolderInput) -> Result<Holder, ApiError> {
    match (&input.user_name, &input.role_name) {
        (Some(user), None) => Ok(Holder::User(name("UserName", user)?)),
        (None, Some(role)) => Ok(Holder::Role(name("RoleName", role)?)),
        _ => Err(ApiError::validation("exactly one of UserName and RoleName must be given")),
    }
}
