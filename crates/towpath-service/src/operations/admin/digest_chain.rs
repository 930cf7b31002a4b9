//! The newest digests that were put for a trail: what a bucket must still have.
//!
//! The account of the trail sees all chains; a member of its organization sees those about itself.

use serde::{Deserialize, Serialize};
use towpath_trail::RecordedChain;
use towpath_wire::ApiError;

use super::Context;
use crate::operations::trail::NamedTrail;
use crate::refusal::internal;

#[derive(Deserialize)]
pub(super) struct ListInput {
    #[serde(rename = "TrailARN")]
    trail: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListOutput {
    digest_chains: Vec<RecordedChain>,
}

pub(super) async fn list(context: &Context<'_>, input: ListInput) -> Result<ListOutput, ApiError> {
    let (caller, state) = (context.caller, context.catalog());
    let name = NamedTrail::parse(&input.trail, caller)?;
    let trail = name.find(&state, caller).ok_or_else(|| name.not_found(caller))?;
    let chains = context.parts.delivery.recorded_chains(trail.id).await;
    let mut chains = chains.map_err(|cause| internal("list chains of digests", cause))?;
    if !state.may_change(caller.account, trail) {
        chains.retain(|chain| chain.account_id == caller.account);
    }
    Ok(ListOutput { digest_chains: chains })
}
