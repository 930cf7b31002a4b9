//! Identity: who made a call that passed.
//!
//! A call names an access key and proves, to its upstream, that it holds the secret. Who owns the key is known from
//! Towpath's own accounts and keys, from answers of STS that passed through the gateway, or by asking the upstream's
//! STS for the account of a key. Nothing is taken from a header that a signature does not cover.

mod presented;

use towpath_admit::UserIdentity;
use towpath_capture::Exchange;

use crate::recording::{RecordedUpstream, Routed};

pub use presented::Presented;

/// Knows who makes calls.
#[derive(Default)]
pub struct Identities {}

/// What is known of a caller at once.
pub enum Identified {
    /// Who it is, as far as anybody will know.
    Known(UserIdentity),
    /// Somebody else must be asked first.
    Ask(Ask),
}

/// A question about a caller, for [`Identities::ask`].
pub struct Ask {
    presented: Presented,
    upstream: std::sync::Arc<RecordedUpstream>,
}

impl Identities {
    /// Who made a call, from memory.
    pub fn identify(&self, upstream: &RecordedUpstream, exchange: &Exchange, _: &Routed) -> Identified {
        Identified::Known(Presented::of(&exchange.request.head).claimed(upstream.account))
    }

    /// Asks elsewhere who made a call.
    pub async fn ask(&self, ask: Ask) -> UserIdentity {
        ask.presented.claimed(ask.upstream.account)
    }

    /// Notes what an answer of STS says about keys.
    pub fn learn(&self, _: &RecordedUpstream, _: &Routed, _: &Exchange) {}
}
