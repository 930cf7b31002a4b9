//! Access keys of users and of the root of an account.

use serde::{Deserialize, Serialize};
use towpath_iam::{AccessKeyStatus, KeyOwner};
use towpath_model::{AccountId, eventtime_text};
use towpath_wire::ApiError;

use super::{Context, Done, account, name, refused};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct OwnerInput {
    user_name: Option<String>,
    account_id: Option<AccountId>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UpdateInput {
    access_key_id: String,
    status: String,
    account_id: Option<AccountId>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct KeyInput {
    access_key_id: String,
    account_id: Option<AccountId>,
}

/// The one answer that holds a secret; the audit log drops it by the member's name.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct NewKeyOutput {
    access_key_id: String,
    secret_access_key: String,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_name: Option<String>,
    created_timestamp: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CreateOutput {
    access_key: NewKeyOutput,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct KeyOutput {
    access_key_id: String,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_name: Option<String>,
    created_timestamp: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListOutput {
    access_keys: Vec<KeyOutput>,
}

pub(super) async fn create(context: &Context<'_>, input: OwnerInput) -> Result<CreateOutput, ApiError> {
    let account = account(context, input.account_id)?;
    let owner = match &input.user_name {
        Some(user) => KeyOwner::User(name("UserName", user)?),
        None => KeyOwner::Root,
    };
    let key = context.parts.directory.create_access_key(account, owner).await.map_err(refused)?;
    Ok(CreateOutput {
        access_key: NewKeyOutput {
            access_key_id: key.id.to_string(),
            secret_access_key: key.secret.expose().to_owned(),
            status: status_text(AccessKeyStatus::Active),
            user_name: input.user_name,
            created_timestamp: eventtime_text(context.caller.now),
        },
    })
}

pub(super) fn list(context: &Context<'_>, input: OwnerInput) -> Result<ListOutput, ApiError> {
    let account = account(context, input.account_id)?;
    let owner = input.user_name.map(|user| name("UserName", &user).map(KeyOwner::User)).transpose()?;
    let keys = context.parts.directory.list_access_keys(account, owner).map_err(refused)?;
    let output = |key: towpath_iam::AccessKey| KeyOutput {
        access_key_id: key.id.to_string(),
        status: status_text(key.status),
        user_name: match key.owner {
            KeyOwner::User(user) => Some(user.to_string()),
            KeyOwner::Root => None,
        },
        created_timestamp: eventtime_text(key.created),
    };
    Ok(ListOutput { access_keys: keys.into_iter().map(output).collect() })
}

pub(super) async fn update(context: &Context<'_>, input: UpdateInput) -> Result<Done, ApiError> {
    let account = account(context, input.account_id)?;
    let status = match input.status.as_str() {
        "Active" => AccessKeyStatus::Active,
        "Inactive" => AccessKeyStatus::Inactive,
        _ => return Err(ApiError::validation("Status must be Active or Inactive")),
    };
    let id = name("AccessKeyId", &input.access_key_id)?;
    context.parts.directory.set_access_key_status(account, id, status).await.map_err(refused)?;
    Ok(Done {})
}

pub(super) async fn delete(context: &Context<'_>, input: KeyInput) -> Result<Done, ApiError> {
    let account = account(context, input.account_id)?;
    let id = name("AccessKeyId", &input.access_key_id)?;
    context.parts.directory.delete_access_key(account, id).await.map_err(refused)?;
    Ok(Done {})
}

fn status_text(status: AccessKeyStatus) -> &'static str {
    match status {
        AccessKeyStatus::Active => "Active",
        AccessKeyStatus::Inactive => "Inactive",
    }
}
