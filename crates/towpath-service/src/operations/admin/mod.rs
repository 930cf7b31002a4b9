//! Towpath's own operations (docs/towpath-api.md): identities, organizations, uploads, following events, the server itself.

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use towpath_admit::{ApiSource, Parameters};
use towpath_iam::DirectoryError;
use towpath_model::AccountId;
use towpath_wire::ApiError;

use super::{Context, json};
use crate::json_object::{self, ObjectError};
use crate::refusal::internal;

mod access_key;
mod account;
mod console_sign_in;
mod dead_letter;
mod digest_chain;
mod organization;
mod policy;
pub(crate) mod put_records;
mod resolve_caller;
mod role;
mod server;
mod tail;
pub(crate) mod upload_import;
mod user;

/// What an operation is to the audit log.
struct Entry {
    name: &'static str,
    source: ApiSource,
    read_only: bool,
}

const fn write(name: &'static str, source: ApiSource) -> Entry {
    Entry { name, source, read_only: false }
}

const fn read(name: &'static str, source: ApiSource) -> Entry {
    Entry { name, source, read_only: true }
}

/// Every operation. Identities are recorded under the event sources that they have at AWS, so that rules which watch
/// for new access keys or changed policies watch these too.
const OPERATIONS: &[Entry] = &[
    write("CreateAccount", ApiSource::Organizations),
    read("ListAccounts", ApiSource::Organizations),
    write("DeleteAccount", ApiSource::Organizations),
    write("CreateOrganization", ApiSource::Organizations),
    write("UpdateOrganization", ApiSource::Organizations),
    write("DeleteOrganization", ApiSource::Organizations),
    read("ListOrganizations", ApiSource::Organizations),
    write("AddAccountToOrganization", ApiSource::Organizations),
    write("RemoveAccountFromOrganization", ApiSource::Organizations),
    write("CreateUser", ApiSource::Iam),
    read("ListUsers", ApiSource::Iam),
    write("DeleteUser", ApiSource::Iam),
    write("CreateRole", ApiSource::Iam),
    read("ListRoles", ApiSource::Iam),
    write("DeleteRole", ApiSource::Iam),
    write("UpdateAssumeRolePolicy", ApiSource::Iam),
    write("PutUserPolicy", ApiSource::Iam),
    write("PutRolePolicy", ApiSource::Iam),
    read("GetUserPolicy", ApiSource::Iam),
    read("GetRolePolicy", ApiSource::Iam),
    read("ListUserPolicies", ApiSource::Iam),
    read("ListRolePolicies", ApiSource::Iam),
    write("DeleteUserPolicy", ApiSource::Iam),
    write("DeleteRolePolicy", ApiSource::Iam),
    write("CreateAccessKey", ApiSource::Iam),
    read("ListAccessKeys", ApiSource::Iam),
    write("UpdateAccessKey", ApiSource::Iam),
    write("DeleteAccessKey", ApiSource::Iam),
    write("StartUploadImport", ApiSource::Towpath),
    read("ListPendingFiles", ApiSource::Towpath),
    write("FinishUploadImport", ApiSource::Towpath),
    read("TailEvents", ApiSource::Towpath),
    read("DescribeServer", ApiSource::Towpath),
    read("ListDeadLetters", ApiSource::Towpath),
    write("RetryDeadLetter", ApiSource::Towpath),
    write("PutRecords", ApiSource::Towpath),
    write("PutConsoleSignIn", ApiSource::Towpath),
    read("ResolveCaller", ApiSource::Towpath),
    read("ListDigestChains", ApiSource::Towpath),
];

fn entry(name: &str) -> Option<&'static Entry> {
    OPERATIONS.iter().find(|entry| entry.name == name)
}

/// The names of all operations.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    OPERATIONS.iter().map(|entry| entry.name)
}

/// True for the name of an operation.
pub(crate) fn is_known(name: &str) -> bool {
    entry(name).is_some()
}

/// The event source under which an operation is recorded.
pub(crate) fn source(name: &str) -> ApiSource {
    entry(name).map_or(ApiSource::Towpath, |entry| entry.source)
}

/// True for an operation that changes nothing.
pub(crate) fn read_only(name: &str) -> bool {
    entry(name).is_some_and(|entry| entry.read_only)
}

/// What the record of a call says of its request.
pub(crate) fn parameters(name: &str, body: &[u8]) -> Parameters {
    match name {
        "PutConsoleSignIn" => console_sign_in::parameters(body),
        _ => Parameters::of_json(body),
    }
}

/// Authorizes (`towpath:<name>`) and runs an operation.
pub(crate) async fn dispatch(context: &Context<'_>, name: &str, body: &[u8]) -> Result<Box<RawValue>, ApiError> {
    if !is_known(name) {
        return Err(ApiError::unknown_operation(format!("{name} is no operation of Towpath; see docs/towpath-api.md")));
    }
    crate::authorize::authorize(context, &format!("towpath:{name}"), "*", None)?;
    require_object(body)?;
    match name {
        "CreateAccount" => json(account::create(context, input(body)?).await),
        "ListAccounts" => json(account::list(context)),
        "DeleteAccount" => json(account::delete(context, input(body)?).await),
        "CreateOrganization" => json(organization::create(context, input(body)?).await),
        "UpdateOrganization" => json(organization::update(context, input(body)?).await),
        "DeleteOrganization" => json(organization::delete(context, input(body)?).await),
        "ListOrganizations" => json(organization::list(context)),
        "AddAccountToOrganization" => json(organization::add_account(context, input(body)?).await),
        "RemoveAccountFromOrganization" => json(organization::remove_account(context, input(body)?).await),
        "CreateUser" => json(user::create(context, input(body)?).await),
        "ListUsers" => json(user::list(context, input(body)?)),
        "DeleteUser" => json(user::delete(context, input(body)?).await),
        "CreateRole" => json(role::create(context, input(body)?).await),
        "ListRoles" => json(role::list(context, input(body)?)),
        "DeleteRole" => json(role::delete(context, input(body)?).await),
        "UpdateAssumeRolePolicy" => json(role::update_trust(context, input(body)?).await),
        "PutUserPolicy" | "PutRolePolicy" => json(policy::put(context, input(body)?).await),
        "GetUserPolicy" | "GetRolePolicy" => json(policy::get(context, input(body)?)),
        "ListUserPolicies" | "ListRolePolicies" => json(policy::list(context, input(body)?)),
        "DeleteUserPolicy" | "DeleteRolePolicy" => json(policy::delete(context, input(body)?).await),
        "CreateAccessKey" => json(access_key::create(context, input(body)?).await),
        "ListAccessKeys" => json(access_key::list(context, input(body)?)),
        "UpdateAccessKey" => json(access_key::update(context, input(body)?).await),
        "DeleteAccessKey" => json(access_key::delete(context, input(body)?).await),
        "StartUploadImport" => json(upload_import::start(context, input(body)?).await),
        "ListPendingFiles" => json(upload_import::list_pending(context, input(body)?).await),
        "FinishUploadImport" => json(upload_import::finish(context, input(body)?).await),
        "TailEvents" => json(tail::tail(context, input(body)?).await),
        "DescribeServer" => json(server::describe(context)),
        "ListDeadLetters" => json(dead_letter::list(context, input(body)?).await),
        "RetryDeadLetter" => json(dead_letter::retry(context, input(body)?).await),
        "ListDigestChains" => json(digest_chain::list(context, input(body)?).await),
        "PutConsoleSignIn" => json(console_sign_in::put(context, input(body)?).await),
        "ResolveCaller" => json(resolve_caller::resolve(context, input(body)?)),
        _ => Err(ApiError::internal()),
    }
}

/// An operation that answers nothing.
#[derive(Serialize)]
struct Done {}

/// Refuses what is no JSON object, for operations without input too. Nothing at all means an empty one.
fn require_object(body: &[u8]) -> Result<(), ApiError> {
    match serde_json::from_slice::<IgnoredAny>(body) {
        _ if body.is_empty() => Ok(()),
        Ok(_) if body.trim_ascii_start().starts_with(b"{") => Ok(()),
        Ok(_) => Err(ApiError::serialization("body is not a JSON object")),
        Err(error) => Err(not_json(&ObjectError::syntax(&error))),
    }
}

fn not_json(error: &ObjectError) -> ApiError {
    ApiError::serialization(format!("body is not JSON: {error}"))
}

/// Reads an input; unknown members are ignored.
fn input<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let body = if body.is_empty() { b"{}" } else { body };
    object(body)
}

/// Reads a body that is a JSON object and may be borrowed from.
fn object<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, ApiError> {
    json_object::read(body).map_err(|error| match error {
        ObjectError::Member(_) => ApiError::validation(error.to_string()),
        ObjectError::Syntax { .. } => not_json(&error),
    })
}

/// The account that an operation is about: the caller's, or another one if the caller is of the first account.
fn account(context: &Context<'_>, asked: Option<AccountId>) -> Result<AccountId, ApiError> {
    let caller = context.caller;
    match asked {
        Some(asked) if asked != caller.account => {
            require_first_account(context)?;
            Ok(asked)
        }
        _ => Ok(caller.account),
    }
}

/// Refuses callers of other accounts than the one that manages them all.
fn require_first_account(context: &Context<'_>) -> Result<(), ApiError> {
    let first = context.parts.first_account;
    if context.caller.account == first {
        return Ok(());
    }
    Err(ApiError::access_denied(format!("only principals of account {first} manage other accounts")))
}

fn name<T: std::str::FromStr>(member: &str, text: &str) -> Result<T, ApiError>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error| ApiError::validation(format!("{member}: {error}")))
}

fn refused(error: DirectoryError) -> ApiError {
    let message = error.to_string();
    match error {
        DirectoryError::NotFound { .. } => ApiError::new("NoSuchEntityException", message),
        DirectoryError::Exists { .. } => ApiError::new("EntityAlreadyExistsException", message),
        DirectoryError::InUse { .. } => ApiError::new("DeleteConflictException", message),
        DirectoryError::Limit { .. } | DirectoryError::PolicySize { .. } => {
            ApiError::new("LimitExceededException", message)
        }
        DirectoryError::Range { .. } => ApiError::validation(message),
        DirectoryError::Policy(_) => ApiError::new("MalformedPolicyDocumentException", message),
        DirectoryError::Interrupted => ApiError::unavailable(),
        other => internal("change the directory", other),
    }
}
