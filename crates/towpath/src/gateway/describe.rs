//! From a call to its records: by the model of its AWS service, or by the OpenAPI document of its upstream.

use std::collections::HashMap;
use std::sync::Arc;

use towpath_admit::{UserIdentity, VpcEndpoint};
use towpath_capture::openapi::{Api, Home};
use towpath_capture::{Capture, CapturedRecord, Exchange, Target};
use towpath_gateway::{Describe, Identities, Routed, TargetServices};

/// Describes calls.
pub struct Descriptions {
    capture: Capture,
    /// By the name of the upstream.
    apis: HashMap<Arc<str>, Api>,
    places: HashMap<Arc<str>, Place>,
    /// Who knows callers.
    identities: Arc<Identities>,
}

/// What the settings say of the way to an upstream and its records say too.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// The host below which it has buckets as hosts.
    pub bucket_domain: Option<String>,
    /// The VPC endpoint that calls come through.
    pub vpc_endpoint: Option<VpcEndpoint>,
}

impl Descriptions {
    /// Describes calls to the upstreams of `apis` by their documents, and all others by `capture`.
    pub fn new(capture: Capture, apis: HashMap<Arc<str>, Api>, places: HashMap<Arc<str>, Place>) -> Self {
        Self { capture, apis, places, identities: Arc::default() }
    }

    /// The same, with who knows callers.
    pub fn with_identities(self, identities: Arc<Identities>) -> Self {
        Self { identities, ..self }
    }

    /// Services by what `X-Amz-Target` of their calls begins with.
    pub fn target_services(&self) -> TargetServices {
        self.capture.target_services()
    }
}

impl Describe for Descriptions {
    fn records(&self, exchange: &Exchange, routed: &Routed, caller: UserIdentity) -> Vec<CapturedRecord> {
        let place = self.places.get(&routed.upstream);
        let vpc_endpoint = place.and_then(|place| place.vpc_endpoint.as_ref());
        if let Some(api) = self.apis.get(&routed.upstream) {
            let home = Home { account: routed.account, region: &routed.region, vpc_endpoint };
            return api.records(exchange, home, caller);
        }
        // A caller of another account has a copy there, if that account is one of Towpath's and vouches for the caller.
        let copy_for_caller = caller.account().is_some_and(|account| account != routed.account)
            && self.identities.is_own(&routed.upstream, exchange, &caller);
        let named = routed.service.as_ref().filter(|_| routed.signed_for.is_none());
        let target = Target {
            service: named.map(|service| service.to_string()),
            signing_name: routed.signed_for.as_ref().map(|service| service.to_string()),
            region: routed.region.clone(),
            account: routed.account,
            event_source: routed.event_source.as_ref().map(|source| source.to_string()),
            bucket_domain: place.and_then(|place| place.bucket_domain.clone()),
            vpc_endpoint: vpc_endpoint.cloned(),
            copy_for_caller,
        };
        self.capture.records(exchange, &target, &caller)
    }
}
