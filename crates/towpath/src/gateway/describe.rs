//! From a call to its records: by the model of its AWS service, or by the OpenAPI document of its upstream.

use std::collections::HashMap;
use std::sync::Arc;

use towpath_admit::UserIdentity;
use towpath_capture::openapi::{Api, Home};
use towpath_capture::{Capture, CapturedRecord, Exchange, Target};
use towpath_gateway::{Describe, Routed, TargetServices};

/// Describes calls.
pub struct Descriptions {
    capture: Capture,
    /// By the name of the upstream.
    apis: HashMap<Arc<str>, Api>,
    bucket_domains: HashMap<Arc<str>, String>,
}

impl Descriptions {
    /// Describes calls to the upstreams of `apis` by their documents, and all others by `capture`. Upstreams that have
    /// buckets as hosts below a domain of their own have it in `bucket_domains`.
    pub fn new(capture: Capture, apis: HashMap<Arc<str>, Api>, bucket_domains: HashMap<Arc<str>, String>) -> Self {
        Self { capture, apis, bucket_domains }
    }

    /// Services by what `X-Amz-Target` of their calls begins with.
    pub fn target_services(&self) -> TargetServices {
        self.capture.target_services()
    }
}

impl Describe for Descriptions {
    fn records(&self, exchange: &Exchange, routed: &Routed, caller: UserIdentity) -> Vec<CapturedRecord> {
        if let Some(api) = self.apis.get(&routed.upstream) {
            let home = Home { account: routed.account, region: &routed.region };
            return api.records(exchange, home, caller);
        }
        let named = routed.service.as_ref().filter(|_| routed.signed_for.is_none());
        let target = Target {
            service: named.map(|service| service.to_string()),
            signing_name: routed.signed_for.as_ref().map(|service| service.to_string()),
            region: routed.region.clone(),
            account: routed.account,
            event_source: routed.event_source.as_ref().map(|source| source.to_string()),
            bucket_domain: self.bucket_domains.get(&routed.upstream).cloned(),
            copy_for_caller: false,
        };
        self.capture.records(exchange, &target, &caller)
    }
}
