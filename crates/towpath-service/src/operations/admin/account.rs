//! Accounts.

use serde::{Deserialize, Serialize};
use towpath_iam::Account;
use towpath_model::{AccountId, eventtime_text};
use towpath_wire::ApiError;

use super::{Context, Done, refused, require_first_account};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct AccountInput {
    account_id: AccountId,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct AccountOutput {
    account_id: AccountId,
    created_timestamp: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CreateOutput {
    account: AccountOutput,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListOutput {
    accounts: Vec<AccountOutput>,
}

pub(super) async fn create(context: &Context<'_>, input: AccountInput) -> Result<CreateOutput, ApiError> {
    require_first_account(context)?;
    let account = context.parts.directory.create_account(input.account_id).await.map_err(refused)?;
    let kept = context.parts.keep_history(account.id).await;
    kept.map_err(|cause| crate::refusal::internal("set retention of event history", cause))?;
    Ok(CreateOutput { account: account.into() })
}

pub(super) fn list(context: &Context<'_>) -> Result<ListOutput, ApiError> {
    require_first_account(context)?;
    Ok(ListOutput { accounts: context.parts.directory.list_accounts().into_iter().map(Into::into).collect() })
}

/// Deletes an account that has no identities, stores, channels and trails left and is in no organization.
pub(super) async fn delete(context: &Context<'_>, input: AccountInput) -> Result<Done, ApiError> {
    require_first_account(context)?;
    if input.account_id == context.parts.first_account {
        return Err(ApiError::new("DeleteConflictException", "the first account cannot be deleted"));
    }
    let state = context.catalog();
    if let Some(store) = state.all_stores().find(|store| store.account == input.account_id) {
        return Err(ApiError::new(
            "DeleteConflictException",
            format!("account {} still has event data store {}; delete that first", input.account_id, store.arn()),
        ));
    }
    if let Some(trail) = state.trails_of(input.account_id).first() {
        return Err(ApiError::new(
            "DeleteConflictException",
            format!("account {} still has trail {}; delete that first", input.account_id, trail.arn()),
        ));
    }
    if let Some(organization) = state.organization(input.account_id) {
        return Err(ApiError::new(
            "DeleteConflictException",
            format!("account {} belongs to organization {}; remove it first", input.account_id, organization.id),
        ));
    }
    context.parts.directory.delete_account(input.account_id).await.map_err(refused)?;
    Ok(Done {})
}

impl From<Account> for AccountOutput {
    fn from(account: Account) -> Self {
        Self { account_id: account.id, created_timestamp: eventtime_text(account.created) }
    }
}
