//! ResolveCaller: who an access key belongs to, for gateways that are processes of their own.

use serde::{Deserialize, Serialize};
use towpath_admit::UserIdentity;
use towpath_wire::ApiError;

use super::{Context, require_first_account};
use crate::first_party::identity;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ResolveInput {
    access_key_id: String,
    session_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ResolveOutput {
    #[serde(skip_serializing_if = "Option::is_none")]
    user_identity: Option<UserIdentity>,
}

/// Answers without an identity for a key that is not Towpath's. Callers of other accounts than the first learn of their
/// own keys alone.
pub(super) fn resolve(context: &Context<'_>, input: ResolveInput) -> Result<ResolveOutput, ApiError> {
    let token = input.session_token.as_deref();
    let found = context.parts.directory.resolve(&input.access_key_id, token, context.caller.now).ok();
    let identity = found.map(|found| identity(&found.principal, &input.access_key_id));
    if identity.as_ref().is_some_and(|identity| identity.account() != Some(context.caller.account)) {
        require_first_account(context)?;
    }
    Ok(ResolveOutput { user_identity: identity })
}
