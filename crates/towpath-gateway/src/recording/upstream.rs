//! What recording needs to know of an upstream and of one call's way to it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use towpath_model::{AccountId, Region};

/// What becomes of a call that cannot be recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// It is refused, and the answer to a call waits until its record is durable.
    #[default]
    FailClosed,
    /// It passes. What was not recorded is counted and told in a signed gap record.
    FailOpen,
}

/// An upstream as recording knows it. One for each configured upstream, shared by its calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedUpstream {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// The account whose events its calls are where the call itself does not say.
    pub account: AccountId,
    /// The region of calls that were not signed for one.
    pub region: Region,
    /// What becomes of calls that cannot be recorded.
    pub policy: Policy,
    /// Whether the gateway verifies signatures of its calls and does not rely on what the upstream accepts.
    pub verifies: bool,
}

/// Where a call went, as routing found it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routed {
    /// The name of the upstream.
    pub upstream: Arc<str>,
    /// The service that the call's signature names.
    pub signed_for: Option<Arc<str>>,
    /// The service's signing name: from the credential scope, or from the rule, host or target that chose the upstream.
    /// `None` for a service that nobody knows.
    pub service: Option<Arc<str>>,
    /// The region: from the credential scope, or the upstream's.
    pub region: Region,
    /// The account that the call is about, the upstream's unless a rule says otherwise.
    pub account: AccountId,
    /// An event source that the configuration sets in place of the service's own.
    pub event_source: Option<Arc<str>>,
}

impl Routed {
    /// A call of which nothing is known but its upstream.
    pub fn to(upstream: &RecordedUpstream) -> Self {
        Self {
            upstream: Arc::clone(&upstream.name),
            signed_for: None,
            service: None,
            region: upstream.region.clone(),
            account: upstream.account,
            event_source: None,
        }
    }
}
