//! Roles and who may assume them.

use serde::{Deserialize, Serialize};
use towpath_iam::{NewRole, Role};
use towpath_model::{AccountId, eventtime_text};
use towpath_wire::ApiError;

use super::{Context, Done, account, name, refused};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CreateInput {
    role_name: String,
    assume_role_policy_document: String,
    path: Option<String>,
    max_session_duration: Option<u32>,
    account_id: Option<AccountId>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RoleInput {
    role_name: String,
    account_id: Option<AccountId>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TrustInput {
    role_name: String,
    policy_document: String,
    account_id: Option<AccountId>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListInput {
    account_id: Option<AccountId>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RoleOutput {
    role_name: String,
    role_id: String,
    arn: String,
    path: String,
    assume_role_policy_document: String,
    max_session_duration: u32,
    created_timestamp: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CreateOutput {
    role: RoleOutput,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListOutput {
    roles: Vec<RoleOutput>,
}

pub(super) async fn create(context: &Context<'_>, input: CreateInput) -> Result<CreateOutput, ApiError> {
    let account = account(context, input.account_id)?;
    let mut role = NewRole::new(name("RoleName", &input.role_name)?, input.assume_role_policy_document);
    if let Some(path) = &input.path {
        role.path = name("Path", path)?;
    }
    if let Some(seconds) = input.max_session_duration {
        role.max_session_seconds = seconds;
    }
    let role = context.parts.directory.create_role(account, role).await.map_err(refused)?;
    context.touched("AWS::IAM::Role", &role.arn);
    Ok(CreateOutput { role: output(context, role) })
}

pub(super) fn list(context: &Context<'_>, input: ListInput) -> Result<ListOutput, ApiError> {
    let account = account(context, input.account_id)?;
    let roles = context.parts.directory.list_roles(account).map_err(refused)?;
    Ok(ListOutput { roles: roles.into_iter().map(|role| output(context, role)).collect() })
}

pub(super) async fn delete(context: &Context<'_>, input: RoleInput) -> Result<Done, ApiError> {
    let account = account(context, input.account_id)?;
    let role_name = name("RoleName", &input.role_name)?;
    context.parts.directory.delete_role(account, role_name).await.map_err(refused)?;
    Ok(Done {})
}

pub(super) async fn update_trust(context: &Context<'_>, input: TrustInput) -> Result<Done, ApiError> {
    let account = account(context, input.account_id)?;
    let role_name = name("RoleName", &input.role_name)?;
    let updated = context.parts.directory.update_trust_policy(account, role_name, input.policy_document).await;
    updated.map_err(refused)?;
    Ok(Done {})
}

/// A role as it is shown; its trust policy has unique ids where those it trusted are no more.
fn output(context: &Context<'_>, role: Role) -> RoleOutput {
    RoleOutput {
        role_name: role.name.to_string(),
        role_id: role.id,
        arn: role.arn.to_string(),
        path: role.path.to_string(),
        assume_role_policy_document: context.parts.directory.shown(&role.trust).into_owned(),
        max_session_duration: role.max_session_seconds,
        created_timestamp: eventtime_text(role.created),
    }
}
