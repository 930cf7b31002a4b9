//! Routing: which upstream takes a call, and what service and region it is of.
//!
//! Upstreams that name hosts, targets or paths are asked first, then those that name services, then those that take
//! anything; among equals the earlier in the configuration.

use std::sync::Arc;

use http::request::Parts;
use towpath_model::Region;

use crate::host;
use crate::recording::Routed;
use crate::scope::Scope;
use crate::upstream::{Takes, Upstream};

/// A header that names an operation, in the JSON protocols of AWS.
const TARGET: &str = "x-amz-target";

/// Decides where calls go, over anything that has an upstream's settings.
pub struct Routes<T> {
    ordered: Vec<T>,
    unknown: T,
}

/// What routing found.
pub struct Found<'a, T> {
    /// Who takes the call, or who stands in if nobody does.
    pub taker: &'a T,
    /// What the record must know.
    pub routed: Routed,
}

/// What a call says of itself.
struct Claims<'a> {
    scope: Scope,
    host: String,
    host_service: Option<(String, Option<Region>)>,
    target: Option<&'a str>,
    path: &'a str,
}

impl<T: AsRef<Upstream>> Routes<T> {
    /// Routes to `upstreams`, and to `unknown` what none of them takes.
    pub fn new(mut upstreams: Vec<T>, unknown: T) -> Self {
        upstreams.sort_by_key(|upstream| rank(&upstream.as_ref().takes));
        Self { ordered: upstreams, unknown }
    }

    /// Finds who takes a call.
    pub fn find(&self, head: &Parts) -> Found<'_, T> {
        let claims = Claims::of(head);
        let taker = self.ordered.iter().find(|upstream| claims.fit(&upstream.as_ref().takes)).unwrap_or(&self.unknown);
        Found { taker, routed: claims.routed(taker.as_ref()) }
    }
}

fn rank(takes: &Takes) -> u8 {
    match (takes.has_rule(), takes.services.is_empty()) {
        (true, _) => 0,
        (false, false) => 1,
        (false, true) => 2,
    }
}

impl Takes {
    /// True if hosts, targets or paths are named.
    fn has_rule(&self) -> bool {
        !(self.hosts.is_empty() && self.targets.is_empty() && self.paths.is_empty())
    }
}

impl<'a> Claims<'a> {
    fn of(head: &'a Parts) -> Self {
        let host = host::asked(head).map(host::plain).unwrap_or_default();
        Self {
            scope: Scope::of(head),
            host_service: host::service(&host),
            host,
            target: head.headers.get(TARGET).and_then(|value| value.to_str().ok()),
            path: head.uri.path(),
        }
    }

    fn fit(&self, takes: &Takes) -> bool {
        self.fit_rule(takes) && self.fit_service(takes) && self.fit_region(takes)
    }

    fn fit_rule(&self, takes: &Takes) -> bool {
        let any = |list: &[String], fits: &dyn Fn(&str) -> bool| list.is_empty() || list.iter().any(|one| fits(one));
        any(&takes.hosts, &|pattern| host::matches(pattern, &self.host))
            && any(&takes.targets, &|prefix| self.target_prefix().is_some_and(|target| target == prefix))
            && any(&takes.paths, &|pattern| path_matches(pattern, self.path))
    }

    fn fit_service(&self, takes: &Takes) -> bool {
        if takes.services.is_empty() {
            return true;
        }
        let named = |service: &str| takes.services.iter().any(|one| one == service);
        match (&self.scope.service, &self.host_service) {
            (Some(service), _) => named(service),
            // A rule that fits says what the service is of a call that is not signed.
            (None, _) if takes.has_rule() => true,
            (None, Some((service, _))) => named(service),
            (None, None) => false,
        }
    }

    fn fit_region(&self, takes: &Takes) -> bool {
        takes.regions.is_empty() || self.region().is_some_and(|region| takes.regions.contains(region))
    }

    /// `DynamoDB_20120810` of `DynamoDB_20120810.PutItem`.
    fn target_prefix(&self) -> Option<&str> {
        self.target.and_then(|target| target.rsplit_once('.')).map(|(prefix, _)| prefix)
    }

    fn region(&self) -> Option<&Region> {
        self.scope.region.as_ref().or_else(|| self.host_service.as_ref()?.1.as_ref())
    }

    fn routed(&self, upstream: &Upstream) -> Routed {
        // An upstream of one service says what an unsigned call is of; one of several leaves it to the host.
        let of_upstream = match &upstream.takes.services[..] {
            [only] => Some(only.as_str()),
            _ => None,
        };
        let of_host = || self.host_service.as_ref().map(|(service, _)| service.as_str());
        let signed_for: Option<Arc<str>> = self.scope.service.as_deref().map(Arc::from);
        Routed {
            upstream: Arc::clone(&upstream.recorded.name),
            service: signed_for.clone().or_else(|| of_upstream.or_else(of_host).map(Arc::from)),
            signed_for,
            region: self.region().unwrap_or(&upstream.recorded.region).clone(),
            account: upstream.recorded.account,
            event_source: upstream.event_source.as_deref().map(Arc::from),
        }
    }
}

fn path_matches(pattern: &str, path: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix),
        None => pattern == path,
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::recording::{Policy, RecordedUpstream};

    impl AsRef<Upstream> for Upstream {
        fn as_ref(&self) -> &Upstream {
            self
        }
    }

    fn upstream(name: &str, change: impl FnOnce(&mut Takes)) -> Upstream {
        let recorded = RecordedUpstream {
            name: name.into(),
            account: "111122223333".parse().unwrap(),
            region: "us-east-1".parse().unwrap(),
            policy: Policy::FailClosed,
        };
        let mut upstream = Upstream::new(recorded, None);
        change(&mut upstream.takes);
        upstream
    }

    fn service(name: &str) -> Upstream {
        upstream(name, |takes| takes.services = vec![name.to_owned()])
    }

    fn signed(service: &str, region: &str) -> http::request::Builder {
        let value = format!("AWS4-HMAC-SHA256 Credential=AKID/20261121/{region}/{service}/aws4_request, Signature=0");
        Request::post("/").header("authorization", value)
    }

    fn find(routes: &Routes<Upstream>, request: http::request::Builder) -> (String, Option<String>, String) {
        let head = request.body(()).unwrap().into_parts().0;
        let found = routes.find(&head);
        let service = found.routed.service.map(|service| service.to_string());
        (found.taker.recorded.name.to_string(), service, found.routed.region.to_string())
    }

    fn went(name: &str, service: Option<&str>, region: &str) -> (String, Option<String>, String) {
        (name.to_owned(), service.map(str::to_owned), region.to_owned())
    }

    #[test]
    fn a_signed_call_goes_to_the_upstream_of_its_service() {
        let routes = Routes::new(vec![service("s3"), service("sts")], upstream("unknown", |_| {}));
        assert_eq!(find(&routes, signed("sts", "eu-west-1")), went("sts", Some("sts"), "eu-west-1"));
        assert_eq!(find(&routes, signed("sqs", "eu-west-1")), went("unknown", Some("sqs"), "eu-west-1"));
        // What the host says does not matter where the signature speaks.
        let both = signed("s3", "eu-west-1").header("host", "sts.amazonaws.com");
        assert_eq!(find(&routes, both), went("s3", Some("s3"), "eu-west-1"));
    }

    #[test]
    fn an_unsigned_call_goes_where_its_host_belongs() {
        let routes = Routes::new(vec![service("s3"), service("sts")], upstream("unknown", |_| {}));
        let call = Request::get("/key").header("host", "bucket.s3.eu-central-1.amazonaws.com:443");
        assert_eq!(find(&routes, call), went("s3", Some("s3"), "eu-central-1"));
        assert_eq!(find(&routes, Request::get("/").header("host", "x.org")), went("unknown", None, "us-east-1"));
        assert_eq!(find(&routes, Request::get("/")), went("unknown", None, "us-east-1"));
    }

    #[test]
    fn a_rule_wins_over_a_service_and_a_service_over_what_takes_anything() {
        let any = upstream("any", |_| {});
        let ruled = upstream("ruled", |takes| {
            takes.services = vec!["orders".to_owned()];
            takes.hosts = vec!["*.orders.example.org".to_owned()];
            takes.paths = vec!["/v1/*".to_owned()];
        });
        let target = upstream("target", |takes| takes.targets = vec!["DynamoDB_20120810".to_owned()]);
        let routes = Routes::new(vec![any, service("s3"), ruled, target], upstream("unknown", |_| {}));

        let call = |path: &str| Request::get(path).header("host", "eu.orders.example.org");
        assert_eq!(find(&routes, call("/v1/x")), went("ruled", Some("orders"), "us-east-1"));
        assert_eq!(find(&routes, call("/v2/x")), went("any", None, "us-east-1"));
        let call = signed("dynamodb", "us-west-2").header("x-amz-target", "DynamoDB_20120810.PutItem");
        assert_eq!(find(&routes, call), went("target", Some("dynamodb"), "us-west-2"));
        assert_eq!(find(&routes, signed("s3", "us-west-2")), went("s3", Some("s3"), "us-west-2"));
        assert_eq!(find(&routes, signed("sns", "us-west-2")), went("any", Some("sns"), "us-west-2"));
        // Signed for another service: the rule does not take it.
        let call = signed("s3", "us-west-2").uri("/v1/x").header("host", "eu.orders.example.org");
        assert_eq!(find(&routes, call), went("s3", Some("s3"), "us-west-2"));
    }

    #[test]
    fn one_service_may_have_an_upstream_for_each_region() {
        let of = |name: &str, region: &str| {
            upstream(name, |takes| {
                takes.services = vec!["s3".to_owned()];
                takes.regions = vec![region.parse().unwrap()];
            })
        };
        let routes = Routes::new(vec![of("east", "us-east-1"), of("west", "us-west-2")], upstream("unknown", |_| {}));
        assert_eq!(find(&routes, signed("s3", "us-west-2")).0, "west");
        assert_eq!(find(&routes, signed("s3", "us-east-1")).0, "east");
        assert_eq!(find(&routes, signed("s3", "eu-west-1")).0, "unknown");
    }
}
