//! ListPublicKeys: the keys that digests of the region of the request were signed with.

use towpath_trail::PublicKey;
use towpath_wire::{ApiError, Blob, cloudtrail as wire, errors};

use crate::authorize;
use crate::operations::Context;
use crate::refusal::{internal, refuse};

/// ListPublicKeys: every key whose validity touches the range, all on one page. Both ends of the range are now unless
/// given.
pub(crate) async fn list_public_keys(
    context: &Context<'_>,
    input: wire::ListPublicKeysRequest,
) -> Result<wire::ListPublicKeysResponse, ApiError> {
    authorize::authorize(context, "cloudtrail:ListPublicKeys", "*", None)?;
    if input.next_token.is_some() {
        return Err(refuse(errors::INVALID_TOKEN_EXCEPTION, "NextToken is reserved and must not be given"));
    }
    let now = context.caller.now;
    let (from, to) = (input.start_time.map_or(now, Into::into), input.end_time.map_or(now, Into::into));
    if from > to {
        return Err(refuse(errors::INVALID_TIME_RANGE_EXCEPTION, "StartTime is after EndTime"));
    }
    let keys = context.parts.signing_keys.public_keys(&context.caller.region, from, to).await;
    let keys = keys.map_err(|cause| internal("list public keys", cause))?;
    let item = |key: PublicKey| wire::PublicKey {
        value: Some(Blob(key.value)),
        validity_start_time: Some(key.validity_start_time.into()),
        validity_end_time: Some(key.validity_end_time.into()),
        fingerprint: Some(key.fingerprint),
    };
    let public_key_list = Some(keys.into_iter().map(item).collect());
    Ok(wire::ListPublicKeysResponse { public_key_list, next_token: None })
}
