//! Users.

use serde::{Deserialize, Serialize};
use towpath_iam::{EntityPath, User};
use towpath_model::{AccountId, eventtime_text};
use towpath_wire::ApiError;

use super::{Context, Done, account, name, refused};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UserInput {
    user_name: String,
    path: Option<String>,
    account_id: Option<AccountId>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListInput {
    account_id: Option<AccountId>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UserOutput {
    user_name: String,
    user_id: String,
    arn: String,
    path: String,
    created_timestamp: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CreateOutput {
    user: UserOutput,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListOutput {
    users: Vec<UserOutput>,
}

pub(super) async fn create(context: &Context<'_>, input: UserInput) -> Result<CreateOutput, ApiError> {
    let account = account(context, input.account_id)?;
    let path = input.path.map_or(Ok(EntityPath::default()), |path| name("Path", &path))?;
    let user_name = name("UserName", &input.user_name)?;
    let user = context.parts.directory.create_user(account, user_name, path).await.map_err(refused)?;
    context.touched("AWS::IAM::User", &user.arn);
    Ok(CreateOutput { user: user.into() })
}

pub(super) fn list(context: &Context<'_>, input: ListInput) -> Result<ListOutput, ApiError> {
    let account = account(context, input.account_id)?;
    let users = context.parts.directory.list_users(account).map_err(refused)?;
    Ok(ListOutput { users: users.into_iter().map(Into::into).collect() })
}

pub(super) async fn delete(context: &Context<'_>, input: UserInput) -> Result<Done, ApiError> {
    let account = account(context, input.account_id)?;
    let user_name = name("UserName", &input.user_name)?;
    context.parts.directory.delete_user(account, user_name).await.map_err(refused)?;
    Ok(Done {})
}

impl From<User> for UserOutput {
    fn from(user: User) -> Self {
        Self {
            user_name: user.name.to_string(),
            user_id: user.id,
            arn: user.arn.to_string(),
            path: user.path.to_string(),
            created_timestamp: eventtime_text(user.created),
        }
    }
}
